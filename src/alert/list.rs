//! What people see of alerts, and how they say that they are looking at one.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::sql;
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{AlertRule, OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError, Tx};

/// A cause as it stands: one for all the days on which it was told.
#[derive(Clone, Debug, Serialize)]
pub struct ListedAlert {
    /// Id of its latest row.
    pub alert: Uuid,
    /// Why somebody has to look.
    pub rule: AlertRule,
    /// For `due_soon`: how many days before the due date it begins; otherwise 0.
    pub step: u16,
    /// The request's reference; none for a hold and what concerns the organisation.
    pub reference: Option<String>,
    /// The hold's reference.
    pub hold: Option<String>,
    /// The request's kind.
    pub kind: Option<String>,
    /// Its conservative due date.
    pub due_on: Option<NaiveDate>,
    /// The first day on which it was told, in the controller's time zone.
    pub first_on: NaiveDate,
    /// The latest.
    pub last_on: NaiveDate,
    /// When somebody acknowledged it.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// Who.
    pub acknowledged_by: Option<String>,
}

/// Lists what is to be looked at: not acknowledged, and told at the latest turn until `now`. With `all`, everything that is
/// kept.
pub async fn list_alerts(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    all: bool,
    now: DateTime<Utc>,
) -> Result<Vec<ListedAlert>, StoreError> {
    sql::list_alerts(connection, organisation, all, now).await
}

/// What was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Acknowledged {
    /// How many rows, one a cause and day.
    pub alerts: u64,
}

/// Records that somebody looks at the cause of an alert; it is not repeated. None acknowledged means that there is no
/// such alert, or that it was acknowledged before.
pub async fn acknowledge(
    tx: &mut Tx,
    organisation: &OrganisationId,
    alert: Uuid,
    actor: Actor,
    at: DateTime<Utc>,
) -> Result<Acknowledged, StoreError> {
    let rows = sql::acknowledge(tx, organisation, Some(alert), (None, None), &actor.to_string(), at).await?;
    record(tx, organisation, &rows, actor, at).await
}

/// The same for everything about a request that is open now. What begins later is told anew.
pub async fn acknowledge_request(
    tx: &mut Tx,
    organisation: &OrganisationId,
    request: RequestId,
    actor: Actor,
    at: DateTime<Utc>,
) -> Result<Acknowledged, StoreError> {
    let rows =
        sql::acknowledge(tx, organisation, None, (Some(request), None), &actor.to_string(), at).await?;
    record(tx, organisation, &rows, actor, at).await
}

/// The same for everything about a hold, by its reference.
pub async fn acknowledge_hold(
    tx: &mut Tx,
    organisation: &OrganisationId,
    hold: &str,
    actor: Actor,
    at: DateTime<Utc>,
) -> Result<Acknowledged, StoreError> {
    let rows = sql::acknowledge(tx, organisation, None, (None, Some(hold)), &actor.to_string(), at).await?;
    record(tx, organisation, &rows, actor, at).await
}

async fn record(
    tx: &mut Tx,
    organisation: &OrganisationId,
    rows: &[sql::AcknowledgedRow],
    actor: Actor,
    at: DateTime<Utc>,
) -> Result<Acknowledged, StoreError> {
    for row in rows {
        let event = match row.request_id {
            Some(request) => {
                Event::of(organisation, RequestId(request), Action::AlertAcknowledged, actor.clone(), at)
            }
            None => Event::general(organisation, Action::AlertAcknowledged, actor.clone(), at),
        };
        let detail = Detail::none().word("rule", &row.rule).word("alert", &row.alert_id.to_string());
        audit::append(tx, event.with(detail)).await?;
    }
    Ok(Acknowledged { alerts: rows.len() as u64 })
}
