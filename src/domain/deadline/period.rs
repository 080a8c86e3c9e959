//! Lengths of time in whole months and days, and how they are added to a day.

use std::fmt;
use std::str::FromStr;

use chrono::{Days, Months, NaiveDate};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::DeadlineError;

/// A number of months or of days, as the law states terms: `1m`, `45d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Calendar months.
    Months(u32),
    /// Calendar days.
    Days(u32),
}

impl Period {
    /// The last day of the period that an event on `start` begins (Reg. 1182/71 Art. 3): the day of the event does not
    /// count; a period of months ends on the day of the same number, or on the month's last day where that number is
    /// missing.
    pub fn end(self, start: NaiveDate) -> Result<NaiveDate, DeadlineError> {
        match self {
            Self::Months(months) => start.checked_add_months(Months::new(months)),
            Self::Days(days) => start.checked_add_days(Days::new(u64::from(days))),
        }
        .ok_or(DeadlineError::OutOfRange)
    }

    /// Both periods as one, which is added in one step; none where one counts months and the other days.
    #[must_use]
    pub(super) const fn joined(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Months(one), Self::Months(two)) => Some(Self::Months(one.saturating_add(two))),
            (Self::Days(one), Self::Days(two)) => Some(Self::Days(one.saturating_add(two))),
            _ => None,
        }
    }
}

impl FromStr for Period {
    type Err = DeadlineError;

    fn from_str(text: &str) -> Result<Self, DeadlineError> {
        let bad = || DeadlineError::Period(text.chars().take(20).collect());
        let (number, make): (&str, fn(u32) -> Self) = match text.strip_suffix('m') {
            Some(number) => (number, Self::Months),
            None => (text.strip_suffix('d').ok_or_else(bad)?, Self::Days),
        };
        if !number.chars().all(|each| each.is_ascii_digit()) {
            return Err(bad());
        }
        number.parse().ok().filter(|number| *number > 0).map(make).ok_or_else(bad)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Months(1) => formatter.write_str("1 month"),
            Self::Months(number) => write!(formatter, "{number} months"),
            Self::Days(1) => formatter.write_str("1 day"),
            Self::Days(number) => write!(formatter, "{number} days"),
        }
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// As it is read: `12m`, `45d`.
impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Months(number) => serializer.collect_str(&format_args!("{number}m")),
            Self::Days(number) => serializer.collect_str(&format_args!("{number}d")),
        }
    }
}

/// What a retention period comes to: no day is moved to a working day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The last day on which the data are kept.
    pub last_day: NaiveDate,
    /// The day from whose beginning they are to be erased.
    pub erase_from: NaiveDate,
}

/// The end of a retention period that began with an event on `anchor`.
pub fn retention(anchor: NaiveDate, period: Period) -> Result<Retention, DeadlineError> {
    let last_day = period.end(anchor)?;
    let erase_from = last_day.succ_opt().ok_or(DeadlineError::OutOfRange)?;
    Ok(Retention { last_day, erase_from })
}
