//! Tables `dsrd.proof_link` and `dsrd.identity_proof`; reads what the page shows from `dsrd.request`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::domain::deadline::RegimeCode;
use crate::domain::{OrganisationId, Proof, Reference, RequestId};
use crate::store::{PgConnection, StoreError};

/// A link to be made.
pub(super) struct NewLink<'a> {
    pub(super) organisation: &'a OrganisationId,
    pub(super) request: RequestId,
    pub(super) link: Uuid,
    pub(super) contact_point: i16,
    pub(super) made_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

pub(super) async fn insert_link(
    connection: &mut PgConnection,
    link: &NewLink<'_>,
    token_sha256: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.proof_link (organisation_id, link_id, request_id, identifier_no, purpose, token_sha256, made_at,
                                        expires_at)
           VALUES ($1, $2, $3, $4, 'identity', $5, $6, $7)"#,
        link.organisation.as_str(),
        link.link,
        link.request.0,
        link.contact_point,
        token_sha256,
        link.made_at,
        link.expires_at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("identity.insert_link"))?;
    Ok(())
}

/// A link that works, with what its page shows.
pub(super) struct LinkRow {
    organisation_id: String,
    /// The kind of identifier to which it went.
    pub(super) contact_point: String,
    token_sha256: Vec<u8>,
    pub(super) request_id: Uuid,
    pub(super) reference: String,
    pub(super) kind: String,
    pub(super) language: String,
    pub(super) received_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

impl LinkRow {
    /// What is kept of its secret.
    pub(super) fn token_sha256(&self) -> Result<[u8; 32], StoreError> {
        self.token_sha256
            .as_slice()
            .try_into()
            .map_err(|_| StoreError::unreadable("identity.find_link", "proof_link.token_sha256"))
    }

    pub(super) fn organisation(&self) -> Result<OrganisationId, StoreError> {
        self.organisation_id
            .parse()
            .map_err(|_| StoreError::unreadable("identity.find_link", "proof_link.organisation_id"))
    }
}

/// Finds the link of a secret, if it works at `at`: neither used, expired nor locked, and its request open.
pub(super) async fn find_link(
    connection: &mut PgConnection,
    token_sha256: &[u8],
    most_wrong_answers: i16,
    at: DateTime<Utc>,
) -> Result<Option<LinkRow>, StoreError> {
    sqlx::query_as!(
        LinkRow,
        r#"SELECT link.organisation_id, link.request_id, link.token_sha256 AS "token_sha256!",
                  identifier.kind AS contact_point, request.reference, request.kind, request.language,
                  request.received_at, link.expires_at
           FROM dsrd.proof_link AS link
           JOIN dsrd.request AS request USING (organisation_id, request_id)
           JOIN dsrd.identifier AS identifier USING (organisation_id, request_id, identifier_no)
           WHERE link.token_sha256 = $1 AND link.purpose = 'identity' AND link.expires_at > $2
             AND link.wrong_answers < $3 AND request.state <> 'closed'"#,
        token_sha256,
        at,
        most_wrong_answers,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("identity.find_link"))
}

/// The requests of a reference in these organisations: one, or by chance one each of several.
pub(super) async fn requests_of(
    connection: &mut PgConnection,
    organisations: &[String],
    reference: &Reference,
) -> Result<Vec<(OrganisationId, RequestId)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT organisation_id, request_id
           FROM dsrd.request
           WHERE organisation_id = ANY ($1) AND reference = $2
           ORDER BY organisation_id"#,
        organisations,
        reference.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("identity.requests_of"))?;
    rows.into_iter()
        .map(|row| {
            let organisation = row
                .organisation_id
                .parse()
                .map_err(|_| StoreError::unreadable("identity.requests_of", "request.organisation_id"))?;
            Ok((organisation, RequestId(row.request_id)))
        })
        .collect()
}

/// Locks the links of a reference whose code works at `at`: neither used, expired nor locked, and the request open. Codes are
/// compared under the lock, so that no two guesses count as one.
pub(super) async fn lock_codes(
    connection: &mut PgConnection,
    organisations: &[String],
    reference: &Reference,
    most_wrong_answers: i16,
    at: DateTime<Utc>,
) -> Result<Vec<LinkRow>, StoreError> {
    sqlx::query_as!(
        LinkRow,
        r#"SELECT link.organisation_id, link.request_id, link.token_sha256 AS "token_sha256!",
                  identifier.kind AS contact_point, request.reference, request.kind, request.language,
                  request.received_at, link.expires_at
           FROM dsrd.proof_link AS link
           JOIN dsrd.request AS request USING (organisation_id, request_id)
           JOIN dsrd.identifier AS identifier USING (organisation_id, request_id, identifier_no)
           WHERE request.organisation_id = ANY ($1) AND request.reference = $2 AND request.state <> 'closed'
             AND link.purpose = 'identity' AND link.token_sha256 IS NOT NULL AND link.expires_at > $3
             AND link.wrong_codes < $4
           ORDER BY link.organisation_id, link.link_id
           FOR UPDATE OF link"#,
        organisations,
        reference.as_str(),
        at,
        most_wrong_answers,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("identity.lock_codes"))
}

/// Counts a wrong code against all links of a request whose code still works, and says how many were wrong for the one with
/// the fewest.
pub(super) async fn count_wrong_code(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    most_wrong_answers: i16,
    at: DateTime<Utc>,
) -> Result<i16, StoreError> {
    let wrong = sqlx::query_scalar!(
        r#"UPDATE dsrd.proof_link
           SET wrong_codes = wrong_codes + 1
           WHERE organisation_id = $1 AND request_id = $2 AND token_sha256 IS NOT NULL AND wrong_codes < $3
             AND expires_at > $4
           RETURNING wrong_codes"#,
        organisation.as_str(),
        request.0,
        most_wrong_answers,
        at,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("identity.count_wrong_code"))?;
    Ok(wrong.into_iter().min().unwrap_or(most_wrong_answers))
}

/// Locks a link against other answers and says how many were wrong so far; none when others used or locked it meanwhile.
pub(super) async fn lock_link(
    connection: &mut PgConnection,
    token_sha256: &[u8],
    most_wrong_answers: i16,
) -> Result<Option<i16>, StoreError> {
    sqlx::query_scalar!(
        "SELECT wrong_answers FROM dsrd.proof_link WHERE token_sha256 = $1 AND wrong_answers < $2 FOR UPDATE",
        token_sha256,
        most_wrong_answers,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("identity.lock_link"))
}

pub(super) async fn count_wrong_answer(
    connection: &mut PgConnection,
    token_sha256: &[u8],
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE dsrd.proof_link SET wrong_answers = wrong_answers + 1 WHERE token_sha256 = $1",
        token_sha256,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("identity.count_wrong_answer"))?;
    StoreError::expect_rows("identity.count_wrong_answer", 1, done.rows_affected())
}

/// Marks a link as used and forgets its secret.
pub(super) async fn use_link(
    connection: &mut PgConnection,
    token_sha256: &[u8],
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE dsrd.proof_link SET used_at = $2, token_sha256 = NULL WHERE token_sha256 = $1",
        token_sha256,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("identity.use_link"))?;
    StoreError::expect_rows("identity.use_link", 1, done.rows_affected())
}

/// Forgets the secrets of all links of a request.
pub(super) async fn end_links(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.proof_link SET token_sha256 = NULL
           WHERE organisation_id = $1 AND request_id = $2 AND token_sha256 IS NOT NULL"#,
        organisation.as_str(),
        request.0,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("identity.end_links"))?;
    Ok(())
}

pub(super) async fn count_links(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<i64, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "number!" FROM dsrd.proof_link WHERE organisation_id = $1 AND request_id = $2"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("identity.count_links"))
}

/// Whether a link of a request works at `at`, also one that wrong answers have locked: its code may be told.
pub(super) async fn has_working_link(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dsrd.proof_link
                          WHERE organisation_id = $1 AND request_id = $2 AND token_sha256 IS NOT NULL
                            AND expires_at > $3) AS "works!""#,
        organisation.as_str(),
        request.0,
        at,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("identity.has_working_link"))
}

/// A proof to be recorded.
pub(super) struct NewProof<'a> {
    pub(super) organisation: &'a OrganisationId,
    pub(super) request: RequestId,
    pub(super) id: Uuid,
    pub(super) proof: Proof,
    pub(super) method: &'a str,
    pub(super) by: &'a str,
    /// The law under which it was found out.
    pub(super) regime: RegimeCode,
    /// The names of the fields that matched.
    pub(super) points: Vec<String>,
    pub(super) sealed_declaration: Option<Vec<u8>>,
}

pub(super) async fn insert_proof(
    connection: &mut PgConnection,
    proof: &NewProof<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.identity_proof (organisation_id, proof_id, request_id, assurance, method, proven_at, recorded_by,
                                            regime, matching_points, sealed_declaration)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"#,
        proof.organisation.as_str(),
        proof.id,
        proof.request.0,
        proof.proof.assurance.as_str(),
        proof.method,
        proof.proof.at,
        proof.by,
        proof.regime.as_str(),
        &proof.points,
        proof.sealed_declaration.as_deref(),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("identity.insert_proof"))?;
    Ok(())
}

/// How and when it became known who asks, for people.
#[derive(Clone, Debug, Serialize)]
pub struct ProofView {
    /// What is known since.
    pub assurance: String,
    /// How.
    pub method: String,
    /// When.
    pub proven_at: DateTime<Utc>,
    /// Who recorded it.
    pub recorded_by: String,
    /// In how many fields what the person said was compared with the profile, and was the same.
    pub matching_points: i32,
    /// Whether a declaration under penalty of perjury is on record.
    pub declaration: bool,
}

/// The proofs of a request, oldest first.
pub async fn proofs_of(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<ProofView>, StoreError> {
    sqlx::query_as!(
        ProofView,
        r#"SELECT assurance, method, proven_at, recorded_by, cardinality(matching_points) AS "matching_points!",
                  sealed_declaration IS NOT NULL AS "declaration!"
           FROM dsrd.identity_proof
           WHERE organisation_id = $1 AND request_id = $2
           ORDER BY proof_id"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("identity.proofs_of"))
}

/// The names of the fields that were compared, of all proofs of a request.
pub async fn matching_points_of(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT point AS "point!"
           FROM dsrd.identity_proof CROSS JOIN LATERAL unnest(matching_points) AS point
           WHERE organisation_id = $1 AND request_id = $2
           ORDER BY 1"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("identity.matching_points_of"))
}

/// The latest declaration of a request, with the proof to which it belongs.
pub(super) async fn sealed_declaration(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<(Uuid, Vec<u8>)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT proof_id, sealed_declaration AS "sealed!"
           FROM dsrd.identity_proof
           WHERE organisation_id = $1 AND request_id = $2 AND sealed_declaration IS NOT NULL
           ORDER BY proof_id DESC
           LIMIT 1"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("identity.sealed_declaration"))?;
    Ok(row.map(|row| (row.proof_id, row.sealed)))
}

/// Deletes the links and proofs of requests past their evidence.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        "DELETE FROM dsrd.proof_link WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("identity.purge"))?;
    sqlx::query!(
        "DELETE FROM dsrd.identity_proof WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("identity.purge"))?;
    Ok(())
}
