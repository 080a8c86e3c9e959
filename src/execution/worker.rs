//! Workers: claim, run, survive.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Executor;
use super::stop::Ended;
use crate::delivery;
use crate::domain::RequestId;
use crate::queue::{self, Heart, Instance, Lane, Lease, PutBack, Rounds, Wake};
use crate::store::{Store, StoreError};

/// So many runs of a request in a row that the database failed wait no longer than one.
const SHORT_WAITS: u32 = 5;

/// How long a request waits at the most that the database fails again and again.
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// A worker process: some slots for requests of people, some for erasures of sweeps, and one heartbeat.
#[derive(Debug)]
pub struct Worker {
    executor: Arc<Executor>,
    /// A connection of its own for heartbeats, so that a busy pool never looks like a dead process.
    pulse: Store,
    instance: Instance,
    heart: Arc<Heart>,
    /// Where the heartbeats are watched.
    rounds: Rounds,
    /// How many runs in a row the database failed, by request: nothing of them is written anywhere.
    failed: Mutex<BTreeMap<RequestId, u32>>,
}

impl Worker {
    /// Registers a worker process.
    pub async fn start(executor: Arc<Executor>, pulse: Store) -> Result<Self, StoreError> {
        let mut connection = pulse.connection().await?;
        let instance = Instance::register(&mut connection).await?;
        drop(connection);
        let heart = Arc::new(Heart::new(lease_time(&executor)));
        Ok(Self { executor, pulse, instance, heart, rounds: Rounds::default(), failed: Mutex::default() })
    }

    /// The same worker, whose heartbeats are watched among these.
    #[must_use]
    pub fn watched_by(self, rounds: &Rounds) -> Self {
        Self { rounds: rounds.clone(), ..self }
    }

    /// The instance under which it claims.
    #[must_use]
    pub const fn instance(&self) -> Instance {
        self.instance
    }

    /// Works until `stop` is cancelled: then no new job is claimed, those in hand are finished as far as their present
    /// step, and the rest is released. Returns early when other processes declared this one dead; the caller starts a
    /// new one.
    pub async fn run(&self, wake: &Wake, stop: &CancellationToken) {
        let dead = CancellationToken::new();
        let beating = self.beat(&dead);
        let working = self.work(wake, stop, &dead);
        tokio::pin!(beating);
        tokio::pin!(working);
        // The heart goes on beating until the last job is out of hand.
        tokio::select! {
            () = &mut working => {}
            () = &mut beating => working.await,
        }
        if let Err(error) = self.leave().await {
            tracing::warn!(%error, "the worker could not sign off; its lease runs out instead");
        }
    }

    async fn leave(&self) -> Result<(), StoreError> {
        let mut connection = self.pulse.connection().await?;
        queue::release_all(&mut connection, self.instance, &[]).await?;
        self.instance.retire(&mut connection).await
    }

    /// Beats until declared dead.
    async fn beat(&self, dead: &CancellationToken) {
        let every = Duration::from_secs(self.executor.settings.heartbeat_secs.max(1));
        let round = self.rounds.watch("heartbeats", every + self.pulse.longest_turn());
        loop {
            tokio::time::sleep(every).await;
            let beaten = self.beat_once().await;
            round.turned();
            match beaten {
                Ok(true) => {}
                Ok(false) => {
                    tracing::error!(
                        "this worker was declared dead by another; it finishes what it holds and starts anew"
                    );
                    dead.cancel();
                    return;
                }
                Err(error) => tracing::warn!(%error, "a heartbeat failed"),
            }
        }
    }

    async fn beat_once(&self) -> Result<bool, StoreError> {
        let sent = Instant::now();
        let mut connection = self.pulse.connection().await?;
        let alive = self.instance.beat(&mut connection).await?;
        if alive {
            self.heart.beaten(sent);
        }
        let base = Duration::from_secs(self.executor.settings.retry_base_secs);
        let rescued = queue::rescue(&mut connection, lease_time(&self.executor), base).await?;
        if rescued > 0 {
            tracing::warn!(rescued, "jobs of a dead worker were put back");
        }
        let taken_back = delivery::take_back_claims(&mut connection).await?;
        if taken_back > 0 {
            tracing::warn!(
                count = taken_back,
                "notices that a dead process was about to send were taken back"
            );
        }
        Ok(alive)
    }

    async fn work(&self, wake: &Wake, stop: &CancellationToken, dead: &CancellationToken) {
        let poll = Duration::from_secs(self.executor.settings.poll_secs.max(1));
        let mut running = Running::default();
        let mut lost_claim = false;
        let mut looked_for_orphans = Instant::now();
        // When a lane was last seen to have no more than was asked for: it is not looked at again before a wake-up or
        // the poll, so that every end of a request costs one claim and not one for each lane.
        let mut emptied: [Option<Instant>; 2] = [None; 2];
        while !stop.is_cancelled() && !dead.is_cancelled() {
            let mut claimed = 0;
            for ((lane, slots), emptied) in self.slots().into_iter().zip(&mut emptied) {
                let free = slots.saturating_sub(running.in_lane(lane)).min(queue::MOST_AT_ONCE);
                if free == 0 || emptied.is_some_and(|since| since.elapsed() < poll) {
                    continue;
                }
                match self.claim(lane, free).await {
                    Ok(leases) => {
                        claimed += leases.len();
                        *emptied = (leases.len() < free).then(Instant::now);
                        for lease in leases {
                            running.spawn(
                                Arc::clone(&self.executor),
                                Arc::clone(&self.heart),
                                lease,
                                stop.clone(),
                            );
                        }
                    }
                    Err(error) => {
                        // The hand-out may have been committed although its answer was lost.
                        lost_claim = true;
                        tracing::warn!(%error, "no work could be claimed");
                    }
                }
            }
            if claimed == 0 {
                tokio::select! {
                    () = wake.wait(poll.mul_f64(0.9 + crate::domain::random::fraction() / 5.0)) => {
                        emptied = [None; 2];
                    }
                    () = stop.cancelled() => {}
                    () = dead.cancelled() => {}
                    Some(end) = running.next() => lost_claim |= self.clear_up(end).await.is_err(),
                }
            }
            while let Some(end) = running.try_next() {
                lost_claim |= self.clear_up(end).await.is_err();
            }
            // Looked for now and then in any case: a hand-out whose answer was lost may be committed only after the look
            // that followed it.
            if lost_claim || looked_for_orphans.elapsed() >= lease_time(&self.executor) {
                lost_claim = self.release_orphans(&running).await.is_err();
                looked_for_orphans = Instant::now();
                emptied = [None; 2];
            }
        }
        while let Some(end) = running.next().await {
            // What cannot be put back now is released when the worker signs off.
            drop(self.clear_up(end).await);
        }
    }

    /// Puts back the jobs that this instance holds but does not work on.
    async fn release_orphans(&self, running: &Running) -> Result<(), StoreError> {
        let mut connection = self.executor.store.connection().await?;
        queue::release_all(&mut connection, self.instance, &running.jobs()).await?;
        Ok(())
    }

    fn slots(&self) -> [(Lane, usize); 2] {
        let settings = &self.executor.settings;
        [(Lane::Request, settings.request_workers), (Lane::Sweep, settings.sweep_workers)]
    }

    async fn claim(&self, lane: Lane, most: usize) -> Result<Vec<Lease>, StoreError> {
        // A key of another organisation would look for the wrong people: what is not checked yet gets no work (S-14).
        let checked = self.executor.sites.iter().filter(|(_, site)| site.gate.is_open());
        let organisations: Vec<String> = checked.map(|(id, _)| id.to_string()).collect();
        if organisations.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.executor.store.connection().await?;
        queue::claim(&mut connection, self.instance, &organisations, lane, most).await
    }

    /// Puts back the job of a run that could not do so itself; an error leaves it in this instance's name.
    ///
    /// A run that broke down is counted; its panic was logged by the panic hook. One that the database failed, or that
    /// doubted its lease, is not: it waits a little, and longer once that has happened often, so that a fault that stays does not
    /// send it round and round. When the lease is truly lost, or the end was recorded and only its answer lost, the fence lets nothing be put back.
    async fn clear_up(&self, end: RunEnd) -> Result<(), StoreError> {
        let code = match (end.panicked, end.ended) {
            (true, _) => "worker_broke_down",
            (false, Ended::Interrupted) => "database_failed",
            (false, Ended::LeaseLost) => "lease_doubted",
            (false, Ended::Closed | Ended::PutBack | Ended::Parked(_)) => {
                self.failures().remove(&end.lease.request);
                return Ok(());
            }
            (false, Ended::Killed) => return Ok(()),
        };
        if end.panicked {
            tracing::error!(request = %end.lease.request, "a run broke down");
        }
        let mut after = self.executor.settings.back_off(end.lease.attempt);
        if !end.panicked && end.ended == Ended::Interrupted {
            after = longer(after, self.count_failure(end.lease.request));
        }
        let how = PutBack { after, code, counts: end.panicked, crashed: end.panicked };
        let put_back = async {
            let mut connection = self.executor.store.connection().await?;
            queue::put_back(&mut connection, &end.lease, how).await
        };
        let put_back = put_back.await;
        if let Err(error) = &put_back {
            tracing::warn!(%error, code, "a run could not be put back; its job is released later");
        }
        put_back.map(|_| ())
    }

    /// One more run of the request that the database failed; returns how many in a row.
    fn count_failure(&self, request: RequestId) -> u32 {
        let mut failures = self.failures();
        let failed = failures.entry(request).or_default();
        *failed = failed.saturating_add(1);
        *failed
    }

    fn failures(&self) -> MutexGuard<'_, BTreeMap<RequestId, u32>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims what is ready, up to the slots of both lanes, runs it, and returns how each ended. For tests and tools
    /// that drive the work themselves.
    pub async fn work_once(&self) -> Result<Vec<Ended>, StoreError> {
        let mut running = Running::default();
        for (lane, slots) in self.slots() {
            for lease in self.claim(lane, slots).await? {
                let never = CancellationToken::new();
                running.spawn(Arc::clone(&self.executor), Arc::clone(&self.heart), lease, never);
            }
        }
        let mut ended = Vec::new();
        while let Some(end) = running.next().await {
            ended.push(end.ended);
            drop(self.clear_up(end).await);
        }
        self.heart.beaten(Instant::now());
        Ok(ended)
    }

    /// Repeats [`Worker::work_once`] until nothing is ready.
    pub async fn work_until_idle(&self) -> Result<Vec<Ended>, StoreError> {
        let mut all = Vec::new();
        loop {
            let ended = self.work_once().await?;
            if ended.is_empty() {
                return Ok(all);
            }
            all.extend(ended);
        }
    }
}

/// The wait after so many runs in a row that the database failed: doubled with each beyond the first ones.
fn longer(wait: Duration, failed: u32) -> Duration {
    let doublings = failed.saturating_sub(SHORT_WAITS).min(16);
    wait.saturating_mul(1 << doublings).min(LONGEST_WAIT.max(wait))
}

fn lease_time(executor: &Executor) -> Duration {
    Duration::from_secs(executor.settings.lease_secs)
}

/// The runs in hand.
#[derive(Default)]
struct Running {
    tasks: JoinSet<Ended>,
    leases: BTreeMap<Id, Lease>,
}

struct RunEnd {
    lease: Lease,
    ended: Ended,
    panicked: bool,
}

impl Running {
    fn spawn(
        &mut self,
        executor: Arc<Executor>,
        heart: Arc<Heart>,
        lease: Lease,
        leaving: CancellationToken,
    ) {
        let own = lease.clone();
        let handle = self.tasks.spawn(async move { executor.execute(&own, &heart, &leaving).await });
        self.leases.insert(handle.id(), lease);
    }

    fn in_lane(&self, lane: Lane) -> usize {
        self.leases.values().filter(|lease| lease.lane == lane).count()
    }

    fn jobs(&self) -> Vec<i64> {
        self.leases.values().map(|lease| lease.job).collect()
    }

    async fn next(&mut self) -> Option<RunEnd> {
        let joined = self.tasks.join_next_with_id().await?;
        self.end(joined)
    }

    fn try_next(&mut self) -> Option<RunEnd> {
        let joined = self.tasks.try_join_next_with_id()?;
        self.end(joined)
    }

    fn end(&mut self, joined: Result<(Id, Ended), JoinError>) -> Option<RunEnd> {
        let (id, ended, panicked) = match joined {
            Ok((id, ended)) => (id, ended, false),
            Err(error) => (error.id(), Ended::Interrupted, error.is_panic()),
        };
        let lease = self.leases.remove(&id)?;
        Some(RunEnd { lease, ended, panicked })
    }
}
