//! F-29, F-46: staff sees before a date is missed that, at the pace that the platform allows, it will be.

use chrono::TimeDelta;
use dsrd::alert::{self, Watch};
use dsrd::delivery::MemoryTransport;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{AlertRule, Clock as _, RequestId, RequestKind, RequestState};
use dsrd::figures::{self, Outlook};
use dsrd::{intake, queue};
use dsrd_simulator::{ContactSpec, Endpoint, Fault, RetryAfter};
use sqlx::AssertSqlSafe;

use crate::alerts::{dpo, everything, open_rules, round, settings};
use crate::rig::count;
use crate::support::alerts::{self, limit, ward};
use crate::support::oracle::CANARY;
use crate::support::service::TestService;

async fn outlook(service: &TestService, limit: queue::Limit) -> Outlook {
    let controller = &service.controller;
    let mut connection = service.store.connection().await.unwrap();
    let now = service.clock.now();
    figures::outlook(&mut connection, &controller.id, controller.time_zone, limit, now).await.unwrap()
}

/// The watch of a daemon whose platform may be called as often as `limit` says.
fn watch(service: &TestService, limit: queue::Limit) -> (Watch, MemoryTransport) {
    let mails = MemoryTransport::new();
    let ward = alert::Ward { sweeps: false, self_tests: false, limit, ..ward(service, settings()) };
    (alerts::watch(service, ward, &mails), mails)
}

async fn execute(service: &TestService, statement: &'static str) {
    let mut connection = service.store.connection().await.unwrap();
    sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await.unwrap();
}

async fn withdraw(service: &TestService, request: RequestId) {
    let mut tx = service.store.begin("test").await.unwrap();
    intake::withdraw(&mut tx, &service.desk, &service.controller, request, dpo()).await.unwrap();
    tx.commit().await.unwrap();
}

async fn is_told(service: &TestService) -> bool {
    open_rules(service).await.contains(&AlertRule::ForecastLate)
}

#[tokio::test]
async fn f_29_a_pause_that_the_platform_asks_for_moves_the_forecast_and_its_end_moves_it_back() {
    let service = TestService::builder().sharing_the_budget().build().await;
    let email = "canarino.pausa@posta.example";
    let _contact = service.platform.add_contact(ContactSpec::new().email(email));
    let request = service.submit(RequestKind::OptOut, &[(Email, email)]).await.request;
    // Five minutes before the end of its last day in Rome; four calls take two seconds.
    service.clock.advance(
        "2026-12-23T22:55:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap() - service.clock.now(),
    );
    let limit = limit(2.0);
    let (watch, mails) = watch(&service, limit);
    let before = outlook(&service, limit).await;
    assert_eq!((before.forecast.waiting, before.forecast.late, before.paused_until), (1, 0, None));
    round(&watch, &mails).await;
    assert!(!is_told(&service).await);

    // The platform wants an hour; ten minutes are the most that it gets.
    let faults = service.simulator.faults();
    faults.inject(Fault::TooManyRequests(RetryAfter::Seconds(3_600)).on(Endpoint::ListContacts));
    service.work().await;
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.job WHERE last_code = 'throttled'").await, 1);
    let paused = outlook(&service, limit).await;
    let pause = paused.paused_until.unwrap() - service.clock.now();
    assert!(pause > TimeDelta::minutes(6) && pause <= TimeDelta::minutes(10), "{pause}");
    assert_eq!((paused.forecast.waiting, paused.forecast.late), (1, 1));
    assert_eq!(paused.forecast.first_late_on, Some("2026-12-23".parse().unwrap()));
    round(&watch, &mails).await;
    assert!(is_told(&service).await);
    let said = everything(&mails);
    assert!(said.contains("1 of 1 that wait for the platform, the first of them due 2026-12-23\n"), "{said}");
    assert!(!said.contains(CANARY) && !said.contains("canarino"), "no person is named: {said}");

    // The pause is over.
    execute(&service, "UPDATE dsrd.rate_budget SET blocked_until = now()").await;
    let after = outlook(&service, limit).await;
    assert_eq!((after.forecast.late, after.paused_until), (0, None));
    round(&watch, &mails).await;
    assert!(!is_told(&service).await);
    // One that a clock wrote that was ahead (F-48) is none.
    execute(&service, "UPDATE dsrd.rate_budget SET blocked_until = now() + interval '400 days'").await;
    assert_eq!(outlook(&service, limit).await.paused_until, None);
    withdraw(&service, request).await;
    assert_eq!(outlook(&service, limit).await.forecast.waiting, 0);
    service.finish().await;
}

#[tokio::test]
async fn f_46_an_outage_that_lasts_is_forecast_alerted_closed_and_told_anew() {
    let service = TestService::start().await;
    for number in 0..30 {
        let email = format!("canarino.{number}@posta.example");
        service.submit(RequestKind::Erasure, &[(Email, &email)]).await;
    }
    let by_person = service.submit(RequestKind::Rectification, &[(Email, "canarino.0@posta.example")]).await;
    let note = async |answers: bool| {
        let mut connection = service.store.connection().await.unwrap();
        let now = service.clock.now();
        queue::note_platform(&mut connection, &service.controller.id, answers, now).await.unwrap();
    };
    // A call in ten minutes, so that the erasures need two days and a half.
    let slow = limit(1.0 / 600.0);
    let (watch, mails) = self::watch(&service, slow);
    let away_since = service.clock.now();
    note(false).await;
    let begun = outlook(&service, slow).await;
    assert_eq!(begun.platform_away_since, Some(away_since));
    assert_eq!((begun.forecast.waiting, begun.forecast.calls, begun.forecast.late), (30, 360, 0));
    assert_eq!(begun.wait_for_people, 1, "what a person carries out is not forecast");
    assert_eq!(begun.forecast.answered_by, Some(away_since + TimeDelta::hours(60)));
    round(&watch, &mails).await;
    assert!(!is_told(&service).await, "if it came back now nothing would be late");

    // It stays away, until 47 hours are left: 281 calls end before that, and 23 erasures.
    service.clock.advance(TimeDelta::hours(28 * 24 + 12));
    let later = outlook(&service, slow).await;
    assert_eq!((later.forecast.late, later.forecast.first_late_on), (7, Some("2026-12-23".parse().unwrap())));
    round(&watch, &mails).await;
    assert!(is_told(&service).await);
    let said = everything(&mails);
    assert!(
        said.contains(
            "7 of 30 that wait for the platform, the first of them due 2026-12-23, if it came back now"
        ),
        "{said}"
    );
    assert!(!said.contains(CANARY), "{said}");

    // Somebody looks at it: no more of it, although more will be late.
    let listed = {
        let mut connection = service.store.connection().await.unwrap();
        alert::list_alerts(&mut connection, &service.controller.id, false, service.clock.now()).await.unwrap()
    };
    let named = listed.iter().find(|each| each.rule == AlertRule::ForecastLate).unwrap().alert;
    let mut tx = service.store.begin("test").await.unwrap();
    alert::acknowledge(&mut tx, &service.controller.id, named, dpo(), service.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    service.clock.advance(TimeDelta::hours(24));
    assert!(outlook(&service, slow).await.forecast.late > 7);
    round(&watch, &mails).await;
    assert!(!is_told(&service).await);

    // The platform is back and allows more: every date will be kept.
    note(true).await;
    let quick = limit(2.0);
    let kept = outlook(&service, quick).await;
    assert_eq!((kept.platform_away_since, kept.forecast.late), (None, 0));
    let (hopeful, _) = self::watch(&service, quick);
    hopeful.turn().await.unwrap();
    let open = "SELECT count(*) FROM dsrd.figures_watch WHERE forecast_late_since IS NOT NULL";
    assert_eq!(count(&service, open).await, 0);

    // It will not after all, which is another cause.
    service.clock.advance(TimeDelta::minutes(1));
    round(&watch, &mails).await;
    assert_eq!(count(&service, open).await, 1);
    assert!(is_told(&service).await);
    withdraw(&service, by_person.request).await;
    service.work_to_the_end().await;
    assert_eq!(outlook(&service, slow).await, Outlook::default(), "nothing waits any more");
    round(&watch, &mails).await;
    assert!(!is_told(&service).await);
    service.finish().await;
}

#[tokio::test]
async fn what_is_past_its_date_or_waits_for_an_answer_is_counted_and_not_forecast() {
    let service = TestService::start().await;
    let request =
        service.submit(RequestKind::Access, &[(Email, "canarino.tardi@posta.example")]).await.request;
    let slow = limit(1.0 / 86_400.0);
    assert_eq!(outlook(&service, slow).await.forecast.late, 0);
    service.clock.advance(TimeDelta::days(31));
    let forecast = outlook(&service, slow).await.forecast;
    assert_eq!(
        (forecast.waiting, forecast.overdue, forecast.late),
        (1, 1, 0),
        "it was missed: nothing to foresee"
    );
    let (watch, mails) = watch(&service, slow);
    round(&watch, &mails).await;
    assert!(open_rules(&service).await.contains(&AlertRule::Overdue));
    assert!(!is_told(&service).await);
    withdraw(&service, request).await;
    service.finish().await;
}

#[tokio::test]
async fn a_request_costs_the_calls_that_the_forecast_reckons_with() {
    let service = TestService::start().await;
    let mut counted = Vec::new();
    for (number, kind) in
        [RequestKind::OptOut, RequestKind::OptOut, RequestKind::Access, RequestKind::Erasure]
            .into_iter()
            .enumerate()
    {
        let email = format!("canarino.costo.{number}@posta.example");
        let _contact = service.platform.add_contact(ContactSpec::new().email(&email));
        let before = service.simulator.journal().entries().len();
        let request = service.submit(kind, &[(Email, &email)]).await.request;
        service.work_to_the_end().await;
        assert_eq!(service.case(request).await.state, RequestState::Closed);
        let entries = service.simulator.journal().entries();
        counted.push((kind, entries[before..].iter().map(|entry| entry.endpoint).collect::<Vec<_>>()));
    }
    // The first one logs in and makes the acquaintance of the platform.
    for (kind, calls) in &counted[1..] {
        assert_eq!(calls.len() as u64, figures::calls_of(*kind), "{counted:#?}");
    }
    service.finish().await;
}
