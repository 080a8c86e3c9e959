//! The `.tlog-proof` file: an inclusion proof with the checkpoint it leads to, checked without any network (tlog-proof).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{Checkpoint, CheckpointError, OpenedCheckpoint};
use super::hash::{Hash, HashError};
use super::key::VerifierKey;
use super::note::{MAX_NOTE_BYTES, NoteError, SignedNote};
use super::proof::{VerifyError, verify_inclusion};
use super::text::{self, NumberError};

/// The most hashes in a proof: sizes are below 2^63.
pub const MAX_PROOF_HASHES: usize = 63;

/// The most opaque bytes that a file may carry.
const MAX_EXTRA_BYTES: usize = 64 * 1024;

/// The longest file: opaque bytes as base64, the longest note, and the lines between.
const MAX_FILE_BYTES: usize = MAX_NOTE_BYTES + MAX_EXTRA_BYTES / 3 * 4 + 8 * 1024;

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A text that is no proof file, or a file that does not prove.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum ProofFileError {
    /// Longer than any proof can be.
    #[error("the proof file is too long")]
    TooLong,
    /// The bytes are not UTF-8.
    #[error("the proof file is not UTF-8 text")]
    Characters,
    /// The first line is another one.
    #[error("the file does not begin with \"c2sp.org/tlog-proof@v1\"")]
    Header,
    /// No `index` line where one must be, or no empty line before the checkpoint.
    #[error("the proof file is not header, index, hashes, an empty line and a checkpoint")]
    Form,
    /// The opaque data are not base64, or too many.
    #[error("the extra line of the proof file is not base64 of at most 64 KiB")]
    Extra,
    /// The index is not a number.
    #[error("the index in the proof file is malformed")]
    Index(#[source] NumberError),
    /// A line of the proof is not a hash.
    #[error("hash {line} of the proof file is malformed")]
    Hash {
        /// Which one, counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: HashError,
    },
    /// More hashes than any tree needs.
    #[error("the proof file has more than 63 hashes")]
    TooManyHashes,
    /// The checkpoint's note is malformed.
    #[error("the checkpoint in the proof file is malformed")]
    Note(#[source] NoteError),
    /// The checkpoint is not a checkpoint, or not validly signed.
    #[error("the checkpoint in the proof file cannot be trusted")]
    Checkpoint(#[source] CheckpointError),
    /// The hashes do not lead from the leaf to the checkpoint's root.
    #[error("the proof file does not prove this entry")]
    Proof(#[source] VerifyError),
}

/// A receipt: this leaf stands at this index of the log that signed this checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofFile {
    /// Opaque data for the holder, at most 64 KiB (readers refuse more). **Nothing authenticates them**: whoever reads them must check them against the leaf.
    pub extra: Option<Vec<u8>>,
    /// The zero-based index of the leaf.
    pub index: u64,
    /// The hashes from the leaf's sibling up.
    pub hashes: Vec<Hash>,
    /// The checkpoint with its signatures, verbatim.
    pub checkpoint: SignedNote,
}

impl ProofFile {
    /// Reads a file's content.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofFileError> {
        if bytes.len() > MAX_FILE_BYTES {
            return Err(ProofFileError::TooLong);
        }
        std::str::from_utf8(bytes).map_err(|_| ProofFileError::Characters)?.parse()
    }

    /// Checks signatures and proof for a leaf that the caller computed from an entry. Answers with the checkpoint and
    /// who signed it; whether the witnesses are enough is the caller's policy.
    pub fn verify<'k>(
        &self,
        leaf: &Hash,
        keys: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<OpenedCheckpoint<'k>, ProofFileError> {
        let opened = Checkpoint::open(&self.checkpoint, keys).map_err(ProofFileError::Checkpoint)?;
        let Checkpoint { size, root, .. } = &opened.checkpoint;
        verify_inclusion(leaf, self.index, *size, root, &self.hashes).map_err(ProofFileError::Proof)?;
        Ok(opened)
    }
}

impl FromStr for ProofFile {
    type Err = ProofFileError;

    fn from_str(file: &str) -> Result<Self, ProofFileError> {
        if file.len() > MAX_FILE_BYTES {
            return Err(ProofFileError::TooLong);
        }
        let (head, checkpoint) = file.split_once("\n\n").ok_or(ProofFileError::Form)?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(ProofFileError::Header);
        }
        let mut line = lines.next().ok_or(ProofFileError::Form)?;
        let mut extra = None;
        if let Some(encoded) = line.strip_prefix("extra ") {
            let bytes = STANDARD.decode(encoded).map_err(|_| ProofFileError::Extra)?;
            if bytes.len() > MAX_EXTRA_BYTES {
                return Err(ProofFileError::Extra);
            }
            extra = Some(bytes);
            line = lines.next().ok_or(ProofFileError::Form)?;
        }
        let index = line.strip_prefix("index ").ok_or(ProofFileError::Form)?;
        let index = text::number(index).map_err(ProofFileError::Index)?;
        let mut hashes = Vec::new();
        for line in lines {
            if hashes.len() >= MAX_PROOF_HASHES {
                return Err(ProofFileError::TooManyHashes);
            }
            let hash = Hash::from_base64(line);
            hashes.push(hash.map_err(|source| ProofFileError::Hash { line: hashes.len() + 1, source })?);
        }
        let checkpoint: SignedNote = checkpoint.parse().map_err(ProofFileError::Note)?;
        checkpoint.text().parse::<Checkpoint>().map_err(ProofFileError::Checkpoint)?;
        Ok(Self { extra, index, hashes, checkpoint })
    }
}

impl fmt::Display for ProofFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(out, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(out, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(out, "{hash}"))?;
        write!(out, "\n{}", self.checkpoint)
    }
}
