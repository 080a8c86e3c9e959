//! S-10: a flood keeps nobody else waiting, fills nobody's mailbox, and loses nothing.

use std::time::Duration;

use chrono::TimeDelta;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{AlertRule, Clock as _, Controller, FloodLimits, Outcome, RequestKind};
use dsrd::intake::{self, FloodWindow, Receipt, Submission};
use dsrd_simulator::ContactSpec;

use crate::rig::count;
use crate::support::asked_for;
use crate::support::service::TestService;
use crate::watch::alerts;

/// Limits that a flood of so many messages is over.
fn limits(flood: usize) -> FloodLimits {
    let all_per_hour = u32::try_from(flood / 3).unwrap();
    FloodLimits { per_source_per_hour: 100, per_identifier_per_day: 5, all_per_hour }
}

async fn hand_in(service: &TestService, submission: Submission) -> Receipt {
    intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap()
}

/// A message of a source about somebody.
fn message(service: &TestService, kind: RequestKind, source: &str, email: &str) -> Submission {
    let submission = service.submission(kind, &[(Email, email)]);
    Submission { producer: source.to_owned(), ..submission }
}

async fn floods(service: &TestService) -> Vec<FloodWindow> {
    let mut connection = service.store.connection().await.unwrap();
    let since = service.clock.now() - TimeDelta::days(2);
    intake::list_floods(&mut connection, &service.controller.id, since, 10_000).await.unwrap()
}

async fn ready_now(service: &TestService) -> i64 {
    count(service, "SELECT count(*) FROM dsrd.job WHERE state = 'ready' AND run_at <= now()").await
}

/// How many messages make a flood: the catalogue's 10,000 where `DSRD_TEST_FLOOD` says so; the machines of every day take
/// fewer.
fn flood_of(usual: usize) -> usize {
    asked_for("DSRD_TEST_FLOOD", usual)
}

#[tokio::test]
async fn s_10_a_flood_from_one_source_waits_and_others_keep_their_place() {
    let total = flood_of(1_000);
    let service = TestService::builder().flood(limits(total)).build().await;
    for number in 0..total {
        let email = format!("canarino.{number}@posta.example");
        hand_in(&service, message(&service, RequestKind::Access, "flooder", &email)).await;
    }
    let stored = count(&service, "SELECT count(*) FROM dsrd.request").await;
    assert_eq!(usize::try_from(stored).unwrap(), total, "nothing is refused");
    assert_eq!(ready_now(&service).await, 100, "so many as the source may");

    // Somebody else, and an opt-out even from there, begin at once.
    let _contact = service.platform.add_contact(ContactSpec::new().email("altro@posta.example"));
    let other =
        hand_in(&service, message(&service, RequestKind::Access, "portal", "altro@posta.example")).await;
    let email = "canarino.0@posta.example";
    let opt_out = hand_in(&service, message(&service, RequestKind::OptOut, "flooder", email)).await;
    assert_eq!(ready_now(&service).await, 102);
    service.work().await;
    assert_eq!(service.case(other.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.case(opt_out.request).await.outcome, Some(Outcome::FulfilledNoData));

    let windows = floods(&service).await;
    let source: Vec<_> = windows.iter().filter(|each| each.scope == "source").collect();
    assert_eq!(source.len(), 1, "one cluster: {windows:?}");
    assert_eq!(source[0].about.as_deref(), Some("flooder/web"));
    assert_eq!(source[0].accepted, i64::try_from(total + 1).unwrap());
    assert!(alerts(&service).await.contains(&AlertRule::Flood));

    // Time passes, and the rest is worked on in its turn.
    service.advance(Duration::from_hours(1)).await;
    assert_eq!(ready_now(&service).await, 100);
    let mut connection = service.store.connection().await.unwrap();
    let released = intake::release_held_back(&mut connection, &service.controller.id).await.unwrap();
    drop(connection);
    assert_eq!(usize::try_from(released).unwrap(), total - 200);
    assert_eq!(usize::try_from(ready_now(&service).await).unwrap(), total - 100);
}

#[tokio::test]
async fn s_10_a_thousand_sources_against_fifty_people_fill_no_mailbox() {
    let total = flood_of(1_500);
    let service = TestService::builder().flood(limits(total)).build().await;
    let controller = Controller { reminder_days: 90, ..(*service.controller).clone() };
    for number in 0..50 {
        let email = format!("canarino.{number}@posta.example");
        let _contact = service.platform.add_contact(ContactSpec::new().email(&email));
    }
    for number in 0..total {
        let email = format!("canarino.{}@posta.example", number % 50);
        let source = format!("source_{}", number % 1_000);
        let kind = if number % 100 < 50 { RequestKind::Access } else { RequestKind::Erasure };
        let submission = message(&service, kind, &source, &email);
        intake::submit_request(&service.store, &service.desk, &controller, submission).await.unwrap();
    }
    let stored = count(&service, "SELECT count(*) FROM dsrd.request").await;
    assert_eq!(usize::try_from(stored).unwrap(), total, "nothing is refused");
    service.pump().await;
    let mails = service.mails.sent();
    for number in 0..50 {
        let email = format!("canarino.{number}@posta.example");
        let got = mails.iter().filter(|mail| *mail.to.expose() == email).count();
        assert!((1..=5).contains(&got), "{number}: {got} mails");
    }
    let unacknowledged = "SELECT coalesce(sum(unacknowledged), 0)::bigint FROM dsrd.intake_rate";
    let unacknowledged = usize::try_from(count(&service, unacknowledged).await).unwrap();
    assert_eq!(unacknowledged, total - 250, "what is not sent is counted");
    let log = service.audit().await;
    let silent = log.iter().filter(|entry| entry.detail["acknowledged"] == false).count();
    assert_eq!(silent, unacknowledged, "and stands in the log of each request");

    // Somebody who has not asked that day begins at once, although all together are over the limit.
    let before = ready_now(&service).await;
    hand_in(&service, message(&service, RequestKind::Access, "portal", "altro@posta.example")).await;
    assert_eq!(ready_now(&service).await, before + 1);
    let windows = floods(&service).await;
    let people: Vec<_> = windows.iter().filter(|each| each.scope == "identifier").collect();
    assert_eq!(people.len(), 50);
    assert!(people.iter().all(|each| each.about.as_deref().is_some_and(|about| about.starts_with("DSR-"))));
}
