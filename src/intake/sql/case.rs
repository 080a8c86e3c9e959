//! A case as it is read.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::delivery::Facts;
use crate::domain::{
    AnsweredOutcome, Assurance, ContactId, Controller, DataCategory, ErasureGround, ExtensionReason, Follows,
    FollowsBecause, Handling, IdentityDoubt, OrganisationId, Origin, Outcome, ParkReason, Proof, Reference,
    RefusalGround, RequestId, RequestKind, RequestState, RequesterRole,
};
use crate::intake::arrival::name_policies;
use crate::store::{PgConnection, StoreError};

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
    /// Whether the request itself names it; otherwise it is the controller's, as long as nobody's profile shows another.
    #[serde(skip)]
    pub language_named: bool,
    /// For an opt-out: the policies to switch off.
    pub policies: Vec<String>,
    /// Whether the request itself names them; otherwise they are those of the configuration.
    #[serde(skip)]
    pub policies_named: bool,
    /// For an erasure: the ground of Art. 17(1) GDPR, where one is known.
    pub ground: Option<ErasureGround>,
    /// The categories of data to which that ground applies, by the legal bases that were configured at its receipt.
    pub categories: Vec<DataCategory>,
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
    /// Whether a person chose the contact that is meant, or had it go on with it.
    #[serde(skip)]
    pub chosen: bool,
    /// Whether the contact was looked for, and that look is over: no other can be chosen any more.
    #[serde(skip)]
    pub located: bool,
    /// Whether the waiting for a proof of who asks ended without one: that is told, and nothing else comes of it.
    #[serde(skip)]
    pub unproven: bool,
    /// For a reminder of an open request: the reference of that one.
    pub reminds_of: Option<Reference>,
    /// For one that nobody made anew: from which one it follows by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<Follows>,
    /// For an erasure that waits for a person because of it: the reference of the access request, of the restriction, or of the holds that
    /// may be about somebody else.
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

    /// Whether its outcome is settled, and at most waits to be told.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.verified_at.is_some() || self.answered.is_some() || self.refusal.is_some() || self.unproven
    }

    /// What stands in every notice about it.
    #[must_use]
    pub fn facts(&self, controller: &Controller) -> Facts {
        let mut facts = Facts::of(self.kind, controller.local_date(self.received_at), self.due_on);
        facts.follows = self.follows;
        if self.policies_named {
            name_policies(&mut facts, &self.policies, controller);
        }
        facts
    }

    /// How another one follows from it. Of one that follows itself the person knows the one that they made: the rest of what follows
    /// from a consent taken back does so, too, whatever stood in its way.
    #[must_use]
    pub fn followed(&self, controller: &Controller, because: FollowsBecause) -> Follows {
        let Some(first) = self.follows else {
            return Follows {
                request: self.request,
                received_on: controller.local_date(self.received_at),
                because,
            };
        };
        let because = match (first.because, because) {
            (FollowsBecause::Consent, FollowsBecause::Hold) => FollowsBecause::Consent,
            _ => because,
        };
        Follows { because, ..first }
    }

    /// By which kind of request its opt-out is done again: by its own, for what the person is told and who else is told differ. None
    /// where it was no opt-out: a hold had marketing switched off.
    #[must_use]
    pub fn opt_out_again(&self) -> Option<RequestKind> {
        Some(self.kind).filter(|kind| kind.handling() == Handling::OptOut)
    }
}

#[expect(clippy::struct_excessive_bools, reason = "one a column or fact, none of which follows from another")]
struct CaseRow {
    organisation_id: String,
    request_id: Uuid,
    kind: String,
    origin: String,
    language: String,
    language_named: bool,
    policies: Vec<String>,
    policies_named: bool,
    erasure_ground: Option<String>,
    erasure_categories: Vec<String>,
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
    chosen: bool,
    located: bool,
    unproven: bool,
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
    follows_request: Option<Uuid>,
    follows_received_on: Option<NaiveDate>,
    follows_because: Option<String>,
}

impl TryFrom<CaseRow> for Case {
    type Error = StoreError;

    fn try_from(row: CaseRow) -> Result<Self, StoreError> {
        let unreadable =
            |column: &'static str| StoreError::unreadable("intake.case", format!("request.{column}"));
        let request = RequestId(row.request_id);
        let follows = match (row.follows_request, row.follows_received_on, row.follows_because) {
            (Some(former), Some(received_on), Some(because)) => Some(Follows {
                request: RequestId(former),
                received_on,
                because: because
                    .parse()
                    .map_err(|_| StoreError::unreadable("intake.case", "following.because"))?,
            }),
            _ => None,
        };
        Ok(Self {
            organisation: row.organisation_id.parse().map_err(|_| unreadable("organisation_id"))?,
            request,
            reference: Reference::of(request),
            kind: row.kind.parse().map_err(|_| unreadable("kind"))?,
            origin: row.origin.parse().map_err(|_| unreadable("origin"))?,
            language: row.language,
            language_named: row.language_named,
            policies: row.policies,
            policies_named: row.policies_named,
            ground: row
                .erasure_ground
                .map(|word| word.parse())
                .transpose()
                .map_err(|_| unreadable("erasure_ground"))?,
            categories: row
                .erasure_categories
                .iter()
                .map(|word| word.parse())
                .collect::<Result<_, _>>()
                .map_err(|_| unreadable("erasure_categories"))?,
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
            chosen: row.chosen,
            located: row.located,
            unproven: row.unproven,
            reminds_of: row.reminds_of.map(|first| Reference::of(RequestId(first))),
            follows,
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
        r#"SELECT request.organisation_id, request.request_id, request.kind, origin, language, language_named, policies, policies_named, erasure_ground, erasure_categories, received_at, inserted_at,
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
                  EXISTS (SELECT FROM dsrd.decision
                          WHERE decision.organisation_id = request.organisation_id
                            AND decision.request_id = request.request_id
                            AND decision.kind = 'choice') AS "chosen!",
                  EXISTS (SELECT FROM dsrd.checkpoint AS step
                          WHERE step.organisation_id = request.organisation_id
                            AND step.request_id = request.request_id
                            AND step.step = 'locate' AND step.finished_at IS NOT NULL) AS "located!",
                  EXISTS (SELECT FROM dsrd.checkpoint AS step
                          WHERE step.organisation_id = request.organisation_id
                            AND step.request_id = request.request_id
                            AND step.step = 'unproven' AND step.finished_at IS NOT NULL) AS "unproven!",
                  reminds_of, waits_for, despite_access, assurance, assured_at, identity_doubt, identity_wanted_at,
                  identity_until, identity_reminded, outcome, procedure_version, request.contact_id, created_before,
                  executed_at, verified_at, informed_at,
                  closed_at, job.last_code AS "last_code?", following.former_id AS "follows_request?",
                  following.received_on AS "follows_received_on?", following.because AS "follows_because?"
           FROM dsrd.request AS request
           LEFT JOIN dsrd.job AS job USING (organisation_id, request_id)
           LEFT JOIN dsrd.following AS following USING (organisation_id, request_id)
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
        r#"SELECT request.organisation_id, request.request_id, request.kind, origin, language, language_named, policies, policies_named, erasure_ground, erasure_categories, received_at, inserted_at,
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
                  EXISTS (SELECT FROM dsrd.decision
                          WHERE decision.organisation_id = request.organisation_id
                            AND decision.request_id = request.request_id
                            AND decision.kind = 'choice') AS "chosen!",
                  EXISTS (SELECT FROM dsrd.checkpoint AS step
                          WHERE step.organisation_id = request.organisation_id
                            AND step.request_id = request.request_id
                            AND step.step = 'locate' AND step.finished_at IS NOT NULL) AS "located!",
                  EXISTS (SELECT FROM dsrd.checkpoint AS step
                          WHERE step.organisation_id = request.organisation_id
                            AND step.request_id = request.request_id
                            AND step.step = 'unproven' AND step.finished_at IS NOT NULL) AS "unproven!",
                  reminds_of, waits_for, despite_access, assurance, assured_at, identity_doubt, identity_wanted_at,
                  identity_until, identity_reminded, outcome, procedure_version, request.contact_id, created_before,
                  executed_at, verified_at, informed_at,
                  closed_at, job.last_code AS "last_code?", following.former_id AS "follows_request?",
                  following.received_on AS "follows_received_on?", following.because AS "follows_because?"
           FROM dsrd.request AS request
           LEFT JOIN dsrd.job AS job USING (organisation_id, request_id)
           LEFT JOIN dsrd.following AS following USING (organisation_id, request_id)
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
