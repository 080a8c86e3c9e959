//! What a daemon needs of memory.

use std::time::Duration;

use dsrd::domain::RequestKind;
use dsrd_simulator::ContactSpec;

use crate::process::{Daemon, ProcessService, insert};

/// The most that a daemon may ever have held while it answers a person with very many records: the floor of P-5.
const MOST_MIB: u64 = 96;

/// How much more many records may take than few.
const MOST_GROWTH_MIB: u64 = 16;

/// A body of 3.5 MB, and one of 35 MB: a daemon that held the second would show. The million of P-5 is measured by the
/// benchmark, with an optimised daemon.
const FEW: u32 = 10_000;
const MANY: u32 = 100_000;

/// The most memory that a process has had resident so far.
fn peak_mib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s_24_f_54_the_memory_of_a_daemon_does_not_grow_with_the_records_in_one_body() {
    let service = ProcessService::start().await;
    // What it logs of each record would be most of the work.
    service.amend("filter = \"trace\"", "filter = \"info\"");
    let mut producer = service.producer().await;
    let daemon = service.serve().await;
    let mut peaks = Vec::new();
    for (number, events) in [FEW, MANY].into_iter().enumerate() {
        let email = format!("canarino{number}@posta.example");
        let _contact = service
            .world
            .platform
            .add_contact(ContactSpec::new().name("Canarino", "Prova").email(&email).events(events));
        insert(&mut producer, RequestKind::Access, &format!("ticket-{number}"), &email).await;
        let asked = std::time::Instant::now();
        service.rest(Duration::from_mins(5)).await;
        peaks.push(peak_mib(&daemon));
        println!("{events} events: {:?}, peak {} MiB", asked.elapsed(), peaks[number]);
    }
    daemon.stop().await;
    assert_eq!(service.count("SELECT count(*) FROM dsrd.request WHERE outcome = 'fulfilled'").await, 2);
    assert!(peaks[1] < MOST_MIB, "{peaks:?} MiB");
    assert!(peaks[1] - peaks[0] <= MOST_GROWTH_MIB, "{peaks:?} MiB");
    service.finish().await;
}
