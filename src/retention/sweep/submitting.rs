//! The last part of a sweep: an erasure request for each frozen contact.

use chrono::{DateTime, Utc};

use super::{
    Begun, Stage, SweepError, SweepLock, SweepReport, Sweeper, counted, detail_of, found, report, unsigned,
};
use crate::audit::manifest::{self, Page, PageItem};
use crate::audit::{Action, Actor};
use crate::domain::{Channel, ContactId, Origin, RequestKind, RequesterRole, SubjectKey};
use crate::intake::{self, Submission};
use crate::retention::sql::{self, Counts, UnfinishedRow};
use crate::retention::vocabulary::{SkipReason, StopReason, SweepState};
use crate::store::{StoreError, Tx};

impl Sweeper {
    /// Takes up a sweep that was killed, or halted, while it submitted. Its candidates stand as they were frozen; time
    /// has only made them older. Where the period was lengthened or a cap lowered since, the sweep stops: the present rule did not choose them.
    pub(in crate::retention) async fn continue_submitting(
        &self,
        unfinished: UnfinishedRow,
        lock: &mut SweepLock,
    ) -> Result<SweepReport, SweepError> {
        let counts = unfinished.counts();
        let begun = Self::taken_up(&unfinished);
        let over_present_caps =
            self.rule.caps.exceeded_by(unsigned(counts.candidates), unsigned(counts.contacts)).is_some();
        if self.chooses_otherwise(&unfinished) || over_present_caps {
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
        let taken = candidates.len();
        let candidates = self.skip_held(&mut tx, begun, candidates).await?;
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
        Ok(taken)
    }

    /// Leaves those candidates to a later sweep against whom a hold was placed since they were listed, or about whom a request for a
    /// copy of the data is open, and returns the others. Holds that count from a contact's last record are found out before its
    /// deletion, where no earlier sweep did so.
    async fn skip_held(
        &self,
        tx: &mut Tx,
        begun: &Begun,
        candidates: Vec<(ContactId, DateTime<Utc>)>,
    ) -> Result<Vec<ContactId>, StoreError> {
        let organisation = &self.controller.id;
        let contacts = candidates.iter().map(|(contact, created)| (contact, *created));
        let held = self.holds().among(tx, &self.controller, contacts, self.desk.clock.now()).await?;
        let names: Vec<String> = candidates.iter().map(|(contact, _)| contact.as_str().to_owned()).collect();
        let asked = sql::with_open_access(tx, organisation, &names).await?;
        let (mut left, mut skipped, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (contact, _)) in candidates.into_iter().enumerate() {
            let is_asked = || asked.iter().any(|name| name == contact.as_str());
            let reason = held.get(&place).copied();
            match reason.or_else(|| is_asked().then_some(SkipReason::OpenAccessRequest)) {
                Some(reason) => {
                    skipped.push(contact.as_str().to_owned());
                    reasons.push(reason.as_str().to_owned());
                }
                None => left.push(contact),
            }
        }
        if !skipped.is_empty() {
            sql::skip(tx, organisation, begun.sweep_id, &skipped, &reasons).await?;
        }
        Ok(left)
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
        let (submitted, skipped) =
            sql::end_submitting(&mut tx, &self.controller.id, begun.sweep_id, state, reason, now).await?;
        let submitted = u64::try_from(submitted).unwrap_or_default();
        let skipped = u64::try_from(skipped).unwrap_or_default();
        let findings = sql::list_findings(&mut tx, &self.controller.id, begun.sweep_id).await?;
        let detail = found(counted(detail_of(begun.sweep_id), counts), &findings)
            .count("submitted", submitted)
            .count("skipped", skipped)
            .word("state", state.as_str());
        let (action, detail) = match reason {
            None => (Action::SweepFinished, detail),
            Some(reason) => (Action::SweepStopped, detail.word("reason", reason.as_str())),
        };
        self.append(&mut tx, action, begun.actor.clone(), now, detail).await?;
        tx.commit().await?;
        tracing::info!(
            organisation = %self.controller.id, sweep = %begun.sweep_id, %state,
            contacts = counts.contacts, candidates = counts.candidates, unreadable = counts.unreadable, submitted, skipped,
            "the retention sweep ended"
        );
        Ok(SweepReport { skipped, findings, ..report(begun, state, reason, counts, submitted) })
    }
}

/// The erasure of one candidate. Its key is the same however often the batch is tried.
fn erasure_of(contact: ContactId, begun: &Begun, key: &SubjectKey) -> Submission {
    let pseudonym = key.contact(&contact);
    Submission {
        kind: RequestKind::Erasure,
        also: Vec::new(),
        kind_unknown: false,
        requester_role: RequesterRole::Own,
        origin: Origin::Retention,
        channel: Channel::Retention,
        received_at: begun.started_at,
        language: None,
        identifiers: Vec::new(),
        policies: Vec::new(),
        ground: None,
        // A rule of the controller asks, nobody else.
        proof: None,
        producer: "retention".to_owned(),
        idempotency_key: format!("{}:{pseudonym}", begun.sweep_id),
        handed_in_by: None,
        sweep_target: Some((contact, begun.created_before)),
        follows: None,
    }
}
