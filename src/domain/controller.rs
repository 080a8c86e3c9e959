//! The organisation on whose behalf the daemon works.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use super::deadline::{self, CalendarCode, RegimeCode};
use super::{IdentityRules, OrganisationId, RequestKind};

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
    /// ISO 3166 code with which national telephone numbers are read.
    pub default_country: Option<String>,
    /// Language of answers where the request names none, for example `en`.
    pub language: String,
    /// The policies that an opt-out switches off where the request names none, for example `mktgCommunications`.
    pub opt_out_policies: Vec<String>,
    /// How well it must be known who asks for what.
    pub identity: IdentityRules,
}

impl Controller {
    /// The conservative due date of a request.
    #[must_use]
    pub fn due_on(&self, kind: RequestKind, received_at: DateTime<Utc>) -> NaiveDate {
        deadline::conservative_due(self.regime, kind, received_at, self.time_zone)
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

    /// An instant as people read it in sentences: this controller's time zone, with its name, to the minute.
    #[must_use]
    pub fn local_time_in_words(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.time_zone).format("%-d %B %Y, %H:%M %Z").to_string()
    }
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
