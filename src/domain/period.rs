//! How long the controller keeps contacts, for everybody who asks whether one is past its time.

use chrono::{DateTime, Days, Months, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use super::deadline;

/// A retention period in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionPeriod {
    /// For how many months.
    pub keep_months: u32,
    /// How many hours are taken off on top, because the platform's dates may be local times.
    pub safety_margin_hours: u32,
}

impl RetentionPeriod {
    /// The instant before which something must lie to be past its time at `now`, in the controller's time zone and with the
    /// safety margin taken off.
    #[must_use]
    pub fn cutoff(self, now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let today = now.with_timezone(&zone).date_naive();
        let last_past = last_day_past(today, self.keep_months);
        deadline::end_of_day(last_past, zone) - TimeDelta::hours(i64::from(self.safety_margin_hours))
    }
}

/// The latest day of creation whose period ended before `today`.
pub(crate) fn last_day_past(today: NaiveDate, keep_months: u32) -> NaiveDate {
    let period = Months::new(keep_months);
    // Going back and forth by months is not exact at the ends of months: begin a day late and step back.
    let mut day = today.checked_sub_months(period).map_or(NaiveDate::MIN, |back| back + Days::new(1));
    while day > NaiveDate::MIN && day.checked_add_months(period).is_some_and(|ends_on| ends_on >= today) {
        day = day.pred_opt().unwrap_or(NaiveDate::MIN);
    }
    day
}
