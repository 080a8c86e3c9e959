//! Crashes: workers die, break down or lose their lease, several daemons share one database. That whatever works on a request may
//! die at every boundary is tested in `killed`.

use std::collections::BTreeSet;
use std::sync::Arc;

use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Outcome, ParkReason, RequestKind, RequestState};
use dsrd::execution::{Ended, KillSwitch};
use dsrd::intake;
use dsrd_simulator::{ContactSpec, Endpoint};
use sqlx::{Connection as _, PgConnection};

use crate::support::service::TestService;
use crate::support::settings::sealer;

/// Somebody of whom there is something to collect, to switch off and to delete.
pub(crate) fn person(number: usize) -> (String, ContactSpec) {
    let email = format!("canarino{number}@posta.example");
    let spec = ContactSpec::new()
        .email(&email)
        .policy("mktgCommunications", true)
        .events(3)
        .devices(1)
        .accountings(2);
    (email, spec)
}

#[tokio::test]
async fn f_5_two_daemons_share_the_work_and_finish_each_step_once() {
    let service = TestService::start().await;
    let mut receipts = Vec::new();
    for number in 0..200 {
        let (email, spec) = person(number);
        let _contact = service.platform.add_contact(spec);
        receipts.push(service.submit(RequestKind::OptOut, &[(Email, &email)]).await);
    }
    let (one, two) = (service.worker().await, service.worker().await);
    let (first, second) = tokio::join!(one.work_until_idle(), two.work_until_idle());
    let (first, second) = (first.unwrap().len(), second.unwrap().len());
    service.pump().await;
    service.work_to_the_end().await;
    assert!(first >= 60 && second >= 60, "{first} and {second}");
    assert_eq!(service.simulator.journal().calls(Endpoint::UpdatePolicies), 200);
    for receipt in receipts {
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    }
    service.finish().await;
}

#[tokio::test]
async fn f_7_a_request_that_brings_its_workers_down_is_parked_and_the_others_go_on() {
    let service = TestService::start().await;
    let (email, spec) = person(1);
    let _contact = service.platform.add_contact(spec);
    let poison = service.submit(RequestKind::Erasure, &[(Email, &email)]).await;
    let panicking = KillSwitch::new(|boundary| {
        assert!(boundary != "delete.before", "a planned panic");
        false
    });
    for _ in 0..3 {
        let worker = service.worker_with(panicking.clone(), false).await;
        worker.work_once().await.unwrap();
        service.advance(std::time::Duration::from_mins(10)).await;
    }
    let (email, spec) = person(2);
    let _contact = service.platform.add_contact(spec);
    let healthy = service.submit(RequestKind::OptOut, &[(Email, &email)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(poison.request).await.park_reason, Some(ParkReason::Poison));
    assert_eq!(service.case(healthy.request).await.state, RequestState::Closed);
    service.finish().await;
}

#[tokio::test]
async fn f_7_an_effect_announced_before_the_poison_is_accounted_for_and_looked_for_when_resumed() {
    let service = TestService::start().await;
    let (email, spec) = person(1);
    let contact = service.platform.add_contact(spec);
    let receipt = service.submit(RequestKind::Erasure, &[(Email, &email)]).await;
    for _ in 0..3 {
        let dying = KillSwitch::new(|boundary| boundary == "delete.called" || boundary == "delete.looked");
        service.worker_with(dying, false).await.work_once().await.unwrap();
        service.bury_workers().await;
    }
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::Poison));
    assert!(service.story(receipt.request).await.contains(&"deletion.ended=outcome_unknown".to_owned()));
    let mut tx = service.store.begin("test").await.unwrap();
    let actor = dsrd::audit::Actor::Person("operator".to_owned());
    dsrd::intake::resume(&mut tx, &service.desk, &service.controller.id, receipt.request, actor)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 1);
    service.finish().await;
}

#[tokio::test]
async fn f_7_a_request_whose_workers_die_is_counted_before_the_step_and_parked() {
    let service = TestService::start().await;
    let (email, spec) = person(1);
    let _contact = service.platform.add_contact(spec);
    let receipt = service.submit(RequestKind::Access, &[(Email, &email)]).await;
    for _ in 0..3 {
        let dying = KillSwitch::new(|_| true);
        let ended = service.worker_with(dying, false).await.work_once().await.unwrap();
        assert_eq!(ended, [Ended::Killed]);
        service.bury_workers().await;
    }
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::Poison));
    service.finish().await;
}

#[tokio::test]
async fn f_7_a_finding_that_the_database_refuses_is_parked_by_whichever_write_it_goes() {
    // Written with the next step; written with the end of a run that goes on later, after the first look at a deletion.
    for (kind, trigger) in [
        (
            RequestKind::OptOut,
            "CREATE TRIGGER takes_nothing BEFORE INSERT ON dsrd.checkpoint
               FOR EACH ROW WHEN (NEW.step = 'locate') EXECUTE FUNCTION dsrd.take_nothing()",
        ),
        (
            RequestKind::Erasure,
            "CREATE TRIGGER takes_nothing BEFORE INSERT ON dsrd.checkpoint
               FOR EACH ROW WHEN (NEW.step = 'delete' AND NEW.finished_at IS NOT NULL)
               EXECUTE FUNCTION dsrd.take_nothing()",
        ),
    ] {
        let service = TestService::start().await;
        let (email, spec) = person(1);
        let _contact = service.platform.add_contact(spec);
        let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
        sqlx::raw_sql(
            "CREATE FUNCTION dsrd.take_nothing() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE 'not this' USING ERRCODE = 'integrity_constraint_violation'; END $$",
        )
        .execute(&mut owner)
        .await
        .unwrap();
        sqlx::raw_sql(trigger).execute(&mut owner).await.unwrap();
        let receipt = service.submit(kind, &[(Email, &email)]).await;
        service.pump().await;
        let worker = service.worker().await;
        worker.work_once().await.unwrap();
        let case = service.case(receipt.request).await;
        assert_eq!(case.park_reason, Some(ParkReason::Poison), "{kind} {:?}", case.state);

        // Once it is mended, the request goes on where somebody says so.
        sqlx::raw_sql("DROP TRIGGER takes_nothing ON dsrd.checkpoint").execute(&mut owner).await.unwrap();
        owner.close().await.unwrap();
        let mut tx = service.store.begin("test").await.unwrap();
        let actor = dsrd::audit::Actor::Person("operator".to_owned());
        intake::resume(&mut tx, &service.desk, &service.controller.id, receipt.request, actor).await.unwrap();
        tx.commit().await.unwrap();
        service.work_to_the_end().await;
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled), "{kind}");
        service.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_4_a_worker_that_lost_its_lease_writes_nothing_more() {
    let service = TestService::start().await;
    let (email, spec) = person(1);
    let contact = service.platform.add_contact(spec);
    let receipt = service.submit(RequestKind::Erasure, &[(Email, &email)]).await;
    // The lease is taken away between the call and its record.
    let database = service.store.clone();
    let frozen = KillSwitch::new(move |boundary| {
        if boundary == "delete.called" {
            let lost = async {
                let mut connection = database.connection().await.unwrap();
                sqlx::query("UPDATE dsrd.instance SET dead_at = now()")
                    .execute(&mut *connection)
                    .await
                    .unwrap();
                let (lease, wait) = (std::time::Duration::from_secs(20), std::time::Duration::ZERO);
                dsrd::queue::rescue(&mut connection, lease, wait).await.unwrap();
            };
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(lost));
        }
        false
    });
    let worker = service.worker_with(frozen, false).await;
    assert_eq!(
        tokio::spawn(async move { worker.work_once().await }).await.unwrap().unwrap(),
        [Ended::LeaseLost]
    );
    let strays =
        dsrd::execution::count_stray_effects(&mut service.store.connection().await.unwrap()).await.unwrap();
    assert_eq!(strays, 1);
    assert_eq!(service.case(receipt.request).await.executed_at, None);
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f_20_concurrent_appends_leave_no_gap_and_keep_the_order_of_each_case() {
    use dsrd::audit::{self, Action, Actor, Detail, Event, LogKeys};
    const WRITERS: u64 = 32;
    const EACH: u64 = 100;
    let service = TestService::start().await;
    let sealing = {
        // Two daemons seal the same log.
        let keys = LogKeys::from_text(&service.log_keys).unwrap();
        let second = sealer(&service.database, keys, service.clock.clone()).await.unwrap();
        let stop = tokio_util::sync::CancellationToken::new();
        let tasks = [Arc::clone(&service.sealer), Arc::new(second)].map(|sealer| {
            let stopped = stop.clone();
            tokio::spawn(async move {
                let mut sealed = 0;
                while !stopped.is_cancelled() {
                    sealed += sealer.seal_once(50).await.unwrap();
                }
                sealed
            })
        });
        (stop, tasks)
    };
    let writers = (0..WRITERS).map(|writer| {
        let (store, desk) = (service.store.clone(), service.desk.clone());
        let organisation = service.controller.id.clone();
        tokio::spawn(async move {
            let case = dsrd::domain::RequestId(uuid::Uuid::now_v7());
            for number in 0..EACH {
                let mut tx = store.begin("test").await.unwrap();
                let event = Event::of(
                    &organisation,
                    case,
                    Action::RequestRead,
                    Actor::Process("test"),
                    desk.clock.now(),
                );
                audit::append(&mut tx, event.with(Detail::none().count("number", number))).await.unwrap();
                // A third of all transactions is given up.
                if (number + writer) % 3 != 0 {
                    tx.commit().await.unwrap();
                }
            }
        })
    });
    futures_util::future::join_all(writers).await.into_iter().for_each(|joined| joined.unwrap());
    sealing.0.cancel();
    for task in sealing.1 {
        assert!(task.await.unwrap() > 0, "both had work");
    }
    let entries = service.audit().await;
    let unique: BTreeSet<_> = entries.iter().map(|entry| entry.id).collect();
    assert_eq!(unique.len(), entries.len());
    let cases: BTreeSet<_> = entries.iter().filter_map(|entry| entry.case).collect();
    for case in cases {
        let numbers: Vec<i64> = entries
            .iter()
            .filter(|entry| entry.case == Some(case))
            .map(|entry| entry.detail["number"].as_i64().unwrap())
            .collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
    service.finish().await;
}
