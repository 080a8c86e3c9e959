//! Numbers that somebody gives to what is written within a transaction, and how they learn what became of it.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// Something that was written within a transaction under a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its number.
    pub number: u64,
    /// SHA-256 that says what was written.
    pub digest: [u8; 32],
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its changes last.
    Committed,
    /// It left no trace.
    RolledBack,
    /// The answer to its COMMIT was lost, or nobody waited for it.
    Unknown,
}

/// Who gives the numbers of a store. The audit log's writer is one.
pub trait Numbering: Any + Debug + Send + Sync {
    /// Learns how a transaction ended in which something was written. Called once for each such transaction, also where it
    /// was dropped; must not wait.
    fn ended(&self, written: Vec<Written>, fate: Fate);
}

/// What a transaction carries for its [`Numbering`]; tells it how the transaction ended, whatever way that is.
#[derive(Debug)]
pub(super) struct Carried {
    numbering: Option<Arc<dyn Numbering>>,
    written: Vec<Written>,
    fate: Fate,
}

impl Carried {
    pub(super) const fn new(numbering: Option<Arc<dyn Numbering>>) -> Self {
        Self { numbering, written: Vec::new(), fate: Fate::RolledBack }
    }

    pub(super) fn numbering<N: Numbering>(&self) -> Option<Arc<N>> {
        let any: Arc<dyn Any + Send + Sync> = self.numbering.clone()?;
        any.downcast().ok()
    }

    pub(super) fn note(&mut self, written: Written) {
        self.written.push(written);
    }

    pub(super) const fn ends_as(&mut self, fate: Fate) {
        self.fate = fate;
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        if let Some(numbering) = &self.numbering
            && !self.written.is_empty()
        {
            numbering.ended(std::mem::take(&mut self.written), self.fate);
        }
    }
}
