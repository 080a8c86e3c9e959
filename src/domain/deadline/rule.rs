//! Rules of holidays: from a word such as `easter+39` to the day in a year.

use std::str::FromStr;

use chrono::{Datelike, Days, NaiveDate, TimeDelta, Weekday};

/// How a holiday's date follows from the year. The written forms are documented in `docs/deadlines.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HolidayRule {
    /// `easter`, `easter+39`, `easter-2`: days from Easter Sunday of the Western churches.
    Easter(i64),
    /// `05-01`, or `12-25 sat+2 sun+1`: a day of the year, moved by so many days where it falls on that weekday.
    Fixed {
        /// Month, 1 to 12.
        month: u32,
        /// Day of the month.
        day: u32,
        /// Which weekday moves it by how many days.
        moves: Vec<(Weekday, i64)>,
    },
    /// `4 thursday 11`, `last monday 05`, `4 thursday 11 +1`: a weekday counted within a month.
    Weekday {
        /// Which one, from 1; none is the last.
        number: Option<u8>,
        /// The weekday.
        weekday: Weekday,
        /// Month, 1 to 12.
        month: u32,
        /// Days from there.
        plus: i64,
    },
    /// `once 2025-05-08`: in one year only.
    Once(NaiveDate),
}

impl HolidayRule {
    /// The day that the rule gives for a year; none where it gives none.
    #[must_use]
    pub fn day(&self, year: i32) -> Option<NaiveDate> {
        match self {
            Self::Easter(days) => easter(year)?.checked_add_signed(TimeDelta::days(*days)),
            Self::Fixed { month, day, moves } => {
                let date = NaiveDate::from_ymd_opt(year, *month, *day)?;
                let moved = moves.iter().find(|(weekday, _)| *weekday == date.weekday());
                date.checked_add_signed(TimeDelta::days(moved.map_or(0, |(_, days)| *days)))
            }
            Self::Weekday { number, weekday, month, plus } => {
                let date = match number {
                    Some(number) => NaiveDate::from_weekday_of_month_opt(year, *month, *weekday, *number)?,
                    None => NaiveDate::from_weekday_of_month_opt(year, *month, *weekday, 5)
                        .or_else(|| NaiveDate::from_weekday_of_month_opt(year, *month, *weekday, 4))?,
                };
                date.checked_add_signed(TimeDelta::days(*plus))
            }
            Self::Once(date) => (date.year() == year).then_some(*date),
        }
    }
}

impl FromStr for HolidayRule {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["once", date] => date.parse().map(Self::Once).map_err(|_| "no date after once"),
            [word] if word.starts_with("easter") => match &word["easter".len()..] {
                "" => Ok(Self::Easter(0)),
                days => signed(days).map(Self::Easter),
            },
            [number, weekday, month, rest @ ..] if weekday.parse::<Weekday>().is_ok() && rest.len() <= 1 => {
                Ok(Self::Weekday {
                    number: match *number {
                        "last" => None,
                        number => Some(number.parse().map_err(|_| "no number before the weekday")?),
                    },
                    weekday: weekday.parse().map_err(|_| "no weekday")?,
                    month: month.parse().map_err(|_| "no month after the weekday")?,
                    plus: rest.first().map_or(Ok(0), |days| signed(days))?,
                })
            }
            [date, moves @ ..] => {
                let (month, day) = date.split_once('-').ok_or("no rule of a known form")?;
                let moves = moves.iter().map(|each| {
                    let (weekday, days) = each.split_at_checked(3).ok_or("no weekday to move from")?;
                    let weekday = weekday.parse::<Weekday>().map_err(|_| "no weekday to move from")?;
                    Ok::<_, &'static str>((weekday, signed(days)?))
                });
                Ok(Self::Fixed {
                    month: month.parse().map_err(|_| "no month before the day")?,
                    day: day.parse().map_err(|_| "no day after the month")?,
                    moves: moves.collect::<Result<_, _>>()?,
                })
            }
            [] => Err("no rule"),
        }
    }
}

/// A number of days with its sign.
fn signed(text: &str) -> Result<i64, &'static str> {
    let number = if text.starts_with(['+', '-']) { text.parse().ok() } else { None };
    number.ok_or("no number of days with a sign")
}

/// Easter Sunday of the Western churches: the Gregorian computus in the form of Oudin (1940), which counts from the
/// full moon to the following Sunday.
#[must_use]
pub fn easter(year: i32) -> Option<NaiveDate> {
    let century = year / 100;
    let golden = year % 19;
    let skipped = (century - 17) / 25;
    let moon = (century - century / 4 - (century - skipped) / 3 + 19 * golden + 15) % 30;
    let moon = moon - (moon / 28) * (1 - (moon / 28) * (29 / (moon + 1)) * ((21 - golden) / 11));
    let weekday = (year + year / 4 + moon + 2 - century + century / 4) % 7;
    let days_from_march = 28 + moon - weekday;
    let before_march =
        NaiveDate::from_ymd_opt(year, 2, 1)?.checked_add_months(chrono::Months::new(1))?.pred_opt()?;
    before_march.checked_add_days(Days::new(u64::try_from(days_from_march).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easter_falls_where_the_tables_say() {
        for (year, expected) in [
            (1818, "1818-03-22"),
            (1943, "1943-04-25"),
            (1954, "1954-04-18"),
            (1981, "1981-04-19"),
            (2023, "2023-04-09"),
            (2024, "2024-03-31"),
            (2025, "2025-04-20"),
            (2026, "2026-04-05"),
            (2027, "2027-03-28"),
            (2028, "2028-04-16"),
            (2029, "2029-04-01"),
            (2030, "2030-04-21"),
            (2038, "2038-04-25"),
            (2049, "2049-04-18"),
            (2076, "2076-04-19"),
        ] {
            assert_eq!(easter(year).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn rules_are_read_and_give_their_day() {
        for (rule, year, expected) in [
            ("easter-2", 2024, Some("2024-03-29")),
            ("05-01", 2026, Some("2026-05-01")),
            ("12-26 sat+2 sun+2", 2027, Some("2027-12-28")),
            ("01-01 sat-1 sun+1", 2028, Some("2027-12-31")),
            ("4 thursday 11 +1", 2026, Some("2026-11-27")),
            ("last monday 05", 2026, Some("2026-05-25")),
            ("last monday 08", 2027, Some("2027-08-30")),
            ("once 2025-05-08", 2025, Some("2025-05-08")),
            ("once 2025-05-08", 2026, None),
        ] {
            let day = rule.parse::<HolidayRule>().unwrap().day(year).map(|day| day.to_string());
            assert_eq!(day.as_deref(), expected, "{rule}");
        }
        for rule in [
            "",
            "easter2",
            "monday",
            "x monday 05",
            "13",
            "05-01 sat",
            "05-01 xyz+1",
            "once soon",
            "05-01 éé+1",
        ] {
            assert!(rule.parse::<HolidayRule>().is_err(), "{rule}");
        }
    }
}
