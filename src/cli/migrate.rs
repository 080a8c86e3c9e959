//! `dsrd migrate`: the schema brought up to date.

use serde::Serialize;

use super::context::Context;
use super::output::Output;
use crate::daemon::Database;
use crate::store;

/// Options of `dsrd migrate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only tell what is missing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Report {
    state: String,
    applied: usize,
}

pub(super) async fn run(args: Args, context: Context, output: &Output) -> anyhow::Result<()> {
    let database = Database::open(context.settings(), &context.sources).await?;
    let result = migrate(&args, &context, &database, output).await;
    database.close().await;
    result
}

async fn migrate(args: &Args, context: &Context, database: &Database, output: &Output) -> anyhow::Result<()> {
    // A database that does not answer is told before the migrating, which takes as long as it takes.
    let state = database.schema_state(context.settings()).await?;
    let report = if args.dry_run {
        let state = match state {
            store::SchemaState::Current => "up to date".to_owned(),
            store::SchemaState::Behind(missing) => format!("{missing} migration(s) missing"),
            store::SchemaState::Newer => "made by a newer dsrd".to_owned(),
            store::SchemaState::Altered => {
                "altered: a migration differs from the one in this program".to_owned()
            }
        };
        Report { state, applied: 0 }
    } else {
        let applied = store::migrate(database.options()).await?;
        Report { state: "up to date".to_owned(), applied }
    };
    output.show(&report, |report| format!("schema: {}; migrations applied: {}", report.state, report.applied))
}
