//! The thread that starts the server, waits for it, and starts it again when it ends on its own.
//!
//! It never ends before its server does: the death signal that ties the server to us follows this thread.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use tokio::sync::{oneshot, watch};

use super::account::Account;
use super::binaries::{Binaries, discover_for};
use super::control::{Control, Part, send};
use super::error::{EmbeddedError, last_lines};
use super::initialise::{create_cluster, server_arguments, write_access_rules};
use super::layout::{Layout, socket_path};
use super::pidfile::{self, Occupant, Status};
use super::settings::Settings;

/// How often we look whether a starting server is ready.
const READY_POLL: Duration = Duration::from_millis(5);
/// A start that takes longer is told, and told again.
const SLOW_START: Duration = Duration::from_secs(30);
/// How often we look whether a server that is not our child still runs.
const ADOPTED_POLL: Duration = Duration::from_millis(200);
/// How often a guest looks whether the runner has gone.
const GUEST_POLL: Duration = Duration::from_millis(500);
/// Longest pause between two attempts to start the server again.
const LONGEST_RESTART_PAUSE: Duration = Duration::from_secs(30);
/// A server that ran this long is not counted as failing in a row.
const STEADY_AFTER: Duration = Duration::from_mins(1);

/// What a caller learns once the server is ready.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) socket_dir: PathBuf,
    pub(super) directory: PathBuf,
    pub(super) log: PathBuf,
}

/// Yields once: the server is ready, or why it never will be.
pub(super) type WhenReady = oneshot::Receiver<Result<Ready, EmbeddedError>>;
/// Closes when the keeper has ended.
pub(super) type WhenEnded = watch::Receiver<()>;

/// A server that this process answers for.
enum Server {
    Child(Child),
    /// Not our child: we cannot wait for it, only look.
    Adopted(Pid),
}

/// What the thread holds while it works.
enum Held {
    /// The lock, and with it the duty to run a server.
    Duty { lock: File, server: Server, since: Instant },
    /// Nothing: somebody else runs the server.
    Guest,
}

pub(super) struct Keeper {
    settings: Settings,
    control: Arc<Control>,
}

impl Keeper {
    /// Starts the thread. The first receiver tells when the server is ready, the second closes when the thread ends.
    pub(super) fn spawn(
        settings: Settings,
        control: Arc<Control>,
    ) -> Result<(WhenReady, WhenEnded), EmbeddedError> {
        let (ready, when_ready) = oneshot::channel();
        let (ended, when_ended) = watch::channel(());
        let keeper = Self { settings, control };
        std::thread::Builder::new()
            .name("dsrd-postgres".to_owned())
            .spawn(move || {
                keeper.run(ready);
                drop(ended);
            })
            .map_err(|source| EmbeddedError::Launch { program: "a thread for the server".into(), source })?;
        Ok((when_ready, when_ended))
    }

    fn run(&self, ready: oneshot::Sender<Result<Ready, EmbeddedError>>) {
        let (layout, mut held, socket_dir) = match self.enter() {
            Ok(entered) => entered,
            Err(error) => {
                // Nobody listens any more when the caller gave up, and then nobody needs the reason.
                drop(ready.send(Err(error)));
                return;
            }
        };
        let answer = Ready { socket_dir, directory: layout.cluster.clone(), log: layout.log.clone() };
        if ready.send(Ok(answer)).is_err() {
            self.control.request_stop(Signal::INT);
        }
        let mut failures = 0;
        loop {
            held = match held {
                Held::Guest => {
                    if self.control.pause(GUEST_POLL) {
                        return;
                    }
                    match self.try_take_over(&layout) {
                        Ok(Some(taken)) => taken,
                        Ok(None) => Held::Guest,
                        Err(error) => {
                            tracing::error!(error = %Chain(&error), "cannot take over the private database server");
                            if self.control.pause(LONGEST_RESTART_PAUSE) {
                                return;
                            }
                            Held::Guest
                        }
                    }
                }
                Held::Duty { lock, server, since } => {
                    self.wait_for_end(server, &layout);
                    if self.control.is_stopping() {
                        return;
                    }
                    failures = if since.elapsed() > STEADY_AFTER { 0 } else { failures };
                    tracing::error!(log = %layout.log.display(), "the private database server ended on its own; starting it again");
                    match self.start_again(&layout, &mut failures) {
                        Some(server) => Held::Duty { lock, server, since: Instant::now() },
                        None => return,
                    }
                }
            };
        }
    }

    /// Becomes runner, adopter or guest, whichever is possible first.
    fn enter(&self) -> Result<(Layout, Held, PathBuf), EmbeddedError> {
        let layout = Layout::create(&self.settings)?;
        let lock = layout.open_lock()?;
        let deadline = Instant::now() + self.settings.guest_timeout;
        loop {
            match lock.try_lock() {
                Ok(()) => {
                    let (server, socket_dir) = self.provide_server(&layout)?;
                    let held = Held::Duty { lock, server, since: Instant::now() };
                    return Ok((layout, held, socket_dir));
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => {
                    return Err(EmbeddedError::directory("lock", &layout.lock)(source));
                }
            }
            if let Some(found) = pidfile::read(&layout.cluster)?
                && found.status == Status::Ready
            {
                return Ok((layout, Held::Guest, found.socket_dir));
            }
            if Instant::now() > deadline || self.control.pause(READY_POLL * 4) {
                let said = File::open(&layout.log).map(|mut log| read_from(&mut log, 0)).unwrap_or_default();
                return Err(EmbeddedError::NotServed { log: last_lines(&said, 6), log_file: layout.log });
            }
        }
    }

    fn try_take_over(&self, layout: &Layout) -> Result<Option<Held>, EmbeddedError> {
        let lock = layout.open_lock()?;
        match lock.try_lock() {
            Ok(()) => {
                let (server, _) = self.provide_server(layout)?;
                tracing::info!("took over the private database server");
                Ok(Some(Held::Duty { lock, server, since: Instant::now() }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(EmbeddedError::directory("lock", &layout.lock)(source)),
        }
    }

    /// Starts the server until it works or the end is asked for.
    fn start_again(&self, layout: &Layout, failures: &mut u32) -> Option<Server> {
        loop {
            // The first attempt comes at once: most ends are accidents that recovery repairs.
            let pause = match *failures {
                0 => Duration::ZERO,
                count => Duration::from_secs(1 << count.min(5)).min(LONGEST_RESTART_PAUSE),
            };
            if self.control.pause(pause) {
                return None;
            }
            *failures = failures.saturating_add(1);
            match self.provide_server(layout) {
                Ok((server, _)) => return Some(server),
                Err(error) => {
                    tracing::error!(error = %Chain(&error), attempt = *failures, "cannot start the private database server again");
                }
            }
        }
    }

    /// A ready server for our cluster, found or started. The caller holds the lock.
    fn provide_server(&self, layout: &Layout) -> Result<(Server, PathBuf), EmbeddedError> {
        let deadline = Instant::now() + self.settings.start_timeout;
        layout.create_base()?;
        let account = Account::choose(layout)?;
        account.check_reach(&layout.base)?;
        if let Some((pid, socket_dir)) = self.find_running(layout, deadline)? {
            tracing::info!(
                pid = pid.as_raw_nonzero(),
                "found our database server running without its daemon; adopted it"
            );
            self.control.watch_over(pid, Part::Adopter);
            return Ok((Server::Adopted(pid), socket_dir));
        }
        let binaries = discover_for(&self.settings, layout)?;
        create_cluster(layout, &binaries, &account)?;
        // The time that creation took is not the server's.
        let deadline = Instant::now() + self.settings.start_timeout;
        write_access_rules(layout, &account)?;
        let socket_dir = layout.create_socket_dir(&account)?;
        let arguments = server_arguments(layout, &socket_dir, &self.settings);
        loop {
            defuse_stale_files(layout, &socket_dir)?;
            let mut log = layout.open_log()?;
            let from = log.seek(SeekFrom::End(0)).map_err(EmbeddedError::directory("read", &layout.log))?;
            let errors = log.try_clone().map_err(EmbeddedError::directory("open", &layout.log))?;
            let mut command = server_command(&binaries, &account);
            command.args(&arguments).stdout(Stdio::null()).stderr(errors);
            // A group of its own: the interrupt of a terminal must reach the daemon first, not its database.
            command.process_group(0);
            let program = binaries.program("postgres");
            let mut child = command.spawn().map_err(|source| EmbeddedError::Launch { program, source })?;
            let pid = Pid::from_child(&child);
            self.control.watch_over(pid, Part::Runner);
            match self.wait_until_ready(&mut child, pid, layout, deadline) {
                Ok(true) => return Ok((Server::Child(child), socket_dir)),
                Ok(false) => {
                    let said = read_from(&mut log, from);
                    // The children of a server killed with -9 need a moment to notice.
                    let passing = said.contains("pre-existing shared memory block");
                    if passing && Instant::now() < deadline && !self.control.pause(READY_POLL * 20) {
                        continue;
                    }
                    return Err(EmbeddedError::ServerFailed {
                        log_file: layout.log.clone(),
                        log: last_lines(&said, 6),
                    });
                }
                Err(error) => {
                    send(pid, Signal::QUIT);
                    self.wait_for_end(Server::Child(child), layout);
                    return Err(match error {
                        NotReady::TimedOut => EmbeddedError::StartTimedOut {
                            limit: self.settings.start_timeout,
                            log_file: layout.log.clone(),
                            log: last_lines(&read_from(&mut log, from), 6),
                        },
                        NotReady::Failed(error) => error,
                    });
                }
            }
        }
    }

    /// A running server of ours without a runner: left behind where the death signal was not available.
    fn find_running(
        &self,
        layout: &Layout,
        deadline: Instant,
    ) -> Result<Option<(Pid, PathBuf)>, EmbeddedError> {
        loop {
            let Some(found) = pidfile::read(&layout.cluster)? else { return Ok(None) };
            if pidfile::occupant(found.pid, &layout.cluster) != Occupant::Ours {
                return Ok(None);
            }
            if found.status == Status::Ready
                && let Some(pid) = Pid::from_raw(found.pid)
            {
                return Ok(Some((pid, found.socket_dir)));
            }
            if Instant::now() > deadline || self.control.pause(READY_POLL) {
                return Err(EmbeddedError::Taken {
                    path: pidfile::path_in(&layout.cluster),
                    reason: format!(
                        "process {} is a database server that neither starts nor ends",
                        found.pid
                    ),
                });
            }
        }
    }

    /// `false` when the server ended instead.
    fn wait_until_ready(
        &self,
        child: &mut Child,
        pid: Pid,
        layout: &Layout,
        deadline: Instant,
    ) -> Result<bool, NotReady> {
        let mut told = Instant::now();
        loop {
            if has_ended(pid) {
                self.bury(child);
                return Ok(false);
            }
            let found = pidfile::read(&layout.cluster).map_err(NotReady::Failed)?;
            if found.is_some_and(|found| found.pid == pid.as_raw_pid() && found.status == Status::Ready) {
                return Ok(true);
            }
            if Instant::now() > deadline {
                return Err(NotReady::TimedOut);
            }
            if told.elapsed() > SLOW_START {
                told = Instant::now();
                tracing::warn!(log = %layout.log.display(), "the private database is not ready yet; after a crash it replays its log first");
            }
            // A stop asked for meanwhile has signalled the server already; its end is what we wait for then.
            if self.control.pause(READY_POLL) {
                std::thread::sleep(READY_POLL);
            }
        }
    }

    fn wait_for_end(&self, server: Server, layout: &Layout) {
        match server {
            Server::Child(mut child) => {
                let pid = Pid::from_child(&child);
                // Look without burying, so that the number stays ours until nobody can signal it any more.
                while let Err(rustix::io::Errno::INTR) =
                    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
                {}
                self.bury(&mut child);
            }
            Server::Adopted(pid) => {
                while pidfile::occupant(pid.as_raw_pid(), &layout.cluster) == Occupant::Ours {
                    if self.control.pause(ADOPTED_POLL) {
                        std::thread::sleep(READY_POLL);
                    }
                }
                self.control.forget_server();
            }
        }
    }

    fn bury(&self, child: &mut Child) {
        self.control.forget_server();
        match child.wait() {
            Ok(status) => tracing::debug!(%status, "the private database server has ended"),
            Err(error) => tracing::warn!(%error, "cannot wait for the private database server"),
        }
    }
}

enum NotReady {
    TimedOut,
    Failed(EmbeddedError),
}

fn has_ended(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    matches!(waitid(WaitId::Pid(pid), options), Ok(Some(_)))
}

/// The server behind util-linux's `setpriv`, so that the kernel tells it to shut down when we die. Without `setpriv` the
/// server still works; after a `kill -9` of the daemon it stays, and the next start adopts it.
fn server_command(binaries: &Binaries, account: &Account) -> Command {
    const DEATH_SIGNAL: [&str; 3] = ["--pdeathsig", "INT", "--"];
    let works = account
        .command("setpriv")
        .args(DEATH_SIGNAL)
        .args(["setpriv", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        tracing::warn!(
            "util-linux's setpriv is missing: after kill -9 of the daemon its database server will stay until the next start"
        );
        return binaries.command("postgres", account);
    }
    let mut command = account.command("setpriv");
    command.args(DEATH_SIGNAL).arg(binaries.program("postgres"));
    if let Some(path) = binaries.library_path() {
        command.env("LD_LIBRARY_PATH", path);
    }
    command
}

/// Makes the files of a dead server harmless when their process id is in use, by another program or by the dead server
/// itself, unburied. PostgreSQL takes either for a living server and refuses to start.
///
/// The pid file is not removed but made to name this process: PostgreSQL knows that its own parent is no other server,
/// and still finds in the file the shared memory by which it recognises children that a killed server left behind. Files
/// whose process is gone are the server's own business.
fn defuse_stale_files(layout: &Layout, socket_dir: &Path) -> Result<(), EmbeddedError> {
    let Some(found) = pidfile::read(&layout.cluster)? else { return Ok(()) };
    if pidfile::occupant(found.pid, &layout.cluster) != Occupant::Other {
        return Ok(());
    }
    let socket = socket_path(socket_dir);
    if UnixStream::connect(&socket).is_ok() {
        return Err(EmbeddedError::Taken {
            path: socket,
            reason: "a server answers there that this system does not show as ours".to_owned(),
        });
    }
    tracing::info!(pid = found.pid, "the pid file of a dead database server names a process that is not it");
    let mut socket_lock = socket.into_os_string();
    socket_lock.push(".lock");
    match fs::remove_file(&socket_lock) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(EmbeddedError::directory("remove", PathBuf::from(socket_lock))(error));
        }
        _ => {}
    }
    let path = pidfile::path_in(&layout.cluster);
    let text = fs::read_to_string(&path).map_err(EmbeddedError::directory("read", &path))?;
    layout.replace(&path, &pidfile::with_process(&text, std::process::id()))
}

/// What was written to the log since `from`, at most 16 KiB of it.
fn read_from(log: &mut File, from: u64) -> String {
    const MOST_BYTES: u64 = 16 * 1024;
    let end = log.seek(SeekFrom::End(0)).unwrap_or(from);
    let start = from.max(end.saturating_sub(MOST_BYTES));
    let mut bytes = Vec::new();
    if log.seek(SeekFrom::Start(start)).is_err() || log.take(MOST_BYTES).read_to_end(&mut bytes).is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An error with all its sources, for one log line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(formatter, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
