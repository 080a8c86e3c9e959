//! The journal: every call and every effect, in the order in which they happened.
//!
//! Tests read it as a witness that the service cannot influence. An entry is written when the outcome is settled, after
//! the effect and before the first byte of the answer; its sequence number therefore orders effects. Two counters per
//! endpoint go on counting when the entries themselves are capped or switched off.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::settings::JournalKeeping;

/// What was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum Endpoint {
    /// `POST /v1/sts/login/services`
    Login,
    /// `POST /v1/sts/logout`
    Logout,
    /// `GET /v1/sts/services/{serviceId}`
    Service,
    /// `GET /v2/customers/organizations/{orgId}`
    ListContacts,
    /// `GET /v2/customers/organizations/{orgId}/exist`
    Exist,
    /// `GET /v2/customers/{contactId}`
    Contact,
    /// `GET /v2/customers/{contactId}/events`
    ContactEvents,
    /// `GET /v2/customers/{contactId}/devices`
    Devices,
    /// `GET /v2/customers/{contactId}/accountings`
    Accountings,
    /// `PUT /v1/customers/{contactId}/policies`
    UpdatePolicies,
    /// `DELETE /v1/customers/{contactId}`
    DeleteContact,
    /// `GET /v1/organizations/{orgId}/policies`
    PolicyNames,
    /// `GET /v1/organizations/{orgId}/events`
    OrganisationEvents,
    /// `GET /v1/organizations/{orgId}/locations`
    Locations,
    /// `GET /v2/segments/organizations/{orgId}`
    Segments,
    /// A path that the platform does not know.
    Unknown,
    /// No call: something the platform did by itself, such as a deletion that became effective.
    Platform,
}

impl Endpoint {
    /// All endpoints.
    pub const ALL: [Self; 17] = [
        Self::Login,
        Self::Logout,
        Self::Service,
        Self::ListContacts,
        Self::Exist,
        Self::Contact,
        Self::ContactEvents,
        Self::Devices,
        Self::Accountings,
        Self::UpdatePolicies,
        Self::DeleteContact,
        Self::PolicyNames,
        Self::OrganisationEvents,
        Self::Locations,
        Self::Segments,
        Self::Unknown,
        Self::Platform,
    ];

    /// True for the calls that change a contact.
    #[must_use]
    pub fn changes_a_contact(self) -> bool {
        matches!(self, Self::UpdatePolicies | Self::DeleteContact)
    }
}

/// What a call changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A policy was set, to whatever value, even the one it had.
    PolicySet {
        /// Contact id.
        contact: String,
        /// Policy key as it stood in the call.
        key: String,
        /// The value.
        accepted: bool,
    },
    /// The contact was deleted (for a soft deletion: marked).
    Deleted {
        /// Contact id.
        contact: String,
    },
    /// A deletion was accepted; [`Effect::Deleted`] follows under [`Endpoint::Platform`] when it happens.
    DeletionAccepted {
        /// Contact id.
        contact: String,
    },
}

impl Effect {
    /// The contact that was changed.
    #[must_use]
    pub fn contact(&self) -> &str {
        match self {
            Self::PolicySet { contact, .. }
            | Self::Deleted { contact }
            | Self::DeletionAccepted { contact } => contact,
        }
    }
}

/// One call.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Place in the journal, from 1, without gaps.
    pub sequence: u64,
    /// Arrival of the call.
    pub arrived: Instant,
    /// Moment at which the outcome was settled.
    pub settled: Instant,
    /// Arrival by the real clock.
    pub wall: SystemTime,
    /// Name of the organisation whose token or key was used.
    pub organisation: Option<Arc<str>>,
    /// What was called.
    pub endpoint: Endpoint,
    /// Contact id in the path.
    pub contact: Option<String>,
    /// Query string as it arrived, without the question mark.
    pub query: String,
    /// Status of the answer; 0 when no answer was meant to be sent.
    pub status: u16,
    /// What the call changed.
    pub effects: Vec<Effect>,
    /// A fault kept the answer, or its end, from the caller.
    pub withheld: bool,
}

#[derive(Debug, Default)]
struct Entries {
    list: VecDeque<Entry>,
    sequence: u64,
}

/// The journal of a simulator. Clones show the same journal.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
    /// Only entries of this organisation are shown.
    organisation: Option<Arc<str>>,
}

#[derive(Debug)]
struct Inner {
    keeping: Mutex<JournalKeeping>,
    entries: Mutex<Entries>,
    calls: [AtomicU64; Endpoint::ALL.len()],
    failures: [AtomicU64; Endpoint::ALL.len()],
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    pub(crate) fn new(keeping: JournalKeeping) -> Self {
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        let inner = Inner {
            keeping: Mutex::new(keeping),
            entries: Mutex::default(),
            calls: zeros(),
            failures: zeros(),
        };
        Self { inner: Arc::new(inner), organisation: None }
    }

    pub(crate) fn of_organisation(&self, name: Arc<str>) -> Self {
        Self { inner: Arc::clone(&self.inner), organisation: Some(name) }
    }

    /// Adds an entry; its sequence number is given here.
    pub(crate) fn add(&self, mut entry: Entry) {
        let at = entry.endpoint as usize;
        self.inner.calls[at].fetch_add(1, Ordering::Relaxed);
        if !(200..300).contains(&entry.status) {
            self.inner.failures[at].fetch_add(1, Ordering::Relaxed);
        }
        let keeping = *lock(&self.inner.keeping);
        if keeping == JournalKeeping::CountersOnly {
            return;
        }
        let mut entries = lock(&self.inner.entries);
        entries.sequence += 1;
        entry.sequence = entries.sequence;
        entries.list.push_back(entry);
        if let JournalKeeping::Last(number) = keeping {
            while entries.list.len() > number {
                entries.list.pop_front();
            }
        }
    }

    /// Changes what is kept from now on.
    pub fn keep(&self, keeping: JournalKeeping) {
        *lock(&self.inner.keeping) = keeping;
    }

    /// Forgets all entries (of all organisations) and sets the counters to zero. Sequence numbers go on.
    pub fn clear(&self) {
        lock(&self.inner.entries).list.clear();
        for counter in self.inner.calls.iter().chain(&self.inner.failures) {
            counter.store(0, Ordering::Relaxed);
        }
    }

    fn shows(&self, entry: &Entry) -> bool {
        self.organisation.is_none() || self.organisation == entry.organisation
    }

    /// The entries that are kept, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        lock(&self.inner.entries).list.iter().filter(|entry| self.shows(entry)).cloned().collect()
    }

    /// The entries of one endpoint, oldest first.
    #[must_use]
    pub fn entries_of(&self, endpoint: Endpoint) -> Vec<Entry> {
        self.entries().into_iter().filter(|entry| entry.endpoint == endpoint).collect()
    }

    /// All effects in their order, each with the sequence number of its entry.
    #[must_use]
    pub fn effects(&self) -> Vec<(u64, Effect)> {
        let numbered = |entry: Entry| {
            let sequence = entry.sequence;
            entry.effects.into_iter().map(move |effect| (sequence, effect))
        };
        self.entries().into_iter().flat_map(numbered).collect()
    }

    /// Ids of the contacts that were deleted, each once per deletion.
    #[must_use]
    pub fn deleted_contacts(&self) -> Vec<String> {
        let deleted = |(_, effect)| match effect {
            Effect::Deleted { contact } => Some(contact),
            _ => None,
        };
        self.effects().into_iter().filter_map(deleted).collect()
    }

    /// Number of calls of an endpoint since the start, over all organisations, whether entries are kept or not.
    #[must_use]
    pub fn calls(&self, endpoint: Endpoint) -> u64 {
        self.inner.calls[endpoint as usize].load(Ordering::Relaxed)
    }

    /// Number of calls of an endpoint, over all organisations, that were not answered with 2xx.
    #[must_use]
    pub fn failures(&self, endpoint: Endpoint) -> u64 {
        self.inner.failures[endpoint as usize].load(Ordering::Relaxed)
    }

    /// Number of calls of all endpoints, over all organisations.
    #[must_use]
    pub fn total_calls(&self) -> u64 {
        let calls = Endpoint::ALL.iter().filter(|&&endpoint| endpoint != Endpoint::Platform);
        calls.map(|&endpoint| self.calls(endpoint)).sum()
    }

    /// The largest number of calls that arrived within any window of this length, among the entries kept.
    #[must_use]
    pub fn max_calls_in_window(&self, window: Duration) -> usize {
        self.max_in_window(window, |entry| entry.endpoint != Endpoint::Platform)
    }

    /// The same for the calls that `counts` chooses.
    #[must_use]
    pub fn max_in_window(&self, window: Duration, counts: impl Fn(&Entry) -> bool) -> usize {
        let mut instants: Vec<Instant> =
            self.entries().iter().filter(|entry| counts(entry)).map(|entry| entry.arrived).collect();
        instants.sort_unstable();
        let mut most = 0;
        let mut first = 0;
        for (last, &instant) in instants.iter().enumerate() {
            while instant.duration_since(instants[first]) >= window {
                first += 1;
            }
            most = most.max(last + 1 - first);
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(arrived: Instant, status: u16) -> Entry {
        Entry {
            sequence: 0,
            arrived,
            settled: arrived,
            wall: SystemTime::UNIX_EPOCH,
            organisation: None,
            endpoint: Endpoint::Contact,
            contact: None,
            query: String::new(),
            status,
            effects: Vec::new(),
            withheld: false,
        }
    }

    #[test]
    fn the_window_is_half_open_and_finds_the_worst_place() {
        let journal = Journal::new(JournalKeeping::All);
        let start = Instant::now();
        for millis in [0, 400, 900, 1000, 1010, 1020, 5000] {
            journal.add(entry(start + Duration::from_millis(millis), 200));
        }
        assert_eq!(journal.max_calls_in_window(Duration::from_secs(1)), 5);
        assert_eq!(journal.max_calls_in_window(Duration::from_millis(10)), 1);
    }

    #[test]
    fn a_capped_journal_forgets_entries_but_not_counters() {
        let journal = Journal::new(JournalKeeping::Last(2));
        for _ in 0..5 {
            journal.add(entry(Instant::now(), 404));
        }
        let sequences: Vec<u64> = journal.entries().iter().map(|entry| entry.sequence).collect();
        assert_eq!(sequences, [4, 5]);
        assert_eq!((journal.calls(Endpoint::Contact), journal.failures(Endpoint::Contact)), (5, 5));
    }
}
