//! What else persons decide that the data subject is told: that a fee is asked for (Art. 12(5) GDPR), a first part of the
//! answer, a breach (Art. 34), the coming end of a restriction (Art. 18(3)).

use chrono::{DateTime, NaiveDate, Utc};

use super::error::TriageError;
use super::extension::{Told, enqueue, enqueue_again, facts_of};
use super::refusal::{Facts, seal};
use super::second::Deciders;
use super::sql;
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::delivery::{self, NoticeKind};
use crate::domain::{CaseEvent, Controller, DecisionKind, Handling, RefusalGround, RequestId, RequestState};
use crate::holds;
use crate::intake::{self, Case, CaseError, Desk};
use crate::store::Tx;

/// The longest time until the person shall have answered about a fee: within the first term, in all regimes.
const LONGEST_FOR_A_FEE: u64 = 92;

/// A fee that is asked for, on a ground of the law. Why, and how the amount is computed, the facts of the decision say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fee {
    /// [`RefusalGround::ManifestlyUnfounded`] or [`RefusalGround::Excessive`]: the only ones.
    pub ground: RefusalGround,
    /// With its currency, as the person reads it: `EUR 12.00`.
    pub amount: String,
    /// By when the person should answer, in the controller's time zone.
    pub answer_by: NaiveDate,
}

/// What asking for a fee rests on.
pub(super) struct Asking {
    case: Case,
    asked: RequestState,
    recipient_no: i16,
}

/// Whether a fee can be asked for now: before anything was carried out, once, on one of the two grounds, where there is an
/// address to which it can be told.
pub(super) async fn check_fee(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    fee: &Fee,
) -> Result<Asking, TriageError> {
    let organisation = &controller.id;
    let today = controller.local_date(desk.clock.now());
    let usable = (1..=40).contains(&fee.amount.chars().count())
        && fee.amount.chars().any(|each| each.is_ascii_digit())
        && !fee.amount.chars().any(char::is_control);
    let latest = today.checked_add_days(chrono::Days::new(LONGEST_FOR_A_FEE));
    if !usable || fee.answer_by <= today || latest.is_some_and(|latest| fee.answer_by > latest) {
        return Err(TriageError::FeeUnusable);
    }
    let open = intake::lock_open(tx, organisation, request).await?;
    if !open.case.kind.can_be_refused() {
        return Err(TriageError::OptOut);
    }
    if !matches!(fee.ground, RefusalGround::ManifestlyUnfounded | RefusalGround::Excessive) {
        return Err(TriageError::NoGroundForAFee(fee.ground));
    }
    if open.effect_begun || open.case.is_settled() {
        return Err(TriageError::NothingToClarify);
    }
    let Some(asked) = open.case.state.after(CaseEvent::AskClarification) else {
        return Err(CaseError::WaitsForThePerson.into());
    };
    if sql::has_decision(tx, organisation, request, "fee").await? {
        return Err(TriageError::AlreadyAsked);
    }
    let recipient_no = intake::recipient_of(tx, desk, organisation, request).await?;
    let recipient_no = recipient_no.ok_or(TriageError::NoAddress)?;
    Ok(Asking { case: open.case, asked, recipient_no })
}

/// Asks the person for a fee and lets the request wait for the answer, which `intake::clarified` records: nothing is carried
/// out and nothing owed before. What the wait does to the dates, the regime says.
pub(super) async fn ask_fee(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    (fee, why): (Fee, Facts),
    deciders: Deciders,
) -> Result<(), TriageError> {
    let organisation = &controller.id;
    if deciders.confirmed_by.is_some() && fee.answer_by <= controller.local_date(desk.clock.now()) {
        return Err(TriageError::AnswerDayOver);
    }
    let Asking { case, asked, recipient_no } = check_fee(tx, desk, controller, request, &fee).await?;
    let act = deciders.act(organisation, request, desk);
    let words = why.words();
    let reason = (DecisionKind::Fee.as_str(), fee.ground.as_str());
    sql::insert_telling(tx, &act, reason, seal(desk, &act, why)).await?;
    let event = Event::of(organisation, request, Action::FeeAsked, deciders.actor.clone(), act.at);
    let detail =
        Detail::none().word("ground", fee.ground.as_str()).word("answer_by", &fee.answer_by.to_string());
    audit::append(tx, event.with(detail)).await?;
    intake::wait_for_person(tx, desk, organisation, request, asked).await?;
    let mut facts = facts_of(controller, &case);
    facts.amount = Some(fee.amount);
    facts.answer_by = Some(fee.answer_by);
    facts.refusal = Some(delivery::Refusal { ground: fee.ground, authority: None, deletion_failed: false });
    let told = Told { kind: NoticeKind::Fee, facts, words, recipient_no };
    enqueue(tx, desk, controller, &case, told).await
}

/// Tells the person a first part of the answer; the request stays open, with its date, until the whole answer is there. May
/// be done again with another part once the mail server took the first.
pub async fn answer_part(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    part: Facts,
    actor: Actor,
) -> Result<(), TriageError> {
    let organisation = &controller.id;
    let case = intake::lock_open(tx, organisation, request).await?.case;
    if case.kind.handling() == Handling::OptOut {
        return Err(TriageError::NoPart);
    }
    if case.is_settled() {
        return Err(TriageError::NothingFollows);
    }
    let earlier = delivery::notices_of(tx, organisation, request).await?;
    if earlier.iter().any(|each| each.kind == NoticeKind::PartialAnswer.as_str() && each.state == "pending") {
        return Err(TriageError::PartPending);
    }
    let recipient_no = intake::recipient_of(tx, desk, organisation, request).await?;
    let recipient_no = recipient_no.ok_or(TriageError::NoAddress)?;
    let deciders = Deciders::alone(actor);
    let act = deciders.act(organisation, request, desk);
    let words = part.words();
    sql::insert_telling(tx, &act, ("partial_answer", "part_is_ready"), seal(desk, &act, part)).await?;
    audit::append(tx, Event::of(organisation, request, Action::PartAnswered, deciders.actor.clone(), act.at))
        .await?;
    let facts = facts_of(controller, &case);
    let told = Told { kind: NoticeKind::PartialAnswer, facts, words, recipient_no };
    enqueue_again(tx, desk, controller, &case, told).await?;
    Ok(())
}

/// Tells the person of a breach that their request led to (Art. 34 GDPR), open or closed: what happened, what it may mean,
/// what is done. It goes to the address in the profile, or where that one is the mistake, to the one that was given.
pub async fn tell_breach(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    (words, to_given): (Facts, bool),
    actor: Actor,
) -> Result<(), TriageError> {
    let organisation = &controller.id;
    let known = intake::find_case(tx, organisation, request).await?.ok_or(CaseError::NotFound)?;
    let cause = sql::open_incident_cause(tx, organisation, request).await?.ok_or(TriageError::NoIncident)?;
    let words = words.in_three_parts()?;
    let recipient_no = if to_given {
        intake::given_address_of(tx, desk, organisation, request).await?
    } else {
        intake::recipient_of(tx, desk, organisation, request).await?
    };
    let recipient_no = recipient_no.ok_or(TriageError::NoAddress)?;
    let deciders = Deciders::alone(actor);
    let act = deciders.act(organisation, request, desk);
    let said = words.words();
    sql::insert_telling(tx, &act, ("breach_notice", &cause), seal(desk, &act, words)).await?;
    let detail = Detail::none().word("cause", &cause).flag("to_the_address_given", to_given);
    let event = Event::of(organisation, request, Action::IncidentTold, deciders.actor.clone(), act.at);
    audit::append(tx, event.with(detail)).await?;
    let facts = facts_of(controller, &known);
    let told = Told { kind: NoticeKind::BreachNotice, facts, words: said, recipient_no };
    enqueue_again(tx, desk, controller, &known, told).await?;
    Ok(())
}

/// Tells the person on which day a restriction ends and why (N-13). It can be lifted from that day on, once the mail server
/// took the notice ([`holds::lift`]).
pub async fn announce_restriction_end(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    (hold, on): (&str, NaiveDate),
    why: Facts,
    actor: Actor,
) -> Result<(), TriageError> {
    let organisation = &controller.id;
    let now: DateTime<Utc> = desk.clock.now();
    let (hold, request) = holds::restriction_to_end(tx, controller, hold, on, now).await?;
    let request = request.ok_or(TriageError::NoAddress)?;
    let case = intake::find_case(tx, organisation, request).await?.ok_or(CaseError::NotFound)?;
    let recipient_no = intake::recipient_of(tx, desk, organisation, request).await?;
    let recipient_no = recipient_no.ok_or(TriageError::NoAddress)?;
    let deciders = Deciders::alone(actor.clone());
    let act = deciders.act(organisation, request, desk);
    let words = why.words();
    sql::insert_telling(tx, &act, ("restriction_end", "restriction_ended"), seal(desk, &act, why)).await?;
    let mut facts = facts_of(controller, &case);
    facts.lifted_on = Some(on);
    let told = Told { kind: NoticeKind::RestrictionLifting, facts, words, recipient_no };
    let notice = enqueue_again(tx, desk, controller, &case, told).await?;
    holds::announce_end(tx, organisation, &hold, on, notice.map(|notice| notice.0), (actor, now)).await?;
    Ok(())
}

/// Records that a member of staff told the person by other means on which day a restriction ends.
pub async fn restriction_end_told_otherwise(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    (hold, on): (&str, NaiveDate),
    actor: Actor,
) -> Result<(), TriageError> {
    let now = desk.clock.now();
    let (hold, _) = holds::restriction_to_end(tx, controller, hold, on, now).await?;
    holds::announce_end(tx, &controller.id, &hold, on, None, (actor, now)).await?;
    Ok(())
}
