//! Takes the log, or a part of it, out: as files that other programs verify, as lines for other systems, as receipts.
//!
//! Data enters through a [`Source`](super::verify::Source), one unchanging state of the log; it leaves as
//!
//! - a directory in the layout of c2sp.org/tlog-tiles ([`write_tiles`]): complete, verifiable with foreign software;
//! - lines ([`write_lines`]): NDJSON with a proof each, CSV, OCSF, `CloudEvents`, of the entries that a [`Selection`] takes;
//! - receipts ([`prove`]): one `.tlog-proof` an entry, checked without the log.
//!
//! Invariants:
//! - What leaves was compared with the tree on the way: an entry that does not hash to its leaf ends the export
//!   ([`ExportError::Altered`]), so that nobody carries a forgery out with our help.
//! - Memory does not grow with the log.
//! - Entries that were removed, as signed entries allow, are left out of lines; their hashes stay in the tiles.
//! - That somebody exported is recorded by the caller, with [`Exported`].
//!
//! To add a form of lines: a variant of [`LineFormat`] and its function in `lines.rs`.

mod lines;
mod reader;
mod tiles;

use std::io;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::leaf::LeafView;
use super::tlog::bundle::BundleError;
use super::tlog::{CheckpointError, NoteError};
use super::verify::SourceError;

pub use lines::{LineFormat, write_lines};
pub use reader::prove;
pub use tiles::write_tiles;

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Source(#[from] SourceError),
    /// The place to write to cannot be written.
    #[error("the export cannot be written")]
    Write(#[from] io::Error),
    /// The newest head is no signed note.
    #[error("the newest head of the log is no signed note")]
    Note(#[from] NoteError),
    /// The newest head is no checkpoint.
    #[error("the newest head of the log is no checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// There is no such entry.
    #[error("there is no entry {seq} under the newest head, which covers {size}")]
    NoEntry {
        /// Its number.
        seq: u64,
        /// How many are sealed.
        size: u64,
    },
    /// The entry was pruned: its hash stands in the tree, its bytes are gone.
    #[error(
        "entry {seq} was pruned; the entry log.prune that allowed it says when (dsrd audit search --action log.prune)"
    )]
    Gone {
        /// Its number.
        seq: u64,
    },
    /// An entry or a tile was changed: `dsrd audit verify` tells which.
    #[error("entry {seq} does not stand in the tree as it is stored; run dsrd audit verify")]
    Altered {
        /// Its number.
        seq: u64,
    },
    /// A tile is missing or has another number of hashes.
    #[error("the tile {path} cannot be used; run dsrd audit verify")]
    Tile {
        /// Its path.
        path: String,
    },
    /// A part of a bundle was removed, so that the bundle cannot be written.
    #[error("entry {seq} is gone, but not all others of its bundle; export as lines instead")]
    Gap {
        /// Its number.
        seq: u64,
    },
    /// An entry that fits no bundle.
    #[error("the entries cannot be written as a bundle")]
    Bundle(#[from] BundleError),
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// How many entries.
    pub entries: u64,
    /// The size of the head under which they stand.
    pub size: u64,
    /// SHA-256 in hexadecimal: of the file; for a directory, of its file `checkpoint`, which stands for all others.
    pub sha256: String,
    /// How many bytes.
    pub bytes: u64,
}

/// Which entries: all that every given field fits.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Of one organisation; entries about the log itself belong to none.
    pub organisation: Option<String>,
    /// Of one request.
    pub case: Option<uuid::Uuid>,
    /// Of one action, by its word.
    pub action: Option<String>,
    /// With one outcome, by its word.
    pub outcome: Option<String>,
    /// Not before.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
}

impl Selection {
    /// Whether an entry is taken.
    pub(super) fn takes(&self, leaf: LeafView<'_>) -> bool {
        let same = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let at = i64::try_from(leaf.at_us()).unwrap_or(i64::MAX);
        same(&self.organisation, leaf.tenant())
            && same(&self.action, Some(leaf.action()))
            && same(&self.outcome, leaf.outcome())
            && self.case.is_none_or(|case| leaf.case() == Some(case))
            && self.since.is_none_or(|since| at >= since.timestamp_micros())
            && self.until.is_none_or(|until| at < until.timestamp_micros())
    }

    /// The names of the fields that are set, for the record of an export.
    #[must_use]
    pub fn fields(&self) -> String {
        let fields = [
            ("organisation", self.organisation.is_some()),
            ("case", self.case.is_some()),
            ("action", self.action.is_some()),
            ("outcome", self.outcome.is_some()),
            ("since", self.since.is_some()),
            ("until", self.until.is_some()),
        ];
        let set: Vec<&str> = fields.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name).collect();
        if set.is_empty() { "none".to_owned() } else { set.join(" ") }
    }
}
