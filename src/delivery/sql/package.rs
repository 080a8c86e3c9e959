//! Access packages and the link to each.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::delivery::package::{NewPackage, PackageId};
use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// Writes the row of a package.
pub(in crate::delivery) async fn insert_package(
    connection: &mut PgConnection,
    package: &NewPackage,
    sealed_identity: &[u8],
    token_sha256: &[u8],
) -> Result<(), StoreError> {
    let bytes = i64::try_from(package.bytes)
        .map_err(|_| StoreError::unreadable("delivery.record_package", "dsrd.package.bytes"))?;
    let done = sqlx::query!(
        r#"INSERT INTO dsrd.package (organisation_id, package_id, request_id, file_name, sealed_identity,
                                     token_sha256, sha256, bytes, manifest, created_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"#,
        package.organisation.as_str(),
        package.package_id.0,
        package.request.0,
        package.file_name,
        sealed_identity,
        token_sha256,
        package.sha256.as_slice(),
        bytes,
        package.manifest,
        package.created_at,
        package.expires_at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.record_package"))?;
    StoreError::expect_rows("delivery.record_package", 1, done.rows_affected())
}

/// A package as read.
pub(in crate::delivery) struct PackageRow {
    pub(in crate::delivery) organisation_id: String,
    pub(in crate::delivery) package_id: Uuid,
    pub(in crate::delivery) request_id: Uuid,
    pub(in crate::delivery) reference: String,
    pub(in crate::delivery) kind: String,
    /// That of the mail with the link, else of the request.
    pub(in crate::delivery) language: String,
    pub(in crate::delivery) file_name: String,
    pub(in crate::delivery) sealed_identity: Option<Vec<u8>>,
    pub(in crate::delivery) sha256: Vec<u8>,
    pub(in crate::delivery) expires_at: DateTime<Utc>,
    pub(in crate::delivery) fetched_at: Option<DateTime<Utc>>,
}

/// Finds the package whose link is usable at `at`: neither expired nor locked, and its request neither refused nor withdrawn. One that was begun to be fetched is found as well: whether it may be
/// begun again is for the caller to say.
pub(in crate::delivery) async fn find_by_token(
    connection: &mut PgConnection,
    token_sha256: &[u8],
    most_wrong_answers: i16,
    at: DateTime<Utc>,
) -> Result<Option<PackageRow>, StoreError> {
    sqlx::query_as!(
        PackageRow,
        r#"SELECT package.organisation_id, package.package_id, package.request_id, request.reference, request.kind,
                  coalesce((SELECT notice.language FROM dsrd.notice
                            WHERE notice.organisation_id = package.organisation_id
                              AND notice.request_id = package.request_id
                              AND notice.kind IN ('access_ready', 'portability_ready')
                            ORDER BY notice.enqueued_at DESC
                            LIMIT 1), request.language) AS "language!",
                  package.file_name, package.sealed_identity, package.sha256, package.expires_at, package.fetched_at
           FROM dsrd.package
           JOIN dsrd.request USING (organisation_id, request_id)
           WHERE package.token_sha256 = $1 AND package.destroyed_at IS NULL AND package.expires_at > $2
             AND package.wrong_answers < $3
             AND (request.outcome IS NULL OR request.outcome NOT IN ('refused', 'withdrawn'))"#,
        token_sha256,
        at,
        most_wrong_answers,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("delivery.find_by_token"))
}

/// Locks a package against other answers of the hand-over page and says how many were wrong so far.
pub(in crate::delivery) async fn lock_answers(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    package: PackageId,
) -> Result<Option<i16>, StoreError> {
    sqlx::query_scalar!(
        "SELECT wrong_answers FROM dsrd.package WHERE organisation_id = $1 AND package_id = $2 FOR UPDATE",
        organisation.as_str(),
        package.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("delivery.lock_answers"))
}

/// Counts a wrong answer.
pub(in crate::delivery) async fn count_wrong_answer(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    package: PackageId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.package SET wrong_answers = wrong_answers + 1
           WHERE organisation_id = $1 AND package_id = $2"#,
        organisation.as_str(),
        package.0,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.count_wrong_answer"))?;
    StoreError::expect_rows("delivery.count_wrong_answer", 1, done.rows_affected())
}

/// The pseudonyms of what a request was made with, and of the address to which its answer goes.
pub(in crate::delivery) async fn list_proofs(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<Vec<u8>>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT subject_ref
           FROM dsrd.identifier
           WHERE organisation_id = $1 AND request_id = $2 AND role IN ('given', 'contact_point')"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("delivery.list_proofs"))
}

/// Marks a package as fetched. Of several that do so at once exactly one gets true. `again` lets a download that broke
/// off begin once more; it names the beginning on record.
pub(in crate::delivery) async fn redeem(
    connection: &mut PgConnection,
    token_sha256: &[u8],
    again: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.package
           SET fetched_at = coalesce(fetched_at, $2)
           WHERE token_sha256 = $1 AND destroyed_at IS NULL AND expires_at > $2
             AND fetched_at IS NOT DISTINCT FROM $3"#,
        token_sha256,
        at,
        again,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.redeem"))?;
    Ok(done.rows_affected() == 1)
}

/// Forgets the secret of a link for good.
pub(in crate::delivery) async fn end_link(
    connection: &mut PgConnection,
    package: PackageId,
) -> Result<(), StoreError> {
    sqlx::query!(r#"UPDATE dsrd.package SET token_sha256 = NULL WHERE package_id = $1"#, package.0)
        .execute(connection)
        .await
        .map_err(StoreError::during("delivery.end_link"))?;
    Ok(())
}

/// Ends the link of a request's package that could still be used; false when there was none. The package stays.
pub(in crate::delivery) async fn end_link_of(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.package SET token_sha256 = NULL
           WHERE organisation_id = $1 AND request_id = $2 AND token_sha256 IS NOT NULL"#,
        organisation.as_str(),
        request.0,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.end_link_of"))?;
    Ok(done.rows_affected() > 0)
}

/// The package of a request, if it was not destroyed.
pub(in crate::delivery) async fn find_of_request(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<PackageRow>, StoreError> {
    sqlx::query_as!(
        PackageRow,
        r#"SELECT package.organisation_id, package.package_id, package.request_id, request.reference, request.kind,
                  coalesce((SELECT notice.language FROM dsrd.notice
                            WHERE notice.organisation_id = package.organisation_id
                              AND notice.request_id = package.request_id
                              AND notice.kind IN ('access_ready', 'portability_ready')
                            ORDER BY notice.enqueued_at DESC
                            LIMIT 1), request.language) AS "language!",
                  package.file_name, package.sealed_identity, package.sha256, package.expires_at, package.fetched_at
           FROM dsrd.package
           JOIN dsrd.request USING (organisation_id, request_id)
           WHERE package.organisation_id = $1 AND package.request_id = $2 AND package.destroyed_at IS NULL"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("delivery.find_package"))
}

/// Until when a package can be fetched.
pub(in crate::delivery) struct ExpiryRow {
    pub(in crate::delivery) package_id: Uuid,
    pub(in crate::delivery) expires_at: DateTime<Utc>,
    /// It was destroyed, or its link ended before anybody used it.
    pub(in crate::delivery) gone: bool,
}

/// Locks the package of a request, destroyed or not, and says until when it can be fetched.
pub(in crate::delivery) async fn lock_expiry(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<ExpiryRow>, StoreError> {
    sqlx::query_as!(
        ExpiryRow,
        r#"SELECT package_id, expires_at,
                  destroyed_at IS NOT NULL OR (token_sha256 IS NULL AND fetched_at IS NULL) AS "gone!"
           FROM dsrd.package
           WHERE organisation_id = $1 AND request_id = $2
           FOR UPDATE"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("delivery.lock_expiry"))
}

/// Lets a package that was not destroyed be fetched until an instant.
pub(in crate::delivery) async fn set_expiry(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    package: PackageId,
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.package SET expires_at = $3
           WHERE organisation_id = $1 AND package_id = $2 AND destroyed_at IS NULL"#,
        organisation.as_str(),
        package.0,
        expires_at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.set_expiry"))?;
    StoreError::expect_rows("delivery.set_expiry", 1, done.rows_affected())
}

/// A package whose key was destroyed just now.
pub(in crate::delivery) struct DestroyedRow {
    pub(in crate::delivery) organisation_id: String,
    pub(in crate::delivery) package_id: Uuid,
    pub(in crate::delivery) request_id: Uuid,
    pub(in crate::delivery) file_name: String,
    pub(in crate::delivery) fetched: bool,
}

/// Destroys the keys and links of up to `most` packages that expired at `at`. One whose request still goes on is kept: its link
/// was told to nobody yet, or a person has to see to it. So is one whose link came back, until the person was told otherwise, and one
/// of a breach that is not ended: what somebody else may have read is evidence.
pub(in crate::delivery) async fn destroy_keys(
    connection: &mut PgConnection,
    removed: Option<&OrganisationId>,
    at: DateTime<Utc>,
    most: i64,
) -> Result<Vec<DestroyedRow>, StoreError> {
    sqlx::query_as!(
        DestroyedRow,
        r#"UPDATE dsrd.package
           SET sealed_identity = NULL, token_sha256 = NULL, destroyed_at = $1
           WHERE package_id IN (
             SELECT package_id
             FROM dsrd.package
             JOIN dsrd.request USING (organisation_id, request_id)
             WHERE destroyed_at IS NULL
               AND (package.organisation_id = $3
                    OR $3::text IS NULL
                       AND NOT EXISTS (SELECT FROM dsrd.incident
                                       WHERE incident.organisation_id = package.organisation_id
                                         AND incident.request_id = package.request_id AND incident.ended_as IS NULL)
                       AND (outcome IN ('refused', 'withdrawn')
                            OR (expires_at <= $1 AND request.state NOT IN ('in_progress', 'manual')
                                AND NOT EXISTS (SELECT FROM dsrd.notice
                                                WHERE notice.organisation_id = package.organisation_id
                                                  AND notice.request_id = package.request_id
                                                  AND notice.kind IN ('access_ready', 'portability_ready')
                                                  AND notice.bounced_at IS NOT NULL AND notice.made_good_at IS NULL))))
             ORDER BY expires_at
             LIMIT $2
             FOR UPDATE OF package SKIP LOCKED)
           RETURNING organisation_id, package_id, request_id, file_name, fetched_at IS NOT NULL AS "fetched!""#,
        at,
        most,
        removed.map(OrganisationId::as_str),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("delivery.destroy_keys"))
}

/// The names of the files of packages that are not destroyed.
pub(in crate::delivery) async fn living_files(
    connection: &mut PgConnection,
) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar!(r#"SELECT file_name FROM dsrd.package WHERE destroyed_at IS NULL"#)
        .fetch_all(connection)
        .await
        .map_err(StoreError::during("delivery.living_files"))
}
