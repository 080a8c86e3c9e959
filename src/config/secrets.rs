//! Which files hold secrets.

use std::path::PathBuf;

use config::{Value, ValueKind};

use super::Loaded;

/// A key that names a secret file, and the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// The key.
    pub key: String,
    /// The file.
    pub path: PathBuf,
}

/// Every secret file that the settings name: all keys that end in `_file`, but for public certificates, and are set.
#[must_use]
pub fn secret_files(loaded: &Loaded) -> Vec<Secret> {
    let mut found = Vec::new();
    collect(&loaded.tree, "", &mut found);
    found
}

fn collect(tree: &Value, path: &str, found: &mut Vec<Secret>) {
    match &tree.kind {
        ValueKind::Table(table) => {
            let mut members: Vec<_> = table.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            for (name, value) in members {
                let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match &value.kind {
                    ValueKind::String(file) if is_secret(name) && !file.is_empty() => {
                        found.push(Secret { key, path: PathBuf::from(file) });
                    }
                    _ => collect(value, &key, found),
                }
            }
        }
        ValueKind::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                collect(element, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// Whether a key names a secret file.
pub(super) fn is_secret(name: &str) -> bool {
    name.ends_with("_file") && !PUBLIC_FILES.contains(&name)
}

/// Files whose content everybody may read.
const PUBLIC_FILES: &[&str] = &["ca_file", "timestamp_certificate_file"];
