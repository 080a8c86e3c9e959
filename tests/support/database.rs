//! A real PostgreSQL database for every test.
//!
//! The first test of a process starts a private cluster with the same code that the daemon uses, in a directory named
//! after the process, and migrates one database. Every test gets a copy of that database and drops it at its end. The
//! server ends with the process, by the kernel's death signal; its directory is removed by the next test process.
//!
//! Nothing here is bound to a test's runtime: what tests share is the server, never a connection.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
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
    let directory = fresh_directory(&std::env::temp_dir());
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

/// An empty directory of this process, after removing those of dead ones.
fn fresh_directory(parent: &Path) -> PathBuf {
    let ours = std::process::id();
    for entry in fs::read_dir(parent).expect("the directory for temporary files").flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(DIRECTORY_PREFIX)?.parse::<u32>().ok());
        let Some(process) = process else { continue };
        if process == ours || !Path::new("/proc").join(process.to_string()).exists() {
            // Another account's leftovers cannot be removed, and another process may be removing them right now.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
    let directory = parent.join(format!("{DIRECTORY_PREFIX}{ours}"));
    // Others may pass through but not look around: a root test runs its server as another user.
    DirBuilder::new().mode(0o711).create(&directory).expect("a directory for the test's cluster");
    directory
}
