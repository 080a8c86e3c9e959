//! How requests are answered, counted: how many, how fast, with which outcome, refused on which ground.
//!
//! [`figures`] reads the milestones of cases from the audit log (received, refused, withdrawn, closed) and nothing else,
//! so that a period is counted alike before and after [`upkeep`](crate::upkeep) deleted its cases, and so that every
//! number can be counted again by an auditor from an export of the log. [`count`] is the pure part.
//!
//! What is counted:
//! - The population of a period are the requests of people that the controller *received* in it, by the controller's
//!   calendar; erasures of retention sweeps are counted apart, and what the daily self-test asks is no request of anybody:
//!   of it only the runs are counted.
//! - *Answered* is what ended with the person told an outcome; a withdrawn or superseded request needs no answer.
//! - The share answered within a term is counted among the requests for which the question can be answered: those that
//!   were answered, and those open for longer than the term. A young open request is in neither number.
//! - Days are calendar days from the day of receipt to the day on which the mail server took the answer. The month of the
//!   law is counted without the shift of weekends, as in the conservative due date.
//! - The median of an even number is the mean of the middle two; the 90th percentile is the nearest rank.
//!
//! [`outlook()`] looks the other way: not at what a log says of the past, but at which dates of what is open now will be missed. It
//! asks the queue what the platform said last.
//!
//! Invariants: no identifier and no reference leaves; a period that the log does not cover any more is said to be so.

mod count;
mod course;
mod outlook;
mod sql;

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use crate::audit::{self, Action};
use crate::domain::OrganisationId;
use crate::store::{PgConnection, StoreError};

pub use count::count;
pub use course::{Course, End};
pub use outlook::{Outlook, calls_of, outlook};

/// What is to be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose requests.
    pub organisation: OrganisationId,
    /// Received on this day or later, by the controller's calendar.
    pub since: NaiveDate,
    /// Received before this day.
    pub until: NaiveDate,
    /// The controller's time zone.
    pub zone: Tz,
    /// The present day there.
    pub today: NaiveDate,
}

/// A part of a whole.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// In per cent, rounded half up to one decimal; none of nothing.
    pub percent: Option<f64>,
}

/// The figures of one population.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Block {
    /// Requests received.
    pub received: u64,
    /// Those that are not ended.
    pub open: u64,
    /// Those of them whose conservative due day is past.
    pub overdue: u64,
    /// Those that ended with an answer.
    pub answered: u64,
    /// Those whose term was extended, of all received.
    pub extended: Share,
    /// Answered within one month, of those answered or open for longer.
    pub within_1_month: Share,
    /// Answered within three months, of those answered or open for longer.
    pub within_3_months: Share,
    /// Median of the days until the answer.
    pub median_days: Option<f64>,
    /// 90th percentile of the days until the answer.
    pub p90_days: Option<u64>,
    /// How those that ended did, by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// On which ground a person refused, by ground: refusals that became the outcome.
    pub refused_on: BTreeMap<String, u64>,
}

/// Erasures of retention sweeps in the period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sweeps {
    /// How many were submitted.
    pub submitted: u64,
    /// How many ended: in the period, whenever they were submitted; of those of which no page of a sweep tells, how many of the
    /// submitted.
    pub ended: u64,
}

/// Runs of the daily self-test of the period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SelfTests {
    /// How many ended.
    pub ended: u64,
    /// Of how many a right was not carried out, read back and told in its time.
    pub failed: u64,
}

/// The figures of a period.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Whose.
    pub organisation: OrganisationId,
    /// Received on this day or later.
    pub since: NaiveDate,
    /// Received before this day.
    pub until: NaiveDate,
    /// The day on which it was counted.
    pub counted_on: NaiveDate,
    /// All kinds together.
    pub all: Block,
    /// By kind.
    pub by_kind: BTreeMap<String, Block>,
    /// Erasures by retention rule, which nobody asked for.
    pub sweeps: Sweeps,
    /// Runs of the daily self-test, which are nobody's requests.
    pub self_tests: SelfTests,
    /// The first day of the period that the log still covers in full; none where it covers all of it.
    pub covered_since: Option<NaiveDate>,
    /// Requests whose entries are older than the recording of the day of receipt: the day of the entry was taken.
    pub dated_by_entry: u64,
}

/// The milestones that are read.
const MILESTONES: &[Action] = &[
    Action::RequestReceived,
    Action::RequestSuperseded,
    Action::TermExtended,
    Action::IdentityProven,
    Action::IdentityChecked,
    Action::ClarificationAnswered,
    Action::RequestRefused,
    Action::RequestWithdrawn,
    Action::RequestClosed,
    Action::SweepPage,
    Action::SelfTestEnded,
];

/// So many entries are read at a time.
const PAGE: i64 = 10_000;

/// Counts what the sealed log says about a period.
pub async fn figures(connection: &mut PgConnection, question: &Question) -> Result<Figures, StoreError> {
    // No entry is older than the receipt that it tells of, but for clocks that differ and days that begin elsewhere.
    let first = question.since.checked_sub_days(Days::new(2)).unwrap_or(question.since);
    let since = first.and_time(NaiveTime::MIN).and_utc();
    let mut courses = BTreeMap::new();
    let mut sweeps = Sweeps::default();
    let mut self_tests = SelfTests::default();
    let in_period = |day: &NaiveDate| (question.since..question.until).contains(day);
    let first = audit::first_of_actions(connection, &question.organisation, MILESTONES, since).await?;
    let mut after = first.map_or(i64::MAX, |first| first - 1);
    loop {
        let page =
            audit::list_actions(connection, &question.organisation, MILESTONES, since, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for entry in &page {
            course::note(&mut courses, entry, question.zone);
            if let Some((_, items)) =
                course::submitted_by(entry, question.zone).filter(|(day, _)| in_period(day))
            {
                sweeps.submitted += items;
            }
            if let Some((_, passed)) =
                course::self_test_ended(entry, question.zone).filter(|(day, _)| in_period(day))
            {
                self_tests.ended += 1;
                self_tests.failed += u64::from(!passed);
            }
        }
    }
    let ended = courses.values().filter_map(course::Notes::ended_of_a_page).filter(in_period).count();
    sweeps.ended = u64::try_from(ended).unwrap_or(u64::MAX);
    let courses: Vec<Course> = courses.into_values().filter_map(course::Notes::finish).collect();
    let mut figures = count(question, &courses);
    figures.sweeps.submitted += sweeps.submitted;
    figures.sweeps.ended += sweeps.ended;
    figures.self_tests = self_tests;
    let whole_since = audit::whole_since(connection).await?;
    figures.covered_since = whole_since.and_then(|at| covered_since(question, at));
    Ok(figures)
}

/// The first day of the period that is covered in full, where that is not its first.
fn covered_since(question: &Question, whole_since: DateTime<Utc>) -> Option<NaiveDate> {
    let day = whole_since.with_timezone(&question.zone).date_naive();
    let midnight = question.zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest();
    let first = if midnight.is_some_and(|midnight| midnight >= whole_since) {
        day
    } else {
        day.checked_add_days(Days::new(1)).unwrap_or(day)
    };
    (first > question.since).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pruned_log_says_from_which_day_on_it_covers_the_period() {
        let question = Question {
            organisation: "main".parse().unwrap(),
            since: "2026-01-01".parse().unwrap(),
            until: "2026-07-01".parse().unwrap(),
            zone: chrono_tz::Europe::Rome,
            today: "2026-11-23".parse().unwrap(),
        };
        let day = |at: &str| covered_since(&question, at.parse().unwrap()).map(|day| day.to_string());
        assert_eq!(day("2026-03-09T23:00:00Z").as_deref(), Some("2026-03-10"), "midnight in Rome");
        assert_eq!(day("2026-03-09T23:00:01Z").as_deref(), Some("2026-03-11"), "a second of the day is gone");
        assert_eq!(day("2025-12-31T20:00:00Z"), None, "whole from before the period on");
    }
}
