//! The daemon beside the demonstration.

use tokio_util::sync::CancellationToken;

use crate::cli::Failure;
use crate::cli::context::Context;
use crate::daemon::{Service, StartError, Stop};

/// What the demonstration knows of the daemon while it runs.
#[derive(Clone, Debug)]
pub(super) struct Running {
    stop: Stop,
    gone: CancellationToken,
}

impl Running {
    pub(super) fn new(stop: &Stop) -> Self {
        Self { stop: stop.clone(), gone: CancellationToken::new() }
    }

    /// Runs what `dsrd serve` runs, all of its parts, until it is told to stop.
    pub(super) async fn serve(&self, context: &Context) -> Result<(), StartError> {
        let service = Service::new(&context.loaded, context.sources.clone(), None);
        let ended = service.run(self.stop.clone()).await;
        self.gone.cancel();
        ended
    }

    /// Waits for what should not happen before [`Running::end`]: a signal, or the end of the daemon by itself.
    pub(super) async fn broken(&self) -> anyhow::Error {
        tokio::select! {
            biased;
            () = self.stop.soft.cancelled() => Failure::Failed.because("interrupted"),
            () = self.gone.cancelled() => Failure::Failed.because("the daemon ended by itself"),
        }
    }

    /// Waits for a signal to stop.
    pub(super) async fn until_told(&self) -> anyhow::Result<()> {
        let error = self.broken().await;
        if self.stop.soft.is_cancelled() { Ok(()) } else { Err(error) }
    }

    /// Tells the daemon to stop, as a service manager would.
    pub(super) fn end(&self) {
        self.stop.soft.cancel();
    }
}
