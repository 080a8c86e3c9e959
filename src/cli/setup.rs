//! `dsrd setup`: the server programs of the private database.

use serde::Serialize;

use super::context::Context;
use super::output::Output;
use crate::daemon::Database;
use crate::store::embedded;

#[derive(Serialize)]
struct Report {
    directory: String,
    version: String,
}

pub(super) async fn run(context: Context, output: &Output) -> anyhow::Result<()> {
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
