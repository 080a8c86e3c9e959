//! What an operator sets about holds.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Statute;

/// Holds on erasure.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Laws that oblige the organisation to keep connection records for some time after the last one; while one of them
    /// stands against it, a contact is not deleted. None by default: whether a law applies is for the controller to say.
    /// Known: `fr_connection_logs` and `it_traffic_data` (12 months), `it_traffic_data_72` (72 months),
    /// `es_connection_logs` (12 months).
    #[schemars(with = "Vec<String>")]
    pub statutes: Vec<Statute>,
    /// Who answers for `statutes`: an account or mailbox of a member of staff. No default.
    pub statutes_owner: Option<String>,
    /// By when somebody must look whether `statutes` still apply, within a year: `2027-06-30`. No default.
    #[schemars(with = "Option<String>")]
    pub statutes_review_on: Option<NaiveDate>,
    /// How many days before its date of review a hold is reminded of, in the log, the audit log and `dsrd hold list`, and by
    /// mail until somebody acknowledges it or the review moves on.
    pub remind_days: u16,
}

impl Settings {
    /// What is wrong with the settings, in a sentence; nothing when they fit each other.
    #[must_use]
    pub fn refused(&self) -> Option<&'static str> {
        if !self.statutes.is_empty() && (self.statutes_owner.is_none() || self.statutes_review_on.is_none()) {
            return Some(
                "holds.statutes need holds.statutes_owner and holds.statutes_review_on: a hold without a date of review \
                 is refused",
            );
        }
        (self.remind_days > 366).then_some("holds.remind_days must be at most 366")
    }
}
