//! Lanes, leases and doubts about them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Outcome, RequestKind};
use dsrd::execution::{Ended, KillSwitch, Worker};
use dsrd::queue::{self, Lane};
use dsrd_simulator::{ContactSpec, Endpoint, Fault, RetryAfter};

use crate::rig::{self, Tasks, count};
use crate::support::builder::start_of_test;
use crate::support::service::TestService;

#[tokio::test]
async fn requests_and_sweeps_progress_side_by_side_and_neither_starves() {
    const EACH: usize = 12;
    let service = TestService::start().await;
    let mut sweeps = Vec::new();
    for number in 0..EACH {
        let old = ContactSpec::new()
            .email(format!("canarino.old{number}@posta.example"))
            .created(start_of_test() - chrono::TimeDelta::days(900));
        let contact = service.platform.add_contact(old);
        sweeps.push(service.submit_sweep(&contact, start_of_test()).await.request);
    }
    let mut requests = Vec::new();
    for number in 0..EACH {
        let email = format!("canarino{number}@posta.example");
        let _contact = service.platform.add_contact(ContactSpec::new().email(&email));
        requests.push(service.submit(RequestKind::Erasure, &[(Email, &email)]).await.request);
    }
    let executor = rig::executor(&service, &service.store, KillSwitch::default(), |settings| {
        (settings.request_workers, settings.sweep_workers) = (1, 1);
    });
    let worker = Worker::start(executor, service.store.clone()).await.unwrap();
    for round in 1..=EACH {
        // One of each lane, although the sweeps came first; each by two leases, one for each look at the deletion.
        assert_eq!(worker.work_once().await.unwrap(), [Ended::PutBack; 2]);
        assert_eq!(worker.work_once().await.unwrap(), [Ended::Closed; 2]);
        for lane in ["request", "sweep"] {
            let done: i64 = sqlx::query_scalar("SELECT count(*) FROM dsrd.job_done WHERE lane = $1")
                .bind(lane)
                .fetch_one(&mut *service.store.connection().await.unwrap())
                .await
                .unwrap();
            assert_eq!(done, i64::try_from(round).unwrap(), "lane {lane} in round {round}");
        }
    }
    service.pump().await;
    for request in sweeps.into_iter().chain(requests) {
        assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    }
    service.finish().await;
}

#[tokio::test]
async fn a_claim_hands_out_what_is_due_first_and_no_more_than_it_says() {
    const QUEUED: usize = queue::MOST_AT_ONCE + 6;
    let service = TestService::start().await;
    let worker = Worker::start(service.executor_with(KillSwitch::default()).into(), service.store.clone())
        .await
        .unwrap();
    let mut connection = service.store.connection().await.unwrap();
    let organisations = [service.controller.id.to_string()];
    // The number of a job says how many are due before it.
    let queued = "INSERT INTO dsrd.job (organisation_id, request_id, lane, due_at)
                  SELECT $1, ('00000000-0000-7000-8000-' || lpad(number::text, 12, '0'))::uuid, 'request',
                         now() + number * interval '1 day'
                  FROM generate_series(0, $2) AS number ORDER BY number * 37 % 71";
    sqlx::query(queued)
        .bind(&organisations[0])
        .bind(i32::try_from(QUEUED).unwrap() - 1)
        .execute(&mut *connection)
        .await
        .unwrap();
    let mut due = 0..u128::try_from(QUEUED).unwrap();
    // More often than PostgreSQL tries plans before it keeps one.
    for most in [1, 2, 1, 1, 1, 1, 1, 0, QUEUED, QUEUED] {
        let leases = queue::claim(&mut connection, worker.instance(), &organisations, Lane::Request, most)
            .await
            .unwrap();
        let mut handed_out: Vec<u128> =
            leases.iter().map(|lease| lease.request.0.to_string()[24..].parse().unwrap()).collect();
        handed_out.sort_unstable();
        let expected: Vec<u128> = due.by_ref().take(most.min(queue::MOST_AT_ONCE)).collect();
        assert_eq!(handed_out, expected);
    }
    assert_eq!(due.next(), None, "the last claim took the rest");
    sqlx::query("DELETE FROM dsrd.job").execute(&mut *connection).await.unwrap();
    drop(connection);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_4_a_deletion_whose_turn_comes_after_half_the_lease_is_not_sent() {
    const LEASE: Duration = Duration::from_secs(8);
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ContactSpec::new().email("canarino@posta.example"));
    let receipt = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
    // Another call is throttled while the deletion is announced, so that every call of the key pauses for five seconds. Nobody
    // beats the heart meanwhile.
    let platform = Arc::clone(&service.executor.sites[&service.controller.id].platform);
    let limited = Fault::TooManyRequests(RetryAfter::Seconds(5)).on(Endpoint::ListContacts);
    let faults = service.simulator.faults();
    let pausing = KillSwitch::new(move |reached| {
        if reached == "delete.began" {
            let limited = faults.inject(limited.clone());
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(platform.check_contacts()).unwrap_err();
            });
            faults.remove(limited);
        }
        false
    });
    let executor = rig::executor(&service, &service.store, pausing, |settings| {
        settings.lease_secs = LEASE.as_secs();
    });
    let worker = Worker::start(executor, service.store.clone()).await.unwrap();
    assert_eq!(worker.work_once().await.unwrap(), [Ended::LeaseLost]);
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 0);
    assert!(service.story(receipt.request).await.contains(&"deletion.ended=failed".to_owned()));
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_4_a_worker_that_doubts_its_lease_calls_nobody_and_gives_the_request_back() {
    // Of which more than half passes: long enough to doubt, too short for anybody to declare it dead.
    const LEASE: Duration = Duration::from_secs(16);
    for boundary in ["delete.began", "inform.committed"] {
        let service = TestService::start().await;
        let contact = service.platform.add_contact(ContactSpec::new().email("canarino@posta.example"));
        let receipt = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
        let doubted = std::sync::atomic::AtomicBool::new(false);
        // Half a lease after its first heartbeat the worker doubts; at three quarters it beats again.
        let until = Instant::now() + LEASE.mul_f64(0.62);
        let slow = KillSwitch::new(move |reached| {
            if reached == boundary && !doubted.swap(true, std::sync::atomic::Ordering::SeqCst) {
                tokio::task::block_in_place(|| {
                    std::thread::sleep(until.saturating_duration_since(Instant::now()));
                });
            }
            false
        });
        let executor = rig::executor(&service, &service.store, slow, |settings| {
            (settings.heartbeat_secs, settings.lease_secs) = (12, LEASE.as_secs());
        });
        let tasks = Tasks::start(&service, &executor, &service.store);
        rig::eventually("the request is given back", Duration::from_mins(1), || async {
            count(
                &service,
                "SELECT count(*) FROM dsrd.job WHERE state = 'ready' AND last_code = 'lease_doubted'",
            )
            .await
                == 1
        })
        .await;
        let sent = service.mails.sent().iter().filter(|mail| mail.subject.contains("eras")).count();
        assert_eq!(sent, 0, "{boundary}");
        if boundary == "delete.began" {
            assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 0);
        }
        tasks.rest(&service, Duration::from_mins(1)).await;
        tasks.stop().await;
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled), "{boundary}");
        assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
        assert_eq!(count(&service, "SELECT sum(crash_count)::bigint FROM dsrd.job_done").await, 0);
        service.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i_10_p_3_the_configured_limit_is_kept_by_all_workers_and_nearly_used_up() {
    const PER_SECOND: u32 = 40;
    let service = TestService::builder().call_limit(PER_SECOND.into(), 5).build().await;
    for number in 0..30 {
        let email = format!("canarino{number}@posta.example");
        let _contact = service.platform.add_contact(ContactSpec::new().email(&email));
        let _receipt = service.submit(RequestKind::OptOut, &[(Email, &email)]).await;
    }
    let (one, two) = (service.worker().await, service.worker().await);
    let (one, two) = tokio::join!(one.work_until_idle(), two.work_until_idle());
    assert_eq!(one.unwrap().len() + two.unwrap().len(), 30);
    service.pump().await;
    // That there are no more, says the oracle.
    let most = service.platform.journal().max_calls_in_window(Duration::from_secs(1));
    assert!(most * 2 >= PER_SECOND as usize, "{most} calls in the busiest second");
    service.finish().await;
}
