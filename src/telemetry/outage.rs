//! One line a minute about a database that is away.
//!
//! During an outage every task of the daemon meets the same fault again and again: heartbeats, claims, the sealer, the
//! listener. Each tells it where it is met, which is right for one lost connection; in an hour's outage it would bury
//! everything else (F-16).

use std::fmt::{self, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How every error about an unreachable database says so (`store::StoreError::Unreachable`).
const MARK: &str = "no connection to the database";

const EVERY: Duration = Duration::from_mins(1);

/// Lets the first event about an unreachable database through, and one a minute after it.
///
/// A layer for the whole log, not a filter of one layer: after such a filter refuses an event, the registry
/// (tracing-subscriber 0.3.23) takes every further event of the thread for refused, and asserts against it in debug
/// builds.
#[derive(Debug, Default)]
pub(super) struct OncePerOutage {
    told_at: Mutex<Option<Instant>>,
}

impl<S: Subscriber> Layer<S> for OncePerOutage {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        if *event.metadata().level() > Level::WARN {
            return true;
        }
        let mut search = Search::default();
        event.record(&mut search);
        if !search.found {
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

#[derive(Default)]
struct Search {
    found: bool,
    text: String,
}

impl Search {
    fn look(&mut self) {
        self.found |= self.text.contains(MARK);
        self.text.clear();
    }
}

impl Visit for Search {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        write!(self.text, "{value:?}").unwrap_or_default();
        self.look();
    }

    fn record_error(&mut self, _: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut cause = Some(value);
        while let Some(error) = cause {
            writeln!(self.text, "{error}").unwrap_or_default();
            cause = error.source();
        }
        self.look();
    }
}
