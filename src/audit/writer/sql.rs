//! Table `audit.writer`, and what a writer looks up about its own entries.

use crate::store::{PgConnection, StoreError};

/// An entry of a writer in the log.
pub(super) struct Found {
    pub(super) seq: i64,
    pub(super) number: i64,
    pub(super) leaf: Vec<u8>,
}

/// Enters a writer that has announced itself, or tells that it lives.
pub(in crate::audit) async fn enter(connection: &mut PgConnection, writer: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit.writer (writer) VALUES ($1)
         ON CONFLICT (writer) DO UPDATE SET beat_at = clock_timestamp()",
        writer
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("audit.writer.enter"))?;
    Ok(())
}

/// Removes a writer that has ended.
pub(super) async fn leave(connection: &mut PgConnection, writer: &str) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM audit.writer WHERE writer = $1", writer)
        .execute(connection)
        .await
        .map_err(StoreError::during("audit.writer.leave"))?;
    Ok(())
}

/// Removes writers that have not been heard of for so many seconds, and answers with them.
pub(super) async fn take_silent(connection: &mut PgConnection, secs: i32) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar!(
        "DELETE FROM audit.writer WHERE writer IN (
           SELECT writer FROM audit.writer WHERE beat_at < clock_timestamp() - make_interval(secs => $1)
           ORDER BY writer FOR UPDATE SKIP LOCKED)
         RETURNING writer",
        f64::from(secs)
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.writer.take_silent"))
}

/// Reads a writer's entries with numbers of the log above `after` and up to `last`, at most so many.
pub(super) async fn sealed(
    connection: &mut PgConnection,
    writer: &str,
    after: i64,
    last: i64,
    most: i64,
) -> Result<Vec<Found>, StoreError> {
    sqlx::query_as!(
        Found,
        r#"SELECT seq, wseq AS "number!", leaf FROM audit.entry
           WHERE seq > $1 AND seq <= $2 AND writer = $3 AND wseq IS NOT NULL
           ORDER BY seq LIMIT $4"#,
        after,
        last,
        writer,
        most
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.writer.sealed"))
}

/// Which of these numbers of a writer wait to be sealed.
pub(super) async fn pending(
    connection: &mut PgConnection,
    writer: &str,
    numbers: &[i64],
) -> Result<Vec<i64>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT wseq AS "number!" FROM audit.pending WHERE writer = $1 AND wseq = ANY ($2)"#,
        writer,
        numbers
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.writer.pending"))
}
