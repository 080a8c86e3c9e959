//! `dsrd request answered`: a person carried a request out and says how.

use std::path::PathBuf;

use serde::Serialize;

use super::Case;
use crate::cli::context::Context;
use crate::cli::decide::explained;
use crate::cli::output::{Output, read_small_text};
use crate::daemon::Foundation;
use crate::domain::{AnsweredOutcome, OrganisationId, Reference};
use crate::triage::{self, Facts};

/// Options of `dsrd request answered`.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Id or reference of the request.
    request: Case,
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// How it ended: fulfilled, partly_fulfilled or fulfilled_no_data. To refuse it: dsrd decide refuse.
    #[arg(long)]
    outcome: AnsweredOutcome,
    /// A text file, or - for standard input: what was done, in up to 10 lines. The person reads it.
    #[arg(long, value_name = "FILE")]
    answer_file: PathBuf,
}

#[derive(Serialize)]
struct Answered {
    reference: Reference,
    outcome: AnsweredOutcome,
}

pub(super) async fn run(
    args: Args,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (_, text) = read_small_text(&args.answer_file)?;
    let words = Facts::read(&text).map_err(explained)?;
    let organisation = context.organisation(args.organisation.as_ref())?;
    let request = args.request.find(foundation, &organisation).await?;
    let mut tx = foundation.store.begin("cli.answered").await?;
    triage::answer(&mut tx, &foundation.desk, &organisation, request, args.outcome, words, context.person())
        .await
        .map_err(explained)?;
    tx.commit().await?;
    let answered = Answered { reference: Reference::of(request), outcome: args.outcome };
    output.show(&answered, |answered| {
        format!(
            "{}: recorded ({}); it is closed when the mail server has taken the answer to the person",
            answered.reference, answered.outcome
        )
    })
}
