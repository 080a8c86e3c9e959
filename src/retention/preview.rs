//! What a sweep would do, without doing it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use serde::Serialize;

use super::look::{Finding, findings};
use super::period::cutoff;
use super::survey::{ActiveLately, Candidate, EVERYBODY, Survey, distrust};
use super::sweep::held::Holds;
use super::{Rule, StopReason};
use crate::domain::Controller;
use crate::platform::{ContactPlatform, PlatformError, Seen, Span, Urgency, seen_since};
use crate::store::StoreError;

/// Why it is not known what a sweep would do.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The platform failed.
    #[error("the contacts could not be looked through")]
    Platform(#[from] PlatformError),
    /// The database failed.
    #[error("it could not be looked up whom a hold keeps")]
    Store(#[from] StoreError),
}

/// What a sweep would do at this moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// Contacts created before this instant are past their time.
    pub created_before: DateTime<Utc>,
    /// All contacts of the organisation.
    pub contacts: u64,
    /// Contacts past their time that no hold keeps: those that a sweep would submit.
    pub candidates: u64,
    /// Contacts past their time, or for a period from the last activity old enough, that a hold or a restriction keeps: left to a
    /// later sweep.
    pub held: u64,
    /// Contacts created before that instant, whatever became of them since.
    pub old_enough: u64,
    /// For a period from the last activity: those of them that were active since.
    pub active: u64,
    /// For a period from the last activity: those of them whose last activity cannot be known. Never erased by a sweep.
    pub unclear: u64,
    /// For a period from the creation: what the listing tells of candidates who still come.
    pub active_lately: Option<ActiveLately>,
    /// Candidates among all contacts, in hundredths of a percent, rounded up.
    pub share_basis_points: u64,
    /// Contacts whose date of creation is missing, cannot be read or lies in the future, and records that cannot be
    /// read at all: never erased by a sweep.
    pub unreadable: u64,
    /// When the oldest candidate was created.
    pub oldest: Option<DateTime<Utc>>,
    /// When the newest candidate was created.
    pub newest: Option<DateTime<Utc>>,
    /// What was found that no sweep can mend.
    pub findings: Vec<Finding>,
    /// Why a sweep would stop without submitting anything; `None` when it would go on.
    pub stops: Option<StopReason>,
}

/// How far a preview has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many contacts are listed.
    Listed(u64),
    /// The records of so many contacts are read, of so many to read.
    Read(u64, u64),
}

impl Preview {
    /// Whether a sweep would submit its candidates.
    #[must_use]
    pub const fn allowed(&self) -> bool {
        self.stops.is_none()
    }
}

/// Finds out what a sweep would do, without doing it: the platform is only listed and read, nothing is written anywhere.
/// For a period from the creation, pages are dropped as soon as they are counted; for one from the last activity, the ids of
/// those are kept whose records must be read. Without `holds`, where no database is at hand, nobody is known to be held.
/// `progress` is told how far it came.
pub async fn preview(
    platform: &dyn ContactPlatform,
    controller: &Controller,
    rule: &Rule,
    now: DateTime<Utc>,
    holds: Option<Holds<'_>>,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Preview, PreviewError> {
    let probe = platform.probe().await?;
    let mut survey = Survey::new(cutoff(now, rule, controller.time_zone), now, rule, controller.time_zone);
    let mut listing = platform.list_created_before(EVERYBODY);
    let mut to_read = Vec::new();
    while let Some(batch) = listing.try_next().await? {
        let past = survey.take(batch);
        let candidates = split(&mut survey, past, controller, holds).await?;
        if rule.activity.is_some() {
            to_read.extend(candidates);
        }
        progress(Progress::Listed(survey.contacts));
    }
    drop(listing);
    let mut unclear = 0;
    let distrusted = distrust(&probe);
    let found = findings(platform, rule, &survey, now, controller.time_zone).await?;
    if let (Some(activity), None) = (&rule.activity, distrusted) {
        survey.start_anew();
        let span = Span { since: survey.created_before, now };
        let all = to_read.len() as u64;
        for (number, candidate) in (1..).zip(&to_read) {
            match seen_since(platform, &candidate.contact, activity, span, Urgency::Sweep).await? {
                Seen::Before => survey.note(candidate.created_at),
                Seen::Since => survey.active += 1,
                Seen::Unclear => unclear += 1,
                Seen::Gone => {}
            }
            progress(Progress::Read(number, all));
        }
    }
    Ok(Preview {
        created_before: survey.created_before,
        contacts: survey.contacts,
        candidates: survey.candidates,
        held: survey.held,
        old_enough: survey.old_enough,
        active: survey.active,
        unclear,
        active_lately: rule.activity.is_none().then_some(survey.lately),
        share_basis_points: survey.share_basis_points(),
        unreadable: survey.unreadable,
        oldest: survey.oldest,
        newest: survey.newest,
        findings: found,
        stops: distrusted.or_else(|| rule.caps.exceeded_by(survey.candidates, survey.contacts)),
    })
}

/// Counts whom a hold keeps of those of a page that are past their time, and returns the others.
async fn split(
    survey: &mut Survey,
    past: Vec<Candidate>,
    controller: &Controller,
    holds: Option<Holds<'_>>,
) -> Result<Vec<Candidate>, StoreError> {
    let held = match holds {
        Some(holds) if !past.is_empty() => {
            let contacts = past.iter().map(|each| (&each.contact, each.created_at));
            let mut connection = holds.store.connection().await?;
            holds.among(&mut connection, controller, contacts, survey.now).await?
        }
        _ => BTreeMap::new(),
    };
    Ok(survey.split(past, &held).0)
}
