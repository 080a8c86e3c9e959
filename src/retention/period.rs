//! From a retention period to the instant before which contacts must have been created.
//!
//! The period runs from the local day of creation for a number of months. It ends with the day of the same number, or
//! with the month's last day where that number is missing, without a shift to a working day (Reg. 1182/71 Art. 3). A
//! contact is past its time from 00:00 local on the following day.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::Rule;
use crate::domain::RetentionPeriod;

/// The instant before which a contact must have been created to be past its time at `now`, in the controller's time
/// zone and with the rule's safety margin taken off.
#[must_use]
pub fn cutoff(now: DateTime<Utc>, rule: &Rule, zone: Tz) -> DateTime<Utc> {
    cutoff_after(now, rule.keep_months, rule.safety_margin_hours, zone)
}

/// The instant before which something must lie that is kept for so many months.
pub(super) fn cutoff_after(now: DateTime<Utc>, months: u32, margin_hours: u32, zone: Tz) -> DateTime<Utc> {
    RetentionPeriod { keep_months: months, safety_margin_hours: margin_hours }.cutoff(now, zone)
}

#[cfg(test)]
mod tests {
    use chrono::{Days, Months, NaiveDate};
    use chrono_tz::Europe::{Berlin, Rome};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::last_day_past;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn e_46_and_e_47_periods_end_with_the_last_day_and_clamp() {
        for (row, anchor, months, last_day, from) in [
            ("E-46", "2024-02-29", 12, "2025-02-28", "2025-03-01"),
            ("E-47", "2023-08-31", 6, "2024-02-29", "2024-03-01"),
            ("E-47", "2023-08-31", 36, "2026-08-31", "2026-09-01"),
        ] {
            assert!(last_day_past(day(last_day), months) < day(anchor), "{row}: still kept on the last day");
            assert!(last_day_past(day(from), months) >= day(anchor), "{row}: past its time the day after");
        }
    }

    #[test]
    fn e_46_the_period_begins_and_ends_at_local_midnight() {
        let rule = Rule::for_tests(12, 0);
        let at = |now: &str, zone| cutoff(now.parse().unwrap(), &rule, zone).to_rfc3339();
        // 28 February 2025, the last minute in Berlin: contacts of 29 February 2024 are kept.
        assert_eq!(at("2025-02-28T22:59:59Z", Berlin), "2024-02-27T23:00:00+00:00");
        assert_eq!(at("2025-02-28T23:00:00Z", Berlin), "2024-02-29T23:00:00+00:00");
        // In summer, local midnight lies an hour earlier.
        assert_eq!(at("2026-08-01T12:00:00Z", Rome), "2025-07-31T22:00:00+00:00");
    }

    #[test]
    fn the_safety_margin_moves_the_cutoff_back() {
        let at = |hours| {
            cutoff("2026-11-23T12:00:00Z".parse().unwrap(), &Rule::for_tests(36, hours), chrono_tz::UTC)
        };
        assert_eq!(at(0).to_rfc3339(), "2023-11-23T00:00:00+00:00");
        assert_eq!(at(24).to_rfc3339(), "2023-11-22T00:00:00+00:00");
    }

    proptest! {
        #[test]
        fn a_day_is_past_its_time_exactly_when_its_period_ended_before_today(
            today_offset in 0_u64..20_000, months in 1_u32..=600, distance in 0_u64..70,
        ) {
            let today = day("2000-01-01") + Days::new(today_offset);
            let last = last_day_past(today, months);
            prop_assert!(last + Months::new(months) < today);
            let later = last + Days::new(1 + distance);
            prop_assert!(later + Months::new(months) >= today);
        }
    }
}
