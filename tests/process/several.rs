//! Several daemons on one database.

use std::time::Duration;

use dsrd::domain::{Clock as _, RequestKind, SystemClock};
use dsrd_simulator::Endpoint;

use crate::person;
use crate::process::{Daemon, ProcessService, eventually, insert};
use crate::support::asked_for;
use crate::support::service::TestService;

/// How many requests two daemons share. `DSRD_TEST_REQUESTS=10000` is the number of the catalogue.
const REQUESTS: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_5_two_daemons_of_eight_workers_share_the_work_and_finish_each_step_once() {
    let service = ProcessService::start().await;
    let requests = asked_for("DSRD_TEST_REQUESTS", REQUESTS);
    let (one, two) = tokio::join!(service.serve(), service.serve());
    for number in 0..requests {
        let _contact = service.world.platform.add_contact(person(number).1);
    }
    let mut producer = service.producer().await;
    sqlx::query("BEGIN").execute(&mut producer).await.unwrap();
    for number in 0..requests {
        insert(&mut producer, RequestKind::OptOut, &format!("ticket-{number}"), &person(number).0).await;
    }
    sqlx::query("COMMIT").execute(&mut producer).await.unwrap();
    service.rest(Duration::from_mins(2 + requests as u64 / 500)).await;
    let shares = [one.log(), two.log()].map(|log| log.matches("\"request closed\"").count());
    one.stop().await;
    two.stop().await;

    assert_eq!(shares.iter().sum::<usize>(), requests);
    // Of a small number a process that was held up for a second misses a good part.
    let least = if requests < 10_000 { 10 } else { 30 };
    assert!(shares.iter().all(|share| share * 100 >= requests * least), "{shares:?}");
    let journal = service.world.simulator.journal();
    assert_eq!(journal.calls(Endpoint::UpdatePolicies), requests as u64);
    let entries = service.world.audit().await;
    for action in ["request.received", "contact.located", "policy.ended", "policy.verified", "request.closed"]
    {
        let count = entries.iter().filter(|entry| entry.action == action).count();
        assert_eq!(count, requests, "{action}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s_14_daemons_of_two_organisations_share_a_database_and_leave_each_others_requests_alone() {
    let service = ProcessService::around(TestService::builder().second_organisation().build().await);
    let other = service.world.simulator.organisation("other");
    // The daemon of the other organisation: the same file with its name, id and secrets.
    let path = service.world.directory.path().join("other.toml");
    let text = std::fs::read_to_string(service.config()).unwrap();
    let text = text
        .replace("id = \"main\"", "id = \"other\"")
        .replace(service.world.platform.org_id(), other.org_id())
        .replace("/main.key", "/other.key")
        .replace("/main.secret", "/other.secret");
    std::fs::write(&path, text).unwrap();
    let mut producer = service.producer().await;
    let stranger = other.add_contact(person(1).1);
    let contact = service.world.platform.add_contact(person(0).1);

    // Only the other one's daemon runs: the row for us stays where it is.
    let mut command = service.command(&[]);
    command.arg("--config").arg(&path).arg("serve");
    let mut theirs = Daemon::start(command);
    theirs.wait_for("the worker takes requests").await;
    insert(&mut producer, RequestKind::Erasure, "ticket-0", &person(0).0).await;
    // Asked of us, about somebody whom only the other one knows.
    insert(&mut producer, RequestKind::Erasure, "ticket-1", &person(1).0).await;
    sqlx::query(
        "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
         VALUES ('other', 'ticket-2', 'access', now() - interval '1 hour', 'web', $1)",
    )
    .bind(person(1).0)
    .execute(&mut producer)
    .await
    .unwrap();
    eventually("the other one's request is closed", Duration::from_mins(1), || async {
        service
            .count("SELECT count(*) FROM dsrd.request WHERE organisation_id = 'other' AND state = 'closed'")
            .await
            == 1
    })
    .await;
    assert_eq!(service.count("SELECT count(*) FROM dsrd.intake WHERE organisation_id = 'main'").await, 2);
    assert_eq!(service.count("SELECT count(*) FROM dsrd.intake_parked").await, 0);

    let ours = service.serve().await;
    service.rest(Duration::from_mins(1)).await;
    ours.stop().await;
    theirs.stop().await;
    assert!(!service.world.platform.truth(&contact).unwrap().exists);
    assert!(other.truth(&stranger).unwrap().exists, "nobody of the other organisation was touched");
    let closed = async |outcome: &'static str| {
        let mut connection = service.world.store.connection().await.unwrap();
        let statement = "SELECT count(*) FROM dsrd.request WHERE organisation_id = 'main' AND outcome = $1";
        let count: i64 =
            sqlx::query_scalar(statement).bind(outcome).fetch_one(&mut *connection).await.unwrap();
        count
    };
    assert_eq!((closed("fulfilled").await, closed("fulfilled_no_data").await), (1, 1));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_47_a_host_whose_daemon_only_works_looks_after_a_ledger_of_its_own() {
    let service = ProcessService::start().await;
    let directory = service.home.join("ledger");
    std::fs::create_dir(&directory).unwrap();
    let mut worker = Daemon::start(service.command(&["serve", "--only", "worker"]));
    worker.wait_for("the worker takes requests").await;
    let review = (SystemClock.now() + chrono::TimeDelta::days(30)).date_naive().to_string();
    let order = ["hold", "place", "--everybody", "--kind", "court", "--review-on", &review];
    let placed = service.command(&order).output().await.unwrap();
    assert!(placed.status.success(), "{placed:?}");
    let lines = || {
        let files = std::fs::read_dir(&directory).unwrap();
        files
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap().lines().count())
            .sum::<usize>()
    };
    eventually("the hold stands in its files", Duration::from_secs(90), || async { lines() == 1 }).await;
    worker.stop().await;
    // A month that is over, as of a host that stood still.
    let old = directory.join("ledger-2020-01.txt");
    std::fs::write(&old, "").unwrap();
    let mut worker = Daemon::start(service.command(&["serve", "--only", "worker"]));
    worker.wait_for("the worker takes requests").await;
    eventually("an old month is gone", Duration::from_mins(1), || async { !old.exists() }).await;
    worker.stop().await;
    service.finish().await;
}
