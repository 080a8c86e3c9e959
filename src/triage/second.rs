//! One door for decisions that an organisation may want two persons for: the first proposes, another confirms.

use uuid::Uuid;

use super::error::TriageError;
use super::refusal::{Facts, open_facts, seal};
use super::sql::{self, Act, Proposal};
use super::telling::Fee;
use super::{answer, extension, refusal, telling};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{
    AcceptanceReason, AnsweredOutcome, Controller, DecisionKind, ExtensionReason, RefusalGround, RequestId,
};
use crate::intake::Desk;
use crate::store::Tx;

/// A decision that a second person may have to confirm, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The request is not followed.
    Refusal(RefusalGround),
    /// More time is needed.
    Extension(ExtensionReason),
    /// A person carried it out.
    Answer(AnsweredOutcome),
    /// Somebody may ask for the data subject.
    Acceptance(AcceptanceReason),
    /// A fee is asked for.
    Fee(Fee),
}

impl Decision {
    /// Which kind.
    #[must_use]
    pub const fn kind(&self) -> DecisionKind {
        match self {
            Self::Refusal(_) => DecisionKind::Refusal,
            Self::Extension(_) => DecisionKind::Extension,
            Self::Answer(_) => DecisionKind::Answer,
            Self::Acceptance(_) => DecisionKind::Acceptance,
            Self::Fee(_) => DecisionKind::Fee,
        }
    }

    /// The word of its reason.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Refusal(ground) => ground.as_str(),
            Self::Extension(reason) => reason.as_str(),
            Self::Answer(outcome) => outcome.as_str(),
            Self::Acceptance(reason) => reason.as_str(),
            Self::Fee(fee) => fee.ground.as_str(),
        }
    }

    /// What somebody proposed.
    fn read(proposal: &Proposal) -> Option<Self> {
        let reason = &proposal.reason;
        match proposal.kind.parse().ok()? {
            DecisionKind::Refusal => reason.parse().ok().map(Self::Refusal),
            DecisionKind::Extension => reason.parse().ok().map(Self::Extension),
            DecisionKind::Answer => reason.parse().ok().map(Self::Answer),
            DecisionKind::Acceptance => reason.parse().ok().map(Self::Acceptance),
            DecisionKind::Fee => {
                let (ground, amount) = (reason.parse().ok()?, proposal.amount.clone()?);
                Some(Self::Fee(Fee { ground, amount, answer_by: proposal.answer_by? }))
            }
        }
    }
}

/// Whether a decision stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It does.
    Decided,
    /// Another person has to confirm it.
    Proposed,
}

/// Who decides: one person, or one who proposed and another who confirms.
#[derive(Clone, Debug)]
pub(super) struct Deciders {
    pub(super) decision: Uuid,
    pub(super) by: String,
    pub(super) confirmed_by: Option<String>,
    /// Whose act it is that makes it stand.
    pub(super) actor: Actor,
}

impl Deciders {
    pub(super) fn alone(actor: Actor) -> Self {
        Self { decision: Uuid::now_v7(), by: actor.to_string(), confirmed_by: None, actor }
    }

    pub(super) fn act<'a>(
        &'a self,
        organisation: &'a crate::domain::OrganisationId,
        request: RequestId,
        desk: &Desk,
    ) -> Act<'a> {
        Act {
            organisation,
            request,
            decision: self.decision,
            by: &self.by,
            confirmed_by: self.confirmed_by.as_deref(),
            at: desk.clock.now(),
        }
    }
}

/// Takes a decision, or proposes it where the organisation wants a second person for its kind: by the settings of
/// whoever asks, or by those that the daemon wrote down. What could not be decided cannot be proposed either.
pub async fn decide(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    (decision, facts): (Decision, Option<Facts>),
    actor: Actor,
) -> Result<Taken, TriageError> {
    let kind = decision.kind();
    let by_two = controller.two_persons.contains(&kind)
        || sql::needs_two_persons(tx, &controller.id, kind.as_str()).await?;
    if !by_two {
        carry_out(tx, desk, controller, request, (decision, facts), Deciders::alone(actor)).await?;
        return Ok(Taken::Decided);
    }
    check(tx, desk, controller, request, &decision, facts.as_ref()).await?;
    if sql::find_proposal(tx, &controller.id, request).await?.is_some() {
        return Err(TriageError::AlreadyProposed);
    }
    let deciders = Deciders::alone(actor.clone());
    let act = deciders.act(&controller.id, request, desk);
    let sealed = facts.map(|facts| seal(desk, &act, facts));
    sql::insert_proposal(tx, &act, &decision, sealed).await?;
    record(tx, desk, controller, request, Action::DecisionProposed, &decision, actor).await?;
    Ok(Taken::Proposed)
}

/// Whether two actors may be one person: `anna.as.root` and `anna.as.dsrd` are. Who acts under the bare name of an account that
/// somebody else acts under, too, nobody knows: `dsrd` beside `anna.as.dsrd` may be she. The database has the same rule
/// (`dsrd.may_be_one_person`).
fn may_be_one_person(one: &str, other: &str) -> bool {
    let ((one, account_of_one), (other, account_of_other)) =
        (login_and_account(one), login_and_account(other));
    one == other || one == account_of_other || other == account_of_one
}

fn login_and_account(actor: &str) -> (&str, &str) {
    let name = actor.strip_prefix("person:").unwrap_or(actor);
    name.split_once(".as.").unwrap_or((name, name))
}

/// Confirms what another person proposed: it stands from now on.
pub async fn confirm(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    actor: Actor,
) -> Result<Decision, TriageError> {
    let proposal =
        sql::find_proposal(tx, &controller.id, request).await?.ok_or(TriageError::NothingProposed)?;
    let by = actor.to_string();
    if may_be_one_person(&proposal.proposed_by, &by) {
        return Err(TriageError::SamePerson);
    }
    let decision = Decision::read(&proposal)
        .ok_or_else(|| crate::store::StoreError::unreadable("triage.confirm", "proposal.reason"))?;
    let facts = match &proposal.sealed_facts {
        Some(sealed) => Some(Facts::read(open_facts(&desk.keys, proposal.proposal_id, sealed)?.expose())?),
        None => None,
    };
    sql::end_proposal(tx, &controller.id, proposal.proposal_id, "confirmed", &by, desk.clock.now()).await?;
    let deciders = Deciders {
        decision: proposal.proposal_id,
        by: proposal.proposed_by,
        confirmed_by: Some(by),
        actor: actor.clone(),
    };
    record(tx, desk, controller, request, Action::DecisionConfirmed, &decision, actor).await?;
    carry_out(tx, desk, controller, request, (decision.clone(), facts), deciders).await?;
    Ok(decision)
}

/// Drops what was proposed: by whoever proposed it, or another person.
pub async fn drop_proposal(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    actor: Actor,
) -> Result<Decision, TriageError> {
    let proposal =
        sql::find_proposal(tx, &controller.id, request).await?.ok_or(TriageError::NothingProposed)?;
    let decision = Decision::read(&proposal)
        .ok_or_else(|| crate::store::StoreError::unreadable("triage.drop", "proposal.reason"))?;
    let by = actor.to_string();
    sql::end_proposal(tx, &controller.id, proposal.proposal_id, "dropped", &by, desk.clock.now()).await?;
    record(tx, desk, controller, request, Action::ProposalDropped, &decision, actor).await?;
    Ok(decision)
}

async fn record(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    action: Action,
    decision: &Decision,
    actor: Actor,
) -> Result<(), TriageError> {
    let detail = Detail::none().word("decision", decision.kind().as_str()).word("reason", decision.reason());
    let event = Event::of(&controller.id, request, action, actor, desk.clock.now());
    audit::append(tx, event.with(detail)).await?;
    Ok(())
}

async fn check(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    decision: &Decision,
    facts: Option<&Facts>,
) -> Result<(), TriageError> {
    let organisation = &controller.id;
    match decision {
        Decision::Refusal(ground) => {
            refusal::check(tx, organisation, request, *ground, facts).await.map(|_| ())
        }
        Decision::Extension(_) => extension::check(tx, desk, controller, request).await.map(|_| ()),
        Decision::Answer(outcome) => {
            answer::check_answer(tx, organisation, request, facts).await?;
            answer::check_restricted(tx, organisation, request, *outcome).await
        }
        Decision::Acceptance(_) => answer::check_acceptance(tx, organisation, request).await,
        Decision::Fee(fee) => {
            facts.ok_or(TriageError::FactsUnusable)?;
            telling::check_fee(tx, desk, controller, request, fee).await.map(|_| ())
        }
    }
}

async fn carry_out(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    (decision, facts): (Decision, Option<Facts>),
    deciders: Deciders,
) -> Result<(), TriageError> {
    let organisation = &controller.id;
    match decision {
        Decision::Refusal(ground) => {
            refusal::refuse_as(tx, desk, organisation, request, (ground, facts), deciders).await
        }
        Decision::Extension(reason) => {
            let facts = facts.ok_or(TriageError::FactsUnusable)?;
            extension::extend(tx, desk, controller, request, (reason, facts), deciders).await
        }
        Decision::Answer(outcome) => {
            let words = facts.ok_or(TriageError::FactsUnusable)?;
            answer::answer_as(tx, desk, organisation, request, (outcome, words), deciders).await
        }
        Decision::Acceptance(reason) => {
            answer::accept_as(tx, desk, organisation, request, reason, deciders).await
        }
        Decision::Fee(fee) => {
            let why = facts.ok_or(TriageError::FactsUnusable)?;
            telling::ask_fee(tx, desk, controller, request, (fee, why), deciders).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::may_be_one_person;

    #[test]
    fn one_person_is_one_person_under_whichever_account() {
        for (one, other, same) in [
            ("person:anna", "person:anna", true),
            ("person:anna.as.root", "person:anna.as.dsrd", true),
            ("person:anna", "person:anna.as.dsrd", true),
            ("person:dsrd", "person:anna.as.dsrd", true),
            ("person:dsrd", "person:dsrd", true),
            ("person:anna", "person:bea", false),
            ("person:anna.as.dsrd", "person:bea.as.dsrd", false),
            ("person:anna.as.root", "person:bea.as.dsrd", false),
            ("person:anna", "person:bea.as.dsrd", false),
            // Beginnings of names are other names.
            ("person:ann", "person:anna.as.dsrd", false),
        ] {
            assert_eq!(may_be_one_person(one, other), same, "{one} {other}");
            assert_eq!(may_be_one_person(other, one), same, "{other} {one}");
        }
    }
}
