//! What sweeps found and cannot mend.

use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::OrganisationId;
use crate::retention::look::Finding;
use crate::store::{PgConnection, StoreError};

/// Records the findings of a sweep.
pub(in crate::retention) async fn insert_findings(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
    findings: &[Finding],
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.sweep_finding (organisation_id, sweep_id, finding, category, looked_at, contacts, records, unreadable)
           SELECT $1, $2, finding, category, looked_at, contacts, records, unreadable
           FROM jsonb_to_recordset($3)
             AS found (finding text, category text, looked_at bigint, contacts bigint, records bigint, unreadable bigint)"#,
        organisation.as_str(),
        sweep_id,
        Json(findings) as _,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("retention.insert_findings"))
}

/// The findings of a sweep.
pub(in crate::retention) async fn list_findings(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sweep_id: Uuid,
) -> Result<Vec<Finding>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT COALESCE(jsonb_agg(to_jsonb(found) ORDER BY found.finding, found.category), '[]') AS "findings!: Json<Vec<Finding>>"
           FROM (SELECT finding, category, looked_at, contacts, records, unreadable
                 FROM dsrd.sweep_finding
                 WHERE organisation_id = $1
                   AND sweep_id = $2) AS found"#,
        organisation.as_str(),
        sweep_id,
    )
    .fetch_one(connection)
    .await
    .map(|findings| findings.0)
    .map_err(StoreError::during("retention.list_findings"))
}
