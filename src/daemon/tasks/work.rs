//! Requests: taken in, worked on, answered; and the sign of life of who does it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::daemon::notify;
use crate::delivery::Mailer;
use crate::domain::{Controller, OrganisationId};
use crate::execution::{Executor, Worker};
use crate::intake::{self, Desk};
use crate::queue::{self, Instance, Rounds, Wake, WakeSource};
use crate::store::{Store, StoreError};

use super::{AFTER_FAILURE, PresentInstance, pause};

/// Claims and carries out requests. A process that others declared dead begins again as a new instance.
pub(in crate::daemon) async fn work(
    executor: Arc<Executor>,
    pulse: Store,
    wake: Arc<Wake>,
    present: PresentInstance,
    rounds: Rounds,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        match Worker::start(Arc::clone(&executor), pulse.clone()).await {
            Ok(worker) => {
                let worker = worker.watched_by(&rounds);
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

/// Gives back the jobs of a worker that did not end in time.
pub(in crate::daemon) async fn release(pulse: &Store, present: &PresentInstance) -> Result<(), StoreError> {
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
pub(in crate::daemon) async fn listen(
    wake: Arc<Wake>,
    store: Store,
    source: WakeSource,
    stop: CancellationToken,
) {
    tokio::select! {
        () = wake.listen(&store, source) => {}
        () = stop.cancelled() => {}
    }
}

/// Turns the rows of producers into requests.
pub(in crate::daemon) async fn take_intake(
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

/// Sends the notices that no procedure waits for, as an instance of its own: the worker may sign off while a mail is
/// still under way. A pump that others declared dead begins again as a new instance.
pub(in crate::daemon) async fn pump(
    mailer: Arc<Mailer>,
    pulse: Store,
    beat_every: Duration,
    stop: CancellationToken,
) {
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

/// Tells the service manager's watchdog that the runtime still turns and what must go round does, until it is dropped.
pub(in crate::daemon) async fn feed_watchdog(every: Duration, rounds: Rounds) {
    loop {
        match rounds.standing_still() {
            None => notify::tell(&NotifyState::Watchdog),
            Some(task) => tracing::error!(task, "a background task stands still: the watchdog is not fed"),
        }
        tokio::time::sleep(every.mul_f64(0.8)).await;
    }
}
