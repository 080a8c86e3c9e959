//! `dsrd deadline`: until when something is due, and why.

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use super::Failure;
use super::context::Context;
use super::output::{Output, pairs};
use crate::domain::deadline::{
    self, CalendarCode, Deadline, DeadlineError, Extension, Pause, PauseCause, Period, RegimeCode, Term,
};
use crate::domain::{OrganisationId, RequestKind};

/// What is asked.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("event").required(true).args(["received", "aware", "retention"])))]
pub(super) struct Args {
    /// When the request reached the organisation: 2026-12-06T10:00+01:00, or a local day, 2026-12-06.
    #[arg(long, value_name = "WHEN")]
    received: Option<String>,
    /// When the organisation became aware of a breach: the same forms, with a time. Prints until when the authority is
    /// to be told.
    #[arg(long, value_name = "WHEN")]
    aware: Option<String>,
    /// A retention period (12m, 30d) instead of a request; needs --anchor.
    #[arg(long, value_name = "PERIOD", requires = "anchor")]
    retention: Option<String>,
    /// The local day of the event that began the retention period.
    #[arg(long, value_name = "DAY", requires = "retention")]
    anchor: Option<NaiveDate>,
    /// Take regime, calendar and time zone of this organisation from the configuration, where no option names them.
    #[arg(long, value_name = "ID")]
    organisation: Option<OrganisationId>,
    /// The law: EU, EU-suspend, UK, US-CA, US-CO, BR or CH; EU when left out.
    #[arg(long, value_name = "CODE")]
    regime: Option<String>,
    /// Public holidays: a country or a region, for example IT or DE-BY. May be given several times; the earliest date
    /// counts.
    #[arg(long, value_name = "CODE")]
    calendar: Vec<String>,
    /// IANA time zone in which days begin and end; that of the first calendar when left out.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<Tz>,
    /// What is asked for, for example access, erasure or `opt_out`. Sets the internal date, and the term where the law has
    /// one of its own.
    #[arg(long, value_parser = RequestKind::read)]
    kind: Option<RequestKind>,
    /// The term is extended, and the person was told in time.
    #[arg(long, conflicts_with = "extension_notice")]
    extended: bool,
    /// The term is extended, and the person was told on this local day; refused when that was too late.
    #[arg(long, value_name = "DAY")]
    extension_notice: Option<NaiveDate>,
    /// A time of waiting for the person: identity, clarification or fee, the day of asking and the day of the answer.
    /// May be given several times.
    #[arg(long, value_name = "CAUSE:FROM..TO", value_parser = pause)]
    pause: Vec<Pause>,
}

/// What the law says, with what it was asked for.
#[derive(Serialize)]
struct DeadlineView {
    regime: RegimeCode,
    regime_version: u32,
    calendars: Vec<CalendarCode>,
    time_zone: Tz,
    #[serde(flatten)]
    deadline: Deadline,
}

#[derive(Serialize)]
struct IncidentView {
    regime: RegimeCode,
    time_zone: Tz,
    aware_at: DateTime<Utc>,
    due_local: String,
    due_instant: DateTime<Utc>,
}

#[derive(Serialize)]
struct RetentionView {
    anchor: NaiveDate,
    last_day: NaiveDate,
    erase_from: NaiveDate,
    time_zone: Option<Tz>,
    erase_from_instant: Option<DateTime<Utc>>,
}

/// The law that was named, directly or by an organisation.
struct Named {
    regime: RegimeCode,
    calendars: Vec<CalendarCode>,
    /// None where neither a zone nor a calendar was named.
    zone: Option<Tz>,
}

pub(super) fn run(args: &Args, files: &[PathBuf], output: &Output) -> anyhow::Result<()> {
    let named = named(args, files)?;
    if let (Some(period), Some(anchor)) = (&args.retention, args.anchor) {
        let period: Period = period.parse().map_err(refused)?;
        return retention(period, anchor, named.zone, output);
    }
    let zone = named.zone.unwrap_or(Tz::UTC);
    if let Some(aware) = &args.aware {
        return incident(instant(aware, zone)?, zone, named.regime, output);
    }
    let received_at = instant(args.received.as_deref().unwrap_or_default(), zone)?;
    let term = Term {
        regime: named.regime,
        calendars: &named.calendars,
        zone,
        received_at,
        kind: args.kind,
        extension: match args.extension_notice {
            Some(notice) => Extension::Notified(notice),
            None if args.extended => Extension::Granted,
            None => Extension::None,
        },
        pauses: &args.pause,
    };
    let deadline = term.deadline().map_err(refused)?;
    let regime_version = named.regime.version_on(deadline.received_on).map_err(refused)?.version;
    let view = DeadlineView {
        regime: named.regime,
        regime_version,
        calendars: named.calendars.clone(),
        time_zone: zone,
        deadline,
    };
    output.show(&view, human)
}

fn named(args: &Args, files: &[PathBuf]) -> anyhow::Result<Named> {
    let mut named = Named { regime: RegimeCode::EU, calendars: Vec::new(), zone: None };
    if let Some(id) = &args.organisation {
        let context = Context::load_checked(files)?;
        let organisation = context.settings().find_organisation(id).ok_or_else(|| {
            Failure::NotFound
                .because(format!("no organisation {id} is configured: name one of [[organisations]]"))
        })?;
        named.regime = organisation.regime;
        let further = organisation.further_calendars.iter().copied();
        named.calendars = organisation.calendar.into_iter().chain(further).collect();
        named.zone = Some(organisation.time_zone);
    }
    if let Some(code) = &args.regime {
        named.regime = code.parse().map_err(refused)?;
    }
    if !args.calendar.is_empty() {
        let codes = args.calendar.iter().map(|code| code.parse().map_err(refused));
        named.calendars = codes.collect::<anyhow::Result<_>>()?;
    }
    let of_calendar = named.calendars.first().map(|code| code.calendar().time_zone);
    named.zone = args.time_zone.or(named.zone).or(of_calendar);
    Ok(named)
}

fn human(view: &DeadlineView) -> String {
    let deadline = &view.deadline;
    let day = |date: NaiveDate| date.format("%Y-%m-%d %A").to_string();
    let mut rows = vec![
        ("received", day(deadline.received_on)),
        ("internal", format!("{} (own goal)", day(deadline.internal_due))),
        ("unrolled", day(deadline.unrolled)),
        ("conservative", format!("{} (keep this one)", day(deadline.conservative_due))),
        ("statutory", format!("{} (last lawful day)", day(deadline.statutory_due))),
        ("ends at", seconds(deadline.due_instant)),
    ];
    if let Some(date) = deadline.acknowledge_by {
        rows.push(("acknowledge by", day(date)));
    }
    let calendars: Vec<&str> = view.calendars.iter().map(|code| code.as_str()).collect();
    let calendars = if calendars.is_empty() { "-".to_owned() } else { calendars.join(", ") };
    rows.push(("regime", format!("{} version {}", view.regime, view.regime_version)));
    rows.push(("calendar", calendars));
    rows.push(("time zone", view.time_zone.to_string()));
    let steps: Vec<String> = deadline.rules.iter().map(|step| format!("- {}", step.text)).collect();
    format!("{}\n\nWhy:\n{}", pairs(rows), steps.join("\n"))
}

fn incident(aware_at: DateTime<Utc>, zone: Tz, regime: RegimeCode, output: &Output) -> anyhow::Result<()> {
    let due_instant = deadline::incident_due(regime, aware_at, zone).map_err(refused)?;
    let due_local = due_instant.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, true);
    let view = IncidentView { regime, time_zone: zone, aware_at, due_local, due_instant };
    output.show(&view, |view| {
        pairs([
            ("aware at", seconds(view.aware_at)),
            ("tell the authority by", view.due_local.clone()),
            ("in UTC", seconds(view.due_instant)),
            ("regime", format!("{}; hours, without a shift to a working day", view.regime)),
        ])
    })
}

fn retention(period: Period, anchor: NaiveDate, zone: Option<Tz>, output: &Output) -> anyhow::Result<()> {
    let ends = deadline::retention(anchor, period).map_err(refused)?;
    let view = RetentionView {
        anchor,
        last_day: ends.last_day,
        erase_from: ends.erase_from,
        time_zone: zone,
        erase_from_instant: zone.map(|zone| deadline::end_of_day(ends.last_day, zone)),
    };
    output.show(&view, |view| {
        let mut rows = vec![
            ("anchor", view.anchor.to_string()),
            ("kept until", format!("{}, the end of the day; no shift to a working day", view.last_day)),
            ("erase from", format!("{} 00:00 local", view.erase_from)),
        ];
        rows.extend(view.erase_from_instant.map(|instant| ("in UTC", seconds(instant))));
        pairs(rows)
    })
}

fn seconds(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Wrong codes and periods are wrong usage; what the law or the data do not allow is refused.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn refused(error: DeadlineError) -> anyhow::Error {
    use DeadlineError::{ExtensionTooLate, NoExtension, NoIncidentTimer, NotYetInForce, YearUnknown};
    let failure = match error {
        YearUnknown { .. }
        | ExtensionTooLate { .. }
        | NoExtension(_)
        | NoIncidentTimer(_)
        | NotYetInForce { .. } => Failure::Refused,
        _ => Failure::Usage,
    };
    failure.because(error.to_string())
}

/// An instant with its offset, with or without seconds, or a local day, of which noon stands for the whole.
fn instant(text: &str, zone: Tz) -> anyhow::Result<DateTime<Utc>> {
    let usage = || {
        Failure::Usage.because(format!(
            "'{}' is no point in time: write 2026-12-06T10:00+01:00, or the local day 2026-12-06",
            text.chars().take(40).collect::<String>()
        ))
    };
    if let Ok(date) = text.parse::<NaiveDate>() {
        // Noon exists in every zone on every day; only the day matters for a term.
        let noon = date.and_hms_opt(12, 0, 0).ok_or_else(usage)?;
        return Ok(zone.from_local_datetime(&noon).earliest().ok_or_else(usage)?.with_timezone(&Utc));
    }
    let with_seconds = text.split_at_checked(16).map(|(minutes, rest)| format!("{minutes}:00{rest}"));
    let parsed = DateTime::parse_from_rfc3339(text).ok();
    let parsed = parsed.or_else(|| with_seconds.and_then(|text| DateTime::parse_from_rfc3339(&text).ok()));
    Ok(parsed.ok_or_else(usage)?.with_timezone(&Utc))
}

fn pause(text: &str) -> Result<Pause, String> {
    let parse = || {
        let (cause, days) = text.split_once(':')?;
        let (from, to) = days.split_once("..")?;
        let cause = [PauseCause::Identity, PauseCause::Clarification, PauseCause::Fee]
            .into_iter()
            .find(|each| each.as_str() == cause)?;
        Some(Pause { cause, from: from.parse().ok()?, to: to.parse().ok()? })
    };
    parse().ok_or_else(|| {
        "write identity, clarification or fee, and two days: identity:2026-03-03..2026-03-10".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_with_and_without_seconds_and_as_days() {
        let rome = Tz::Europe__Rome;
        for (text, expected) in [
            ("2026-12-06T10:00+01:00", "2026-12-06T09:00:00Z"),
            ("2026-12-06T10:00:30+01:00", "2026-12-06T09:00:30Z"),
            ("2026-12-06T10:00Z", "2026-12-06T10:00:00Z"),
            ("2026-12-06", "2026-12-06T11:00:00Z"),
        ] {
            assert_eq!(seconds(instant(text, rome).unwrap()), expected, "{text}");
        }
        for text in ["", "yesterday", "2026-12-06T10:00", "2026-13-06"] {
            assert!(instant(text, rome).is_err(), "{text}");
        }
    }
}
