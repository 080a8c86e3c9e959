//! Whether the clock of this machine can be believed before something is deleted by it.
//!
//! Terms are counted in months, and a clock that jumps ahead makes everything past its term at once (F-48). Nothing is forgotten,
//! destroyed or swept, no hold ends and nothing follows by its date while it differs from the database's, no deletion begins and no
//! waiting for a proof begins or ends ([`Executor`](crate::execution::Executor)), and no mail is given up; a sweep looks at the platform's clock besides. A machine that holds
//! both has one clock, and its jump shows in neither: then the platform's is the only other one.

use crate::domain::{Clock, clock_difference};
use crate::store::{self, Store, StoreError};

/// How far the clock is ahead of (or, below zero, behind) the database's, in seconds, if that is too far.
pub async fn difference(store: &Store, clock: &dyn Clock) -> Result<Option<i64>, StoreError> {
    let database = store::server_time(&mut *store.connection().await?).await?;
    Ok(clock_difference(clock.now(), database))
}

/// Whether what falls due by the clock may be done now; what stands against it is told.
pub(super) async fn agree(store: &Store, clock: &dyn Clock, task: &str) -> bool {
    match difference(store, clock).await {
        Ok(None) => true,
        Ok(Some(ahead)) => {
            tracing::error!(
                task,
                ahead_secs = ahead,
                "the clocks of this machine and of the database differ by more than five minutes; what ends or is deleted by a date waits until they agree"
            );
            false
        }
        Err(error) => {
            tracing::warn!(
                task,
                error = &error as &dyn std::error::Error,
                "the database's clock could not be read"
            );
            false
        }
    }
}
