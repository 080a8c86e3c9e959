//! When an answer is due.
//!
//! One month from receipt in the controller's time zone (Art. 12(3) GDPR; Reg. 1182/71 Art. 3: the day of receipt
//! does not count, the period ends on the same day number of the next month, or on its last day where that number
//! is missing). This module computes the *conservative* date: no shift to a later working day, so that whoever keeps
//! it keeps every reading of the law.

use chrono::{DateTime, Days, Months, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;

/// The conservative due date of a request received at `received_at`, in the controller's time zone.
#[must_use]
pub fn conservative_due(received_at: DateTime<Utc>, zone: Tz) -> NaiveDate {
    received_at.with_timezone(&zone).date_naive() + Months::new(1)
}

/// The last instant of a due day: the first instant of the following day in the controller's time zone, which is
/// itself too late.
#[must_use]
pub fn end_of_day(due_on: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let next = due_on + Days::new(1);
    let midnight = next.and_hms_opt(0, 0, 0).unwrap_or_default();
    // A zone whose clocks jump over midnight starts that day at one o'clock; both readings lie in the first hours.
    let local = zone
        .from_local_datetime(&midnight)
        .earliest()
        .or_else(|| zone.from_local_datetime(&(midnight + chrono::TimeDelta::hours(1))).earliest());
    local.map_or_else(|| Utc.from_utc_datetime(&midnight), |instant| instant.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Europe::{Berlin, Rome};

    fn due(received_at: &str, zone: Tz) -> String {
        conservative_due(received_at.parse().unwrap(), zone).to_string()
    }

    #[test]
    fn e_1_to_e_15_unrolled_dates() {
        for (row, received_at, zone, expected) in [
            ("E-1", "2024-03-05T10:00:00+01:00", Berlin, "2024-04-05"),
            ("E-2", "2026-08-31T10:00:00+02:00", Berlin, "2026-09-30"),
            ("E-3", "2023-01-31T10:00:00+01:00", Berlin, "2023-02-28"),
            ("E-4", "2024-01-31T10:00:00+01:00", Berlin, "2024-02-29"),
            ("E-5", "2024-01-30T10:00:00+01:00", Berlin, "2024-02-29"),
            ("E-7", "2024-02-29T10:00:00+01:00", Berlin, "2024-03-29"),
            ("E-9", "2025-02-28T10:00:00+01:00", Berlin, "2025-03-28"),
            ("E-11", "2025-12-31T10:00:00+01:00", Berlin, "2026-01-31"),
            ("E-14", "2026-03-31T23:30:00+02:00", Rome, "2026-04-30"),
            ("E-15", "2026-03-31T22:30:00Z", Rome, "2026-05-01"),
        ] {
            assert_eq!(due(received_at, zone), expected, "{row}");
        }
    }

    #[test]
    fn e_44_a_due_day_ends_at_local_midnight() {
        for (day, expected) in [
            ("2026-04-02", "2026-04-02T22:00:00Z"),
            ("2026-02-02", "2026-02-02T23:00:00Z"),
            ("2026-03-29", "2026-03-29T22:00:00Z"),
        ] {
            assert_eq!(end_of_day(day.parse().unwrap(), Rome), expected.parse::<DateTime<Utc>>().unwrap());
        }
    }
}
