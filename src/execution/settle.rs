//! How a run ends: closed, put back, parked, or interrupted.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::engine::Run;
use super::procedure::Step;
use super::sql;
use super::stop::{BAD_CREDENTIALS, Ended, Note, Stop};
use super::{Executor, follow_up, held, hold};
use crate::audit::{self, Action, Actor, Detail, Ending, EntryId, Event};
use crate::domain::{Origin, ParkReason, RequestKind};
use crate::queue::{self, Lease, PutBack};
use crate::store::{StoreError, Tx};
use crate::{delivery, identity};

async fn park_unloaded(executor: &Executor, lease: &Lease, reason: ParkReason) -> Result<(), Stop> {
    let mut tx = executor.store.begin("execution.park").await?;
    queue::hold(&mut tx, lease).await??;
    write_parking(&mut tx, executor, lease, reason, ("load", None, &[])).await?;
    tx.commit().await?;
    Ok(())
}

async fn put_back_unloaded(
    executor: &Executor,
    lease: &Lease,
    after: Duration,
    code: &'static str,
) -> Result<(), Stop> {
    let mut connection = executor.store.connection().await?;
    queue::put_back(&mut connection, lease, PutBack { after, code, counts: false, crashed: false }).await??;
    Ok(())
}

async fn write_parking(
    tx: &mut Tx,
    executor: &Executor,
    lease: &Lease,
    reason: ParkReason,
    (step, waits_for, unclear_holds): (&str, Option<&str>, &[String]),
) -> Result<(), Stop> {
    let now = executor.desk.clock.now();
    sql::set_parked(tx, lease, reason, (waits_for, unclear_holds), now).await?;
    queue::park(tx, lease, reason.as_str()).await??;
    end_open_effects(tx, lease, now).await?;
    delivery::end_open_attempts(tx, &lease.organisation, lease.request, now).await?;
    let mut detail = Detail::none()
        .word("reason", reason.as_str())
        .word("step", step)
        .count("attempts", u64::from(lease.attempt))
        .count("crashes", u64::from(lease.crashes));
    if let Some(reference) = waits_for {
        detail = detail.word("waits_for", reference);
    }
    let event =
        Event::of(&lease.organisation, lease.request, Action::RequestParked, Actor::Process("worker"), now);
    audit::append(tx, event.with(detail)).await?;
    tracing::warn!(request = %lease.request, reason = reason.as_str(), step, waits_for, "request parked for a person");
    Ok(())
}

/// Nobody may look again for a long time: what was announced and is not accounted for is said to be unknown. The
/// announcement stays with its checkpoint, so that a resumed request still looks before it acts.
pub(super) async fn end_open_effects(tx: &mut Tx, lease: &Lease, now: DateTime<Utc>) -> Result<(), Stop> {
    for open in sql::end_open_effects(tx, lease).await? {
        let Some(action) = ending_of(&open.step) else { continue };
        let event = Event::of(&lease.organisation, lease.request, action, Actor::Process("worker"), now);
        audit::append(tx, event.ending(EntryId(open.intent), Ending::Unknown)).await?;
    }
    Ok(())
}

/// The action that ends the effect of a step.
fn ending_of(step: &str) -> Option<Action> {
    match Step::ALL.into_iter().find(|known| known.as_str() == step)? {
        Step::SwitchOff => Some(Action::PolicyEnded),
        Step::Delete => Some(Action::DeletionEnded),
        Step::Locate
        | Step::Collect
        | Step::ReadBack
        | Step::Refuse
        | Step::Unproven
        | Step::Answer
        | Step::Hold
        | Step::Inform => None,
    }
}

impl Executor {
    /// Settles a lease whose case could not even be loaded.
    pub(super) async fn settle_unloaded(&self, lease: &Lease, stop: Stop) -> Ended {
        let reason = match stop {
            Stop::NeedsPerson(reason) => reason,
            Stop::Store(error) if !error.is_transient() => {
                tracing::error!(request = %lease.request, %error, "a case cannot be loaded");
                ParkReason::CheckpointUnreadable
            }
            Stop::Again { after, code, .. } => {
                tracing::info!(request = %lease.request, code, "a request is left to a newer program");
                return match put_back_unloaded(self, lease, after, code).await {
                    Ok(()) => Ended::PutBack,
                    Err(Stop::LeaseLost) => Ended::LeaseLost,
                    Err(_) => Ended::Interrupted,
                };
            }
            _ => return Ended::Interrupted,
        };
        match park_unloaded(self, lease, reason).await {
            Ok(()) => Ended::Parked(reason),
            Err(Stop::LeaseLost) => Ended::LeaseLost,
            Err(_) => Ended::Interrupted,
        }
    }
}

impl Run<'_> {
    pub(super) async fn close(&mut self) -> Result<(), Stop> {
        let outcome = self.conclusion()?;
        let mut tx = match self.open("execution.close").await {
            Err(Stop::LeaseLost) => {
                self.record_told_without_lease().await;
                return Err(Stop::LeaseLost);
            }
            opened => opened?,
        };
        let now = self.executor.desk.clock.now();
        let told_just_now = self.record_told(&mut tx).await?;
        // Told is who was told by a person before, or when the mail server took the notice: not when the case is put away.
        let informed_at = match (self.case.origin, self.case.informed_at.or(told_just_now)) {
            (Origin::Retention, _) => None,
            (Origin::Subject | Origin::SelfTest, None) => {
                delivery::told_at(&mut tx, &self.lease.organisation, self.lease.request).await?
            }
            (Origin::Subject | Origin::SelfTest, told) => told,
        };
        if self.case.identity_wanted_at.is_some() {
            // Whoever is asked still is asked for nothing any more.
            identity::end_links(&mut tx, &self.lease.organisation, self.lease.request).await?;
        }
        sql::set_closed(&mut tx, self.lease, outcome, informed_at, now).await?;
        queue::done(&mut tx, self.lease).await??;
        if let Some(held) = self.held()? {
            match self.case.origin {
                Origin::Subject => hold::remember(self, &mut tx, &held).await?,
                Origin::Retention => held::remember_for_sweeps(self, &mut tx, &held).await?,
                Origin::SelfTest => {}
            }
        }
        follow_up::schedule(self, &mut tx, outcome, now).await?;
        if matches!(self.case.kind, RequestKind::Access | RequestKind::Portability) {
            queue::wake_waiting(&mut tx, &self.lease.organisation).await?;
        }
        let mut detail = Detail::none()
            .word("outcome", outcome.as_str())
            .word("kind", self.case.kind.as_str())
            .word("answered_on", &self.site.controller.local_date(informed_at.unwrap_or(now)).to_string())
            .flag("in_time", now < self.site.controller.end_of_day(self.case.due_on));
        if self.case.origin != Origin::Subject {
            // The entry of a sweep's page names no single request: without this word nobody could tell its end apart.
            detail = detail.word("origin", self.case.origin.as_str());
        }
        self.append(&mut tx, self.event(Action::RequestClosed).with(detail)).await?;
        self.executor.kill.reached("close", "written")?;
        tx.commit().await?;
        self.executor.kill.reached("close", "committed")?;
        tracing::info!(request = %self.lease.request, kind = self.case.kind.as_str(), outcome = outcome.as_str(), "request closed");
        Ok(())
    }

    /// Turns a stop into the state of the job.
    pub(super) async fn settle(&mut self, stop: Stop) -> Ended {
        let settled = match self.write_end(stop).await {
            Err(Stop::Store(error)) if !error.is_transient() => self.park_refused(&error).await,
            settled => settled,
        };
        match settled {
            Ok(ended) => ended,
            Err(Stop::LeaseLost) => {
                self.record_strays().await;
                Ended::LeaseLost
            }
            Err(Stop::Killed) => Ended::Killed,
            Err(Stop::Store(error)) => {
                tracing::warn!(request = %self.lease.request, %error, "the database failed; the request goes on later");
                Ended::Interrupted
            }
            Err(_) => Ended::Interrupted,
        }
    }

    async fn write_end(&mut self, stop: Stop) -> Result<Ended, Stop> {
        let stop = self.doubt_refusal(stop).await;
        match self.excuse(stop).await {
            Stop::NeedsPerson(reason) => self.park(reason).await,
            Stop::Reminds => self.end_as_reminder().await,
            Stop::WantsIdentity(doubt) => self.want_identity(doubt).await,
            Stop::AwaitsIdentity { ask } => self.await_identity(ask).await,
            Stop::Again { counts: Some(reason), .. }
                if self.attempt() >= self.executor.settings.most_attempts =>
            {
                self.park(reason).await
            }
            Stop::Again { after, code, counts, note } => {
                self.put_back(after, code, counts.is_some(), note).await
            }
            stop @ (Stop::LeaseLost | Stop::Killed | Stop::Store(_)) => Err(stop),
        }
    }

    /// What the database refuses once it refuses for good: the finding that it does not take is let go, found again by whoever
    /// resumes the request, and a person hears of it. Otherwise the same run would go round and round, counted by nobody.
    async fn park_refused(&mut self, error: &StoreError) -> Result<Ended, Stop> {
        tracing::error!(request = %self.lease.request, %error, "the database refused what a run wrote");
        self.unsaved.clear();
        self.park(ParkReason::Poison).await
    }

    /// A refusal is one of this request only where the platform shows contacts at all: a gateway that answers everybody
    /// with a redirect or "not found" would park every request that is in hand (F-46). Then it is tried again, and
    /// counts.
    async fn doubt_refusal(&self, stop: Stop) -> Stop {
        let Stop::NeedsPerson(reason @ (ParkReason::PlatformRejected | ParkReason::PlatformForbidden)) = stop
        else {
            return stop;
        };
        match self.site.platform.check_contacts().await {
            Ok(()) => Stop::NeedsPerson(reason),
            Err(error) => {
                tracing::warn!(request = %self.lease.request, %error, "the platform refuses a call, and shows no contacts at all");
                Stop::Again {
                    after: self.back_off(),
                    code: reason.as_str(),
                    counts: Some(reason),
                    note: None,
                }
            }
        }
    }

    /// A platform that serves nobody is no trouble of this request: the attempt is not counted, and the next one waits for the
    /// end of the outage (F-46).
    async fn excuse(&self, stop: Stop) -> Stop {
        match stop {
            Stop::Again { code, counts, note, .. }
                if (code == BAD_CREDENTIALS
                    || matches!(
                        counts,
                        Some(
                            ParkReason::AttemptsExhausted
                                | ParkReason::PlatformUnreadable
                                | ParkReason::PlatformRejected
                                | ParkReason::PlatformForbidden
                        )
                    ))
                    && self.platform_is_down().await =>
            {
                let after = self.executor.settings.wait_in_outage();
                Stop::Again { after, code: queue::WAITS_FOR_PLATFORM, counts: None, note }
            }
            other => other,
        }
    }

    /// Whether it is known that the platform answers nobody; where that cannot be read, the attempt counts.
    async fn platform_is_down(&self) -> bool {
        let down_since = async {
            let mut connection = self.executor.store.connection().await?;
            queue::platform_down_since(&mut connection, &self.lease.organisation).await
        };
        matches!(down_since.await, Ok(Some(_)))
    }

    async fn park(&mut self, reason: ParkReason) -> Result<Ended, Stop> {
        let step = self.current_step();
        let mut tx = self.open("execution.park").await?;
        let (waits_for, unclear) = (self.waits_for.take(), std::mem::take(&mut self.unclear_holds));
        let waits = (step, waits_for.as_deref(), unclear.as_slice());
        write_parking(&mut tx, self.executor, self.lease, reason, waits).await?;
        self.executor.kill.reached("park", "written")?;
        tx.commit().await?;
        self.executor.kill.reached("park", "committed")?;
        Ok(Ended::Parked(reason))
    }

    async fn put_back(
        &mut self,
        after: Duration,
        code: &'static str,
        counts: bool,
        note: Option<Note>,
    ) -> Result<Ended, Stop> {
        let mut tx = self.open("execution.put_back").await?;
        let now = self.executor.desk.clock.now();
        match note {
            None => {}
            Some(Note::Absence(look)) => sql::note_absence(&mut tx, self.lease, look, now).await?,
            Some(Note::Try { of, absence_lasts }) => {
                self.note_return(&mut tx, of, code, absence_lasts).await?;
                sql::note_try(&mut tx, self.lease, of, absence_lasts, now).await?;
            }
        }
        queue::put_back(&mut tx, self.lease, PutBack { after, code, counts, crashed: false }).await??;
        self.executor.kill.reached("put_back", "written")?;
        tx.commit().await?;
        self.executor.kill.reached("put_back", "committed")?;
        Ok(Ended::PutBack)
    }

    fn current_step(&self) -> &'static str {
        if self.is_finished(Step::Unproven, "") {
            return Step::Inform.as_str();
        }
        if self.case.refusal.is_some() {
            let step = if self.is_finished(Step::Refuse, "") { Step::Inform } else { Step::Refuse };
            return step.as_str();
        }
        self.procedure
            .steps
            .iter()
            .find(|step| !self.is_finished(**step, ""))
            .map_or("close", |step| step.as_str())
    }
}
