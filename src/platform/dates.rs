//! Reading the platform's dates without believing more than they say.
//!
//! | text | reading |
//! |---|---|
//! | RFC 3339 with zone, any fraction | exact |
//! | whole number, as text or number | exact; seconds of the epoch, from 10¹¹ on milliseconds |
//! | `2022-07-21T18:41:09`, `2022-07-21 18:41:09` (any fraction), `2022-07-21` | read as UTC, marked as about |
//! | all zeros, empty, `null`, anything else | unknown |
//!
//! The platform's `…Local` fields carry a `Z` that is not true; they are never handed to this module.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use crate::domain::ZONE_UNCERTAINTY;
use crate::platform::Created;

/// The earliest number that is taken for milliseconds: as seconds it would lie in the year 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// Reads the creation date of a contact.
pub(super) fn parse_created(text: &str) -> Created {
    let text = text.trim();
    if !text.bytes().any(|each| matches!(each, b'1'..=b'9')) {
        return Created::Unknown;
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Created::At(instant.with_timezone(&Utc));
    }
    if let Ok(number) = text.parse::<i64>() {
        return from_epoch(number);
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(local) = NaiveDateTime::parse_from_str(text, form) {
            return Created::About(local.and_utc());
        }
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map_or(Created::Unknown, |day| Created::About(day.and_time(NaiveTime::MIN).and_utc()))
}

fn from_epoch(number: i64) -> Created {
    let instant = if number.abs() >= MILLISECONDS_FROM {
        DateTime::from_timestamp_millis(number)
    } else {
        DateTime::from_timestamp(number, 0)
    };
    instant.map_or(Created::Unknown, Created::At)
}

/// Whether a contact was surely created before an instant.
pub(super) fn surely_before(created: Created, before: DateTime<Utc>) -> bool {
    match created {
        Created::At(instant) => instant < before,
        Created::About(instant) => {
            instant.checked_add_signed(ZONE_UNCERTAINTY).is_some_and(|latest| latest < before)
        }
        Created::Unknown => false,
    }
}

/// An instant in the only form that the platform documents for filters: UTC, whole seconds, `Z`.
pub(super) fn filter_text(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn every_documented_form_of_a_date_is_read() {
        for (text, expected) in [
            ("2022-11-15T15:50:54Z", Created::At(at("2022-11-15T15:50:54Z"))),
            ("2022-07-08T13:15:43.885Z", Created::At(at("2022-07-08T13:15:43.885Z"))),
            ("2022-07-08T13:15:43.885123456+02:00", Created::At(at("2022-07-08T11:15:43.885123456Z"))),
            ("1656000000", Created::At(at("2022-06-23T16:00:00Z"))),
            ("1656000000123", Created::At(at("2022-06-23T16:00:00.123Z"))),
            ("2022-07-21T18:41:09", Created::About(at("2022-07-21T18:41:09Z"))),
            ("2022-07-21 18:41:09.5", Created::About(at("2022-07-21T18:41:09.5Z"))),
            (" 2022-07-21 ", Created::About(at("2022-07-21T00:00:00Z"))),
            ("0000-00-00 00:00:00", Created::Unknown),
            ("0", Created::Unknown),
            ("", Created::Unknown),
            ("yesterday", Created::Unknown),
            ("21/07/2022", Created::Unknown),
            ("99999999999999999999", Created::Unknown),
            ("2022-13-40T99:00:00Z", Created::Unknown),
        ] {
            assert_eq!(parse_created(text), expected, "{text}");
        }
    }

    #[test]
    fn a_date_without_a_zone_counts_as_before_only_when_it_surely_is() {
        let limit = at("2022-07-21T12:00:00Z");
        assert!(surely_before(Created::At(at("2022-07-21T11:59:59Z")), limit));
        assert!(!surely_before(Created::At(limit), limit));
        assert!(!surely_before(Created::About(at("2022-07-20T23:00:00Z")), limit));
        assert!(surely_before(Created::About(at("2022-07-20T21:00:00Z")), limit));
        assert!(!surely_before(Created::Unknown, limit));
    }
}
