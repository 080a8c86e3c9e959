//! The second half of a sweep: an erasure request for each frozen contact.

use super::{
    Begun, Stage, SweepError, SweepLock, SweepReport, Sweeper, counted, detail_of, report, unsigned,
};
use crate::audit::manifest::{self, Page, PageItem};
use crate::audit::{Action, Actor};
use crate::domain::{Channel, ContactId, Origin, Personal, RequestKind, SubjectKey};
use crate::intake::{self, Submission};
use crate::retention::period::cutoff;
use crate::retention::sql::{self, Counts, UnfinishedRow};
use crate::retention::vocabulary::{StopReason, SweepState};
use crate::store::StoreError;

impl Sweeper {
    /// Takes up a sweep that was killed, or halted, while it submitted. Its candidates stand as they were frozen; time
    /// has only made them older. Where the period was lengthened or a cap lowered since, the sweep stops: the present rule did not choose them.
    pub(in crate::retention) async fn continue_submitting(
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
    pub(super) async fn submit_all(
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
        let mut items = Vec::with_capacity(candidates.len());
        for contact in candidates {
            contacts.push(contact.as_str().to_owned());
            let submission = erasure_of(contact.clone(), begun, &subject_key);
            let receipt = intake::submit_on_page(&mut tx, &self.desk, &self.controller, submission).await?;
            requests.push(receipt.request.0);
            // One that had been submitted before stands on the page of that time.
            if !receipt.repeated {
                items.push(PageItem { request: receipt.request, contact });
            }
        }
        if !items.is_empty() {
            let page = Page {
                organisation,
                sweep: begun.sweep_id,
                actor: Actor::Schedule("retention"),
                at: self.desk.clock.now(),
                items: &items,
            };
            manifest::append_page(&mut tx, page).await?;
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
        // A rule of the controller asks, nobody else.
        proof: None,
        producer: "retention".to_owned(),
        idempotency_key: format!("{}:{pseudonym}", begun.sweep_id),
        handed_in_by: None,
        sweep_target: Some((contact, begun.created_before)),
    }
}
