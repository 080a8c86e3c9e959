//! Which dates of open requests will be missed at the pace that the platform allows (F-29, F-46).
//!
//! Requests that wait for a person, for a proof of who asks or for an answer are counted and not forecast: when they go on, nobody
//! knows, and they have alerts of their own. An erasure that a hold postpones is closed and open again when the hold ends.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use super::sql;
use crate::domain::deadline::{Forecast, Pace, Waiting, forecast};
use crate::domain::{Handling, OrganisationId, RequestKind};
use crate::queue::{self, Limit};
use crate::store::{PgConnection, StoreError};

/// How the open requests of an organisation stand to the pace at which its platform may be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// Since when the platform has not answered. When it will nobody knows: what is forecast would come true if it did now.
    pub platform_away_since: Option<DateTime<Utc>>,
    /// Until when it asked for a pause, if it did.
    pub paused_until: Option<DateTime<Utc>>,
    /// What becomes of the requests that wait for it.
    #[serde(flatten)]
    pub forecast: Forecast,
    /// Open requests that wait for a person or for an answer, and are not forecast.
    pub wait_for_people: u64,
}

/// How many calls a request of a kind needs: one identifier, one policy, lists of one page, as a test counts them against the
/// simulated platform. More identifiers, policies and pages need a call each. What a person carried out needs none. That a filter is
/// ignored, so that a search reads everybody, is not reckoned with: staff is told of that by itself.
#[must_use]
pub const fn calls_of(kind: RequestKind) -> u64 {
    match kind.handling() {
        Handling::Access | Handling::Portability => 6,
        Handling::Erasure => 12,
        Handling::OptOut => 4,
        Handling::Person => 0,
    }
}

/// Forecasts from what is open now, the limit as configured, and what the platform said last. Sweeps take nothing from it: they
/// draw their calls after requests of people.
pub async fn outlook(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    zone: Tz,
    limit: Limit,
    now: DateTime<Utc>,
) -> Result<Outlook, StoreError> {
    let mut waiting = Vec::new();
    let mut wait_for_people = 0;
    for row in sql::count_open(connection, organisation).await? {
        let kind: RequestKind = row
            .kind
            .parse()
            .map_err(|_| StoreError::unreadable("figures.count_open", "dsrd.request.kind"))?;
        let requests = u64::try_from(row.count).unwrap_or_default();
        let calls_each = calls_of(kind);
        if !row.by_machine {
            wait_for_people += requests;
        } else if calls_each > 0 {
            waiting.push(Waiting { due_on: row.due_on, requests, calls_each });
        }
    }
    // By the database's clock, which wrote it.
    let pause = queue::pause_left(connection, organisation, limit).await?;
    let begins_at = now + pause;
    Ok(Outlook {
        platform_away_since: queue::platform_down_since(connection, organisation).await?,
        paused_until: (!pause.is_zero()).then_some(begins_at),
        forecast: forecast(&waiting, Pace { now, begins_at, emission: limit.emission }, zone),
        wait_for_people,
    })
}
