//! Fair, leased, at-least-once hand-out of requests to workers.
//!
//! A row of `dsrd.job` is work that is not finished. [`claim`] hands it to a worker together with a [`Lease`]: the
//! fence number that every later write of this worker must match. A process shows that it lives by one heartbeat row
//! ([`Instance`]); when the heartbeats stop, [`rescue`] gives its jobs to others and counts a crash. All times here
//! are the database's, so that the clocks of several hosts need not agree.
//!
//! Invariants:
//! - A job is counted as attempted when it is handed out, before anything runs: what kills its worker counts too.
//! - A write under a lost lease changes nothing ([`hold`] finds no row), and the worker makes no further call.
//! - Earliest legal deadline first; requests of people and of sweeps have lanes of their own, so that neither starves.
//! - Attempts and crashes count since the last step that was finished ([`note_progress`]): a request that gets on is not
//!   worn down by the troubles of its past.
//! - Waiting (for a rate limit, for a read-back, for another request, for a platform that answers nobody) is a date, not
//!   an attempt.
//! - No personal data: ids and codes only.
//!
//! A wake-up by NOTIFY is a hint; the poll is the truth.
//!
//! Why our own and no job framework: none shares its transaction with our audit entries and fences its workers;
//! the measurements are in `docs/performance.md`.

mod budget;
mod instance;
mod outage;
mod rounds;
mod sql;
mod wake;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use budget::{Limit, Reserved, block_calls, ensure_budget, has_budget, pause_left, reserve_calls};
pub use instance::{Heart, Instance};
pub use outage::{
    Seen, WAITS_FOR_PLATFORM, filter_ignored_since, note_ignored_filters, note_platform, platform_down_since,
};
pub use rounds::{Round, Rounds};
pub use sql::{
    Depth, MOST_AT_ONCE, claim, depth, done, enqueue, enqueue_held_back, enqueue_parked, hold, note_progress,
    park, purge, purge_instances, put_back, release_all, rescue, resume, running, set_aside, set_due, wake,
    wake_waiting, withdraw,
};
pub use wake::{Wake, WakeSource};

use crate::domain::{OrganisationId, RequestId, random};

/// Settings of the queue and its workers.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many requests of people are worked on at the same time by this process.
    pub request_workers: usize,
    /// How many erasures of sweeps are worked on at the same time by this process.
    pub sweep_workers: usize,
    /// How often a process shows that it lives, in seconds.
    pub heartbeat_secs: u64,
    /// After how many seconds without a heartbeat a process counts as dead and its jobs go to others.
    pub lease_secs: u64,
    /// How often to look for work when no wake-up came, in seconds.
    pub poll_secs: u64,
    /// How many attempts a request has for each step before it is parked for a person.
    pub most_attempts: u32,
    /// How many workers a request may bring down with one step before it is parked as poison.
    pub most_crashes: u32,
    /// The first wait between attempts, in seconds; doubled each time.
    pub retry_base_secs: u64,
    /// The longest wait between attempts, in seconds; also the wait of each request while the platform answers nobody, which
    /// ends at the latest a minute after it answers again.
    pub retry_cap_secs: u64,
    /// How many days before its due date an erasure no longer waits for an access request of the same person to end, but
    /// for a person's decision.
    pub access_goes_first_until_days: u32,
    /// How many seconds after a first look found a deleted contact gone it is looked a second time, 1 to 86400. Only two
    /// such looks prove a deletion; no worker is held in between.
    pub second_look_secs: u64,
}

impl Settings {
    /// The wait before the next attempt: exponential, capped, with jitter so that many do not come back at once.
    #[must_use]
    pub fn back_off(&self, attempt: u32) -> Duration {
        let doubled = self.retry_base_secs.saturating_mul(1_u64 << attempt.min(20));
        jittered(Duration::from_secs(doubled.min(self.retry_cap_secs)))
    }

    /// The wait of a request while the platform answers nobody. Its attempts are not counted then, so that a wait that grows
    /// with them would not grow, and thousands of requests would be tried without a pause; it is long from the beginning,
    /// because the end of the outage wakes all of them ([`note_platform`]).
    #[must_use]
    pub fn wait_in_outage(&self) -> Duration {
        jittered(Duration::from_secs(self.retry_cap_secs))
    }

    /// The least time between the two looks that prove a deletion (F-39).
    #[must_use]
    pub const fn second_look(&self) -> Duration {
        Duration::from_secs(self.second_look_secs)
    }
}

/// Between half and all of a wait.
fn jittered(full: Duration) -> Duration {
    full.mul_f64(0.5 + random::fraction() / 2.0)
}

/// Which share of the workers a job takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// For a person who asked.
    Request,
    /// For a retention rule.
    Sweep,
}

impl Lane {
    /// The word as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Sweep => "sweep",
        }
    }
}

/// Proof of the right to work on a job, until somebody else holds a higher fence.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The job.
    pub job: i64,
    /// The token: raised at each hand-out.
    pub fence: i64,
    /// Whose request.
    pub organisation: OrganisationId,
    /// Which request.
    pub request: RequestId,
    /// In which lane.
    pub lane: Lane,
    /// The how-manieth attempt since the last step that was finished this is, starting with 1.
    pub attempt: u32,
    /// How many workers died with it since then.
    pub crashes: u32,
}

impl Lease {
    /// How the names of files begin that are written under this lease.
    #[must_use]
    pub fn file_prefix(&self) -> String {
        format!("{}-{}-", self.job, self.fence)
    }

    /// The job and the fence under which a file was written; none when its name does not tell.
    #[must_use]
    pub fn of_file(name: &str) -> Option<(i64, i64)> {
        let mut parts = name.splitn(3, '-');
        let (job, fence, _rest) = (parts.next()?, parts.next()?, parts.next()?);
        Some((job.parse().ok()?, fence.parse().ok()?))
    }
}

/// The lease is gone: somebody else may be working on the job. Write nothing more, call nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease was lost; another worker has the job")]
pub struct LeaseLost;

/// Why and until when a job is put back.
#[derive(Clone, Copy, Debug)]
pub struct PutBack {
    /// Not before so much time has passed.
    pub after: Duration,
    /// The reason, a short code.
    pub code: &'static str,
    /// Whether this attempt counts.
    pub counts: bool,
    /// Whether the worker broke down over it.
    pub crashed: bool,
}
