//! The clock of the law: until when an answer is due, and why.
//!
//! In go a receipt, a regime (which law), holiday calendars, a time zone, pauses and an extension ([`Term`]); out come
//! dates ([`Deadline`]) with each rule that moved them ([`Step`]). Regimes and calendars are data in `config/regimes.toml`
//! and `config/calendars`, compiled in. `docs/deadlines.md` tells what each date means.
//!
//! Three dates, because the law can be read in more than one way: the *conservative* one has no shift to a working day,
//! so that whoever keeps it keeps every reading; the *statutory* one is the last lawful day; the *internal* one is the
//! organisation's own goal. Requests are stored with the first two ([`Term::due_dates`]): the conservative one, which needs
//! no calendar and cannot fail, is alarmed; a breach of the law is told after the statutory one. Which conservative dates will be
//! missed at the present pace, [`forecast()`] reckons before they are.
//!
//! Invariants:
//! - internal ≤ conservative ≤ statutory.
//! - Where a reading is in doubt, the earlier date is taken: of several calendars the earliest, a holiday in doubt is no
//!   holiday, a pause that begins after the term moves nothing.
//! - A year that a calendar does not know is an error, never a year without holidays.
//! - Nothing here reads a clock, a file or a database.
//!
//! To add a calendar: a file in `config/calendars` and its line in `calendar.rs`. To add a year: `docs/deadlines.md`. To
//! follow a change of the law: a new version in `config/regimes.toml`, never an edit of the old one.

mod calendar;
mod error;
mod forecast;
mod period;
mod regime;
mod rule;
mod term;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Days, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;

pub use calendar::{Calendar, CalendarCode};
pub use error::DeadlineError;
pub use forecast::{Forecast, Pace, Waiting, forecast};
pub use period::{Period, Retention, retention};
pub use regime::{Law, PauseEffect, Regime, RegimeCode};
pub use rule::{HolidayRule, easter};
pub use term::{
    Acknowledgement, Deadline, DueDates, Extension, Pause, PauseCause, Step, StepRule, Term,
    conservative_due, incident_due,
};

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
