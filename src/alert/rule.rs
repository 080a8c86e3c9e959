//! Which causes there are to alert somebody: a pure function of a request, the settings and the time.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

use super::Settings;
use crate::domain::{AlertRule, Controller, Origin, ParkReason, Reference, RequestId, RequestKind};
use crate::figures::Block;

/// A request as the rules see it: one that is open, or whose person was not told after all.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) request: RequestId,
    pub(super) reference: Reference,
    pub(super) kind: RequestKind,
    pub(super) origin: Origin,
    /// The word of its state.
    pub(super) state: String,
    pub(super) park_reason: Option<ParkReason>,
    /// When it came to wait for a person the last time, if a step or an answer made it.
    pub(super) parked_at: Option<DateTime<Utc>>,
    pub(super) received_at: DateTime<Utc>,
    /// The conservative due date.
    pub(super) due_on: NaiveDate,
    /// The last lawful day, as computed from the events of the case; none without a calendar of holidays.
    pub(super) statutory_due_on: Option<NaiveDate>,
    /// The breach that it led to and that is open.
    pub(super) incident: Option<OpenIncident>,
    /// Recipients of its data that have not answered in their time, and the day by which the first of them should have.
    pub(super) recipients_late: Option<LateRecipients>,
    /// Whether the person knows that it was received: the mail server took a notice about it that did not come back, or one that
    /// did not arrive was made good.
    pub(super) confirmed: bool,
    /// Since when a notice of it has failed, if one has and it was not made good.
    pub(super) notice_failed_at: Option<DateTime<Utc>>,
    /// Whether its later date rests on the notice of an extension that came back after it was counted, and was not made good.
    pub(super) extension_came_back: bool,
}

/// A breach that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenIncident {
    /// When it was declared.
    pub(super) declared_at: DateTime<Utc>,
    /// Until when the authority must be told; none where the law sets no hours.
    pub(super) authority_due_at: Option<DateTime<Utc>>,
}

/// Recipients that have not answered in their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LateRecipients {
    /// How many.
    pub(super) count: i64,
    /// By when the latest of them should have answered: an acknowledgement from before was for others.
    pub(super) newest: NaiveDate,
}

/// Where the daily self-test of an organisation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SelfTestState {
    /// When the latest run that ended did, if it failed.
    pub(super) failed_at: Option<DateTime<Utc>>,
    /// When the next one is due, or was.
    pub(super) next_run_at: Option<DateTime<Utc>>,
}

/// Since when the figures of an organisation are worse than it wants, as last counted or forecast.
#[expect(clippy::struct_field_names, reason = "as the columns are named")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FiguresState {
    /// More requests are extended.
    pub(super) extended_since: Option<DateTime<Utc>>,
    /// More requests are not answered within a month.
    pub(super) late_since: Option<DateTime<Utc>>,
    /// Dates will be missed.
    pub(super) forecast_late_since: Option<DateTime<Utc>>,
}

/// Rows of producers that could not become a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ParkedRows {
    /// How many.
    pub(super) count: i64,
    /// When the latest of them was parked: an acknowledgement from before was for others.
    pub(super) newest: DateTime<Utc>,
    /// Since when the time of the first of them runs, or was seen to run at the latest.
    pub(super) running_since: DateTime<Utc>,
}

/// A hold whose review is due.
#[derive(Clone, Debug)]
pub(super) struct DueReview {
    pub(super) hold: uuid::Uuid,
    /// What people quote.
    pub(super) reference: String,
    /// Who answers for it.
    pub(super) owner: String,
    pub(super) review_on: NaiveDate,
    /// When the date came near.
    pub(super) since: DateTime<Utc>,
}

/// Why somebody has to look at a request, at a hold, or at the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) rule: AlertRule,
    /// For [`AlertRule::DueSoon`]: how many days before the due date it begins.
    pub(super) step: u16,
    /// An acknowledgement from before this instant was for another cause.
    pub(super) since: DateTime<Utc>,
}

impl Cause {
    const fn of(rule: AlertRule) -> Self {
        Self { rule, step: 0, since: DateTime::<Utc>::MIN_UTC }
    }
}

/// States in which a request waits for the person and not for us.
const WAITS_FOR_THE_PERSON: [&str; 2] = ["needs_identity", "needs_clarification"];

/// The causes of a request at an instant.
pub(super) fn causes(
    watched: &Watched,
    controller: &Controller,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Vec<Cause> {
    let today = now.with_timezone(&controller.time_zone).date_naive();
    let mut causes = Vec::new();
    let is_open = watched.state != "closed";
    if is_open && watched.origin == Origin::Subject {
        causes.extend(by_date(watched, controller, settings, today));
        causes.extend(unconfirmed(watched, controller, today));
    }
    if is_open && watched.park_reason == Some(ParkReason::VerificationFailed) {
        // Each time that it is not verified is another one.
        let since = watched.parked_at.unwrap_or(DateTime::<Utc>::MIN_UTC);
        causes.push(Cause { since, ..Cause::of(AlertRule::VerificationFailed) });
    }
    if let Some(incident) = watched.incident {
        causes.push(incident_cause(incident, now));
    }
    if let Some(late) = watched.recipients_late {
        causes.push(Cause {
            since: controller.end_of_day(late.newest),
            ..Cause::of(AlertRule::RecipientOverdue)
        });
    }
    if let Some(failed_at) = watched.notice_failed_at {
        // That somebody saw it tells the person nothing of the later date: it is another cause each day.
        let today_began = today.pred_opt().map_or(failed_at, |yesterday| controller.end_of_day(yesterday));
        let since =
            if is_open && watched.extension_came_back { failed_at.max(today_began) } else { failed_at };
        causes.push(Cause { since, ..Cause::of(AlertRule::NoticeBounced) });
    }
    causes
}

/// What the dates say: one cause, the gravest, and beside it that the law is broken. Each is another one where its date moved:
/// who acknowledged what was due in December hears of February.
fn by_date(watched: &Watched, controller: &Controller, settings: &Settings, today: NaiveDate) -> Vec<Cause> {
    if today > watched.due_on {
        let after = |day, rule| Cause { since: controller.end_of_day(day), ..Cause::of(rule) };
        let mut causes = vec![after(watched.due_on, AlertRule::Overdue)];
        if let Some(last_day) = watched.statutory_due_on.filter(|last_day| today > *last_day) {
            causes.push(after(last_day, AlertRule::StatutoryBreach));
        }
        return causes;
    }
    let left = (watched.due_on - today).num_days();
    let steps = settings.due_days.iter().copied();
    if let Some(step) = steps.filter(|days| left <= i64::from(*days)).min() {
        let day_before = watched.due_on.checked_sub_days(Days::new(u64::from(step) + 1));
        let since = day_before.map_or(DateTime::<Utc>::MIN_UTC, |day| controller.end_of_day(day));
        return vec![Cause { rule: AlertRule::DueSoon, step, since }];
    }
    let waits_for_us = !WAITS_FOR_THE_PERSON.contains(&watched.state.as_str());
    if waits_for_us && target(watched, controller).is_some_and(|target| today > target) {
        return vec![Cause::of(AlertRule::TargetMissed)];
    }
    Vec::new()
}

/// What the law says of confirming receipt. Without an address there is nothing to send, and a person confirms it by other
/// means; that is said by acknowledging the alert.
pub(super) fn unconfirmed(watched: &Watched, controller: &Controller, today: NaiveDate) -> Option<Cause> {
    if watched.confirmed {
        return None;
    }
    let term = controller.acknowledgement(watched.kind, watched.received_at)?;
    let late = (today > term.by).then_some(AlertRule::AcknowledgementLate);
    let near = (today >= term.near_on).then_some(AlertRule::AcknowledgementDue);
    late.or(near).map(Cause::of)
}

/// The last day of the organisation's own goal for that kind of request.
fn target(watched: &Watched, controller: &Controller) -> Option<NaiveDate> {
    let received_on = watched.received_at.with_timezone(&controller.time_zone).date_naive();
    let regime = controller.regime.version_on(received_on).ok()?;
    received_on.checked_add_days(Days::new(regime.target_days(watched.kind).into()))
}

/// What an open breach asks for: to tell the authority in time, anew in the last day, and after the time is over.
fn incident_cause(incident: OpenIncident, now: DateTime<Utc>) -> Cause {
    let (rule, step) = match incident.authority_due_at {
        Some(due_at) if now >= due_at => (AlertRule::IncidentOverdue, 0),
        Some(due_at) if due_at - now <= TimeDelta::days(1) => (AlertRule::IncidentOpen, 1),
        _ => (AlertRule::IncidentOpen, 0),
    };
    Cause { rule, step, since: incident.declared_at }
}

/// The cause that a hold gives whose review is due.
pub(super) fn review_cause(review: &DueReview) -> Cause {
    Cause { since: review.since, ..Cause::of(AlertRule::HoldReview) }
}

/// The cause that holds on the audit log give, the latest of which was to be reviewed on a day.
pub(super) fn log_review(review_on: NaiveDate, controller: &Controller) -> Cause {
    let day_before = review_on.pred_opt().unwrap_or(review_on);
    Cause { since: controller.end_of_day(day_before), ..Cause::of(AlertRule::LogHoldReview) }
}

/// The cause that a platform gives which does not answer since `down_since`.
pub(super) fn platform_cause(
    down_since: DateTime<Utc>,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Option<Cause> {
    let patience = TimeDelta::hours(settings.platform_down_hours.into());
    (now - down_since >= patience)
        .then_some(Cause { since: down_since, ..Cause::of(AlertRule::PlatformDown) })
}

/// The cause that a forecast gives by which dates will be missed, without a break since an instant (F-46).
pub(super) const fn forecast_late(since: DateTime<Utc>) -> Cause {
    Cause { rule: AlertRule::ForecastLate, step: 0, since }
}

/// The cause that a platform gives which ignores a filter, the latest found at `found_at` (S-7).
pub(super) const fn filter_ignored(found_at: DateTime<Utc>) -> Cause {
    Cause { rule: AlertRule::FilterIgnored, step: 0, since: found_at }
}

/// The cause that contacts give which came back and wait for a person, the last of them found at `found_at`.
pub(super) const fn came_back(found_at: DateTime<Utc>) -> Cause {
    Cause { rule: AlertRule::CameBack, step: 0, since: found_at }
}

/// The cause that parked rows give: of the organisation, or of none that is configured.
pub(super) const fn rows_parked(rows: ParkedRows, rule: AlertRule) -> Cause {
    Cause { rule, step: 0, since: rows.newest }
}

/// The earliest day by which any of them may have to be answered: what is asked is not known yet.
pub(super) fn earliest_due(rows: ParkedRows, controller: &Controller) -> Option<NaiveDate> {
    RequestKind::ALL.iter().map(|kind| controller.due_on(*kind, rows.running_since)).min()
}

/// The cause that a flood gives whose latest window began at `window_start` (S-10).
pub(super) const fn flood(window_start: DateTime<Utc>) -> Cause {
    Cause { rule: AlertRule::Flood, step: 0, since: window_start }
}

/// The cause that a self-test gives which failed, or was due a day ago and has not begun.
pub(super) fn self_test(state: SelfTestState, now: DateTime<Utc>) -> Option<Cause> {
    let missed = state.next_run_at.filter(|due_at| now - *due_at >= TimeDelta::days(1));
    let since = state.failed_at.max(missed)?;
    Some(Cause { since, ..Cause::of(AlertRule::SelfTestFailed) })
}

/// Which of the figures of an organisation are worse than it wants: extensions, answers within a month.
pub(super) fn worse_than_wanted(figures: &Block, settings: &Settings) -> (bool, bool) {
    let is_over = |count: u64, of: u64, percent: u8| {
        of >= settings.figures_least.into() && count * 100 > of * u64::from(percent)
    };
    let (extended, in_time) = (figures.extended, figures.within_1_month);
    (
        is_over(extended.count, extended.of, settings.extended_percent),
        is_over(in_time.of - in_time.count, in_time.of, settings.late_percent),
    )
}

/// The causes that the figures of an organisation give, each since an instant.
/// A share that is not looked at any more says nothing, whatever was counted before.
pub(super) fn of_figures(state: FiguresState, settings: &Settings) -> impl Iterator<Item = Cause> {
    let each = [
        (AlertRule::OftenExtended, state.extended_since, settings.extended_percent),
        (AlertRule::OftenLate, state.late_since, settings.late_percent),
    ];
    each.into_iter()
        .filter(|(.., percent)| *percent < 100)
        .filter_map(|(rule, since, _)| Some(Cause { since: since?, ..Cause::of(rule) }))
}

/// The cause that a sweep gives which was due at `due_at` and has not begun.
pub(super) fn sweep_missed(due_at: DateTime<Utc>, settings: &Settings, now: DateTime<Utc>) -> Option<Cause> {
    let patience = TimeDelta::hours(settings.sweep_late_hours.into());
    (now - due_at >= patience).then_some(Cause { since: due_at, ..Cause::of(AlertRule::SweepMissed) })
}

/// The cause that contacts give which are past their term although a sweep ended, or may be since it did not get through,
/// or of which an erasure came to wait, at an instant.
pub(super) const fn past_term(since: DateTime<Utc>) -> Cause {
    Cause { rule: AlertRule::PastTerm, step: 0, since }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::settings::tests::boring;
    use crate::domain::deadline::RegimeCode;

    fn controller() -> Controller {
        Controller {
            id: "venue".parse().unwrap(),
            name: "Venue".to_owned(),
            contact: "dpo@venue.example".to_owned(),
            time_zone: chrono_tz::Europe::Rome,
            regime: RegimeCode::EU,
            calendar: Some("IT".parse().unwrap()),
            further_calendars: Vec::new(),
            reminder_days: 0,
            frequent_from: 4,
            two_persons: Vec::new(),
            default_country: None,
            language: "en".to_owned(),
            opt_out_policies: Vec::new(),
            identity: crate::domain::IdentityRules::default(),
            erasure: crate::domain::ErasureRules::default(),
            flood: crate::domain::FloodLimits::NONE,
        }
    }

    fn watched(kind: RequestKind) -> Watched {
        let request = RequestId(uuid::Uuid::nil());
        let received_at = "2026-11-23T11:00:00Z".parse().unwrap();
        Watched {
            request,
            reference: Reference::of(request),
            kind,
            origin: Origin::Subject,
            state: "in_progress".to_owned(),
            park_reason: None,
            parked_at: None,
            received_at,
            due_on: controller().due_on(kind, received_at),
            statutory_due_on: Some(controller().due_on(kind, received_at)),
            incident: None,
            recipients_late: None,
            confirmed: false,
            notice_failed_at: None,
            extension_came_back: false,
        }
    }

    fn rules_on(watched: &Watched, day: &str) -> Vec<(AlertRule, u16)> {
        let noon = format!("{day}T12:00:00Z").parse().unwrap();
        let causes = causes(watched, &controller(), &boring(), noon);
        causes.into_iter().map(|cause| (cause.rule, cause.step)).collect()
    }

    #[test]
    fn r_5_a_request_is_told_of_at_its_target_and_ten_five_and_two_days_before_it_is_due() {
        use AlertRule::{DueSoon, Overdue, StatutoryBreach, TargetMissed};
        let access = watched(RequestKind::Access);
        assert_eq!(access.due_on.to_string(), "2026-12-23");
        for (day, expected) in [
            ("2026-11-24", vec![]),
            ("2026-12-03", vec![]),
            ("2026-12-04", vec![(TargetMissed, 0)]),
            ("2026-12-12", vec![(TargetMissed, 0)]),
            ("2026-12-13", vec![(DueSoon, 10)]),
            ("2026-12-17", vec![(DueSoon, 10)]),
            ("2026-12-18", vec![(DueSoon, 5)]),
            ("2026-12-21", vec![(DueSoon, 2)]),
            ("2026-12-23", vec![(DueSoon, 2)]),
            ("2026-12-24", vec![(Overdue, 0), (StatutoryBreach, 0)]),
        ] {
            assert_eq!(rules_on(&access, day), expected, "{day}");
        }
        assert_eq!(rules_on(&watched(RequestKind::Erasure), "2026-11-29"), [(TargetMissed, 0)]);
        assert_eq!(rules_on(&watched(RequestKind::OptOut), "2026-11-25"), [(TargetMissed, 0)]);
    }

    #[test]
    fn what_was_acknowledged_before_a_date_moved_was_another_cause() {
        let mut request = watched(RequestKind::Objection);
        let since = |request: &Watched, day: &str| {
            let noon = format!("{day}T12:00:00Z").parse().unwrap();
            let causes = causes(request, &controller(), &boring(), noon).into_iter();
            causes.map(|cause| cause.since.to_rfc3339()).collect::<Vec<_>>()
        };
        // The tenth day before the due date begins where the controller is.
        assert_eq!(since(&request, "2026-12-13"), ["2026-12-12T23:00:00+00:00"]);
        request.statutory_due_on = "2026-12-28".parse().ok();
        assert_eq!(
            since(&request, "2026-12-29"),
            ["2026-12-23T23:00:00+00:00", "2026-12-28T23:00:00+00:00"],
            "each by its own date"
        );
    }

    #[test]
    fn r_8_california_hears_three_business_days_before_receipt_is_confirmed_late_and_after() {
        let mut california = controller();
        california.time_zone = chrono_tz::America::Los_Angeles;
        california.regime = "US-CA".parse().unwrap();
        california.calendar = Some("US-CA".parse().unwrap());
        let mut access = watched(RequestKind::Access);
        access.received_at = "2026-03-02T20:00:00Z".parse().unwrap();
        access.due_on = california.due_on(RequestKind::Access, access.received_at);
        let on = |watched: &Watched, controller: &Controller, day: &str| {
            let noon = format!("{day}T20:00:00Z").parse().unwrap();
            let causes = causes(watched, controller, &boring(), noon);
            let rules = causes.into_iter().map(|cause| cause.rule);
            let wanted = [AlertRule::AcknowledgementDue, AlertRule::AcknowledgementLate];
            rules.filter(|rule| wanted.contains(rule)).collect::<Vec<_>>()
        };
        // To be confirmed by Monday 16 March; Wednesday 11 is three business days before.
        for (day, expected) in [
            ("2026-03-10", vec![]),
            ("2026-03-11", vec![AlertRule::AcknowledgementDue]),
            ("2026-03-16", vec![AlertRule::AcknowledgementDue]),
            ("2026-03-17", vec![AlertRule::AcknowledgementLate]),
            ("2026-06-01", vec![AlertRule::AcknowledgementLate]),
        ] {
            assert_eq!(on(&access, &california, day), expected, "{day}");
            let confirmed = Watched { confirmed: true, ..access.clone() };
            assert_eq!(on(&confirmed, &california, day), [], "{day}");
            // The law of the Union wants no confirmation, and that of California none of an opt-out.
            assert_eq!(on(&access, &controller(), day), [], "{day}");
            let opt_out = Watched { kind: RequestKind::CcpaOptOut, ..access.clone() };
            assert_eq!(on(&opt_out, &california, day), [], "{day}");
        }
        // Over Thanksgiving; without a calendar its days count, and the alert comes earlier.
        access.received_at = "2026-11-20T20:00:00Z".parse().unwrap();
        assert_eq!(on(&access, &california, "2026-12-02"), []);
        assert_eq!(on(&access, &california, "2026-12-03"), [AlertRule::AcknowledgementDue]);
        assert_eq!(on(&access, &california, "2026-12-08"), [AlertRule::AcknowledgementDue]);
        california.calendar = None;
        assert_eq!(on(&access, &california, "2026-12-01"), [AlertRule::AcknowledgementDue]);
        assert_eq!(on(&access, &california, "2026-12-05"), [AlertRule::AcknowledgementLate]);
    }

    #[test]
    fn the_breach_of_the_law_is_told_apart_from_that_of_the_conservative_date() {
        use AlertRule::{Overdue, StatutoryBreach};
        let mut access = watched(RequestKind::Access);
        // E-20: due on a Tuesday that is a holiday in Italy.
        access.received_at = "2026-05-02T10:00:00Z".parse().unwrap();
        access.due_on = "2026-06-02".parse().unwrap();
        access.statutory_due_on = Some("2026-06-03".parse().unwrap());
        assert_eq!(rules_on(&access, "2026-06-03"), [(Overdue, 0)]);
        assert_eq!(rules_on(&access, "2026-06-04"), [(Overdue, 0), (StatutoryBreach, 0)]);
        // An extension moves both dates; what is stored counts, and nothing is computed here.
        access.due_on = "2026-08-02".parse().unwrap();
        access.statutory_due_on = Some("2026-08-03".parse().unwrap());
        assert_eq!(rules_on(&access, "2026-08-03"), [(Overdue, 0)]);
        assert_eq!(rules_on(&access, "2026-08-04"), [(Overdue, 0), (StatutoryBreach, 0)]);
        // Without a calendar nobody knows it.
        access.statutory_due_on = None;
        assert_eq!(rules_on(&access, "2026-08-05"), [(Overdue, 0)]);
    }

    #[test]
    fn days_are_those_of_the_controller() {
        let access = watched(RequestKind::Access);
        let at = |instant: &str| {
            let causes = causes(&access, &controller(), &boring(), instant.parse().unwrap());
            causes.into_iter().map(|cause| cause.rule).next()
        };
        assert_eq!(at("2026-12-23T22:59:00Z"), Some(AlertRule::DueSoon));
        assert_eq!(at("2026-12-23T23:00:00Z"), Some(AlertRule::Overdue), "midnight in Rome");
    }

    #[test]
    fn r_83_failures_alert_whatever_the_date_and_who_waits_for_the_person_is_not_late() {
        use AlertRule::{NoticeBounced, VerificationFailed};
        let mut request = watched(RequestKind::Erasure);
        request.park_reason = Some(ParkReason::VerificationFailed);
        request.notice_failed_at = Some("2026-11-24T10:00:00Z".parse().unwrap());
        assert_eq!(rules_on(&request, "2026-11-24"), [(VerificationFailed, 0), (NoticeBounced, 0)]);
        request.origin = Origin::Retention;
        request.notice_failed_at = None;
        assert_eq!(rules_on(&request, "2027-11-24"), [(VerificationFailed, 0)]);

        let mut closed = watched(RequestKind::Access);
        closed.state = "closed".to_owned();
        assert!(rules_on(&closed, "2027-01-01").is_empty());
        closed.notice_failed_at = Some("2026-12-30T10:00:00Z".parse().unwrap());
        assert_eq!(rules_on(&closed, "2027-01-01"), [(NoticeBounced, 0)]);

        let mut asked = watched(RequestKind::Access);
        asked.state = "needs_identity".to_owned();
        assert!(rules_on(&asked, "2026-12-10").is_empty());
        assert_eq!(rules_on(&asked, "2026-12-21"), [(AlertRule::DueSoon, 2)]);
    }

    #[test]
    fn r_36_a_breach_is_told_of_until_the_authority_was_and_anew_in_its_last_day() {
        use AlertRule::{IncidentOpen, IncidentOverdue};
        let mut request = watched(RequestKind::Access);
        request.state = "closed".to_owned();
        let declared_at = "2026-11-24T12:00:00Z".parse().unwrap();
        request.incident = Some(OpenIncident {
            declared_at,
            authority_due_at: Some("2026-11-27T11:00:00Z".parse().unwrap()),
        });
        assert_eq!(rules_on(&request, "2026-11-25"), [(IncidentOpen, 0)]);
        assert_eq!(rules_on(&request, "2026-11-26"), [(IncidentOpen, 1)]);
        assert_eq!(rules_on(&request, "2026-11-27"), [(IncidentOverdue, 0)]);
        request.incident = Some(OpenIncident { declared_at, authority_due_at: None });
        assert_eq!(rules_on(&request, "2026-12-27"), [(IncidentOpen, 0)], "no hours, and still open");
    }

    #[test]
    fn r_42_a_recipient_that_does_not_answer_is_told_of_whatever_became_of_the_request() {
        let mut request = watched(RequestKind::Erasure);
        request.state = "closed".to_owned();
        request.recipients_late = Some(LateRecipients { count: 2, newest: "2026-12-24".parse().unwrap() });
        assert_eq!(rules_on(&request, "2026-12-25"), [(AlertRule::RecipientOverdue, 0)]);
    }

    #[test]
    fn r_84_a_platform_is_told_of_after_a_day() {
        let since: DateTime<Utc> = "2026-11-23T11:00:00Z".parse().unwrap();
        let after = |hours| {
            platform_cause(since, &boring(), since + TimeDelta::hours(hours)).map(|cause| cause.since)
        };
        assert_eq!(after(23), None);
        assert_eq!(after(24), Some(since));
    }
}
