//! Holds: placed, and looked for.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::domain::{OrganisationId, RequestId, SubjectRef, zone_bounds};
use crate::holds::order::{About, NewHold};
use crate::holds::{EndRule, Ended, Hold, HoldId};
use crate::store::{PgConnection, StoreError};

/// A row of `dsrd.hold`.
pub(super) struct Row {
    pub(super) hold_id: Uuid,
    pub(super) reference: String,
    pub(super) kind: String,
    pub(super) category: String,
    pub(super) ground: String,
    pub(super) statute: Option<String>,
    pub(super) matter: Option<String>,
    pub(super) owner: String,
    pub(super) scope: String,
    pub(super) created_from: Option<DateTime<Utc>>,
    pub(super) created_before: Option<DateTime<Utc>>,
    pub(super) ends_on: Option<NaiveDate>,
    pub(super) months_after_last: Option<i16>,
    pub(super) review_on: NaiveDate,
    pub(super) placed_by: String,
    pub(super) placed_at: DateTime<Utc>,
    pub(super) ended_at: Option<DateTime<Utc>>,
    pub(super) ended_by: Option<String>,
    pub(super) end_reason: Option<String>,
}

pub(super) fn hold_of(row: Row) -> Result<Hold, StoreError> {
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

pub(super) fn all(rows: Vec<Row>) -> Result<Vec<Hold>, StoreError> {
    rows.into_iter().map(hold_of).collect()
}

pub(super) fn bytes(references: &[SubjectRef]) -> Vec<Vec<u8>> {
    references.iter().map(|each| each.as_bytes().to_vec()).collect()
}

/// Keeps holds of an organisation from being placed until the end of the transaction: a deletion that is announced in it
/// has seen every hold, or is seen by whoever places one. Returns what time it is for the server, by which whoever
/// announces it tells whether its own day can be believed (F-48): a round trip of its own would cost each deletion one.
pub async fn lock_for_deletion(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<DateTime<Utc>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT clock_timestamp() AS "now!"
           FROM pg_advisory_xact_lock_shared(hashtextextended('dsrd.holds.' || $1, 0))"#,
        organisation.as_str()
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("holds.lock_for_deletion"))
}

/// Waits for the announcements of deletions under way, and keeps others out until the end of the transaction.
pub(in crate::holds) async fn lock_for_placing(
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

pub(in crate::holds) async fn insert(
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
             scope, created_from, created_before, ends_on, months_after_last, review_on, placed_by, placed_at, request_id,
             contact_sought_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)"#,
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
        (!new.contacts.is_empty()).then_some(at),
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("holds.insert"))?;
    if let About::Person(references) = &new.about {
        sqlx::query!(
            r#"INSERT INTO dsrd.hold_subject (organisation_id, hold_id, subject_ref, is_contact)
               SELECT $1, $2, subject_ref, subject_ref = ANY ($4)
               FROM unnest($3::bytea[]) AS given (subject_ref)
               ON CONFLICT DO NOTHING"#,
            organisation.as_str(),
            id.0,
            &bytes(references),
            &bytes(&new.contacts),
        )
        .execute(connection)
        .await
        .map_err(StoreError::during("holds.insert"))?;
    }
    Ok(())
}

/// The references of open erasures whose deletion was announced to the platform and may have happened: of a person, or of
/// everybody. An announcement that was taken back, because it certainly did not happen, looks for holds once more.
pub(in crate::holds) async fn begun_deletions(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    references: Option<&[SubjectRef]>,
) -> Result<Vec<String>, StoreError> {
    let references = references.map(bytes);
    sqlx::query_scalar!(
        r#"SELECT request.reference
           FROM dsrd.request AS request
           JOIN dsrd.checkpoint AS step USING (organisation_id, request_id)
           WHERE request.organisation_id = $1
             AND request.state <> 'closed'
             AND step.step = 'delete'
             AND (step.intent IS NOT NULL OR step.finished_at IS NOT NULL)
             AND ($2::bytea[] IS NULL
                  OR EXISTS (SELECT FROM dsrd.identifier AS identifier
                             WHERE identifier.organisation_id = request.organisation_id
                               AND identifier.request_id = request.request_id
                               AND identifier.subject_ref = ANY ($2)))
           ORDER BY request.reference"#,
        organisation.as_str(),
        references.as_deref() as Option<&[Vec<u8>]>,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.begun_deletions"))
}

/// The holds that may stand against the deletion of one contact, the strongest first: those about one of the pseudonyms,
/// and those about all contacts created in a span. Where it is not known when the contact was created, every span counts; where
/// it is, those that hold any instant that may be meant: the platform's local times may carry a false zone.
/// Whether the months after the last record have passed is for the caller to find out.
pub async fn in_force(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    references: &[SubjectRef],
    created: Option<DateTime<Utc>>,
    today: NaiveDate,
) -> Result<Vec<Hold>, StoreError> {
    let (earliest, latest) = created.map(zone_bounds).unzip();
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
                    AND ($5::timestamptz IS NULL OR created_before IS NULL OR $5 < created_before)
                  OR EXISTS (SELECT FROM dsrd.hold_subject AS subject
                             WHERE subject.organisation_id = hold.organisation_id
                               AND subject.hold_id = hold.hold_id
                               AND subject.subject_ref = ANY ($2)))
           ORDER BY array_position(ARRAY['court', 'claim', 'statutory', 'restriction'], kind), placed_at, hold_id"#,
        organisation.as_str(),
        &bytes(references),
        latest,
        today,
        earliest,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.in_force"))?;
    all(rows)
}

/// Which of the contacts given (pseudonym and creation) a sweep has to leave alone: the place in the list, and whether
/// more than a restriction stands; by every instant of creation that may be meant, as [`in_force`]. Holds that count from a last
/// record count where an earlier look has told their last day ([`note_last_days`](super::note_last_days)); otherwise they are
/// left to the look before the deletion.
pub async fn held_among(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    contacts: &[(SubjectRef, DateTime<Utc>)],
    today: NaiveDate,
) -> Result<Vec<(usize, bool)>, StoreError> {
    let references: Vec<Vec<u8>> = contacts.iter().map(|(each, _)| each.as_bytes().to_vec()).collect();
    let (earliest, latest): (Vec<DateTime<Utc>>, Vec<DateTime<Utc>>) =
        contacts.iter().map(|(_, created)| zone_bounds(*created)).unzip();
    let rows = sqlx::query!(
        r#"SELECT given.place AS "place!", bool_or(hold.kind <> 'restriction') AS "more_than_restricted!"
           FROM unnest($2::bytea[], $3::timestamptz[], $5::timestamptz[]) WITH ORDINALITY
                  AS given (subject_ref, latest, earliest, place)
           JOIN LATERAL (
             SELECT hold.kind
             FROM dsrd.hold
             WHERE hold.organisation_id = $1
               AND hold.scope = 'query'
               AND hold.months_after_last IS NULL
               AND hold.ended_at IS NULL
               AND (hold.ends_on IS NULL OR hold.ends_on >= $4)
               AND (hold.created_from IS NULL OR given.latest >= hold.created_from)
               AND (hold.created_before IS NULL OR given.earliest < hold.created_before)
             UNION ALL
             SELECT hold.kind
             FROM dsrd.hold_subject AS subject
             JOIN dsrd.hold USING (organisation_id, hold_id)
             WHERE subject.organisation_id = $1
               AND subject.subject_ref = given.subject_ref
               AND hold.months_after_last IS NULL
               AND hold.ended_at IS NULL
               AND (hold.ends_on IS NULL OR hold.ends_on >= $4)
             UNION ALL
             SELECT hold.kind
             FROM dsrd.hold_until AS known
             JOIN dsrd.hold USING (organisation_id, hold_id)
             WHERE known.organisation_id = $1
               AND known.subject_ref = given.subject_ref
               AND known.held_until >= $4
               AND hold.ended_at IS NULL) AS hold ON true
           GROUP BY given.place"#,
        organisation.as_str(),
        &references,
        &latest,
        today,
        &earliest,
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

pub(in crate::holds) async fn lock_by_reference(
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
