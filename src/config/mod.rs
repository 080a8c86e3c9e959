//! Settings of all modules, layered, checked, explained.
//!
//! Each module declares its own `Settings`; this module joins them ([`Settings`]), reads them and hands them out. A
//! value comes from the last of these layers that names it: `config/default.toml` (compiled in, every key with its
//! comment) → the files of `--config`, in their order (else `/etc/dsrd/dsrd.toml`, if it exists) → environment variables
//! `DSRD__SECTION__KEY`. Every organisation inherits what it does not say from `[organisation_defaults]`.
//!
//! Invariants:
//! - A key that no module declares is refused, with its origin; nothing that an operator writes is ignored.
//! - Secrets are never values: keys that end in `_file` name the file that holds one. No error and no explanation
//!   shows a value read from such a file, and an error about a value never repeats it (S-42).
//! - The environment is read here and nowhere else, once ([`Sources::of_process`]).
//! - [`load`] only reads; what a running service needs beyond well-formed values is the business of [`check`].
//!
//! Why defaults are merged before deserialising: serde's own defaults cannot tell where a value came from, and
//! elements of a list have no layers in the `config` crate.
//!
//! To add a setting: add the field with its doc comment to the module's `Settings`, its default to
//! `config/default.toml`, and renew the generated files (`tests/documents.rs` says how).

mod check;
mod decisions;
mod directories;
mod error;
mod explain;
mod schema;
mod secrets;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod values;

pub use check::check;
pub use decisions::{ControllerDecision, LeftToController, Standing, left_to_controllers};
pub use error::SettingsError;
pub use explain::{Explained, explain, near_keys, reference};
pub use schema::schema;
pub use secrets::{Secret, secret_files};
pub use settings::{Keys, Organisation, Settings};
pub use source::{DEFAULT_FILE, Sources};

pub use crate::secret_file::{SecretFileError, check_secret_file, read_secret};

/// The compiled-in layer, which is also the documentation of every key.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Where the unit and the image keep what the daemon has on disk.
pub const STATE_DIRECTORY: &str = "/var/lib/dsrd";

/// Settings with the knowledge of where each came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// The merged tree with the origin of each value, for [`explain`].
    tree: ::config::Value,
}

/// Reads all layers.
pub fn load(sources: &Sources) -> Result<Loaded, SettingsError> {
    let mut tree = source::merged(sources)?;
    schema::refuse_unknown(&tree)?;
    values::inherit_organisation_defaults(&mut tree);
    directories::fill_in(&mut tree, sources)?;
    let settings = values::deserialise(&tree)?;
    Ok(Loaded { settings, tree })
}
