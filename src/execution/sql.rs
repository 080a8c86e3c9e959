//! Tables `dsrd.checkpoint` and `dsrd.stray_effect`, and the columns of `dsrd.request` that say how far a case is.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::Step;
use super::absence::Look;
use super::reminder::Earlier;
use super::write::Finished;
use crate::domain::{ContactId, OrganisationId, Outcome, ParkReason, Proof, RequestId, SubjectRef};
use crate::queue::Lease;
use crate::store::{PgConnection, StoreError};

/// A checkpoint as stored.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) step: String,
    pub(super) item: String,
    pub(super) attempts: i32,
    /// The announcement of an effect whose end is not recorded.
    pub(super) intent: Option<Uuid>,
    /// The announcement whose end is recorded as unknown: it is still looked for, and gets no second end.
    pub(super) ended_intent: Option<Uuid>,
    /// Since when every look found the contact, or this item of it, gone.
    pub(super) absent_since: Option<DateTime<Utc>>,
    pub(super) finished_at: Option<DateTime<Utc>>,
    pub(super) outcome: Option<Value>,
}

pub(super) async fn load_checkpoints(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<Checkpoint>, StoreError> {
    sqlx::query_as!(
        Checkpoint,
        "SELECT step, item, attempts, intent, ended_intent, absent_since, finished_at, outcome FROM dsrd.checkpoint WHERE organisation_id = $1 AND request_id = $2",
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("execution.load_checkpoints"))
}

/// A checkpoint as shown to people: what was done when, without what was found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckpointView {
    /// The step's stored name.
    pub step: String,
    /// For a step with several effects, or that looks for several things: which one.
    pub item: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was first begun.
    pub began_at: DateTime<Utc>,
    /// When it was finished.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The checkpoints of a request in the order in which they were begun; those written together in the order of steps.
pub async fn checkpoints_of(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<CheckpointView>, StoreError> {
    let mut checkpoints = sqlx::query_as!(
        CheckpointView,
        r#"SELECT step, item, attempts, began_at, finished_at
           FROM dsrd.checkpoint
           WHERE organisation_id = $1 AND request_id = $2"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("execution.checkpoints_of"))?;
    let place = |name: &str| Step::ALL.iter().position(|step| step.as_str() == name);
    checkpoints.sort_by_key(|each| (each.began_at, place(&each.step), each.item.clone()));
    Ok(checkpoints)
}

/// Announces an effect: a new checkpoint, or the next attempt of an unfinished one.
pub(super) async fn begin_effect(
    connection: &mut PgConnection,
    lease: &Lease,
    step: Step,
    item: &str,
    intent: Uuid,
    cleared_holds: &[Uuid],
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let begun = sqlx::query!(
        r#"INSERT INTO dsrd.checkpoint AS checkpoint (organisation_id, request_id, step, item, intent, cleared_holds, began_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (organisation_id, request_id, step, item) DO UPDATE
           SET attempts = checkpoint.attempts + 1, intent = excluded.intent, cleared_holds = excluded.cleared_holds"#,
        lease.organisation.as_str(),
        lease.request.0,
        step.as_str(),
        item,
        intent,
        cleared_holds,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("execution.begin_effect"))?;
    StoreError::expect_rows("execution.begin_effect", 1, begun.rows_affected())
}

/// An effect that was announced and whose end was not recorded.
pub(super) struct OpenEffect {
    pub(super) step: String,
    pub(super) intent: Uuid,
}

/// Notes that the ends of a request's announced effects stand in the log, and returns those of which none did yet.
pub(super) async fn end_open_effects(
    connection: &mut PgConnection,
    lease: &Lease,
) -> Result<Vec<OpenEffect>, StoreError> {
    sqlx::query_as!(
        OpenEffect,
        r#"UPDATE dsrd.checkpoint
           SET ended_intent = intent
           WHERE organisation_id = $1 AND request_id = $2 AND finished_at IS NULL AND intent IS NOT NULL
             AND intent IS DISTINCT FROM ended_intent
           RETURNING step, intent AS "intent!""#,
        lease.organisation.as_str(),
        lease.request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("execution.end_open_effects"))
}

/// Takes back the announcement of an effect that certainly did not happen; what remains is that of an attempt before it,
/// whose end was recorded as unknown when this one began.
pub(super) async fn set_intent(
    connection: &mut PgConnection,
    lease: &Lease,
    step: Step,
    item: &str,
    intent: Option<Uuid>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.checkpoint
           SET intent = $5, ended_intent = $5
           WHERE organisation_id = $1 AND request_id = $2 AND step = $3 AND item = $4"#,
        lease.organisation.as_str(),
        lease.request.0,
        step.as_str(),
        item,
        intent,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("execution.set_intent"))?;
    Ok(())
}

/// Counts a try of a step that did not come to an end. An absence that a look before it saw counts no more, unless it lasted.
pub(super) async fn note_try(
    connection: &mut PgConnection,
    lease: &Lease,
    step: Step,
    absence_lasts: bool,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.checkpoint AS checkpoint (organisation_id, request_id, step, began_at)
           VALUES ($1, $2, $3, $4)
           ON CONFLICT (organisation_id, request_id, step, item) DO UPDATE
           SET attempts = checkpoint.attempts + 1,
               absent_since = CASE WHEN $5 THEN checkpoint.absent_since END"#,
        lease.organisation.as_str(),
        lease.request.0,
        step.as_str(),
        at,
        absence_lasts,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("execution.note_try"))?;
    Ok(())
}

/// Notes that a first look found it gone. It is no try that failed: the waits after those are not used up by it.
pub(super) async fn note_absence(
    connection: &mut PgConnection,
    lease: &Lease,
    look: Look,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.checkpoint AS checkpoint
             (organisation_id, request_id, step, item, attempts, began_at, absent_since)
           VALUES ($1, $2, $3, $4, 0, $5, $5)
           ON CONFLICT (organisation_id, request_id, step, item) DO UPDATE
           SET absent_since = excluded.absent_since"#,
        lease.organisation.as_str(),
        lease.request.0,
        look.step.as_str(),
        look.item,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("execution.note_absence"))?;
    Ok(())
}

/// Forgets that a look found it gone: one after it found it.
pub(super) async fn forget_absence(
    connection: &mut PgConnection,
    lease: &Lease,
    look: Look,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.checkpoint
           SET absent_since = NULL
           WHERE organisation_id = $1 AND request_id = $2 AND step = $3 AND item = $4 AND finished_at IS NULL"#,
        lease.organisation.as_str(),
        lease.request.0,
        look.step.as_str(),
        look.item,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("execution.forget_absence"))?;
    Ok(())
}

/// Records an effect whose answer came after the lease was lost.
pub(super) async fn record_stray(
    connection: &mut PgConnection,
    lease: &Lease,
    ended: &Finished,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.stray_effect (organisation_id, request_id, step, item, fence, outcome, at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)"#,
        lease.organisation.as_str(),
        lease.request.0,
        ended.step.as_str(),
        ended.item,
        lease.fence,
        ended.outcome,
        ended.at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("execution.record_stray"))?;
    Ok(())
}

/// How many answers arrived after their lease was lost.
pub async fn count_stray_effects(connection: &mut PgConnection) -> Result<i64, StoreError> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM dsrd.stray_effect"#)
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("execution.count_stray_effects"))
}

/// What a write tells about the case.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    pub(super) procedure_version: Option<i16>,
    pub(super) contact: Option<ContactId>,
    pub(super) executed_at: Option<DateTime<Utc>>,
    pub(super) verified_at: Option<DateTime<Utc>>,
}

pub(super) async fn mark(
    connection: &mut PgConnection,
    lease: &Lease,
    marks: &Marks,
) -> Result<(), StoreError> {
    let marked = sqlx::query!(
        r#"UPDATE dsrd.request
           SET state = 'in_progress',
               procedure_version = coalesce(procedure_version, $3),
               contact_id = coalesce($4, contact_id),
               executed_at = coalesce($5, executed_at),
               verified_at = coalesce($6, verified_at)
           WHERE organisation_id = $1 AND request_id = $2 AND state IN ('received', 'in_progress', 'needs_identity')"#,
        lease.organisation.as_str(),
        lease.request.0,
        marks.procedure_version,
        marks.contact.as_ref().map(ContactId::as_str),
        marks.executed_at,
        marks.verified_at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("execution.mark"))?;
    StoreError::expect_rows("execution.mark", 1, marked.rows_affected())
}

/// Finishes checkpoints, begun or not, and marks the case in one statement, because nearly every write does both and each
/// statement is a round trip.
pub(super) async fn finish_and_mark(
    connection: &mut PgConnection,
    lease: &Lease,
    finished: &[Finished],
    marks: &Marks,
) -> Result<(), StoreError> {
    let steps: Vec<&str> = finished.iter().map(|each| each.step.as_str()).collect();
    let items: Vec<&str> = finished.iter().map(|each| each.item.as_str()).collect();
    let instants: Vec<DateTime<Utc>> = finished.iter().map(|each| each.at).collect();
    let outcomes: Vec<Value> = finished.iter().map(|each| each.outcome.clone()).collect();
    let marked = sqlx::query!(
        r#"WITH finished AS (
             INSERT INTO dsrd.checkpoint AS checkpoint
               (organisation_id, request_id, step, item, began_at, finished_at, outcome)
             SELECT $1, $2, given.step, given.item, given.at, given.at, given.outcome
             FROM unnest($3::text[], $4::text[], $5::timestamptz[], $6::jsonb[]) AS given (step, item, at, outcome)
             ON CONFLICT (organisation_id, request_id, step, item) DO UPDATE
             SET finished_at = excluded.finished_at, outcome = excluded.outcome, intent = NULL,
                 attempts = greatest(checkpoint.attempts, 1)
             RETURNING step
           )
           UPDATE dsrd.request
           SET state = 'in_progress',
               procedure_version = coalesce(procedure_version, $7),
               contact_id = coalesce($8, contact_id),
               executed_at = coalesce($9, executed_at),
               verified_at = coalesce($10, verified_at)
           WHERE organisation_id = $1 AND request_id = $2 AND state IN ('received', 'in_progress', 'needs_identity')
             AND (SELECT count(*) FROM finished) = cardinality($3)"#,
        lease.organisation.as_str(),
        lease.request.0,
        &steps as &[&str],
        &items as &[&str],
        &instants,
        &outcomes,
        marks.procedure_version,
        marks.contact.as_ref().map(ContactId::as_str),
        marks.executed_at,
        marks.verified_at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("execution.finish_and_mark"))?;
    StoreError::expect_rows("execution.finish_and_mark", 1, marked.rows_affected())
}

pub(super) async fn set_parked(
    connection: &mut PgConnection,
    lease: &Lease,
    reason: ParkReason,
    (waits_for, unclear_holds): (Option<&str>, &[String]),
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let parked = sqlx::query!(
        r#"UPDATE dsrd.request
           SET state = 'manual', park_reason = $3, waits_for = $4, parked_at = $5, unclear_holds = $6
           WHERE organisation_id = $1 AND request_id = $2 AND state <> 'closed'"#,
        lease.organisation.as_str(),
        lease.request.0,
        reason.as_str(),
        waits_for,
        at,
        unclear_holds,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("execution.set_parked"))?;
    StoreError::expect_rows("execution.set_parked", 1, parked.rows_affected())
}

pub(super) async fn set_closed(
    connection: &mut PgConnection,
    lease: &Lease,
    outcome: Outcome,
    informed_at: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let closed = sqlx::query!(
        r#"UPDATE dsrd.request
           SET state = 'closed', outcome = $3, informed_at = coalesce(informed_at, $4), closed_at = $5
           WHERE organisation_id = $1 AND request_id = $2 AND state = 'in_progress'"#,
        lease.organisation.as_str(),
        lease.request.0,
        outcome.as_str(),
        informed_at,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("execution.set_closed"))?;
    StoreError::expect_rows("execution.set_closed", 1, closed.rows_affected())
}

/// The first open request of people of the same kind and ground about a contact that was received before the leased one, and
/// not before an instant. One that stands against a newer will is none, nor is one that was refused or answered by a person, or whose
/// wait for a proof is over: it is open only until somebody is told so, and comes to nothing more. Nor is one that follows by itself
/// from an older wish: that may stop for a newer will, which the later request is.
pub(super) async fn find_earlier_of_contact(
    connection: &mut PgConnection,
    lease: &Lease,
    contact: &ContactId,
    from: DateTime<Utc>,
) -> Result<Option<Earlier>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT first.request_id, first.due_on, first.state, first.assurance, first.assured_at, first.identity_doubt,
                  first.identity_until, first.identity_reminded
           FROM dsrd.request AS own
           JOIN dsrd.request AS first ON first.organisation_id = own.organisation_id AND first.contact_id = $3
           WHERE own.organisation_id = $1 AND own.request_id = $2
             AND first.request_id <> own.request_id AND first.kind = own.kind
             AND first.erasure_ground IS NOT DISTINCT FROM own.erasure_ground
             AND first.origin = 'subject' AND first.requester_role = 'self' AND own.requester_role = 'self'
             AND first.state <> 'closed' AND first.park_reason IS DISTINCT FROM 'newer_will'
             AND (first.kind <> 'erasure' OR first.executed_at IS NULL)
             AND NOT EXISTS (SELECT FROM dsrd.decision
                             WHERE decision.organisation_id = first.organisation_id
                               AND decision.request_id = first.request_id
                               AND decision.kind IN ('answer', 'refusal'))
             AND NOT EXISTS (SELECT FROM dsrd.following
                             WHERE following.organisation_id = first.organisation_id
                               AND following.request_id = first.request_id)
             AND NOT EXISTS (SELECT FROM dsrd.checkpoint AS step
                             WHERE step.organisation_id = first.organisation_id AND step.request_id = first.request_id
                               AND step.step = 'unproven' AND step.finished_at IS NOT NULL)
             AND first.received_at >= $4
             AND (first.received_at, first.request_id) < (own.received_at, own.request_id)
             AND (first.producer, first.idempotency_key) <> (own.producer, own.idempotency_key)
           ORDER BY first.received_at, first.request_id
           LIMIT 1"#,
        lease.organisation.as_str(),
        lease.request.0,
        contact.as_str(),
        from,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("execution.find_earlier_of_contact"))?;
    let unreadable = |column: &'static str| {
        StoreError::unreadable("execution.find_earlier_of_contact", format!("request.{column}"))
    };
    row.map(|row| {
        let assurance = row.assurance.parse().map_err(|_| unreadable("assurance"))?;
        let doubt = row.identity_doubt.map(|word| word.parse()).transpose();
        let doubt = doubt.map_err(|_| unreadable("identity_doubt"))?;
        Ok(Earlier {
            request: RequestId(row.request_id),
            due_on: row.due_on,
            proof: row.assured_at.map(|at| Proof { assurance, at }),
            state: row.state.parse().map_err(|_| unreadable("state"))?,
            waits: doubt.zip(row.identity_until),
            identity_reminded: row.identity_reminded,
        })
    })
    .transpose()
}

/// An open access request of the same person.
pub(super) struct OpenAccess {
    pub(super) reference: String,
    /// It waits for a person.
    pub(super) parked: bool,
}

/// An open access request of the same person, by the contact located or by any identifier in common: one that waits for a
/// person before the others.
pub(super) async fn find_open_access(
    connection: &mut PgConnection,
    lease: &Lease,
    contact: &ContactId,
    references: &[SubjectRef],
) -> Result<Option<OpenAccess>, StoreError> {
    let references: Vec<Vec<u8>> = references.iter().map(|each| each.as_bytes().to_vec()).collect();
    sqlx::query_as!(
        OpenAccess,
        r#"SELECT access.reference, access.state = 'manual' AS "parked!"
           FROM dsrd.request AS access
           WHERE access.organisation_id = $1
             AND access.kind IN ('access', 'portability')
             AND access.state <> 'closed'
             AND (access.contact_id = $2
                  OR EXISTS (SELECT FROM dsrd.identifier AS identifier
                             WHERE identifier.organisation_id = access.organisation_id
                               AND identifier.request_id = access.request_id
                               AND identifier.subject_ref = ANY ($3)))
           ORDER BY access.state = 'manual' DESC, access.received_at
           LIMIT 1"#,
        lease.organisation.as_str(),
        contact.as_str(),
        &references,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("execution.find_open_access"))
}

/// An earlier request of the same person, as far as their report tells of it.
pub(super) struct EarlierRequest {
    pub(super) request: Uuid,
    pub(super) reference: String,
    pub(super) kind: String,
    pub(super) channel: String,
    pub(super) language: String,
    pub(super) received_at: DateTime<Utc>,
    pub(super) due_on: NaiveDate,
    pub(super) closed_at: Option<DateTime<Utc>>,
    pub(super) outcome: Option<String>,
    /// Whether its record is kept beyond its term: its restriction stands, the rest of its erasure waits, what follows from it is not
    /// through yet, or a breach is open. The same as in `intake::past_evidence`.
    pub(super) is_kept: bool,
}

/// The newest of the other requests that were made with an address, or answered to it; newest first. What became of one shows whether
/// somebody else is in the data, or asked as well, where it named more than the address, went to another one, and nobody knows
/// who made it: that is left out (S-5).
pub(super) async fn list_earlier(
    connection: &mut PgConnection,
    lease: &Lease,
    address: SubjectRef,
    most: i64,
) -> Result<Vec<EarlierRequest>, StoreError> {
    sqlx::query_as!(
        EarlierRequest,
        r#"SELECT other.request_id AS request, other.reference, other.kind, other.channel, other.language, other.received_at, other.due_on,
                  CASE WHEN theirs.known THEN other.closed_at END AS closed_at,
                  CASE WHEN theirs.known THEN other.outcome END AS outcome,
                  EXISTS (SELECT FROM dsrd.hold
                          WHERE hold.organisation_id = other.organisation_id AND hold.request_id = other.request_id
                            AND hold.kind = 'restriction' AND hold.ended_at IS NULL)
                  OR EXISTS (SELECT FROM dsrd.postponed_erasure AS erasure
                             WHERE erasure.organisation_id = other.organisation_id
                               AND erasure.request_id = other.request_id AND erasure.resumed_at IS NULL)
                  OR EXISTS (SELECT FROM dsrd.following
                             JOIN dsrd.request AS follower USING (organisation_id, request_id)
                             LEFT JOIN dsrd.postponed_erasure AS erasure USING (organisation_id, request_id)
                             WHERE following.organisation_id = other.organisation_id
                               AND following.former_id = other.request_id
                               AND (follower.state <> 'closed'
                                    OR erasure.request_id IS NOT NULL AND erasure.resumed_at IS NULL))
                  OR EXISTS (SELECT FROM dsrd.incident
                             WHERE incident.organisation_id = other.organisation_id
                               AND incident.request_id = other.request_id AND incident.ended_as IS NULL) AS "is_kept!"
           FROM dsrd.request AS other
           CROSS JOIN LATERAL (
             SELECT other.assurance IN ('verified_channel_loop', 'authenticated_session')
                    OR bool_or(identifier.role = 'contact_point' AND identifier.subject_ref = $3)
                    OR NOT bool_or(identifier.role = 'given' AND identifier.subject_ref <> $3) AS known
             FROM dsrd.identifier AS identifier
             WHERE identifier.organisation_id = other.organisation_id AND identifier.request_id = other.request_id
           ) AS theirs
           WHERE other.organisation_id = $1 AND other.request_id <> $2 AND other.origin = 'subject'
             AND other.request_id IN (SELECT identifier.request_id
                                      FROM dsrd.identifier AS identifier
                                      WHERE identifier.organisation_id = $1 AND identifier.subject_ref = $3
                                        AND identifier.role IN ('given', 'contact_point'))
           ORDER BY other.received_at DESC, other.reference DESC
           LIMIT $4"#,
        lease.organisation.as_str(),
        lease.request.0,
        &address.as_bytes()[..],
        most,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("execution.list_earlier"))
}

/// Deletes the checkpoints and late answers of closed requests: both may name the contact.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        "DELETE FROM dsrd.checkpoint WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("execution.purge"))?;
    sqlx::query!(
        "DELETE FROM dsrd.stray_effect WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("execution.purge"))?;
    Ok(())
}
