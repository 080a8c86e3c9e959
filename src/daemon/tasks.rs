//! What goes on in the background. Each task runs until it is told to stop, and survives whatever fails in between.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use sd_notify::NotifyState;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::platforms::{FirstLook, first_look};
use super::{StartError, halves, load_log_keys, notify};
use crate::alert::{self, Turn, Watch};
use crate::audit::{self, Actor, SealError, Sealer, Writer, WriterTurn};
use crate::config::Settings;
use crate::delivery::{self, Mailer};
use crate::domain::{Clock, Controller, OrganisationId, random};
use crate::execution::{self, Executor, Gate, LookedAgain, Lookout, Site, Worker};
use crate::holds;
use crate::intake::{self, Desk};
use crate::platform::PlatformError;
use crate::queue::{self, Instance, Wake, WakeSource};
use crate::recipients::Courier;
use crate::retention::{SweepReport, Sweeper};
use crate::store::{Store, StoreError};
use crate::suppression::ledger::{self, CompareError, Ledger};
use crate::suppression::watch::Settings as WatchSettings;
use crate::upkeep::Upkeep;

/// How long a task that failed waits before it tries again.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs tasks and starts anew those that panic.
#[derive(Debug)]
pub(super) struct Tasks {
    set: JoinSet<()>,
    stop: CancellationToken,
}

impl Tasks {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { set: JoinSet::new(), stop }
    }

    /// Starts a task. `make` is called again when it panicked; the panic hook has told where.
    pub(super) fn start(&mut self, task: &'static str, make: impl Fn() -> Running + Send + 'static) {
        let stop = self.stop.clone();
        self.set.spawn(async move {
            while !stop.is_cancelled() {
                match AbortOnDropHandle::new(tokio::spawn(make())).await {
                    Err(error) if error.is_panic() => {
                        tracing::error!(task, "a background task broke down and is started again");
                        pause(&stop, AFTER_FAILURE).await;
                    }
                    _ => return,
                }
            }
        });
    }

    /// Waits until all tasks have ended.
    pub(super) async fn wait(&mut self) {
        while self.set.join_next().await.is_some() {}
    }
}

/// Waits, but not longer than until the stop; the time is varied a little, so that daemons that lost the same database
/// do not come back in the same moment.
pub(super) async fn pause(stop: &CancellationToken, time: Duration) {
    tokio::select! {
        () = tokio::time::sleep(time.mul_f64(0.8 + random::fraction() * 0.4)) => {}
        () = stop.cancelled() => {}
    }
}

/// Which instance claims at the moment, so that its jobs can be released when it is broken off.
pub(super) type PresentInstance = Arc<Mutex<Option<Instance>>>;

/// Claims and carries out requests. A process that others declared dead begins again as a new instance.
pub(super) async fn work(
    executor: Arc<Executor>,
    pulse: Store,
    wake: Arc<Wake>,
    present: PresentInstance,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        match Worker::start(Arc::clone(&executor), pulse.clone()).await {
            Ok(worker) => {
                let instance = worker.instance();
                *present.lock().unwrap_or_else(PoisonError::into_inner) = Some(instance);
                tracing::info!(instance = instance.0, "the worker takes requests");
                worker.run(&wake, &stop).await;
                *present.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            Err(error) => {
                tracing::warn!(%error, "the worker could not be registered; tried again");
                pause(&stop, AFTER_FAILURE).await;
            }
        }
    }
}

/// Looks whether the audit entries that this process writes are sealed, and accounts for them.
pub(super) async fn keep_account(
    writer: Arc<Writer>,
    store: Store,
    clock: Arc<dyn Clock>,
    every: Duration,
    stop: CancellationToken,
) {
    const LOOK_EVERY: Duration = Duration::from_secs(1);
    let mut accounted_at: Option<tokio::time::Instant> = None;
    let mut raised_at = 0;
    while !stop.is_cancelled() {
        let is_due = accounted_at.is_none_or(|at| at.elapsed() >= every);
        match writer.turn(&store, &*clock, is_due).await {
            Ok(turn) => {
                tell_of(&writer, &turn);
                if is_due {
                    accounted_at = Some(tokio::time::Instant::now());
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the audit entries of this process could not be looked after");
            }
        }
        let drawn = writer.drawn();
        if drawn != raised_at {
            match halves::raise(&store).await {
                Ok(()) => raised_at = drawn,
                Err(error) => {
                    tracing::warn!(%error, "it could not be noted how far log and working tables have come together");
                }
            }
        }
        pause(&stop, LOOK_EVERY).await;
    }
}

fn tell_of(writer: &Writer, turn: &WriterTurn) {
    let writer = writer.name();
    if !turn.late.is_empty() {
        let count = turn.late.len();
        tracing::error!(
            writer,
            count,
            "audit entries were not sealed in time; does a worker run, and does it seal?"
        );
    }
    if !turn.lost.is_empty() {
        tracing::error!(
            writer,
            count = turn.lost.len(),
            remedy = "dsrd audit verify",
            "audit entries that were committed are not in the log, or others stand there: somebody changed the inbox"
        );
    }
    for writer in &turn.ended {
        tracing::warn!(writer, "a process that wrote audit entries ended without closing its account");
    }
}

/// Compares the ledger outside with the database before the first request is taken: what a restore has lost must not be
/// done a second time by itself.
pub(super) async fn compare_ledger(executor: &Executor, stop: &CancellationToken) {
    for organisation in executor.sites.keys() {
        while !stop.is_cancelled() {
            match executor.ledger.compare(&executor.store, organisation).await {
                Ok(0) => break,
                Ok(lost) => {
                    tracing::warn!(
                        %organisation,
                        count = lost,
                        remedy = "dsrd ledger replay",
                        "the database was restored: the ledger knows of things done that the database has lost; none is repeated by itself"
                    );
                    break;
                }
                Err(error) => {
                    tracing::error!(
                        %organisation,
                        error = &error as &dyn std::error::Error,
                        "the ledger cannot be compared with the database; no request is taken until it can"
                    );
                    pause(stop, AFTER_FAILURE).await;
                }
            }
        }
    }
}

/// Deletes what is older than the oldest backup, in the files of the ledger and in its table.
pub(super) async fn purge_ledger(
    ledger: Arc<Ledger>,
    store: Store,
    clock: Arc<dyn Clock>,
    organisations: Vec<OrganisationId>,
    keep_days: u32,
    stop: CancellationToken,
) {
    const EVERY: Duration = Duration::from_hours(1);
    while !stop.is_cancelled() {
        let before = clock.now() - TimeDelta::days(keep_days.into());
        let purged = async {
            let mut connection = store.connection().await?;
            let mut rows = 0;
            for organisation in &organisations {
                rows += ledger::purge(&mut connection, organisation, before).await?;
            }
            Ok::<_, CompareError>(rows + ledger.purge_files(before).await?)
        };
        match purged.await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "old months of the ledger were deleted"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "old months of the ledger could not be deleted; tried again"
            ),
        }
        pause(&stop, EVERY).await;
    }
}

/// Gives back the jobs of a worker that did not end in time.
pub(super) async fn release(pulse: &Store, present: &PresentInstance) -> Result<(), StoreError> {
    let instance = *present.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(instance) = instance {
        let mut connection = pulse.connection().await?;
        let released = queue::release_all(&mut connection, instance, &[]).await?;
        instance.retire(&mut connection).await?;
        tracing::warn!(
            count = released,
            "steps that did not end in time were broken off; their requests are taken up again"
        );
    }
    Ok(())
}

/// Turns notifications of the database into wake-ups.
pub(super) async fn listen(wake: Arc<Wake>, pulse: Store, source: WakeSource, stop: CancellationToken) {
    tokio::select! {
        () = wake.listen(pulse.pool(), source) => {}
        () = stop.cancelled() => {}
    }
}

/// Turns the rows of producers into requests.
pub(super) async fn take_intake(
    store: Store,
    desk: Desk,
    controllers: BTreeMap<OrganisationId, Arc<Controller>>,
    wake: Arc<Wake>,
    poll: Duration,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        match intake::take_producer_rows(&store, &desk, &controllers).await {
            Ok(taken) if taken == intake::Taken::default() => {}
            Ok(taken) => {
                tracing::info!(count = taken.accepted, "requests of producers were accepted");
            }
            Err(error) => {
                tracing::warn!(%error, "rows of producers could not be taken; tried again");
                pause(&stop, AFTER_FAILURE).await;
            }
        }
        tokio::select! {
            () = wake.wait(poll) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Seals audit entries. It goes on until after the stop, because what ends last is recorded last.
pub(super) async fn seal(sealer: Arc<Sealer>, settings: Arc<Settings>, stop: CancellationToken) {
    let every = Duration::from_secs_f64(settings.audit.seal_secs);
    while !stop.is_cancelled() {
        match sealer.turn().await {
            Ok(turn) if turn.entries >= audit::MOST_AT_ONCE.into() => {}
            Ok(_) => pause(&stop, every).await,
            Err(SealError::Overtaken) => {}
            Err(error) => {
                if error.is_transient() {
                    tracing::warn!(%error, "audit entries could not be sealed; tried again");
                } else {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "audit entries cannot be sealed; they wait in the inbox"
                    );
                }
                // `dsrd audit key rotate` has put another key into the file, perhaps.
                if let (SealError::KeyOther { .. }, Ok(keys)) = (&error, load_log_keys(&settings)) {
                    sealer.take_keys(keys);
                }
                pause(&stop, AFTER_FAILURE).await;
            }
        }
    }
}

/// Sends the notices that no procedure waits for, as an instance of its own: the worker may sign off while a mail is
/// still under way. A pump that others declared dead begins again as a new instance.
pub(super) async fn pump(mailer: Arc<Mailer>, pulse: Store, beat_every: Duration, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let instance = match register(&pulse).await {
            Ok(instance) => instance,
            Err(error) => {
                tracing::warn!(%error, "the sending of notices could not be registered; tried again");
                pause(&stop, AFTER_FAILURE).await;
                continue;
            }
        };
        let ending = stop.child_token();
        let pumping = pump_as(&mailer, instance, &ending);
        tokio::pin!(pumping);
        tokio::select! {
            () = &mut pumping => {}
            () = beat(&pulse, instance, beat_every) => {
                tracing::warn!("the sending of notices was declared dead by another process; it starts anew");
                ending.cancel();
                pumping.await;
            }
        }
        let retired = async { instance.retire(&mut *pulse.connection().await?).await };
        if let Err(error) = retired.await {
            tracing::debug!(%error, "the sending of notices could not sign off");
        }
    }
}

/// Tells recipients of personal data what became of it.
pub(super) async fn tell_recipients(courier: Courier, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_secs(5);
    while !stop.is_cancelled() {
        match courier.pump_once().await {
            Ok(0) => pause(&stop, EVERY).await,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "recipients could not be told; tried again"
                );
                pause(&stop, AFTER_FAILURE).await;
            }
        }
    }
}

async fn register(pulse: &Store) -> Result<Instance, StoreError> {
    Instance::register(&mut *pulse.connection().await?).await
}

/// Shows that an instance lives, until it is declared dead.
async fn beat(pulse: &Store, instance: Instance, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let alive = async { instance.beat(&mut *pulse.connection().await?).await };
        match alive.await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, "a heartbeat failed"),
        }
    }
}

async fn pump_as(mailer: &Mailer, instance: Instance, stop: &CancellationToken) {
    const EVERY: Duration = Duration::from_secs(2);
    while !stop.is_cancelled() {
        match mailer.pump_as(instance).await {
            Ok(0) => pause(stop, EVERY).await,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "notices could not be sent; tried again"
                );
                pause(stop, AFTER_FAILURE).await;
            }
        }
    }
}

/// Lets extensions count whose notice was taken by the mail server in time.
pub(super) async fn settle_extensions(
    store: Store,
    desk: Desk,
    controllers: BTreeMap<OrganisationId, Arc<Controller>>,
    stop: CancellationToken,
) {
    const EVERY: Duration = Duration::from_secs(5);
    const ALARM_EVERY: Duration = Duration::from_hours(1);
    let mut asked = std::time::Instant::now();
    alarm_incidents(&store, &desk, &controllers).await;
    while !stop.is_cancelled() {
        if asked.elapsed() >= ALARM_EVERY {
            asked = std::time::Instant::now();
            alarm_incidents(&store, &desk, &controllers).await;
        }
        match intake::settle_extensions(&store, &desk, &controllers).await {
            Ok(_) => pause(&stop, EVERY).await,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "extensions could not be looked at; tried again"
                );
                pause(&stop, AFTER_FAILURE).await;
            }
        }
    }
}

/// Says in the log which incidents are open, and how long there is to tell the authority.
async fn alarm_incidents(
    store: &Store,
    desk: &Desk,
    controllers: &BTreeMap<OrganisationId, Arc<Controller>>,
) {
    let now = desk.clock.now();
    for organisation in controllers.keys() {
        let open =
            async { crate::triage::list_incidents(&mut *store.connection().await?, organisation).await };
        match open.await {
            Ok(open) => {
                for incident in open {
                    let hours_left = incident.authority_due_at.map(|due_at| (due_at - now).num_hours());
                    tracing::error!(%organisation, reference = incident.reference, hours_left, "an incident is open; tell the authority or end it");
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "incidents could not be looked at");
            }
        }
    }
}

/// Runs the retention sweeps of one organisation when they are due, once its platform was checked.
pub(super) async fn sweep_when_due(sweeper: Sweeper, gate: Gate, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_mins(1);
    while !stop.is_cancelled() {
        if !gate.is_open() {
            pause(&stop, EVERY).await;
            continue;
        }
        let organisation = &sweeper.controller.id;
        match sweeper.run_due().await {
            Ok(turn) => {
                for report in turn.continued.iter().chain(&turn.ran) {
                    tell(organisation, report);
                }
            }
            Err(error) => {
                tracing::warn!(%organisation, error = &error as &dyn std::error::Error, "the retention sweep did not come to an end; it goes on when it is next looked at");
            }
        }
        pause(&stop, EVERY).await;
    }
}

/// Ends holds in time, reminds of their reviews, and hands in what waited for them.
pub(super) async fn keep_holds(
    store: Store,
    desk: Desk,
    controller: Arc<Controller>,
    settings: holds::Settings,
    stop: CancellationToken,
) {
    const EVERY: Duration = Duration::from_mins(1);
    while !stop.is_cancelled() {
        let organisation = &controller.id;
        if settings.restrict_objections
            && let Err(error) = holds::restrict_objections(&store, &controller, desk.clock.as_ref()).await
        {
            tracing::warn!(%organisation, %error, "objections could not be followed by restrictions; tried again");
        }
        let kept = holds::keep_in_order(&store, &controller, desk.clock.as_ref(), settings.remind_days).await;
        if let Err(error) = kept {
            tracing::warn!(%organisation, %error, "the holds could not be kept in order; tried again");
        }
        if let Err(error) = execution::resume_postponed(&store, &desk, &controller).await {
            tracing::warn!(%organisation, error = &error as &dyn std::error::Error, "erasures that a hold had postponed could not be handed in; tried again");
        }
        pause(&stop, EVERY).await;
    }
}

/// Looks again at what was erased or opted out, when it is due.
pub(super) async fn look_whether_it_lasts(
    site: Site,
    store: Store,
    desk: Desk,
    settings: WatchSettings,
    stop: CancellationToken,
) {
    const EVERY: Duration = Duration::from_mins(1);
    while !stop.is_cancelled() {
        if site.gate.is_open() {
            let lookout = Lookout { store: &store, desk: &desk, site: &site, settings: &settings };
            let organisation = &site.controller.id;
            match execution::look_again(lookout, || stop.is_cancelled()).await {
                Ok(done) if done == LookedAgain::default() => {}
                Ok(LookedAgain { looked, .. }) => {
                    tracing::info!(%organisation, count = looked, "what was erased or opted out was looked at again; see dsrd suppression watch");
                }
                Err(error) => {
                    tracing::warn!(%organisation, error = &error as &dyn std::error::Error, "what was erased or opted out could not be looked at; tried again");
                }
            }
        }
        pause(&stop, EVERY).await;
    }
}

fn tell(organisation: &OrganisationId, report: &SweepReport) {
    let reason = report.reason.map(|reason| reason.to_string());
    let (sweep, state) = (report.sweep_id, report.state);
    if let Some(reason) = reason {
        tracing::warn!(%organisation, %sweep, %state, reason, candidates = report.candidates, "a retention sweep did not submit its erasures");
    } else {
        tracing::info!(%organisation, %sweep, %state, candidates = report.candidates, count = report.submitted, "a retention sweep ended");
    }
}

/// Destroys packages at their expiry and deletes what no package names.
pub(super) async fn expire_packages(store: Store, desk: Desk, directory: PathBuf, stop: CancellationToken) {
    // What a killed daemon left is found at once, or as soon as its lease has run out.
    const FIRST_WAIT: Duration = Duration::from_mins(1);
    const LONGEST_WAIT: Duration = Duration::from_mins(10);
    // For files whose name does not tell who is writing them.
    const LEFTOVER_AFTER: TimeDelta = TimeDelta::hours(6);
    let mut wait = FIRST_WAIT;
    while !stop.is_cancelled() {
        let now = desk.clock.now();
        let expired = async {
            let destroyed = delivery::destroy_expired(&store, &directory, now).await?;
            let leftovers = delivery::remove_leftovers(&store, &directory, now - LEFTOVER_AFTER).await?;
            Ok::<_, delivery::DeliveryError>((destroyed, leftovers))
        };
        match expired.await {
            Ok((0, 0)) => {}
            Ok((destroyed, leftovers)) => {
                tracing::info!(count = destroyed, "expired packages were destroyed");
                if leftovers > 0 {
                    tracing::info!(count = leftovers, "files that belong to no package were deleted");
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "expired packages could not be destroyed in full; tried again"
                );
            }
        }
        pause(&stop, wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Looks for what staff must know, raises alerts, writes the daily digest, and mails both.
pub(super) async fn watch(watch: Watch, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_mins(1);
    while !stop.is_cancelled() {
        let round = async {
            let turn = watch.turn().await?;
            watch.send_due().await?;
            Ok::<_, StoreError>(turn)
        };
        match round.await {
            Ok(turn) => {
                if turn != Turn::default() {
                    let count = turn.alerts + turn.digests;
                    tracing::info!(count, "staff is told of alerts and digests; see dsrd alert list");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "staff could not be told; tried again");
            }
        }
        pause(&stop, EVERY).await;
    }
}

/// Looks whether the platform of an organisation answers, so that an outage is told of also when nobody asks anything.
pub(super) async fn look_at_platform(site: Site, store: Store, desk: Desk, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_mins(15);
    // At start everything was asked anyway.
    pause(&stop, EVERY).await;
    while !stop.is_cancelled() {
        // Only that it answers counts: what a wrong key means is for the first look to say.
        let answers = !matches!(
            site.platform.check_organisation().await,
            Err(PlatformError::Unavailable { .. } | PlatformError::AnswerLost { .. })
        );
        let noted = async {
            let mut connection = store.connection().await?;
            alert::note_platform(&mut connection, &site.controller.id, answers, desk.clock.now()).await
        };
        if let Err(error) = noted.await {
            tracing::debug!(%error, "whether the platform answers could not be noted");
        }
        pause(&stop, EVERY).await;
    }
}

/// Forgets the service's own copies that are past their term.
pub(super) async fn forget(upkeep: Upkeep, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_hours(1);
    while !stop.is_cancelled() {
        match upkeep.run(&Actor::Process("upkeep")).await {
            Ok(forgotten) if forgotten.is_nothing() => {}
            // The audit log has the numbers.
            Ok(_) => tracing::info!("copies past their term were forgotten"),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "copies past their term could not be forgotten in full; tried again"
                );
            }
        }
        pause(&stop, EVERY).await;
    }
}

/// Looks at platforms that did not answer at start, until each has. A key of another organisation ends the daemon.
pub(super) async fn look_again(
    waiting: Vec<Site>,
    store: Store,
    desk: Desk,
    refused: Arc<Mutex<Option<StartError>>>,
    stop: CancellationToken,
) {
    // Its organisations stand still until then, so that the first looks follow each other soon.
    const FIRST_WAIT: Duration = Duration::from_secs(2);
    const LONGEST_WAIT: Duration = Duration::from_mins(1);
    let mut wait = FIRST_WAIT;
    let mut waiting = waiting;
    while !waiting.is_empty() {
        pause(&stop, wait).await;
        if stop.is_cancelled() {
            return;
        }
        wait = (wait * 2).min(LONGEST_WAIT);
        let mut still = Vec::new();
        for site in waiting {
            match first_look(&site, &store, &desk).await {
                FirstLook::Done => {
                    tracing::info!(organisation = %site.controller.id, "the platform answers and was checked");
                }
                FirstLook::Later => still.push(site),
                FirstLook::Other(error) => {
                    *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    stop.cancel();
                    return;
                }
            }
        }
        waiting = still;
    }
}

/// Tells the service manager's watchdog that the runtime still turns.
pub(super) async fn feed_watchdog(every: Duration, stop: CancellationToken) {
    while !stop.is_cancelled() {
        notify::tell(&NotifyState::Watchdog);
        pause(&stop, every.mul_f64(0.8)).await;
    }
}
