//! Table `dsrd.instance`.

use super::Instance;
use crate::store::{PgConnection, StoreError};

pub(super) async fn register(connection: &mut PgConnection) -> Result<Instance, StoreError> {
    sqlx::query_scalar!(
        "INSERT INTO dsrd.instance (version) VALUES ($1) RETURNING instance_id",
        env!("CARGO_PKG_VERSION")
    )
    .fetch_one(connection)
    .await
    .map(Instance)
    .map_err(StoreError::during("queue.register"))
}

pub(super) async fn beat(connection: &mut PgConnection, instance: Instance) -> Result<bool, StoreError> {
    let seen = sqlx::query!(
        "UPDATE dsrd.instance SET last_seen_at = now() WHERE instance_id = $1 AND dead_at IS NULL",
        instance.0
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.beat"))?;
    Ok(seen.rows_affected() == 1)
}

pub(super) async fn retire(connection: &mut PgConnection, instance: Instance) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE dsrd.instance SET dead_at = now() WHERE instance_id = $1 AND dead_at IS NULL",
        instance.0
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.retire"))?;
    Ok(())
}
