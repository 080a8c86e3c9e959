//! The only door to PostgreSQL.
//!
//! [`Store`] is a small pool whose every connection acts as the role `dsrd_service` (that of the audit log's sealer:
//! `aud_sealer`), so that a right which the migrations did not grant is missing even where the login role is mighty. Work on several tables goes through
//! [`Store::begin`], which names the transaction; reads of one statement go through [`Store::connection`].
//!
//! Invariants:
//! - SQL stands in the `sql.rs` of the module that owns the table, bound parameters only, checked when compiled.
//! - No transaction is open across a call to the outside.
//! - No statement is waited for without a limit, also where the server is gone without a word ([`PgConnection`]).
//! - [`StoreError`] carries the SQLSTATE and the constraint, never a value: PostgreSQL's detail texts quote rows.
//!
//! Why transactions are explicit (`begin` … `commit`): an async closure that retries cannot be `Send` when generic,
//! and repeating is the business of the job's attempt, not of the transaction. A COMMIT whose answer is lost is
//! [`StoreError::is_ambiguous`]: the caller reads back by its own key before it repeats anything.
//!
//! Somebody may number what is written ([`Numbering`]): a transaction carries the numbers and tells how it ended, whichever
//! way that was.
//!
//! With no database configured, [`embedded`] runs a private cluster.

mod connection;
pub mod embedded;
mod error;
mod numbering;
mod schema;
mod sql;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use self::connection::{Limits, within};
use self::numbering::Carried;
pub use connection::{Lent, Listener, PgConnection};
pub use error::StoreError;
pub use numbering::{Fate, Numbering, Written};
pub use schema::{MIGRATOR, SchemaState, migrate, migration_count, schema_state, visible_schema_state};

/// Settings of the database.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// File that holds the connection URL (`postgres://login:password@host/database?sslmode=verify-full`). When
    /// neither this nor `url` is set, the daemon runs a private cluster under `data_dir`.
    pub url_file: Option<std::path::PathBuf>,
    /// Connection URL without a password, for peer or certificate authentication. Use `url_file` for a password.
    pub url: Option<String>,
    /// The most connections of the pool. A daemon opens up to 6 more, for heartbeats and wake-ups and to seal and
    /// publish the audit log, and each command beside it has its own: a limit of the login (`CONNECTION LIMIT`) needs
    /// room for them. They change their role, bring settings, and listen: a pooler in between must keep sessions. None
    /// is held while the platform is called, so that a few serve many workers, and faster than many do: see
    /// docs/performance.md.
    pub max_connections: u32,
    /// How long a statement may run, in seconds. The server ends it then; where the server or the network is gone
    /// without a word, the service gives it up at most five seconds later.
    pub statement_timeout_secs: u32,
    /// How long to wait for a free connection of the pool, in seconds.
    pub acquire_timeout_secs: u64,
    /// Whether `dsrd serve` brings the schema up to date by itself. `dsrd migrate` always does.
    pub migrate_at_start: bool,
    /// Directory with the PostgreSQL server programs for the private cluster; searched for when empty.
    pub embedded_binaries_dir: Option<std::path::PathBuf>,
}

/// A connection that rested so long is tested before it is used: its server may have gone meanwhile.
const TESTED_AFTER_REST: Duration = Duration::from_secs(1);

/// So many statements of one turn may take the longest that they can before its loop seems to stand still. They are more,
/// but one that fails ends the turn.
const SLOW_STATEMENTS_OF_A_TURN: u32 = 8;

/// As whom the connections of a pool act.
#[derive(Clone, Copy, Debug)]
enum Role {
    Service,
    Sealer,
}

/// The pool of service connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    limits: Limits,
    numbering: Option<Arc<dyn Numbering>>,
}

impl Store {
    /// Opens the pool. No connection is made yet, so that a daemon starts while its database is away.
    #[must_use]
    pub fn connect_lazily(options: PgConnectOptions, settings: &Settings) -> Self {
        Self::open(options, settings, settings.max_connections, Role::Service)
    }

    /// The same with the one connection of the sealer of the audit log, which may do nothing else.
    #[must_use]
    pub fn connect_as_sealer(options: PgConnectOptions, settings: &Settings) -> Self {
        Self::open(options, settings, 1, Role::Sealer)
    }

    fn open(options: PgConnectOptions, settings: &Settings, max_connections: u32, role: Role) -> Self {
        let limits = Limits::of(settings);
        let statement_timeout = format!("{}s", settings.statement_timeout_secs);
        // A process that is frozen in the middle of a transaction keeps its locks until the server ends it. The sealer's
        // keeps every other sealer from working, and other daemons from starting: it is given up sooner.
        let idle_in_transaction = match role {
            Role::Service => "60s",
            Role::Sealer => "5s",
        };
        let options = options.application_name("dsrd").options([
            ("statement_timeout", statement_timeout.as_str()),
            ("lock_timeout", "10s"),
            ("idle_in_transaction_session_timeout", idle_in_transaction),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(Duration::from_secs(settings.acquire_timeout_secs))
            .test_before_acquire(false)
            .before_acquire(move |connection, meta| {
                Box::pin(async move {
                    // One that has just answered needs no test: a round trip for each transaction would be the price.
                    if meta.idle_for >= TESTED_AFTER_REST {
                        within(limits.test, connection.ping()).await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    // A host that lost its role of primary accepts no write: let the pool look elsewhere, where the
                    // name may lead to another one by now. It cannot lose it under a connection: it has to start anew
                    // for that.
                    if sql::is_standby(connection).await? {
                        return Err(sqlx::Error::Io(std::io::Error::other(
                            "this server follows another one and takes no writes",
                        )));
                    }
                    match role {
                        Role::Service => sql::act_as_service(connection).await,
                        Role::Sealer => sql::act_as_sealer(connection).await,
                    }
                })
            })
            .connect_lazy_with(options);
        Self { pool, limits, numbering: None }
    }

    /// The same store, with somebody who numbers what is written in its transactions.
    #[must_use]
    pub fn numbered_by(self, numbering: Arc<dyn Numbering>) -> Self {
        Self { numbering: Some(numbering), ..self }
    }

    /// Begins a transaction; the name appears in traces.
    pub async fn begin(&self, name: &'static str) -> Result<Tx, StoreError> {
        let pooled = self.pool.acquire().await.map_err(StoreError::during(name))?;
        let mut inner = Lent::new(pooled, self.limits);
        inner.begin().await.map_err(StoreError::during(name))?;
        Ok(Tx { inner, name, put_off: None, carried: Carried::new(self.numbering.clone()) })
    }

    /// A connection for a single statement.
    pub async fn connection(&self) -> Result<Lent, StoreError> {
        let pooled = self.pool.acquire().await.map_err(StoreError::during("store.acquire"))?;
        Ok(Lent::new(pooled, self.limits))
    }

    /// A connection outside of the pool, which never goes back into it.
    pub async fn own_connection(&self) -> Result<PgConnection, StoreError> {
        let pooled = self.pool.acquire().await.map_err(StoreError::during("store.acquire"))?;
        Ok(PgConnection::own(pooled.detach(), self.limits))
    }

    /// Listens to a channel over a connection outside of the pool.
    pub async fn listen(&self, channel: &str) -> Result<Listener, StoreError> {
        Listener::open(&self.pool, self.limits, channel).await.map_err(StoreError::during("store.listen"))
    }

    /// Longer than a few statements in a row take, whatever the server does: who was busy with them for so long is not
    /// busy with them any more.
    #[must_use]
    pub fn longest_turn(&self) -> Duration {
        (self.pool.options().get_acquire_timeout() + self.limits.statement) * SLOW_STATEMENTS_OF_A_TURN
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Writes the rows that a transaction put off, all of them in one statement.
pub type WriteLast = for<'a> fn(&'a mut PgConnection, Vec<Vec<u8>>) -> BoxFuture<'a, Result<(), StoreError>>;

/// An open transaction; dropped without [`Tx::commit`] it leaves no trace.
#[derive(Debug)]
pub struct Tx {
    inner: Lent,
    name: &'static str,
    put_off: Option<PutOff>,
    carried: Carried,
}

/// Rows that are written right before the commit, in the order in which they were put off.
#[derive(Debug)]
struct PutOff {
    rows: Vec<Vec<u8>>,
    write: WriteLast,
}

impl Tx {
    /// Puts a row off to the end of the transaction, where `write` writes it together with those put off before: a
    /// statement for each would cost most of what a short transaction costs. Every caller gives the same `write`.
    pub fn put_off(&mut self, row: Vec<u8>, write: WriteLast) {
        self.put_off.get_or_insert_with(|| PutOff { rows: Vec::new(), write }).rows.push(row);
    }

    /// Makes the transaction's changes last, those put off among them. An error whose [`StoreError::is_ambiguous`] is
    /// true says nothing about whether they do.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.write_put_off().await?;
        let Self { inner, name, mut carried, .. } = self;
        // So it is also where nobody waits for the answer (this future may be dropped), and where a server that shuts down
        // says no after it wrote.
        carried.ends_as(Fate::Unknown);
        inner.commit().await.map_err(|source| StoreError::during_commit(name, &source))?;
        carried.ends_as(Fate::Committed);
        Ok(())
    }

    /// Takes everything back before anything else is done. One that is merely dropped is taken back a little later and holds its
    /// locks until then.
    pub async fn roll_back(self) -> Result<(), StoreError> {
        let Self { inner, name, carried, .. } = self;
        inner.roll_back().await.map_err(StoreError::during(name))?;
        drop(carried);
        Ok(())
    }

    /// Who numbers what is written here, if it is such a one.
    #[must_use]
    pub fn numbering<N: Numbering>(&self) -> Option<Arc<N>> {
        self.carried.numbering()
    }

    /// Takes note of what is written here under a number, for who numbers it.
    pub fn note(&mut self, written: Written) {
        self.carried.note(written);
    }

    /// Writes at once what was put off, for a transaction that reads it or wants its locks in that order.
    pub async fn write_put_off(&mut self) -> Result<(), StoreError> {
        match self.put_off.take() {
            Some(PutOff { rows, write }) => write(&mut self.inner, rows).await,
            None => Ok(()),
        }
    }
}

/// What time it is for the server: the clock with which a host's own is compared before it is believed (F-48).
pub async fn server_time(connection: &mut PgConnection) -> Result<DateTime<Utc>, StoreError> {
    sql::clock(connection).await.map_err(StoreError::during("store.server_time"))
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}
