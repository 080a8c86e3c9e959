//! `dsrd retention`: contacts past their time.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use clap::Subcommand;
use serde::Serialize;

use super::Failure;
use super::context::Context;
use super::output::{Output, or_dash, pairs, table};
use crate::audit::{self, Action, Detail, Event};
use crate::config::Organisation;
use crate::daemon::{self, Foundation};
use crate::domain::{ContactId, OrganisationId, local_time};
use crate::platform::ContactPlatform;
use crate::retention::{
    self, ActiveLately, Anchor, Finding, Holds, Preview, Progress, Rule, StopReason, Sweeper, never_halt,
};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Count the contacts that a sweep would erase, without doing anything.
    Preview {
        /// Short name of the organisation; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
    },
    /// Sweep now: submit an erasure for each contact past its time. Without --confirm this is a preview.
    Run {
        /// Short name of the organisation; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
        /// The number of contacts that the preview showed. The sweep is refused when it has changed.
        #[arg(long, value_name = "COUNT")]
        confirm: Option<u64>,
    },
    /// List past sweeps, newest first.
    List {
        /// Short name of the organisation; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
        /// At most this many.
        #[arg(long, default_value_t = 20)]
        limit: u16,
    },
    /// List the contacts of the latest sweep whose last activity cannot be known, by the platform's ids: look at them there.
    /// That you did so stands in the audit log.
    Review {
        /// Short name of the organisation; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
        /// At most this many.
        #[arg(long, default_value_t = 100)]
        limit: u16,
    },
}

pub(super) async fn run(command: Command, context: Context, output: &Output) -> anyhow::Result<()> {
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let result = match command {
        Command::Preview { organisation } => {
            preview_or_sweep(organisation.as_ref(), None, &context, &foundation, output).await
        }
        Command::Run { organisation, confirm } => {
            preview_or_sweep(organisation.as_ref(), confirm, &context, &foundation, output).await
        }
        Command::List { organisation, limit } => {
            list(organisation.as_ref(), limit, &context, &foundation, output).await
        }
        Command::Review { organisation, limit } => {
            review(organisation.as_ref(), limit, &context, &foundation, output).await
        }
    };
    foundation.close().await;
    result
}

/// A preview as it is shown.
#[derive(Serialize)]
struct PreviewView {
    organisation: String,
    anchor: &'static str,
    created_before: String,
    contacts: u64,
    candidates: u64,
    held: u64,
    old_enough: u64,
    active: u64,
    unclear: u64,
    active_lately: Option<ActiveLately>,
    findings: Vec<Finding>,
    share_percent: String,
    unreadable: u64,
    oldest: Option<String>,
    newest: Option<String>,
    stops: Option<String>,
}

impl PreviewView {
    fn new(organisation: &OrganisationId, anchor: Anchor, preview: &Preview) -> Self {
        let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let share = preview.share_basis_points;
        Self {
            organisation: organisation.to_string(),
            anchor: anchor.as_str(),
            created_before: instant(preview.created_before),
            contacts: preview.contacts,
            candidates: preview.candidates,
            held: preview.held,
            old_enough: preview.old_enough,
            active: preview.active,
            unclear: preview.unclear,
            active_lately: preview.active_lately,
            findings: preview.findings.clone(),
            share_percent: format!("{}.{:02}", share / 100, share % 100),
            unreadable: preview.unreadable,
            oldest: preview.oldest.map(instant),
            newest: preview.newest.map(instant),
            stops: preview.stops.map(|reason| reason.to_string()),
        }
    }

    fn human(&self, preview: &Preview, zone: Tz) -> String {
        let instant = |at: DateTime<Utc>| local_time(at, zone);
        let mut rows = vec![
            ("organisation", self.organisation.clone()),
            ("counted from", self.anchor.replace('_', " ")),
            ("created before", instant(preview.created_before)),
            ("contacts", self.contacts.to_string()),
        ];
        if self.anchor == Anchor::LastActivity.as_str() {
            rows.extend([
                ("old enough", self.old_enough.to_string()),
                ("active since", format!("{} (kept)", self.active)),
                ("to review", format!("{} (last activity not known; never erased by a sweep)", self.unclear)),
            ]);
        }
        rows.extend([
            ("past their time", format!("{} ({} %)", self.candidates, self.share_percent)),
            ("held", format!("{} (not among them; kept by a hold, left to a later sweep)", self.held)),
            ("unreadable date", format!("{} (never erased by a sweep)", self.unreadable)),
            ("oldest", or_dash(preview.oldest.map(instant).as_ref())),
            ("newest", or_dash(preview.newest.map(instant).as_ref())),
            (
                "a sweep would",
                self.stops.as_ref().map_or_else(
                    || format!("submit {} erasure(s)", self.candidates),
                    |reason| format!("stop: {reason}"),
                ),
            ),
        ]);
        if let Some(ActiveLately { active, dated }) = self.active_lately.filter(|lately| lately.active > 0) {
            rows.push((
                "warning",
                format!(
                    "{active} active in the last 12 months (of {dated} past their time whose listing shows a log-in or \
                     visit); the period counts from the creation: see retention.anchor"
                ),
            ));
        }
        rows.extend(self.findings.iter().map(|finding| ("found", finding.text())));
        pairs(rows)
    }
}

async fn preview_or_sweep(
    named: Option<&OrganisationId>,
    confirm: Option<u64>,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let id = context.organisation(named)?;
    let organisation = context
        .settings()
        .find_organisation(&id)
        .ok_or_else(|| Failure::NotFound.because(format!("no organisation {id} is configured")))?;
    let rule = organisation.retention.rule().map_err(|error| {
        let cause = anyhow::Error::from(error);
        Failure::Usage.because(format!("organisation {id}: {cause:#}"))
    })?;
    let sites = daemon::sites(
        std::slice::from_ref(organisation),
        &foundation.controllers,
        &foundation.store,
        &foundation.desk,
    )?;
    let Some(site) = sites.get(&id) else {
        return Err(Failure::NotFound.because(format!("organisation {id} is not registered")));
    };
    // A key of another organisation would list, and erase, the wrong people (S-14).
    daemon::check_organisation(site).await?;
    let found = preview(organisation, site.platform.as_ref(), &rule, foundation, output).await?;
    let Some(confirmed) = confirm else {
        let view = PreviewView::new(&id, organisation.retention.anchor, &found);
        let zone = context.zone(&id);
        output.show(&view, |view| view.human(&found, zone))?;
        output.say(&format!("nothing was done; {}", next_step(&id, &found, &organisation.retention)));
        return Ok(());
    };
    if confirmed != found.candidates {
        return Err(Failure::Refused.because(format!(
            "{confirmed} was confirmed, but {} contact(s) are past their time now; look at the preview again",
            found.candidates
        )));
    }
    let sweeper = Sweeper {
        store: foundation.store.clone(),
        platform: Arc::clone(&site.platform),
        desk: foundation.desk.clone(),
        controller: (*site.controller).clone(),
        rule,
        halt: never_halt(),
    };
    let report = sweeper.sweep_confirmed(&context.login_name(), confirmed).await?;
    output.show(&report, |report| {
        let found = report.findings.iter().map(|finding| ("found", finding.text()));
        let rows = [
            ("sweep", report.sweep_id.to_string()),
            ("state", report.state.to_string()),
            ("reason", or_dash(report.reason.as_ref())),
            ("contacts", report.contacts.to_string()),
            ("past their time", report.candidates.to_string()),
            ("active since", report.active.to_string()),
            ("to review", report.unclear.to_string()),
            ("erasures submitted", report.submitted.to_string()),
            ("left to a later sweep", report.skipped.to_string()),
        ];
        pairs(rows.into_iter().chain(found))
    })?;
    match report.reason {
        Some(reason) => {
            Err(Failure::Refused.because(format!("the sweep stopped ({reason}): {}", reason.remedy())))
        }
        None => Ok(()),
    }
}

/// What a person can do after a preview. A sweep that its own safeguards would stop is not recommended.
fn next_step(id: &OrganisationId, found: &Preview, settings: &retention::Settings) -> String {
    let candidates = found.candidates;
    match found.stops {
        Some(StopReason::OverMostContacts) => format!(
            "a sweep would stop, because {candidates} contact(s) are more than retention.most_contacts = {} allows; \
             find out why there are so many, and raise it only when the number is right",
            or_dash(settings.most_contacts.as_ref())
        ),
        Some(StopReason::OverMostPercent) => format!(
            "a sweep would stop, because {candidates} of {} contact(s) are a greater share than \
             retention.most_percent = {} allows; find out why there are so many, and raise it only when the number is right",
            found.contacts,
            or_dash(settings.most_percent.as_ref())
        ),
        Some(reason) => format!("a sweep would stop ({reason}): {}", reason.remedy()),
        None if candidates == 0 => "no contact is past its time".to_owned(),
        None if !settings.enabled => format!(
            "the rule is off; set retention.enabled, then submit the erasures with: \
             dsrd retention run --organisation {id} --confirm {candidates}"
        ),
        None => {
            format!("to submit the erasures: dsrd retention run --organisation {id} --confirm {candidates}")
        }
    }
}

/// Counts the contacts past their time; the platform is only listed.
async fn preview(
    organisation: &Organisation,
    platform: &dyn ContactPlatform,
    rule: &Rule,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<Preview> {
    let bar = output.progress("contacts listed");
    let now = foundation.desk.clock.now();
    let holds = Holds { store: &foundation.store, keys: &foundation.desk.keys };
    let found =
        retention::preview(platform, &organisation.controller(), rule, now, Some(holds), |progress| {
            match progress {
                Progress::Listed(seen) => bar.set_position(seen),
                Progress::Read(seen, all) => {
                    bar.set_message(format!("records of contacts read, of {all}"));
                    bar.set_position(seen);
                }
            }
        })
        .await;
    bar.finish_and_clear();
    Ok(found?)
}

async fn list(
    named: Option<&OrganisationId>,
    limit: u16,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(named)?;
    let mut connection = foundation.store.connection().await?;
    let sweeps = retention::list_sweeps(&mut connection, &organisation, limit).await?;
    let zone = context.zone(&organisation);
    output.show(&sweeps, |sweeps| {
        let rows = sweeps.iter().map(|sweep| {
            vec![
                local_time(sweep.started_at, zone),
                sweep.begun_by.clone(),
                sweep.state.clone(),
                or_dash(sweep.reason.as_ref()),
                or_dash(sweep.contacts.as_ref()),
                sweep.anchor.replace('_', " "),
                sweep.candidates.to_string(),
                sweep.active.to_string(),
                sweep.unclear.to_string(),
                sweep.unreadable.to_string(),
                sweep.submitted.to_string(),
                sweep.skipped.to_string(),
                or_dash(sweep.still_past.as_ref()),
                sweep.findings.iter().map(Finding::text).collect::<Vec<_>>().join("\n"),
            ]
        });
        table(
            &[
                "started at",
                "by",
                "state",
                "reason",
                "contacts",
                "counted from",
                "past their time",
                "active",
                "to review",
                "unreadable",
                "submitted",
                "skipped",
                "still past",
                "found",
            ],
            rows,
        )
    })
}

/// Contacts that a person has to look at, by the ids under which the platform shows them.
async fn review(
    named: Option<&OrganisationId>,
    limit: u16,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(named)?;
    let mut tx = foundation.store.begin("cli.retention.review").await?;
    let unclear = retention::list_unclear(&mut tx, &organisation, limit).await?;
    let shown = unclear.len() as u64;
    let more = retention::count_unclear(&mut tx, &organisation).await?.saturating_sub(shown);
    let now = foundation.desk.clock.now();
    let event = Event::general(&organisation, Action::SweepRead, context.person(), now);
    audit::append(&mut tx, event.with(Detail::none().count("contacts", shown))).await?;
    // Committed before anything is shown: who looked stands in the log, whatever happens next.
    tx.commit().await?;
    let ids: Vec<&str> = unclear.iter().map(ContactId::as_str).collect();
    output.show(&ids, |ids| ids.join("\n"))?;
    if more > 0 {
        output.say(&format!("{more} more; raise --limit to see them"));
    }
    Ok(())
}
