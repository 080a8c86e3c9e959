//! The contact platform of each organisation.

use std::sync::Arc;

use super::Findings;
use super::database::Opened;
use crate::cli::context::Context;
use crate::config::Organisation;
use crate::daemon::{self, SharedBudget};
use crate::domain::SystemClock;
use crate::platform::cloud4wi::LocalBudget;
use crate::platform::{CallBudget, FilterTrust, OrganisationMatch, PlatformError, ProbeReport};
use crate::queue;

/// Retention refuses to sweep beyond this difference.
const MOST_CLOCK_DIFFERENCE_SECS: u64 = 300;

/// What can be known without a call.
pub(super) fn check_settings(context: &Context, findings: &mut Findings) {
    for organisation in &context.settings().organisations {
        let check = format!("{}: platform settings", organisation.id);
        match daemon::check_platform_settings(std::slice::from_ref(organisation)) {
            Ok(()) => findings.ok(check, &organisation.platform.base_url),
            Err(error) => findings.fail_with(check, &error),
        }
    }
}

pub(super) async fn check(context: &Context, opened: Option<&Opened>, findings: &mut Findings) {
    for organisation in &context.settings().organisations {
        one(organisation, opened, findings).await;
    }
}

async fn one(organisation: &Organisation, opened: Option<&Opened>, findings: &mut Findings) {
    let name = |what: &str| format!("{}: {what}", organisation.id);
    let rate = &organisation.platform.rate;
    // A running daemon has the same budget: its requests must not be pushed beyond the platform's limit by a check.
    // Before the first start there is no such budget, and no daemon that could draw from it.
    let budget: Arc<dyn CallBudget> = match opened {
        Some(opened) if has_shared_budget(opened, organisation).await => {
            Arc::new(SharedBudget::new(opened.store().clone(), organisation.id.clone(), rate))
        }
        _ => Arc::new(LocalBudget::new(rate)),
    };
    let platform = match daemon::build_platform(organisation, budget, Arc::new(SystemClock)) {
        Ok(platform) => platform,
        Err(error) => {
            findings.fail_with(name("platform"), &error);
            return;
        }
    };
    match platform.check_organisation().await {
        Ok(OrganisationMatch::Same) => findings.ok(name("platform"), "the key is that of this organisation"),
        Ok(OrganisationMatch::Unknown) => findings.warn(
            name("platform"),
            "the platform does not tell which organisation the key belongs to",
            "compare organisation_id with the platform's own page",
        ),
        Ok(OrganisationMatch::Other) => findings.fail(
            name("platform"),
            "the key belongs to another organisation",
            "check client_key_file, client_secret_file and organisation_id",
        ),
        Err(error @ PlatformError::Unavailable { .. }) => {
            findings.fail(
                name("platform"),
                error.to_string(),
                "check platform.base_url, the network between and the platform's own state, then check again",
            );
            return;
        }
        Err(error) => {
            findings.fail_with(name("platform"), &error);
            return;
        }
    }
    match platform.probe().await {
        Ok(report) => probed(&report, organisation, findings),
        Err(error) => findings.fail_with(name("filters"), &error),
    }
    // A session that stays open ends by itself.
    drop(platform.log_out().await);
}

/// Whether the organisation is registered, so that daemons share a budget of its key. An error says no: the check of
/// the database tells it.
async fn has_shared_budget(opened: &Opened, organisation: &Organisation) -> bool {
    let asked = async {
        let mut connection = opened.store().connection().await?;
        queue::has_budget(&mut connection, &organisation.id).await
    };
    asked.await.unwrap_or(false)
}

fn probed(report: &ProbeReport, organisation: &Organisation, findings: &mut Findings) {
    let searches = report.searches.iter().map(|(kind, trust)| (kind.as_str(), *trust));
    for (filter, trust) in searches.chain([("created", report.created)]) {
        let check = format!("{}: filter {filter}", organisation.id);
        match trust {
            FilterTrust::Honoured => findings.ok(check, "honoured"),
            FilterTrust::Ignored if organisation.platform.full_scan => findings.warn(
                check,
                "ignored: contacts are looked for by reading them all",
                "check its name in platform.dialect against the vendor's OpenAPI file",
            ),
            FilterTrust::Ignored => findings.fail(
                check,
                "ignored, and platform.full_scan is off: such requests wait for a person",
                "check its name in platform.dialect, or set platform.full_scan",
            ),
            FilterTrust::Unknown if filter == "created" => findings.warn(
                check,
                "the platform gave no answer that tells whether it is honoured",
                "check again later; until then each hit is compared here all the same",
            ),
            FilterTrust::Unknown => {
                let until_then = if organisation.platform.full_scan {
                    "contacts are looked for by reading them all"
                } else {
                    "such requests wait for a person"
                };
                findings.warn(
                    check,
                    format!("not seen to work; {until_then}"),
                    "the platform refused it, or does not find by it what it shows: check its name in platform.dialect",
                );
            }
        }
    }
    if let Some(difference) = report.clock_difference_secs {
        let check = format!("{}: clocks", organisation.id);
        let found = format!("the platform's clock differs from ours by {difference} s");
        if difference.unsigned_abs() > MOST_CLOCK_DIFFERENCE_SECS {
            findings.fail(check, found, "let this host keep its time by NTP; retention sweeps refuse to run");
        } else {
            findings.ok(check, found);
        }
    }
    if let Some(known) = &report.policies {
        for policy in &organisation.opt_out_policies {
            let bare = policy.strip_prefix("customs.").unwrap_or(policy);
            let check = format!("{}: policy", organisation.id);
            if known.iter().any(|each| each == bare || each == policy) {
                findings.ok(check, format!("{policy} exists"));
            } else {
                findings.warn(
                    check,
                    format!("{policy} is not among the platform's policies"),
                    "correct opt_out_policies, or such requests wait for a person",
                );
            }
        }
    }
}
