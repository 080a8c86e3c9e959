//! Table `dsrd.follow_up`.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{FollowedUp, NOT_FOUND, reference_of};
use crate::domain::{DataCategory, OrganisationId, RequestId};
use crate::queue::Lease;
use crate::store::{PgConnection, StoreError};

pub(super) async fn insert(
    connection: &mut PgConnection,
    lease: &Lease,
    categories: &[DataCategory],
    due_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let categories: Vec<&str> = categories.iter().map(|each| each.as_str()).collect();
    sqlx::query!(
        r#"INSERT INTO dsrd.follow_up (organisation_id, request_id, categories, due_at) VALUES ($1, $2, $3, $4)"#,
        lease.organisation.as_str(),
        lease.request.0,
        &categories as &[&str],
        due_at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("execution.insert_follow_up"))?;
    Ok(())
}

/// A withdrawal whose follow-up is due.
pub(super) struct Due {
    pub(super) withdrawal: RequestId,
    /// How often it could not be handed in.
    pub(super) tries: i16,
    /// Whether the look before did not find its contact.
    pub(super) not_found: bool,
}

/// The withdrawals whose follow-up is due, oldest first; not those that wait for their next try.
pub(super) async fn list_due(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    now: DateTime<Utc>,
) -> Result<Vec<Due>, StoreError> {
    let found = sqlx::query!(
        r#"SELECT request_id, tries, last_code FROM dsrd.follow_up
           WHERE organisation_id = $1 AND ended_at IS NULL AND due_at <= $2 AND (again_at IS NULL OR again_at <= $2)
           ORDER BY due_at, request_id
           LIMIT 1000"#,
        organisation.as_str(),
        now,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("execution.list_due_follow_ups"))?;
    let due = found.into_iter().map(|row| Due {
        withdrawal: RequestId(row.request_id),
        tries: row.tries,
        not_found: row.last_code.as_deref() == Some(NOT_FOUND),
    });
    Ok(due.collect())
}

/// Notes that a follow-up could not be handed in, and why: it is tried again after a minute, and later each time, up to an hour.
pub(super) async fn put_back(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    withdrawal: RequestId,
    code: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.follow_up
           SET tries = least(tries, 1000) + 1, last_code = $3,
               again_at = $4::timestamptz + make_interval(mins => least(60, (2 ^ least(tries, 6))::integer))
           WHERE organisation_id = $1 AND request_id = $2 AND ended_at IS NULL"#,
        organisation.as_str(),
        withdrawal.0,
        code,
        now,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("execution.put_follow_up_back"))
}

/// Locks a follow-up that has not ended, and returns its categories; none when it ended or somebody else ends it.
pub(super) async fn lock_open(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    withdrawal: RequestId,
) -> Result<Option<Vec<DataCategory>>, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT categories FROM dsrd.follow_up
           WHERE organisation_id = $1 AND request_id = $2 AND ended_at IS NULL
           FOR UPDATE SKIP LOCKED"#,
        organisation.as_str(),
        withdrawal.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("execution.lock_follow_up"))?;
    let Some(words) = found else { return Ok(None) };
    let read: Result<Vec<DataCategory>, _> = words.iter().map(|word| word.parse()).collect();
    read.map(Some).map_err(|_| StoreError::unreadable("execution.lock_follow_up", "follow_up.categories"))
}

pub(super) async fn end(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    withdrawal: RequestId,
    ended: FollowedUp,
    second: Option<RequestId>,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.follow_up
           SET ended_at = $3, ended_as = $4, second_request_id = $5
           WHERE organisation_id = $1 AND request_id = $2 AND ended_at IS NULL"#,
        organisation.as_str(),
        withdrawal.0,
        at,
        ended.as_str(),
        second.map(|second| second.0),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("execution.end_follow_up"))?;
    StoreError::expect_rows("execution.end_follow_up", 1, changed.rows_affected())
}

/// What follows from a withdrawal of consent, as seen from it or from the request that followed.
#[derive(Clone, Debug, Serialize)]
pub struct FollowUpView {
    /// The reference of the withdrawal.
    pub withdrawal: String,
    /// The categories of data that rested on the consent alone.
    pub categories: Vec<String>,
    /// When it follows.
    pub due_at: DateTime<Utc>,
    /// Why it could not be handed in at the latest try that failed.
    pub last_code: Option<String>,
    /// How the waiting ended, if it did.
    pub ended_as: Option<String>,
    /// The reference of what followed.
    pub followed_by: Option<String>,
}

/// What follows from a withdrawal, or from which one a request follows; none for every other request.
pub async fn follow_up_of(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<FollowUpView>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT request_id, categories, due_at, last_code, ended_as, second_request_id FROM dsrd.follow_up
           WHERE organisation_id = $1 AND (request_id = $2 OR second_request_id = $2)
           ORDER BY due_at
           LIMIT 1"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("execution.follow_up_of"))?;
    Ok(row.map(|row| FollowUpView {
        withdrawal: reference_of(row.request_id),
        categories: row.categories,
        due_at: row.due_at,
        last_code: row.last_code,
        ended_as: row.ended_as,
        followed_by: row.second_request_id.map(reference_of),
    }))
}
