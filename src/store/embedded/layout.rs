//! The files of the private cluster: where they are, whose they are, who may read them.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use super::account::Account;
use super::error::EmbeddedError;
use super::settings::Settings;

/// Port number of the socket's name. There is no TCP listener, so it can collide with nothing.
pub(super) const PORT: u16 = 5432;

/// Longest path of a unix socket in bytes, its terminating zero excluded (`sun_path` of `unix(7)`).
const SOCKET_PATH_LIMIT: usize = 107;

/// Every path of the cluster.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The daemon's data directory.
    pub(super) data_dir: PathBuf,
    /// Everything of ours: belongs to the owner of the data directory, anyone may pass through.
    pub(super) base: PathBuf,
    /// The cluster itself, `PGDATA`. Only the server's account may look inside.
    pub(super) cluster: PathBuf,
    /// Where a new cluster grows until it is complete.
    pub(super) unfinished: PathBuf,
    /// What the server and its predecessors wrote.
    pub(super) log: PathBuf,
    /// Held by the process that runs the server.
    pub(super) lock: PathBuf,
    /// Client authentication rules.
    pub(super) hba: PathBuf,
    /// Which operating-system account may be which role.
    pub(super) ident: PathBuf,
    /// Server programs that we unpacked.
    pub(super) cache: PathBuf,
}

/// Whether a private cluster was made in this data directory.
#[must_use]
pub fn has_cluster(data_dir: &Path) -> bool {
    data_dir.join("postgres/cluster/PG_VERSION").exists()
}

impl Layout {
    /// The paths for `settings`: absolute, because children run in another working directory, and free of links where
    /// they exist, so that two spellings of one directory are one.
    pub(super) fn new(settings: &Settings) -> Result<Self, EmbeddedError> {
        let data_dir = fs::canonicalize(&settings.data_dir)
            .or_else(|_| std::path::absolute(&settings.data_dir))
            .map_err(EmbeddedError::directory("resolve", &settings.data_dir))?;
        let base = data_dir.join("postgres");
        let cache = match &settings.cache_dir {
            Some(cache) => std::path::absolute(cache).map_err(EmbeddedError::directory("resolve", cache))?,
            None => base.join("binaries"),
        };
        Ok(Self {
            cluster: base.join("cluster"),
            unfinished: base.join("cluster.unfinished"),
            log: base.join("server.log"),
            lock: base.join("lock"),
            hba: base.join("pg_hba.conf"),
            ident: base.join("pg_ident.conf"),
            cache,
            base,
            data_dir,
        })
    }

    /// Major version of the cluster on disk; `None` when there is none yet.
    pub(super) fn cluster_major(&self) -> Result<Option<u32>, EmbeddedError> {
        let file = self.cluster.join("PG_VERSION");
        match fs::read_to_string(&file) {
            Ok(text) => match text.trim().parse() {
                Ok(major) => Ok(Some(major)),
                Err(_) => Err(EmbeddedError::NotACluster {
                    directory: self.cluster.clone(),
                    reason: "its PG_VERSION holds no version".to_owned(),
                }),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // An empty directory is as good as none; one with other files in it is not ours to fill.
                let has_files = fs::read_dir(&self.cluster).is_ok_and(|mut entries| entries.next().is_some());
                if has_files {
                    return Err(EmbeddedError::NotACluster {
                        directory: self.cluster.clone(),
                        reason: "it has files but no PG_VERSION".to_owned(),
                    });
                }
                Ok(None)
            }
            Err(source) => Err(EmbeddedError::directory("read", file)(source)),
        }
    }

    /// Makes the data directory and ours below it, and returns the paths as they are then.
    pub(super) fn create(settings: &Settings) -> Result<Self, EmbeddedError> {
        if !settings.data_dir.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o711)
                .create(&settings.data_dir)
                .map_err(EmbeddedError::directory("create", &settings.data_dir))?;
        }
        let layout = Self::new(settings)?;
        layout.create_base()?;
        Ok(layout)
    }

    /// Makes our directory in the existing data directory.
    pub(super) fn create_base(&self) -> Result<(), EmbeddedError> {
        let owner = fs::metadata(&self.data_dir)
            .map_err(EmbeddedError::directory("read", &self.data_dir))
            .map(|found| (found.uid(), found.gid()))?;
        create_directory(&self.base, 0o711, owner)
    }

    /// Who owns the files around the cluster: the owner of the data directory.
    pub(super) fn base_owner(&self) -> Result<(u32, u32), EmbeddedError> {
        let found = fs::metadata(&self.base).map_err(EmbeddedError::directory("read", &self.base))?;
        Ok((found.uid(), found.gid()))
    }

    /// Opens the lock file. Its content means nothing; the advisory lock on it does.
    pub(super) fn open_lock(&self) -> Result<File, EmbeddedError> {
        self.open_own(&self.lock, OpenOptions::new().read(true).write(true))
    }

    /// Opens the server's log for appending. The former one is kept as `server.log.1` once it has grown.
    pub(super) fn open_log(&self) -> Result<File, EmbeddedError> {
        const ROTATE_ABOVE_BYTES: u64 = 1024 * 1024;
        if fs::symlink_metadata(&self.log).is_ok_and(|found| found.len() > ROTATE_ABOVE_BYTES) {
            let former = self.base.join("server.log.1");
            fs::rename(&self.log, &former).map_err(EmbeddedError::directory("rename", &self.log))?;
        }
        self.open_own(&self.log, OpenOptions::new().append(true).read(true))
    }

    fn open_own(&self, path: &Path, options: &mut OpenOptions) -> Result<File, EmbeddedError> {
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let file = options
            .create(true)
            .mode(0o600)
            .custom_flags(flags)
            .open(path)
            .map_err(EmbeddedError::directory("open", path))?;
        let (uid, gid) = self.base_owner()?;
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::fchown(&file, Some(uid), Some(gid))
                .map_err(EmbeddedError::directory("change the owner of", path))?;
        }
        Ok(file)
    }

    /// Replaces a file of ours as a whole, readable by the server's account. Never writes through a link, which matters
    /// when root works in a directory of somebody else.
    pub(super) fn replace(&self, path: &Path, content: &str) -> Result<(), EmbeddedError> {
        let fresh = path.with_extension("new");
        if fs::symlink_metadata(&fresh).is_ok() {
            fs::remove_file(&fresh).map_err(EmbeddedError::directory("remove", &fresh))?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&fresh)
            .map_err(EmbeddedError::directory("create", &fresh))?;
        let (uid, gid) = self.base_owner()?;
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::fchown(&file, Some(uid), Some(gid))
                .map_err(EmbeddedError::directory("change the owner of", &fresh))?;
        }
        file.set_permissions(Permissions::from_mode(0o644))
            .and_then(|()| file.write_all(content.as_bytes()))
            .map_err(EmbeddedError::directory("write", &fresh))?;
        fs::rename(&fresh, path).map_err(EmbeddedError::directory("replace", path))
    }

    /// The directory of the server's socket, made and owned by `account`. Below the data directory when the path is
    /// short enough, else in a runtime directory under a name derived from the data directory.
    pub(super) fn create_socket_dir(&self, account: &Account) -> Result<PathBuf, EmbeddedError> {
        let usual = self.base.join("socket");
        if socket_path(&usual).as_os_str().len() <= SOCKET_PATH_LIMIT {
            create_directory(&usual, 0o700, (account.uid, account.gid))?;
            return Ok(usual);
        }
        for parent in short_parents() {
            let short = parent.join(self.short_name());
            if parent.is_dir()
                && socket_path(&short).as_os_str().len() <= SOCKET_PATH_LIMIT
                && create_directory(&short, 0o700, (account.uid, account.gid)).is_ok()
                && only_for(&short, account)
            {
                return Ok(short);
            }
        }
        let path = socket_path(&usual);
        let length = path.as_os_str().len();
        Err(EmbeddedError::SocketPathTooLong { path, length, limit: SOCKET_PATH_LIMIT })
    }

    fn short_name(&self) -> String {
        let digest = Sha256::digest(self.data_dir.as_os_str().as_bytes());
        format!("dsrd-{}", hex::encode(&digest[..8]))
    }
}

/// The socket file inside its directory.
pub(super) fn socket_path(directory: &Path) -> PathBuf {
    directory.join(format!(".s.PGSQL.{PORT}"))
}

/// Directories that are short, empty after a restart, and writable: for root, for a logged-in user, for anyone.
fn short_parents() -> Vec<PathBuf> {
    let user = rustix::process::geteuid();
    let mut parents = Vec::new();
    if user.is_root() {
        parents.push(PathBuf::from("/run"));
    } else {
        parents.push(PathBuf::from(format!("/run/user/{}", user.as_raw())));
    }
    parents.push(PathBuf::from("/tmp"));
    parents
}

/// Whether the directory belongs to `account` alone. In a directory that anyone may write to, somebody else could have
/// made it first and would then answer in the server's place.
fn only_for(directory: &Path, account: &Account) -> bool {
    fs::symlink_metadata(directory)
        .is_ok_and(|found| found.is_dir() && found.uid() == account.uid && found.mode() & 0o777 == 0o700)
}

/// Makes `path` with exactly `mode`, owned by `owner` when we are root. An existing directory is brought to that state;
/// anything else in its place, a link included, is refused.
pub(super) fn create_directory(path: &Path, mode: u32, owner: (u32, u32)) -> Result<(), EmbeddedError> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(source) => return Err(EmbeddedError::directory("create", path)(source)),
    }
    let found = fs::symlink_metadata(path).map_err(EmbeddedError::directory("read", path))?;
    if !found.is_dir() {
        return Err(EmbeddedError::Taken {
            path: path.to_path_buf(),
            reason: "it exists and is no directory".to_owned(),
        });
    }
    let us = rustix::process::geteuid();
    if us.is_root() && (found.uid(), found.gid()) != owner {
        std::os::unix::fs::lchown(path, Some(owner.0), Some(owner.1))
            .map_err(EmbeddedError::directory("change the owner of", path))?;
    }
    if found.mode() & 0o7777 != mode {
        fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(EmbeddedError::directory("set the permissions of", path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_a_link_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("target");
        fs::create_dir(&target).unwrap();
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let us = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        assert!(matches!(create_directory(&link, 0o700, us), Err(EmbeddedError::Taken { .. })));
        create_directory(&target, 0o700, us).unwrap();
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o700);
    }

    #[test]
    fn replacing_a_file_does_not_write_through_a_link_left_in_the_way() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::create(&Settings::new(temp.path(), None)).unwrap();
        let victim = temp.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, layout.base.join("pg_hba.new")).unwrap();
        layout.replace(&layout.hba, "rules").unwrap();
        assert_eq!(fs::read_to_string(&layout.hba).unwrap(), "rules");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    }

    #[test]
    fn a_directory_with_foreign_files_is_not_taken_for_a_cluster_to_be() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::new(&Settings::new(temp.path(), None)).unwrap();
        assert_eq!(layout.cluster_major().unwrap(), None);
        fs::create_dir_all(&layout.cluster).unwrap();
        assert_eq!(layout.cluster_major().unwrap(), None);
        fs::write(layout.cluster.join("holiday.jpg"), "x").unwrap();
        assert!(matches!(layout.cluster_major(), Err(EmbeddedError::NotACluster { .. })));
        fs::write(layout.cluster.join("PG_VERSION"), "15\n").unwrap();
        assert_eq!(layout.cluster_major().unwrap(), Some(15));
    }
}
