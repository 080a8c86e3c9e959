//! What one person decides, or proposes where two are wanted, and what the second one does about it.

use std::path::PathBuf;

use super::{Decided, Named, begin, explained, read_facts};
use crate::cli::context::Context;
use crate::cli::output::Output;
use crate::daemon::Foundation;
use crate::domain::{ClarificationReason, Reference};
use crate::triage::{self, Decision, Facts, Taken};

/// Takes a decision, or proposes it where the organisation wants two persons.
pub(in crate::cli) async fn decide(
    named: &Named,
    decision: Decision,
    facts_file: Option<PathBuf>,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let facts = facts_file.map(|path| read_facts(&path)).transpose()?;
    let (mut tx, controller, request) = begin("cli.decide", named, context, foundation).await?;
    let taken = triage::decide(
        &mut tx,
        &foundation.desk,
        controller,
        request,
        (decision.clone(), facts),
        context.person(),
    )
    .await
    .map_err(explained)?;
    tx.commit().await?;
    let decided = Decided {
        reference: Reference::of(request),
        decision: decision.kind().as_str(),
        reason: decision.reason(),
        proposed: taken == Taken::Proposed,
    };
    output.show(&decided, |decided| said(decided, &decision))
}

fn said(decided: &Decided, decision: &Decision) -> String {
    let Decided { reference, reason, .. } = decided;
    if decided.proposed {
        return format!(
            "{reference}: proposed ({}, {reason}); another person confirms it with: dsrd decide confirm {reference}",
            decided.decision
        );
    }
    match decision {
        Decision::Refusal(_) => format!(
            "{reference}: refused ({reason}); it is closed when the mail server has taken the notice to the person"
        ),
        Decision::Extension(_) => format!(
            "{reference}: extension decided ({reason}); the new date holds once the mail server has taken the notice to the \
             person in time, see dsrd request show {reference}"
        ),
        Decision::Answer(_) => format!(
            "{reference}: recorded ({reason}); it is closed when the mail server has taken the answer to the person"
        ),
        Decision::Acceptance(_) => format!("{reference}: accepted ({reason}); on its way"),
        Decision::Fee(_) => {
            format!("{reference}: asked; record the answer with: dsrd request clarified {reference}")
        }
    }
}

pub(super) async fn ask(
    named: &Named,
    reason: ClarificationReason,
    question_file: PathBuf,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let question = read_facts(&question_file)?;
    let (mut tx, controller, request) = begin("cli.ask_clarification", named, context, foundation).await?;
    let asked = (reason, question);
    triage::ask_clarification(&mut tx, &foundation.desk, controller, request, asked, context.person())
        .await
        .map_err(explained)?;
    tx.commit().await?;
    let reference = Reference::of(request);
    let decided = Decided { reference, decision: "clarification", reason: reason.as_str(), proposed: false };
    output.show(&decided, |decided| {
        let reference = &decided.reference;
        format!(
            "{reference}: the person is asked; record the answer with: dsrd request clarified {reference}"
        )
    })
}

/// What the person is told beside the answer itself.
pub(super) enum Telling {
    Part(Facts),
    Breach(Facts, bool),
}

pub(super) async fn tell(
    named: &Named,
    telling: Telling,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (mut tx, controller, request) = begin("cli.tell", named, context, foundation).await?;
    let (desk, person) = (&foundation.desk, context.person());
    let (decision, reason, follows) = match telling {
        Telling::Part(part) => {
            triage::answer_part(&mut tx, desk, controller, request, part, person).await.map_err(explained)?;
            (
                "partial_answer",
                "part_is_ready",
                "this part is sent; the request stays open, see dsrd request show",
            )
        }
        Telling::Breach(words, to_given) => {
            let told = (words, to_given);
            triage::tell_breach(&mut tx, desk, controller, request, told, person).await.map_err(explained)?;
            ("breach_notice", "incident", "the notice is sent; whether it arrived: dsrd request show")
        }
    };
    tx.commit().await?;
    let decided = Decided { reference: Reference::of(request), decision, reason, proposed: false };
    output.show(&decided, |decided| format!("{}: {follows} {}", decided.reference, decided.reference))
}

/// What the second person does.
#[derive(Clone, Copy)]
pub(super) enum Second {
    Confirm,
    Drop,
}

pub(super) async fn second(
    named: &Named,
    act: Second,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (mut tx, controller, request) = begin("cli.second", named, context, foundation).await?;
    let person = context.person();
    let decision = match act {
        Second::Confirm => triage::confirm(&mut tx, &foundation.desk, controller, request, person).await,
        Second::Drop => triage::drop_proposal(&mut tx, &foundation.desk, controller, request, person).await,
    }
    .map_err(explained)?;
    tx.commit().await?;
    let decided = Decided {
        reference: Reference::of(request),
        decision: decision.kind().as_str(),
        reason: decision.reason(),
        proposed: false,
    };
    output.show(&decided, |decided| match act {
        Second::Confirm => said(decided, &decision),
        Second::Drop => {
            format!("{}: the proposal ({}) is dropped", decided.reference, decided.decision)
        }
    })
}
