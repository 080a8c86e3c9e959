//! From a submission to a request.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::identifier::{IdentifierRole, add_identifiers};
use super::sql;
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::delivery::{self, Facts, NewNotice, NoticeKind, Sender};
use crate::domain::{
    Assurance, Channel, Clock, ContactId, Controller, IdentifierKind, MasterKey, Origin, Proof, Reference,
    RequestId, RequestKind, SubjectIdentifier,
};
use crate::queue::{self, Lane};
use crate::store::{Store, StoreError, Tx};

/// What every submission needs: the keys that seal identifiers, and the clock.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The keys.
    pub keys: Arc<MasterKey>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// A request as it is handed in.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What is asked.
    pub kind: RequestKind,
    /// By whom it is set in motion.
    pub origin: Origin,
    /// By which way it reached the controller.
    pub channel: Channel,
    /// When it reached the controller.
    pub received_at: DateTime<Utc>,
    /// Language of the answer; the controller's when not given.
    pub language: Option<String>,
    /// What the contact can be found by. Empty only for a sweep.
    pub identifiers: Vec<SubjectIdentifier>,
    /// For an opt-out: which policies; the controller's when empty.
    pub policies: Vec<String>,
    /// How it is known who asks, and since when; nothing is known without it. What a right needs is the controller's to
    /// say ([`crate::domain::IdentityRules`]): nothing that stands here makes it less.
    pub proof: Option<Proof>,
    /// Who hands it in: a database role, `cli`, or `retention`.
    pub producer: String,
    /// The person at the keyboard, where one hands it in; the log names them instead of the producer.
    pub handed_in_by: Option<Actor>,
    /// The producer's own id of it, without personal data.
    pub idempotency_key: String,
    /// For a sweep: the contact, and the instant before which it must have been created.
    pub sweep_target: Option<(ContactId, DateTime<Utc>)>,
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
    /// What people quote.
    pub reference: Reference,
    /// Conservative due date in the controller's time zone.
    pub due_on: NaiveDate,
    /// Whether this key had been handed in before.
    pub repeated: bool,
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
    #[error("policies must be 1 to 20 names of at most 200 characters, and only for opt_out")]
    Policies,
    /// The key was used for something else.
    #[error("idempotency_key was used before for a request of another kind; use a new key")]
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
            Self::KeyReused => Some("key_reused"),
            Self::Store(_) => None,
        }
    }
}

/// A little tolerance for clocks that differ.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// Accepts a request in the caller's transaction.
pub async fn submit(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    submission: Submission,
) -> Result<Receipt, IntakeError> {
    accept(tx, desk, controller, submission, Recorded::Here).await
}

/// Accepts one of the erasures that a sweep submits together, in the caller's transaction. The caller records them there:
/// one entry of the log stands for the whole page ([`audit::manifest`]).
pub async fn submit_on_page(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    submission: Submission,
) -> Result<Receipt, IntakeError> {
    accept(tx, desk, controller, submission, Recorded::WithItsPage).await
}

/// Where the log tells of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recorded {
    Here,
    WithItsPage,
}

async fn accept(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    submission: Submission,
    recorded: Recorded,
) -> Result<Receipt, IntakeError> {
    let now = desk.clock.now();
    let language = check(&submission, controller, now)?;

    if let Some(earlier) =
        sql::find_by_key(tx, &controller.id, &submission.producer, &submission.idempotency_key).await?
    {
        return if earlier.kind == submission.kind {
            Ok(earlier.receipt)
        } else {
            Err(IntakeError::KeyReused)
        };
    }

    let request = RequestId(Uuid::now_v7());
    let reference = Reference::of(request);
    let due_on = controller.due_on(submission.kind, submission.received_at);
    let policies = policies_of(&submission, controller);
    sql::insert_request(
        tx,
        &sql::NewCase {
            organisation: &controller.id,
            request,
            reference: &reference,
            language: &language,
            policies: &policies,
            due_on,
            inserted_at: now,
            submission: &submission,
        },
    )
    .await?;

    let given = submission.identifiers.iter().map(|each| (IdentifierRole::Given, each.clone())).collect();
    add_identifiers(tx, &desk.keys, &controller.id, request, 0, given).await?;
    let lane = match submission.origin {
        Origin::Subject => Lane::Request,
        Origin::Retention => Lane::Sweep,
    };
    queue::enqueue(tx, &controller.id, request, lane, controller.end_of_day(due_on)).await?;

    if recorded == Recorded::WithItsPage {
        // A sweep knows no address: there is nobody to tell.
        return Ok(Receipt { request, reference, due_on, repeated: false });
    }
    let subject =
        audit::subject::commit_to(tx, &desk.keys, &controller.id, request, &submission.identifiers, now)
            .await?;
    let actor = match submission.origin {
        Origin::Retention => Actor::Schedule("retention"),
        Origin::Subject => {
            submission.handed_in_by.clone().unwrap_or_else(|| Actor::Producer(submission.producer.clone()))
        }
    };
    let detail = Detail::none()
        .word("kind", submission.kind.as_str())
        .word("channel", submission.channel.as_str())
        .word("received_on", &controller.local_date(submission.received_at).to_string())
        .word("due_on", &due_on.to_string())
        .word("assurance", submission.assurance().as_str())
        .count("identifiers", submission.identifiers.len() as u64);
    let received = Event::of(&controller.id, request, Action::RequestReceived, actor, now);
    audit::append(tx, received.with(detail).about(subject)).await?;

    // The acknowledgement goes to the address that the person wrote from or gave; without one there is none to send.
    let first_email = submission.identifiers.iter().position(|each| each.kind() == IdentifierKind::Email);
    if let Some(position) = first_email {
        let notice = NewNotice {
            organisation: controller.id.clone(),
            request,
            kind: NoticeKind::Acknowledgement,
            sender: Sender::Pump,
            recipient_no: i16::try_from(position).unwrap_or_default(),
            language,
            facts: Facts::of(
                submission.kind,
                submission.received_at.with_timezone(&controller.time_zone).date_naive(),
                due_on,
            ),
            words: None,
            link_token: None,
        };
        delivery::enqueue(tx, &desk.keys, notice, now).await?;
    }
    Ok(Receipt { request, reference, due_on, repeated: false })
}

/// Accepts a request in a transaction of its own: the library call. A repetition after a lost answer, and two
/// submissions of one key at the same time, give the receipt of the one request.
pub async fn submit_request(
    store: &Store,
    desk: &Desk,
    controller: &Controller,
    submission: Submission,
) -> Result<Receipt, IntakeError> {
    // Nobody knows whether it was committed, or somebody else's was: reading by the key tells. A COMMIT whose connection
    // is gone may still be under way during that read; the violated key then says so, and one more read finds it.
    const MOST: u32 = 3;
    for _ in 1..MOST {
        match submit_once(store, desk, controller, submission.clone()).await {
            Err(IntakeError::Store(error)) if error.is_ambiguous() || error.constraint().is_some() => {}
            other => return other,
        }
    }
    submit_once(store, desk, controller, submission).await
}

async fn submit_once(
    store: &Store,
    desk: &Desk,
    controller: &Controller,
    submission: Submission,
) -> Result<Receipt, IntakeError> {
    let mut tx = store.begin("intake.submit").await?;
    let receipt = submit(&mut tx, desk, controller, submission).await?;
    tx.commit().await?;
    Ok(receipt)
}

/// The policies that an opt-out will switch off.
fn policies_of(submission: &Submission, controller: &Controller) -> Vec<String> {
    match submission.kind {
        RequestKind::OptOut if submission.policies.is_empty() => controller.opt_out_policies.clone(),
        RequestKind::OptOut => submission.policies.clone(),
        RequestKind::Access | RequestKind::Erasure => Vec::new(),
    }
}

fn check(
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
    let acceptable_policy = |name: &String| (1..=200).contains(&name.chars().count());
    if submission.policies.len() > 20
        || !submission.policies.iter().all(acceptable_policy)
        || (submission.kind != RequestKind::OptOut && !submission.policies.is_empty())
    {
        return Err(IntakeError::Policies);
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
