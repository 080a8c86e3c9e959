//! Time, handed in.
//!
//! Everything that depends on the time of day takes a [`Clock`], so that deadlines, expiry and retention are tested
//! by moving a [`ManualClock`]. The mechanics of the queue (leases, retries) use the database's own clock instead,
//! because several hosts must agree there.

use std::fmt;
use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};

/// Where the time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// This instant, in UTC.
    fn now(&self) -> DateTime<Utc>;
}

/// Whether what is done `every` so often is due at `now`, when it was done last at `last`.
///
/// A `last` that lies ahead was noted before the clock was set back. Waiting until the clock has passed it again would do
/// nothing for as long as the clock went back, so it counts by its distance: what is due waits for twice `every` at most,
/// and hosts whose clocks differ by less than `every` do not do everything twice.
#[must_use]
pub fn is_due(last: DateTime<Utc>, every: TimeDelta, now: DateTime<Utc>) -> bool {
    (now - last).abs() >= every
}

/// How far the clock of a host may be from the database's before nothing is believed that it says is due (F-48).
const MOST_DIFFERENCE_SECS: u64 = 5 * 60;

/// How far a clock is ahead of (or, below zero, behind) the database's, in seconds, if that is too far.
#[must_use]
pub fn clock_difference(own: DateTime<Utc>, database: DateTime<Utc>) -> Option<i64> {
    let ahead = (own - database).num_seconds();
    (ahead.unsigned_abs() > MOST_DIFFERENCE_SECS).then_some(ahead)
}

/// Local time is at most this far from UTC; an instant read without its zone, or with a false one, may be off by so much.
pub const ZONE_UNCERTAINTY: TimeDelta = TimeDelta::hours(14);

/// The earliest and the latest instant that is meant by one whose zone is not known, or not believed.
#[must_use]
pub fn zone_bounds(instant: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    // At the ends of what can be counted no contact is created.
    let earliest = instant.checked_sub_signed(ZONE_UNCERTAINTY).unwrap_or(instant);
    (earliest, instant.checked_add_signed(ZONE_UNCERTAINTY).unwrap_or(instant))
}

/// The host's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub const fn at(now: DateTime<Utc>) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves the clock forward (or back, with a negative difference).
    pub fn advance(&self, by: TimeDelta) {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_by_a_clock_that_was_set_back_is_due() {
        let (last, every) = (DateTime::UNIX_EPOCH + TimeDelta::days(20_000), TimeDelta::minutes(10));
        let due = |secs| is_due(last, every, last + TimeDelta::seconds(secs));
        assert_eq!([0, 599, 600, 700].map(due), [false, false, true, true]);
        // Of a clock that is a little behind another host's, and of one that was set back by a day.
        assert_eq!([-1, -599, -600, -86_400].map(due), [false, false, true, true]);
    }
}
