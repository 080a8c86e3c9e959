//! Killed and frozen processes.

use std::time::{Duration, Instant};

use dsrd::domain::RequestKind;
use dsrd_simulator::{Endpoint, Fault};
use rustix::process::Signal;

use crate::process::{LEASE_SECS, ProcessService, eventually, insert};
use crate::support::asked_for;
use crate::{assert_done, hand_in, person};

/// How often the daemon is killed. `DSRD_TEST_CYCLES=500` is the number of the catalogue.
const CYCLES: usize = 20;

/// How many requests come in during each of its lives.
const REQUESTS: usize = 6;

/// The moments of death, the same in every run: a linear congruential sequence.
struct Moments(u64);

impl Moments {
    fn next(&mut self, from: u64, below: u64) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(from + (self.0 >> 33) % (below - from))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_2_a_daemon_that_is_killed_again_and_again_finishes_everything_once() {
    let service = ProcessService::start().await;
    // Slow enough that deaths fall into the middle of steps.
    service.world.simulator.faults().inject(Fault::Latency(Duration::from_millis(25)));
    let mut producer = service.producer().await;
    let mut moments = Moments(2);
    let mut handed_in = Vec::new();
    let cycles = asked_for("DSRD_TEST_CYCLES", CYCLES);
    for cycle in 0..cycles {
        let daemon = service.serve().await;
        handed_in.extend(hand_in(&service, &mut producer, cycle * REQUESTS..(cycle + 1) * REQUESTS).await);
        tokio::time::sleep(moments.next(5, 800)).await;
        daemon.kill().await;
    }
    let held_by_the_dead = service.count("SELECT count(*) FROM dsrd.job WHERE state = 'leased'").await;
    let dead = service.count("SELECT max(instance_id) FROM dsrd.instance").await;
    let daemon = service.serve().await;
    let ready = Instant::now();
    let taken_over = || async {
        let mut connection = service.world.store.connection().await.unwrap();
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM dsrd.job WHERE owner <= $1")
            .bind(dead)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        left == 0
    };
    // Besides the lease and the second until the next look: the slowness of a machine that builds beside the test.
    let limit = Duration::from_secs(LEASE_SECS + 1) + Duration::from_secs(10);
    eventually("the jobs of the dead are taken over", limit, taken_over).await;
    println!("{held_by_the_dead} jobs of the dead were taken over after {:?}", ready.elapsed());
    // Acknowledgements that a dead daemon was about to send are taken over with its lease, too.
    service.rest(Duration::from_mins(1 + cycles as u64 / 50)).await;
    daemon.stop().await;

    assert_done(&service, &handed_in);
    let requests = i64::try_from(handed_in.len()).unwrap();
    assert_eq!(service.count("SELECT count(*) FROM dsrd.request").await, requests);
    assert_eq!(
        service.count("SELECT count(*) FROM dsrd.request WHERE outcome = 'fulfilled'").await,
        requests
    );
    // What a death left half-written is found and removed, and nothing else.
    service.remove_leftovers().await;
    let files = std::fs::read_dir(service.home.join("packages")).unwrap().count();
    assert_eq!(
        service.count("SELECT count(*) FROM dsrd.package").await,
        i64::try_from(files).unwrap(),
        "one file for each package"
    );
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_4_a_process_frozen_past_its_lease_finds_its_work_done_and_does_nothing_more() {
    let service = ProcessService::start().await;
    let mut producer = service.producer().await;
    let mut frozen = service.serve().await;
    // The deletion happens at once, and its answer is under way while the process is frozen.
    service
        .world
        .simulator
        .faults()
        .inject(Fault::Latency(Duration::from_secs(2)).on(Endpoint::DeleteContact).times(1));
    let (email, spec) = person(0);
    let contact = service.world.platform.add_contact(spec);
    insert(&mut producer, RequestKind::Erasure, "ticket-0", &email).await;
    let journal = service.world.simulator.journal();
    eventually("the deletion", Duration::from_mins(1), || async { !journal.deleted_contacts().is_empty() })
        .await;
    frozen.signal(Signal::STOP);
    let other = service.serve().await;
    // Three leases and more: the other one waits for the first, then does the work.
    service.rest(Duration::from_secs(LEASE_SECS * 3 + 20)).await;
    let (calls, entries) = (journal.total_calls(), service.world.audit().await.len());
    frozen.signal(Signal::CONT);
    frozen.wait_for("declared dead").await;
    // It begins anew under another number.
    eventually("a new instance", Duration::from_mins(1), || async {
        frozen.log().matches("the worker takes requests").count() == 2
    })
    .await;
    assert_eq!(journal.total_calls(), calls, "the woken process called nobody");
    assert_eq!(service.world.audit().await.len(), entries, "the woken process wrote nothing into the log");
    assert_eq!(journal.deleted_contacts(), [contact]);
    assert_eq!(journal.calls(Endpoint::DeleteContact), 1);
    frozen.stop().await;
    other.stop().await;
    assert_eq!(service.count("SELECT count(*) FROM dsrd.request WHERE outcome = 'fulfilled'").await, 1);
    service.finish().await;
}
