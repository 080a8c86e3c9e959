//! What can be wrong with settings, told without their values.

use std::path::PathBuf;

use crate::secret_file::SecretFileError;

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A configuration file cannot be read.
    #[error("configuration file {} cannot be read", path.display())]
    FileUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A configuration file is not TOML.
    #[error("configuration file {} is not valid TOML: {problem}", path.display())]
    FileMalformed {
        /// The file.
        path: PathBuf,
        /// Line, column and rule, without the text of the line.
        problem: String,
    },
    /// A variable does not hold text.
    #[error("environment variable {name} does not hold UTF-8 text")]
    VariableNotText {
        /// Its name.
        name: String,
    },
    /// Keys that nobody declares.
    #[error("{}", .0.join("; "))]
    UnknownKeys(Vec<String>),
    /// A key without default was not set.
    #[error("{key} is missing; set it in a configuration file or as environment variable {variable}")]
    Missing {
        /// The key.
        key: String,
        /// The variable that would set it.
        variable: String,
    },
    /// A value is not of the right kind.
    #[error("{key} ({origin}): {problem}")]
    Invalid {
        /// The key.
        key: String,
        /// Where it was set.
        origin: String,
        /// What is expected instead; never the value.
        problem: String,
    },
    /// There is no place to keep data.
    #[error("no data directory: set data_dir, or run with HOME or XDG_STATE_HOME set")]
    NoDataDirectory,
    /// Values that are well-formed but must not be used (see [`super::check`]).
    #[error("{}", .0.join("; "))]
    Refused(Vec<String>),
    /// A secret file cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
}
