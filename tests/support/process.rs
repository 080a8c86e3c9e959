//! The service as real processes: the executable, a configuration file, a database, mails as files.
//!
//! Around the processes stands a [`TestService`]: its database, its simulator, its keys and its oracle. Nothing of it
//! works on requests; that is done by the processes alone, which share the master key with it.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dsrd::domain::RequestKind;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::support::oracle::{self, Posted};
use crate::support::service::{ORGANISATION, TestService};

/// How long a process may go without a heartbeat, in seconds.
pub(crate) const LEASE_SECS: u64 = 3;

/// Waits until the condition holds; fails when it does not within the time.
pub(crate) async fn eventually<F>(what: &str, within: Duration, mut condition: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < within, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("its rights");
}

/// The world that the processes work in.
pub(crate) struct ProcessService {
    pub(crate) world: TestService,
    pub(crate) home: PathBuf,
    config: PathBuf,
    mails: TempDir,
    said: Arc<Mutex<Vec<Arc<Mutex<String>>>>>,
    /// Arguments and environments of the daemons, as everybody on the machine may see the former.
    arguments: Mutex<String>,
}

impl ProcessService {
    /// A world with a configuration for it.
    pub(crate) async fn start() -> Self {
        Self::around(TestService::start().await)
    }

    /// A configuration for the organisation `main` of a world that exists.
    pub(crate) fn around(world: TestService) -> Self {
        let options = world.database.options();
        Self::reaching(world, &options)
    }

    /// The same, with the database reached in a way of its own.
    pub(crate) fn reaching(world: TestService, database: &PgConnectOptions) -> Self {
        let mails = tempfile::tempdir().expect("a directory for mails");
        let home = world.directory.path().join("daemon");
        write_private(&home.join("keys/master.key"), &world.desk.keys.to_hex());
        write_private(&home.join("keys/audit.key"), &world.log_keys);
        let config = world.directory.path().join("dsrd.toml");
        std::fs::write(&config, configuration(&world, &home, mails.path(), database)).expect("a file");
        Self { world, home, config, mails, said: Arc::default(), arguments: Mutex::default() }
    }

    /// The path of the configuration file.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Changes the configuration of the daemons that are started from now on.
    pub(crate) fn amend(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(&self.config).expect("the configuration");
        assert_eq!(text.matches(from).count(), 1, "{from} stands there once");
        std::fs::write(&self.config, text.replace(from, to)).expect("a file");
    }

    /// A command of the executable with this configuration and no environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dsrd"));
        command.env_clear().arg("--config").arg(&self.config).args(arguments);
        // As on two cores wherever the tests run: threads and their arenas take memory, which one of them measures.
        command.env("TOKIO_WORKER_THREADS", "2").env("MALLOC_ARENA_MAX", "4");
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Starts a daemon.
    pub(crate) fn spawn(&self) -> Daemon {
        let daemon = Daemon::start(self.command(&["serve"]));
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&daemon.log));
        daemon
    }

    /// Starts a daemon and waits until it takes requests.
    pub(crate) async fn serve(&self) -> Daemon {
        let mut daemon = self.spawn();
        daemon.wait_for("the worker takes requests").await;
        for file in ["cmdline", "environ"] {
            let path = format!("/proc/{}/{file}", daemon.id());
            let content = std::fs::read(path).expect("a process of ours");
            let mut arguments = self.arguments.lock().unwrap_or_else(PoisonError::into_inner);
            arguments.push_str(&String::from_utf8_lossy(&content));
            assert!(arguments.contains("serve"), "nothing can be found in what was not read");
        }
        daemon
    }

    /// A connection of a producer, who may insert and nothing else.
    pub(crate) async fn producer(&self) -> PgConnection {
        let mut connection =
            PgConnection::connect_with(&self.world.database.options()).await.expect("a connection");
        sqlx::query("SET ROLE dsrd_producer").execute(&mut connection).await.expect("the role of producers");
        connection
    }

    /// A number from the database.
    pub(crate) async fn count(&self, statement: &'static str) -> i64 {
        let mut connection = self.world.store.connection().await.expect("a connection");
        sqlx::query_scalar(statement).fetch_one(&mut *connection).await.expect("a number")
    }

    /// Waits until every request is closed or waits for a person, and every notice is sent.
    pub(crate) async fn rest(&self, within: Duration) {
        let unfinished = || async {
            self.count(
                "SELECT (SELECT count(*) FROM dsrd.intake)
                      + (SELECT count(*) FROM dsrd.job WHERE state <> 'parked')
                      + (SELECT count(*) FROM dsrd.notice WHERE state = 'pending')",
            )
            .await
                == 0
        };
        eventually("every request comes to rest", within, unfinished).await;
    }

    /// Everything that the daemons said.
    pub(crate) fn said(&self) -> String {
        let logs = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        logs.iter().map(|log| log.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    /// The mails that were sent.
    fn posted(&self) -> Vec<Posted> {
        let entries = std::fs::read_dir(self.mails.path()).expect("the directory of mails");
        entries
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "eml"))
            .map(|entry| {
                let mail = std::fs::read_to_string(entry.path()).expect("a mail");
                let header = |name: &str| {
                    let line = mail.lines().find_map(|line| line.strip_prefix(name));
                    line.expect("every mail has one").trim().to_owned()
                };
                Posted {
                    message_id: header("Message-ID: "),
                    to: header("To: "),
                    raw: mail.clone().into_bytes(),
                }
            })
            .collect()
    }

    /// Removes what killed daemons left behind, as the daemon does after some hours, and tells how much that was.
    pub(crate) async fn remove_leftovers(&self) -> u64 {
        let directory = self.home.join("packages");
        let before = chrono::DateTime::<chrono::Utc>::MAX_UTC;
        dsrd::delivery::remove_leftovers(&self.world.store, &directory, before).await.expect("a directory")
    }

    /// Ends the test: the oracle checks every promise, and that no canary and no secret was said (S-41). All daemons must
    /// have ended.
    pub(crate) async fn finish(self) {
        self.remove_leftovers().await;
        let started = self.arguments.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let said = vec![("what a daemon said", self.said()), ("an argument of a process", started)];
        oracle::check_with(&self.world, self.posted(), said).await;
        self.world.simulator.shutdown().await;
        self.world.store.close().await;
    }
}

/// The configuration of a daemon of the organisation `main`: impatient, and talkative for the search for canaries.
fn configuration(world: &TestService, home: &Path, mails: &Path, database: &PgConnectOptions) -> String {
    let secrets = world.directory.path().display();
    let limit = &world.call_limits[ORGANISATION];
    format!(
        r#"
data_dir = "{home}"
[telemetry]
format = "json"
filter = "trace"
[database]
url = "{url}"
acquire_timeout_secs = 3
[queue]
request_workers = 8
heartbeat_secs = 1
lease_secs = {LEASE_SECS}
poll_secs = 1
most_crashes = 3
retry_base_secs = 1
retry_cap_secs = 4
[delivery]
transport = "file"
from_address = "privacy@prova.example"
link_base_url = "https://privacy.prova.example"
[delivery.file]
dir = "{mails}"
[[organisations]]
id = "main"
name = "Caffè Prova"
contact = "dpo@prova.example"
time_zone = "Europe/Rome"
default_country = "IT"
[organisations.platform]
base_url = "{base_url}"
organisation_id = "{organisation_id}"
client_key_file = "{secrets}/main.key"
client_secret_file = "{secrets}/main.secret"
[organisations.platform.rate]
requests_per_second = {per_second:?}
burst = {burst}
in_flight = 16
retry_pause_secs = 0.01
breaker_failures = 100000
"#,
        home = home.display(),
        url = database.to_url_lossy(),
        mails = mails.display(),
        base_url = world.simulator.base_url(),
        organisation_id = world.platform.org_id(),
        per_second = limit.per_second,
        burst = limit.burst,
    )
}

/// Hands in requests of a kind as a producer does: one for each address.
pub(crate) async fn insert(producer: &mut PgConnection, kind: RequestKind, key: &str, email: &str) {
    sqlx::query(
        "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email, assurance, assured_at)
         VALUES ('main', $1, $2, now() - interval '1 hour', 'web', $3, 'authenticated_session', now())",
    )
    .bind(key)
    .bind(kind.as_str())
    .bind(email)
    .execute(producer)
    .await
    .expect("a producer may insert");
}

/// A running executable.
pub(crate) struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
}

impl Daemon {
    /// Starts a command and reads what it says.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the executable");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        let reading = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = kept.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log, reading }
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has said something; fails when it ends before.
    pub(crate) async fn wait_for(&mut self, mark: &str) {
        let started = Instant::now();
        while !self.log().contains(mark) {
            let ended = self.child.try_wait().expect("its state");
            assert!(ended.is_none(), "it ended before it said {mark:?}: {}", self.log());
            assert!(started.elapsed() < Duration::from_mins(1), "it never said {mark:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.id();
        let id = Pid::from_raw(id.try_into().expect("a process id")).expect("not 0");
        kill_process(id, signal).expect("it runs");
    }

    /// Waits for its end, and for all that it said.
    pub(crate) async fn ended(mut self, within: Duration) -> (ExitStatus, String) {
        let status = tokio::time::timeout(within, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("still running after {within:?}: {}", self.log()));
        (&mut self.reading).await.expect("reading does not fail");
        (status.expect("its status"), self.log())
    }

    /// kill -9.
    pub(crate) async fn kill(self) {
        self.signal(Signal::KILL);
        self.ended(Duration::from_secs(30)).await;
    }

    /// Ends it in order: within ten seconds, with exit code 0.
    pub(crate) async fn stop(self) {
        self.signal(Signal::TERM);
        let (status, log) = self.ended(Duration::from_secs(10)).await;
        assert!(status.success(), "{log}");
    }
}
