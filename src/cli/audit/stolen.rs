//! `dsrd audit key rotate --stolen`: the key is exchanged at once, because somebody else may have it.
//!
//! Four parts, each of which leaves a state from which the next run goes on: the key file gets a fresh seed beside the stolen
//! one; the log is exchanged to it, in one transaction ([`Sealer::replace_key`]); the takeover head is written, whole or not
//! at all; the stolen seed is dropped from the key file. No other exchange writes the file meanwhile ([`LogKeyLock`]). A seed that the log never named, of a run that was broken off or of an
//! exchange that had been planned, is replaced by a fresh one: whoever has the file has it, too.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::heads;
use crate::audit::{Sealer, Takeover};
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::output::{Output, pairs};
use crate::daemon::{self, Foundation, LogKeyLock};

/// What the exchange came to.
#[derive(Serialize)]
struct Exchanged {
    /// The file with the takeover head.
    takeover: PathBuf,
    /// How many entries it covers.
    size: u64,
    /// The root of the tree over them, in base64, as it stands in the head.
    root: String,
    /// The key that signs from there on.
    verifier_key: String,
    /// The key that counts for nothing from there on.
    former_verifier_key: String,
    /// The key file with the new seed.
    key_file: PathBuf,
}

pub(super) async fn rotate(
    file: &Path,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let key_file = LogKeyLock::take(context.settings())?;
    heads::ensure_continued(context, foundation).await?;
    let sealer = super::key::open(context, foundation).await?;
    let exchanged = exchange(&sealer, &key_file, file, context).await;
    sealer.close().await;
    let Takeover { size, root, former, present, .. } = exchanged?;
    let exchanged = Exchanged {
        takeover: file.to_owned(),
        size,
        root: root.to_string(),
        verifier_key: present.to_string(),
        former_verifier_key: former.to_string(),
        key_file: context.settings().audit.key_file.clone(),
    };
    output.show(&exchanged, shown)
}

async fn exchange(
    sealer: &Sealer,
    key_file: &LogKeyLock,
    file: &Path,
    context: &Context,
) -> anyhow::Result<Takeover> {
    let settings = context.settings();
    if sealer.verifier_keys().await.len() > 1 {
        return Err(Failure::Refused.because(
            "two keys sign the log, and both seeds stand in the key file: end the exchange that is under way with `dsrd audit \
             key rotate --finish`, then run this command again",
        ));
    }
    let there = match fs::read(file) {
        Ok(there) => Some(there),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(cannot_be_written(file, &error)),
    };
    // The log has dropped the stolen key while the file still holds it: an earlier run was broken off there.
    let is_half_done = sealer.holds_retired_key().await;
    let takeover = match (sealer.takeover().await?, there) {
        (Some(takeover), Some(there)) if there == takeover.note.as_bytes() => takeover,
        (_, Some(_)) => {
            return Err(Failure::Refused.because(format!(
                "{} exists and is not the takeover head of the key that signs now; name a file that does not exist",
                file.display()
            )));
        }
        (Some(takeover), None) if is_half_done => {
            write(file, &takeover.note)?;
            takeover
        }
        (_, None) => {
            // Before anything is exchanged: a head that cannot be written helps nobody.
            draft(file, "").and_then(fs::remove_file).map_err(|error| cannot_be_written(file, &error))?;
            let both = sealer.fresh_keys().await?;
            key_file.store(&both)?;
            sealer.take_keys(both);
            let takeover = sealer.replace_key().await?;
            write(file, &takeover.note)?;
            takeover
        }
    };
    if let Some(newest) = daemon::load_log_keys(settings)?.newest() {
        key_file.store(&newest)?;
    }
    Ok(takeover)
}

/// Writes a file whole or not at all.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let written = draft(file, text).and_then(|draft| fs::rename(draft, file)).and_then(|()| {
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    });
    written.map_err(|error| cannot_be_written(file, &error))
}

/// Writes a file beside it, which the next run writes over.
fn draft(file: &Path, text: &str) -> io::Result<PathBuf> {
    let mut name = file.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    name.push(".partial");
    let draft = file.with_file_name(name);
    let mut opened = File::create(&draft)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()?;
    Ok(draft)
}

fn cannot_be_written(file: &Path, error: &io::Error) -> anyhow::Error {
    Failure::Refused.because(format!(
        "{} cannot be written: {error}; name a file in a directory that you may write to",
        file.display()
    ))
}

fn shown(exchanged: &Exchanged) -> String {
    let facts = pairs([
        ("takeover head", exchanged.takeover.display().to_string()),
        ("size", exchanged.size.to_string()),
        ("root", exchanged.root.clone()),
        ("new key", exchanged.verifier_key.clone()),
        ("old key", exchanged.former_verifier_key.clone()),
    ]);
    format!(
        "{facts}\n\n\
         The old key counts for nothing after entry {size}. What is left to do:\n\
         1. Bring {key_file} to every host that seals this database, in another way than the stolen one went. Hosts without it\n   \
            seal nothing until they have it.\n\
         2. Announce new key, size, root and takeover head outside of the log, on paper or by telephone: to each auditor and to\n   \
            each operator of a witness, who must drop the old key. The log's own entry proves nothing, since the thief can\n   \
            write such, too.\n\
         3. Check as they will, with the new key alone in the policy:\n   \
            dsrd audit verify --policy new.policy --known-head {file} --since {size}\n\
         The same command with the same file shows this again and changes nothing.",
        size = exchanged.size,
        key_file = exchanged.key_file.display(),
        file = exchanged.takeover.display(),
    )
}
