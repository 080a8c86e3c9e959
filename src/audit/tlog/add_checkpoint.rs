//! The request by which a log asks a witness for a cosignature (tlog-witness, `add-checkpoint`).

use std::fmt;

use super::hash::{Hash, HashError};
use super::note::{MAX_NOTE_BYTES, NoteError, SignedNote};
use super::text::{self, NumberError};

/// The most lines of a consistency proof.
pub const MAX_CONSISTENCY_HASHES: usize = 63;

/// The longest request, in bytes.
pub const MAX_ADD_CHECKPOINT_BYTES: usize = MAX_NOTE_BYTES + 4096;

/// Bytes that are no such request.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum AddCheckpointError {
    /// Longer than any request can be.
    #[error("the request is longer than a checkpoint and its proof can be")]
    TooLong,
    /// Not an old size, proof lines, an empty line and a signed note.
    #[error("the request is not an old size, a proof, an empty line and a checkpoint")]
    Form,
    /// The old size is not a number.
    #[error("the old size is malformed")]
    Old(#[source] NumberError),
    /// A line of the proof is not a hash.
    #[error("a line of the proof is malformed")]
    Proof(#[source] HashError),
    /// More proof lines than any tree needs.
    #[error("the proof has more than 63 lines")]
    TooManyHashes,
    /// What follows is not a signed note.
    #[error("the checkpoint of the request is malformed")]
    Note(#[source] NoteError),
}

/// A checkpoint, and the proof that it continues the one that the witness saw last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness saw last, 0 if none.
    pub old: u64,
    /// The consistency proof from there.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub note: SignedNote,
}

impl AddCheckpoint {
    /// Reads the body of a request.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AddCheckpointError> {
        if bytes.len() > MAX_ADD_CHECKPOINT_BYTES {
            return Err(AddCheckpointError::TooLong);
        }
        let body = std::str::from_utf8(bytes).map_err(|_| AddCheckpointError::Form)?;
        let (head, note) = body.split_once("\n\n").ok_or(AddCheckpointError::Form)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(AddCheckpointError::Form)?;
        let old = text::number(old).map_err(AddCheckpointError::Old)?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == MAX_CONSISTENCY_HASHES {
                return Err(AddCheckpointError::TooManyHashes);
            }
            proof.push(Hash::from_base64(line).map_err(AddCheckpointError::Proof)?);
        }
        let note = SignedNote::from_bytes(note.as_bytes()).map_err(AddCheckpointError::Note)?;
        Ok(Self { old, proof, note })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(out, "{hash}"))?;
        write!(out, "\n{}", self.note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    const EXAMPLE: &str = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
        \n\
        example.com/behind-the-sofa\n\
        20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
        \n\
        \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";

    #[test]
    fn the_example_of_the_specification_is_read_and_written_back() {
        let request = AddCheckpoint::from_bytes(EXAMPLE.as_bytes()).unwrap();
        assert_eq!((request.old, request.proof.len()), (20_852_014, 4));
        assert_eq!(request.to_string(), EXAMPLE);
    }

    #[test]
    fn anything_else_is_refused() {
        let many = format!("old 1\n{}", "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n".repeat(64));
        let tail = EXAMPLE.split_once("\n\n").unwrap().1;
        for bad in [
            String::new(),
            "old 1\n".to_owned(),
            EXAMPLE.replacen("old 2", "old  2", 1),
            EXAMPLE.replacen("old 2", "old 02", 1),
            EXAMPLE.replacen("old 2", "old -2", 1),
            EXAMPLE.replacen("Plr", "pl", 1).replacen("PlRN", "PlR", 1),
            EXAMPLE.replacen("old", "size", 1),
            EXAMPLE.trim_end().to_owned(),
            EXAMPLE.replace('\n', "\r\n"),
            format!("{many}\n{tail}"),
            format!("old 1\n\n{}", "a".repeat(MAX_ADD_CHECKPOINT_BYTES)),
        ] {
            assert!(AddCheckpoint::from_bytes(bad.as_bytes()).is_err(), "{bad:.200}");
        }
    }
}
