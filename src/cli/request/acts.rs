//! `dsrd request withdraw`, `resume`, `ask-again`, `informed` and `clarified`: what people decide about a case.

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use super::Case;
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::output::Output;
use crate::daemon::Foundation;
use crate::domain::{OrganisationId, Reference, RequestId};
use crate::holds;
use crate::identity::{self, IdentityError};
use crate::intake::{self, CaseError};

/// Options of the four commands.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Id or reference of the request.
    request: Case,
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
}

/// Options of `dsrd request resume`.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ResumeArgs {
    #[command(flatten)]
    args: Args,
    /// Erase although an access request of the same person is still open: it may then find nothing to answer with.
    #[arg(long)]
    despite_access: bool,
    /// Of an erasure that waits as hold_unclear: these holds, which are those that it waits for as dsrd request show names them, are
    /// about somebody else, with whom its contact has nothing but a telephone number in common. Separated by commas. Refused where it
    /// waits for others by now. That you say so stands in the audit log.
    #[arg(long, value_name = "HOLD", value_delimiter = ',', conflicts_with = "despite_access")]
    held_is_another: Vec<String>,
}

pub(super) async fn resume(
    args: ResumeArgs,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let act = match (args.despite_access, args.held_is_another.is_empty()) {
        (true, _) => Act::ResumeDespiteAccess,
        (false, false) => Act::ResumeNotHeld,
        (false, true) => Act::Resume,
    };
    run_about(act, &args.held_is_another, args.args, context, foundation, output).await
}

/// Options of `dsrd request ask-again`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AskAgainArgs {
    #[command(flatten)]
    args: Args,
    /// Although as many links were sent as may be (six), because all of them expired while your mail or your page could not be
    /// reached: the log records that you said so. Refused as long as one of them works.
    #[arg(long)]
    after_outage: bool,
}

pub(super) async fn ask_again(
    args: AskAgainArgs,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let act = if args.after_outage { Act::AskAfterOutage } else { Act::AskAgain };
    run(act, args.args, context, foundation, output).await
}

/// Options of `dsrd request withdraw`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct WithdrawArgs {
    #[command(flatten)]
    args: Args,
    /// Although requests that named the person by other identifiers ended as its reminders: they are taken back as well.
    #[arg(long)]
    with_reminders: bool,
}

pub(super) async fn withdraw(
    args: WithdrawArgs,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let act = if args.with_reminders { Act::WithdrawWithReminders } else { Act::Withdraw };
    run(act, args.args, context, foundation, output).await
}

/// Options of `dsrd request clarified`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ClarifiedArgs {
    #[command(flatten)]
    args: Args,
    /// When the answer reached you (RFC 3339); now when left out.
    #[arg(long, value_name = "WHEN", value_parser = super::submit::received_at)]
    answered_at: Option<DateTime<Utc>>,
    /// The person did not answer: the request goes on as it is, and no time stood still.
    #[arg(long, conflicts_with = "answered_at")]
    no_answer: bool,
}

pub(super) async fn clarified(
    args: ClarifiedArgs,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(args.args.organisation.as_ref())?;
    let request = args.args.request.find(foundation, &organisation).await?;
    let controller =
        foundation.controllers.get(&organisation).context("the organisation is not configured")?;
    let now = foundation.desk.clock.now();
    let answered_at = if args.no_answer { None } else { Some(args.answered_at.unwrap_or(now)) };
    let mut tx = foundation.store.begin("cli.clarified").await?;
    let person = context.person();
    intake::clarified(&mut tx, &foundation.desk, controller, request, answered_at, person)
        .await
        .map_err(classed)?;
    let case = intake::find_case(&mut tx, &organisation, request).await?.ok_or(CaseError::NotFound);
    let due_on = case.map_err(classed)?.due_on;
    tx.commit().await?;
    output.show(&Clarified { reference: Reference::of(request), request, due_on }, |clarified| {
        format!("{}: on its way again; due on {}", clarified.reference, clarified.due_on)
    })
}

#[derive(Serialize)]
struct Clarified {
    reference: Reference,
    request: RequestId,
    due_on: NaiveDate,
}

/// What is decided.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Act {
    Withdraw,
    WithdrawWithReminders,
    Resume,
    ResumeDespiteAccess,
    ResumeNotHeld,
    AskAgain,
    AskAfterOutage,
    Informed,
}

#[derive(Serialize)]
struct Report {
    act: Act,
    reference: Reference,
    request: RequestId,
    /// The restriction that a request which was withdrawn leaves behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    restriction: Option<String>,
    /// The holds that are recorded as somebody else's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    holds_of_others: Vec<String>,
}

pub(super) async fn run(
    act: Act,
    args: Args,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    run_about(act, &[], args, context, foundation, output).await
}

/// `holds` are those about which [`Act::ResumeNotHeld`] decides.
async fn run_about(
    act: Act,
    holds: &[String],
    args: Args,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(args.organisation.as_ref())?;
    let request = args.request.find(foundation, &organisation).await?;
    let mut tx = foundation.store.begin("cli.act").await?;
    let (desk, actor) = (&foundation.desk, context.person());
    // The context knows only organisations that the configuration lists, and each of those has its controller.
    let controller =
        foundation.controllers.get(&organisation).context("the organisation is not configured")?;
    match act {
        Act::Withdraw => intake::withdraw(&mut tx, desk, controller, request, actor).await,
        Act::WithdrawWithReminders => {
            intake::withdraw_with_reminders(&mut tx, desk, controller, request, actor).await
        }
        Act::Resume => intake::resume(&mut tx, desk, &organisation, request, actor).await,
        Act::ResumeDespiteAccess => {
            intake::resume_despite_access(&mut tx, desk, &organisation, request, actor).await
        }
        Act::ResumeNotHeld => {
            intake::resume_not_held(&mut tx, desk, &organisation, request, holds, actor).await
        }
        Act::AskAgain => {
            let asked = identity::ask_again(&mut tx, desk, controller, request, actor).await;
            asked.map_err(unasked)?;
            Ok(())
        }
        Act::AskAfterOutage => {
            let asked = identity::ask_after_outage(&mut tx, desk, controller, request, actor).await;
            asked.map_err(unasked)?;
            Ok(())
        }
        Act::Informed => intake::record_informed(&mut tx, desk, &organisation, request, actor).await,
    }
    .map_err(classed)?;
    let restriction = match act {
        Act::Withdraw | Act::WithdrawWithReminders => {
            holds::restriction_of(&mut tx, &organisation, request).await?
        }
        _ => None,
    };
    tx.commit().await?;
    let reference = Reference::of(request);
    let holds_of_others = holds.to_vec();
    output.show(&Report { act, reference, request, restriction, holds_of_others }, |report| {
        let done = match report.act {
            Act::Withdraw => "withdrawn",
            Act::WithdrawWithReminders => "withdrawn with its reminders",
            Act::Resume => "on its way again",
            Act::ResumeDespiteAccess => "on its way again, although an access request of the person is open",
            Act::ResumeNotHeld => "on its way again; recorded as somebody else's:",
            Act::AskAgain | Act::AskAfterOutage => {
                "the link goes out once more, to the address in the profile"
            }
            Act::Informed => "recorded: the person was told by other means",
        };
        let mut text = format!("{}: {done}", report.reference);
        if !report.holds_of_others.is_empty() {
            text = format!("{text} {}", report.holds_of_others.join(", "));
        }
        match &report.restriction {
            None => text,
            Some(hold) => format!(
                "{text}\nthe restriction {hold} stands still: tell the person when it ends with dsrd hold announce-end {hold}, then \
                 dsrd hold lift {hold} --reason restriction_ended"
            ),
        }
    })
}

pub(in crate::cli) fn classed(error: CaseError) -> anyhow::Error {
    match error {
        CaseError::Store(error) => error.into(),
        CaseError::NotFound => Failure::NotFound.because(error.to_string()),
        other => Failure::Refused.because(other.to_string()),
    }
}

pub(in crate::cli) fn unasked(error: IdentityError) -> anyhow::Error {
    match error {
        IdentityError::Case(error) => classed(error),
        IdentityError::Store(error) => error.into(),
        IdentityError::Sealed(error) => error.into(),
        IdentityError::Matching(error) => Failure::Usage.because(error.to_string()),
        other => Failure::Refused.because(other.to_string()),
    }
}
