//! Table `dsrd.decision`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{
    AcceptanceReason, AnsweredOutcome, ChoiceReason, ContactId, OrganisationId, RefusalGround, RequestId,
};
use crate::store::StoreError;

/// Which act, by whom and when.
pub(super) struct Act<'a> {
    pub(super) organisation: &'a OrganisationId,
    pub(super) request: RequestId,
    pub(super) decision: Uuid,
    pub(super) by: &'a str,
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
        r#"INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, sealed_facts, decided_by, decided_at)
           VALUES ($1, $2, $3, 'refusal', $4, $5, $6, $7)"#,
        act.organisation.as_str(),
        act.decision,
        act.request.0,
        ground.as_str(),
        sealed_facts,
        act.by,
        act.at,
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
        r#"INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, sealed_facts, decided_by, decided_at)
           VALUES ($1, $2, $3, 'answer', $4, $5, $6, $7)"#,
        act.organisation.as_str(),
        act.decision,
        act.request.0,
        outcome.as_str(),
        sealed_facts,
        act.by,
        act.at,
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
        r#"INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, decided_by, decided_at)
           VALUES ($1, $2, $3, 'acceptance', $4, $5, $6)"#,
        act.organisation.as_str(),
        act.decision,
        act.request.0,
        reason.as_str(),
        act.by,
        act.at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.insert_acceptance"))?;
    Ok(())
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
        "DELETE FROM dsrd.decision WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("triage.purge"))?;
    Ok(())
}
