//! Tables `audit.manifest` and `audit_private.manifest_item`.

use uuid::Uuid;

use crate::audit::forget::Erasing;
use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// Stores the commitments of a page.
pub(in crate::audit) async fn insert_commitments(
    connection: &mut PgConnection,
    page: Uuid,
    commitments: &[u8],
) -> Result<(), StoreError> {
    let inserted =
        sqlx::query!("INSERT INTO audit.manifest (uid, commitments) VALUES ($1, $2)", page, commitments)
            .execute(connection)
            .await
            .map_err(StoreError::during("audit.insert_commitments"))?;
    StoreError::expect_rows("audit.insert_commitments", 1, inserted.rows_affected())
}

/// Stores the salts of a page's items, in their order.
pub(super) async fn insert_items(
    connection: &mut PgConnection,
    page: Uuid,
    cases: &[Uuid],
    salts: &[Vec<u8>],
) -> Result<(), StoreError> {
    let inserted = sqlx::query!(
        "INSERT INTO audit_private.manifest_item (uid, idx, case_id, salt)
         SELECT $1, place - 1, case_id, salt
         FROM unnest($2::uuid[], $3::bytea[]) WITH ORDINALITY AS item (case_id, salt, place)",
        page,
        cases,
        salts
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("audit.insert_items"))?;
    StoreError::expect_rows("audit.insert_items", cases.len() as u64, inserted.rows_affected())
}

/// Reads the commitments of a page, over a connection of an auditor.
pub(in crate::audit) async fn find_commitments(
    connection: &mut sqlx::PgConnection,
    page: Uuid,
) -> Result<Option<Vec<u8>>, StoreError> {
    sqlx::query_scalar!("SELECT commitments FROM audit.manifest WHERE uid = $1", page)
        .fetch_optional(connection)
        .await
        .map_err(StoreError::during("audit.find_commitments"))
}

/// An item with its page.
pub(super) struct ItemRow {
    pub(super) idx: i32,
    pub(super) salt: Vec<u8>,
    pub(super) commitments: Vec<u8>,
    pub(super) seq: Option<i64>,
}

/// Finds the item of a case.
pub(super) async fn find_item(
    connection: &mut PgConnection,
    case: RequestId,
) -> Result<Option<ItemRow>, StoreError> {
    sqlx::query_as!(
        ItemRow,
        r#"SELECT item.idx, item.salt, manifest.commitments, entry.seq AS "seq?"
           FROM audit_private.manifest_item AS item
           JOIN audit.manifest USING (uid)
           LEFT JOIN audit.entry ON entry.uid = item.uid
           WHERE item.case_id = $1"#,
        case.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("audit.find_item"))
}

/// Forgets the salts of cases; the database writes the entry.
pub(super) async fn forget_items(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    cases: &[RequestId],
    actor: &str,
    erasing: &Erasing<'_>,
) -> Result<u64, StoreError> {
    let cases: Vec<Uuid> = cases.iter().map(|case| case.0).collect();
    let forgotten = sqlx::query_scalar!(
        r#"SELECT audit.forget_manifest_items($1, $2, $3, $4, $5) AS "forgotten!""#,
        organisation.as_str(),
        &cases,
        erasing.rule.as_str(),
        actor,
        erasing.at,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("audit.forget_items"))?;
    Ok(u64::try_from(forgotten).unwrap_or_default())
}
