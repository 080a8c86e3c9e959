//! `dsrd request bounced`: a mail that came back.

use serde::Serialize;

use super::Case;
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::output::Output;
use crate::daemon::Foundation;
use crate::delivery::{self, BounceError, NoticeKind};
use crate::domain::{OrganisationId, Reference};

/// Options of `dsrd request bounced`.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Id or reference of the request.
    request: Case,
    /// Which notice came back, for example access_ready; the one that was sent last when left out.
    #[arg(long, value_parser = notice_kind)]
    notice: Option<NoticeKind>,
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
}

fn notice_kind(text: &str) -> Result<NoticeKind, String> {
    text.parse().map_err(|_| {
        let known: Vec<&str> = NoticeKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("write one of {}", known.join(", "))
    })
}

#[derive(Serialize)]
struct Report {
    reference: Reference,
    notice: NoticeKind,
    what_you_can_do: Vec<String>,
}

pub(super) async fn run(
    args: Args,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(args.organisation.as_ref())?;
    let request = args.request.find(foundation, &organisation).await?;
    let mut tx = foundation.store.begin("cli.bounced").await?;
    let now = foundation.desk.clock.now();
    let notice = delivery::record_bounce(&mut tx, &organisation, request, args.notice, context.person(), now)
        .await
        .map_err(|error| match error {
            BounceError::Store(error) => error.into(),
            other => Failure::Refused.because(other.to_string()),
        })?;
    tx.commit().await?;
    let reference = Reference::of(request);
    let what_you_can_do =
        vec![format!("tell the person by letter or telephone, then: dsrd request informed {reference}")];
    output.show(&Report { reference, notice, what_you_can_do }, |report| {
        format!(
            "{}: recorded; the {} notice came back, so the person was not told. Staff is alerted every day until they were.\n- {}",
            report.reference,
            report.notice,
            report.what_you_can_do.join("\n- ")
        )
    })
}
