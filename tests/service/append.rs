//! F-20: many writers append to the log at once, some give up, several sealers number what was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use dsrd::audit::{self, Action, Actor, Detail, Event, LogKeys, Sealer};
use dsrd::domain::RequestId;
use dsrd::store::Store;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::rig;
use crate::support::service::TestService;
use crate::support::settings::sealer;

const WRITERS: u64 = 32;
const EACH: u64 = 1_000;
const SEALERS: usize = 2;

/// Whether a writer gives up a transaction: about a third of them, differently for each writer.
fn given_up(writer: u64, number: u64) -> bool {
    // The finaliser of splitmix64.
    let mut mixed = (writer << 32 | number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed ^ (mixed >> 27)).is_multiple_of(3)
}

/// Each writer appends to a case of its own, one transaction an entry; returns what each committed, in its order.
async fn append(service: &TestService, store: &Store, each: u64) -> BTreeMap<Uuid, Vec<i64>> {
    let start = Arc::new(Barrier::new(usize::try_from(WRITERS).unwrap()));
    let writers = (0..WRITERS).map(|writer| {
        let (store, desk, start) = (store.clone(), service.desk.clone(), Arc::clone(&start));
        let organisation = service.controller.id.clone();
        tokio::spawn(async move {
            let case = RequestId(Uuid::now_v7());
            let mut committed = Vec::new();
            start.wait().await;
            for number in 0..each {
                let mut tx = store.begin("test").await.unwrap();
                let at = desk.clock.now();
                let event = Event::of(&organisation, case, Action::RequestRead, Actor::Process("test"), at);
                audit::append(&mut tx, event.with(Detail::none().count("number", number))).await.unwrap();
                if !given_up(writer, number) {
                    tx.commit().await.unwrap();
                    committed.push(i64::try_from(number).unwrap());
                }
            }
            (case.0, committed)
        })
    });
    let joined = futures_util::future::join_all(writers).await;
    joined.into_iter().map(Result::unwrap).collect()
}

/// Numbers what is written until told to stop; returns how often that failed.
async fn seal(sealer: Sealer, stop: CancellationToken) -> usize {
    let mut failed = 0;
    while !stop.is_cancelled() {
        failed += usize::from(sealer.seal_once(200).await.is_err());
    }
    sealer.close().await;
    failed
}

/// Appends and seals side by side; returns what was committed and how many sealings failed.
async fn race(
    service: &TestService,
    each: u64,
    sealers: Vec<JoinHandle<usize>>,
    stop: CancellationToken,
) -> (BTreeMap<Uuid, Vec<i64>>, usize) {
    let store = rig::store(service.database.options(), u32::try_from(WRITERS).unwrap());
    let committed = append(service, &store, each).await;
    stop.cancel();
    let failed = futures_util::future::join_all(sealers).await.into_iter().map(Result::unwrap).sum();
    store.close().await;
    (committed, failed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_20_thirty_two_writers_of_a_thousand_entries_leave_no_gap_and_lose_no_order() {
    let service = TestService::start().await;
    let stop = CancellationToken::new();
    let mut sealers = Vec::new();
    for _ in 0..SEALERS {
        let keys = LogKeys::from_text(&service.log_keys).unwrap();
        let sealer = sealer(&service.database, keys, Arc::clone(&service.desk.clock)).await.unwrap();
        sealers.push(tokio::spawn(seal(sealer, stop.clone())));
    }
    let (committed, failed) = race(&service, EACH, sealers, stop).await;
    assert_eq!(failed, 0, "sealers that wait for each other never collide");
    let given_up = WRITERS * EACH - committed.values().map(Vec::len).sum::<usize>() as u64;
    assert!((WRITERS * EACH / 4..WRITERS * EACH / 2).contains(&given_up), "{given_up} were given up");

    let log = service.audit().await;
    let mut found: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
    for (entry, expected) in log.iter().zip(1..) {
        assert_eq!(entry.seq, expected, "numbers run from 1 without gap");
        found.entry(entry.case.unwrap()).or_default().push(entry.detail["number"].as_i64().unwrap());
    }
    assert!(found == committed, "each case stands there as it was committed: all of it, once, in its order");
    service.finish().await;
}

/// T-4: the lock and the last number of the log read in one statement, whose snapshot is older than the lock.
const IN_ONE_STATEMENT: &str = "
    WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(7236123, 1)),
    head AS MATERIALIZED (SELECT coalesce(max(seq), 0) AS last FROM locked LEFT JOIN audit.entry ON true),
    taken AS (
      DELETE FROM audit.inbox
      WHERE inbox_id IN (SELECT inbox_id FROM audit.inbox, head ORDER BY inbox_id LIMIT 50)
      RETURNING inbox_id, entry
    )
    INSERT INTO audit.entry (seq, entry)
    SELECT head.last + row_number() OVER (ORDER BY inbox_id), entry FROM taken, head";

/// Numbers what is written in the wrong way, until told to stop; returns how often that failed.
async fn seal_carelessly(mut connection: PgConnection, stop: CancellationToken) -> usize {
    let mut failed = 0;
    while !stop.is_cancelled() {
        failed += usize::from(sqlx::raw_sql(IN_ONE_STATEMENT).execute(&mut connection).await.is_err());
    }
    connection.close().await.unwrap();
    failed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_20_the_race_finds_a_sealer_that_locks_and_reads_in_one_statement() {
    let service = TestService::start().await;
    let stop = CancellationToken::new();
    let mut sealers = Vec::new();
    for _ in 0..SEALERS {
        let mut connection = PgConnection::connect_with(&service.database.options()).await.unwrap();
        sqlx::raw_sql("SET ROLE aud_sealer").execute(&mut connection).await.unwrap();
        // Alone it works: what fails below is the race.
        sqlx::raw_sql(IN_ONE_STATEMENT).execute(&mut connection).await.unwrap();
        sealers.push(tokio::spawn(seal_carelessly(connection, stop.clone())));
    }
    let (_, failed) = race(&service, EACH / 10, sealers, stop).await;
    assert!(failed > 0, "the writers and sealers of this test are no race");
}

#[tokio::test]
async fn an_entry_in_an_open_transaction_holds_no_lock_that_another_writer_needs() {
    let service = TestService::start().await;
    let case = RequestId(Uuid::now_v7());
    let event = || {
        let (action, actor) = (Action::RequestRead, Actor::Process("test"));
        Event::of(&service.controller.id, case, action, actor, service.desk.clock.now())
    };
    let mut open = service.store.begin("test").await.unwrap();
    audit::append(&mut open, event()).await.unwrap();
    // Of the same case, by another process, while the first one has not decided yet.
    let other = rig::store(service.database.options(), 2);
    let mut tx = other.begin("test").await.unwrap();
    sqlx::raw_sql("SET LOCAL lock_timeout = '100ms'").execute(&mut *tx).await.unwrap();
    audit::append(&mut tx, event()).await.unwrap();
    tx.commit().await.unwrap();
    // Nor does it keep the sealer from what is committed.
    assert!(service.sealer.seal_everything().await.unwrap() > 0);
    assert_eq!(service.audit().await.iter().filter(|entry| entry.case == Some(case.0)).count(), 1);
    open.commit().await.unwrap();
    service.sealer.seal_everything().await.unwrap();
    assert_eq!(service.audit().await.iter().filter(|entry| entry.case == Some(case.0)).count(), 2);
    other.close().await;
    service.finish().await;
}
