//! Whether the database answers.

use sqlx::PgConnection;

use crate::store::StoreError;

/// Fails unless the database answers.
pub(super) async fn answers(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query_scalar!(r#"SELECT 1 AS "one!""#)
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("http.ready"))?;
    Ok(())
}
