//! A clock that jumped ahead (F-48): nothing ends, follows or is deleted because its day seems to have come.

use std::time::Duration;

use chrono::TimeDelta;
use dsrd::alert::Turn;
use dsrd::daemon;
use dsrd::delivery::Plan;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{Clock as _, IdentityRules, Outcome, RequestKind, RequestState};
use dsrd::execution::Lookout;
use dsrd::holds::{EndRule, NewHold, Settings};
use dsrd_simulator::{ContactSpec, Endpoint};
use sqlx::{Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::holds::{claim_about, place};
use crate::identity::{NUMBER, STORED, asked, person, questions, submit};
use crate::replay::{bring_into_files, dump, in_force, lost, order_as, restore};
use crate::rig::count;
use crate::support::service::TestService;

const HELD: &str = "canarino.tenuto@posta.example";
const ERASED: &str = "canarino.sparito@posta.example";

fn contact(address: &str) -> ContactSpec {
    ContactSpec::new().email(address).policy("mktgCommunications", true)
}

/// A claim about somebody that ends after so many days.
fn ending(service: &TestService, address: &str, days: i64) -> NewHold {
    let last = (service.clock.now() + TimeDelta::days(days)).date_naive();
    NewHold { ends: EndRule::On(last), ..claim_about(service, address) }
}

/// What falls due by the clock, as the daemon looks for it.
async fn look_for_what_is_due(service: &TestService) {
    let site = &service.executor.sites[&service.controller.id];
    let settings =
        Settings { statutes: Vec::new(), statutes_owner: None, statutes_review_on: None, remind_days: 30 };
    daemon::keep_holds_once(&service.store, &service.desk, site, &settings).await;
    let ledger = &service.executor.ledger;
    daemon::purge_ledger_once(ledger, &service.store, &*service.clock, 65).await;
    let watch = &service.executor.watch;
    let lookout = Lookout { store: &service.store, desk: &service.desk, site, settings: watch };
    daemon::look_whether_it_lasts_once(lookout, &CancellationToken::new()).await;
}

#[tokio::test]
async fn f_48_a_clock_that_differs_ends_no_hold_hands_nothing_in_and_destroys_no_ledger() {
    let service = TestService::builder().checking_the_clock().build().await;
    let (held, erased) =
        (service.platform.add_contact(contact(HELD)), service.platform.add_contact(contact(ERASED)));
    place(&service, ending(&service, HELD, 90)).await;
    for (address, outcome) in [(HELD, Outcome::PartlyFulfilled), (ERASED, Outcome::Fulfilled)] {
        let receipt = service.submit(RequestKind::Erasure, &[(Email, address)]).await;
        service.work().await;
        assert_eq!(service.case(receipt.request).await.outcome, Some(outcome));
    }
    let files = || std::fs::read_dir(service.directory.path().join("ledger")).unwrap().count();
    let stands = async || {
        let mut counted = vec![i64::try_from(files()).unwrap()];
        for what in [
            "SELECT count(*) FROM dsrd.hold WHERE ended_at IS NULL",
            "SELECT count(*) FROM dsrd.request",
            "SELECT count(*) FROM dsrd.ledger",
        ] {
            counted.push(count(&service, what).await);
        }
        counted
    };
    let before = stands().await;
    assert!(before.iter().all(|each| *each > 0), "{before:?}");
    let calls = service.simulator.journal().total_calls();
    for ahead in [TimeDelta::days(400), TimeDelta::days(-400)] {
        service.clock.advance(ahead);
        look_for_what_is_due(&service).await;
        service.work().await;
        assert_eq!(stands().await, before, "{ahead}");
        assert_eq!(service.simulator.journal().total_calls(), calls, "{ahead}: nothing is looked at");
        service.clock.advance(-ahead);
    }
    look_for_what_is_due(&service).await;
    assert_eq!(stands().await, before);
    assert!(service.platform.truth(&held).unwrap().exists);
    assert_eq!(service.simulator.journal().deleted_contacts(), [erased]);
    service.finish().await;
}

#[tokio::test]
async fn f_48_nobody_is_deleted_past_a_hold_by_a_clock_that_differs() {
    let rules = IdentityRules { erasure_proof_hours: 720, ..IdentityRules::default() };
    let service = TestService::builder().identity(rules).checking_the_clock().build().await;
    let held = service.platform.add_contact(contact(HELD));
    place(&service, ending(&service, HELD, 10)).await;
    let receipt = service.submit(RequestKind::Erasure, &[(Email, HELD)]).await;
    service.clock.advance(TimeDelta::days(20));
    service.work().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.last_code.as_deref()), (RequestState::Received, Some("clocks_differ")));
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 0);
    // They agree again: the hold is found, and the request goes on by itself.
    service.clock.advance(TimeDelta::days(-20));
    service.advance(Duration::from_mins(1)).await;
    service.work().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::PartlyFulfilled));
    assert!(service.platform.truth(&held).unwrap().exists);
    service.finish().await;
}

#[tokio::test]
async fn f_48_no_waiting_for_a_proof_ends_by_a_clock_that_differs() {
    let service = TestService::builder().checking_the_clock().build().await;
    let _contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED), (Phone, NUMBER)], None).await;
    asked(&service, receipt.request).await;
    service.clock.advance(TimeDelta::days(400));
    let mut connection = service.store.connection().await.unwrap();
    sqlx::query("UPDATE dsrd.job SET run_at = now()").execute(&mut *connection).await.unwrap();
    drop(connection);
    service.work().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.last_code.as_deref()), (RequestState::NeedsIdentity, Some("clocks_differ")));
    service.clock.advance(TimeDelta::days(-400));
    service.advance(Duration::from_mins(1)).await;
    service.work().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.identity_reminded), (RequestState::NeedsIdentity, false));
    assert_eq!(case.last_code.as_deref(), Some("needs_identity"));
    service.finish().await;
}

/// Whatever waits is looked at now.
async fn wake(service: &TestService) {
    let mut connection = service.store.connection().await.unwrap();
    sqlx::query("UPDATE dsrd.job SET run_at = now()").execute(&mut *connection).await.unwrap();
}

#[tokio::test]
async fn f_48_no_waiting_for_a_proof_begins_by_a_clock_that_differs() {
    for ahead in [TimeDelta::days(400), TimeDelta::days(-400)] {
        let service = TestService::builder().checking_the_clock().build().await;
        let _contact = service.platform.add_contact(person());
        let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
        service.clock.advance(ahead);
        service.work().await;
        let case = service.case(receipt.request).await;
        let stands = (case.state, case.last_code.as_deref(), case.identity_until);
        assert_eq!(stands, (RequestState::InProgress, Some("clocks_differ"), None), "{ahead}");
        service.clock.advance(-ahead);
        service.advance(Duration::from_mins(1)).await;
        asked(&service, receipt.request).await;
        let until = service.case(receipt.request).await.identity_until.unwrap();
        // The database keeps microseconds.
        assert_eq!((until - service.clock.now() - TimeDelta::days(14)).num_milliseconds(), 0, "{ahead}");
        service.finish().await;
    }
}

#[tokio::test]
async fn f_48_a_question_in_the_outbox_is_not_late_by_a_clock_that_differs() {
    let service = TestService::builder().checking_the_clock().build().await;
    let _contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    // The mail server is away: nothing leaves.
    service.worker().await.work_until_idle().await.unwrap();
    // By this clock eleven hours are left of its link, and it is not time yet for a reminder.
    service.clock.advance(TimeDelta::hours(61));
    wake(&service).await;
    service.worker().await.work_until_idle().await.unwrap();
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.last_code.as_deref()), (RequestState::NeedsIdentity, Some("clocks_differ")));
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.proof_link").await, 1, "no other one was made");
    service.clock.advance(TimeDelta::hours(-61));
    service.pump().await;
    assert_eq!(questions(&service).len(), 1, "it leaves with all of its time");
    service.finish().await;
}

#[tokio::test]
async fn f_48_a_hold_that_a_restore_lost_is_not_judged_by_a_clock_that_differs() {
    let service = TestService::builder().checking_the_clock().build().await;
    dump(&service).await;
    let hold = order_as(&service, ending(&service, HELD, 90)).await;
    bring_into_files(&service).await;
    restore(&service).await;
    let site = &service.executor.sites[&service.controller.id];
    let place = || daemon::place_lost_holds_once(&service.executor, site);
    // It would be over, or its review lie out of range; and the look would not be repeated.
    for ahead in [TimeDelta::days(400), TimeDelta::days(-400)] {
        service.clock.advance(ahead);
        assert!(!place().await, "{ahead}: tried again");
        assert!(in_force(&service).await.is_empty(), "{ahead}");
        service.clock.advance(-ahead);
        assert_eq!(lost(&service).await.len(), 1, "{ahead}: it is still to be placed");
    }
    assert!(place().await);
    assert_eq!(in_force(&service).await, [hold]);
}

#[tokio::test]
async fn f_48_no_mail_is_given_up_by_a_clock_that_jumped_ahead() {
    let service = TestService::builder().checking_the_clock().build().await;
    let _contact = service.platform.add_contact(person());
    submit(&service, RequestKind::Access, &[(Email, STORED)], None).await;
    let (watch, staff) = crate::alerts::watch(&service, crate::alerts::settings());
    service.clock.advance(TimeDelta::days(14));
    assert_eq!(watch.turn().await.unwrap(), Turn { alerts: 1, digests: 0 });
    service.clock.advance(TimeDelta::days(386));
    service.mails.plan(Plan::Reply(451), 1);
    staff.plan(Plan::Reply(451), 1);
    service.pump().await;
    assert_eq!(watch.send_due().await.unwrap(), 1);
    for waiting in [
        "SELECT count(*) FROM dsrd.notice WHERE state = 'pending' AND last_code IS NOT NULL",
        "SELECT count(*) FROM dsrd.staff_mail WHERE state = 'pending' AND last_code IS NOT NULL",
    ] {
        assert_eq!(count(&service, waiting).await, 1, "{waiting}");
    }
    service.clock.advance(TimeDelta::days(-400));
    let mut connection = service.store.connection().await.unwrap();
    for statement in ["UPDATE dsrd.notice SET run_at = now()", "UPDATE dsrd.staff_mail SET run_at = now()"] {
        sqlx::query(statement).execute(&mut *connection).await.unwrap();
    }
    drop(connection);
    service.pump().await;
    assert_eq!(watch.send_due().await.unwrap(), 1);
    assert_eq!((service.mails.sent().len(), staff.sent().len()), (1, 1));
    service.work().await;
    service.finish().await;
}

#[tokio::test]
async fn r_47_old_months_of_the_ledger_go_of_organisations_too_that_no_configuration_names_any_more() {
    let service = TestService::builder().checking_the_clock().build().await;
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO dsrd.organisation VALUES ('former', 'former', now());
         INSERT INTO dsrd.ledger (organisation_id, entry_id, request_id, at, record)
         SELECT organisation_id, gen_random_uuid(), gen_random_uuid(), '2020-01-31T12:00:00Z', '{}'
         FROM dsrd.organisation",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.ledger").await, 2);
    daemon::purge_ledger_once(&service.executor.ledger, &service.store, &*service.clock, 65).await;
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.ledger").await, 0);
    service.finish().await;
}
