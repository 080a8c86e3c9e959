//! Table `audit.half`: how far the log has come together with the working tables (`daemon::halves` compares both).

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::store::StoreError;

/// A half of the database: the number of the last moment at which both were seen together, and when that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    /// Raised in both halves at once.
    pub number: i64,
    /// By the database's clock, UTC.
    pub at: DateTime<Utc>,
}

/// Reads the half of the log.
pub async fn half(connection: &mut PgConnection) -> Result<Half, StoreError> {
    sqlx::query_as!(Half, "SELECT number, at FROM audit.half")
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.half"))
}

/// Raises the number of the log's half to the next one, if it is still this one; answers whether it did.
pub async fn raise_half(connection: &mut PgConnection, from: i64) -> Result<bool, StoreError> {
    let raised = sqlx::query!(
        "UPDATE audit.half SET number = number + 1, at = clock_timestamp() WHERE number = $1",
        from
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("audit.raise_half"))?;
    Ok(raised.rows_affected() == 1)
}

/// Sets the number of the log's half, when a person accepted that it was another one.
pub async fn settle_half(connection: &mut PgConnection, number: i64) -> Result<(), StoreError> {
    let settled = sqlx::query!("UPDATE audit.half SET number = $1, at = clock_timestamp()", number)
        .execute(connection)
        .await
        .map_err(StoreError::during("audit.settle_half"))?;
    StoreError::expect_rows("audit.settle_half", 1, settled.rows_affected())
}
