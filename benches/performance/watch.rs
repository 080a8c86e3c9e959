//! Listens to the program's own events: a request was closed, a statement was sent.
//!
//! The daemon says "request closed" right after the commit, so a bench learns of it without asking the database. That
//! a statement was sent is heard only while somebody counts, because the driver measures and words every statement for
//! it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

static COUNTING: AtomicBool = AtomicBool::new(false);
static STATEMENTS: AtomicU64 = AtomicU64::new(0);
static CLOSED: AtomicU64 = AtomicU64::new(0);
static CLOSED_LAST: Mutex<Option<Instant>> = Mutex::new(None);
static WARNINGS: AtomicU64 = AtomicU64::new(0);
static CHANGED: Notify = Notify::const_new();

struct Watcher;

impl<S: Subscriber> Layer<S> for Watcher {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.target().starts_with("sqlx::query") {
            Interest::sometimes()
        } else if metadata.target().starts_with("dsrd") && *metadata.level() <= tracing::Level::INFO {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        !metadata.target().starts_with("sqlx::query") || COUNTING.load(Ordering::Relaxed)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target().starts_with("sqlx::query") {
            STATEMENTS.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        if message.0 == "request closed" {
            *CLOSED_LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            CLOSED.fetch_add(1, Ordering::Release);
            CHANGED.notify_waiters();
        } else if *event.metadata().level() <= tracing::Level::WARN
            && WARNINGS.fetch_add(1, Ordering::Relaxed) < 5
        {
            crate::say(&format!("the service warns: {}", message.0));
        }
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// Begins to listen; once in a process.
pub(crate) fn listen() {
    let _already = tracing::subscriber::set_global_default(Registry::default().with(Watcher));
}

/// How many requests were closed since the process began.
pub(crate) fn closed() -> u64 {
    CLOSED.load(Ordering::Acquire)
}

/// Waits until so many requests were closed since the process began, and says when the last of them was.
pub(crate) async fn wait_closed(number: u64) -> Instant {
    loop {
        let changed = CHANGED.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if closed() >= number {
            let last = *CLOSED_LAST.lock().unwrap_or_else(PoisonError::into_inner);
            return last.unwrap_or_else(Instant::now);
        }
        changed.await;
    }
}

/// Begins to count statements anew, or ends it.
pub(crate) fn count_statements(on: bool) {
    if on {
        STATEMENTS.store(0, Ordering::Relaxed);
    }
    COUNTING.store(on, Ordering::Relaxed);
}

/// Statements sent while counting: also BEGIN and COMMIT, not the driver's pings.
pub(crate) fn statements() -> u64 {
    STATEMENTS.load(Ordering::Relaxed)
}
