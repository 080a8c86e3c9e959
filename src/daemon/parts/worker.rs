//! What the worker starts: the sealer, the sending of notices and to recipients, the taking in of rows, and the work itself.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::daemon::foundation::Prepared;
use crate::daemon::{StartError, tasks, webhooks};
use crate::delivery::{Mailer, Transport};
use crate::execution::{Executor, KillSwitch, PackageRules};
use crate::queue::{Wake, WakeSource};
use crate::recipients::Courier;

impl Parts {
    pub(super) async fn start_worker(&mut self) -> Result<(), StartError> {
        let Prepared { store, desk, controllers, .. } = self.prepared.clone();
        if let Some(sealer) = self.log.sealer.clone() {
            let (settings, gate, stop) = (Arc::clone(&self.settings), self.gate.clone(), self.last.clone());
            let rounds = self.rounds.clone();
            self.last_tasks.start("sealer", move || {
                let (sealer, settings) = (Arc::clone(&sealer), Arc::clone(&settings));
                let (gate, rounds, stop) = (gate.clone(), rounds.clone(), stop.clone());
                Box::pin(async move {
                    let seal =
                        |turn| tasks::seal(Arc::clone(&sealer), Arc::clone(&settings), rounds.clone(), turn);
                    gate.pass(&stop, seal).await;
                })
            });
        }

        let mailer = self.mailer().await?;
        let (pumped, pulse) = (Arc::clone(&mailer), self.pulse.clone());
        let (gate, stop) = (self.gate.clone(), self.working.clone());
        let beat_every = Duration::from_secs(self.settings.queue.heartbeat_secs.max(1));
        self.tasks.start("notices", move || {
            let (pumped, pulse) = (Arc::clone(&pumped), pulse.clone());
            let (gate, stop) = (gate.clone(), stop.clone());
            Box::pin(async move {
                gate.pass(&stop, |turn| tasks::pump(Arc::clone(&pumped), pulse.clone(), beat_every, turn))
                    .await;
            })
        });

        let (settling, keys, stop) = (store.clone(), desk.clone(), self.working.clone());
        let served = controllers.clone();
        self.tasks.start("extensions", move || {
            Box::pin(tasks::settle_extensions(settling.clone(), keys.clone(), served.clone(), stop.clone()))
        });
        self.start_courier().await?;

        let rows = self.listen("intake wake-ups", WakeSource::Intake);
        let poll = Duration::from_secs(self.settings.queue.poll_secs);
        let (taking, keys, stop) = (store.clone(), desk.clone(), self.working.clone());
        self.tasks.start("intake", move || {
            let (store, desk, controllers) = (taking.clone(), keys.clone(), controllers.clone());
            Box::pin(tasks::take_intake(store, desk, controllers, Arc::clone(&rows), poll, stop.clone()))
        });

        let executor = Arc::new(Executor {
            store,
            desk,
            sites: self.sites.clone(),
            mailer,
            settings: self.settings.queue.clone(),
            packages: PackageRules {
                report: self.settings.report.clone(),
                keep_days: self.settings.delivery.package_expiry_days,
            },
            ledger: Arc::clone(&self.ledger),
            watch: self.settings.suppression.clone(),
            checks_clock: true,
            kill: KillSwitch::default(),
        });
        let jobs = self.listen("job wake-ups", WakeSource::Jobs);
        let (pulse, present, stop) = (self.pulse.clone(), Arc::clone(&self.present), self.working.clone());
        let (gate, keep_days) = (self.gate.clone(), self.settings.ledger.keep_days);
        let rounds = self.rounds.clone();
        self.tasks.start("worker", move || {
            let (executor, jobs, pulse) = (Arc::clone(&executor), Arc::clone(&jobs), pulse.clone());
            let (present, gate, stop) = (Arc::clone(&present), gate.clone(), stop.clone());
            let rounds = rounds.clone();
            Box::pin(async move {
                let work = |turn: CancellationToken| {
                    let (executor, jobs) = (Arc::clone(&executor), Arc::clone(&jobs));
                    let (pulse, present, rounds) = (pulse.clone(), Arc::clone(&present), rounds.clone());
                    async move {
                        // Each time that work begins: the database may have been restored meanwhile.
                        tasks::compare_ledger(&executor, keep_days, &turn).await;
                        tasks::work(executor, pulse, jobs, present, rounds, turn).await;
                    }
                };
                gate.pass(&stop, work).await;
            })
        });
        Ok(())
    }

    /// Tells recipients, where any are registered.
    async fn start_courier(&mut self) -> Result<(), StartError> {
        let organisations = &self.settings.organisations;
        if organisations.iter().all(|organisation| organisation.recipients.is_empty()) {
            return Ok(());
        }
        let Prepared { store, desk, controllers, .. } = self.prepared.clone();
        let courier = Courier {
            store,
            keys: desk.keys,
            clock: desk.clock,
            controllers,
            registers: self
                .sites
                .iter()
                .map(|(id, site)| (id.clone(), Arc::clone(&site.recipients)))
                .collect(),
            secrets: Arc::new(webhooks::secrets(organisations)?),
            transport: Arc::new(Transport::open(&self.settings.delivery, &self.settings.data_dir).await?),
            mail: self.settings.delivery.clone(),
            kill: KillSwitch::default(),
        };
        let (gate, stop) = (self.gate.clone(), self.working.clone());
        self.tasks.start("recipients", move || {
            let (courier, gate, stop) = (courier.clone(), gate.clone(), stop.clone());
            Box::pin(async move {
                gate.pass(&stop, |turn| tasks::tell_recipients(courier.clone(), turn)).await;
            })
        });
        Ok(())
    }

    fn listen(&mut self, task: &'static str, source: WakeSource) -> Arc<Wake> {
        let wake = Arc::new(Wake::default());
        let (raised, pulse, stop) = (Arc::clone(&wake), self.pulse.clone(), self.working.clone());
        self.tasks.start(task, move || {
            Box::pin(tasks::listen(Arc::clone(&raised), pulse.clone(), source, stop.clone()))
        });
        wake
    }

    async fn mailer(&self) -> Result<Arc<Mailer>, StartError> {
        let Prepared { store, desk, controllers, .. } = self.prepared.clone();
        let settings = &self.settings.delivery;
        let transport = Transport::open(settings, &self.settings.data_dir).await?;
        let gateways = webhooks::text_gateways(&self.settings.organisations)?;
        let mailer = Mailer::new(settings.clone(), store, desk.keys, controllers, desk.clock, transport)?;
        Ok(Arc::new(mailer.with_gateways(gateways).checking_the_clock()))
    }
}
