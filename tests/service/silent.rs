//! A database that goes silent: its connections are not closed, and answer nothing any more (F-16).

use std::time::{Duration, Instant};

use dsrd::store::{self, Store, StoreError};

use crate::proxy::PgProxy;
use crate::support::service::TestService;

/// The limits of the pools below: a statement of two seconds at the most is waited for one second longer.
const ANSWERED_OR_BROKEN_OFF: Duration = Duration::from_secs(3);

/// What the machine may add.
const SLACK: Duration = Duration::from_secs(4);

/// A pool of one connection.
fn pool_of_one(proxy: &PgProxy) -> Store {
    let settings = store::Settings {
        url_file: None,
        url: None,
        max_connections: 1,
        statement_timeout_secs: 2,
        acquire_timeout_secs: 2,
        migrate_at_start: false,
        embedded_binaries_dir: None,
    };
    Store::connect_lazily(proxy.options(), &settings)
}

/// Asks the server something over a connection of the pool.
async fn ask(store: &Store) -> Result<(), StoreError> {
    store::server_time(&mut *store.connection().await?).await.map(drop)
}

/// The pool is good for something, at once.
async fn assert_answers(store: &Store) {
    let asked = Instant::now();
    ask(store).await.unwrap();
    assert!(asked.elapsed() < SLACK, "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_16_what_a_silent_database_never_answers_is_broken_off_and_the_pool_goes_on() {
    let service = TestService::start().await;
    let proxy = PgProxy::start(service.database.options()).await;
    let store = pool_of_one(&proxy);

    // In the middle of a statement: nothing else is asked over that connection.
    let mut connection = store.connection().await.unwrap();
    store::server_time(&mut connection).await.unwrap();
    proxy.fall_silent();
    let asked = Instant::now();
    let error = store::server_time(&mut connection).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { ambiguous: false, .. }), "{error}");
    let waited = asked.elapsed();
    assert!((ANSWERED_OR_BROKEN_OFF..ANSWERED_OR_BROKEN_OFF + SLACK).contains(&waited), "{waited:?}");
    let again = Instant::now();
    store::server_time(&mut connection).await.unwrap_err();
    assert!(again.elapsed() < Duration::from_secs(1), "who went silent is not asked again");
    drop(connection);
    proxy.answer_again();
    assert_answers(&store).await;

    // At the end of a transaction, of which nobody knows then whether it counts.
    let tx = store.begin("test.silent").await.unwrap();
    proxy.fall_silent();
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_ambiguous() && error.is_transient(), "{error}");
    proxy.answer_again();
    assert_answers(&store).await;

    // With a transaction open, and with nothing asked: what goes back to the pool is tested there, and not for ever.
    let tx = store.begin("test.silent").await.unwrap();
    proxy.fall_silent();
    drop(tx);
    proxy.answer_again();
    tokio::time::sleep(ANSWERED_OR_BROKEN_OFF).await;
    assert_answers(&store).await;

    // Nobody waits for the answer any more.
    let connection = store.connection().await.unwrap();
    proxy.fall_silent();
    let mut connection = connection;
    let asked = tokio::time::timeout(Duration::from_millis(200), store::server_time(&mut connection)).await;
    assert!(asked.is_err(), "{asked:?}");
    drop(connection);
    proxy.answer_again();
    assert_answers(&store).await;

    // While the connection rested in the pool.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    proxy.fall_silent();
    proxy.answer_again();
    assert_answers(&store).await;

    // Nor does anybody wait for ever to be connected.
    proxy.fall_silent();
    let asked = Instant::now();
    ask(&store).await.unwrap_err();
    ask(&store).await.unwrap_err();
    assert!(asked.elapsed() < 2 * (ANSWERED_OR_BROKEN_OFF + SLACK), "{:?}", asked.elapsed());
    proxy.answer_again();
    assert_answers(&store).await;
    tokio::time::timeout(SLACK, store.close()).await.expect("the pool ends");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_dropped_is_taken_back_and_its_connection_is_used_again() {
    let service = TestService::start().await;
    let proxy = PgProxy::start(service.database.options()).await;
    let store = pool_of_one(&proxy);
    let present = || async {
        let mut connection = store.connection().await.unwrap();
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM dsrd.instance WHERE version = 'dropped'")
            .fetch_one(&mut *connection)
            .await
            .unwrap()
    };
    for committed in [false, true] {
        let mut tx = store.begin("test.dropped").await.unwrap();
        sqlx::query("INSERT INTO dsrd.instance (version) VALUES ('dropped')")
            .execute(&mut *tx)
            .await
            .unwrap();
        // A part of it that is taken back leaves the rest.
        tx.begin_part().await.unwrap();
        sqlx::query("INSERT INTO dsrd.instance (version) VALUES ('dropped')")
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.take_part_back().await.unwrap();
        if committed {
            tx.commit().await.unwrap();
        } else {
            drop(tx);
        }
        assert_eq!(present().await, i64::from(committed));
    }
    assert_eq!(proxy.connections(), 1, "one connection did all of it");
    service.finish().await;
}
