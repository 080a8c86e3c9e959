//! Tables `dsrd.intake` and `dsrd.intake_parked`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::domain::{MasterKey, Personal};
use crate::store::StoreError;

/// A producer's row as inserted; every field is still to be checked.
pub(super) struct ProducerRow {
    pub(super) intake_id: i64,
    pub(super) organisation_id: String,
    pub(super) producer: String,
    pub(super) idempotency_key: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) received_at: Option<DateTime<Utc>>,
    pub(super) channel: Option<String>,
    pub(super) language: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) username: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) external_property_1: Option<String>,
    pub(super) external_property_2: Option<String>,
    pub(super) policies: Option<Vec<String>>,
}

/// Takes a row so that nothing in it can fail to be read: an instant that no calendar has counts as missing, and the
/// policies are a plain list whatever shape the array has. Otherwise one row would stop all behind it.
///
/// Takes the oldest row that no other daemon is taking, and removes it with the caller's transaction.
pub(super) async fn take_row(
    connection: &mut PgConnection,
    organisations: &[String],
) -> Result<Option<ProducerRow>, StoreError> {
    sqlx::query_as!(
        ProducerRow,
        r#"DELETE FROM dsrd.intake
           WHERE intake_id = (
             SELECT intake_id
             FROM dsrd.intake
             WHERE organisation_id = ANY ($1)
                OR NOT EXISTS (SELECT FROM dsrd.organisation
                               WHERE dsrd.organisation.organisation_id = dsrd.intake.organisation_id)
             ORDER BY intake_id
             LIMIT 1
             FOR UPDATE OF intake SKIP LOCKED)
           RETURNING intake_id, organisation_id, producer, idempotency_key, kind,
                     CASE WHEN received_at BETWEEN '1970-01-01' AND '9999-12-31' THEN received_at END AS received_at,
                     channel, language, email, phone, username, external_id, external_property_1, external_property_2,
                     ARRAY(SELECT coalesce(each, '') FROM unnest(policies) AS each) AS policies"#,
        organisations,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("intake.take_row"))
}

pub(super) async fn park_row(
    connection: &mut PgConnection,
    keys: &MasterKey,
    row: &ProducerRow,
    reason: &str,
    detail: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let clear = serde_json::json!({
        "kind": row.kind, "received_at": row.received_at, "channel": row.channel, "language": row.language,
        "email": row.email, "phone": row.phone, "username": row.username, "external_id": row.external_id,
        "external_property_1": row.external_property_1, "external_property_2": row.external_property_2,
        "policies": row.policies,
    });
    let sealed = keys
        .sealing("intake_parked")
        .seal(&row.intake_id.to_string(), &Personal::new(clear.to_string().into_bytes()));
    sqlx::query!(
        r#"INSERT INTO dsrd.intake_parked (intake_id, organisation_id, producer, idempotency_key, reason, detail, sealed, parked_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"#,
        row.intake_id,
        row.organisation_id,
        row.producer,
        row.idempotency_key,
        reason,
        detail,
        sealed,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.park_row"))?;
    Ok(())
}

/// A producer's row that could not become a request.
#[derive(Clone, Debug, Serialize)]
pub struct ParkedRow {
    /// Number of the row in `dsrd.intake`.
    pub intake: i64,
    /// The organisation it named.
    pub organisation: String,
    /// The database role that inserted it.
    pub producer: String,
    /// The producer's own id.
    pub idempotency_key: Option<String>,
    /// Why, as a code.
    pub reason: String,
    /// Why, as a sentence.
    pub detail: String,
    /// When it was parked.
    pub parked_at: DateTime<Utc>,
}

/// Lists parked producer rows, newest first.
pub async fn list_parked_rows(
    connection: &mut PgConnection,
    most: i64,
) -> Result<Vec<ParkedRow>, StoreError> {
    sqlx::query_as!(
        ParkedRow,
        r#"SELECT intake_id AS intake, organisation_id AS organisation, producer, idempotency_key, reason, detail, parked_at
           FROM dsrd.intake_parked
           ORDER BY intake_id DESC
           LIMIT $1"#,
        most.clamp(1, 10_000),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.list_parked_rows"))
}
