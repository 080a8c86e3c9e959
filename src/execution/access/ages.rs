//! How old the records are that pass by, for the day until which they are kept (Art. 15(1)(d) GDPR, R-27).
//!
//! A hold keeps the contact beyond the period of its data. What it keeps longer, and until when, follows from the same records: a
//! law that asks for some months after the last record of a kind keeps nobody who has none, or whose last is long ago.

use std::collections::BTreeMap;

use chrono::{DateTime, Months, NaiveDate, Utc};
use chrono_tz::Tz;

use super::{section_of, source_of};
use crate::domain::{ContactId, Origin};
use crate::execution::engine::Run;
use crate::execution::held::by_telephone_only;
use crate::execution::hold;
use crate::execution::stop::Stop;
use crate::holds::EndRule;
use crate::platform::{Contact, Created, LastActivity, RawRecord, Shown, date_of};
use crate::report::{ReportHeader, Section, Storage, StorageAnchor, StorageEnd};

/// The days of one person, as their records are read.
pub(super) struct Ages {
    storage: Storage,
    /// Of a contact whose last activity is asked for and told by a rule.
    activity: Option<LastActivity>,
    /// The holds that end some months after the last record.
    holds: Vec<AfterLast>,
    created: Shown,
    zone: Tz,
    now: DateTime<Utc>,
}

/// A hold that ends some months after the last record of a section.
#[derive(Debug)]
struct AfterLast {
    section: Section,
    months: u8,
    last: Option<NaiveDate>,
    /// A record tells no date, or was not read: it may be the last.
    is_unclear: bool,
}

impl AfterLast {
    fn note(&mut self, day: Option<NaiveDate>) {
        self.is_unclear |= day.is_none();
        self.last = self.last.max(day);
    }

    fn weigh(&self, storage: &mut Storage) {
        if self.is_unclear {
            storage.keep_longer();
        } else if let Some(last) = self.last {
            match last.checked_add_months(Months::new(self.months.into())) {
                Some(until) => storage.keep_until(until),
                None => storage.keep_longer(),
            }
        }
    }
}

impl Ages {
    /// Looks at what is known before the records: terms, creation, and the holds that may keep the contact.
    pub(super) async fn look(
        run: &Run<'_>,
        header: &ReportHeader,
        contact: &ContactId,
        profile: Option<&Contact>,
    ) -> Result<Self, Stop> {
        let now = header.generated_at;
        let storage = Storage::new(header.catalogue.as_ref(), run.site.controller.local_date(now));
        let rule = run.site.activity.clone().filter(|_| storage.needs(StorageAnchor::LastActivity));
        let activity = rule.zip(profile).map(|(rule, profile)| LastActivity::new(rule, &profile.shows, now));
        let created = profile.map_or(Created::Unknown, |profile| profile.created).into();
        let mut ages = Self { storage, activity, holds: Vec::new(), created, zone: header.time_zone, now };
        if !ages.storage.is_empty() {
            ages.look_for_holds(run, contact, profile).await?;
        }
        Ok(ages)
    }

    /// One that knows another contact, and has nothing but a telephone number in common with this one, is left out: the report tells
    /// nobody what is kept of somebody else of the household.
    async fn look_for_holds(
        &mut self,
        run: &Run<'_>,
        contact: &ContactId,
        profile: Option<&Contact>,
    ) -> Result<(), Stop> {
        let mut connection = run.executor.store.connection().await?;
        // The named day is that of a sweep, which a restriction stops as well.
        let created = profile.and_then(hold::created_of);
        let holds = hold::stopping(run, &mut connection, contact, (Origin::Retention, created)).await?;
        let another = by_telephone_only(run, &mut connection, contact, &holds).await?;
        for hold in holds.iter().filter(|hold| !another.contains(&hold.id)) {
            match (hold.ends, hold::source_of(hold.category)) {
                (EndRule::MonthsAfterLast(months), Some(source)) => self.holds.push(AfterLast {
                    section: section_of(source),
                    months,
                    last: None,
                    is_unclear: false,
                }),
                (EndRule::On(day), _) => self.storage.keep_until(day),
                // The table refuses months after the last of what is no record.
                (EndRule::WhenLifted | EndRule::MonthsAfterLast(_), _) => self.storage.keep_longer(),
            }
        }
        Ok(())
    }

    pub(super) fn note(&mut self, section: Section, record: &RawRecord) {
        if self.storage.counts(section) || self.holds.iter().any(|hold| hold.section == section) {
            let day = self.day(date_of(record));
            self.storage.note(section, day);
            self.holds_on(section).for_each(|hold| hold.note(day));
        }
        if let (Some(activity), Some(source)) = (&mut self.activity, source_of(section)) {
            activity.note(source, record);
        }
    }

    pub(super) fn note_own(&mut self, closed_at: Option<DateTime<Utc>>) {
        let day = closed_at.and_then(|at| self.day(Shown::At(at)));
        self.storage.note(Section::Requests, day);
    }

    /// So many records exist and could not be read; of a list that is cut off it is not known how many.
    pub(super) fn miss(&mut self, section: Section, records: u64) {
        self.storage.miss(section, records);
        self.holds_on(section).for_each(|hold| hold.is_unclear = true);
        if let (Some(activity), Some(source)) = (&mut self.activity, source_of(section)) {
            activity.miss(source);
        }
    }

    pub(super) fn ends(mut self) -> BTreeMap<Section, StorageEnd> {
        let active = self.activity.as_ref().map_or(Shown::Nothing, |activity| activity.shown(self.created));
        self.storage.anchor(StorageAnchor::Created, self.day(self.created));
        self.storage.anchor(StorageAnchor::LastActivity, self.day(active));
        for hold in &self.holds {
            hold.weigh(&mut self.storage);
        }
        self.storage.ends()
    }

    fn holds_on(&mut self, section: Section) -> impl Iterator<Item = &mut AfterLast> {
        self.holds.iter_mut().filter(move |hold| hold.section == section)
    }

    /// The local day. What lies ahead is no day from which a period can run: the platform's equipment may have a wrong clock.
    fn day(&self, shown: Shown) -> Option<NaiveDate> {
        if shown.is_ahead_of(self.now) { None } else { shown.day(self.zone) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::report::{Catalogue, CatalogueEntry, StorageTerm};

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// Somebody created in May 2025 of whose connections a law keeps twelve months; their data are kept for 24 months, and each
    /// connection for 30 days.
    fn ages() -> Ages {
        let entry = |period: &str, from| CatalogueEntry {
            retention: Some(StorageTerm { period: period.parse().unwrap(), from }),
            ..CatalogueEntry::default()
        };
        let sections = [
            (Section::Profile, entry("24m", StorageAnchor::Created)),
            (Section::Accountings, entry("30d", StorageAnchor::Record)),
            (Section::Requests, entry("36m", StorageAnchor::Record)),
        ];
        let catalogue = Catalogue { sections: sections.into(), ..Catalogue::default() };
        let now: DateTime<Utc> = "2026-11-30T10:00:00Z".parse().unwrap();
        let law = AfterLast { section: Section::Accountings, months: 12, last: None, is_unclear: false };
        Ages {
            storage: Storage::new(Some(&catalogue), now.date_naive()),
            activity: None,
            holds: vec![law],
            created: Shown::At("2025-05-10T10:00:00Z".parse().unwrap()),
            zone: chrono_tz::Europe::Rome,
            now,
        }
    }

    fn record(stop: &str) -> RawRecord {
        let json = format!(r#"{{"id":"s-1","stop":"{stop}"}}"#);
        RawRecord::new(RawValue::from_string(json).unwrap())
    }

    #[test]
    fn r_27_a_law_about_the_last_record_keeps_the_data_until_its_day_where_that_is_the_later() {
        for (stops, profile, connections) in [
            // Nothing is kept of whom there are no records, or whose last is long ago.
            (vec![], (Some("2027-05-10"), false), (None, false)),
            (vec!["2024-11-20T09:00:00Z"], (Some("2027-05-10"), false), (Some("2024-12-20"), false)),
            // The law ends before the profile does, and after the term of the connections.
            (vec!["2026-03-01T09:00:00Z"], (Some("2027-05-10"), false), (Some("2027-03-01"), true)),
            (
                vec!["2026-11-29T09:00:00Z", "2026-01-01T09:00:00Z"],
                (Some("2027-11-29"), true),
                (Some("2027-11-29"), true),
            ),
            // Which one is the last, nobody can say.
            (vec!["2026-11-29T09:00:00Z", "soon"], (None, true), (None, true)),
            (vec!["2031-01-01T00:00:00Z"], (None, true), (None, true)),
        ] {
            let mut ages = ages();
            for stop in &stops {
                ages.note(Section::Accountings, &record(stop));
            }
            let ends = ages.ends();
            let end = |section: Section| (ends[&section].until, ends[&section].kept_longer);
            let expected = |(until, longer): (Option<&str>, bool)| (until.map(day), longer);
            assert_eq!(end(Section::Profile), expected(profile), "{stops:?}");
            assert_eq!(end(Section::Accountings), expected(connections), "{stops:?}");
        }
        let mut cut_off = ages();
        cut_off.miss(Section::Accountings, 0);
        assert_eq!(cut_off.ends()[&Section::Profile].until, None, "the last may be among those that lack");
    }

    #[test]
    fn r_27_a_date_ahead_of_us_is_no_day_from_which_a_period_runs() {
        let mut ahead = ages();
        ahead.holds.clear();
        ahead.created = Shown::At("2031-01-01T00:00:00Z".parse().unwrap());
        ahead.note(Section::Accountings, &record("2031-01-01T00:00:00Z"));
        // In the zone of the place it may be tomorrow already.
        ahead.note(Section::Accountings, &record("2026-11-30T23:00:00Z"));
        let ends = ahead.ends();
        assert_eq!(ends[&Section::Profile].until, None);
        let connections = ends[&Section::Accountings];
        assert_eq!((connections.until, connections.records_without_date), (Some(day("2026-12-31")), 1));
    }
}
