//! Why a run stops, and what then becomes of the job.

use std::time::Duration;

use super::Step;
use super::absence::Look;
use crate::domain::{IdentityDoubt, Killed, ParkReason};
use crate::identity::Occasion;
use crate::platform::PlatformError;
use crate::queue::LeaseLost;
use crate::store::StoreError;

/// How the work on a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The request is closed.
    Closed,
    /// It goes on later.
    PutBack,
    /// It waits for a person.
    Parked(ParkReason),
    /// Somebody else has it; nothing was written.
    LeaseLost,
    /// The database failed; the lease stands until it is released or rescued.
    Interrupted,
    /// The kill switch fired.
    Killed,
}

/// What is noted of a step that did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// One more try: the step's waits follow from their number.
    Try {
        /// Of which step.
        of: Step,
        /// Whether the contact was seen to be gone all the same.
        absence_lasts: bool,
    },
    /// A first look found it gone.
    Absence(Look),
}

/// The code of a request for which the platform refused the key.
pub(super) const BAD_CREDENTIALS: &str = "bad_credentials";

/// Why a step does not lead to the next one.
#[derive(Debug)]
pub(super) enum Stop {
    /// Go on later.
    Again {
        after: Duration,
        code: &'static str,
        /// Whether it counts as an attempt, and with which reason the request is parked when they are used up.
        counts: Option<ParkReason>,
        /// What is noted of the step that did not come to its end.
        note: Option<Note>,
    },
    /// It is not known well enough who asks: they are asked.
    WantsIdentity(IdentityDoubt),
    /// They were asked, and did not answer yet.
    AwaitsIdentity {
        /// Why they are asked once more now, if they are.
        ask: Option<Occasion>,
    },
    /// It is a reminder of an open request about the same contact.
    Reminds,
    /// A person has to look.
    NeedsPerson(ParkReason),
    /// The lease is gone.
    LeaseLost,
    /// The database failed.
    Store(StoreError),
    /// The kill switch fired.
    Killed,
}

impl Stop {
    /// Waiting for something that will come by itself.
    pub(super) const fn wait(after: Duration, code: &'static str) -> Self {
        Self::Again { after, code, counts: None, note: None }
    }

    /// What a failed call to the platform means for the request.
    pub(super) fn from_platform(error: &PlatformError, back_off: Duration) -> Self {
        let counted = |code, reason| Self::Again { after: back_off, code, counts: Some(reason), note: None };
        match error {
            PlatformError::Throttled { wait, .. } => Self::wait(*wait, "throttled"),
            PlatformError::Unavailable { .. } => {
                counted("platform_unavailable", ParkReason::AttemptsExhausted)
            }
            PlatformError::AnswerLost { .. } => counted("answer_lost", ParkReason::AttemptsExhausted),
            PlatformError::Unreadable { .. } => {
                counted("platform_unreadable", ParkReason::PlatformUnreadable)
            }
            // The key is refused for every request alike: waiting costs none of them its attempts.
            PlatformError::BadCredentials { .. } => Self::wait(Duration::from_mins(1), BAD_CREDENTIALS),
            PlatformError::Forbidden { .. } => Self::NeedsPerson(ParkReason::PlatformForbidden),
            // A list that does not come to its end is no package that is too large.
            PlatformError::TooLarge { limit, .. } if limit.starts_with("paging.") => {
                counted("list_too_long", ParkReason::PlatformUnreadable)
            }
            PlatformError::TooLarge { .. } => Self::NeedsPerson(ParkReason::PackageTooLarge),
            // Whoever took over looks and acts now, or this process again once it knows that it holds the request.
            PlatformError::Withheld { .. } => Self::LeaseLost,
            PlatformError::Rejected { .. } | PlatformError::ReadOnly { .. } => {
                Self::NeedsPerson(ParkReason::PlatformRejected)
            }
        }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<LeaseLost> for Stop {
    fn from(_: LeaseLost) -> Self {
        Self::LeaseLost
    }
}

impl From<Killed> for Stop {
    fn from(_: Killed) -> Self {
        Self::Killed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn too_large(limit: &str) -> Stop {
        let error = PlatformError::TooLarge { operation: "list contacts", limit: limit.to_owned() };
        Stop::from_platform(&error, Duration::from_mins(1))
    }

    #[test]
    fn a_list_that_does_not_end_is_tried_again_and_is_no_package_that_is_too_large() {
        for limit in ["paging.list_timeout_secs", "paging.max_pages"] {
            let stop = too_large(limit);
            assert!(
                matches!(stop, Stop::Again { counts: Some(ParkReason::PlatformUnreadable), .. }),
                "{stop:?}"
            );
        }
        let stop = too_large("limits.max_record_bytes");
        assert!(matches!(stop, Stop::NeedsPerson(ParkReason::PackageTooLarge)), "{stop:?}");
    }
}
