//! The database goes away and comes back.

use std::time::Duration;

use crate::process::{ProcessService, eventually};
use crate::proxy::PgProxy;
use crate::support::service::TestService;
use crate::{assert_done, hand_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_16_a_daemon_waits_for_its_database_at_start_and_whenever_it_goes_away() {
    let world = TestService::start().await;
    let proxy = PgProxy::start(world.database.options()).await;
    proxy.refuse(true);
    let service = ProcessService::reaching(world, &proxy.options());
    let mut daemon = service.spawn();
    daemon.wait_for("not ready").await;
    eventually("it tries again", Duration::from_secs(20), || async { proxy.connections() >= 3 }).await;
    proxy.refuse(false);
    daemon.wait_for("the worker takes requests").await;

    let mut producer = service.producer().await;
    let mut handed_in = hand_in(&service, &mut producer, 0..12).await;
    eventually("work in hand", Duration::from_secs(20), || async {
        service.count("SELECT count(*) FROM dsrd.job WHERE state = 'leased'").await > 0
    })
    .await;
    let before = proxy.connections();
    proxy.refuse(true);
    eventually("it tries again", Duration::from_secs(20), || async { proxy.connections() >= before + 5 })
        .await;
    proxy.refuse(false);
    handed_in.extend(hand_in(&service, &mut producer, 12..18).await);
    service.rest(Duration::from_mins(1)).await;
    daemon.stop().await;
    assert_done(&service, &handed_in);

    // Half a minute at most went by: one line, or two where a minute ended.
    let said = service.said();
    let lines: Vec<&str> =
        said.lines().filter(|line| line.contains("no connection to the database")).collect();
    assert!((1..=2).contains(&lines.len()), "{lines:#?}");
    // What else was told of an outage is told of requests and tasks, once each, not in a loop.
    let warnings =
        said.lines().filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\"")).count();
    assert!(warnings < 60, "{warnings} warnings: {said}");
    service.finish().await;
}
