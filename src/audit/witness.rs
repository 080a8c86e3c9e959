//! A witness: somebody else than the log's operator, who remembers the newest head of each log that it is told to watch
//! and signs a newer one only if it continues that one (tlog-witness, tlog-cosignature).
//!
//! A request enters as the bytes that a log posted; it leaves as an [`Answer`], which `http` puts into a status code. The
//! memory is one file per log in a folder of its own, written and brought to disk *before* a cosignature leaves: a witness
//! that is killed between the two has remembered what it did not say, which the log finds out by asking again.
//!
//! Invariants: what is remembered only grows; two requests for one log wait for each other; one process per folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::files;
use super::tlog::{
    AddCheckpoint, Algorithm, Checkpoint, CosigningKey, Hash, KeyName, SignedNote, VerifierKey,
    verify_consistency,
};
use crate::domain::Clock;

/// Why a witness cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The folder cannot be used.
    #[error("the state folder {} of the witness cannot be used", path.display())]
    Folder {
        /// The folder or a file in it.
        path: PathBuf,
        /// What was seen.
        #[source]
        source: io::Error,
    },
    /// Another witness works with the folder.
    #[error("the state folder {} is used by another witness", .0.display())]
    Taken(PathBuf),
    /// A file of the folder is not what a witness wrote.
    #[error(
        "{} does not hold a checkpoint of its log; restore it from a copy that is not older than the \
         last cosignature, a witness that has forgotten could sign two histories",
        .0.display()
    )]
    State(PathBuf),
    /// A key is not that of a log.
    #[error("{0} is the key of a witness, not of a log; use the log's own key (`dsrd audit key show`)")]
    NotALog(String),
    /// There is nothing to watch.
    #[error("no log is named; a witness needs the key of at least one (--log, `dsrd audit key show`)")]
    NoLog,
}

/// What a request comes to; the names follow the statuses of the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200: remembered; the cosignature line, with its newline.
    Cosigned(String),
    /// 400: no request, or its old size is above its checkpoint's.
    Malformed,
    /// 403: signed by none of the log's keys.
    NotSigned,
    /// 404: this witness does not watch that log.
    UnknownLog,
    /// 409: the witness has seen another size last, or another tree of the same size.
    Conflict {
        /// The size that it has seen last.
        size: u64,
    },
    /// 422: the proof does not show that the checkpoint continues what was seen last.
    Unproven,
    /// 500: it could not be remembered, so it is not signed.
    Failed,
}

/// One log that is watched.
#[derive(Debug)]
struct Watched {
    keys: Vec<VerifierKey>,
    path: PathBuf,
    /// Size and root seen last.
    latest: Mutex<Option<(u64, Hash)>>,
}

/// A witness of the logs whose keys it was given.
#[derive(Debug)]
pub struct Witness {
    key: CosigningKey,
    logs: BTreeMap<KeyName, Watched>,
    clock: Arc<dyn Clock>,
    _lock: File,
}

impl Witness {
    /// Takes the folder and reads what is remembered of each log. Several keys of one name are keys of one log: a witness
    /// accepts either while the log exchanges them.
    pub fn open(
        folder: &Path,
        key: CosigningKey,
        logs: impl IntoIterator<Item = VerifierKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WitnessError> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source| WitnessError::Folder { path, source }
        };
        let lock = files::lock(folder)
            .map_err(unusable(folder))?
            .ok_or_else(|| WitnessError::Taken(folder.to_owned()))?;
        let mut keys: BTreeMap<KeyName, Vec<VerifierKey>> = BTreeMap::new();
        for log in logs {
            if log.algorithm() != Algorithm::Ed25519 {
                return Err(WitnessError::NotALog(log.to_string()));
            }
            keys.entry(log.name().clone()).or_default().push(log);
        }
        if keys.is_empty() {
            return Err(WitnessError::NoLog);
        }
        let mut watched = BTreeMap::new();
        for (origin, keys) in keys {
            let name = hex::encode(Sha256::digest(origin.as_str()));
            let path = folder.join(format!("{name}.checkpoint"));
            let latest = match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(unusable(&path)(error)),
                Ok(bytes) => {
                    Some(remembered(&bytes, &origin).ok_or_else(|| WitnessError::State(path.clone()))?)
                }
            };
            watched.insert(origin, Watched { keys, path, latest: Mutex::new(latest) });
        }
        Ok(Self { key, logs: watched, clock, _lock: lock })
    }

    /// What logs and their auditors verify its cosignatures with.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// The newest size that was cosigned of each log; none for a log that never asked.
    #[must_use]
    pub fn sizes(&self) -> BTreeMap<String, Option<u64>> {
        let size =
            |log: &Watched| log.latest.lock().unwrap_or_else(PoisonError::into_inner).map(|(size, _)| size);
        self.logs.iter().map(|(origin, log)| (origin.to_string(), size(log))).collect()
    }

    /// Answers one request. Blocks while the disk is busy.
    #[must_use]
    pub fn add_checkpoint(&self, body: &[u8]) -> Answer {
        let Ok(AddCheckpoint { old, proof, note }) = AddCheckpoint::from_bytes(body) else {
            return Answer::Malformed;
        };
        let Ok(stated) = note.text().parse::<Checkpoint>() else { return Answer::Malformed };
        let Some(log) = self.logs.get(&stated.origin) else { return Answer::UnknownLog };
        let Ok(opened) = Checkpoint::open(&note, &log.keys) else { return Answer::NotSigned };
        let checkpoint = opened.checkpoint;
        if old > checkpoint.size {
            return Answer::Malformed;
        }
        // Held until the file is on disk: looking, remembering and signing are one step.
        let mut latest = log.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let (seen, root) = latest.unwrap_or((0, super::tlog::EMPTY_ROOT));
        if old != seen || (old == checkpoint.size && root != checkpoint.root) {
            if old == seen || checkpoint.size < seen {
                tracing::warn!(
                    count = seen,
                    detail = checkpoint.origin.as_str(),
                    "a log asked for a head that does not continue what was cosigned: its history forked or was set back"
                );
            }
            return Answer::Conflict { size: seen };
        }
        if verify_consistency(old, checkpoint.size, &root, &checkpoint.root, &proof).is_err() {
            tracing::error!(
                count = seen,
                detail = checkpoint.origin.as_str(),
                "a log asked for a head without proof that it continues what was cosigned"
            );
            return Answer::Unproven;
        }
        let now = u64::try_from(self.clock.now().timestamp()).unwrap_or_default();
        let Ok(cosignature) = self.key.sign(&checkpoint, now) else { return Answer::Failed };
        if let Err(error) = files::write_whole(&log.path, note.to_string().as_bytes()) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                path = %log.path.display(),
                "a checkpoint could not be remembered and is not cosigned"
            );
            return Answer::Failed;
        }
        *latest = Some((checkpoint.size, checkpoint.root));
        Answer::Cosigned(format!("{cosignature}\n"))
    }
}

/// Reads what [`Witness::add_checkpoint`] wrote. The signature was checked then, perhaps with a key that the log has
/// retired since.
fn remembered(bytes: &[u8], origin: &KeyName) -> Option<(u64, Hash)> {
    let note = SignedNote::from_bytes(bytes).ok()?;
    let checkpoint: Checkpoint = note.text().parse().ok()?;
    (checkpoint.origin == *origin).then_some((checkpoint.size, checkpoint.root))
}
