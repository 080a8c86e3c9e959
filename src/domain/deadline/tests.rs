//! The deadline oracle (the E rows of the requirements) as tables, and properties for the rest.

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;
use crate::domain::RequestKind;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A request received at ten o'clock local time on a day, or at the local time that is given.
fn received(text: &str, zone: Tz) -> DateTime<Utc> {
    let local = if text.contains('T') { format!("{text}:00") } else { format!("{text}T10:00:00") };
    zone.from_local_datetime(&local.parse().unwrap()).unwrap().with_timezone(&Utc)
}

fn calendar(code: &str) -> CalendarCode {
    code.parse().unwrap()
}

/// A question with the calendar's own zone.
struct Asked {
    regime: RegimeCode,
    calendars: Vec<CalendarCode>,
    zone: Tz,
    received_at: DateTime<Utc>,
    kind: Option<RequestKind>,
    extension: Extension,
    pauses: Vec<Pause>,
}

impl Asked {
    fn new(regime: &str, code: &str, received_on: &str) -> Self {
        let zone = calendar(code).calendar().time_zone;
        Self {
            regime: regime.parse().unwrap(),
            calendars: vec![calendar(code)],
            zone,
            received_at: received(received_on, zone),
            kind: None,
            extension: Extension::None,
            pauses: Vec::new(),
        }
    }

    fn extended(mut self, extension: Extension) -> Self {
        self.extension = extension;
        self
    }

    fn pause(mut self, cause: PauseCause, from: &str, to: &str) -> Self {
        self.pauses.push(Pause { cause, from: day(from), to: day(to) });
        self
    }

    fn answer(&self) -> Result<Deadline, DeadlineError> {
        Term {
            regime: self.regime,
            calendars: &self.calendars,
            zone: self.zone,
            received_at: self.received_at,
            kind: self.kind,
            extension: self.extension,
            pauses: &self.pauses,
        }
        .deadline()
    }

    #[track_caller]
    fn gives(&self, row: &str, unrolled: &str, statutory: &str) -> Deadline {
        let deadline = self.answer().unwrap_or_else(|error| panic!("{row}: {error}"));
        assert_eq!(deadline.unrolled, day(unrolled), "{row}: unrolled; {:#?}", deadline.rules);
        assert_eq!(deadline.conservative_due, day(unrolled), "{row}: conservative");
        assert_eq!(deadline.statutory_due, day(statutory), "{row}: statutory; {:#?}", deadline.rules);
        assert_eq!(deadline.due_instant, end_of_day(day(statutory), self.zone), "{row}: instant");
        deadline
    }
}

/// Row, regime, calendar, receipt, unrolled end, statutory end.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const ROWS: &[Row] = &[
    ("E-1", "EU", "DE", "2024-03-05", "2024-04-05", "2024-04-05"),
    ("E-2", "EU", "DE", "2026-08-31", "2026-09-30", "2026-09-30"),
    ("E-3", "EU", "DE", "2023-01-31", "2023-02-28", "2023-02-28"),
    ("E-4", "EU", "DE", "2024-01-31", "2024-02-29", "2024-02-29"),
    ("E-5", "EU", "DE", "2024-01-30", "2024-02-29", "2024-02-29"),
    ("E-6", "EU", "DE", "2023-01-29", "2023-02-28", "2023-02-28"),
    ("E-7", "EU", "DE", "2024-02-29", "2024-03-29", "2024-04-02"),
    ("E-9", "EU", "DE", "2025-02-28", "2025-03-28", "2025-03-28"),
    ("E-11", "EU", "DE", "2025-12-31", "2026-01-31", "2026-02-02"),
    ("E-13", "EU", "DE", "2026-10-14", "2026-11-14", "2026-11-16"),
    ("E-14", "EU", "IT", "2026-03-31T23:30", "2026-04-30", "2026-04-30"),
    ("E-15", "EU", "IT", "2026-04-01T00:30", "2026-05-01", "2026-05-04"),
    ("E-16", "EU", "IT", "2026-10-17T23:50", "2026-11-17", "2026-11-17"),
    ("E-17", "EU", "DE", "2025-11-25", "2025-12-25", "2025-12-29"),
    ("E-20", "EU", "IT", "2026-05-02", "2026-06-02", "2026-06-03"),
    ("E-22", "EU", "DE", "2025-09-03", "2025-10-03", "2025-10-06"),
    ("E-22 in Italy", "EU", "IT", "2025-09-03", "2025-10-03", "2025-10-03"),
    ("E-24", "EU", "FR", "2026-06-14", "2026-07-14", "2026-07-15"),
    ("E-24 in Germany", "EU", "DE", "2026-06-14", "2026-07-14", "2026-07-14"),
    ("E-26", "EU", "DE-BY", "2026-12-06", "2027-01-06", "2027-01-07"),
    ("E-28", "UK", "GB-ENG", "2024-11-25", "2024-12-25", "2024-12-27"),
    ("E-29", "UK", "GB-ENG", "2024-01-01", "2024-02-01", "2024-02-01"),
    ("E-49", "UK", "GB-ENG", "2026-01-31", "2026-02-28", "2026-03-02"),
    ("E-50 Brazil", "BR", "US", "2026-02-10", "2026-02-25", "2026-02-25"),
    ("E-50 Switzerland", "CH", "CH", "2026-03-02", "2026-04-01", "2026-04-01"),
];

#[test]
fn e_1_to_e_29_e_49_and_e_50_plain_terms() {
    for (row, regime, code, received_on, unrolled, statutory) in ROWS {
        Asked::new(regime, code, received_on).gives(row, unrolled, statutory);
    }
}

#[test]
fn e_rows_for_germany_hold_in_berlin_too() {
    for (row, regime, _, received_on, unrolled, statutory) in ROWS.iter().filter(|row| row.2 == "DE") {
        Asked::new(regime, "DE-BE", received_on).gives(row, unrolled, statutory);
    }
}

#[test]
fn e_14_and_e_15_lie_on_the_same_day_in_utc_and_on_two_in_rome() {
    let rome = calendar("IT").calendar().time_zone;
    let before = received("2026-03-31T23:30", rome);
    let after = received("2026-04-01T00:30", rome);
    assert_eq!(before.date_naive(), after.date_naive());
    assert_eq!(after, "2026-03-31T22:30:00Z".parse::<DateTime<Utc>>().unwrap());
}

#[test]
fn e_17_every_day_that_was_passed_over_is_named() {
    let deadline = Asked::new("EU", "DE", "2025-11-25").answer().unwrap();
    let moved = deadline.rules.iter().find(|step| step.rule == StepRule::WorkingDay).unwrap();
    assert_eq!(
        moved.text,
        "moved to the next working day of DE, Mon 2025-12-29: Thu 2025-12-25 is Christmas Day, Fri 2025-12-26 is \
         Second Christmas Day, Sat 2025-12-27 is Saturday, Sun 2025-12-28 is Sunday"
    );
}

#[test]
fn e_30_an_extension_is_counted_from_the_receipt_and_the_other_reading_is_the_internal_date() {
    let asked = Asked::new("EU", "DE", "2025-01-31").extended(Extension::Notified(day("2025-02-28")));
    let deadline = asked.gives("E-30", "2025-04-30", "2025-04-30");
    assert_eq!(deadline.internal_due, day("2025-04-28"));
}

#[test]
fn e_32_an_extension_is_rolled_once() {
    Asked::new("EU", "DE", "2025-11-30").extended(Extension::Granted).gives(
        "E-32",
        "2026-02-28",
        "2026-03-02",
    );
    Asked::new("EU", "DE", "2025-11-30").gives("E-32 base", "2025-12-30", "2025-12-30");
}

#[test]
fn e_34_a_notice_between_the_conservative_and_the_statutory_date_is_lawful_and_warned_of() {
    let notified = |on| Asked::new("EU", "DE", "2026-03-05").extended(Extension::Notified(day(on)));
    let deadline = notified("2026-04-07").gives("E-34", "2026-06-05", "2026-06-05");
    assert!(deadline.rules.iter().any(|step| step.rule == StepRule::LateNotice), "{:#?}", deadline.rules);
    let in_time = notified("2026-04-05").gives("E-34 in time", "2026-06-05", "2026-06-05");
    assert!(in_time.rules.iter().all(|step| step.rule != StepRule::LateNotice));
    let late = DeadlineError::ExtensionTooLate { notice: day("2026-04-08"), due: day("2026-04-07") };
    assert_eq!(notified("2026-04-08").answer(), Err(late));
}

#[test]
fn e_36_to_e_40_pauses_by_regime() {
    use PauseCause::{Clarification, Identity};
    for (row, regime, code, cause, from, to, unrolled) in [
        ("E-36", "EU", "DE", Identity, "2026-03-03", "2026-03-10", "2026-04-02"),
        ("E-37", "EU-suspend", "DE", Identity, "2026-03-03", "2026-03-10", "2026-04-09"),
        ("E-39", "UK", "GB-ENG", Identity, "2026-03-03", "2026-03-10", "2026-04-10"),
        ("E-40", "UK", "GB-ENG", Clarification, "2026-03-09", "2026-03-16", "2026-04-10"),
    ] {
        Asked::new(regime, code, "2026-03-02").pause(cause, from, to).gives(row, unrolled, unrolled);
    }
}

#[test]
fn e_42_california_counts_days_and_business_days() {
    let mut asked = Asked::new("US-CA", "US-CA", "2026-11-20");
    let deadline = asked.gives("E-42", "2027-01-04", "2027-01-04");
    assert_eq!(deadline.acknowledge_by, Some(day("2026-12-08")));
    asked.kind = Some(RequestKind::OptOut);
    let deadline = asked.answer().unwrap();
    assert_eq!(deadline.statutory_due, day("2026-12-15"), "{:#?}", deadline.rules);
    assert_eq!(deadline.conservative_due, day("2026-12-11"), "no holiday taken off");
    // The federal calendar has no day off after Thanksgiving.
    asked.calendars = vec![calendar("US")];
    let deadline = asked.answer().unwrap();
    assert_eq!(
        (deadline.acknowledge_by, deadline.statutory_due),
        (Some(day("2026-12-07")), day("2026-12-14"))
    );
}

#[test]
fn r_8_california_confirms_receipt_within_ten_business_days() {
    let deadline = Asked::new("US-CA", "US-CA", "2026-03-02").answer().unwrap();
    assert_eq!(deadline.acknowledge_by, Some(day("2026-03-16")));
}

#[test]
fn e_44_a_due_day_ends_at_local_midnight() {
    let rome = calendar("IT").calendar().time_zone;
    for (on, expected) in [
        ("2026-04-02", "2026-04-02T22:00:00Z"),
        ("2026-02-02", "2026-02-02T23:00:00Z"),
        ("2026-03-29", "2026-03-29T22:00:00Z"),
    ] {
        assert_eq!(end_of_day(day(on), rome), expected.parse::<DateTime<Utc>>().unwrap());
    }
}

#[test]
fn f_49_a_month_from_each_months_end_and_from_leap_days_in_every_zone() {
    let ends = [
        ("2023-01-31", "2023-02-28"),
        ("2024-01-31", "2024-02-29"),
        ("2024-02-29", "2024-03-29"),
        ("2025-03-31", "2025-04-30"),
        ("2025-10-31", "2025-11-30"),
        ("2025-12-31", "2026-01-31"),
    ];
    for zone in chrono_tz::TZ_VARIANTS {
        for (on, expected) in ends {
            // The first and the last minute of the day there; where the clocks skip one of them, the other stands for it.
            for minute in ["00:00:00", "23:59:59"] {
                let local = format!("{on}T{minute}").parse().unwrap();
                let Some(received_at) = zone.from_local_datetime(&local).earliest() else { continue };
                let received_at = received_at.with_timezone(&Utc);
                let asked = Asked { zone, received_at, ..Asked::new("EU", "IT", on) };
                let answer = asked.answer().unwrap();
                assert_eq!(answer.conservative_due, day(expected), "{zone}, {on} {minute}");
                assert!(answer.due_instant <= end_of_day(answer.statutory_due, zone), "{zone}, {on}");
            }
        }
    }
}

#[test]
fn e_45_an_incident_counts_hours_without_any_shift() {
    let berlin = calendar("DE").calendar().time_zone;
    let due = incident_due(RegimeCode::EU, received("2026-10-02T16:20", berlin), berlin).unwrap();
    assert_eq!(due, received("2026-10-05T16:20", berlin));
    let none = incident_due("US-CA".parse().unwrap(), due, berlin);
    assert_eq!(none, Err(DeadlineError::NoIncidentTimer("US-CA")));
}

#[test]
fn e_46_and_e_47_retention_periods_clamp_and_are_not_rolled() {
    for (row, anchor, period, last_day, erase_from) in [
        ("E-46", "2024-02-29", "12m", "2025-02-28", "2025-03-01"),
        ("E-47", "2023-08-31", "6m", "2024-02-29", "2024-03-01"),
        ("E-47", "2023-08-31", "36m", "2026-08-31", "2026-09-01"),
    ] {
        let expected = Retention { last_day: day(last_day), erase_from: day(erase_from) };
        assert_eq!(retention(day(anchor), period.parse().unwrap()), Ok(expected), "{row}");
    }
}

#[test]
fn r_15_of_several_calendars_the_earliest_date_counts() {
    for order in [["DE", "IT"], ["IT", "DE"]] {
        let mut asked = Asked::new("EU", "DE", "2025-09-03");
        asked.calendars = order.iter().map(|code| calendar(code)).collect();
        let deadline = asked.gives("R-15", "2025-10-03", "2025-10-03");
        assert!(deadline.rules.iter().any(|step| step.rule == StepRule::EarliestCalendar));
    }
}

#[test]
fn r_4_a_year_that_the_calendar_does_not_know_names_the_conservative_date() {
    let error = Asked::new("EU", "DE", "2030-12-05").answer().unwrap_err();
    assert!(error.to_string().ends_with("keep to the conservative date, 2031-01-05"), "{error}");
}

#[test]
fn internal_dates_are_targets_and_margins() {
    for (regime, code, kind, expected) in [
        ("EU", "DE", Some(RequestKind::Access), "2026-03-12"),
        ("EU", "DE", Some(RequestKind::Erasure), "2026-03-07"),
        ("EU", "DE", Some(RequestKind::OptOut), "2026-03-03"),
        ("EU", "DE", None, "2026-04-02"),
        ("UK", "GB-ENG", None, "2026-04-01"),
        ("US-CA", "US-CA", None, "2026-04-15"),
    ] {
        let mut asked = Asked::new(regime, code, "2026-03-02");
        asked.kind = kind;
        assert_eq!(asked.answer().unwrap().internal_due, day(expected), "{regime} {kind:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    use PauseCause::Identity;
    let eu = || Asked::new("EU", "DE", "2026-03-02");
    for (asked, expected) in [
        (eu().pause(Identity, "2026-03-10", "2026-03-03"), "ends before it begins"),
        (eu().pause(Identity, "2026-03-01", "2026-03-03"), "lies before the receipt"),
        (eu().extended(Extension::Notified(day("2026-03-01"))), "lies before the receipt"),
        (Asked::new("BR", "US", "2026-03-02").extended(Extension::Granted), "knows no extension"),
        (Asked::new("EU", "DE", "2018-05-01"), "begins on 2018-05-25"),
        (Asked { calendars: Vec::new(), ..eu() }, "needs a calendar"),
    ] {
        let text = asked.answer().unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }
    for text in ["", "m", "0m", "1", "1w", "-1m", "+1m", "1.5m", "99999999999d"] {
        assert!(text.parse::<Period>().is_err(), "{text}");
    }
}

#[test]
fn a_pause_after_the_end_of_the_term_brings_nothing_back() {
    let asked =
        Asked::new("EU-suspend", "DE", "2026-03-02").pause(PauseCause::Identity, "2026-04-03", "2026-04-20");
    asked.gives("late pause", "2026-04-02", "2026-04-02");
}

#[test]
fn overlapping_pauses_give_no_day_twice() {
    let asked = Asked::new("EU-suspend", "DE", "2026-03-02")
        .pause(PauseCause::Identity, "2026-03-03", "2026-03-10")
        .pause(PauseCause::Clarification, "2026-03-05", "2026-03-12");
    asked.gives("overlap", "2026-04-11", "2026-04-13");
}

fn days() -> impl Strategy<Value = NaiveDate> {
    (0_u64..2_400).prop_map(|offset| day("2023-01-01") + Days::new(offset))
}

fn rolling_regimes() -> impl Strategy<Value = RegimeCode> {
    prop::sample::select(vec!["EU", "EU-suspend", "UK"]).prop_map(|code| code.parse().unwrap())
}

fn calendars() -> impl Strategy<Value = CalendarCode> {
    prop::sample::select(CalendarCode::all().collect::<Vec<_>>())
}

fn pauses_after(start: NaiveDate, gaps: &[(u64, u64)]) -> Vec<Pause> {
    let cause = [PauseCause::Identity, PauseCause::Clarification, PauseCause::Fee];
    gaps.iter()
        .zip(cause.iter().cycle())
        .map(|((from, length), cause)| {
            let from = start + Days::new(*from);
            Pause { cause: *cause, from, to: from + Days::new(*length) }
        })
        .collect()
}

fn ask(regime: RegimeCode, code: CalendarCode, on: NaiveDate, pauses: Vec<Pause>) -> Asked {
    let mut asked = Asked::new("EU", code.as_str(), &on.to_string());
    asked.regime = regime;
    asked.pauses = pauses;
    asked
}

proptest! {
    #[test]
    fn r_3_the_day_number_is_that_of_the_receipt_or_the_months_last(on in days(), months in 1_u32..60) {
        let end = Period::Months(months).end(on).unwrap();
        let last = end.num_days_in_month();
        prop_assert_eq!(end.day(), on.day().min(u32::from(last)));
        let elapsed = (end.year() - on.year()) * 12 + i32::try_from(end.month()).unwrap() - i32::try_from(on.month()).unwrap();
        prop_assert_eq!(elapsed, i32::try_from(months).unwrap());
    }

    #[test]
    fn a_later_receipt_is_never_due_earlier(on in days(), regime in rolling_regimes(), code in calendars()) {
        let first = ask(regime, code, on, Vec::new()).answer().unwrap();
        let second = ask(regime, code, on + Days::new(1), Vec::new()).answer().unwrap();
        prop_assert!(first.unrolled <= second.unrolled && first.statutory_due <= second.statutory_due);
    }

    #[test]
    fn internal_conservative_and_statutory_dates_stand_in_order(
        on in days(),
        regime in prop::sample::select(RegimeCode::all().collect::<Vec<_>>()),
        code in calendars(),
        kind in prop::option::of(prop::sample::select(RequestKind::ALL.to_vec())),
        extend: bool,
        gaps in prop::collection::vec((0_u64..60, 0_u64..30), 0..4),
    ) {
        let mut asked = ask(regime, code, on, pauses_after(on, &gaps));
        asked.kind = kind;
        if extend {
            asked.extension = Extension::Granted;
        }
        if let Ok(deadline) = asked.answer() {
            prop_assert!(deadline.internal_due <= deadline.conservative_due);
            prop_assert!(deadline.conservative_due <= deadline.statutory_due);
            prop_assert!(deadline.conservative_due_instant <= deadline.due_instant);
            prop_assert!(deadline.received_on <= deadline.start_on && deadline.start_on < deadline.unrolled);
            prop_assert!(deadline.rules.iter().all(|step| !step.text.is_empty()));
        } else {
            // Only what the regimes really do not have, or what lies before them or after the calendar.
            let error = asked.answer().unwrap_err();
            let known = matches!(
                error,
                DeadlineError::NoExtension(_) | DeadlineError::NotYetInForce { .. } | DeadlineError::YearUnknown { .. }
            );
            prop_assert!(known, "{}", error);
        }
    }

    #[test]
    fn a_statutory_date_is_the_first_working_day_from_the_unrolled_one(
        on in days(), regime in rolling_regimes(), code in calendars(),
    ) {
        let deadline = ask(regime, code, on, Vec::new()).answer().unwrap();
        prop_assert_eq!(code.day_off(deadline.statutory_due, on).unwrap(), None);
        for passed in deadline.unrolled.iter_days().take_while(|each| *each < deadline.statutory_due) {
            prop_assert!(code.day_off(passed, on).unwrap().is_some(), "{}", passed);
        }
    }

    #[test]
    fn an_extension_is_never_due_earlier(
        on in days(), regime in rolling_regimes(), code in calendars(),
        gaps in prop::collection::vec((0_u64..60, 0_u64..30), 0..3),
    ) {
        let mut asked = ask(regime, code, on, pauses_after(on, &gaps));
        if let Ok(base) = asked.answer() {
            asked.extension = Extension::Granted;
            if let Ok(extended) = asked.answer() {
                prop_assert!(extended.unrolled > base.unrolled && extended.statutory_due >= base.statutory_due);
            }
        }
    }

    #[test]
    fn a_pause_more_never_shortens_where_time_stands_still(
        on in days(), code in calendars(),
        gaps in prop::collection::vec((0_u64..60, 0_u64..30), 1..5),
    ) {
        let regime = "EU-suspend".parse().unwrap();
        let all = pauses_after(on, &gaps);
        let fewer = ask(regime, code, on, all[1..].to_vec()).answer();
        if let (Ok(fewer), Ok(more)) = (fewer, ask(regime, code, on, all).answer()) {
            prop_assert!(fewer.unrolled <= more.unrolled && fewer.statutory_due <= more.statutory_due);
        }
    }

    #[test]
    fn where_time_runs_on_no_pause_moves_anything(
        on in days(), code in calendars(), gaps in prop::collection::vec((0_u64..60, 0_u64..30), 1..5),
    ) {
        let with = ask(RegimeCode::EU, code, on, pauses_after(on, &gaps)).answer().unwrap();
        let without = ask(RegimeCode::EU, code, on, Vec::new()).answer().unwrap();
        prop_assert_eq!((with.unrolled, with.statutory_due), (without.unrolled, without.statutory_due));
    }

    #[test]
    fn f_49_wherever_and_whenever_it_came_no_due_date_is_later_than_the_laws(
        seconds in 0_i64..2_400 * 86_400,
        zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec()),
        regime in rolling_regimes(),
        code in calendars(),
    ) {
        let received_at = received("2023-01-01", Tz::UTC) + chrono::TimeDelta::seconds(seconds);
        let received_on = received_at.with_timezone(&zone).date_naive();
        let asked = Asked { zone, received_at, ..ask(regime, code, day("2023-01-01"), Vec::new()) };
        let answer = asked.answer().unwrap();
        // Art. 12(3): a month from the receipt, by the calendar of where it was received.
        let law = received_on + chrono::Months::new(1);
        prop_assert!(answer.conservative_due <= law);
        prop_assert_eq!(conservative_due(regime, RequestKind::Access, received_at, zone), answer.conservative_due);
        // What is due on a day is not late before that day is over there, and is late from then on.
        let last_moment = end_of_day(answer.conservative_due, zone) - chrono::TimeDelta::seconds(1);
        prop_assert!(last_moment.with_timezone(&zone).date_naive() <= answer.conservative_due);
        prop_assert!(end_of_day(answer.conservative_due, zone).with_timezone(&zone).date_naive() > answer.conservative_due);
    }

    #[test]
    fn the_stored_due_date_is_the_conservative_one_and_needs_no_calendar(
        on in days(),
        regime in prop::sample::select(RegimeCode::all().collect::<Vec<_>>()),
        code in calendars(),
        kind in prop::sample::select(RequestKind::ALL.to_vec()),
    ) {
        let mut asked = ask(regime, code, on, Vec::new());
        asked.kind = Some(kind);
        let stored = conservative_due(regime, kind, asked.received_at, asked.zone);
        if let Ok(deadline) = asked.answer() {
            prop_assert_eq!(stored, deadline.conservative_due);
        }
        if regime == RegimeCode::EU {
            prop_assert_eq!(stored, on + chrono::Months::new(1));
        }
    }
}
