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
        "the person was asked {0} times already; find out in another way who asks, then record it with `dsrd decide identity`. Where all links expired while your mail or page could not be reached: `dsrd request ask-again --after-outage`"
    )]
    TooOften(i64),
    /// Asked, and still able to answer.
    #[error(
        "a link that the person was sent still works, or its message has not left yet; ask them once more when it has expired"
    )]
    LinkWorks,
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
