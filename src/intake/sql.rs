//! Table `dsrd.request`: the cases.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::submission::{Receipt, Submission};
use crate::domain::deadline::DueDates;
use crate::domain::{
    AnsweredOutcome, Assurance, ContactId, ExtensionReason, IdentityDoubt, OrganisationId, Origin, Outcome,
    ParkReason, Proof, Reference, RefusalGround, RequestId, RequestKind, RequestState, RequesterRole,
    SubjectRef,
};
use crate::store::StoreError;

pub(super) struct NewCase<'a> {
    pub(super) organisation: &'a OrganisationId,
    pub(super) request: RequestId,
    pub(super) reference: &'a Reference,
    pub(super) kind: RequestKind,
    pub(super) sibling_no: i16,
    pub(super) language: &'a str,
    pub(super) policies: &'a [String],
    pub(super) dates: DueDates,
    pub(super) inserted_at: DateTime<Utc>,
    pub(super) submission: &'a Submission,
    /// Why it waits for a person from the beginning.
    pub(super) waits: Option<ParkReason>,
    /// The open request of which it is a reminder: it is closed from the beginning.
    pub(super) reminds_of: Option<RequestId>,
}

pub(super) async fn insert_request(
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
    sqlx::query!(
        r#"INSERT INTO dsrd.request (organisation_id, request_id, reference, kind, origin, channel, language, policies,
             producer, idempotency_key, received_at, inserted_at, due_on, statutory_due_on, state, contact_id,
             created_before, park_reason, outcome, closed_at, reminds_of, sibling_no, requester_role, assurance, assured_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
             $23, $24, $25)"#,
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
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.insert_request"))?;
    Ok(())
}

/// The receipts of the requests that a key had been handed in for before, in their order.
pub(super) async fn find_by_key(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    producer: &str,
    idempotency_key: &str,
) -> Result<Vec<Receipt>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT request_id, kind, due_on, reminds_of
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
pub(super) struct Sought<'a> {
    pub(super) kind: RequestKind,
    pub(super) role: RequesterRole,
    pub(super) policies: &'a [String],
    pub(super) references: &'a [SubjectRef],
    pub(super) from: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
    /// Producer and key of the message that looks.
    pub(super) message: (&'a str, &'a str),
}

/// An open request of which another one is a reminder.
pub(super) struct First {
    pub(super) request: RequestId,
    pub(super) due_on: NaiveDate,
    pub(super) statutory_due_on: Option<NaiveDate>,
}

/// The first open request of the same person, kind and scope within a time of receipt, locked against its end. The same
/// person is whoever is named by exactly the same identifiers: one telephone number may be shared, and a request that is
/// taken for a reminder by mistake would be lost, while a reminder that is not recognised is merely answered twice.
pub(super) async fn find_first(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    sought: &Sought<'_>,
) -> Result<Option<First>, StoreError> {
    let references: Vec<Vec<u8>> = sought.references.iter().map(|each| each.as_bytes().to_vec()).collect();
    let row = sqlx::query!(
        r#"SELECT request_id, due_on, statutory_due_on
           FROM dsrd.request AS first
           WHERE organisation_id = $1 AND kind = $2 AND requester_role = $3 AND origin = 'subject'
             AND state <> 'closed'
             AND received_at BETWEEN $4 AND $5
             AND policies @> $6
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
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("intake.find_first"))?;
    Ok(row.map(|row| First {
        request: RequestId(row.request_id),
        due_on: row.due_on,
        statutory_due_on: row.statutory_due_on,
    }))
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

/// A request as stored: the case, without identifiers.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "one a column or fact, none of which follows from another")]
pub struct Case {
    /// Whose request.
    pub organisation: OrganisationId,
    /// Its id.
    pub request: RequestId,
    /// What people quote.
    pub reference: Reference,
    /// What is asked.
    pub kind: RequestKind,
    /// Who set it in motion.
    pub origin: Origin,
    /// Language of the answer.
    pub language: String,
    /// For an opt-out: the policies to switch off.
    pub policies: Vec<String>,
    /// When the legal clock started.
    pub received_at: DateTime<Utc>,
    /// When the service accepted it.
    #[serde(skip)]
    pub inserted_at: DateTime<Utc>,
    /// Who asks.
    pub requester_role: RequesterRole,
    /// Conservative due date.
    pub due_on: NaiveDate,
    /// The last lawful day; nothing where no calendar is configured, or where it does not know the year.
    pub statutory_due_on: Option<NaiveDate>,
    /// Where it stands.
    pub state: RequestState,
    /// Why it waits for a person.
    pub park_reason: Option<ParkReason>,
    /// The ground on which a person refused it; its outcome follows when the person was told.
    pub refusal: Option<RefusalGround>,
    /// How a person carried it out, where a person did; its outcome follows when the data subject was told.
    pub answered: Option<AnsweredOutcome>,
    /// Why more time is needed, where a person decided so; whether it counts says `extended`.
    pub extension: Option<ExtensionReason>,
    /// Whether the term is extended: the person was told in time.
    pub extended: bool,
    /// Whether a person accepted that somebody asks for the data subject.
    pub accepted: bool,
    /// For a reminder of an open request: the reference of that one.
    pub reminds_of: Option<Reference>,
    /// For an erasure that waits for a person because of it: the reference of the access request.
    pub waits_for: Option<String>,
    /// Whether a person decided that this erasure goes on although an access request of the same person is open.
    pub despite_access: bool,
    /// How it is known who asks: as stated at the door, then as proven.
    pub assurance: Assurance,
    /// When that was proven.
    pub assured_at: Option<DateTime<Utc>>,
    /// Why more has to be known, or had to be, before it goes on.
    pub identity_doubt: Option<IdentityDoubt>,
    /// Since when a proof of who asks is waited for, or was.
    pub identity_wanted_at: Option<DateTime<Utc>>,
    /// When that waiting ends.
    pub identity_until: Option<DateTime<Utc>>,
    /// Whether the person was reminded.
    pub identity_reminded: bool,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Which version of the procedure it follows, once begun.
    pub procedure_version: Option<i16>,
    /// The one contact that it may touch, once known.
    #[serde(skip)]
    pub contact: Option<ContactId>,
    /// For a sweep: the contact must have been created before.
    pub created_before: Option<DateTime<Utc>>,
    /// When the effect was accepted.
    pub executed_at: Option<DateTime<Utc>>,
    /// When it was read back.
    pub verified_at: Option<DateTime<Utc>>,
    /// When the person was told.
    pub informed_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub closed_at: Option<DateTime<Utc>>,
    /// Why the machine last put it back or aside.
    pub last_code: Option<String>,
}

impl Case {
    /// How it is known who asks, and since when.
    #[must_use]
    pub fn proof(&self) -> Option<Proof> {
        self.assured_at.map(|at| Proof { assurance: self.assurance, at })
    }
}

#[expect(clippy::struct_excessive_bools, reason = "one a column or fact, none of which follows from another")]
struct CaseRow {
    organisation_id: String,
    request_id: Uuid,
    kind: String,
    origin: String,
    language: String,
    policies: Vec<String>,
    received_at: DateTime<Utc>,
    inserted_at: DateTime<Utc>,
    requester_role: String,
    due_on: NaiveDate,
    statutory_due_on: Option<NaiveDate>,
    state: String,
    park_reason: Option<String>,
    refusal: Option<String>,
    answered: Option<String>,
    extension: Option<String>,
    extended: bool,
    accepted: bool,
    reminds_of: Option<Uuid>,
    waits_for: Option<String>,
    despite_access: bool,
    assurance: String,
    assured_at: Option<DateTime<Utc>>,
    identity_doubt: Option<String>,
    identity_wanted_at: Option<DateTime<Utc>>,
    identity_until: Option<DateTime<Utc>>,
    identity_reminded: bool,
    outcome: Option<String>,
    procedure_version: Option<i16>,
    contact_id: Option<String>,
    created_before: Option<DateTime<Utc>>,
    executed_at: Option<DateTime<Utc>>,
    verified_at: Option<DateTime<Utc>>,
    informed_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    last_code: Option<String>,
}

impl TryFrom<CaseRow> for Case {
    type Error = StoreError;

    fn try_from(row: CaseRow) -> Result<Self, StoreError> {
        let unreadable =
            |column: &'static str| StoreError::unreadable("intake.case", format!("request.{column}"));
        let request = RequestId(row.request_id);
        Ok(Self {
            organisation: row.organisation_id.parse().map_err(|_| unreadable("organisation_id"))?,
            request,
            reference: Reference::of(request),
            kind: row.kind.parse().map_err(|_| unreadable("kind"))?,
            origin: row.origin.parse().map_err(|_| unreadable("origin"))?,
            language: row.language,
            policies: row.policies,
            received_at: row.received_at,
            inserted_at: row.inserted_at,
            requester_role: row.requester_role.parse().map_err(|_| unreadable("requester_role"))?,
            due_on: row.due_on,
            statutory_due_on: row.statutory_due_on,
            state: row.state.parse().map_err(|_| unreadable("state"))?,
            park_reason: row
                .park_reason
                .map(|word| word.parse())
                .transpose()
                .map_err(|_| unreadable("park_reason"))?,
            refusal: row.refusal.map(|word| word.parse()).transpose().map_err(|_| unreadable("refusal"))?,
            answered: row
                .answered
                .map(|word| word.parse())
                .transpose()
                .map_err(|_| StoreError::unreadable("intake.case", "decision.reason"))?,
            extension: row
                .extension
                .map(|word| word.parse())
                .transpose()
                .map_err(|_| StoreError::unreadable("intake.case", "decision.reason"))?,
            extended: row.extended,
            accepted: row.accepted,
            reminds_of: row.reminds_of.map(|first| Reference::of(RequestId(first))),
            waits_for: row.waits_for,
            despite_access: row.despite_access,
            assurance: row.assurance.parse().map_err(|_| unreadable("assurance"))?,
            assured_at: row.assured_at,
            identity_doubt: row
                .identity_doubt
                .map(|word| word.parse())
                .transpose()
                .map_err(|_| unreadable("identity_doubt"))?,
            identity_wanted_at: row.identity_wanted_at,
            identity_until: row.identity_until,
            identity_reminded: row.identity_reminded,
            outcome: row.outcome.map(|word| word.parse()).transpose().map_err(|_| unreadable("outcome"))?,
            procedure_version: row.procedure_version,
            contact: row.contact_id.map(|id| id.parse()).transpose().map_err(|_| unreadable("contact_id"))?,
            created_before: row.created_before,
            executed_at: row.executed_at,
            verified_at: row.verified_at,
            informed_at: row.informed_at,
            closed_at: row.closed_at,
            last_code: row.last_code,
        })
    }
}

/// Finds a request by its id within an organisation.
pub async fn find_case(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<Case>, StoreError> {
    sqlx::query_as!(
        CaseRow,
        r#"SELECT request.organisation_id, request.request_id, request.kind, origin, language, policies, received_at, inserted_at,
                  requester_role, due_on, statutory_due_on, request.state, park_reason, refusal.reason AS "refusal?",
                  answer.reason AS "answered?",
                  (SELECT decision.reason FROM dsrd.decision
                   WHERE decision.organisation_id = request.organisation_id
                     AND decision.request_id = request.request_id
                     AND decision.kind = 'extension') AS extension,
                  EXISTS (SELECT FROM dsrd.extension
                          WHERE extension.organisation_id = request.organisation_id
                            AND extension.request_id = request.request_id) AS "extended!",
                  EXISTS (SELECT FROM dsrd.decision
                          WHERE decision.organisation_id = request.organisation_id
                            AND decision.request_id = request.request_id
                            AND decision.kind = 'acceptance') AS "accepted!",
                  reminds_of, waits_for, despite_access, assurance, assured_at, identity_doubt, identity_wanted_at,
                  identity_until, identity_reminded, outcome, procedure_version, request.contact_id, created_before,
                  executed_at, verified_at, informed_at,
                  closed_at, job.last_code AS "last_code?"
           FROM dsrd.request AS request
           LEFT JOIN dsrd.job AS job USING (organisation_id, request_id)
           LEFT JOIN dsrd.decision AS refusal
             ON refusal.organisation_id = request.organisation_id AND refusal.request_id = request.request_id
                AND refusal.kind = 'refusal'
           LEFT JOIN dsrd.decision AS answer
             ON answer.organisation_id = request.organisation_id AND answer.request_id = request.request_id
                AND answer.kind = 'answer'
           WHERE request.organisation_id = $1 AND request.request_id = $2"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("intake.find_case"))?
    .map(Case::try_from)
    .transpose()
}

/// Finds a request by the reference that people quote.
pub async fn find_by_reference(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    reference: &str,
) -> Result<Option<RequestId>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT request_id FROM dsrd.request WHERE organisation_id = $1 AND reference = $2",
        organisation.as_str(),
        reference,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("intake.find_by_reference"))?;
    Ok(found.map(RequestId))
}

/// Lists requests of an organisation, open ones before closed ones, and those due first at the top; only those of a state when one is given,
/// and only those of people or of sweeps when an origin is given.
pub async fn list_cases(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    state: Option<RequestState>,
    origin: Option<Origin>,
    most: i64,
) -> Result<Vec<Case>, StoreError> {
    sqlx::query_as!(
        CaseRow,
        r#"SELECT request.organisation_id, request.request_id, request.kind, origin, language, policies, received_at, inserted_at,
                  requester_role, due_on, statutory_due_on, request.state, park_reason, refusal.reason AS "refusal?",
                  answer.reason AS "answered?",
                  (SELECT decision.reason FROM dsrd.decision
                   WHERE decision.organisation_id = request.organisation_id
                     AND decision.request_id = request.request_id
                     AND decision.kind = 'extension') AS extension,
                  EXISTS (SELECT FROM dsrd.extension
                          WHERE extension.organisation_id = request.organisation_id
                            AND extension.request_id = request.request_id) AS "extended!",
                  EXISTS (SELECT FROM dsrd.decision
                          WHERE decision.organisation_id = request.organisation_id
                            AND decision.request_id = request.request_id
                            AND decision.kind = 'acceptance') AS "accepted!",
                  reminds_of, waits_for, despite_access, assurance, assured_at, identity_doubt, identity_wanted_at,
                  identity_until, identity_reminded, outcome, procedure_version, request.contact_id, created_before,
                  executed_at, verified_at, informed_at,
                  closed_at, job.last_code AS "last_code?"
           FROM dsrd.request AS request
           LEFT JOIN dsrd.job AS job USING (organisation_id, request_id)
           LEFT JOIN dsrd.decision AS refusal
             ON refusal.organisation_id = request.organisation_id AND refusal.request_id = request.request_id
                AND refusal.kind = 'refusal'
           LEFT JOIN dsrd.decision AS answer
             ON answer.organisation_id = request.organisation_id AND answer.request_id = request.request_id
                AND answer.kind = 'answer'
           WHERE request.organisation_id = $1
             AND ($2::text IS NULL OR request.state = $2)
             AND ($3::text IS NULL OR origin = $3)
           ORDER BY (request.state = 'closed'), due_on, request.request_id
           LIMIT $4"#,
        organisation.as_str(),
        state.map(RequestState::as_str),
        origin.map(Origin::as_str),
        most.clamp(1, 10_000),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.list_cases"))?
    .into_iter()
    .map(Case::try_from)
    .collect()
}

/// Counts the requests that [`list_cases`] would list without a limit.
pub async fn count_cases(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    state: Option<RequestState>,
    origin: Option<Origin>,
) -> Result<u64, StoreError> {
    let number = sqlx::query_scalar!(
        r#"SELECT count(*) AS "number!"
           FROM dsrd.request
           WHERE organisation_id = $1
             AND ($2::text IS NULL OR state = $2)
             AND ($3::text IS NULL OR origin = $3)"#,
        organisation.as_str(),
        state.map(RequestState::as_str),
        origin.map(Origin::as_str),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("intake.count_cases"))?;
    Ok(u64::try_from(number).unwrap_or_default())
}

/// What a decision about a case needs to know, with the case's row locked.
pub(super) struct LockedCase {
    pub(super) kind: RequestKind,
    pub(super) state: RequestState,
    pub(super) park_reason: Option<ParkReason>,
    pub(super) contact: Option<ContactId>,
    pub(super) refusal: Option<RefusalGround>,
    pub(super) answered: bool,
    pub(super) verified: bool,
    pub(super) effect_begun: bool,
    pub(super) proof: Option<Proof>,
}

pub(super) async fn lock_case(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<LockedCase>, StoreError> {
    // The job's row first: a worker locks it before it writes the case, so that two orders cannot deadlock.
    sqlx::query_scalar!(
        "SELECT job_id FROM dsrd.job WHERE organisation_id = $1 AND request_id = $2 FOR UPDATE",
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(StoreError::during("intake.lock_case"))?;
    let row = sqlx::query!(
        r#"SELECT kind, state, park_reason, contact_id, verified_at IS NOT NULL AS "verified!", assurance, assured_at,
                  (SELECT decision.reason FROM dsrd.decision
                   WHERE decision.organisation_id = request.organisation_id
                     AND decision.request_id = request.request_id
                     AND decision.kind = 'refusal') AS refusal,
                  EXISTS (SELECT FROM dsrd.decision
                          WHERE decision.organisation_id = request.organisation_id
                            AND decision.request_id = request.request_id
                            AND decision.kind = 'answer') AS "answered!",
                  EXISTS (SELECT FROM dsrd.checkpoint AS step
                          WHERE step.organisation_id = request.organisation_id
                            AND step.request_id = request.request_id
                            AND step.step IN ('apply', 'delete')) AS "effect_begun!"
           FROM dsrd.request AS request
           WHERE organisation_id = $1 AND request_id = $2
           FOR UPDATE"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("intake.lock_case"))?;
    let unreadable =
        |column: &'static str| StoreError::unreadable("intake.lock_case", format!("request.{column}"));
    row.map(|row| {
        Ok(LockedCase {
            kind: row.kind.parse().map_err(|_| unreadable("kind"))?,
            state: row.state.parse().map_err(|_| unreadable("state"))?,
            park_reason: row
                .park_reason
                .map(|word| word.parse())
                .transpose()
                .map_err(|_| unreadable("park_reason"))?,
            contact: row.contact_id.map(|id| id.parse()).transpose().map_err(|_| unreadable("contact_id"))?,
            refusal: row.refusal.map(|word| word.parse()).transpose().map_err(|_| unreadable("refusal"))?,
            answered: row.answered,
            verified: row.verified,
            effect_begun: row.effect_begun,
            proof: match row.assured_at {
                Some(at) => {
                    Some(Proof { assurance: row.assurance.parse().map_err(|_| unreadable("assurance"))?, at })
                }
                None => None,
            },
        })
    })
    .transpose()
}

pub(super) async fn set_withdrawn(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.request
           SET state = 'closed', park_reason = NULL, waits_for = NULL, outcome = 'withdrawn', closed_at = $3
           WHERE organisation_id = $1 AND request_id = $2"#,
        organisation.as_str(),
        request.0,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_withdrawn"))?;
    Ok(())
}

pub(super) async fn set_resumed(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    informed_at: Option<DateTime<Utc>>,
    contact: Option<&ContactId>,
    despite_access: bool,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.request
           SET state = 'in_progress', park_reason = NULL, waits_for = NULL, informed_at = coalesce($3, informed_at),
               contact_id = coalesce($4, contact_id), despite_access = despite_access OR $5
           WHERE organisation_id = $1 AND request_id = $2"#,
        organisation.as_str(),
        request.0,
        informed_at,
        contact.map(ContactId::as_str),
        despite_access,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_resumed"))?;
    Ok(())
}

/// Notes that a case waits until it is known who asks, from when on and until when.
pub async fn set_needs_identity(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    doubt: IdentityDoubt,
    (wanted_at, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.request
           SET state = 'needs_identity', identity_doubt = $3, identity_wanted_at = $4, identity_until = $5,
               identity_reminded = false
           WHERE organisation_id = $1 AND request_id = $2 AND state IN ('received', 'in_progress', 'needs_identity')"#,
        organisation.as_str(),
        request.0,
        doubt.as_str(),
        wanted_at,
        until,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_needs_identity"))?;
    StoreError::expect_rows("intake.set_needs_identity", 1, changed.rows_affected())
}

/// Notes that the person was reminded.
pub async fn set_reminded(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE dsrd.request SET identity_reminded = true WHERE organisation_id = $1 AND request_id = $2",
        organisation.as_str(),
        request.0,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_reminded"))?;
    Ok(())
}

pub(super) async fn set_proven(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    proof: Proof,
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.request
           SET assurance = $3, assured_at = $4
           WHERE organisation_id = $1 AND request_id = $2 AND state <> 'closed'"#,
        organisation.as_str(),
        request.0,
        proof.assurance.as_str(),
        proof.at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_proven"))?;
    StoreError::expect_rows("intake.set_proven", 1, changed.rows_affected())
}

/// Lets a case wait for an answer of the person.
pub(super) async fn set_waiting(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    state: RequestState,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.request
           SET state = $3, park_reason = NULL, waits_for = NULL
           WHERE organisation_id = $1 AND request_id = $2"#,
        organisation.as_str(),
        request.0,
        state.as_str(),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_waiting"))?;
    Ok(())
}

/// Gives a case back to the person who carries it out.
pub(super) async fn set_parked_again(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    reason: ParkReason,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.request
           SET state = 'manual', park_reason = $3
           WHERE organisation_id = $1 AND request_id = $2"#,
        organisation.as_str(),
        request.0,
        reason.as_str(),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_parked_again"))?;
    Ok(())
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

/// Empties the identifiers of requests that were closed before an instant and whose notices have all ended; returns
/// which requests these were, up to `most`.
pub async fn forget_identifiers(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    closed_before: DateTime<Utc>,
    at: DateTime<Utc>,
    most: i64,
) -> Result<Vec<RequestId>, StoreError> {
    let requests = sqlx::query_scalar!(
        r#"WITH due AS MATERIALIZED (
             SELECT request_id
             FROM dsrd.request
             WHERE organisation_id = $1 AND closed_at < $2 AND identifiers_forgotten_at IS NULL
               AND NOT EXISTS (SELECT FROM dsrd.incident
                               WHERE incident.organisation_id = request.organisation_id
                                 AND incident.request_id = request.request_id AND incident.ended_as IS NULL)
               AND NOT EXISTS (SELECT FROM dsrd.notice
                               WHERE notice.organisation_id = request.organisation_id
                                 AND notice.request_id = request.request_id
                                 AND (notice.state = 'pending'
                                      OR (notice.bounced_at IS NOT NULL AND notice.made_good_at IS NULL)))
             ORDER BY closed_at
             LIMIT $4
             FOR UPDATE SKIP LOCKED
           ), emptied AS (
             UPDATE dsrd.identifier
             SET sealed = NULL
             FROM due
             WHERE organisation_id = $1 AND identifier.request_id = due.request_id
           )
           UPDATE dsrd.request
           SET identifiers_forgotten_at = $3
           FROM due
           WHERE organisation_id = $1 AND request.request_id = due.request_id
           RETURNING request.request_id"#,
        organisation.as_str(),
        closed_before,
        at,
        most,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.forget_identifiers"))?;
    Ok(requests.into_iter().map(RequestId).collect())
}

/// Forgets which contact the requests concerned that were closed before an instant; returns them, up to `most`.
pub async fn forget_contacts(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    closed_before: DateTime<Utc>,
    at: DateTime<Utc>,
    most: i64,
) -> Result<Vec<RequestId>, StoreError> {
    let requests = sqlx::query_scalar!(
        r#"UPDATE dsrd.request
           SET contact_id = NULL, contact_forgotten_at = $3
           WHERE organisation_id = $1
             AND request_id IN (
               SELECT request_id
               FROM dsrd.request
               WHERE organisation_id = $1 AND closed_at < $2 AND contact_forgotten_at IS NULL
               AND NOT EXISTS (SELECT FROM dsrd.incident
                               WHERE incident.organisation_id = request.organisation_id
                                 AND incident.request_id = request.request_id AND incident.ended_as IS NULL)
               ORDER BY closed_at
               LIMIT $4
               FOR UPDATE SKIP LOCKED)
           RETURNING request_id"#,
        organisation.as_str(),
        closed_before,
        at,
        most,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.forget_contacts"))?;
    Ok(requests.into_iter().map(RequestId).collect())
}

/// Locks up to `most` requests that were closed before an instant and have forgotten everything else.
pub async fn past_evidence(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    closed_before: DateTime<Utc>,
    most: i64,
) -> Result<Vec<RequestId>, StoreError> {
    let requests = sqlx::query_scalar!(
        r#"SELECT request_id
           FROM dsrd.request
           WHERE organisation_id = $1 AND closed_at < $2
             AND identifiers_forgotten_at IS NOT NULL AND contact_forgotten_at IS NOT NULL
             AND NOT EXISTS (SELECT FROM dsrd.incident
                             WHERE incident.organisation_id = request.organisation_id
                               AND incident.request_id = request.request_id AND incident.ended_as IS NULL)
           ORDER BY closed_at
           LIMIT $3
           FOR UPDATE SKIP LOCKED"#,
        organisation.as_str(),
        closed_before,
        most,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.past_evidence"))?;
    Ok(requests.into_iter().map(RequestId).collect())
}

/// Deletes closed requests with their identifiers; whatever else refers to them must be gone.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    super::clock::purge(&mut *connection, organisation, requests).await?;
    sqlx::query!(
        "DELETE FROM dsrd.identifier WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("intake.purge"))?;
    let deleted = sqlx::query!(
        "DELETE FROM dsrd.request WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.purge"))?;
    StoreError::expect_rows("intake.purge", ids.len() as u64, deleted.rows_affected())
}
