//! Paths that are left empty because the right place depends on the host.

use std::path::{Path, PathBuf};

use config::Value;

use super::STATE_DIRECTORY;
use super::error::SettingsError;
use super::source::Sources;
use super::values;

/// Fills in the data directory and what lies in it.
pub(super) fn fill_in(tree: &mut Value, sources: &Sources) -> Result<(), SettingsError> {
    let data_dir = if let Some(set) = text(tree, "data_dir") {
        PathBuf::from(set)
    } else {
        let found = default_data_dir(sources).ok_or(SettingsError::NoDataDirectory)?;
        values::set(tree, &["data_dir"], &found.to_string_lossy());
        found
    };
    if text(tree, "keys.master_key_file").is_none() {
        let path = data_dir.join("keys").join("master.key");
        values::set(tree, &["keys", "master_key_file"], &path.to_string_lossy());
    }
    if text(tree, "audit.key_file").is_none() {
        let path = match sources.variable("CREDENTIALS_DIRECTORY").map(|dir| Path::new(dir).join("audit.key"))
        {
            Some(credential) if credential.exists() => credential,
            _ => data_dir.join("keys").join("audit.key"),
        };
        values::set(tree, &["audit", "key_file"], &path.to_string_lossy());
    }
    if text(tree, "ledger.directory").is_none() {
        values::set(tree, &["ledger", "directory"], &data_dir.join("ledger").to_string_lossy());
    }
    if text(tree, "publish.directory").is_none() {
        values::set(tree, &["publish", "directory"], &data_dir.join("log").to_string_lossy());
    }
    // One directory, named by two modules that do not know each other.
    let packages = text(tree, "report.directory")
        .or_else(|| text(tree, "delivery.package_dir"))
        .map_or_else(|| data_dir.join("packages"), PathBuf::from);
    if text(tree, "report.directory").is_none() {
        values::set(tree, &["report", "directory"], &packages.to_string_lossy());
    }
    if text(tree, "delivery.package_dir").is_none() {
        values::set(tree, &["delivery", "package_dir"], &packages.to_string_lossy());
    }
    if text(tree, "delivery.file.dir").is_none() {
        values::set(tree, &["delivery", "file", "dir"], &data_dir.join("mail").to_string_lossy());
    }
    Ok(())
}

fn text(tree: &Value, key: &str) -> Option<String> {
    values::find(tree, key)?.clone().into_string().ok().filter(|text| !text.is_empty())
}

fn default_data_dir(sources: &Sources) -> Option<PathBuf> {
    // systemd lists several directories separated by colons where a unit asks for several.
    if let Some(first) = sources.variable("STATE_DIRECTORY").and_then(|list| list.split(':').next()) {
        return Some(PathBuf::from(first));
    }
    if sources.root || sources.of_service {
        return Some(PathBuf::from(STATE_DIRECTORY));
    }
    if let Some(state) = sources.variable("XDG_STATE_HOME") {
        return Some(PathBuf::from(state).join("dsrd"));
    }
    sources.variable("HOME").map(|home| PathBuf::from(home).join(".local/state/dsrd"))
}
