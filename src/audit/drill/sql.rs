//! Databases of a drill, and what is done to them. Nothing of it can be checked when compiled: it does what the shipped
//! definition forbids, to databases that do not exist yet. None of it ever runs elsewhere (see [`Place`](super::Place)).

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::store::StoreError;

/// Runs statements on a connection of their own, with all rights that the login has.
pub(super) async fn execute(options: &PgConnectOptions, statements: &str) -> Result<(), StoreError> {
    let failed = || StoreError::during("audit.drill");
    let mut connection = PgConnection::connect_with(options).await.map_err(failed())?;
    let done = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await;
    connection.close().await.map_err(failed())?;
    done.map(drop).map_err(failed())
}
