//! Holiday calendars: which days are no working days, and for which years that is known.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use chrono::{Datelike, Days, NaiveDate, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize};

use super::DeadlineError;

/// The files, compiled in. A new file is one line here.
const FILES: &[(&str, &str)] = &[
    ("AT", include_str!("../../../config/calendars/AT.toml")),
    ("BE", include_str!("../../../config/calendars/BE.toml")),
    ("CH", include_str!("../../../config/calendars/CH.toml")),
    ("DE", include_str!("../../../config/calendars/DE.toml")),
    ("ES", include_str!("../../../config/calendars/ES.toml")),
    ("FR", include_str!("../../../config/calendars/FR.toml")),
    ("GB", include_str!("../../../config/calendars/GB.toml")),
    ("IE", include_str!("../../../config/calendars/IE.toml")),
    ("IT", include_str!("../../../config/calendars/IT.toml")),
    ("NL", include_str!("../../../config/calendars/NL.toml")),
    ("PL", include_str!("../../../config/calendars/PL.toml")),
    ("PT", include_str!("../../../config/calendars/PT.toml")),
    ("US", include_str!("../../../config/calendars/US.toml")),
    ("US-CA", include_str!("../../../config/calendars/US-CA.toml")),
];

/// Days that are no working days, each with its reason.
pub(super) type DaysOff = Vec<(NaiveDate, &'static str)>;

/// A file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CalendarWire {
    code: String,
    name: String,
    time_zone: Tz,
    version: u32,
    valid_from: NaiveDate,
    first_year: i32,
    last_year: i32,
    source: String,
    #[serde(default)]
    regions: BTreeMap<String, String>,
    days: Vec<HolidayWire>,
}

/// One holiday as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HolidayWire {
    name: String,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the rule explains the dates to readers and to the test")
    )]
    rule: String,
    #[serde(default)]
    regions: Vec<String>,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the first year explains the dates to readers and to the test")
    )]
    since: Option<i32>,
    #[cfg_attr(not(test), expect(dead_code, reason = "the source is for readers and the test"))]
    source: Option<String>,
    dates: Vec<NaiveDate>,
}

static CALENDARS: LazyLock<BTreeMap<String, Calendar>> = LazyLock::new(|| {
    let mut calendars = BTreeMap::new();
    for (_, text) in FILES {
        let wire: CalendarWire =
            toml::from_str(text).expect("the compiled-in calendars are read by a test of this module");
        let region_names = wire.regions.iter().map(|(code, name)| (code, format!("{}, {name}", wire.name)));
        for (code, name) in std::iter::once((&wire.code, wire.name.clone())).chain(region_names) {
            calendars.insert(code.clone(), Calendar::of(&wire, code, name));
        }
    }
    calendars
});

/// The public holidays of a country, or of one of its regions.
#[derive(Debug)]
pub struct Calendar {
    /// Its name, for people.
    pub name: String,
    /// The version of its file.
    pub version: u32,
    /// The first day that it covers.
    pub valid_from: NaiveDate,
    /// The first and the last year whose holidays it knows completely.
    pub years: (i32, i32),
    /// The zone in which its days begin and end.
    pub time_zone: Tz,
    /// Where its days stand.
    pub source: String,
    holidays: BTreeMap<NaiveDate, String>,
}

impl Calendar {
    fn of(wire: &CalendarWire, code: &String, name: String) -> Self {
        let kept = wire.days.iter().filter(|day| day.regions.is_empty() || day.regions.contains(code));
        Self {
            name,
            version: wire.version,
            valid_from: wire.valid_from,
            years: (wire.first_year, wire.last_year),
            time_zone: wire.time_zone,
            source: wire.source.clone(),
            holidays: kept.flat_map(|day| day.dates.iter().map(|date| (*date, day.name.clone()))).collect(),
        }
    }
}

/// The code of a calendar that exists, for example `DE` or `DE-BY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct CalendarCode(&'static str);

impl CalendarCode {
    /// Every code, in alphabetical order.
    pub fn all() -> impl Iterator<Item = Self> {
        CALENDARS.keys().map(|code| Self(code))
    }

    /// The code as written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The calendar itself.
    ///
    /// # Panics
    /// Never: a code is made only of a calendar that exists, and a test reads every file.
    #[must_use]
    pub fn calendar(self) -> &'static Calendar {
        CALENDARS.get(self.0).expect("a code is made only of a calendar that exists")
    }

    /// Why a day is no working day; none for a working day. A year that the calendar does not know is an error, also
    /// for weekends, so that nobody takes silence for knowledge. `conservative_due` is the date to fall back to.
    pub(super) fn day_off(
        self,
        day: NaiveDate,
        conservative_due: NaiveDate,
    ) -> Result<Option<&'static str>, DeadlineError> {
        let calendar = self.calendar();
        let (first, last) = calendar.years;
        if !(first..=last).contains(&day.year()) || day < calendar.valid_from {
            return Err(DeadlineError::YearUnknown {
                code: self.0,
                year: day.year(),
                first,
                last,
                conservative_due,
            });
        }
        let holiday = calendar.holidays.get(&day).map(String::as_str);
        Ok(holiday.or_else(|| weekend(day)))
    }

    /// The first working day from `day` on, and the days off that lay before it, each with its reason.
    pub(super) fn roll_forward(self, day: NaiveDate) -> Result<(NaiveDate, DaysOff), DeadlineError> {
        let mut working = day;
        let mut skipped = Vec::new();
        while let Some(reason) = self.day_off(working, day)? {
            skipped.push((working, reason));
            working = working.succ_opt().ok_or(DeadlineError::OutOfRange)?;
        }
        Ok((working, skipped))
    }

    /// The day that is so many business days after `start`, and the holidays that were not counted.
    pub(super) fn after_business_days(
        self,
        start: NaiveDate,
        number: u32,
    ) -> Result<(NaiveDate, DaysOff), DeadlineError> {
        let conservative_due = after_weekdays(start, number)?;
        let mut day = start;
        let mut left = number;
        let mut skipped = Vec::new();
        while left > 0 {
            day = day.succ_opt().ok_or(DeadlineError::OutOfRange)?;
            match self.day_off(day, conservative_due)? {
                None => left -= 1,
                Some(_) if weekend(day).is_some() => {}
                Some(reason) => skipped.push((day, reason)),
            }
        }
        Ok((day, skipped))
    }
}

impl FromStr for CalendarCode {
    type Err = DeadlineError;

    fn from_str(text: &str) -> Result<Self, DeadlineError> {
        CALENDARS.get_key_value(text).map(|(code, _)| Self(code)).ok_or_else(|| DeadlineError::Calendar {
            code: text.chars().take(20).collect(),
            known: CALENDARS.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }
}

impl<'de> Deserialize<'de> for CalendarCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for CalendarCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.0)
    }
}

fn weekend(day: NaiveDate) -> Option<&'static str> {
    match day.weekday() {
        Weekday::Sat => Some("Saturday"),
        Weekday::Sun => Some("Sunday"),
        _ => None,
    }
}

/// The day that is so many days from Monday to Friday after `start`. No holiday is taken off, so it is never later than
/// with any calendar.
pub(super) fn after_weekdays(start: NaiveDate, number: u32) -> Result<NaiveDate, DeadlineError> {
    let mut day = start;
    let mut left = number;
    while left > 0 {
        day = day.checked_add_days(Days::new(1)).ok_or(DeadlineError::OutOfRange)?;
        if weekend(day).is_none() {
            left -= 1;
        }
    }
    Ok(day)
}

#[cfg(test)]
mod tests {
    use super::super::HolidayRule;
    use super::*;

    #[test]
    fn every_date_follows_from_its_rule() {
        for (code, text) in FILES {
            let wire: CalendarWire = toml::from_str(text).unwrap_or_else(|error| panic!("{code}: {error}"));
            assert!(wire.first_year <= 2023 && wire.last_year >= 2030, "{code} covers 2023 to 2030");
            for day in &wire.days {
                let rule: HolidayRule =
                    day.rule.parse().unwrap_or_else(|error| panic!("{code} {}: {error}", day.name));
                let mut expected: Vec<NaiveDate> = (wire.first_year.max(day.since.unwrap_or(i32::MIN))
                    ..=wire.last_year + 1)
                    .filter_map(|year| rule.day(year))
                    .filter(|date| (wire.first_year..=wire.last_year).contains(&date.year()))
                    .collect();
                expected.sort_unstable();
                let list: Vec<String> = expected.iter().map(|date| format!("\"{date}\"")).collect();
                assert_eq!(day.dates, expected, "{code} {}: write dates = [{}]", day.name, list.join(", "));
                assert!(!expected.is_empty(), "{code} {}: no date at all", day.name);
            }
        }
    }

    #[test]
    fn every_file_is_whole() {
        for (code, text) in FILES {
            let wire: CalendarWire = toml::from_str(text).unwrap();
            assert_eq!(wire.code, *code);
            assert!(text.starts_with(&format!("# Public holidays: {}\n", wire.name)), "{code}: header");
            assert!(wire.version >= 1 && !wire.source.is_empty(), "{code}: version and source");
            assert_eq!(wire.valid_from, NaiveDate::from_ymd_opt(wire.first_year, 1, 1).unwrap(), "{code}");
            for day in &wire.days {
                for region in &day.regions {
                    assert!(wire.regions.contains_key(region), "{code} {}: {region}", day.name);
                }
                assert!(day.source.as_ref().is_none_or(|source| !source.is_empty()), "{code} {}", day.name);
            }
            for region in wire.regions.keys() {
                let own = |day: &HolidayWire| day.regions.contains(region);
                // Nations and states without a day of their own would be names for the country.
                assert!(region.starts_with(code), "{region} belongs to {code}");
                assert!(wire.days.iter().any(own), "{region} has days of its own");
            }
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/calendars");
        let mut on_disk: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        on_disk.sort_unstable();
        assert_eq!(
            on_disk,
            FILES.iter().map(|(code, _)| *code).collect::<Vec<_>>(),
            "every file is compiled in"
        );
    }

    #[test]
    fn an_unknown_year_is_an_error_and_never_a_year_without_holidays() {
        let code: CalendarCode = "DE".parse().unwrap();
        let weekday: NaiveDate = "2031-01-08".parse().unwrap();
        let text = code.day_off(weekday, weekday).unwrap_err().to_string();
        assert!(text.contains("2023 to 2030, not of 2031") && text.contains("conservative date"), "{text}");
        assert!(code.day_off("2022-12-31".parse().unwrap(), weekday).is_err());
    }

    #[test]
    fn an_unknown_code_is_told_with_those_there_are() {
        let text = "DE-XX".parse::<CalendarCode>().unwrap_err().to_string();
        assert!(text.contains("'DE-XX'") && text.contains("DE-BY") && text.contains("GB-SCT"), "{text}");
    }

    #[test]
    fn a_region_keeps_the_days_of_its_country_and_its_own() {
        let off = |code: &str, day: &str| {
            let day = day.parse().unwrap();
            code.parse::<CalendarCode>().unwrap().day_off(day, day).unwrap()
        };
        assert_eq!(off("DE-BY", "2027-01-06"), Some("Epiphany"));
        assert_eq!(off("DE", "2027-01-06"), None);
        assert_eq!(off("DE-BY", "2025-10-03"), Some("Day of German Unity"));
        assert_eq!(off("GB-SCT", "2023-01-03"), Some("2 January"));
        assert_eq!(off("GB-ENG", "2023-01-03"), None);
        assert_eq!(off("GB-SCT", "2026-04-06"), None, "Easter Monday is no bank holiday in Scotland");
        assert_eq!(off("US", "2027-12-31"), Some("New Year's Day"), "1 January 2028 is a Saturday");
        assert_eq!(off("IT", "2027-10-04"), Some("Saint Francis of Assisi"));
        assert_eq!(off("IT", "2024-10-04"), None, "a holiday since 2026");
    }
}
