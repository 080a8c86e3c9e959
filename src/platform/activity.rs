//! When a person was last there, by the contact's own records (R-60).
//!
//! A retention period that runs from the last activity is over only when every record that counts was read and every one
//! of them tells a date before the cutoff. One that tells a later date settles the question, and nothing more is read.
//! One that cannot be read, that tells no date or one that lies ahead of us leaves it open ([`Seen::Unclear`]): nobody is
//! deleted on a guess.
//!
//! The platform documents no fields of these lists. The date of a record is the latest that any of its fields shows, so
//! that a field that we do not know makes somebody younger and never older.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use futures_util::TryStreamExt;
use serde_json::Value;

use super::dates::parse_created;
use super::{Contact, ContactPlatform, Created, PlatformError, RawRecord, Source, Urgency};
use crate::domain::{ActivityKind, ActivityRule, ContactId, WithoutActivity, ZONE_UNCERTAINTY};

/// A date as a record shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// It shows none: the field is missing, null, empty or all zeros.
    #[default]
    Nothing,
    /// Something stands there that is no date.
    Unreadable,
    /// With a zone or in UTC.
    At(DateTime<Utc>),
    /// A local time without a zone, or a day, read as UTC: may be off by up to 14 hours, a day by 38.
    About(DateTime<Utc>),
}

impl Shown {
    /// Reads a field; `None` when it is missing.
    #[must_use]
    pub fn read(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null) => Self::Nothing,
            Some(Value::String(text)) => Self::of_text(text),
            Some(Value::Number(number)) => Self::of_text(&number.to_string()),
            Some(_) => Self::Unreadable,
        }
    }

    fn of_text(text: &str) -> Self {
        if text.trim().is_empty()
            || text.bytes().all(|each| matches!(each, b'0' | b'-' | b':' | b' ' | b'T' | b'Z' | b'.'))
        {
            return Self::Nothing;
        }
        match parse_created(text) {
            Created::At(at) => Self::At(at),
            Created::About(at) => Self::About(at),
            Created::Unknown => Self::Unreadable,
        }
    }

    /// The latest instant that it can mean.
    #[must_use]
    pub fn latest(self) -> Option<DateTime<Utc>> {
        match self {
            Self::At(at) => Some(at),
            // A day without a time may end 24 hours later; other times are taken for as much, which only keeps longer.
            Self::About(at) => at.checked_add_signed(ZONE_UNCERTAINTY + TimeDelta::days(1)),
            Self::Nothing | Self::Unreadable => None,
        }
    }

    /// Whether it lies further ahead of an instant than the zones of the world are apart: nothing that is held then happened at it.
    #[must_use]
    pub fn is_ahead_of(self, now: DateTime<Utc>) -> bool {
        match self {
            Self::At(at) | Self::About(at) => at > now + ZONE_UNCERTAINTY,
            Self::Nothing | Self::Unreadable => false,
        }
    }

    /// The local day in a zone. A time without a zone stands for the day that is written.
    #[must_use]
    pub fn day(self, zone: Tz) -> Option<NaiveDate> {
        match self {
            Self::At(at) => Some(at.with_timezone(&zone).date_naive()),
            Self::About(at) => Some(at.date_naive()),
            Self::Nothing | Self::Unreadable => None,
        }
    }

    fn later(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unreadable, _) | (_, Self::Unreadable) => Self::Unreadable,
            _ if other.latest() > self.latest() => other,
            _ => self,
        }
    }
}

impl From<Created> for Shown {
    fn from(created: Created) -> Self {
        match created {
            Created::At(at) => Self::At(at),
            Created::About(at) => Self::About(at),
            Created::Unknown => Self::Nothing,
        }
    }
}

/// The dates of activity that stand in a profile, and in a listing at no further cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfileDates {
    /// The last log-in.
    pub last_login: Shown,
    /// The last visit.
    pub last_visit: Shown,
}

impl ProfileDates {
    /// The dates of the kinds that count.
    pub fn counting<'a>(&self, rule: &'a ActivityRule) -> impl Iterator<Item = Shown> + use<'a> {
        [(ActivityKind::LastLogin, self.last_login), (ActivityKind::LastVisit, self.last_visit)]
            .into_iter()
            .filter(|(kind, _)| rule.counts(*kind))
            .map(|(_, shown)| shown)
    }
}

/// What the records say of a contact's last activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There was some at or after the instant.
    Since,
    /// All was read, and there was none since.
    Before,
    /// It cannot be known: something is unreadable, cut off, without a date or dated ahead of us, or nothing tells of any.
    Unclear,
    /// The contact is gone.
    Gone,
}

/// Until when activity is asked about, and by what time.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Activity at or after this instant keeps the contact.
    pub since: DateTime<Utc>,
    /// The present; what lies more than 14 hours ahead is no date of activity.
    pub now: DateTime<Utc>,
}

impl Span {
    /// What one date means.
    #[must_use]
    pub fn judge(&self, shown: Shown) -> Option<Seen> {
        match shown {
            Shown::Nothing => None,
            Shown::Unreadable => Some(Seen::Unclear),
            ahead if ahead.is_ahead_of(self.now) => Some(Seen::Unclear),
            Shown::At(_) | Shown::About(_) => Some(match shown.latest() {
                Some(latest) if latest < self.since => Seen::Before,
                Some(_) => Seen::Since,
                None => Seen::Unclear,
            }),
        }
    }
}

/// The last activity of one contact, told from records that somebody else reads, all of them.
#[derive(Clone, Debug)]
pub struct LastActivity {
    rule: ActivityRule,
    now: DateTime<Utc>,
    latest: Shown,
    unclear: bool,
}

impl LastActivity {
    /// Begins with what the profile shows.
    #[must_use]
    pub fn new(rule: ActivityRule, shows: &ProfileDates, now: DateTime<Utc>) -> Self {
        let mut activity = Self { rule, now, latest: Shown::Nothing, unclear: false };
        let counting: Vec<Shown> = shows.counting(&activity.rule).collect();
        for date in counting {
            activity.take(date);
        }
        activity
    }

    /// Takes a record of a list, where it counts. One that counts and tells no date may be of yesterday.
    pub fn note(&mut self, source: Source, record: &RawRecord) {
        if !self.rule.counts(kind_of(source)) || source == Source::Events && is_passive(record, &self.rule) {
            return;
        }
        match date_of(record) {
            Shown::Nothing => self.unclear = true,
            shown => self.take(shown),
        }
    }

    /// Something of a list was not read.
    pub fn miss(&mut self, source: Source) {
        self.unclear |= self.rule.counts(kind_of(source));
    }

    /// The last activity; the creation where nothing tells of any and the rule says so; nothing where it cannot be known.
    #[must_use]
    pub fn shown(&self, created: Shown) -> Shown {
        match self.latest {
            _ if self.unclear => Shown::Nothing,
            Shown::Nothing if self.rule.without == WithoutActivity::Created => created,
            latest => latest,
        }
    }

    fn take(&mut self, shown: Shown) {
        match shown {
            Shown::Nothing => {}
            Shown::At(_) | Shown::About(_) if !shown.is_ahead_of(self.now) => {
                self.latest = self.latest.later(shown);
            }
            Shown::Unreadable | Shown::At(_) | Shown::About(_) => self.unclear = true,
        }
    }
}

const fn kind_of(source: Source) -> ActivityKind {
    match source {
        Source::Events => ActivityKind::Events,
        Source::Devices => ActivityKind::Devices,
        Source::Accountings => ActivityKind::Accountings,
    }
}

/// Reads whether a contact was active at or after an instant: the profile first, then the lists that count, until one
/// settles it. A contact that is marked as deleted or disabled is read as any other: it is still there.
///
/// # Errors
/// When the platform is away, throttles or refuses the key. What concerns this contact only is [`Seen::Unclear`].
pub async fn seen_since(
    platform: &dyn ContactPlatform,
    id: &ContactId,
    rule: &ActivityRule,
    span: Span,
    urgency: Urgency,
) -> Result<Seen, PlatformError> {
    let Some(contact) = own(platform.find_contact(id, urgency).await)? else { return Ok(Seen::Unclear) };
    let Some(contact) = contact else { return Ok(Seen::Gone) };
    let (mut dated, mut unclear) = (false, false);
    for seen in contact.shows.counting(rule).filter_map(|shown| span.judge(shown)) {
        match seen {
            Seen::Since => return Ok(Seen::Since),
            Seen::Unclear => unclear = true,
            Seen::Before | Seen::Gone => dated = true,
        }
    }
    if unclear {
        return Ok(Seen::Unclear);
    }
    for source in [Source::Accountings, Source::Devices, Source::Events] {
        if !rule.counts(kind_of(source)) {
            continue;
        }
        match in_list(platform, &contact, source, rule, span, urgency).await? {
            Some(Seen::Before) => dated = true,
            Some(settled) => return Ok(settled),
            None => {}
        }
    }
    Ok(if dated || rule.without == WithoutActivity::Created { Seen::Before } else { Seen::Unclear })
}

/// What one list says; `None` when nothing in it counts. The first record that settles it ends the reading.
async fn in_list(
    platform: &dyn ContactPlatform,
    contact: &Contact,
    source: Source,
    rule: &ActivityRule,
    span: Span,
    urgency: Urgency,
) -> Result<Option<Seen>, PlatformError> {
    let Some(records) = own(platform.records(&contact.id, source, urgency).await)? else {
        return Ok(Some(Seen::Unclear));
    };
    let Some(mut records) = records else { return Ok(Some(Seen::Gone)) };
    let (mut dated, mut unclear) = (false, false);
    loop {
        let Some(batch) = own(records.try_next().await)? else { return Ok(Some(Seen::Unclear)) };
        let Some(batch) = batch else { break };
        unclear |= batch.unreadable > 0;
        for record in &batch.records {
            if source == Source::Events && is_passive(record, rule) {
                continue;
            }
            match span.judge(date_of(record)) {
                Some(Seen::Since) => return Ok(Some(Seen::Since)),
                Some(Seen::Before) => dated = true,
                // A record that counts and tells no date may be of yesterday.
                Some(Seen::Unclear | Seen::Gone) | None => unclear = true,
            }
        }
    }
    Ok(if unclear { Some(Seen::Unclear) } else { dated.then_some(Seen::Before) })
}

/// Tells a failure that concerns this contact only (`Ok(None)`) from one that concerns them all.
fn own<T>(answer: Result<T, PlatformError>) -> Result<Option<T>, PlatformError> {
    match answer {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.concerns_one() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an event is of a type that is no contact from the person. One of unknown type, or of none, is not passive.
fn is_passive(record: &RawRecord, rule: &ActivityRule) -> bool {
    let Ok(event) = serde_json::from_str::<Value>(record.expose()) else { return false };
    let kind = event.pointer("/event/type").or_else(|| event.get("type")).and_then(Value::as_str);
    kind.is_some_and(|kind| rule.passive_events.iter().any(|passive| passive == kind))
}

/// The fields of records that the vendor documents or that our simulator proposes as dates: what stands there and is no
/// date leaves the record without one, whatever its other fields show.
const DATES: &[&str] = &[
    "created",
    "createdAt",
    "date",
    "end",
    "endAt",
    "lastConnection",
    "modified",
    "start",
    "startAt",
    "stop",
    "stopAt",
];

/// The latest date that a record shows in any of its fields. Those that end in `Local` carry the platform's false `Z`
/// and are left out, and a birth date is none of the record.
#[must_use]
pub fn date_of(record: &RawRecord) -> Shown {
    let mut found = Shown::Nothing;
    match serde_json::from_str(record.expose()) {
        Ok(value) => walk("", &value, &mut found),
        Err(_) => found = Shown::Unreadable,
    }
    found
}

fn walk(name: &str, value: &Value, found: &mut Shown) {
    match value {
        Value::Array(values) => values.iter().for_each(|each| walk(name, each, found)),
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !name.ends_with("Local") && !name.starts_with("birth"))
            .for_each(|(name, each)| walk(name, each, found)),
        _ if DATES.contains(&name) => *found = found.later(Shown::read(Some(value))),
        // An id or a number of bytes is no date, however much it may look like seconds since 1970.
        Value::String(text) if text.parse::<f64>().is_err() => {
            let shown = Shown::of_text(text);
            if shown != Shown::Unreadable {
                *found = found.later(shown);
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn date(json: &str) -> Shown {
        date_of(&RawRecord::new(RawValue::from_string(json.to_owned()).unwrap()))
    }

    #[test]
    fn r_60_the_date_of_a_record_is_the_latest_it_shows_and_none_where_one_cannot_be_read() {
        let exact = |text: &str| Shown::At(at(text));
        for (json, expected) in [
            (
                r#"{"start":"2026-01-15T10:00:00Z","stop":"2026-01-15T23:30:00.5Z","bytesIn":1700000000}"#,
                exact("2026-01-15T23:30:00.5Z"),
            ),
            // The platform's local times carry a false `Z`.
            (
                r#"{"when":{"createdAt":"2026-01-15T10:00:00Z","createdAtLocal":"2026-01-16T01:00:00Z"}}"#,
                exact("2026-01-15T10:00:00Z"),
            ),
            (r#"{"visit":{"startAt":1768471200000}}"#, exact("2026-01-15T10:00:00Z")),
            (
                r#"{"somethingNew":"2026-03-01T00:00:00Z","date":"2020-01-01T00:00:00Z"}"#,
                exact("2026-03-01T00:00:00Z"),
            ),
            (r#"{"stop":"2026-01-15 10:00:00"}"#, Shown::About(at("2026-01-15T10:00:00Z"))),
            (r#"{"id":"393331234567","duration":3600}"#, Shown::Nothing),
            (r#"{"stop":null,"id":"s-1"}"#, Shown::Nothing),
            (r#"{"lastConnection":"yesterday","first":"2019-01-01T00:00:00Z"}"#, Shown::Unreadable),
        ] {
            assert_eq!(date(json), expected, "{json}");
        }
    }

    #[test]
    fn r_60_a_date_without_a_zone_keeps_as_long_as_it_may_mean() {
        let span = Span { since: at("2023-11-22T00:00:00Z"), now: at("2026-11-23T00:00:00Z") };
        for (shown, expected) in [
            (Shown::At(at("2023-11-21T23:59:59Z")), Some(Seen::Before)),
            (Shown::At(at("2023-11-22T00:00:00Z")), Some(Seen::Since)),
            (Shown::About(at("2023-11-20T09:59:59Z")), Some(Seen::Before)),
            (Shown::About(at("2023-11-20T10:00:00Z")), Some(Seen::Since)),
            (Shown::At(at("2030-01-01T00:00:00Z")), Some(Seen::Unclear)),
            (Shown::Unreadable, Some(Seen::Unclear)),
            (Shown::Nothing, None),
        ] {
            assert_eq!(span.judge(shown), expected, "{shown:?}");
        }
        assert_eq!(Shown::read(Some(&"0000-00-00 00:00:00".into())), Shown::Nothing);
        assert_eq!(Shown::read(Some(&serde_json::json!({}))), Shown::Unreadable);
    }
}
