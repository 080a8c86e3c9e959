//! Settings of reports.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How reports are made and where packages lie.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Directory for packages and spools. Must be this service's own, with mode 0700; created if absent.
    pub directory: PathBuf,
    /// Largest total of JSON text collected for one report, in bytes. A larger one waits for a person.
    pub largest_records_bytes: u64,
    /// Largest encrypted package, in bytes. A larger one waits for a person.
    pub largest_package_bytes: u64,
    /// Rows of each table in report.html; the CSV files and report.json are always complete.
    pub table_rows: u32,
    /// Columns of each CSV file; fields beyond them go into the column `other`.
    pub csv_columns: u32,
}

#[cfg(test)]
impl Settings {
    pub(super) fn for_tests() -> Self {
        Self {
            directory: PathBuf::new(),
            largest_records_bytes: 1 << 30,
            largest_package_bytes: 1 << 30,
            table_rows: 100,
            csv_columns: 200,
        }
    }
}
