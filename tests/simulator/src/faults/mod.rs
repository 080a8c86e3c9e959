//! Fault switches and the plan of when they act.
//!
//! A test injects a [`FaultPlan`] through [`Faults::inject`]: a [`Fault`] narrowed to endpoints, an organisation, a
//! contact, a number of times, a number of calls to let pass, a share of calls. Each call takes the faults that hold for
//! it exactly once, at its arrival; what happens then is decided by the fault's kind, in three places: before the work
//! (`server`), in the endpoint, and on the finished answer (`mangle`).
//!
//! To add a fault: a variant in `kinds.rs` with its endpoints and stage, and the place that asks for it.

mod kinds;
pub(crate) mod mangle;
pub(crate) mod poison;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use kinds::Stage;
pub use kinds::{Fault, Poison};

use crate::journal::Endpoint;
use crate::people::mix;

/// A fault and when it acts.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    fault: Fault,
    endpoints: Vec<Endpoint>,
    contact: Option<String>,
    organisation: Option<Arc<str>>,
    skip: u32,
    times: Option<u32>,
    share: Option<(u32, u64)>,
}

impl From<Fault> for FaultPlan {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            endpoints: Vec::new(),
            contact: None,
            organisation: None,
            skip: 0,
            times: None,
            share: None,
        }
    }
}

impl FaultPlan {
    /// Only on this endpoint; may be given several times.
    #[must_use]
    pub fn on(mut self, endpoint: Endpoint) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    /// Only on calls that name this contact in their path.
    #[must_use]
    pub fn for_contact(mut self, contact_id: impl Into<String>) -> Self {
        self.contact = Some(contact_id.into());
        self
    }

    /// Lets so many calls pass before the fault begins.
    #[must_use]
    pub fn after(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// Ends after so many calls; without it the fault stays until it is cleared.
    #[must_use]
    pub fn times(mut self, number: u32) -> Self {
        self.times = Some(number);
        self
    }

    /// Hits only this share of the calls, in thousandths, chosen by a seed.
    #[must_use]
    pub fn share(mut self, per_thousand: u32, seed: u64) -> Self {
        self.share = Some((per_thousand, seed));
        self
    }
}

/// Names an injected fault, for [`Faults::remove`] and [`Faults::hits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultId(u64);

#[derive(Debug)]
struct Active {
    id: FaultId,
    plan: FaultPlan,
    seen: u64,
    hits: u64,
    finished: bool,
}

#[derive(Debug, Default)]
struct Switchboard {
    active: Vec<Active>,
    next: u64,
}

/// The handle by which faults are switched, at any time. Clones act on the same simulator.
#[derive(Clone, Debug)]
pub struct Faults {
    board: Arc<Mutex<Switchboard>>,
    /// Number of plans that may still act; lets calls without faults pass without taking the lock.
    armed: Arc<AtomicUsize>,
    organisation: Option<Arc<str>>,
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self { board: Arc::default(), armed: Arc::default(), organisation: None }
    }

    pub(crate) fn of_organisation(&self, name: Arc<str>) -> Self {
        Self { organisation: Some(name), ..self.clone() }
    }

    fn board(&self) -> MutexGuard<'_, Switchboard> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches a fault on: from now, for all endpoints that it concerns, until it is cleared, unless the plan says
    /// otherwise. A handle of one organisation limits it to that organisation.
    pub fn inject(&self, plan: impl Into<FaultPlan>) -> FaultId {
        let mut plan = plan.into();
        plan.organisation = plan.organisation.or_else(|| self.organisation.clone());
        let mut board = self.board();
        board.next += 1;
        let id = FaultId(board.next);
        board.active.push(Active { id, plan, seen: 0, hits: 0, finished: false });
        self.armed.fetch_add(1, Ordering::Release);
        id
    }

    /// Switches one fault off.
    pub fn remove(&self, id: FaultId) {
        let mut board = self.board();
        board.active.retain(|active| active.id != id);
        self.armed.store(board.active.iter().filter(|active| !active.finished).count(), Ordering::Release);
    }

    /// Switches all faults off; through the handle of one organisation, those of that organisation.
    pub fn clear(&self) {
        let mut board = self.board();
        board
            .active
            .retain(|active| self.organisation.is_some() && active.plan.organisation != self.organisation);
        self.armed.store(board.active.iter().filter(|active| !active.finished).count(), Ordering::Release);
    }

    /// Number of calls that a fault has hit; 0 for a fault that was removed.
    #[must_use]
    pub fn hits(&self, id: FaultId) -> u64 {
        self.board().active.iter().find(|active| active.id == id).map_or(0, |active| active.hits)
    }

    /// Takes the faults that hold for a call.
    pub(crate) fn take(
        &self,
        endpoint: Endpoint,
        organisation: Option<&str>,
        contact: Option<&str>,
    ) -> CallFaults {
        if self.armed.load(Ordering::Acquire) == 0 {
            return CallFaults::default();
        }
        let mut taken = Vec::new();
        let mut board = self.board();
        for active in board.active.iter_mut().filter(|active| !active.finished) {
            let plan = &active.plan;
            let holds = plan.fault.concerns(endpoint)
                && (plan.endpoints.is_empty() || plan.endpoints.contains(&endpoint))
                && (plan.organisation.is_none() || plan.organisation.as_deref() == organisation)
                && (plan.contact.is_none() || plan.contact.as_deref() == contact);
            if !holds {
                continue;
            }
            active.seen += 1;
            if active.seen <= u64::from(plan.skip) {
                continue;
            }
            if plan.share.is_some_and(|(share, seed)| mix(seed ^ active.seen) % 1000 >= u64::from(share)) {
                continue;
            }
            active.hits += 1;
            taken.push(plan.fault.clone());
            if plan.times.is_some_and(|times| active.hits >= u64::from(times)) {
                active.finished = true;
                self.armed.fetch_sub(1, Ordering::Release);
            }
        }
        CallFaults { list: taken }
    }
}

/// The faults of one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallFaults {
    list: Vec<Fault>,
}

impl CallFaults {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.list.iter()
    }

    pub(crate) fn has(&self, fault: &Fault) -> bool {
        self.list.contains(fault)
    }

    /// The first answer that `choose` gives.
    pub(crate) fn find<T>(&self, choose: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.list.iter().find_map(choose)
    }

    pub(crate) fn withhold(&self) -> bool {
        self.list.iter().any(Fault::withholds)
    }

    /// The spelling of values.
    pub(crate) fn style(&self) -> crate::json::Style {
        if self.list.is_empty() {
            return crate::json::Style::default();
        }
        crate::json::Style {
            nulls: self.has(&Fault::NullsForMissing),
            numbers_as_strings: self.has(&Fault::NumbersAsStrings),
            booleans_as_strings: self.has(&Fault::BooleansAsStrings),
            unparseable_created: self.has(&Fault::UnparseableCreated),
            created_hours_ahead: self
                .find(|fault| match fault {
                    Fault::LocalCreated(hours) => Some(*hours),
                    _ => None,
                })
                .unwrap_or_default(),
            unknown_event_types: self.has(&Fault::UnknownEventType),
            flat_events: self.has(&Fault::FlatEvents),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_skips_then_hits_then_ends() {
        let faults = Faults::new();
        let id = faults.inject(Fault::Status(500).on(Endpoint::Contact).after(1).times(2));
        let hit = |endpoint| !faults.take(endpoint, None, None).list.is_empty();
        let hits: Vec<bool> = (0..4).map(|_| hit(Endpoint::Contact)).collect();
        assert_eq!(hits, [false, true, true, false]);
        assert!(!hit(Endpoint::Devices));
        assert_eq!(faults.hits(id), 2);
    }

    #[test]
    fn a_fault_of_one_organisation_leaves_the_others_alone() {
        let faults = Faults::new();
        faults.of_organisation("a".into()).inject(Fault::StatusKo);
        assert!(faults.take(Endpoint::Contact, Some("b"), None).list.is_empty());
        assert_eq!(faults.take(Endpoint::Contact, Some("a"), None).list, [Fault::StatusKo]);
        faults.of_organisation("b".into()).clear();
        assert_eq!(faults.take(Endpoint::Contact, Some("a"), None).list.len(), 1);
        faults.clear();
        assert!(faults.take(Endpoint::Contact, Some("a"), None).list.is_empty());
    }

    #[test]
    fn faults_of_other_endpoints_are_not_used_up() {
        let faults = Faults::new();
        faults.inject(Fault::SoftDelete.times(1));
        assert!(faults.take(Endpoint::Contact, None, None).list.is_empty());
        assert_eq!(faults.take(Endpoint::DeleteContact, None, None).list, [Fault::SoftDelete]);
    }

    #[test]
    fn a_share_of_calls_is_hit() {
        let faults = Faults::new();
        let id = faults.inject(FaultPlan::from(Fault::Status(503)).share(300, 9));
        for _ in 0..10_000 {
            faults.take(Endpoint::Contact, None, None);
        }
        assert!((2_700..3_300).contains(&faults.hits(id)), "{}", faults.hits(id));
    }
}
