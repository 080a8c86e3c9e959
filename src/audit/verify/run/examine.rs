//! What can be said of an entry by itself: its hash, its form, its columns. Entries are examined on all cores, because
//! this is what takes most of the time of a verification, and no entry needs another one for it; and while some are, those
//! before them are accounted for and those after them fetched.

use std::collections::VecDeque;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::audit::leaf::{LeafBytes, LeafError};
use crate::audit::tlog::{Hash, leaf_hash};
use crate::audit::verify::source::Stored;

/// An entry, examined by itself.
pub(super) struct Examined {
    /// Its number, 1..n.
    pub(super) seq: u64,
    /// The leaf hash of its bytes.
    pub(super) own: Hash,
    /// What it says, or why its bytes are no entry.
    pub(super) leaf: Result<LeafBytes, LeafError>,
    /// The first column beside it that says something else.
    pub(super) different_column: Option<&'static str>,
}

impl Examined {
    fn of(stored: Stored) -> Self {
        let Stored { seq, entry, columns } = stored;
        let own = leaf_hash(&entry);
        let leaf = LeafBytes::of(entry);
        let different_column = match (&leaf, &columns) {
            (Ok(leaf), Some(columns)) => columns.first_difference(leaf.view(), own),
            _ => None,
        };
        Self { seq, own, leaf, different_column }
    }
}

/// Entries that are being examined beside the caller.
pub(super) struct Examination(Vec<JoinHandle<Vec<Examined>>>);

impl Examination {
    /// Begins at once, on all cores.
    pub(super) fn begin(stored: Vec<Stored>) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let share = stored.len().div_ceil(cores).max(1);
        let mut rest = stored;
        let mut under_way = Vec::new();
        while !rest.is_empty() {
            let later = rest.split_off(share.min(rest.len()));
            under_way.push(spawn_blocking(move || rest.into_iter().map(Examined::of).collect()));
            rest = later;
        }
        Self(under_way)
    }

    /// The entries in their order.
    pub(super) async fn finish(self) -> VecDeque<Examined> {
        let mut examined = VecDeque::new();
        for share in self.0 {
            match share.await {
                Ok(share) => examined.extend(share),
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime is being shut down, and this task with it.
                    Err(_) => std::future::pending().await,
                },
            }
        }
        examined
    }
}
