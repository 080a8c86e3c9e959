//! One line a minute about a database that is away.
//!
//! During an outage every task of the daemon meets the same fault again and again: heartbeats, claims, the sealer, the
//! listener. Each tells it where it is met, which is right for one lost connection; in an hour's outage it would bury
//! everything else (F-16).
//!
//! Decided when a line is written and not in a filter: a filter that turns an event down after its fields are known
//! leaves `tracing-subscriber` 0.3 with a wrong state for the next event.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::Level;

/// How every error about an unreachable database says so (`store::StoreError::Unreachable`).
const MARK: &str = "no connection to the database";

const EVERY: Duration = Duration::from_mins(1);

/// Lets the first line about an unreachable database through, and one a minute after it.
#[derive(Debug, Default)]
pub(super) struct OncePerOutage {
    told_at: Mutex<Option<Instant>>,
}

impl OncePerOutage {
    /// Whether a line may be written.
    pub(super) fn allows(&self, level: Level, line: &str) -> bool {
        if level > Level::WARN || !line.contains(MARK) {
            return true;
        }
        let mut told_at = self.told_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if told_at.is_some_and(|told| told.elapsed() < EVERY) {
            return false;
        }
        *told_at = Some(Instant::now());
        true
    }
}
