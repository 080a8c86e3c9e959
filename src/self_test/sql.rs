//! Table `dsrd.self_test`.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// Whether there is a run of a day.
pub(super) async fn has_run(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    day: NaiveDate,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dsrd.self_test WHERE organisation_id = $1 AND run_on = $2) AS "has!""#,
        organisation.as_str(),
        day,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("self_test.has_run"))
}

/// The requests of the latest run that handed any in, and of those that a clock that was ahead began for days after
/// `today` (F-48).
pub(super) async fn latest_requests(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    today: NaiveDate,
) -> Result<Vec<RequestId>, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT request_ids
           FROM dsrd.self_test
           WHERE organisation_id = $1
             AND (run_on > $2
                  OR run_on = (SELECT max(run_on)
                               FROM dsrd.self_test
                               WHERE organisation_id = $1 AND run_on <= $2 AND request_ids <> '{}'))"#,
        organisation.as_str(),
        today,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("self_test.latest_requests"))?;
    Ok(found.into_iter().flatten().map(RequestId).collect())
}

/// A run that begins.
pub(super) struct NewRun<'a> {
    pub(super) organisation: &'a OrganisationId,
    pub(super) run_on: NaiveDate,
    pub(super) requests: &'a [RequestId],
    pub(super) erases: bool,
    pub(super) begun_at: DateTime<Utc>,
    pub(super) due_at: DateTime<Utc>,
}

pub(super) async fn insert_run(connection: &mut PgConnection, new: NewRun<'_>) -> Result<(), StoreError> {
    let requests: Vec<Uuid> = new.requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        r#"INSERT INTO dsrd.self_test (organisation_id, run_on, request_ids, erases, begun_at, due_at)
           VALUES ($1, $2, $3, $4, $5, $6)"#,
        new.organisation.as_str(),
        new.run_on,
        &requests,
        new.erases,
        new.begun_at,
        new.due_at,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("self_test.insert_run"))
}

/// A run that was not judged yet.
pub(super) struct OpenRun {
    pub(super) run_on: NaiveDate,
    pub(super) requests: Vec<RequestId>,
    pub(super) due_at: DateTime<Utc>,
}

pub(super) async fn list_open(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<OpenRun>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT run_on, request_ids, due_at
           FROM dsrd.self_test
           WHERE organisation_id = $1 AND settled_at IS NULL
           ORDER BY run_on"#,
        organisation.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("self_test.list_open"))?;
    let open = rows.into_iter().map(|row| OpenRun {
        run_on: row.run_on,
        requests: row.request_ids.into_iter().map(RequestId).collect(),
        due_at: row.due_at,
    });
    Ok(open.collect())
}

/// Records how a run ended; false when another daemon did so.
pub(super) async fn settle(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    run_on: NaiveDate,
    findings: &[String],
    passed: bool,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.self_test
           SET settled_at = $3, passed = $4, findings = $5
           WHERE organisation_id = $1 AND run_on = $2 AND settled_at IS NULL"#,
        organisation.as_str(),
        run_on,
        at,
        passed,
        findings,
    )
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(StoreError::during("self_test.settle"))
}

/// Deletes runs from before an instant; those that were not judged stay.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    before: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM dsrd.self_test WHERE organisation_id = $1 AND settled_at < $2",
        organisation.as_str(),
        before,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("self_test.purge"))
}
