//! The procedures as data: which steps a kind of request goes through.

use crate::domain::RequestKind;

/// One unit of a procedure. The stored name is an interface: never renamed, never reused for another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Finds the one contact, by every identifier given.
    Locate,
    /// Collects everything that the platform holds and builds the package.
    Collect,
    /// Switches the policies off, one effect each.
    SwitchOff,
    /// Deletes the contact.
    Delete,
    /// Reads back that the effect is in place.
    ReadBack,
    /// Prepares the notice of a refusal, in place of every step before `inform`. A part of no procedure: a person's
    /// decision puts it there.
    Refuse,
    /// A hold stands against the deletion: what it leaves of the erasure, and the notice of what is kept. Like `Refuse` a
    /// part of no procedure: a hold puts it in the place of `Delete` and `ReadBack`.
    Hold,
    /// Prepares the notice that it did not become known who asks, in place of every step before `inform`. A part of no
    /// procedure: the end of the waiting puts it there.
    Unproven,
    /// Prepares the notice of what a person carried out.
    Answer,
    /// Tells the person.
    Inform,
}

impl Step {
    /// Every step, in an order that every procedure follows.
    pub const ALL: [Self; 10] = [
        Self::Locate,
        Self::Collect,
        Self::SwitchOff,
        Self::Delete,
        Self::ReadBack,
        Self::Refuse,
        Self::Hold,
        Self::Unproven,
        Self::Answer,
        Self::Inform,
    ];

    /// The name in checkpoints and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Locate => "locate",
            Self::Collect => "collect",
            Self::SwitchOff => "apply",
            Self::Delete => "delete",
            Self::ReadBack => "verify",
            Self::Refuse => "refuse",
            Self::Hold => "hold",
            Self::Unproven => "unproven",
            Self::Answer => "answer",
            Self::Inform => "inform",
        }
    }

    /// What the step does, in a sentence for people.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Locate => "find the one contact by every identifier given; two matches wait for a person",
            Self::Collect => {
                "read profile, events, devices and accountings in full and build the encrypted package; for portability what is held by consent or contract"
            }
            Self::SwitchOff => "switch each policy off, one call each",
            Self::Delete => "delete the contact",
            Self::ReadBack => "read back that it is so",
            Self::Refuse => "a person refused: read back what was begun, and write why",
            Self::Hold => "a hold stands: stop marketing, and write what is kept, why and until when",
            Self::Unproven => "it did not become known who asks: write why, and what would help",
            Self::Answer => "a person carried it out and recorded how: write the answer",
            Self::Inform => "tell the person",
        }
    }
}

/// The ordered steps of one kind, in one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Procedure {
    /// For which kind.
    pub kind: RequestKind,
    /// Written on the request at its first step; old versions stay runnable until none is open.
    pub version: i16,
    /// What is done, in this order.
    pub steps: &'static [Step],
}

const PROCEDURES: &[Procedure] = &[
    Procedure { kind: RequestKind::Access, version: 1, steps: &[Step::Locate, Step::Collect, Step::Inform] },
    Procedure {
        kind: RequestKind::Erasure,
        version: 1,
        steps: &[Step::Locate, Step::Delete, Step::ReadBack, Step::Inform],
    },
    by_opt_out(RequestKind::OptOut),
    by_opt_out(RequestKind::ConsentWithdrawal),
    by_opt_out(RequestKind::CcpaOptOut),
    by_person(RequestKind::Rectification),
    by_person(RequestKind::Restriction),
    by_person(RequestKind::Portability),
    Procedure {
        kind: RequestKind::Portability,
        version: 2,
        steps: &[Step::Locate, Step::Collect, Step::Inform],
    },
    by_person(RequestKind::Objection),
    by_person(RequestKind::AutomatedDecision),
    by_person(RequestKind::Complaint),
    by_person(RequestKind::Other),
];

/// Policies switched off and read back.
const fn by_opt_out(kind: RequestKind) -> Procedure {
    Procedure { kind, version: 1, steps: &[Step::Locate, Step::SwitchOff, Step::ReadBack, Step::Inform] }
}

/// A person carries it out; what is left is to tell.
const fn by_person(kind: RequestKind) -> Procedure {
    Procedure { kind, version: 1, steps: &[Step::Answer, Step::Inform] }
}

/// The procedure that a new request of this kind follows.
///
/// # Panics
/// Never: every kind has a procedure, which the test below checks.
#[must_use]
pub fn describe(kind: RequestKind) -> &'static Procedure {
    PROCEDURES
        .iter()
        .filter(|procedure| procedure.kind == kind)
        .max_by_key(|procedure| procedure.version)
        .expect("every kind has a procedure; the test below walks all kinds")
}

/// The procedure that a request follows which a person carried out and recorded, whatever the machine had begun of it.
pub(super) fn answered(kind: RequestKind) -> Option<&'static Procedure> {
    PROCEDURES.iter().find(|procedure| procedure.kind == kind && procedure.steps.contains(&Step::Answer))
}

/// The procedure that a begun request follows; none when a newer program began it.
pub(super) fn find(kind: RequestKind, version: i16) -> Option<&'static Procedure> {
    PROCEDURES.iter().find(|procedure| procedure.kind == kind && procedure.version == version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_and_order_of_the_procedures_are_pinned() {
        let shown: Vec<String> = RequestKind::ALL
            .iter()
            .map(|kind| {
                let procedure = describe(*kind);
                let steps: Vec<&str> = procedure.steps.iter().map(|step| step.as_str()).collect();
                format!("{kind} {}: {}", procedure.version, steps.join(" > "))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "access 1: locate > collect > inform",
                "erasure 1: locate > delete > verify > inform",
                "opt_out 1: locate > apply > verify > inform",
                "rectification 1: answer > inform",
                "restriction 1: answer > inform",
                "portability 2: locate > collect > inform",
                "objection 1: answer > inform",
                "consent_withdrawal 1: locate > apply > verify > inform",
                "automated_decision 1: answer > inform",
                "complaint 1: answer > inform",
                "ccpa_opt_out 1: locate > apply > verify > inform",
                "other 1: answer > inform",
            ]
        );
    }
}
