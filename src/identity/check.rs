//! What a person of the controller found out themselves.

use uuid::Uuid;

use super::asking::end_links;
use super::error::IdentityError;
use super::sql::{self, NewProof};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{Controller, IdentityMethod, Proof, RequestId};
use crate::intake::{self, Desk};
use crate::store::Tx;

/// Records how a person of the controller found out who asks, and lets the request go on if it waited for that. The method
/// must be enough by the controller's own rules; what was shown is not kept.
pub async fn record_check(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    method: IdentityMethod,
    actor: Actor,
) -> Result<(), IdentityError> {
    let waiting = intake::lock_waiting(tx, &controller.id, request).await?;
    let now = desk.clock.now();
    let proof = Proof { assurance: method.assurance(), at: now };
    if let Some(doubt) = controller.identity.doubt(waiting.kind, Some(proof), now) {
        return Err(IdentityError::NotEnough { method, kind: waiting.kind, doubt });
    }
    let by = actor.to_string();
    let recorded = NewProof {
        organisation: &controller.id,
        request,
        id: Uuid::now_v7(),
        proof,
        method: method.as_str(),
        by: &by,
    };
    sql::insert_proof(tx, &recorded).await?;
    end_links(tx, &controller.id, request).await?;
    let stood_still = intake::continue_proven(tx, controller, request, &waiting, proof).await?;
    let detail = Detail::none()
        .word("method", method.as_str())
        .word("assurance", proof.assurance.as_str())
        .flag("time_stood_still", stood_still);
    let event = Event::of(&controller.id, request, Action::IdentityChecked, actor, now);
    audit::append(tx, event.with(detail)).await?;
    Ok(())
}
