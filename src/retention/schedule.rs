//! When a sweep is due.
//!
//! A [`Schedule`] is a cron expression read in a time zone. The `cron` crate iterates it over wall-clock time as if
//! there were no clock changes, and this module maps each wall-clock time to an instant: a time that the clocks jump
//! over becomes the first valid minute after the jump, a time that happens twice becomes the earlier of the two.
//! Asked to iterate in the zone itself, the crate skips the first and yields the second twice. The price of the rule
//! is that an hourly schedule does not run again in the repeated hour.
//!
//! Refused although the crate takes them, because they mean something else than in a crontab or nothing at all:
//! numeric weekdays (1 is Sunday there), years and shorthands, and dates that never come.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

/// Why an expression is no schedule.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScheduleError {
    /// Not five or six fields.
    #[error(
        "schedule needs five fields (minute hour day month weekday) or six with seconds in front, for example '30 2 * * *'; it has {0}"
    )]
    Fields(usize),
    /// A weekday given as a number.
    #[error(
        "schedule names weekdays by number, which programs count differently; write SUN, MON, TUE, WED, THU, FRI or SAT"
    )]
    NumericWeekday,
    /// The expression cannot be read.
    #[error("schedule cannot be read: {0}")]
    Unreadable(String),
    /// The expression can be read, but no date fits it.
    #[error("schedule never comes due: no date has this day, month and weekday")]
    Never,
    /// The zone is not in the time zone database.
    #[error(
        "schedule_time_zone must be a name of the IANA time zone database, for example Europe/Rome or UTC"
    )]
    Zone,
}

/// A cron expression in a time zone, known to come due some day.
#[derive(Clone, Debug)]
pub struct Schedule {
    expression: String,
    cron: cron::Schedule,
    zone: Tz,
}

/// A gap of the clocks is an hour almost everywhere, and a whole day where a zone changes sides of the date line.
const WIDEST_GAP_MINUTES: u32 = 26 * 60;

impl Schedule {
    /// Reads an expression of five fields (`minute hour day month weekday`) or of six, with seconds in front. Day and
    /// weekday must both fit.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, ScheduleError> {
        let zone: Tz = zone.parse().map_err(|_| ScheduleError::Zone)?;
        let fields: Vec<&str> = expression.split_whitespace().collect();
        let with_seconds = match fields.len() {
            5 => format!("0 {}", fields.join(" ")),
            6 => fields.join(" "),
            other => return Err(ScheduleError::Fields(other)),
        };
        if fields.last().is_some_and(|weekday| weekday.contains(|each: char| each.is_ascii_digit())) {
            return Err(ScheduleError::NumericWeekday);
        }
        let cron: cron::Schedule = with_seconds
            .parse()
            .map_err(|error: cron::error::Error| ScheduleError::Unreadable(first_line(&error.to_string())))?;
        let schedule = Self { expression: fields.join(" "), cron, zone };
        // Without a year field every date recurs, so that any starting point answers for all of them.
        schedule.next_after(DateTime::UNIX_EPOCH).ok_or(ScheduleError::Never)?;
        Ok(schedule)
    }

    /// The first due time after an instant. `None` only where the calendar of the `cron` crate ends, in 2100.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let wall_clock = after.with_timezone(&self.zone).naive_local();
        // In the second pass of a repeated hour the wall-clock times ahead map to instants that have gone by.
        self.cron
            .after(&wall_clock.and_utc())
            .map(|due| self.instant(due.naive_utc()))
            .find(|due| *due > after)
    }

    /// The next due times after an instant, at most `most`.
    #[must_use]
    pub fn upcoming(&self, after: DateTime<Utc>, most: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.next_after(after), |due| self.next_after(*due)).take(most).collect()
    }

    /// The schedule and its next three due times in plain words, for people who check a configuration.
    #[must_use]
    pub fn describe(&self, now: DateTime<Utc>) -> String {
        let next: Vec<String> = self
            .upcoming(now, 3)
            .iter()
            .map(|due| due.with_timezone(&self.zone).format("%a %Y-%m-%d %H:%M:%S %Z").to_string())
            .collect();
        format!("'{}' in {}; next runs: {}", self.expression, self.zone.name(), next.join(", "))
    }

    /// The instant at which a wall-clock time comes in the schedule's zone.
    fn instant(&self, wall_clock: NaiveDateTime) -> DateTime<Utc> {
        let whole_minute = wall_clock - TimeDelta::seconds(i64::from(wall_clock.second()));
        let later_minutes =
            (1..=WIDEST_GAP_MINUTES).map(|minutes| whole_minute + TimeDelta::minutes(i64::from(minutes)));
        std::iter::once(wall_clock)
            .chain(later_minutes)
            .find_map(|candidate| self.zone.from_local_datetime(&candidate).earliest())
            .map_or_else(|| wall_clock.and_utc(), |local| local.with_timezone(&Utc))
    }
}

/// Expression and zone in one line: what is stored beside the next due time, so that a change of either is noticed.
impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.expression, self.zone.name())
    }
}

fn first_line(text: &str) -> String {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown form").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::{Datelike, NaiveDate};
    use chrono_tz::Europe::Rome;
    use proptest::prelude::*;

    use super::*;

    fn schedule(expression: &str, zone: &str) -> Schedule {
        Schedule::parse(expression, zone).unwrap()
    }

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// The last Sunday of a month: when the clocks of Europe change.
    fn last_sunday(year: i32, month: u32) -> NaiveDate {
        let last = NaiveDate::from_ymd_opt(year, month, 31).unwrap();
        last - TimeDelta::days(i64::from(last.weekday().num_days_from_sunday()))
    }

    /// Due times of one local day in Rome.
    fn runs_on(schedule: &Schedule, day: NaiveDate) -> Vec<String> {
        let midnight = day.and_hms_opt(0, 0, 0).unwrap();
        let from = Rome.from_local_datetime(&midnight).unwrap().with_timezone(&Utc) - TimeDelta::seconds(1);
        schedule
            .upcoming(from, 30)
            .into_iter()
            .map(|due| due.with_timezone(&Rome))
            .filter(|due| due.date_naive() == day)
            .map(|due| due.format("%H:%M %Z").to_string())
            .collect()
    }

    #[test]
    fn f_47_exactly_one_run_a_day_over_clock_changes() {
        for year in 2026..2031 {
            let spring = last_sunday(year, 3);
            let autumn = last_sunday(year, 10);
            for (expression, in_spring, in_autumn) in [
                ("0 2 * * *", "03:00 CEST", "02:00 CEST"),
                ("30 2 * * *", "03:00 CEST", "02:30 CEST"),
                ("0 3 * * *", "03:00 CEST", "03:00 CET"),
                ("15 30 2 * * *", "03:00 CEST", "02:30 CEST"),
            ] {
                let schedule = schedule(expression, "Europe/Rome");
                assert_eq!(runs_on(&schedule, spring), [in_spring], "{expression} {spring}");
                assert_eq!(runs_on(&schedule, autumn), [in_autumn], "{expression} {autumn}");
            }
            let hourly = schedule("0 * * * *", "Europe/Rome");
            let spring_runs = runs_on(&hourly, spring);
            assert_eq!(spring_runs.len(), 23, "one for each hour that exists: {spring_runs:?}");
            assert_eq!(spring_runs[1..4], ["01:00 CET", "03:00 CEST", "04:00 CEST"]);
            let autumn_runs = runs_on(&hourly, autumn);
            assert_eq!(autumn_runs.len(), 24, "the repeated hour counts once: {autumn_runs:?}");
            assert_eq!(autumn_runs[1..4], ["01:00 CEST", "02:00 CEST", "03:00 CET"]);
        }
    }

    #[test]
    fn t_1_the_cron_crate_alone_drops_and_doubles_runs_at_clock_changes() {
        // Why this module exists. When a later version of the crate makes this test fail, the mapping can go.
        let alone: cron::Schedule = "0 30 2 * * *".parse().unwrap();
        let days = |from: &str| -> Vec<u32> {
            alone.after(&instant(from).with_timezone(&Rome)).take(2).map(|due| due.day()).collect()
        };
        assert_eq!(days("2026-03-28T12:00:00Z"), [30, 31], "the crate has no run on 29 March");
        assert_eq!(days("2026-10-24T12:00:00Z"), [25, 25], "the crate has two runs on 25 October");
        assert!("30 2 * * *".parse::<cron::Schedule>().is_err(), "the crate refuses five fields");
        let never: cron::Schedule = "0 0 3 30 2 *".parse().unwrap();
        assert_eq!(never.after(&DateTime::UNIX_EPOCH).next(), None);

        let ours = schedule("30 2 * * *", "Europe/Rome");
        assert_eq!(
            ours.upcoming(instant("2026-03-28T12:00:00Z"), 2),
            [instant("2026-03-29T01:00:00Z"), instant("2026-03-30T00:30:00Z")]
        );
        assert_eq!(
            ours.upcoming(instant("2026-10-24T12:00:00Z"), 2),
            [instant("2026-10-25T00:30:00Z"), instant("2026-10-26T01:30:00Z")]
        );
    }

    #[test]
    fn f_50_what_never_comes_due_or_means_something_else_is_refused() {
        for (expression, expected) in [
            ("0 3 30 2 *", ScheduleError::Never),
            ("0 0 3 31 4,6 *", ScheduleError::Never),
            ("0 3 * * 1", ScheduleError::NumericWeekday),
            ("0 3 * * MON,5", ScheduleError::NumericWeekday),
            ("0 3 * *", ScheduleError::Fields(4)),
            ("0 0 3 * * * 2020", ScheduleError::Fields(7)),
            ("@daily", ScheduleError::Fields(1)),
            ("", ScheduleError::Fields(0)),
        ] {
            assert_eq!(Schedule::parse(expression, "UTC").unwrap_err(), expected, "{expression}");
        }
        for unreadable in ["0 25 * * *", "61 3 * * *", "0 3 * * FUNDAY", "a b c d e", "0 3 0 * *"] {
            assert!(
                matches!(Schedule::parse(unreadable, "UTC"), Err(ScheduleError::Unreadable(_))),
                "{unreadable}"
            );
        }
        assert_eq!(Schedule::parse("0 3 * * *", "Europe/Nowhere").unwrap_err(), ScheduleError::Zone);
        assert!(Schedule::parse("0 3 29 2 *", "UTC").is_ok(), "leap days come");
        assert!(Schedule::parse("0 3 * * MON-FRI", "UTC").is_ok());
    }

    #[test]
    fn a_schedule_tells_its_next_three_runs() {
        let described = schedule("30 2 * * SUN", "Europe/Rome").describe(instant("2026-03-20T00:00:00Z"));
        assert_eq!(
            described,
            "'30 2 * * SUN' in Europe/Rome; next runs: Sun 2026-03-22 02:30:00 CET, Sun 2026-03-29 03:00:00 CEST, \
             Sun 2026-04-05 02:30:00 CEST"
        );
    }

    proptest! {
        #[test]
        fn f_47_every_day_of_every_zone_has_exactly_one_run_of_a_daily_schedule(
            hour in 0_u32..24,
            minute in 0_u32..60,
            // Zones that change at midnight, by half an hour, twice a year, or not at all.
            zone in prop::sample::select(vec![
                "Europe/Rome", "Africa/Cairo", "Asia/Beirut", "Australia/Lord_Howe", "America/Santiago",
                "America/New_York", "Asia/Kolkata", "Africa/Casablanca", "Atlantic/Azores", "UTC",
            ]),
            start_day in 0_i64..1_800,
        ) {
            let schedule = schedule(&format!("{minute} {hour} * * *"), zone);
            let zone: Tz = zone.parse().unwrap();
            let start = instant("2022-01-01T00:00:00Z") + TimeDelta::days(start_day);
            let due = schedule.upcoming(start, 120);
            let mut runs: BTreeMap<NaiveDate, u32> = BTreeMap::new();
            for each in &due {
                *runs.entry(each.with_timezone(&zone).date_naive()).or_default() += 1;
            }
            prop_assert!(due.is_sorted());
            prop_assert_eq!(due.len(), 120);
            let days: Vec<NaiveDate> = runs.keys().copied().collect();
            prop_assert!(runs.values().all(|count| *count == 1), "{:?}", runs);
            prop_assert!(days.windows(2).all(|pair| pair[0].succ_opt() == Some(pair[1])), "{:?}", days);
        }
    }
}
