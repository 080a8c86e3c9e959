//! Identities of organisations, requests and contacts.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

/// Why a text is no id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    /// An organisation id is 1 to 40 characters of `a-z`, `0-9` and `-`, starting with a letter.
    #[error("organisation id must be 1 to 40 characters of a-z, 0-9 and '-', starting with a letter")]
    Organisation,
    /// A request id is a UUID.
    #[error("request id must be a UUID, for example 0195d3e0-0000-7000-8000-000000000000")]
    Request,
    /// A contact id must be safe as one segment of a URL path.
    #[error("contact id must be 1 to 128 letters, digits, '-', '_', '.', ':' or '@' and not '.' or '..'")]
    Contact,
}

/// One organisation (controller) that this daemon serves: the short name given to it in the configuration. Every
/// table, query and key carries it. Not the id that the contact platform uses for the same organisation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct OrganisationId(String);

impl OrganisationId {
    /// The id as stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrganisationId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let well_formed = (1..=40).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '-');
        if well_formed { Ok(Self(text.to_owned())) } else { Err(IdError::Organisation) }
    }
}

impl<'de> Deserialize<'de> for OrganisationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for OrganisationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One data-subject request. A version 7 UUID, so that ids sort by time of intake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub Uuid);

impl RequestId {
    /// When it was taken up, as far as the id tells: a version 7 UUID holds the instant.
    #[must_use]
    pub fn taken_up_at(self) -> Option<DateTime<Utc>> {
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
    }
}

impl FromStr for RequestId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::parse_str(text).map(Self).map_err(|_| IdError::Request)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The reference that people quote in mails and on the telephone: `DSR-` and two groups of four from an alphabet
/// without look-alikes. Derived from the random part of the request id, so that it tells nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(String);

const REFERENCE_ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

impl Reference {
    /// The reference of a request.
    #[must_use]
    pub fn of(request: RequestId) -> Self {
        // The last 40 bits of a version 7 UUID are random: eight characters of five bits each.
        let mut bits = request.0.as_u128() & 0xFF_FFFF_FFFF;
        let mut characters = [0_u8; 8];
        for character in characters.iter_mut().rev() {
            *character = REFERENCE_ALPHABET[usize::from((bits & 31) as u8)];
            bits >>= 5;
        }
        let text = String::from_utf8_lossy(&characters).into_owned();
        Self(format!("DSR-{}-{}", &text[..4], &text[4..]))
    }

    /// Reads a reference as people type it: in small letters, without hyphens or with spaces instead.
    #[must_use]
    pub fn typed(text: &str) -> Option<Self> {
        let bare: String = text
            .chars()
            .filter(|each| !each.is_whitespace() && *each != '-')
            .map(|each| each.to_ascii_uppercase())
            .collect();
        let characters = bare.strip_prefix("DSR").unwrap_or(&bare);
        let plain =
            characters.len() == 8 && characters.bytes().all(|each| REFERENCE_ALPHABET.contains(&each));
        plain.then(|| Self(format!("DSR-{}-{}", &characters[..4], &characters[4..])))
    }

    /// The reference as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The contact platform's id of a contact. Opaque, but checked to be one safe segment of a URL path before it can
/// exist at all, so that no request, least of all a DELETE, can be built with an empty or climbing path (S-22).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ContactId(String);

impl ContactId {
    /// The id as the platform gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContactId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let allowed =
            |each: char| each.is_ascii_alphanumeric() || matches!(each, '-' | '_' | '.' | ':' | '@');
        let well_formed = (1..=128).contains(&text.len())
            && text.chars().all(allowed)
            && text.chars().any(|each| each != '.');
        if well_formed { Ok(Self(text.to_owned())) } else { Err(IdError::Contact) }
    }
}

impl<'de> Deserialize<'de> for ContactId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for ContactId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_22_hostile_contact_ids_are_refused_before_a_url_exists() {
        let long = "a".repeat(10_000);
        for hostile in
            ["", ".", "..", "...", "%2e%2e", "a/b", "a?b", "a#b", "a\nb", "a b", "ä", long.as_str()]
        {
            assert_eq!(hostile.parse::<ContactId>(), Err(IdError::Contact), "{hostile:?}");
        }
        assert!("986a372347aac5e4a94516db835d58aa".parse::<ContactId>().is_ok());
    }

    #[test]
    fn a_reference_is_stable_and_readable() {
        let request = RequestId(Uuid::from_u128(0x0195_d3e0_0000_7000_8000_00ff_ffff_ffff));
        assert_eq!(Reference::of(request).as_str(), "DSR-ZZZZ-ZZZZ");
    }

    #[test]
    fn a_reference_is_read_as_people_type_it() {
        let reference = Reference::of(RequestId(uuid::Uuid::from_u128(0x1234_5678_9abc)));
        let text = reference.as_str().to_owned();
        for typed in [text.clone(), text.to_lowercase(), text.replace('-', " "), text[4..].replace('-', "")] {
            assert_eq!(Reference::typed(&typed), Some(reference.clone()), "{typed}");
        }
        for other in ["", "DSR", "DSR-0000-0000", "DSR-AAAA-AAA", "DSR-ÄAAA-AAA", "AAAA-AAAA-AAAA"] {
            assert_eq!(Reference::typed(other), None, "{other}");
        }
    }

    #[test]
    fn organisation_ids_are_short_lower_case_names() {
        assert!("venue-group".parse::<OrganisationId>().is_ok());
        for wrong in ["", "Venue", "1st", "a_b", "a b"] {
            assert!(wrong.parse::<OrganisationId>().is_err(), "{wrong}");
        }
    }
}
