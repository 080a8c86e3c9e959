//! `dsrd request answered`: a person carried a request out and says how.

use std::path::PathBuf;

use crate::cli::context::Context;
use crate::cli::decide::{self, Named};
use crate::cli::output::Output;
use crate::daemon::Foundation;
use crate::domain::AnsweredOutcome;
use crate::triage::Decision;

/// Options of `dsrd request answered`.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    named: Named,
    /// How it ended: fulfilled, partly_fulfilled or fulfilled_no_data. To refuse it: dsrd decide refuse.
    #[arg(long)]
    outcome: AnsweredOutcome,
    /// A text file, or - for standard input: what was done, in up to 10 lines. The person reads it.
    #[arg(long, value_name = "FILE")]
    answer_file: PathBuf,
}

pub(super) async fn run(
    args: Args,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let decision = Decision::Answer(args.outcome);
    decide::decide(&args.named, decision, Some(args.answer_file), context, foundation, output).await
}
