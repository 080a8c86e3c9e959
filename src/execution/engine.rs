//! The run of one lease: load, go through the steps, write under the fence.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::effect::Effect;
use super::outcome::{self, EffectEnded, Located, PackageMade, ReadBackDone};
use super::procedure::{self, Procedure, Step};
use super::sql::{self, Checkpoint, Marks};
use super::stop::{Ended, Stop};
use super::{Executor, Site, access, erasure, inform, locate, opt_out};
use crate::audit::{self, Action, Actor, Detail, Ending, EntryId, Event};
use crate::delivery::{self, NewNotice, NewPackage};
use crate::domain::{ContactId, IdentifierKind, Origin, Outcome, ParkReason, RequestKind, SubjectIdentifier};
use crate::intake::{self, Case, Identifier, IdentifierRole};
use crate::platform::{EffectAnswer, PlatformError, Urgency};
use crate::queue::{self, Heart, Lease, PutBack};
use crate::store::{StoreError, Tx};

/// What a step without an outside effect leaves, to be written with the next write.
pub(super) struct Finished {
    pub(super) step: Step,
    pub(super) outcome: Value,
    pub(super) event: Option<(Action, Detail)>,
    pub(super) marks: Marks,
    /// Identifiers of the contact found; the contact point first.
    pub(super) identifiers: Vec<(IdentifierRole, SubjectIdentifier)>,
    pub(super) package: Option<NewPackage>,
    pub(super) notice: Option<inform::PreparedNotice>,
}

impl Finished {
    pub(super) fn new(step: Step, outcome: &impl Serialize) -> Self {
        Self {
            step,
            outcome: outcome::to_json(outcome),
            event: None,
            marks: Marks::default(),
            identifiers: Vec::new(),
            package: None,
            notice: None,
        }
    }
}

/// The run of one lease.
pub(super) struct Run<'a> {
    pub(super) executor: &'a Executor,
    pub(super) site: &'a Site,
    lease: &'a Lease,
    heart: &'a Heart,
    pub(super) case: Case,
    pub(super) identifiers: Vec<Identifier>,
    procedure: &'static Procedure,
    checkpoints: BTreeMap<(String, String), Checkpoint>,
    unsaved: Vec<Finished>,
}

impl Executor {
    /// Carries a leased request as far as it goes now.
    pub async fn execute(&self, lease: &Lease, heart: &Heart) -> Ended {
        let (mut run, stop) = match Run::load(self, lease, heart).await {
            Ok(mut run) => {
                let stop = run.to_the_end().await.err();
                (run, stop)
            }
            Err(Loaded::Gone) => return Ended::LeaseLost,
            Err(Loaded::Stop(stop)) => return self.settle_unloaded(lease, stop).await,
        };
        let Some(stop) = stop else { return Ended::Closed };
        run.settle(stop).await
    }

    fn back_off(&self, lease: &Lease) -> Duration {
        self.settings.back_off(lease.attempt)
    }

    /// Settles a lease whose case could not even be loaded.
    async fn settle_unloaded(&self, lease: &Lease, stop: Stop) -> Ended {
        let reason = match stop {
            Stop::NeedsPerson(reason) => reason,
            Stop::Store(error) if !error.is_transient() => {
                tracing::error!(request = %lease.request, %error, "a case cannot be loaded");
                ParkReason::CheckpointUnreadable
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

enum Loaded {
    Gone,
    Stop(Stop),
}

impl From<StoreError> for Loaded {
    fn from(error: StoreError) -> Self {
        Self::Stop(Stop::Store(error))
    }
}

async fn park_unloaded(executor: &Executor, lease: &Lease, reason: ParkReason) -> Result<(), Stop> {
    let mut tx = executor.store.begin("execution.park").await?;
    queue::hold(&mut tx, lease).await??;
    write_parking(&mut tx, executor, lease, reason, "load").await?;
    tx.commit().await?;
    Ok(())
}

async fn write_parking(
    tx: &mut Tx,
    executor: &Executor,
    lease: &Lease,
    reason: ParkReason,
    step: &str,
) -> Result<(), Stop> {
    sql::set_parked(tx, lease, reason).await?;
    queue::park(tx, lease, reason.as_str()).await??;
    let now = executor.desk.clock.now();
    let detail = Detail::none()
        .word("reason", reason.as_str())
        .word("step", step)
        .count("attempts", u64::from(lease.attempt))
        .count("crashes", u64::from(lease.crashes));
    let event =
        Event::of(&lease.organisation, lease.request, Action::RequestParked, Actor::Process("worker"), now);
    audit::append(tx, event.with(detail)).await?;
    tracing::warn!(request = %lease.request, reason = reason.as_str(), step, "request parked for a person");
    Ok(())
}

impl<'a> Run<'a> {
    async fn load(executor: &'a Executor, lease: &'a Lease, heart: &'a Heart) -> Result<Self, Loaded> {
        let needs_person = |reason| Loaded::Stop(Stop::NeedsPerson(reason));
        if lease.crashes >= executor.settings.most_crashes {
            return Err(needs_person(ParkReason::Poison));
        }
        if lease.attempt > executor.settings.most_attempts {
            return Err(needs_person(ParkReason::AttemptsExhausted));
        }
        let site = executor.sites.get(&lease.organisation).ok_or(Loaded::Gone)?;
        let mut connection = executor.store.connection().await?;
        let case = intake::find_case(&mut connection, &lease.organisation, lease.request)
            .await?
            .ok_or(Loaded::Gone)?;
        let identifiers =
            intake::identifiers(&mut connection, &executor.desk.keys, &lease.organisation, lease.request)
                .await?;
        // The first write of a procedure sets its version: without one there is no checkpoint to read.
        let checkpoints = if case.procedure_version.is_some() {
            sql::load_checkpoints(&mut connection, &lease.organisation, lease.request).await?
        } else {
            Vec::new()
        };
        let procedure = match case.procedure_version {
            None => procedure::describe(case.kind),
            // A newer program began it: left to that program or to a person.
            Some(version) => procedure::find(case.kind, version)
                .ok_or_else(|| needs_person(ParkReason::CheckpointUnreadable))?,
        };
        Ok(Self {
            executor,
            site,
            lease,
            heart,
            case,
            identifiers,
            procedure,
            checkpoints: checkpoints
                .into_iter()
                .map(|each| ((each.step.clone(), each.item.clone()), each))
                .collect(),
            unsaved: Vec::new(),
        })
    }

    async fn to_the_end(&mut self) -> Result<(), Stop> {
        for step in self.procedure.steps {
            if !self.is_finished(*step, "") {
                self.executor.kill.reached(step.as_str(), "before")?;
                self.take_step(*step).await?;
                self.executor.kill.reached(step.as_str(), "after")?;
            }
        }
        self.close().await
    }

    async fn take_step(&mut self, step: Step) -> Result<(), Stop> {
        if step == Step::Locate {
            return locate::locate(self).await;
        }
        // Nobody was found: nothing to collect, change or read back; the person is told so.
        let nobody = self.located()?.contact.is_none();
        match step {
            Step::Inform => inform::inform(self).await,
            _ if nobody => Ok(()),
            Step::Locate => Ok(()),
            Step::Collect => access::collect(self).await,
            Step::SwitchOff => opt_out::switch_off(self).await,
            Step::Delete => erasure::delete(self).await,
            Step::ReadBack => match self.case.kind {
                RequestKind::OptOut => opt_out::read_back(self).await,
                RequestKind::Erasure | RequestKind::Access => erasure::read_back(self).await,
            },
        }
    }

    // ---- what earlier steps left -------------------------------------------------------------------------------

    fn is_finished(&self, step: Step, item: &str) -> bool {
        self.stored_outcome(step, item).is_some()
    }

    fn stored_outcome(&self, step: Step, item: &str) -> Option<&Value> {
        let unsaved = self.unsaved.iter().find(|each| each.step == step && item.is_empty());
        unsaved.map(|each| &each.outcome).or_else(|| {
            self.checkpoints
                .get(&(step.as_str().to_owned(), item.to_owned()))
                .and_then(|found| found.outcome.as_ref())
        })
    }

    fn outcome<T: DeserializeOwned>(&self, step: Step) -> Result<Option<T>, Stop> {
        self.stored_outcome(step, "")
            .map(|json| outcome::from_json(json).ok_or(Stop::NeedsPerson(ParkReason::CheckpointUnreadable)))
            .transpose()
    }

    pub(super) fn located(&self) -> Result<Located, Stop> {
        self.outcome(Step::Locate)?.ok_or(Stop::NeedsPerson(ParkReason::CheckpointUnreadable))
    }

    /// The one contact that this request may touch.
    pub(super) fn contact(&self) -> Result<ContactId, Stop> {
        self.located()?.contact.ok_or(Stop::NeedsPerson(ParkReason::CheckpointUnreadable))
    }

    /// How often a step was tried without coming to an end.
    pub(super) fn tries_of(&self, step: Step) -> u32 {
        let stored = self.checkpoints.get(&(step.as_str().to_owned(), String::new()));
        stored.map_or(0, |found| u32::try_from(found.attempts).unwrap_or(u32::MAX))
    }

    pub(super) fn urgency(&self) -> Urgency {
        match self.case.origin {
            Origin::Subject => Urgency::Request,
            Origin::Retention => Urgency::Sweep,
        }
    }

    pub(super) fn platform_failed(&self, error: &PlatformError) -> Stop {
        // What a throttled or unreachable platform says is the operator's business; it names no person.
        tracing::warn!(request = %self.lease.request, %error, "a call to the platform failed");
        Stop::from_platform(error, self.executor.back_off(self.lease))
    }

    /// How the request ended, from what its steps left.
    pub(super) fn conclusion(&self) -> Result<Outcome, Stop> {
        let located = self.located()?;
        if located.out_of_scope {
            return Ok(Outcome::OutOfScope);
        }
        if located.contact.is_none() {
            return Ok(Outcome::FulfilledNoData);
        }
        let incomplete =
            self.outcome::<PackageMade>(Step::Collect)?.is_some_and(|package| package.incomplete);
        let remaining =
            self.outcome::<ReadBackDone>(Step::ReadBack)?.is_some_and(|read| !read.remaining.is_empty());
        Ok(if incomplete || remaining { Outcome::PartlyFulfilled } else { Outcome::Fulfilled })
    }

    // ---- writing -------------------------------------------------------------------------------------------------

    /// Keeps a finding until the next write.
    pub(super) fn keep(&mut self, finished: Finished) {
        self.unsaved.push(finished);
    }

    /// Begins a transaction under the lease, and writes what is kept.
    async fn open(&mut self, name: &'static str) -> Result<Tx, Stop> {
        let mut tx = self.executor.store.begin(name).await?;
        queue::hold(&mut tx, self.lease).await??;
        self.save(&mut tx).await?;
        Ok(tx)
    }

    async fn save(&mut self, tx: &mut Tx) -> Result<(), Stop> {
        let unsaved = std::mem::take(&mut self.unsaved);
        let first = self.case.procedure_version.is_none();
        if unsaved.is_empty() && !first {
            return Ok(());
        }
        let now = self.executor.desk.clock.now();
        let mut marks =
            Marks { procedure_version: first.then_some(self.procedure.version), ..Marks::default() };
        for finished in unsaved {
            sql::finish(tx, self.lease, finished.step, "", &finished.outcome, now).await?;
            self.remember(finished.step, "", finished.outcome);
            marks.contact = finished.marks.contact.or(marks.contact);
            marks.executed_at = finished.marks.executed_at.or(marks.executed_at);
            marks.verified_at = finished.marks.verified_at.or(marks.verified_at);
            if let Some((action, detail)) = finished.event {
                self.append(tx, self.event(action).with(detail)).await?;
            }
            self.save_identifiers(tx, finished.identifiers).await?;
            if let Some(package) = finished.package {
                delivery::record_package(tx, &self.executor.desk.keys, package).await?;
            }
            if let Some(prepared) = finished.notice
                && let Some(recipient_no) = self.recipient()
            {
                let notice = NewNotice {
                    organisation: self.lease.organisation.clone(),
                    request: self.lease.request,
                    kind: prepared.kind,
                    sender: delivery::Sender::Procedure,
                    recipient_no,
                    language: self.case.language.clone(),
                    facts: prepared.facts,
                    link_token: prepared.link_token,
                };
                delivery::enqueue(tx, &self.executor.desk.keys, notice, now).await?;
            }
        }
        sql::mark(tx, self.lease, &marks).await?;
        self.case.procedure_version = Some(self.procedure.version);
        Ok(())
    }

    async fn save_identifiers(
        &mut self,
        tx: &mut Tx,
        identifiers: Vec<(IdentifierRole, SubjectIdentifier)>,
    ) -> Result<(), Stop> {
        let mut new: Vec<(IdentifierRole, SubjectIdentifier)> = Vec::new();
        for (role, identifier) in identifiers {
            let stored = self.identifiers.iter().any(|each| each.role == role && each.identifier == identifier);
            if !stored && !new.iter().any(|each| each.0 == role && each.1 == identifier) {
                new.push((role, identifier));
            }
        }
        let keys = &self.executor.desk.keys;
        let added =
            intake::add_identifiers(tx, keys, &self.lease.organisation, self.lease.request, new).await?;
        self.identifiers.extend(added);
        Ok(())
    }

    /// Where the answer goes: to the address in the contact's profile. A package goes nowhere else (S-1); other
    /// answers go to the address given where the profile has none.
    pub(super) fn recipient(&self) -> Option<i16> {
        let of_role = |role| {
            self.identifiers
                .iter()
                .find(|each| each.role == role && each.identifier.kind() == IdentifierKind::Email)
                .map(|each| each.number)
        };
        let found = of_role(IdentifierRole::ContactPoint);
        let has_contact = self.located().is_ok_and(|located| located.contact.is_some());
        match self.case.kind {
            RequestKind::Access if has_contact => found,
            _ => found.or_else(|| of_role(IdentifierRole::Given)),
        }
    }

    fn remember(&mut self, step: Step, item: &str, outcome: Value) {
        let key = (step.as_str().to_owned(), item.to_owned());
        let checkpoint = Checkpoint {
            step: key.0.clone(),
            item: key.1.clone(),
            attempts: 1,
            intent: None,
            outcome: Some(outcome),
        };
        self.checkpoints.insert(key, checkpoint);
    }

    fn event(&self, action: Action) -> Event {
        let now = self.executor.desk.clock.now();
        Event::of(&self.lease.organisation, self.lease.request, action, Actor::Process("worker"), now)
    }

    #[expect(clippy::unused_self, reason = "all writing of a run goes through it")]
    async fn append(&self, tx: &mut Tx, event: Event) -> Result<(), Stop> {
        audit::append(tx, event).await?;
        Ok(())
    }

    /// Writes what is kept, in a transaction of its own.
    pub(super) async fn write_now(&mut self, step: Step) -> Result<(), Stop> {
        let tx = self.open("execution.write").await?;
        self.executor.kill.reached(step.as_str(), "written")?;
        tx.commit().await?;
        self.executor.kill.reached(step.as_str(), "committed")?;
        Ok(())
    }

    // ---- effects -------------------------------------------------------------------------------------------------

    /// Carries out one effect, exactly once as far as can be known, and records how it ended.
    pub(super) async fn carry_out(&mut self, effect: Effect<'_>) -> Result<(), Stop> {
        let (step, item) = (effect.step(), effect.item());
        if self.is_finished(step, item) {
            return Ok(());
        }
        let key = (step.as_str().to_owned(), item.to_owned());
        let former = self.checkpoints.get(&key).and_then(|found| found.intent).map(EntryId);
        let platform = self.site.platform.as_ref();
        if let Some(former) = former {
            // Look before acting: the former attempt may have done it.
            let in_place =
                effect.is_in_place(platform).await.map_err(|error| self.platform_failed(&error))?;
            self.executor.kill.reached(step.as_str(), "looked")?;
            if in_place {
                return self.end_effect(&effect, former, Ending::ByFormerAttempt).await;
            }
        }
        let intent = self.begin_effect(&effect, former).await?;
        self.executor.kill.reached(step.as_str(), "began")?;
        if !self.heart.may_act() {
            // Frozen and thawed, or cut off from the database: whoever took over may already be acting.
            return Err(Stop::LeaseLost);
        }
        let answer = effect.call(platform).await;
        self.executor.kill.reached(step.as_str(), "called")?;
        match answer {
            Ok(EffectAnswer::Accepted) => self.end_effect(&effect, intent, Ending::Done).await,
            // "Absent" is our own doing only if a former attempt began.
            Ok(EffectAnswer::Absent) if former.is_some() => {
                self.end_effect(&effect, intent, Ending::ByFormerAttempt).await
            }
            Ok(EffectAnswer::Absent) => self.end_effect(&effect, intent, Ending::Absent).await,
            Err(
                error @ (PlatformError::AnswerLost { .. }
                | PlatformError::Unreadable { .. }
                | PlatformError::TooLarge { .. }),
            ) => {
                // It may have happened; the announcement stays open until reading tells.
                tracing::warn!(request = %self.lease.request, %error, "the answer to an effect was lost");
                let in_place =
                    effect.is_in_place(platform).await.map_err(|error| self.platform_failed(&error))?;
                if in_place {
                    return self.end_effect(&effect, intent, Ending::ByFormerAttempt).await;
                }
                Err(Stop::from_platform(&error, self.executor.back_off(self.lease)))
            }
            Err(error) => {
                self.fail_effect(&effect, intent).await?;
                Err(self.platform_failed(&error))
            }
        }
    }

    async fn begin_effect(&mut self, effect: &Effect<'_>, former: Option<EntryId>) -> Result<EntryId, Stop> {
        let (step, item) = (effect.step(), effect.item());
        let mut tx = self.open("execution.begin_effect").await?;
        if let Some(former) = former {
            self.append(&mut tx, self.event(effect.ended()).ending(former, Ending::Unknown)).await?;
        }
        let event = self.event(effect.began()).with(effect_detail(effect));
        let intent = event.id;
        sql::begin_effect(&mut tx, self.lease, step, item, intent.0, event.at).await?;
        self.append(&mut tx, event).await?;
        self.executor.kill.reached(step.as_str(), "announced")?;
        tx.commit().await?;
        Ok(intent)
    }

    async fn end_effect(&mut self, effect: &Effect<'_>, intent: EntryId, ending: Ending) -> Result<(), Stop> {
        let outcome = outcome::to_json(&EffectEnded { ending: ending.as_str().to_owned() });
        match self.write_end(effect, intent, ending, &outcome).await {
            Err(Stop::LeaseLost) => {
                // The effect happened, so it is recorded, outside of the case that somebody else now writes.
                let mut connection = self.executor.store.connection().await?;
                let now = self.executor.desk.clock.now();
                sql::record_stray(&mut connection, self.lease, effect.step(), effect.item(), &outcome, now)
                    .await?;
                Err(Stop::LeaseLost)
            }
            other => other,
        }
    }

    async fn write_end(
        &mut self,
        effect: &Effect<'_>,
        intent: EntryId,
        ending: Ending,
        outcome: &Value,
    ) -> Result<(), Stop> {
        let (step, item) = (effect.step(), effect.item());
        let mut tx = self.open("execution.end_effect").await?;
        let now = self.executor.desk.clock.now();
        sql::finish(&mut tx, self.lease, step, item, outcome, now).await?;
        sql::mark(&mut tx, self.lease, &Marks { executed_at: Some(now), ..Marks::default() }).await?;
        self.append(&mut tx, self.event(effect.ended()).with(effect_detail(effect)).ending(intent, ending))
            .await?;
        self.executor.kill.reached(step.as_str(), "ended")?;
        tx.commit().await?;
        self.remember(step, item, outcome.clone());
        self.executor.kill.reached(step.as_str(), "recorded")?;
        Ok(())
    }

    /// Records that an announced effect certainly did not happen.
    async fn fail_effect(&mut self, effect: &Effect<'_>, intent: EntryId) -> Result<(), Stop> {
        let mut tx = self.open("execution.fail_effect").await?;
        sql::clear_intent(&mut tx, self.lease, effect.step(), effect.item()).await?;
        let event = self.event(effect.ended()).with(effect_detail(effect)).ending(intent, Ending::Failed);
        self.append(&mut tx, event).await?;
        tx.commit().await?;
        Ok(())
    }

    // ---- ends ----------------------------------------------------------------------------------------------------

    async fn close(&mut self) -> Result<(), Stop> {
        let outcome = self.conclusion()?;
        let mut tx = self.open("execution.close").await?;
        let now = self.executor.desk.clock.now();
        let informed_at = (self.case.origin == Origin::Subject).then_some(now);
        sql::set_closed(&mut tx, self.lease, outcome, informed_at, now).await?;
        queue::done(&mut tx, self.lease).await??;
        if self.case.kind == RequestKind::Access {
            queue::wake_waiting(&mut tx, &self.lease.organisation).await?;
        }
        let detail = Detail::none()
            .word("outcome", outcome.as_str())
            .word("kind", self.case.kind.as_str())
            .flag("in_time", now < self.site.controller.end_of_day(self.case.due_on));
        self.append(&mut tx, self.event(Action::RequestClosed).with(detail)).await?;
        self.executor.kill.reached("close", "written")?;
        tx.commit().await?;
        self.executor.kill.reached("close", "committed")?;
        tracing::info!(request = %self.lease.request, kind = self.case.kind.as_str(), outcome = outcome.as_str(), "request closed");
        Ok(())
    }

    /// Turns a stop into the state of the job.
    async fn settle(&mut self, stop: Stop) -> Ended {
        let settled = match stop {
            Stop::LeaseLost => return Ended::LeaseLost,
            Stop::Killed => return Ended::Killed,
            Stop::Store(error) if error.is_transient() => {
                tracing::warn!(request = %self.lease.request, %error, "the database failed; the request goes on later");
                return Ended::Interrupted;
            }
            Stop::Store(error) => {
                tracing::error!(request = %self.lease.request, %error, "the database refused a step");
                self.unsaved.clear();
                self.park(ParkReason::Poison).await
            }
            Stop::NeedsPerson(reason) => self.park(reason).await,
            Stop::Again { counts: Some(reason), .. }
                if self.lease.attempt >= self.executor.settings.most_attempts =>
            {
                self.park(reason).await
            }
            Stop::Again { after, code, counts, note_try_of } => {
                self.put_back(after, code, counts.is_some(), note_try_of).await
            }
        };
        match settled {
            Ok(ended) => ended,
            Err(Stop::LeaseLost) => Ended::LeaseLost,
            Err(Stop::Killed) => Ended::Killed,
            Err(_) => Ended::Interrupted,
        }
    }

    async fn park(&mut self, reason: ParkReason) -> Result<Ended, Stop> {
        let step = self.current_step();
        let mut tx = self.open("execution.park").await?;
        write_parking(&mut tx, self.executor, self.lease, reason, step).await?;
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
        note_try_of: Option<Step>,
    ) -> Result<Ended, Stop> {
        let mut tx = self.open("execution.put_back").await?;
        if let Some(step) = note_try_of {
            sql::note_try(&mut tx, self.lease, step, self.executor.desk.clock.now()).await?;
        }
        queue::put_back(&mut tx, self.lease, PutBack { after, code, counts, crashed: false }).await??;
        self.executor.kill.reached("put_back", "written")?;
        tx.commit().await?;
        self.executor.kill.reached("put_back", "committed")?;
        Ok(Ended::PutBack)
    }

    fn current_step(&self) -> &'static str {
        self.procedure
            .steps
            .iter()
            .find(|step| !self.is_finished(**step, ""))
            .map_or("close", |step| step.as_str())
    }

    /// Whether an access request of the same person is open, which an erasure lets go first.
    pub(super) async fn open_access_exists(
        &self,
        contact: &ContactId,
        identifiers: &[SubjectIdentifier],
    ) -> Result<bool, Stop> {
        let keys = &self.executor.desk.keys;
        let references: Vec<_> = self
            .identifiers
            .iter()
            .map(|each| &each.identifier)
            .chain(identifiers)
            .map(|identifier| identifier.reference(keys, &self.lease.organisation))
            .collect();
        let mut connection = self.executor.store.connection().await?;
        Ok(sql::open_access_exists(&mut connection, self.lease, contact, &references).await?)
    }

    /// Going on after a wait that counts as an attempt.
    pub(super) fn later(&self, code: &'static str) -> Stop {
        Stop::Again {
            after: self.executor.back_off(self.lease),
            code,
            counts: Some(ParkReason::AttemptsExhausted),
            note_try_of: None,
        }
    }

    /// What follows when reading back does not show the effect yet: another look after the next of `waits`, or a
    /// person when all were waited.
    pub(super) async fn read_again(&mut self, waits: &[Duration], code: &'static str) -> Result<Stop, Stop> {
        if let Some(again) = self.read_again_if_any(waits, code) {
            return Ok(again);
        }
        let mut tx = self.open("execution.verification_failed").await?;
        let event = self.event(Action::VerificationFailed).with(Detail::none().word("code", code));
        self.append(&mut tx, event).await?;
        tx.commit().await?;
        Ok(Stop::NeedsPerson(ParkReason::VerificationFailed))
    }

    /// Another look after the next of `waits`; none when all were waited.
    pub(super) fn read_again_if_any(&self, waits: &[Duration], code: &'static str) -> Option<Stop> {
        let tries = usize::try_from(self.tries_of(Step::ReadBack)).unwrap_or(usize::MAX);
        waits.get(tries).map(|after| Stop::Again {
            after: *after,
            code,
            counts: None,
            note_try_of: Some(Step::ReadBack),
        })
    }

    pub(super) async fn deliver(&self, kind: delivery::NoticeKind) -> Result<delivery::Delivery, Stop> {
        let delivered =
            self.executor.mailer.deliver(&self.lease.organisation, self.lease.request, kind).await;
        delivered.map_err(|error| {
            tracing::warn!(request = %self.lease.request, %error, "a notice could not be sent");
            self.later("notice_failed")
        })
    }
}

fn effect_detail(effect: &Effect<'_>) -> Detail {
    match effect {
        Effect::SwitchOff { policy, .. } => Detail::none().word("policy", policy),
        Effect::Delete { .. } => Detail::none(),
    }
}
