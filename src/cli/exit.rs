//! Exit codes.

use crate::config::SettingsError;
use crate::daemon::StartError;
use crate::platform::PlatformError;
use crate::store::StoreError;

/// Classes of failure that scripts can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Anything else.
    Failed,
    /// Wrong usage or configuration.
    Usage,
    /// There is no such thing.
    NotFound,
    /// A check failed.
    CheckFailed,
    /// The present state does not allow it.
    Refused,
    /// The database or the platform cannot be reached.
    Unreachable,
}

impl Failure {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::CheckFailed => 4,
            Self::Refused => 5,
            Self::Unreachable => 6,
        }
    }

    /// An error of this class with a message.
    pub(super) fn because(self, message: impl Into<String>) -> anyhow::Error {
        Classed { failure: self, message: message.into() }.into()
    }

    /// The class of an error: its own, or that of the module error it comes from.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(Self::of_cause).unwrap_or(Self::Failed)
    }

    fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if let Some(classed) = cause.downcast_ref::<Classed>() {
            return Some(classed.failure);
        }
        if let Some(error) = cause.downcast_ref::<StoreError>() {
            return error.is_transient().then_some(Self::Unreachable);
        }
        if let Some(error) = cause.downcast_ref::<PlatformError>() {
            let away = matches!(error, PlatformError::Unavailable { .. } | PlatformError::Throttled { .. });
            return away.then_some(Self::Unreachable);
        }
        if let Some(error) = cause.downcast_ref::<StartError>() {
            // Transparent errors are not links of the chain of their own.
            return match error {
                StartError::Store(store) => store.is_transient().then_some(Self::Unreachable),
                other => other.is_configuration().then_some(Self::Usage),
            };
        }
        cause.downcast_ref::<SettingsError>().map(|_| Self::Usage)
    }
}

/// The end of a verification, which has exit codes of its own: 1 violated, 2 cannot be decided, 3 wrong usage.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Verification {
    /// The exit code.
    pub(super) code: u8,
    /// What to tell.
    pub(super) message: String,
}

/// The exit code of an error.
pub(super) fn code_of(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Verification>() {
        Some(verification) => verification.code,
        None => Failure::of(error).code(),
    }
}

/// A message with a class.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Classed {
    failure: Failure,
    message: String,
}
