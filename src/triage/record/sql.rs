//! Table `dsrd.decision`, read for the record.

use super::DecisionRecord;
use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// The decisions about a request, oldest first.
pub async fn list_decisions(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<DecisionRecord>, StoreError> {
    sqlx::query_as!(
        DecisionRecord,
        r#"SELECT decision_id AS decision, kind, reason, sealed_facts IS NOT NULL AS "has_facts!", decided_at
           FROM dsrd.decision
           WHERE organisation_id = $1 AND request_id = $2
           ORDER BY decided_at, decision_id"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("triage.list_decisions"))
}
