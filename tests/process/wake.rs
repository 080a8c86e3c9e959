//! What is handed in is taken up at once: a producer's insertion wakes the daemon, which looks by itself only now and then.

use std::time::Duration;

use dsrd::domain::RequestKind;
use sqlx::Connection as _;

use crate::process::{ProcessService, eventually, insert};

/// Far below the interval at which the daemon looks by itself.
const AT_ONCE: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producers_row_wakes_a_daemon_that_looks_seldom_also_after_its_listener_was_cut_off() {
    let service = ProcessService::start().await;
    service.amend("poll_secs = 1", "poll_secs = 60");
    let mut producer = service.producer().await;
    let options = service.world.database.options();
    let mut owner = sqlx::PgConnection::connect_with(&options).await.expect("a connection");
    let daemon = service.serve().await;
    // What it looks at when it begins is over.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for number in 0..2_i64 {
        let (email, spec) = crate::person(usize::try_from(number).expect("a small number"));
        let _contact = service.world.platform.add_contact(spec);
        insert(&mut producer, RequestKind::OptOut, &format!("ticket-{number}"), &email).await;
        let closed = async || {
            service.count("SELECT count(*) FROM dsrd.request WHERE state = 'closed'").await == number + 1
        };
        eventually("the request is closed", AT_ONCE, closed).await;
        let cut: i64 = sqlx::query_scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND query ILIKE 'LISTEN %'",
        )
        .fetch_one(&mut owner)
        .await
        .expect("a number");
        assert!(cut >= 1, "somebody listens");
        // It connects again after two seconds.
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    service.rest(Duration::from_mins(2)).await;
    daemon.stop().await;
    service.finish().await;
}
