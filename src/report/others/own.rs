//! What is the person's own, and what is nobody's.
//!
//! The person's own is every identifier of their profile and of their request, in any spelling that the documentation
//! calls the same ([`SubjectIdentifier`]), and every value of the profile that is as a whole an address or a number. A
//! number without its country code is theirs in every country: withholding it would be a guess. An address that the
//! person had once and that no record of them names any more cannot be known; the report says what to do then.

use std::collections::HashSet;

use super::find;
use crate::domain::{IdentifierKind, Personal, SubjectIdentifier};
use crate::report::flatten::{Kind, flatten, resolve};

/// A number with fewer digits is compared as a whole only.
const LEAST_DIGITS: usize = 7;

/// What may stay in a copy because it is the person's own or nobody's.
#[derive(Clone, Debug, Default)]
pub struct Own {
    country: Option<String>,
    /// In normal form.
    addresses: Personal<HashSet<String>>,
    /// In international form: `+` and digits.
    numbers: Personal<HashSet<String>>,
    /// The digits of numbers as they are held, without leading zeros.
    digits: Personal<HashSet<String>>,
    /// Domains of which no address is a person's, in normal form.
    domains: HashSet<String>,
}

/// What an entry of `keep` is.
pub(super) enum Kept {
    Address(String),
    Domain(String),
    Number(String),
}

impl Kept {
    /// Reads an entry of the settings.
    pub(super) fn read(entry: &str) -> Option<Self> {
        let entry = entry.trim();
        if entry.starts_with('@') {
            let anybody = SubjectIdentifier::parse(IdentifierKind::Email, &format!("a{entry}"), None).ok()?;
            let (_, domain) = anybody.normalised().expose().rsplit_once('@')?;
            return Some(Self::Domain(domain.to_owned()));
        }
        let read = |kind| {
            let identifier = SubjectIdentifier::parse(kind, entry, None).ok()?;
            Some(identifier.normalised().expose().clone())
        };
        read(IdentifierKind::Email)
            .map(Self::Address)
            .or_else(|| read(IdentifierKind::Phone).map(Self::Number))
    }
}

impl Own {
    /// Nothing yet. `country` is the ISO 3166 code with which numbers without a country code are read.
    #[must_use]
    pub fn new(country: Option<&str>) -> Self {
        Self { country: country.map(str::to_owned), ..Self::default() }
    }

    /// An identifier of the person.
    pub fn add(&mut self, identifier: &SubjectIdentifier) {
        self.add_text(identifier.given().expose());
        let normal = identifier.normalised().expose();
        match identifier.kind() {
            IdentifierKind::Email => insert(&mut self.addresses, normal.clone()),
            IdentifierKind::Phone => insert(&mut self.numbers, normal.clone()),
            _ => {}
        }
    }

    /// A value of the person's, whatever it is: it counts as everything that it can be read as.
    pub fn add_text(&mut self, text: &str) {
        let country = self.country.clone();
        for reading in SubjectIdentifier::readings(text, country.as_deref()) {
            let normal = reading.normalised().expose().clone();
            match reading.kind() {
                IdentifierKind::Email => insert(&mut self.addresses, normal),
                IdentifierKind::Phone => insert(&mut self.numbers, normal),
                _ => {}
            }
        }
        // A number that cannot be read is still the person's.
        if !text.contains(char::is_alphabetic) {
            let digits = digits_of(text);
            if digits.len() >= LEAST_DIGITS {
                insert(&mut self.digits, digits);
            }
        }
    }

    /// Every value of the person's profile (its JSON text) that is as a whole an address or a number.
    pub fn add_values_of(&mut self, profile: &str) {
        let mut values = Vec::new();
        let read = flatten(profile, &mut String::new(), |_, leaf| match leaf.kind {
            Kind::Plain => values.push(leaf.of(profile).to_owned()),
            Kind::Escaped => values.push(resolve(leaf.of(profile)).text),
            Kind::Json | Kind::Null => {}
        });
        if read.is_ok() {
            for value in values {
                let is_address = value.contains('@');
                if is_address || value.trim_start().starts_with(['+', '0']) {
                    self.add_text(&value);
                }
            }
        }
    }

    /// All that is found in a text which is nobody's, such as the line by which the controller is reached.
    pub fn add_all_in(&mut self, text: &str) {
        for candidate in find::candidates(text) {
            self.add_text(&candidate);
        }
    }

    /// An entry of the settings: an address, a number, or `@` and a domain. What is none of them is refused where settings
    /// are checked.
    pub(super) fn keep(&mut self, entry: &str) {
        match Kept::read(entry) {
            Some(Kept::Address(address)) => insert(&mut self.addresses, address),
            Some(Kept::Number(number)) => insert(&mut self.numbers, number),
            Some(Kept::Domain(domain)) => {
                self.domains.insert(domain);
            }
            None => {}
        }
    }

    /// Whether an address is the person's own or nobody's.
    pub(super) fn has_address(&self, text: &str) -> bool {
        if self.addresses.expose().contains(text) {
            return true;
        }
        let Ok(address) = SubjectIdentifier::parse(IdentifierKind::Email, text, None) else { return false };
        let normal = address.normalised().expose();
        self.addresses.expose().contains(normal)
            || normal.rsplit_once('@').is_some_and(|(_, domain)| self.domains.contains(domain))
    }

    /// Whether a number in international form is the person's own or nobody's. `normal` is its normal form, if it has one.
    pub(super) fn has_number(&self, text: &str, normal: Option<&str>) -> bool {
        if normal.is_some_and(|normal| self.numbers.expose().contains(normal)) {
            return true;
        }
        let digits = digits_of(text);
        let normal_digits = normal.map(digits_of);
        self.digits.expose().iter().any(|own| {
            digits.ends_with(own) || normal_digits.as_ref().is_some_and(|normal| normal.ends_with(own))
        })
    }
}

fn insert(set: &mut Personal<HashSet<String>>, value: String) {
    let mut inner = std::mem::take(set).into_exposed();
    inner.insert(value);
    *set = Personal::new(inner);
}

/// The digits of a number without leading zeros, which stand for a way of dialling.
fn digits_of(text: &str) -> String {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').to_owned()
}
