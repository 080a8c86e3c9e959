//! What the sealer does to its tables, as the role `aud_sealer`.

use chrono::{DateTime, Utc};

use crate::audit::tlog::{TileHashes, leaf_hash};
use crate::store::{PgConnection, StoreError};

/// The one row of `audit.head`.
pub(super) struct HeadRow {
    pub(super) origin: String,
    pub(super) verifier_keys: Vec<String>,
    pub(super) size: i64,
    pub(super) root: Vec<u8>,
    pub(super) note: Option<String>,
    pub(super) signed_at: Option<DateTime<Utc>>,
}

/// A row of `audit.edge`.
pub(super) struct EdgeRow {
    pub(super) level: i16,
    pub(super) n: i64,
    pub(super) hashes: Vec<u8>,
}

/// A row taken out of the inbox.
pub(super) struct Taken {
    pub(super) inbox_id: i64,
    pub(super) entry: Vec<u8>,
    pub(super) leaf: Vec<u8>,
}

impl Taken {
    /// An entry of the sealer's own, which never was in the inbox.
    pub(super) fn of(entry: Vec<u8>) -> Self {
        Self { inbox_id: 0, leaf: leaf_hash(&entry).0.to_vec(), entry }
    }
}

/// An entry that tells of a change of keys, and the kept head that covers the log up to it.
pub(super) struct KeyChanged {
    pub(super) entry: Vec<u8>,
    pub(super) note: String,
}

/// The newest row of `audit.checkpoint`.
pub(super) struct LastCheckpoint {
    pub(super) size: i64,
    pub(super) signed_at: DateTime<Utc>,
}

/// Waits until no other sealer is at work; held until the transaction ends.
pub(super) async fn lock(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_advisory_xact_lock(7236123, 1)")
        .execute(connection)
        .await
        .map_err(StoreError::during("audit.lock"))?;
    Ok(())
}

pub(super) async fn head(connection: &mut PgConnection) -> Result<HeadRow, StoreError> {
    sqlx::query_as!(HeadRow, "SELECT origin, verifier_keys, size, root, note, signed_at FROM audit.head")
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.head"))
}

pub(super) async fn edge(connection: &mut PgConnection) -> Result<Vec<EdgeRow>, StoreError> {
    sqlx::query_as!(EdgeRow, "SELECT level, n, hashes FROM audit.edge WHERE hashes <> '' ORDER BY level")
        .fetch_all(connection)
        .await
        .map_err(StoreError::during("audit.edge"))
}

pub(super) async fn last_checkpoint(
    connection: &mut PgConnection,
) -> Result<Option<LastCheckpoint>, StoreError> {
    sqlx::query_as!(LastCheckpoint, "SELECT size, signed_at FROM audit.checkpoint ORDER BY size DESC LIMIT 1")
        .fetch_optional(connection)
        .await
        .map_err(StoreError::during("audit.last_checkpoint"))
}

/// Entries that tell of a change of keys with the heads over them, newest first. Who may write entries may write such, too;
/// the signatures of the head tell.
pub(super) async fn key_changes(connection: &mut PgConnection) -> Result<Vec<KeyChanged>, StoreError> {
    sqlx::query_as!(
        KeyChanged,
        "SELECT entry.entry, checkpoint.note
         FROM audit.entry JOIN audit.checkpoint ON checkpoint.size = entry.seq
         WHERE entry.action = 'log.key'
         ORDER BY entry.seq DESC"
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.key_changes"))
}

pub(super) async fn is_waiting(connection: &mut PgConnection) -> Result<bool, StoreError> {
    // By its index: a table that is emptied all the time is long to look through from its beginning.
    sqlx::query_scalar!(
        r#"SELECT count(*) > 0 AS "waiting!" FROM (SELECT FROM audit.inbox ORDER BY inbox_id LIMIT 1) AS oldest"#)
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.is_waiting"))
}

/// Takes the oldest rows, at most so many, in their order.
pub(super) async fn take(connection: &mut PgConnection, most: i64) -> Result<Vec<Taken>, StoreError> {
    let mut taken = sqlx::query_as!(
        Taken,
        "DELETE FROM audit.inbox
         WHERE inbox_id IN (SELECT inbox_id FROM audit.inbox ORDER BY inbox_id LIMIT $1)
         RETURNING inbox_id, entry, leaf",
        most
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.take"))?;
    taken.sort_unstable_by_key(|row| row.inbox_id);
    Ok(taken)
}

/// Writes entries with consecutive numbers, the first one being `first`.
pub(in crate::audit) async fn insert(
    connection: &mut PgConnection,
    first: i64,
    entries: &[Vec<u8>],
) -> Result<(), StoreError> {
    let inserted = sqlx::query!(
        "INSERT INTO audit.entry (seq, entry)
         SELECT $1 + place - 1, entry FROM unnest($2::bytea[]) WITH ORDINALITY AS sealed (entry, place)",
        first,
        entries
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("audit.seal"))?;
    StoreError::expect_rows("audit.seal", entries.len() as u64, inserted.rows_affected())
}

pub(in crate::audit) async fn insert_tiles(
    connection: &mut PgConnection,
    tiles: &[TileHashes],
) -> Result<(), StoreError> {
    let (levels, places, hashes) = columns(tiles);
    let inserted = sqlx::query!(
        "INSERT INTO audit.tile (level, n, hashes) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])",
        &levels,
        &places,
        &hashes
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("audit.insert_tiles"))?;
    StoreError::expect_rows("audit.insert_tiles", tiles.len() as u64, inserted.rows_affected())
}

/// Replaces the stored edge. A level without a partial tile keeps a row without hashes.
pub(in crate::audit) async fn replace_edge(
    connection: &mut PgConnection,
    partial: &[TileHashes],
) -> Result<(), StoreError> {
    let (levels, places, hashes) = columns(partial);
    sqlx::query!(
        "WITH emptied AS (
           UPDATE audit.edge SET hashes = '' WHERE level <> ALL ($1::smallint[]) AND hashes <> ''
         )
         INSERT INTO audit.edge (level, n, hashes)
         SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
         ON CONFLICT (level) DO UPDATE SET n = excluded.n, hashes = excluded.hashes",
        &levels,
        &places,
        &hashes
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("audit.replace_edge"))?;
    Ok(())
}

fn columns(tiles: &[TileHashes]) -> (Vec<i16>, Vec<i64>, Vec<Vec<u8>>) {
    let level = |tile: &TileHashes| i16::from(tile.level);
    // The tree has fewer than 2^62 leaves.
    let place = |tile: &TileHashes| i64::try_from(tile.index).unwrap_or(i64::MAX);
    (
        tiles.iter().map(level).collect(),
        tiles.iter().map(place).collect(),
        tiles.iter().map(TileHashes::bytes).collect(),
    )
}

/// What the head becomes.
pub(in crate::audit) struct NewHead<'a> {
    pub(in crate::audit) origin: &'a str,
    pub(in crate::audit) size: i64,
    pub(in crate::audit) root: &'a [u8],
    pub(in crate::audit) note: &'a str,
    pub(in crate::audit) verifier_keys: &'a [String],
    pub(in crate::audit) signed_at: DateTime<Utc>,
}

/// Moves the head, if it is still what it was; answers whether it did.
pub(in crate::audit) async fn move_head(
    connection: &mut PgConnection,
    former_size: i64,
    former_note: Option<&str>,
    new: &NewHead<'_>,
) -> Result<bool, StoreError> {
    let moved = sqlx::query!(
        "UPDATE audit.head SET size = $3, root = $4, note = $5, verifier_keys = $6, signed_at = $7, origin = $8
         WHERE size = $1 AND note IS NOT DISTINCT FROM $2",
        former_size,
        former_note,
        new.size,
        new.root,
        new.note,
        new.verifier_keys,
        new.signed_at,
        new.origin
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("audit.move_head"))?;
    Ok(moved.rows_affected() == 1)
}

/// Names the log and its first key.
pub(super) async fn name_log(
    connection: &mut PgConnection,
    origin: &str,
    verifier_keys: &[String],
) -> Result<(), StoreError> {
    let named = sqlx::query!(
        "UPDATE audit.head SET origin = $1, verifier_keys = $2 WHERE verifier_keys = '{}' AND note IS NULL",
        origin,
        verifier_keys
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("audit.name_log"))?;
    StoreError::expect_rows("audit.name_log", 1, named.rows_affected())
}

pub(in crate::audit) async fn insert_checkpoint(
    connection: &mut PgConnection,
    size: i64,
    root: &[u8],
    note: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit.checkpoint (size, root, note, signed_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        size,
        root,
        note,
        at
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("audit.insert_checkpoint"))?;
    Ok(())
}

/// The most entries of a partition.
pub(super) async fn partition_width(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let width = sqlx::query_scalar!("SELECT partition_width FROM audit.layout")
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.partition_width"))?;
    // The table holds positive numbers only; one entry at a time is always possible.
    Ok(u64::try_from(width).unwrap_or(1).max(1))
}

/// Makes the partitions that the next entries need; answers whether there were any to make.
pub(super) async fn make_partition_ahead(connection: &mut PgConnection) -> Result<bool, StoreError> {
    sqlx::query_scalar!(r#"SELECT audit.make_partition_ahead() AS "made!""#)
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.make_partition_ahead"))
}
