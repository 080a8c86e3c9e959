//! What is handed in, what comes back, and what is wrong with it.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;

use crate::audit::Actor;
use crate::domain::{
    Assurance, Channel, Clock, ContactId, Controller, ErasureGround, Follows, Handling, MasterKey, Origin,
    Proof, Reference, RequestId, RequestKind, RequesterRole, SubjectIdentifier,
};
use crate::store::StoreError;

/// What every submission needs: the keys that seal identifiers, the clock, and what the person is told of the record of it.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The keys.
    pub keys: Arc<MasterKey>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// For how many months after the end of a request its record is kept.
    pub evidence_months: u32,
}

/// A request as it is handed in.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What is asked.
    pub kind: RequestKind,
    /// What else is asked in the same message: one request each, with one key and one date.
    pub also: Vec<RequestKind>,
    /// Whether the producer named a kind that the vocabulary does not hold; `kind` or `also` says `other` then.
    pub kind_unknown: bool,
    /// Who asks.
    pub requester_role: RequesterRole,
    /// By whom it is set in motion.
    pub origin: Origin,
    /// By which way it reached the controller.
    pub channel: Channel,
    /// When it reached the controller.
    pub received_at: DateTime<Utc>,
    /// Language of the answer. When not given, that of the profile found, else the controller's.
    pub language: Option<String>,
    /// What the contact can be found by. Empty only for a sweep.
    pub identifiers: Vec<SubjectIdentifier>,
    /// For what is carried out as an opt-out: which policies; the controller's when empty.
    pub policies: Vec<String>,
    /// For an erasure: the ground of Art. 17(1) GDPR, where it is stated; the controller's when not.
    pub ground: Option<ErasureGround>,
    /// How it is known who asks, and since when; nothing is known without it. What a right needs is the controller's to
    /// say ([`crate::domain::IdentityRules`]): nothing that stands here makes it less.
    pub proof: Option<Proof>,
    /// Who hands it in: a database role, `cli`, or `retention`.
    pub producer: String,
    /// The person at the keyboard, where one hands it in; the log names them instead of the producer.
    pub handed_in_by: Option<Actor>,
    /// The producer's own id of it, without personal data.
    pub idempotency_key: String,
    /// For a sweep: the contact, and the instant before which it must have been created. For the second stage of an
    /// erasure that a hold had postponed: the contact; the instant is not used.
    pub sweep_target: Option<(ContactId, DateTime<Utc>)>,
    /// From which request of the person it follows by itself; none where somebody makes it.
    pub follows: Option<Follows>,
}

impl Submission {
    /// How it is known who asks.
    pub(super) fn assurance(&self) -> Assurance {
        self.proven().map_or(Assurance::None, |proof| proof.assurance)
    }

    /// The same with its instant; a proof of nothing has none.
    pub(super) fn proven(&self) -> Option<Proof> {
        self.proof.filter(|proof| proof.assurance != Assurance::None)
    }
}

/// What the producer gets back; the same for a repetition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The request.
    pub request: RequestId,
    /// What is asked by it.
    pub kind: RequestKind,
    /// What people quote.
    pub reference: Reference,
    /// Conservative due date in the controller's time zone; that of the first request where this is a reminder.
    pub due_on: NaiveDate,
    /// Whether this key had been handed in before.
    pub repeated: bool,
    /// For a reminder of an open request: the reference of that one, which goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reminds_of: Option<Reference>,
    /// The requests for what else was asked in the same message, in the order in which they are carried out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Receipt>,
}

impl Receipt {
    /// The receipt of a message from those of its requests; nothing for none.
    pub(super) fn of(mut requests: Vec<Self>) -> Option<Self> {
        let also = requests.split_off(1.min(requests.len()));
        requests.pop().map(|first| Self { also, ..first })
    }
}

/// Why a submission is not accepted. Names fields, never values.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// No identifier was given.
    #[error(
        "no identifier given; give at least one of email, phone, username, external_id, external_property_1, external_property_2"
    )]
    NoIdentifier,
    /// The request lies in the future.
    #[error("received_at lies in the future; give the time at which the request reached the controller")]
    ReceivedInFuture,
    /// The proof of who asks lies in the future.
    #[error("assured_at lies in the future; give the time at which it was proven who asks")]
    AssuredInFuture,
    /// The key is missing or too long.
    #[error("idempotency_key must have 1 to 200 characters")]
    IdempotencyKey,
    /// The language tag is malformed.
    #[error("language must be a tag such as en or de-AT")]
    Language,
    /// A policy name is unusable.
    #[error(
        "policies must be 1 to 20 names of at most 200 characters, and only for opt_out, consent_withdrawal or ccpa_opt_out"
    )]
    Policies,
    /// A ground is given for something else than an erasure.
    #[error("ground is only for an erasure; leave it out")]
    Ground,
    /// Nothing is asked.
    #[error("no kind given; say what is asked")]
    NoKind,
    /// More is asked than there are rights.
    #[error("a message asks for at most 12 kinds; hand in each kind once")]
    Kinds,
    /// The key was used for something else.
    #[error(
        "idempotency_key was used before for another request (of another kind, or with other identifiers); use a new key"
    )]
    KeyReused,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IntakeError {
    /// The reason under which a producer's row is parked; none for a failure of the database, which is tried again.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::NoIdentifier => Some("no_identifier"),
            Self::ReceivedInFuture => Some("received_in_future"),
            Self::AssuredInFuture => Some("assured_in_future"),
            Self::IdempotencyKey => Some("bad_idempotency_key"),
            Self::Language => Some("bad_language"),
            Self::Policies => Some("bad_policies"),
            Self::Ground => Some("bad_ground"),
            Self::NoKind | Self::Kinds => Some("bad_kinds"),
            Self::KeyReused => Some("key_reused"),
            Self::Store(_) => None,
        }
    }
}

/// So many kinds beside the first: all that there are.
const MOST_ALSO: usize = RequestKind::ALL.len() - 1;

/// A little tolerance for clocks that differ.
pub(super) const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// Every kind that is asked, once, in the order in which they are carried out: no more marketing first and at once, then
/// what needs the data as they are, erasure last.
pub(super) fn kinds_in_order(submission: &Submission) -> Vec<RequestKind> {
    let mut kinds = Vec::with_capacity(1 + submission.also.len());
    for kind in std::iter::once(&submission.kind).chain(&submission.also) {
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    kinds.sort_by_key(|kind| match kind.handling() {
        Handling::OptOut => 0,
        Handling::Access | Handling::Portability => 1,
        Handling::Person => 2,
        Handling::Erasure => 3,
    });
    kinds
}

/// What is wrong with a submission by itself; else the language of its answer.
pub(super) fn check(
    submission: &Submission,
    controller: &Controller,
    now: DateTime<Utc>,
) -> Result<String, IntakeError> {
    if submission.identifiers.is_empty() && submission.sweep_target.is_none() {
        return Err(IntakeError::NoIdentifier);
    }
    if submission.received_at > now + CLOCK_TOLERANCE {
        return Err(IntakeError::ReceivedInFuture);
    }
    if submission.proof.is_some_and(|proof| proof.at > now + CLOCK_TOLERANCE) {
        return Err(IntakeError::AssuredInFuture);
    }
    if !(1..=200).contains(&submission.idempotency_key.chars().count()) {
        return Err(IntakeError::IdempotencyKey);
    }
    if submission.also.len() > MOST_ALSO {
        return Err(IntakeError::Kinds);
    }
    let is_opt_out = |kind: &RequestKind| kind.handling() == Handling::OptOut;
    let acceptable_policy = |name: &String| (1..=200).contains(&name.chars().count());
    if submission.policies.len() > 20
        || !submission.policies.iter().all(acceptable_policy)
        || (!submission.policies.is_empty() && !kinds_in_order(submission).iter().any(is_opt_out))
    {
        return Err(IntakeError::Policies);
    }
    if submission.ground.is_some() && !kinds_in_order(submission).contains(&RequestKind::Erasure) {
        return Err(IntakeError::Ground);
    }
    let language = submission.language.as_deref().unwrap_or(&controller.language);
    if is_language_tag(language) { Ok(language.to_owned()) } else { Err(IntakeError::Language) }
}

/// The shape of a language tag as the table's CHECK has it: `en`, `de-AT`, `zh-Hant`.
fn is_language_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let primary = parts.next().unwrap_or_default();
    (2..=3).contains(&primary.len())
        && primary.chars().all(|each| each.is_ascii_lowercase())
        && parts.all(|part| {
            (2..=8).contains(&part.len()) && part.chars().all(|each| each.is_ascii_alphanumeric())
        })
}
