//! The operating-system account that the server runs as.
//!
//! PostgreSQL refuses to run as root. A daemon that is root therefore steps down for its child: to whoever owns the
//! cluster already, else to the owner of the data directory, else to `postgres`, else to `nobody`. Any other daemon
//! runs the server as itself.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::EmbeddedError;
use super::layout::Layout;

/// Search path of the small system programs that we call, whatever the environment says.
pub(super) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An operating-system account that the server can run as.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) name: String,
    /// Whether children must change to it, because we are root.
    step_down: bool,
}

impl Account {
    /// The account for the cluster of `layout`, whose base directory exists.
    pub(super) fn choose(layout: &Layout) -> Result<Self, EmbeddedError> {
        let us = rustix::process::geteuid();
        let cluster_owner =
            fs::metadata(layout.cluster.join("PG_VERSION")).ok().map(|found| (found.uid(), found.gid()));
        if !us.is_root() {
            let uid = us.as_raw();
            if let Some((owner, _)) = cluster_owner
                && owner != uid
            {
                return Err(EmbeddedError::WrongOwner { path: layout.cluster.clone(), owner, us: uid });
            }
            let gid = rustix::process::getegid().as_raw();
            return Ok(Self { uid, gid, name: name_of(uid)?, step_down: false });
        }
        if let Some((owner, group)) = cluster_owner {
            if owner == 0 {
                return Err(EmbeddedError::WrongOwner { path: layout.cluster.clone(), owner, us: 0 });
            }
            return Ok(Self { uid: owner, gid: group, name: name_of(owner)?, step_down: true });
        }
        let (owner, group) = layout.base_owner()?;
        if owner != 0 {
            return Ok(Self { uid: owner, gid: group, name: name_of(owner)?, step_down: true });
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| {
                let uid = ask_id(&["-u", name])?.parse().ok()?;
                let gid = ask_id(&["-g", name])?.parse().ok()?;
                Some(Self { uid, gid, name: name.to_owned(), step_down: true })
            })
            .ok_or(EmbeddedError::NoServerUser)
    }

    /// A command that runs as this account, with nothing of our environment: a stray `PGDATA` or `PGOPTIONS` must not
    /// reach the server.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", SYSTEM_PATH)
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null());
        if self.step_down {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Checks that the account can walk to `directory`, and names the first obstacle otherwise.
    pub(super) fn check_reach(&self, directory: &Path) -> Result<(), EmbeddedError> {
        if !self.step_down || self.can_enter(directory)? {
            return Ok(());
        }
        let mut ancestors: Vec<&Path> = directory.ancestors().collect();
        ancestors.reverse();
        for ancestor in ancestors {
            if !self.can_enter(ancestor)? {
                let user = self.name.clone();
                return Err(EmbeddedError::NotReachable { user, blocked_at: ancestor.to_path_buf() });
            }
        }
        Ok(())
    }

    fn can_enter(&self, directory: &Path) -> Result<bool, EmbeddedError> {
        let status = self
            .command("test")
            .arg("-x")
            .arg(directory)
            .status()
            .map_err(|source| EmbeddedError::Launch { program: "test".into(), source })?;
        Ok(status.success())
    }
}

/// The name of an account. Asked of `id`, because names may come from a directory service.
pub(super) fn name_of(uid: u32) -> Result<String, EmbeddedError> {
    // Without an entry, `id -un <number>` fails; without an argument it would print the bare number on some systems.
    ask_id(&["-un", &uid.to_string()]).ok_or(EmbeddedError::NamelessUser { uid })
}

/// The name of an account of this system; none when it has no name.
#[must_use]
pub fn account_name(uid: u32) -> Option<String> {
    name_of(uid).ok()
}

fn ask_id(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("id").args(arguments).env("PATH", SYSTEM_PATH).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_without_a_name_is_refused_with_its_number() {
        assert_eq!(name_of(0).unwrap(), "root");
        assert!(matches!(name_of(3_999_999_999), Err(EmbeddedError::NamelessUser { uid: 3_999_999_999 })));
    }
}
