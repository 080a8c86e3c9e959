//! The log is read over two connections where somebody goes through it, and both show one state.

use dsrd::audit::verify::{Database, Source as _};
use sqlx::{Connection as _, PgConnection};

use crate::log::{ENTRIES, Log, execute};

/// Numbers of the entries that are read from one index to below another.
async fn read(database: &mut Database, first: u64, end: u64) -> Vec<u64> {
    database.entries(first, end, ENTRIES).await.unwrap().iter().map(|row| row.seq).collect()
}

/// How many connections read logs of this database.
async fn readers(log: &Log) -> i64 {
    let mut owner = PgConnection::connect_with(&log.options()).await.unwrap();
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'dsrd audit'",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap()
}

#[tokio::test]
async fn what_is_read_ahead_is_of_the_state_that_was_there_when_reading_began() {
    let log = Log::of_a_real_run().await;
    log.rest().await;
    let mut database = Database::open(&log.options(), String::new()).await.unwrap();
    let mut numbers = read(&mut database, 0, 50).await;
    assert_eq!(readers(&log).await, 1, "whoever reads a little needs no more");
    // Before the second connection is made, so that a state of its own would be another one.
    let gone =
        "ALTER TABLE audit.entry DISABLE TRIGGER USER; ALTER TABLE audit.entry_000000 DISABLE TRIGGER USER;
                DELETE FROM audit.entry WHERE seq IN (180, 260)";
    execute(&log.options(), gone).await.unwrap();
    numbers.extend(read(&mut database, 50, 100).await);
    assert_eq!(readers(&log).await, 2);
    for first in [100, 150, 200, 250] {
        numbers.extend(read(&mut database, first, first + 50).await);
    }
    assert_eq!(numbers, (1..=ENTRIES).collect::<Vec<u64>>());
    // Out of turn, and what was read before.
    assert_eq!(read(&mut database, 170, 190).await, (171..=190).collect::<Vec<u64>>());
    database.close().await;
    let mut later = Database::open(&log.options(), String::new()).await.unwrap();
    assert_eq!(read(&mut later, 150, 200).await.len(), 49, "who begins now sees what is there now");
    later.close().await;
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn a_second_connection_that_breaks_costs_nothing_but_time() {
    let log = Log::of_a_real_run().await;
    log.rest().await;
    let mut database = Database::open(&log.options(), String::new()).await.unwrap();
    let mut numbers = read(&mut database, 0, 60).await;
    numbers.extend(read(&mut database, 60, 120).await);
    let ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'dsrd audit' ORDER BY backend_start DESC LIMIT 1";
    execute(&log.options(), ended).await.unwrap();
    assert_eq!(readers(&log).await, 1);
    for first in [120, 180, 240] {
        numbers.extend(read(&mut database, first, first + 60).await);
    }
    assert_eq!(numbers, (1..=ENTRIES).collect::<Vec<u64>>());
    database.close().await;
    log.service.simulator.shutdown().await;
}
