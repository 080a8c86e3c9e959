//! Whether this host has the files of the packages that people may fetch.

use super::Findings;
use super::database::Opened;
use crate::cli::context::Context;
use crate::delivery;

const CHECK: &str = "packages";

pub(super) async fn check(context: &Context, opened: &Opened, findings: &mut Findings) {
    let directory = &context.settings().report.directory;
    match delivery::count_not_here(opened.store(), directory).await {
        Ok(0) => findings.ok(CHECK, format!("{} has the file of each that has not expired", directory.display())),
        Ok(count) => findings.fail(
            CHECK,
            format!("{count} that have not expired have no file in {}: nobody can fetch them here", directory.display()),
            "daemons on several hosts need one report.directory together (docs/operator-runbook.md, Several hosts); where the files \
             are lost, hand the requests in again",
        ),
        Err(error) => findings.fail_with(CHECK, &error),
    }
}
