//! What publishing reads of the log and writes beside it, as the role `aud_sealer`.

use chrono::{DateTime, Utc};

use crate::store::{PgConnection, StoreError};

/// The head, and the newest checkpoint that was kept.
pub(super) struct HeadRow {
    pub(super) origin: String,
    pub(super) verifier_keys: Vec<String>,
    pub(super) size: i64,
    pub(super) kept_size: Option<i64>,
    pub(super) kept_note: Option<String>,
}

/// A tile, full or partial.
pub(super) struct TileRow {
    pub(super) level: i16,
    pub(super) n: i64,
    pub(super) hashes: Vec<u8>,
}

pub(super) async fn head(connection: &mut PgConnection) -> Result<HeadRow, StoreError> {
    sqlx::query_as!(
        HeadRow,
        r#"SELECT origin, verifier_keys, head.size, kept.size AS "kept_size?", kept.note AS "kept_note?"
           FROM audit.head
           LEFT JOIN (SELECT size, note FROM audit.checkpoint ORDER BY size DESC LIMIT 1) AS kept ON true"#
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("audit.published_head"))
}

/// A checkpoint that was kept.
pub(super) struct KeptRow {
    pub(super) size: i64,
    pub(super) note: String,
}

/// The first kept checkpoint of the log of that name from this size on, if it is below `before`.
pub(super) async fn kept_between(
    connection: &mut PgConnection,
    origin: &str,
    from: i64,
    before: i64,
) -> Result<Option<KeptRow>, StoreError> {
    sqlx::query_as!(
        KeptRow,
        "SELECT size, note FROM audit.checkpoint
         WHERE size >= $2 AND size < $3 AND split_part(note, E'\\n', 1) = $1
         ORDER BY size
         LIMIT 1",
        origin,
        from,
        before
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("audit.kept_between"))
}

/// The tiles of these places, in one snapshot; those that do not exist are left out.
pub(super) async fn tiles(
    connection: &mut PgConnection,
    levels: &[i16],
    places: &[i64],
) -> Result<Vec<TileRow>, StoreError> {
    sqlx::query_as!(
        TileRow,
        r#"WITH wanted AS (SELECT * FROM unnest($1::smallint[], $2::bigint[]) AS place (level, n))
           SELECT tile.level AS "level!", tile.n AS "n!", tile.hashes AS "hashes!"
           FROM audit.tile JOIN wanted USING (level, n)
           UNION ALL
           SELECT edge.level, edge.n, edge.hashes FROM audit.edge JOIN wanted USING (level, n)"#,
        levels,
        places
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.published_tiles"))
}

/// The entries of these numbers, in their order.
pub(super) async fn entries(
    connection: &mut PgConnection,
    first: i64,
    last: i64,
) -> Result<Vec<Vec<u8>>, StoreError> {
    sqlx::query_scalar!("SELECT entry FROM audit.entry WHERE seq BETWEEN $1 AND $2 ORDER BY seq", first, last)
        .fetch_all(connection)
        .await
        .map_err(StoreError::during("audit.published_entries"))
}

/// The number of the first entry that is kept: those before were pruned.
pub(super) async fn first_kept(connection: &mut PgConnection) -> Result<i64, StoreError> {
    let first = sqlx::query_scalar!("SELECT min(seq) FROM audit.entry")
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.first_kept"))?;
    Ok(first.unwrap_or(1))
}

/// The newest checkpoint of the log of that name that a witness has signed: its size.
pub(super) async fn newest_cosigned(
    connection: &mut PgConnection,
    origin: &str,
    key_name: &str,
    key_id: &[u8],
) -> Result<Option<i64>, StoreError> {
    sqlx::query_scalar!(
        "SELECT cosignature.size
         FROM audit.cosignature JOIN audit.checkpoint USING (size)
         WHERE key_name = $2 AND key_id = $3 AND split_part(note, E'\\n', 1) = $1
         ORDER BY cosignature.size DESC
         LIMIT 1",
        origin,
        key_name,
        key_id
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("audit.newest_cosigned"))
}

pub(super) async fn insert_cosignature(
    connection: &mut PgConnection,
    size: i64,
    key_name: &str,
    key_id: &[u8],
    line: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit.cosignature (size, key_name, key_id, line) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        size,
        key_name,
        key_id,
        line
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("audit.insert_cosignature"))?;
    Ok(())
}

/// Size and instant of the newest checkpoint that went to a place.
pub(super) struct AnchorRow {
    pub(super) size: i64,
    pub(super) at: DateTime<Utc>,
}

pub(super) async fn newest_anchor(
    connection: &mut PgConnection,
    kind: &str,
    place: &str,
) -> Result<Option<AnchorRow>, StoreError> {
    sqlx::query_as!(
        AnchorRow,
        "SELECT size, at FROM audit.anchor WHERE kind = $1 AND place = $2 ORDER BY size DESC LIMIT 1",
        kind,
        place
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("audit.newest_anchor"))
}

/// A time-stamp with the checkpoint that it is of.
pub(super) struct StampedRow {
    pub(super) size: i64,
    /// The signed note with the cosignatures that were kept beside it.
    pub(super) note: String,
    pub(super) token: Vec<u8>,
}

/// The time-stamps of the next checkpoints with sizes above `after` and up to `last`, of at most so many checkpoints.
pub(super) async fn stamped(
    connection: &mut PgConnection,
    after: i64,
    last: i64,
    most: i64,
) -> Result<Vec<StampedRow>, StoreError> {
    sqlx::query_as!(
        StampedRow,
        r#"WITH wanted AS (
             SELECT DISTINCT size FROM audit.anchor
             WHERE kind = 'rfc3161' AND token IS NOT NULL AND size > $1 AND size <= $2
             ORDER BY size
             LIMIT $3
           )
           SELECT kept.size AS "size!", token AS "token!",
                  kept.note || coalesce((SELECT string_agg(signed.line || chr(10), '' ORDER BY signed.key_name)
                                         FROM audit.cosignature AS signed WHERE signed.size = kept.size), '') AS "note!"
           FROM wanted
           JOIN audit.checkpoint AS kept USING (size)
           JOIN audit.anchor AS stamp ON stamp.size = kept.size AND kind = 'rfc3161' AND token IS NOT NULL
           ORDER BY kept.size, place"#,
        after,
        last,
        most
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.published_stamps"))
}

/// When the oldest time-stamp was made of those of checkpoints with sizes above `after`.
pub(super) async fn oldest_stamp(
    connection: &mut PgConnection,
    after: i64,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    sqlx::query_scalar!(
        "SELECT min(at) FROM audit.anchor WHERE kind = 'rfc3161' AND token IS NOT NULL AND size > $1",
        after
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("audit.oldest_stamp"))
}

/// Keeps the time-stamp of a checkpoint.
#[cfg(feature = "timestamps")]
pub(super) async fn insert_timestamp(
    connection: &mut PgConnection,
    size: i64,
    place: &str,
    token: &[u8],
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit.anchor (size, kind, place, token, at) VALUES ($1, 'rfc3161', $2, $3, $4) ON CONFLICT DO NOTHING",
        size,
        place,
        token,
        at
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("audit.insert_timestamp"))?;
    Ok(())
}

pub(super) async fn insert_anchor(
    connection: &mut PgConnection,
    size: i64,
    kind: &str,
    place: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit.anchor (size, kind, place, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        size,
        kind,
        place,
        at
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("audit.insert_anchor"))?;
    Ok(())
}
