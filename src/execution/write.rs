//! What a run writes: findings are kept until the next write and go into one transaction under the lease's fence.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::inform;
use super::outcome::{self, ReadBackDone};
use super::procedure::Step;
use super::sql::{self, Checkpoint, Marks};
use super::stop::Stop;
use crate::audit::subject::SubjectCommitment;
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::delivery::{self, NewNotice, NewPackage};
use crate::domain::{Handling, SubjectIdentifier};
use crate::intake::{self, IdentifierRole};
use crate::queue;
use crate::recipients;
use crate::store::Tx;
use crate::suppression::ledger::EntryKind;
use crate::suppression::watch::{self, Proven};
use crate::suppression::{self, Purpose, Source};

use super::engine::Run;

/// What a step found or an outside effect came to, to be written with the next write: each transaction saved is a flush of
/// the log saved. What is lost with a process before that is found again by looking.
pub(super) struct Finished {
    pub(super) step: Step,
    /// Which of a step's several effects; empty for a step that has one or none.
    pub(super) item: String,
    pub(super) outcome: Value,
    /// When.
    pub(super) at: DateTime<Utc>,
    pub(super) events: Vec<Event>,
    pub(super) marks: Marks,
    /// Identifiers of the contact found; the contact point first.
    pub(super) identifiers: Vec<(IdentifierRole, SubjectIdentifier)>,
    pub(super) package: Option<NewPackage>,
    pub(super) notice: Option<inform::PreparedNotice>,
    /// What recipients of the data have to be told.
    pub(super) to_tell: Option<recipients::Affected>,
}

impl Run<'_> {
    /// A step or an effect is finished: attempts and crashes count from here.
    async fn note_progress(&mut self, tx: &mut Tx) -> Result<(), Stop> {
        if self.had_trouble() {
            queue::note_progress(tx, self.lease).await?;
            (self.attempt, self.crashes) = (1, 0);
        }
        Ok(())
    }

    /// What a step leaves, as it is now.
    pub(super) fn finished(&self, step: Step, outcome: &impl Serialize) -> Finished {
        Finished {
            step,
            item: String::new(),
            outcome: outcome::to_json(outcome),
            at: self.executor.desk.clock.now(),
            events: Vec::new(),
            marks: Marks::default(),
            identifiers: Vec::new(),
            package: None,
            notice: None,
            to_tell: None,
        }
    }

    /// Keeps a finding until the next write.
    pub(super) fn keep(&mut self, finished: Finished) {
        self.unsaved.push(finished);
    }

    /// Begins a transaction under the lease, and writes what is kept.
    pub(super) async fn open(&mut self, name: &'static str) -> Result<Tx, Stop> {
        let mut tx = self.executor.store.begin(name).await?;
        queue::hold(&mut tx, self.lease).await??;
        self.save(&mut tx).await?;
        Ok(tx)
    }

    pub(super) async fn save(&mut self, tx: &mut Tx) -> Result<(), Stop> {
        let unsaved = std::mem::take(&mut self.unsaved);
        let first = self.case.procedure_version.is_none();
        if unsaved.is_empty() && !first {
            return Ok(());
        }
        let now = self.executor.desk.clock.now();
        let mut marks =
            Marks { procedure_version: first.then_some(self.procedure.version), ..Marks::default() };
        for finished in &unsaved {
            marks.contact = finished.marks.contact.clone().or(marks.contact);
            marks.executed_at = finished.marks.executed_at.or(marks.executed_at);
            marks.verified_at = finished.marks.verified_at.or(marks.verified_at);
        }
        if unsaved.is_empty() {
            sql::mark(tx, self.lease, &marks).await?;
        } else {
            self.note_progress(tx).await?;
            sql::finish_and_mark(tx, self.lease, &unsaved, &marks).await?;
        }
        for finished in unsaved {
            let step = finished.step;
            self.remember(step, &finished.item, finished.outcome);
            for mut event in finished.events {
                if event.action == Action::ContactLocated {
                    event = event.about(self.commit_to_found(tx, &finished.identifiers, now).await?);
                }
                self.append(tx, event).await?;
            }
            self.save_identifiers(tx, finished.identifiers).await?;
            self.suppress(tx, step).await?;
            if step == Step::ReadBack {
                self.end_restrictions(tx).await?;
            }
            if let Some(package) = finished.package {
                delivery::record_package(tx, &self.executor.desk.keys, package).await?;
            }
            if let Some(affected) = finished.to_tell {
                let place = recipients::Place {
                    organisation: &self.lease.organisation,
                    request: self.lease.request,
                    at: now,
                    today: self.site.controller.local_date(now),
                };
                let keys = &self.executor.desk.keys;
                recipients::enqueue(tx, keys, &self.site.recipients, &affected, place).await?;
            }
            // Nobody is told of a sweep: a notice that no step sends would wait in the outbox for ever.
            if self.case.origin.is_told()
                && let Some(prepared) = finished.notice
                && let Some(recipient_no) = self.recipient()
            {
                let notice = NewNotice {
                    organisation: self.lease.organisation.clone(),
                    request: self.lease.request,
                    kind: prepared.kind,
                    sender: delivery::Sender::Procedure,
                    recipient_no,
                    language: self.language_to(recipient_no),
                    facts: prepared.facts,
                    words: prepared.words,
                    link_token: prepared.link_token,
                };
                if self.announcing == Some(notice.kind)
                    && let Some(recipient) = self.identifiers.iter().find(|each| each.number == recipient_no)
                {
                    let to = (&recipient.identifier, self.case.reference.as_str());
                    let mailer = &self.executor.mailer;
                    self.announced = Some(mailer.enqueue_and_announce(tx, notice, to, now).await);
                } else {
                    delivery::enqueue(tx, &self.executor.desk.keys, notice, now).await?;
                }
                let (organisation, request) = (&self.lease.organisation, self.lease.request);
                delivery::supersede_acknowledgement(tx, organisation, request, recipient_no, now).await?;
            }
        }
        self.case.procedure_version = Some(self.procedure.version);
        Ok(())
    }

    /// What was proven by reading back is remembered by keyed hash, so that it lasts.
    async fn suppress(&self, tx: &mut Tx, step: Step) -> Result<(), Stop> {
        let (kind, source) = match step {
            Step::ReadBack if self.case.kind.handling() == Handling::Erasure => {
                (EntryKind::Erasure, Source::Erasure)
            }
            Step::ReadBack if self.case.kind.handling() == Handling::OptOut => {
                (EntryKind::OptOut, Source::OptOut)
            }
            // Data that a hold keeps is used for nothing else.
            Step::Hold => (EntryKind::OptOut, Source::OptOut),
            _ => return Ok(()),
        };
        let hashed = self.suppressed_by(kind, &self.contact()?);
        if hashed.is_empty() {
            return Ok(());
        }
        let now = self.executor.desk.clock.now();
        let entries = suppression::add(tx, &self.site.controller, &hashed, source, now).await?;
        let detail = Detail::none().word("source", source.as_str()).count("entries", entries);
        self.append(tx, self.event(Action::SuppressionAdded).with(detail)).await?;
        if step == Step::ReadBack { self.watch(tx, kind, now).await } else { Ok(()) }
    }

    /// What was proven just now is looked at again later, so that it is known to last.
    async fn watch(&self, tx: &mut Tx, kind: EntryKind, since: DateTime<Utc>) -> Result<(), Stop> {
        let read: Option<ReadBackDone> = self.outcome(Step::ReadBack)?;
        let proven = Proven {
            organisation: &self.lease.organisation,
            request: self.lease.request,
            purpose: if kind == EntryKind::Erasure { Purpose::ReCreation } else { Purpose::Marketing },
            contact: &self.contact()?,
            policies: if kind == EntryKind::Erasure { &[] } else { &self.case.policies },
            others: read.map_or(0, |read| read.other_contacts),
            since,
        };
        watch::begin(tx, &self.executor.desk.keys, &self.executor.watch, proven).await?;
        Ok(())
    }

    /// Of a case for which nobody gave an identifier (a sweep's), what the platform tells at the first look is committed to, so
    /// that the log can be asked about the person as it can about those who asked themselves.
    async fn commit_to_found(
        &self,
        tx: &mut Tx,
        found: &[(IdentifierRole, SubjectIdentifier)],
        now: DateTime<Utc>,
    ) -> Result<Option<SubjectCommitment>, Stop> {
        if !self.identifiers.is_empty() || found.is_empty() {
            return Ok(None);
        }
        let found: Vec<SubjectIdentifier> = found.iter().map(|(_, identifier)| identifier.clone()).collect();
        let (keys, organisation) = (&self.executor.desk.keys, &self.lease.organisation);
        Ok(audit::subject::commit_to(tx, keys, organisation, self.lease.request, &found, now).await?)
    }

    async fn save_identifiers(
        &mut self,
        tx: &mut Tx,
        identifiers: Vec<(IdentifierRole, SubjectIdentifier)>,
    ) -> Result<(), Stop> {
        let mut new: Vec<(IdentifierRole, SubjectIdentifier)> = Vec::new();
        for (role, identifier) in identifiers {
            let stored =
                self.identifiers.iter().any(|each| each.role == role && each.identifier == identifier);
            if !stored && !new.iter().any(|each| each.0 == role && each.1 == identifier) {
                new.push((role, identifier));
            }
        }
        let keys = &self.executor.desk.keys;
        // Only the holder of the lease adds identifiers, so that these are all.
        let first = self.identifiers.iter().map(|each| each.number + 1).max().unwrap_or_default();
        let added =
            intake::add_identifiers(tx, keys, &self.lease.organisation, self.lease.request, first, new)
                .await?;
        self.identifiers.extend(added);
        Ok(())
    }

    pub(super) fn remember(&mut self, step: Step, item: &str, outcome: Value) {
        let key = (step.as_str().to_owned(), item.to_owned());
        let checkpoint = Checkpoint {
            step: key.0.clone(),
            item: key.1.clone(),
            attempts: 1,
            intent: None,
            ended_intent: None,
            absent_since: None,
            finished_at: Some(self.executor.desk.clock.now()),
            outcome: Some(outcome),
        };
        self.checkpoints.insert(key, checkpoint);
    }

    pub(super) fn event(&self, action: Action) -> Event {
        let now = self.executor.desk.clock.now();
        Event::of(&self.lease.organisation, self.lease.request, action, Actor::Process("worker"), now)
    }

    pub(super) async fn append(&self, tx: &mut Tx, event: Event) -> Result<(), Stop> {
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
}
