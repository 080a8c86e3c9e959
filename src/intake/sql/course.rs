//! What becomes of a case between its arrival and its end, under the lock of its row.

use chrono::{DateTime, Utc};

use crate::domain::{
    ContactId, IdentityDoubt, OrganisationId, ParkReason, Proof, RefusalGround, RequestId, RequestKind,
    RequestState,
};
use crate::store::{PgConnection, StoreError};

/// What a decision about a case needs to know, with the case's row locked.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one case")]
pub(in crate::intake) struct LockedCase {
    pub(in crate::intake) kind: RequestKind,
    pub(in crate::intake) state: RequestState,
    pub(in crate::intake) park_reason: Option<ParkReason>,
    pub(in crate::intake) contact: Option<ContactId>,
    pub(in crate::intake) refusal: Option<RefusalGround>,
    pub(in crate::intake) answered: bool,
    pub(in crate::intake) verified: bool,
    /// Whether an effect at the platform was announced that may have happened.
    pub(in crate::intake) effect_begun: bool,
    /// Whether the contact was looked for, and that look is over.
    pub(in crate::intake) located: bool,
    /// Whether the waiting for a proof of who asks ended without one, which is still to be told.
    pub(in crate::intake) unproven: bool,
    pub(in crate::intake) proof: Option<Proof>,
    /// Why more had to be known of who asks.
    pub(in crate::intake) doubt: Option<IdentityDoubt>,
}

pub(in crate::intake) async fn lock_case(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<LockedCase>, StoreError> {
    // The job's row first: a worker locks it before it writes the case, so that two orders cannot deadlock.
    sqlx::query_scalar!(
        "SELECT job_id FROM dsrd.job WHERE organisation_id = $1 AND request_id = $2 FOR UPDATE",
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(StoreError::during("intake.lock_case"))?;
    let row = sqlx::query!(
        r#"SELECT kind, state, park_reason, contact_id, verified_at IS NOT NULL AS "verified!", assurance, assured_at,
                  identity_doubt,
                  (SELECT decision.reason FROM dsrd.decision
                   WHERE decision.organisation_id = request.organisation_id
                     AND decision.request_id = request.request_id
                     AND decision.kind = 'refusal') AS refusal,
                  EXISTS (SELECT FROM dsrd.decision
                          WHERE decision.organisation_id = request.organisation_id
                            AND decision.request_id = request.request_id
                            AND decision.kind = 'answer') AS "answered!",
                  EXISTS (SELECT FROM dsrd.checkpoint AS step
                          WHERE step.organisation_id = request.organisation_id
                            AND step.request_id = request.request_id
                            AND step.step IN ('apply', 'delete')
                            AND (step.intent IS NOT NULL OR step.finished_at IS NOT NULL)) AS "effect_begun!",
                  EXISTS (SELECT FROM dsrd.checkpoint AS step
                          WHERE step.organisation_id = request.organisation_id
                            AND step.request_id = request.request_id
                            AND step.step = 'locate' AND step.finished_at IS NOT NULL) AS "located!",
                  EXISTS (SELECT FROM dsrd.checkpoint AS step
                          WHERE step.organisation_id = request.organisation_id
                            AND step.request_id = request.request_id
                            AND step.step = 'unproven' AND step.finished_at IS NOT NULL) AS "unproven!"
           FROM dsrd.request AS request
           WHERE organisation_id = $1 AND request_id = $2
           FOR UPDATE"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("intake.lock_case"))?;
    let unreadable =
        |column: &'static str| StoreError::unreadable("intake.lock_case", format!("request.{column}"));
    row.map(|row| {
        Ok(LockedCase {
            kind: row.kind.parse().map_err(|_| unreadable("kind"))?,
            state: row.state.parse().map_err(|_| unreadable("state"))?,
            park_reason: row
                .park_reason
                .map(|word| word.parse())
                .transpose()
                .map_err(|_| unreadable("park_reason"))?,
            contact: row.contact_id.map(|id| id.parse()).transpose().map_err(|_| unreadable("contact_id"))?,
            refusal: row.refusal.map(|word| word.parse()).transpose().map_err(|_| unreadable("refusal"))?,
            answered: row.answered,
            verified: row.verified,
            effect_begun: row.effect_begun,
            located: row.located,
            unproven: row.unproven,
            proof: match row.assured_at {
                Some(at) => {
                    Some(Proof { assurance: row.assurance.parse().map_err(|_| unreadable("assurance"))?, at })
                }
                None => None,
            },
            doubt: row
                .identity_doubt
                .map(|word| word.parse())
                .transpose()
                .map_err(|_| unreadable("identity_doubt"))?,
        })
    })
    .transpose()
}

pub(in crate::intake) async fn set_withdrawn(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.request
           SET state = 'closed', park_reason = NULL, waits_for = NULL, outcome = 'withdrawn', closed_at = $3
           WHERE organisation_id = $1 AND request_id = $2"#,
        organisation.as_str(),
        request.0,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_withdrawn"))?;
    Ok(())
}

/// Ends an open request as a reminder of another one. It keeps its own dates: they were told with its receipt, and those of the
/// first would show whoever reads the receipt that there is one. The database looks whether it may.
pub async fn set_superseded(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    first: RequestId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let ended = sqlx::query!(
        r#"UPDATE dsrd.request
           SET state = 'closed', outcome = 'superseded', reminds_of = $3, closed_at = $4
           WHERE organisation_id = $1 AND request_id = $2 AND state IN ('received', 'in_progress')"#,
        organisation.as_str(),
        request.0,
        first.0,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_superseded"))?;
    StoreError::expect_rows("intake.set_superseded", 1, ended.rows_affected())
}

/// Whether an open request has reminders that named the person otherwise.
pub(in crate::intake) async fn is_reminded_otherwise(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dsrd.request
                          WHERE organisation_id = $1 AND reminds_of = $2 AND procedure_version IS NOT NULL) AS "reminded!""#,
        organisation.as_str(),
        request.0,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("intake.is_reminded_otherwise"))
}

/// Whether a restriction of the data stands that the request led to.
pub(in crate::intake) async fn is_restricted(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dsrd.hold
                          WHERE organisation_id = $1 AND request_id = $2
                            AND kind = 'restriction' AND ended_at IS NULL) AS "restricted!""#,
        organisation.as_str(),
        request.0,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("intake.is_restricted"))
}

pub(in crate::intake) async fn set_resumed(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    informed_at: Option<DateTime<Utc>>,
    contact: Option<&ContactId>,
    despite_access: bool,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.request
           SET state = 'in_progress', park_reason = NULL, waits_for = NULL, informed_at = coalesce($3, informed_at),
               contact_id = coalesce($4, contact_id), despite_access = despite_access OR $5
           WHERE organisation_id = $1 AND request_id = $2"#,
        organisation.as_str(),
        request.0,
        informed_at,
        contact.map(ContactId::as_str),
        despite_access,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_resumed"))?;
    Ok(())
}

/// Notes of the holds that an erasure was parked for, because they concern its contact by a telephone number alone, that they are about
/// somebody else, and returns their references. Those that were placed since were shown to nobody, and are none of them.
pub(in crate::intake) async fn set_holds_of_others(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar!(
        r#"UPDATE dsrd.request
           SET holds_of_others = holds_of_others || unclear_holds, unclear_holds = '{}'
           FROM (SELECT unclear_holds AS named FROM dsrd.request WHERE organisation_id = $1 AND request_id = $2) AS parked
           WHERE organisation_id = $1 AND request_id = $2
           RETURNING parked.named AS "named!""#,
        organisation.as_str(),
        request.0,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("intake.set_holds_of_others"))
}

/// The references of the holds of which a person decided for an erasure that they are about somebody else.
pub async fn holds_of_others(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar!(
        "SELECT holds_of_others FROM dsrd.request WHERE organisation_id = $1 AND request_id = $2",
        organisation.as_str(),
        request.0,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("intake.holds_of_others"))
}

/// Writes which policies of the configuration an opt-out switches off that names none itself.
pub async fn set_policies(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    policies: &[String],
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.request
           SET policies = $3, policies_named = false
           WHERE organisation_id = $1 AND request_id = $2 AND state <> 'closed' AND verified_at IS NULL"#,
        organisation.as_str(),
        request.0,
        policies,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_policies"))?;
    StoreError::expect_rows("intake.set_policies", 1, changed.rows_affected())
}

/// Notes that a case waits until it is known who asks, from when on and until when.
pub async fn set_needs_identity(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    doubt: IdentityDoubt,
    (wanted_at, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.request
           SET state = 'needs_identity', identity_doubt = $3, identity_wanted_at = $4, identity_until = $5,
               identity_reminded = false
           WHERE organisation_id = $1 AND request_id = $2 AND state IN ('received', 'in_progress', 'needs_identity')"#,
        organisation.as_str(),
        request.0,
        doubt.as_str(),
        wanted_at,
        until,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_needs_identity"))?;
    StoreError::expect_rows("intake.set_needs_identity", 1, changed.rows_affected())
}

/// Notes that the person was reminded.
pub async fn set_reminded(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE dsrd.request SET identity_reminded = true WHERE organisation_id = $1 AND request_id = $2",
        organisation.as_str(),
        request.0,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_reminded"))?;
    Ok(())
}

pub(in crate::intake) async fn set_proven(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    proof: Proof,
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.request
           SET assurance = $3, assured_at = $4
           WHERE organisation_id = $1 AND request_id = $2 AND state <> 'closed'"#,
        organisation.as_str(),
        request.0,
        proof.assurance.as_str(),
        proof.at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_proven"))?;
    StoreError::expect_rows("intake.set_proven", 1, changed.rows_affected())
}

/// Lets a case wait for an answer of the person.
pub(in crate::intake) async fn set_waiting(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    state: RequestState,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.request
           SET state = $3, park_reason = NULL, waits_for = NULL
           WHERE organisation_id = $1 AND request_id = $2"#,
        organisation.as_str(),
        request.0,
        state.as_str(),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_waiting"))?;
    Ok(())
}

/// Gives a case back to the person who carries it out.
pub(in crate::intake) async fn set_parked_again(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    reason: ParkReason,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.request
           SET state = 'manual', park_reason = $3, parked_at = $4
           WHERE organisation_id = $1 AND request_id = $2"#,
        organisation.as_str(),
        request.0,
        reason.as_str(),
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_parked_again"))?;
    Ok(())
}
