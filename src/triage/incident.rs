//! Breaches of personal data that a request led to (Art. 33 and 34 GDPR): declared, listed until the authority was told,
//! and the evidence kept meanwhile. Where an answer reached somebody else, the link to its package ends with the declaration:
//! whoever has it must not fetch the package as well.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::error::TriageError;
use super::sql;
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::delivery;
use crate::domain::{Controller, IncidentCategory, IncidentCause, IncidentEnd, RequestId, deadline};
use crate::intake::{self, CaseError, Desk};
use crate::store::Tx;

/// Declares a breach that a request led to, open or closed. From now on nothing of its case is forgotten, and it is listed
/// with the instant until which the authority must be told, where the law sets one. Returns that instant. Of an answer that
/// others have, the hand-over link ends at once.
pub async fn declare_incident(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    (cause, categories, aware_at): (IncidentCause, &[IncidentCategory], DateTime<Utc>),
    actor: Actor,
) -> Result<Option<DateTime<Utc>>, TriageError> {
    let organisation = &controller.id;
    let known = intake::find_case(tx, organisation, request).await?.ok_or(CaseError::NotFound)?;
    let now = desk.clock.now();
    if aware_at > now || aware_at < known.received_at || categories.is_empty() {
        return Err(TriageError::IncidentUnusable);
    }
    if sql::has_open_incident(tx, organisation, request).await? {
        return Err(TriageError::IncidentOpen);
    }
    let authority_due_at = deadline::incident_due(controller.regime, aware_at, controller.time_zone).ok();
    let by = actor.to_string();
    let act =
        sql::Act { organisation, request, decision: Uuid::now_v7(), by: &by, confirmed_by: None, at: now };
    sql::insert_incident(tx, &act, (cause, categories, aware_at, authority_due_at)).await?;
    let mut detail = Detail::none().word("cause", cause.as_str()).word("aware_at", &aware_at.to_rfc3339());
    if let Some(due_at) = authority_due_at {
        detail = detail.word("authority_due_at", &due_at.to_rfc3339());
    }
    let others_have_it = matches!(cause, IncidentCause::Misdirected | IncidentCause::Disclosed);
    if others_have_it && delivery::end_link(tx, organisation, request).await? {
        detail = detail.flag("link_ended", true);
    }
    let words: Vec<&str> = categories.iter().map(|category| category.as_str()).collect();
    detail = detail.word("categories", &words.join(" "));
    let event = Event::of(organisation, request, Action::IncidentDeclared, actor, now);
    audit::append(tx, event.with(detail)).await?;
    Ok(authority_due_at)
}

/// Ends the open breach of a request: the authority was told, or need not be. Its case is forgotten on its terms again.
pub async fn end_incident(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    ended: IncidentEnd,
    actor: Actor,
) -> Result<(), TriageError> {
    let now = desk.clock.now();
    if !sql::end_incident(tx, &controller.id, request, ended, &actor.to_string(), now).await? {
        return Err(TriageError::NoIncident);
    }
    let event = Event::of(&controller.id, request, Action::IncidentEnded, actor, now);
    audit::append(tx, event.with(Detail::none().word("ended_as", ended.as_str()))).await?;
    Ok(())
}
