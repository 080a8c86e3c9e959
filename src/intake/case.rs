//! What people do to a case: withdraw it, send it on its way again, record that the person was told.

use std::collections::BTreeSet;

use chrono::{DateTime, Months, Utc};

use super::arrival::waits_for_a_person;
use super::clock;
use super::identifier::{IdentifierRole, identifiers};
use super::sql::{self, Case, find_case};
use super::submission::Desk;
use crate::audit::{self, Action, Actor, Event};
use crate::delivery::{self, NewNotice, NoticeKind, Sender};
use crate::domain::deadline::{DueDates, PauseCause};
use crate::domain::{
    CaseEvent, ContactId, Controller, Handling, IdentifierKind, IdentityDoubt, OrganisationId, ParkReason,
    Proof, RefusalGround, RequestId, RequestKind, RequestState,
};
use crate::queue;
use crate::store::{StoreError, Tx};

/// Why an act on a case is refused.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// There is no such request in this organisation.
    #[error("no such request in this organisation; see `dsrd request list`")]
    NotFound,
    /// It ended already.
    #[error("the request is closed; hand in a new one")]
    Closed,
    /// Something was begun at the platform that cannot be taken back.
    #[error("the request cannot be withdrawn any more: its effect at the platform has begun")]
    EffectBegun,
    /// Requests that named the person otherwise ended as its reminders.
    #[error(
        "requests that named the person by other identifiers ended as reminders of this one (`dsrd request show` names them); make sure that the same person made them and takes them back as well, then repeat with --with-reminders"
    )]
    Reminded,
    /// It does not wait for a person.
    #[error("the request does not wait for a person; nothing to resume or to decide")]
    NotParked,
    /// It does not wait for a proof of who asks.
    #[error("the request does not wait for a proof of who asks")]
    NotWaitingForProof,
    /// The waiting for a proof ended without one.
    #[error(
        "the time for a proof of who asks is over, and the person is being told that the request ends for want of one; hand it in anew with the proof: dsrd request submit"
    )]
    EndIsTold,
    /// The person was asked something already.
    #[error("the request waits for an answer of the person already; record it with `dsrd request clarified`")]
    WaitsForThePerson,
    /// Nobody asked the person anything.
    #[error("the person was asked nothing; there is no answer to record")]
    NothingAsked,
    /// The answer lies before the request or in the future.
    #[error("the answer must lie between the receipt of the request and now")]
    AnswerOutOfTime,
    /// No procedure covers it: a person carries it out.
    #[error(
        "a person carries this kind of request out: there is nothing to resume; record what was done with `dsrd request answered`"
    )]
    ByPerson,
    /// Somebody asks for the person, and nobody has checked their authority.
    #[error(
        "the request comes from somebody else than the data subject: check their authority and record it with `dsrd decide accept`, or refuse it with `dsrd decide refuse`"
    )]
    NotAccepted,
    /// It does not wait for a person because of an access request.
    #[error(
        "the request does not wait for an access request of the same person; resume it without --despite-access"
    )]
    NotWaitingForAccess,
    /// It does not wait for a person because of a hold.
    #[error(
        "the request does not wait because of a hold that concerns its contact by a telephone number alone; resume it without --held-is-another"
    )]
    NotWaitingForHold,
    /// It waits because of other holds than were named.
    #[error(
        "the request waits because of {}; look at each of them and name all of them, or place those that are about this person for them (`dsrd hold place --request`)",
        .0.join(", ")
    )]
    OtherHolds(Vec<String>),
    /// The effect was not read back yet.
    #[error(
        "the request was not carried out and read back yet; the person cannot have been told its outcome"
    )]
    NotVerified,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

async fn lock(
    tx: &mut Tx,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<sql::LockedCase, CaseError> {
    let case = sql::lock_case(tx, organisation, request).await?.ok_or(CaseError::NotFound)?;
    // Everybody may take a request back as long as it is open: what does not even allow that is closed.
    case.state.after(CaseEvent::Withdraw).map(|_| case).ok_or(CaseError::Closed)
}

/// An open case, which stays locked until the end of the transaction.
#[derive(Clone, Debug)]
pub struct OpenCase {
    /// The case.
    pub case: Case,
    /// Whether an effect at the platform was announced that may have happened.
    pub effect_begun: bool,
}

/// Locks a case that is not closed.
pub async fn lock_open(
    tx: &mut Tx,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<OpenCase, CaseError> {
    let effect_begun = lock(tx, organisation, request).await?.effect_begun;
    let case = find_case(tx, organisation, request).await?.ok_or(CaseError::NotFound)?;
    Ok(OpenCase { case, effect_begun })
}

/// Where a question to the person goes: the address in the contact's profile, else the first one given.
pub async fn recipient_of(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<i16>, StoreError> {
    let known = identifiers(tx, &desk.keys, organisation, request).await?;
    let of_role = |role| {
        known
            .iter()
            .find(|each| each.role == role && each.identifier.kind() == IdentifierKind::Email)
            .map(|each| each.number)
    };
    Ok(of_role(IdentifierRole::ContactPoint).or_else(|| of_role(IdentifierRole::Given)))
}

/// The first address that was given with a request, for where the one in the profile is the mistake.
pub async fn given_address_of(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<i16>, StoreError> {
    let known = identifiers(tx, &desk.keys, organisation, request).await?;
    let given = |each: &&super::Identifier| {
        each.role == IdentifierRole::Given && each.identifier.kind() == IdentifierKind::Email
    };
    Ok(known.iter().find(given).map(|each| each.number))
}

/// Lets a case that was locked by [`lock_open`] wait for the person, who was asked something. Whoever works on it finds its
/// lease lost.
pub async fn wait_for_person(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
    state: RequestState,
) -> Result<(), StoreError> {
    queue::set_aside(tx, organisation, request, state.as_str()).await?;
    delivery::end_open_attempts(tx, organisation, request, desk.clock.now()).await?;
    sql::set_waiting(tx, organisation, request, state).await
}

/// Records that the person answered what they were asked, and when, and sends the case on its way again: to the person who
/// carries it out, or to the machine. Without an instant nobody answered, the case goes on as it is, and no time stood
/// still.
pub async fn clarified(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    answered_at: Option<DateTime<Utc>>,
    actor: Actor,
) -> Result<(), CaseError> {
    let organisation = &controller.id;
    let case = lock_open(tx, organisation, request).await?.case;
    if case.state.after(CaseEvent::Clarify).is_none() {
        return Err(CaseError::NothingAsked);
    }
    let now = desk.clock.now();
    if answered_at.is_some_and(|at| at > now || at < case.received_at) {
        return Err(CaseError::AnswerOutOfTime);
    }
    let asked = clock::asked_last(tx, organisation, request).await?;
    let paused = match answered_at {
        Some(at) => clock::record_pause(tx, controller, request, asked, at).await?,
        None => None,
    };
    delivery::drop_unsent_question(tx, organisation, request).await?;
    match waits_for_a_person(case.kind, case.requester_role) {
        // A fee that nobody answered about: a person decides whether it is refused, or carried out for nothing.
        None if answered_at.is_none() && asked == PauseCause::Fee => {
            sql::set_parked_again(tx, organisation, request, ParkReason::FeeUnanswered, now).await?;
        }
        Some(reason) if !case.accepted => {
            sql::set_parked_again(tx, organisation, request, reason, now).await?;
        }
        _ => {
            sql::set_resumed(tx, organisation, request, None, None, false).await?;
            queue::resume(tx, organisation, request).await?;
        }
    }
    let detail = stood_still(audit::Detail::none().flag("answered", answered_at.is_some()), paused);
    let event = Event::of(organisation, request, Action::ClarificationAnswered, actor, now);
    audit::append(tx, event.with(detail)).await?;
    Ok(())
}

/// Ends a request at the person's wish, as long as nothing was begun that cannot be taken back: an opt-out that waits because
/// they seem to have opted in again can be, whatever was switched off of it. One of which requests by other
/// identifiers are reminders stands for those, too: whoever made one of them may not be who takes it back
/// ([`withdraw_with_reminders`]).
pub async fn withdraw(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    actor: Actor,
) -> Result<(), CaseError> {
    let case = lock(tx, &controller.id, request).await?;
    if sql::is_reminded_otherwise(tx, &controller.id, request).await? {
        return Err(CaseError::Reminded);
    }
    end_withdrawn(tx, desk, controller, request, case, actor).await
}

/// The same for one with such reminders, where a person made sure that they are taken back as well.
pub async fn withdraw_with_reminders(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    actor: Actor,
) -> Result<(), CaseError> {
    let case = lock(tx, &controller.id, request).await?;
    end_withdrawn(tx, desk, controller, request, case, actor).await
}

async fn end_withdrawn(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    case: sql::LockedCase,
    actor: Actor,
) -> Result<(), CaseError> {
    let organisation = &controller.id;
    let opted_in_again = case.park_reason == Some(ParkReason::NewerWill)
        && case.kind.handling() == Handling::OptOut
        && !case.verified;
    if case.effect_begun && !opted_in_again {
        return Err(CaseError::EffectBegun);
    }
    let now = desk.clock.now();
    queue::withdraw(tx, organisation, request).await?;
    sql::set_withdrawn(tx, organisation, request, now).await?;
    queue::wake_waiting(tx, organisation).await?;
    // The holder of the lease, if there is one, finds it lost and writes no end of what it is sending.
    delivery::end_open_attempts(tx, organisation, request, now).await?;
    let mut event = Event::of(organisation, request, Action::RequestWithdrawn, actor, now);
    if case.effect_begun {
        event = event.with(audit::Detail::none().flag("effect_begun", true));
    }
    audit::append(tx, event).await?;
    confirm_withdrawal(tx, desk, controller, request).await
}

/// Tells the person that the withdrawal was recorded (N-16), where an address is known: the one given, else that of the
/// profile, to which whatever was asked of them went, so that they hear of one that somebody else took back for them. Nobody
/// is told of a sweep.
async fn confirm_withdrawal(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
) -> Result<(), CaseError> {
    let now = desk.clock.now();
    let Some(case) = find_case(tx, &controller.id, request).await?.filter(|case| case.origin.is_told())
    else {
        return Ok(());
    };
    let given = given_address_of(tx, desk, &controller.id, request).await?;
    let recipient = match given {
        Some(given) => Some(given),
        None => recipient_of(tx, desk, &controller.id, request).await?,
    };
    let Some(recipient_no) = recipient else { return Ok(()) };
    let mut facts = case.facts(controller);
    let today = controller.local_date(now);
    facts.done_on = Some(today);
    facts.restricted = sql::is_restricted(tx, &controller.id, request).await?;
    // Nothing of the request is forgotten as long as the restriction stands.
    facts.evidence_until =
        today.checked_add_months(Months::new(desk.evidence_months)).filter(|_| !facts.restricted);
    let notice = NewNotice {
        organisation: controller.id.clone(),
        request,
        kind: NoticeKind::Withdrawn,
        sender: Sender::Pump,
        recipient_no,
        language: case.language,
        facts,
        words: None,
        link_token: None,
    };
    delivery::enqueue(tx, &desk.keys, notice, now).await?;
    Ok(())
}

/// Sends a parked request on its way again, with fresh attempts.
pub async fn resume(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
    actor: Actor,
) -> Result<(), CaseError> {
    let case = lock(tx, organisation, request).await?;
    if case.state.after(CaseEvent::Decide).is_none() {
        return Err(CaseError::NotParked);
    }
    match case.park_reason {
        // What waited for a person before a procedure covered it goes on like the others.
        Some(ParkReason::NotAutomated) if case.kind.handling() == Handling::Person => {
            return Err(CaseError::ByPerson);
        }
        Some(ParkReason::RequesterNotSelf) => return Err(CaseError::NotAccepted),
        None => return Err(CaseError::NotParked),
        _ => {}
    }
    continue_case(tx, desk, organisation, request, actor, Continued::Resumed).await
}

/// Sends an erasure on its way again that waits for a person because of an access request of the same person, and lets it
/// go on although that is still open.
pub async fn resume_despite_access(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
    actor: Actor,
) -> Result<(), CaseError> {
    let case = lock(tx, organisation, request).await?;
    if case.park_reason != Some(ParkReason::WaitsForAccess) {
        return Err(CaseError::NotWaitingForAccess);
    }
    continue_case(tx, desk, organisation, request, actor, Continued::DespiteAccess).await
}

/// Sends an erasure on its way again that waits for a person because of holds which concern its contact by a telephone number alone, and
/// records that these are about somebody else. `holds` are the references that the person was shown: where it waits for others by now,
/// nobody has looked at those, and nothing is decided.
pub async fn resume_not_held(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
    holds: &[String],
    actor: Actor,
) -> Result<(), CaseError> {
    let case = lock(tx, organisation, request).await?;
    if case.park_reason != Some(ParkReason::HoldUnclear) {
        return Err(CaseError::NotWaitingForHold);
    }
    let waits_for = sql::set_holds_of_others(tx, organisation, request).await?;
    if waits_for.is_empty() {
        return Err(CaseError::NotWaitingForHold);
    }
    let known = |references: &[String]| references.iter().cloned().collect::<BTreeSet<_>>();
    if known(holds) != known(&waits_for) {
        return Err(CaseError::OtherHolds(waits_for));
    }
    continue_case(tx, desk, organisation, request, actor, Continued::NotHeld(&waits_for)).await
}

/// What a decision needs to know of a parked case, which stays locked until the end of the transaction.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one case")]
pub struct ParkedCase {
    /// What is asked.
    pub kind: RequestKind,
    /// Why it waits.
    pub reason: ParkReason,
    /// The one contact that it may touch, once known.
    pub contact: Option<ContactId>,
    /// Whether its effect was read back, its package built, or nobody found.
    pub verified: bool,
    /// Whether an effect at the platform was announced that may have happened.
    pub effect_begun: bool,
    /// Whether the contact was looked for, and that look is over.
    pub located: bool,
    /// The ground on which a person refused it already.
    pub refusal: Option<RefusalGround>,
    /// Whether a person recorded already how they carried it out.
    pub answered: bool,
}

/// Locks a case that waits for a person.
pub async fn lock_parked(
    tx: &mut Tx,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<ParkedCase, CaseError> {
    let case = lock(tx, organisation, request).await?;
    let reason = match (case.state, case.park_reason) {
        (RequestState::Manual, Some(reason)) => reason,
        // A person may end that wait, too.
        (RequestState::NeedsIdentity, _) => ParkReason::IdentityUnproven,
        _ => return Err(CaseError::NotParked),
    };
    Ok(ParkedCase {
        kind: case.kind,
        reason,
        contact: case.contact,
        verified: case.verified,
        effect_begun: case.effect_begun,
        located: case.located,
        refusal: case.refusal,
        answered: case.answered,
    })
}

/// What a proof of who asks needs to know of a case, which stays locked until the end of the transaction.
#[derive(Clone, Debug)]
pub struct WaitingCase {
    /// What is asked.
    pub kind: RequestKind,
    /// Where it stands.
    pub state: RequestState,
    /// Why it waits for a person.
    pub park_reason: Option<ParkReason>,
    /// How it is known who asks until now.
    pub proof: Option<Proof>,
    /// Why more had to be known, if it had.
    pub doubt: Option<IdentityDoubt>,
    /// Whether the waiting for a proof ended without one, which is still to be told: no proof changes that any more.
    pub unproven: bool,
}

impl WaitingCase {
    /// Refuses a proof that would come after the end.
    pub fn takes_a_proof(&self) -> Result<(), CaseError> {
        if self.unproven { Err(CaseError::EndIsTold) } else { Ok(()) }
    }
}

/// Locks a case that is open, whatever it waits for.
pub async fn lock_waiting(
    tx: &mut Tx,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<WaitingCase, CaseError> {
    let case = lock(tx, organisation, request).await?;
    Ok(WaitingCase {
        kind: case.kind,
        state: case.state,
        park_reason: case.park_reason,
        proof: case.proof,
        doubt: case.doubt,
        unproven: case.unproven,
    })
}

/// Notes on a case that was locked by [`lock_waiting`] how it became known who asks, and sends it on its way if it waited for
/// that; one that waits for something else goes on waiting. The time since the person was asked is recorded, and moves the
/// dates as the regime says; returns the dates that hold since, where there was such a time. A proof that had grown too old moves
/// none: it was known once who asks, and asking again before something that cannot be undone is our own wish. The
/// caller writes the proof itself and its entry in the log.
pub async fn continue_proven(
    tx: &mut Tx,
    controller: &Controller,
    request: RequestId,
    waiting: &WaitingCase,
    proof: Proof,
) -> Result<Option<DueDates>, CaseError> {
    let organisation = &controller.id;
    sql::set_proven(tx, organisation, request, proof).await?;
    let waited = match waiting.park_reason {
        None => waiting.state == RequestState::NeedsIdentity,
        Some(ParkReason::IdentityUnproven) => true,
        // The question was refused or came back, and no answer: that one would say something that a proof does not change.
        Some(ParkReason::NoticeRefused) => !delivery::has_answer(tx, organisation, request).await?,
        Some(_) => false,
    };
    if !waited {
        return Ok(None);
    }
    let moved = if waiting.doubt == Some(IdentityDoubt::TooOld) {
        None
    } else {
        clock::record_pause(tx, controller, request, PauseCause::Identity, proof.at).await?
    };
    sql::set_resumed(tx, organisation, request, None, None, false).await?;
    if !queue::resume(tx, organisation, request).await? {
        queue::wake(tx, organisation, request).await?;
    }
    Ok(moved)
}

/// What the log tells of a time of waiting for the person that is over: whether dates were computed again, and which they are.
#[must_use]
pub fn stood_still(detail: audit::Detail, moved: Option<DueDates>) -> audit::Detail {
    let detail = detail.flag("time_stood_still", moved.is_some());
    match moved {
        Some(dates) => detail.word("due_on", &dates.conservative.to_string()),
        None => detail,
    }
}

/// Sends a case that was locked by [`lock_parked`] on its way with a decision: from now on it may touch `contact` only,
/// where one is given.
pub async fn continue_with(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
    contact: Option<&ContactId>,
    actor: Actor,
) -> Result<(), CaseError> {
    continue_case(tx, desk, organisation, request, actor, Continued::Decided(contact)).await
}

/// Records that the person was told by other means (a letter, a call). A request that waits for a person because of it
/// goes on to its end; for one that is closed or goes on by itself, it ends the task of telling what a notice should have
/// told that came back.
pub async fn record_informed(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
    actor: Actor,
) -> Result<(), CaseError> {
    let case = sql::lock_case(tx, organisation, request).await?.ok_or(CaseError::NotFound)?;
    let made_good = delivery::make_good(tx, organisation, request, &actor, desk.clock.now()).await?;
    // What is refused, carried out by a person, or ends without a proof is told without anything to read back.
    let has_an_answer = case.verified || case.answered || case.refusal.is_some() || case.unproven;
    match case.state {
        RequestState::Manual if has_an_answer => {}
        // The acknowledgement of a request that goes on by itself or waits for another decision, or an answer that came back
        // after the end.
        _ if made_good > 0 => return Ok(()),
        RequestState::Closed => return Err(CaseError::Closed),
        state if state.after(CaseEvent::Decide).is_none() => return Err(CaseError::NotParked),
        _ if has_an_answer => {}
        _ => return Err(CaseError::NotVerified),
    }
    continue_case(tx, desk, organisation, request, actor, Continued::Informed).await
}

/// With what a parked case goes on.
#[derive(Clone, Copy)]
enum Continued<'a> {
    /// As it stands.
    Resumed,
    /// Although an access request of the same person is open.
    DespiteAccess,
    /// Although these holds are about somebody with the same telephone number.
    NotHeld(&'a [String]),
    /// The person was told by other means.
    Informed,
    /// A decision, perhaps with the contact that is meant.
    Decided(Option<&'a ContactId>),
}

async fn continue_case(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
    actor: Actor,
    how: Continued<'_>,
) -> Result<(), CaseError> {
    let now = desk.clock.now();
    let informed = matches!(how, Continued::Informed);
    let contact = if let Continued::Decided(contact) = how { contact } else { None };
    let despite_access = matches!(how, Continued::DespiteAccess);
    let told_at = informed.then_some(now);
    sql::set_resumed(tx, organisation, request, told_at, contact, despite_access).await?;
    if !queue::resume(tx, organisation, request).await? {
        queue::wake(tx, organisation, request).await?;
    }
    if matches!(how, Continued::Resumed) {
        delivery::reopen_refused(tx, organisation, request, now).await?;
    }
    let mut detail = audit::Detail::none().flag("informed_by_other_means", informed);
    if despite_access {
        detail = detail.flag("despite_access", true);
    }
    if let Continued::NotHeld(holds) = how {
        // As many as a word of the log has room for; the case has them all.
        const NAMED: usize = 8;
        let named = holds.get(..NAMED).unwrap_or(holds).join(" ");
        detail = detail.flag("held_is_another", true).word("holds", &named);
        if holds.len() > NAMED {
            detail = detail.count("holds_in_all", u64::try_from(holds.len()).unwrap_or(u64::MAX));
        }
    }
    audit::append(tx, Event::of(organisation, request, Action::RequestResumed, actor, now).with(detail))
        .await?;
    Ok(())
}
