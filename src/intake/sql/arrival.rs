//! A case that arrives, and what is known of the same person already.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::domain::deadline::DueDates;
use crate::domain::{
    DataCategory, ErasureGround, Follows, OrganisationId, Origin, Outcome, ParkReason, Proof, Reference,
    RequestId, RequestKind, RequestState, RequesterRole, SubjectRef,
};
use crate::intake::submission::{Receipt, Submission};
use crate::store::{PgConnection, StoreError};

pub(in crate::intake) struct NewCase<'a> {
    pub(in crate::intake) organisation: &'a OrganisationId,
    pub(in crate::intake) request: RequestId,
    pub(in crate::intake) reference: &'a Reference,
    pub(in crate::intake) kind: RequestKind,
    pub(in crate::intake) sibling_no: i16,
    pub(in crate::intake) language: &'a str,
    pub(in crate::intake) policies: &'a [String],
    pub(in crate::intake) dates: DueDates,
    pub(in crate::intake) inserted_at: DateTime<Utc>,
    pub(in crate::intake) submission: &'a Submission,
    /// Why it waits for a person from the beginning.
    pub(in crate::intake) waits: Option<ParkReason>,
    /// The open request of which it is a reminder: it is closed from the beginning.
    pub(in crate::intake) reminds_of: Option<RequestId>,
    /// For an erasure: on which ground, where one is known.
    pub(in crate::intake) ground: Option<ErasureGround>,
    /// To which categories of data that ground applies.
    pub(in crate::intake) categories: &'a [DataCategory],
}

pub(in crate::intake) async fn insert_request(
    connection: &mut PgConnection,
    case: &NewCase<'_>,
) -> Result<(), StoreError> {
    let target = case.submission.sweep_target.as_ref();
    let waits = if case.reminds_of.is_some() { None } else { case.waits };
    let (state, outcome) = match (case.reminds_of, waits) {
        (Some(_), _) => (RequestState::Closed, Some(Outcome::Superseded)),
        (None, Some(_)) => (RequestState::Manual, None),
        (None, None) => (RequestState::Received, None),
    };
    let categories: Vec<&str> = case.categories.iter().map(|each| each.as_str()).collect();
    sqlx::query!(
        r#"INSERT INTO dsrd.request (organisation_id, request_id, reference, kind, origin, channel, language, policies,
             producer, idempotency_key, received_at, inserted_at, due_on, statutory_due_on, state, contact_id,
             created_before, park_reason, outcome, closed_at, reminds_of, sibling_no, requester_role, assurance, assured_at,
             erasure_ground, erasure_categories, policies_named, language_named)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
             $23, $24, $25, $26, $27, $28, $29)"#,
        case.organisation.as_str(),
        case.request.0,
        case.reference.as_str(),
        case.kind.as_str(),
        case.submission.origin.as_str(),
        case.submission.channel.as_str(),
        case.language,
        case.policies,
        case.submission.producer,
        case.submission.idempotency_key,
        case.submission.received_at,
        case.inserted_at,
        case.dates.conservative,
        case.dates.statutory,
        state.as_str(),
        target.map(|(contact, _)| contact.as_str()),
        // Of the second stage of an erasure only the contact counts.
        target.filter(|_| case.submission.origin == Origin::Retention).map(|(_, created_before)| *created_before),
        waits.map(ParkReason::as_str),
        outcome.map(Outcome::as_str),
        case.reminds_of.map(|_| case.inserted_at),
        case.reminds_of.map(|first| first.0),
        case.sibling_no,
        case.submission.requester_role.as_str(),
        case.submission.assurance().as_str(),
        case.submission.proven().map(|proof| proof.at),
        case.ground.map(ErasureGround::as_str),
        &categories as &[&str],
        !case.policies.is_empty() && !case.submission.policies.is_empty(),
        case.submission.language.is_some(),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.insert_request"))?;
    Ok(())
}

pub(in crate::intake) async fn insert_following(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    follows: Follows,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.following (organisation_id, request_id, former_id, received_on, because)
           VALUES ($1, $2, $3, $4, $5)"#,
        organisation.as_str(),
        request.0,
        follows.request.0,
        follows.received_on,
        follows.because.as_str(),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.insert_following"))?;
    Ok(())
}

/// The receipts of the requests that a key had been handed in for before, in their order, as they were given at first: that
/// one turned out to be a reminder later, the receipt does not tell (S-5).
pub(in crate::intake) async fn find_by_key(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    producer: &str,
    idempotency_key: &str,
) -> Result<Vec<Receipt>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT request_id, kind, due_on, CASE WHEN procedure_version IS NULL THEN reminds_of END AS reminds_of
           FROM dsrd.request
           WHERE organisation_id = $1 AND producer = $2 AND idempotency_key = $3
           ORDER BY sibling_no"#,
        organisation.as_str(),
        producer,
        idempotency_key,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.find_by_key"))?;
    rows.into_iter()
        .map(|row| {
            let request = RequestId(row.request_id);
            let kind = row.kind.parse();
            Ok(Receipt {
                request,
                kind: kind.map_err(|_| StoreError::unreadable("intake.find_by_key", "request.kind"))?,
                reference: Reference::of(request),
                due_on: row.due_on,
                repeated: true,
                reminds_of: row.reminds_of.map(|first| Reference::of(RequestId(first))),
                also: Vec::new(),
            })
        })
        .collect()
}

/// What a reminder looks for.
pub(in crate::intake) struct Sought<'a> {
    pub(in crate::intake) kind: RequestKind,
    pub(in crate::intake) role: RequesterRole,
    pub(in crate::intake) policies: &'a [String],
    /// On which ground it erases, where it does: another ground is another request.
    pub(in crate::intake) ground: Option<ErasureGround>,
    pub(in crate::intake) references: &'a [SubjectRef],
    pub(in crate::intake) from: DateTime<Utc>,
    pub(in crate::intake) until: DateTime<Utc>,
    /// Producer and key of the message that looks.
    pub(in crate::intake) message: (&'a str, &'a str),
}

/// An open request of which another one is a reminder.
pub(in crate::intake) struct First {
    pub(in crate::intake) request: RequestId,
    pub(in crate::intake) due_on: NaiveDate,
    pub(in crate::intake) statutory_due_on: Option<NaiveDate>,
    /// How it is known who asks in it.
    pub(in crate::intake) proof: Option<Proof>,
}

/// The first open request of the same person, kind and scope within a time of receipt, locked against its end. The same
/// person is whoever is named by exactly the same identifiers: one telephone number may be shared, and a request that is
/// taken for a reminder by mistake would be lost, while a reminder that is not recognised is merely answered twice.
///
/// What was carried out, decided, stands against a newer will, or ended its wait for a proof without one is open only until somebody
/// is told of it: the person asks anew, and the first would do nothing more for them. Where a person chose which contact is meant, the
/// same identifiers may be handed in for another contact of theirs; that it is the same one after all is seen when it is chosen again.
pub(in crate::intake) async fn find_first(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sought: &Sought<'_>,
) -> Result<Option<First>, StoreError> {
    let references: Vec<Vec<u8>> = sought.references.iter().map(|each| each.as_bytes().to_vec()).collect();
    let row = sqlx::query!(
        r#"SELECT request_id, due_on, statutory_due_on, assurance, assured_at
           FROM dsrd.request AS first
           WHERE organisation_id = $1 AND kind = $2 AND requester_role = $3 AND origin = 'subject'
             AND state <> 'closed' AND park_reason IS DISTINCT FROM 'newer_will'
             AND executed_at IS NULL AND verified_at IS NULL
             AND NOT EXISTS (SELECT FROM dsrd.decision
                             WHERE decision.organisation_id = first.organisation_id
                               AND decision.request_id = first.request_id
                               AND decision.kind IN ('answer', 'refusal', 'choice'))
             AND NOT EXISTS (SELECT FROM dsrd.checkpoint AS step
                             WHERE step.organisation_id = first.organisation_id AND step.request_id = first.request_id
                               AND step.step = 'unproven' AND step.finished_at IS NOT NULL)
             AND received_at BETWEEN $4 AND $5
             AND policies @> $6
             AND erasure_ground IS NOT DISTINCT FROM $10
             AND (producer, idempotency_key) <> ($7, $8)
             AND request_id IN (SELECT request_id FROM dsrd.identifier
                                WHERE organisation_id = $1 AND subject_ref = ANY ($9))
             AND NOT EXISTS (
               SELECT FROM unnest($9::bytea[]) AS sought (subject_ref)
               WHERE NOT EXISTS (SELECT FROM dsrd.identifier
                                 WHERE identifier.organisation_id = first.organisation_id
                                   AND identifier.request_id = first.request_id
                                   AND identifier.role = 'given'
                                   AND identifier.subject_ref = sought.subject_ref))
             AND NOT EXISTS (SELECT FROM dsrd.identifier
                             WHERE identifier.organisation_id = first.organisation_id
                               AND identifier.request_id = first.request_id
                               AND identifier.role = 'given'
                               AND identifier.subject_ref <> ALL ($9))
           ORDER BY received_at, request_id
           LIMIT 1
           FOR SHARE"#,
        organisation.as_str(),
        sought.kind.as_str(),
        sought.role.as_str(),
        sought.from,
        sought.until,
        sought.policies,
        sought.message.0,
        sought.message.1,
        &references,
        sought.ground.map(ErasureGround::as_str),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("intake.find_first"))?;
    row.map(|row| {
        let assurance = row.assurance.parse();
        let assurance =
            assurance.map_err(|_| StoreError::unreadable("intake.find_first", "request.assurance"))?;
        Ok(First {
            request: RequestId(row.request_id),
            due_on: row.due_on,
            statutory_due_on: row.statutory_due_on,
            proof: row.assured_at.map(|at| Proof { assurance, at }),
        })
    })
    .transpose()
}

/// Another time that a person asked for the same: a request that ended as a reminder of an open one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedAgain {
    /// When it reached the controller.
    pub received_at: DateTime<Utc>,
    /// When the service accepted it.
    pub inserted_at: DateTime<Utc>,
    /// How it is known who asked in it, and since when.
    pub proof: Option<Proof>,
}

/// The reminders of a request.
pub async fn reminders_of(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<AskedAgain>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT received_at, inserted_at, assurance, assured_at
           FROM dsrd.request
           WHERE organisation_id = $1 AND reminds_of = $2"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.reminders_of"))?;
    rows.into_iter()
        .map(|row| {
            let assurance = row.assurance.parse();
            let assurance =
                assurance.map_err(|_| StoreError::unreadable("intake.reminders_of", "request.assurance"))?;
            Ok(AskedAgain {
                received_at: row.received_at,
                inserted_at: row.inserted_at,
                proof: row.assured_at.map(|at| Proof { assurance, at }),
            })
        })
        .collect()
}

/// What stands around a request: its siblings, its reminders, and how often the person asked the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Surroundings {
    /// References of the other requests of the same message.
    pub siblings: Vec<String>,
    /// References of its reminders.
    pub reminders: Vec<String>,
    /// How many requests of this kind by the same person reached the controller within a year up to this one, with it.
    /// Reminders count. It refuses nothing (R-13).
    pub within_a_year: u64,
}

/// Looks at what stands around a request.
pub async fn surroundings(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Surroundings, StoreError> {
    let row = sqlx::query!(
        r#"SELECT ARRAY(SELECT sibling.reference FROM dsrd.request AS sibling
                        WHERE sibling.organisation_id = own.organisation_id AND sibling.producer = own.producer
                          AND sibling.idempotency_key = own.idempotency_key AND sibling.request_id <> own.request_id
                        ORDER BY sibling.sibling_no) AS "siblings!",
                  ARRAY(SELECT reminder.reference FROM dsrd.request AS reminder
                        WHERE reminder.organisation_id = own.organisation_id AND reminder.reminds_of = own.request_id
                        ORDER BY reminder.received_at, reminder.reference) AS "reminders!",
                  (SELECT count(DISTINCT other.request_id)
                   FROM dsrd.identifier AS given
                   JOIN dsrd.identifier AS same
                     ON same.organisation_id = given.organisation_id AND same.subject_ref = given.subject_ref
                        AND same.role = 'given'
                   JOIN dsrd.request AS other
                     ON other.organisation_id = same.organisation_id AND other.request_id = same.request_id
                   WHERE given.organisation_id = own.organisation_id AND given.request_id = own.request_id
                     AND given.role = 'given' AND other.kind = own.kind AND other.origin = 'subject'
                     AND other.received_at > own.received_at - interval '1 year'
                     AND other.received_at <= own.received_at) AS "within_a_year!"
           FROM dsrd.request AS own
           WHERE own.organisation_id = $1 AND own.request_id = $2"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("intake.surroundings"))?;
    Ok(row.map_or_else(Surroundings::default, |row| Surroundings {
        siblings: row.siblings,
        reminders: row.reminders,
        within_a_year: u64::try_from(row.within_a_year).unwrap_or_default(),
    }))
}

/// Every organisation that this database serves or once served.
pub async fn registered_organisations(
    connection: &mut PgConnection,
) -> Result<Vec<OrganisationId>, StoreError> {
    let names = sqlx::query_scalar!("SELECT organisation_id FROM dsrd.organisation ORDER BY organisation_id")
        .fetch_all(connection)
        .await
        .map_err(StoreError::during("intake.registered_organisations"))?;
    let unreadable = || StoreError::unreadable("intake.registered_organisations", "dsrd.organisation");
    names.into_iter().map(|name| name.parse().map_err(|_| unreadable())).collect()
}
