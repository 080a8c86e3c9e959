//! Whether what happened is what should have: the audit log, the cases, the mails and the platform's journal are
//! compared with each other.

use std::collections::{BTreeMap, BTreeSet};

use dsrd_simulator::{Effect, OrganisationHandle};
use uuid::Uuid;

use super::play::Played;
use super::script::{Asked, Expected};
use crate::domain::{Handling, Origin, Outcome, ParkReason, RequestKind, RequestState};
use crate::intake::Case;

/// The witnesses.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) played: &'a Played,
    pub(super) cases: &'a BTreeMap<Uuid, Case>,
    pub(super) platform: &'a OrganisationHandle,
    pub(super) mails: u64,
    /// Whether the hand-over page opened.
    pub(super) link_works: bool,
}

/// What the platform's journal tells.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    /// Contacts that were deleted, once for each deletion.
    pub(super) deleted: Vec<String>,
    /// Policies that were set: contact, and to what.
    pub(super) policies: Vec<(String, bool)>,
}

impl Journal {
    pub(super) fn read(platform: &OrganisationHandle) -> Self {
        let mut journal = Self::default();
        for (_, effect) in platform.journal().effects() {
            match effect {
                Effect::Deleted { contact } => journal.deleted.push(contact),
                Effect::PolicySet { contact, accepted, .. } => journal.policies.push((contact, accepted)),
                Effect::DeletionAccepted { .. } => {}
            }
        }
        journal
    }
}

impl Evidence<'_> {
    pub(super) fn case_of(&self, asked: &Asked) -> Option<&Case> {
        asked.request.and_then(|request| self.cases.get(&request))
    }

    /// The contacts that erasure requests were allowed to delete, and did.
    pub(super) fn approved(&self) -> BTreeSet<&str> {
        let erased =
            |case: &&Case| case.kind == RequestKind::Erasure && case.outcome == Some(Outcome::Fulfilled);
        self.cases
            .values()
            .filter(erased)
            .filter_map(|case| case.contact.as_ref().map(crate::domain::ContactId::as_str))
            .collect()
    }

    /// The erasures of the sweep that were carried out.
    pub(super) fn erased_by_sweep(&self) -> u64 {
        let erased =
            |case: &&Case| case.origin == Origin::Retention && case.outcome == Some(Outcome::Fulfilled);
        self.cases.values().filter(erased).count() as u64
    }

    /// Everything that is not as it should be, each in a sentence.
    pub(super) fn unexpected(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.played.in_time {
            found.push("Not everything came to its end in time.".to_owned());
        }
        self.check_requests(&mut found);
        self.check_sweep(&mut found);
        self.check_log(&mut found);
        self.check_platform(&mut found);
        let (owed, sent) = self.played.ledger.notices();
        if owed != sent || sent != self.mails {
            found.push(format!("{owed} notices were owed, {sent} sent, and {} mails lie there.", self.mails));
        }
        if !self.link_works {
            found.push("The hand-over page does not open.".to_owned());
        }
        found
    }

    fn check_requests(&self, found: &mut Vec<String>) {
        for asked in &self.played.asked {
            let case = self.case_of(asked);
            let as_expected = match asked.expected {
                Expected::Closed(outcome) => case.is_some_and(|case| case.outcome == Some(outcome)),
                Expected::Waits(reason) => case.is_some_and(|case| case.park_reason == Some(reason)),
            };
            // Whoever is deleted at their own wish was asked before.
            let unasked = case.is_some_and(|case| case.kind == RequestKind::Erasure)
                && asked.expected == Expected::Closed(Outcome::Fulfilled)
                && !asked.confirmed;
            if !as_expected || unasked {
                let (what, door, became) = (asked.what, asked.door.as_str(), in_plain_words(asked, case));
                found.push(format!("Asked by {door}: {what}. Expected {:?}, but: {became}.", asked.expected));
            }
        }
    }

    fn check_sweep(&self, found: &mut Vec<String>) {
        let (preview, sweep) = (&self.played.preview, &self.played.sweep);
        if let Some(reason) = sweep.reason {
            found.push(format!("The sweep stopped: {reason}."));
        }
        let erased = self.erased_by_sweep();
        if [sweep.candidates, sweep.submitted, erased].iter().any(|number| *number != preview.candidates) {
            found.push(format!(
                "The preview counted {}, the sweep {}; {} erasures were submitted and {erased} carried out.",
                preview.candidates, sweep.candidates, sweep.submitted
            ));
        }
    }

    fn check_log(&self, found: &mut Vec<String>) {
        let ledger = &self.played.ledger;
        if ledger.gaps() > 0 {
            found.push(format!("The numbers of the audit log have {} gap(s).", ledger.gaps()));
        }
        let (announced, ended) = ledger.effects();
        if announced != ended {
            found.push(format!("{announced} effects were announced and {ended} of them ended."));
        }
        let proved = ledger.read_back();
        let unproved = |case: &&Case| {
            let changes = matches!(case.kind, RequestKind::Erasure | RequestKind::OptOut);
            changes && case.outcome == Some(Outcome::Fulfilled) && !proved.contains(&case.request.0)
        };
        let unproved = self.cases.values().filter(unproved).count();
        if unproved > 0 {
            found.push(format!("{unproved} request(s) were called fulfilled without reading back."));
        }
        self.check_package(found);
    }

    /// The package holds what the platform held.
    fn check_package(&self, found: &mut Vec<String>) {
        for case in self.cases.values().filter(|case| case.kind == RequestKind::Access) {
            let Some(contact) = case.contact.as_ref().filter(|_| case.state == RequestState::Closed) else {
                continue;
            };
            let Some(truth) = self.platform.truth(contact.as_str()) else { continue };
            let counts = self.played.ledger.package_counts(case.request.0);
            for (section, held) in [
                ("profile", 1),
                ("events", truth.records.events),
                ("devices", truth.records.devices),
                ("accountings", truth.records.accountings),
            ] {
                let given = counts.get(section).copied().unwrap_or_default();
                if given != u64::from(held) {
                    found.push(format!(
                        "The platform held {held} record(s) of {section}, the package {given}."
                    ));
                }
            }
        }
    }

    fn check_platform(&self, found: &mut Vec<String>) {
        let journal = Journal::read(self.platform);
        let deleted: BTreeSet<&str> = journal.deleted.iter().map(String::as_str).collect();
        if deleted.len() != journal.deleted.len() {
            found.push("A contact was deleted twice.".to_owned());
        }
        let approved = self.approved();
        if deleted != approved {
            found.push(format!(
                "The platform deleted {} contact(s), but {} were approved.",
                deleted.len(),
                approved.len()
            ));
        }
        let still_there = |contact: &&&str| self.platform.truth(contact).is_some_and(|truth| truth.exists);
        let remaining = approved.iter().filter(still_there).count();
        if remaining > 0 {
            found.push(format!("{remaining} contact(s) called erased are still there."));
        }
        let left = self.platform.contact_number() as u64;
        if left + deleted.len() as u64 != self.played.contacts_before {
            found.push(format!("{left} contact(s) are left of {}.", self.played.contacts_before));
        }
        self.check_policies(&journal, found);
    }

    fn check_policies(&self, journal: &Journal, found: &mut Vec<String>) {
        let opted_out: BTreeMap<&str, &Case> = self
            .cases
            .values()
            .filter(|case| case.kind == RequestKind::OptOut)
            .filter_map(|case| Some((case.contact.as_ref()?.as_str(), case)))
            .collect();
        for (contact, accepted) in &journal.policies {
            if *accepted || !opted_out.contains_key(contact.as_str()) {
                found.push("A policy was changed that nobody had asked to change.".to_owned());
            }
        }
        for (contact, case) in opted_out {
            let truth = self.platform.truth(contact);
            let still_on = |policy: &&String| {
                let name = policy.strip_prefix("customs.").unwrap_or(policy.as_str());
                truth.as_ref().and_then(|truth| truth.policy(name)) == Some(true)
            };
            if case.policies.iter().any(|policy| still_on(&policy)) {
                found.push("A policy is still on after the opt-out.".to_owned());
            }
        }
    }
}

/// What became of a request, for people.
pub(super) fn in_plain_words(asked: &Asked, case: Option<&Case>) -> String {
    if let Some(why) = &asked.parked {
        return format!("row put aside, nothing done: {why}");
    }
    let Some(case) = case else { return "nothing yet".to_owned() };
    if let Some(reason) = case.park_reason {
        return match reason {
            ParkReason::AmbiguousMatch => {
                "waits for a person: two contacts match, and nobody is guessed".to_owned()
            }
            ParkReason::NotAutomated => {
                "waits for a person: no procedure covers it, and nobody guesses what is meant".to_owned()
            }
            other => format!("waits for a person ({other})"),
        };
    }
    match (case.outcome, case.kind) {
        (Some(Outcome::Fulfilled), kind) => match kind.handling() {
            Handling::Access | Handling::Portability => "data collected; the link went out by mail",
            Handling::OptOut => "marketing switched off, read back, confirmed by mail",
            Handling::Erasure if asked.confirmed => {
                "asked who asks, confirmed by link, deleted, absence proved, told by mail"
            }
            Handling::Erasure => "deleted, absence proved, told by mail",
            Handling::Person => "carried out by a person, answered by mail",
        }
        .to_owned(),
        (Some(Outcome::FulfilledNoData), _) => "nobody found, answered so by mail".to_owned(),
        (Some(other), _) => format!("ended: {other}"),
        (None, _) => format!("not ended yet: {}", case.state),
    }
}
