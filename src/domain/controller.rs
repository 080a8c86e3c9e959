//! The organisation on whose behalf the daemon works.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::deadline::{self, Acknowledgement, CalendarCode, DueDates, Extension, Pause, RegimeCode, Term};
use super::{DecisionKind, ErasureRules, IdentityRules, OrganisationId, RequestKind};

/// What every part of the service needs to know about one controller (Art. 4(7) GDPR).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// The short name in the configuration.
    pub id: OrganisationId,
    /// The name under which people know it.
    pub name: String,
    /// How a person reaches its data protection officer: one line, for example an e-mail address.
    pub contact: String,
    /// Where it is established: days begin and end there.
    pub time_zone: Tz,
    /// The law under which it answers.
    pub regime: RegimeCode,
    /// The public holidays of its establishment. The conservative date needs none.
    pub calendar: Option<CalendarCode>,
    /// Further calendars that may apply, where it is doubtful which state's holidays count; the earliest date holds.
    pub further_calendars: Vec<CalendarCode>,
    /// Within how many days of its receipt an open request takes the same one of the same person as a reminder;
    /// 0 takes none.
    pub reminder_days: u32,
    /// From how many requests of one kind and person within a year on a request is marked as frequent. The mark refuses
    /// nothing.
    pub frequent_from: u32,
    /// Kinds of decision that a second person must confirm.
    pub two_persons: Vec<DecisionKind>,
    /// ISO 3166 code with which national telephone numbers are read.
    pub default_country: Option<String>,
    /// Language of answers where the request names none, for example `en`.
    pub language: String,
    /// The policies that an opt-out switches off where the request names none, for example `mktgCommunications`.
    pub opt_out_policies: Vec<String>,
    /// How well it must be known who asks for what.
    pub identity: IdentityRules,
    /// On which grounds it erases, and on which legal bases it holds what.
    pub erasure: ErasureRules,
    /// How much may begin at once.
    pub flood: FloodLimits,
}

/// How much may begin at once (S-10). What comes beyond is accepted, with its legal clock running, and begins later; nothing is
/// refused, and an opt-out never waits. 0 means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FloodLimits {
    /// Messages of one source, a database role and channel, in an hour.
    pub per_source_per_hour: u32,
    /// Messages that name the same identifier in a day. Reminders beyond it are not acknowledged by mail once more.
    pub per_identifier_per_day: u32,
    /// Messages of all sources in an hour. Who has not asked yet that day waits only beyond four times as many.
    pub all_per_hour: u32,
}

impl FloodLimits {
    /// No limits.
    pub const NONE: Self = Self { per_source_per_hour: 0, per_identifier_per_day: 0, all_per_hour: 0 };
}

/// Whether an open request is late: computed, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overdue {
    /// It is not, or it is closed.
    No,
    /// The date to keep has passed.
    Yes,
    /// The last lawful day has passed: the law is broken.
    Breach,
}

impl Controller {
    /// The conservative due date of a request.
    #[must_use]
    pub fn due_on(&self, kind: RequestKind, received_at: DateTime<Utc>) -> NaiveDate {
        deadline::conservative_due(self.regime, kind, received_at, self.time_zone)
    }

    /// Both dates of a request, from all events that move them (I-6).
    #[must_use]
    pub fn due_dates(
        &self,
        kind: RequestKind,
        received_at: DateTime<Utc>,
        extension: Extension,
        pauses: &[Pause],
    ) -> DueDates {
        let calendars = self.calendars();
        let kind = Some(kind);
        let (regime, zone) = (self.regime, self.time_zone);
        let term = Term { regime, calendars: &calendars, zone, received_at, kind, extension, pauses };
        term.due_dates()
    }

    /// By when the receipt of a request must be confirmed, where the law sets a day.
    #[must_use]
    pub fn acknowledgement(&self, kind: RequestKind, received_at: DateTime<Utc>) -> Option<Acknowledgement> {
        let calendars = self.calendars();
        let (extension, kind) = (Extension::None, Some(kind));
        let (regime, zone) = (self.regime, self.time_zone);
        let term = Term { regime, calendars: &calendars, zone, received_at, kind, extension, pauses: &[] };
        term.acknowledgement()
    }

    /// Whether policies that are switched off are all that it names for marketing.
    #[must_use]
    pub fn is_all_marketing(&self, off: &[String]) -> bool {
        let is_off = |policy: &String| off.iter().any(|each| bare_policy(each) == bare_policy(policy));
        !self.opt_out_policies.is_empty() && self.opt_out_policies.iter().all(is_off)
    }

    /// Every calendar that may apply.
    fn calendars(&self) -> Vec<CalendarCode> {
        self.calendar.into_iter().chain(self.further_calendars.iter().copied()).collect()
    }

    /// How late an open request is at an instant.
    #[must_use]
    pub fn overdue(
        &self,
        due_on: NaiveDate,
        statutory_due_on: Option<NaiveDate>,
        now: DateTime<Utc>,
    ) -> Overdue {
        if statutory_due_on.is_some_and(|day| now >= self.end_of_day(day)) {
            Overdue::Breach
        } else if now >= self.end_of_day(due_on) {
            Overdue::Yes
        } else {
            Overdue::No
        }
    }

    /// The last instant of a due day.
    #[must_use]
    pub fn end_of_day(&self, due_on: NaiveDate) -> DateTime<Utc> {
        deadline::end_of_day(due_on, self.time_zone)
    }

    /// The calendar day of an instant where this controller is established.
    #[must_use]
    pub fn local_date(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.time_zone).date_naive()
    }

    /// An instant as people read it in tables: this controller's time zone, with its name, to the second.
    #[must_use]
    pub fn local_time(&self, at: DateTime<Utc>) -> String {
        local_time(at, self.time_zone)
    }
}

/// A policy's name as profiles show it: without the prefix with which custom opt-ins are updated.
#[must_use]
pub fn bare_policy(policy: &str) -> &str {
    policy.strip_prefix("customs.").unwrap_or(policy)
}

/// An instant as people read it in tables, in a time zone, with the zone's name.
#[must_use]
pub fn local_time(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_shown_in_a_zone_that_is_named() {
        let shown = |at: &str| local_time(at.parse().unwrap(), chrono_tz::Europe::Rome);
        assert_eq!(shown("2026-11-23T10:00:00Z"), "2026-11-23 11:00:00 CET");
        assert_eq!(shown("2026-07-01T22:30:00Z"), "2026-07-02 00:30:00 CEST");
    }
}
