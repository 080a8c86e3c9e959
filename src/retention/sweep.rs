//! One run of the rule: list, decide, submit.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use serde::Serialize;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::Rule;
use super::period::cutoff;
use super::settings::RETRY_AFTER;
use super::sql::{self, Counts, UnfinishedRow};
use super::survey::{self, Candidate, EVERYBODY, Survey};
use super::vocabulary::{StopReason, SweepState};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{Channel, ContactId, Controller, Origin, Personal, RequestKind, SubjectKey};
use crate::intake::{self, Desk, IntakeError, Submission};
use crate::platform::{ContactPlatform, PlatformError};
use crate::store::{Store, StoreError, Tx};

/// Between two steps of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The sweep is recorded; nothing was listed yet.
    Started,
    /// A page was listed and its candidates are frozen.
    Listed,
    /// The listing is complete; nothing was decided yet.
    Surveyed,
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
    /// The due time that it was run for; `None` when a person asked.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// How late it started after that, in seconds.
    pub late_secs: u64,
    /// How it ended.
    pub state: SweepState,
    /// Why, when it stopped or failed.
    pub reason: Option<StopReason>,
    /// Contacts created before this instant were past their time.
    pub created_before: DateTime<Utc>,
    /// All contacts of the organisation.
    pub contacts: u64,
    /// Contacts past their time.
    pub candidates: u64,
    /// Contacts without a usable date of creation: never candidates.
    pub unreadable: u64,
    /// Erasure requests that the sweep made.
    pub submitted: u64,
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
pub(super) struct Begun {
    pub(super) sweep_id: Uuid,
    pub(super) scheduled_for: Option<DateTime<Utc>>,
    pub(super) started_at: DateTime<Utc>,
    pub(super) created_before: DateTime<Utc>,
    pub(super) actor: Actor,
}

/// The organisation's sweep lock: a connection outside of the pool, so that a lock can never go back into the pool
/// unnoticed. Dropped without [`SweepLock::release`], its connection closes and PostgreSQL frees the lock.
#[derive(Debug)]
pub(super) struct SweepLock(PgConnection);

impl SweepLock {
    pub(super) async fn release(mut self) -> Result<(), StoreError> {
        sql::unlock(&mut self.0).await?;
        self.0.close().await.map_err(StoreError::during("retention.unlock"))
    }
}

impl Sweeper {
    /// Sweeps now because a person asks, by login name. Sweeps that were left unfinished are brought to an end first.
    pub async fn sweep(&self, person: &str) -> Result<SweepReport, SweepError> {
        if !self.rule.is_enabled() {
            return Err(SweepError::NotEnabled);
        }
        let mut lock = self.lock().await?.ok_or(SweepError::AlreadyRunning)?;
        let swept = self.sweep_locked(person, &mut lock).await;
        let released = lock.release().await;
        let report = swept?;
        released?;
        Ok(report)
    }

    async fn sweep_locked(&self, person: &str, lock: &mut SweepLock) -> Result<SweepReport, SweepError> {
        for unfinished in self.list_unfinished().await? {
            if unfinished.submitting {
                self.continue_submitting(unfinished, lock).await?;
            } else {
                let mut tx = self.store.begin("retention.interrupted").await?;
                self.fail_interrupted(&mut tx, &unfinished).await?;
                tx.commit().await?;
            }
        }
        let begun = self.begun(None, Actor::Person(person.to_owned()));
        let mut tx = self.store.begin("retention.start").await?;
        self.record_start(&mut tx, &begun).await?;
        tx.commit().await?;
        self.carry_out(begun, lock).await
    }

    /// Takes the organisation's sweep lock, unless another process has it.
    pub(super) async fn lock(&self) -> Result<Option<SweepLock>, StoreError> {
        let mut connection = self.store.connection().await?.detach();
        if sql::try_lock(&mut connection, &self.controller.id).await? {
            return Ok(Some(SweepLock(connection)));
        }
        connection.close().await.map_err(StoreError::during("retention.lock"))?;
        Ok(None)
    }

    pub(super) async fn list_unfinished(&self) -> Result<Vec<UnfinishedRow>, StoreError> {
        sql::list_unfinished(&mut *self.store.connection().await?, &self.controller.id).await
    }

    /// A sweep that starts at this moment.
    pub(super) fn begun(&self, scheduled_for: Option<DateTime<Utc>>, actor: Actor) -> Begun {
        let started_at = self.desk.clock.now();
        let created_before = cutoff(started_at, &self.rule, self.controller.time_zone);
        Begun { sweep_id: Uuid::now_v7(), scheduled_for, started_at, created_before, actor }
    }

    /// Records a sweep in the caller's transaction.
    pub(super) async fn record_start(&self, tx: &mut Tx, begun: &Begun) -> Result<(), StoreError> {
        sql::insert_sweep(
            tx,
            &self.controller.id,
            begun.sweep_id,
            begun.scheduled_for,
            begun.started_at,
            begun.created_before,
        )
        .await?;
        let late_secs = late_secs(begun.scheduled_for, begun.started_at);
        let detail = detail_of(begun.sweep_id)
            .word("created_before", &begun.created_before.to_rfc3339())
            .word(
                "scheduled_for",
                &begun.scheduled_for.map_or_else(|| "none".to_owned(), |at| at.to_rfc3339()),
            )
            .count("late_secs", late_secs);
        self.append(tx, Action::SweepStarted, begun.actor.clone(), begun.started_at, detail).await
    }

    /// Carries a recorded sweep to its end.
    pub(super) async fn carry_out(
        &self,
        begun: Begun,
        lock: &mut SweepLock,
    ) -> Result<SweepReport, SweepError> {
        self.pass(Stage::Started)?;
        match self.list(&begun).await {
            Ok((survey, None)) => {
                self.pass(Stage::Surveyed)?;
                self.decide(
                    &begun,
                    &survey,
                    self.rule.caps.exceeded_by(survey.candidates, survey.contacts),
                    lock,
                )
                .await
            }
            Ok((survey, distrust)) => self.decide(&begun, &survey, distrust, lock).await,
            Err(ListingError::Platform(survey, error)) => self.give_up(&begun, &survey, &error).await,
            Err(ListingError::Sweep(error)) => Err(error),
        }
    }

    /// Lists all contacts and freezes those past their time. The second part says why the platform is not trusted, in
    /// which case nothing was listed.
    async fn list(&self, begun: &Begun) -> Result<(Survey, Option<StopReason>), ListingError> {
        let mut survey = Survey::new(begun.created_before, begun.started_at);
        let probe = match self.platform.probe().await {
            Ok(probe) => probe,
            Err(error) => return Err(ListingError::Platform(Box::new(survey), error)),
        };
        if let Some(reason) = survey::distrust(&probe) {
            return Ok((survey, Some(reason)));
        }
        let mut listing = self.platform.list_created_before(EVERYBODY);
        loop {
            let batch = match listing.try_next().await {
                Ok(Some(batch)) => batch,
                Ok(None) => return Ok((survey, None)),
                Err(error) => return Err(ListingError::Platform(Box::new(survey), error)),
            };
            let candidates = survey.take(batch);
            // Above the cap nothing of this sweep will be submitted: count on, but keep no more contacts.
            if !candidates.is_empty() && survey.candidates <= self.rule.caps.most_contacts {
                self.freeze(begun, &candidates).await.map_err(SweepError::from)?;
            }
            self.pass(Stage::Listed)?;
        }
    }

    async fn freeze(&self, begun: &Begun, candidates: &[Candidate]) -> Result<(), StoreError> {
        let mut connection = self.store.connection().await?;
        sql::insert_candidates(&mut connection, &self.controller.id, begun.sweep_id, candidates).await
    }

    /// Stops at a safeguard, or goes on to submit.
    async fn decide(
        &self,
        begun: &Begun,
        survey: &Survey,
        stop: Option<StopReason>,
        lock: &mut SweepLock,
    ) -> Result<SweepReport, SweepError> {
        if let Some(reason) = stop {
            return Ok(self.end_listing(begun, survey, SweepState::Stopped, reason).await?);
        }
        let mut connection = self.store.connection().await?;
        sql::end_listing(&mut connection, &self.controller.id, begun.sweep_id, counts(survey), None).await?;
        drop(connection);
        self.pass(Stage::Decided)?;
        self.submit_all(begun, counts(survey), lock).await
    }

    /// Records that the platform gave no complete listing. A passing trouble makes the schedule due again soon.
    async fn give_up(
        &self,
        begun: &Begun,
        survey: &Survey,
        error: &PlatformError,
    ) -> Result<SweepReport, SweepError> {
        let reason = StopReason::from_platform(error);
        tracing::warn!(
            organisation = %self.controller.id, sweep = %begun.sweep_id, %reason, %error,
            "the retention sweep could not list the contacts; nothing was submitted"
        );
        let report = self.end_listing(begun, survey, SweepState::Failed, reason).await?;
        if reason == StopReason::PlatformUnavailable && begun.scheduled_for.is_some() {
            let again_at = self.desk.clock.now() + RETRY_AFTER;
            let mut connection = self.store.connection().await?;
            sql::bring_forward(&mut connection, &self.controller.id, again_at).await?;
        }
        Ok(report)
    }

    /// Ends a sweep before anything is submitted.
    async fn end_listing(
        &self,
        begun: &Begun,
        survey: &Survey,
        state: SweepState,
        reason: StopReason,
    ) -> Result<SweepReport, StoreError> {
        let now = self.desk.clock.now();
        let counts = counts(survey);
        let mut tx = self.store.begin("retention.stop").await?;
        sql::end_listing(&mut tx, &self.controller.id, begun.sweep_id, counts, Some((state, reason, now)))
            .await?;
        let detail = counted(detail_of(begun.sweep_id), counts)
            .word("state", state.as_str())
            .word("reason", reason.as_str())
            .count("most_percent", u64::from(self.rule.caps.most_percent))
            .count("most_contacts", self.rule.caps.most_contacts);
        self.append(&mut tx, Action::SweepStopped, begun.actor.clone(), now, detail).await?;
        tx.commit().await?;
        if state == SweepState::Stopped {
            tracing::error!(
                organisation = %self.controller.id, sweep = %begun.sweep_id, %reason,
                contacts = counts.contacts, candidates = counts.candidates, remedy = reason.remedy(),
                "the retention sweep stopped at a safeguard; nothing was submitted"
            );
        }
        Ok(report(begun, state, Some(reason), counts, 0))
    }

    /// Marks a sweep that was killed while it listed.
    pub(super) async fn fail_interrupted(
        &self,
        tx: &mut Tx,
        unfinished: &UnfinishedRow,
    ) -> Result<(), StoreError> {
        let now = self.desk.clock.now();
        sql::fail_interrupted(tx, &self.controller.id, unfinished.sweep_id, now).await?;
        let detail = detail_of(unfinished.sweep_id)
            .word("state", SweepState::Failed.as_str())
            .word("reason", StopReason::Interrupted.as_str());
        self.append(tx, Action::SweepStopped, Actor::Schedule("retention"), now, detail).await
    }

    /// Takes up a sweep that was killed, or halted, while it submitted. Its candidates stand as they were frozen; time
    /// has only made them older. Where the period was lengthened or a cap lowered since, the sweep stops: the present rule did not choose them.
    pub(super) async fn continue_submitting(
        &self,
        unfinished: UnfinishedRow,
        lock: &mut SweepLock,
    ) -> Result<SweepReport, SweepError> {
        let counts = Counts {
            contacts: unfinished.contacts.unwrap_or_default(),
            candidates: unfinished.candidates,
            unreadable: unfinished.unreadable,
        };
        let begun = Begun {
            sweep_id: unfinished.sweep_id,
            scheduled_for: unfinished.scheduled_for,
            started_at: unfinished.started_at,
            created_before: unfinished.created_before,
            actor: Actor::Schedule("retention"),
        };
        let present_cutoff = cutoff(self.desk.clock.now(), &self.rule, self.controller.time_zone);
        let over_present_caps =
            self.rule.caps.exceeded_by(unsigned(counts.candidates), unsigned(counts.contacts)).is_some();
        if present_cutoff < begun.created_before || over_present_caps {
            let stop = Some(StopReason::RuleChanged);
            return Ok(self.end_submitting(&begun, counts, SweepState::Stopped, stop).await?);
        }
        self.submit_all(&begun, counts, lock).await
    }

    /// Submits an erasure for every candidate that has none.
    async fn submit_all(
        &self,
        begun: &Begun,
        counts: Counts,
        lock: &mut SweepLock,
    ) -> Result<SweepReport, SweepError> {
        let mut connection = self.store.connection().await?;
        sql::link_open_requests(&mut connection, &self.controller.id, begun.sweep_id).await?;
        drop(connection);
        loop {
            // Without the lock another process may be submitting the same candidates.
            sql::check_alive(&mut lock.0).await?;
            if self.submit_batch(begun).await? == 0 {
                break;
            }
            self.pass(Stage::Submitted)?;
        }
        self.pass(Stage::Emptied)?;
        Ok(self.end_submitting(begun, counts, SweepState::Finished, None).await?)
    }

    /// Submits one batch in one transaction and returns its size.
    async fn submit_batch(&self, begun: &Begun) -> Result<usize, SweepError> {
        let organisation = &self.controller.id;
        let subject_key = self.desk.keys.subject(organisation);
        let mut tx = self.store.begin("retention.submit").await?;
        let candidates =
            sql::take_candidates(&mut tx, organisation, begun.sweep_id, self.rule.submit_batch).await?;
        if candidates.is_empty() {
            return Ok(0);
        }
        let mut contacts = Vec::with_capacity(candidates.len());
        let mut requests = Vec::with_capacity(candidates.len());
        for contact in candidates {
            contacts.push(contact.as_str().to_owned());
            let submission = erasure_of(contact, begun, &subject_key);
            let receipt = intake::submit(&mut tx, &self.desk, &self.controller, submission).await?;
            requests.push(receipt.request.0);
        }
        sql::note_requests(&mut tx, organisation, begun.sweep_id, &contacts, &requests).await?;
        tx.commit().await?;
        Ok(contacts.len())
    }

    async fn end_submitting(
        &self,
        begun: &Begun,
        counts: Counts,
        state: SweepState,
        reason: Option<StopReason>,
    ) -> Result<SweepReport, StoreError> {
        let now = self.desk.clock.now();
        let mut tx = self.store.begin("retention.finish").await?;
        let submitted =
            sql::end_submitting(&mut tx, &self.controller.id, begun.sweep_id, state, reason, now).await?;
        let submitted = u64::try_from(submitted).unwrap_or_default();
        let detail = counted(detail_of(begun.sweep_id), counts)
            .count("submitted", submitted)
            .word("state", state.as_str());
        let (action, detail) = match reason {
            None => (Action::SweepFinished, detail),
            Some(reason) => (Action::SweepStopped, detail.word("reason", reason.as_str())),
        };
        self.append(&mut tx, action, begun.actor.clone(), now, detail).await?;
        tx.commit().await?;
        tracing::info!(
            organisation = %self.controller.id, sweep = %begun.sweep_id, %state,
            contacts = counts.contacts, candidates = counts.candidates, unreadable = counts.unreadable, submitted,
            "the retention sweep ended"
        );
        Ok(report(begun, state, reason, counts, submitted))
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

/// Why a listing did not come to its end.
#[derive(Debug)]
enum ListingError {
    /// The platform failed after this much had been counted.
    Platform(Box<Survey>, PlatformError),
    Sweep(SweepError),
}

impl From<SweepError> for ListingError {
    fn from(error: SweepError) -> Self {
        Self::Sweep(error)
    }
}

/// The erasure of one candidate. Its key is the same however often the batch is tried.
fn erasure_of(contact: ContactId, begun: &Begun, key: &SubjectKey) -> Submission {
    let pseudonym = key.reference("contact", &Personal::new(contact.as_str().to_owned()));
    Submission {
        kind: RequestKind::Erasure,
        origin: Origin::Retention,
        channel: Channel::Retention,
        received_at: begun.started_at,
        language: None,
        identifiers: Vec::new(),
        policies: Vec::new(),
        producer: "retention".to_owned(),
        idempotency_key: format!("{}:{pseudonym}", begun.sweep_id),
        handed_in_by: None,
        sweep_target: Some((contact, begun.created_before)),
    }
}

fn detail_of(sweep_id: Uuid) -> Detail {
    Detail::none().word("sweep_id", &sweep_id.to_string())
}

fn counted(detail: Detail, counts: Counts) -> Detail {
    detail
        .count("contacts", unsigned(counts.contacts))
        .count("candidates", unsigned(counts.candidates))
        .count("unreadable", unsigned(counts.unreadable))
}

fn counts(survey: &Survey) -> Counts {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Counts {
        contacts: signed(survey.contacts),
        candidates: signed(survey.candidates),
        unreadable: signed(survey.unreadable),
    }
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
        unreadable: unsigned(counts.unreadable),
        submitted,
    }
}

fn late_secs(scheduled_for: Option<DateTime<Utc>>, started_at: DateTime<Utc>) -> u64 {
    scheduled_for.map_or(0, |due| u64::try_from((started_at - due).num_seconds()).unwrap_or_default())
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
