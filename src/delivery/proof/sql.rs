//! Tables `dsrd.notice` and `dsrd.package`, read for proofs.

use super::{NoticeProof, PackageProof};
use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// The notices of a request, oldest first.
pub async fn list_notice_proofs(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<NoticeProof>, StoreError> {
    sqlx::query_as!(
        NoticeProof,
        r#"SELECT notice_id AS notice, kind, message_id, language, template,
                  encode(text_sha256, 'hex') AS text_sha256, state, attempts, last_code, enqueued_at, sent_at,
                  bounced_at, made_good_at
           FROM dsrd.notice
           WHERE organisation_id = $1 AND request_id = $2
           ORDER BY enqueued_at, notice_id"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("delivery.list_notice_proofs"))
}

/// The packages of a request.
pub async fn list_package_proofs(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<PackageProof>, StoreError> {
    sqlx::query_as!(
        PackageProof,
        r#"SELECT package_id AS package, encode(sha256, 'hex') AS "sha256!", bytes, created_at, expires_at, fetched_at,
                  destroyed_at
           FROM dsrd.package
           WHERE organisation_id = $1 AND request_id = $2
           ORDER BY created_at, package_id"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("delivery.list_package_proofs"))
}
