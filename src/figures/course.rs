//! The course of one request, put together from its entries in the log.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;
use uuid::Uuid;

use crate::audit::{Action, Entry};
use crate::domain::{Channel, Outcome};

/// What happened to one request, by its dates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// The kind, by its word.
    pub kind: String,
    /// Whether a retention rule submitted it.
    pub by_sweep: bool,
    /// The day of receipt where the controller is.
    pub received_on: NaiveDate,
    /// Whether that is the day of the entry, because the entry does not tell the day of receipt.
    pub dated_by_entry: bool,
    /// The conservative due day.
    pub due_on: NaiveDate,
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
    refused_on: Option<String>,
    end: Option<End>,
}

#[derive(Debug)]
struct Received {
    kind: String,
    by_sweep: bool,
    on: NaiveDate,
    dated_by_entry: bool,
    due_on: NaiveDate,
}

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
            by_sweep: word("channel") == Some(Channel::Retention.as_str()),
            on,
            dated_by_entry: told.is_none(),
            due_on: day("due_on").unwrap_or(on),
        });
    } else if entry.action == Action::RequestRefused.as_str() {
        notes.refused_on = word("ground").map(str::to_owned);
    } else if entry.action == Action::RequestWithdrawn.as_str() {
        notes.end = Some(End { outcome: Outcome::Withdrawn.as_str().to_owned(), on: of_entry });
    } else if entry.action == Action::RequestClosed.as_str() {
        let outcome = word("outcome").unwrap_or("unknown").to_owned();
        notes.end = Some(End { outcome, on: day("answered_on").unwrap_or(of_entry) });
    }
}

impl Notes {
    /// The course; none where the beginning is not in the log, so that nobody knows when it was received.
    pub(super) fn finish(self) -> Option<Course> {
        let received = self.received?;
        Some(Course {
            kind: received.kind,
            by_sweep: received.by_sweep,
            received_on: received.on,
            dated_by_entry: received.dated_by_entry,
            due_on: received.due_on,
            refused_on: self.refused_on,
            end: self.end,
        })
    }
}
