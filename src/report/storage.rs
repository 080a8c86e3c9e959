//! Until when the records of a section are kept, for this person (Art. 15(1)(d) GDPR, R-27).
//!
//! The controller states a period and from which event it runs ([`StorageTerm`]); [`Storage`] takes in the days that the
//! records themselves tell, and gives for each section the last day ([`StorageEnd`]). A day that no record tells is never
//! guessed: the report names the criterion instead, as the article allows.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Catalogue, Section};
use crate::domain::deadline::{Period, retention};

/// From which event the period of storage runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StorageAnchor {
    /// The creation of the contact.
    Created,
    /// The last activity of the contact, by what the retention rule counts (`retention.activities`).
    LastActivity,
    /// The date of each record: the latest that it shows. Of what this service itself holds: the closing of the request.
    Record,
}

/// A period of storage, and from which event it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StorageTerm {
    /// Months or days: `12m`, `90d`.
    #[schemars(with = "String")]
    pub period: Period,
    /// From which event it runs.
    pub from: StorageAnchor,
}

/// Until when the records of one section are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StorageEnd {
    /// What it follows from.
    #[serde(flatten)]
    pub term: StorageTerm,
    /// The last day of storage in the controller's time zone: of all records, or of the last of those that age one by one.
    /// None where no day can be known.
    pub until: Option<NaiveDate>,
    /// Whether something beside the period decides: `until` is its last day, which is the later one, or none where that cannot
    /// be known. What it is, is not told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub kept_longer: bool,
    /// Of records that age one by one: those whose period had ended when the report was made.
    pub records_over: u64,
    /// Of records that age one by one: those that tell no date.
    pub records_without_date: u64,
}

/// The days of one person, as they are read.
#[derive(Debug)]
pub struct Storage {
    today: NaiveDate,
    /// Whether something may keep the contact beyond the period of its data, until a day that is not known.
    is_kept_longer: bool,
    /// The last day of those that keep it until one.
    kept_until: Option<NaiveDate>,
    ends: BTreeMap<Section, StorageEnd>,
}

impl Storage {
    /// Of the sections to which the catalogue gives a term. `today` is the local day of the report.
    #[must_use]
    pub fn new(catalogue: Option<&Catalogue>, today: NaiveDate) -> Self {
        let sections = catalogue.into_iter().flat_map(|catalogue| &catalogue.sections);
        let ends = sections.filter_map(|(section, entry)| {
            let term = entry.retention?;
            let end = StorageEnd {
                term,
                until: None,
                kept_longer: false,
                records_over: 0,
                records_without_date: 0,
            };
            Some((*section, end))
        });
        Self { today, is_kept_longer: false, kept_until: None, ends: ends.collect() }
    }

    /// Whether no section has a term.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Something may keep the contact beyond the period of its data, until nobody knows when: no day is told, but the criterion.
    pub fn keep_longer(&mut self) {
        self.is_kept_longer = true;
    }

    /// Something keeps the contact until the end of a day: the later day counts. One that has passed keeps nothing.
    pub fn keep_until(&mut self, day: NaiveDate) {
        if day >= self.today {
            self.kept_until = self.kept_until.max(Some(day));
        }
    }

    /// Whether the dates of a section's records are asked for.
    #[must_use]
    pub fn counts(&self, section: Section) -> bool {
        self.ends.get(&section).is_some_and(|end| end.term.from == StorageAnchor::Record)
    }

    /// Whether anything runs from that event.
    #[must_use]
    pub fn needs(&self, anchor: StorageAnchor) -> bool {
        self.ends.values().any(|end| end.term.from == anchor)
    }

    /// The local day of one record; `None` for one that tells none.
    pub fn note(&mut self, section: Section, day: Option<NaiveDate>) {
        let Some(end) = self.ends.get_mut(&section).filter(|end| end.term.from == StorageAnchor::Record)
        else {
            return;
        };
        match day.and_then(|day| last_day(end.term.period, day)) {
            None => end.records_without_date = end.records_without_date.saturating_add(1),
            Some(last) => {
                end.records_over += u64::from(last < self.today);
                end.until = end.until.max(Some(last));
            }
        }
    }

    /// So many records exist and could not be read: they tell no day either. The number is the platform's word, however absurd.
    pub fn miss(&mut self, section: Section, records: u64) {
        let end = self.ends.get_mut(&section).filter(|end| end.term.from == StorageAnchor::Record);
        if let Some(end) = end {
            end.records_without_date = end.records_without_date.saturating_add(records);
        }
    }

    /// Takes the day of the event from which the period of whole sections runs; `None` where it cannot be known.
    pub fn anchor(&mut self, anchor: StorageAnchor, day: Option<NaiveDate>) {
        for end in self.ends.values_mut().filter(|end| end.term.from == anchor) {
            end.until = day.and_then(|day| last_day(end.term.period, day));
        }
    }

    /// What was found. What keeps the contact keeps all that the platform has of it, and nothing of what this service holds itself.
    #[must_use]
    pub fn ends(mut self) -> BTreeMap<Section, StorageEnd> {
        let of_contact = self.ends.iter_mut().filter(|(section, _)| **section != Section::Requests);
        for (_, end) in of_contact {
            if self.is_kept_longer {
                (end.until, end.kept_longer) = (None, true);
            } else if end.until.is_some() && end.until < self.kept_until {
                (end.until, end.kept_longer) = (self.kept_until, true);
            }
        }
        self.ends
    }
}

/// Whether a text says anything: `…` stands where somebody has still to write.
fn has_words(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

/// None for a day beyond the calendar.
fn last_day(period: Period, from: NaiveDate) -> Option<NaiveDate> {
    retention(from, period).ok().map(|ends| ends.last_day)
}

impl Catalogue {
    /// What is wrong with it, if anything is. A report about somebody of whom there are records in a section without an entry
    /// is not made at all, and of the profile and the requests there always are. A text without a word says nothing of what
    /// the law asks for; recipients need none where `names_recipients` says that the register names somebody who gets the section.
    /// A term cannot be computed where a category tells no such date; `counts_activity` says whether the retention rule counts
    /// from the last activity, which decides what activity is.
    #[must_use]
    pub fn refused(
        &self,
        counts_activity: bool,
        names_recipients: impl Fn(Section) -> bool,
    ) -> Option<String> {
        self.missing()
            .or_else(|| self.unsaid(names_recipients))
            .or_else(|| self.without_date(counts_activity))
    }

    fn missing(&self) -> Option<String> {
        let missing = Section::ALL.into_iter().filter(|section| !self.sections.contains_key(section));
        let missing: Vec<&str> = missing.map(Section::as_str).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "catalogue.sections must have an entry for each section, because an access report about somebody of whom such \
                 records are held cannot be made without (Art. 15(1) GDPR); it lacks {}",
                missing.join(", ")
            )
        })
    }

    fn unsaid(&self, names_recipients: impl Fn(Section) -> bool) -> Option<String> {
        let of_all = [
            ("automated_decisions", &self.automated_decisions),
            ("transfers", &self.transfers),
            ("complaint_authority", &self.complaint_authority),
        ];
        let of_all = of_all.map(|(name, text)| (name.to_owned(), text));
        let of_sections = self.sections.iter().flat_map(|(section, entry)| {
            let recipients = (!names_recipients(*section)).then_some(("recipients", &entry.recipients));
            let texts = [
                ("purposes", &entry.purposes),
                ("legal_basis", &entry.legal_basis),
                ("storage_period", &entry.storage_period),
                ("source", &entry.source),
            ];
            let texts = texts.into_iter().chain(recipients);
            texts.map(move |(name, text)| (format!("sections.{section}.{name}"), text))
        });
        let mut unsaid = of_all.into_iter().chain(of_sections).filter(|(_, text)| !has_words(text));
        unsaid.next().map(|(name, _)| {
            format!(
                "catalogue.{name} must say in words what an access report has to tell (Art. 15(1) GDPR), be it that there is none: it \
                 holds no letter and no digit"
            )
        })
    }

    fn without_date(&self, counts_activity: bool) -> Option<String> {
        self.sections.iter().find_map(|(section, entry)| {
            let from = entry.retention?.from;
            match (from, section) {
                (StorageAnchor::Record, Section::Profile | Section::Consents) => Some(format!(
                    "catalogue.sections.{section}.retention.from must be created or last_activity: the platform tells no date of \
                     its own for it"
                )),
                (StorageAnchor::Created | StorageAnchor::LastActivity, Section::Requests) => Some(format!(
                    "catalogue.sections.{section}.retention.from must be record: what this service holds is kept after the closing \
                     of each request"
                )),
                (StorageAnchor::LastActivity, _) if !counts_activity => Some(format!(
                    "catalogue.sections.{section}.retention.from is last_activity: set retention.anchor to last_activity as well, \
                     so that it is known what counts as activity"
                )),
                _ => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::CatalogueEntry;
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn catalogue(terms: &[(Section, &str, StorageAnchor)]) -> Catalogue {
        let entry = |(section, period, from): &(Section, &str, StorageAnchor)| {
            let retention = Some(StorageTerm { period: period.parse().unwrap(), from: *from });
            (*section, CatalogueEntry { retention, ..CatalogueEntry::default() })
        };
        Catalogue { sections: terms.iter().map(entry).collect(), ..Catalogue::default() }
    }

    #[test]
    fn r_27_the_end_of_storage_is_a_day_of_this_person_or_none() {
        use StorageAnchor::{Created, LastActivity, Record};
        let catalogue = catalogue(&[
            (Section::Profile, "36m", Created),
            (Section::Consents, "24m", LastActivity),
            (Section::Events, "12m", Record),
            (Section::Devices, "90d", Record),
        ]);
        let mut storage = Storage::new(Some(&catalogue), day("2026-11-29"));
        assert!(storage.counts(Section::Events) && !storage.counts(Section::Profile));
        assert!(storage.needs(LastActivity) && !storage.counts(Section::Accountings));
        storage.anchor(Created, Some(day("2024-02-29")));
        storage.anchor(LastActivity, None);
        // The day of the number that the month lacks is its last one, and today is not over.
        for each in ["2026-02-28", "2026-04-30", "2025-11-29", "2025-11-28", "2024-01-01"] {
            storage.note(Section::Events, Some(day(each)));
        }
        storage.note(Section::Events, None);
        storage.note(Section::Devices, None);
        storage.note(Section::Profile, Some(day("2026-01-01")));
        let found: Vec<_> = storage
            .ends()
            .into_iter()
            .map(|(section, end)| (section, end.until, end.records_over, end.records_without_date))
            .collect();
        assert_eq!(
            found,
            [
                (Section::Profile, Some(day("2027-02-28")), 0, 0),
                (Section::Consents, None, 0, 0),
                (Section::Events, Some(day("2027-04-30")), 2, 1),
                (Section::Devices, None, 0, 1),
            ]
        );
        assert_eq!(Storage::new(None, day("2026-11-29")).ends(), BTreeMap::new());
    }

    #[test]
    fn r_27_what_keeps_the_contact_longer_keeps_what_the_platform_has_and_no_more() {
        use StorageAnchor::{Created, Record};
        let catalogue = catalogue(&[
            (Section::Profile, "36m", Created),
            (Section::Events, "12m", Record),
            (Section::Devices, "12m", Record),
            (Section::Requests, "36m", Record),
        ]);
        let ends = |keep: fn(&mut Storage)| {
            let mut storage = Storage::new(Some(&catalogue), day("2026-11-29"));
            keep(&mut storage);
            storage.anchor(Created, Some(day("2024-02-29")));
            storage.note(Section::Events, Some(day("2026-10-02")));
            storage.note(Section::Devices, None);
            storage.note(Section::Requests, Some(day("2026-11-01")));
            storage.ends().into_values().map(|end| (end.until, end.kept_longer)).collect::<Vec<_>>()
        };
        let until = |text: &str, longer| (Some(day(text)), longer);
        let (profile, events) = (until("2027-02-28", false), until("2027-10-02", false));
        let (devices, requests) = ((None, false), until("2029-11-01", false));
        assert_eq!(ends(|_| {}), [profile, events, devices, requests]);
        assert_eq!(
            ends(|storage| storage.keep_until(day("2026-11-28"))),
            [profile, events, devices, requests]
        );
        let both = |storage: &mut Storage| {
            storage.keep_until(day("2027-05-01"));
            storage.keep_until(day("2027-04-01"));
        };
        assert_eq!(ends(both), [until("2027-05-01", true), events, devices, requests]);
        assert_eq!(ends(Storage::keep_longer), [(None, true), (None, true), (None, true), requests]);
    }

    fn whole() -> Catalogue {
        let text = || "None.".to_owned();
        let entry = CatalogueEntry {
            purposes: text(),
            legal_basis: text(),
            recipients: text(),
            storage_period: text(),
            source: text(),
            retention: None,
        };
        Catalogue {
            sections: Section::ALL.map(|section| (section, entry.clone())).into(),
            automated_decisions: text(),
            transfers: text(),
            complaint_authority: text(),
        }
    }

    fn refused(catalogue: &Catalogue) -> Option<String> {
        catalogue.refused(false, |_| false)
    }

    #[test]
    fn r_27_a_catalogue_that_would_stop_every_report_is_refused() {
        assert_eq!(refused(&whole()), None);
        for section in Section::ALL {
            let mut lacking = whole();
            lacking.sections.remove(&section);
            let problem = refused(&lacking).unwrap();
            assert!(problem.ends_with(&format!("it lacks {section}")), "{section}");
        }
    }

    #[test]
    fn r_27_a_catalogue_that_leaves_something_unsaid_is_refused() {
        type Text = fn(&mut Catalogue) -> &mut String;
        let texts: [(&str, Text); 8] = [
            ("catalogue.automated_decisions", |catalogue| &mut catalogue.automated_decisions),
            ("catalogue.transfers", |catalogue| &mut catalogue.transfers),
            ("catalogue.complaint_authority", |catalogue| &mut catalogue.complaint_authority),
            ("catalogue.sections.events.purposes", |catalogue| &mut events(catalogue).purposes),
            ("catalogue.sections.events.legal_basis", |catalogue| &mut events(catalogue).legal_basis),
            ("catalogue.sections.events.recipients", |catalogue| &mut events(catalogue).recipients),
            ("catalogue.sections.events.storage_period", |catalogue| &mut events(catalogue).storage_period),
            ("catalogue.sections.events.source", |catalogue| &mut events(catalogue).source),
        ];
        for (name, text) in texts {
            for unsaid in ["", "  ", "…", " - "] {
                let mut catalogue = whole();
                unsaid.clone_into(text(&mut catalogue));
                let problem = refused(&catalogue).unwrap();
                assert!(problem.starts_with(&format!("{name} must say")), "{name} {unsaid:?}: {problem}");
                // The register names them.
                let named = catalogue.refused(false, |section| section == Section::Events);
                assert_eq!(named.is_none(), name.ends_with("recipients"), "{name} {unsaid:?}");
            }
        }
    }

    fn events(catalogue: &mut Catalogue) -> &mut CatalogueEntry {
        catalogue.sections.entry(Section::Events).or_default()
    }

    #[test]
    fn r_27_a_term_from_an_event_that_nothing_tells_of_is_refused() {
        use StorageAnchor::{Created, LastActivity, Record};
        for (section, from, counts_activity, problem) in [
            (Section::Profile, Created, false, None),
            (Section::Profile, LastActivity, true, None),
            (Section::Events, Record, false, None),
            (Section::Requests, Record, false, None),
            (Section::Profile, Record, false, Some("sections.profile.retention.from must be created")),
            (Section::Consents, Record, true, Some("sections.consents.retention.from must be created")),
            (Section::Requests, Created, true, Some("sections.requests.retention.from must be record")),
            (Section::Events, LastActivity, false, Some("set retention.anchor to last_activity")),
        ] {
            let mut catalogue = whole();
            let retention = Some(StorageTerm { period: "12m".parse().unwrap(), from });
            catalogue.sections.entry(section).or_default().retention = retention;
            let refused = catalogue.refused(counts_activity, |_| false);
            match problem {
                None => assert_eq!(refused, None, "{section} {from:?}"),
                Some(problem) => assert!(refused.unwrap().contains(problem), "{section} {from:?}"),
            }
        }
    }
}
