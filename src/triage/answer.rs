//! What a person records who carried a request out, or let one go on that somebody hands in for the data subject.

use uuid::Uuid;

use super::error::TriageError;
use super::refusal::{Facts, seal};
use super::sql::{self, Act};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::delivery;
use crate::domain::{AcceptanceReason, AnsweredOutcome, Handling, OrganisationId, ParkReason, RequestId};
use crate::intake::{self, Desk};
use crate::store::Tx;

/// Records that a person carried out a request of a kind that no procedure covers, with what outcome, and what the data
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
    let parked = intake::lock_parked(tx, organisation, request).await?;
    if parked.kind.handling() != Handling::Person {
        return Err(TriageError::CarriedOutByTheMachine(parked.kind));
    }
    if parked.refusal.is_some() {
        return Err(TriageError::AlreadyRefused);
    }
    if parked.answered {
        return Err(TriageError::AlreadyAnswered);
    }
    let by = actor.to_string();
    let act = Act { organisation, request, decision: Uuid::now_v7(), by: &by, at: desk.clock.now() };
    sql::insert_answer(tx, &act, outcome, seal(desk, &act, words)).await?;
    let event = Event::of(organisation, request, Action::RequestAnswered, actor.clone(), act.at);
    audit::append(tx, event.with(Detail::none().word("outcome", outcome.as_str()))).await?;
    intake::continue_with(tx, desk, organisation, request, None, actor).await?;
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
    let parked = intake::lock_parked(tx, organisation, request).await?;
    if parked.reason != ParkReason::RequesterNotSelf {
        return Err(TriageError::NothingToAccept(parked.reason));
    }
    let by = actor.to_string();
    let act = Act { organisation, request, decision: Uuid::now_v7(), by: &by, at: desk.clock.now() };
    sql::insert_acceptance(tx, &act, reason).await?;
    let event = Event::of(organisation, request, Action::RequestAccepted, actor.clone(), act.at);
    audit::append(tx, event.with(Detail::none().word("reason", reason.as_str()))).await?;
    // Whatever was written meanwhile does not belong to what goes on now.
    delivery::drop_unsent_answers(tx, organisation, request).await?;
    intake::continue_with(tx, desk, organisation, request, None, actor).await?;
    Ok(())
}
