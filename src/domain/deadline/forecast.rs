//! Whether dates will be kept at the present pace: a reckoning before the fact, where everything else here tells what is due.
//!
//! What it assumes:
//! - Requests are served one after the other, the earliest conservative date first, as the queue hands them out. Of those of one
//!   day the dearest come first: nobody counts in which order they arrived, and so of that day never fewer are late than said.
//! - Each call takes the time that the limit puts between two of them. Calls that a rest allows at once, and the time that the
//!   platform needs for its answers, are left out: the limit is what holds back, not the platform.
//! - A request is answered with its last call. The minutes until the mail are left out, and calls that are made already are
//!   counted once more.
//! - Nothing is handed in meanwhile. What comes is due later than what is here, but for rights with a shorter term.

use std::cmp::Reverse;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use super::end_of_day;

/// Requests that wait for calls to the platform and for nobody: those of one date and one cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Their conservative due date.
    pub due_on: NaiveDate,
    /// How many they are.
    pub requests: u64,
    /// How many calls each of them needs.
    pub calls_each: u64,
}

/// How fast they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The present instant: a date that is past by then was missed, and is none that will be.
    pub now: DateTime<Utc>,
    /// When calls may be made: later than now where the platform has asked for a pause.
    pub begins_at: DateTime<Utc>,
    /// The time between two calls.
    pub emission: Duration,
}

impl Pace {
    /// How many calls are made before an instant.
    fn calls_before(&self, instant: DateTime<Utc>) -> u64 {
        let left = (instant - self.begins_at.max(self.now)).to_std().unwrap_or_default();
        // The call that would end at the instant itself is too late.
        let calls = left.as_nanos().saturating_sub(1).checked_div(self.emission.as_nanos());
        calls.and_then(|calls| u64::try_from(calls).ok()).unwrap_or(u64::MAX)
    }

    /// When so many calls are made; none where no calendar reaches as far.
    fn end_of(&self, calls: u64) -> Option<DateTime<Utc>> {
        let secs = self.emission.as_nanos().saturating_mul(calls.into()).div_ceil(1_000_000_000);
        let takes = TimeDelta::try_seconds(i64::try_from(secs).ok()?)?;
        self.begins_at.max(self.now).checked_add_signed(takes)
    }
}

/// Which of the requests that wait will be answered after their dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// Requests that wait for calls to the platform.
    pub waiting: u64,
    /// Those of them whose date is past already. They are served first.
    pub overdue: u64,
    /// Those of them whose date is ahead, and will be missed.
    pub late: u64,
    /// The first date that will be missed.
    pub first_late_on: Option<NaiveDate>,
    /// How many calls they need, all together.
    pub calls: u64,
    /// When the last of them is answered; none where nothing waits, or no calendar reaches as far.
    pub answered_by: Option<DateTime<Utc>>,
}

/// Reckons which dates will be missed. Days end in `zone`. The order of what waits does not matter.
#[must_use]
pub fn forecast(waiting: &[Waiting], pace: Pace, zone: Tz) -> Forecast {
    let mut sorted = waiting.to_vec();
    sorted.sort_unstable_by_key(|each| (each.due_on, Reverse(each.calls_each)));
    let mut forecast = Forecast::default();
    for Waiting { due_on, requests, calls_each } in sorted {
        let due_at = end_of_day(due_on, zone);
        let left = pace.calls_before(due_at).saturating_sub(forecast.calls);
        forecast.waiting = forecast.waiting.saturating_add(requests);
        forecast.calls = forecast.calls.saturating_add(requests.saturating_mul(calls_each));
        if due_at <= pace.now {
            forecast.overdue = forecast.overdue.saturating_add(requests);
            continue;
        }
        let in_time = left.checked_div(calls_each).unwrap_or(requests);
        let late = requests.saturating_sub(in_time);
        if late > 0 {
            forecast.late = forecast.late.saturating_add(late);
            forecast.first_late_on.get_or_insert(due_on);
        }
    }
    forecast.answered_by = (forecast.waiting > 0).then(|| pace.end_of(forecast.calls)).flatten();
    forecast
}

#[cfg(test)]
mod tests {
    use chrono::Days;
    use proptest::prelude::*;

    use super::*;

    const ZONE: Tz = chrono_tz::Europe::Rome;

    fn noon() -> DateTime<Utc> {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn today() -> NaiveDate {
        noon().with_timezone(&ZONE).date_naive()
    }

    /// So many of one date, in days from today, and one cost.
    fn of(days: i64, requests: u64, calls_each: u64) -> Waiting {
        Waiting { due_on: today() + TimeDelta::days(days), requests, calls_each }
    }

    fn pace(pause: Duration, emission: Duration) -> Pace {
        Pace { now: noon(), begins_at: noon() + pause, emission }
    }

    fn reckon(waiting: &[Waiting], pause: Duration, emission: Duration) -> Forecast {
        forecast(waiting, pace(pause, emission), ZONE)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn nobody_waits_and_nobody_is_late() {
        assert_eq!(reckon(&[], Duration::from_hours(1), SECOND), Forecast::default());
    }

    #[test]
    fn f_46_what_does_not_fit_before_the_end_of_its_day_is_late_to_the_second() {
        // At noon in UTC eleven hours of the day are left in Rome: 39,600 seconds.
        let half_a_minute = Duration::from_secs(30);
        let fits = reckon(&[of(0, 1_319, 1)], Duration::ZERO, half_a_minute);
        assert_eq!((fits.waiting, fits.late, fits.first_late_on), (1_319, 0, None));
        assert_eq!(fits.answered_by, Some(noon() + TimeDelta::seconds(39_570)));
        let one_more = reckon(&[of(0, 1_320, 1)], Duration::ZERO, half_a_minute);
        assert_eq!(
            (one_more.late, one_more.first_late_on),
            (1, Some(today())),
            "at midnight the day is over, and it is too late"
        );
        let paused = reckon(&[of(0, 1_319, 1)], Duration::from_mins(10), half_a_minute);
        assert_eq!(paused.late, 20, "ten minutes are twenty calls");
    }

    #[test]
    fn who_is_overdue_is_served_first_and_is_no_forecast() {
        let waiting = [of(0, 1, 39_600), of(-1, 2, 100), of(1, 1, 1)];
        let found = reckon(&waiting, Duration::ZERO, SECOND);
        assert_eq!((found.waiting, found.overdue, found.late), (4, 2, 1));
        assert_eq!((found.first_late_on, found.calls), (Some(today()), 39_801));
    }

    #[test]
    fn what_needs_no_call_waits_for_nothing_and_what_never_ends_has_no_end() {
        assert_eq!(reckon(&[of(1, 5, 0)], Duration::from_hours(99), SECOND).late, 0);
        let endless = reckon(&[of(0, u64::MAX, u64::MAX)], Duration::ZERO, Duration::MAX);
        assert_eq!((endless.late, endless.answered_by), (u64::MAX, None));
        let at_once = reckon(&[of(0, 7, 7)], Duration::ZERO, Duration::ZERO);
        assert_eq!((at_once.late, at_once.answered_by), (0, Some(noon())));
    }

    prop_compose! {
        fn some()(days in -2_i64..5, requests in 0_u64..400, calls_each in 0_u64..12) -> Waiting {
            of(days, requests, calls_each)
        }
    }

    fn several() -> impl Strategy<Value = Vec<Waiting>> {
        proptest::collection::vec(some(), 0..12)
    }

    proptest! {
        #[test]
        fn f_29_a_longer_pause_never_makes_fewer_late(
            waiting in several(), pause in 0_u64..200_000, longer in 0_u64..200_000, emission in 1_u64..300,
        ) {
            let at = |secs| reckon(&waiting, Duration::from_secs(secs), Duration::from_secs(emission));
            let (before, after) = (at(pause), at(pause + longer));
            prop_assert!(before.late <= after.late);
            prop_assert_eq!(before.overdue, after.overdue);
            prop_assert!(before.first_late_on.is_none() || after.first_late_on <= before.first_late_on);
        }

        #[test]
        fn a_slower_pace_and_one_more_request_never_make_fewer_late(
            waiting in several(), more in some(), emission in 1_u64..300, slower in 0_u64..300,
        ) {
            let at = |waiting: &[Waiting], secs| reckon(waiting, Duration::ZERO, Duration::from_secs(secs));
            prop_assert!(at(&waiting, emission).late <= at(&waiting, emission + slower).late);
            let with = [waiting.as_slice(), &[more]].concat();
            prop_assert!(at(&waiting, emission).late <= at(&with, emission).late);
        }

        #[test]
        fn the_order_of_what_waits_does_not_matter(
            (waiting, mixed) in several().prop_flat_map(|each| (Just(each.clone()), Just(each).prop_shuffle())),
            emission in 1_u64..300,
        ) {
            let at = |waiting: &[Waiting]| reckon(waiting, Duration::ZERO, Duration::from_secs(emission));
            prop_assert_eq!(at(&waiting), at(&mixed));
        }

        #[test]
        fn it_is_what_serving_them_one_by_one_leads_to(
            waiting in several(), pause in 0_u64..200_000, emission in 1_u64..300,
        ) {
            let pace = pace(Duration::from_secs(pause), Duration::from_secs(emission));
            let mut queue: Vec<(NaiveDate, u64)> = Vec::new();
            for each in &waiting {
                queue.extend((0..each.requests).map(|_| (each.due_on, each.calls_each)));
            }
            queue.sort_unstable_by_key(|(due_on, calls)| (*due_on, Reverse(*calls)));
            let (mut calls, mut late, mut first) = (0, 0, None);
            for (due_on, of_it) in queue {
                calls += of_it;
                let answered_at = pace.begins_at + pace.emission * u32::try_from(calls).unwrap();
                // What needs no call waits for none.
                let missed = of_it > 0 && answered_at >= end_of_day(due_on, ZONE);
                if due_on >= today() && missed {
                    late += 1;
                    first.get_or_insert(due_on);
                }
            }
            let found = forecast(&waiting, pace, ZONE);
            prop_assert_eq!((found.late, found.first_late_on, found.calls), (late, first, calls));
        }

        #[test]
        fn a_date_in_any_year_is_reckoned_with(days in 0_u64..90_000) {
            let waiting = Waiting { due_on: today() + Days::new(days), requests: 1, calls_each: 1 };
            prop_assert_eq!(reckon(&[waiting], Duration::ZERO, SECOND).late, 0);
        }
    }
}
