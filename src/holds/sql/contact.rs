//! Which contacts holds about persons know.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::hold::{Row, all, bytes};
use crate::domain::{OrganisationId, RequestId, SubjectRef};
use crate::holds::{Hold, HoldId};
use crate::store::{PgConnection, StoreError};

/// A hold about the person of a request whose contact was not looked up yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsought {
    /// The hold.
    pub hold: HoldId,
    /// The request by which the person was named.
    pub request: RequestId,
}

/// The open holds about the persons of requests whose contact was not looked up yet, the oldest first.
pub async fn unsought_contacts(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<Unsought>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT hold_id, request_id AS "request_id!"
           FROM dsrd.hold
           WHERE organisation_id = $1 AND ended_at IS NULL AND scope = 'person' AND request_id IS NOT NULL
             AND contact_sought_at IS NULL
           ORDER BY placed_at, hold_id"#,
        organisation.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.unsought_contacts"))?;
    Ok(rows
        .into_iter()
        .map(|row| Unsought { hold: HoldId(row.hold_id), request: RequestId(row.request_id) })
        .collect())
}

/// Notes that the contact was looked up; false when the hold has ended since, or another daemon did so.
pub(in crate::holds) async fn set_contact_sought(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    hold: HoldId,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let noted = sqlx::query!(
        r#"UPDATE dsrd.hold
           SET contact_sought_at = $3
           WHERE organisation_id = $1 AND hold_id = $2 AND ended_at IS NULL AND contact_sought_at IS NULL"#,
        organisation.as_str(),
        hold.0,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("holds.set_contact_sought"))?;
    Ok(noted.rows_affected() == 1)
}

/// Adds contacts to those whom a hold is about, by their pseudonyms.
pub(in crate::holds) async fn add_contacts(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    hold: HoldId,
    contacts: &[SubjectRef],
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.hold_subject (organisation_id, hold_id, subject_ref, is_contact)
           SELECT $1, $2, subject_ref, true
           FROM unnest($3::bytea[]) AS given (subject_ref)
           ON CONFLICT (organisation_id, hold_id, subject_ref) DO UPDATE SET is_contact = true"#,
        organisation.as_str(),
        hold.0,
        &bytes(contacts),
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("holds.add_contacts"))
}

/// Whether a hold knows the contact that it is about.
pub async fn knows_contact(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    hold: HoldId,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dsrd.hold_subject
                          WHERE organisation_id = $1 AND hold_id = $2 AND is_contact) AS "known!""#,
        organisation.as_str(),
        hold.0,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("holds.knows_contact"))
}

/// Of these holds those that know their contact and are about none of the pseudonyms.
pub async fn about_another(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    holds: &[HoldId],
    references: &[SubjectRef],
) -> Result<Vec<HoldId>, StoreError> {
    let ids: Vec<Uuid> = holds.iter().map(|hold| hold.0).collect();
    let found = sqlx::query_scalar!(
        r#"SELECT hold_id
           FROM dsrd.hold_subject AS held
           WHERE organisation_id = $1 AND hold_id = ANY ($2)
           GROUP BY hold_id
           HAVING bool_or(is_contact) AND NOT bool_or(subject_ref = ANY ($3))"#,
        organisation.as_str(),
        &ids,
        &bytes(references),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.about_another"))?;
    Ok(found.into_iter().map(HoldId).collect())
}

/// The open restrictions that know this contact and no other, locked for this transaction.
pub(in crate::holds) async fn take_restrictions_of(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    contact: SubjectRef,
) -> Result<Vec<Hold>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT hold_id, reference, kind, category, ground, statute, matter, owner, scope, created_from, created_before,
                  ends_on, months_after_last, review_on, placed_by, placed_at, ended_at, ended_by, end_reason
           FROM dsrd.hold
           WHERE organisation_id = $1 AND ended_at IS NULL AND kind = 'restriction'
             AND EXISTS (SELECT FROM dsrd.hold_subject AS held
                         WHERE held.organisation_id = hold.organisation_id AND held.hold_id = hold.hold_id
                           AND held.is_contact AND held.subject_ref = $2)
             AND NOT EXISTS (SELECT FROM dsrd.hold_subject AS held
                             WHERE held.organisation_id = hold.organisation_id AND held.hold_id = hold.hold_id
                               AND held.is_contact AND held.subject_ref <> $2)
           ORDER BY hold_id
           FOR UPDATE"#,
        organisation.as_str(),
        contact.as_bytes().as_slice(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.take_restrictions_of"))?;
    all(rows)
}
