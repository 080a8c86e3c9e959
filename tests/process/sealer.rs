//! A sealer that dies again and again: what was acknowledged is in the log afterwards, once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dsrd::audit::verify::{self, Database, Plan, Policy, Severity, Step};
use dsrd::audit::{self, Action, Actor, Event};
use dsrd::domain::{Clock as _, SystemClock};

use crate::process::ProcessService;
use crate::support::asked_for;

/// How often the sealer is killed. `DSRD_TEST_CYCLES=500` is the number of the catalogue.
const CYCLES: usize = 15;

/// Who appends at the same time.
const WRITERS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_2_every_acknowledged_entry_is_in_the_log_after_its_sealer_was_killed_again_and_again() {
    let service = ProcessService::start().await;
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (store, done) = (service.world.store.clone(), Arc::clone(&done));
            let (organisation, clock) = (service.world.controller.id.clone(), service.world.clock.clone());
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    let mut tx = store.begin("test").await.expect("a transaction");
                    for _ in 0..2 {
                        let at = clock.now();
                        let event =
                            Event::general(&organisation, Action::RequestRead, Actor::Process("test"), at);
                        acknowledged.push(audit::append(&mut tx, event).await.expect("an entry").0);
                    }
                    tx.commit().await.expect("an acknowledgement");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                acknowledged
            })
        })
        .collect();
    let mut sizes = BTreeSet::new();
    for cycle in 0..asked_for("DSRD_TEST_CYCLES", CYCLES) as u64 {
        let daemon = service.serve().await;
        // Within the rounds of a fifth of a second, at another moment each time.
        tokio::time::sleep(Duration::from_millis(400 + cycle * 61 % 997)).await;
        daemon.kill().await;
        sizes.insert(service.count("SELECT size FROM audit.head").await);
    }
    done.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("a writer"));
    }
    assert!(sizes.len() > 5, "the killed ones had sealed in between: {sizes:?}");
    let daemon = service.serve().await;
    daemon.stop().await;
    assert_eq!(service.count("SELECT count(*) FROM audit.inbox").await, 0);

    let entries: Vec<(i64, uuid::Uuid)> = {
        let mut connection = service.world.store.connection().await.expect("a connection");
        sqlx::query_as("SELECT seq, uid FROM audit.entry ORDER BY seq")
            .fetch_all(&mut *connection)
            .await
            .expect("entries")
    };
    let (mut sealed, mut expected) = (BTreeSet::new(), 0);
    for (seq, uid) in entries {
        expected += 1;
        assert_eq!(seq, expected, "no number is missing");
        assert!(sealed.insert(uid), "entry {seq} stands there twice");
    }
    let lost: Vec<_> = acknowledged.iter().filter(|uid| !sealed.contains(uid)).collect();
    assert!(lost.is_empty() && acknowledged.len() > 1_000, "{} of {}", lost.len(), acknowledged.len());

    let mut connection = service.world.store.connection().await.expect("a connection");
    let keys = audit::verifier_keys(&mut connection).await.expect("keys");
    drop(connection);
    let logs = keys.iter().map(|key| key.parse().expect("a key")).collect();
    let plan =
        Plan { policy: Policy::of_logs(logs), known_heads: Vec::new(), since: 0, now: SystemClock.now() };
    let mut database =
        Database::open(&service.world.database.options(), "the log".to_owned()).await.expect("a database");
    let report = verify::verify(&mut database, &plan).await.expect("a report");
    database.close().await;
    // The tests' own witness is a trigger that was not shipped.
    let wrong: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.severity != Severity::Remark && finding.step != Step::Catalogue)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    service.finish().await;
}
