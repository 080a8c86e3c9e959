//! The course of one request, put together from its entries in the log.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;
use uuid::Uuid;

use crate::audit::{self, Action, Entry};
use crate::domain::{Channel, Origin, Outcome};

/// What happened to one request, by its dates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// The kind, by its word.
    pub kind: String,
    /// Who asked for it: a person, a retention rule, or the daily self-test.
    pub origin: Origin,
    /// The day of receipt where the controller is.
    pub received_on: NaiveDate,
    /// Whether that is the day of the entry, because the entry does not tell the day of receipt.
    pub dated_by_entry: bool,
    /// The conservative due day, as it was moved last.
    pub due_on: NaiveDate,
    /// Whether its term was extended: the person was told in time.
    pub extended: bool,
    /// The ground of a refusal.
    pub refused_on: Option<String>,
    /// How and when it ended, if it did.
    pub end: Option<End>,
}

/// How and when a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The outcome, by its word.
    pub outcome: String,
    /// The day on which the person was told, or on which it was put away where there is nobody to tell.
    pub on: NaiveDate,
}

/// Entries of one request, as far as they were read.
#[derive(Debug, Default)]
pub(super) struct Notes {
    received: Option<Received>,
    /// The due day that an extension or a time of waiting for the person led to.
    moved_to: Option<NaiveDate>,
    extended: bool,
    refused_on: Option<String>,
    end: Option<End>,
    /// Its end tells that a retention rule had submitted it; the page of the sweep tells of its receipt.
    of_a_page: bool,
}

#[derive(Debug)]
struct Received {
    kind: String,
    origin: Origin,
    on: NaiveDate,
    dated_by_entry: bool,
    due_on: NaiveDate,
}

/// What ends a time of waiting for the person. It tells the due day where that was computed again.
const MAY_MOVE_DATES: [Action; 3] =
    [Action::IdentityProven, Action::IdentityChecked, Action::ClarificationAnswered];

/// Takes an entry into account. Later entries of a request come after earlier ones.
pub(super) fn note(cases: &mut BTreeMap<Uuid, Notes>, entry: &Entry, zone: Tz) {
    let Some(case) = entry.case else { return };
    let notes = cases.entry(case).or_default();
    let word = |key: &str| entry.detail.get(key).and_then(|value| value.as_str());
    let day = |key: &str| word(key).and_then(|text| text.parse::<NaiveDate>().ok());
    let of_entry = entry.at.with_timezone(&zone).date_naive();
    if entry.action == Action::RequestReceived.as_str() {
        let told = day("received_on");
        let on = told.unwrap_or(of_entry);
        notes.received = Some(Received {
            kind: word("kind").unwrap_or("other").to_owned(),
            origin: match word("channel").and_then(|channel| channel.parse().ok()) {
                Some(Channel::Retention) => Origin::Retention,
                Some(Channel::SelfTest) => Origin::SelfTest,
                _ => Origin::Subject,
            },
            on,
            dated_by_entry: told.is_none(),
            due_on: day("due_on").unwrap_or(on),
        });
    } else if entry.action == Action::RequestRefused.as_str() {
        notes.refused_on = word("ground").map(str::to_owned);
    } else if entry.action == Action::TermExtended.as_str() {
        notes.extended = true;
        notes.moved_to = day("due_on").or(notes.moved_to);
    } else if MAY_MOVE_DATES.iter().any(|action| entry.action == action.as_str()) {
        notes.moved_to = day("due_on").or(notes.moved_to);
    } else if entry.action == Action::RequestSuperseded.as_str() {
        notes.end = Some(End { outcome: Outcome::Superseded.as_str().to_owned(), on: of_entry });
    } else if entry.action == Action::RequestWithdrawn.as_str() {
        notes.end = Some(End { outcome: Outcome::Withdrawn.as_str().to_owned(), on: of_entry });
    } else if entry.action == Action::RequestClosed.as_str() {
        let outcome = word("outcome").unwrap_or("unknown").to_owned();
        notes.end = Some(End { outcome, on: day("answered_on").unwrap_or(of_entry) });
        notes.of_a_page = word("origin") == Some(Origin::Retention.as_str());
    }
}

/// How many erasures the page of a sweep submitted, and on which day; none for another entry.
pub(super) fn submitted_by(page: &Entry, zone: Tz) -> Option<(NaiveDate, u64)> {
    let items = page.detail.get(audit::manifest::ITEMS).and_then(serde_json::Value::as_u64);
    let of_page = page.action == Action::SweepPage.as_str();
    items.filter(|_| of_page).map(|items| (page.at.with_timezone(&zone).date_naive(), items))
}

/// How a self-test ended of which an entry tells: on which day, and whether it passed; none for another entry.
pub(super) fn self_test_ended(entry: &Entry, zone: Tz) -> Option<(NaiveDate, bool)> {
    if entry.action != Action::SelfTestEnded.as_str() {
        return None;
    }
    let run_on = entry.detail.get("run_on").and_then(|value| value.as_str()?.parse().ok());
    let passed = entry.detail.get("passed").and_then(serde_json::Value::as_bool).unwrap_or(false);
    Some((run_on.unwrap_or_else(|| entry.at.with_timezone(&zone).date_naive()), passed))
}

impl Notes {
    /// For an erasure of which the page of a sweep tells: the day on which it ended.
    pub(super) fn ended_of_a_page(&self) -> Option<NaiveDate> {
        self.end.as_ref().filter(|_| self.received.is_none() && self.of_a_page).map(|end| end.on)
    }

    /// The course; none where the beginning is not in the log, so that nobody knows when it was received.
    pub(super) fn finish(self) -> Option<Course> {
        let received = self.received?;
        Some(Course {
            kind: received.kind,
            origin: received.origin,
            received_on: received.on,
            dated_by_entry: received.dated_by_entry,
            due_on: self.moved_to.unwrap_or(received.due_on),
            extended: self.extended,
            refused_on: self.refused_on,
            end: self.end,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(action: Action, case: Option<Uuid>, detail: serde_json::Value) -> Entry {
        Entry {
            seq: 1,
            at: "2026-02-28T23:30:00Z".parse().unwrap(),
            organisation: Some("main".to_owned()),
            case,
            action: action.as_str().to_owned(),
            outcome: None,
            actor: "process:worker".to_owned(),
            intent: None,
            id: Uuid::now_v7(),
            detail,
        }
    }

    #[test]
    fn erasures_of_which_a_page_tells_are_counted_by_the_page_and_by_their_ends() {
        let zone = chrono_tz::Europe::Rome;
        let first_of_march: NaiveDate = "2026-03-01".parse().unwrap();
        let page = entry(Action::SweepPage, None, serde_json::json!({"items": 2, "root": "00"}));
        assert_eq!(submitted_by(&page, zone), Some((first_of_march, 2)));
        let mut cases = BTreeMap::new();
        for (origin, of_a_page) in [(Some("retention"), true), (None, false)] {
            let case = Uuid::now_v7();
            let detail = serde_json::json!({"outcome": "fulfilled", "origin": origin});
            let closed = entry(Action::RequestClosed, Some(case), detail);
            assert_eq!(submitted_by(&closed, zone), None);
            note(&mut cases, &closed, zone);
            assert_eq!(cases[&case].ended_of_a_page(), of_a_page.then_some(first_of_march));
        }
    }

    #[test]
    fn r_12_a_reminder_ends_as_superseded_and_r_6_an_extension_is_seen() {
        let zone = chrono_tz::Europe::Rome;
        let mut cases = BTreeMap::new();
        let case = Uuid::now_v7();
        note(
            &mut cases,
            &entry(Action::RequestReceived, Some(case), serde_json::json!({"kind": "access"})),
            zone,
        );
        note(&mut cases, &entry(Action::TermExtended, Some(case), serde_json::json!({})), zone);
        note(&mut cases, &entry(Action::RequestSuperseded, Some(case), serde_json::json!({})), zone);
        let course = cases.remove(&case).and_then(Notes::finish).unwrap();
        assert!(course.extended);
        assert_eq!(course.end.unwrap().outcome, "superseded");
    }
}
