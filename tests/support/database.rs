//! A real PostgreSQL database for every test.
//!
//! The first test of a process starts a private cluster with the same code that the daemon uses, in a directory of its
//! own, and migrates one database. Every test gets a copy of that database and drops it at its end. The server ends with
//! the process, by the kernel's death signal; its directory is removed by the next test process.
//!
//! Nothing here is bound to a test's runtime: what tests share is the server, never a connection.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use dsrd::store::embedded::{self, Cluster, EmbeddedError, Settings};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::sync::OnceCell;

/// The migrated database that tests get copies of.
const TEMPLATE: &str = "migrated";
const DIRECTORY_PREFIX: &str = "dsrd-test-";

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static CREATED: AtomicU64 = AtomicU64::new(0);
/// Held for as long as the process lives.
static LOCK: OnceLock<File> = OnceLock::new();

/// A database of one test, with the current schema and no rows. Dropping it drops the database.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    name: String,
    cluster: &'static Cluster,
}

impl TestDatabase {
    /// Makes a fresh database.
    pub(crate) async fn create() -> Self {
        let cluster = CLUSTER.get_or_init(start_cluster).await;
        let name = format!("test_{}", CREATED.fetch_add(1, Ordering::Relaxed));
        execute(cluster, format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
            .await
            .expect("a copy of the migrated database");
        Self { name, cluster }
    }

    /// How to connect to it, as its owner.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.cluster.options(&self.name)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Dropping a database waits for a checkpoint: on a thread of its own, which nobody waits for. What is not dropped
        // when the process ends goes with the cluster's directory.
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let cluster = self.cluster;
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime for one statement").block_on(execute(cluster, statement))
        });
    }
}

#[expect(clippy::print_stderr, reason = "whoever runs the tests is told what they do to the machine")]
fn say(line: &str) {
    eprintln!("test database: {line}");
}

async fn execute(cluster: &Cluster, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(&cluster.options("postgres")).await?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await
}

async fn start_cluster() -> Cluster {
    let (directory, lock) = fresh_directory(&std::env::temp_dir());
    LOCK.set(lock).expect("one cluster in a process");
    let settings = Settings {
        // Kept between runs, so that a machine without PostgreSQL fetches it once.
        cache_dir: Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("postgresql")),
        server_settings: vec![
            ("max_connections".to_owned(), "400".to_owned()),
            // Many tests, each with its commits, and nobody to mourn the data: do not wait for the disk.
            ("fsync".to_owned(), "off".to_owned()),
            ("synchronous_commit".to_owned(), "off".to_owned()),
            // For the oracle's witness.
            ("track_commit_timestamp".to_owned(), "on".to_owned()),
        ],
        ..Settings::new(directory, std::env::var_os("PATH"))
    };
    if let Err(missing @ EmbeddedError::NoBinaries { .. }) = embedded::discover(&settings) {
        say(&missing.to_string());
        // Blocks this test's runtime, which has nothing else to do before the server is there.
        embedded::install(&settings, &say).expect("PostgreSQL server programs");
    }
    let cluster = Cluster::start(settings).await.expect("a private cluster for the tests");
    execute(&cluster, format!("CREATE DATABASE {TEMPLATE}")).await.expect("the database to be copied");
    dsrd::store::migrate(&cluster.options(TEMPLATE)).await.expect("the migrations");
    cluster
}

/// An empty directory of this process and the lock that says so, after removing those of dead ones.
///
/// Whether a process lives is told by the lock on the file beside its directory, which the kernel lets go: its number is given
/// to others later, and to somebody else at once in another container with the same temporary files.
fn fresh_directory(parent: &Path) -> (PathBuf, File) {
    for entry in fs::read_dir(parent).expect("the directory for temporary files").flatten() {
        let path = entry.path();
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(DIRECTORY_PREFIX));
        if !is_ours || path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Ok(lock) = File::open(&path) else { continue };
        let directory = path.with_extension("");
        // Another account's leftovers cannot be removed, and another process may be removing them right now.
        if lock.try_lock().is_ok() && (!directory.exists() || fs::remove_dir_all(&directory).is_ok()) {
            drop(fs::remove_file(&path));
        }
    }
    loop {
        let name = uuid::Uuid::new_v4().simple().to_string();
        let directory = parent.join(format!("{DIRECTORY_PREFIX}{}", &name[..12]));
        let path = directory.with_extension("lock");
        let lock = File::create_new(&path).expect("a lock file for the test's cluster");
        lock.lock().expect("a lock");
        // Between its making and its locking another process may have taken it for a leftover.
        if path.exists() {
            // Others may pass through but not look around: a root test runs its server as another user.
            DirBuilder::new().mode(0o711).create(&directory).expect("a directory for the test's cluster");
            return (directory, lock);
        }
    }
}
