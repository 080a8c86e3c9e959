//! Invented people, computed from a seed and an index.
//!
//! A [`Population`] holds no person: each value of contact number *i* is a function of the seed and *i*, and each
//! identifier can be turned back into *i* (ids through an invertible mixer, e-mail addresses and phone numbers through
//! the digits they carry). So a million contacts cost no memory, searches need no index, and the same seed gives the
//! same bytes on every machine.
//!
//! Variety on purpose: every 89th contact shares the e-mail address of the one before it, every 97th its phone number;
//! every 11th has no e-mail address and every 7th no phone; phone numbers come in six spellings; some addresses hold a
//! plus sign; names are accented, right-to-left and in other scripts; some birth dates are all zeros.

mod names;
mod record;

use crate::json::HEX;

pub(crate) use names::{APPLICATION_EVENTS, COUNTRIES, CUSTOM_OPTINS, LOCATIONS, SEGMENTS, VISIT_EVENTS};
use names::{DOMAINS, FIRST_NAMES, FirstName, LAST_NAMES, SIGNUP_METHODS};
pub(crate) use record::{ContactRecord, Metrics, write_contact};

/// Titles of the policies that every organisation has, before its custom opt-ins.
pub(crate) const BUILT_IN_POLICIES: [&str; 4] =
    ["privacy", "termsOfUse", "mktgCommunications", "ageVerification"];

const DAY_MS: i64 = 24 * 3600 * 1000;

/// Mean length of a calendar year.
const YEAR_MS: u64 = 31_556_952_000;

/// Creation dates are spread over this many days before the reference instant.
const SPREAD_DAYS: i64 = 8 * 365;

/// Phone subscriber numbers have seven digits; this multiplier scatters indexes over them and is inverted by
/// [`SUBSCRIBER_INVERSE`] (their product is 1 modulo ten million).
const SUBSCRIBERS: u64 = 10_000_000;
const SUBSCRIBER_STEP: u64 = 7_654_321;
const SUBSCRIBER_INVERSE: u64 = inverse(SUBSCRIBER_STEP, SUBSCRIBERS);

/// Modular inverse by the extended Euclidean algorithm.
const fn inverse(value: u64, modulus: u64) -> u64 {
    let (mut old_r, mut r) = (value as i64, modulus as i64);
    let (mut old_s, mut s) = (1_i64, 0_i64);
    while r != 0 {
        let quotient = old_r / r;
        (old_r, r) = (r, old_r - quotient * r);
        (old_s, s) = (s, old_s - quotient * s);
    }
    old_s.rem_euclid(modulus as i64) as u64
}

/// Mixes the bits of a number; a bijection, undone by [`unmix`].
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const fn unmix(mut z: u64) -> u64 {
    z = (z ^ (z >> 31) ^ (z >> 62)).wrapping_mul(0x3196_42b2_d24d_8ec3);
    z = (z ^ (z >> 27) ^ (z >> 54)).wrapping_mul(0x96de_1b17_3f11_9089);
    z ^ (z >> 30) ^ (z >> 60)
}

/// Picks an element by a hash.
pub(crate) fn pick<T>(list: &[T], hash: u64) -> &T {
    &list[small(hash, list.len())]
}

/// A number below `bound` from a hash.
pub(crate) fn small(hash: u64, bound: usize) -> usize {
    usize::try_from(hash % bound.max(1) as u64).expect("below a usize")
}

/// A number below `bound` from a hash, for arithmetic with instants.
pub(crate) fn below(hash: u64, bound: i64) -> i64 {
    i64::try_from(hash % bound.max(1).unsigned_abs()).expect("below an i64")
}

/// Appends 16 hexadecimal digits.
pub(crate) fn push_hex(out: &mut String, value: u64) {
    for shift in (0..16).rev() {
        let digit = usize::try_from((value >> (shift * 4)) & 15).expect("four bits");
        out.push(char::from(HEX[digit]));
    }
}

/// A 32-digit id, as the platform gives them, from a seed and a label.
pub(crate) fn id_of(seed: u64, label: u64) -> String {
    let mut out = String::with_capacity(32);
    push_hex(&mut out, mix(seed ^ mix(label)));
    push_hex(&mut out, mix(seed.wrapping_add(label) ^ 0x5bd1_e995));
    out
}

fn push_base36(out: &mut String, mut number: u32) {
    let mut digits = [0_u8; 8];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[small(u64::from(number), 36)];
        number /= 36;
        if number == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|&digit| char::from(digit)));
}

/// Appends a number padded with zeros.
pub(crate) fn push_padded(out: &mut String, number: u64, width: usize) {
    let mut divisor = 10_u64.pow(u32::try_from(width).expect("a few digits").saturating_sub(1));
    while divisor > 0 {
        let digit = u8::try_from(number / divisor % 10).expect("one digit");
        out.push(char::from(b'0' + digit));
        divisor /= 10;
    }
}

/// Present and accepted policies as bits, in the order of the organisation's policy catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicyFlags {
    /// The contact has an entry for the policy.
    pub(crate) present: u32,
    /// The entry says accepted.
    pub(crate) accepted: u32,
}

impl PolicyFlags {
    /// Sets one entry.
    pub(crate) fn set(&mut self, position: u32, accepted: bool) {
        self.present |= 1 << position;
        if accepted {
            self.accepted |= 1 << position;
        } else {
            self.accepted &= !(1 << position);
        }
    }

    /// True when the entry is there and accepted.
    pub(crate) fn accepts(self, position: u32) -> bool {
        self.present & self.accepted & (1 << position) != 0
    }
}

/// The number of records that hang on one contact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// Visits and WiFi connections: what `/v2/customers/{id}/events` lists.
    pub events: u32,
    /// Application events (e-mails, SMS, surveys): listed by the organisation's events endpoint only.
    pub application_events: u32,
    /// Devices.
    pub devices: u32,
    /// Accounting records.
    pub accountings: u32,
}

/// The generated contacts of one organisation.
#[derive(Clone, Debug)]
pub(crate) struct Population {
    seed: u64,
    count: u32,
    reference_ms: i64,
    this_year: u64,
    organisation_id: String,
    location_ids: Vec<String>,
    segment_ids: Vec<String>,
    hotspot_ids: Vec<String>,
}

impl Population {
    pub(crate) fn new(seed: u64, count: u32, reference_ms: i64, organisation_id: &str) -> Self {
        let ids = |base: u64, number: usize| (0..number as u64).map(|at| id_of(seed, base + at)).collect();
        Self {
            seed,
            count,
            reference_ms,
            this_year: 1970 + reference_ms.unsigned_abs() / YEAR_MS,
            organisation_id: organisation_id.to_owned(),
            location_ids: ids(1 << 50, LOCATIONS.len()),
            segment_ids: ids(1 << 51, SEGMENTS.len()),
            hotspot_ids: ids(1 << 53, LOCATIONS.len()),
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn reference_ms(&self) -> i64 {
        self.reference_ms
    }

    pub(crate) fn organisation_id(&self) -> &str {
        &self.organisation_id
    }

    pub(crate) fn location_ids(&self) -> &[String] {
        &self.location_ids
    }

    pub(crate) fn segment_ids(&self) -> &[String] {
        &self.segment_ids
    }

    pub(crate) fn hotspot_ids(&self) -> &[String] {
        &self.hotspot_ids
    }

    fn hash(&self, index: u32, salt: u64) -> u64 {
        mix(self.seed ^ mix(u64::from(index) | salt << 32))
    }

    // ----- ids ------------------------------------------------------------------------------------------------------

    fn id_check(&self, index: u32) -> u64 {
        self.hash(index, 0x1d)
    }

    /// Writes the contact id of an index.
    pub(crate) fn write_id(&self, index: u32, out: &mut String) {
        out.clear();
        push_hex(out, mix(u64::from(index) ^ self.seed));
        push_hex(out, self.id_check(index));
    }

    /// The index of a contact id, if it is one of this population.
    pub(crate) fn index_of_id(&self, id: &str) -> Option<u32> {
        if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
            return None;
        }
        let high = u64::from_str_radix(&id[..16], 16).ok()?;
        let low = u64::from_str_radix(&id[16..], 16).ok()?;
        let index = u32::try_from(unmix(high) ^ self.seed).ok()?;
        (index < self.count && self.id_check(index) == low).then_some(index)
    }

    // ----- dates ----------------------------------------------------------------------------------------------------

    /// Creation instant; grows with the index, so that the order of indexes is the order of creation.
    pub(crate) fn created_ms(&self, index: u32) -> i64 {
        let span = SPREAD_DAYS * DAY_MS;
        let step = span / i64::from(self.count.max(1));
        let hash = self.hash(index, 1);
        let at = self.reference_ms - span + step * i64::from(index) + below(hash >> 8, step.max(1));
        if hash & 3 == 0 { at } else { at - at.rem_euclid(1000) }
    }

    pub(crate) fn modified_ms(&self, index: u32) -> i64 {
        let created = self.created_ms(index);
        let hash = self.hash(index, 2);
        let at = created + below(hash, (self.reference_ms - created).max(1));
        at - at.rem_euclid(1000)
    }

    // ----- identifiers ----------------------------------------------------------------------------------------------

    fn first_name(&self, index: u32) -> &'static FirstName {
        pick(&FIRST_NAMES, self.hash(index, 3))
    }

    fn last_name(&self, index: u32) -> &'static (&'static str, &'static str) {
        pick(&LAST_NAMES, self.hash(index, 4))
    }

    /// The contact whose e-mail address this one carries; `None` without address.
    fn email_owner(index: u32) -> Option<u32> {
        let owner = if index % 89 == 21 { index - 1 } else { index };
        (owner % 11 != 5).then_some(owner)
    }

    pub(crate) fn has_email(index: u32) -> bool {
        Self::email_owner(index).is_some()
    }

    pub(crate) fn email_verified(&self, index: u32) -> bool {
        Self::has_email(index) && !self.hash(index, 5).is_multiple_of(3)
    }

    /// Writes the e-mail address, or nothing.
    pub(crate) fn write_email(&self, index: u32, out: &mut String) {
        out.clear();
        let Some(owner) = Self::email_owner(index) else { return };
        let first = self.first_name(owner).plain;
        let (_, last) = self.last_name(owner);
        if owner == index {
            out.push_str(first);
        } else {
            out.push_str(&first[..1].to_ascii_uppercase());
            out.push_str(&first[1..]);
        }
        if owner % 31 == 8 {
            out.push_str("+wifi");
        } else {
            out.push('.');
            out.push_str(last);
        }
        out.push('.');
        push_base36(out, owner);
        out.push('@');
        out.push_str(*pick(&DOMAINS, self.hash(owner, 6)));
    }

    /// The contacts that may have an e-mail address: candidates to compare, at most two.
    pub(crate) fn candidates_by_email(&self, email: &str) -> Vec<u32> {
        let Some((local, _)) = email.split_once('@') else { return Vec::new() };
        let number = local.rsplit('.').next().unwrap_or_default();
        u32::from_str_radix(number, 36).map_or_else(|_| Vec::new(), |owner| self.owner_and_next(owner))
    }

    fn owner_and_next(&self, owner: u32) -> Vec<u32> {
        [Some(owner), owner.checked_add(1)]
            .into_iter()
            .flatten()
            .filter(|&index| index < self.count)
            .collect()
    }

    fn phone_owner(index: u32) -> Option<u32> {
        let owner = if index % 97 == 13 { index - 1 } else { index };
        (owner % 7 != 3).then_some(owner)
    }

    pub(crate) fn has_phone(index: u32) -> bool {
        Self::phone_owner(index).is_some()
    }

    pub(crate) fn phone_verified(&self, index: u32) -> bool {
        Self::has_phone(index) && self.hash(index, 7).is_multiple_of(2)
    }

    fn country(&self, index: u32) -> usize {
        let owner = Self::phone_owner(index).unwrap_or(index);
        small(self.hash(owner, 8), COUNTRIES.len())
    }

    /// Writes the phone number in this contact's spelling, or nothing.
    pub(crate) fn write_phone(&self, index: u32, out: &mut String) {
        out.clear();
        let Some(owner) = Self::phone_owner(index) else { return };
        let (_, calling, start, _, _) = COUNTRIES[self.country(owner)];
        let subscriber = u64::from(owner) * SUBSCRIBER_STEP % SUBSCRIBERS;
        let (before, between, middle) = match index % 8 {
            0 => ("+", " ", " "),
            1 => ("+", "-", "-"),
            2 => ("(+", ") ", "."),
            3 => ("00", "", ""),
            4 => ("", "", " "),
            _ => ("+", "", ""),
        };
        out.push_str(before);
        if !before.is_empty() {
            out.push_str(calling);
        }
        out.push_str(between);
        out.push_str(start);
        out.push_str(middle);
        push_padded(out, subscriber, 7);
    }

    /// The contacts that may have a phone number with these digits, at most two.
    pub(crate) fn candidates_by_phone(&self, digits: &str) -> Vec<u32> {
        let Some(subscriber) = digits.len().checked_sub(7).and_then(|at| digits.get(at..)) else {
            return Vec::new();
        };
        let Ok(subscriber) = subscriber.parse::<u64>() else { return Vec::new() };
        let owner = subscriber * SUBSCRIBER_INVERSE % SUBSCRIBERS;
        u32::try_from(owner).map_or_else(|_| Vec::new(), |owner| self.owner_and_next(owner))
    }

    /// Writes the user name, or nothing.
    pub(crate) fn write_username(&self, index: u32, out: &mut String) {
        out.clear();
        match index % 3 {
            0 => self.write_email(index, out),
            1 => {
                out.push_str("guest-");
                push_base36(out, index);
            }
            _ => {}
        }
    }

    /// Contacts that may have a user name.
    pub(crate) fn candidates_by_username(&self, username: &str) -> Vec<u32> {
        match username.strip_prefix("guest-") {
            Some(number) => {
                u32::from_str_radix(number, 36).ok().filter(|&index| index < self.count).into_iter().collect()
            }
            None => self.candidates_by_email(username),
        }
    }

    /// Writes the external id, or nothing.
    pub(crate) fn write_ext_id(index: u32, out: &mut String) {
        out.clear();
        if index.is_multiple_of(4) {
            out.push_str("EXT-");
            push_padded(out, u64::from(index), 8);
        }
    }

    /// Writes external property 1 (a card number), or nothing.
    pub(crate) fn write_ext_prop1(index: u32, out: &mut String) {
        out.clear();
        if index.is_multiple_of(4) {
            out.push_str("card-");
            push_padded(out, u64::from(index) * 7, 9);
        }
    }

    /// Writes external property 2 (a shop, shared by many), or nothing.
    pub(crate) fn write_ext_prop2(index: u32, out: &mut String) {
        out.clear();
        if index.is_multiple_of(2) {
            out.push_str("store-");
            push_padded(out, u64::from(index % 50), 2);
        }
    }

    /// Contacts that may have an external id.
    pub(crate) fn candidates_by_ext_id(&self, value: &str) -> Vec<u32> {
        let index = value.strip_prefix("EXT-").and_then(|number| number.parse().ok());
        index.filter(|&index: &u32| index < self.count).into_iter().collect()
    }

    /// Contacts that may have an external property 1.
    pub(crate) fn candidates_by_ext_prop1(&self, value: &str) -> Vec<u32> {
        let number = value.strip_prefix("card-").and_then(|number| number.parse::<u32>().ok());
        number.map(|number| number / 7).filter(|&index| index < self.count).into_iter().collect()
    }

    /// Contacts that may have an external property 2.
    pub(crate) fn candidates_by_ext_prop2(&self, value: &str) -> Vec<u32> {
        let number = value.strip_prefix("store-").and_then(|number| number.parse::<u32>().ok());
        number
            .filter(|&number| number < 50)
            .map_or_else(Vec::new, |number| (number..self.count).step_by(50).collect())
    }

    // ----- the rest -------------------------------------------------------------------------------------------------

    pub(crate) fn signup_method(&self, index: u32) -> &'static str {
        *pick(&SIGNUP_METHODS, self.hash(index, 9))
    }

    pub(crate) fn location(&self, index: u32) -> usize {
        small(self.hash(index, 10), LOCATIONS.len())
    }

    /// Segments as bits.
    pub(crate) fn segments(&self, index: u32) -> u32 {
        let hash = self.hash(index, 11);
        u32::try_from(hash & (hash >> 8) & 0x1f).expect("five bits")
    }

    /// Policies before any update.
    pub(crate) fn policies(&self, index: u32) -> PolicyFlags {
        let hash = self.hash(index, 12);
        let custom = u32::try_from((hash >> 16) & 0x1f).expect("five bits") << 4;
        let marketing = if hash.is_multiple_of(10) { 0 } else { 0b0100 };
        let age = if (hash >> 8).is_multiple_of(2) { 0b1000 } else { 0 };
        let accepted = u32::try_from(hash >> 32).expect("32 bits");
        PolicyFlags {
            present: 0b0011 | marketing | age | custom,
            accepted: 0b0011 | (accepted & (marketing | age | custom)),
        }
    }

    /// Records of a generated contact.
    pub(crate) fn record_counts(&self, index: u32) -> RecordCounts {
        let hash = self.hash(index, 13);
        let part = |shift: u32, bound: u64| u32::try_from((hash >> shift) % bound).expect("a small number");
        RecordCounts {
            events: 1 + part(0, 12),
            application_events: part(12, 5),
            devices: 1 + part(24, 3),
            accountings: part(36, 9),
        }
    }

    /// Fills a record with everything known of a contact. The record's allocations are used again.
    pub(crate) fn fill(&self, index: u32, record: &mut ContactRecord) {
        let hash = self.hash(index, 14);
        let (country, _, _, _, _) = COUNTRIES[self.country(index)];
        let location = self.location(index);
        let first = self.first_name(index);
        let created = self.created_ms(index);
        self.write_id(index, &mut record.cid);
        set(&mut record.title, if hash.is_multiple_of(9) { "Dr" } else { "" });
        set(&mut record.first_name, first.display);
        set(&mut record.last_name, self.last_name(index).0);
        set(&mut record.gender, first.gender);
        write_birth_date(hash, self.this_year, record);
        set(&mut record.country, country);
        record.zip_code.clear();
        push_padded(&mut record.zip_code, 10_000 + hash % 89_999, 5);
        record.created_ms = created;
        record.modified_ms = self.modified_ms(index);
        self.write_email(index, &mut record.email);
        record.email_verified = self.email_verified(index);
        self.write_phone(index, &mut record.phone);
        record.phone_verified = self.phone_verified(index);
        set(&mut record.signup_method, self.signup_method(index));
        record.external_identity_id.clear();
        if index.is_multiple_of(5) {
            record.external_identity_id.push_str("idp|");
            push_hex(&mut record.external_identity_id, hash);
        }
        self.write_username(index, &mut record.username);
        record.locked = hash.is_multiple_of(211);
        set(&mut record.organisation_id, &self.organisation_id);
        set(&mut record.location_id, &self.location_ids[location]);
        set(&mut record.location_name, LOCATIONS[location].0);
        set(&mut record.system, "wifi");
        record.enabled = true;
        set(&mut record.kind, if hash.is_multiple_of(17) { "employee" } else { "guest" });
        record.personal_id.clear();
        if index.is_multiple_of(20) {
            record.personal_id.push_str("PID");
            push_padded(&mut record.personal_id, hash % 1_000_000_000, 9);
        }
        set(&mut record.external_source, if index.is_multiple_of(4) { "loyalty" } else { "" });
        record.last_login_ms = Some(record.modified_ms);
        record.logins = 1 + below(hash >> 20, 60);
        record.policies = self.policies(index);
        record.segments.clear();
        let segments = self.segments(index);
        for (at, name) in SEGMENTS.iter().enumerate() {
            if segments & (1 << at) != 0 {
                record.segments.push((self.segment_ids[at].clone(), (*name).to_owned()));
            }
        }
        Self::write_ext_id(index, &mut record.ext_id);
        Self::write_ext_prop1(index, &mut record.ext_prop1);
        Self::write_ext_prop2(index, &mut record.ext_prop2);
        let visits = i64::from(self.record_counts(index).events);
        record.metrics = Metrics {
            frequency_monthly_visit: 1 + below(hash >> 5, 8),
            top_location: LOCATIONS[location].0,
            top_location_count: visits,
            last_visit_ms: record.modified_ms,
            average_visit_minutes: 5 + below(hash >> 9, 120),
            visited_locations: 1 + below(hash >> 13, 3),
            total_visits: visits,
            conversion_rate: below(hash >> 17, 100),
            days_between_visits: below(hash >> 21, 30),
        };
        record.deleted = false;
        record.extra.clear();
    }
}

fn set(target: &mut String, value: &str) {
    target.clear();
    target.push_str(value);
}

fn write_birth_date(hash: u64, this_year: u64, record: &mut ContactRecord) {
    record.birth_date.clear();
    record.birth_day.clear();
    record.age.clear();
    if hash.is_multiple_of(13) {
        return;
    }
    if hash.is_multiple_of(101) {
        record.birth_date.push_str("0000-00-00 00:00:00");
        return;
    }
    let (year, month, day) = (1940 + (hash >> 30) % 68, 1 + (hash >> 40) % 12, 1 + (hash >> 50) % 28);
    push_padded(&mut record.birth_date, year, 4);
    record.birth_date.push('-');
    push_padded(&mut record.birth_date, month, 2);
    record.birth_date.push('-');
    push_padded(&mut record.birth_date, day, 2);
    record.birth_day.push_str(&record.birth_date[5..]);
    push_padded(&mut record.age, this_year.saturating_sub(year), 2);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(count: u32) -> Population {
        Population::new(7, count, 1_768_469_400_000, "155d60f21dc1938562900a0e201d54f6")
    }

    #[test]
    fn the_mixer_can_be_undone() {
        for value in [0, 1, 42, u64::MAX, 0x0123_4567_89ab_cdef] {
            assert_eq!(unmix(mix(value)), value);
        }
    }

    #[test]
    fn every_identifier_leads_back_to_its_contact() {
        let people = people(5_000);
        let mut text = String::new();
        for index in 0..people.count() {
            people.write_id(index, &mut text);
            assert_eq!(people.index_of_id(&text), Some(index));
            people.write_email(index, &mut text);
            assert!(text.is_empty() || people.candidates_by_email(&text).contains(&index), "{text}");
            people.write_phone(index, &mut text);
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            assert!(digits.is_empty() || people.candidates_by_phone(&digits).contains(&index), "{text}");
            people.write_username(index, &mut text);
            assert!(text.is_empty() || people.candidates_by_username(&text).contains(&index), "{text}");
            Population::write_ext_id(index, &mut text);
            assert!(text.is_empty() || people.candidates_by_ext_id(&text).contains(&index), "{text}");
            Population::write_ext_prop1(index, &mut text);
            assert!(text.is_empty() || people.candidates_by_ext_prop1(&text).contains(&index), "{text}");
            Population::write_ext_prop2(index, &mut text);
            assert!(text.is_empty() || people.candidates_by_ext_prop2(&text).contains(&index), "{text}");
        }
    }

    #[test]
    fn foreign_ids_and_odd_text_find_nobody() {
        let people = people(100);
        for id in ["", "é", "986a372347aac5e4a94516db835d58aa", "../../etc", &"f".repeat(32)] {
            assert_eq!(people.index_of_id(id), None);
        }
        assert!(people.candidates_by_phone("é1234567890").is_empty() || people.count() == 100);
        assert!(people.candidates_by_email("nobody@nowhere.invalid").is_empty());
    }

    #[test]
    fn creation_dates_grow_over_eight_years() {
        let people = people(10_000);
        let dates: Vec<i64> = (0..people.count()).map(|index| people.created_ms(index)).collect();
        assert!(dates.windows(2).all(|pair| pair[0] <= pair[1]));
        let years = (dates[dates.len() - 1] - dates[0]) / DAY_MS / 365;
        assert_eq!(years, 7, "the first and the last are almost eight years apart");
        assert!(dates.iter().all(|&at| at < people.reference_ms()));
        assert!((0..people.count()).all(|index| people.modified_ms(index) >= people.created_ms(index) - 999));
    }

    #[test]
    fn some_people_share_an_address_and_some_a_number() {
        let people = people(2_000);
        let (mut first, mut second) = (String::new(), String::new());
        people.write_email(20, &mut first);
        people.write_email(21, &mut second);
        assert!(first.eq_ignore_ascii_case(&second) && !first.is_empty());
        people.write_phone(109, &mut first);
        people.write_phone(110, &mut second);
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        assert!(digits(&first).ends_with(&digits(&second)[digits(&second).len() - 7..]) && !first.is_empty());
    }
}
