//! Tables `dsrd.intake` and `dsrd.intake_parked`.

use chrono::{DateTime, Utc};

use crate::domain::{MasterKey, Personal};
use crate::store::{PgConnection, StoreError};

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
    pub(super) assurance: Option<String>,
    pub(super) assured_at: Option<DateTime<Utc>>,
    pub(super) kinds: Option<Vec<String>>,
    pub(super) requester_role: Option<String>,
    pub(super) ground: Option<String>,
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
                     ARRAY(SELECT coalesce(each, '') FROM unnest(policies) AS each) AS policies, assurance,
                     CASE WHEN assured_at BETWEEN '1970-01-01' AND '9999-12-31' THEN assured_at END AS assured_at,
                     ARRAY(SELECT coalesce(each, '') FROM unnest(kinds) AS each) AS kinds, requester_role, ground"#,
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
        "policies": row.policies, "kinds": row.kinds, "requester_role": row.requester_role,
        "assurance": row.assurance, "assured_at": row.assured_at, "ground": row.ground,
    });
    let sealed = keys
        .sealing("intake_parked")
        .seal(&row.intake_id.to_string(), &Personal::new(clear.to_string().into_bytes()));
    sqlx::query!(
        r#"INSERT INTO dsrd.intake_parked (intake_id, organisation_id, producer, idempotency_key, reason, detail, sealed, parked_at,
                                       received_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"#,
        row.intake_id,
        row.organisation_id,
        row.producer,
        row.idempotency_key,
        reason,
        detail,
        sealed,
        at,
        row.received_at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.park_row"))?;
    Ok(())
}

/// A parked row as stored.
pub(super) struct SealedRow {
    pub(super) intake_id: i64,
    pub(super) organisation_id: String,
    pub(super) producer: String,
    pub(super) idempotency_key: Option<String>,
    pub(super) reason: String,
    pub(super) detail: String,
    pub(super) sealed: Vec<u8>,
    pub(super) parked_at: DateTime<Utc>,
}

/// Parked rows of these organisations, and of those that nobody serves, those first that reached the controller first: their dates
/// come first.
pub(super) async fn list_parked(
    connection: &mut PgConnection,
    organisations: &[String],
    most: i64,
) -> Result<Vec<SealedRow>, StoreError> {
    sqlx::query_as!(
        SealedRow,
        r#"SELECT intake_id, organisation_id, producer, idempotency_key, reason, detail, sealed, parked_at
           FROM dsrd.intake_parked
           WHERE organisation_id = ANY ($1)
              OR NOT EXISTS (SELECT FROM dsrd.organisation
                             WHERE dsrd.organisation.organisation_id = intake_parked.organisation_id)
           ORDER BY least(received_at, parked_at), intake_id
           LIMIT $2"#,
        organisations,
        most.clamp(1, 10_000),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.list_parked_rows"))
}

/// Counts the same.
pub(super) async fn count_parked(
    connection: &mut PgConnection,
    organisations: &[String],
) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
           FROM dsrd.intake_parked
           WHERE organisation_id = ANY ($1)
              OR NOT EXISTS (SELECT FROM dsrd.organisation
                             WHERE dsrd.organisation.organisation_id = intake_parked.organisation_id)"#,
        organisations,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("intake.count_parked_rows"))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

pub(super) async fn find_parked(
    connection: &mut PgConnection,
    organisations: &[String],
    intake: i64,
) -> Result<Option<SealedRow>, StoreError> {
    sqlx::query_as!(
        SealedRow,
        r#"SELECT intake_id, organisation_id, producer, idempotency_key, reason, detail, sealed, parked_at
           FROM dsrd.intake_parked
           WHERE intake_id = $2
             AND (organisation_id = ANY ($1)
                  OR NOT EXISTS (SELECT FROM dsrd.organisation
                                 WHERE dsrd.organisation.organisation_id = intake_parked.organisation_id))"#,
        organisations,
        intake,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("intake.find_parked_row"))
}

/// Takes a parked row out, with the caller's transaction. Of two who try, the second finds nothing.
pub(super) async fn remove_parked(
    connection: &mut PgConnection,
    organisations: &[String],
    intake: i64,
) -> Result<Option<SealedRow>, StoreError> {
    sqlx::query_as!(
        SealedRow,
        r#"DELETE FROM dsrd.intake_parked
           WHERE intake_id = $2
             AND (organisation_id = ANY ($1)
                  OR NOT EXISTS (SELECT FROM dsrd.organisation
                                 WHERE dsrd.organisation.organisation_id = intake_parked.organisation_id))
           RETURNING intake_id, organisation_id, producer, idempotency_key, reason, detail, sealed, parked_at"#,
        organisations,
        intake,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("intake.remove_parked_row"))
}
