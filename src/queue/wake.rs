//! Wake-ups by LISTEN/NOTIFY: hints that there may be work. Whoever waits also polls.

use std::time::Duration;

use tokio::sync::Notify;

use crate::store::Store;

/// Which channel to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeSource {
    /// A job became ready.
    Jobs,
    /// A producer inserted into the intake table.
    Intake,
}

impl WakeSource {
    const fn channel(self) -> &'static str {
        match self {
            Self::Jobs => "dsrd_job",
            Self::Intake => "dsrd_intake",
        }
    }
}

/// A flag that is raised by notifications and waited for with a time limit. A notification that arrives while nobody
/// waits keeps the flag up, so none is missed.
#[derive(Debug, Default)]
pub struct Wake {
    raised: Notify,
}

impl Wake {
    /// Raises the flag.
    pub fn raise(&self) {
        self.raised.notify_one();
    }

    /// Waits until the flag is raised or the time has passed, whichever is first.
    pub async fn wait(&self, at_most: Duration) {
        let _elapsed = tokio::time::timeout(at_most, self.raised.notified()).await;
    }

    /// Listens for ever and raises the flag at each notification, after each new connection (a gap may hide some),
    /// and never gives up.
    pub async fn listen(&self, store: &Store, source: WakeSource) {
        const RECONNECT_AFTER: Duration = Duration::from_secs(2);
        loop {
            if let Ok(mut listener) = store.listen(source.channel()).await {
                self.raise();
                while listener.heard().await.is_ok() {
                    self.raise();
                }
            }
            tokio::time::sleep(RECONNECT_AFTER).await;
        }
    }
}
