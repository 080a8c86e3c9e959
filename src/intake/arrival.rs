//! A submission that arrived becomes a request for each right that it asks for.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use super::flood;
use super::identifier::{IdentifierRole, add_identifiers, is_given_as};
use super::sql::{self, First};
use super::submission::{Desk, IntakeError, Receipt, Submission, check, kinds_in_order};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::delivery::{self, Facts, NewNotice, NoticeKind, Sender};
use crate::domain::deadline::{DueDates, Extension};
use crate::domain::{
    Controller, ErasureGround, Handling, IdentifierKind, Origin, ParkReason, Reference, RequestId,
    RequestKind, RequesterRole, SubjectIdentifier, SubjectRef,
};
use crate::queue::{self, Lane};
use crate::store::{Store, StoreError, Tx};

/// Accepts a message in the caller's transaction: one request for each right that it asks for.
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
    mut submission: Submission,
    recorded: Recorded,
) -> Result<Receipt, IntakeError> {
    let now = desk.clock.now();
    let language = check(&submission, controller, now)?;
    // Without identifiers it is the service's own: what a person proved before goes with it.
    if !submission.identifiers.is_empty() {
        submission.proof = submission.proof.and_then(|proof| proof.stated(controller.regime));
    }

    let kinds = kinds_in_order(&submission);
    let reference = |each: &SubjectIdentifier| each.reference(&desk.keys, &controller.id);
    let references: Vec<SubjectRef> = submission.identifiers.iter().map(reference).collect();
    let earlier =
        sql::find_by_key(tx, &controller.id, &submission.producer, &submission.idempotency_key).await?;
    if let Some(first) = earlier.first() {
        // A key is the producer's own: a counter that starts again must not swallow what somebody else asks.
        let of_the_same = is_given_as(tx, &controller.id, first.request, &references).await?;
        let known: Vec<RequestKind> = earlier.iter().map(|receipt| receipt.kind).collect();
        let receipt = Receipt::of(earlier).filter(|_| of_the_same && known == kinds);
        return receipt.ok_or(IntakeError::KeyReused);
    }
    let flood = flood::count(tx, controller, &submission, &references, now).await?;
    let arrival = Arrival {
        desk,
        controller,
        submission: &submission,
        language: &language,
        now,
        recorded,
        references: &references,
        flood: &flood,
    };
    let mut receipts = Vec::with_capacity(kinds.len());
    for (number, kind) in (0_i16..).zip(kinds) {
        receipts.push(arrival.accept(tx, number, kind).await?);
    }
    Receipt::of(receipts).ok_or(IntakeError::NoKind)
}

/// Why a request waits for a person from its receipt on; nothing where the machine begins.
#[must_use]
pub(super) const fn waits_for_a_person(kind: RequestKind, role: RequesterRole) -> Option<ParkReason> {
    match (kind.handling(), role) {
        (Handling::Person, _) => Some(ParkReason::NotAutomated),
        (Handling::OptOut, _) | (_, RequesterRole::Own) => None,
        _ => Some(ParkReason::RequesterNotSelf),
    }
}

/// That the work on a request begins later.
#[derive(Clone, Copy, Debug)]
struct HeldBack {
    wait: std::time::Duration,
    scope: flood::Scope,
}

/// What a flood means for a request.
#[derive(Clone, Copy, Debug)]
struct Flooded {
    held_back: Option<HeldBack>,
    acknowledged: bool,
}

/// A message that arrived, of which each right that is asked becomes a request.
struct Arrival<'a> {
    desk: &'a Desk,
    controller: &'a Controller,
    submission: &'a Submission,
    language: &'a str,
    now: DateTime<Utc>,
    recorded: Recorded,
    references: &'a [SubjectRef],
    flood: &'a flood::Verdict,
}

impl Arrival<'_> {
    async fn accept(&self, tx: &mut Tx, number: i16, kind: RequestKind) -> Result<Receipt, StoreError> {
        let Self { desk, controller, submission, now, .. } = *self;
        let request = RequestId(Uuid::now_v7());
        let reference = Reference::of(request);
        let policies = policies_of(kind, submission, controller);
        let first = self.find_first(tx, kind, &policies).await?;
        let dates = first.as_ref().map_or_else(
            || controller.due_dates(kind, submission.received_at, Extension::None, &[]),
            |first| DueDates { conservative: first.due_on, statutory: first.statutory_due_on },
        );
        let waits = waits_for_a_person(kind, submission.requester_role);
        let ground = self.ground(kind);
        let case = sql::NewCase {
            organisation: &controller.id,
            request,
            reference: &reference,
            kind,
            sibling_no: number,
            language: self.language,
            policies: &policies,
            dates,
            inserted_at: now,
            submission,
            waits,
            reminds_of: first.as_ref().map(|first| first.request),
            ground,
            categories: &ground
                .map(|ground| controller.erasure.legal_bases.concerned_by(ground))
                .unwrap_or_default(),
        };
        sql::insert_request(tx, &case).await?;
        if let Some(follows) = submission.follows {
            sql::insert_following(tx, &controller.id, request, follows).await?;
        }
        let given = submission.identifiers.iter().map(|each| (IdentifierRole::Given, each.clone())).collect();
        add_identifiers(tx, &desk.keys, &controller.id, request, 0, given).await?;
        let (mut held_back, mut acknowledged) = (None, true);
        if first.is_none() {
            held_back = self.queue(tx, kind, request, dates.conservative, waits).await?;
        } else if let Some(because) = self.flood.too_often() {
            flood::note_unacknowledged(tx, controller, because).await?;
            acknowledged = false;
        }
        // A sweep's page tells of all of its requests, and a sweep knows no address: there is nobody to tell.
        if self.recorded == Recorded::Here {
            let flood = Flooded { held_back, acknowledged };
            self.record(tx, request, kind, dates, waits, first.as_ref(), flood).await?;
            if acknowledged {
                self.acknowledge(tx, (request, kind), &policies, dates.conservative).await?;
            }
        }
        Ok(Receipt {
            request,
            kind,
            reference,
            due_on: dates.conservative,
            repeated: false,
            reminds_of: first.map(|first| Reference::of(first.request)),
            also: Vec::new(),
        })
    }

    /// On which ground of Art. 17(1) GDPR it erases, if it does: as stated, else as the controller says. The time of what a
    /// sweep finds is over, whatever the controller says of what people ask.
    fn ground(&self, kind: RequestKind) -> Option<ErasureGround> {
        let ground = match self.submission.origin {
            Origin::Subject | Origin::SelfTest => self.submission.ground.or(self.controller.erasure.ground),
            Origin::Retention => Some(ErasureGround::NoLongerNeeded),
        };
        ground.filter(|_| kind == RequestKind::Erasure)
    }

    /// The open request of which this one is a reminder: of the same kind, handed in by the same side, and naming the
    /// person by the same identifiers. It is kept from ending until this transaction does.
    ///
    /// No reminder is what a person carries out, for it may be about something else: two corrections, two objections, two
    /// words that nobody knows (what is wanted stands in no column). Nor is what is known to come from the person where that
    /// is not known of the first: its proof would go unused.
    async fn find_first(
        &self,
        tx: &mut Tx,
        kind: RequestKind,
        policies: &[String],
    ) -> Result<Option<First>, StoreError> {
        let Self { controller, submission, .. } = *self;
        if controller.reminder_days == 0
            || submission.origin != Origin::Subject
            || kind.handling() == Handling::Person
        {
            return Ok(None);
        }
        let sought = sql::Sought {
            kind,
            role: submission.requester_role,
            policies,
            ground: self.ground(kind),
            references: self.references,
            from: submission.received_at - TimeDelta::days(controller.reminder_days.into()),
            until: submission.received_at,
            // A sibling of the same message is no earlier request.
            message: (&submission.producer, &submission.idempotency_key),
        };
        let Some(first) = sql::find_first(tx, &controller.id, &sought).await? else { return Ok(None) };
        let is_doubtful = |proof| controller.identity.doubt(kind, proof, self.now).is_some();
        if is_doubtful(first.proof) && !is_doubtful(submission.proven()) {
            return Ok(None);
        }
        let answered = delivery::has_answer(tx, &controller.id, first.request).await?;
        Ok((!answered).then_some(first))
    }

    async fn queue(
        &self,
        tx: &mut Tx,
        kind: RequestKind,
        request: RequestId,
        due_on: NaiveDate,
        waits: Option<ParkReason>,
    ) -> Result<Option<HeldBack>, StoreError> {
        let lane = match self.submission.origin {
            Origin::Subject | Origin::SelfTest => Lane::Request,
            Origin::Retention => Lane::Sweep,
        };
        let (organisation, due_at) = (&self.controller.id, self.controller.end_of_day(due_on));
        if let Some(reason) = waits {
            queue::enqueue_parked(tx, organisation, request, lane, due_at, reason.as_str()).await?;
            return Ok(None);
        }
        let Some((wait, because)) = self.flood.wait(kind, due_at, self.now) else {
            queue::enqueue(tx, organisation, request, lane, due_at).await?;
            return Ok(None);
        };
        queue::enqueue_held_back(tx, organisation, request, lane, due_at, wait).await?;
        flood::note_held_back(tx, self.controller, because).await?;
        Ok(Some(HeldBack { wait, scope: because.scope() }))
    }

    #[expect(clippy::too_many_arguments, reason = "what is known of the request when it is recorded")]
    async fn record(
        &self,
        tx: &mut Tx,
        request: RequestId,
        kind: RequestKind,
        dates: DueDates,
        waits: Option<ParkReason>,
        first: Option<&First>,
        flood: Flooded,
    ) -> Result<(), StoreError> {
        let Self { controller, submission, now, .. } = *self;
        let actor = match submission.origin {
            Origin::Retention => Actor::Schedule("retention"),
            Origin::Subject | Origin::SelfTest => submission
                .handed_in_by
                .clone()
                .unwrap_or_else(|| Actor::Producer(submission.producer.clone())),
        };
        let mut detail = Detail::none()
            .word("kind", kind.as_str())
            .word("channel", submission.channel.as_str())
            .word("received_on", &controller.local_date(submission.received_at).to_string())
            .word("due_on", &dates.conservative.to_string())
            .word("assurance", submission.assurance().as_str())
            .count("identifiers", submission.identifiers.len() as u64);
        if submission.kind_unknown && kind == RequestKind::Other {
            // What word it was goes nowhere: it may say anything about anybody.
            detail = detail.flag("kind_unknown", true);
        }
        if let Some(ground) = self.ground(kind) {
            let categories = controller.erasure.legal_bases.concerned_by(ground);
            let categories: Vec<&str> = categories.iter().map(|each| each.as_str()).collect();
            detail = detail.word("ground", ground.as_str()).word("categories", &categories.join(" "));
        }
        if submission.requester_role != RequesterRole::Own {
            detail = detail.word("requester_role", submission.requester_role.as_str());
        }
        if let Some(HeldBack { wait, scope }) = flood.held_back {
            detail = detail.word("held_back_by", scope.as_str()).count("held_back_secs", wait.as_secs());
        }
        if !flood.acknowledged {
            detail = detail.flag("acknowledged", false);
        }
        let event = |action, actor| Event::of(&controller.id, request, action, actor, now);
        let (keys, identifiers) = (&self.desk.keys, &submission.identifiers);
        let subject = audit::subject::commit_to(tx, keys, &controller.id, request, identifiers, now).await?;
        audit::append(tx, event(Action::RequestReceived, actor).with(detail).about(subject)).await?;
        if let Some(first) = first {
            let detail = Detail::none().word("reminds_of", &Reference::of(first.request).to_string());
            let event = event(Action::RequestSuperseded, Actor::Process("intake"));
            audit::append(tx, event.with(detail)).await?;
        } else if let Some(reason) = waits {
            let detail = Detail::none().word("reason", reason.as_str()).word("step", "intake");
            let event = event(Action::RequestParked, Actor::Process("intake"));
            audit::append(tx, event.with(detail)).await?;
        }
        Ok(())
    }

    /// The acknowledgement goes to the address that the person wrote from or gave; without one there is none to send.
    async fn acknowledge(
        &self,
        tx: &mut Tx,
        (request, kind): (RequestId, RequestKind),
        policies: &[String],
        due_on: NaiveDate,
    ) -> Result<(), StoreError> {
        let Self { desk, controller, submission, now, .. } = *self;
        let mut facts = Facts::of(kind, controller.local_date(submission.received_at), due_on);
        if !submission.policies.is_empty() {
            name_policies(&mut facts, policies, controller);
        }
        let first_email = submission.identifiers.iter().position(|each| each.kind() == IdentifierKind::Email);
        let Some(position) = first_email else { return Ok(()) };
        let notice = NewNotice {
            organisation: controller.id.clone(),
            request,
            // A complaint has an acknowledgement of its own (in the United Kingdom the law asks for it within 30 days).
            kind: if kind == RequestKind::Complaint {
                NoticeKind::ComplaintReceived
            } else {
                NoticeKind::Acknowledgement
            },
            sender: Sender::Pump,
            recipient_no: i16::try_from(position).unwrap_or_default(),
            language: self.language.to_owned(),
            facts,
            words: None,
            link_token: None,
        };
        delivery::enqueue(tx, &desk.keys, notice, now).await?;
        Ok(())
    }
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
    match submit_once(store, desk, controller, submission.clone()).await {
        // It met what an earlier try of this very call wrote after all: that can be read now.
        Err(IntakeError::Store(error)) if error.constraint().is_some() => {
            submit_once(store, desk, controller, submission).await
        }
        other => other,
    }
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

/// Has a notice name the policies that an opt-out itself names, where they are less than all marketing: who reads "no more marketing"
/// believes it.
pub(super) fn name_policies(facts: &mut Facts, policies: &[String], controller: &Controller) {
    if facts.request_kind == RequestKind::OptOut && !controller.is_all_marketing(policies) {
        facts.policies = policies.to_vec();
        facts.named_only = true;
    }
}

/// The policies that will be switched off.
fn policies_of(kind: RequestKind, submission: &Submission, controller: &Controller) -> Vec<String> {
    match kind.handling() {
        Handling::OptOut if submission.policies.is_empty() => controller.opt_out_policies.clone(),
        Handling::OptOut => submission.policies.clone(),
        Handling::Access | Handling::Erasure | Handling::Portability | Handling::Person => Vec::new(),
    }
}
