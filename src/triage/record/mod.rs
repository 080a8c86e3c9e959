//! Decisions as they are shown to auditors: what, on which ground and when; never the facts told to the person, never the
//! contact chosen. Who decided stands in the entry of the log, by a word that can be made meaningless.

mod sql;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

pub use sql::list_decisions;

/// A decision of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecisionRecord {
    /// Its id.
    pub decision: Uuid,
    /// What was decided, by its word.
    pub kind: String,
    /// The reason or ground, by its word.
    pub reason: String,
    /// Whether facts in support of it are kept.
    pub has_facts: bool,
    /// When.
    pub decided_at: DateTime<Utc>,
}
