//! `dsrd suppression`: who must not be created again or contacted.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;

use super::context::Context;
use super::output::{Output, or_dash, table};
use super::{Failure, identifiers};
use crate::daemon::Foundation;
use crate::domain::{Controller, OrganisationId, local_time};
use crate::suppression::{self, ImportDecision, Purpose, Suppressed};

/// What to do.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Ask whether an import may create the person with these identifiers. You are asked for them, or hand them in with
    /// --from; they are never arguments. A blocked import stands in the audit log.
    Check {
        #[command(flatten)]
        who: Who,
        /// When the person themself signed up with consent, where you can show that.
        #[arg(long, value_name = "INSTANT")]
        signed_up_at: Option<DateTime<Utc>>,
    },
    /// Count the entries by purpose, kind and source. There is no list of persons.
    List {
        /// Short name of the organisation; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
    },
    /// Forget a person who wants to be contacted, or created, again.
    Revoke {
        #[command(flatten)]
        who: Who,
        /// Only for this purpose: re_creation or marketing.
        #[arg(long)]
        purpose: Option<Purpose>,
    },
}

/// Who is meant.
#[derive(Debug, clap::Args)]
pub(super) struct Who {
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// A JSON file with the identifiers, or - for standard input: {"email": …, "phone": …}.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

pub(super) async fn run(command: Command, context: Context, output: &Output) -> anyhow::Result<()> {
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let result = match command {
        Command::Check { who, signed_up_at } => {
            check(&who, signed_up_at, &context, &foundation, output).await
        }
        Command::List { organisation } => list(organisation.as_ref(), &context, &foundation, output).await,
        Command::Revoke { who, purpose } => revoke(&who, purpose, &context, &foundation, output).await,
    };
    foundation.close().await;
    result
}

/// The answer to an importer.
#[derive(Serialize)]
struct Answer {
    decision: ImportDecision,
    entries: Vec<Suppressed>,
}

async fn check(
    who: &Who,
    signed_up_at: Option<DateTime<Utc>>,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let controller = controller(who.organisation.as_ref(), context, foundation)?;
    let identifiers = identifiers::read(who.from.as_deref(), controller)?;
    let desk = &foundation.desk;
    let mut tx = foundation.store.begin("cli.suppression.check").await?;
    let by = (context.person(), desk.clock.now());
    let (decision, entries) =
        suppression::decide(&mut tx, &desk.keys, &controller.id, &identifiers, signed_up_at, by).await?;
    tx.commit().await?;
    let zone = controller.time_zone;
    output.show(&Answer { decision, entries }, |answer| {
        let sentence = match answer.decision {
            ImportDecision::Allowed => "allowed: nothing is known against it",
            ImportDecision::WithoutMarketing => {
                "without marketing: create it with every marketing policy off"
            }
            ImportDecision::Blocked => {
                "blocked: the person was erased, and no sign-up of their own since then was shown"
            }
        };
        if answer.entries.is_empty() {
            return sentence.to_owned();
        }
        let rows = answer.entries.iter().map(|entry| {
            vec![
                entry.purpose.to_string(),
                entry.kind.clone(),
                local_time(entry.since, zone),
                entry.source.to_string(),
                entry.jurisdiction.clone(),
                or_dash(entry.do_not_ask_before.as_ref()),
            ]
        });
        format!(
            "{sentence}\n\n{}",
            table(&["purpose", "by", "since", "source", "law", "ask again not before"], rows)
        )
    })
}

async fn list(
    named: Option<&OrganisationId>,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let controller = controller(named, context, foundation)?;
    let mut connection = foundation.store.connection().await?;
    let counted = suppression::count_by_purpose(&mut connection, &controller.id).await?;
    let zone = controller.time_zone;
    output.show(&counted, |counted| {
        if counted.is_empty() {
            return "nobody is suppressed".to_owned();
        }
        let rows = counted.iter().map(|each| {
            vec![
                each.purpose.clone(),
                each.kind.clone(),
                each.source.clone(),
                each.jurisdiction.clone(),
                each.entries.to_string(),
                local_time(each.oldest, zone),
                local_time(each.newest, zone),
            ]
        });
        table(&["purpose", "kind", "source", "law", "entries", "oldest", "newest"], rows)
    })
}

/// What went.
#[derive(Serialize)]
struct Revoked {
    entries: u64,
}

async fn revoke(
    who: &Who,
    purpose: Option<Purpose>,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let controller = controller(who.organisation.as_ref(), context, foundation)?;
    let identifiers = identifiers::read(who.from.as_deref(), controller)?;
    let desk = &foundation.desk;
    let mut tx = foundation.store.begin("cli.suppression.revoke").await?;
    let by = (context.person(), desk.clock.now());
    let entries = suppression::revoke(&mut tx, &desk.keys, &controller.id, &identifiers, purpose, by).await?;
    tx.commit().await?;
    output.show(&Revoked { entries }, |revoked| match revoked.entries {
        0 => "nothing was suppressed under these identifiers".to_owned(),
        number => format!("{number} entries forgotten; what was erased stays erased"),
    })
}

fn controller<'a>(
    named: Option<&OrganisationId>,
    context: &Context,
    foundation: &'a Foundation,
) -> anyhow::Result<&'a Controller> {
    let organisation = context.organisation(named)?;
    foundation
        .controllers
        .get(&organisation)
        .map(AsRef::as_ref)
        .ok_or_else(|| Failure::NotFound.because(format!("organisation {organisation} is not registered")))
}
