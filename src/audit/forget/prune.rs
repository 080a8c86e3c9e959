//! Entries past their term, by whole closed partitions.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::sql;
use crate::audit::event::{Action, Actor, Detail, EntryId};
use crate::audit::sql::append_about_log;
use crate::domain::Clock;
use crate::store::{PgConnection, StoreError, Tx};

/// The lowest term of entries in months, which the database keeps to whatever it is told (R-74: 24 months under the laws
/// of California and Colorado).
pub const LOWEST_LOG_MONTHS: u32 = 24;

/// Entries that are past their term: whole closed partitions from the first entry that is kept on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prunable {
    /// The number of the first entry.
    pub first: i64,
    /// The number of the last one.
    pub last: i64,
    /// How many partitions.
    pub partitions: i64,
    /// The earliest instant of the entries, by their writers' clocks, UTC.
    pub oldest: DateTime<Utc>,
    /// The latest one.
    pub newest: DateTime<Utc>,
    /// When the last one was sealed, by the clock of the database, UTC.
    pub sealed_at: DateTime<Utc>,
    /// The size of the newest head.
    pub size: i64,
    /// Its root, in hexadecimal digits.
    pub root: String,
}

impl Prunable {
    /// How many entries these are: numbers have no gap.
    #[must_use]
    pub fn entries(&self) -> u64 {
        u64::try_from(self.last - self.first + 1).unwrap_or_default()
    }
}

/// What was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// How many entries.
    pub entries: u64,
}

/// What could be pruned now, with a term of so many months after sealing; nothing where no closed partition is past it.
pub async fn find_prunable(
    connection: &mut PgConnection,
    months: u32,
) -> Result<Option<Prunable>, StoreError> {
    sql::find_prunable(connection, months.max(LOWEST_LOG_MONTHS)).await
}

/// Writes the entry `log.prune` that allows these entries to go, unless there is one already, or the log is held. Nothing goes
/// before it is sealed and a checkpoint that covers it is kept: [`prune_announced`].
///
/// Until the transaction ends nobody can set a hold: an announcement that falls into one is a violation to whoever verifies the
/// log, for as long as it stands there. So its instant is taken here, too.
pub async fn announce_pruning(
    connection: &mut Tx,
    prunable: &Prunable,
    months: u32,
    actor: Actor,
    clock: &dyn Clock,
) -> Result<Option<EntryId>, StoreError> {
    let months = months.max(LOWEST_LOG_MONTHS);
    sql::keep_holds_away(connection).await?;
    let at = clock.now();
    if sql::is_held_at(connection, at).await? || sql::is_announced(connection, prunable.last, months).await? {
        return Ok(None);
    }
    let number = |value: i64| u64::try_from(value).unwrap_or_default();
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let detail = Detail::none()
        .count("first", number(prunable.first))
        .count("last", number(prunable.last))
        .count("entries", prunable.entries())
        .count("kept_from", number(prunable.last + 1))
        .count("months", months.into())
        .word("oldest", &instant(prunable.oldest))
        .word("newest", &instant(prunable.newest))
        .word("sealed_up_to", &instant(prunable.sealed_at))
        .word("rule", "log_term")
        .count("size", number(prunable.size))
        .word("root", &prunable.root);
    append_about_log(connection, Action::LogPrune, actor, at, detail).await.map(Some)
}

/// Drops what sealed announcements allow to go after at least so many months, as far as a kept checkpoint covers them; with
/// `up_to` nothing beyond the entry of this number. One of a shorter term stays what it is: it was made before the term was
/// raised, or by somebody who may write entries and decides no terms. The database checks each by itself; one that it refuses
/// is told of and left, because whoever may write entries could stop the forgetting with it otherwise. A hold makes it fail:
/// ask [`is_held`](super::is_held) before.
pub async fn prune_announced(
    connection: &mut PgConnection,
    months: u32,
    up_to: Option<i64>,
) -> Result<Pruned, StoreError> {
    let months = months.max(LOWEST_LOG_MONTHS);
    let mut pruned = Pruned::default();
    for announced in sql::announced(connection, months, up_to).await? {
        connection.begin_part().await?;
        match sql::prune(connection, announced.id).await {
            Ok(entries) => {
                connection.keep_part().await?;
                pruned.entries += entries;
            }
            Err(error) if is_refusal(&error) => {
                connection.take_part_back().await?;
                tracing::warn!(
                    entry = announced.seq,
                    %error,
                    "an entry log.prune lets entries go that may not go yet: nothing was dropped for it; if no daemon of \
                     yours wrote it, see who may write to audit.inbox"
                );
            }
            Err(error) => return Err(error),
        }
    }
    Ok(pruned)
}

/// Whether what the announcement says was refused; neither a hold, nor a lock that somebody else has, nor a failure.
fn is_refusal(error: &StoreError) -> bool {
    match error {
        // Not yet past its term; no such entry; a value that is none.
        StoreError::Refused { code, .. } => {
            matches!(code.as_str(), "55000" | "P0002") || code.starts_with("22")
        }
        _ => false,
    }
}

/// Closes the partition that is being filled if it began in an earlier month, so that a log that grows slowly can be
/// pruned too. Answers whether it did.
pub async fn cut_partition(connection: &mut PgConnection) -> Result<bool, StoreError> {
    sql::cut_partition(connection).await
}
