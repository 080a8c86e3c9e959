//! The parts of a running daemon.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::foundation::Prepared;
use super::outside::{self, Gate, Heads};
use super::platforms::{FirstLook, first_look};
use super::tasks::{self, PresentInstance, Tasks};
use super::{Database, Part, SharedBudget, StartError, halves, notify, webhooks};
use crate::alert::{Ward, Watch};
use crate::audit::{Publisher, SealError, Sealer};
use crate::config::{Organisation, Settings};
use crate::delivery::{Handover, Mailer, Transport};
use crate::domain::OrganisationId;
use crate::execution::{Executor, KillSwitch, PackageRules, Site};
use crate::http::{self, AppState};
use crate::identity::ProofPage;
use crate::queue::{Rounds, Wake, WakeSource};
use crate::recipients::Courier;
use crate::retention::Sweeper;
use crate::self_test::SelfTester;
use crate::store::Store;
use crate::suppression::ledger::Ledger;
use crate::upkeep::Upkeep;
use crate::{report, store};

/// How long the step in hand may take after the first signal.
const TO_FINISH: Duration = Duration::from_secs(7);

/// How long the last audit entries may take after that.
const TO_SEAL: Duration = Duration::from_secs(1);

/// Connections that the work cannot use up, for heartbeats.
const PULSE_CONNECTIONS: u32 = 2;

/// Those that listen for wake-ups of the intake and of jobs.
const LISTENERS: u32 = 2;

/// The most connections of a daemon beside its pool: those, that of the sealer and that of the publisher. The explanation of
/// `database.max_connections` names the number, for who limits a login role.
pub const CONNECTIONS_BESIDE_POOL: u32 = PULSE_CONNECTIONS + LISTENERS + 2;

/// However short the lease is, a heartbeat may take so many seconds.
const SHORTEST_BEAT_SECS: u32 = 5;

/// A platform that is slow must not keep the other organisations' requests waiting.
const FIRST_LOOK_PATIENCE: Duration = Duration::from_secs(30);

/// What this process does to the audit log, if it does anything.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) sealer: Option<Arc<Sealer>>,
    /// Without a sealer it compares only.
    pub(super) publisher: Option<Arc<Publisher>>,
}

/// How the parts ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// They were told to.
    Stopped,
    /// The log is another one than they worked with: what they know of the database is of no worth.
    Forsaken,
}

/// Everything that the parts share, and the tasks that they started.
pub(super) struct Parts {
    settings: Arc<Settings>,
    prepared: Prepared,
    log: Log,
    /// Before everything that seals, claims, mails, or destroys what an older database does not name.
    gate: Gate,
    sites: BTreeMap<OrganisationId, Site>,
    ledger: Arc<Ledger>,
    /// Connections that the work cannot use up.
    pulse: Store,
    present: PresentInstance,
    /// What must go round for the daemon to be ready.
    rounds: Rounds,
    /// Cancelled by the signal, or by a task that found a fault that a person must mend.
    ending: CancellationToken,
    /// Cancelled when the log turns out to be another one than they worked with.
    anew: CancellationToken,
    /// Cancelled with the end, and when the database turns out to be of a newer program: then all work ends, and only the page goes
    /// on, which tells so.
    working: CancellationToken,
    refused: Arc<Mutex<Option<StartError>>>,
    tasks: Tasks,
    /// Cancelled after the others have ended: the sealer numbers what they write while they end.
    last: CancellationToken,
    last_tasks: Tasks,
}

impl Parts {
    pub(super) fn new(
        settings: Arc<Settings>,
        database: &Database,
        prepared: Prepared,
        log: Log,
        sites: BTreeMap<OrganisationId, Site>,
        stop: &CancellationToken,
    ) -> Self {
        let ending = stop.child_token();
        let last = CancellationToken::new();
        let pulse_settings = pulse_settings(&settings);
        Self {
            pulse: Store::connect_lazily(database.options().clone(), &pulse_settings),
            ledger: Arc::new(Ledger::new(settings.ledger.directory.clone())),
            settings,
            prepared,
            log,
            gate: Gate::closed(),
            sites,
            present: PresentInstance::default(),
            rounds: Rounds::default(),
            tasks: Tasks::new(ending.clone()),
            working: ending.child_token(),
            ending,
            anew: CancellationToken::new(),
            refused: Arc::default(),
            last_tasks: Tasks::new(last.clone()),
            last,
        }
    }

    /// The same, whose rounds are watched among these.
    pub(super) fn watched_by(self, rounds: Rounds) -> Self {
        Self { rounds, ..self }
    }

    /// Runs the parts that are wanted, until the stop, or until the log is another one than they worked with.
    pub(super) async fn run(mut self, has: impl Fn(Part) -> bool) -> Result<Ended, StartError> {
        let started = self.start(&has).await;
        let mut ended = Ended::Stopped;
        if started.is_ok() {
            notify::tell(&NotifyState::Status("at work"));
            tracing::info!("ready");
            tokio::select! {
                () = self.ending.cancelled() => {}
                () = self.anew.cancelled() => {
                    // Its account would accuse the database of what an older copy never had.
                    self.prepared.writer.forsake();
                    ended = Ended::Forsaken;
                }
            }
        }
        self.ending.cancel();
        self.end().await;
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        started.and(refused.map_or(Ok(ended), Err))
    }

    async fn start(&mut self, has: &impl Fn(Part) -> bool) -> Result<(), StartError> {
        report::prepare_directory(&self.settings.report.directory)?;
        let Prepared { store, writer, desk, .. } = self.prepared.clone();
        let every = Duration::from_secs(self.settings.audit.account_secs.into());
        let stop = self.last.clone();
        let (anew, gate) = (self.anew.clone(), self.log.publisher.is_some().then(|| self.gate.clone()));
        self.last_tasks.start("audit account", move || {
            let (writer, store, clock) = (Arc::clone(&writer), store.clone(), Arc::clone(&desk.clock));
            let (anew, gate) = (anew.clone(), gate.clone());
            // While the gate is open, a sealer that saw the log go back must not forget it: it is closed where that was seen outside.
            let go_back = move || {
                if gate.as_ref().is_none_or(|gate| !gate.is_open()) {
                    anew.cancel();
                }
            };
            Box::pin(tasks::keep_account(writer, store, clock, every, go_back, stop.clone()))
        });
        if has(Part::Http) {
            self.start_http().await?;
        }
        if has(Part::Worker) || has(Part::Scheduler) {
            self.look_at_platforms().await?;
            self.start_filters();
            self.start_heads();
            self.start_ledger();
        }
        if has(Part::Worker) {
            self.start_worker().await?;
        }
        if has(Part::Scheduler) {
            self.start_scheduler();
            self.start_watch().await?;
        }
        Ok(())
    }

    async fn end(&mut self) {
        let finished = tokio::time::timeout(TO_FINISH, self.tasks.wait()).await;
        if finished.is_err() {
            // Breaks off what still runs; its steps are taken up again from their checkpoints.
            self.tasks = Tasks::new(self.ending.clone());
            if let Err(error) = tasks::release(&self.pulse, &self.present).await {
                tracing::warn!(%error, "leases could not be released; they run out instead");
            }
        }
        self.last.cancel();
        let sealed = tokio::time::timeout(TO_SEAL, async {
            self.last_tasks.wait().await;
            let Prepared { store, writer, desk, .. } = &self.prepared;
            if let Err(error) = writer.stop(store, &*desk.clock).await {
                tracing::warn!(%error, "the account of the audit entries was not closed; another process declares it ended");
            }
            if let Err(error) = halves::raise(store).await {
                tracing::debug!(%error, "the last moment of log and working tables was not noted");
            }
            if let Some(sealer) = &self.log.sealer {
                if self.gate.is_open() {
                    sealer.seal_everything().await?;
                    // What was sealed last is shown, too: nobody knows how long the service stands still. To the directory
                    // first: there is no time for a place that does not answer.
                    sealer.keep_checkpoint().await?;
                    if let Some(publisher) = &self.log.publisher {
                        let published = async {
                            publisher.publish_near().await?;
                            publisher.round().await
                        };
                        if let Err(error) = published.await {
                            tracing::warn!(%error, "the last head of the audit log was not published");
                        }
                    }
                }
                sealer.close().await;
            }
            if let Some(publisher) = &self.log.publisher {
                publisher.close().await;
            }
            Ok::<_, SealError>(())
        });
        if !matches!(sealed.await, Ok(Ok(()))) {
            tracing::debug!("the last audit entries are sealed by the next daemon");
        }
        if tokio::time::timeout(TO_SEAL, self.pulse.close()).await.is_err() {
            tracing::debug!("a connection for heartbeats was still busy");
        }
    }

    /// Looks at all platforms before any work begins, and goes on looking at those that did not answer.
    async fn look_at_platforms(&mut self) -> Result<(), StartError> {
        let looks = self.sites.values().cloned().map(|site| {
            let Prepared { store, desk, .. } = self.prepared.clone();
            let stop = self.working.clone();
            async move {
                let look = tokio::select! {
                    looked = tokio::time::timeout(FIRST_LOOK_PATIENCE, first_look(&site, &store, &desk)) => {
                        looked.unwrap_or(FirstLook::Later)
                    }
                    () = stop.cancelled() => FirstLook::Later,
                };
                (site, look)
            }
        });
        let looks: Vec<_> = looks.collect();
        let mut waiting = Vec::new();
        for (site, look) in futures_util::future::join_all(looks).await {
            match look {
                FirstLook::Done => {}
                FirstLook::Later => waiting.push(site),
                FirstLook::Other(error) => return Err(error),
            }
        }
        if waiting.is_empty() {
            return Ok(());
        }
        let (store, desk) = (self.prepared.store.clone(), self.prepared.desk.clone());
        let (refused, ending) = (Arc::clone(&self.refused), self.ending.clone());
        let stop = self.working.clone();
        self.tasks.start("platforms", move || {
            let (tools, refusing) = ((store.clone(), desk.clone()), (Arc::clone(&refused), ending.clone()));
            Box::pin(tasks::look_again(waiting.clone(), tools, refusing, stop.clone()))
        });
        Ok(())
    }

    /// Records which filters the platforms begin to ignore.
    fn start_filters(&mut self) {
        for site in self.sites.values() {
            let Prepared { store, desk, .. } = self.prepared.clone();
            let (site, stop) = (site.clone(), self.working.clone());
            self.tasks.start("platform filters", move || {
                Box::pin(tasks::watch_filters(site.clone(), store.clone(), desk.clone(), stop.clone()))
            });
        }
    }

    /// Compares the log with what was published of it, which opens the gate.
    fn start_heads(&mut self) {
        let Some(publisher) = self.log.publisher.clone() else { return };
        let heads = if self.log.sealer.is_some() { Heads::Published } else { Heads::Compared };
        let (store, gate, stop) = (self.prepared.store.clone(), self.gate.clone(), self.last.clone());
        let ends = (self.anew.clone(), self.working.clone());
        self.last_tasks.start("audit heads", move || {
            let (publisher, store) = (Arc::clone(&publisher), store.clone());
            Box::pin(outside::publish(publisher, heads, store, gate.clone(), ends.clone(), stop.clone()))
        });
    }

    /// Looks after the files of the ledger on this host, whatever its part is: another host has files of its own.
    fn start_ledger(&mut self) {
        let Prepared { store, desk, .. } = self.prepared.clone();
        let (ledger, organisations) =
            (Arc::clone(&self.ledger), self.sites.keys().cloned().collect::<Vec<_>>());
        let (told, stop) = (store.clone(), self.working.clone());
        self.tasks.start("holds in the ledger", move || {
            let (ledger, store) = (Arc::clone(&ledger), told.clone());
            Box::pin(tasks::append_holds(ledger, store, organisations.clone(), stop.clone()))
        });
        let (ledger, clock) = (Arc::clone(&self.ledger), Arc::clone(&desk.clock));
        let (keep_days, stop) = (self.settings.ledger.keep_days, self.working.clone());
        let gate = self.gate.clone();
        self.tasks.start("ledger", move || {
            let (ledger, store, clock) = (Arc::clone(&ledger), store.clone(), Arc::clone(&clock));
            let (gate, stop) = (gate.clone(), stop.clone());
            Box::pin(async move {
                let purge = |turn| {
                    let (ledger, store, clock) = (Arc::clone(&ledger), store.clone(), Arc::clone(&clock));
                    tasks::purge_ledger(ledger, store, clock, keep_days, turn)
                };
                gate.pass(&stop, purge).await;
            })
        });
    }

    async fn start_worker(&mut self) -> Result<(), StartError> {
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

    fn start_scheduler(&mut self) {
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
    async fn start_watch(&mut self) -> Result<(), StartError> {
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

    async fn start_http(&mut self) -> Result<(), StartError> {
        let Some(address) = self.settings.http.listen else { return Ok(()) };
        let Prepared { store, desk, controllers, .. } = self.prepared.clone();
        let delivery = &self.settings.delivery;
        let directory = self.settings.report.directory.clone();
        let proofs = ProofPage::new(store.clone(), desk.clone(), controllers.clone());
        let handover = Handover::new(delivery, store.clone(), desk.keys, controllers, desk.clock, directory);
        let behind_tls = delivery.link_base_url.starts_with("https://");
        let rounds = self.rounds.clone();
        let router = http::router(AppState { handover, proofs, store, rounds, behind_tls });
        // Bound before anything starts, so that a failure ends the start; bound anew if the task breaks down.
        let bound = Arc::new(tokio::sync::Mutex::new(Some(http::bind(address).await?)));
        tracing::info!(%address, "the hand-over page is served");
        let (settings, stop) = (self.settings.http.clone(), self.ending.clone());
        self.tasks.start("hand-over page", move || {
            let (router, settings, stop) = (router.clone(), settings.clone(), stop.clone());
            let bound = Arc::clone(&bound);
            Box::pin(async move {
                let listener = match bound.lock().await.take() {
                    Some(listener) => Ok(listener),
                    None => http::bind(address).await,
                };
                match listener {
                    Ok(listener) => http::serve(listener, router, &settings, stop).await,
                    Err(error) => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the hand-over page cannot be served"
                        );
                    }
                }
            })
        });
        Ok(())
    }
}

/// The settings of the pool for heartbeats. One that gets no answer is broken off so early that the next one, over another
/// connection, comes before the lease has run out.
fn pulse_settings(settings: &Settings) -> store::Settings {
    let third_of_lease = u32::try_from(settings.queue.lease_secs / 3).unwrap_or(u32::MAX);
    let statement_timeout_secs =
        settings.database.statement_timeout_secs.min(third_of_lease.max(SHORTEST_BEAT_SECS));
    store::Settings {
        max_connections: PULSE_CONNECTIONS,
        statement_timeout_secs,
        ..settings.database.clone()
    }
}
