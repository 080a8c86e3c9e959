//! The words of the law and of the platform as types, without I/O.
//!
//! Everything that enters the service is parsed here once, at the edge, and travels as these types afterwards: a
//! [`SubjectIdentifier`] is always normalised, a [`ContactId`] can always stand in a URL path, a [`RequestState`] is
//! always one that the law knows. Nothing in this module reads a clock, a file or a database by itself; time and keys
//! are handed in ([`Clock`], [`MasterKey`]).
//!
//! Invariants:
//! - A clear identifier exists only inside [`Personal`]; the one way out is [`Personal::expose`], which a reviewer
//!   can search for.
//! - Stored words (`as_str` of the enums here) are an interface: they are never renamed or reused.
//!
//! To add a request kind: add the variant to [`RequestKind`] with its stored word, say who carries it out
//! ([`RequestKind::handling`]), and add a procedure in `execution`.

mod activity;
mod alert;
mod assurance;
pub mod clock;
mod controller;
pub mod deadline;
mod decision;
mod erasure;
mod follows;
mod hold;
mod identifier;
mod ids;
mod keys;
mod kill;
mod lifecycle;
mod matching;
mod one_time_code;
mod period;
mod personal;
pub mod random;
mod request;
mod self_test;

pub use activity::{ActivityKind, ActivityRule, WithoutActivity};
pub use alert::{AlertRule, StaffRole};
pub use assurance::{Assurance, IdentityDoubt, IdentityMethod, IdentityRules, Proof, TextMessages};
pub use clock::{Clock, ManualClock, SystemClock, ZONE_UNCERTAINTY, clock_difference, zone_bounds};
pub use controller::{Controller, FloodLimits, Overdue, bare_policy, local_time};
pub use decision::{
    AcceptanceReason, AnsweredOutcome, ChoiceReason, ClarificationReason, DecisionKind, DiscardReason,
    ExtensionReason, IncidentCategory, IncidentCause, IncidentEnd, RefusalGround,
};
pub use erasure::{DataCategory, ErasureGround, ErasureRules, LegalBases, LegalBasis};
pub use follows::{Follows, FollowsBecause};
pub use hold::{HoldCategory, HoldKind, LiftReason, Statute};
pub use identifier::{IdentifierError, IdentifierKind, SubjectIdentifier};
pub use ids::{ContactId, IdError, OrganisationId, Reference, RequestId};
pub use keys::{KeyError, MasterKey, SealingKey, SubjectKey, SubjectRef, SuppressionKey, TagKey};
pub use kill::{KillSwitch, Killed};
pub use lifecycle::{CaseEvent, TRANSITIONS, states_document};
pub use matching::{Declaration, Matched, MatchingError, MatchingNeed, MatchingPoint};
pub use one_time_code::{OneTimeCode, link_digest};
pub use period::RetentionPeriod;
#[cfg(test)]
pub(crate) use period::last_day_past;
pub use personal::Personal;
pub use request::{
    Channel, Handling, Origin, Outcome, ParkReason, RequestKind, RequestState, RequesterRole, UnknownWord,
};
pub use self_test::SelfTestFinding;
