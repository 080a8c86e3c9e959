//! Crashes: the engine dies at every boundary, workers die, several daemons share one database.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{
    ErasureRules, Handling, LegalBases, LegalBasis, Outcome, ParkReason, RequestKind, RequestState,
};
use dsrd::execution::{Ended, KillSwitch};
use dsrd::intake;
use dsrd::recipients::ChannelKind;
use dsrd_simulator::{ContactSpec, Endpoint, Fault};
use sqlx::{Connection as _, PgConnection};

use crate::recipients::recipient;
use crate::support::service::TestService;
use crate::support::settings::sealer;

/// The time between the two looks at a deletion.
const SECOND_LOOK: std::time::Duration = std::time::Duration::from_secs(2);

fn person(number: usize) -> (String, ContactSpec) {
    let email = format!("canarino{number}@posta.example");
    let spec = ContactSpec::new()
        .email(&email)
        .policy("mktgCommunications", true)
        .events(3)
        .devices(1)
        .accountings(2);
    (email, spec)
}

/// Everything is held for a contract, so that all of it can be taken along.
pub(crate) fn by_contract() -> ErasureRules {
    let contract = || vec![LegalBasis::Contract];
    let legal_bases =
        LegalBases { profile: contract(), events: contract(), devices: contract(), accountings: contract() };
    ErasureRules { legal_bases, ..ErasureRules::default() }
}

/// F-1: dies once at each boundary that an undisturbed run passes, those of the mailer among them, and resumes; then twice
/// in a row; then once while the platform's answer to the effect is lost as well.
async fn killed_everywhere_ends_the_same(kind: RequestKind) {
    let register = vec![recipient("partner", ChannelKind::Person)];
    let service =
        TestService::builder().recipients(register).erasure(by_contract()).second_look_secs(2).build().await;
    let passed = Arc::new(Mutex::new(Vec::new()));
    let recorder = {
        let passed = Arc::clone(&passed);
        KillSwitch::new(move |boundary| {
            passed.lock().unwrap().push(boundary.to_owned());
            false
        })
    };
    let (email, spec) = person(0);
    let _contact = service.platform.add_contact(spec);
    let receipt = service.submit(kind, &[(Email, &email)]).await;
    let worker = service.worker_with(recorder, false).await;
    worker.work_until_idle().await.unwrap();
    // A deletion is looked at a second time (F-39).
    service.advance(SECOND_LOOK).await;
    worker.work_until_idle().await.unwrap();
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    let boundaries = passed.lock().unwrap().clone();
    assert!(boundaries.len() >= 11, "{boundaries:?}");
    let looks = boundaries.iter().filter(|boundary| *boundary == "verify.before").count();
    let put_back =
        ["put_back.written", "put_back.committed"].map(|name| boundaries.contains(&name.to_owned()));
    match kind.handling() {
        Handling::Erasure => assert_eq!((looks, put_back), (2, [true; 2]), "{boundaries:?}"),
        Handling::OptOut => assert_eq!((looks, put_back), (1, [false; 2]), "{boundaries:?}"),
        Handling::Access | Handling::Portability | Handling::Person => {
            assert_eq!((looks, put_back), (0, [false; 2]), "{boundaries:?}");
        }
    }
    assert!(boundaries.contains(&"notice.sent".to_owned()), "{boundaries:?}");
    let effect = match kind.handling() {
        Handling::Access | Handling::Portability | Handling::Person => None,
        Handling::Erasure => Some(Endpoint::DeleteContact),
        Handling::OptOut => Some(Endpoint::UpdatePolicies),
    };

    let mut number = 0;
    let plans = [(1, None), (2, None)].into_iter().chain(effect.map(|endpoint| (1, Some(endpoint))));
    for (kills, loses) in plans {
        for (dies_at, boundary) in boundaries.iter().enumerate() {
            number += 1;
            let (email, spec) = person(number);
            let contact = service.platform.add_contact(spec);
            let receipt = service.submit(kind, &[(Email, &email)]).await;
            let lost = loses
                .map(|endpoint| service.simulator.faults().inject(Fault::LoseAnswer.on(endpoint).times(1)));
            for kill in 0..kills {
                let reached = AtomicUsize::new(0);
                let dying = KillSwitch::new(move |_| reached.fetch_add(1, Ordering::SeqCst) == dies_at);
                let worker = service.worker_with(dying, false).await;
                let mut ended = worker.work_once().await.unwrap();
                if ended == [Ended::PutBack] {
                    service.advance(SECOND_LOOK).await;
                    ended = worker.work_once().await.unwrap();
                }
                assert!(kill > 0 || lost.is_some() || ended == [Ended::Killed], "{boundary}: {ended:?}");
                service.bury_workers().await;
            }
            service.work_to_the_end().await;
            let case = service.case(receipt.request).await;
            let place =
                format!("{kind}, killed {kills} times at {boundary}, answer lost: {}", loses.is_some());
            if let Some(lost) = lost {
                assert_eq!(service.simulator.faults().hits(lost), 1, "{place}: the answer was lost");
            }
            assert_eq!(case.outcome, Some(Outcome::Fulfilled), "{place}: {case:?}");
            let truth = service.platform.truth(&contact).unwrap();
            match kind.handling() {
                Handling::Erasure => assert!(!truth.exists, "{place}"),
                Handling::OptOut => assert_eq!(truth.policy("mktgCommunications"), Some(false), "{place}"),
                Handling::Access | Handling::Portability | Handling::Person => {
                    assert!(truth.exists, "{place}");
                }
            }
        }
    }
    // Whoever got the data has to be told of each erasure, once.
    let told: i64 = sqlx::query_scalar("SELECT count(*) FROM dsrd.recipient_task")
        .fetch_one(&mut *service.store.connection().await.unwrap())
        .await
        .unwrap();
    let erasures = if kind == RequestKind::Erasure { number + 1 } else { 0 };
    assert_eq!(usize::try_from(told).unwrap(), erasures);
    // A file whose package was not recorded is swept away at the next start.
    if matches!(kind.handling(), Handling::Access | Handling::Portability) {
        leftovers_are_swept_away(&service).await;
    }
    service.finish().await;
}

/// After a sweep of the directory each file is one that the database knows.
async fn leftovers_are_swept_away(service: &TestService) {
    let directory = &service.executor.packages.report.directory;
    let tomorrow = service.desk.clock.now() + chrono::TimeDelta::days(1);
    dsrd::delivery::remove_leftovers(&service.store, directory, tomorrow).await.unwrap();
    let packages: i64 = sqlx::query_scalar("SELECT count(*) FROM dsrd.package")
        .fetch_one(&mut *service.store.connection().await.unwrap())
        .await
        .unwrap();
    assert_eq!(i64::try_from(std::fs::read_dir(directory).unwrap().count()).unwrap(), packages);
}

#[tokio::test]
async fn f_1_a_request_for_portability_killed_at_any_boundary_ends_as_if_it_was_not() {
    killed_everywhere_ends_the_same(RequestKind::Portability).await;
}

#[tokio::test]
async fn f_1_an_access_request_killed_at_any_boundary_ends_as_if_it_was_not() {
    killed_everywhere_ends_the_same(RequestKind::Access).await;
}

#[tokio::test]
async fn f_1_an_erasure_killed_at_any_boundary_ends_as_if_it_was_not() {
    killed_everywhere_ends_the_same(RequestKind::Erasure).await;
}

#[tokio::test]
async fn f_1_an_opt_out_killed_at_any_boundary_ends_as_if_it_was_not() {
    killed_everywhere_ends_the_same(RequestKind::OptOut).await;
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
