//! What can go wrong with the private cluster, each in one sentence with its remedy.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why the private cluster, or the server programs for it, could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// No usable `postgres` and `initdb` were found.
    #[error(
        "found no PostgreSQL server programs ({wanted}); looked in {looked_in}; run `dsrd setup`, install the package \
         postgresql, name their directory in database.embedded_binaries_dir, or configure database.url_file"
    )]
    NoBinaries {
        /// The version that was wanted, in words.
        wanted: String,
        /// Every place that was looked at and what was there.
        looked_in: String,
    },

    /// The cluster on disk was made by another major version than every server program found.
    #[error(
        "the cluster in {} was made by PostgreSQL {wanted}, but only {found} was found; install PostgreSQL {wanted} \
         (`dsrd setup` does) or move the cluster with pg_upgrade",
        directory.display()
    )]
    WrongVersion {
        /// The cluster directory.
        directory: PathBuf,
        /// Major version named by its `PG_VERSION`.
        wanted: u32,
        /// Major versions found on this machine.
        found: String,
    },

    /// The cluster directory exists but is no cluster.
    #[error(
        "{} is not a PostgreSQL cluster ({reason}); restore it from a backup or move it away so that a new one is made",
        directory.display()
    )]
    NotACluster {
        /// The cluster directory.
        directory: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A file or directory of ours could not be made, read or written.
    #[error("cannot {operation} {}; give this process read and write access to the data directory", path.display())]
    Directory {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },

    /// The account that the server runs as cannot walk to the data directory.
    #[error(
        "the database server runs as user {user} and cannot enter {}; run `chmod o+x` on it or choose another data \
         directory, such as /var/lib/dsrd",
        blocked_at.display()
    )]
    NotReachable {
        /// Account of the server.
        user: String,
        /// The first directory on the way that refuses it.
        blocked_at: PathBuf,
    },

    /// The cluster belongs to an account that this process cannot act for.
    #[error(
        "{} belongs to user id {owner}, and this process (user id {us}) cannot run a server for it; start as that user, \
         or run `chown -R` on it",
        path.display()
    )]
    WrongOwner {
        /// The cluster directory.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who we are.
        us: u32,
    },

    /// PostgreSQL refuses to run as root and there is no account to step down to.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody; create one of them"
    )]
    NoServerUser,

    /// The account has no name; the server and its peer authentication need one.
    #[error(
        "user id {uid} has no name on this system, and PostgreSQL needs one; add it to /etc/passwd or run as a named user"
    )]
    NamelessUser {
        /// The numeric user id.
        uid: u32,
    },

    /// Something else holds what we need: the lock, the pid file or the socket.
    #[error("{} is taken: {reason}; stop the other process or choose another data directory", path.display())]
    Taken {
        /// The file that is held.
        path: PathBuf,
        /// By whom, as far as can be told.
        reason: String,
    },

    /// Another process holds the lock, and the server that it is to run does not come up.
    #[error(
        "another dsrd runs the private database, and its server does not come up in time; the last lines of {}: {log}; mend \
         what they name, or wait while the server replays its log",
        log_file.display()
    )]
    NotServed {
        /// Where the server writes.
        log_file: PathBuf,
        /// The last lines of it.
        log: String,
    },

    /// No directory for the socket has a path short enough for the operating system.
    #[error(
        "the socket path {} is {length} bytes long, {limit} is the maximum, and no short directory could be used either; \
         choose a data directory with a shorter path",
        path.display()
    )]
    SocketPathTooLong {
        /// The path that would have been used.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The longest path that can be bound, in bytes.
        limit: usize,
    },

    /// A program could not be started at all.
    #[error("cannot run {}; check that it is installed and that the server's user may execute it", program.display())]
    Launch {
        /// The program.
        program: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },

    /// `initdb` gave up.
    #[error("initdb could not create the cluster in {}; free the cause it names and start again: {output}", directory.display())]
    InitdbFailed {
        /// Where the cluster was to be made.
        directory: PathBuf,
        /// The last lines that it wrote.
        output: String,
    },

    /// The server ended while it was starting.
    #[error("the database server ended while starting; its log {} says: {log}", log_file.display())]
    ServerFailed {
        /// The whole log.
        log_file: PathBuf,
        /// Its last lines.
        log: String,
    },

    /// The server was not ready in time.
    #[error(
        "the database server was not ready after {} s; look at {}: {log}",
        limit.as_secs(), log_file.display()
    )]
    StartTimedOut {
        /// How long we waited.
        limit: Duration,
        /// The whole log.
        log_file: PathBuf,
        /// Its last lines.
        log: String,
    },

    /// The server did not end, even when told to leave at once.
    #[error("the database server did not stop within {} s; look at the processes using {}", limit.as_secs(), directory.display())]
    StopTimedOut {
        /// How long we waited.
        limit: Duration,
        /// The cluster directory.
        directory: PathBuf,
    },

    /// The server is up but did not let us in.
    #[error("the database server in {} is up but refused the connection; look at its log there", directory.display())]
    Connect {
        /// The directory of the cluster, its socket and its log.
        directory: PathBuf,
        /// The driver's answer.
        #[source]
        source: sqlx::Error,
    },

    /// Whoever answers on our socket serves other data.
    #[error(
        "the server on our socket serves {found} instead of {}; stop it, then start again",
        expected.display()
    )]
    WrongServer {
        /// The data directory that the server named.
        found: String,
        /// The one that is ours.
        expected: PathBuf,
    },

    /// The thread that keeps the server ended without a word.
    #[error(
        "the thread that keeps the database server ended unexpectedly; start again and report this with the log"
    )]
    KeeperLost,

    /// A step of the installation failed.
    #[error(
        "installing PostgreSQL failed at `{command}`; run it by hand to see why, then start again: {output}"
    )]
    InstallFailed {
        /// The command, as a person would type it.
        command: String,
        /// The last lines that it wrote.
        output: String,
    },

    /// One way to install is not open on this system.
    #[error("{reason}")]
    WayClosed {
        /// What is missing.
        reason: String,
    },

    /// There is no way to install on this system that we know.
    #[error(
        "cannot install PostgreSQL here ({tried}); install its server with the system's package manager (Debian: \
         `apt-get install postgresql`; Fedora: `dnf install postgresql-server`) or configure database.url_file"
    )]
    CannotInstall {
        /// The ways that were tried and why each was not open.
        tried: String,
    },
}

impl EmbeddedError {
    /// For `map_err` on operations on files of ours.
    pub(super) fn directory(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> EmbeddedError {
        let path = path.into();
        move |source| EmbeddedError::Directory { operation, path, source }
    }
}

/// The last `lines` lines of `text`, without blank ones, joined so that they fit into one message.
pub(super) fn last_lines(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let from = all.len().saturating_sub(lines);
    if all.is_empty() { "(nothing)".to_owned() } else { all[from..].join(" | ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_of_a_log_enter_a_message() {
        assert_eq!(last_lines("a\n\nb\nc  \n", 2), "b | c");
        assert_eq!(last_lines("\n", 2), "(nothing)");
    }
}
