//! The few statements that the private cluster itself needs.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// SQLSTATE "database already exists": somebody was faster, which is as good.
const DUPLICATE_DATABASE: &str = "42P04";

/// The data directory of the server behind `connection`, as it knows it.
pub(super) async fn get_data_directory(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("SELECT current_setting('data_directory')").fetch_one(connection).await
}

/// Creates `database` unless it exists.
pub(super) async fn create_database(
    connection: &mut PgConnection,
    database: &str,
) -> Result<(), sqlx::Error> {
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(database)
        .fetch_one(&mut *connection)
        .await?;
    if exists {
        return Ok(());
    }
    // A database name cannot be a parameter; this one is quoted.
    let statement = format!("CREATE DATABASE \"{}\"", database.replace('"', "\"\""));
    match sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(DUPLICATE_DATABASE) => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Ends a connection politely. A failure means that it has ended already.
pub(super) async fn close(connection: PgConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "the connection to the private cluster had ended already");
    }
}
