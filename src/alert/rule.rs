//! Which causes there are to alert somebody: a pure function of a request, the settings and the time.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

use super::Settings;
use crate::domain::deadline::{Extension, Term};
use crate::domain::{AlertRule, Controller, Origin, ParkReason, Reference, RequestId, RequestKind};

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
    pub(super) received_at: DateTime<Utc>,
    /// The conservative due date.
    pub(super) due_on: NaiveDate,
    /// Since when a notice of it has failed, if one has and it was not made good.
    pub(super) notice_failed_at: Option<DateTime<Utc>>,
}

/// Why somebody has to look at a request, or at the platform.
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
    }
    if is_open && watched.park_reason == Some(ParkReason::VerificationFailed) {
        causes.push(Cause::of(AlertRule::VerificationFailed));
    }
    if let Some(since) = watched.notice_failed_at {
        causes.push(Cause { since, ..Cause::of(AlertRule::NoticeBounced) });
    }
    causes
}

/// What the dates say: one cause, the gravest, and beside it that the law is broken.
fn by_date(watched: &Watched, controller: &Controller, settings: &Settings, today: NaiveDate) -> Vec<Cause> {
    if today > watched.due_on {
        let mut causes = vec![Cause::of(AlertRule::Overdue)];
        if statutory_due(watched, controller).is_some_and(|last_day| today > last_day) {
            causes.push(Cause::of(AlertRule::StatutoryBreach));
        }
        return causes;
    }
    let left = (watched.due_on - today).num_days();
    let steps = settings.due_days.iter().copied();
    if let Some(step) = steps.filter(|days| left <= i64::from(*days)).min() {
        return vec![Cause { step, ..Cause::of(AlertRule::DueSoon) }];
    }
    let waits_for_us = !WAITS_FOR_THE_PERSON.contains(&watched.state.as_str());
    if waits_for_us && target(watched, controller).is_some_and(|target| today > target) {
        return vec![Cause::of(AlertRule::TargetMissed)];
    }
    Vec::new()
}

/// The last day of the organisation's own goal for that kind of request.
fn target(watched: &Watched, controller: &Controller) -> Option<NaiveDate> {
    let received_on = watched.received_at.with_timezone(&controller.time_zone).date_naive();
    let regime = controller.regime.version_on(received_on).ok()?;
    received_on.checked_add_days(Days::new(regime.target_days(watched.kind).into()))
}

/// The last lawful day; `None` without a calendar of holidays, and for a request whose term is not the plain one of its
/// receipt. Until it is known, the conservative date has alarmed already.
fn statutory_due(watched: &Watched, controller: &Controller) -> Option<NaiveDate> {
    let calendars: Vec<_> = controller.calendar.into_iter().collect();
    let term = Term {
        regime: controller.regime,
        calendars: &calendars,
        zone: controller.time_zone,
        received_at: watched.received_at,
        kind: Some(watched.kind),
        extension: Extension::None,
        pauses: &[],
    };
    let deadline = term.deadline().ok()?;
    (deadline.conservative_due == watched.due_on).then_some(deadline.statutory_due)
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
            default_country: None,
            language: "en".to_owned(),
            opt_out_policies: Vec::new(),
            identity: crate::domain::IdentityRules::default(),
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
            received_at,
            due_on: controller().due_on(kind, received_at),
            notice_failed_at: None,
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
    fn the_breach_of_the_law_is_told_apart_from_that_of_the_conservative_date() {
        use AlertRule::{Overdue, StatutoryBreach};
        let mut access = watched(RequestKind::Access);
        // E-20: due on a Tuesday that is a holiday in Italy.
        access.received_at = "2026-05-02T10:00:00Z".parse().unwrap();
        access.due_on = "2026-06-02".parse().unwrap();
        assert_eq!(rules_on(&access, "2026-06-03"), [(Overdue, 0)]);
        assert_eq!(rules_on(&access, "2026-06-04"), [(Overdue, 0), (StatutoryBreach, 0)]);
        // An extended term is not guessed at.
        access.due_on = "2026-08-02".parse().unwrap();
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
    fn r_84_a_platform_is_told_of_after_a_day() {
        let since: DateTime<Utc> = "2026-11-23T11:00:00Z".parse().unwrap();
        let after = |hours| {
            platform_cause(since, &boring(), since + TimeDelta::hours(hours)).map(|cause| cause.since)
        };
        assert_eq!(after(23), None);
        assert_eq!(after(24), Some(since));
    }
}
