//! `dsrd audit search`: entries by closed filters.

use chrono::{DateTime, Utc};

use super::{day_or_instant, of_case, record, seal, shown};
use crate::audit::{self, Action, Search};
use crate::cli::context::Context;
use crate::cli::output::Output;
use crate::cli::request::Case;
use crate::daemon::Foundation;
use crate::domain::OrganisationId;

/// Options of `dsrd audit search`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Short name of the organisation; the only one when left out. Entries about the log itself are found, too.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// Of this request, by id or reference.
    #[arg(long)]
    case: Option<Case>,
    /// This action, for example deletion.ended; all of a kind with a full stop at the end, for example deletion.
    #[arg(long)]
    action: Option<String>,
    /// With this outcome, for example failed.
    #[arg(long)]
    outcome: Option<String>,
    /// By this actor, as the log shows it, for example person:anna.
    #[arg(long)]
    actor: Option<String>,
    /// With this value in the detail, for example `reason=not_found`.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    detail: Option<(String, String)>,
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
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) async fn run(
    args: Args,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(args.organisation.as_ref())?;
    let case = match &args.case {
        Some(case) => Some(case.find_in_log(foundation, &organisation).await?),
        None => None,
    };
    let zone = context.zone(&organisation);
    let search = Search {
        organisation: Some(organisation),
        case,
        action: args.action,
        outcome: args.outcome,
        actor: args.actor,
        since: args.since,
        until: args.until,
        detail: args.detail,
    };
    seal(context, foundation, output).await;
    let mut connection = foundation.store.connection().await?;
    let entries = audit::search(&mut connection, &search, args.after, args.limit).await?;
    drop(connection);
    let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    // Which fields were asked for is recorded, not what stood in them: that could be anything.
    let detail = of_case(search.case).count("entries", count).word("filters", &search.fields());
    record(context, foundation, Action::LogRead, detail).await?;
    output.show(&entries, |entries| shown(entries, zone))?;
    if let (true, Some(last)) = (i64::try_from(entries.len()) == Ok(args.limit), entries.last()) {
        output.say(&format!("there may be more: go on with --after {}", last.seq));
    }
    Ok(())
}
