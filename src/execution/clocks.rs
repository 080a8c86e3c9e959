//! Whether the clock can be believed before something is done because a date has come (F-48).
//!
//! A clock that jumped ahead ends every hold and every waiting at once. Nobody is deleted, and no waiting for a proof begins or
//! ends, while it differs from the database's: the request waits, and goes on by itself when they agree.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::engine::Run;
use super::stop::Stop;
use crate::domain::clock_difference;
use crate::store;

/// The code of a request that waits until the clocks agree.
const CLOCKS_DIFFER: &str = "clocks_differ";
/// How soon they are compared again.
const AGAIN_AFTER: Duration = Duration::from_mins(1);

impl Run<'_> {
    /// Goes on only by a clock that can be believed.
    pub(super) async fn check_clock(&self) -> Result<(), Stop> {
        if !self.executor.checks_clock {
            return Ok(());
        }
        let database = store::server_time(&mut *self.executor.store.connection().await?).await?;
        self.compare_clock(database)
    }

    /// The same, with what time it is for the database.
    pub(super) fn compare_clock(&self, database: DateTime<Utc>) -> Result<(), Stop> {
        let now = self.executor.desk.clock.now();
        let Some(ahead) = clock_difference(now, database).filter(|_| self.executor.checks_clock) else {
            return Ok(());
        };
        tracing::warn!(
            request = %self.lease.request,
            ahead_secs = ahead,
            "the clocks of this machine and of the database differ by more than five minutes; what is decided by a date waits until they agree"
        );
        Err(Stop::wait(AGAIN_AFTER, CLOCKS_DIFFER))
    }
}
