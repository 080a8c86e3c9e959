//! From a receipt to the dates of its answer.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::calendar::{DaysOff, after_weekdays};
use super::{CalendarCode, DeadlineError, PauseEffect, Period, Regime, RegimeCode, end_of_day};
use crate::domain::{Handling, RequestKind};

/// What the organisation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseCause {
    /// A proof of identity or of an agent's authority (Art. 12(6) GDPR).
    Identity,
    /// An answer to what is meant (recital 63 GDPR).
    Clarification,
    /// A fee.
    Fee,
}

impl PauseCause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Identity, Self::Clarification, Self::Fee];

    /// The word in commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Clarification => "clarification",
            Self::Fee => "fee",
        }
    }
}

/// A time of waiting for the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// What was waited for.
    pub cause: PauseCause,
    /// The local day on which the person was asked.
    pub from: NaiveDate,
    /// The local day on which the person answered.
    pub to: NaiveDate,
}

/// Whether the term is extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// It is not.
    None,
    /// It is, and the person was told in time.
    Granted,
    /// It is, if telling the person on that local day was in time.
    Notified(NaiveDate),
}

/// A request as the law's clock sees it.
#[derive(Clone, Debug)]
pub struct Term<'a> {
    /// The law.
    pub regime: RegimeCode,
    /// The holiday calendars that may apply. Where there are several, the earliest date counts.
    pub calendars: &'a [CalendarCode],
    /// The zone in which days begin and end.
    pub zone: Tz,
    /// When the request reached the organisation.
    pub received_at: DateTime<Utc>,
    /// What is asked for, where that matters.
    pub kind: Option<RequestKind>,
    /// Whether the term is extended.
    pub extension: Extension,
    /// Times of waiting.
    pub pauses: &'a [Pause],
}

/// The dates of an answer. All dates are local days; each day ends at the following local midnight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deadline {
    /// The local day of receipt.
    pub received_on: NaiveDate,
    /// The day whose event began the term: that of receipt, or of the answer where the time began anew.
    pub start_on: NaiveDate,
    /// The end of the term as counted, before any shift to a working day.
    pub unrolled: NaiveDate,
    /// The date to keep: whoever keeps it keeps every reading of the law. Alarms look at it.
    pub conservative_due: NaiveDate,
    /// The last lawful day. A breach is reported after it.
    pub statutory_due: NaiveDate,
    /// The organisation's own goal; never after the conservative date.
    pub internal_due: NaiveDate,
    /// The end of the conservative day.
    pub conservative_due_instant: DateTime<Utc>,
    /// The end of the statutory day: the due instant.
    pub due_instant: DateTime<Utc>,
    /// The day by which receipt must be confirmed, where the law sets one.
    pub acknowledge_by: Option<NaiveDate>,
    /// Each rule that moved a date, in order.
    pub rules: Vec<Step>,
}

/// A rule that moved a date, or that was looked at and did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which rule.
    pub rule: StepRule,
    /// The date after it.
    pub date: NaiveDate,
    /// In words.
    pub text: String,
}

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepRule {
    /// The local day of receipt.
    Receipt,
    /// The time began anew.
    Restart,
    /// The time stood still.
    Suspension,
    /// A wait that moves nothing.
    PauseWithoutEffect,
    /// The term of the law.
    Limit,
    /// The month has no such day.
    MonthEnd,
    /// The person was told of the extension after the conservative date.
    LateNotice,
    /// The last day was no working day.
    WorkingDay,
    /// A holiday was not counted.
    BusinessDays,
    /// The earliest of several calendars.
    EarliestCalendar,
    /// The organisation's own goal.
    InternalTarget,
    /// Confirming receipt.
    Acknowledgement,
}

/// The dates of a request that are stored, shown and alarmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DueDates {
    /// The date to keep; it needs no calendar.
    pub conservative: NaiveDate,
    /// The last lawful day; nothing where no calendar is named for it, or where it does not know the year.
    pub statutory: Option<NaiveDate>,
}

/// By when the receipt of a request must be confirmed (11 CCR 7021(a), R-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Acknowledgement {
    /// From this day on staff is told: three business days before the last one.
    pub near_on: NaiveDate,
    /// The last lawful day.
    pub by: NaiveDate,
}

/// So many business days before the last day for confirming receipt staff is told that it is not confirmed: one to read the alert,
/// one to write to the person by other means, and one to spare.
const ACKNOWLEDGE_ALERT_DAYS: u32 = 3;

/// How far the counting has come.
struct Count {
    start: NaiveDate,
    unrolled: NaiveDate,
    steps: Vec<Step>,
}

impl Term<'_> {
    /// Computes all dates. The conservative date alone, which cannot fail, is [`conservative_due`].
    pub fn deadline(&self) -> Result<Deadline, DeadlineError> {
        let received_on = self.received_at.with_timezone(&self.zone).date_naive();
        let regime = self.regime.version_on(received_on)?;
        self.check(received_on, regime)?;
        let mut rules = vec![step(
            StepRule::Receipt,
            received_on,
            format!("received on {} in {}; the day itself does not count", day(received_on), self.zone),
        )];
        let (count, statutory_due) = match regime.business_term(self.kind) {
            Some(number) => self.business_term(received_on, number)?,
            None => self.calendar_term(received_on, regime)?,
        };
        let Count { start, unrolled, steps } = count;
        rules.extend(steps);

        let internal_due = self.internal_due(received_on, start, unrolled, regime, &mut rules)?;
        let acknowledge_by = regime.acknowledge_business_days.map(|number| {
            let (date, _, mut steps) = self.business_days(received_on, number)?;
            rules.append(&mut steps);
            rules.push(step(
                StepRule::Acknowledgement,
                date,
                format!("receipt must be confirmed within {number} business days: {}", day(date)),
            ));
            Ok(date)
        });
        Ok(Deadline {
            received_on,
            start_on: start,
            unrolled,
            conservative_due: unrolled,
            statutory_due,
            internal_due,
            conservative_due_instant: end_of_day(unrolled, self.zone),
            due_instant: end_of_day(statutory_due, self.zone),
            acknowledge_by: acknowledge_by.transpose()?,
            rules,
        })
    }

    /// The dates to store for a request: the one computation of intake, pauses and extensions (I-6). It never fails, because
    /// a request always has a date: what the law does not allow (an extension in a regime without one) moves nothing, and a
    /// calendar that is missing, or does not know the year, takes away the statutory date only.
    #[must_use]
    pub fn due_dates(&self) -> DueDates {
        let received_on = self.received_at.with_timezone(&self.zone).date_naive();
        let version = self.regime.version_on(received_on).ok().or_else(|| self.regime.versions().first());
        let due = version.map(|version| self.conservative(received_on, version));
        // No version and no later day exist only beyond the calendar's end: then the day itself is the latest there is.
        let conservative = due.and_then(Result::ok).unwrap_or(received_on);
        // A last lawful day before the date to keep would be a mistake of this program; the earlier date is kept then.
        let statutory = self.deadline().ok().map(|deadline| deadline.statutory_due);
        DueDates { conservative: statutory.map_or(conservative, |day| day.min(conservative)), statutory }
    }

    /// By when receipt must be confirmed; nothing where the law sets no day, as for opt-outs: California wants the receipt of
    /// requests to know, to correct and to delete confirmed. It never fails: where no calendar knows the days, holidays count as
    /// business days, which gives an earlier day.
    #[must_use]
    pub fn acknowledgement(&self) -> Option<Acknowledgement> {
        if self.kind.is_some_and(|kind| kind.handling() == Handling::OptOut) {
            return None;
        }
        let received_on = self.received_at.with_timezone(&self.zone).date_naive();
        let number = self.regime.version_on(received_on).ok()?.acknowledge_business_days?;
        let after = |number: u32| {
            let by_calendar = self.business_days(received_on, number).map(|(day, ..)| day);
            by_calendar.or_else(|_| after_weekdays(received_on, number)).ok()
        };
        Some(Acknowledgement {
            near_on: after(number.saturating_sub(ACKNOWLEDGE_ALERT_DAYS))?,
            by: after(number)?,
        })
    }

    /// The conservative date, without any calendar.
    fn conservative(&self, received: NaiveDate, regime: &Regime) -> Result<NaiveDate, DeadlineError> {
        if let Some(number) = regime.business_term(self.kind) {
            return after_weekdays(received, number);
        }
        let longer = regime.extension.and_then(|extension| regime.limit.joined(extension));
        let period = match (self.extension, longer) {
            (Extension::None, _) | (_, None) => regime.limit,
            (_, Some(longer)) => longer,
        };
        Ok(count(received, regime, period, "", self.pauses)?.unrolled)
    }

    fn check(&self, received: NaiveDate, regime: &Regime) -> Result<(), DeadlineError> {
        for pause in self.pauses {
            if pause.to < pause.from {
                return Err(DeadlineError::Pause { from: pause.from, to: pause.to });
            }
            if pause.from < received {
                return Err(DeadlineError::BeforeReceipt { what: "a pause", day: pause.from, received });
            }
        }
        if let Extension::Notified(notice) = self.extension
            && notice < received
        {
            return Err(DeadlineError::BeforeReceipt { what: "the extension notice", day: notice, received });
        }
        let needs_calendar = regime.rolls
            || regime.acknowledge_business_days.is_some()
            || regime.business_term(self.kind).is_some();
        if needs_calendar && self.calendars.is_empty() {
            return Err(DeadlineError::NoCalendar(self.regime.as_str()));
        }
        Ok(())
    }

    /// A term in months or days, with extension and pauses.
    fn calendar_term(
        &self,
        received: NaiveDate,
        regime: &Regime,
    ) -> Result<(Count, NaiveDate), DeadlineError> {
        let base = count(received, regime, regime.limit, "", self.pauses)?;
        if self.extension == Extension::None {
            return self.rolled(base, regime);
        }
        let longer = regime.extension.and_then(|extension| regime.limit.joined(extension));
        let longer = longer.ok_or(DeadlineError::NoExtension(self.regime.as_str()))?;
        let mut late = None;
        if let Extension::Notified(notice) = self.extension {
            // What happened after the notice cannot save a notice that came too late.
            let before: Vec<Pause> = self.pauses.iter().filter(|pause| pause.to <= notice).copied().collect();
            let first = count(received, regime, regime.limit, "", &before)?;
            let conservative = first.unrolled;
            let (_, due) = self.rolled(first, regime)?;
            if notice > due {
                return Err(DeadlineError::ExtensionTooLate { notice, due });
            }
            if notice > conservative {
                late = Some(step(
                    StepRule::LateNotice,
                    notice,
                    format!(
                        "warning: the person was told of the extension on {}, after the conservative end of the first \
                         term, {}; lawful, because that term ended on {}",
                        day(notice),
                        day(conservative),
                        day(due)
                    ),
                ));
            }
        }
        let mut extended = count(received, regime, longer, ", extended, counted in one step", self.pauses)?;
        extended.steps.extend(late);
        self.rolled(extended, regime)
    }

    /// Moves the end to a working day, where the law does that.
    fn rolled(&self, mut count: Count, regime: &Regime) -> Result<(Count, NaiveDate), DeadlineError> {
        if !regime.rolls {
            return Ok((Count { ..count }, count.unrolled));
        }
        let unrolled = count.unrolled;
        let (due, code, skipped) =
            self.earliest(unrolled, &mut count.steps, |code| code.roll_forward(unrolled))?;
        if !skipped.is_empty() {
            let text = format!("moved to the next working day of {code}, {}: {}", day(due), listed(&skipped));
            count.steps.push(step(StepRule::WorkingDay, due, text));
        }
        Ok((count, due))
    }

    /// A term in business days: the date to keep takes no holiday off.
    fn business_term(&self, received: NaiveDate, number: u32) -> Result<(Count, NaiveDate), DeadlineError> {
        if self.extension != Extension::None {
            return Err(DeadlineError::NoExtension(self.regime.as_str()));
        }
        let conservative = after_weekdays(received, number)?;
        let mut steps = vec![step(
            StepRule::Limit,
            conservative,
            format!("{number} days from Monday to Friday, no holiday taken off: {}", day(conservative)),
        )];
        for pause in self.pauses {
            steps.push(without_effect(pause, conservative, "this term does not wait"));
        }
        let (due, _, mut more) = self.business_days(received, number)?;
        steps.append(&mut more);
        Ok((Count { start: received, unrolled: conservative, steps }, due))
    }

    /// The day that is so many business days after another, by the calendar with the earliest result.
    fn business_days(
        &self,
        start: NaiveDate,
        number: u32,
    ) -> Result<(NaiveDate, CalendarCode, Vec<Step>), DeadlineError> {
        let mut steps = Vec::new();
        let (due, code, skipped) =
            self.earliest(start, &mut steps, |code| code.after_business_days(start, number))?;
        if !skipped.is_empty() {
            let text = format!(
                "{number} business days of {code} end on {}; not counted beside weekends: {}",
                day(due),
                listed(&skipped)
            );
            steps.push(step(StepRule::BusinessDays, due, text));
        }
        Ok((due, code, steps))
    }

    /// The result of the calendar that gives the earliest date.
    fn earliest(
        &self,
        from: NaiveDate,
        steps: &mut Vec<Step>,
        by: impl Fn(CalendarCode) -> Result<(NaiveDate, DaysOff), DeadlineError>,
    ) -> Result<(NaiveDate, CalendarCode, DaysOff), DeadlineError> {
        let mut found: Option<(NaiveDate, CalendarCode, DaysOff)> = None;
        let mut differ = false;
        for code in self.calendars {
            let (date, skipped) = by(*code)?;
            differ |= found.as_ref().is_some_and(|(earliest, ..)| *earliest != date);
            if found.as_ref().is_none_or(|(earliest, ..)| date < *earliest) {
                found = Some((date, *code, skipped));
            }
        }
        let found = found.ok_or(DeadlineError::NoCalendar(self.regime.as_str()))?;
        if differ {
            let text =
                format!("the calendars differ for {}: that of {} gives the earliest day", day(from), found.1);
            steps.push(step(StepRule::EarliestCalendar, found.0, text));
        }
        Ok(found)
    }

    fn internal_due(
        &self,
        received: NaiveDate,
        start: NaiveDate,
        unrolled: NaiveDate,
        regime: &Regime,
        rules: &mut Vec<Step>,
    ) -> Result<NaiveDate, DeadlineError> {
        let mut goals = Vec::new();
        if regime.margin_days > 0 {
            let date = unrolled - Days::new(u64::from(regime.margin_days));
            goals.push((
                date,
                format!("{} before the end, because the law is unclear", Period::Days(regime.margin_days)),
            ));
        }
        match (self.extension, regime.extension, self.kind) {
            (Extension::None, _, Some(kind)) => {
                let period = Period::Days(regime.target_days(kind));
                goals.push((
                    period.end(start)?,
                    format!("{period} from the start for {kind}, without undue delay"),
                ));
            }
            (Extension::None, _, None) | (_, None, _) => {}
            (_, Some(extension), _) => {
                let first = count(received, regime, regime.limit, "", self.pauses)?.unrolled;
                let text = format!("the extension counted from the end of the first term, {}", day(first));
                goals.push((extension.end(first)?, text));
            }
        }
        let earliest = goals.into_iter().filter(|(date, _)| *date < unrolled).min_by_key(|(date, _)| *date);
        Ok(earliest.map_or(unrolled, |(date, text)| {
            rules.push(step(StepRule::InternalTarget, date, format!("internal date {}: {text}", day(date))));
            date
        }))
    }
}

/// Counts a term from receipt, through its pauses, to its unrolled end.
fn count(
    received: NaiveDate,
    regime: &Regime,
    period: Period,
    remark: &str,
    pauses: &[Pause],
) -> Result<Count, DeadlineError> {
    let mut ordered = pauses.to_vec();
    ordered.sort_by_key(|pause| (pause.from, pause.to));
    let mut start = received;
    let mut still = BTreeSet::new();
    let mut steps = Vec::new();
    for pause in &ordered {
        let unrolled = lengthened(period.end(start)?, &still)?;
        if pause.from > unrolled {
            steps.push(without_effect(pause, unrolled, "the term had ended"));
            continue;
        }
        let from = match regime.effect(pause.cause) {
            PauseEffect::Run => {
                steps.push(without_effect(pause, unrolled, "the time runs on in this regime"));
                continue;
            }
            PauseEffect::Restart => {
                start = start.max(pause.to);
                // The days that the new beginning leaves behind are not given twice.
                still = still.split_off(&start.succ_opt().ok_or(DeadlineError::OutOfRange)?);
                let text = format!(
                    "the person was asked ({}) on {} and answered on {}: the time begins anew on {}",
                    pause.cause.as_str(),
                    day(pause.from),
                    day(pause.to),
                    day(start)
                );
                steps.push(step(StepRule::Restart, start, text));
                continue;
            }
            PauseEffect::Suspend => pause.from.succ_opt().ok_or(DeadlineError::OutOfRange)?,
            PauseEffect::SuspendBothEnds => pause.from,
        };
        // The day of the start does not count, so it cannot be given back; nor is a day given twice.
        let before = still.len();
        still.extend(from.iter_days().take_while(|each| *each <= pause.to).filter(|each| *each > start));
        let added = still.len() - before;
        let text = format!(
            "the person was asked ({}) on {} and answered on {}: the time stood still for {added} day(s)",
            pause.cause.as_str(),
            day(pause.from),
            day(pause.to)
        );
        steps.push(step(StepRule::Suspension, lengthened(period.end(start)?, &still)?, text));
    }
    let end = period.end(start)?;
    let mut text = format!("{period} from {}{remark}: {}", day(start), day(end));
    let unrolled = lengthened(end, &still)?;
    if unrolled != end {
        write!(text, "; {} day(s) of standing still after it: {}", still.len(), day(unrolled))
            .map_err(|_| DeadlineError::OutOfRange)?;
    }
    steps.push(step(StepRule::Limit, unrolled, text));
    if matches!(period, Period::Months(_)) && day_number(end) != day_number(start) {
        let text = format!("the month has no day {}: its last day ends the term", day_number(start));
        steps.push(step(StepRule::MonthEnd, unrolled, text));
    }
    Ok(Count { start, unrolled, steps })
}

/// A date with the days of standing still added after it.
fn lengthened(end: NaiveDate, still: &BTreeSet<NaiveDate>) -> Result<NaiveDate, DeadlineError> {
    let days = Days::new(u64::try_from(still.len()).map_err(|_| DeadlineError::OutOfRange)?);
    end.checked_add_days(days).ok_or(DeadlineError::OutOfRange)
}

/// The date to keep for a request without extension and pauses, which needs no calendar. A day before the regime's
/// first version is judged by that version. `kind` matters where the law has a term of its own for it.
#[must_use]
pub fn conservative_due(
    regime: RegimeCode,
    kind: RequestKind,
    received_at: DateTime<Utc>,
    zone: Tz,
) -> NaiveDate {
    let kind = Some(kind);
    let term =
        Term { regime, calendars: &[], zone, received_at, kind, extension: Extension::None, pauses: &[] };
    term.due_dates().conservative
}

/// When the authority must have been told of an incident (Art. 33(1) GDPR): hours, without any shift.
pub fn incident_due(
    regime: RegimeCode,
    aware_at: DateTime<Utc>,
    zone: Tz,
) -> Result<DateTime<Utc>, DeadlineError> {
    let version = regime.version_on(aware_at.with_timezone(&zone).date_naive())?;
    let hours = version.incident_hours.ok_or(DeadlineError::NoIncidentTimer(regime.as_str()))?;
    aware_at.checked_add_signed(TimeDelta::hours(i64::from(hours))).ok_or(DeadlineError::OutOfRange)
}

const fn step(rule: StepRule, date: NaiveDate, text: String) -> Step {
    Step { rule, date, text }
}

fn without_effect(pause: &Pause, date: NaiveDate, why: &str) -> Step {
    let text = format!(
        "waiting for the person ({}) from {} to {} moves nothing: {why}",
        pause.cause.as_str(),
        day(pause.from),
        day(pause.to)
    );
    step(StepRule::PauseWithoutEffect, date, text)
}

/// A day with its weekday, as in all sentences.
fn day(date: NaiveDate) -> String {
    date.format("%a %Y-%m-%d").to_string()
}

fn day_number(date: NaiveDate) -> u32 {
    chrono::Datelike::day(&date)
}

fn listed(days: &[(NaiveDate, &'static str)]) -> String {
    days.iter().map(|(date, reason)| format!("{} is {reason}", day(*date))).collect::<Vec<_>>().join(", ")
}
