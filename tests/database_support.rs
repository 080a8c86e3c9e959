//! The databases that tests get are real, migrated, and apart from each other.

#[path = "support/database.rs"]
mod database;

use sqlx::{Connection as _, PgConnection};

use std::time::Duration;

use database::TestDatabase;

async fn current_database(database: &TestDatabase) -> String {
    let mut connection = PgConnection::connect_with(&database.options()).await.expect("a connection");
    let name = sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut connection).await;
    name.expect("the name of the database")
}

#[tokio::test]
async fn a_test_database_carries_the_current_schema() {
    let database = TestDatabase::create().await;
    let state = dsrd::store::schema_state(&database.options()).await.unwrap();
    assert_eq!(state, dsrd::store::SchemaState::Current);
}

#[tokio::test]
async fn two_tests_do_not_see_each_others_rows() {
    let (one, other) = tokio::join!(TestDatabase::create(), TestDatabase::create());
    assert_ne!(current_database(&one).await, current_database(&other).await);
    let mut connection = PgConnection::connect_with(&one.options()).await.unwrap();
    sqlx::raw_sql("CREATE TABLE mark (id INTEGER)").execute(&mut connection).await.unwrap();
    let mut elsewhere = PgConnection::connect_with(&other.options()).await.unwrap();
    let seen: bool =
        sqlx::query_scalar("SELECT to_regclass('mark') IS NOT NULL").fetch_one(&mut elsewhere).await.unwrap();
    assert!(!seen);
}

#[test]
fn databases_of_many_threads_outlive_the_runtime_that_started_the_server() {
    let threads: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let database = TestDatabase::create().await;
                    current_database(&database).await
                })
            })
        })
        .collect();
    let names: std::collections::BTreeSet<_> =
        threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(names.len(), 8);
}

#[tokio::test]
async fn an_ordinary_owner_of_a_database_can_migrate_it_and_looking_changes_nothing() {
    let witness = TestDatabase::create().await;
    let mut owner = PgConnection::connect_with(&witness.options()).await.unwrap();
    // As the runbook says: may make roles, owns its database, and is no superuser. The cluster's four group roles exist
    // already, so it is given them, as an administrator would.
    for statement in [
        "CREATE ROLE ordinary LOGIN CREATEROLE",
        "GRANT dsrd_service, dsrd_producer, auditor, dsrd_audit TO ordinary",
        "CREATE DATABASE ordinary OWNER ordinary",
    ] {
        sqlx::query(statement).execute(&mut owner).await.unwrap();
    }
    // The private cluster knows its own role by the socket's peer; the other one is taken on after connecting.
    let options = witness.options().database("ordinary").options([("role", "ordinary")]);
    assert!(matches!(
        dsrd::store::schema_state(&options).await.unwrap(),
        dsrd::store::SchemaState::Behind(_)
    ));
    let mut inside = PgConnection::connect_with(&options).await.unwrap();
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        .fetch_one(&mut inside)
        .await
        .unwrap();
    assert_eq!(tables, 0, "looking changes nothing");
    dsrd::store::migrate(&options).await.unwrap();
    assert_eq!(dsrd::store::schema_state(&options).await.unwrap(), dsrd::store::SchemaState::Current);
}

#[tokio::test]
async fn a_dropped_test_database_is_gone_even_with_connections_left() {
    let witness = TestDatabase::create().await;
    let database = TestDatabase::create().await;
    let name = current_database(&database).await;
    let still_open = PgConnection::connect_with(&database.options()).await.unwrap();
    drop(database);
    let mut connection = PgConnection::connect_with(&witness.options()).await.unwrap();
    // It is dropped in the background, so that no test waits for a checkpoint.
    let gone = async {
        loop {
            let exists: bool =
                sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
                    .bind(&name)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap();
            if !exists {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), gone).await.expect("the database is dropped");
    drop(still_open);
}
