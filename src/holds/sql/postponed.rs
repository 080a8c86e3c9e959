//! What is left of an erasure until its holds end.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::domain::{ContactId, OrganisationId, Reference, RequestId};
use crate::holds::HoldId;
use crate::store::{PgConnection, StoreError};

/// An erasure whose first stage is done.
#[derive(Clone, Debug)]
pub struct Postponement<'a> {
    /// Of which organisation.
    pub organisation: &'a OrganisationId,
    /// The request that ends with its first stage.
    pub request: RequestId,
    /// The contact that stays.
    pub contact: &'a ContactId,
    /// In which language the person is written to.
    pub language: &'a str,
    /// The policies that the first stage had seen off, where that is known.
    pub policies: Option<&'a [String]>,
    /// The holds, each with its last day for this contact, where one is known.
    pub holds: &'a [(HoldId, Option<NaiveDate>)],
    /// When.
    pub at: DateTime<Utc>,
}

/// Remembers that the rest of an erasure follows when no hold stands any more.
pub async fn postpone(connection: &mut PgConnection, erasure: &Postponement<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.postponed_erasure (organisation_id, request_id, contact_id, language, postponed_at, policies)
           VALUES ($1, $2, $3, $4, $5, $6)"#,
        erasure.organisation.as_str(),
        erasure.request.0,
        erasure.contact.as_str(),
        erasure.language,
        erasure.at,
        erasure.policies as Option<&[String]>,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("holds.postpone"))?;
    let ids: Vec<Uuid> = erasure.holds.iter().map(|(hold, _)| hold.0).collect();
    let until: Vec<Option<NaiveDate>> = erasure.holds.iter().map(|(_, until)| *until).collect();
    sqlx::query!(
        r#"INSERT INTO dsrd.postponed_by (organisation_id, request_id, hold_id, held_until)
           SELECT $1, $2, hold_id, held_until
           FROM unnest($3::uuid[], $4::date[]) AS held (hold_id, held_until)"#,
        erasure.organisation.as_str(),
        erasure.request.0,
        &ids,
        &until as &[Option<NaiveDate>],
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("holds.postpone"))
}

/// An erasure of which the rest can follow.
#[derive(Clone, Debug)]
pub struct Postponed {
    /// The request of the first stage.
    pub request: RequestId,
    /// The contact.
    pub contact: ContactId,
    /// In which language the person is written to.
    pub language: String,
}

/// The next erasure for which no hold stands any more, locked for this transaction; not one that waits for its next try.
pub async fn take_resumable(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    today: NaiveDate,
    now: DateTime<Utc>,
) -> Result<Option<Postponed>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT request_id, contact_id AS "contact_id!", language
           FROM dsrd.postponed_erasure AS erasure
           WHERE organisation_id = $1
             AND resumed_at IS NULL
             AND (again_at IS NULL OR again_at <= $3)
             AND NOT EXISTS (SELECT
                             FROM dsrd.postponed_by AS held
                             JOIN dsrd.hold USING (organisation_id, hold_id)
                             WHERE held.organisation_id = erasure.organisation_id
                               AND held.request_id = erasure.request_id
                               AND hold.ended_at IS NULL
                               AND (held.held_until IS NULL OR held.held_until >= $2))
           ORDER BY postponed_at, request_id
           LIMIT 1
           FOR UPDATE SKIP LOCKED"#,
        organisation.as_str(),
        today,
        now,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("holds.take_resumable"))?;
    row.map(|row| {
        Ok(Postponed {
            request: RequestId(row.request_id),
            contact: row.contact_id.parse().map_err(|_| {
                StoreError::unreadable("holds.take_resumable", "postponed_erasure.contact_id")
            })?,
            language: row.language,
        })
    })
    .transpose()
}

/// Notes that the rest of an erasure could not be handed in, and why: it is tried again after a minute, and later each time, up to an
/// hour.
pub async fn put_rest_back(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    code: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.postponed_erasure
           SET tries = least(tries, 1000) + 1, last_code = $3,
               again_at = $4::timestamptz + make_interval(mins => least(60, (2 ^ least(tries, 6))::integer))
           WHERE organisation_id = $1 AND request_id = $2 AND resumed_at IS NULL"#,
        organisation.as_str(),
        request.0,
        code,
        now,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("holds.put_rest_back"))
}

/// Notes the request by which the rest of an erasure follows.
pub async fn note_resumed(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    second: RequestId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let noted = sqlx::query!(
        r#"UPDATE dsrd.postponed_erasure
           SET contact_id = NULL, resumed_at = $3, second_request_id = $4
           WHERE organisation_id = $1 AND request_id = $2 AND resumed_at IS NULL"#,
        organisation.as_str(),
        request.0,
        at,
        second.0,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("holds.note_resumed"))?;
    StoreError::expect_rows("holds.note_resumed", 1, noted.rows_affected())
}

/// The first stage of an erasure that a hold had postponed.
#[derive(Clone, Debug)]
pub struct FirstStage {
    /// Its request.
    pub request: RequestId,
    /// The policies that it had seen off, where that is known.
    pub policies: Option<Vec<String>>,
}

/// The first stage of an erasure of which a request is the second; none where it is none.
pub async fn first_stage_of(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    second: RequestId,
) -> Result<Option<FirstStage>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT request_id, policies FROM dsrd.postponed_erasure
           WHERE organisation_id = $1 AND second_request_id = $2"#,
        organisation.as_str(),
        second.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("holds.first_stage_of"))?;
    Ok(row.map(|row| FirstStage { request: RequestId(row.request_id), policies: row.policies }))
}

/// The references of the erasures that wait for a hold, each with the last day for its contact.
pub async fn postponed_by(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    hold: HoldId,
) -> Result<Vec<(String, Option<NaiveDate>)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT held.request_id, held.held_until
           FROM dsrd.postponed_by AS held
           JOIN dsrd.postponed_erasure AS erasure USING (organisation_id, request_id)
           WHERE held.organisation_id = $1 AND held.hold_id = $2 AND erasure.resumed_at IS NULL
           ORDER BY held.held_until, held.request_id"#,
        organisation.as_str(),
        hold.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.postponed_by"))?;
    let reference = |request| Reference::of(RequestId(request)).as_str().to_owned();
    Ok(rows.into_iter().map(|row| (reference(row.request_id), row.held_until)).collect())
}

/// Cuts holds from requests that are deleted: whom they are about stands in keyed pseudonyms of their own.
pub async fn forget_requests(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        "UPDATE dsrd.hold SET request_id = NULL, lift_notice_id = NULL WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("holds.forget_requests"))
}
