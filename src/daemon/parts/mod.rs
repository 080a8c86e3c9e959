//! The parts of a running daemon: what all of them share, in which order they start and end, and the page. What the worker and the
//! scheduler start stands in a file each.

mod scheduler;
mod worker;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::foundation::Prepared;
use super::outside::{self, Gate, Heads};
use super::platforms::{FirstLook, first_look};
use super::tasks::{self, PresentInstance, Tasks};
use super::{Database, Part, StartError, halves, notify};
use crate::audit::{Publisher, SealError, Sealer};
use crate::config::Settings;
use crate::delivery::Handover;
use crate::domain::OrganisationId;
use crate::execution::Site;
use crate::http::{self, AppState};
use crate::identity::ProofPage;
use crate::queue::Rounds;
use crate::store::Store;
use crate::suppression::ledger::Ledger;
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
