//! `dsrd audit key`: the key that signs the log.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use serde::Serialize;

use super::stolen;
use crate::audit::{self, LogKeys, Sealer};
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::output::{Output, table};
use crate::daemon::{self, Foundation, LogKeyLock};

/// What to do.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Make the key file, where there is none and the log was never signed. The daemon does so at its first start.
    New,
    /// Show the public keys with which auditors check the log.
    Show,
    /// Add a new key: it signs beside the old one, until the old one is retired with --finish.
    Rotate {
        /// Retire the old key, after all who check the log have got the new one.
        #[arg(long)]
        finish: bool,
        /// Somebody else may have the key: exchange it at once, with no time in which both sign, and write the takeover head
        /// for those who check the log. A run that was broken off is gone on with.
        #[arg(long, requires = "takeover", conflicts_with = "finish")]
        stolen: bool,
        /// Where to write the takeover head: the last head that the old key signed, with the new key's signature beside it.
        #[arg(long, value_name = "FILE", requires = "stolen")]
        takeover: Option<PathBuf>,
    },
}

/// A public key as shown.
#[derive(Serialize)]
struct Shown {
    /// Name of the log.
    origin: String,
    /// Short id, as in signature lines.
    id: String,
    /// What auditors verify with.
    verifier_key: String,
}

pub(super) async fn run(
    command: Command,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let path = &context.settings().audit.key_file;
    match command {
        Command::New if path.exists() => Err(Failure::Refused
            .because(format!("{} exists; `dsrd audit key rotate` adds a key", path.display()))),
        Command::New => {
            let sealer = open(context, foundation).await?;
            let keys = sealer.verifier_keys().await;
            sealer.close().await;
            show(&keys, output)
        }
        Command::Show => {
            let keys = audit::verifier_keys(&mut *foundation.store.connection().await?).await?;
            if keys.is_empty() {
                return Err(Failure::NotFound
                    .because("the log has no key yet; it gets one at the daemon's first start"));
            }
            show(&keys, output)
        }
        Command::Rotate { takeover: Some(file), .. } => {
            stolen::rotate(&file, context, foundation, output).await
        }
        Command::Rotate { finish, .. } => rotate(finish, context, foundation, output).await,
    }
}

/// The file is written before the log names a new key, and after it has dropped the old one: at no moment does the log
/// name a key that is in no file. Nobody else writes it between its reading and its writing.
async fn rotate(
    finish: bool,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let settings = context.settings();
    let file = LogKeyLock::take(settings)?;
    super::heads::ensure_continued(context, foundation).await?;
    let sealer = open(context, foundation).await?;
    let result = async {
        let mut present = daemon::load_log_keys(settings)?;
        if sealer.holds_retired_key().await
            && let Some(newest) = present.newest()
        {
            // Retiring was broken off after the log had dropped the key.
            file.store(&newest)?;
            present = newest;
            if finish {
                return Ok(sealer.verifier_keys().await);
            }
        }
        if finish {
            sealer.retire_key().await?;
            if let Some(newest) = present.newest() {
                file.store(&newest)?;
            }
        } else if sealer.verifier_keys().await.len() == 1 {
            // A file with two keys is left behind by a rotation that was broken off: its new key is announced now.
            let both = match present.with_new() {
                Some(both) => {
                    file.store(&both)?;
                    both
                }
                None => present,
            };
            announce(&sealer, both).await?;
        } else {
            return Err(Failure::Refused.because(
                "two keys sign the log already; retire the older one with `dsrd audit key rotate --finish`",
            ));
        }
        anyhow::Ok(sealer.verifier_keys().await)
    };
    let keys = result.await;
    sealer.close().await;
    show(&keys?, output)
}

async fn announce(sealer: &Sealer, both: LogKeys) -> anyhow::Result<()> {
    sealer.take_keys(both);
    Ok(sealer.add_key().await?)
}

pub(super) async fn open(context: &Context, foundation: &Foundation) -> anyhow::Result<Sealer> {
    let clock = Arc::clone(&foundation.desk.clock);
    Ok(daemon::open_sealer(context.settings(), &foundation.database, clock).await?)
}

fn show(keys: &[String], output: &Output) -> anyhow::Result<()> {
    let shown: Vec<Shown> = keys
        .iter()
        .map(|key| {
            let mut parts = key.splitn(3, '+').map(str::to_owned);
            Shown {
                origin: parts.next().unwrap_or_default(),
                id: parts.next().unwrap_or_default(),
                verifier_key: key.clone(),
            }
        })
        .collect();
    output.show(&shown, |shown| {
        let rows = shown.iter().map(|key| vec![key.id.clone(), key.verifier_key.clone()]);
        table(&["id", "verifier key"], rows)
    })
}
