//! The server's own `postmaster.pid`, and whether the process that it names is ours.
//!
//! Format: one item per line, of which we read 1 (process id), 5 (socket directory) and 8 (status); see
//! `src/include/utils/pidfile.h` of PostgreSQL.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::error::EmbeddedError;

/// What a server says of itself in its pid file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    /// Process id of the postmaster.
    pub(super) pid: i32,
    /// Directory of its socket; empty until it has one.
    pub(super) socket_dir: PathBuf,
    /// How far it has come.
    pub(super) status: Status,
}

/// Life stages of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Reading its files or replaying its log.
    Starting,
    /// Accepts connections.
    Ready,
    /// Was told to end.
    Stopping,
}

/// Path of the pid file of a cluster.
pub(super) fn path_in(cluster: &Path) -> PathBuf {
    cluster.join("postmaster.pid")
}

/// Reads the pid file; `None` when there is none, or none that is complete enough to name a process.
pub(super) fn read(cluster: &Path) -> Result<Option<PidFile>, EmbeddedError> {
    let path = path_in(cluster);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(EmbeddedError::directory("read", path)(source)),
    }
}

fn parse(text: &str) -> Option<PidFile> {
    let lines: Vec<&str> = text.lines().collect();
    // A single-user server writes its id negated; either way the number names the process.
    let pid = lines.first()?.trim().parse::<i32>().ok()?.checked_abs()?;
    let status = match lines.get(7).map(|status| status.trim()) {
        Some("ready" | "standby") => Status::Ready,
        Some("stopping") => Status::Stopping,
        _ => Status::Starting,
    };
    let socket_dir = PathBuf::from(lines.get(4).map_or("", |directory| directory.trim_end()));
    (pid > 1).then_some(PidFile { pid, socket_dir, status })
}

/// The text of a pid file with another process in its first line.
pub(super) fn with_process(text: &str, pid: u32) -> String {
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    format!("{pid}\n{rest}")
}

/// What runs under a process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occupant {
    /// Nobody.
    Nobody,
    /// A server for our cluster.
    Ours,
    /// Some other program that got the same number, or a dead server that nobody has buried.
    Other,
}

/// Looks up who runs under `pid`. The program and its data directory decide: `kill(pid, 0)` would call a zombie alive and
/// somebody else's process ours (in a container, the first process may never bury). A server works inside its data directory, which tells even when the directory was
/// started under another spelling of its path.
pub(super) fn occupant(pid: i32, cluster: &Path) -> Occupant {
    let Ok(command_line) = fs::read(format!("/proc/{pid}/cmdline")) else { return Occupant::Nobody };
    let mut arguments = command_line.split(|byte| *byte == 0);
    let is_server = arguments.next().is_some_and(|program| program.ends_with(b"postgres"));
    let wanted = cluster.as_os_str().as_bytes();
    let works_there = || {
        let there = fs::metadata(format!("/proc/{pid}/cwd")).ok()?;
        let ours = fs::metadata(cluster).ok()?;
        Some((there.dev(), there.ino()) == (ours.dev(), ours.ino()))
    };
    if is_server && (arguments.any(|argument| argument == wanted) || works_there() == Some(true)) {
        Occupant::Ours
    } else {
        Occupant::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_read_at_every_stage_of_a_server() {
        let ready = "4711\n/d/cluster\n1790000000\n5432\n/d/socket\n\n  1234567     98304\nready   \n";
        assert_eq!(
            parse(ready),
            Some(PidFile { pid: 4711, socket_dir: "/d/socket".into(), status: Status::Ready })
        );
        assert_eq!(parse("4711\n/d/cluster\n").map(|found| found.status), Some(Status::Starting));
        assert_eq!(
            parse(&ready.replace("ready", "stopping")).map(|found| found.status),
            Some(Status::Stopping)
        );
        assert_eq!(parse(""), None);
        assert_eq!(parse("1\n"), None);
        assert_eq!(parse("junk\n"), None);
    }

    #[test]
    fn only_the_process_is_exchanged() {
        assert_eq!(with_process("4711\n/d/cluster\n17\n", 12), "12\n/d/cluster\n17\n");
    }

    #[test]
    fn a_process_that_only_shares_the_number_is_not_ours() {
        let us = i32::try_from(std::process::id()).unwrap();
        assert_eq!(occupant(us, Path::new("/d/cluster")), Occupant::Other);
        assert_eq!(occupant(i32::MAX, Path::new("/d/cluster")), Occupant::Nobody);
    }
}
