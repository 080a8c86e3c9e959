//! What steps leave behind: the typed outcomes in `dsrd.checkpoint`.
//!
//! Each carries the version of its own form. A form that this program cannot read parks the request; it never panics
//! and is never guessed.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::delivery::NoticeKind;
use crate::domain::{AnsweredOutcome, ContactId, IdentifierKind, IdentityDoubt, RefusalGround};
use crate::report;

/// The version of all forms below.
const VERSION: u8 = 1;

/// An outcome with the version of its form.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u8,
    #[serde(flatten)]
    outcome: T,
}

/// What `locate` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Located {
    /// The one contact; none when nobody matches, or when a sweep's candidate is out of scope.
    pub(super) contact: Option<ContactId>,
    /// A sweep's candidate that does not fall under the rule any more.
    pub(super) out_of_scope: bool,
    /// Hits by kind of identifier, after the local comparison.
    pub(super) hits: BTreeMap<IdentifierKind, u64>,
    /// Contacts that the platform returned although they do not match.
    pub(super) strangers: u64,
    /// For an opt-out: each policy as it was before.
    pub(super) policies_before: BTreeMap<String, bool>,
    /// Whether a person chose the contact, so that nobody else was looked for.
    #[serde(default)]
    pub(super) chosen: bool,
    /// The earliest day on which the contact may have been created, where the platform tells: who held its data since then
    /// was a recipient.
    #[serde(default)]
    pub(super) created_on: Option<NaiveDate>,
    /// The language that the profile shows, where there are texts in it.
    #[serde(default)]
    pub(super) language: Option<String>,
    /// For an opt-out: when the profile had been changed last, as it stood there.
    #[serde(default)]
    pub(super) modified: Option<String>,
}

/// What `refuse` prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refused {
    /// The ground.
    pub(super) ground: RefusalGround,
    /// Whether a deletion was begun before, and reading showed that it is not in place.
    pub(super) deletion_failed: bool,
}

/// What stood in the way of a deletion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    /// The holds, each with its last day for this contact, where one is known.
    pub(super) holds: Vec<(Uuid, Option<NaiveDate>)>,
    /// How many policies were switched off in the first stage.
    pub(super) policies_off: u64,
    /// The policies that it had seen off; none in the checkpoints of earlier programs, and where nobody is told.
    #[serde(default)]
    pub(super) policies: Option<Vec<String>>,
    /// No hold: the contact of a sweep was active since, or nobody can tell.
    #[serde(default)]
    pub(super) active: bool,
}

/// That it did not become known who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unproven {
    /// What was doubted.
    pub(super) doubt: IdentityDoubt,
}

const fn answered_notice() -> NoticeKind {
    NoticeKind::Answered
}

/// What `answer` prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answered {
    /// How the request ends.
    pub(super) outcome: AnsweredOutcome,
    /// By which notice the person is told; in the checkpoints of earlier programs by the general one.
    #[serde(default = "answered_notice")]
    pub(super) notice: NoticeKind,
}

/// What `collect` built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PackageMade {
    /// The package.
    pub(super) package: Uuid,
    /// Records by section.
    pub(super) manifest: report::Manifest,
    /// Whether something could not be read, and the report says so.
    pub(super) incomplete: bool,
}

/// To what the looks for one of the things came that `collect` did not find at first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LookedFor {
    /// Whether it was gone at the second look, too, so that the package says that it is missing.
    pub(super) absent: bool,
}

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EffectEnded {
    /// The audit word for it.
    pub(super) ending: String,
}

/// What `verify` read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReadBackDone {
    /// Whether the contact is gone.
    pub(super) contact_absent: bool,
    /// Searches that no longer find the contact, by kind of identifier.
    pub(super) searches_clear: BTreeMap<IdentifierKind, u64>,
    /// Searches that the platform does not honour, so that they prove nothing.
    pub(super) searches_not_honoured: u64,
    /// Other contacts that carry one of the identifiers searched by: nobody asked for theirs, and they were not touched.
    #[serde(default)]
    pub(super) other_contacts: u64,
    /// Records that still answer, by source (`events`, `devices`, `accountings`).
    pub(super) remaining: BTreeMap<String, u64>,
    /// For an opt-out: each policy as read back.
    pub(super) policies_after: BTreeMap<String, bool>,
    /// For an opt-out: whether the platform emptied the profile with it.
    #[serde(default)]
    pub(super) profile_emptied: bool,
}

pub(super) fn to_json<T: Serialize>(outcome: &T) -> serde_json::Value {
    serde_json::to_value(Versioned { v: VERSION, outcome }).unwrap_or_default()
}

/// Reads an outcome; none when its form or version is unknown.
pub(super) fn from_json<T: DeserializeOwned>(json: &serde_json::Value) -> Option<T> {
    let read: Versioned<T> = serde_json::from_value(json.clone()).ok()?;
    (read.v == VERSION).then_some(read.outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_of_another_version_is_not_read() {
        let mut json = to_json(&EffectEnded { ending: "done".to_owned() });
        assert_eq!(from_json::<EffectEnded>(&json).unwrap().ending, "done");
        json["v"] = 2.into();
        assert!(from_json::<EffectEnded>(&json).is_none());
        assert!(from_json::<Located>(&serde_json::json!({"v": 1})).is_none());
    }
}
