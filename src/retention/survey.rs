//! Looking through all contacts of an organisation: who is past their time, and may a sweep go on?
//!
//! One listing of *everybody* gives both the candidates and the base of the percentage cap, so that the two come from
//! the same moment. Nothing rests on the platform's filter by creation date: every contact is compared here. The
//! filter is probed all the same, because a platform that ignores what it is asked is not one to delete at by the
//! thousand.
//!
//! Where the period runs from the last activity, the listing still goes by creation: nobody who was created within the
//! period can have been away for longer. Of those who are old enough, the dates that the listing itself shows settle some;
//! the records of the others are read afterwards ([`seen_since`]), when the listing is complete, because a scroll of the
//! platform does not wait.

use chrono::{DateTime, Months, TimeDelta, Utc};
use futures_util::TryStreamExt;
use serde::Serialize;

use super::period::cutoff;
use super::settings::MOST_CLOCK_DIFFERENCE_SECS;
use super::{Rule, StopReason};
use crate::domain::{ActivityRule, ContactId, Controller};
use crate::platform::{
    ContactPlatform, Created, FilterTrust, ListedContact, ListingBatch, PlatformError, ProbeReport, Seen,
    Span, Urgency, seen_since,
};

/// Later than any date of creation: whoever lists the contacts created before it lists everybody. (2999-01-01.)
pub(super) const EVERYBODY: DateTime<Utc> =
    DateTime::from_timestamp(32_472_144_000, 0).expect("a date in range");

/// What a sweep would do at this moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// Contacts created before this instant are past their time.
    pub created_before: DateTime<Utc>,
    /// All contacts of the organisation.
    pub contacts: u64,
    /// Contacts past their time: those that a sweep would submit.
    pub candidates: u64,
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
    /// Why a sweep would stop without submitting anything; `None` when it would go on.
    pub stops: Option<StopReason>,
}

/// How many candidates of a period from the creation still come, as far as the listing shows it at no further cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ActiveLately {
    /// Candidates whose listed log-in or visit lies within the last 12 months.
    pub active: u64,
    /// Candidates of which the listing shows a log-in or visit at all; of the others nothing is known.
    pub dated: u64,
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
/// those are kept whose records must be read. `progress` is told how far it came.
pub async fn preview(
    platform: &dyn ContactPlatform,
    controller: &Controller,
    rule: &Rule,
    now: DateTime<Utc>,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Preview, PlatformError> {
    let probe = platform.probe().await?;
    let mut survey = Survey::new(cutoff(now, rule, controller.time_zone), now, rule.activity.as_ref());
    let mut listing = platform.list_created_before(EVERYBODY);
    let mut to_read = Vec::new();
    while let Some(batch) = listing.try_next().await? {
        if rule.activity.is_some() {
            to_read.extend(survey.take(batch));
        } else {
            survey.count(&batch);
        }
        progress(Progress::Listed(survey.contacts));
    }
    drop(listing);
    let mut unclear = 0;
    let distrusted = distrust(&probe);
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
        old_enough: survey.old_enough,
        active: survey.active,
        unclear,
        active_lately: rule.activity.is_none().then_some(survey.lately),
        share_basis_points: survey.share_basis_points(),
        unreadable: survey.unreadable,
        oldest: survey.oldest,
        newest: survey.newest,
        stops: distrusted.or_else(|| rule.caps.exceeded_by(survey.candidates, survey.contacts)),
    })
}

/// Why the platform's answers are no ground for a sweep, if they are not.
pub(super) fn distrust(probe: &ProbeReport) -> Option<StopReason> {
    let clocks_differ = probe
        .clock_difference_secs
        .is_some_and(|difference| difference.unsigned_abs() > MOST_CLOCK_DIFFERENCE_SECS);
    if clocks_differ {
        Some(StopReason::ClockDiffers)
    } else if probe.created == FilterTrust::Ignored {
        Some(StopReason::FilterNotHonoured)
    } else {
        None
    }
}

/// A contact past its time.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) contact: ContactId,
    pub(super) created_at: DateTime<Utc>,
}

/// The running count of a listing.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    pub(super) created_before: DateTime<Utc>,
    now: DateTime<Utc>,
    activity: Option<ActivityRule>,
    pub(super) contacts: u64,
    pub(super) old_enough: u64,
    /// Of those old enough, who were active since by what the listing shows.
    pub(super) active: u64,
    pub(super) candidates: u64,
    lately: ActiveLately,
    pub(super) unreadable: u64,
    pub(super) oldest: Option<DateTime<Utc>>,
    pub(super) newest: Option<DateTime<Utc>>,
}

impl Survey {
    pub(super) fn new(
        created_before: DateTime<Utc>,
        now: DateTime<Utc>,
        activity: Option<&ActivityRule>,
    ) -> Self {
        Self {
            created_before,
            now,
            activity: activity.cloned(),
            contacts: 0,
            old_enough: 0,
            active: 0,
            candidates: 0,
            lately: ActiveLately { active: 0, dated: 0 },
            unreadable: 0,
            oldest: None,
            newest: None,
        }
    }

    /// Forgets the candidates: they were only to be read, and those who are left are noted one by one.
    const fn start_anew(&mut self) {
        self.candidates = 0;
        self.oldest = None;
        self.newest = None;
    }

    /// Counts a candidate.
    fn note(&mut self, created_at: DateTime<Utc>) {
        self.candidates += 1;
        self.oldest = Some(self.oldest.map_or(created_at, |oldest| oldest.min(created_at)));
        self.newest = Some(self.newest.map_or(created_at, |newest| newest.max(created_at)));
    }

    /// Whether the listing itself settles that a contact who is old enough is kept; counts what it tells.
    fn is_active(&mut self, contact: &ListedContact) -> bool {
        if let Some(activity) = &self.activity {
            let span = Span { since: self.created_before, now: self.now };
            let active = contact.shows.counting(activity).any(|shown| span.judge(shown) == Some(Seen::Since));
            self.active += u64::from(active);
            return active;
        }
        let shown = [contact.shows.last_login, contact.shows.last_visit];
        if let Some(latest) = shown.iter().filter_map(|shown| shown.latest()).max() {
            self.lately.dated += 1;
            self.lately.active += u64::from(latest >= self.now - Months::new(12));
        }
        false
    }

    /// Counts a page.
    pub(super) fn count(&mut self, batch: &ListingBatch) {
        self.count_others(batch);
        for contact in &batch.contacts {
            self.past_its_time(contact);
        }
    }

    /// Counts a page and keeps its candidates.
    pub(super) fn take(&mut self, batch: ListingBatch) -> Vec<Candidate> {
        self.count_others(&batch);
        let candidate = |contact: ListedContact| {
            let created_at = self.past_its_time(&contact)?;
            Some(Candidate { contact: contact.id, created_at })
        };
        batch.contacts.into_iter().filter_map(candidate).collect()
    }

    /// Candidates among all contacts, in hundredths of a percent, rounded up.
    pub(super) fn share_basis_points(&self) -> u64 {
        let share = (u128::from(self.candidates) * 10_000).div_ceil(u128::from(self.contacts.max(1)));
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// Records without a readable creation date count as contacts, and as nothing else.
    const fn count_others(&mut self, batch: &ListingBatch) {
        let others = batch.unreadable + batch.undated + batch.strangers;
        self.contacts += batch.contacts.len() as u64 + others;
        self.unreadable += others;
    }

    /// The date of creation of a candidate; `None`, and counted, when it is unknown or in the future, or when the listing
    /// shows activity that counts.
    fn past_its_time(&mut self, contact: &ListedContact) -> Option<DateTime<Utc>> {
        let created = contact.created;
        let created_at = match created {
            Created::At(instant) | Created::About(instant) => instant,
            Created::Unknown => {
                self.unreadable += 1;
                return None;
            }
        };
        // A local time without a zone may seem to lie up to 14 hours ahead.
        if created_at > self.now + TimeDelta::hours(14) {
            self.unreadable += 1;
            return None;
        }
        let latest =
            if matches!(created, Created::About(_)) { created_at + TimeDelta::hours(14) } else { created_at };
        if latest >= self.created_before {
            return None;
        }
        self.old_enough += 1;
        if self.is_active(contact) {
            return None;
        }
        self.note(created_at);
        Some(created_at)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::platform::ProfileDates;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn survey() -> Survey {
        Survey::new(at("2023-11-22T00:00:00Z"), at("2026-11-23T00:00:00Z"), None)
    }

    fn counted(contacts: u64, candidates: u64) -> Survey {
        Survey { contacts, candidates, ..survey() }
    }

    #[test]
    fn f_53_unknown_and_future_dates_are_counted_and_never_candidates() {
        let listed = |id: &str, created| ListedContact {
            id: id.parse().unwrap(),
            created,
            shows: ProfileDates::default(),
        };
        let batch = ListingBatch {
            contacts: vec![
                listed("old", Created::At(at("2020-01-01T00:00:00Z"))),
                listed("old-local", Created::About(at("2023-11-21T09:59:59Z"))),
                listed("old-in-some-zones", Created::About(at("2023-11-21T10:00:00Z"))),
                listed("just-kept", Created::At(at("2023-11-22T00:00:00Z"))),
                listed("future", Created::At(at("2030-01-01T00:00:00Z"))),
                listed("unknown", Created::Unknown),
            ],
            unreadable: 2,
            strangers: 1,
            undated: 3,
        };
        let mut kept = survey();
        let candidates: Vec<String> =
            kept.take(batch.clone()).iter().map(|candidate| candidate.contact.to_string()).collect();
        assert_eq!(candidates, ["old", "old-local"]);
        assert_eq!((kept.contacts, kept.candidates, kept.unreadable), (12, 2, 8));
        assert_eq!(kept.oldest, Some(at("2020-01-01T00:00:00Z")));
        assert_eq!(kept.newest, Some(at("2023-11-21T09:59:59Z")));

        let mut only_counted = survey();
        only_counted.count(&batch);
        assert_eq!(
            (only_counted.contacts, only_counted.candidates, only_counted.unreadable),
            (kept.contacts, kept.candidates, kept.unreadable)
        );
    }

    #[test]
    fn s_7_and_f_48_a_platform_that_ignores_the_filter_or_has_another_time_stops_a_sweep() {
        let probe = |created, clock_difference_secs| ProbeReport {
            searches: BTreeMap::new(),
            created,
            policies: None,
            clock_difference_secs,
        };
        assert_eq!(distrust(&probe(FilterTrust::Honoured, Some(300))), None);
        assert_eq!(distrust(&probe(FilterTrust::Honoured, None)), None);
        assert_eq!(distrust(&probe(FilterTrust::Unknown, Some(0))), None);
        assert_eq!(distrust(&probe(FilterTrust::Ignored, Some(0))), Some(StopReason::FilterNotHonoured));
        assert_eq!(distrust(&probe(FilterTrust::Honoured, Some(301))), Some(StopReason::ClockDiffers));
        assert_eq!(distrust(&probe(FilterTrust::Honoured, Some(-301))), Some(StopReason::ClockDiffers));
    }

    #[test]
    fn a_share_is_told_in_hundredths_of_a_percent_rounded_up() {
        assert_eq!(counted(1_000, 50).share_basis_points(), 500);
        assert_eq!(counted(3, 1).share_basis_points(), 3_334);
        assert_eq!(counted(0, 0).share_basis_points(), 0);
        assert_eq!(counted(1_000_000, 1).share_basis_points(), 1);
    }
}
