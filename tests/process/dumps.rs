//! Dumps that are taken while the service works, and halves of the database that are put back without the other.

#![expect(clippy::unwrap_used, reason = "what fails while a test is set up fails the test")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use dsrd::audit::verify::{self, Database, Level, Plan, Policy, Severity};
use dsrd::domain::{Clock as _, SystemClock};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use tokio::process::Command;

use crate::hand_in;
use crate::process::{ProcessService, eventually};

/// A client program of PostgreSQL, where this machine has it.
pub(crate) fn client(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.chain(std::env::split_paths(&path)).map(|folder| folder.join(name)).find(|path| path.exists())
}

pub(crate) fn clients() -> Option<(PathBuf, PathBuf)> {
    let found = client("pg_dump").zip(client("psql"));
    if found.is_none() {
        crate::required::skipped("this machine has no pg_dump and psql");
    }
    found
}

/// The address as PostgreSQL's own programs read it: without what only the driver knows.
fn address(database: &PgConnectOptions) -> String {
    let mut url = database.to_url_lossy();
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(pairs.iter().filter(|(key, _)| key == "host" || key == "port"));
    url.to_string()
}

pub(crate) async fn run(program: &Path, database: &PgConnectOptions, arguments: &[&str]) {
    let ended =
        Command::new(program).arg("--dbname").arg(address(database)).args(arguments).output().await.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

async fn execute(database: &PgConnectOptions, statements: &str) {
    let mut connection = PgConnection::connect_with(database).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

pub(crate) async fn number(database: &PgConnectOptions, statement: &'static str) -> i64 {
    let mut connection = PgConnection::connect_with(database).await.unwrap();
    let number = sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    number
}

/// A new database in the same cluster, with the content of a dump.
pub(crate) async fn restored(
    service: &ProcessService,
    psql: &Path,
    dump: &Path,
    name: &str,
) -> PgConnectOptions {
    let options = service.world.database.options();
    let own = options.get_database().unwrap().to_owned();
    let name = format!("{own}_{name}");
    execute(&options.clone().database("postgres"), &format!("CREATE DATABASE {name}")).await;
    let options = options.database(&name);
    run(psql, &options, &["-q", "-v", "ON_ERROR_STOP=1", "-f", dump.to_str().unwrap()]).await;
    options
}

pub(crate) async fn remove(database: &PgConnectOptions) {
    let name = database.get_database().unwrap();
    execute(&database.clone().database("postgres"), &format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_25_a_dump_that_was_taken_under_load_is_whole_up_to_a_published_head() {
    let Some((pg_dump, psql)) = clients() else { return };
    let service = ProcessService::start().await;
    let mut producer = service.producer().await;
    let (one, other) = (service.serve().await, service.serve().await);
    let published = service.home.join("log/checkpoint");
    let mut handed_in = hand_in(&service, &mut producer, 0..10).await;
    eventually("a head is published", Duration::from_mins(1), || async { published.exists() }).await;
    let (mut last, dumps) = (None, tempfile::tempdir().unwrap());
    for round in 0..4 {
        let first = 10 + round * 20;
        handed_in.extend(hand_in(&service, &mut producer, first..first + 20).await);
        let head = std::fs::read(&published).unwrap();
        // Apart from what the oracle searches: a dump holds what the database holds.
        let dump = dumps.path().join(format!("dump-{round}.sql"));
        run(&pg_dump, &service.world.database.options(), &["-f", dump.to_str().unwrap()]).await;
        last = Some((head, dump));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let (head, dump) = last.unwrap();
    service.rest(Duration::from_mins(2)).await;
    one.stop().await;
    other.stop().await;

    let copy = restored(&service, &psql, &dump, "restored").await;
    let open = number(&copy, "SELECT count(*) FROM dsrd.request WHERE state <> 'closed'").await;
    assert!(open > 0, "the dump was taken while requests were in hand");
    for (what, statement) in [
        (
            "requests that nothing tells of",
            "SELECT count(*) FROM dsrd.request WHERE NOT EXISTS (
               SELECT FROM (SELECT case_id, action FROM audit.entry UNION ALL SELECT case_id, action FROM audit.pending) AS log
               WHERE log.case_id = request.request_id AND log.action = 'request.received')",
        ),
        (
            "closed requests whose end nothing tells of",
            "SELECT count(*) FROM dsrd.request WHERE state = 'closed' AND NOT EXISTS (
               SELECT FROM (SELECT case_id, action FROM audit.entry UNION ALL SELECT case_id, action FROM audit.pending) AS log
               WHERE log.case_id = request.request_id AND log.action = 'request.closed')",
        ),
        (
            "entries of requests that are not there",
            "SELECT count(*) FROM (SELECT case_id, action FROM audit.entry UNION ALL SELECT case_id, action FROM audit.pending) AS log
             WHERE log.action = 'request.received'
               AND NOT EXISTS (SELECT FROM dsrd.request WHERE request.request_id = log.case_id)",
        ),
        (
            "open requests without work",
            "SELECT count(*) FROM dsrd.request WHERE state NOT IN ('closed', 'manual')
               AND NOT EXISTS (SELECT FROM dsrd.job WHERE job.request_id = request.request_id)",
        ),
        ("halves of different moments", "SELECT count(*) FROM dsrd.half, audit.half WHERE dsrd.half.number <> audit.half.number"),
    ] {
        assert_eq!(number(&copy, statement).await, 0, "{what}");
    }
    // A trigger that was not shipped is a finding, and the tests' own witness of commits is one.
    execute(&copy, "DROP TRIGGER witnessed ON audit.inbox").await;
    let mut connection = service.world.store.connection().await.unwrap();
    let keys = dsrd::audit::verifier_keys(&mut connection).await.unwrap();
    drop(connection);
    let plan = Plan {
        policy: Policy::of_logs(keys.iter().map(|key| key.parse().unwrap()).collect()),
        known_heads: vec![("published".to_owned(), head)],
        since: 0,
        now: SystemClock.now(),
    };
    let mut database = Database::open(&copy, "a dump".to_owned()).await.unwrap();
    let report = verify::verify(&mut database, &plan).await.unwrap();
    database.close().await;
    let wrong: Vec<_> = report.findings.iter().filter(|each| each.severity != Severity::Remark).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(report.level, Level::L2, "the published head is that of a beginning of the dump");
    remove(&copy).await;
    crate::assert_done(&service, &handed_in);
    service.finish().await;
}

/// Puts the working tables of one moment into a database of another one.
async fn mix(psql: &Path, database: &PgConnectOptions, working: &Path) {
    // As a superuser would who has to get round the guards.
    let triggers = |action: &str| {
        format!(
            "DO $$
             DECLARE
               each record;
             BEGIN
               FOR each IN SELECT tgrelid::regclass AS place, tgname, tgenabled FROM public.guard LOOP
                 EXECUTE format('ALTER TABLE %s {action} TRIGGER %I', each.place,
                                CASE WHEN '{action}' = 'ENABLE' AND each.tgenabled = 'A' THEN 'ALWAYS' ELSE '' END, each.tgname);
               END LOOP;
             END $$"
        )
        .replace("TRIGGER %I", "%s TRIGGER %I")
    };
    let empty = format!(
        "CREATE TABLE public.guard AS SELECT tgrelid, tgname, tgenabled FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
           WHERE relnamespace = 'dsrd'::regnamespace AND NOT tgisinternal;
         {};
         DO $$
         BEGIN
           EXECUTE (SELECT 'TRUNCATE ' || string_agg(oid::regclass::text, ', ') FROM pg_class
                    WHERE relnamespace = 'dsrd'::regnamespace AND relkind IN ('r', 'p'));
         END $$",
        triggers("DISABLE")
    );
    execute(database, &empty).await;
    let arguments = [
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        "SET session_replication_role = replica",
        "-f",
        working.to_str().unwrap(),
    ];
    run(psql, database, &arguments).await;
    execute(database, &format!("{}; DROP TABLE public.guard", triggers("ENABLE"))).await;
}

async fn dump(service: &ProcessService, pg_dump: &Path, name: &str) -> (PathBuf, PathBuf) {
    let file = |part: &str| service.world.directory.path().join(format!("{name}-{part}.sql"));
    let (all, working) = (file("all"), file("working"));
    let options = service.world.database.options();
    run(pg_dump, &options, &["-f", all.to_str().unwrap()]).await;
    run(pg_dump, &options, &["--data-only", "--schema=dsrd", "-f", working.to_str().unwrap()]).await;
    (all, working)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_28_a_half_that_was_restored_alone_is_named_and_nothing_is_done_until_a_person_accepts_it() {
    let Some((pg_dump, psql)) = clients() else { return };
    let service = ProcessService::start().await;
    let mut producer = service.producer().await;
    let daemon = service.serve().await;
    hand_in(&service, &mut producer, 0..3).await;
    service.rest(Duration::from_mins(1)).await;
    daemon.stop().await;
    let (all_before, working_before) = dump(&service, &pg_dump, "before").await;
    let daemon = service.serve().await;
    hand_in(&service, &mut producer, 3..6).await;
    service.rest(Duration::from_mins(1)).await;
    daemon.stop().await;
    let (all_after, working_after) = dump(&service, &pg_dump, "after").await;
    drop(producer);

    let original = service.world.database.options();
    let mut present = original.to_url_lossy().to_string();
    for (name, all, working, says) in [
        ("log_newer", &all_after, &working_before, "the audit log in the database is newer"),
        ("work_newer", &all_before, &working_after, "the working tables in the database are newer"),
    ] {
        let copy = restored(&service, &psql, all, name).await;
        mix(&psql, &copy, working).await;
        let url = copy.to_url_lossy().to_string();
        service.amend(&present, &url);
        present = url;
        let mut daemon = service.spawn();
        daemon.wait_for("safe mode").await;
        if name == "work_newer" {
            // The log is also older than what was published of it; that is told first.
            let recover = ["audit", "recover", "--after-restore", "--reason", "operator_error"];
            let named = service.command(&recover).output().await.unwrap();
            assert!(named.status.success(), "{named:?}");
        }
        daemon.wait_for(says).await;
        let mut late = PgConnection::connect_with(&copy).await.unwrap();
        sqlx::query("SET ROLE dsrd_producer").execute(&mut late).await.unwrap();
        hand_in(&service, &mut late, 10..12).await;
        eventually("the requests are accepted", Duration::from_mins(1), || async {
            number(&copy, "SELECT count(*) FROM dsrd.intake").await == 0
        })
        .await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let size = number(&copy, "SELECT size FROM audit.head").await;
        assert_eq!(
            number(&copy, "SELECT count(*) FROM dsrd.job WHERE attempt > 0").await,
            0,
            "{name}: nothing is claimed"
        );
        let check = service.command(&["check"]).output().await.unwrap();
        let said = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(said.contains("FAIL") && said.contains(says), "{said}");
        assert_eq!(number(&copy, "SELECT size FROM audit.head").await, size, "{name}: nothing is sealed");

        let accepted = service.command(&["audit", "recover", "--mixed"]).output().await.unwrap();
        assert!(accepted.status.success(), "{accepted:?}");
        let again = service.command(&["audit", "recover", "--mixed"]).output().await.unwrap();
        assert_eq!(again.status.code(), Some(5), "there is nothing left to accept: {again:?}");
        daemon.wait_for("work goes on").await;
        eventually("the requests are worked on", Duration::from_mins(1), || async {
            number(&copy, "SELECT count(*) FROM dsrd.job WHERE attempt = 0").await == 0
        })
        .await;
        daemon.stop().await;
        let told = "SELECT count(*) FROM audit_view.log WHERE action = 'log.mixed'";
        assert_eq!(number(&copy, told).await, 1);
        remove(&copy).await;
    }
    service.world.simulator.shutdown().await;
    service.world.store.close().await;
}
