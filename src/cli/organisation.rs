//! `dsrd organisation`: taking one organisation out at the end (Art. 28(3)(g) GDPR).

use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::Failure;
use super::context::Context;
use super::output::{Output, table};
use crate::daemon::Foundation;
use crate::domain::OrganisationId;
use crate::suppression::ledger::Ledger;
use crate::upkeep::{Left, Removal, RemovalError, RemovalReason, Removed, Upkeep};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Delete everything that this service holds for an organisation that is not configured any more. Without --yes it shows what
    /// that is and changes nothing. The entries of the audit log stay; they name nobody.
    Remove {
        /// Short name of the organisation.
        organisation: OrganisationId,
        /// Delete it. What was deleted cannot be brought back: take evidence before (dsrd evidence).
        #[arg(long, requires = "reason", conflicts_with = "dry_run")]
        yes: bool,
        /// Show what would be deleted, and change nothing; so it is without --yes.
        #[arg(long)]
        dry_run: bool,
        /// Why; stands in the audit log, with your account.
        #[arg(long)]
        reason: Option<Reason>,
    },
}

/// Why an organisation is removed.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Reason {
    /// The contract with the controller ended.
    ContractEnded,
    /// Another service serves it now.
    MovedAway,
    /// It was set up by mistake or for a trial.
    Trial,
}

impl From<Reason> for RemovalReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::ContractEnded => Self::ContractEnded,
            Reason::MovedAway => Self::MovedAway,
            Reason::Trial => Self::Trial,
        }
    }
}

pub(super) async fn run(command: Command, context: Context, output: &Output) -> anyhow::Result<()> {
    let Command::Remove { organisation, yes, reason, .. } = command;
    if context.settings().find_organisation(&organisation).is_some() {
        return Err(Failure::Refused.because(format!(
            "{organisation} is still configured: take it out of the configuration, restart every daemon, then repeat this"
        )));
    }
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let removal = Removal {
        upkeep: Upkeep {
            store: foundation.store.clone(),
            desk: foundation.desk.clone(),
            settings: foundation.settings.upkeep.clone(),
        },
        packages: context.settings().report.directory.clone(),
        ledger: Ledger::new(context.settings().ledger.directory.clone()),
    };
    let done = match reason.filter(|_| yes) {
        Some(reason) => {
            let removed = removal.remove(&organisation, reason.into(), &context.person()).await;
            removed.map_err(explained).and_then(|removed| tell(&organisation, removed, output))
        }
        None => show(&removal, &organisation, output).await,
    };
    foundation.close().await;
    done
}

/// What would be deleted.
#[derive(Serialize)]
struct Preview {
    organisation: OrganisationId,
    tables: Vec<Left>,
    in_the_way: Option<String>,
}

async fn show(removal: &Removal, organisation: &OrganisationId, output: &Output) -> anyhow::Result<()> {
    let (tables, in_the_way) = removal.look(organisation).await.map_err(explained)?;
    let preview = Preview { organisation: organisation.clone(), tables, in_the_way: in_the_way.sentence() };
    output.show(&preview, |preview| {
        let rows = preview.tables.iter().map(|each| vec![each.table.clone(), each.rows.to_string()]);
        let verdict = match &preview.in_the_way {
            Some(sentence) => format!("not possible yet: {sentence}"),
            None => {
                "nothing was changed; to delete it: dsrd organisation remove NAME --yes --reason …, after \
                     taking evidence (dsrd evidence)"
                    .to_owned()
            }
        };
        format!("{}\n\n{verdict}", table(&["TABLE", "ROWS"], rows))
    })
}

fn tell(organisation: &OrganisationId, removed: Removed, output: &Output) -> anyhow::Result<()> {
    match removed {
        Removed::Done => output.show(&removed, |_| {
            format!("{organisation}: removed; no table holds a row of it, the entries of the audit log stay")
        }),
        Removed::Before { ledger_lines } => output.show(&removed, |_| {
            format!(
                "{organisation}: was removed before; {ledger_lines} lines of it in the ledger of this machine were blanked now"
            )
        }),
        Removed::Waits { until } => Err(Failure::Refused.because(format!(
            "{organisation}: all is gone except the salts of the audit log, which nobody can erase before their time; repeat \
             this after {}",
            until.format("%Y-%m-%d %H:%M UTC")
        ))),
        Removed::Left { tables } => {
            let tables: Vec<String> =
                tables.iter().map(|left| format!("{} in {}", left.rows, left.table)).collect();
            Err(Failure::Refused.because(format!(
                "{organisation}: rows are left, {}; something came in meanwhile or is in use: repeat this",
                tables.join(", ")
            )))
        }
    }
}

fn explained(error: RemovalError) -> anyhow::Error {
    match error {
        RemovalError::NotFound(_) => Failure::NotFound.because(error.to_string()),
        RemovalError::InTheWay(_) | RemovalError::LogHeld => Failure::Refused.because(error.to_string()),
        other => other.into(),
    }
}
