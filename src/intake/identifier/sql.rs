//! Table `dsrd.identifier`.

use sqlx::PgConnection;

use super::{Identifier, IdentifierRole};
use crate::domain::{IdentifierKind, KeyError, MasterKey, OrganisationId, RequestId, SubjectIdentifier};
use crate::store::StoreError;

/// Adds an identifier to a request, encrypted for its row, and returns its number.
pub async fn add_identifier(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    request: RequestId,
    role: IdentifierRole,
    identifier: &SubjectIdentifier,
) -> Result<i16, StoreError> {
    let number = sqlx::query_scalar!(
        r#"SELECT coalesce(max(identifier_no) + 1, 0)::smallint AS "number!"
           FROM dsrd.identifier
           WHERE organisation_id = $1 AND request_id = $2"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(StoreError::during("intake.add_identifier"))?;
    let reference = identifier.reference(keys, organisation);
    sqlx::query!(
        r#"INSERT INTO dsrd.identifier (organisation_id, request_id, identifier_no, role, kind, sealed, subject_ref)
           VALUES ($1, $2, $3, $4, $5, $6, $7)"#,
        organisation.as_str(),
        request.0,
        number,
        role.as_str(),
        identifier.kind().as_str(),
        identifier.seal(keys, organisation, request, number),
        reference.as_bytes().as_slice(),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.add_identifier"))?;
    Ok(number)
}

/// The identifiers of a request, decrypted.
pub async fn identifiers(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<Identifier>, StoreError> {
    let unreadable = || StoreError::unreadable("intake.identifiers", "identifier");
    let rows = sqlx::query!(
        r#"SELECT identifier_no, role, kind, sealed
           FROM dsrd.identifier
           WHERE organisation_id = $1 AND request_id = $2
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
