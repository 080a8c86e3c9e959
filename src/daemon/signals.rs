//! When to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Two stages of stopping.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Begin nothing new and finish what is in hand.
    pub soft: CancellationToken,
    /// End now.
    pub hard: CancellationToken,
}

impl Stop {
    /// Stops softly at the first SIGTERM or SIGINT and at once at the second. Must be called within a runtime.
    ///
    /// # Errors
    /// When the operating system refuses to deliver signals.
    pub fn at_signals() -> std::io::Result<Self> {
        let stop = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // Without a handler a SIGHUP, for example of a closed terminal, would end the process in the middle of a step.
        let mut hang_up = signal(SignalKind::hangup())?;
        let own = stop.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    _ = hang_up.recv() => {
                        tracing::info!("settings are read at start only; restart the service to change them");
                        continue;
                    }
                }
                if own.soft.is_cancelled() {
                    own.hard.cancel();
                    return;
                }
                tracing::info!("stopping; a second signal ends at once");
                own.soft.cancel();
            }
        });
        Ok(stop)
    }
}
