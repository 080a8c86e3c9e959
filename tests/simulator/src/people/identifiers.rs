//! Identifiers of generated people, and the way back from an identifier to its contact.

use super::Population;
use super::mix::{mix, pick, push_base36, push_hex, push_padded, small, unmix};
use super::names::{COUNTRIES, DOMAINS, FIRST_NAMES, FirstName, LAST_NAMES};

/// Phone subscriber numbers have seven digits; this multiplier scatters indexes over them and is inverted by
/// [`SUBSCRIBER_INVERSE`] (their product is 1 modulo ten million).
const SUBSCRIBERS: u64 = 10_000_000;
const SUBSCRIBER_STEP: u64 = 7_654_321;
const SUBSCRIBER_INVERSE: u64 = inverse(SUBSCRIBER_STEP.cast_signed(), SUBSCRIBERS.cast_signed());

/// Modular inverse by the extended Euclidean algorithm.
const fn inverse(value: i64, modulus: i64) -> u64 {
    let (mut old_r, mut r) = (value, modulus);
    let (mut old_s, mut s) = (1_i64, 0_i64);
    while r != 0 {
        let quotient = old_r / r;
        (old_r, r) = (r, old_r - quotient * r);
        (old_s, s) = (s, old_s - quotient * s);
    }
    old_s.rem_euclid(modulus).unsigned_abs()
}

impl Population {
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

    // ----- identifiers ----------------------------------------------------------------------------------------------

    pub(super) fn first_name(&self, index: u32) -> FirstName {
        pick(&FIRST_NAMES, self.hash(index, 3))
    }

    pub(super) fn last_name(&self, index: u32) -> (&'static str, &'static str) {
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
        out.push_str(pick(&DOMAINS, self.hash(owner, 6)));
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

    pub(super) fn country(&self, index: u32) -> usize {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(count: u32) -> Population {
        Population::new(7, count, 1_768_469_400_000, "155d60f21dc1938562900a0e201d54f6")
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
