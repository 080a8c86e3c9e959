//! What an operator sets about the ledger.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The ledger of what was done to contacts, outside of the database.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Directory of its files: one line an erasure, opt-out or hold, written before the platform is called. It must not be a part
    /// of what is restored together with the database; another disk is best. Empty means `ledger` in the data directory.
    pub directory: PathBuf,
    /// For how many days entries are kept: the age of the oldest backup of database or platform, and 30 days.
    pub keep_days: u32,
}
