//! The run of one lease: load, go through the steps, write under the fence.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::outcome::{self, Answered, Held, Located, PackageMade, ReadBackDone};
use super::procedure::{self, Procedure, Step};
use super::refuse::{self, Refusal};
use super::sql::{self, Checkpoint, OpenAccess};
use super::stop::{Ended, Note, Stop};
use super::write::Finished;
use super::{Executor, Site, access, answered, erasure, identify, inform, locate, opt_out};
use crate::audit::{Action, Detail};
use crate::delivery::{self, NoticeKind};
use crate::domain::{
    ContactId, Handling, IdentifierKind, Origin, Outcome, ParkReason, RequestState, SubjectIdentifier,
};
use crate::holds::HoldId;
use crate::intake::{self, Case, Identifier, IdentifierRole};
use crate::platform::{PlatformError, Urgency};
use crate::queue::{Heart, Lease};
use crate::store::StoreError;

/// How long a request that a newer program began, or whose notice it wrote, is left to that program before it is looked at again.
pub(super) const LEAVE_TO_NEWER: Duration = Duration::from_mins(1);

/// The run of one lease.
pub(super) struct Run<'a> {
    pub(super) executor: &'a Executor,
    pub(super) site: &'a Site,
    pub(super) lease: &'a Lease,
    pub(super) heart: &'a Heart,
    /// Attempts since the last finished step, with this one, and workers that died since.
    pub(super) attempt: u32,
    pub(super) crashes: u32,
    /// The access request for whose end a person has to decide, the restriction that is a newer will, or the holds of which a person
    /// has to say whom they are about.
    pub(super) waits_for: Option<String>,
    /// The references of those holds.
    pub(super) unclear_holds: Vec<String>,
    /// Holds that were looked at and do not stand against the deletion of this contact.
    pub(super) cleared_holds: BTreeSet<HoldId>,
    /// Identifiers that the contact was seen to carry just before its deletion.
    pub(super) shown_now: Vec<SubjectIdentifier>,
    pub(super) case: Case,
    pub(super) identifiers: Vec<Identifier>,
    pub(super) procedure: &'static Procedure,
    pub(super) checkpoints: BTreeMap<(String, String), Checkpoint>,
    pub(super) unsaved: Vec<Finished>,
    /// The notice whose sending follows the next write, and what became of announcing it there.
    pub(super) announcing: Option<delivery::NoticeKind>,
    pub(super) announced: Option<Result<delivery::Announced, delivery::DeliveryError>>,
    /// That the mail server took the outcome notice: written when the request is closed.
    pub(super) told: Option<delivery::Answered>,
}

impl Executor {
    /// Carries a leased request as far as it goes now. Once `leaving` is cancelled, the step in hand is finished and the
    /// request put back.
    pub async fn execute(&self, lease: &Lease, heart: &Heart, leaving: &CancellationToken) -> Ended {
        let (mut run, stop) = match Run::load(self, lease, heart).await {
            Ok(mut run) => {
                let stop = run.run_to_the_end(leaving).await.err();
                (run, stop)
            }
            Err(Loaded::Gone) => return Ended::LeaseLost,
            Err(Loaded::Stop(stop)) => return self.settle_unloaded(lease, stop).await,
        };
        let Some(stop) = stop else { return Ended::Closed };
        run.settle(stop).await
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
        if executor.ledger.has_lost(&mut connection, &lease.organisation, lease.request).await? {
            return Err(needs_person(ParkReason::DoneBeforeRestore));
        }
        let identifiers =
            intake::identifiers(&mut connection, &executor.desk.keys, &lease.organisation, lease.request)
                .await?;
        // The first write of a procedure sets its version: without one there is no checkpoint to read.
        let checkpoints = if case.procedure_version.is_some() {
            sql::load_checkpoints(&mut connection, &lease.organisation, lease.request).await?
        } else {
            Vec::new()
        };
        let answered = case.answered.and_then(|_| procedure::answered(case.kind));
        let procedure = match case.procedure_version {
            _ if answered.is_some() => answered.unwrap_or(procedure::describe(case.kind)),
            None => procedure::describe(case.kind),
            Some(version) => match procedure::find(case.kind, version) {
                Some(procedure) => procedure,
                // A newer program began it and runs beside this one, or will again: left to that program.
                None if version > procedure::describe(case.kind).version => {
                    return Err(Loaded::Stop(Stop::wait(LEAVE_TO_NEWER, "newer_program")));
                }
                None => return Err(needs_person(ParkReason::CheckpointUnreadable)),
            },
        };
        Ok(Self {
            executor,
            site,
            lease,
            heart,
            attempt: lease.attempt,
            crashes: lease.crashes,
            waits_for: None,
            unclear_holds: Vec::new(),
            cleared_holds: BTreeSet::new(),
            shown_now: Vec::new(),
            case,
            identifiers,
            procedure,
            checkpoints: checkpoints
                .into_iter()
                .map(|each| ((each.step.clone(), each.item.clone()), each))
                .collect(),
            unsaved: Vec::new(),
            announcing: None,
            announced: None,
            told: None,
        })
    }

    async fn run_to_the_end(&mut self, leaving: &CancellationToken) -> Result<(), Stop> {
        let refusal = self.settle_refusal(leaving).await?;
        if self.case.state == RequestState::NeedsIdentity && refusal == Refusal::None {
            self.executor.kill.reached(Step::Unproven.as_str(), "before")?;
            identify::look_at_wait(self).await?;
        }
        opt_out::take_present_policies(self).await?;
        for step in self.procedure.steps {
            let skipped = refusal.skips(*step) || (self.ended_unproven() && *step != Step::Inform);
            if !skipped && !self.is_finished(*step, "") {
                if leaving.is_cancelled() {
                    return Err(Stop::wait(Duration::ZERO, "released"));
                }
                if !self.heart.may_act() {
                    // Frozen and thawed, or cut off from the database: whoever took over looks and acts now.
                    return Err(Stop::LeaseLost);
                }
                self.executor.kill.reached(step.as_str(), "before")?;
                self.take_step(*step).await?;
                self.executor.kill.reached(step.as_str(), "after")?;
            }
        }
        self.close().await
    }

    /// What a person's refusal means for the steps. Once everything was read back there is nothing left to refuse.
    async fn settle_refusal(&mut self, leaving: &CancellationToken) -> Result<Refusal, Stop> {
        let Some(ground) = self.case.refusal else { return Ok(Refusal::None) };
        if self.is_finished(Step::Refuse, "") {
            return Ok(Refusal::Stands);
        }
        if self.is_finished(Step::ReadBack, "") {
            return Ok(Refusal::Overtaken);
        }
        if leaving.is_cancelled() {
            return Err(Stop::wait(Duration::ZERO, "released"));
        }
        self.executor.kill.reached(Step::Refuse.as_str(), "before")?;
        let refusal = refuse::refuse(self, ground).await?;
        self.executor.kill.reached(Step::Refuse.as_str(), "after")?;
        Ok(refusal)
    }

    async fn take_step(&mut self, step: Step) -> Result<(), Stop> {
        match step {
            Step::Locate => return locate::locate(self).await,
            // A refusal is told although nobody may have been located.
            Step::Inform => return inform::inform(self).await,
            // What a person carried out concerns no contact that the machine knows.
            Step::Answer => return answered::answer(self).await,
            _ => {}
        }
        // Nobody was found: nothing to collect, change or read back; the person is told so.
        let nobody = self.located()?.contact.is_none();
        match step {
            _ if nobody => Ok(()),
            Step::Locate | Step::Refuse | Step::Unproven | Step::Answer | Step::Hold | Step::Inform => Ok(()),
            // A hold stood in the way: nothing is deleted and nothing to be read back.
            Step::Delete | Step::ReadBack if self.held()?.is_some() => Ok(()),
            Step::Collect => {
                access::check_form(self)?;
                identify::gate(self).await?;
                access::collect(self).await
            }
            Step::SwitchOff => opt_out::switch_off(self).await,
            // What was begun is brought to its end: the gate stood before its beginning.
            Step::Delete if self.was_begun(Step::Delete) => erasure::delete(self).await,
            Step::Delete => {
                identify::gate(self).await?;
                erasure::delete(self).await
            }
            Step::ReadBack => match self.case.kind.handling() {
                Handling::OptOut => opt_out::read_back(self).await,
                Handling::Erasure | Handling::Access | Handling::Portability | Handling::Person => {
                    erasure::read_back(self).await
                }
            },
        }
    }

    pub(super) fn is_finished(&self, step: Step, item: &str) -> bool {
        self.stored_outcome(step, item).is_some()
    }

    /// When a step was finished, once that is stored.
    pub(super) fn finished_at(&self, step: Step) -> Option<DateTime<Utc>> {
        self.checkpoints.get(&(step.as_str().to_owned(), String::new()))?.finished_at
    }

    /// Whether the waiting for a proof of who asks came to its end without one.
    pub(super) fn ended_unproven(&self) -> bool {
        self.is_finished(Step::Unproven, "")
    }

    /// Whether an effect was announced that may have happened. One that was taken back, because it certainly did not, begins
    /// anew.
    fn was_begun(&self, step: Step) -> bool {
        let begun = self.checkpoints.get(&(step.as_str().to_owned(), String::new()));
        begun.is_some_and(|checkpoint| checkpoint.intent.is_some())
    }

    /// Whether an effect was announced whose end is not in the log.
    pub(super) fn is_open(&self, step: Step) -> bool {
        let begun = self.checkpoints.get(&(step.as_str().to_owned(), String::new()));
        begun.is_some_and(|checkpoint| {
            checkpoint.intent.is_some() && checkpoint.intent != checkpoint.ended_intent
        })
    }

    fn stored_outcome(&self, step: Step, item: &str) -> Option<&Value> {
        let unsaved = self.unsaved.iter().find(|each| each.step == step && each.item == item);
        unsaved.map(|each| &each.outcome).or_else(|| {
            self.checkpoints
                .get(&(step.as_str().to_owned(), item.to_owned()))
                .and_then(|found| found.outcome.as_ref())
        })
    }

    pub(super) fn outcome<T: DeserializeOwned>(&self, step: Step) -> Result<Option<T>, Stop> {
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

    /// What a hold left of the erasure, if one stood in the way.
    pub(super) fn held(&self) -> Result<Option<Held>, Stop> {
        self.outcome(Step::Hold)
    }

    /// How often a step was tried without coming to an end.
    pub(super) fn tries_of(&self, step: Step) -> u32 {
        let stored = self.checkpoints.get(&(step.as_str().to_owned(), String::new()));
        stored.map_or(0, |found| u32::try_from(found.attempts).unwrap_or(u32::MAX))
    }

    pub(super) fn urgency(&self) -> Urgency {
        match self.case.origin {
            Origin::Subject | Origin::SelfTest => Urgency::Request,
            Origin::Retention => Urgency::Sweep,
        }
    }

    pub(super) fn platform_failed(&self, error: &PlatformError) -> Stop {
        // What a throttled or unreachable platform says is the operator's business; it names no person.
        tracing::warn!(request = %self.lease.request, %error, "a call to the platform failed");
        Stop::from_platform(error, self.back_off())
    }

    /// The how-manieth attempt this is since the last finished step; one that is still to be written counts as finished.
    pub(super) fn attempt(&self) -> u32 {
        if self.unsaved.is_empty() { self.attempt } else { 1 }
    }

    pub(super) fn back_off(&self) -> Duration {
        self.executor.settings.back_off(self.attempt())
    }

    /// Whether a run before this one crashed or failed at the step that is to be finished.
    pub(super) const fn had_trouble(&self) -> bool {
        self.attempt > 1 || self.crashes > 0
    }

    /// By which notice the person is told what a person carried out.
    pub(super) fn answered_by(&self) -> Result<NoticeKind, Stop> {
        let answered = self.outcome::<Answered>(Step::Answer)?;
        Ok(answered.map_or(NoticeKind::Answered, |answered| answered.notice))
    }

    /// How the request ended, from what its steps left.
    pub(super) fn conclusion(&self) -> Result<Outcome, Stop> {
        if self.is_finished(Step::Refuse, "") {
            return Ok(Outcome::Refused);
        }
        if self.ended_unproven() {
            return Ok(Outcome::NotIdentified);
        }
        if let Some(answered) = self.outcome::<Answered>(Step::Answer)? {
            return Ok(answered.outcome.into());
        }
        let located = self.located()?;
        if located.out_of_scope {
            return Ok(Outcome::OutOfScope);
        }
        if located.contact.is_none() {
            return Ok(Outcome::FulfilledNoData);
        }
        if self.held()?.is_some() {
            return Ok(match self.case.origin {
                Origin::Subject | Origin::SelfTest => Outcome::PartlyFulfilled,
                Origin::Retention => Outcome::OutOfScope,
            });
        }
        let incomplete =
            self.outcome::<PackageMade>(Step::Collect)?.is_some_and(|package| package.incomplete);
        let remaining =
            self.outcome::<ReadBackDone>(Step::ReadBack)?.is_some_and(|read| !read.remaining.is_empty());
        Ok(if incomplete || remaining { Outcome::PartlyFulfilled } else { Outcome::Fulfilled })
    }

    /// Where the answer goes: to the address in the contact's profile. A package goes nowhere else (S-1); other
    /// answers go to the address given where the profile has none, if that shows nobody anything of others (S-5).
    pub(super) fn recipient(&self) -> Option<i16> {
        let of_role = |role| {
            self.identifiers
                .iter()
                .find(|each| each.role == role && each.identifier.kind() == IdentifierKind::Email)
                .map(|each| each.number)
        };
        let found = of_role(IdentifierRole::ContactPoint);
        let has_contact = self.located().is_ok_and(|located| located.contact.is_some());
        // A refusal or an answer is the act of a person, who knows to whom it goes.
        let by_person = self.is_finished(Step::Refuse, "") || self.is_finished(Step::Answer, "");
        match self.case.kind.handling() {
            Handling::Access | Handling::Portability if has_contact && !by_person => found,
            _ if by_person || identify::may_answer_given_address(self) => {
                found.or_else(|| of_role(IdentifierRole::Given))
            }
            _ => found,
        }
    }

    /// In which language the person is answered at the address in their profile: that of the request; of one that names none that of
    /// the profile. What goes to an address that was merely typed keeps that of the request: it tells nothing of a profile (S-5).
    pub(super) fn language(&self) -> String {
        let of_profile = || self.located().ok()?.language;
        let shown = if self.case.language_named { None } else { of_profile() };
        shown.unwrap_or_else(|| self.case.language.clone())
    }

    /// The language of a notice to one of the identifiers.
    pub(super) fn language_to(&self, recipient_no: i16) -> String {
        let recipient = self.identifiers.iter().find(|each| each.number == recipient_no);
        if recipient.is_some_and(|each| each.role == IdentifierRole::ContactPoint) {
            self.language()
        } else {
            self.case.language.clone()
        }
    }

    /// An open access request of the same person, which an erasure lets go first.
    pub(super) async fn find_open_access(
        &self,
        contact: &ContactId,
        identifiers: &[SubjectIdentifier],
    ) -> Result<Option<OpenAccess>, Stop> {
        let keys = &self.executor.desk.keys;
        let references: Vec<_> = self
            .identifiers
            .iter()
            .map(|each| &each.identifier)
            .chain(identifiers)
            .map(|identifier| identifier.reference(keys, &self.lease.organisation))
            .collect();
        let mut connection = self.executor.store.connection().await?;
        Ok(sql::find_open_access(&mut connection, self.lease, contact, &references).await?)
    }

    /// Going on after a wait that counts as an attempt.
    pub(super) fn later(&self, code: &'static str) -> Stop {
        Stop::Again { after: self.back_off(), code, counts: Some(ParkReason::AttemptsExhausted), note: None }
    }

    /// What follows when reading back does not show the effect yet: another look after the next of `waits`, or a
    /// person when all were waited.
    pub(super) async fn read_again(&mut self, waits: &[Duration], code: &'static str) -> Result<Stop, Stop> {
        if let Some(again) = self.read_again_if_any(waits, code, false) {
            return Ok(again);
        }
        let mut tx = self.open("execution.verification_failed").await?;
        let event = self.event(Action::VerificationFailed).with(Detail::none().word("code", code));
        self.append(&mut tx, event).await?;
        // Once a person has looked, what was seen before counts no more.
        let now = self.executor.desk.clock.now();
        sql::note_try(&mut tx, self.lease, Step::ReadBack, false, now).await?;
        tx.commit().await?;
        Ok(Stop::NeedsPerson(ParkReason::VerificationFailed))
    }

    /// Another look after the next of `waits`; none when all were waited.
    pub(super) fn read_again_if_any(
        &self,
        waits: &[Duration],
        code: &'static str,
        absence_lasts: bool,
    ) -> Option<Stop> {
        let tries = usize::try_from(self.tries_of(Step::ReadBack)).unwrap_or(usize::MAX);
        let note = Some(Note::Try { of: Step::ReadBack, absence_lasts });
        waits.get(tries).map(|after| Stop::Again { after: *after, code, counts: None, note })
    }
}
