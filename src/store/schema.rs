//! The schema: compiled-in migrations, and what state a database is in.

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};

use super::{StoreError, sql};

/// All migrations, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// How the schema of a database stands to this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// All migrations of this program are applied, and no others.
    Current,
    /// So many migrations are missing.
    Behind(usize),
    /// The database was migrated by a newer program (F-24).
    Newer,
    /// An applied migration differs from the one compiled in.
    Altered,
}

/// Brings the schema up to date, as the login role (which needs CREATE on the database and CREATEROLE).
pub async fn migrate(options: &PgConnectOptions) -> Result<usize, StoreError> {
    let mut connection = open(options).await?;
    let before = match state(&mut connection).await? {
        SchemaState::Current => 0,
        SchemaState::Behind(missing) => missing,
        SchemaState::Newer => return Err(StoreError::Schema(NEWER.to_owned())),
        SchemaState::Altered => return Err(StoreError::Schema(ALTERED.to_owned())),
    };
    MIGRATOR.run(&mut connection).await.map_err(|error| match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            StoreError::during("store.migrate")(source)
        }
        other => StoreError::Schema(format!("the schema cannot be migrated: {other}")),
    })?;
    Ok(before)
}

/// How many migrations this program has: so many are missing in an empty database.
#[must_use]
pub fn migration_count() -> usize {
    MIGRATOR.iter().count()
}

/// Compares the schema with this program.
pub async fn schema_state(options: &PgConnectOptions) -> Result<SchemaState, StoreError> {
    state(&mut open(options).await?).await
}

/// The same over a connection with whatever rights and search path; nothing where these do not let it read the list of migrations.
pub async fn visible_schema_state(connection: &mut PgConnection) -> Result<Option<SchemaState>, StoreError> {
    let is_readable = sql::migrations_are_readable(&mut *connection).await;
    if is_readable.map_err(StoreError::during("store.visible_schema_state"))? {
        state(connection).await.map(Some)
    } else {
        Ok(None)
    }
}

/// The list of applied migrations. Only the schema `public` is looked into: whoever reads may have another search path.
const LIST: &str = "public._sqlx_migrations";

const NEWER: &str = "the database was migrated by a newer dsrd; start that version, or restore a backup made before the upgrade";
const ALTERED: &str =
    "a migration in the database differs from the one in this program; install an unmodified release of dsrd";

async fn open(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    // A login role named like one of our schemas would otherwise keep the list of migrations there.
    options
        .clone()
        .options([("search_path", "public")])
        .connect()
        .await
        .map_err(StoreError::during("store.connect"))
}

async fn state(connection: &mut PgConnection) -> Result<SchemaState, StoreError> {
    let failed = |error| match error {
        MigrateError::Execute(source) => StoreError::during("store.schema_state")(source),
        other => StoreError::Schema(format!("the list of migrations cannot be read: {other}")),
    };
    // Looking must not change anything: a database without the table has no migration yet.
    if !sql::migrations_are_listed(connection).await.map_err(StoreError::during("store.schema_state"))? {
        return Ok(SchemaState::Behind(migration_count()));
    }
    let applied = connection.list_applied_migrations(LIST).await.map_err(failed)?;
    for each in &applied {
        match MIGRATOR.iter().find(|known| known.version == each.version) {
            None => return Ok(SchemaState::Newer),
            Some(known) if known.checksum != each.checksum => return Ok(SchemaState::Altered),
            Some(_) => {}
        }
    }
    let missing = MIGRATOR.iter().count() - applied.len();
    Ok(if missing == 0 { SchemaState::Current } else { SchemaState::Behind(missing) })
}
