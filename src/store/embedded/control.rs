//! What the owner of a cluster and its keeper thread tell each other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Our part in running the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// This process started the server; the server ends with it.
    Runner,
    /// This process found its server already running, without a living runner, and looks after it now.
    Adopter,
    /// Another dsrd process runs the server; this one takes over when that one ends.
    Guest,
}

/// What the keeper and its owner share.
#[derive(Debug)]
pub(super) struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The server to be signalled on stop, while we may: it is not yet buried.
    server: Option<Pid>,
    /// Whether the owner wants an end.
    stopping: bool,
    part: Part,
}

impl Control {
    pub(super) fn new() -> Self {
        let state = State { server: None, stopping: false, part: Part::Guest };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No step under this lock can leave the state half changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn part(&self) -> Part {
        self.lock().part
    }

    /// Asks for the end and tells the server: `Signal::INT` is its fast shutdown, `Signal::QUIT` its immediate one.
    pub(super) fn request_stop(&self, signal: Signal) {
        let mut state = self.lock();
        state.stopping = true;
        if let Some(server) = state.server {
            send(server, signal);
        }
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Waits up to `pause` and returns whether the end was asked for.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, pause, |state| !state.stopping);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }

    /// From now on a stop signals `server`; at once if a stop was asked for meanwhile.
    pub(super) fn watch_over(&self, server: Pid, part: Part) {
        let mut state = self.lock();
        state.server = Some(server);
        state.part = part;
        if state.stopping {
            send(server, Signal::INT);
        }
    }

    pub(super) fn forget_server(&self) {
        self.lock().server = None;
    }
}

/// Signals a server. That it has gone meanwhile is no failure.
pub(super) fn send(server: Pid, signal: Signal) {
    if let Err(error) = kill_process(server, signal) {
        tracing::debug!(pid = server.as_raw_nonzero(), %error, "the database server was gone before its signal");
    }
}
