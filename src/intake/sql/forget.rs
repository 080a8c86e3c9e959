//! What a closed case forgets, and when it goes.
//!
//! A restriction that stands keeps what its end needs: the address at which the person is told of it (Art. 18(3) GDPR), the
//! contact that recipients are told of (Art. 19), and the case that ties them together.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// Empties the identifiers of requests that were closed before an instant and whose notices have all ended; returns
/// which requests these were, up to `most`.
pub async fn forget_identifiers(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    closed_before: DateTime<Utc>,
    at: DateTime<Utc>,
    most: i64,
) -> Result<Vec<RequestId>, StoreError> {
    let requests = sqlx::query_scalar!(
        r#"WITH due AS MATERIALIZED (
             SELECT request_id
             FROM dsrd.request
             WHERE organisation_id = $1 AND closed_at < $2 AND identifiers_forgotten_at IS NULL
               AND NOT EXISTS (SELECT FROM dsrd.incident
                               WHERE incident.organisation_id = request.organisation_id
                                 AND incident.request_id = request.request_id AND incident.ended_as IS NULL)
               AND NOT EXISTS (SELECT FROM dsrd.hold
                               WHERE hold.organisation_id = request.organisation_id
                                 AND hold.request_id = request.request_id
                                 AND hold.kind = 'restriction' AND hold.ended_at IS NULL)
               AND NOT EXISTS (SELECT FROM dsrd.notice
                               WHERE notice.organisation_id = request.organisation_id
                                 AND notice.request_id = request.request_id
                                 AND (notice.state = 'pending'
                                      OR (notice.bounced_at IS NOT NULL AND notice.made_good_at IS NULL)))
             ORDER BY closed_at
             LIMIT $4
             FOR UPDATE SKIP LOCKED
           ), emptied AS (
             UPDATE dsrd.identifier
             SET sealed = NULL
             FROM due
             WHERE organisation_id = $1 AND identifier.request_id = due.request_id
           )
           UPDATE dsrd.request
           SET identifiers_forgotten_at = $3
           FROM due
           WHERE organisation_id = $1 AND request.request_id = due.request_id
           RETURNING request.request_id"#,
        organisation.as_str(),
        closed_before,
        at,
        most,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.forget_identifiers"))?;
    Ok(requests.into_iter().map(RequestId).collect())
}

/// Forgets which contact the requests concerned that were closed before an instant; returns them, up to `most`.
pub async fn forget_contacts(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    closed_before: DateTime<Utc>,
    at: DateTime<Utc>,
    most: i64,
) -> Result<Vec<RequestId>, StoreError> {
    let requests = sqlx::query_scalar!(
        r#"UPDATE dsrd.request
           SET contact_id = NULL, contact_forgotten_at = $3
           WHERE organisation_id = $1
             AND request_id IN (
               SELECT request_id
               FROM dsrd.request
               WHERE organisation_id = $1 AND closed_at < $2 AND contact_forgotten_at IS NULL
               AND NOT EXISTS (SELECT FROM dsrd.incident
                               WHERE incident.organisation_id = request.organisation_id
                                 AND incident.request_id = request.request_id AND incident.ended_as IS NULL)
               AND NOT EXISTS (SELECT FROM dsrd.hold
                               WHERE hold.organisation_id = request.organisation_id
                                 AND hold.request_id = request.request_id
                                 AND hold.kind = 'restriction' AND hold.ended_at IS NULL)
               ORDER BY closed_at
               LIMIT $4
               FOR UPDATE SKIP LOCKED)
           RETURNING request_id"#,
        organisation.as_str(),
        closed_before,
        at,
        most,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.forget_contacts"))?;
    Ok(requests.into_iter().map(RequestId).collect())
}

/// Locks up to `most` requests that were closed before an instant and have forgotten everything else. One whose erasure waits
/// for a hold is left out, however long that stands: the rest follows on its proof and its ground. So is one from which such an erasure
/// follows, or one that is open: what the person had asked for is known by it alone.
pub async fn past_evidence(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    closed_before: DateTime<Utc>,
    most: i64,
) -> Result<Vec<RequestId>, StoreError> {
    let requests = sqlx::query_scalar!(
        r#"SELECT request_id
           FROM dsrd.request
           WHERE organisation_id = $1 AND closed_at < $2
             AND identifiers_forgotten_at IS NOT NULL AND contact_forgotten_at IS NOT NULL
             AND NOT EXISTS (SELECT FROM dsrd.incident
                             WHERE incident.organisation_id = request.organisation_id
                               AND incident.request_id = request.request_id AND incident.ended_as IS NULL)
             AND NOT EXISTS (SELECT FROM dsrd.hold
                             WHERE hold.organisation_id = request.organisation_id
                               AND hold.request_id = request.request_id
                               AND hold.kind = 'restriction' AND hold.ended_at IS NULL)
             AND NOT EXISTS (SELECT FROM dsrd.postponed_erasure AS erasure
                             WHERE erasure.organisation_id = request.organisation_id
                               AND erasure.request_id = request.request_id AND erasure.resumed_at IS NULL)
             AND NOT EXISTS (SELECT FROM dsrd.following
                             JOIN dsrd.request AS follower USING (organisation_id, request_id)
                             LEFT JOIN dsrd.postponed_erasure AS erasure USING (organisation_id, request_id)
                             WHERE following.organisation_id = request.organisation_id
                               AND following.former_id = request.request_id
                               AND (follower.state <> 'closed'
                                    OR erasure.request_id IS NOT NULL AND erasure.resumed_at IS NULL))
           ORDER BY closed_at
           LIMIT $3
           FOR UPDATE SKIP LOCKED"#,
        organisation.as_str(),
        closed_before,
        most,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.past_evidence"))?;
    Ok(requests.into_iter().map(RequestId).collect())
}

/// Deletes closed requests with their identifiers; whatever else refers to them must be gone.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    crate::intake::clock::purge(&mut *connection, organisation, requests).await?;
    sqlx::query!(
        "DELETE FROM dsrd.identifier WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("intake.purge"))?;
    let deleted = sqlx::query!(
        "DELETE FROM dsrd.request WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.purge"))?;
    StoreError::expect_rows("intake.purge", ids.len() as u64, deleted.rows_affected())
}
