//! The middle part of a sweep whose period runs from the last activity: the records of everybody old enough are read.
//!
//! It may last for hours, so that what was read is kept batch by batch: a sweep that is killed, halted or cut off from the
//! platform meanwhile goes on with those that are left. Of contacts that were active since, nothing is kept but their number.

use super::{Begun, Stage, SweepError, SweepLock, SweepReport, Sweeper};
use crate::platform::{PlatformError, Seen, Span, Urgency, seen_since};
use crate::retention::sql::{self, Counts, UnfinishedRow};
use crate::retention::vocabulary::{StopReason, SweepState};

/// How many contacts are read between two writes.
const BATCH: i64 = 20;

impl Sweeper {
    /// Takes up a sweep that was killed, halted or cut off while it read. Where the rule has changed since, the sweep stops.
    pub(in crate::retention) async fn continue_reading(
        &self,
        unfinished: UnfinishedRow,
        lock: &mut SweepLock,
    ) -> Result<SweepReport, SweepError> {
        let begun = Self::taken_up(&unfinished);
        let counts = unfinished.counts();
        if self.chooses_otherwise(&unfinished) {
            let (state, reason) = (SweepState::Stopped, StopReason::RuleChanged);
            return Ok(self.end_listing(&begun, counts, state, reason).await?);
        }
        self.read_all(&begun, counts, lock).await
    }

    /// Goes from the listing to the reading.
    pub(super) async fn begin_reading(
        &self,
        begun: &Begun,
        counts: Counts,
        lock: &mut SweepLock,
    ) -> Result<SweepReport, SweepError> {
        let mut connection = self.store.connection().await?;
        let organisation = &self.controller.id;
        sql::end_listing(&mut connection, organisation, begun.sweep_id, counts, SweepState::Reading, None)
            .await?;
        drop(connection);
        self.read_all(begun, counts, lock).await
    }

    async fn read_all(
        &self,
        begun: &Begun,
        mut counts: Counts,
        lock: &mut SweepLock,
    ) -> Result<SweepReport, SweepError> {
        let organisation = &self.controller.id;
        loop {
            // Without the lock another process may be reading the same candidates.
            sql::check_alive(&mut lock.0).await?;
            let mut connection = self.store.connection().await?;
            let unread = sql::list_unread(&mut connection, organisation, begun.sweep_id, BATCH).await?;
            drop(connection);
            if unread.is_empty() {
                break;
            }
            let (read, failed) = self.read_batch(begun, unread).await;
            let mut tx = self.store.begin("retention.note_read").await?;
            sql::note_read(&mut tx, organisation, begun.sweep_id, &read, self.desk.clock.now()).await?;
            tx.commit().await?;
            if let Some(error) = failed {
                return self.break_off(begun, counts, error).await;
            }
            self.pass(Stage::Read)?;
        }
        let mut connection = self.store.connection().await?;
        (counts.candidates, counts.active, counts.unclear) =
            sql::count_read(&mut connection, organisation, begun.sweep_id).await?;
        drop(connection);
        if counts.unclear > 0 {
            tracing::warn!(
                %organisation, sweep = %begun.sweep_id, count = counts.unclear,
                "nobody can tell when contacts were last active; they are kept until a person has looked, see dsrd retention review"
            );
        }
        self.decide(begun, counts, None, lock).await
    }

    /// Reads some contacts, as far as the platform answers.
    async fn read_batch(
        &self,
        begun: &Begun,
        unread: Vec<crate::domain::ContactId>,
    ) -> (sql::Read, Option<PlatformError>) {
        let mut read = sql::Read::default();
        let Some(activity) = &self.rule.activity else { return (read, None) };
        let span = Span { since: begun.created_before, now: self.desk.clock.now() };
        for contact in unread {
            let name = contact.as_str().to_owned();
            match seen_since(self.platform.as_ref(), &contact, activity, span, Urgency::Sweep).await {
                Ok(Seen::Before) => read.past.push(name),
                Ok(Seen::Unclear) => read.unclear.push(name),
                Ok(Seen::Since) => {
                    read.active += 1;
                    read.dropped.push(name);
                }
                Ok(Seen::Gone) => read.dropped.push(name),
                Err(error) => return (read, Some(error)),
            }
        }
        (read, None)
    }

    /// Leaves a sweep to be taken up again when the platform is only away; ends it when the platform refuses.
    async fn break_off(
        &self,
        begun: &Begun,
        counts: Counts,
        error: PlatformError,
    ) -> Result<SweepReport, SweepError> {
        if StopReason::from_platform(&error) == StopReason::PlatformUnavailable {
            return Err(SweepError::Platform(error));
        }
        let mut connection = self.store.connection().await?;
        let (_, active, unclear) =
            sql::count_read(&mut connection, &self.controller.id, begun.sweep_id).await?;
        drop(connection);
        self.give_up(begun, Counts { active, unclear, ..counts }, &error).await
    }
}
