//! The bytes of an entry: what a writer stores, what the tree hashes, what an auditor reads back.
//!
//! UTF-8 JSON in one spelling: keys in their order, each at most once, no white space, no escapes, integers below 2^53,
//! instants in microseconds since 1970, absent fields left out. The bytes are hashed verbatim; nobody ever canonicalises
//! them, and [`Leaf::parse`] accepts only what [`Leaf::to_bytes`] writes. The function `audit.is_entry` of the
//! migrations refuses (nearly) everything else in the transaction that writes it; only the order of keys inside of
//! `detail` is left to this parser, because checking it in the database costs more than all the rest.
//!
//! Unknown keys are refused: a new field is a new version (`v`), so that an old verifier says that it is too old instead
//! of showing half of an entry.
//!
//! | field | meaning |
//! |---|---|
//! | `action`, `outcome` | words of `docs/audit-log.md` |
//! | `actor` | `person:<32 hexadecimal digits>` (random; the name stands in `audit_private.actor`), `process:`, `schedule:`, `producer:` |
//! | `at_us` | when it happened, by the writer's clock |
//! | `build` | version of the program that wrote it |
//! | `case` | the request; random |
//! | `detail` | flat object of counts, truths and short words |
//! | `id`, `intent` | of this entry; of the entry that announced the effect which ends here |
//! | `n`, `w` | how many-th entry of its writer, and which writer: `audit::writer` |
//! | `policy` | SHA-256 of the rule that decided (reserved) |
//! | `sealed_us` | `v` 0 only: when the first form of the log had numbered it |
//! | `subject_c` | commitment to the identifiers that a request gave (`request.received`) or its contact has (`contact.located`): `audit::subject` |
//! | `tenant` | the organisation; left out for what concerns the log itself |
//! | `v` | 1, or 0 for an entry carried over from the first form of the log |
//!
//! [`Leaf`] is an entry with fields of its own, for who makes one or keeps one; `LeafBytes` (`scan`) is one that stays
//! in its bytes, for who goes through millions. Both are read by the same pass.
//!
//! To add a field: here, in its place by the alphabet; its line in `scan`; a new version.

mod scan;

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::event::{Action, Event};
use super::subject::SubjectCommitment;

pub(super) use self::scan::{LeafBytes, LeafView};

/// The most bytes of an entry: what the length of a tlog-tiles bundle can say.
pub const MAX_LEAF_BYTES: usize = 65_535;

/// The first integer that not every reader of JSON can hold.
const TOO_LARGE: u64 = 1 << 53;

/// Why bytes are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// More bytes than an entry may have.
    #[error("an entry has {0} bytes; at most 65,535 are possible")]
    TooLong(usize),
    /// Not JSON, an unknown or missing field, a field twice, or a value of another kind.
    #[error("the bytes are not the JSON of an entry of this version")]
    Json,
    /// A value breaks the rule of its field.
    #[error("the field {0} of an entry is malformed")]
    Field(&'static str),
    /// Another spelling of an entry than the one that is written.
    #[error("the bytes are another spelling of an entry than the canonical one")]
    Spelling,
}

/// A value of `detail`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum DetailValue {
    /// A truth.
    Flag(bool),
    /// A number of at most fifteen digits.
    Number(i64),
    /// A short word.
    Word(String),
}

/// An entry, field by field in the order of its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// What happened.
    pub action: String,
    /// Who caused it.
    pub actor: String,
    /// When it happened, in microseconds since 1970.
    pub at_us: u64,
    /// Version of the program that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The request concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Uuid>,
    /// Counts and words.
    pub detail: BTreeMap<String, DetailValue>,
    /// Id of the entry.
    pub id: Uuid,
    /// For the end of an effect: the entry that announced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Uuid>,
    /// How many-th entry of its writer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// How an effect ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// SHA-256 of the rule that decided, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// For a carried over entry: when it had been numbered, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_us: Option<u64>,
    /// Salted commitment to the identifiers of a request, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_c: Option<String>,
    /// The organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Version of the form: 1, or 0 for a carried over entry.
    pub v: u8,
    /// Which process wrote it: 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub w: Option<String>,
}

impl Leaf {
    /// The entry of an event; `actor` is the word that stands for its actor in the log.
    pub(super) fn of(event: Event, actor: String) -> Self {
        Self {
            case: event.case.map(|case| case.0),
            detail: event.detail.into_values(),
            intent: event.intent.map(|intent| intent.0),
            outcome: event.ending.map(|ending| ending.as_str().to_owned()),
            subject_c: event.subject.map(SubjectCommitment::to_hex),
            tenant: Some(event.organisation.to_string()),
            ..Self::about_log(event.id.0, event.action, actor, event.at)
        }
    }

    /// An entry that concerns the log itself and no organisation.
    pub(super) fn about_log(id: Uuid, action: Action, actor: String, at: DateTime<Utc>) -> Self {
        Self {
            action: action.as_str().to_owned(),
            actor,
            // The log knows no instant before 1970; a clock that is so wrong is told by every entry beside it.
            at_us: at.timestamp_micros().try_into().unwrap_or_default(),
            build: Some(env!("CARGO_PKG_VERSION").to_owned()),
            case: None,
            detail: BTreeMap::new(),
            id,
            intent: None,
            n: None,
            outcome: None,
            policy: None,
            sealed_us: None,
            subject_c: None,
            tenant: None,
            v: 1,
            w: None,
        }
    }

    /// The bytes that are stored and hashed.
    ///
    /// # Panics
    /// Never: the fields are text and integers.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        serde_json::to_writer(&mut bytes, self).expect("text and integers can be written as JSON");
        bytes
    }

    /// Reads an entry; see the module for the language.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        scan::parse(bytes)
    }

    fn check(&self) -> Result<(), LeafError> {
        let optional = |value: &Option<String>, rule: fn(&[u8]) -> bool| {
            value.as_deref().is_none_or(|text| rule(text.as_bytes()))
        };
        let numbers = [Some(self.at_us), self.n, self.sealed_us];
        let rules = [
            ("action", is_action(self.action.as_bytes())),
            ("actor", is_actor(self.actor.as_bytes())),
            ("at_us, n or sealed_us", numbers.into_iter().flatten().all(|number| number < TOO_LARGE)),
            ("build", optional(&self.build, is_build)),
            (
                "detail",
                self.detail.iter().all(|(key, value)| is_key(key.as_bytes()) && value.is_well_formed()),
            ),
            ("outcome", optional(&self.outcome, is_outcome)),
            ("policy", optional(&self.policy, is_sha256)),
            ("subject_c", optional(&self.subject_c, is_sha256)),
            ("tenant", optional(&self.tenant, is_tenant)),
            ("v", self.v <= 1),
            ("w", optional(&self.w, is_writer)),
        ];
        match rules.into_iter().find(|(_, holds)| !holds) {
            Some((field, _)) => Err(LeafError::Field(field)),
            None => Ok(()),
        }
    }
}

/// Reads an entry as any JSON, checks it by the rules, and writes it again to compare the spelling: slow, and says what is
/// wrong. Covers all that JSON leaves open: order, white space, escapes, a key twice, 1e3.
fn by_form(bytes: &[u8]) -> Result<Leaf, LeafError> {
    if bytes.len() > MAX_LEAF_BYTES {
        return Err(LeafError::TooLong(bytes.len()));
    }
    let leaf: Leaf = serde_json::from_slice(bytes).map_err(|_| LeafError::Json)?;
    leaf.check()?;
    if leaf.to_bytes() == bytes { Ok(leaf) } else { Err(LeafError::Spelling) }
}

/// Why bytes are no entry, of which the pass over them said that they are none.
fn refusal(bytes: &[u8]) -> LeafError {
    // Both accept the same, as a test shows; were it otherwise, nothing is accepted that only one of them does.
    by_form(bytes).err().unwrap_or(LeafError::Spelling)
}

/// By hand, because the derived form tries one kind after the other on a copy and words an error for each that does not
/// fit: a third of the time of reading an entry.
impl<'de> Deserialize<'de> for DetailValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfAnyKind;

        impl Visitor<'_> for OfAnyKind {
            type Value = DetailValue;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a truth, an integer or a word")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<DetailValue, E> {
                Ok(DetailValue::Flag(flag))
            }

            fn visit_i64<E>(self, number: i64) -> Result<DetailValue, E> {
                Ok(DetailValue::Number(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<DetailValue, E> {
                i64::try_from(number).map(DetailValue::Number).map_err(E::custom)
            }

            fn visit_str<E>(self, word: &str) -> Result<DetailValue, E> {
                Ok(DetailValue::Word(word.to_owned()))
            }
        }

        deserializer.deserialize_any(OfAnyKind)
    }
}

impl DetailValue {
    fn is_well_formed(&self) -> bool {
        match self {
            Self::Flag(_) => true,
            Self::Number(number) => is_detail_number(*number),
            Self::Word(word) => is_detail_word(word.as_bytes()),
        }
    }
}

// The rules of the fields. None of them allows a sign that JSON would escape, nor one outside of ASCII.

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte == b'_'
}

fn is_action(text: &[u8]) -> bool {
    let words = || text.split(|byte| *byte == b'.');
    text.len() <= 122
        && words().count() >= 2
        && words().all(|word| !word.is_empty() && word.iter().copied().all(is_lower))
}

fn is_actor(text: &[u8]) -> bool {
    let Some(colon) = text.iter().position(|byte| *byte == b':') else { return false };
    match text.split_at(colon) {
        (b"person", [_, name @ ..]) => is_hexadecimal(name, 32),
        (b"process" | b"schedule" | b"producer", [_, name @ ..]) => is_made_of(name, 64, b"_.-"),
        _ => false,
    }
}

fn is_build(text: &[u8]) -> bool {
    is_made_of(text, 64, b"+-.")
}

fn is_outcome(text: &[u8]) -> bool {
    (1..=40).contains(&text.len()) && text.iter().copied().all(is_lower)
}

fn is_key(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_lowercase)
        && text.iter().all(|each| is_lower(*each) || each.is_ascii_digit())
}

fn is_detail_word(text: &[u8]) -> bool {
    text.iter().all(|each| each.is_ascii_alphanumeric() || b"_.:/+- ".contains(each))
}

fn is_detail_number(number: i64) -> bool {
    number.unsigned_abs() < 1_000_000_000_000_000
}

fn is_tenant(text: &[u8]) -> bool {
    (1..=40).contains(&text.len())
        && text.iter().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || *each == b'-')
}

fn is_sha256(text: &[u8]) -> bool {
    is_hexadecimal(text, 64)
}

fn is_writer(text: &[u8]) -> bool {
    is_hexadecimal(text, 16)
}

fn is_made_of(text: &[u8], most: usize, signs: &[u8]) -> bool {
    (1..=most).contains(&text.len())
        && text.iter().all(|each| each.is_ascii_alphanumeric() || signs.contains(each))
}

fn is_hexadecimal(text: &[u8], length: usize) -> bool {
    text.len() == length && text.iter().all(|each| each.is_ascii_digit() || (b'a'..=b'f').contains(each))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::{Actor, Detail, Ending, EntryId};
    use crate::domain::RequestId;

    fn leaf() -> Leaf {
        let event = Event::of(
            &"main".parse().unwrap(),
            RequestId(Uuid::now_v7()),
            Action::DeletionEnded,
            Actor::Process("worker"),
            DateTime::from_timestamp_micros(1_795_473_600_123_456).unwrap(),
        )
        .ending(EntryId(Uuid::now_v7()), Ending::Done)
        .with(Detail::none().word("zone", "a b").count("contacts", 2).flag("all", true));
        Leaf::of(event, "process:worker".to_owned())
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let leaf = leaf();
        let text = String::from_utf8(leaf.to_bytes()).unwrap();
        assert!(text.contains(r#""detail":{"all":true,"contacts":2,"zone":"a b"},"#), "{text}");
        assert_eq!(Leaf::parse(text.as_bytes()), Ok(leaf));
    }

    #[test]
    fn keys_stand_in_their_order() {
        let mut leaf = leaf();
        leaf.n = Some(1);
        leaf.policy = Some("0".repeat(64));
        leaf.sealed_us = Some(1);
        leaf.subject_c = Some("0".repeat(64));
        leaf.w = Some("0".repeat(16));
        let bytes = leaf.to_bytes();
        let map: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(map.len(), 16, "every field is there");
        assert_eq!(serde_json::to_vec(&map).unwrap(), bytes);
    }

    #[test]
    fn another_spelling_is_refused() {
        let text = String::from_utf8(leaf().to_bytes()).unwrap();
        for (from, to, expected) in [
            (",", ", ", LeafError::Spelling),
            ("\"v\":1", "\"v\":1,\"x\":1", LeafError::Json),
            ("\"contacts\":2", "\"contacts\":2,\"contacts\":2", LeafError::Spelling),
            ("\"all\":true,\"contacts\":2", "\"contacts\":2,\"all\":true", LeafError::Spelling),
            ("\"v\":1", "\"v\":1,\"v\":1", LeafError::Json),
            ("\"contacts\":2", "\"contacts\":2.0", LeafError::Json),
            ("\"contacts\":2", "\"contacts\":1000000000000000", LeafError::Field("detail")),
            ("\"contacts\":2", "\"contacts\":null", LeafError::Json),
            ("a b", "ada@people.example", LeafError::Field("detail")),
            ("a b", "a\\u0020b", LeafError::Spelling),
            ("process:worker", "person:anna", LeafError::Field("actor")),
            ("\"main\"", "\"Main\"", LeafError::Field("tenant")),
            ("deletion.ended", "deletion", LeafError::Field("action")),
        ] {
            let altered = text.replacen(from, to, 1);
            assert_ne!(altered, text);
            assert_eq!(Leaf::parse(altered.as_bytes()), Err(expected), "{altered}");
        }
        assert_eq!(Leaf::parse(&vec![b' '; 65_536]), Err(LeafError::TooLong(65_536)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_entry_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(Leaf::parse(&bytes));
        }

        #[test]
        fn an_altered_byte_is_noticed_or_another_entry(place in 0..300_usize, byte: u8) {
            let leaf = leaf();
            let mut bytes = leaf.to_bytes();
            let place = place % bytes.len();
            let changed = bytes[place] != byte;
            bytes[place] = byte;
            if let Ok(read) = Leaf::parse(&bytes) {
                prop_assert_eq!(read.to_bytes(), bytes);
                prop_assert_eq!(read != leaf, changed);
            }
        }
    }
}
