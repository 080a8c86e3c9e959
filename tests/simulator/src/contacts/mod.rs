//! The contacts of one organisation: who exists, and what calls have changed.
//!
//! A contact is a *slot*: numbers below the population's count are generated people, those after are contacts that a
//! test added. What calls change is kept beside, per slot: a bit for "gone" and, for the few that need it, a
//! [`Change`]. Reading a contact means filling a record from the population (or copying the added one) and laying the
//! change over it.
//!
//! All methods take the state's lock themselves and hold it for one contact or one chunk of a page, so that a page of
//! 10,000 contacts does not keep deletions waiting.

mod filter;
mod spec;
mod truth;

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use crate::json::Style;
use crate::people::{
    BUILT_IN_POLICIES, CUSTOM_OPTINS, ContactRecord, PolicyFlags, Population, RecordCounts, write_contact,
};

pub(crate) use filter::{ContactFilter, SearchKey, digits_of};
pub use spec::ContactSpec;
pub use truth::{Identifiers, Truth};

/// Policies are kept as bits.
const LARGEST_POLICY_NUMBER: usize = 32;

/// A contact that a test added.
#[derive(Clone, Debug)]
struct Added {
    record: ContactRecord,
    counts: RecordCounts,
}

/// What calls changed on a contact.
#[derive(Clone, Debug, Default)]
struct Change {
    policies: Option<PolicyFlags>,
    modified_ms: Option<i64>,
    soft_deleted: bool,
    wiped: bool,
    keeps_records: bool,
    counts: Option<RecordCounts>,
}

/// A deletion that was accepted and has not happened yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    slot: u32,
    due: Due,
    keeps_records: bool,
}

/// When an accepted deletion happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// After so many further reads of the contact.
    Reads(u32),
    /// At an instant.
    At(Instant),
}

#[derive(Debug, Default)]
struct State {
    added: Vec<Added>,
    added_by_id: HashMap<String, u32>,
    added_by_key: HashMap<(SearchKey, String), Vec<u32>>,
    gone: Vec<u64>,
    gone_number: usize,
    changes: HashMap<u32, Change>,
    pending: Vec<Pending>,
    titles: Vec<String>,
}

/// The contacts of one organisation.
#[derive(Debug)]
pub(crate) struct Directory {
    people: Population,
    started: Instant,
    state: RwLock<State>,
}

/// Contacts that a list call found, in the order of the answer.
#[derive(Debug)]
pub(crate) struct Selection {
    /// `None` means all slots below `number`, in their order.
    slots: Option<Vec<u32>>,
    number: usize,
}

impl Selection {
    pub(crate) fn from_slots(slots: Vec<u32>) -> Self {
        Self { number: slots.len(), slots: Some(slots) }
    }

    fn all(number: usize) -> Self {
        Self { slots: None, number }
    }

    pub(crate) fn len(&self) -> usize {
        self.number
    }

    /// The slot at a place.
    pub(crate) fn get(&self, at: usize) -> Option<u32> {
        match &self.slots {
            Some(slots) => slots.get(at).copied(),
            None => (at < self.number).then(|| u32::try_from(at).expect("slots are 32-bit numbers")),
        }
    }
}

/// How far a contact is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Readable.
    There,
    /// Readable, marked as deleted.
    SoftDeleted,
    /// The profile is gone, its records still answer.
    OnlyRecords,
    /// Gone.
    Gone,
}

impl State {
    fn is_gone(&self, slot: u32) -> bool {
        let word = slot as usize / 64;
        self.gone.get(word).is_some_and(|bits| bits & (1 << (slot % 64)) != 0)
    }

    fn set_gone(&mut self, slot: u32, gone: bool) {
        let word = slot as usize / 64;
        if self.gone.len() <= word {
            self.gone.resize(word + 1, 0);
        }
        let bit = 1 << (slot % 64);
        match (self.gone[word] & bit != 0, gone) {
            (false, true) => self.gone_number += 1,
            (true, false) => self.gone_number -= 1,
            _ => {}
        }
        if gone {
            self.gone[word] |= bit;
        } else {
            self.gone[word] &= !bit;
        }
    }

    fn change(&self, slot: u32) -> Option<&Change> {
        if self.changes.is_empty() { None } else { self.changes.get(&slot) }
    }

    fn fill(&self, people: &Population, slot: u32, record: &mut ContactRecord) {
        match self.added(people, slot) {
            Some(added) => record.clone_from(&added.record),
            None => people.fill(slot, record),
        }
        if let Some(change) = self.change(slot) {
            if let Some(policies) = change.policies {
                record.policies = policies;
            }
            if let Some(modified) = change.modified_ms {
                record.modified_ms = modified;
            }
            record.deleted |= change.soft_deleted;
            if change.wiped {
                record.wipe();
            }
        }
    }

    fn added(&self, people: &Population, slot: u32) -> Option<&Added> {
        slot.checked_sub(people.count()).and_then(|at| self.added.get(at as usize))
    }

    fn presence(&self, slot: u32) -> Presence {
        let change = self.change(slot);
        if self.is_gone(slot) {
            if change.is_some_and(|change| change.keeps_records) {
                Presence::OnlyRecords
            } else {
                Presence::Gone
            }
        } else if change.is_some_and(|change| change.soft_deleted) {
            Presence::SoftDeleted
        } else {
            Presence::There
        }
    }

    fn delete_now(&mut self, slot: u32, keeps_records: bool) {
        self.set_gone(slot, true);
        if keeps_records {
            self.changes.entry(slot).or_default().keeps_records = true;
        } else if let Some(change) = self.changes.get_mut(&slot) {
            change.keeps_records = false;
        }
    }
}

impl Directory {
    pub(crate) fn new(people: Population) -> Self {
        let titles = BUILT_IN_POLICIES.iter().chain(&CUSTOM_OPTINS).map(|&title| title.to_owned()).collect();
        Self { people, started: Instant::now(), state: RwLock::new(State { titles, ..State::default() }) }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn people(&self) -> &Population {
        &self.people
    }

    /// The platform's clock: the reference instant plus the time since the start.
    pub(crate) fn now_ms(&self) -> i64 {
        let elapsed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX / 2);
        self.people.reference_ms() + elapsed
    }

    /// Number of slots, gone ones included.
    pub(crate) fn slots(&self) -> u32 {
        self.people.count() + u32::try_from(self.read().added.len()).expect("fewer additions than slots")
    }

    /// Number of contacts whose profile can be read.
    pub(crate) fn living(&self) -> usize {
        let state = self.read();
        self.people.count() as usize + state.added.len() - state.gone_number
    }

    /// Slots whose profile can be read.
    pub(crate) fn living_slots(&self) -> Vec<u32> {
        let state = self.read();
        let slots =
            self.people.count() + u32::try_from(state.added.len()).expect("fewer additions than slots");
        (0..slots).filter(|&slot| !state.is_gone(slot)).collect()
    }

    /// The slot of an id, whether the contact still exists or not.
    pub(crate) fn slot_of(&self, id: &str) -> Option<u32> {
        self.people.index_of_id(id).or_else(|| self.read().added_by_id.get(id).copied())
    }

    pub(crate) fn id_of(&self, slot: u32) -> String {
        let mut id = String::with_capacity(32);
        match self.read().added(&self.people, slot) {
            Some(added) => id.push_str(&added.record.cid),
            None => self.people.write_id(slot, &mut id),
        }
        id
    }

    pub(crate) fn presence(&self, slot: u32) -> Presence {
        self.read().presence(slot)
    }

    /// Appends the JSON form of a contact.
    pub(crate) fn write_contact(
        &self,
        out: &mut Vec<u8>,
        slot: u32,
        record: &mut ContactRecord,
        style: Style,
    ) {
        let state = self.read();
        state.fill(&self.people, slot, record);
        write_contact(out, record, &state.titles, style);
    }

    /// Fills a record.
    pub(crate) fn fill(&self, slot: u32, record: &mut ContactRecord) {
        self.read().fill(&self.people, slot, record);
    }

    /// Creation instant.
    pub(crate) fn created_ms(&self, slot: u32) -> i64 {
        let state = self.read();
        state
            .added(&self.people, slot)
            .map_or_else(|| self.people.created_ms(slot), |added| added.record.created_ms)
    }

    /// Number of records of a contact as if it existed.
    pub(crate) fn counts(&self, slot: u32) -> RecordCounts {
        let state = self.read();
        if let Some(counts) = state.change(slot).and_then(|change| change.counts) {
            return counts;
        }
        state.added(&self.people, slot).map_or_else(|| self.people.record_counts(slot), |added| added.counts)
    }

    pub(crate) fn set_counts(&self, slot: u32, counts: RecordCounts) {
        self.write().changes.entry(slot).or_default().counts = Some(counts);
    }

    // ----- policies -------------------------------------------------------------------------------------------------

    /// Titles of the organisation's policies, built-in ones first.
    pub(crate) fn policy_titles(&self) -> Vec<String> {
        self.read().titles.clone()
    }

    /// The position of a policy named as in an update: a built-in name, or a title behind `customs.`.
    pub(crate) fn policy_position(&self, key: &str) -> Option<u32> {
        let state = self.read();
        let position = match key.strip_prefix(crate::dialect::CUSTOM_POLICY_PREFIX) {
            Some(title) => {
                state.titles.iter().skip(BUILT_IN_POLICIES.len()).position(|known| known == title)?
                    + BUILT_IN_POLICIES.len()
            }
            None => state.titles.iter().take(BUILT_IN_POLICIES.len()).position(|known| known == key)?,
        };
        u32::try_from(position).ok()
    }

    /// The position of a custom opt-in by its title.
    pub(crate) fn custom_position(&self, title: &str) -> Option<u32> {
        let state = self.read();
        let at = state.titles.iter().skip(BUILT_IN_POLICIES.len()).position(|known| known == title)?;
        u32::try_from(at + BUILT_IN_POLICIES.len()).ok()
    }

    /// Sets a policy; `wipes` removes the personal data with it.
    pub(crate) fn set_policy(&self, slot: u32, position: u32, accepted: bool, wipes: bool) {
        let now = self.now_ms();
        let mut state = self.write();
        let before = match state.change(slot).and_then(|change| change.policies) {
            Some(flags) => flags,
            None => match state.added(&self.people, slot) {
                Some(added) => added.record.policies,
                None => self.people.policies(slot),
            },
        };
        let change = state.changes.entry(slot).or_default();
        let mut flags = before;
        flags.set(position, accepted);
        change.policies = Some(flags);
        change.modified_ms = Some(now);
        change.wiped |= wipes;
    }

    // ----- deletion -------------------------------------------------------------------------------------------------

    /// Deletes a contact now; false when somebody else was faster.
    pub(crate) fn delete(&self, slot: u32, keeps_records: bool) -> bool {
        let mut state = self.write();
        if state.is_gone(slot) {
            return false;
        }
        state.delete_now(slot, keeps_records);
        true
    }

    /// Marks a contact as deleted and leaves it readable.
    pub(crate) fn soft_delete(&self, slot: u32) {
        let now = self.now_ms();
        let mut state = self.write();
        let change = state.changes.entry(slot).or_default();
        change.soft_deleted = true;
        change.modified_ms = Some(now);
    }

    /// Deletes a contact later. Asking twice keeps the first date.
    pub(crate) fn delete_later(&self, slot: u32, due: Due, keeps_records: bool) {
        let mut state = self.write();
        if !state.pending.iter().any(|pending| pending.slot == slot) {
            state.pending.push(Pending { slot, due, keeps_records });
        }
    }

    /// Brings a deleted contact back, as it was.
    pub(crate) fn restore(&self, slot: u32) {
        let mut state = self.write();
        state.set_gone(slot, false);
        state.pending.retain(|pending| pending.slot != slot);
        if let Some(change) = state.changes.get_mut(&slot) {
            change.soft_deleted = false;
            change.keeps_records = false;
            change.wiped = false;
        }
    }

    /// Notes that a contact is being read, and makes those accepted deletions effective whose time has come (`all`:
    /// every one of them). Answers the slots that became effective.
    pub(crate) fn settle(&self, read: Option<u32>, all: bool) -> Vec<u32> {
        if self.read().pending.is_empty() {
            return Vec::new();
        }
        let now = Instant::now();
        let mut state = self.write();
        let mut effective = Vec::new();
        let mut waiting = Vec::new();
        for mut pending in std::mem::take(&mut state.pending) {
            let due = match &mut pending.due {
                Due::At(at) => *at <= now,
                Due::Reads(left) if read == Some(pending.slot) => {
                    let due = *left == 0;
                    *left = left.saturating_sub(1);
                    due
                }
                Due::Reads(_) => false,
            };
            if due || all {
                state.delete_now(pending.slot, pending.keeps_records);
                effective.push(pending.slot);
            } else {
                waiting.push(pending);
            }
        }
        state.pending = waiting;
        effective
    }

    // ----- adding and truth -----------------------------------------------------------------------------------------

    /// Adds a contact and answers its slot.
    ///
    /// # Panics
    /// When the id exists already or the organisation would have more than 32 policies: mistakes of the test.
    pub(crate) fn add(&self, spec: ContactSpec) -> u32 {
        assert!(
            spec.id.as_deref().is_none_or(|id| self.slot_of(id).is_none()),
            "the simulator has a contact with this id already"
        );
        let mut state = self.write();
        let slot =
            self.people.count() + u32::try_from(state.added.len()).expect("fewer additions than slots");
        let (mut record, counts, policies) = spec.into_record(&self.people, slot);
        for (title, accepted) in policies {
            let position = state.titles.iter().position(|known| *known == title).unwrap_or_else(|| {
                assert!(state.titles.len() < LARGEST_POLICY_NUMBER, "at most 32 policies per organisation");
                state.titles.push(title);
                state.titles.len() - 1
            });
            record.policies.set(u32::try_from(position).expect("fewer than 32"), accepted);
        }
        state.added_by_id.insert(record.cid.clone(), slot);
        for (key, value) in filter::search_values(&record) {
            state.added_by_key.entry((key, value)).or_default().push(slot);
        }
        state.added.push(Added { record, counts });
        slot
    }

    /// What is true of a contact.
    pub(crate) fn truth(&self, slot: u32) -> Truth {
        let counts = self.counts(slot);
        let state = self.read();
        let presence = state.presence(slot);
        let mut record = ContactRecord::default();
        state.fill(&self.people, slot, &mut record);
        let policies = (0_u32..)
            .zip(&state.titles)
            .filter(|(position, _)| record.policies.present & (1 << position) != 0)
            .map(|(position, title)| (title.clone(), record.policies.accepts(position)))
            .collect();
        Truth {
            exists: matches!(presence, Presence::There | Presence::SoftDeleted),
            soft_deleted: presence == Presence::SoftDeleted,
            wiped: state.change(slot).is_some_and(|change| change.wiped),
            deletion_pending: state.pending.iter().any(|pending| pending.slot == slot),
            records: if presence == Presence::Gone { RecordCounts::default() } else { counts },
            policies,
            created_ms: record.created_ms,
            display_name: [record.first_name.as_str(), &record.last_name].join(" ").trim().to_owned(),
            identifiers: Identifiers {
                email: record.email,
                phone: record.phone,
                username: record.username,
                ext_id: record.ext_id,
                ext_prop1: record.ext_prop1,
                ext_prop2: record.ext_prop2,
            },
        }
    }
}
