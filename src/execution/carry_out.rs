//! One outside effect: announced, called, recorded; looked for before it is repeated.

use std::time::Duration;

use uuid::Uuid;

use super::Step;
use super::effect::Effect;
use super::engine::Run;
use super::hold;
use super::outcome::EffectEnded;
use super::sql::{self, Checkpoint, Marks};
use super::stop::Stop;
use crate::audit::{Detail, Ending, EntryId, Event};
use crate::domain::{ContactId, Origin, SubjectIdentifier};
use crate::platform::{EffectAnswer, Leave, PlatformError};
use crate::suppression::ledger::{self, Entry, EntryKind};
use crate::suppression::{self, Hashed, Purpose};

/// How soon an effect is tried again whose line in the ledger could not be written, at the least.
const LEDGER_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A former attempt that was announced, and may have happened.
#[derive(Clone, Copy)]
pub(super) struct Former {
    intent: EntryId,
    /// Whether its end stands in the log, as unknown.
    ended: bool,
}

impl Former {
    /// The former attempt that an unfinished checkpoint remembers.
    pub(super) fn of(checkpoint: &Checkpoint) -> Option<Self> {
        let intent = checkpoint.intent?;
        Some(Self { intent: EntryId(intent), ended: checkpoint.ended_intent == Some(intent) })
    }
}

impl Run<'_> {
    /// Carries out one effect, exactly once as far as can be known, and records how it ended.
    pub(super) async fn carry_out(&mut self, effect: Effect<'_>) -> Result<(), Stop> {
        let (step, item) = (effect.step(), effect.item());
        if self.is_finished(step, item) {
            return Ok(());
        }
        let key = (step.as_str().to_owned(), item.to_owned());
        let former = self.checkpoints.get(&key).and_then(Former::of);
        let platform = self.site.platform.as_ref();
        if let Some(former) = former {
            // Look before acting: the former attempt may have done it.
            let in_place =
                effect.is_in_place(platform).await.map_err(|error| self.platform_failed(&error))?;
            self.executor.kill.reached(step.as_str(), "looked")?;
            if in_place {
                return self.end_former(&effect, former).await;
            }
        }
        let intent = self.begin_effect(&effect, former).await?;
        self.executor.kill.reached(step.as_str(), "began")?;
        if !self.heart.may_act() {
            // Frozen and thawed, or cut off from the database: whoever took over may already be acting.
            return Err(Stop::LeaseLost);
        }
        // The call may wait for its turn, and is asked for again after a throttling, for longer than the lease lasts.
        let heart = self.heart;
        let may_act = || heart.may_act();
        let answer = effect.call(platform, Leave::while_it(&may_act)).await;
        self.executor.kill.reached(step.as_str(), "called")?;
        match answer {
            Ok(EffectAnswer::Accepted) => self.end_effect(&effect, None, intent, Ending::Done).await,
            // "Absent" is our own doing only if a former attempt began.
            Ok(EffectAnswer::Absent) if former.is_some() => {
                self.end_effect(&effect, None, intent, Ending::ByFormerAttempt).await
            }
            Ok(EffectAnswer::Absent) => self.end_effect(&effect, None, intent, Ending::Absent).await,
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
                    return self.end_effect(&effect, None, intent, Ending::ByFormerAttempt).await;
                }
                Err(Stop::from_platform(&error, self.back_off()))
            }
            Err(error) => {
                self.fail_effect(&effect, intent, former).await?;
                Err(self.platform_failed(&error))
            }
        }
    }

    async fn begin_effect(&mut self, effect: &Effect<'_>, former: Option<Former>) -> Result<EntryId, Stop> {
        self.ledger_is_written()?;
        let (step, item) = (effect.step(), effect.item());
        let mut tx = self.open("execution.begin_effect").await?;
        if let Some(former) = former.filter(|former| !former.ended) {
            self.append(&mut tx, self.event(effect.ended()).ending(former.intent, Ending::Unknown)).await?;
        }
        if let Effect::Delete { contact, .. } = effect {
            hold::refuse_if_held(self, &mut tx, contact).await?;
        }
        let event = self.event(effect.began()).with(effect_detail(effect));
        let intent = event.id;
        let cleared: Vec<Uuid> = self.cleared_holds.iter().map(|hold| hold.0).collect();
        let entry = self.ledger_entry(effect);
        ledger::enter(&mut tx, &entry).await?;
        sql::begin_effect(&mut tx, self.lease, step, item, intent.0, &cleared, event.at).await?;
        self.append(&mut tx, event).await?;
        self.executor.kill.reached(step.as_str(), "announced")?;
        tx.commit().await?;
        if let Err(stop) = self.write_outside(&entry).await {
            self.fail_effect(effect, intent, former).await?;
            return Err(stop);
        }
        Ok(intent)
    }

    /// What the ledger says of an effect, with what the suppression list will say once it is proven.
    fn ledger_entry(&self, effect: &Effect<'_>) -> Entry {
        let (kind, contact) = match effect {
            Effect::SwitchOff { contact, policy } => ((EntryKind::OptOut, Some(*policy)), *contact),
            Effect::Delete { contact, .. } => ((EntryKind::Erasure, None), *contact),
        };
        let request = (&self.lease.organisation, self.lease.request);
        let suppress = self.suppressed_by(kind.0, contact);
        let now = self.executor.desk.clock.now();
        Entry::new(&self.executor.desk.keys, request, kind, contact, &suppress, now)
            .asked_by(self.case.proof())
    }

    /// The entries of the suppression list that follow from something done at a person's request; none from a sweep, and none
    /// from a self-test, whose contact is nobody and comes back every day.
    pub(super) fn suppressed_by(&self, kind: EntryKind, contact: &ContactId) -> Vec<Hashed> {
        let purposes: &[Purpose] = match kind {
            _ if self.case.origin != Origin::Subject => &[],
            EntryKind::Erasure => Purpose::ALL,
            EntryKind::OptOut => &[Purpose::Marketing],
            EntryKind::Report | EntryKind::Hold | EntryKind::HoldEnded => &[],
        };
        let identifiers: Vec<&SubjectIdentifier> =
            self.identifiers.iter().map(|each| &each.identifier).collect();
        let keys = &self.executor.desk.keys;
        suppression::hashes(keys, &self.lease.organisation, purposes, &identifiers, Some(contact))
    }

    /// What the ledger says of a report that is about to be handed over.
    pub(super) fn report_entry(&self) -> Result<Entry, Stop> {
        let contact = self.contact()?;
        let request = (&self.lease.organisation, self.lease.request);
        let now = self.executor.desk.clock.now();
        let kind = (EntryKind::Report, None);
        Ok(Entry::new(&self.executor.desk.keys, request, kind, &contact, &[], now))
    }

    /// Writes an entry of the ledger outside of the database; what it announces is not done until that succeeds.
    pub(super) async fn write_outside(&self, entry: &Entry) -> Result<(), Stop> {
        let now = self.executor.desk.clock.now();
        self.executor.ledger.append(entry, now).await.map_err(|error| {
            tracing::error!(
                request = %self.lease.request,
                error = &error as &dyn std::error::Error,
                "the ledger cannot be written; what was to be done waits until it can"
            );
            self.waits_for_ledger()
        })
    }

    /// Whether something may be announced that the ledger has to know of before it is done.
    pub(super) fn ledger_is_written(&self) -> Result<(), Stop> {
        let now = self.executor.desk.clock.now();
        if self.executor.ledger.rests_for(now).is_some() { Err(self.waits_for_ledger()) } else { Ok(()) }
    }

    fn waits_for_ledger(&self) -> Stop {
        let rest = self.executor.ledger.rests_for(self.executor.desk.clock.now());
        let after = rest.and_then(|rest| rest.to_std().ok()).unwrap_or_default();
        Stop::wait(after.max(LEDGER_AGAIN_AFTER), "ledger_unwritable")
    }

    /// Keeps how an effect ended for the next write, which comes at the latest with the answer to the person: that of a
    /// further effect, of what was read back, or of how the run stops. A process that dies in between leaves the
    /// announcement open, and the next one looks before it acts. That next one writes at once: what a case came through
    /// after a crash or a failed attempt is counted as progress before anything else can go wrong.
    async fn end_effect(
        &mut self,
        effect: &Effect<'_>,
        began: Option<Event>,
        intent: EntryId,
        ending: Ending,
    ) -> Result<(), Stop> {
        let (step, item) = (effect.step(), effect.item());
        let ended = self.event(effect.ended()).with(effect_detail(effect)).ending(intent, ending);
        let mut finished = self.finished(step, &EffectEnded { ending: ending.as_str().to_owned() });
        item.clone_into(&mut finished.item);
        finished.events = began.into_iter().chain([ended]).collect();
        finished.marks = Marks { executed_at: Some(finished.at), ..Marks::default() };
        self.keep(finished);
        self.executor.kill.reached(step.as_str(), "ended")?;
        if self.had_trouble() { self.write_now(step).await } else { Ok(()) }
    }

    /// Records that an effect was found in place: a former attempt did it.
    pub(super) async fn end_former(&mut self, effect: &Effect<'_>, former: Former) -> Result<(), Stop> {
        let ending = Ending::ByFormerAttempt;
        if !former.ended {
            return self.end_effect(effect, None, former.intent, ending).await;
        }
        // The announcement was ended as unknown already: what was found is bracketed by itself.
        let found = self.event(effect.began()).with(effect_detail(effect));
        let intent = found.id;
        self.end_effect(effect, Some(found), intent, ending).await
    }

    /// Records that a contact was proven to be gone before its deletion was announced: bracketed by itself, and nobody is called,
    /// so that what answers again after all is not deleted.
    pub(super) async fn end_absent(&mut self, effect: &Effect<'_>) -> Result<(), Stop> {
        let key = (effect.step().as_str().to_owned(), effect.item().to_owned());
        if let Some(former) = self.checkpoints.get(&key).and_then(Former::of) {
            return self.end_former(effect, former).await;
        }
        let found = self.event(effect.began()).with(effect_detail(effect));
        let intent = found.id;
        self.end_effect(effect, Some(found), intent, Ending::Absent).await
    }

    /// An effect that happened is recorded although somebody else has the case now, outside of what that one writes.
    pub(super) async fn record_strays(&mut self) {
        for finished in std::mem::take(&mut self.unsaved) {
            if !matches!(finished.step, Step::SwitchOff | Step::Delete) {
                continue;
            }
            let recorded = match self.executor.store.connection().await {
                Ok(mut connection) => sql::record_stray(&mut connection, self.lease, &finished).await,
                Err(error) => Err(error),
            };
            if let Err(error) = recorded {
                tracing::warn!(request = %self.lease.request, %error, "an effect after the loss of its lease could not be recorded");
            }
        }
    }

    /// Records that an announced effect certainly did not happen.
    async fn fail_effect(
        &mut self,
        effect: &Effect<'_>,
        intent: EntryId,
        former: Option<Former>,
    ) -> Result<(), Stop> {
        let mut tx = self.open("execution.fail_effect").await?;
        // An attempt before this one may still have done it: it stays to be looked for.
        let former = former.map(|former| former.intent.0);
        sql::set_intent(&mut tx, self.lease, effect.step(), effect.item(), former).await?;
        let event = self.event(effect.ended()).with(effect_detail(effect)).ending(intent, Ending::Failed);
        self.append(&mut tx, event).await?;
        tx.commit().await?;
        Ok(())
    }
}

fn effect_detail(effect: &Effect<'_>) -> Detail {
    match effect {
        Effect::SwitchOff { policy, .. } => Detail::none().word("policy", policy),
        Effect::Delete { .. } => Detail::none(),
    }
}
