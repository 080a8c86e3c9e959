//! Exit codes.

use crate::config::SettingsError;
use crate::daemon::StartError;
use crate::platform::PlatformError;
use crate::store::StoreError;
use crate::store::embedded::EmbeddedError;

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
    /// The database is not migrated, of another version, or a right is missing.
    DatabaseNotReady,
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
            Self::DatabaseNotReady => 7,
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
            return Self::of_store(error);
        }
        if let Some(error) = cause.downcast_ref::<PlatformError>() {
            let away = matches!(error, PlatformError::Unavailable { .. } | PlatformError::Throttled { .. });
            return away.then_some(Self::Unreachable);
        }
        if let Some(error) = cause.downcast_ref::<StartError>() {
            // Transparent errors are not links of the chain of their own.
            return match error {
                StartError::Store(store) => Self::of_store(store),
                StartError::NoDatabase { .. }
                | StartError::SchemaBehind { .. }
                | StartError::SchemaNewer
                | StartError::SchemaAltered => Some(Self::DatabaseNotReady),
                StartError::LogKeyTaken { .. } => Some(Self::Refused),
                StartError::Embedded(EmbeddedError::NotServed { .. }) => Some(Self::Unreachable),
                other => other.is_configuration().then_some(Self::Usage),
            };
        }
        cause.downcast_ref::<SettingsError>().map(|_| Self::Usage)
    }

    fn of_store(error: &StoreError) -> Option<Self> {
        match error {
            _ if error.is_transient() => Some(Self::Unreachable),
            StoreError::Schema(_) => Some(Self::DatabaseNotReady),
            StoreError::Refused { code, .. } => match code.as_str() {
                // A missing right, schema, table or column: migrated by nobody, or by another version.
                "42501" | "3F000" | "42P01" | "42703" => Some(Self::DatabaseNotReady),
                // A wrong login or database name stands in the connection URL.
                "28000" | "28P01" | "3D000" => Some(Self::Usage),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Marks an error that stands in the log already.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("dsrd cannot run")]
pub(super) struct Told;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn class(error: impl Into<anyhow::Error>) -> Failure {
        Failure::of(&error.into())
    }

    #[test]
    fn each_state_of_the_database_has_one_code_whichever_command_meets_it() {
        let refused =
            |code: &str| StoreError::Refused { operation: "test", code: code.to_owned(), constraint: None };
        for code in ["42501", "42P01", "3F000"] {
            assert_eq!(class(refused(code)), Failure::DatabaseNotReady, "{code}");
            assert_eq!(class(StartError::Store(refused(code))), Failure::DatabaseNotReady, "{code}");
        }
        for error in
            [StartError::SchemaBehind { missing: 2 }, StartError::SchemaNewer, StartError::SchemaAltered]
        {
            assert_eq!(class(error), Failure::DatabaseNotReady);
        }
        assert_eq!(class(refused("28P01")), Failure::Usage, "a wrong password is a wrong setting");
        assert_eq!(class(refused("53300")), Failure::Unreachable);
        assert_eq!(class(refused("23505")), Failure::Failed);
    }
}
