//! The rate budget of a platform key, shared by all daemons on one database.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::domain::OrganisationId;
use crate::platform::cloud4wi::{LocalBudget, RateSettings};
use crate::platform::{CallBudget, Urgency};
use crate::queue::{self, Limit, Reserved};
use crate::store::{Store, StoreError};

/// How far ahead sweeps may reserve: they can never push a person's request back by more than this.
const SWEEP_HORIZON: Duration = Duration::from_secs(1);

/// How far ahead requests of people may reserve.
const REQUEST_HORIZON: Duration = Duration::from_secs(30);

/// Draws each call from one row in the database. While the database does not answer, each process keeps to the whole
/// rate by itself: work that is under way ends, and without a database none is begun.
#[derive(Debug)]
pub struct SharedBudget {
    store: Store,
    organisation: OrganisationId,
    limit: Limit,
    local: LocalBudget,
}

impl SharedBudget {
    /// The budget of one organisation's key.
    #[must_use]
    pub fn new(store: Store, organisation: OrganisationId, rate: &RateSettings) -> Self {
        Self { store, organisation, limit: Self::limit(rate), local: LocalBudget::new(rate) }
    }

    /// The limit that settings set.
    #[must_use]
    pub fn limit(rate: &RateSettings) -> Limit {
        let emission =
            Duration::try_from_secs_f64(1.0 / rate.requests_per_second).unwrap_or(Duration::from_secs(1));
        Limit {
            emission,
            burst: rate.burst.max(1),
            furthest: REQUEST_HORIZON,
            longest_pause: Duration::from_secs(rate.pause_cap_secs),
        }
    }

    async fn reserve(&self, horizon: Duration) -> Result<Reserved, StoreError> {
        let mut connection = self.store.connection().await?;
        queue::reserve_calls(&mut connection, &self.organisation, self.limit, 1, horizon).await
    }

    async fn block(&self, pause: Duration) -> Result<(), StoreError> {
        let mut connection = self.store.connection().await?;
        queue::block_calls(&mut connection, &self.organisation, self.limit, pause).await
    }
}

impl CallBudget for SharedBudget {
    fn acquire(&self, urgency: Urgency) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let horizon = match urgency {
            Urgency::Request => REQUEST_HORIZON,
            Urgency::Sweep => SWEEP_HORIZON,
        };
        Box::pin(async move {
            // Within one process the local budget also sees to it that requests are drawn before sweeps.
            self.local.acquire(urgency).await;
            loop {
                match self.reserve(horizon).await {
                    Ok(Reserved::After(delay)) => return tokio::time::sleep(delay).await,
                    Ok(Reserved::NotYet(wait)) => tokio::time::sleep(wait).await,
                    Err(error) => {
                        tracing::warn!(%error, organisation = %self.organisation, "the shared rate budget cannot be drawn from; this process keeps to the rate alone");
                        return;
                    }
                }
            }
        })
    }

    fn pause(&self, pause: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.local.pause(pause).await;
            if let Err(error) = self.block(pause).await {
                tracing::warn!(%error, organisation = %self.organisation, "other daemons could not be told of the platform's pause");
            }
        })
    }
}
