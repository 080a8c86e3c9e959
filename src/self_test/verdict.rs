//! Whether a right was carried out as a person would have a right to: a pure look at its case.

use chrono::{DateTime, Utc};

use crate::domain::{Outcome, SelfTestFinding};
use crate::intake::Case;

/// What became of a request of a self-test that had to end by `due_at`; nothing is taken for granted that the case does not
/// show, and an end that came too late is none, however late somebody looks.
#[must_use]
pub fn judge(case: &Case, due_at: DateTime<Utc>) -> SelfTestFinding {
    match case.outcome {
        None => SelfTestFinding::NotInTime,
        Some(_) if case.closed_at.is_none_or(|at| at > due_at) => SelfTestFinding::NotInTime,
        Some(Outcome::FulfilledNoData) => SelfTestFinding::NobodyFound,
        Some(Outcome::Fulfilled) if case.verified_at.is_none() => SelfTestFinding::NotReadBack,
        Some(Outcome::Fulfilled) if case.informed_at.is_none() => SelfTestFinding::NotTold,
        Some(Outcome::Fulfilled) => SelfTestFinding::Passed,
        Some(_) => SelfTestFinding::EndedOtherwise,
    }
}
