//! A contact platform that lives in the test.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use dsrd::domain::{ContactId, IdentifierKind, SubjectIdentifier};
use dsrd::platform::{
    Call, Contact, ContactPlatform, Created, EffectAnswer, FilterTrust, Leave, ListedContact, Listing,
    ListingBatch, OrganisationMatch, PlatformError, ProbeReport, ProfileDates, RawRecord, RecordBatch,
    Records, SearchAnswer, Source, Urgency,
};
use futures_util::stream;
use serde_json::value::RawValue;

use crate::office::at;

/// What the platform of a test does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The probe finds that the filter by creation date is ignored.
    FilterIgnored,
    /// Its clock is so many seconds ahead of ours.
    Clock(i64),
    /// The listing fails after its first page.
    Unavailable,
    /// The second page never comes.
    Hangs,
}

/// Contacts in pages, and a journal of every effect that somebody asks for.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) contacts: Mutex<Vec<ListedContact>>,
    /// Records of the first page that cannot be read.
    pub(crate) poison: u64,
    pub(crate) page: usize,
    pub(crate) fault: Mutex<Fault>,
    /// Removed from the platform when the first page has been listed.
    pub(crate) vanishes: Option<ContactId>,
    pub(crate) effects: AtomicUsize,
    /// Contacts whose profile and records can be read; nobody else's can.
    pub(crate) people: Mutex<BTreeMap<String, Person>>,
    /// How often a profile or a list was asked for.
    pub(crate) reads: AtomicUsize,
    /// The platform is away for reads from so many on.
    pub(crate) away_from: AtomicUsize,
}

/// What can be read of a contact.
#[derive(Clone, Debug, Default)]
pub(crate) struct Person {
    pub(crate) shows: ProfileDates,
    pub(crate) events: &'static [&'static str],
    pub(crate) devices: &'static [&'static str],
    pub(crate) accountings: &'static [&'static str],
    /// Records of every list that cannot be read.
    pub(crate) poison: u64,
    /// Every list is larger than what is read.
    pub(crate) too_large: bool,
}

impl Pages {
    pub(crate) fn of(contacts: Vec<ListedContact>) -> Self {
        Self {
            contacts: Mutex::new(contacts),
            poison: 0,
            page: 4,
            fault: Mutex::new(Fault::None),
            vanishes: None,
            effects: AtomicUsize::new(0),
            people: Mutex::default(),
            reads: AtomicUsize::new(0),
            away_from: AtomicUsize::new(usize::MAX),
        }
    }

    pub(crate) fn with(self, fault: Fault) -> Self {
        Self { fault: Mutex::new(fault), ..self }
    }

    /// Adds somebody created long ago whose records can be read.
    pub(crate) fn person(self, id: &str, created: &str, person: Person) -> Self {
        let contact = ListedContact { shows: person.shows, ..listed(id, Created::At(at(created))) };
        self.contacts.lock().unwrap().push(contact);
        self.people.lock().unwrap().insert(id.to_owned(), person);
        self
    }

    fn read(&self, id: &ContactId) -> Result<Option<Person>, PlatformError> {
        if self.reads.fetch_add(1, Ordering::SeqCst) >= self.away_from.load(Ordering::SeqCst) {
            return Err(PlatformError::Unavailable { operation: "read", detail: "503".to_owned() });
        }
        let people = self.people.lock().unwrap();
        if people.is_empty() { not_asked() } else { Ok(people.get(id.as_str()).cloned()) }
    }

    pub(crate) fn break_down(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn next_page(&self, number: usize) -> Option<Result<ListingBatch, PlatformError>> {
        if number == 1 && *self.fault.lock().unwrap() == Fault::Unavailable {
            return Some(Err(PlatformError::Unavailable {
                operation: "list contacts",
                detail: "503".to_owned(),
            }));
        }
        let mut contacts = self.contacts.lock().unwrap();
        if number == 1
            && let Some(gone) = &self.vanishes
        {
            contacts.retain(|contact| contact.id != *gone);
        }
        let page: Vec<ListedContact> =
            contacts.iter().skip(number * self.page).take(self.page).cloned().collect();
        let unreadable = if number == 0 { self.poison } else { 0 };
        (!page.is_empty()).then_some(Ok(ListingBatch {
            contacts: page,
            unreadable,
            ..ListingBatch::default()
        }))
    }

    fn count_effect(&self) -> Call<'_, EffectAnswer> {
        self.effects.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(EffectAnswer::Accepted) })
    }
}

pub(crate) fn not_asked<T>() -> Result<T, PlatformError> {
    Err(PlatformError::Rejected {
        operation: "test",
        detail: "a sweep has no business with this call".to_owned(),
    })
}

impl ContactPlatform for Pages {
    fn search<'a>(&'a self, _identifier: &'a SubjectIdentifier) -> Call<'a, SearchAnswer> {
        Box::pin(async { not_asked() })
    }

    fn find_contact<'a>(&'a self, id: &'a ContactId, _urgency: Urgency) -> Call<'a, Option<Contact>> {
        Box::pin(async move {
            Ok(self.read(id)?.map(|person| Contact {
                id: id.clone(),
                created: Created::Unknown,
                last_seen_at: None,
                shows: person.shows,
                marked_deleted: false,
                policies: BTreeMap::new(),
                email: None,
                language: None,
                identifiers: Vec::new(),
                held: Vec::new(),
                raw: record("{}"),
            }))
        })
    }

    fn records<'a>(
        &'a self,
        id: &'a ContactId,
        source: Source,
        urgency: Urgency,
    ) -> Call<'a, Option<Records<'a>>> {
        assert_eq!(urgency, Urgency::Sweep, "a sweep keeps no person's request waiting");
        Box::pin(async move {
            let Some(person) = self.read(id)? else { return Ok(None) };
            if person.too_large {
                return Err(PlatformError::TooLarge { operation: "read", limit: "limits".to_owned() });
            }
            let list = match source {
                Source::Events => person.events,
                Source::Devices => person.devices,
                Source::Accountings => person.accountings,
            };
            let records = list.iter().copied().map(record).collect();
            let batch = RecordBatch { records, unreadable: person.poison };
            Ok(Some(Box::pin(stream::iter([Ok(batch)])) as Records<'a>))
        })
    }

    /// Ignores `before`, as the worst platform would: whoever sweeps must compare by itself.
    fn list_created_before(&self, _before: DateTime<Utc>) -> Listing<'_> {
        Box::pin(stream::unfold(0, move |number| async move {
            if number == 1 && *self.fault.lock().unwrap() == Fault::Hangs {
                std::future::pending::<()>().await;
            }
            self.next_page(number).map(|page| (page, number + 1))
        }))
    }

    fn count_contacts(&self) -> Call<'_, u64> {
        Box::pin(async { not_asked() })
    }

    fn set_policy<'a>(
        &'a self,
        _: &'a ContactId,
        _: &'a str,
        _: bool,
        _: Leave<'a>,
    ) -> Call<'a, EffectAnswer> {
        self.count_effect()
    }

    fn delete_contact<'a>(&'a self, _id: &'a ContactId, _: Leave<'a>) -> Call<'a, EffectAnswer> {
        self.count_effect()
    }

    fn probe(&self) -> Call<'_, ProbeReport> {
        let fault = *self.fault.lock().unwrap();
        Box::pin(async move {
            Ok(ProbeReport {
                searches: BTreeMap::new(),
                created: if fault == Fault::FilterIgnored {
                    FilterTrust::Ignored
                } else {
                    FilterTrust::Honoured
                },
                policies: None,
                clock_difference_secs: Some(if let Fault::Clock(secs) = fault { secs } else { 0 }),
            })
        })
    }

    fn ignored_searches(&self) -> Vec<IdentifierKind> {
        Vec::new()
    }

    fn check_organisation(&self) -> Call<'_, OrganisationMatch> {
        Box::pin(async { Ok(OrganisationMatch::Same) })
    }

    fn check_contacts(&self) -> Call<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn log_out(&self) -> Call<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

pub(crate) fn listed(id: &str, created: Created) -> ListedContact {
    ListedContact {
        id: id.parse().unwrap(),
        created,
        shows: ProfileDates::default(),
        undocumented: Vec::new(),
    }
}

fn record(json: &str) -> RawRecord {
    RawRecord::new(RawValue::from_string(json.to_owned()).unwrap())
}

/// `past` contacts past their time and `kept` others, mixed.
pub(crate) fn contacts(past: usize, kept: usize) -> Vec<ListedContact> {
    let old = (0..past).map(|number| {
        let created = at("2020-01-01T00:00:00Z") + TimeDelta::days(i64::try_from(number).unwrap());
        listed(&format!("old-{number:04}"), Created::At(created))
    });
    let young = (0..kept)
        .map(|number| listed(&format!("young-{number:04}"), Created::At(at("2026-01-01T00:00:00Z"))));
    old.chain(young).collect()
}
