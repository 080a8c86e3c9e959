//! What a sweep found, and what became of each.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::{ContactId, OrganisationId, RequestId};
use crate::retention::survey::Candidate;
use crate::retention::vocabulary::SkipReason;
use crate::store::{PgConnection, StoreError};

/// Freezes candidates. One that the listing showed twice is kept once.
pub(in crate::retention) async fn insert_candidates(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
    candidates: &[Candidate],
) -> Result<(), StoreError> {
    let contacts: Vec<String> =
        candidates.iter().map(|candidate| candidate.contact.as_str().to_owned()).collect();
    let created: Vec<DateTime<Utc>> = candidates.iter().map(|candidate| candidate.created_at).collect();
    sqlx::query!(
        r#"INSERT INTO dsrd.sweep_candidate (organisation_id, sweep_id, contact_id, created_at)
           SELECT $1, $2, contact_id, created_at
           FROM unnest($3::text[], $4::timestamptz[]) AS found (contact_id, created_at)
           ON CONFLICT DO NOTHING"#,
        organisation.as_str(),
        sweep_id,
        &contacts,
        &created,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("retention.insert_candidates"))?;
    Ok(())
}

/// Counts contacts of a page that a hold keeps, and keeps `listed` of them with the reason.
pub(in crate::retention) async fn insert_held(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
    held: &[(Candidate, SkipReason)],
    listed: usize,
) -> Result<(), StoreError> {
    const DURING: &str = "retention.insert_held";
    let listed = &held[..listed.min(held.len())];
    let contacts: Vec<String> = listed.iter().map(|(each, _)| each.contact.as_str().to_owned()).collect();
    let created: Vec<DateTime<Utc>> = listed.iter().map(|(each, _)| each.created_at).collect();
    let reasons: Vec<String> = listed.iter().map(|(_, reason)| reason.as_str().to_owned()).collect();
    let counted = sqlx::query!(
        r#"WITH listed AS (
             INSERT INTO dsrd.sweep_candidate (organisation_id, sweep_id, contact_id, created_at, skipped)
             SELECT $1, $2, contact_id, created_at, reason
             FROM unnest($3::text[], $4::timestamptz[], $5::text[]) AS found (contact_id, created_at, reason)
             ON CONFLICT DO NOTHING)
           UPDATE dsrd.sweep
           SET skipped = skipped + $6
           WHERE organisation_id = $1
             AND sweep_id = $2
             AND state = 'listing'"#,
        organisation.as_str(),
        sweep_id,
        &contacts,
        &created,
        &reasons,
        i64::try_from(held.len()).unwrap_or(i64::MAX),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during(DURING))?;
    StoreError::expect_rows(DURING, 1, counted.rows_affected())
}

/// Gives candidates that have an open retention request already, from another sweep, that request.
pub(in crate::retention) async fn link_open_requests(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
) -> Result<u64, StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.sweep_candidate AS candidate
           SET request_id = request.request_id
           FROM dsrd.request AS request
           WHERE candidate.organisation_id = $1
             AND candidate.sweep_id = $2
             AND candidate.request_id IS NULL
             AND candidate.skipped IS NULL
             AND request.organisation_id = candidate.organisation_id
             AND request.contact_id = candidate.contact_id
             AND request.origin = 'retention'
             AND request.state <> 'closed'"#,
        organisation.as_str(),
        sweep_id,
    )
    .execute(connection)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::during("retention.link_open_requests"))
}

/// Candidates without a request, with their creation, locked for the transaction that submits or skips them.
pub(in crate::retention) async fn take_candidates(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
    most: i64,
) -> Result<Vec<(ContactId, DateTime<Utc>)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT contact_id, created_at
           FROM dsrd.sweep_candidate
           WHERE organisation_id = $1
             AND sweep_id = $2
             AND request_id IS NULL
             AND skipped IS NULL
           ORDER BY contact_id
           LIMIT $3
           FOR UPDATE"#,
        organisation.as_str(),
        sweep_id,
        most,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("retention.take_candidates"))?;
    rows.iter()
        .map(|row| row.contact_id.parse().map(|contact| (contact, row.created_at)))
        .collect::<Result<_, _>>()
        .map_err(|_| StoreError::unreadable("retention.take_candidates", "dsrd.sweep_candidate.contact_id"))
}

/// Candidates whose records were not read yet, oldest first.
pub(in crate::retention) async fn list_unread(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
    most: i64,
) -> Result<Vec<ContactId>, StoreError> {
    let rows = sqlx::query_scalar!(
        r#"SELECT contact_id
           FROM dsrd.sweep_candidate
           WHERE organisation_id = $1
             AND sweep_id = $2
             AND request_id IS NULL
             AND read_at IS NULL
             AND skipped IS NULL
           ORDER BY created_at, contact_id
           LIMIT $3"#,
        organisation.as_str(),
        sweep_id,
        most,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("retention.list_unread"))?;
    rows.iter()
        .map(|id| id.parse())
        .collect::<Result<_, _>>()
        .map_err(|_| StoreError::unreadable("retention.list_unread", "dsrd.sweep_candidate.contact_id"))
}

/// What was read of candidates' last activity.
#[derive(Debug, Default)]
pub(in crate::retention) struct Read {
    /// Not active since: they stay candidates.
    pub(in crate::retention) past: Vec<String>,
    /// It cannot be known: they are left for a person to look at.
    pub(in crate::retention) unclear: Vec<String>,
    /// Active since, or gone: their names are kept no longer.
    pub(in crate::retention) dropped: Vec<String>,
    /// How many of the dropped were active.
    pub(in crate::retention) active: i64,
}

/// Notes what was read, in the caller's transaction.
pub(in crate::retention) async fn note_read(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
    read: &Read,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    const DURING: &str = "retention.note_read";
    sqlx::query!(
        r#"UPDATE dsrd.sweep_candidate
           SET read_at = $5, skipped = CASE WHEN contact_id = ANY ($4::text[]) THEN 'unclear_activity' END
           WHERE organisation_id = $1
             AND sweep_id = $2
             AND (contact_id = ANY ($3) OR contact_id = ANY ($4))
             AND read_at IS NULL"#,
        organisation.as_str(),
        sweep_id,
        &read.past,
        &read.unclear,
        at,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during(DURING))?;
    sqlx::query!(
        "DELETE FROM dsrd.sweep_candidate WHERE organisation_id = $1 AND sweep_id = $2 AND contact_id = ANY ($3) AND request_id IS NULL",
        organisation.as_str(),
        sweep_id,
        &read.dropped,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during(DURING))?;
    let counted = sqlx::query!(
        r#"UPDATE dsrd.sweep
           SET active = active + $3, unclear = unclear + $4
           WHERE organisation_id = $1
             AND sweep_id = $2
             AND state = 'reading'"#,
        organisation.as_str(),
        sweep_id,
        read.active,
        i64::try_from(read.unclear.len()).unwrap_or(i64::MAX),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during(DURING))?;
    StoreError::expect_rows(DURING, 1, counted.rows_affected())
}

/// What the reading left: candidates past their time, contacts that were active, and those that nobody can tell of.
pub(in crate::retention) async fn count_read(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
) -> Result<(i64, i64, i64), StoreError> {
    sqlx::query!(
        r#"SELECT active, unclear,
                  (SELECT count(*)
                   FROM dsrd.sweep_candidate AS candidate
                   WHERE candidate.organisation_id = sweep.organisation_id
                     AND candidate.sweep_id = sweep.sweep_id
                     AND candidate.read_at IS NOT NULL
                     AND candidate.skipped IS NULL) AS "past!"
           FROM dsrd.sweep
           WHERE organisation_id = $1
             AND sweep_id = $2"#,
        organisation.as_str(),
        sweep_id,
    )
    .fetch_one(connection)
    .await
    .map(|row| (row.past, row.active, row.unclear))
    .map_err(StoreError::during("retention.count_read"))
}

/// Contacts of the latest sweep whose last activity cannot be known.
pub async fn list_unclear(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    most: u16,
) -> Result<Vec<ContactId>, StoreError> {
    let rows = sqlx::query_scalar!(
        r#"SELECT contact_id
           FROM dsrd.sweep_candidate
           WHERE organisation_id = $1
             AND sweep_id = (SELECT sweep_id FROM dsrd.sweep WHERE organisation_id = $1
                             ORDER BY started_at DESC, sweep_id DESC LIMIT 1)
             AND skipped = 'unclear_activity'
           ORDER BY created_at, contact_id
           LIMIT $2"#,
        organisation.as_str(),
        i64::from(most),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("retention.list_unclear"))?;
    rows.iter()
        .map(|id| id.parse())
        .collect::<Result<_, _>>()
        .map_err(|_| StoreError::unreadable("retention.list_unclear", "dsrd.sweep_candidate.contact_id"))
}

/// Counts the same.
pub async fn count_unclear(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
           FROM dsrd.sweep_candidate
           WHERE organisation_id = $1
             AND sweep_id = (SELECT sweep_id FROM dsrd.sweep WHERE organisation_id = $1
                             ORDER BY started_at DESC, sweep_id DESC LIMIT 1)
             AND skipped = 'unclear_activity'"#,
        organisation.as_str(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("retention.count_unclear"))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Those of the contacts about whom a request for a copy of the data is open, to look at or to take along (R-11): what the
/// erasure would wait for.
pub(in crate::retention) async fn with_open_access(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    contacts: &[String],
) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT contact_id AS "contact_id!"
           FROM dsrd.request
           WHERE organisation_id = $1
             AND kind IN ('access', 'portability')
             AND state <> 'closed'
             AND contact_id = ANY ($2)"#,
        organisation.as_str(),
        contacts,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("retention.with_open_access"))
}

/// Leaves candidates to a later sweep, each with its reason, and counts them for the sweep.
pub(in crate::retention) async fn skip(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
    contacts: &[String],
    reasons: &[String],
) -> Result<(), StoreError> {
    let skipped = sqlx::query!(
        r#"UPDATE dsrd.sweep_candidate AS candidate
           SET skipped = found.reason
           FROM unnest($3::text[], $4::text[]) AS found (contact_id, reason)
           WHERE candidate.organisation_id = $1
             AND candidate.sweep_id = $2
             AND candidate.contact_id = found.contact_id
             AND candidate.request_id IS NULL"#,
        organisation.as_str(),
        sweep_id,
        contacts,
        reasons,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("retention.skip"))?;
    StoreError::expect_rows("retention.skip", contacts.len() as u64, skipped.rows_affected())?;
    let counted = sqlx::query!(
        r#"UPDATE dsrd.sweep
           SET skipped = skipped + $3
           WHERE organisation_id = $1
             AND sweep_id = $2
             AND state = 'submitting'"#,
        organisation.as_str(),
        sweep_id,
        i64::try_from(contacts.len()).unwrap_or(i64::MAX),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("retention.skip"))?;
    StoreError::expect_rows("retention.skip", 1, counted.rows_affected())
}

/// Notes the requests made for candidates, and counts them for the sweep.
pub(in crate::retention) async fn note_requests(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
    contacts: &[String],
    requests: &[Uuid],
) -> Result<(), StoreError> {
    let noted = sqlx::query!(
        r#"UPDATE dsrd.sweep_candidate AS candidate
           SET request_id = made.request_id
           FROM unnest($3::text[], $4::uuid[]) AS made (contact_id, request_id)
           WHERE candidate.organisation_id = $1
             AND candidate.sweep_id = $2
             AND candidate.contact_id = made.contact_id
             AND candidate.request_id IS NULL"#,
        organisation.as_str(),
        sweep_id,
        contacts,
        requests,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("retention.note_requests"))?;
    StoreError::expect_rows("retention.note_requests", contacts.len() as u64, noted.rows_affected())?;
    let counted = sqlx::query!(
        r#"UPDATE dsrd.sweep
           SET submitted = submitted + $3
           WHERE organisation_id = $1
             AND sweep_id = $2
             AND state = 'submitting'"#,
        organisation.as_str(),
        sweep_id,
        i64::try_from(contacts.len()).unwrap_or(i64::MAX),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("retention.note_requests"))?;
    StoreError::expect_rows("retention.note_requests", 1, counted.rows_affected())
}

/// Deletes the candidates whose erasure requests are forgotten.
pub async fn purge_candidates(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        "DELETE FROM dsrd.sweep_candidate WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("retention.purge_candidates"))?;
    Ok(())
}

/// Deletes up to `most` candidates of sweeps that ended before an instant without making a request of them; returns how
/// many. A sweep that never ended, because no configuration names its organisation any more, counts from its start.
pub async fn purge_unused_candidates(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    ended_before: DateTime<Utc>,
    most: i64,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        r#"DELETE FROM dsrd.sweep_candidate
           WHERE organisation_id = $1 AND request_id IS NULL
             AND (sweep_id, contact_id) IN (
               SELECT candidate.sweep_id, candidate.contact_id
               FROM dsrd.sweep_candidate AS candidate
               JOIN dsrd.sweep USING (organisation_id, sweep_id)
               WHERE organisation_id = $1 AND candidate.request_id IS NULL
                 AND coalesce(sweep.finished_at, sweep.started_at) < $2
               LIMIT $3)"#,
        organisation.as_str(),
        ended_before,
        most,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("retention.purge_unused_candidates"))?;
    Ok(deleted.rows_affected())
}
