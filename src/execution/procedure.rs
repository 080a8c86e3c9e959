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
    /// Prepares the notice that it did not become known who asks, in place of every step before `inform`. A part of no
    /// procedure: the end of the waiting puts it there.
    Unproven,
    /// Tells the person.
    Inform,
}

impl Step {
    /// Every step, in an order that every procedure follows.
    pub const ALL: [Self; 8] = [
        Self::Locate,
        Self::Collect,
        Self::SwitchOff,
        Self::Delete,
        Self::ReadBack,
        Self::Refuse,
        Self::Unproven,
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
            Self::Unproven => "unproven",
            Self::Inform => "inform",
        }
    }

    /// What the step does, in a sentence for people.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Locate => "find the one contact by every identifier given; two matches wait for a person",
            Self::Collect => {
                "read profile, events, devices and accountings in full and build the encrypted package"
            }
            Self::SwitchOff => "switch each policy off, one call each",
            Self::Delete => "delete the contact",
            Self::ReadBack => "read back that it is so",
            Self::Refuse => "a person refused: read back what was begun, and write why",
            Self::Unproven => "it did not become known who asks: write why, and what would help",
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
    Procedure {
        kind: RequestKind::OptOut,
        version: 1,
        steps: &[Step::Locate, Step::SwitchOff, Step::ReadBack, Step::Inform],
    },
];

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
            ]
        );
    }
}
