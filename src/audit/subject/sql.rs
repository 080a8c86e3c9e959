//! Table `audit_private.subject`, written and read. What is erased goes through a function of the database
//! (`audit::forget`).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Opening;
use crate::domain::{IdentifierKind, OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// One identifier of a request, as it is kept.
pub(super) struct NewSubject {
    pub(super) tag: [u8; 32],
    pub(super) salt: [u8; 32],
    pub(super) kind: IdentifierKind,
    pub(super) commitment: [u8; 32],
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    epoch: i32,
    erase_after: DateTime<Utc>,
    rows: &[NewSubject],
) -> Result<(), StoreError> {
    let tags: Vec<Vec<u8>> = rows.iter().map(|row| row.tag.to_vec()).collect();
    let salts: Vec<Vec<u8>> = rows.iter().map(|row| row.salt.to_vec()).collect();
    let kinds: Vec<String> = rows.iter().map(|row| row.kind.as_str().to_owned()).collect();
    let commitments: Vec<Vec<u8>> = rows.iter().map(|row| row.commitment.to_vec()).collect();
    let inserted = sqlx::query!(
        "INSERT INTO audit_private.subject (organisation_id, case_id, key_epoch, erase_after, tag, salt, kind, commitment)
         SELECT $1, $2, $3, $4, given.*
         FROM unnest($5::bytea[], $6::bytea[], $7::text[], $8::bytea[]) AS given",
        organisation.as_str(),
        request.0,
        epoch,
        erase_after,
        &tags,
        &salts,
        &kinds,
        &commitments,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("audit.commit_to"))?;
    StoreError::expect_rows("audit.commit_to", rows.len() as u64, inserted.rows_affected())
}

/// A row that was found by its tag.
pub(super) struct FoundRow {
    pub(super) case_id: Uuid,
    pub(super) tag: Vec<u8>,
    pub(super) salt: Vec<u8>,
    pub(super) commitment: Vec<u8>,
}

pub(super) async fn find(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    epoch: i32,
    tags: &[Vec<u8>],
) -> Result<Vec<FoundRow>, StoreError> {
    sqlx::query_as!(
        FoundRow,
        "SELECT case_id, tag, salt, commitment
         FROM audit_private.subject
         WHERE organisation_id = $1 AND key_epoch = $2 AND tag = ANY ($3)
         ORDER BY case_id",
        organisation.as_str(),
        epoch,
        tags,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.find_cases"))
}

pub(super) async fn openings(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    case: RequestId,
) -> Result<Vec<Opening>, StoreError> {
    sqlx::query_as!(
        Opening,
        r#"SELECT kind, encode(salt, 'hex') AS "salt!", encode(commitment, 'hex') AS "commitment!"
           FROM audit_private.subject
           WHERE organisation_id = $1 AND case_id = $2
           ORDER BY subject.commitment"#,
        organisation.as_str(),
        case.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.openings"))
}
