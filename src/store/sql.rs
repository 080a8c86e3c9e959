//! What every connection of the pool begins with, and what a database says of its schema.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

// The words around statements, sent as they are: a prepared one would be another way there and back.
pub(super) const BEGIN: &str = "BEGIN";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLL_BACK: &str = "ROLLBACK";
pub(super) const BEGIN_PART: &str = "SAVEPOINT part";
pub(super) const KEEP_PART: &str = "RELEASE SAVEPOINT part";
pub(super) const TAKE_PART_BACK: &str = "ROLLBACK TO SAVEPOINT part";

/// Takes on the rights of the service, and no others of the login role.
pub(super) async fn act_as_service(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SET ROLE dsrd_service").execute(connection).await?;
    Ok(())
}

/// Takes on the rights of the sealer of the audit log, and no others of the login role.
pub(super) async fn act_as_sealer(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SET ROLE aud_sealer").execute(connection).await?;
    Ok(())
}

/// Whether the server follows another one, and so takes no writes.
pub(super) async fn is_standby(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT pg_is_in_recovery() AS "standby!""#).fetch_one(connection).await
}

/// What time it is for the server.
pub(super) async fn clock(connection: &mut super::PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(connection).await
}

/// Whether there is a list of applied migrations that this login may read.
pub(super) async fn migrations_are_readable(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(has_schema_privilege(to_regnamespace('public'), 'USAGE')
                         AND has_table_privilege(to_regclass('public._sqlx_migrations'), 'SELECT'), false) AS "readable!""#
    )
    .fetch_one(connection)
    .await
}

/// Whether the database has the list of applied migrations.
pub(super) async fn migrations_are_listed(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT to_regclass('public._sqlx_migrations') IS NOT NULL AS "listed!""#)
        .fetch_one(connection)
        .await
}
