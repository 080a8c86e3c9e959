//! Tables `dsrd.sweep`, `dsrd.sweep_candidate` and `dsrd.schedule`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::survey::Candidate;
use super::vocabulary::{StopReason, SweepState};
use crate::domain::{ContactId, OrganisationId, RequestId};
use crate::store::StoreError;

/// The name of the retention schedule in `dsrd.schedule`.
const SCHEDULE: &str = "retention";

/// A sweep as recorded, for lists.
#[derive(Clone, Debug, Serialize)]
pub struct SweepRow {
    /// Its id.
    pub sweep_id: Uuid,
    /// The due time that started it; `None` when a person did.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// When it started; later than `scheduled_for` by its lateness.
    pub started_at: DateTime<Utc>,
    /// Contacts created before this instant were past their time.
    pub created_before: DateTime<Utc>,
    /// Where it stands (`SweepState`).
    pub state: String,
    /// Why it stopped or failed (`StopReason`).
    pub reason: Option<String>,
    /// All contacts of the organisation.
    pub contacts: Option<i64>,
    /// Contacts past their time.
    pub candidates: i64,
    /// Contacts without a readable creation date.
    pub unreadable: i64,
    /// Erasure requests that it made.
    pub submitted: i64,
    /// Candidates that it left to a later sweep, because a hold, a restriction or an open access request stands.
    pub skipped: i64,
    /// Of the latest sweep: contacts that it found past their time, that nothing holds, and that are not gone yet.
    pub still_past: Option<i64>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Lists the sweeps of an organisation, newest first.
pub async fn list_sweeps(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    most: u16,
) -> Result<Vec<SweepRow>, StoreError> {
    sqlx::query_as!(
        SweepRow,
        r#"SELECT sweep_id, scheduled_for, started_at, created_before, state, reason, contacts, candidates,
                  unreadable, submitted, skipped,
                  CASE WHEN EXISTS (SELECT FROM dsrd.sweep AS later
                                    WHERE later.organisation_id = sweep.organisation_id
                                      AND (later.started_at, later.sweep_id) > (sweep.started_at, sweep.sweep_id)) THEN NULL
                       WHEN state IN ('stopped', 'failed') AND submitted = 0 THEN candidates
                       ELSE (SELECT count(*)
                             FROM dsrd.sweep_candidate AS candidate
                             LEFT JOIN dsrd.request AS request USING (organisation_id, request_id)
                             WHERE candidate.organisation_id = sweep.organisation_id
                               AND candidate.sweep_id = sweep.sweep_id AND candidate.skipped IS NULL
                               AND (candidate.request_id IS NULL OR request.state <> 'closed'))
                  END AS still_past,
                  finished_at
           FROM dsrd.sweep
           WHERE organisation_id = $1
           ORDER BY started_at DESC, sweep_id DESC
           LIMIT $2"#,
        organisation.as_str(),
        i64::from(most),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("retention.list_sweeps"))
}

/// Takes the organisation's sweep lock for as long as the connection lives, unless somebody has it.
pub(super) async fn try_lock(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_lock(hashtextextended('dsrd.retention.' || $1, 0)) AS "locked!""#,
        organisation.as_str(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("retention.lock"))
}

/// Fails when the connection, and with it the lock, is lost.
pub(super) async fn check_alive(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(r#"SELECT 1 AS "one!""#)
        .fetch_one(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::during("retention.check_lock"))
}

/// Gives all locks of the connection back.
pub(super) async fn unlock(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_advisory_unlock_all()")
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::during("retention.unlock"))
}

/// A sweep that has not ended.
#[derive(Clone, Debug)]
pub(super) struct UnfinishedRow {
    pub(super) sweep_id: Uuid,
    pub(super) scheduled_for: Option<DateTime<Utc>>,
    pub(super) started_at: DateTime<Utc>,
    pub(super) created_before: DateTime<Utc>,
    pub(super) submitting: bool,
    pub(super) contacts: Option<i64>,
    pub(super) candidates: i64,
    pub(super) unreadable: i64,
}

/// The organisation's sweeps that have not ended, oldest first.
pub(super) async fn list_unfinished(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<UnfinishedRow>, StoreError> {
    sqlx::query_as!(
        UnfinishedRow,
        r#"SELECT sweep_id, scheduled_for, started_at, created_before, state = 'submitting' AS "submitting!",
                  contacts, candidates, unreadable
           FROM dsrd.sweep
           WHERE organisation_id = $1
             AND state IN ('listing', 'submitting')
           ORDER BY started_at, sweep_id"#,
        organisation.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("retention.list_unfinished"))
}

/// Records a sweep that begins to list.
pub(super) async fn insert_sweep(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
    scheduled_for: Option<DateTime<Utc>>,
    started_at: DateTime<Utc>,
    created_before: DateTime<Utc>,
) -> Result<(), StoreError> {
    let inserted = sqlx::query!(
        r#"INSERT INTO dsrd.sweep (organisation_id, sweep_id, scheduled_for, started_at, created_before, state)
           VALUES ($1, $2, $3, $4, $5, 'listing')"#,
        organisation.as_str(),
        sweep_id,
        scheduled_for,
        started_at,
        created_before,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("retention.insert_sweep"))?;
    StoreError::expect_rows("retention.insert_sweep", 1, inserted.rows_affected())
}

/// Freezes candidates. One that the listing showed twice is kept once.
pub(super) async fn insert_candidates(
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

/// What a listing counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) contacts: i64,
    pub(super) candidates: i64,
    pub(super) unreadable: i64,
}

/// Records the end of a listing: the counts, and the state that follows.
pub(super) async fn end_listing(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
    counts: Counts,
    end: Option<(SweepState, StopReason, DateTime<Utc>)>,
) -> Result<(), StoreError> {
    let state = end.map_or(SweepState::Submitting, |(state, _, _)| state);
    let changed = sqlx::query!(
        r#"UPDATE dsrd.sweep
           SET contacts = $3, candidates = $4, unreadable = $5, state = $6, reason = $7, finished_at = $8
           WHERE organisation_id = $1
             AND sweep_id = $2
             AND state = 'listing'"#,
        organisation.as_str(),
        sweep_id,
        counts.contacts,
        counts.candidates,
        counts.unreadable,
        state.as_str(),
        end.map(|(_, reason, _)| reason.as_str()),
        end.map(|(_, _, at)| at),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("retention.end_listing"))?;
    StoreError::expect_rows("retention.end_listing", 1, changed.rows_affected())
}

/// Marks a sweep whose listing was interrupted; its due time passes on to the sweep that is run in its stead.
pub(super) async fn fail_interrupted(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.sweep
           SET state = 'failed', reason = $3, finished_at = $4, scheduled_for = NULL
           WHERE organisation_id = $1
             AND sweep_id = $2
             AND state = 'listing'"#,
        organisation.as_str(),
        sweep_id,
        StopReason::Interrupted.as_str(),
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("retention.fail_interrupted"))?;
    StoreError::expect_rows("retention.fail_interrupted", 1, changed.rows_affected())
}

/// Counts the sweeps since an instant whose listing was interrupted.
pub(super) async fn count_interrupted(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    since: DateTime<Utc>,
) -> Result<i64, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "interrupted!"
           FROM dsrd.sweep
           WHERE organisation_id = $1
             AND state = 'failed'
             AND reason = $2
             AND started_at >= $3"#,
        organisation.as_str(),
        StopReason::Interrupted.as_str(),
        since,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("retention.count_interrupted"))
}

/// Gives candidates that have an open retention request already, from another sweep, that request.
pub(super) async fn link_open_requests(
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
pub(super) async fn take_candidates(
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

/// Those of the contacts about whom an access request is open (R-11).
pub(super) async fn with_open_access(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    contacts: &[String],
) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT contact_id AS "contact_id!"
           FROM dsrd.request
           WHERE organisation_id = $1
             AND kind = 'access'
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
pub(super) async fn skip(
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
pub(super) async fn note_requests(
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

/// Ends a sweep that was submitting and returns how many requests it made, and how many candidates it skipped.
pub(super) async fn end_submitting(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
    state: SweepState,
    reason: Option<StopReason>,
    at: DateTime<Utc>,
) -> Result<(i64, i64), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.sweep
           SET state = $3, reason = $4, finished_at = $5
           WHERE organisation_id = $1
             AND sweep_id = $2
             AND state = 'submitting'
           RETURNING submitted, skipped"#,
        organisation.as_str(),
        sweep_id,
        state.as_str(),
        reason.map(StopReason::as_str),
        at,
    )
    .fetch_one(connection)
    .await
    .map(|row| (row.submitted, row.skipped))
    .map_err(StoreError::during("retention.end_submitting"))
}

/// The stored schedule of an organisation.
#[derive(Clone, Debug)]
pub(super) struct ScheduleRow {
    pub(super) expression: String,
    pub(super) next_run_at: DateTime<Utc>,
}

/// Reads the organisation's schedule.
pub(super) async fn find_schedule(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Option<ScheduleRow>, StoreError> {
    sqlx::query_as!(
        ScheduleRow,
        r#"SELECT expression, next_run_at
           FROM dsrd.schedule
           WHERE organisation_id = $1
             AND name = $2"#,
        organisation.as_str(),
        SCHEDULE,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("retention.find_schedule"))
}

/// Stores the schedule where there is none yet, or where `former` is its expression still.
pub(super) async fn store_schedule(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
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
        SCHEDULE,
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
pub(super) async fn claim_due(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
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
        SCHEDULE,
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
pub(super) async fn bring_forward(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.schedule
           SET next_run_at = $3
           WHERE organisation_id = $1
             AND name = $2
             AND next_run_at > $3"#,
        organisation.as_str(),
        SCHEDULE,
        at,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("retention.bring_forward"))
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
/// many.
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
               WHERE organisation_id = $1 AND candidate.request_id IS NULL AND sweep.finished_at < $2
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

/// Deletes the sweeps that ended before an instant and have no candidates left; returns how many.
pub async fn purge_sweeps(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    ended_before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        r#"DELETE FROM dsrd.sweep
           WHERE organisation_id = $1 AND finished_at < $2
             AND NOT EXISTS (SELECT FROM dsrd.sweep_candidate AS candidate
                             WHERE candidate.organisation_id = sweep.organisation_id
                               AND candidate.sweep_id = sweep.sweep_id)"#,
        organisation.as_str(),
        ended_before,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("retention.purge_sweeps"))?;
    Ok(deleted.rows_affected())
}
