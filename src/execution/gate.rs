//! Whether a site may be worked for (S-14).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Says whether the platform's key was found to belong to the organisation. Closed at first; all clones are one gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// A gate that is open from the beginning, for tests and tools that made the platform themselves.
    #[must_use]
    pub fn opened() -> Self {
        let gate = Self::default();
        gate.open();
        gate
    }

    /// Lets work begin. It stays open: a key cannot change its organisation without a restart.
    pub fn open(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether work may begin.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
