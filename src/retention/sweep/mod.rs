//! One run of the rule: list, decide, submit.
//!
//! [`Sweeper`] is called by a person or by the schedule (`due`), takes the organisation's lock, records the sweep, and
//! carries it through: `listing` freezes those past their time that no hold keeps ([`held`]); for a period from the last
//! activity `reading` looks at the records of each; the caps are asked, and `submitting` hands in an erasure for each.
//! Between two steps it may be halted or killed; what is recorded tells where a later call goes on.

pub(in crate::retention) mod held;
mod listing;
mod reading;
mod submitting;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::Rule;
use super::look::{Finding, FindingKind};
use super::period::cutoff;
use super::sql::{self, Counts, UnfinishedRow};
use super::vocabulary::{BegunBy, StopReason, SweepState};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::Controller;
use crate::intake::{Desk, IntakeError};
use crate::platform::{ContactPlatform, PlatformError};
use crate::store::{PgConnection, Store, StoreError, Tx};

/// Between two steps of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The sweep is recorded; nothing was listed yet.
    Started,
    /// A page was listed and its candidates are frozen.
    Listed,
    /// The listing is complete; nothing was decided yet.
    Surveyed,
    /// For a period from the last activity: the records of some candidates were read.
    Read,
    /// The candidates are within the caps; nothing was submitted yet.
    Decided,
    /// A batch of erasures was submitted.
    Submitted,
    /// Everything was submitted; the sweep is not marked as finished yet.
    Emptied,
}

/// Asked between two steps whether to stop there, as when the daemon shuts down. A sweep stopped so is in the state in
/// which a kill at that point would leave it, and goes on with a later [`Sweeper::run_due`].
pub type Halt = dyn Fn(Stage) -> bool + Send + Sync;

/// A [`Halt`] that lets every sweep run to its end.
#[must_use]
pub fn never_halt() -> Arc<Halt> {
    Arc::new(|_| false)
}

/// Why a sweep did not come to an end. What it recorded stands; [`Sweeper::run_due`] takes it up again.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The rule is not enabled.
    #[error(
        "the retention rule is not enabled; look at `dsrd retention preview`, then set retention.enabled"
    )]
    NotEnabled,
    /// Another process sweeps the same organisation at this moment.
    #[error(
        "a retention sweep of this organisation is running; wait for its end or see `dsrd retention list`"
    )]
    AlreadyRunning,
    /// The sweep was asked to halt.
    #[error("the retention sweep was halted; it goes on when it is next due")]
    Halted,
    /// The platform was away while the records of candidates were read. What was read is kept.
    #[error(
        "the platform could not be asked when contacts were last active; the sweep goes on when it is next due"
    )]
    Platform(#[source] PlatformError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An erasure was not accepted.
    #[error("an erasure of the retention sweep was not accepted")]
    Intake(#[source] IntakeError),
    /// The calendar has no further due time for the schedule.
    #[error("the retention schedule has no further due time; change retention.schedule")]
    NoNextRun,
}

impl From<IntakeError> for SweepError {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Store(error) => Self::Store(error),
            other => Self::Intake(other),
        }
    }
}

/// What became of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    /// Its id in `dsrd.sweep`.
    pub sweep_id: Uuid,
    /// The due time that it was run for; `None` when a person asked, and where another sweep has it.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// How late it started after that, in seconds.
    pub late_secs: u64,
    /// How it ended.
    pub state: SweepState,
    /// Why, when it stopped or failed.
    pub reason: Option<StopReason>,
    /// Contacts created before this instant, or last active before it, were past their time.
    pub created_before: DateTime<Utc>,
    /// All contacts of the organisation.
    pub contacts: u64,
    /// Contacts past their time that no hold keeps.
    pub candidates: u64,
    /// For a period from the last activity: contacts old enough that were active since.
    pub active: u64,
    /// For a period from the last activity: contacts old enough whose last activity cannot be known. Never candidates.
    pub unclear: u64,
    /// Contacts without a usable date of creation: never candidates.
    pub unreadable: u64,
    /// Erasure requests that the sweep made.
    pub submitted: u64,
    /// Contacts left to a later sweep, because a hold, a restriction or an open access request stands.
    pub skipped: u64,
    /// What it found and cannot mend.
    pub findings: Vec<Finding>,
}

/// Runs the sweeps of one organisation.
#[derive(Clone)]
pub struct Sweeper {
    /// The database.
    pub store: Store,
    /// The contacts of the organisation.
    pub platform: Arc<dyn ContactPlatform>,
    /// Keys and clock.
    pub desk: Desk,
    /// The organisation.
    pub controller: Controller,
    /// Its retention rule.
    pub rule: Rule,
    /// Asked between steps whether to stop.
    pub halt: Arc<Halt>,
}

impl fmt::Debug for Sweeper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sweeper").field("organisation", &self.controller.id).finish_non_exhaustive()
    }
}

/// A sweep that is recorded.
#[derive(Clone, Debug)]
pub(in crate::retention) struct Begun {
    pub(in crate::retention) sweep_id: Uuid,
    pub(in crate::retention) scheduled_for: Option<DateTime<Utc>>,
    pub(in crate::retention) started_at: DateTime<Utc>,
    pub(in crate::retention) created_before: DateTime<Utc>,
    pub(in crate::retention) actor: Actor,
    /// How many candidates a person confirmed: with another number nothing is submitted.
    pub(in crate::retention) confirmed: Option<u64>,
}

impl Begun {
    pub(in crate::retention) const fn begun_by(&self) -> BegunBy {
        if matches!(self.actor, Actor::Person(_)) { BegunBy::Person } else { BegunBy::Schedule }
    }
}

/// The organisation's sweep lock: a connection outside of the pool, so that a lock can never go back into the pool
/// unnoticed. Dropped without [`SweepLock::release`], its connection closes and PostgreSQL frees the lock.
#[derive(Debug)]
pub(in crate::retention) struct SweepLock(PgConnection);

impl SweepLock {
    pub(in crate::retention) async fn release(mut self) -> Result<(), StoreError> {
        sql::unlock(&mut self.0).await?;
        self.0.close().await
    }
}

impl Sweeper {
    /// Sweeps now because a person asks, by login name. Sweeps that were left unfinished are brought to an end first.
    pub async fn sweep(&self, person: &str) -> Result<SweepReport, SweepError> {
        self.sweep_as(person, None).await
    }

    /// The same for a number of candidates that the person saw in a preview and confirmed: where the sweep finds another one, it
    /// stops before it submits anything ([`StopReason::NotConfirmed`]).
    pub async fn sweep_confirmed(&self, person: &str, candidates: u64) -> Result<SweepReport, SweepError> {
        self.sweep_as(person, Some(candidates)).await
    }

    async fn sweep_as(&self, person: &str, confirmed: Option<u64>) -> Result<SweepReport, SweepError> {
        if !self.rule.is_enabled() {
            return Err(SweepError::NotEnabled);
        }
        let mut lock = self.lock().await?.ok_or(SweepError::AlreadyRunning)?;
        let swept = self.sweep_locked(person, confirmed, &mut lock).await;
        let released = lock.release().await;
        let report = swept?;
        released?;
        Ok(report)
    }

    async fn sweep_locked(
        &self,
        person: &str,
        confirmed: Option<u64>,
        lock: &mut SweepLock,
    ) -> Result<SweepReport, SweepError> {
        for unfinished in self.list_unfinished().await? {
            if unfinished.submitting {
                self.continue_submitting(unfinished, lock).await?;
            } else if unfinished.reading {
                self.continue_reading(unfinished, lock).await?;
            } else {
                let mut tx = self.store.begin("retention.interrupted").await?;
                self.fail_interrupted(&mut tx, &unfinished).await?;
                tx.commit().await?;
            }
        }
        let begun = Begun { confirmed, ..self.begun(None, Actor::Person(person.to_owned())) };
        let mut tx = self.store.begin("retention.start").await?;
        self.record_start(&mut tx, &begun).await?;
        tx.commit().await?;
        self.carry_out(begun, lock).await
    }

    /// Takes the organisation's sweep lock, unless another process has it.
    pub(in crate::retention) async fn lock(&self) -> Result<Option<SweepLock>, StoreError> {
        let mut connection = self.store.own_connection().await?;
        if sql::try_lock(&mut connection, &self.controller.id).await? {
            return Ok(Some(SweepLock(connection)));
        }
        connection.close().await?;
        Ok(None)
    }

    pub(in crate::retention) async fn list_unfinished(&self) -> Result<Vec<UnfinishedRow>, StoreError> {
        sql::list_unfinished(&mut *self.store.connection().await?, &self.controller.id).await
    }

    /// A sweep that starts at this moment.
    pub(in crate::retention) fn begun(&self, scheduled_for: Option<DateTime<Utc>>, actor: Actor) -> Begun {
        let started_at = self.desk.clock.now();
        let created_before = cutoff(started_at, &self.rule, self.controller.time_zone);
        Begun { sweep_id: Uuid::now_v7(), scheduled_for, started_at, created_before, actor, confirmed: None }
    }

    /// What counts as activity by the present rule, as it is stored beside a sweep.
    fn stored_activity(&self) -> Option<Value> {
        self.rule.activity.as_ref().and_then(|activity| serde_json::to_value(activity).ok())
    }

    /// Whether the present rule would not have chosen the candidates of a sweep that is taken up again: it is switched off, has
    /// a longer period, or one that runs from another event.
    fn chooses_otherwise(&self, unfinished: &UnfinishedRow) -> bool {
        !self.rule.is_enabled()
            || cutoff(self.desk.clock.now(), &self.rule, self.controller.time_zone)
                < unfinished.created_before
            || self.stored_activity() != unfinished.activity
    }

    /// A sweep that is taken up again.
    fn taken_up(unfinished: &UnfinishedRow) -> Begun {
        Begun {
            sweep_id: unfinished.sweep_id,
            scheduled_for: unfinished.scheduled_for,
            started_at: unfinished.started_at,
            created_before: unfinished.created_before,
            actor: Actor::Schedule("retention"),
            confirmed: unfinished.confirmed.map(unsigned),
        }
    }

    /// Records a sweep in the caller's transaction.
    pub(in crate::retention) async fn record_start(
        &self,
        tx: &mut Tx,
        begun: &Begun,
    ) -> Result<(), StoreError> {
        sql::insert_sweep(tx, &self.controller.id, begun, self.stored_activity()).await?;
        let late_secs = late_secs(begun.scheduled_for, begun.started_at);
        let detail = detail_of(begun.sweep_id)
            .word("created_before", &begun.created_before.to_rfc3339())
            .word("anchor", self.rule.anchor().as_str())
            .word("rule", &self.rule.version)
            .word(
                "scheduled_for",
                &begun.scheduled_for.map_or_else(|| "none".to_owned(), |at| at.to_rfc3339()),
            )
            .count("late_secs", late_secs);
        self.append(tx, Action::SweepStarted, begun.actor.clone(), begun.started_at, detail).await
    }

    async fn append(
        &self,
        tx: &mut Tx,
        action: Action,
        actor: Actor,
        at: DateTime<Utc>,
        detail: Detail,
    ) -> Result<(), StoreError> {
        let event = Event::general(&self.controller.id, action, actor, at).with(detail);
        audit::append(tx, event).await.map(|_| ())
    }

    /// Asks whether to stop here.
    fn pass(&self, stage: Stage) -> Result<(), SweepError> {
        if (self.halt)(stage) { Err(SweepError::Halted) } else { Ok(()) }
    }
}

fn detail_of(sweep_id: Uuid) -> Detail {
    Detail::none().word("sweep_id", &sweep_id.to_string())
}

fn counted(detail: Detail, counts: Counts) -> Detail {
    detail
        .count("contacts", unsigned(counts.contacts))
        .count("candidates", unsigned(counts.candidates))
        .count("active", unsigned(counts.active))
        .count("unclear", unsigned(counts.unclear))
        .count("unreadable", unsigned(counts.unreadable))
}

/// Findings as numbers: how many contacts, never a name.
fn found(mut detail: Detail, findings: &[Finding]) -> Detail {
    let mut unclassified = 0;
    for finding in findings {
        let contacts = unsigned(finding.contacts);
        let looked_at = unsigned(finding.looked_at);
        detail = match (finding.finding, finding.category.as_str()) {
            (FindingKind::UnclassifiedData, _) => {
                unclassified += 1;
                detail.count("unclassified_data", unclassified)
            }
            (FindingKind::OldRecords, "events") => {
                detail.count("old_events", contacts).count("looked_at_events", looked_at)
            }
            (FindingKind::OldRecords, "devices") => {
                detail.count("old_devices", contacts).count("looked_at_devices", looked_at)
            }
            (FindingKind::OldRecords, _) => {
                detail.count("old_accountings", contacts).count("looked_at_accountings", looked_at)
            }
        };
    }
    detail
}

fn report(
    begun: &Begun,
    state: SweepState,
    reason: Option<StopReason>,
    counts: Counts,
    submitted: u64,
) -> SweepReport {
    SweepReport {
        sweep_id: begun.sweep_id,
        scheduled_for: begun.scheduled_for,
        late_secs: late_secs(begun.scheduled_for, begun.started_at),
        state,
        reason,
        created_before: begun.created_before,
        contacts: unsigned(counts.contacts),
        candidates: unsigned(counts.candidates),
        active: unsigned(counts.active),
        unclear: unsigned(counts.unclear),
        unreadable: unsigned(counts.unreadable),
        submitted,
        skipped: 0,
        findings: Vec::new(),
    }
}

fn late_secs(scheduled_for: Option<DateTime<Utc>>, started_at: DateTime<Utc>) -> u64 {
    scheduled_for.map_or(0, |due| u64::try_from((started_at - due).num_seconds()).unwrap_or_default())
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
