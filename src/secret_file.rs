//! Files that hold secrets: one rule of who may read them, for all that read one (S-42).
//!
//! A path enters, with the key of the settings that names it; one line of text comes out. A file that anybody but its owner may
//! read is refused, whichever module reads it, so that `dsrd check` and the daemon judge alike. No error says what a file holds.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Why a secret file cannot be used. Says nothing about its content.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It cannot be opened or read.
    #[error("{key}: secret file {} cannot be read", path.display())]
    Unreadable {
        /// The key that names the file.
        key: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others than its owner may read it.
    #[error(
        "{key}: secret file {} can be read by others (mode {mode:04o}); run: chmod 600 {}",
        path.display(),
        path.display()
    )]
    Open {
        /// The key that names the file.
        key: String,
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is no regular file.
    #[error("{key}: secret file {} is not a regular file", path.display())]
    NotAFile {
        /// The key that names the file.
        key: String,
        /// The file.
        path: PathBuf,
    },
    /// It holds nothing, too much, or no text.
    #[error("{key}: secret file {} must hold one line of text of at most 16 KiB", path.display())]
    Content {
        /// The key that names the file.
        key: String,
        /// The file.
        path: PathBuf,
    },
}

/// Checks kind and mode of a secret file.
pub fn check_secret_file(key: &str, path: &Path) -> Result<(), SecretFileError> {
    open(key, path).map(|_| ())
}

fn open(key: &str, path: &Path) -> Result<std::fs::File, SecretFileError> {
    let unreadable =
        |source| SecretFileError::Unreadable { key: key.to_owned(), path: path.to_owned(), source };
    // Looked at before opening, because opening a pipe would wait for a writer; the mode is that of the opened file.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(SecretFileError::NotAFile { key: key.to_owned(), path: path.to_owned() });
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 && !is_credential(path, &metadata) {
        return Err(SecretFileError::Open { key: key.to_owned(), path: path.to_owned(), mode });
    }
    Ok(file)
}

/// Whether a file is a systemd credential as a unit with `User=` sees it: the service manager's own, readable for root, and for the
/// service by an access-control list, whose mask shows as rights of the group (0440). Those of the group are none; so that a
/// file that somebody gave such a mode is not taken for one, it must be root's, as its directory must be, to which others have
/// no right at all. See systemd.exec(5), "CREDENTIALS".
fn is_credential(path: &Path, file: &std::fs::Metadata) -> bool {
    let of_root = |metadata: &std::fs::Metadata| {
        let group = metadata.gid();
        metadata.uid() == 0 && (group == 0 || group == rustix::process::getegid().as_raw())
    };
    let directory = path.parent().and_then(|directory| std::fs::metadata(directory).ok());
    let is_closed = |directory: std::fs::Metadata| of_root(&directory) && directory.mode() & 0o227 == 0;
    of_root(file) && file.mode() & 0o7777 == 0o440 && directory.is_some_and(is_closed)
}

/// Reads a secret: one line of text, without its line end.
pub fn read_secret(key: &str, path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    const MOST: u64 = 16 * 1024;
    let content = || SecretFileError::Content { key: key.to_owned(), path: path.to_owned() };
    let file = open(key, path)?;
    let size = file.metadata().map_or(0, |metadata| metadata.size());
    // Room for everything at once: a growing buffer would leave copies behind.
    let mut text =
        Zeroizing::new(String::with_capacity(usize::try_from(size.min(MOST)).unwrap_or_default() + 1));
    file.take(MOST + 1).read_to_string(&mut text).map_err(|_| content())?;
    let secret = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if secret.is_empty() || secret.len() as u64 > MOST || secret.chars().any(char::is_control) {
        return Err(content());
    }
    Ok(secret)
}
