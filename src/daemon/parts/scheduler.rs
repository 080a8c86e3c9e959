//! What the scheduler starts: everything that is due by the clock and not because somebody asked.

use std::sync::Arc;

use super::Parts;
use crate::alert::{Ward, Watch};
use crate::config::Organisation;
use crate::daemon::foundation::Prepared;
use crate::daemon::{SharedBudget, StartError, tasks};
use crate::delivery::Transport;
use crate::execution::KillSwitch;
use crate::retention::Sweeper;
use crate::self_test::SelfTester;
use crate::upkeep::Upkeep;

impl Parts {
    pub(super) fn start_scheduler(&mut self) {
        let Prepared { store, desk, .. } = self.prepared.clone();
        let (directory, stop) = (self.settings.report.directory.clone(), self.working.clone());
        let (expiring, clock) = (store.clone(), desk.clone());
        let gate = self.gate.clone();
        // An older database names fewer packages than there are.
        self.tasks.start("package expiry", move || {
            let (store, desk, directory) = (expiring.clone(), clock.clone(), directory.clone());
            let (gate, stop) = (gate.clone(), stop.clone());
            Box::pin(async move {
                let expire =
                    |turn| tasks::expire_packages(store.clone(), desk.clone(), directory.clone(), turn);
                gate.pass(&stop, expire).await;
            })
        });
        let upkeep =
            Upkeep { store: store.clone(), desk: desk.clone(), settings: self.settings.upkeep.clone() };
        let (gate, stop) = (self.gate.clone(), self.working.clone());
        self.tasks.start("upkeep", move || {
            let (upkeep, gate, stop) = (upkeep.clone(), gate.clone(), stop.clone());
            Box::pin(async move { gate.pass(&stop, |turn| tasks::forget(upkeep.clone(), turn)).await })
        });
        for site in self.sites.values() {
            let (site, store, desk) = (site.clone(), store.clone(), desk.clone());
            let (settings, stop) = (self.settings.suppression.clone(), self.working.clone());
            self.tasks.start("watch over what was done", move || {
                let (site, store, desk) = (site.clone(), store.clone(), desk.clone());
                let (settings, stop) = (settings.clone(), stop.clone());
                Box::pin(tasks::look_whether_it_lasts(site, store, desk, settings, stop))
            });
        }
        for organisation in &self.settings.organisations {
            if let Some(site) = self.sites.get(&organisation.id) {
                let (store, desk, site) = (store.clone(), desk.clone(), site.clone());
                let (settings, stop) = (organisation.holds.clone(), self.working.clone());
                self.tasks.start("holds", move || {
                    let (tools, site) = ((store.clone(), desk.clone()), site.clone());
                    Box::pin(tasks::keep_holds(tools, site, settings.clone(), stop.clone()))
                });
            }
            // `config::check` has refused rules that are switched on and cannot be read.
            let (Some(site), Ok(rule)) = (self.sites.get(&organisation.id), organisation.retention.rule())
            else {
                continue;
            };
            // One that is switched off still ends what it left unfinished.
            if rule.is_enabled() {
                let detail = rule.schedule().describe(desk.clock.now());
                tracing::info!(organisation = %organisation.id, detail, "retention sweeps are scheduled");
            }
            let halted = self.working.clone();
            let sweeper = Sweeper {
                store: store.clone(),
                platform: Arc::clone(&site.platform),
                desk: desk.clone(),
                controller: (*site.controller).clone(),
                rule,
                halt: Arc::new(move |_| halted.is_cancelled()),
            };
            let (gate, stop) = (site.gate.clone(), self.working.clone());
            self.tasks.start("retention", move || {
                Box::pin(tasks::sweep_when_due(sweeper.clone(), gate.clone(), stop.clone()))
            });
        }
        let settings = Arc::clone(&self.settings);
        for organisation in &settings.organisations {
            self.start_self_test(organisation);
        }
    }

    /// The daily self-test of an organisation, where it is switched on.
    fn start_self_test(&mut self, organisation: &Organisation) {
        let country = organisation.default_country.as_deref();
        // `config::check` has refused those that are switched on and cannot be done.
        let planned = organisation.self_test.plan(organisation.time_zone, country);
        let (Some(site), Ok(Some(plan))) = (self.sites.get(&organisation.id), planned) else { return };
        let Prepared { store, desk, .. } = self.prepared.clone();
        let detail = plan.schedule().describe(desk.clock.now());
        tracing::info!(organisation = %organisation.id, detail, "self-tests are scheduled");
        let tester = SelfTester { store, desk, controller: Arc::clone(&site.controller), plan };
        let (gate, stop) = (site.gate.clone(), self.working.clone());
        self.tasks.start("self-test", move || {
            Box::pin(tasks::test_ourselves(tester.clone(), gate.clone(), stop.clone()))
        });
    }

    /// Alerts and digests for staff. They wait for the comparison of the log, as everything that mails does.
    pub(super) async fn start_watch(&mut self) -> Result<(), StartError> {
        let Prepared { store, desk, controllers, .. } = self.prepared.clone();
        let mail = self.settings.delivery.clone();
        let transport = Arc::new(Transport::open(&mail, &self.settings.data_dir).await?);
        let wards = self.settings.organisations.iter().filter_map(|organisation| {
            let controller = Arc::clone(controllers.get(&organisation.id)?);
            let (settings, sweeps) = (organisation.escalation.clone(), organisation.retention.enabled);
            let self_tests = organisation.self_test.enabled;
            let limit = SharedBudget::limit(&organisation.platform.rate);
            Some((organisation.id.clone(), Ward { controller, settings, sweeps, self_tests, limit }))
        });
        let watch = Watch {
            store: store.clone(),
            clock: Arc::clone(&desk.clock),
            wards: wards.collect(),
            transport,
            mail,
            checks_clock: true,
            kill: KillSwitch::default(),
        };
        let (gate, stop) = (self.gate.clone(), self.working.clone());
        self.tasks.start("staff alerts", move || {
            let (watch, gate, stop) = (watch.clone(), gate.clone(), stop.clone());
            Box::pin(async move { gate.pass(&stop, |turn| tasks::watch(watch.clone(), turn)).await })
        });
        for site in self.sites.values() {
            let site = site.clone();
            let (store, desk, stop) = (store.clone(), desk.clone(), self.working.clone());
            self.tasks.start("platform watch", move || {
                Box::pin(tasks::look_at_platform(site.clone(), store.clone(), desk.clone(), stop.clone()))
            });
        }
        Ok(())
    }
}
