//! `dsrd ledger`: what was done, after a restore.

use clap::Subcommand;
use serde::Serialize;
use uuid::Uuid;

use super::Failure;
use super::context::Context;
use super::output::{Output, or_dash, table};
use crate::daemon::{self, Foundation};
use crate::domain::{OrganisationId, local_time};
use crate::execution::{self, Finding, Place, Replay, ReplayError, Settlement, Verdict};
use crate::suppression::ledger::Ledger;

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Compare the ledger outside of the database with the database and, for what the database has lost, with the platform.
    /// Without --confirm nothing is changed.
    Replay {
        /// Short name of the organisation; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
        /// Show only, which is the default.
        #[arg(long, conflicts_with_all = ["confirm", "repeat", "leave"])]
        preview: bool,
        /// Record what the platform still shows as it was left, and settle what --repeat and --leave name.
        #[arg(long)]
        confirm: bool,
        /// Have this entry done again, by a request of its own: one that a restore of the platform brought back. A hold is placed
        /// again.
        #[arg(long, value_name = "ENTRY", requires = "confirm")]
        repeat: Vec<Uuid>,
        /// Leave this entry as the platform shows it now.
        #[arg(long, value_name = "ENTRY", requires = "confirm", conflicts_with = "repeat")]
        leave: Vec<Uuid>,
    },
}

pub(super) async fn run(command: Command, context: Context, output: &Output) -> anyhow::Result<()> {
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let Command::Replay { organisation, preview: _, confirm, repeat, leave } = command;
    let decided = confirm.then_some(Decided { repeat, leave });
    let result = replay(organisation.as_ref(), decided, &context, &foundation, output).await;
    foundation.close().await;
    result
}

struct Decided {
    repeat: Vec<Uuid>,
    leave: Vec<Uuid>,
}

/// What became of the findings.
#[derive(Serialize)]
struct Outcome {
    recorded: u64,
    repeated_by: Vec<String>,
    left: u64,
    open: Vec<Finding>,
    damaged_lines: u64,
}

async fn replay(
    named: Option<&OrganisationId>,
    decided: Option<Decided>,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let id = context.organisation(named)?;
    let organisation = context
        .settings()
        .find_organisation(&id)
        .ok_or_else(|| Failure::NotFound.because(format!("no organisation {id} is configured")))?;
    let organisations = std::slice::from_ref(organisation);
    let sites = daemon::sites(organisations, &foundation.controllers, &foundation.store, &foundation.desk)?;
    let Some(site) = sites.get(&id) else {
        return Err(Failure::NotFound.because(format!("organisation {id} is not registered")));
    };
    let ledger = Ledger::new(context.settings().ledger.directory.clone());
    let mut connection = foundation.store.connection().await?;
    if !ledger.list_lost(&mut connection, &id).await?.entries.is_empty() {
        // The contacts of another organisation would all seem to be gone (S-14).
        daemon::check_organisation(site).await?;
    }
    drop(connection);
    let place = Place {
        store: &foundation.store,
        desk: &foundation.desk,
        site,
        ledger: &ledger,
        second_look: context.settings().queue.second_look(),
    };
    let found = execution::replay(place).await.map_err(explained)?;
    let zone = context.zone(&id);
    let Some(decided) = decided else {
        return output.show(&found, |found| preview_in_words(found, zone));
    };
    for named in decided.repeat.iter().chain(&decided.leave) {
        if !found.findings.iter().any(|finding| finding.entry == *named) {
            return Err(explained(ReplayError::NotFound));
        }
    }
    let mut outcome = Outcome {
        recorded: 0,
        repeated_by: Vec::new(),
        left: 0,
        open: Vec::new(),
        damaged_lines: found.damaged_lines,
    };
    for finding in found.findings {
        let settlement = if decided.repeat.contains(&finding.entry) {
            Settlement::Repeat
        } else if decided.leave.contains(&finding.entry) {
            Settlement::Leave
        } else if finding.verdict == Verdict::StillSo {
            Settlement::Record
        } else {
            outcome.open.push(finding);
            continue;
        };
        let repeated =
            execution::settle(place, &finding, settlement, context.person()).await.map_err(explained)?;
        match settlement {
            Settlement::Record => outcome.recorded += 1,
            Settlement::Leave => outcome.left += 1,
            Settlement::Repeat if finding.kind.is_of_hold() => outcome.repeated_by.push(finding.reference),
            Settlement::Repeat => outcome.repeated_by.extend(repeated.map(|each| each.to_string())),
        }
    }
    output.show(&outcome, |outcome| {
        let mut text = format!("{} recorded as still so, {} left", outcome.recorded, outcome.left);
        if !outcome.repeated_by.is_empty() {
            text = format!("{text}, done again by {}", outcome.repeated_by.join(", "));
        }
        if !outcome.open.is_empty() {
            text = format!("{text}\n\nstill to be decided:\n{}", findings(&outcome.open, zone));
        }
        text
    })
}

fn preview_in_words(found: &Replay, zone: chrono_tz::Tz) -> String {
    let damaged = if found.damaged_lines > 0 {
        format!(
            "\n{} line(s) of the ledger are damaged; what they said is not known: restore the files from their own copy",
            found.damaged_lines
        )
    } else {
        String::new()
    };
    if found.findings.is_empty() {
        return format!("the database has lost nothing that the ledger knows{damaged}");
    }
    format!(
        "{}\n\nnothing was changed. still_so: recorded by --confirm. back: do it again with --confirm --repeat ENTRY, or leave \
         it with --confirm --leave ENTRY. newer_will: the person acted since; ask them, then leave it. missing: a hold that does not \
         stand any more is placed again with --confirm --repeat ENTRY; one that was lifted stands again, and is lifted again with dsrd \
         hold lift.{damaged}",
        findings(&found.findings, zone)
    )
}

fn findings(found: &[Finding], zone: chrono_tz::Tz) -> String {
    let rows = found.iter().map(|finding| {
        vec![
            finding.entry.to_string(),
            finding.reference.clone(),
            finding.kind.to_string(),
            or_dash(finding.policy.as_ref().or(finding.matter.as_ref())),
            local_time(finding.at, zone),
            finding.verdict.as_str().to_owned(),
        ]
    });
    table(&["entry", "request", "what was done", "policy", "begun at", "seen now"], rows)
}

fn explained(error: ReplayError) -> anyhow::Error {
    match error {
        ReplayError::Store(error) => error.into(),
        ReplayError::NotFound => Failure::NotFound.because(error.to_string()),
        ReplayError::StillSo(_)
        | ReplayError::NewerWill(_)
        | ReplayError::Unproven(_)
        | ReplayError::StandsAgain(_)
        | ReplayError::Hold(_) => Failure::Refused.because(error.to_string()),
        other => other.into(),
    }
}
