//! What a person records who carried a request out, or let one go on that somebody hands in for the data subject.

use super::error::TriageError;
use super::refusal::{Facts, seal};
use super::second::Deciders;
use super::sql;
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::delivery;
use crate::domain::{
    AcceptanceReason, AnsweredOutcome, Handling, OrganisationId, ParkReason, Reference, RequestId,
    RequestKind,
};
use crate::holds;
use crate::intake::{self, Desk};
use crate::store::Tx;

/// Records that a person carried out a request that no procedure covers, with what outcome, and what the data
/// subject is told about it. The procedure of the request tells them and closes it: nothing is closed before the mail
/// server took that answer, or the person was told by other means (I-1).
pub async fn answer(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
    outcome: AnsweredOutcome,
    words: Facts,
    actor: Actor,
) -> Result<(), TriageError> {
    answer_as(tx, desk, organisation, request, (outcome, words), Deciders::alone(actor)).await
}

pub(super) async fn check_answer(
    tx: &mut Tx,
    organisation: &OrganisationId,
    request: RequestId,
    words: Option<&Facts>,
) -> Result<(), TriageError> {
    let parked = intake::lock_parked(tx, organisation, request).await?;
    let for_a_person = match parked.kind.handling() {
        Handling::Person => true,
        // Where nobody said what the person may take along, and where it waited before a procedure covered it.
        Handling::Portability => {
            matches!(parked.reason, ParkReason::NothingPortable | ParkReason::NotAutomated)
        }
        Handling::Access | Handling::Erasure | Handling::OptOut => false,
    };
    if !for_a_person {
        return Err(TriageError::CarriedOutByTheMachine(parked.kind));
    }
    if parked.refusal.is_some() {
        return Err(TriageError::AlreadyRefused);
    }
    if parked.answered {
        return Err(TriageError::AlreadyAnswered);
    }
    if words.is_some() { Ok(()) } else { Err(TriageError::FactsUnusable) }
}

/// That a restriction is not said to be in place which nobody placed (Art. 18 GDPR).
pub(super) async fn check_restricted(
    tx: &mut Tx,
    organisation: &OrganisationId,
    request: RequestId,
    outcome: AnsweredOutcome,
) -> Result<(), TriageError> {
    let parked = intake::lock_parked(tx, organisation, request).await?;
    if parked.kind != RequestKind::Restriction || outcome == AnsweredOutcome::FulfilledNoData {
        return Ok(());
    }
    match holds::restriction_of(tx, organisation, request).await? {
        Some(_) => Ok(()),
        None => Err(TriageError::NotRestricted(Reference::of(request))),
    }
}

pub(super) async fn answer_as(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
    (outcome, words): (AnsweredOutcome, Facts),
    deciders: Deciders,
) -> Result<(), TriageError> {
    check_answer(tx, organisation, request, Some(&words)).await?;
    check_restricted(tx, organisation, request, outcome).await?;
    let act = deciders.act(organisation, request, desk);
    sql::insert_answer(tx, &act, outcome, seal(desk, &act, words)).await?;
    let event = Event::of(organisation, request, Action::RequestAnswered, deciders.actor.clone(), act.at);
    audit::append(tx, event.with(Detail::none().word("outcome", outcome.as_str()))).await?;
    intake::continue_with(tx, desk, organisation, request, None, deciders.actor.clone()).await?;
    Ok(())
}

/// Records that whoever hands a request in for the data subject may do so, and what was checked, and sends it on its way.
/// A package still goes to no other address than the one in the data subject's profile.
pub async fn accept(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
    reason: AcceptanceReason,
    actor: Actor,
) -> Result<(), TriageError> {
    accept_as(tx, desk, organisation, request, reason, Deciders::alone(actor)).await
}

pub(super) async fn check_acceptance(
    tx: &mut Tx,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<(), TriageError> {
    let parked = intake::lock_parked(tx, organisation, request).await?;
    if parked.reason == ParkReason::RequesterNotSelf {
        Ok(())
    } else {
        Err(TriageError::NothingToAccept(parked.reason))
    }
}

pub(super) async fn accept_as(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
    reason: AcceptanceReason,
    deciders: Deciders,
) -> Result<(), TriageError> {
    check_acceptance(tx, organisation, request).await?;
    let act = deciders.act(organisation, request, desk);
    sql::insert_acceptance(tx, &act, reason).await?;
    let event = Event::of(organisation, request, Action::RequestAccepted, deciders.actor.clone(), act.at);
    audit::append(tx, event.with(Detail::none().word("reason", reason.as_str()))).await?;
    // Whatever was written meanwhile does not belong to what goes on now.
    delivery::drop_unsent_answers(tx, organisation, request).await?;
    intake::continue_with(tx, desk, organisation, request, None, deciders.actor.clone()).await?;
    Ok(())
}
