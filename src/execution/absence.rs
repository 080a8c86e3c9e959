//! Looks that do not find somebody: one answer may come from a copy that lags behind, or from a gateway (F-39). What one look did
//! not find is looked for again; what a second one does not find either, at a platform that serves, is gone.
//!
//! Where a step looks for several things, each is believed to be gone by two looks of its own.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::engine::Run;
use super::procedure::Step;
use super::sql::{self, Checkpoint};
use super::stop::{Note, Stop};
use crate::audit::{Action, Detail};
use crate::platform::{OrganisationMatch, PlatformError};
use crate::store::Tx;

/// Why a request waits between the two looks.
pub(super) const SECOND_LOOK: &str = "second_look";

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// By which step.
    pub(super) step: Step,
    /// Which of the several things that it looks for; empty for a step that looks for the contact alone.
    pub(super) item: &'static str,
}

impl From<Step> for Look {
    fn from(step: Step) -> Self {
        Self { step, item: "" }
    }
}

impl Run<'_> {
    /// Since when every look found it gone. A look that lies ahead by more than the wait for the second one was made by a clock
    /// that was wrong (F-48): it proves nothing, and would be waited for.
    pub(super) fn absent_since(&self, look: impl Into<Look>) -> Option<DateTime<Utc>> {
        let Look { step, item } = look.into();
        let since = self.checkpoints.get(&(step.as_str().to_owned(), item.to_owned()))?.absent_since?;
        let latest = self.executor.desk.clock.now() + self.executor.settings.second_look();
        (since <= latest).then_some(since)
    }

    /// How long it still is until the second look; none when it is due, or when there was no first one.
    pub(super) fn until_second_look(&self, look: impl Into<Look>) -> Option<Duration> {
        let passed = self.executor.desk.clock.now() - self.absent_since(look)?;
        let left = self.executor.settings.second_look().checked_sub(passed.to_std().unwrap_or_default())?;
        (!left.is_zero()).then_some(left)
    }

    /// A first look found it gone: the lease is given back until the second one is due (F-39).
    pub(super) fn look_a_second_time(&self, look: impl Into<Look>) -> Stop {
        let note = Some(Note::Absence(look.into()));
        let after = self.executor.settings.second_look();
        Stop::Again { after, code: SECOND_LOOK, counts: None, note }
    }

    /// Believes a look that did not find the contact by its id, or one of the lists about it, once one before it did not either,
    /// and the platform shows that it serves. Returns since when.
    pub(super) async fn prove_absence(&self, look: impl Into<Look>) -> Result<DateTime<Utc>, Stop> {
        let look = look.into();
        let Some(absent_since) = self.absent_since(look) else { return Err(self.look_a_second_time(look)) };
        if let Some(left) = self.until_second_look(look) {
            return Err(Stop::wait(left, SECOND_LOOK));
        }
        let platform = &self.site.platform;
        let looked = async {
            let organisation = platform.check_organisation().await?;
            // The log-in may serve while nobody's contact is shown.
            platform.check_contacts().await?;
            Ok(organisation)
        };
        match looked.await {
            Ok(OrganisationMatch::Same | OrganisationMatch::Unknown) => Ok(absent_since),
            Ok(OrganisationMatch::Other) | Err(PlatformError::Rejected { .. }) => {
                Err(self.later("absence_unconfirmed"))
            }
            Err(error) => Err(self.platform_failed(&error)),
        }
    }

    /// A look finds what one before it did not find: that one counts no more.
    pub(super) async fn forget_absence(&mut self, look: impl Into<Look>) -> Result<(), Stop> {
        let look @ Look { step, item } = look.into();
        let key = (step.as_str().to_owned(), item.to_owned());
        let is_noted = |noted: &Checkpoint| noted.absent_since.is_some() && noted.outcome.is_none();
        if !self.checkpoints.get(&key).is_some_and(is_noted) {
            return Ok(());
        }
        tracing::warn!(request = %self.lease.request, step = step.as_str(), item, "what one look did not find answers again");
        let mut tx = self.open("execution.forget_absence").await?;
        sql::forget_absence(&mut tx, self.lease, look).await?;
        tx.commit().await?;
        if let Some(noted) = self.checkpoints.get_mut(&key) {
            noted.absent_since = None;
        }
        Ok(())
    }

    /// Records that a contact which had been seen to be gone is there again: it is not told done, and looked at again.
    pub(super) async fn note_return(
        &self,
        tx: &mut Tx,
        step: Step,
        code: &'static str,
        absence_lasts: bool,
    ) -> Result<(), Stop> {
        if absence_lasts || self.absent_since(step).is_none() {
            return Ok(());
        }
        tracing::warn!(request = %self.lease.request, code, "a contact that had been seen to be gone answers again");
        let detail = Detail::none().word("code", code).flag("after_absence", true);
        self.append(tx, self.event(Action::VerificationFailed).with(detail)).await
    }
}
