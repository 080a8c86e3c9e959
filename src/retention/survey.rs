//! Looking through all contacts of an organisation: who is past their time, and may a sweep go on?
//!
//! One listing of *everybody* gives both the candidates and the base of the percentage cap, so that the two come from
//! the same moment. Nothing rests on the platform's filter by creation date: every contact is compared here. The
//! filter is probed all the same, because a platform that ignores what it is asked is not one to delete at by the
//! thousand.
//!
//! Where the period runs from the last activity, the listing still goes by creation: nobody who was created within the
//! period can have been away for longer. Of those who are old enough, the dates that the listing itself shows settle some;
//! the records of the others are read afterwards ([`seen_since`](crate::platform::seen_since)), when the listing is complete,
//! because a scroll of the platform does not wait.
//!
//! Whom a hold keeps is told apart page by page ([`Survey::split`]), and is no candidate.

use std::collections::BTreeMap;

use chrono::{DateTime, Months, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use super::look::Drawn;
use super::period::cutoff_after;
use super::settings::MOST_CLOCK_DIFFERENCE_SECS;
use super::{Rule, SkipReason, StopReason};
use crate::domain::{ActivityRule, ContactId, random};
use crate::platform::{Created, FilterTrust, ListedContact, ListingBatch, ProbeReport, Seen, Span};

/// Later than any date of creation: whoever lists the contacts created before it lists everybody. (2999-01-01.)
pub(super) const EVERYBODY: DateTime<Utc> =
    DateTime::from_timestamp(32_472_144_000, 0).expect("a date in range");

/// How many candidates of a period from the creation still come, as far as the listing shows it at no further cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ActiveLately {
    /// Candidates whose listed log-in or visit lies within the last 12 months.
    pub active: u64,
    /// Candidates of which the listing shows a log-in or visit at all; of the others nothing is known.
    pub dated: u64,
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
    /// For a period from the creation: whether it was there in the last 12 months, where the listing shows when it was.
    active_lately: Option<bool>,
}

/// How contacts are drawn for a look at their records.
#[derive(Clone, Copy, Debug)]
struct Draws {
    /// Who was created later cannot have records past their term.
    created_before: DateTime<Utc>,
    /// At most so many.
    most: usize,
    /// Those who could have been drawn so far.
    from: u64,
}

/// So many different names of fields are told apart; a platform that has more has no names there.
const MOST_NAMES: usize = 50;

/// The running count of a listing.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    pub(super) created_before: DateTime<Utc>,
    pub(super) now: DateTime<Utc>,
    activity: Option<ActivityRule>,
    pub(super) contacts: u64,
    pub(super) old_enough: u64,
    /// Of those old enough, who were active since by what the listing shows.
    pub(super) active: u64,
    /// Past their time, and no hold keeps them.
    pub(super) candidates: u64,
    /// Past their time, or for a period from the last activity old enough, and a hold keeps them.
    pub(super) held: u64,
    pub(super) lately: ActiveLately,
    /// Names of fields that no rule names, with the number of contacts that show one.
    pub(super) unclassified: BTreeMap<String, u64>,
    classified: Vec<String>,
    /// Contacts drawn at random from those created long enough ago to have records past their term.
    pub(super) drawn: Vec<Drawn>,
    draws: Option<Draws>,
    pub(super) unreadable: u64,
    pub(super) oldest: Option<DateTime<Utc>>,
    pub(super) newest: Option<DateTime<Utc>>,
}

impl Survey {
    pub(super) fn new(created_before: DateTime<Utc>, now: DateTime<Utc>, rule: &Rule, zone: Tz) -> Self {
        let shortest = rule.record_terms.iter().map(|(_, months)| *months).min();
        let draws = shortest.map(|months| Draws {
            created_before: cutoff_after(now, months, rule.safety_margin_hours, zone),
            most: rule.most_looked_at,
            from: 0,
        });
        Self {
            created_before,
            now,
            activity: rule.activity.clone(),
            unclassified: BTreeMap::new(),
            classified: rule.classified_fields.clone(),
            drawn: Vec::new(),
            draws,
            contacts: 0,
            old_enough: 0,
            active: 0,
            candidates: 0,
            held: 0,
            lately: ActiveLately { active: 0, dated: 0 },
            unreadable: 0,
            oldest: None,
            newest: None,
        }
    }

    /// Counts the fields of a contact that no rule names.
    fn classify(&mut self, contact: &ListedContact) {
        for (place, name) in contact.undocumented.iter().enumerate() {
            if self.classified.contains(name) || contact.undocumented[..place].contains(name) {
                continue;
            }
            let known = self.unclassified.contains_key(name) || self.unclassified.len() < MOST_NAMES;
            let name = if known { name.as_str() } else { "(other)" };
            *self.unclassified.entry(name.to_owned()).or_default() += 1;
        }
    }

    /// Draws each contact that may have records past their term with the same chance, however many there are.
    fn draw(&mut self, contact: &ListedContact, may_be_past: bool) {
        let Some(draws) = &mut self.draws else { return };
        let (Created::At(created) | Created::About(created)) = contact.created else { return };
        if created >= draws.created_before {
            return;
        }
        draws.from += 1;
        let entry = || Drawn { contact: contact.id.clone(), may_be_past };
        if self.drawn.len() < draws.most {
            self.drawn.push(entry());
            return;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place among at most some hundred million"
        )]
        let place = (random::fraction() * draws.from as f64) as usize;
        if let Some(place) = self.drawn.get_mut(place) {
            *place = entry();
        }
    }

    /// Forgets the candidates: they were only to be read, and those who are left are noted one by one.
    pub(super) const fn start_anew(&mut self) {
        self.candidates = 0;
        self.oldest = None;
        self.newest = None;
    }

    /// Counts a candidate.
    pub(super) fn note(&mut self, created_at: DateTime<Utc>) {
        self.candidates += 1;
        self.oldest = Some(self.oldest.map_or(created_at, |oldest| oldest.min(created_at)));
        self.newest = Some(self.newest.map_or(created_at, |newest| newest.max(created_at)));
    }

    /// Whether the listing itself settles that a contact who is old enough is kept; counts what it tells.
    fn is_active(&mut self, contact: &ListedContact) -> bool {
        let Some(activity) = &self.activity else { return false };
        let span = Span { since: self.created_before, now: self.now };
        let active = contact.shows.counting(activity).any(|shown| span.judge(shown) == Some(Seen::Since));
        self.active += u64::from(active);
        active
    }

    /// Whether a contact was there in the last 12 months, where the listing shows when it was.
    fn was_active_lately(&self, contact: &ListedContact) -> Option<bool> {
        let shown = [contact.shows.last_login, contact.shows.last_visit];
        let latest = shown.iter().filter_map(|shown| shown.latest()).max()?;
        Some(latest >= self.now - Months::new(12))
    }

    /// Counts a page, and returns those of it that are past their time.
    pub(super) fn take(&mut self, batch: ListingBatch) -> Vec<Candidate> {
        self.count_others(&batch);
        let candidate = |contact: ListedContact| {
            let created_at = self.past_its_time(&contact)?;
            let active_lately = self.was_active_lately(&contact);
            Some(Candidate { contact: contact.id, created_at, active_lately })
        };
        batch.contacts.into_iter().filter_map(candidate).collect()
    }

    /// Tells whom a hold keeps, by their place, from the candidates, and counts both.
    pub(super) fn split(
        &mut self,
        past: Vec<Candidate>,
        held: &BTreeMap<usize, SkipReason>,
    ) -> (Vec<Candidate>, Vec<(Candidate, SkipReason)>) {
        let (mut candidates, mut kept) = (Vec::with_capacity(past.len()), Vec::new());
        for (place, each) in past.into_iter().enumerate() {
            if let Some(reason) = held.get(&place) {
                self.held += 1;
                kept.push((each, *reason));
                continue;
            }
            self.note(each.created_at);
            self.lately.dated += u64::from(each.active_lately.is_some());
            self.lately.active += u64::from(each.active_lately == Some(true));
            candidates.push(each);
        }
        (candidates, kept)
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

    /// The date of creation of a contact past its time; `None`, and counted, when it is unknown or in the future, or when
    /// the listing shows activity that counts.
    fn past_its_time(&mut self, contact: &ListedContact) -> Option<DateTime<Utc>> {
        self.classify(contact);
        let past = self.judge(contact);
        // What goes as a whole has no records that stay.
        if past.is_none() || self.activity.is_some() {
            self.draw(contact, past.is_some());
        }
        past
    }

    fn judge(&mut self, contact: &ListedContact) -> Option<DateTime<Utc>> {
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
        (!self.is_active(contact)).then_some(created_at)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::platform::{ProfileDates, Source};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn survey() -> Survey {
        let rule = Rule::for_tests(36, 24);
        Survey::new(at("2023-11-22T00:00:00Z"), at("2026-11-23T00:00:00Z"), &rule, chrono_tz::UTC)
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
            undocumented: Vec::new(),
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
        let past = kept.take(batch.clone());
        let (candidates, held) = kept.split(past, &BTreeMap::new());
        let candidates: Vec<String> =
            candidates.iter().map(|candidate| candidate.contact.to_string()).collect();
        assert_eq!(candidates, ["old", "old-local"]);
        assert_eq!((kept.contacts, kept.candidates, kept.held, kept.unreadable), (12, 2, 0, 8));
        assert!(held.is_empty());
        assert_eq!(kept.oldest, Some(at("2020-01-01T00:00:00Z")));
        assert_eq!(kept.newest, Some(at("2023-11-21T09:59:59Z")));

        let mut some_held = survey();
        let past = some_held.take(batch);
        let (candidates, held) = some_held.split(past, &BTreeMap::from([(1, SkipReason::Hold)]));
        assert_eq!((candidates[0].contact.as_str(), held[0].0.contact.as_str()), ("old", "old-local"));
        assert_eq!((some_held.contacts, some_held.candidates, some_held.held), (12, 1, 1));
        assert_eq!(some_held.newest, some_held.oldest, "whom a hold keeps is no candidate");
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
    fn r_61_contacts_are_drawn_with_the_same_chance_and_never_more_than_allowed() {
        let mut rule = Rule::for_tests(36, 0);
        rule.record_terms = vec![(Source::Accountings, 12)];
        rule.most_looked_at = 10;
        let mut times = [0_u32; 40];
        for _ in 0..400 {
            let now = at("2026-11-23T00:00:00Z");
            let mut survey = Survey::new(at("2023-11-22T00:00:00Z"), now, &rule, chrono_tz::UTC);
            for number in 0..60 {
                // A third is too young to have old records.
                let created = if number < 40 { "2025-01-01T00:00:00Z" } else { "2026-01-01T00:00:00Z" };
                survey.past_its_time(&ListedContact {
                    id: format!("{number}").parse().unwrap(),
                    created: Created::At(at(created)),
                    shows: ProfileDates::default(),
                    undocumented: Vec::new(),
                });
            }
            assert_eq!(survey.drawn.len(), 10);
            for drawn in &survey.drawn {
                times[drawn.contact.as_str().parse::<usize>().unwrap()] += 1;
            }
        }
        // A hundred times each on average, with a deviation of nine.
        assert!(times.iter().all(|times| (50..150).contains(times)), "{times:?}");
    }

    #[test]
    fn a_share_is_told_in_hundredths_of_a_percent_rounded_up() {
        assert_eq!(counted(1_000, 50).share_basis_points(), 500);
        assert_eq!(counted(3, 1).share_basis_points(), 3_334);
        assert_eq!(counted(0, 0).share_basis_points(), 0);
        assert_eq!(counted(1_000_000, 1).share_basis_points(), 1);
    }
}
