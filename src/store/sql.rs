//! What every connection of the pool begins with.

use sqlx::PgConnection;

/// Takes on the rights of the service, and no others of the login role.
pub(super) async fn act_as_service(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SET ROLE dsrd_service").execute(connection).await?;
    Ok(())
}
