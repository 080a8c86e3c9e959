//! Table `dsrd.identifier`.

use super::{Identifier, IdentifierRole};
use crate::domain::{
    IdentifierKind, KeyError, MasterKey, OrganisationId, RequestId, SubjectIdentifier, SubjectRef,
};
use crate::store::{PgConnection, StoreError};

/// Adds identifiers to a request in their order, numbered from `first` on, each encrypted for its row. One statement,
/// however many they are: the caller knows the numbers in use (a number takes part in the encryption, so that it must be
/// known before), and one that is taken already is refused by the table.
pub async fn add_identifiers(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    request: RequestId,
    first: i16,
    identifiers: Vec<(IdentifierRole, SubjectIdentifier)>,
) -> Result<Vec<Identifier>, StoreError> {
    if identifiers.is_empty() {
        return Ok(Vec::new());
    }
    let added: Vec<Identifier> = (first..)
        .zip(identifiers)
        .map(|(number, (role, identifier))| Identifier { number, role, identifier })
        .collect();
    let numbers: Vec<i16> = added.iter().map(|each| each.number).collect();
    let roles: Vec<String> = added.iter().map(|each| each.role.as_str().to_owned()).collect();
    let kinds: Vec<String> = added.iter().map(|each| each.identifier.kind().as_str().to_owned()).collect();
    let sealed: Vec<Vec<u8>> =
        added.iter().map(|each| each.identifier.seal(keys, organisation, request, each.number)).collect();
    let references: Vec<Vec<u8>> =
        added.iter().map(|each| each.identifier.reference(keys, organisation).as_bytes().to_vec()).collect();
    let inserted = sqlx::query!(
        r#"INSERT INTO dsrd.identifier (organisation_id, request_id, identifier_no, role, kind, sealed, subject_ref)
           SELECT $1, $2, added.*
           FROM unnest($3::smallint[], $4::text[], $5::text[], $6::bytea[], $7::bytea[]) AS added"#,
        organisation.as_str(),
        request.0,
        &numbers,
        &roles,
        &kinds,
        &sealed,
        &references,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.add_identifiers"))?;
    StoreError::expect_rows("intake.add_identifiers", added.len() as u64, inserted.rows_affected())?;
    Ok(added)
}

/// The pseudonyms of what a request was made with, and of the address to which its answer goes.
pub async fn references(
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
    .map_err(StoreError::during("intake.references"))
}

/// Whether a request was made with exactly these identifiers. Their pseudonyms stay as long as the request, also once the
/// clear identifiers are forgotten.
pub(in crate::intake) async fn is_given_as(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    references: &[SubjectRef],
) -> Result<bool, StoreError> {
    let references: Vec<Vec<u8>> = references.iter().map(|each| each.as_bytes().to_vec()).collect();
    sqlx::query_scalar!(
        r#"SELECT ARRAY(SELECT DISTINCT subject_ref
                        FROM dsrd.identifier
                        WHERE organisation_id = $1 AND request_id = $2 AND role = 'given'
                        ORDER BY subject_ref)
                  = ARRAY(SELECT DISTINCT sought
                          FROM unnest($3::bytea[]) AS sought
                          ORDER BY sought) AS "same!""#,
        organisation.as_str(),
        request.0,
        &references,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("intake.is_given_as"))
}

/// The identifiers of a request, decrypted; none once the service has forgotten them.
pub async fn identifiers(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<Identifier>, StoreError> {
    let unreadable = || StoreError::unreadable("intake.identifiers", "identifier");
    let rows = sqlx::query!(
        r#"SELECT identifier_no, role, kind, sealed AS "sealed!"
           FROM dsrd.identifier
           WHERE organisation_id = $1 AND request_id = $2 AND sealed IS NOT NULL
           ORDER BY identifier_no"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.identifiers"))?;
    rows.into_iter()
        .map(|row| {
            let kind: IdentifierKind = row.kind.parse().map_err(|_| unreadable())?;
            let identifier =
                SubjectIdentifier::open(keys, (organisation, request, row.identifier_no), kind, &row.sealed)
                    .map_err(|_: KeyError| {
                        StoreError::unreadable(
                            "intake.identifiers",
                            "identifier.sealed (another master key?)",
                        )
                    })?;
            let role = match row.role.as_str() {
                "given" => IdentifierRole::Given,
                "found" => IdentifierRole::Found,
                "contact_point" => IdentifierRole::ContactPoint,
                _ => return Err(unreadable()),
            };
            Ok(Identifier { number: row.identifier_no, role, identifier })
        })
        .collect()
}
