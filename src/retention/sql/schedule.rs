//! When the next sweep is due.

use chrono::{DateTime, Utc};

use crate::domain::OrganisationId;
use crate::store::{PgConnection, StoreError};

/// The stored schedule of something that is done for an organisation.
#[derive(Clone, Debug)]
pub(in crate::retention) struct ScheduleRow {
    pub(in crate::retention) expression: String,
    pub(in crate::retention) next_run_at: DateTime<Utc>,
}

/// Reads a schedule by its name.
pub(in crate::retention) async fn find_schedule(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    name: &str,
) -> Result<Option<ScheduleRow>, StoreError> {
    sqlx::query_as!(
        ScheduleRow,
        r#"SELECT expression, next_run_at
           FROM dsrd.schedule
           WHERE organisation_id = $1
             AND name = $2"#,
        organisation.as_str(),
        name,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("retention.find_schedule"))
}

/// Stores the schedule where there is none yet, or where `former` is its expression still.
pub(in crate::retention) async fn store_schedule(
    connection: &mut PgConnection,
    (organisation, name): (&OrganisationId, &str),
    former: Option<&str>,
    expression: &str,
    next_run_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.schedule AS stored (organisation_id, name, expression, next_run_at)
           VALUES ($1, $2, $3, $4)
           ON CONFLICT (organisation_id, name) DO UPDATE
           SET expression = excluded.expression, next_run_at = excluded.next_run_at
           WHERE stored.expression = $5"#,
        organisation.as_str(),
        name,
        expression,
        next_run_at,
        former,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("retention.store_schedule"))
}

/// Claims a due time: moves the schedule on, if it still stands at `due`.
pub(in crate::retention) async fn claim_due(
    connection: &mut PgConnection,
    (organisation, name): (&OrganisationId, &str),
    due: DateTime<Utc>,
    next: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.schedule
           SET next_run_at = $4, last_run_at = $5
           WHERE organisation_id = $1
             AND name = $2
             AND next_run_at = $3"#,
        organisation.as_str(),
        name,
        due,
        next,
        now,
    )
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(StoreError::during("retention.claim_due"))
}

/// Makes the next due time earlier, never later.
pub(in crate::retention) async fn bring_forward(
    connection: &mut PgConnection,
    (organisation, name): (&OrganisationId, &str),
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.schedule
           SET next_run_at = $3
           WHERE organisation_id = $1
             AND name = $2
             AND next_run_at > $3"#,
        organisation.as_str(),
        name,
        at,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("retention.bring_forward"))
}
