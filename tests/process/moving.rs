//! A server of one's own: what the runbook says of its roles and of its dumps, and moving between it and the private cluster.

#![expect(clippy::unwrap_used, reason = "what fails while a test is set up fails the test")]

use std::path::{Path, PathBuf};
use std::process::Output;

use dsrd::store::{self, SchemaState, embedded};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::process::Command;

use crate::dumps::client;
use crate::failover::Server;

/// The roles of the runbook, as a superuser makes them.
const ROLES: &str = "CREATE ROLE dsrd_migrator LOGIN CREATEROLE; CREATE ROLE dsrd_backup LOGIN; GRANT pg_read_all_data TO dsrd_backup;";

/// A server that lets everybody in who reaches its socket, under each name.
async fn open_server() -> Server {
    let server = Server::start(|_| {}).await;
    let rules = server.path().join("postgres/pg_hba.conf");
    let text = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, format!("local all all trust\n{text}")).unwrap();
    let _: bool = server.ask("SELECT pg_reload_conf()").await;
    server
}

fn of(server: &Server, user: &str, database: &str) -> PgConnectOptions {
    server.options().username(user).database(database)
}

async fn execute(options: &PgConnectOptions, statements: &str) {
    let mut connection = PgConnection::connect_with(options).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A program of PostgreSQL, with the database named as the runbook does.
async fn run(program: &Path, options: &PgConnectOptions, arguments: &[&str]) -> Output {
    let database = format!(
        "host={} port={} dbname={} user={}",
        options.get_socket().unwrap().display(),
        options.get_port(),
        options.get_database().unwrap(),
        options.get_username()
    );
    Command::new(program).arg("--dbname").arg(database).args(arguments).output().await.unwrap()
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn programs() -> Option<(PathBuf, PathBuf)> {
    let found = client("pg_dump").zip(client("pg_restore"));
    if found.is_none() {
        crate::required::skipped("this machine has no pg_dump and pg_restore");
    }
    found
}

const RESTORE: [&str; 4] = ["--create", "--clean", "--if-exists", "--exit-on-error"];

/// Nothing is left of a role, so that it can go.
async fn took_over(options: &PgConnectOptions, former: &str) {
    execute(options, &format!("DROP ROLE {former}")).await;
    let mut connection = PgConnection::connect_with(options).await.unwrap();
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM dsrd.request").fetch_one(&mut connection).await.unwrap();
    assert_eq!(tables, 0);
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_ones_own_is_dumped_with_the_role_of_the_runbook_and_moves_into_a_private_cluster() {
    let Some((pg_dump, pg_restore)) = programs() else { return };
    let server = open_server().await;
    execute(&server.options(), ROLES).await;
    execute(&server.options(), "CREATE DATABASE own OWNER dsrd_migrator").await;
    store::migrate(&of(&server, "dsrd_migrator", "own")).await.unwrap();
    let dump = server.path().join("own.dump");
    let arguments = ["--format=custom", "--file", dump.to_str().unwrap()];
    let of_migrator = run(&pg_dump, &of(&server, "dsrd_migrator", "own"), &arguments).await;
    assert!(!of_migrator.status.success(), "who migrates may not read all of the log");
    succeeded(&run(&pg_dump, &of(&server, "dsrd_backup", "own"), &arguments).await);

    // Back into the server that it comes from.
    succeeded(
        &run(
            &pg_restore,
            &server.options().database("postgres"),
            &[&RESTORE[..], &[dump.to_str().unwrap()]].concat(),
        )
        .await,
    );
    let state = store::schema_state(&of(&server, "dsrd_migrator", "own")).await.unwrap();
    assert_eq!(state, SchemaState::Current);

    // Into a private cluster, whose owner is another.
    let private = Server::start(|_| {}).await;
    store::migrate(&private.options()).await.unwrap();
    execute(&private.options(), "CREATE ROLE dsrd_migrator").await;
    succeeded(
        &run(
            &pg_restore,
            &private.options().database("postgres"),
            &[&RESTORE[..], &[dump.to_str().unwrap()]].concat(),
        )
        .await,
    );
    let moved = private.options().database("own");
    execute(&moved, "REASSIGN OWNED BY dsrd_migrator TO dsrd_owner").await;
    took_over(&moved, "dsrd_migrator").await;
    store::migrate(&moved).await.unwrap();
    server.stop().await;
    private.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_cluster_moves_to_a_server_of_ones_own_where_its_owner_is_nobody() {
    let Some((pg_dump, pg_restore)) = programs() else { return };
    let private = Server::start(|_| {}).await;
    store::migrate(&private.options()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let dump = directory.path().join("dsrd.dump");
    let arguments = ["--format=custom", "--file", dump.to_str().unwrap()];
    succeeded(&run(&pg_dump, &private.options(), &arguments).await);
    private.stop().await;

    // A server as others make it, with a superuser of another name.
    let server = open_server().await;
    execute(&server.options(), "CREATE ROLE renaming SUPERUSER LOGIN").await;
    let rename = format!("ALTER ROLE {} RENAME TO postgres", embedded::ROLE);
    execute(&of(&server, "renaming", "postgres"), &rename).await;
    let superuser = of(&server, "postgres", "postgres");
    execute(&superuser, &format!("DROP ROLE renaming; {ROLES} ALTER DATABASE dsrd OWNER TO dsrd_migrator"))
        .await;
    let migrator = of(&server, "dsrd_migrator", "dsrd");
    store::migrate(&migrator).await.unwrap();

    let restore = [&RESTORE[..], &[dump.to_str().unwrap()]].concat();
    let refused = run(&pg_restore, &superuser, &restore).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("role \"dsrd_owner\" does not exist"), "{said}");
    execute(&superuser, "CREATE ROLE dsrd_owner").await;
    succeeded(&run(&pg_restore, &superuser, &restore).await);
    let moved = of(&server, "postgres", "dsrd");
    execute(&moved, "REASSIGN OWNED BY dsrd_owner TO dsrd_migrator").await;
    took_over(&moved, "dsrd_owner").await;
    assert_eq!(store::schema_state(&migrator).await.unwrap(), SchemaState::Current);
    store::migrate(&migrator).await.unwrap();
    server.stop().await;
}
