//! The words of self-tests: what became of each right that was tried on an invented contact.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::request::vocabulary;

vocabulary! {
    /// What became of one right that a self-test tried.
    SelfTestFinding, "finding of a self-test" {
        /// Carried out, read back and told in its time.
        Passed = "passed",
        /// It was not ended in its time.
        NotInTime = "not_in_time",
        /// The invented contact was not found at the platform.
        NobodyFound = "nobody_found",
        /// It ended, and not as fulfilled.
        EndedOtherwise = "ended_otherwise",
        /// It ended without a read-back.
        NotReadBack = "not_read_back",
        /// It ended without its notice.
        NotTold = "not_told",
        /// It was not handed in, because a request of an earlier self-test is open still.
        EarlierOpen = "earlier_open",
    }
}
