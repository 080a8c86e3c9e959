//! What can go wrong at the database, told without the values concerned.

/// A failed operation on the database.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be reached, or the connection broke.
    #[error("{operation}: no connection to the database ({detail})")]
    Unreachable {
        /// Which operation.
        operation: &'static str,
        /// What was seen.
        detail: String,
        /// Whether a COMMIT was under way, so that nobody knows if it happened.
        ambiguous: bool,
    },
    /// The database refused the statement.
    #[error("{operation}: the database refused it (SQLSTATE {code}{})", constraint.as_ref().map(|name| format!(", constraint {name}")).unwrap_or_default())]
    Refused {
        /// Which operation.
        operation: &'static str,
        /// The SQLSTATE.
        code: String,
        /// The constraint violated, if it was one.
        constraint: Option<String>,
    },
    /// A row holds something that this version cannot read.
    #[error("{operation}: {what} cannot be read; is the schema of another version?")]
    Inconsistent {
        /// Which operation.
        operation: &'static str,
        /// Table and column.
        what: String,
    },
    /// A statement changed another number of rows than it must.
    #[error("{operation}: expected {expected} row(s), changed {found}")]
    RowCount {
        /// Which operation.
        operation: &'static str,
        /// How many it must change.
        expected: u64,
        /// How many it changed.
        found: u64,
    },
    /// The schema is not the one that this program needs.
    #[error("{0}")]
    Schema(String),
}

impl StoreError {
    /// Turns a driver error into ours, for the operation named. To be used with `map_err`.
    pub fn during(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::new(operation, &source, false)
    }

    /// The same for a COMMIT.
    pub(super) fn during_commit(operation: &'static str, source: &sqlx::Error) -> Self {
        Self::new(operation, source, true)
    }

    /// A stored word that the vocabulary does not hold.
    pub fn unreadable(operation: &'static str, what: impl Into<String>) -> Self {
        Self::Inconsistent { operation, what: what.into() }
    }

    /// Fails unless exactly `expected` rows were changed.
    pub const fn expect_rows(operation: &'static str, expected: u64, found: u64) -> Result<(), Self> {
        if expected == found { Ok(()) } else { Err(Self::RowCount { operation, expected, found }) }
    }

    /// Whether trying again may help: the connection broke, or the database asked for a repetition.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            // Serialisation failure, deadlock, lock or statement time-out, shutdown, too many connections, disk full,
            // read-only after a fail-over, and a plan that a migration made stale.
            Self::Refused { code, .. } => {
                matches!(code.as_str(), "40001" | "40P01" | "55P03" | "57014" | "25006" | "0A000")
                    || ["57P", "08", "53"].iter().any(|class| code.starts_with(class))
            }
            Self::Inconsistent { .. } | Self::RowCount { .. } | Self::Schema(_) => false,
        }
    }

    /// Whether a COMMIT may or may not have happened.
    #[must_use]
    pub const fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Unreachable { ambiguous: true, .. })
    }

    /// The violated constraint, if there was one.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Refused { constraint, .. } => constraint.as_deref(),
            _ => None,
        }
    }

    fn new(operation: &'static str, source: &sqlx::Error, ambiguous: bool) -> Self {
        match source {
            // Neither the message nor the detail is kept: both can quote values of the row.
            sqlx::Error::Database(error) => Self::Refused {
                operation,
                code: error.code().map_or_else(|| "unknown".to_owned(), std::borrow::Cow::into_owned),
                constraint: error.constraint().map(str::to_owned),
            },
            sqlx::Error::ColumnDecode { index, .. } => Self::unreadable(operation, format!("column {index}")),
            sqlx::Error::RowNotFound => Self::RowCount { operation, expected: 1, found: 0 },
            sqlx::Error::PoolTimedOut => Self::unreachable(operation, "no free connection in time", false),
            sqlx::Error::PoolClosed => Self::unreachable(operation, "the pool is closed", false),
            sqlx::Error::Io(error) => Self::unreachable(operation, &error.kind().to_string(), ambiguous),
            sqlx::Error::Tls(_) => {
                Self::unreachable(operation, "TLS was refused; check sslmode and the certificate", false)
            }
            sqlx::Error::Protocol(_) => Self::unreachable(operation, "unexpected answer", ambiguous),
            _ => Self::unreachable(operation, "driver error", ambiguous),
        }
    }

    fn unreachable(operation: &'static str, detail: &str, ambiguous: bool) -> Self {
        Self::Unreachable { operation, detail: detail.to_owned(), ambiguous }
    }
}
