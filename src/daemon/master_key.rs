//! The files of the master key and of the key that signs the audit log: read, or made at the first start.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use super::StartError;
use crate::config;
use crate::domain::{MasterKey, random};

const KEY: &str = "keys.master_key_file";

/// Reads the master key. Where the file does not exist, a new key is made, unless `stored` says that the database holds
/// the fingerprint of one already. Refuses a key that is not the one of the database.
pub fn load_or_create_master_key(path: &Path, stored: Option<&str>) -> Result<MasterKey, StartError> {
    // One that may not be looked at is not lost: reading it says why.
    if matches!(path.try_exists(), Ok(false)) {
        if stored.is_some() {
            return Err(StartError::MasterKeyLost { path: path.to_owned() });
        }
        create(path, &MasterKey::generate().to_hex())
            .map_err(|source| StartError::MasterKeyWrite { path: path.to_owned(), source })?;
        tracing::warn!(
            path = %path.display(),
            "a new master key was made; keep a copy apart from the copies of the database, without it no identifier can be read"
        );
    }
    let text = config::read_secret(KEY, path)?;
    let key = MasterKey::from_hex(&text)
        .map_err(|source| StartError::MasterKeyMalformed { path: path.to_owned(), source })?;
    match stored {
        Some(fingerprint) if fingerprint != key.fingerprint() => {
            Err(StartError::MasterKeyOther { path: path.to_owned() })
        }
        _ => Ok(key),
    }
}

/// Writes a new key whole or not at all: two processes that start at the same time agree on the first one's.
pub(super) fn create(path: &Path, key: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    create_directory(directory)?;
    let draft = draft(directory, key, &owner_of(directory)?)?;
    // A link, unlike a renaming, never replaces what another process has just made.
    let linked = match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    std::fs::remove_file(&draft)?;
    linked?;
    File::open(directory)?.sync_all()
}

/// Replaces a key file by another, whole or not at all. It stays whose it was, also in a directory of root's: whoever could read
/// the former key can read this one.
pub(super) fn replace(path: &Path, key: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    let draft = draft(directory, key, &std::fs::metadata(path)?)?;
    if let Err(error) = std::fs::rename(&draft, path) {
        std::fs::remove_file(&draft)?;
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

/// Makes the directory of a key, and those above it, with the owner of the one that was there.
pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = directory
        .ancestors()
        .take_while(|each| !each.as_os_str().is_empty() && matches!(each.try_exists(), Ok(false)))
        .collect();
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    missing.into_iter().rev().try_for_each(|made| own_like_its_directory(&File::open(made)?, made))
}

/// Gives what root has made to the owner of the directory it stands in: a command of an administrator must not take a
/// file away from the daemon, which runs under another account.
pub(super) fn own_like_its_directory(made: &File, path: &Path) -> io::Result<()> {
    own_like(made, &owner_of(path.parent().unwrap_or_else(|| Path::new(".")))?)
}

fn owner_of(directory: &Path) -> io::Result<Metadata> {
    std::fs::metadata(if directory.as_os_str().is_empty() { Path::new(".") } else { directory })
}

/// Gives what root has made to the owner of something else.
fn own_like(made: &File, other: &Metadata) -> io::Result<()> {
    if made.metadata()?.uid() != 0 {
        return Ok(());
    }
    fchown(made, Some(other.uid()), Some(other.gid()))
}

/// A file of another name with the key, on disk, that belongs to whom `other` belongs to.
fn draft(directory: &Path, key: &str, other: &Metadata) -> io::Result<PathBuf> {
    let draft = directory.join(format!(".key-{}", hex::encode(random::bytes::<8>())));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = own_like(&file, other)
        .and_then(|()| file.write_all(key.as_bytes()))
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all());
    if let Err(error) = written {
        std::fs::remove_file(&draft)?;
        return Err(error);
    }
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/master.key");
        let made = load_or_create_master_key(&path, None).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o7777, 0o700);
        let again = load_or_create_master_key(&path, Some(&made.fingerprint())).unwrap();
        assert_eq!(again.fingerprint(), made.fingerprint());
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn another_key_or_a_lost_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let sealed_with = MasterKey::generate().fingerprint();
        let lost = load_or_create_master_key(&path, Some(&sealed_with)).unwrap_err();
        assert!(matches!(lost, StartError::MasterKeyLost { .. }), "{lost}");
        assert!(!path.exists(), "no new key hides the loss");
        create(&path, &MasterKey::generate().to_hex()).unwrap();
        let other = load_or_create_master_key(&path, Some(&sealed_with)).unwrap_err();
        assert!(matches!(other, StartError::MasterKeyOther { .. }), "{other}");
        std::fs::write(&path, "canary\n").unwrap();
        let malformed = load_or_create_master_key(&path, None).unwrap_err();
        assert!(!format!("{malformed:?}").contains("canary"), "{malformed:?}");
    }

    #[test]
    fn a_key_made_meanwhile_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        create(&path, &MasterKey::generate().to_hex()).unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        create(&path, &MasterKey::generate().to_hex()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
    }

    #[test]
    fn what_root_makes_belongs_to_whom_the_directory_belongs_to() {
        let directory = tempfile::tempdir().unwrap();
        if std::fs::metadata(directory.path()).unwrap().uid() != 0 {
            // Only root can give anything away.
            return;
        }
        std::os::unix::fs::chown(directory.path(), Some(4_321), Some(4_322)).unwrap();
        let path = directory.path().join("keys/inner/master.key");
        create(&path, &MasterKey::generate().to_hex()).unwrap();
        replace(&path, &MasterKey::generate().to_hex()).unwrap();
        for made in [path.as_path(), path.parent().unwrap(), &directory.path().join("keys")] {
            let found = std::fs::metadata(made).unwrap();
            assert_eq!((found.uid(), found.gid()), (4_321, 4_322), "{}", made.display());
        }
    }

    #[test]
    fn a_key_that_root_exchanges_in_a_directory_of_its_own_stays_the_daemons() {
        let directory = tempfile::tempdir().unwrap();
        if std::fs::metadata(directory.path()).unwrap().uid() != 0 {
            // Only root can give anything away.
            return;
        }
        let path = directory.path().join("audit.key");
        create(&path, &MasterKey::generate().to_hex()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), 0);
        std::os::unix::fs::chown(&path, Some(4_321), Some(4_322)).unwrap();
        let key = MasterKey::generate().to_hex();
        replace(&path, &key).unwrap();
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid(), found.permissions().mode() & 0o7777), (4_321, 4_322, 0o600));
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), key.as_str());
    }
}
