//! F-46: the platform is away for a day while thousands of requests are due. Nothing is worn down by it, nobody has to
//! resume anything, staff knows, and afterwards the earliest date comes first.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use dsrd::alert::{Settings, Ward, Watch};
use dsrd::audit::Actor;
use dsrd::daemon;
use dsrd::delivery::MemoryTransport;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{
    AlertRule, Clock as _, KillSwitch, Outcome, RequestKind, RequestState, SubjectIdentifier,
};
use dsrd::intake::{self, Receipt, Submission};
use dsrd::platform::FilterTrust;
use dsrd::queue;
use dsrd::recipients::ChannelKind;
use dsrd_simulator::{ContactSpec, Endpoint, Fault};

use crate::alerts::open_rules;
use crate::recipients::{courier, recipient};
use crate::rig::count;
use crate::support::alerts::{self, to_dpo, ward};
use crate::support::asked_for;
use crate::support::service::TestService;
use crate::watch::look;

/// How many requests are due. `DSRD_TEST_OUTAGE=5000` is the number of the catalogue.
const REQUESTS: usize = 60;

/// How long the client stops calling a platform that fails, by the clock on the wall: the shortest pause for few requests, and a
/// longer one where an hour of the test is minutes on the wall.
const fn breaker_pause(requests: usize) -> Duration {
    if requests > REQUESTS { Duration::from_secs(30) } else { Duration::from_secs(1) }
}

/// How many requests are in hand at once at most, and so how far their order may differ from that of their dates.
const IN_HAND: usize = 8;

/// How many days before the outage they were received, one after the other: in no order, and each due while it lasts or
/// in the weeks after it.
fn received_days_ago(number: usize) -> i64 {
    i64::try_from(number * 7 % 31).unwrap() + 1
}

fn email(number: usize) -> String {
    format!("canarino.{number}@posta.example")
}

async fn hand_in(service: &TestService, number: usize) -> Receipt {
    // An effect each; a third of them cannot be undone.
    let kind = if number.is_multiple_of(3) { RequestKind::Erasure } else { RequestKind::OptOut };
    let email = email(number);
    let received_at = service.clock.now() - TimeDelta::days(received_days_ago(number));
    let submission = Submission { received_at, ..service.submission(kind, &[(Email, &email)]) };
    intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap()
}

/// The watch over dates and the platform, as one daemon has it.
fn watch(service: &TestService) -> Watch {
    let settings = Settings { platform_down_hours: 12, ..to_dpo() };
    let ward = Ward { sweeps: false, self_tests: false, ..ward(service, settings) };
    alerts::watch(service, ward, &MemoryTransport::new())
}

/// What each daemon does every quarter of an hour, and what it is to find.
async fn look_at_platform(service: &TestService, answers: bool) {
    let platform = &service.executor.sites[&service.controller.id].platform;
    assert_eq!(daemon::look_whether_it_serves(&**platform).await, answers);
    note_platform(service, answers).await;
}

async fn note_platform(service: &TestService, answers: bool) {
    let mut connection = service.store.connection().await.unwrap();
    let now = service.clock.now();
    queue::note_platform(&mut connection, &service.controller.id, answers, now).await.unwrap();
}

#[tokio::test]
async fn f_46_a_day_without_platform_wears_no_request_down_and_afterwards_the_earliest_date_comes_first() {
    let requests = asked_for("DSRD_TEST_OUTAGE", REQUESTS);
    let service = TestService::builder()
        .most_attempts(5)
        .retry_cap_secs(3_600)
        .breaker_pause(breaker_pause(requests))
        .build()
        .await;
    for number in 0..requests {
        let _contact = service.platform.add_contact(ContactSpec::new().email(email(number)));
    }
    let outage = service.simulator.faults().inject(Fault::Status(503));
    let mut receipts = Vec::new();
    for number in 0..requests {
        receipts.push(hand_in(&service, number).await);
    }
    let before = service.simulator.journal().total_calls();
    let watch = watch(&service);

    // A day, hour after hour: more often than the attempts that a request may use up.
    for hour in 0..24 {
        if hour == 0 {
            // The daemon looks beside the work: with thousands of requests, the first ones are tried again before the last.
            let look = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                look_at_platform(&service, false).await;
            };
            tokio::join!(service.work(), look);
        } else {
            service.work().await;
        }
        // Who was tried waits, in place of being tried again and again: the look that finds the platform back wakes them.
        let soon = "SELECT count(*) FROM dsrd.job WHERE run_at < now() + interval '15 minutes'";
        assert!(hour == 0 || count(&service, soon).await == 0, "in hour {hour}");
        watch.turn().await.unwrap();
        service.advance(Duration::from_hours(1)).await;
    }
    // The last hour's work has ended, and the next one's has not begun.
    service.work().await;

    // Ten a minute would be 14,400.
    let calls = service.simulator.journal().total_calls() - before;
    assert!(calls <= 24 * 10, "{calls} calls to a platform that is away");
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.job WHERE state = 'parked'").await, 0);
    for receipt in &receipts {
        assert_ne!(service.case(receipt.request).await.state, RequestState::Closed);
    }
    let told = open_rules(&service).await;
    for rule in [AlertRule::PlatformDown, AlertRule::DueSoon, AlertRule::Overdue] {
        assert!(told.contains(&rule), "{rule:?}: {told:?}");
    }

    // It is back; nobody does anything.
    service.simulator.faults().remove(outage);
    tokio::time::sleep(breaker_pause(requests)).await;
    look_at_platform(&service, true).await;
    assert_eq!(
        count(&service, "SELECT count(*) FROM dsrd.job WHERE run_at > now()").await,
        0,
        "all are woken"
    );
    service.work_to_the_end().await;
    for receipt in &receipts {
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    }

    // Who is due first was looked for first, but for those that were in hand together.
    let due: BTreeMap<_, _> = receipts.iter().map(|each| (each.request.0, each.due_on)).collect();
    let located = service.audit().await.into_iter().filter(|entry| entry.action == "contact.located");
    let order: Vec<_> = located.filter_map(|entry| due.get(&entry.case?).copied()).collect();
    assert_eq!(order.len(), requests);
    for (place, first) in order.iter().enumerate() {
        let later = order.iter().skip(place + IN_HAND).min();
        assert!(later.is_none_or(|later| first <= later), "{first} before {later:?}");
    }
    service.finish().await;
}

#[tokio::test]
async fn r_84_a_key_that_is_refused_is_an_outage_too_and_its_end_wakes_what_waits() {
    let service = TestService::builder().retry_cap_secs(3_600).build().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(email(0)));
    let refused = service.simulator.faults().inject(Fault::Status(401).on(Endpoint::Login));
    let receipt = hand_in(&service, 0).await;
    look_at_platform(&service, false).await;
    let waits = "SELECT count(*) FROM dsrd.job
                 WHERE last_code = 'platform_down' AND run_at > now() + interval '15 minutes' AND attempt = 0";
    service.work().await;
    assert_eq!(count(&service, waits).await, 1, "not asked for every minute");

    service.simulator.faults().remove(refused);
    // This client asks with the refused key once a minute only; a daemon begins anew with the new one.
    note_platform(&service, true).await;
    let ready = "SELECT count(*) FROM dsrd.job WHERE state = 'ready' AND run_at <= now()";
    assert_eq!(count(&service, ready).await, 1, "woken by the look that finds it back");
    // What was in hand at that moment is put back after it, and woken by the next look.
    sqlx::query("UPDATE dsrd.job SET run_at = now() + interval '1 hour'")
        .execute(&mut *service.store.connection().await.unwrap())
        .await
        .unwrap();
    note_platform(&service, true).await;
    assert_eq!(count(&service, ready).await, 1, "woken by the next one");
    let mut tx = service.store.begin("test").await.unwrap();
    let dpo = Actor::Person("dpo".to_owned());
    intake::withdraw(&mut tx, &service.desk, &service.controller, receipt.request, dpo).await.unwrap();
    tx.commit().await.unwrap();
    service.finish().await;
}

#[tokio::test]
async fn f_46_a_platform_that_logs_in_and_shows_no_contact_is_away_too() {
    let elsewhere = Fault::Redirect { location: "https://login.example/".to_owned() };
    let (contacts, log_in) = ([Endpoint::ListContacts, Endpoint::Contact], [Endpoint::Login]);
    for (fault, endpoints) in [
        (Fault::Status(503), &contacts[..]),
        (Fault::HtmlPage, &contacts[..]),
        (Fault::Status(404), &contacts[..]),
        (elsewhere, &contacts[..]),
        (Fault::Status(404), &log_in[..]),
    ] {
        let pause = breaker_pause(1);
        let service =
            TestService::builder().most_attempts(2).retry_cap_secs(3_600).breaker_pause(pause).build().await;
        let _contact = service.platform.add_contact(ContactSpec::new().email(email(0)));
        let faults = service.simulator.faults();
        let away: Vec<_> = endpoints.iter().map(|each| faults.inject(fault.clone().on(*each))).collect();
        let receipt = hand_in(&service, 0).await;
        look_at_platform(&service, false).await;
        for _ in 0..6 {
            service.work().await;
            service.advance(Duration::from_hours(1)).await;
            look_at_platform(&service, false).await;
        }
        let case = service.case(receipt.request).await;
        assert!(
            case.state != RequestState::Manual && case.park_reason.is_none(),
            "{fault:?}: {:?}",
            case.park_reason
        );

        for each in away {
            faults.remove(each);
        }
        tokio::time::sleep(pause).await;
        look_at_platform(&service, true).await;
        service.work_to_the_end().await;
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled), "{fault:?}");
        service.finish().await;
    }
}

#[tokio::test]
async fn a_wait_as_long_as_may_be_configured_is_left_alone() {
    let service = TestService::start().await;
    let receipt = hand_in(&service, 1).await;
    sqlx::query("UPDATE dsrd.job SET run_at = now() + interval '60 days', last_code = 'needs_identity'")
        .execute(&mut *service.store.connection().await.unwrap())
        .await
        .unwrap();
    look_at_platform(&service, true).await;
    let waits = "SELECT count(*) FROM dsrd.job WHERE run_at > now() + interval '59 days'";
    assert_eq!(count(&service, waits).await, 1);
    let mut tx = service.store.begin("test").await.unwrap();
    let dpo = Actor::Person("dpo".to_owned());
    intake::withdraw(&mut tx, &service.desk, &service.controller, receipt.request, dpo).await.unwrap();
    tx.commit().await.unwrap();
    service.finish().await;
}

#[tokio::test]
async fn f_48_a_wait_from_a_clock_that_was_ahead_ends_with_the_next_look() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(email(0)));
    let receipt = hand_in(&service, 0).await;
    // As the worker of a daemon leaves it that put it back meanwhile, and the heartbeat of one that was killed then.
    for ahead in [
        "UPDATE dsrd.job SET run_at = now() + interval '400 days'",
        "INSERT INTO dsrd.instance (version, last_seen_at) VALUES ('0.0.0', now() + interval '400 days')",
        "INSERT INTO dsrd.instance (version, last_seen_at) VALUES ('0.0.0', now() + interval '10 seconds')",
    ] {
        sqlx::query(ahead).execute(&mut *service.store.connection().await.unwrap()).await.unwrap();
    }
    look_at_platform(&service, true).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    let mut connection = service.store.connection().await.unwrap();
    queue::rescue(&mut connection, Duration::from_secs(20), Duration::ZERO).await.unwrap();
    drop(connection);
    let ahead = "SELECT count(*) FROM dsrd.instance WHERE last_seen_at > now() AND dead_at IS NULL";
    assert_eq!(count(&service, ahead).await, 1, "one that is hardly ahead is left alone");
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.instance WHERE dead_at IS NOT NULL").await, 0);
    service.finish().await;
}

#[tokio::test]
async fn f_48_what_a_clock_that_was_ahead_put_off_in_the_outboxes_is_sent_and_looked_at_at_once() {
    let recipients = vec![recipient("crm", ChannelKind::Mail)];
    let service = TestService::builder().recipients(recipients).build().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(email(0)));
    let put_off = async |statement: &'static str| {
        let mut connection = service.store.connection().await.unwrap();
        let done = sqlx::query(statement).execute(&mut *connection).await.unwrap();
        assert!(done.rows_affected() > 0, "{statement}");
    };
    let receipt = hand_in(&service, 0).await;
    put_off("UPDATE dsrd.notice SET run_at = now() + interval '400 days' WHERE state = 'pending'").await;
    service.pump().await;
    let sent = "SELECT count(*) FROM dsrd.notice WHERE state = 'sent'";
    assert_eq!(count(&service, sent).await, 1, "the acknowledgement");
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));

    put_off("UPDATE dsrd.recipient_task SET run_at = now() + interval '400 days' WHERE state = 'queued'")
        .await;
    let mails = MemoryTransport::new();
    let courier = courier(&service, &mails, KillSwitch::default());
    assert_eq!(courier.pump_once().await.unwrap(), 1, "the recipient");

    // An outage that began by that clock began with the next look.
    for days in [400, -400] {
        service.clock.advance(TimeDelta::days(days));
        note_platform(&service, false).await;
    }
    service.clock.advance(TimeDelta::hours(13));
    let watch = watch(&service);
    assert_eq!(watch.turn().await.unwrap().alerts, 1);
    put_off("UPDATE dsrd.staff_mail SET run_at = now() + interval '400 days' WHERE state = 'pending'").await;
    assert_eq!(watch.send_due().await.unwrap(), 1, "the mail to staff");

    service.clock.advance(TimeDelta::days(40));
    put_off("UPDATE dsrd.look SET run_at = now() + interval '400 days' WHERE looked_at IS NULL").await;
    assert!(look(&service).await.looked > 0, "the look whether it lasted");
    service.finish().await;
}

#[tokio::test]
async fn s_7_a_filter_that_begins_to_be_ignored_is_recorded_once_and_told_to_staff() {
    let service = TestService::start().await;
    for number in 0..2 {
        let _contact = service.platform.add_contact(ContactSpec::new().email(email(number)));
    }
    let site = &service.executor.sites[&service.controller.id];
    let watch = watch(&service);
    let look = async || daemon::record_ignored_searches(site, &service.store, &service.desk).await.unwrap();
    let entries = async || {
        let of_filters = |entry: &dsrd::audit::Entry| entry.action == "platform.filter_ignored";
        service.audit().await.iter().filter(|entry| of_filters(entry)).count()
    };
    let report = site.platform.probe().await.unwrap();
    assert_eq!(report.searches[&Email], FilterTrust::Honoured);
    look().await;
    watch.turn().await.unwrap();
    assert_eq!((entries().await, open_rules(&service).await), (0, vec![]));

    // After the probe: only what comes back can show it.
    service.simulator.faults().inject(Fault::FilterIgnored.on(Endpoint::ListContacts));
    let nobody = SubjectIdentifier::parse(Email, "nobody@posta.example", None).unwrap();
    assert!(site.platform.search(&nobody).await.unwrap().contacts.is_empty());
    look().await;
    look().await;
    assert_eq!(entries().await, 1, "what is known is not recorded again");
    watch.turn().await.unwrap();
    assert_eq!(open_rules(&service).await, [AlertRule::FilterIgnored]);
    service.finish().await;
}
