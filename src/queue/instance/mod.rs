//! A running worker process, and its pulse.

mod sql;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::store::{PgConnection, StoreError};

/// One start of a worker process. Ids are never used again, so that a process that was declared dead stays dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instance(pub i64);

impl Instance {
    /// Registers this process.
    pub async fn register(connection: &mut PgConnection) -> Result<Self, StoreError> {
        sql::register(connection).await
    }

    /// Shows that the process lives; false when others have declared it dead.
    pub async fn beat(self, connection: &mut PgConnection) -> Result<bool, StoreError> {
        sql::beat(connection, self).await
    }

    /// Declares the process dead: by itself at its end, so that nobody waits for the lease, or by a test.
    pub async fn retire(self, connection: &mut PgConnection) -> Result<(), StoreError> {
        sql::retire(connection, self).await
    }
}

/// The pulse as the process itself knows it. An effect may begin only while the last successful heartbeat was *sent*
/// less than half a lease ago: this stops a process that was frozen and thawed, before it asks the database anything.
#[derive(Debug)]
pub struct Heart {
    trusted_for: Duration,
    last_sent: Mutex<Instant>,
}

impl Heart {
    /// A heart that has just beaten.
    #[must_use]
    pub fn new(lease: Duration) -> Self {
        Self { trusted_for: lease / 2, last_sent: Mutex::new(Instant::now()) }
    }

    /// Records a heartbeat that succeeded and was sent at `sent`.
    pub fn beaten(&self, sent: Instant) {
        let mut last = self.last_sent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *last = (*last).max(sent);
    }

    /// Whether a new effect may begin.
    #[must_use]
    pub fn may_act(&self) -> bool {
        self.last_sent.lock().unwrap_or_else(std::sync::PoisonError::into_inner).elapsed() < self.trusted_for
    }
}
