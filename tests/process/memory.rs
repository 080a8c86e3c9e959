//! What a daemon needs of memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dsrd::domain::RequestKind;
use dsrd_simulator::ContactSpec;

use crate::process::{ProcessService, insert};
use crate::support::asked_for;

/// The most that a daemon may ever have had resident while it answers a person with very many records: the floor of P-5. A build
/// without optimisation has more than fifty of that in its program text.
const MOST_MIB: u64 = 96;

/// The most of it that is memory of its own, however many records there are: with the program text of an optimised build that is
/// less than 64.
const MOST_OWN_MIB: u64 = 40;

/// How much more many records may take than few.
const MOST_GROWTH_MIB: u64 = 16;

/// A body of 3.5 MB, and one of 35 MB: a daemon that held the second would show. `DSRD_TEST_EVENTS=1000000` is the number of
/// the catalogue.
const FEW: usize = 10_000;
const MANY: usize = 100_000;

/// A number of kB from what the kernel says of a process, in MiB; `None` when it is gone.
fn mib(process: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") / 1024)
}

/// The most memory of its own that a process had since this was started, looked at a hundred times a second.
fn watch_own(process: u32) -> Arc<AtomicU64> {
    let most = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&most);
    tokio::spawn(async move {
        while let Some(now) = mib(process, "RssAnon:") {
            seen.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s_24_f_54_the_memory_of_a_daemon_does_not_grow_with_the_records_in_one_body() {
    let service = ProcessService::start().await;
    // What it logs of each record would be most of the work.
    service.amend("filter = \"trace\"", "filter = \"info\"");
    let mut producer = service.producer().await;
    let daemon = service.serve().await;
    let own = watch_own(daemon.id());
    let mut peaks = Vec::new();
    let many = asked_for("DSRD_TEST_EVENTS", MANY);
    for (number, events) in [FEW, many].into_iter().enumerate() {
        let email = format!("canarino{number}@posta.example");
        let _contact = service.world.platform.add_contact(
            ContactSpec::new()
                .name("Canarino", "Prova")
                .email(&email)
                .events(u32::try_from(events).expect("so many")),
        );
        insert(&mut producer, RequestKind::Access, &format!("ticket-{number}"), &email).await;
        let asked = std::time::Instant::now();
        service.rest(Duration::from_mins(30)).await;
        peaks.push((mib(daemon.id(), "VmHWM:").expect("it runs"), own.load(Ordering::SeqCst)));
        println!("{events} events: {:?}, peak and own {:?} MiB", asked.elapsed(), peaks[number]);
    }
    daemon.stop().await;
    assert_eq!(service.count("SELECT count(*) FROM dsrd.request WHERE outcome = 'fulfilled'").await, 2);
    assert!(peaks[1].0 < MOST_MIB && peaks[1].1 <= MOST_OWN_MIB, "{peaks:?} MiB");
    assert!(peaks[1].0 - peaks[0].0 <= MOST_GROWTH_MIB, "{peaks:?} MiB");
    service.finish().await;
}
