//! A standby is promoted that had not got everything.

#![expect(clippy::unwrap_used, reason = "what fails while a test is set up fails the test")]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use dsrd::store::embedded::{self, Cluster, Settings};
use dsrd::store::{self, Store};
use dsrd_simulator::Endpoint;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tempfile::TempDir;

use crate::hand_in;
use crate::process::{Daemon, ProcessService, eventually};
use crate::support::service::TestService;

/// A cluster of the test's own, which can be stopped.
pub(crate) struct Server {
    cluster: Cluster,
    directory: TempDir,
}

impl Server {
    /// Starts one in a directory; `prepared` may put a cluster there first.
    pub(crate) async fn start(prepared: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::Builder::new().prefix("dsrd-failover-").tempdir().unwrap();
        // A server that steps down from root must be able to pass through.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        prepared(directory.path());
        let settings = Settings {
            server_settings: vec![("max_wal_senders".to_owned(), "4".to_owned())],
            ..Settings::new(directory.path(), std::env::var_os("PATH"))
        };
        Self { cluster: Cluster::start(settings).await.unwrap(), directory }
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.cluster.options(embedded::DATABASE)
    }

    pub(crate) async fn ask<T>(&self, statement: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let mut connection = PgConnection::connect_with(&self.options()).await.unwrap();
        let answer = sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        answer
    }

    async fn execute(&self, statement: &'static str) {
        let mut connection = PgConnection::connect_with(&self.options()).await.unwrap();
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// The data directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) async fn stop(self) {
        self.cluster.stop().await.unwrap();
    }

    /// Lets standbys follow: the shipped rules let nobody do so.
    async fn allow_replication(&self) {
        let rules = self.directory.path().join("postgres/pg_hba.conf");
        let text = std::fs::read_to_string(&rules).unwrap();
        std::fs::write(&rules, format!("{text}local replication all peer map=dsrd\n")).unwrap();
        let _: bool = self.ask("SELECT pg_reload_conf()").await;
    }
}

/// `pg_basebackup`, where this machine has it.
fn base_backup() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join("pg_basebackup"))
        .find(|path| path.exists())
}

/// Copies a running cluster into the place where a private cluster of another directory lives, as its standby.
fn copy_as_standby(program: &Path, primary: &Server, directory: &Path) {
    let base = directory.join("postgres");
    std::fs::create_dir(&base).unwrap();
    std::fs::set_permissions(&base, std::fs::Permissions::from_mode(0o711)).unwrap();
    let copied = Command::new(program)
        .args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--dbname"])
        .arg(primary.cluster.url("postgres"))
        .arg("--pgdata")
        .arg(base.join("cluster"))
        .output()
        .unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let owner = std::fs::metadata(primary.directory.path().join("postgres/cluster")).unwrap();
    own(&base.join("cluster"), owner.uid(), owner.gid());
}

fn own(path: &Path, user: u32, group: u32) {
    std::os::unix::fs::lchown(path, Some(user), Some(group)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        chown(path, Some(user), Some(group)).unwrap();
        for entry in std::fs::read_dir(path).unwrap().flatten() {
            own(&entry.path(), user, group);
        }
    }
}

/// Waits until nothing is left to do in the database of a server.
async fn rest(server: &Server) {
    eventually("every request comes to rest", Duration::from_mins(1), || async {
        let left: i64 = server
            .ask(
                "SELECT (SELECT count(*) FROM dsrd.intake)
                      + (SELECT count(*) FROM dsrd.job WHERE state <> 'parked')
                      + (SELECT count(*) FROM dsrd.notice WHERE state = 'pending')
                      + (SELECT count(*) FROM audit.inbox)",
            )
            .await;
        left == 0
    })
    .await;
}

async fn producer(server: &Server) -> PgConnection {
    let mut connection = PgConnection::connect_with(&server.options()).await.unwrap();
    sqlx::query("SET ROLE dsrd_producer").execute(&mut connection).await.unwrap();
    connection
}

/// A primary with its standby, which was cut off before the primary went on; what the primary did last was shown outside.
struct Cut {
    primary: Server,
    standby: Server,
    service: ProcessService,
    daemon: Daemon,
    /// How many entries the standby has.
    kept: i64,
}

/// The log and its state at the moment of the loss, with `also` put before the database's own; nothing where this machine lacks
/// `pg_basebackup`.
async fn cut_off(also: &str) -> Option<Cut> {
    let Some(program) = base_backup() else {
        crate::required::skipped("this machine has no pg_basebackup");
        return None;
    };
    let primary = Server::start(|_| {}).await;
    dsrd::store::migrate(&primary.options()).await.unwrap();
    primary.allow_replication().await;
    let standby = Server::start(|directory| copy_as_standby(&program, &primary, directory)).await;
    assert!(standby.ask::<bool>("SELECT pg_is_in_recovery()").await);
    // Whoever comes to it by an address of before gets no connection, rather than one on which every write fails.
    let settings = store::Settings {
        url_file: None,
        url: None,
        max_connections: 1,
        statement_timeout_secs: 5,
        acquire_timeout_secs: 1,
        migrate_at_start: false,
        embedded_binaries_dir: None,
    };
    let follower = Store::connect_lazily(standby.options(), &settings);
    assert!(follower.connection().await.is_err_and(|error| error.is_transient()));
    follower.close().await;

    let service = ProcessService::reaching(TestService::start().await, &primary.options());
    service.amend("[database]\n", &format!("{also}[database]\n"));
    let daemon = service.serve().await;
    hand_in(&service, &mut producer(&primary).await, 0..3).await;
    rest(&primary).await;
    let old: i64 = primary.ask("SELECT size FROM audit.head").await;
    eventually("the standby follows", Duration::from_mins(1), || async {
        standby.ask::<i64>("SELECT size FROM audit.head").await >= old
    })
    .await;

    // The link breaks; the primary works on, and shows its heads outside.
    standby.execute("ALTER SYSTEM SET primary_conninfo = ''").await;
    let _: bool = standby.ask("SELECT pg_reload_conf()").await;
    eventually("the standby is cut off", Duration::from_mins(1), || async {
        standby.ask::<i64>("SELECT count(*) FROM pg_stat_wal_receiver").await == 0
    })
    .await;
    let kept: i64 = standby.ask("SELECT size FROM audit.head").await;
    hand_in(&service, &mut producer(&primary).await, 3..6).await;
    rest(&primary).await;
    let published = service.home.join("log/checkpoint");
    eventually("the newer head is published", Duration::from_mins(1), || async {
        let note = std::fs::read_to_string(&published).unwrap_or_default();
        note.lines().nth(1).and_then(|size| size.parse::<i64>().ok()).is_some_and(|size| size > kept)
    })
    .await;
    Some(Cut { primary, standby, service, daemon, kept })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_13_a_standby_that_was_promoted_too_early_seals_and_erases_nothing_and_can_be_read() {
    let Some(Cut { primary, standby, service, daemon, kept }) = cut_off("").await else { return };
    daemon.kill().await;
    primary.cluster.stop().await.unwrap();
    let _: bool = standby.ask("SELECT pg_promote()").await;
    assert_eq!(standby.ask::<i64>("SELECT size FROM audit.head").await, kept, "some commits are lost");

    let url = |server: &Server| server.options().to_url_lossy().to_string();
    service.amend(&url(&primary), &url(&standby));
    let deleted = service.world.simulator.journal().calls(Endpoint::DeleteContact);
    let mut daemon = service.spawn();
    daemon.wait_for("safe mode").await;
    assert!(daemon.log().contains("the database is an older copy"), "{}", daemon.log());
    let late = hand_in(&service, &mut producer(&standby).await, 6..9).await;
    eventually("new requests are accepted", Duration::from_mins(1), || async {
        standby.ask::<i64>("SELECT count(*) FROM dsrd.intake").await == 0
    })
    .await;
    // Two more rounds of comparison and several polls of the queue.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(standby.ask::<i64>("SELECT size FROM audit.head").await, kept, "nothing is sealed");
    assert_eq!(standby.ask::<i64>("SELECT count(*) FROM dsrd.job WHERE state = 'leased'").await, 0);
    assert_eq!(service.world.simulator.journal().calls(Endpoint::DeleteContact), deleted, "nobody is erased");
    for (_, contact) in &late {
        assert!(service.world.platform.truth(contact).unwrap().exists, "{contact} is untouched");
    }

    // Reading goes on, and says what is wrong and what to do.
    for arguments in [&["request", "list"][..], &["audit", "list"], &["audit", "verify"]] {
        let read = service.command(arguments).output().await.unwrap();
        assert!(read.status.success(), "{arguments:?}: {read:?}");
    }
    assert_eq!(
        standby.ask::<i64>("SELECT size FROM audit.head").await,
        kept,
        "a reader seals nothing either"
    );
    let check = service.command(&["check"]).output().await.unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(said.contains("FAIL") && said.contains("recover --after-restore"), "{said}");
    assert_eq!(check.status.code(), Some(4));
    daemon.stop().await;
    service.world.simulator.shutdown().await;
    standby.cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_13_a_daemon_that_lives_through_an_early_promotion_begins_anew_and_its_log_stays_in_order() {
    // It accounts for its entries often: also for those that the standby lacks, if it did not notice.
    let Some(Cut { primary, standby, service, mut daemon, kept }) =
        cut_off("[audit]\naccount_secs = 1\n").await
    else {
        return;
    };
    let Server { cluster, directory } = primary;
    let socket = directory.path().join("postgres/socket");
    cluster.stop().await.unwrap();
    let _: bool = standby.ask("SELECT pg_promote()").await;
    // The address leads to the other server now.
    std::fs::remove_dir_all(&socket).unwrap();
    std::os::unix::fs::symlink(standby.path().join("postgres/socket"), &socket).unwrap();
    daemon.wait_for("it begins anew with what the database holds now").await;
    eventually("it is in safe mode again", Duration::from_secs(40), || async {
        let log = daemon.log();
        let anew = log.find("it begins anew").unwrap();
        log[anew..].contains("safe mode")
    })
    .await;
    hand_in(&service, &mut producer(&standby).await, 6..9).await;
    eventually("new requests are accepted", Duration::from_secs(20), || async {
        standby.ask::<i64>("SELECT count(*) FROM dsrd.intake").await == 0
    })
    .await;
    assert_eq!(standby.ask::<i64>("SELECT size FROM audit.head").await, kept, "nothing is sealed");

    let former: Vec<String> = standby.ask("SELECT verifier_keys FROM audit.head").await;
    let recover = ["audit", "recover", "--after-restore", "--reason", "operator_error"];
    let named = service.command(&recover).output().await.unwrap();
    assert!(named.status.success(), "{named:?}");
    daemon.wait_for("work goes on").await;
    rest(&standby).await;
    daemon.stop().await;
    let present: Vec<String> = standby.ask("SELECT verifier_keys FROM audit.head").await;
    let policy = service.home.join("log.policy");
    let keys: Vec<String> = former.iter().chain(&present).map(|key| format!("log {key}")).collect();
    std::fs::write(&policy, format!("{}\nquorum none\n", keys.join("\n"))).unwrap();
    let verified =
        service.command(&["audit", "verify", "--policy", policy.to_str().unwrap()]).output().await.unwrap();
    assert!(verified.status.success(), "{verified:?}");
    service.world.simulator.shutdown().await;
    standby.cluster.stop().await.unwrap();
}
