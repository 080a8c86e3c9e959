//! The first part of a sweep: everybody is listed, those past their time are frozen, the caps are asked.

use futures_util::TryStreamExt;

use super::held::Holds;
use super::{
    Begun, Stage, SweepError, SweepLock, SweepReport, Sweeper, counted, detail_of, found, report, unsigned,
};
use crate::audit::{Action, Actor};
use crate::domain::ContactId;
use crate::platform::{ListingBatch, PlatformError};
use crate::retention::due::SCHEDULE;
use crate::retention::look::{self, Finding};
use crate::retention::settings::RETRY_AFTER;
use crate::retention::sql::{self, Counts, UnfinishedRow};
use crate::retention::survey::{self, Candidate, EVERYBODY, Survey};
use crate::retention::vocabulary::{StopReason, SweepState};
use crate::store::{StoreError, Tx};
use crate::suppression::{self, watch};

impl Sweeper {
    /// Carries a recorded sweep to its end.
    pub(in crate::retention) async fn carry_out(
        &self,
        begun: Begun,
        lock: &mut SweepLock,
    ) -> Result<SweepReport, SweepError> {
        self.pass(Stage::Started)?;
        match self.list(&begun).await {
            Ok((survey, None)) => {
                self.pass(Stage::Surveyed)?;
                let counts = counts(&survey);
                if self.rule.activity.is_some() {
                    return self.begin_reading(&begun, counts, lock).await;
                }
                self.decide(&begun, counts, None, lock).await
            }
            Ok((survey, distrust)) => self.decide(&begun, counts(&survey), distrust, lock).await,
            Err(ListingError::Platform(survey, error)) => self.give_up(&begun, counts(&survey), &error).await,
            Err(ListingError::Sweep(error)) => Err(error),
        }
    }

    /// Lists all contacts and freezes those past their time. The second part says why the platform is not trusted, in
    /// which case nothing was listed.
    async fn list(&self, begun: &Begun) -> Result<(Survey, Option<StopReason>), ListingError> {
        let mut survey =
            Survey::new(begun.created_before, begun.started_at, &self.rule, self.controller.time_zone);
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
                Ok(None) => break,
                Err(error) => return Err(ListingError::Platform(Box::new(survey), error)),
            };
            self.look_for_erased(begun, &batch).await.map_err(SweepError::from)?;
            let past = survey.take(batch);
            self.freeze(begun, &mut survey, past).await.map_err(SweepError::from)?;
            self.pass(Stage::Listed)?;
        }
        drop(listing);
        match look::findings(
            self.platform.as_ref(),
            &self.rule,
            &survey,
            begun.started_at,
            self.controller.time_zone,
        )
        .await
        {
            Ok(found) => self.note(begun, &found).await.map_err(SweepError::from)?,
            Err(error) => return Err(ListingError::Platform(Box::new(survey), error)),
        }
        Ok((survey, None))
    }

    /// Records what was found that no sweep can mend, and says so.
    async fn note(&self, begun: &Begun, found: &[Finding]) -> Result<(), StoreError> {
        if found.is_empty() {
            return Ok(());
        }
        let mut connection = self.store.connection().await?;
        sql::insert_findings(&mut connection, &self.controller.id, begun.sweep_id, found).await?;
        drop(connection);
        for finding in found.iter().filter(|finding| finding.contacts > 0) {
            tracing::warn!(
                organisation = %self.controller.id, sweep = %begun.sweep_id, kind = finding.finding.as_str(),
                count = finding.contacts,
                "the retention sweep found what it cannot mend, see dsrd retention list"
            );
        }
        Ok(())
    }

    /// Has those contacts looked at that are listed although they were erased. The sweep itself does nothing about it: a
    /// contact past its time is a candidate as any other.
    async fn look_for_erased(&self, begun: &Begun, batch: &ListingBatch) -> Result<(), StoreError> {
        if batch.contacts.is_empty() {
            return Ok(());
        }
        let organisation = &self.controller.id;
        let contacts: Vec<&ContactId> = batch.contacts.iter().map(|contact| &contact.id).collect();
        let mut connection = self.store.connection().await?;
        let erased =
            suppression::erased_among(&mut connection, &self.desk.keys, organisation, &contacts).await?;
        drop(connection);
        if erased.is_empty() {
            return Ok(());
        }
        let listed: Vec<_> = erased
            .into_iter()
            .filter_map(|(place, since)| contacts.get(place).map(|contact| (*contact, since)))
            .collect();
        let mut tx = self.store.begin("retention.look_for_erased").await?;
        let planned =
            watch::look_at_erased(&mut tx, &self.desk.keys, organisation, &listed, self.desk.clock.now())
                .await?;
        tx.commit().await?;
        if planned > 0 {
            tracing::warn!(%organisation, sweep = %begun.sweep_id, count = planned, "the sweep lists contacts that were erased; they are looked at, see dsrd suppression watch");
        }
        Ok(())
    }

    /// Keeps those of a page that are past their time: candidates, and apart from them whom a hold keeps.
    async fn freeze(
        &self,
        begun: &Begun,
        survey: &mut Survey,
        past: Vec<Candidate>,
    ) -> Result<(), StoreError> {
        if past.is_empty() {
            return Ok(());
        }
        let mut connection = self.store.connection().await?;
        let (organisation, most) = (&self.controller.id, self.rule.caps.most_contacts);
        let contacts = past.iter().map(|each| (&each.contact, each.created_at));
        let now = self.desk.clock.now();
        let held = self.holds().among(&mut connection, &self.controller, contacts, now).await?;
        let room = usize::try_from(most.saturating_sub(survey.held)).unwrap_or(usize::MAX);
        let (candidates, held) = survey.split(past, &held);
        if !held.is_empty() {
            sql::insert_held(&mut connection, organisation, begun.sweep_id, &held, room).await?;
        }
        // Above the cap nothing of this sweep will be submitted: count on, but keep no more contacts. Of those whose
        // records are still to be read nobody knows yet how many will be left.
        let within = self.rule.activity.is_some() || survey.candidates <= most;
        if !candidates.is_empty() && within {
            sql::insert_candidates(&mut connection, organisation, begun.sweep_id, &candidates).await?;
        }
        Ok(())
    }

    pub(super) fn holds(&self) -> Holds<'_> {
        Holds { store: &self.store, keys: &self.desk.keys }
    }

    /// Stops at a safeguard, or goes on to submit. Caps are asked of what is left to submit, and so is what a person confirmed.
    pub(super) async fn decide(
        &self,
        begun: &Begun,
        counts: Counts,
        distrust: Option<StopReason>,
        lock: &mut SweepLock,
    ) -> Result<SweepReport, SweepError> {
        let candidates = unsigned(counts.candidates);
        let stop = distrust
            .or_else(|| self.rule.caps.exceeded_by(candidates, unsigned(counts.contacts)))
            .or_else(|| {
                let differs = begun.confirmed.is_some_and(|confirmed| confirmed != candidates);
                differs.then_some(StopReason::NotConfirmed)
            });
        if let Some(reason) = stop {
            return Ok(self.end_listing(begun, counts, SweepState::Stopped, reason).await?);
        }
        let mut connection = self.store.connection().await?;
        let organisation = &self.controller.id;
        sql::end_listing(&mut connection, organisation, begun.sweep_id, counts, SweepState::Submitting, None)
            .await?;
        drop(connection);
        self.pass(Stage::Decided)?;
        self.submit_all(begun, counts, lock).await
    }

    /// Records that the platform gave no complete listing. A passing trouble makes the schedule due again soon.
    pub(super) async fn give_up(
        &self,
        begun: &Begun,
        counts: Counts,
        error: &PlatformError,
    ) -> Result<SweepReport, SweepError> {
        let reason = StopReason::from_platform(error);
        tracing::warn!(
            organisation = %self.controller.id, sweep = %begun.sweep_id, %reason, %error,
            "the retention sweep could not list the contacts; nothing was submitted"
        );
        let report = self.end_listing(begun, counts, SweepState::Failed, reason).await?;
        if reason == StopReason::PlatformUnavailable && begun.scheduled_for.is_some() {
            let again_at = self.desk.clock.now() + RETRY_AFTER;
            let mut connection = self.store.connection().await?;
            sql::bring_forward(&mut connection, (&self.controller.id, SCHEDULE), again_at).await?;
        }
        Ok(report)
    }

    /// Ends a sweep before anything is submitted.
    pub(super) async fn end_listing(
        &self,
        begun: &Begun,
        counts: Counts,
        state: SweepState,
        reason: StopReason,
    ) -> Result<SweepReport, StoreError> {
        let now = self.desk.clock.now();
        let mut tx = self.store.begin("retention.stop").await?;
        let end = Some((reason, now));
        let held = sql::end_listing(&mut tx, &self.controller.id, begun.sweep_id, counts, state, end).await?;
        let skipped = unsigned(held);
        let findings = sql::list_findings(&mut tx, &self.controller.id, begun.sweep_id).await?;
        let detail = found(counted(detail_of(begun.sweep_id), counts), &findings)
            .count("skipped", skipped)
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
        Ok(SweepReport { skipped, findings, ..report(begun, state, Some(reason), counts, 0) })
    }

    /// Marks a sweep that was killed while it listed.
    pub(in crate::retention) async fn fail_interrupted(
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

fn counts(survey: &Survey) -> Counts {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Counts {
        contacts: signed(survey.contacts),
        candidates: signed(survey.candidates),
        active: signed(survey.active),
        unclear: 0,
        unreadable: signed(survey.unreadable),
    }
}
