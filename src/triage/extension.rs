//! That more time is needed (Art. 12(3) GDPR), and that the person is asked what they mean (recital 63).

use chrono::{DateTime, Utc};

use super::error::TriageError;
use super::refusal::{Facts, seal};
use super::second::Deciders;
use super::sql;
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::delivery::{self, NewNotice, NoticeId, NoticeKind, Sender};
use crate::domain::deadline::DueDates;
use crate::domain::{
    CaseEvent, ClarificationReason, Controller, ExtensionReason, Handling, Personal, RequestId, RequestState,
};
use crate::intake::{self, Case, CaseError, Desk};
use crate::store::Tx;

/// What an extension rests on.
pub(super) struct Plan {
    case: Case,
    recipient_no: i16,
    base_due_at: DateTime<Utc>,
    extended: DueDates,
}

/// Whether the term of an open request can be extended now: once, while the first term runs, where the law has an
/// extension, and where there is an address to which it can be told.
pub(super) async fn check(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
) -> Result<Plan, TriageError> {
    let case = intake::lock_open(tx, &controller.id, request).await?.case;
    if case.kind.handling() == Handling::OptOut {
        return Err(TriageError::NotExtended);
    }
    if sql::has_decision(tx, &controller.id, request, "extension").await? {
        return Err(TriageError::AlreadyExtended);
    }
    let base_due_at = controller.end_of_day(case.statutory_due_on.unwrap_or(case.due_on));
    if desk.clock.now() >= base_due_at {
        return Err(TriageError::TermOver);
    }
    let extended = intake::dates_from_events(tx, controller, request, true).await?;
    let extended = extended.filter(|dates| dates.conservative > case.due_on);
    let extended = extended.ok_or(TriageError::NoExtension(controller.regime))?;
    let recipient_no = intake::recipient_of(tx, desk, &controller.id, request).await?;
    let recipient_no = recipient_no.ok_or(TriageError::NoAddress)?;
    Ok(Plan { case, recipient_no, base_due_at, extended })
}

/// Records that the term is extended and writes the notice that says so. The new date holds from the moment on at which
/// the mail server took the notice, if that is before the end of the first term ([`intake::settle_extensions`]).
pub(super) async fn extend(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    (reason, facts): (ExtensionReason, Facts),
    deciders: Deciders,
) -> Result<(), TriageError> {
    let plan = check(tx, desk, controller, request).await?;
    let act = deciders.act(&controller.id, request, desk);
    let words = facts.words();
    sql::insert_extension(tx, &act, reason, plan.base_due_at, seal(desk, &act, facts)).await?;
    let detail = Detail::none()
        .word("reason", reason.as_str())
        .word("due_on", &plan.extended.conservative.to_string());
    let event = Event::of(&controller.id, request, Action::ExtensionDecided, deciders.actor.clone(), act.at);
    audit::append(tx, event.with(detail)).await?;
    let mut told = facts_of(controller, &plan.case);
    told.extended_to = Some(plan.extended.conservative);
    told.extension_reason = Some(match reason {
        ExtensionReason::Complexity => delivery::WhyLonger::Complexity,
        ExtensionReason::NumberOfRequests => delivery::WhyLonger::NumberOfRequests,
    });
    let asked = Told { kind: NoticeKind::Extension, facts: told, words, recipient_no: plan.recipient_no };
    enqueue(tx, desk, controller, &plan.case, asked).await
}

/// Asks the person what they mean, and lets the request wait for the answer. What the wait does to the dates, the regime
/// says once the answer is there ([`intake::clarified`]); until then the date stands.
pub async fn ask_clarification(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    (reason, question): (ClarificationReason, Facts),
    actor: Actor,
) -> Result<(), TriageError> {
    let organisation = &controller.id;
    let open = intake::lock_open(tx, organisation, request).await?;
    if open.effect_begun || open.case.is_settled() {
        return Err(TriageError::NothingToClarify);
    }
    let Some(asked) = open.case.state.after(CaseEvent::AskClarification) else {
        return Err(CaseError::WaitsForThePerson.into());
    };
    if open.case.kind.handling() == Handling::OptOut && open.case.state != RequestState::Manual {
        return Err(TriageError::OptOutIsNotDelayed);
    }
    if sql::has_decision(tx, organisation, request, "clarification").await? {
        return Err(TriageError::AlreadyAsked);
    }
    let recipient_no = intake::recipient_of(tx, desk, organisation, request).await?;
    let recipient_no = recipient_no.ok_or(TriageError::NoAddress)?;
    let deciders = Deciders::alone(actor);
    let act = deciders.act(organisation, request, desk);
    let words = question.words();
    sql::insert_clarification(tx, &act, reason, seal(desk, &act, question)).await?;
    let event = Event::of(organisation, request, Action::ClarificationAsked, deciders.actor.clone(), act.at);
    audit::append(tx, event.with(Detail::none().word("reason", reason.as_str()))).await?;
    intake::wait_for_person(tx, desk, organisation, request, asked).await?;
    let facts = facts_of(controller, &open.case);
    let told = Told { kind: NoticeKind::ClarificationRequest, facts, words, recipient_no };
    enqueue(tx, desk, controller, &open.case, told).await
}

pub(super) fn facts_of(controller: &Controller, case: &Case) -> delivery::Facts {
    case.facts(controller)
}

/// A notice to be written.
pub(super) struct Told {
    pub(super) kind: NoticeKind,
    pub(super) facts: delivery::Facts,
    pub(super) words: Personal<String>,
    pub(super) recipient_no: i16,
}

impl Told {
    fn notice(self, controller: &Controller, case: &Case) -> NewNotice {
        NewNotice {
            organisation: controller.id.clone(),
            request: case.request,
            kind: self.kind,
            sender: Sender::Pump,
            recipient_no: self.recipient_no,
            language: case.language.clone(),
            facts: self.facts,
            words: Some(self.words),
            link_token: None,
        }
    }
}

/// Puts a notice into the outbox that a request has once.
pub(super) async fn enqueue(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    case: &Case,
    told: Told,
) -> Result<(), TriageError> {
    delivery::enqueue(tx, &desk.keys, told.notice(controller, case), desk.clock.now()).await?;
    Ok(())
}

/// Puts a notice into the outbox that a request may have several times.
pub(super) async fn enqueue_again(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    case: &Case,
    told: Told,
) -> Result<Option<NoticeId>, TriageError> {
    let notice = told.notice(controller, case);
    let written = delivery::enqueue_again(tx, &desk.keys, notice, desk.clock.now()).await?;
    Ok(written.map(|written| written.id))
}
