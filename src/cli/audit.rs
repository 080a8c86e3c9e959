//! `dsrd audit`: the log, read. Each reading stands in the log itself.

use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::Subcommand;

use super::Failure;
use super::context::Context;
use super::output::{Output, or_dash, table};
use super::request::Case;
use crate::audit::{self, Action, Detail, Entry, Event, Filter};
use crate::daemon::{self, Foundation, StartError};
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
        /// Not before this day (UTC) or instant (RFC 3339).
        #[arg(long, value_parser = day_or_instant)]
        since: Option<DateTime<Utc>>,
        /// Before this day (UTC) or instant (RFC 3339).
        #[arg(long, value_parser = day_or_instant)]
        until: Option<DateTime<Utc>>,
        /// Start after the entry of this number.
        #[arg(long, default_value_t = 0)]
        after: i64,
        /// At most this many entries.
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Show one entry by its number, or all entries of one request.
    Show {
        /// Number of an entry, or id or reference of a request.
        subject: Subject,
        /// Short name of the organisation; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
    },
}

/// What `dsrd audit show` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Entry(i64),
    Case(Case),
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<i64>() {
            Ok(number) if number > 0 => Ok(Self::Entry(number)),
            _ => text
                .parse()
                .map(Self::Case)
                .map_err(|problem: String| format!("write the number of an entry, or {problem}")),
        }
    }
}

fn day_or_instant(text: &str) -> Result<DateTime<Utc>, &'static str> {
    if let Ok(instant) = text.parse::<DateTime<Utc>>() {
        return Ok(instant);
    }
    let day = text
        .parse::<NaiveDate>()
        .map_err(|_| "write a day (2026-11-23) or an instant (2026-11-23T10:00:00Z)")?;
    Ok(day.and_time(NaiveTime::MIN).and_utc())
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
    let only = match &command {
        Command::Show { subject: Subject::Entry(number), .. } => Some(*number),
        _ => None,
    };
    let (filter, after, limit) = match command {
        Command::List { organisation, action, since, until, after, limit } => {
            let organisation = Some(context.organisation(organisation.as_ref())?);
            (Filter { organisation, action, since, until, case: None }, after, limit)
        }
        Command::Show { subject: Subject::Entry(number), organisation } => {
            let organisation = Some(context.organisation(organisation.as_ref())?);
            (Filter { organisation, ..Filter::default() }, number.saturating_sub(1), 1)
        }
        Command::Show { subject: Subject::Case(case), organisation } => {
            let organisation = context.organisation(organisation.as_ref())?;
            let case = case.find(foundation, &organisation).await?;
            (Filter { organisation: Some(organisation), case: Some(case), ..Filter::default() }, 0, 10_000)
        }
    };
    let mut entries = list(context, foundation, &filter, after, limit, output).await?;
    if let Some(number) = only {
        // The next entry of this organisation came back where that one is another's, or not there yet.
        entries.retain(|entry| entry.seq == number);
        if entries.is_empty() {
            return Err(Failure::NotFound.because(format!("there is no entry {number} of this organisation")));
        }
    }
    let cut = i64::try_from(entries.len()) == Ok(limit);
    output.show(&entries, |entries| shown(entries))?;
    if let (true, Some(last)) = (cut, entries.last()) {
        output.say(&format!("there may be more: go on with --after {}", last.seq));
    }
    Ok(())
}

/// Whoever reads wants what has just happened, too. Where this account may not seal, the log is read as it is.
async fn seal(context: &Context, foundation: &Foundation, output: &Output) {
    let sealed = async {
        let sealer =
            daemon::open_sealer(context.settings(), &foundation.database, Arc::clone(&foundation.desk.clock))
                .await?;
        sealer.seal_everything().await?;
        sealer.close().await;
        Ok::<_, StartError>(())
    };
    if let Err(error) = sealed.await {
        output.say(&format!("entries of the last moments may be missing, because they could not be sealed: {error}"));
    }
}

/// Reads the log and records that it was read, in one transaction.
async fn list(
    context: &Context,
    foundation: &Foundation,
    filter: &Filter,
    after: i64,
    limit: i64,
    output: &Output,
) -> anyhow::Result<Vec<Entry>> {
    seal(context, foundation, output).await;
    let mut tx = foundation.store.begin("cli.audit").await?;
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
