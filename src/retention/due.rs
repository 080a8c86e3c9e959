//! Due times, and the sweeps that were left unfinished.
//!
//! There is no leader among daemons. Each calls [`Sweeper::run_due`] every minute; the next due time stands in
//! `dsrd.schedule`, and whoever moves it on has claimed it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::sql::{self, UnfinishedRow};
use super::sweep::{Begun, SweepError, SweepLock, SweepReport, Sweeper};
use super::timetable::Timetable;
use crate::audit::Actor;

/// The name of sweeps in `dsrd.schedule`.
pub(super) const SCHEDULE: &str = "retention";

/// What one look at the schedule led to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// Sweeps that had been killed while reading or submitting and were brought to an end.
    pub continued: Vec<SweepReport>,
    /// How many sweeps had been killed while listing.
    pub interrupted: usize,
    /// The sweep that was due, or that was run in the place of an interrupted one.
    pub ran: Option<SweepReport>,
    /// Another process is sweeping this organisation; nothing was done here.
    pub busy: bool,
    /// When the next sweep is due; `None` when the rule is not enabled.
    pub next_run_at: Option<DateTime<Utc>>,
}

/// A sweep that is killed again and again while it lists is not run anew for ever: after so many within a day it waits
/// for its next regular time.
const MOST_INTERRUPTIONS: i64 = 3;

/// In how many of the latest sweeps it is looked whether a due time was swept for: more than a clock that was ahead begins.
const LOOKED_THROUGH: u16 = 100;

impl Sweeper {
    /// Runs the sweep that is due, if one is, and brings unfinished ones to an end. Any number of daemons may call it
    /// at any time. Due times that were missed give one run. Where the rule is switched off nothing is due, and a sweep that was
    /// left unfinished stops: it must not keep the contacts that it had frozen.
    pub async fn run_due(&self) -> Result<Turn, SweepError> {
        let next_run_at = if self.rule.is_enabled() { Some(self.next_run_at().await?) } else { None };
        let is_due = next_run_at.is_some_and(|next| next <= self.desk.clock.now());
        if !is_due && self.list_unfinished().await?.is_empty() {
            return Ok(Turn { next_run_at, ..Turn::default() });
        }
        let Some(mut lock) = self.lock().await? else {
            return Ok(Turn { busy: true, next_run_at, ..Turn::default() });
        };
        let turn = self.run_locked(&mut lock).await;
        let released = lock.release().await;
        let turn = turn?;
        released?;
        Ok(turn)
    }

    async fn run_locked(&self, lock: &mut SweepLock) -> Result<Turn, SweepError> {
        let mut turn = Turn::default();
        let mut interrupted = Vec::new();
        for unfinished in self.list_unfinished().await? {
            if unfinished.submitting {
                turn.continued.push(self.continue_submitting(unfinished, lock).await?);
            } else if unfinished.reading {
                turn.continued.push(self.continue_reading(unfinished, lock).await?);
            } else {
                interrupted.push(unfinished);
            }
        }
        turn.interrupted = interrupted.len();
        if !self.rule.is_enabled() {
            let mut tx = self.store.begin("retention.interrupted").await?;
            for unfinished in &interrupted {
                self.fail_interrupted(&mut tx, unfinished).await?;
            }
            tx.commit().await?;
            return Ok(turn);
        }
        let begun = self.claim_due(&interrupted).await?;
        if let Some(begun) = begun {
            turn.ran = Some(self.carry_out(begun, lock).await?);
        }
        turn.next_run_at = Some(self.next_run_at().await?);
        Ok(turn)
    }

    /// Reads the next due time; computes it anew when the configured schedule is not the stored one.
    async fn next_run_at(&self) -> Result<DateTime<Utc>, SweepError> {
        let mut connection = self.store.connection().await?;
        let next = self.timetable().next_run_at(&mut connection, self.desk.clock.now()).await?;
        next.ok_or(SweepError::NoNextRun)
    }

    fn timetable(&self) -> Timetable<'_> {
        Timetable { organisation: &self.controller.id, name: SCHEDULE, schedule: self.rule.schedule() }
    }

    /// Records the sweep that is to run now, if one is, and the end of those that were interrupted, in one transaction.
    /// A due time that has come is claimed; otherwise an interrupted sweep hands its due time on.
    async fn claim_due(&self, interrupted: &[UnfinishedRow]) -> Result<Option<Begun>, SweepError> {
        let now = self.desk.clock.now();
        let due = self.next_run_at().await?;
        let mut tx = self.store.begin("retention.claim").await?;
        for unfinished in interrupted {
            self.fail_interrupted(&mut tx, unfinished).await?;
        }
        let scheduled_for = if due <= now {
            let next = self.rule.schedule().next_after(now).ok_or(SweepError::NoNextRun)?;
            // A daemon that does not hold the lock, by whatever mishap, may have been faster all the same.
            self.timetable().claim(&mut tx, due, next, now).await?.then_some(due)
        } else {
            let since = now - TimeDelta::days(1);
            let interruptions = sql::count_interrupted(&mut tx, &self.controller.id, since).await?;
            let handed_on = interrupted.iter().rev().find_map(|unfinished| unfinished.scheduled_for);
            handed_on.filter(|_| interruptions < MOST_INTERRUPTIONS)
        };
        // A clock that was ahead swept for this due time (F-48): it is recorded once, and swept for now all the same. Such
        // sweeps began in the future, so that they are listed first.
        let latest = sql::list_sweeps(&mut tx, &self.controller.id, LOOKED_THROUGH).await?;
        let begun = scheduled_for.map(|due| {
            let is_recorded = latest.iter().any(|sweep| sweep.scheduled_for == Some(due));
            self.begun((!is_recorded).then_some(due), Actor::Schedule(SCHEDULE))
        });
        if let Some(begun) = &begun {
            self.record_start(&mut tx, begun).await?;
        }
        tx.commit().await?;
        Ok(begun)
    }
}
