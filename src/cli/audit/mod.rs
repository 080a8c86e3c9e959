//! `dsrd audit`: the log, read, searched, verified and taken out, and the keys that sign it. Each of these stands in the
//! log itself.

mod drill;
mod export;
mod forget;
mod heads;
mod key;
mod receipts;
mod search;
mod stolen;
mod subject;
mod verify;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use clap::Subcommand;

use super::Failure;
use super::context::Context;
use super::output::{Output, or_dash, table};
use super::request::Case;
use crate::audit::tlog::VerifierKey;
use crate::audit::{self, Action, Detail, Entry, Event, Filter, RestoreReason};
use crate::daemon::{self, Foundation};
use crate::domain::{OrganisationId, RequestId, local_time};

pub(super) use verify::{is_verification, read_policy};

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
    /// Find entries by closed filters.
    Search(search::Args),
    /// Check that the log is what was signed: entries, tree, heads, tables; say how far that reaches.
    Verify(verify::Args),
    /// Tamper with a copy of the log in every way that we know, and see what verify says to each. The log is only read.
    Drill(drill::Args),
    /// Take receipts: for each entry its bytes and a proof that can be checked without the log.
    Prove(export::ProveArgs),
    /// Take the log out: as tiles that foreign software verifies, or as lines for other systems.
    Export(export::ExportArgs),
    /// Find the cases of a person by an identifier, which is read from a file, from standard input or at the terminal, never
    /// from an argument. That you asked stands in the log; the identifier does not.
    Subject(subject::Args),
    /// Drop entries that are past the term of the settings. Without --confirm this is a preview. The daemon does so by itself.
    Prune(forget::PruneArgs),
    /// Erase the name of a member of staff who left, under whichever account they worked: their entries keep a random word
    /// that means nobody.
    ForgetStaff {
        /// The login name, as entries show it after person:; whoever worked under other accounts (anna.as.dsrd) goes with it.
        login: String,
    },
    /// Forbid that anything of the log is pruned or erased, for as long as an authority or a court needs it.
    #[command(subcommand)]
    Hold(forget::HoldCommand),
    /// Make, show or exchange the key that signs the log.
    #[command(subcommand)]
    Key(key::Command),
    /// Show what the directory, the witnesses and the mailbox outside have got of the log.
    Heads,
    /// After the database was restored from an older copy: let the log go on under another name, with an entry that
    /// says what was lost. The daemon works again from then on.
    Recover {
        /// Confirms that the database was restored, and that the newest copy is the one that was restored.
        #[arg(long, required_unless_present = "mixed", requires = "reason", conflicts_with = "mixed")]
        after_restore: bool,
        /// Confirms that nothing is left outside that has seen what the database lost: no copy of the published directory, no bucket,
        /// no witness. Otherwise a log that continues all that can be read outside is taken for the newest one.
        #[arg(long, requires = "after_restore")]
        nothing_outside: bool,
        /// Confirms instead that log and working tables were restored from different moments, and that nothing better is left.
        #[arg(long)]
        mixed: bool,
        /// Why, in one of the words of the runbook; with --after-restore.
        #[arg(long, value_name = "WORD", value_parser = heads::reason)]
        reason: Option<RestoreReason>,
        /// A key that the restored log names and that was exchanged after the copy was made, so that its seed is gone: as
        /// `dsrd audit key show` prints it. The present key signs from here on. May be given twice.
        #[arg(long, value_name = "KEY", requires = "after_restore")]
        former_key: Vec<VerifierKey>,
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

pub(super) fn day_or_instant(text: &str) -> Result<DateTime<Utc>, &'static str> {
    if let Ok(instant) = text.parse::<DateTime<Utc>>() {
        return Ok(instant);
    }
    let day = text
        .parse::<NaiveDate>()
        .map_err(|_| "write a day (2026-11-23) or an instant (2026-11-23T10:00:00Z)")?;
    Ok(day.and_time(NaiveTime::MIN).and_utc())
}

pub(super) async fn run(command: Command, files: &[PathBuf], output: &Output) -> anyhow::Result<()> {
    // An auditor verifies files and other databases without any configuration.
    if let Command::Verify(args) = command {
        return Box::pin(verify::run(args, files, output)).await;
    }
    if let Command::Drill(args) = command {
        return Box::pin(drill::run(args, files, output)).await;
    }
    let context = Context::load_checked(files)?;
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let result = match command {
        Command::Key(command) => key::run(command, &context, &foundation, output).await,
        Command::Heads => heads::show(&context, &foundation, output).await,
        Command::Recover { reason: Some(reason), mixed: false, former_key, nothing_outside, .. } => {
            let loss = heads::Loss { reason, nothing_outside };
            heads::recover(loss, &former_key, &context, &foundation, output).await
        }
        Command::Recover { .. } => heads::accept_mixed(&context, &foundation, output).await,
        Command::List { organisation, action, since, until, after, limit } => {
            async {
                let organisation = Some(context.organisation(organisation.as_ref())?);
                let filter = Filter { organisation, action, since, until, case: None };
                read(Asked { filter, after, limit, only: None }, &context, &foundation, output).await
            }
            .await
        }
        Command::Show { subject, organisation } => {
            show(subject, organisation.as_ref(), &context, &foundation, output).await
        }
        Command::Search(args) => search::run(args, &context, &foundation, output).await,
        Command::Subject(args) => subject::run(args, &context, &foundation, output).await,
        Command::Prune(args) => Box::pin(forget::prune(args, &context, &foundation, output)).await,
        Command::ForgetStaff { login } => forget::staff(&login, &context, &foundation, output).await,
        Command::Hold(command) => forget::hold(command, &context, &foundation, output).await,
        Command::Prove(args) => Box::pin(export::prove(args, &context, &foundation, output)).await,
        Command::Export(args) => Box::pin(export::export(args, &context, &foundation, output)).await,
        // Were run above, without a foundation, and are the same with one.
        Command::Verify(args) => Box::pin(verify::run(args, files, output)).await,
        Command::Drill(args) => Box::pin(drill::run(args, files, output)).await,
    };
    foundation.close().await;
    result
}

/// What to read.
struct Asked {
    filter: Filter,
    after: i64,
    limit: i64,
    /// The one number that is asked for.
    only: Option<i64>,
}

async fn show(
    subject: Subject,
    organisation: Option<&OrganisationId>,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(organisation)?;
    let asked = match subject {
        Subject::Entry(number) => Asked {
            filter: Filter { organisation: Some(organisation), ..Filter::default() },
            after: number.saturating_sub(1),
            limit: 1,
            only: Some(number),
        },
        Subject::Case(case) => {
            let case = case.find_in_log(foundation, &organisation).await?;
            let filter = Filter { organisation: Some(organisation), case: Some(case), ..Filter::default() };
            Asked { filter, after: 0, limit: 10_000, only: None }
        }
    };
    read(asked, context, foundation, output).await
}

async fn read(
    asked: Asked,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let entries = list(context, foundation, &asked, output).await?;
    let Asked { filter, limit, only, .. } = asked;
    // `show` has no pages; `search` has those of a case.
    let further = filter.case.map_or_else(
        || "--after".to_owned(),
        |case| format!("`dsrd audit search --case {case}` and --after"),
    );
    if let (Some(number), true) = (only, entries.is_empty()) {
        return Err(Failure::NotFound.because(format!("there is no entry {number} of this organisation")));
    }
    let cut = i64::try_from(entries.len()) == Ok(limit);
    let zone = filter.organisation.as_ref().map_or(Tz::UTC, |organisation| context.zone(organisation));
    output.show(&entries, |entries| shown(entries, zone))?;
    if let (true, Some(last)) = (cut, entries.last()) {
        output.say(&format!("there may be more: go on with {further} {}", last.seq));
    }
    Ok(())
}

/// Records what was done with the log as a whole.
pub(super) async fn record(
    context: &Context,
    foundation: &Foundation,
    action: Action,
    detail: Detail,
) -> anyhow::Result<()> {
    let mut tx = foundation.store.begin("cli.audit.record").await?;
    audit::append_about_log(&mut tx, action, context.person(), foundation.desk.clock.now(), detail).await?;
    tx.commit().await?;
    Ok(())
}

/// The detail of an entry about what was done with the log of one case, where it was one: by it the auditor finds who looked, and
/// the person learns that somebody did.
pub(super) fn of_case(case: Option<RequestId>) -> Detail {
    case.map_or_else(Detail::none, |case| Detail::none().word("of_case", &case.to_string()))
}

/// Whoever reads wants what has just happened, too. Where this account may not seal, or the database is an older copy than
/// what was published, the log is read as it is.
pub(super) async fn seal(context: &Context, foundation: &Foundation, output: &Output) {
    let sealed = async {
        heads::ensure_no_older_copy(context, foundation).await?;
        let sealer =
            daemon::open_sealer(context.settings(), &foundation.database, Arc::clone(&foundation.desk.clock))
                .await?;
        sealer.seal_everything().await?;
        sealer.close().await;
        Ok::<_, anyhow::Error>(())
    };
    if let Err(error) = sealed.await {
        output.say(&format!(
            "entries of the last moments may be missing, because they could not be sealed: {error}"
        ));
    }
}

/// Reads the log and records that it was read, in one transaction: of which case, where one was asked for by its name or by the
/// number of one of its entries.
async fn list(
    context: &Context,
    foundation: &Foundation,
    asked: &Asked,
    output: &Output,
) -> anyhow::Result<Vec<Entry>> {
    seal(context, foundation, output).await;
    let Asked { filter, after, limit, only } = asked;
    let mut tx = foundation.store.begin("cli.audit").await?;
    let mut entries = audit::list(&mut tx, filter, *after, *limit).await?;
    // The next entry of this organisation came back where the one that is asked for is another's, or not there yet.
    entries.retain(|entry| only.is_none_or(|number| entry.seq == number));
    if let Some(organisation) = &filter.organisation {
        let mut event =
            Event::general(organisation, Action::LogRead, context.person(), foundation.desk.clock.now());
        let of_entry = entries.first().filter(|_| only.is_some()).and_then(|entry| entry.case);
        event.case = filter.case.or(of_entry.map(RequestId));
        audit::append(&mut tx, event.with(Detail::none().count("entries", entries.len() as u64))).await?;
    }
    tx.commit().await?;
    Ok(entries)
}

fn shown(entries: &[Entry], zone: Tz) -> String {
    let rows = entries.iter().map(|entry| {
        vec![
            entry.seq.to_string(),
            local_time(entry.at, zone),
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
