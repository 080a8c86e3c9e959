//! What a daemon finds at its start: a platform that is away (S-14, F-46), or ignores a filter (S-7).

use std::time::Duration;

use dsrd::domain::RequestKind;
use dsrd_simulator::{Endpoint, Fault};

use crate::process::{Daemon, ProcessService, eventually, insert};
use crate::support::service::TestService;
use crate::{assert_done, hand_in, person};

/// What may be called to find out whose key it is.
const CHECK: [Endpoint; 3] = [Endpoint::Login, Endpoint::Service, Endpoint::Logout];

/// Hands in requests while the platform is away and the daemon has looked at it twice.
async fn away(
    service: &ProcessService,
) -> (crate::process::Daemon, Vec<(dsrd::domain::RequestKind, String)>) {
    service.world.simulator.faults().inject(Fault::Status(503));
    let mut producer = service.producer().await;
    let handed_in = hand_in(service, &mut producer, 0..6).await;
    let mut daemon = service.spawn();
    daemon.wait_for("the worker takes requests").await;
    eventually("the requests are accepted", Duration::from_mins(1), || async {
        service.count("SELECT count(*) FROM dsrd.job").await == 6
    })
    .await;
    eventually("it looks again", Duration::from_mins(1), || async {
        daemon.log().matches("the platform could not be asked").count() >= 2
    })
    .await;
    assert_nothing_begun(service).await;
    (daemon, handed_in)
}

async fn assert_nothing_begun(service: &ProcessService) {
    assert_eq!(service.count("SELECT max(fence) FROM dsrd.job").await, 0, "a job was handed out");
    let journal = service.world.simulator.journal();
    for endpoint in Endpoint::ALL.into_iter().filter(|endpoint| !CHECK.contains(endpoint)) {
        assert_eq!(journal.calls(endpoint), 0, "{endpoint:?} was called");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s_14_work_waits_for_a_platform_that_is_away_at_start_until_its_key_was_checked() {
    let service = ProcessService::start().await;
    let (daemon, handed_in) = away(&service).await;
    service.world.simulator.faults().clear();
    service.rest(Duration::from_mins(1)).await;
    assert!(daemon.log().contains("the platform answers and was checked"));
    daemon.stop().await;
    assert_done(&service, &handed_in);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s_14_a_platform_that_comes_back_as_another_organisation_ends_the_daemon_before_any_work() {
    let service = ProcessService::around(TestService::builder().second_organisation().build().await);
    let text = std::fs::read_to_string(service.config()).unwrap();
    let text = text.replace("/main.key", "/other.key").replace("/main.secret", "/other.secret");
    std::fs::write(service.config(), text).unwrap();
    let (daemon, _) = away(&service).await;
    service.world.simulator.faults().clear();
    let (status, log) = daemon.ended(Duration::from_secs(30)).await;
    assert_eq!(status.code(), Some(2), "{log}");
    assert_eq!(log.matches("main belongs to another organisation at the platform").count(), 1, "{log}");
    assert_nothing_begun(&service).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_46_a_daemon_that_starts_in_the_middle_of_an_outage_does_not_end_it() {
    let service = ProcessService::start().await;
    for endpoint in [Endpoint::ListContacts, Endpoint::Contact] {
        service.world.simulator.faults().inject(Fault::Status(503).on(endpoint));
    }
    let down = "INSERT INTO dsrd.platform_watch (organisation_id, looked_at, down_since)
                VALUES ('main', now() - interval '1 day', now() - interval '1 day')";
    sqlx::query(down).execute(&mut *service.world.store.connection().await.unwrap()).await.unwrap();
    // The log-in serves, and tells whose key it is.
    let daemon = service.serve().await;
    eventually("it looks", Duration::from_mins(1), || async {
        let looked = "SELECT count(*) FROM dsrd.platform_watch WHERE looked_at > now() - interval '1 hour'";
        service.count(looked).await == 1
    })
    .await;
    let since_yesterday =
        "SELECT count(*) FROM dsrd.platform_watch WHERE down_since < now() - interval '23 hours'";
    assert_eq!(service.count(since_yesterday).await, 1, "it is the same outage");
    daemon.stop().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s_7_a_worker_alone_records_a_filter_that_begins_to_be_ignored() {
    let service = ProcessService::start().await;
    let _contact = service.world.platform.add_contact(person(0).1);
    let mut worker = Daemon::start(service.command(&["serve", "--only", "worker"]));
    worker.wait_for("the worker takes requests").await;
    service.world.simulator.faults().inject(Fault::FilterIgnored.on(Endpoint::ListContacts));
    // Nobody has this address, and somebody comes back.
    insert(&mut service.producer().await, RequestKind::OptOut, "ticket-1", &person(1).0).await;
    eventually("it is recorded", Duration::from_mins(1), || async {
        let recorded = "SELECT count(*) FROM dsrd.platform_watch WHERE filter_ignored_at IS NOT NULL";
        service.count(recorded).await == 1
    })
    .await;
    service.rest(Duration::from_mins(1)).await;
    worker.stop().await;
    service.finish().await;
}
