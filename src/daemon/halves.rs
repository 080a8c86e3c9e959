//! The log and the working tables of one database: whether both are of the same moment (F-28).
//!
//! A backup holds both, and who restores it restores both. Whoever puts back only one of them, or each from another
//! backup, leaves a log that tells of requests which the working tables do not know, or the other way round. So both carry a
//! number that is raised in one transaction while entries are written ([`raise`]), and nothing is sealed, claimed or mailed
//! where the numbers differ ([`compare`]), until a person has accepted it ([`accept`]), which is an entry (`log.mixed`).
//!
//! The number is raised at most once a second: what was put back to within the same second is not noticed.

use chrono::{DateTime, SecondsFormat, Utc};

use super::sql;
use crate::audit::{self, Action, Actor, Detail};
use crate::store::{Store, StoreError};

/// The halves are of different moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mixed {
    /// The log is newer.
    #[error(
        "the audit log in the database is newer (of {log}) than the working tables (of {working}): only one of both was \
         restored. Nothing is sealed, claimed or mailed; restore both from one backup, or accept the loss with `dsrd audit \
         recover --mixed` and then look at `dsrd ledger replay`"
    )]
    LogNewer {
        /// Moment of the log.
        log: DateTime<Utc>,
        /// Moment of the working tables.
        working: DateTime<Utc>,
    },
    /// The working tables are newer.
    #[error(
        "the working tables in the database are newer (of {working}) than the audit log (of {log}): only one of both was \
         restored. Nothing is sealed, claimed or mailed; restore both from one backup, or accept the loss with `dsrd audit \
         recover --mixed`"
    )]
    WorkNewer {
        /// Moment of the log.
        log: DateTime<Utc>,
        /// Moment of the working tables.
        working: DateTime<Utc>,
    },
}

/// Compares both halves, in one snapshot.
pub async fn compare(store: &Store) -> Result<Option<Mixed>, StoreError> {
    let mut tx = store.begin("daemon.halves").await?;
    let working = sql::lock_half(&mut tx).await?;
    let log = audit::half(&mut tx).await?;
    Ok(differs(log, working))
}

fn differs(log: audit::Half, working: audit::Half) -> Option<Mixed> {
    let (number, of_work) = (log.number, working.number);
    let (log, working) = (log.at, working.at);
    match number.cmp(&of_work) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(Mixed::LogNewer { log, working }),
        std::cmp::Ordering::Less => Some(Mixed::WorkNewer { log, working }),
    }
}

/// Raises both numbers, if they are equal; otherwise nothing happens, and [`compare`] tells.
pub async fn raise(store: &Store) -> Result<(), StoreError> {
    let mut tx = store.begin("daemon.raise_halves").await?;
    let number = sql::raise_half(&mut tx).await?;
    if audit::raise_half(&mut tx, number - 1).await? { tx.commit().await } else { Ok(()) }
}

/// Records that a person accepted the difference, and makes both halves equal; answers with what was accepted.
pub async fn accept(store: &Store, actor: Actor, at: DateTime<Utc>) -> Result<Option<Mixed>, StoreError> {
    let mut tx = store.begin("daemon.accept_halves").await?;
    let working = sql::lock_half(&mut tx).await?;
    let log = audit::half(&mut tx).await?;
    let Some(mixed) = differs(log, working) else { return Ok(None) };
    let number = log.number.max(working.number) + 1;
    audit::settle_half(&mut tx, number).await?;
    sql::settle_half(&mut tx, number).await?;
    let newer = match mixed {
        Mixed::LogNewer { .. } => "log",
        Mixed::WorkNewer { .. } => "working_tables",
    };
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let detail = Detail::none()
        .word("newer", newer)
        .word("log_of", &instant(log.at))
        .word("working_tables_of", &instant(working.at));
    audit::append_about_log(&mut tx, Action::LogMixed, actor, at, detail).await?;
    tx.commit().await?;
    Ok(Some(mixed))
}
