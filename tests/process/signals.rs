//! The end of a process in order.

use std::time::Duration;

use dsrd_simulator::{Endpoint, Fault};
use rustix::process::Signal;

use crate::process::{ProcessService, eventually};
use crate::{assert_done, hand_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_3_a_first_signal_lets_the_steps_in_hand_finish_and_gives_the_rest_back() {
    let service = ProcessService::start().await;
    let slow = service.world.simulator.faults().inject(Fault::Latency(Duration::from_millis(100)));
    let mut producer = service.producer().await;
    let daemon = service.serve().await;
    let handed_in = hand_in(&service, &mut producer, 0..24).await;
    eventually("work in hand", Duration::from_mins(1), || async {
        service.count("SELECT count(*) FROM dsrd.job WHERE state = 'leased'").await >= 4
    })
    .await;
    daemon.signal(Signal::TERM);
    let (status, log) = daemon.ended(Duration::from_secs(10)).await;
    assert!(status.success(), "{log}");
    assert!(log.contains("dsrd has stopped"), "{log}");
    assert!(!log.contains("were broken off"), "the steps in hand ended by themselves: {log}");
    assert_eq!(service.count("SELECT count(*) FROM dsrd.job WHERE state = 'leased'").await, 0);
    assert_eq!(service.count("SELECT count(*) FROM dsrd.instance WHERE dead_at IS NULL").await, 0);
    assert!(service.count("SELECT count(*) FROM dsrd.job").await > 0, "not everything was done");
    assert_eq!(service.count("SELECT coalesce(max(crash_count), 0)::bigint FROM dsrd.job").await, 0);

    service.world.simulator.faults().remove(slow);
    let daemon = service.serve().await;
    service.rest(Duration::from_mins(1)).await;
    daemon.stop().await;
    assert_done(&service, &handed_in);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_3_a_step_that_does_not_end_is_broken_off_and_its_lease_released() {
    let service = ProcessService::start().await;
    // The deletions happen and are never answered.
    let hanging = service.world.simulator.faults().inject(Fault::HangAfterEffect.on(Endpoint::DeleteContact));
    let mut producer = service.producer().await;
    let daemon = service.serve().await;
    let handed_in = hand_in(&service, &mut producer, 0..6).await;
    let journal = service.world.simulator.journal();
    eventually("both deletions hang", Duration::from_mins(1), || async {
        journal.calls(Endpoint::DeleteContact) == 2
    })
    .await;
    daemon.signal(Signal::TERM);
    let (status, log) = daemon.ended(Duration::from_secs(10)).await;
    assert!(status.success() && log.contains("were broken off"), "{log}");
    assert_eq!(service.count("SELECT count(*) FROM dsrd.job WHERE state = 'leased'").await, 0);

    service.world.simulator.faults().remove(hanging);
    let daemon = service.serve().await;
    service.rest(Duration::from_mins(1)).await;
    daemon.stop().await;
    assert_done(&service, &handed_in);
    assert_eq!(journal.calls(Endpoint::DeleteContact), 2, "what had happened was found, not repeated");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_3_a_second_signal_ends_the_process_at_once() {
    let service = ProcessService::start().await;
    let hanging =
        service.world.simulator.faults().inject(Fault::HangAfterEffect.on(Endpoint::UpdatePolicies));
    let mut producer = service.producer().await;
    let mut daemon = service.serve().await;
    let handed_in = hand_in(&service, &mut producer, 0..6).await;
    let journal = service.world.simulator.journal();
    eventually("both changes hang", Duration::from_mins(1), || async {
        journal.calls(Endpoint::UpdatePolicies) == 2
    })
    .await;
    daemon.signal(Signal::TERM);
    daemon.wait_for("a second signal ends at once").await;
    daemon.signal(Signal::TERM);
    // Less than what the steps in hand are given after a first signal.
    let (status, log) = daemon.ended(Duration::from_secs(5)).await;
    assert!(status.success() && log.contains("ended at once"), "{log}");

    service.world.simulator.faults().remove(hanging);
    let daemon = service.serve().await;
    service.rest(Duration::from_mins(1)).await;
    daemon.stop().await;
    assert_done(&service, &handed_in);
    assert_eq!(journal.calls(Endpoint::UpdatePolicies), 2, "what had happened was found, not repeated");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_3_a_hang_up_changes_nothing() {
    let service = ProcessService::start().await;
    let mut producer = service.producer().await;
    let mut daemon = service.serve().await;
    // A bad file is not looked at: the running daemon keeps the settings that it started with.
    let good = std::fs::read_to_string(service.config()).unwrap();
    std::fs::write(service.config(), "nonsense = [").unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_for("settings are read at start only").await;
    let handed_in = hand_in(&service, &mut producer, 0..3).await;
    service.rest(Duration::from_mins(1)).await;
    assert_done(&service, &handed_in);
    daemon.stop().await;
    std::fs::write(service.config(), good).unwrap();
    service.finish().await;
}
