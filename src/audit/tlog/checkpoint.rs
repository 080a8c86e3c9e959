//! Checkpoints: a log's statement of its size and root, as the text of a signed note (tlog-checkpoint).

use std::fmt;
use std::str::FromStr;

use super::hash::{EMPTY_ROOT, Hash, HashError};
use super::key::{Algorithm, KeyError, KeyName, SigningKey, VerifierKey};
use super::note::{NoteError, SignedNote, VerifiedSignature};
use super::text::{self, NumberError};

/// A text that is no checkpoint, or one that is not signed by its log.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum CheckpointError {
    /// Not three lines that each end in a newline.
    #[error("a checkpoint is not three lines (origin, size, root)")]
    Form,
    /// More than three lines. Witnesses and monitors cannot check what stands there, so this log neither writes
    /// extension lines nor reads them.
    #[error("the checkpoint has extension lines, which are not supported")]
    ExtensionLines,
    /// The origin cannot be the name of a key.
    #[error("the origin of the checkpoint cannot be the name of a log")]
    Origin(#[source] KeyError),
    /// The second line is not a number.
    #[error("the size in the checkpoint is malformed")]
    Size(#[source] NumberError),
    /// The third line is not a hash.
    #[error("the root in the checkpoint is malformed")]
    Root(#[source] HashError),
    /// A tree without leaves has one root only.
    #[error("the checkpoint of an empty tree has another root than that of an empty tree")]
    EmptyRoot,
    /// The note around it is malformed or a signature is wrong.
    #[error("the checkpoint is not validly signed")]
    Note(#[source] NoteError),
    /// Signed, but by none of the log's keys: the name of a log's key is the log's origin.
    #[error("the checkpoint of {0} is not signed by a key of that log")]
    NotByLog(KeyName),
    /// A key of another log was given for signing.
    #[error("a checkpoint of {0} can be signed only by keys of that name")]
    ForeignKey(KeyName),
}

/// The head of a log: origin, size and root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: a name in the form of a URL without scheme, equal to the name of the log's key.
    pub origin: KeyName,
    /// The number of leaves.
    pub size: u64,
    /// The root of the tree of that many leaves.
    pub root: Hash,
}

/// A checkpoint whose log's signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedCheckpoint<'k> {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// All valid signatures by the given keys: the log's and those of witnesses.
    pub signatures: Vec<VerifiedSignature<'k>>,
}

impl Checkpoint {
    /// Signs the checkpoint with one or, while keys are exchanged, several keys of the log.
    pub fn sign<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k SigningKey>,
    ) -> Result<SignedNote, CheckpointError> {
        let text = self.to_string();
        let mut signatures = Vec::new();
        for key in keys {
            if *key.verifier().name() != self.origin {
                return Err(CheckpointError::ForeignKey(self.origin.clone()));
            }
            signatures.push(key.sign(&text));
        }
        SignedNote::new(text, signatures).map_err(CheckpointError::Note)
    }

    /// Checks a note by the given keys (logs' and witnesses') and reads the checkpoint out of it.
    ///
    /// At least one valid signature must be a log's own (type 0x01) by a key named like the origin. Whether the
    /// witnesses are enough is the caller's policy.
    pub fn open<'k>(
        note: &SignedNote,
        keys: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<OpenedCheckpoint<'k>, CheckpointError> {
        let signatures = note.verify(keys).map_err(CheckpointError::Note)?;
        let checkpoint: Self = note.text().parse()?;
        let by_log = |signature: &VerifiedSignature<'_>| {
            signature.key.algorithm() == Algorithm::Ed25519 && *signature.key.name() == checkpoint.origin
        };
        if !signatures.iter().any(by_log) {
            return Err(CheckpointError::NotByLog(checkpoint.origin));
        }
        Ok(OpenedCheckpoint { checkpoint, signatures })
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    /// Reads a note's text. It says nothing about signatures: see [`Checkpoint::open`].
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Form)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Form);
        };
        if lines.next().is_some() {
            return Err(CheckpointError::ExtensionLines);
        }
        let origin = origin.parse().map_err(CheckpointError::Origin)?;
        let size = text::number(size).map_err(CheckpointError::Size)?;
        let root = Hash::from_base64(root).map_err(CheckpointError::Root)?;
        if size == 0 && root != EMPTY_ROOT {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self { origin, size, root })
    }
}

impl fmt::Display for Checkpoint {
    /// The note's text, with its final newline.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}
