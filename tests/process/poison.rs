//! A request that ends every process that works on it.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use dsrd::domain::RequestKind;
use dsrd_simulator::{Endpoint, Fault};
use rustix::process::Signal;

use crate::process::{ProcessService, eventually, insert};
use crate::{assert_done, hand_in, person};

/// How many workers a request may bring down: as the daemon's defaults and the configuration of these tests say.
const MOST_CRASHES: i64 = 3;

/// How many people ask for something beside the poisonous request before each of its runs.
const NEIGHBOURS: usize = 6;

/// How long something may take that a busy machine does late: that it happens is what is tested.
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_7_a_request_that_aborts_its_process_is_parked_alone_and_its_neighbours_finish() {
    let service = ProcessService::start().await;
    // What a dead process held waits until the test lets time pass, however slow the machine is.
    service.amend("retry_base_secs = 1\n", "retry_base_secs = 600\n");
    service.amend("retry_cap_secs = 4\n", "retry_cap_secs = 600\n");
    let faults = service.world.simulator.faults();
    // Its deletion never ends, which shows when it is at work; then the process is aborted, as by a failed allocation.
    let (email, spec) = person(900);
    let poisonous = service.world.platform.add_contact(spec);
    let stuck = faults.inject(Fault::NeverAnswer.on(Endpoint::DeleteContact).for_contact(poisonous.as_str()));
    // Its neighbours are slow enough to be in hand at that moment.
    faults.inject(Fault::Latency(Duration::from_millis(40)));
    let mut producer = service.producer().await;
    let mut handed_in = Vec::new();
    let mut hit = 0;
    for round in 1..=MOST_CRASHES {
        let first = handed_in.len();
        handed_in.extend(hand_in(&service, &mut producer, first..first + NEIGHBOURS).await);
        if round == 1 {
            insert(&mut producer, RequestKind::Erasure, "poison", &email).await;
        } else {
            let_time_pass(&service, "poison", "now()").await;
        }
        let daemon = service.serve().await;
        eventually("the poisonous deletion", PATIENCE, || async {
            faults.hits(stuck) == u64::try_from(round).unwrap()
        })
        .await;
        daemon.signal(Signal::ABORT);
        let (status, _) = daemon.ended(Duration::from_secs(30)).await;
        assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}");
        // Counted when it was handed out: nobody was left to count it afterwards.
        assert_eq!(
            service
                .count("SELECT attempt::bigint FROM dsrd.job JOIN dsrd.request USING (request_id) WHERE idempotency_key = 'poison'")
                .await,
            round
        );
        hit += service.count("SELECT count(*) FROM dsrd.job WHERE state = 'leased'").await - 1;

        // The next daemon takes over what the dead one held. Its waits are let pass for the neighbours, so that each
        // round has its own; the poisonous request waits for those of the next.
        let daemon = service.serve().await;
        eventually("the jobs of the dead are taken over", PATIENCE, || async {
            service.count("SELECT count(*) FROM dsrd.job WHERE last_code = 'worker_died'").await > 0
                && service
                    .count("SELECT count(*) FROM dsrd.job JOIN dsrd.instance ON owner = instance_id WHERE dead_at IS NOT NULL")
                    .await
                    == 0
        })
        .await;
        if round < MOST_CRASHES {
            let_time_pass(&service, "poison", "now() + interval '1 hour'").await;
        }
        eventually("its neighbours are done", PATIENCE, || async {
            let_time_pass(&service, "ticket-%", "now()").await;
            service
                .count("SELECT count(*) FROM dsrd.request WHERE idempotency_key LIKE 'ticket-%' AND state = 'closed'")
                .await
                == i64::try_from(handed_in.len()).unwrap()
        })
        .await;
        if round == MOST_CRASHES {
            let_time_pass(&service, "poison", "now()").await;
            service.rest(Duration::from_secs(90)).await;
        }
        daemon.stop().await;
    }
    assert!(hit > 0, "no neighbour was in hand when a process died");
    assert_eq!(faults.hits(stuck), u64::try_from(MOST_CRASHES).unwrap(), "it was not tried once more");
    assert_done(&service, &handed_in);
    let parked = "SELECT count(*) FROM dsrd.request WHERE state = 'manual'";
    assert_eq!(service.count(parked).await, 1, "the poisonous one, and nobody else");
    let poison =
        "SELECT count(*) FROM dsrd.request WHERE idempotency_key = 'poison' AND park_reason = 'poison'";
    assert_eq!(service.count(poison).await, 1);
    assert!(service.world.platform.truth(&poisonous).unwrap().exists);
    service.finish().await;
}

/// Sets when the jobs of these requests may be handed out.
async fn let_time_pass(service: &ProcessService, key: &str, run_at: &'static str) {
    let mut connection = service.world.store.connection().await.expect("a connection");
    let statement = format!(
        "UPDATE dsrd.job SET run_at = {run_at} WHERE state = 'ready' AND request_id IN
           (SELECT request_id FROM dsrd.request WHERE idempotency_key LIKE $1)"
    );
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(key)
        .execute(&mut *connection)
        .await
        .expect("time passes");
    sqlx::query("SELECT pg_notify('dsrd_job', '')").execute(&mut *connection).await.expect("time passes");
}
