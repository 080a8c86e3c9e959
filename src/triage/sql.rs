//! Tables `dsrd.decision`, `dsrd.proposal` and `dsrd.incident`.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::second::Decision;
use crate::domain::{
    AcceptanceReason, AnsweredOutcome, ChoiceReason, ClarificationReason, ContactId, ExtensionReason,
    IncidentCategory, IncidentCause, IncidentEnd, OrganisationId, RefusalGround, RequestId,
};
use crate::store::{PgConnection, StoreError};

/// Which act, by whom and when.
pub(super) struct Act<'a> {
    pub(super) organisation: &'a OrganisationId,
    pub(super) request: RequestId,
    pub(super) decision: Uuid,
    pub(super) by: &'a str,
    /// The second person, where two decide.
    pub(super) confirmed_by: Option<&'a str>,
    pub(super) at: DateTime<Utc>,
}

pub(super) async fn insert_choice(
    connection: &mut PgConnection,
    act: &Act<'_>,
    reason: ChoiceReason,
    contact: &ContactId,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, contact_id, decided_by, decided_at)
           VALUES ($1, $2, $3, 'choice', $4, $5, $6, $7)"#,
        act.organisation.as_str(),
        act.decision,
        act.request.0,
        reason.as_str(),
        contact.as_str(),
        act.by,
        act.at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.insert_choice"))?;
    Ok(())
}

pub(super) async fn insert_refusal(
    connection: &mut PgConnection,
    act: &Act<'_>,
    ground: RefusalGround,
    sealed_facts: Option<Vec<u8>>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, sealed_facts, decided_by, decided_at, confirmed_by)
           VALUES ($1, $2, $3, 'refusal', $4, $5, $6, $7, $8)"#,
        act.organisation.as_str(),
        act.decision,
        act.request.0,
        ground.as_str(),
        sealed_facts,
        act.by,
        act.at,
        act.confirmed_by,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.insert_refusal"))?;
    Ok(())
}

pub(super) async fn insert_answer(
    connection: &mut PgConnection,
    act: &Act<'_>,
    outcome: AnsweredOutcome,
    sealed_facts: Vec<u8>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, sealed_facts, decided_by, decided_at, confirmed_by)
           VALUES ($1, $2, $3, 'answer', $4, $5, $6, $7, $8)"#,
        act.organisation.as_str(),
        act.decision,
        act.request.0,
        outcome.as_str(),
        sealed_facts,
        act.by,
        act.at,
        act.confirmed_by,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.insert_answer"))?;
    Ok(())
}

pub(super) async fn insert_acceptance(
    connection: &mut PgConnection,
    act: &Act<'_>,
    reason: AcceptanceReason,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, decided_by, decided_at, confirmed_by)
           VALUES ($1, $2, $3, 'acceptance', $4, $5, $6, $7)"#,
        act.organisation.as_str(),
        act.decision,
        act.request.0,
        reason.as_str(),
        act.by,
        act.at,
        act.confirmed_by,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.insert_acceptance"))?;
    Ok(())
}

pub(super) async fn insert_extension(
    connection: &mut PgConnection,
    act: &Act<'_>,
    reason: ExtensionReason,
    base_due_at: DateTime<Utc>,
    sealed_facts: Vec<u8>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, sealed_facts, decided_by,
             decided_at, confirmed_by, base_due_at)
           VALUES ($1, $2, $3, 'extension', $4, $5, $6, $7, $8, $9)"#,
        act.organisation.as_str(),
        act.decision,
        act.request.0,
        reason.as_str(),
        sealed_facts,
        act.by,
        act.at,
        act.confirmed_by,
        base_due_at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.insert_extension"))?;
    Ok(())
}

pub(super) async fn insert_clarification(
    connection: &mut PgConnection,
    act: &Act<'_>,
    reason: ClarificationReason,
    sealed_facts: Vec<u8>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, sealed_facts, decided_by, decided_at)
           VALUES ($1, $2, $3, 'clarification', $4, $5, $6, $7)"#,
        act.organisation.as_str(),
        act.decision,
        act.request.0,
        reason.as_str(),
        sealed_facts,
        act.by,
        act.at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.insert_clarification"))?;
    Ok(())
}

/// Writes a decision that tells the person something: its kind, its reason, and what they are told.
pub(super) async fn insert_telling(
    connection: &mut PgConnection,
    act: &Act<'_>,
    (kind, reason): (&str, &str),
    sealed_facts: Vec<u8>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, sealed_facts, decided_by, decided_at,
             confirmed_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"#,
        act.organisation.as_str(),
        act.decision,
        act.request.0,
        kind,
        reason,
        sealed_facts,
        act.by,
        act.at,
        act.confirmed_by,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.insert_telling"))?;
    Ok(())
}

/// What happened in the open incident of a request.
pub(super) async fn open_incident_cause(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar!(
        "SELECT cause FROM dsrd.incident WHERE organisation_id = $1 AND request_id = $2 AND ended_as IS NULL",
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("triage.open_incident_cause"))
}

/// Whether there is a decision of a kind about a request.
pub(super) async fn has_decision(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    kind: &str,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dsrd.decision
                          WHERE organisation_id = $1 AND request_id = $2 AND kind = $3) AS "there!""#,
        organisation.as_str(),
        request.0,
        kind,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("triage.has_decision"))
}

pub(super) async fn insert_proposal(
    connection: &mut PgConnection,
    act: &Act<'_>,
    decision: &Decision,
    sealed_facts: Option<Vec<u8>>,
) -> Result<(), StoreError> {
    let fee = match decision {
        Decision::Fee(fee) => Some(fee),
        _ => None,
    };
    sqlx::query!(
        r#"INSERT INTO dsrd.proposal (organisation_id, proposal_id, request_id, kind, reason, sealed_facts, proposed_by, proposed_at,
             amount, answer_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"#,
        act.organisation.as_str(),
        act.decision,
        act.request.0,
        decision.kind().as_str(),
        decision.reason(),
        sealed_facts,
        act.by,
        act.at,
        fee.map(|fee| fee.amount.as_str()),
        fee.map(|fee| fee.answer_by),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.insert_proposal"))?;
    Ok(())
}

/// A decision that waits for a second person.
#[expect(clippy::struct_field_names, reason = "the fields are named as the columns")]
#[derive(Clone, Debug, Serialize)]
pub struct Proposal {
    /// Its id, and that of the decision that it may become.
    #[serde(skip)]
    pub(super) proposal_id: Uuid,
    /// Which kind of decision.
    pub kind: String,
    /// Its reason or ground.
    pub reason: String,
    #[serde(skip)]
    pub(super) sealed_facts: Option<Vec<u8>>,
    /// For a fee: how much, as the person will read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// For a fee: by when the person should answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_by: Option<NaiveDate>,
    /// Who proposed it: `person:<login>`.
    pub proposed_by: String,
    /// When.
    pub proposed_at: DateTime<Utc>,
}

/// Whether the database refuses a decision of a kind without a second person: what the daemon's settings said last.
pub(super) async fn needs_two_persons(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    kind: &str,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dsrd.organisation
                          WHERE organisation_id = $1 AND $2 = ANY (two_persons)) AS "needs!""#,
        organisation.as_str(),
        kind,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("triage.needs_two_persons"))
}

/// The decision about a request that waits for a second person, locked.
pub async fn find_proposal(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<Proposal>, StoreError> {
    sqlx::query_as!(
        Proposal,
        r#"SELECT proposal_id, kind, reason, sealed_facts, amount, answer_by, proposed_by, proposed_at
           FROM dsrd.proposal
           WHERE organisation_id = $1 AND request_id = $2 AND ended_as IS NULL
           FOR UPDATE"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("triage.find_proposal"))
}

pub(super) async fn end_proposal(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    proposal: Uuid,
    ended_as: &str,
    by: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let ended = sqlx::query!(
        r#"UPDATE dsrd.proposal
           SET ended_as = $3, ended_by = $4, ended_at = $5
           WHERE organisation_id = $1 AND proposal_id = $2 AND ended_as IS NULL"#,
        organisation.as_str(),
        proposal,
        ended_as,
        by,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.end_proposal"))?;
    StoreError::expect_rows("triage.end_proposal", 1, ended.rows_affected())
}

pub(super) async fn has_open_incident(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dsrd.incident
                          WHERE organisation_id = $1 AND request_id = $2 AND ended_as IS NULL) AS "open!""#,
        organisation.as_str(),
        request.0,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("triage.has_open_incident"))
}

pub(super) async fn insert_incident(
    connection: &mut PgConnection,
    act: &Act<'_>,
    (cause, categories, aware_at, authority_due_at): (
        IncidentCause,
        &[IncidentCategory],
        DateTime<Utc>,
        Option<DateTime<Utc>>,
    ),
) -> Result<(), StoreError> {
    let categories: Vec<String> = categories.iter().map(ToString::to_string).collect();
    sqlx::query!(
        r#"INSERT INTO dsrd.incident (organisation_id, incident_id, request_id, cause, categories, aware_at,
             authority_due_at, declared_by, declared_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"#,
        act.organisation.as_str(),
        act.decision,
        act.request.0,
        cause.as_str(),
        &categories,
        aware_at,
        authority_due_at,
        act.by,
        act.at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.insert_incident"))?;
    Ok(())
}

/// Ends the open incident of a request; false when there is none.
pub(super) async fn end_incident(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    ended: IncidentEnd,
    by: &str,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.incident
           SET ended_as = $3, ended_by = $4, ended_at = $5
           WHERE organisation_id = $1 AND request_id = $2 AND ended_as IS NULL"#,
        organisation.as_str(),
        request.0,
        ended.as_str(),
        by,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.end_incident"))?;
    Ok(done.rows_affected() == 1)
}

/// A breach that a request led to and that is open.
#[derive(Clone, Debug, Serialize)]
pub struct Incident {
    /// The reference of the request.
    pub reference: String,
    /// What happened.
    pub cause: String,
    /// Which data are affected.
    pub categories: Vec<String>,
    /// Since when the organisation knows.
    pub aware_at: DateTime<Utc>,
    /// Until when the authority must be told; nothing where the law sets no hours.
    pub authority_due_at: Option<DateTime<Utc>>,
    /// Who declared it.
    pub declared_by: String,
}

/// The open incidents of an organisation, those first of which the authority must be told first.
pub async fn list_incidents(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<Incident>, StoreError> {
    sqlx::query_as!(
        Incident,
        r#"SELECT request.reference, cause, categories, aware_at, authority_due_at, declared_by
           FROM dsrd.incident AS incident
           JOIN dsrd.request AS request USING (organisation_id, request_id)
           WHERE incident.organisation_id = $1 AND ended_as IS NULL
           ORDER BY authority_due_at NULLS LAST, aware_at"#,
        organisation.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("triage.list_incidents"))
}

/// The sealed facts of the newest decision of a kind about a request, with the id of the decision, for whose row they
/// open.
pub(super) async fn sealed_facts(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    kind: &str,
) -> Result<Option<(Uuid, Vec<u8>)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT decision_id, sealed_facts AS "sealed_facts!"
           FROM dsrd.decision
           WHERE organisation_id = $1 AND request_id = $2 AND kind = $3 AND sealed_facts IS NOT NULL
           ORDER BY decided_at DESC, decision_id DESC
           LIMIT 1"#,
        organisation.as_str(),
        request.0,
        kind,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("triage.sealed_facts"))?;
    Ok(row.map(|row| (row.decision_id, row.sealed_facts)))
}

/// Empties what decisions about forgotten requests say of the person: the contact chosen, the facts told.
pub async fn forget(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        r#"UPDATE dsrd.decision
           SET contact_id = NULL, sealed_facts = NULL
           WHERE organisation_id = $1 AND request_id = ANY ($2)
             AND (contact_id IS NOT NULL OR sealed_facts IS NOT NULL)"#,
        organisation.as_str(),
        &ids,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("triage.forget"))?;
    sqlx::query!(
        r#"UPDATE dsrd.proposal
           SET sealed_facts = NULL
           WHERE organisation_id = $1 AND request_id = ANY ($2) AND sealed_facts IS NOT NULL"#,
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.forget"))?;
    Ok(())
}

/// Deletes the decisions about requests past their evidence.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        "DELETE FROM dsrd.incident WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("triage.purge"))?;
    sqlx::query!(
        "DELETE FROM dsrd.proposal WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("triage.purge"))?;
    sqlx::query!(
        "DELETE FROM dsrd.decision WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.purge"))?;
    Ok(())
}
