//! Why nothing is asked or recorded.

use crate::domain::{IdentityDoubt, IdentityMethod, KeyError, MatchingError, RequestKind};
use crate::intake::CaseError;
use crate::store::StoreError;

/// Why a person is not asked, or a proof not recorded. Names no person.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is no such request, or it is closed.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// The profile holds no address, and no number that could be asked.
    #[error(
        "the profile holds no address, and no number that could get a text message, by which the person could be asked; find out in another way who asks, then record it with `dsrd decide identity`"
    )]
    NoContactPoint,
    /// What was typed is no code.
    #[error(
        "a code has eight digits, as in the message to the person; spaces and hyphens between them do not matter"
    )]
    NoCode,
    /// Asked often enough.
    #[error(
        "the person was asked {0} times already; find out in another way who asks, then record it with `dsrd decide identity`"
    )]
    TooOften(i64),
    /// What would be known is less than the rules want.
    #[error(
        "{method} is not enough for a request of kind {kind} ({doubt}); the settings below organisations.identity say what is"
    )]
    NotEnough {
        /// How it was found out.
        method: IdentityMethod,
        /// What is asked.
        kind: RequestKind,
        /// What is still missing.
        doubt: IdentityDoubt,
    },
    /// Less was compared than the law says.
    #[error(transparent)]
    Matching(#[from] MatchingError),
    /// A declaration that is on record does not open.
    #[error(transparent)]
    Sealed(#[from] KeyError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
