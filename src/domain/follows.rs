//! That a request follows by itself from one that a person made.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::RequestId;
use super::request::vocabulary;

vocabulary! {
    /// Why a request follows by itself from another one.
    FollowsBecause, "reason of a request that follows by itself" {
        /// A consent was withdrawn, and what rested on it alone is erased (Art. 17(1)(b) GDPR, R-52).
        Consent = "consent",
        /// A hold had postponed an erasure and does not stand any more.
        Hold = "hold",
        /// What was done did not last at the platform, or a restore undid it.
        Again = "again",
    }
}

/// From which request another one follows by itself. Nobody made it anew: what the person is told names the one that they made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Follows {
    /// The request that a person made.
    pub request: RequestId,
    /// When that one reached the controller, in its time zone; where the case is lost, the day on which it was taken up or carried
    /// out.
    pub received_on: NaiveDate,
    /// Why another one follows.
    pub because: FollowsBecause,
}
