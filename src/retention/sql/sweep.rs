//! Sweeps, from their listing to their end.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::OrganisationId;
use crate::retention::look::Finding;
use crate::retention::sweep::Begun;
use crate::retention::vocabulary::{StopReason, SweepState};
use crate::store::{PgConnection, StoreError};

/// A sweep as recorded, for lists.
#[derive(Clone, Debug, Serialize)]
pub struct SweepRow {
    /// Its id.
    pub sweep_id: Uuid,
    /// The due time that it was run for; `None` when a person began it, and where another sweep has it.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// Who began it (`BegunBy`).
    pub begun_by: String,
    /// When it started; later than `scheduled_for` by its lateness.
    pub started_at: DateTime<Utc>,
    /// Contacts created before this instant, or last active before it, were past their time.
    pub created_before: DateTime<Utc>,
    /// From which event the period ran (`Anchor`).
    pub anchor: String,
    /// Where it stands (`SweepState`).
    pub state: String,
    /// Why it stopped or failed (`StopReason`).
    pub reason: Option<String>,
    /// All contacts of the organisation.
    pub contacts: Option<i64>,
    /// Contacts past their time that no hold keeps; while their records are read, those that are old enough.
    pub candidates: i64,
    /// For a period from the last activity: contacts old enough that were active since.
    pub active: i64,
    /// For a period from the last activity: contacts old enough whose last activity cannot be known.
    pub unclear: i64,
    /// Contacts without a readable creation date.
    pub unreadable: i64,
    /// Erasure requests that it made.
    pub submitted: i64,
    /// Contacts that it left to a later sweep, because a hold, a restriction or an open access request stands.
    pub skipped: i64,
    /// Of the latest sweep: contacts that it found past their time, that nothing holds, and that are not gone yet.
    pub still_past: Option<i64>,
    /// What it found and cannot mend.
    pub findings: Json<Vec<Finding>>,
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
                  active, unclear, unreadable, submitted, skipped,
                  coalesce(begun_by, CASE WHEN scheduled_for IS NULL THEN 'person' ELSE 'schedule' END) AS "begun_by!",
                  CASE WHEN activity IS NULL THEN 'created' ELSE 'last_activity' END AS "anchor!",
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
                  (SELECT COALESCE(jsonb_agg(to_jsonb(found) ORDER BY found.finding, found.category), '[]')
                   FROM (SELECT finding, category, looked_at, contacts, records, unreadable
                         FROM dsrd.sweep_finding AS finding
                         WHERE finding.organisation_id = sweep.organisation_id
                           AND finding.sweep_id = sweep.sweep_id) AS found) AS "findings!: Json<Vec<Finding>>",
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
pub(in crate::retention) async fn try_lock(
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
pub(in crate::retention) async fn check_alive(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(r#"SELECT 1 AS "one!""#)
        .fetch_one(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::during("retention.check_lock"))
}

/// Gives all locks of the connection back.
pub(in crate::retention) async fn unlock(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_advisory_unlock_all()")
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::during("retention.unlock"))
}

/// A sweep that has not ended.
#[derive(Clone, Debug)]
pub(in crate::retention) struct UnfinishedRow {
    pub(in crate::retention) sweep_id: Uuid,
    pub(in crate::retention) scheduled_for: Option<DateTime<Utc>>,
    pub(in crate::retention) started_at: DateTime<Utc>,
    pub(in crate::retention) created_before: DateTime<Utc>,
    /// How many candidates a person confirmed, if one did.
    pub(in crate::retention) confirmed: Option<i64>,
    /// What counted as activity, as it was stored; none for a period from the creation.
    pub(in crate::retention) activity: Option<Value>,
    /// Whether the records of those old enough were being read.
    pub(in crate::retention) reading: bool,
    pub(in crate::retention) submitting: bool,
    pub(in crate::retention) contacts: Option<i64>,
    pub(in crate::retention) candidates: i64,
    pub(in crate::retention) active: i64,
    pub(in crate::retention) unclear: i64,
    pub(in crate::retention) unreadable: i64,
}

impl UnfinishedRow {
    /// What its listing counted, as far as it is recorded.
    pub(in crate::retention) fn counts(&self) -> Counts {
        Counts {
            contacts: self.contacts.unwrap_or_default(),
            candidates: self.candidates,
            active: self.active,
            unclear: self.unclear,
            unreadable: self.unreadable,
        }
    }
}

/// The organisation's sweeps that have not ended, oldest first.
pub(in crate::retention) async fn list_unfinished(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<UnfinishedRow>, StoreError> {
    sqlx::query_as!(
        UnfinishedRow,
        r#"SELECT sweep_id, scheduled_for, started_at, created_before, confirmed, activity,
                  state = 'reading' AS "reading!", state = 'submitting' AS "submitting!",
                  contacts, candidates, active, unclear, unreadable
           FROM dsrd.sweep
           WHERE organisation_id = $1
             AND state IN ('listing', 'reading', 'submitting')
           ORDER BY started_at, sweep_id"#,
        organisation.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("retention.list_unfinished"))
}

/// Records a sweep that begins to list.
pub(in crate::retention) async fn insert_sweep(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    begun: &Begun,
    activity: Option<Value>,
) -> Result<(), StoreError> {
    let inserted = sqlx::query!(
        r#"INSERT INTO dsrd.sweep (organisation_id, sweep_id, scheduled_for, begun_by, confirmed, started_at, created_before,
             activity, state)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'listing')"#,
        organisation.as_str(),
        begun.sweep_id,
        begun.scheduled_for,
        begun.begun_by().as_str(),
        begun.confirmed.map(|number| i64::try_from(number).unwrap_or(i64::MAX)),
        begun.started_at,
        begun.created_before,
        activity,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("retention.insert_sweep"))?;
    StoreError::expect_rows("retention.insert_sweep", 1, inserted.rows_affected())
}

/// What a listing counted.
#[derive(Clone, Copy, Debug)]
pub(in crate::retention) struct Counts {
    pub(in crate::retention) contacts: i64,
    pub(in crate::retention) candidates: i64,
    pub(in crate::retention) active: i64,
    pub(in crate::retention) unclear: i64,
    pub(in crate::retention) unreadable: i64,
}

/// Records the end of a listing, or of the reading that followed it: the counts, and the state that follows. Returns how many
/// contacts holds keep.
pub(in crate::retention) async fn end_listing(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
    counts: Counts,
    state: SweepState,
    end: Option<(StopReason, DateTime<Utc>)>,
) -> Result<i64, StoreError> {
    sqlx::query_scalar!(
        r#"UPDATE dsrd.sweep
           SET contacts = $3, candidates = $4, active = $5, unclear = $6, unreadable = $7, state = $8, reason = $9,
               finished_at = $10
           WHERE organisation_id = $1
             AND sweep_id = $2
             AND state IN ('listing', 'reading')
           RETURNING skipped"#,
        organisation.as_str(),
        sweep_id,
        counts.contacts,
        counts.candidates,
        counts.active,
        counts.unclear,
        counts.unreadable,
        state.as_str(),
        end.map(|(reason, _)| reason.as_str()),
        end.map(|(_, at)| at),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("retention.end_listing"))
}

/// Marks a sweep whose listing was interrupted; its due time passes on to the sweep that is run in its stead.
pub(in crate::retention) async fn fail_interrupted(
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
pub(in crate::retention) async fn count_interrupted(
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

/// Ends a sweep that was submitting and returns how many requests it made, and how many candidates it skipped.
pub(in crate::retention) async fn end_submitting(
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

/// Deletes the sweeps that ended before an instant and have no candidates left; returns how many. One that never ended, because no
/// configuration names its organisation any more, counts from its start.
pub async fn purge_sweeps(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    ended_before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        r#"DELETE FROM dsrd.sweep
           WHERE organisation_id = $1 AND coalesce(finished_at, started_at) < $2
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
