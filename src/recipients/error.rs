//! Why a recipient could not be told, or an answer not be recorded.

use crate::domain::KeyError;
use crate::store::StoreError;

/// Why a task cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum RecipientError {
    /// There is no such task in this organisation.
    #[error("no such task in this organisation; see `dsrd recipient list`")]
    NotFound,
    /// It ended already.
    #[error("the task ended already; see `dsrd recipient show`")]
    Ended,
    /// The object does not open.
    #[error("the object of the task does not open")]
    Sealed(#[source] KeyError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A kill switch was reached. Only in tests.
    #[error("stopped by a kill switch")]
    Killed,
}

impl RecipientError {
    /// Whether trying again later may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}
