//! The running daemon: from its database to its end.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::foundation::{Opener, Prepared};
use super::outside::open_comparer;
use super::parts::{Ended, Log, Parts};
use super::{
    Database, Foundation, StartError, Stop, check_platform_settings, find_stranded, notify, open_publisher,
    open_sealer, sites, tasks,
};
use crate::audit::{Publisher, Sealer};
use crate::config::{Loaded, Settings, Sources};
use crate::delivery::Transport;
use crate::domain::SystemClock;
use crate::queue::Rounds;
use crate::store::Store;

/// One part of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Takes producers' rows, carries out requests, sends notices, numbers the audit log.
    Worker,
    /// Runs retention sweeps when they are due, and destroys packages at their expiry.
    Scheduler,
    /// Serves the hand-over page.
    Http,
}

impl Part {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Scheduler => "scheduler",
            Self::Http => "http",
        }
    }
}

/// How long saying good-bye may take.
const TO_LEAVE: Duration = Duration::from_secs(1);

/// The daemon.
#[derive(Debug)]
pub struct Service {
    settings: Arc<Settings>,
    sources: Sources,
    only: Option<Part>,
}

impl Service {
    /// A daemon of all parts, or of one.
    #[must_use]
    pub fn new(loaded: &Loaded, sources: Sources, only: Option<Part>) -> Self {
        Self { settings: Arc::new(loaded.settings.clone()), sources, only }
    }

    fn has(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    /// Runs until `stop`.
    ///
    /// # Errors
    /// A fault that a person must mend; faults of database and platform that may pass are waited out.
    pub async fn run(&self, stop: Stop) -> Result<(), StartError> {
        check_platform_settings(&self.settings.organisations)?;
        Transport::open(&self.settings.delivery, &self.settings.data_dir).await?;
        let role = self.only.map_or("all", Part::as_str);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), role, "dsrd starts");
        let database = tokio::select! {
            opened = Database::open_to_serve(&self.settings, &self.sources) => opened?,
            () = stop.soft.cancelled() => return Ok(()),
        };
        let ended = tokio::select! {
            ended = self.run_with(&database, &stop.soft) => ended,
            () = stop.hard.cancelled() => {
                tracing::warn!("ended at once; what was in hand is taken up again after its lease");
                return Ok(());
            }
        };
        notify::tell(&NotifyState::Stopping);
        database.close().await;
        tracing::info!("dsrd has stopped");
        ended
    }

    async fn run_with(&self, database: &Database, stop: &CancellationToken) -> Result<(), StartError> {
        // Ready means that the configuration is good and the service looks after itself from here: a service manager
        // that waited for the database would end it and start it again, for as long as the database is away.
        notify::tell(&NotifyState::Ready);
        notify::tell(&NotifyState::Status("waits for the database"));
        // From here on the service manager's watchdog listens, also while the database is away or being migrated: a loop that
        // meets a fault turns all the same.
        let rounds = Rounds::default();
        let _fed = notify::watchdog_interval()
            .map(|every| AbortOnDropHandle::new(tokio::spawn(tasks::feed_watchdog(every, rounds.clone()))));
        let mut former = None;
        loop {
            let Some((prepared, sealer)) = self.prepare(database, stop).await? else { return Ok(()) };
            match self.work(database, prepared, sealer, &rounds, &mut former, stop).await? {
                Ended::Stopped => return Ok(()),
                Ended::Forsaken => tracing::warn!(
                    "the database is another copy than this process worked with; it begins anew with what the database holds now"
                ),
            }
            notify::tell(&NotifyState::Status("waits for the database"));
        }
    }

    /// Runs the parts over a database that is fit for work. `former` is the publisher of the time before, where they begin anew.
    async fn work(
        &self,
        database: &Database,
        prepared: Prepared,
        sealer: Option<Arc<Sealer>>,
        rounds: &Rounds,
        former: &mut Option<Arc<Publisher>>,
        stop: &CancellationToken,
    ) -> Result<Ended, StartError> {
        let store = prepared.store.clone();
        if self.has(Part::Worker) {
            self.tell_stranded(&store).await;
        }
        let organisations = &self.settings.organisations;
        let sites = sites(organisations, &prepared.controllers, &store, &prepared.desk)?;
        let clock = Arc::clone(&prepared.desk.clock);
        let publisher = if sealer.is_some() {
            Some(open_publisher(&self.settings, database, clock).await?)
        } else if self.has(Part::Scheduler) {
            Some(open_comparer(&self.settings, database, clock)?)
        } else {
            None
        };
        let publisher = publisher.map(|publisher| match former {
            Some(former) => Arc::new(publisher.remembering(former)),
            None => Arc::new(publisher),
        });
        former.clone_from(&publisher);
        let log = Log { sealer, publisher };
        let parts = Parts::new(Arc::clone(&self.settings), database, prepared, log, sites.clone(), stop)
            .watched_by(rounds.clone());
        let ended = parts.run(|part| self.has(part)).await;
        for site in sites.values() {
            // An open session at the platform ends by itself; it is only polite to end it.
            let ended = tokio::time::timeout(TO_LEAVE, site.platform.log_out()).await;
            tracing::debug!(organisation = %site.controller.id, outcome = ended.is_ok(), "left the platform");
        }
        if tokio::time::timeout(TO_LEAVE, store.close()).await.is_err() {
            tracing::debug!("a connection to the database was still busy");
        }
        ended
    }

    /// Says what waits for organisations that are not configured: nothing here will ever take it up.
    async fn tell_stranded(&self, store: &Store) {
        let configured: Vec<String> =
            self.settings.organisations.iter().map(|each| each.id.to_string()).collect();
        let found = async { find_stranded(&mut *store.connection().await?, &configured).await };
        match found.await {
            Ok(found) => {
                for each in found {
                    let organisation =
                        each.organisation.map_or_else(|| "(not a name)".to_owned(), |id| id.to_string());
                    let (open_requests, intake_rows) = (each.open_requests, each.intake_rows);
                    tracing::warn!(
                        organisation,
                        open_requests,
                        intake_rows,
                        "requests wait for an organisation that is not configured here; configure it, or run the daemon that has it"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(%error, "it could not be counted what waits for organisations that are not configured");
            }
        }
    }

    /// The database, and the sealer of its audit log where this process seals.
    async fn prepare_once(&self, database: &Database) -> Result<(Prepared, Option<Arc<Sealer>>), StartError> {
        let works = self.has(Part::Worker) || self.has(Part::Scheduler);
        let opener = if works { Opener::Work } else { Opener::Page };
        let prepared = Foundation::prepare(&self.settings, database, opener, Arc::new(SystemClock)).await?;
        if !self.has(Part::Worker) {
            return Ok((prepared, None));
        }
        match open_sealer(&self.settings, database, Arc::new(SystemClock)).await {
            Ok(sealer) => Ok((prepared, Some(Arc::new(sealer)))),
            Err(error) => {
                prepared.store.close().await;
                Err(error)
            }
        }
    }

    /// Waits until the database is there and fit for work; `None` when told to stop before.
    async fn prepare(
        &self,
        database: &Database,
        stop: &CancellationToken,
    ) -> Result<Option<(Prepared, Option<Arc<Sealer>>)>, StartError> {
        const FIRST_WAIT: Duration = Duration::from_secs(1);
        const LONGEST_WAIT: Duration = Duration::from_secs(15);
        const TELL_EVERY: Duration = Duration::from_mins(1);
        let mut wait = FIRST_WAIT;
        let mut told_at: Option<tokio::time::Instant> = None;
        loop {
            let prepared = tokio::select! {
                prepared = self.prepare_once(database) => prepared,
                () = stop.cancelled() => return Ok(None),
            };
            match prepared {
                Ok(prepared) => return Ok(Some(prepared)),
                Err(error) if error.is_transient() => {
                    if told_at.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                        told_at = Some(tokio::time::Instant::now());
                        tracing::warn!(%error, "not ready: the database cannot be used yet; tried again until it can");
                    }
                }
                Err(error) => return Err(error),
            }
            tasks::pause(stop, wait).await;
            if stop.is_cancelled() {
                return Ok(None);
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}
