//! Table `dsrd.ledger`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Entry, Settled};
use crate::domain::OrganisationId;
use crate::store::{PgConnection, StoreError};

fn record(entry: &Entry) -> serde_json::Value {
    serde_json::to_value(entry).unwrap_or_default()
}

/// Writes an entry. One that an attempt in an earlier month wrote gives way to it: the line of this attempt stands in the file of its
/// own month, and the row stays until that goes. Within a month the row of the first stays.
pub(super) async fn insert(connection: &mut PgConnection, entry: &Entry) -> Result<(), StoreError> {
    if insert_new(connection, entry).await? {
        return Ok(());
    }
    let gave_way = sqlx::query!(
        r#"DELETE FROM dsrd.ledger
           WHERE organisation_id = $1 AND entry_id = $2 AND at < date_trunc('month', $3::timestamptz, 'UTC')"#,
        entry.organisation,
        entry.entry,
        entry.at,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("ledger.insert"))?;
    if gave_way.rows_affected() > 0 {
        insert_new(connection, entry).await?;
    }
    Ok(())
}

async fn insert_new(connection: &mut PgConnection, entry: &Entry) -> Result<bool, StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.ledger (organisation_id, entry_id, request_id, at, record)
           VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT DO NOTHING"#,
        entry.organisation,
        entry.entry,
        entry.request,
        entry.at,
        record(entry),
    )
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(StoreError::during("ledger.insert"))
}

/// Puts an entry that a restore had lost back, with what was found or decided; false when somebody did before.
pub async fn settle(
    connection: &mut PgConnection,
    entry: &Entry,
    settled: Settled,
) -> Result<bool, StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.ledger (organisation_id, entry_id, request_id, at, record, settled)
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT DO NOTHING"#,
        entry.organisation,
        entry.entry,
        entry.request,
        entry.at,
        record(entry),
        settled.as_str(),
    )
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(StoreError::during("ledger.settle"))
}

pub(super) async fn list(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<BTreeMap<Uuid, Entry>, StoreError> {
    let rows = sqlx::query_scalar!(
        "SELECT record FROM dsrd.ledger WHERE organisation_id = $1",
        organisation.as_str()
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("ledger.list"))?;
    rows.into_iter().map(|record| read(record).map(|entry| (entry.entry, entry))).collect()
}

fn read(record: serde_json::Value) -> Result<Entry, StoreError> {
    serde_json::from_value(record).map_err(|_| StoreError::unreadable("ledger.list", "ledger.record"))
}

/// The entries of holds.
pub(super) async fn list_holds(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query_scalar!(
        "SELECT record FROM dsrd.ledger WHERE organisation_id = $1 AND record ->> 'kind' IN ('hold', 'hold_ended')",
        organisation.as_str()
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("ledger.list_holds"))?;
    rows.into_iter().map(read).collect()
}

pub(super) async fn count_known(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    entries: &[Uuid],
) -> Result<u64, StoreError> {
    let known = sqlx::query_scalar!(
        r#"SELECT count(*) AS "known!" FROM dsrd.ledger WHERE organisation_id = $1 AND entry_id = ANY ($2)"#,
        organisation.as_str(),
        entries,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("ledger.count_known"))?;
    Ok(u64::try_from(known).unwrap_or_default())
}

/// Deletes the entries of the months that ended before an instant, as their files go; returns how many.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        "DELETE FROM dsrd.ledger WHERE organisation_id = $1 AND at < date_trunc('month', $2::timestamptz, 'UTC')",
        organisation.as_str(),
        before,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("ledger.purge"))?;
    Ok(deleted.rows_affected())
}
