//! Tables `dsrd.hold`, `dsrd.hold_subject`, `dsrd.postponed_erasure` and `dsrd.postponed_by`.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::order::{About, NewHold};
use super::{EndRule, Ended, Hold, HoldId};
use crate::domain::{ContactId, OrganisationId, Reference, RequestId, SubjectRef};
use crate::store::StoreError;

/// A row of `dsrd.hold`.
struct Row {
    hold_id: Uuid,
    reference: String,
    kind: String,
    category: String,
    ground: String,
    statute: Option<String>,
    matter: Option<String>,
    owner: String,
    scope: String,
    created_from: Option<DateTime<Utc>>,
    created_before: Option<DateTime<Utc>>,
    ends_on: Option<NaiveDate>,
    months_after_last: Option<i16>,
    review_on: NaiveDate,
    placed_by: String,
    placed_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    ended_by: Option<String>,
    end_reason: Option<String>,
}

fn hold_of(row: Row) -> Result<Hold, StoreError> {
    let unreadable = |column: &str| StoreError::unreadable("holds.read", format!("hold.{column}"));
    let ends = match (row.ends_on, row.months_after_last) {
        (Some(last), _) => EndRule::On(last),
        (None, Some(months)) => {
            EndRule::MonthsAfterLast(u8::try_from(months).map_err(|_| unreadable("months_after_last"))?)
        }
        (None, None) => EndRule::WhenLifted,
    };
    let ended = match (row.ended_at, row.ended_by, row.end_reason) {
        (Some(at), Some(by), Some(reason)) => Some(Ended { at, by, reason }),
        _ => None,
    };
    Ok(Hold {
        id: HoldId(row.hold_id),
        reference: row.reference,
        kind: row.kind.parse().map_err(|_| unreadable("kind"))?,
        category: row.category.parse().map_err(|_| unreadable("category"))?,
        ground: row.ground,
        statute: row.statute.map(|word| word.parse()).transpose().map_err(|_| unreadable("statute"))?,
        matter: row.matter,
        owner: row.owner,
        about_persons: row.scope == "person",
        created_from: row.created_from,
        created_before: row.created_before,
        ends,
        review_on: row.review_on,
        placed_by: row.placed_by,
        placed_at: row.placed_at,
        ended,
    })
}

fn all(rows: Vec<Row>) -> Result<Vec<Hold>, StoreError> {
    rows.into_iter().map(hold_of).collect()
}

fn bytes(references: &[SubjectRef]) -> Vec<Vec<u8>> {
    references.iter().map(|each| each.as_bytes().to_vec()).collect()
}

/// Keeps holds of an organisation from being placed until the end of the transaction: a deletion that is announced in it
/// has seen every hold, or is seen by whoever places one.
pub async fn lock_for_deletion(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock_shared(hashtextextended('dsrd.holds.' || $1, 0))",
        organisation.as_str()
    )
    .fetch_one(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("holds.lock_for_deletion"))
}

/// Waits for the announcements of deletions under way, and keeps others out until the end of the transaction.
pub(super) async fn lock_for_placing(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('dsrd.holds.' || $1, 0))",
        organisation.as_str()
    )
    .fetch_one(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("holds.lock_for_placing"))
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    id: HoldId,
    new: &NewHold,
    ground: &str,
    review_on: NaiveDate,
    (by, at): (&str, DateTime<Utc>),
) -> Result<(), StoreError> {
    let (ends_on, months) = match new.ends {
        EndRule::On(last) => (Some(last), None),
        EndRule::MonthsAfterLast(months) => (None, Some(i16::from(months))),
        EndRule::WhenLifted => (None, None),
    };
    let (scope, created_from, created_before) = match &new.about {
        About::Person(_) => ("person", None, None),
        About::Contacts { created_from, created_before } => ("query", *created_from, *created_before),
    };
    sqlx::query!(
        r#"INSERT INTO dsrd.hold (organisation_id, hold_id, reference, kind, category, ground, statute, matter, owner,
             scope, created_from, created_before, ends_on, months_after_last, review_on, placed_by, placed_at, request_id)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"#,
        organisation.as_str(),
        id.0,
        id.reference(),
        new.kind.as_str(),
        new.category.as_str(),
        ground,
        new.statute.map(crate::domain::Statute::as_str),
        new.matter,
        new.owner,
        scope,
        created_from,
        created_before,
        ends_on,
        months,
        review_on,
        by,
        at,
        new.request.map(|request| request.0),
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("holds.insert"))?;
    if let About::Person(references) = &new.about {
        sqlx::query!(
            r#"INSERT INTO dsrd.hold_subject (organisation_id, hold_id, subject_ref)
               SELECT $1, $2, subject_ref
               FROM unnest($3::bytea[]) AS given (subject_ref)
               ON CONFLICT DO NOTHING"#,
            organisation.as_str(),
            id.0,
            &bytes(references),
        )
        .execute(connection)
        .await
        .map_err(StoreError::during("holds.insert"))?;
    }
    Ok(())
}

/// The references of open erasures of a person whose deletion was announced to the platform.
pub(super) async fn begun_deletions(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    references: &[SubjectRef],
) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT request.reference
           FROM dsrd.request AS request
           JOIN dsrd.checkpoint AS step USING (organisation_id, request_id)
           WHERE request.organisation_id = $1
             AND request.state <> 'closed'
             AND step.step = 'delete'
             AND EXISTS (SELECT FROM dsrd.identifier AS identifier
                         WHERE identifier.organisation_id = request.organisation_id
                           AND identifier.request_id = request.request_id
                           AND identifier.subject_ref = ANY ($2))
           ORDER BY request.reference"#,
        organisation.as_str(),
        &bytes(references),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.begun_deletions"))
}

/// The holds that may stand against the deletion of one contact, the strongest first: those about one of the pseudonyms,
/// and those about all contacts created in a span. Where it is not known when the contact was created, every span counts.
/// Whether the months after the last record have passed is for the caller to find out.
pub async fn in_force(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    references: &[SubjectRef],
    created: Option<DateTime<Utc>>,
    today: NaiveDate,
) -> Result<Vec<Hold>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT hold_id, reference, kind, category, ground, statute, matter, owner, scope, created_from, created_before,
                  ends_on, months_after_last, review_on, placed_by, placed_at, ended_at, ended_by, end_reason
           FROM dsrd.hold
           WHERE organisation_id = $1
             AND ended_at IS NULL
             AND (ends_on IS NULL OR ends_on >= $4)
             AND (scope = 'query'
                    AND ($3::timestamptz IS NULL OR created_from IS NULL OR $3 >= created_from)
                    AND ($3::timestamptz IS NULL OR created_before IS NULL OR $3 < created_before)
                  OR EXISTS (SELECT FROM dsrd.hold_subject AS subject
                             WHERE subject.organisation_id = hold.organisation_id
                               AND subject.hold_id = hold.hold_id
                               AND subject.subject_ref = ANY ($2)))
           ORDER BY array_position(ARRAY['court', 'claim', 'statutory', 'restriction'], kind), placed_at, hold_id"#,
        organisation.as_str(),
        &bytes(references),
        created,
        today,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.in_force"))?;
    all(rows)
}

/// Which of the contacts given (pseudonym and creation) a sweep has to leave alone: the place in the list, and whether
/// more than a restriction stands. Holds that count from a last record are left to the look before the deletion.
pub async fn held_among(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    contacts: &[(SubjectRef, DateTime<Utc>)],
    today: NaiveDate,
) -> Result<Vec<(usize, bool)>, StoreError> {
    let references: Vec<Vec<u8>> = contacts.iter().map(|(each, _)| each.as_bytes().to_vec()).collect();
    let created: Vec<DateTime<Utc>> = contacts.iter().map(|(_, created)| *created).collect();
    let rows = sqlx::query!(
        r#"SELECT given.place AS "place!", bool_or(hold.kind <> 'restriction') AS "more_than_restricted!"
           FROM unnest($2::bytea[], $3::timestamptz[]) WITH ORDINALITY AS given (subject_ref, created_at, place)
           JOIN dsrd.hold AS hold
             ON hold.organisation_id = $1
            AND hold.ended_at IS NULL
            AND hold.months_after_last IS NULL
            AND (hold.ends_on IS NULL OR hold.ends_on >= $4)
            AND (hold.scope = 'query'
                   AND (hold.created_from IS NULL OR given.created_at >= hold.created_from)
                   AND (hold.created_before IS NULL OR given.created_at < hold.created_before)
                 OR EXISTS (SELECT FROM dsrd.hold_subject AS subject
                            WHERE subject.organisation_id = hold.organisation_id
                              AND subject.hold_id = hold.hold_id
                              AND subject.subject_ref = given.subject_ref))
           GROUP BY given.place"#,
        organisation.as_str(),
        &references,
        &created,
        today,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.held_among"))?;
    let place = |number: i64| usize::try_from(number - 1).unwrap_or(usize::MAX);
    Ok(rows.into_iter().map(|row| (place(row.place), row.more_than_restricted)).collect())
}

/// Lists the holds of an organisation, the next review first; with `ended` also those that have ended.
pub async fn list(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    ended: bool,
) -> Result<Vec<Hold>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT hold_id, reference, kind, category, ground, statute, matter, owner, scope, created_from, created_before,
                  ends_on, months_after_last, review_on, placed_by, placed_at, ended_at, ended_by, end_reason
           FROM dsrd.hold
           WHERE organisation_id = $1 AND ($2 OR ended_at IS NULL)
           ORDER BY ended_at NULLS FIRST, review_on, placed_at, hold_id"#,
        organisation.as_str(),
        ended,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.list"))?;
    all(rows)
}

/// A hold by what people quote.
pub async fn find_by_reference(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    reference: &str,
) -> Result<Option<Hold>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT hold_id, reference, kind, category, ground, statute, matter, owner, scope, created_from, created_before,
                  ends_on, months_after_last, review_on, placed_by, placed_at, ended_at, ended_by, end_reason
           FROM dsrd.hold
           WHERE organisation_id = $1 AND reference = $2"#,
        organisation.as_str(),
        reference,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("holds.find_by_reference"))?;
    row.map(hold_of).transpose()
}

pub(super) async fn lock_by_reference(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    reference: &str,
) -> Result<Option<Hold>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT hold_id, reference, kind, category, ground, statute, matter, owner, scope, created_from, created_before,
                  ends_on, months_after_last, review_on, placed_by, placed_at, ended_at, ended_by, end_reason
           FROM dsrd.hold
           WHERE organisation_id = $1 AND reference = $2
           FOR UPDATE"#,
        organisation.as_str(),
        reference,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("holds.lock_by_reference"))?;
    row.map(hold_of).transpose()
}

pub(super) async fn list_placed_by(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    by: &str,
) -> Result<Vec<Hold>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT hold_id, reference, kind, category, ground, statute, matter, owner, scope, created_from, created_before,
                  ends_on, months_after_last, review_on, placed_by, placed_at, ended_at, ended_by, end_reason
           FROM dsrd.hold
           WHERE organisation_id = $1 AND placed_by = $2 AND ended_at IS NULL"#,
        organisation.as_str(),
        by,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.list_placed_by"))?;
    all(rows)
}

pub(super) async fn set_review(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    id: HoldId,
    next: NaiveDate,
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.hold
           SET review_on = $3
           WHERE organisation_id = $1 AND hold_id = $2 AND ended_at IS NULL"#,
        organisation.as_str(),
        id.0,
        next,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("holds.set_review"))?;
    StoreError::expect_rows("holds.set_review", 1, changed.rows_affected())
}

pub(super) async fn set_ended(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    id: HoldId,
    reason: &str,
    (by, at): (&str, DateTime<Utc>),
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.hold
           SET ended_at = $3, ended_by = $4, end_reason = $5
           WHERE organisation_id = $1 AND hold_id = $2 AND ended_at IS NULL"#,
        organisation.as_str(),
        id.0,
        at,
        by,
        reason,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("holds.set_ended"))?;
    StoreError::expect_rows("holds.set_ended", 1, changed.rows_affected())
}

/// Holds whose last day lies before today, locked for this transaction.
pub(super) async fn take_expired(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    today: NaiveDate,
) -> Result<Vec<Hold>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT hold_id, reference, kind, category, ground, statute, matter, owner, scope, created_from, created_before,
                  ends_on, months_after_last, review_on, placed_by, placed_at, ended_at, ended_by, end_reason
           FROM dsrd.hold
           WHERE organisation_id = $1 AND ended_at IS NULL AND ends_on < $2
           ORDER BY ends_on, hold_id
           FOR UPDATE SKIP LOCKED"#,
        organisation.as_str(),
        today,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.take_expired"))?;
    all(rows)
}

/// Holds with a date of review up to `until` that was not reminded of, locked for this transaction.
pub(super) async fn take_due_for_review(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    until: NaiveDate,
) -> Result<Vec<Hold>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT hold_id, reference, kind, category, ground, statute, matter, owner, scope, created_from, created_before,
                  ends_on, months_after_last, review_on, placed_by, placed_at, ended_at, ended_by, end_reason
           FROM dsrd.hold
           WHERE organisation_id = $1 AND ended_at IS NULL AND review_on <= $2
             AND reminded_on IS DISTINCT FROM review_on
           ORDER BY review_on, hold_id
           FOR UPDATE SKIP LOCKED"#,
        organisation.as_str(),
        until,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.take_due_for_review"))?;
    all(rows)
}

pub(super) async fn set_reminded(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    id: HoldId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE dsrd.hold SET reminded_on = review_on, reminded_at = $3 WHERE organisation_id = $1 AND hold_id = $2",
        organisation.as_str(),
        id.0,
        at,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("holds.set_reminded"))
}

/// The pseudonyms of every identifier of a request, also of those that were forgotten.
pub async fn references_of(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<SubjectRef>, StoreError> {
    let rows = sqlx::query_scalar!(
        "SELECT DISTINCT subject_ref FROM dsrd.identifier WHERE organisation_id = $1 AND request_id = $2",
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.references_of"))?;
    rows.into_iter()
        .map(|stored| {
            SubjectRef::from_stored(&stored)
                .ok_or_else(|| StoreError::unreadable("holds.references_of", "identifier.subject_ref"))
        })
        .collect()
}

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
    /// The holds, each with its last day for this contact, where one is known.
    pub holds: &'a [(HoldId, Option<NaiveDate>)],
    /// When.
    pub at: DateTime<Utc>,
}

/// Remembers that the rest of an erasure follows when no hold stands any more.
pub async fn postpone(connection: &mut PgConnection, erasure: &Postponement<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.postponed_erasure (organisation_id, request_id, contact_id, language, postponed_at)
           VALUES ($1, $2, $3, $4, $5)"#,
        erasure.organisation.as_str(),
        erasure.request.0,
        erasure.contact.as_str(),
        erasure.language,
        erasure.at,
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

/// The next erasure for which no hold stands any more, locked for this transaction.
pub async fn take_resumable(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    today: NaiveDate,
) -> Result<Option<Postponed>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT request_id, contact_id AS "contact_id!", language
           FROM dsrd.postponed_erasure AS erasure
           WHERE organisation_id = $1
             AND resumed_at IS NULL
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

/// Whether a request is the second stage of an erasure that a hold had postponed.
pub async fn is_second_stage(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dsrd.postponed_erasure
                          WHERE organisation_id = $1 AND second_request_id = $2) AS "is_second_stage!""#,
        organisation.as_str(),
        request.0,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("holds.is_second_stage"))
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

/// How far the end of a restriction is.
pub struct RestrictionEnd {
    /// The request by which the person was named.
    pub request: Option<RequestId>,
    /// On which day it ends, as the person was told.
    pub lift_on: Option<NaiveDate>,
    /// Whether the person was told: the mail server took the notice and it did not come back, or a person told them.
    pub told: bool,
}

/// How far the end of a hold is, which matters for restrictions.
pub async fn restriction_end(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    hold: HoldId,
) -> Result<RestrictionEnd, StoreError> {
    let row = sqlx::query!(
        r#"SELECT hold.request_id, hold.lift_on,
                  (hold.told_otherwise_at IS NOT NULL
                   OR EXISTS (SELECT FROM dsrd.notice
                              WHERE notice.organisation_id = hold.organisation_id
                                AND notice.notice_id = hold.lift_notice_id
                                AND (notice.made_good_at IS NOT NULL
                                     OR (notice.state = 'sent' AND notice.bounced_at IS NULL)))) AS "told!"
           FROM dsrd.hold
           WHERE hold.organisation_id = $1 AND hold.hold_id = $2"#,
        organisation.as_str(),
        hold.0,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("holds.restriction_end"))?;
    Ok(RestrictionEnd { request: row.request_id.map(RequestId), lift_on: row.lift_on, told: row.told })
}

/// The reference of the open restriction that answers a request.
pub async fn restriction_of(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT reference
           FROM dsrd.hold
           WHERE organisation_id = $1 AND request_id = $2 AND kind = 'restriction' AND ended_at IS NULL"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("holds.restriction_of"))
}

/// Open objections of people to which no restriction was ever placed.
pub(super) async fn unrestricted_objections(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<RequestId>, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT request_id
           FROM dsrd.request AS request
           WHERE organisation_id = $1 AND kind = 'objection' AND origin = 'subject' AND state <> 'closed'
             AND NOT EXISTS (SELECT FROM dsrd.hold
                             WHERE hold.organisation_id = request.organisation_id
                               AND hold.request_id = request.request_id AND hold.kind = 'restriction')
           ORDER BY received_at, request_id
           LIMIT 100"#,
        organisation.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.unrestricted_objections"))?;
    Ok(found.into_iter().map(RequestId).collect())
}

/// Notes when a restriction ends and which notice tells the person; without one they were told by other means.
pub(super) async fn set_end_announced(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    hold: HoldId,
    on: NaiveDate,
    notice: Option<Uuid>,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.hold
           SET lift_on = $3, lift_notice_id = $4, told_otherwise_at = CASE WHEN $4::uuid IS NULL THEN $5::timestamptz END
           WHERE organisation_id = $1 AND hold_id = $2 AND ended_at IS NULL"#,
        organisation.as_str(),
        hold.0,
        on,
        notice,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("holds.set_end_announced"))?;
    StoreError::expect_rows("holds.set_end_announced", 1, changed.rows_affected())
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

/// Deletes postponed erasures that were resumed, and holds that ended, before an instant; returns how many holds.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    sqlx::query!(
        r#"DELETE FROM dsrd.postponed_by AS held
           USING dsrd.postponed_erasure AS erasure
           WHERE held.organisation_id = $1
             AND erasure.organisation_id = held.organisation_id
             AND erasure.request_id = held.request_id
             AND erasure.resumed_at < $2"#,
        organisation.as_str(),
        before,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("holds.purge"))?;
    sqlx::query!(
        "DELETE FROM dsrd.postponed_erasure WHERE organisation_id = $1 AND resumed_at < $2",
        organisation.as_str(),
        before,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("holds.purge"))?;
    sqlx::query!(
        r#"DELETE FROM dsrd.hold_subject AS subject
           USING dsrd.hold AS hold
           WHERE subject.organisation_id = $1
             AND hold.organisation_id = subject.organisation_id
             AND hold.hold_id = subject.hold_id
             AND hold.ended_at < $2"#,
        organisation.as_str(),
        before,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("holds.purge"))?;
    let deleted = sqlx::query!(
        r#"DELETE FROM dsrd.hold AS hold
           WHERE organisation_id = $1
             AND ended_at < $2
             AND NOT EXISTS (SELECT FROM dsrd.postponed_by AS held
                             WHERE held.organisation_id = hold.organisation_id AND held.hold_id = hold.hold_id)"#,
        organisation.as_str(),
        before,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("holds.purge"))?;
    Ok(deleted.rows_affected())
}
