//! The key that signs the audit log, and the sealer that signs with it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::master_key::{create, create_directory, own_like_its_directory, replace};
use super::{Database, StartError};
use crate::audit::tlog::VerifierKey;
use crate::audit::{self, LogKeys, Restored, Sealer};
use crate::config::{self, Settings};
use crate::domain::Clock;
use crate::store::Store;

const KEY: &str = "audit.key_file";

/// Opens the sealer of the configured database. The key file is made where it does not exist and the log has not been
/// signed yet.
///
/// # Errors
/// Where the file is missing or holds another key than the one that signs this log: it is never signed with another one.
pub async fn open_sealer(
    settings: &Settings,
    database: &Database,
    clock: Arc<dyn Clock>,
) -> Result<Sealer, StartError> {
    let store = Store::connect_as_sealer(database.options().clone(), &settings.database);
    let opened = async {
        let keys = keys_of(&store, settings).await?;
        Ok(Sealer::open(store.clone(), keys, clock, settings.audit.clone()).await?)
    };
    closing(opened.await, &store).await
}

/// Opens the sealer of a restored database and lets its log go on under another name, which it answers with. `former` are the
/// keys that were exchanged after the copy was made.
///
/// # Errors
/// As [`open_sealer`], but for the keys that are named.
pub async fn open_restored_sealer(
    settings: &Settings,
    database: &Database,
    clock: Arc<dyn Clock>,
    former: &[VerifierKey],
    restored: Restored,
) -> Result<(Sealer, String), StartError> {
    let store = Store::connect_as_sealer(database.options().clone(), &settings.database);
    let opened = async {
        let keys = keys_of(&store, settings).await?;
        let audit = settings.audit.clone();
        Ok(Sealer::open_restored(store.clone(), keys, clock, audit, former, restored).await?)
    };
    closing(opened.await, &store).await
}

/// Whether this process could sign the log of the configured database, for what commits something before it opens a sealer. Where
/// the log was never signed and there is no key file, one is made.
///
/// # Errors
/// Where the file of a key that signed the log is missing or unusable.
pub async fn ensure_log_keys(settings: &Settings, database: &Database) -> Result<(), StartError> {
    let store = Store::connect_as_sealer(database.options().clone(), &settings.database);
    let found = keys_of(&store, settings).await;
    store.close().await;
    found.map(drop)
}

async fn keys_of(store: &Store, settings: &Settings) -> Result<LogKeys, StartError> {
    let known = {
        let mut connection = store.connection().await.map_err(audit::SealError::of_connecting)?;
        audit::verifier_keys(&mut connection).await.map_err(audit::SealError::from)?
    };
    load_or_create(settings, !known.is_empty())
}

/// Closes the connection of what could not be opened.
async fn closing<T>(opened: Result<T, StartError>, store: &Store) -> Result<T, StartError> {
    if opened.is_err() {
        store.close().await;
    }
    opened
}

fn load_or_create(settings: &Settings, is_known: bool) -> Result<LogKeys, StartError> {
    let path = &settings.audit.key_file;
    if matches!(path.try_exists(), Ok(false)) {
        if is_known {
            return Err(StartError::LogKeyLost { path: path.clone() });
        }
        create(path, &LogKeys::generate().to_text())
            .map_err(|source| StartError::LogKeyWrite { path: path.clone(), source })?;
        tracing::warn!(
            path = %path.display(),
            "a new key was made that signs the audit log; keep a copy apart from the copies of the database"
        );
    }
    load_log_keys(settings)
}

/// Reads the key file as it is now.
pub fn load_log_keys(settings: &Settings) -> Result<LogKeys, StartError> {
    let path = &settings.audit.key_file;
    let text = config::read_secret(KEY, path)?;
    LogKeys::from_text(&text).map_err(|source| StartError::LogKeyMalformed { path: path.clone(), source })
}

/// The key file for this process alone, from before it is read until after it was written: of two that exchange keys at once,
/// one would write over the seed that the log has named meanwhile. Ends with its process, however that ends.
#[derive(Debug)]
pub struct LogKeyLock {
    path: PathBuf,
    /// A file beside the key file, which is itself replaced by another.
    _held: File,
}

impl LogKeyLock {
    /// Takes the key file.
    ///
    /// # Errors
    /// At once where another process has it.
    pub fn take(settings: &Settings) -> Result<Self, StartError> {
        let path = settings.audit.key_file.clone();
        let mut beside = path.clone().into_os_string();
        beside.push(".lock");
        let beside = PathBuf::from(beside);
        match lock(&beside) {
            Ok(Ok(held)) => Ok(Self { path, _held: held }),
            Ok(Err(process)) => Err(StartError::LogKeyTaken { path, process }),
            Err(source) => Err(StartError::LogKeyLock { path: beside, source }),
        }
    }

    /// Replaces the content of the key file.
    pub fn store(&self, keys: &LogKeys) -> Result<(), StartError> {
        replace(&self.path, &keys.to_text())
            .map_err(|source| StartError::LogKeyWrite { path: self.path.clone(), source })
    }
}

/// Locks a file, which then tells by which process; or answers with the process that has it.
fn lock(beside: &Path) -> io::Result<Result<File, String>> {
    create_directory(beside.parent().unwrap_or_else(|| Path::new(".")))?;
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(beside)?;
    own_like_its_directory(&file, beside)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            file.write_all(std::process::id().to_string().as_bytes())?;
            Ok(Ok(file))
        }
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            file.read_to_string(&mut process)?;
            // It has not written it yet.
            Ok(Err(if process.is_empty() { "?".to_owned() } else { process }))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}
