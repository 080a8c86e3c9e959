//! The key that signs the audit log, and the sealer that signs with it.

use std::sync::Arc;

use super::master_key::{create, replace};
use super::{Database, StartError};
use crate::audit::{self, LogKeys, Sealer};
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
        let known = {
            let mut connection = store.connection().await.map_err(audit::SealError::of_connecting)?;
            audit::verifier_keys(&mut connection).await?
        };
        let keys = load_or_create(settings, !known.is_empty())?;
        Ok(Sealer::open(store.clone(), keys, clock, settings.audit.clone()).await?)
    };
    let opened = opened.await;
    if opened.is_err() {
        store.close().await;
    }
    opened
}

fn load_or_create(settings: &Settings, is_known: bool) -> Result<LogKeys, StartError> {
    let path = &settings.audit.key_file;
    if !path.exists() {
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

/// Replaces the content of the key file.
pub fn store_log_keys(settings: &Settings, keys: &LogKeys) -> Result<(), StartError> {
    let path = &settings.audit.key_file;
    replace(path, &keys.to_text()).map_err(|source| StartError::LogKeyWrite { path: path.clone(), source })
}
