//! What goes on in the background. Each task runs until it is told to stop, and survives whatever fails in between.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::domain::random;
use crate::queue::Instance;

mod duties;
mod log;
mod work;

pub(in crate::daemon) use duties::*;
pub use duties::{keep_holds_once, look_whether_it_lasts_once, look_whether_it_serves};
pub(in crate::daemon) use log::*;
pub use log::{place_lost_holds_once, purge_ledger_once};
pub(in crate::daemon) use work::*;

/// How long a task that failed waits before it tries again.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs tasks and starts anew those that panic.
#[derive(Debug)]
pub(in crate::daemon) struct Tasks {
    set: JoinSet<()>,
    stop: CancellationToken,
}

impl Tasks {
    pub(in crate::daemon) fn new(stop: CancellationToken) -> Self {
        Self { set: JoinSet::new(), stop }
    }

    /// Starts a task. `make` is called again when it panicked; the panic hook has told where.
    pub(in crate::daemon) fn start(
        &mut self,
        task: &'static str,
        make: impl Fn() -> Running + Send + 'static,
    ) {
        let stop = self.stop.clone();
        self.set.spawn(async move {
            while !stop.is_cancelled() {
                match AbortOnDropHandle::new(tokio::spawn(make())).await {
                    Err(error) if error.is_panic() => {
                        tracing::error!(task, "a background task broke down and is started again");
                        pause(&stop, AFTER_FAILURE).await;
                    }
                    _ => return,
                }
            }
        });
    }

    /// Waits until all tasks have ended.
    pub(in crate::daemon) async fn wait(&mut self) {
        while self.set.join_next().await.is_some() {}
    }
}

/// Waits, but not longer than until the stop; the time is varied a little, so that daemons that lost the same database
/// do not come back in the same moment.
pub(in crate::daemon) async fn pause(stop: &CancellationToken, time: Duration) {
    tokio::select! {
        () = tokio::time::sleep(time.mul_f64(0.8 + random::fraction() * 0.4)) => {}
        () = stop.cancelled() => {}
    }
}

/// Which instance claims at the moment, so that its jobs can be released when it is broken off.
pub(in crate::daemon) type PresentInstance = Arc<Mutex<Option<Instance>>>;
