//! From the first request to the last proof.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use dsrd_simulator::OrganisationHandle;
use tokio::time::Instant;

use super::confirm::Reader;
use super::ledger::Ledger;
use super::people::Cast;
use super::script::{self, Asked};
use super::service::Running;
use super::sql::Producer;
use super::stage::Stage;
use super::summary::grouped;
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::config::Organisation;
use crate::daemon::{self, Foundation};
use crate::domain::Controller;
use crate::execution::Site;
use crate::retention::{self, Preview, Rule, SweepReport, Sweeper};

/// How often the audit log is looked at.
const EVERY: Duration = Duration::from_millis(100);

/// How long everything may take, apart from the erasures of the sweep.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long one erasure of the sweep may take on the slowest host.
const PATIENCE_PER_ERASURE: Duration = Duration::from_millis(500);

/// Everything that a demonstration is made of.
pub(super) struct Play<'a> {
    pub(super) context: &'a Context,
    pub(super) foundation: &'a Foundation,
    pub(super) organisation: &'a Organisation,
    pub(super) platform: &'a OrganisationHandle,
    pub(super) stage: &'a Stage,
}

/// What happened.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) asked: Vec<Asked>,
    pub(super) preview: Preview,
    pub(super) sweep: SweepReport,
    pub(super) ledger: Ledger,
    /// Whether everything came to its end in time.
    pub(super) in_time: bool,
    /// How many contacts the platform held before.
    pub(super) contacts_before: u64,
}

impl Play<'_> {
    /// Hands in the requests, runs the sweep, and follows both in the audit log until all is quiet.
    pub(super) async fn run(&self, service: &Running) -> anyhow::Result<Played> {
        let contacts_before = self.platform.contact_number() as u64;
        let rule = self.organisation.retention.rule()?;
        let controller = self.organisation.controller();
        let now = self.foundation.desk.clock.now();
        let kept_from = retention::cutoff(now, &rule, controller.time_zone) + chrono::TimeDelta::days(3);
        let cast = Cast::choose(self.platform, kept_from)
            .context("the platform has too few suitable people; ask for more with --contacts")?;
        let mut producer = Producer::log_in(self.foundation.database.options()).await?;
        let mut asked = script::script(&cast, &controller)?;
        for each in &mut asked {
            script::hand_in(each, self.foundation, &controller, &mut producer).await?;
        }
        let followed = self.follow(asked, &controller, rule, &mut producer, service).await;
        producer.log_out().await?;
        let (asked, (preview, sweep), ledger, in_time) = followed?;
        Ok(Played { asked, preview, sweep, ledger, in_time, contacts_before })
    }

    async fn follow(
        &self,
        mut asked: Vec<Asked>,
        controller: &Controller,
        rule: Rule,
        producer: &mut Producer,
        service: &Running,
    ) -> anyhow::Result<(Vec<Asked>, (Preview, SweepReport), Ledger, bool)> {
        let mut requests = self.stage.begin("requests of people", asked.len() as u64);
        let mut erasures = None;
        let mut retention = Box::pin(self.retain(controller, rule));
        let mut swept = None;
        let mut ledger = Ledger::default();
        let mut deadline = Instant::now() + PATIENCE;
        let mut reader = Reader::new(&self.foundation.settings);
        loop {
            tokio::select! {
                result = &mut retention, if swept.is_none() => {
                    let result: (Preview, SweepReport) = result?;
                    let submitted = result.1.submitted;
                    let patience = u32::try_from(submitted).unwrap_or(u32::MAX);
                    deadline += PATIENCE_PER_ERASURE.saturating_mul(patience);
                    erasures = Some(self.stage.begin("erasures of the sweep", submitted));
                    swept = Some(result);
                }
                () = tokio::time::sleep(EVERY) => {}
                error = service.broken() => return Err(error),
            }
            ledger.catch_up(&self.foundation.store).await?;
            note_receipts(&mut asked, producer).await?;
            reader.confirm(&mut asked).await?;
            let settled = ledger.settled();
            let people = asked.iter().filter(|each| each.is_settled(&settled)).count();
            requests.set(people as u64);
            let all_settled = people == asked.len();
            if all_settled {
                requests.finish("settled");
            }
            let mut all_erased = false;
            if let (Some(erasures), Some((_, sweep))) = (&mut erasures, &swept) {
                let ended = ledger.of_sweeps().intersection(&settled).count() as u64;
                erasures.set(ended);
                all_erased = ended >= sweep.submitted;
                if all_erased {
                    erasures.finish(&format!("{} ended", grouped(ended)));
                }
            }
            let (owed, sent) = ledger.notices();
            let quiet = all_settled && all_erased && owed == sent;
            let late = Instant::now() >= deadline;
            if (quiet || late)
                && let Some(swept) = swept
            {
                return Ok((asked, swept, ledger, quiet));
            }
            if late {
                return Err(Failure::Failed.because("the sweep did not come to its end in time"));
            }
        }
    }

    /// Previews the retention rule, then sweeps, as `dsrd retention run --confirm` does.
    async fn retain(&self, controller: &Controller, rule: Rule) -> anyhow::Result<(Preview, SweepReport)> {
        let mut listing = self.stage.begin("contacts looked at", self.platform.contact_number() as u64);
        let site = self.site()?;
        let foundation = self.foundation;
        let bar = listing.bar();
        let now = foundation.desk.clock.now();
        let holds = retention::Holds { store: &foundation.store, keys: &foundation.desk.keys };
        let preview =
            retention::preview(site.platform.as_ref(), controller, &rule, now, Some(holds), |seen| {
                if let retention::Progress::Listed(seen) = seen {
                    bar.set_position(seen);
                }
            })
            .await?;
        listing.finish(&format!("{} past their time", grouped(preview.candidates)));
        if let Some(reason) = preview.stops {
            return Err(Failure::Failed.because(format!("a sweep would stop: {reason}")));
        }

        let mut sweeping = self.stage.begin("pages of the sweep", pages(&preview, self.organisation));
        let (bar, passed) = (sweeping.bar(), AtomicU64::new(0));
        let sweeper = Sweeper {
            store: foundation.store.clone(),
            platform: Arc::clone(&site.platform),
            desk: foundation.desk.clone(),
            controller: controller.clone(),
            rule,
            // Asked between steps: never says stop, and lets the bar go on.
            halt: Arc::new(move |stage| {
                match stage {
                    retention::Stage::Listed => bar.set_position(passed.fetch_add(1, Ordering::Relaxed) + 1),
                    retention::Stage::Decided => bar.set_message("submitting their erasures"),
                    _ => {}
                }
                false
            }),
        };
        let report = sweeper.sweep(&self.context.login_name()).await?;
        sweeping.finish(&format!("{} erasures submitted", grouped(report.submitted)));
        Ok((preview, report))
    }

    fn site(&self) -> anyhow::Result<Site> {
        let mut sites = daemon::sites(
            std::slice::from_ref(self.organisation),
            &self.foundation.controllers,
            &self.foundation.store,
            &self.foundation.desk,
        )?;
        sites.remove(&self.organisation.id).context("the organisation is not registered")
    }
}

/// How many pages a listing of everybody has.
fn pages(preview: &Preview, organisation: &Organisation) -> u64 {
    let size = u64::from(organisation.platform.paging.page_size.max(1));
    preview.contacts.div_ceil(size)
}

/// Reads what became of the rows of the producer.
async fn note_receipts(asked: &mut [Asked], producer: &mut Producer) -> anyhow::Result<()> {
    if asked.iter().all(|each| each.request.is_some() || each.parked.is_some()) {
        return Ok(());
    }
    for receipt in producer.receipts().await? {
        if let Some(each) = asked.iter_mut().find(|each| each.key == receipt.key) {
            each.request = receipt.request;
            each.parked = receipt.detail;
        }
    }
    Ok(())
}
