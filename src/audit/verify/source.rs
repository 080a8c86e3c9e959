//! Where a log is read from.

use std::collections::HashMap;
use std::future::Future;

use bytes::Bytes;
use uuid::Uuid;

use super::catalogue::Flaw;
use super::columns::Columns;
use super::erasure::Erasable;
use crate::audit::tlog::{Bundle, TILE_WIDTH, Tile};
use crate::store::StoreError;

/// Why something could not be read. What is broken is a finding; what is away leaves the question open.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not there.
    #[error("{place} is missing")]
    Missing {
        /// Path, address or table.
        place: String,
    },
    /// It is there and cannot be what it should be.
    #[error("{place} is malformed: {reason}")]
    Malformed {
        /// Path, address or table.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be read.
    #[error("{place} cannot be read")]
    File {
        /// The path.
        place: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A server does not answer, or not as it should.
    #[error("{place} cannot be fetched: {reason}")]
    Fetch {
        /// The address.
        place: String,
        /// Why.
        reason: String,
    },
    /// The database cannot be read.
    #[error("the log cannot be read from the database; is the login a member of the role auditor?")]
    Store(#[source] StoreError),
}

impl From<StoreError> for SourceError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// An entry as a source holds it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its number, 1..n.
    pub seq: u64,
    /// Its bytes.
    pub entry: Bytes,
    /// The columns beside the bytes, where the source is a table.
    pub columns: Option<Columns>,
}

/// A checkpoint that the log kept.
#[derive(Clone, Debug)]
pub struct KeptHead {
    /// The size that the source says it is of.
    pub size: u64,
    /// The signed note with the cosignatures that were kept beside it.
    pub note: String,
}

/// A time-stamp of a checkpoint that the log kept (RFC 3161).
#[derive(Clone, Debug)]
pub struct KeptStamp {
    /// The size of the checkpoint.
    pub size: u64,
    /// The token.
    pub token: Vec<u8>,
}

/// The commitments beside an entry `sweep.page`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestOf {
    /// This place has entries and tiles only.
    Elsewhere,
    /// They are not where they should be.
    Missing,
    /// 32 bytes an item.
    Kept(Vec<u8>),
}

/// Cases whose commitments entries hold or tell the erasing of: their organisations, and in the same order the cases.
#[derive(Clone, Debug, Default)]
pub struct CommittedCases {
    /// The organisations, as entries name them.
    pub organisations: Vec<String>,
    /// The cases.
    pub cases: Vec<Uuid>,
}

/// A log, wherever it stands. Reading never changes it.
pub trait Source: Send {
    /// What is read, for people: without a password.
    fn describe(&self) -> String;

    /// The newest signed checkpoint, as bytes.
    fn head(&mut self) -> impl Future<Output = Result<Vec<u8>, SourceError>> + Send;

    /// The entries with indexes from `first` (a multiple of 256) to below `end`, in their order, in a log of `size`
    /// entries. One that is not there is left out.
    fn entries(
        &mut self,
        first: u64,
        end: u64,
        size: u64,
    ) -> impl Future<Output = Result<Vec<Stored>, SourceError>> + Send;

    /// Whether the place may hold tiles and heads, and no entries or not all.
    fn may_lack_entries(&self) -> bool {
        false
    }

    /// Whether the place is the log itself, which never goes back. What was made of it is of the moment at which it was made.
    fn is_the_log(&self) -> bool {
        false
    }

    /// Whether the service writes into the place: its newest entry is then of the last minutes, and what is open in it is judged
    /// by the clock.
    fn is_live(&self) -> bool {
        false
    }

    /// The hashes of a tile, one after the other; `None` where it is not there.
    fn tile(&mut self, tile: Tile) -> impl Future<Output = Result<Option<Vec<u8>>, SourceError>> + Send;

    /// Kept checkpoints with sizes above `after` and up to `end`, smallest first.
    fn kept_heads(
        &mut self,
        after: u64,
        end: u64,
    ) -> impl Future<Output = Result<Vec<KeptHead>, SourceError>> + Send {
        let _ = (after, end);
        async { Ok(Vec::new()) }
    }

    /// Time-stamps of kept checkpoints with sizes above `after` and up to `end`.
    fn stamps(
        &mut self,
        after: u64,
        end: u64,
    ) -> impl Future<Output = Result<Vec<KeptStamp>, SourceError>> + Send {
        let _ = (after, end);
        async { Ok(Vec::new()) }
    }

    /// The commitments beside an entry `sweep.page`.
    fn manifest(&mut self, page: Uuid) -> impl Future<Output = Result<ManifestOf, SourceError>> + Send {
        let _ = page;
        async { Ok(ManifestOf::Elsewhere) }
    }

    /// What stands beside the entries and can be erased; `None` where a place has no such part.
    fn erasable(&mut self) -> impl Future<Output = Result<Option<Erasable>, SourceError>> + Send {
        async { Ok(None) }
    }

    /// The commitments (field `subject_c`) that what is kept still makes, by case, of these cases.
    fn openings(
        &mut self,
        cases: CommittedCases,
    ) -> impl Future<Output = Result<HashMap<Uuid, String>, SourceError>> + Send {
        let _ = cases;
        async { Ok(HashMap::new()) }
    }

    /// What else is wrong with the place itself, in a log of `size` entries.
    /// `None` where a place has nothing else that could be wrong.
    fn flaws(&mut self, size: u64) -> impl Future<Output = Result<Option<Vec<Flaw>>, SourceError>> + Send {
        let _ = size;
        async { Ok(None) }
    }
}

/// The bundles that hold the entries from `first` to below `end` in a log of `size` entries.
pub(super) fn bundles(first: u64, end: u64, size: u64) -> impl Iterator<Item = Bundle> {
    let width = u64::from(TILE_WIDTH);
    (first / width..end.div_ceil(width)).filter_map(move |index| Bundle::of_tree(index, size))
}
