//! Whether the log continues what was published of it, and whether the places outside keep up.

use std::sync::Arc;

use super::Findings;
use super::database::Opened;
use crate::audit::Publisher;
use crate::cli::context::Context;
use crate::config;
use crate::daemon::halves;
use crate::domain::SystemClock;
use crate::store::Store;

const CHECK: &str = "audit heads";

const HALVES: &str = "audit log and working tables";

pub(super) async fn check(context: &Context, opened: &Opened, findings: &mut Findings) {
    match halves::compare(opened.store()).await {
        Ok(None) => findings.ok(HALVES, "log and working tables are of the same moment"),
        Ok(Some(mixed)) => {
            findings.fail(HALVES, mixed.to_string(), "see docs/operator-runbook.md, One half restored alone");
        }
        Err(error) => findings.fail_with(HALVES, &error),
    }
    let settings = context.settings();
    let store = Store::connect_as_sealer(opened.database().options().clone(), &settings.database);
    match open(context, store) {
        Ok(publisher) => {
            look(&publisher, findings).await;
            publisher.close().await;
        }
        Err(error) => findings.fail_with(CHECK, error.as_ref()),
    }
}

/// What looks at the places; it mails nothing and has nothing stamped.
fn open(context: &Context, store: Store) -> anyhow::Result<Publisher> {
    let settings = &context.settings().publish;
    let publisher = Publisher::new(store, settings.clone(), None, Arc::new(SystemClock))?;
    if settings.bucket_url.is_empty() {
        return Ok(publisher);
    }
    let key = config::read_secret("publish.bucket_key_file", &settings.bucket_key_file)?;
    Ok(publisher.with_bucket(&key)?)
}

async fn look(publisher: &Publisher, findings: &mut Findings) {
    let statuses = match publisher.status().await {
        Ok(statuses) => statuses,
        Err(error) => return findings.fail_with(CHECK, &error),
    };
    let least_behind = statuses.iter().map(|each| each.behind).min().unwrap_or_default();
    for status in statuses {
        let place = format!("{} {}", status.kind, status.place);
        match (status.problem, status.size) {
            (Some(problem), _) => {
                findings.fail(
                    CHECK,
                    format!("{place}: {problem}"),
                    "see docs/operator-runbook.md, Heads of the audit log",
                );
            }
            (None, None) if status.behind == 0 => {
                findings.ok(CHECK, format!("{place}: nothing to publish yet"));
            }
            (None, None) => findings.warn(
                CHECK,
                format!("{place}: has got no head yet, {} entries are sealed", status.behind),
                "start the daemon, or see its log for the reason",
            ),
            (None, Some(size)) if status.behind > least_behind => findings.warn(
                CHECK,
                format!("{place}: has {size} entries, {} behind the log", status.behind),
                "see the daemon's log for the reason",
            ),
            (None, Some(size)) => {
                findings.ok(CHECK, format!("{place}: has {size} entries, {} behind the log", status.behind));
            }
        }
    }
}
