//! `dsrd audit`: the log, read. Each reading stands in the log itself.

use chrono::{DateTime, Utc};
use clap::Subcommand;

use super::context::Context;
use super::output::{Output, or_dash, table};
use super::request::Case;
use crate::audit::{self, Action, Detail, Entry, Event, Filter};
use crate::daemon::Foundation;
use crate::domain::OrganisationId;

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List entries in their order.
    List {
        /// Short name of the organisation; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
        /// Only this action, for example deletion.ended.
        #[arg(long)]
        action: Option<String>,
        /// Not before this instant (RFC 3339).
        #[arg(long)]
        since: Option<DateTime<Utc>>,
        /// Before this instant (RFC 3339).
        #[arg(long)]
        until: Option<DateTime<Utc>>,
        /// Start after the entry of this number.
        #[arg(long, default_value_t = 0)]
        after: i64,
        /// At most this many entries.
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Show all entries of one request.
    Show {
        /// Id or reference of the request.
        request: Case,
        /// Short name of the organisation; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
    },
}

pub(super) async fn run(command: Command, context: Context, output: &Output) -> anyhow::Result<()> {
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let result = read(command, &context, &foundation, output).await;
    foundation.close().await;
    result
}

async fn read(
    command: Command,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (filter, after, limit) = match command {
        Command::List { organisation, action, since, until, after, limit } => {
            let organisation = Some(context.organisation(organisation.as_ref())?);
            (Filter { organisation, action, since, until, case: None }, after, limit)
        }
        Command::Show { request, organisation } => {
            let organisation = context.organisation(organisation.as_ref())?;
            let case = request.find(foundation, &organisation).await?;
            (Filter { organisation: Some(organisation), case: Some(case), ..Filter::default() }, 0, 10_000)
        }
    };
    let entries = list(context, foundation, &filter, after, limit).await?;
    output.show(&entries, |entries| shown(entries))
}

/// Reads the log and records that it was read, in one transaction.
async fn list(
    context: &Context,
    foundation: &Foundation,
    filter: &Filter,
    after: i64,
    limit: i64,
) -> anyhow::Result<Vec<Entry>> {
    let mut tx = foundation.store.begin("cli.audit").await?;
    // Whoever reads wants what has just happened, too.
    audit::seal(&mut tx, 10_000).await?;
    let entries = audit::list(&mut tx, filter, after, limit).await?;
    if let Some(organisation) = &filter.organisation {
        let mut event =
            Event::general(organisation, Action::LogRead, context.person(), foundation.desk.clock.now());
        event.case = filter.case;
        audit::append(&mut tx, event.with(Detail::none().count("entries", entries.len() as u64))).await?;
    }
    tx.commit().await?;
    Ok(entries)
}

fn shown(entries: &[Entry]) -> String {
    let rows = entries.iter().map(|entry| {
        vec![
            entry.seq.to_string(),
            entry.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            or_dash(entry.case.as_ref()),
            entry.action.clone(),
            or_dash(entry.outcome.as_ref()),
            entry.actor.clone(),
            if entry.detail.as_object().is_some_and(serde_json::Map::is_empty) {
                String::new()
            } else {
                entry.detail.to_string()
            },
        ]
    });
    table(&["no", "at", "case", "action", "outcome", "actor", "detail"], rows)
}
