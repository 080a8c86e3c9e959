//! `dsrd audit prune`, `forget-staff` and `hold`: what the log forgets, and what forbids it to.

use std::sync::Arc;

use chrono::NaiveDate;
use chrono_tz::Tz;
use clap::Subcommand;
use serde::Serialize;
use uuid::Uuid;

use super::heads;
use crate::audit::forget::{self, Erasing, Hold, HoldReason, Prunable, Rule};
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::output::{Output, or_dash, pairs, table};
use crate::daemon::{self, Foundation};
use crate::domain::local_time;

/// Options of `dsrd audit prune`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PruneArgs {
    /// The number of entries that the preview showed. Nothing is pruned when it has changed. Without it this is a preview.
    #[arg(long, value_name = "NUMBER")]
    confirm: Option<u64>,
}

/// What to do with holds.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum HoldCommand {
    /// From now on nothing of the log is pruned or erased.
    Set {
        /// Why: supervisory_authority, court_or_claim, internal_investigation or security_incident.
        #[arg(long, value_name = "WORD")]
        reason: HoldReason,
        /// The last day (UTC) on which it is in force; until it is lifted when left out.
        #[arg(long, value_name = "DAY", required_unless_present = "review")]
        until: Option<NaiveDate>,
        /// The day on which somebody is to ask whether it is still needed.
        #[arg(long, value_name = "DAY")]
        review: Option<NaiveDate>,
    },
    /// List all holds, those in force first.
    List,
    /// End a hold.
    Lift {
        /// Its id.
        id: Uuid,
    },
}

/// What pruning would drop, or has dropped.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    prunable: Option<Prunable>,
    /// How many entries are past the term.
    entries: u64,
    /// The term in months.
    months: u32,
    /// Whether a hold forbids it.
    held: bool,
    /// How many entries were dropped.
    pruned: u64,
}

pub(super) async fn prune(
    args: PruneArgs,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let months = foundation.settings.upkeep.log_months;
    let mut tx = foundation.store.begin("cli.audit.prune").await?;
    let prunable = forget::find_prunable(&mut tx, months).await?;
    let held = forget::is_held(&mut tx).await?;
    tx.commit().await?;
    let entries = prunable.as_ref().map_or(0, Prunable::entries);
    let mut shown = Shown { prunable, entries, months, held, pruned: 0 };
    if let Some(confirmed) = args.confirm {
        let Some(prunable) = shown.prunable.as_ref() else {
            return Err(Failure::Refused.because("no closed part of the log is past its term"));
        };
        if held {
            return Err(held_by_somebody());
        }
        if confirmed != entries {
            return Err(Failure::Refused.because(format!(
                "{confirmed} was confirmed, but {entries} entries are past their term now; look at the preview again"
            )));
        }
        shown.pruned = carry_out(prunable, months, context, foundation).await?;
    }
    let zone = Tz::UTC;
    output.show(&shown, |shown| human(shown, zone))
}

fn held_by_somebody() -> anyhow::Error {
    Failure::Refused.because("a hold on the log is in force; `dsrd audit hold list` shows which")
}

/// Announces, seals, publishes, and drops.
async fn carry_out(
    prunable: &Prunable,
    months: u32,
    context: &Context,
    foundation: &Foundation,
) -> anyhow::Result<u64> {
    heads::ensure_continued(context, foundation).await?;
    daemon::ensure_log_keys(context.settings(), &foundation.database).await?;
    let mut tx = foundation.store.begin("cli.audit.announce").await?;
    let clock = Arc::clone(&foundation.desk.clock);
    forget::announce_pruning(&mut tx, prunable, months, context.person(), &*clock).await?;
    if forget::is_held(&mut tx).await? {
        return Err(held_by_somebody());
    }
    tx.commit().await?;
    let sealer = daemon::open_sealer(context.settings(), &foundation.database, clock).await?;
    let covering = async {
        sealer.seal_everything().await?;
        sealer.keep_checkpoint().await
    };
    let kept = covering.await;
    sealer.close().await;
    kept?;
    // Whoever keeps heads outside has the one that covers the announcement before anything goes. A place that is away gets
    // it later; it does not matter here.
    heads::publish(context, foundation).await?;
    let mut tx = foundation.store.begin("cli.audit.drop").await?;
    // What somebody else announced meanwhile was not confirmed here.
    let pruned = forget::prune_announced(&mut tx, months, Some(prunable.last)).await?;
    tx.commit().await?;
    Ok(pruned.entries)
}

fn human(shown: &Shown, zone: Tz) -> String {
    let Some(prunable) = &shown.prunable else {
        return format!(
            "Nothing to prune: no closed part of the log is older than {} months (upkeep.log_months).",
            shown.months
        );
    };
    let table = pairs([
        ("entries", format!("{} to {} ({})", prunable.first, prunable.last, shown.entries)),
        ("oldest", local_time(prunable.oldest, zone)),
        ("newest", local_time(prunable.newest, zone)),
        ("sealed up to", local_time(prunable.sealed_at, zone)),
        ("term", format!("{} months after sealing (upkeep.log_months)", shown.months)),
        ("hold", if shown.held { "in force: nothing is pruned" } else { "none" }.to_owned()),
    ]);
    let end = match (shown.pruned, shown.held) {
        (0, true) => "A hold forbids it: dsrd audit hold list".to_owned(),
        (0, false) => format!("to prune them for ever: dsrd audit prune --confirm {}", shown.entries),
        (pruned, _) => {
            format!(
                "{pruned} entries were pruned. Their hashes stay, and the entry log.prune says what went."
            )
        }
    };
    format!("{table}\n\n{end}")
}

pub(super) async fn staff(
    login: &str,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let mut tx = foundation.store.begin("cli.audit.forget_staff").await?;
    if forget::is_held(&mut tx).await? {
        return Err(held_by_somebody());
    }
    let (actor, at) = (context.person(), foundation.desk.clock.now());
    let erasing = Erasing { actor: &actor, at, rule: Rule::StaffLeft };
    let names = forget::forget_person(&mut tx, login, &erasing).await?;
    if names.is_empty() {
        return Err(Failure::NotFound.because(
            "the log knows nobody by this login name; names are those that `dsrd audit list` shows after person:, and where .as. \
             and an account follow, the login stands before that",
        ));
    }
    tx.commit().await?;
    let months = foundation.settings.upkeep.evidence_months;
    let told =
        serde_json::json!({ "forgotten": names.len(), "names": names, "working_tables_months": months });
    output.show(&told, |_| {
        format!(
            "Erased from the log: {}. The entries stay, and name a random word for each that means nobody any more.\n\
             In the working tables the name stands beside what this person decided, found out, placed or acknowledged (audit_view.decision \
             shows the first) until that goes: what belongs to a request {months} months after its end (upkeep.evidence_months).",
            names.join(", ")
        )
    })
}

pub(super) async fn hold(
    command: HoldCommand,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let mut tx = foundation.store.begin("cli.audit.hold").await?;
    let (actor, now) = (context.person(), foundation.desk.clock.now());
    match command {
        HoldCommand::Set { reason, until, review } => {
            let today = now.date_naive();
            if until.is_some_and(|day| day < today) || review.is_some_and(|day| day < today) {
                return Err(
                    Failure::Usage.because("--until and --review name a day that is over; name one to come")
                );
            }
            let id = forget::set_hold(&mut tx, reason, (review, until), &actor, now).await?;
            tx.commit().await?;
            output.show(&serde_json::json!({ "id": id, "reason": reason }), |_| {
                format!("{id}: nothing of the log is pruned or erased until it is lifted: dsrd audit hold lift {id}")
            })
        }
        HoldCommand::List => {
            let mut holds = forget::list_holds(&mut tx).await?;
            holds.sort_by_key(|hold| !hold.in_force);
            output.show(&holds, |holds| listed(holds))
        }
        HoldCommand::Lift { id } => {
            if !forget::lift_hold(&mut tx, id, &actor, now).await? {
                return Err(Failure::NotFound
                    .because("there is no hold of this id that was not lifted; see `dsrd audit hold list`"));
            }
            tx.commit().await?;
            output.show(&serde_json::json!({ "id": id, "lifted": true }), |_| format!("{id}: lifted"))
        }
    }
}

fn listed(holds: &[Hold]) -> String {
    if holds.is_empty() {
        return "There is no hold on the log, and this database knows of none that was.".to_owned();
    }
    let rows = holds.iter().map(|hold| {
        let state = match (hold.in_force, hold.lifted_at) {
            (true, _) => "in force".to_owned(),
            (false, Some(at)) => format!("lifted {}", local_time(at, Tz::UTC)),
            (false, None) => "over".to_owned(),
        };
        vec![
            hold.id.to_string(),
            hold.reason.to_string(),
            local_time(hold.set_at, Tz::UTC),
            hold.set_by.clone(),
            or_dash(hold.until_on.as_ref()),
            or_dash(hold.review_on.as_ref()),
            state,
        ]
    });
    table(&["id", "reason", "set", "by", "until", "review", "state"], rows)
}
