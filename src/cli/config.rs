//! `dsrd config`: the configuration, explained.

use std::path::PathBuf;

use clap::Subcommand;

use super::Failure;
use super::output::{Output, table};
use crate::config::{self, Explained, Sources};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show every key with its effective value, where that was set, and what it means. Secrets are never shown.
    Explain {
        /// Only keys that contain this text.
        key: Option<String>,
    },
    /// Print the JSON schema of configuration files, for editors.
    Schema,
    /// Print the reference of all keys as Markdown.
    Reference,
    /// Print the compiled-in defaults with their comments.
    Defaults,
}

pub(super) fn run(command: Command, files: &[PathBuf], output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Explain { key } => {
            let loaded = config::load(&Sources::of_process(files)?)?;
            let mut rows = config::explain(&loaded);
            if let Some(part) = key {
                let near = config::near_keys(&rows, &part);
                rows.retain(|row| row.key.contains(&part));
                if rows.is_empty() {
                    let hint = if near.is_empty() {
                        "`dsrd config explain` shows all".to_owned()
                    } else {
                        format!("did you mean {}?", near.join(", "))
                    };
                    return Err(Failure::NotFound.because(format!("no key contains {part:?}; {hint}")));
                }
            }
            output.show(&rows, |rows| explained(rows))
        }
        Command::Schema => output.show(&config::schema(), |schema| format!("{schema:#}")),
        Command::Reference => output.raw(config::reference().as_bytes()),
        Command::Defaults => output.raw(config::DEFAULTS.as_bytes()),
    }
}

fn explained(rows: &[Explained]) -> String {
    let cells = rows.iter().map(|row| {
        let value = row.value.clone().unwrap_or_else(|| "(unset)".to_owned());
        let value = if value.is_empty() { "\"\"".to_owned() } else { value };
        vec![row.key.clone(), value, row.origin.clone(), row.doc.clone()]
    });
    table(&["key", "value", "origin", "meaning"], cells)
}
