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

mod identifiers;
mod mix;
mod names;
mod record;

pub(crate) use mix::{below, id_of, mix, pick, push_hex, push_padded, small};
use names::SIGNUP_METHODS;
pub(crate) use names::{APPLICATION_EVENTS, COUNTRIES, CUSTOM_OPTINS, LOCATIONS, SEGMENTS, VISIT_EVENTS};
pub(crate) use record::{ContactRecord, Metrics, write_contact};

/// Titles of the policies that every organisation has, before its custom opt-ins.
pub(crate) const BUILT_IN_POLICIES: [&str; 4] =
    ["privacy", "termsOfUse", "mktgCommunications", "ageVerification"];

const DAY_MS: i64 = 24 * 3600 * 1000;

/// Mean length of a calendar year.
const YEAR_MS: u64 = 31_556_952_000;

/// Creation dates are spread over this many days before the reference instant.
const SPREAD_DAYS: i64 = 8 * 365;

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
    /// Visits and `WiFi` connections: what `/v2/customers/{id}/events` lists.
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

    // ----- dates ----------------------------------------------------------------------------------------------------

    /// Creation instant; grows with the index, so that the order of indexes is the order of creation.
    pub(crate) fn created_ms(&self, index: u32) -> i64 {
        let span = SPREAD_DAYS * DAY_MS;
        let step = span / i64::from(self.count.max(1));
        let hash = self.hash(index, 1);
        let at = self.reference_ms - span + step * i64::from(index) + below(hash >> 8, step.max(1));
        if hash.is_multiple_of(4) { at } else { at - at.rem_euclid(1000) }
    }

    pub(crate) fn modified_ms(&self, index: u32) -> i64 {
        let created = self.created_ms(index);
        let hash = self.hash(index, 2);
        let at = created + below(hash, (self.reference_ms - created).max(1));
        at - at.rem_euclid(1000)
    }

    // ----- the rest -------------------------------------------------------------------------------------------------

    pub(crate) fn signup_method(&self, index: u32) -> &'static str {
        pick(&SIGNUP_METHODS, self.hash(index, 9))
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
    fn creation_dates_grow_over_eight_years() {
        let people = people(10_000);
        let dates: Vec<i64> = (0..people.count()).map(|index| people.created_ms(index)).collect();
        assert!(dates.windows(2).all(|pair| pair[0] <= pair[1]));
        let years = (dates[dates.len() - 1] - dates[0]) / DAY_MS / 365;
        assert_eq!(years, 7, "the first and the last are almost eight years apart");
        assert!(dates.iter().all(|&at| at < people.reference_ms()));
        assert!((0..people.count()).all(|index| people.modified_ms(index) >= people.created_ms(index) - 999));
    }
}
