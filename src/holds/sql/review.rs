//! Holds that are reviewed, ended and forgotten.

use chrono::{DateTime, NaiveDate, Utc};

use crate::domain::OrganisationId;
use crate::holds::{Hold, HoldId};
use crate::store::{PgConnection, StoreError};

use super::hold::{Row, all};
use super::last_day::purge_last_days;

pub(in crate::holds) async fn list_placed_by(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    by: &str,
) -> Result<Vec<Hold>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT hold_id, reference, kind, category, ground, statute, matter, owner, scope, created_from, created_before,
                  ends_on, months_after_last, review_on, placed_by, placed_at, ended_at, ended_by, end_reason
           FROM dsrd.hold
           WHERE organisation_id = $1 AND placed_by = $2 AND ended_at IS NULL"#,
        organisation.as_str(),
        by,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.list_placed_by"))?;
    all(rows)
}

pub(in crate::holds) async fn set_review(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    id: HoldId,
    next: NaiveDate,
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.hold
           SET review_on = $3
           WHERE organisation_id = $1 AND hold_id = $2 AND ended_at IS NULL"#,
        organisation.as_str(),
        id.0,
        next,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("holds.set_review"))?;
    StoreError::expect_rows("holds.set_review", 1, changed.rows_affected())
}

pub(in crate::holds) async fn set_ended(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    id: HoldId,
    reason: &str,
    (by, at): (&str, DateTime<Utc>),
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.hold
           SET ended_at = $3, ended_by = $4, end_reason = $5
           WHERE organisation_id = $1 AND hold_id = $2 AND ended_at IS NULL"#,
        organisation.as_str(),
        id.0,
        at,
        by,
        reason,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("holds.set_ended"))?;
    StoreError::expect_rows("holds.set_ended", 1, changed.rows_affected())
}

/// Holds whose last day lies before today, locked for this transaction.
pub(in crate::holds) async fn take_expired(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    today: NaiveDate,
) -> Result<Vec<Hold>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT hold_id, reference, kind, category, ground, statute, matter, owner, scope, created_from, created_before,
                  ends_on, months_after_last, review_on, placed_by, placed_at, ended_at, ended_by, end_reason
           FROM dsrd.hold
           WHERE organisation_id = $1 AND ended_at IS NULL AND ends_on < $2
           ORDER BY ends_on, hold_id
           FOR UPDATE SKIP LOCKED"#,
        organisation.as_str(),
        today,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.take_expired"))?;
    all(rows)
}

/// Holds with a date of review up to `until` that was not reminded of, locked for this transaction.
pub(in crate::holds) async fn take_due_for_review(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    until: NaiveDate,
) -> Result<Vec<Hold>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT hold_id, reference, kind, category, ground, statute, matter, owner, scope, created_from, created_before,
                  ends_on, months_after_last, review_on, placed_by, placed_at, ended_at, ended_by, end_reason
           FROM dsrd.hold
           WHERE organisation_id = $1 AND ended_at IS NULL AND review_on <= $2
             AND reminded_on IS DISTINCT FROM review_on
           ORDER BY review_on, hold_id
           FOR UPDATE SKIP LOCKED"#,
        organisation.as_str(),
        until,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.take_due_for_review"))?;
    all(rows)
}

pub(in crate::holds) async fn set_reminded(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    id: HoldId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE dsrd.hold SET reminded_on = review_on, reminded_at = $3 WHERE organisation_id = $1 AND hold_id = $2",
        organisation.as_str(),
        id.0,
        at,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("holds.set_reminded"))
}

/// Deletes postponed erasures that were resumed, and holds that ended, before an instant; returns how many holds. What was
/// remembered of contacts goes as soon as it says nothing any more.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    purge_last_days(connection, organisation, now).await?;
    sqlx::query!(
        r#"DELETE FROM dsrd.postponed_by AS held
           USING dsrd.postponed_erasure AS erasure
           WHERE held.organisation_id = $1
             AND erasure.organisation_id = held.organisation_id
             AND erasure.request_id = held.request_id
             AND erasure.resumed_at < $2"#,
        organisation.as_str(),
        before,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("holds.purge"))?;
    sqlx::query!(
        "DELETE FROM dsrd.postponed_erasure WHERE organisation_id = $1 AND resumed_at < $2",
        organisation.as_str(),
        before,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("holds.purge"))?;
    sqlx::query!(
        r#"DELETE FROM dsrd.hold_subject AS subject
           USING dsrd.hold AS hold
           WHERE subject.organisation_id = $1
             AND hold.organisation_id = subject.organisation_id
             AND hold.hold_id = subject.hold_id
             AND hold.ended_at < $2"#,
        organisation.as_str(),
        before,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("holds.purge"))?;
    let deleted = sqlx::query!(
        r#"DELETE FROM dsrd.hold AS hold
           WHERE organisation_id = $1
             AND ended_at < $2
             AND NOT EXISTS (SELECT FROM dsrd.postponed_by AS held
                             WHERE held.organisation_id = hold.organisation_id AND held.hold_id = hold.hold_id)"#,
        organisation.as_str(),
        before,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("holds.purge"))?;
    Ok(deleted.rows_affected())
}
