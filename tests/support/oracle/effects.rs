//! I-2, I-3 and I-5: what was done to contacts, compared with what was approved, announced, recorded and proven.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dsrd::audit::Entry;
use dsrd_simulator::{Effect, Endpoint, Entry as JournalEntry};
use uuid::Uuid;

use super::{Evidence, Stored};
use crate::support::witness::micros;

/// When a call arrived.
fn arrived(call: &JournalEntry) -> i64 {
    micros(call.wall, Duration::ZERO)
}

/// When its outcome was settled, just before its answer.
fn settled(call: &JournalEntry) -> i64 {
    micros(call.wall, call.settled.saturating_duration_since(call.arrived))
}

/// A policy as the log writes it.
fn as_logged(policy: &str) -> String {
    let plain =
        |each: char| if each.is_ascii_alphanumeric() || "_.:/+- ".contains(each) { each } else { '_' };
    policy.chars().take(120).map(plain).collect()
}

/// A policy as profiles show it.
fn as_shown(policy: &str) -> &str {
    policy.strip_prefix("customs.").unwrap_or(policy)
}

/// Kinds of request that are carried out as an opt-out.
const OPT_OUTS: [&str; 3] = ["opt_out", "consent_withdrawal", "ccpa_opt_out"];
/// Kinds of request that the machine carries out otherwise.
const OTHERS: [&str; 2] = ["access", "erasure"];

/// I-2: only contacts that a request was allowed to touch were deleted or changed, only in its way, and of a contact's
/// policies only those that were asked for, and those only off.
pub(super) fn only_approved_contacts_were_touched(evidence: &Evidence<'_>) -> Vec<String> {
    let approved = |wanted: &str, kinds: &[&str], allows: &dyn Fn(&Stored) -> bool| {
        evidence.requests.values().any(|request| {
            kinds.contains(&request.kind.as_str())
                && request.contact.as_deref() == Some(wanted)
                && allows(request)
        })
    };
    let wrong = |effect: &Effect| match effect {
        Effect::PolicySet { contact, key, accepted } => {
            let asked = approved(contact, &OPT_OUTS, &|request| request.policies.contains(key));
            *accepted || !(asked || stopped_for_a_hold(evidence, contact, key))
        }
        Effect::Deleted { contact } | Effect::DeletionAccepted { contact } => {
            !approved(contact, &["erasure"], &|_| true)
        }
    };
    let effects =
        evidence.journal.iter().flat_map(|call| call.effects.iter().map(|effect| (call.sequence, effect)));
    effects
        .filter(|(_, effect)| wrong(effect))
        .map(|(sequence, effect)| format!("I-2: effect {sequence} was approved by no request: {effect:?}"))
        .collect()
}

/// Whether a policy may be switched off because a hold keeps the contact of an erasure: those of the organisation only.
fn stopped_for_a_hold(evidence: &Evidence<'_>, contact: &str, key: &str) -> bool {
    let is_marketing = evidence.service.controller.opt_out_policies.iter().any(|policy| policy == key);
    is_marketing
        && evidence.requests.iter().any(|(id, request)| {
            request.kind == "erasure"
                && request.contact.as_deref() == Some(contact)
                && evidence.of(*id, &["erasure.postponed"]).next().is_some()
        })
}

/// An announcement and its end.
struct Bracket {
    /// The family of actions: `deletion` or `policy`.
    family: String,
    contact: String,
    /// For a policy, as logged.
    policy: Option<String>,
    seq: i64,
    began: i64,
    ended: i64,
    outcome: String,
    /// The effect that happened within it.
    taken: bool,
}

/// I-3: every effect of the journal lies within exactly one bracket of its own: an announcement that was committed
/// before the call arrived, and an end that was committed after the effect; for its contact, its kind and its policy.
pub(super) fn every_effect_is_bracketed(evidence: &Evidence<'_>) -> Vec<String> {
    let (mut brackets, mut faults) = brackets(evidence);
    // By their ends, so that the first one that fits leaves the longer ones to others.
    brackets.sort_by_key(|bracket| bracket.ended);
    let mut calls: Vec<&JournalEntry> =
        evidence.journal.iter().filter(|call| call.endpoint.changes_a_contact()).collect();
    calls.sort_by_key(|call| settled(call));
    for call in &calls {
        let Some(contact) = call.contact.as_deref() else { continue };
        let family = if call.endpoint == Endpoint::DeleteContact { "deletion" } else { "policy" };
        let announced = brackets.iter().any(|bracket| {
            bracket.family == family
                && bracket.contact == contact
                && bracket.began <= arrived(call)
                && arrived(call) <= bracket.ended
        });
        if !announced {
            faults.push(format!("I-3: call {} to {:?} was not announced", call.sequence, call.endpoint));
        }
        for effect in &call.effects {
            let policy = match effect {
                Effect::PolicySet { key, .. } => Some(as_logged(key)),
                Effect::Deleted { .. } | Effect::DeletionAccepted { .. } => None,
            };
            let own = brackets.iter_mut().find(|bracket| {
                !bracket.taken
                    && bracket.family == family
                    && bracket.contact == effect.contact()
                    && bracket.policy == policy
                    && bracket.began <= arrived(call)
                    && settled(call) <= bracket.ended
                    // An end that says "it did not happen" accounts for no effect.
                    && !matches!(bracket.outcome.as_str(), "failed" | "absent")
            });
            match own {
                Some(bracket) => bracket.taken = true,
                None => faults.push(format!(
                    "I-3: effect {} ({family}) lies within no announcement and end of its own",
                    call.sequence
                )),
            }
        }
    }
    for bracket in brackets.iter().filter(|bracket| bracket.outcome == "done") {
        let called = calls.iter().any(|call| {
            call.contact.as_deref() == Some(&bracket.contact)
                && bracket.began <= arrived(call)
                && arrived(call) <= bracket.ended
        });
        if !called {
            faults.push(format!(
                "I-3: entry {} ({}) ended as done without a call",
                bracket.seq, bracket.family
            ));
        }
    }
    faults.extend(late_deletions_were_accepted(evidence));
    faults
}

/// What the platform deleted by itself was asked for before.
fn late_deletions_were_accepted(evidence: &Evidence<'_>) -> Vec<String> {
    let mut accepted = BTreeSet::new();
    let mut faults = Vec::new();
    for call in &evidence.journal {
        for effect in &call.effects {
            match effect {
                Effect::DeletionAccepted { contact } => {
                    accepted.insert(contact);
                }
                Effect::Deleted { contact }
                    if call.endpoint == Endpoint::Platform && !accepted.contains(contact) =>
                {
                    faults.push(format!("I-3: effect {} was never asked for", call.sequence));
                }
                Effect::Deleted { .. } | Effect::PolicySet { .. } => {}
            }
        }
    }
    faults
}

/// Every announcement with its end; what has none, or more than one, is a fault.
fn brackets(evidence: &Evidence<'_>) -> (Vec<Bracket>, Vec<String>) {
    let mut ends: BTreeMap<Uuid, Vec<&Entry>> = BTreeMap::new();
    for entry in &evidence.log {
        if let Some(intent) = entry.intent {
            ends.entry(intent).or_default().push(entry);
        }
    }
    let (mut brackets, mut faults) = (Vec::new(), Vec::new());
    for began in &evidence.log {
        let Some(family) = began.action.strip_suffix(".began") else { continue };
        let own = ends.remove(&began.id).unwrap_or_default();
        let name = format!("entry {} ({})", began.seq, began.action);
        let Some(first) = own.first() else {
            faults.push(format!("I-3: {name} has no end"));
            continue;
        };
        if own.len() != 1 || first.outcome.is_none() {
            let outcomes: Vec<_> = own.iter().map(|end| end.outcome.as_deref().unwrap_or_default()).collect();
            faults.push(format!("I-3: {name} ended several times: {outcomes:?}"));
        }
        for end in &own {
            if end.seq <= began.seq || end.case != began.case || end.action != format!("{family}.ended") {
                faults.push(format!("I-3: {name} is ended by entry {} ({})", end.seq, end.action));
            }
        }
        // None of these is an effect at the platform.
        if ["notice", "staff_mail", "recipient"].contains(&family) {
            continue;
        }
        let contact = began.case.and_then(|case| evidence.requests.get(&case)?.contact.clone());
        let Some(contact) = contact else {
            faults.push(format!("I-3: {name} belongs to a request without contact"));
            continue;
        };
        brackets.push(Bracket {
            family: family.to_owned(),
            contact,
            policy: began.detail["policy"].as_str().map(str::to_owned),
            seq: began.seq,
            began: evidence.committed(began),
            ended: evidence.committed(first),
            outcome: first.outcome.clone().unwrap_or_default(),
            taken: false,
        });
    }
    let astray = ends.values().flatten().map(|end| format!("I-3: entry {} ends nothing", end.seq));
    faults.extend(astray);
    (brackets, faults)
}

/// Notices that tell no outcome, and may stand before one.
const QUESTIONS: [&str; 4] = ["acknowledgement", "identity_request", "clarification_request", "extension"];

/// I-5: a request that says "fulfilled" has a read-back in the log, after its last effect and before its end; the
/// journal shows that it was read, with that answer, between the effect and its record; and the simulator agrees.
pub(super) fn success_follows_a_read_back(evidence: &Evidence<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, request) in &evidence.requests {
        if !matches!(request.outcome.as_deref(), Some("fulfilled" | "partly_fulfilled")) {
            continue;
        }
        let name = format!("{} {id}", request.kind);
        let kind = request.kind.as_str();
        // What a person takes along is the machine's where it built a package, and a person's where they recorded it.
        let with_package = kind == "portability" && evidence.of(*id, &["package.built"]).next().is_some();
        if !OPT_OUTS.contains(&kind) && !OTHERS.contains(&kind) && !with_package {
            faults.extend(a_person_answered(evidence, *id, &name));
            continue;
        }
        let place = |actions: &[&str]| evidence.of(*id, actions).map(|entry| entry.seq).max();
        let effect = place(&["policy.ended", "deletion.ended"]).unwrap_or(0);
        let postponed = place(&["erasure.postponed"]);
        let proof = place(&["policy.verified", "deletion.verified", "package.built", "erasure.postponed"]);
        if postponed.is_some() && request.outcome.as_deref() == Some("fulfilled") {
            faults.push(format!("I-5: {name} says fulfilled and a hold stood in its way"));
        }
        let told = evidence
            .of(*id, &["notice.ended"])
            .filter(|entry| !QUESTIONS.iter().any(|kind| entry.detail["kind"] == *kind))
            .map(|entry| entry.seq)
            .max();
        let closed = place(&["request.closed"]);
        if proof.is_none_or(|proof| proof < effect)
            || closed < proof
            || told.is_some_and(|told| Some(told) < proof)
        {
            faults.push(format!(
                "I-5: {name}: effect {effect}, proof {proof:?}, told {told:?}, closed {closed:?}"
            ));
        }
        let Some(contact) = request.contact.as_deref() else {
            faults.push(format!("I-5: {name} is fulfilled without a contact"));
            continue;
        };
        match request.kind.as_str() {
            "erasure" if postponed.is_some() => {}
            "erasure" => faults.extend(absence_was_read(evidence, *id, contact, &name)),
            kind if OPT_OUTS.contains(&kind) => {
                faults.extend(policies_were_read(evidence, *id, request, contact, &name));
            }
            _ => {}
        }
    }
    faults
}

/// What no procedure covers is fulfilled by the record of a person, before the data subject was told and before its end.
fn a_person_answered(evidence: &Evidence<'_>, request: Uuid, name: &str) -> Vec<String> {
    let place = |action: &str| evidence.of(request, &[action]).map(|entry| entry.seq).max();
    let answered = evidence.of(request, &["decision.answered"]).last();
    let by_a_person = answered.is_some_and(|entry| entry.actor.starts_with("person:"));
    let seq = answered.map(|entry| entry.seq);
    if !by_a_person
        || place("request.closed") < seq
        || place("notice.ended").is_some_and(|told| Some(told) < seq)
    {
        return vec![format!("I-5: {name} is fulfilled and no person recorded how")];
    }
    Vec::new()
}

/// The commit of the last proof of a request, and the last call before it that had an effect on its contact.
fn proof_and_effect(
    evidence: &Evidence<'_>,
    request: Uuid,
    contact: &str,
    proof: &str,
    endpoint: Endpoint,
) -> Option<(i64, i64)> {
    let proven = evidence.of(request, &[proof]).map(|entry| evidence.committed(entry)).max()?;
    let effect = evidence
        .calls_about(contact)
        .filter(|call| call.endpoint == endpoint && call.contact.as_deref() == Some(contact))
        .filter(|call| !call.effects.is_empty())
        .map(settled)
        .filter(|at| *at <= proven)
        .max();
    Some((proven, effect.unwrap_or(0)))
}

/// Whether the contact was read by its id in between, with one of these answers.
fn read_between(evidence: &Evidence<'_>, contact: &str, from: i64, until: i64, answers: &[u16]) -> bool {
    reads_between(evidence, contact, from, until, answers) > 0
}

/// How often it was.
fn reads_between(evidence: &Evidence<'_>, contact: &str, from: i64, until: i64, answers: &[u16]) -> usize {
    let read = evidence.calls_about(contact).filter(|call| {
        call.endpoint == Endpoint::Contact
            && call.contact.as_deref() == Some(contact)
            && answers.contains(&call.status)
            && !call.withheld
            && from <= arrived(call)
            && settled(call) <= until
    });
    read.count()
}

fn absence_was_read(evidence: &Evidence<'_>, request: Uuid, contact: &str, name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let times = proof_and_effect(evidence, request, contact, "deletion.verified", Endpoint::DeleteContact);
    if let Some((proven, effect)) = times
        && reads_between(evidence, contact, effect, proven, &[404]) < 2
    {
        faults.push(format!("I-5: {name} was proven and nobody read twice that the contact is gone"));
    }
    if evidence.truth(contact).is_none_or(|truth| truth.exists) {
        faults.push(format!("I-5: {name} says fulfilled and the contact exists"));
    }
    faults
}

fn policies_were_read(
    evidence: &Evidence<'_>,
    request: Uuid,
    stored: &Stored,
    contact: &str,
    name: &str,
) -> Vec<String> {
    let mut faults = Vec::new();
    let times = proof_and_effect(evidence, request, contact, "policy.verified", Endpoint::UpdatePolicies);
    if let Some((proven, effect)) = times {
        if !read_between(evidence, contact, effect, proven, &[200, 404]) {
            faults.push(format!("I-5: {name} was proven and nobody read the policies after the change"));
        }
        // At the read-back: the last change before it switched off.
        for policy in &stored.policies {
            let last = evidence
                .calls_about(contact)
                .filter(|call| settled(call) <= proven)
                .flat_map(|call| &call.effects)
                .filter_map(|effect| match effect {
                    Effect::PolicySet { contact: whose, key, accepted }
                        if whose == contact && key == policy =>
                    {
                        Some(*accepted)
                    }
                    _ => None,
                })
                .next_back();
            if last == Some(true) {
                faults.push(format!("I-5: {name}: {policy} was on when it was read back"));
            }
        }
    }
    // At the end: off, unless there is nobody left to write to.
    let Some(truth) = evidence.truth(contact) else {
        faults.push(format!("I-5: {name} is about a contact that never was"));
        return faults;
    };
    if truth.exists {
        for policy in &stored.policies {
            let now = truth.policy(as_shown(policy));
            if now != Some(false) {
                faults.push(format!("I-5: {name} says fulfilled and {policy} is {now:?}"));
            }
        }
    }
    faults
}

impl Evidence<'_> {
    /// What is true of a contact of any of the organisations.
    pub(super) fn truth(&self, contact: &str) -> Option<dsrd_simulator::Truth> {
        let organisations = self.service.simulator.organisations();
        organisations.into_iter().find_map(|organisation| organisation.truth(contact))
    }
}
