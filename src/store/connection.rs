//! Connections over which nobody waits for ever.
//!
//! A host that loses its power and a firewall that forgets a connection close nothing: an answer that is waited for never
//! comes, and no limit of the server ends it (`statement_timeout`), because the server is gone. The driver sets neither
//! keep-alives nor a limit on its sockets. So every statement of the service goes through [`PgConnection`], which waits
//! for as long as the server may take and a little longer ([`Limits::statement`]) and then fails like a connection that
//! broke: a COMMIT is ambiguous. Nothing is asked over that connection any more, and the pool makes another one.
//!
//! What goes back to the pool is tested there by the driver, which waits without a limit and keeps the place meanwhile.
//! [`Lent`] gives it back under a limit, and what still owes an answer (because it took too long, or because nobody waits
//! for it any more) not at all: it is closed at once and without a farewell, which a dead socket might not take either.

use std::fmt;
use std::future::Future;
use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgListener, PgPool, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Acquire as _, Connection as _, Describe, Either, Execute, Executor, Postgres, SqlStr};
use tokio::runtime::Handle;

use super::{SchemaState, Settings, StoreError, schema, sql};

/// How long the test of a connection may take at the most: one answer that costs the server nothing.
const LONGEST_TEST: Duration = Duration::from_secs(5);

/// How long a listener hears nothing before it is tested whether it still could. Whoever listens also polls.
const TESTED_AFTER_SILENCE: Duration = Duration::from_mins(1);

/// For how long an answer of the server is waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// To a statement, or for the next of its rows: the server ends it before by itself, if there is one.
    pub(super) statement: Duration,
    /// To the question whether somebody is there.
    pub(super) test: Duration,
}

impl Limits {
    pub(super) fn of(settings: &Settings) -> Self {
        // A test that fails within the time of an acquisition leaves enough of it to connect anew.
        let test = LONGEST_TEST.min(Duration::from_secs(settings.acquire_timeout_secs) / 2);
        Self { statement: Duration::from_secs(settings.statement_timeout_secs.into()) + test, test }
    }
}

/// What a connection whose server went silent fails with.
fn silent() -> sqlx::Error {
    sqlx::Error::Io(io::Error::from(io::ErrorKind::TimedOut))
}

/// Waits for something no longer than so.
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| Err(silent()))
}

/// A connection to PostgreSQL each of whose statements has its limit. It takes statements as the driver's own does.
pub struct PgConnection {
    wire: Wire,
    limits: Limits,
    /// An answer is due, or never came: what is heard next would be taken for the answer to another question.
    owes: bool,
}

enum Wire {
    Own(Box<sqlx::PgConnection>),
    Pooled(PoolConnection<Postgres>),
    /// On its way back to the pool.
    Returned,
}

impl Wire {
    fn raw(&mut self) -> Result<&mut sqlx::PgConnection, sqlx::Error> {
        match self {
            Self::Own(connection) => Ok(connection),
            Self::Pooled(connection) => Ok(connection),
            Self::Returned => Err(sqlx::Error::PoolClosed),
        }
    }
}

impl fmt::Debug for PgConnection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PgConnection").finish_non_exhaustive()
    }
}

impl PgConnection {
    /// One of somebody else's making, with the limits of these settings; dropped, it is closed.
    #[must_use]
    pub fn of(connection: sqlx::PgConnection, settings: &Settings) -> Self {
        Self::own(connection, Limits::of(settings))
    }

    pub(super) fn own(connection: sqlx::PgConnection, limits: Limits) -> Self {
        Self { wire: Wire::Own(Box::new(connection)), limits, owes: false }
    }

    /// Ends a connection of one's own politely.
    pub async fn close(self) -> Result<(), StoreError> {
        match self.wire {
            Wire::Own(connection) if !self.owes => {
                within(self.limits.test, connection.close()).await.map_err(StoreError::during("store.close"))
            }
            // Closed by being dropped, or given back.
            Wire::Own(_) | Wire::Pooled(_) | Wire::Returned => Ok(()),
        }
    }

    /// Begins a part of the open transaction that can be taken back by itself.
    pub async fn begin_part(&mut self) -> Result<(), StoreError> {
        self.command(sql::BEGIN_PART).await.map_err(StoreError::during("store.begin_part"))
    }

    /// Makes the part one with its transaction.
    pub async fn keep_part(&mut self) -> Result<(), StoreError> {
        self.command(sql::KEEP_PART).await.map_err(StoreError::during("store.keep_part"))
    }

    /// Takes the part back; its transaction goes on.
    pub async fn take_part_back(&mut self) -> Result<(), StoreError> {
        self.command(sql::TAKE_PART_BACK).await.map_err(StoreError::during("store.take_part_back"))
    }

    /// How the schema stands to this program; nothing where the rights do not let it be seen.
    pub async fn visible_schema_state(&mut self) -> Result<Option<SchemaState>, StoreError> {
        let failed = || StoreError::during("store.visible_schema_state");
        let (raw, limit, owes) = self.ask().map_err(failed())?;
        *owes = true;
        let seen = tokio::time::timeout(limit, schema::visible_schema_state(raw)).await;
        let seen = seen.unwrap_or_else(|_| Err(failed()(silent())));
        *owes = matches!(seen, Err(StoreError::Unreachable { .. }));
        seen
    }

    async fn command(&mut self, command: &'static str) -> Result<(), sqlx::Error> {
        let (raw, limit, owes) = self.ask()?;
        answered(limit, owes, raw.execute(command)).await.map(drop)
    }

    /// The driver's connection, how long it may take to answer, and where it is noted that it has to. Nothing is asked
    /// while another answer is due.
    fn ask(&mut self) -> Result<(&mut sqlx::PgConnection, Duration, &mut bool), sqlx::Error> {
        if self.owes {
            return Err(silent());
        }
        Ok((self.wire.raw()?, self.limits.statement, &mut self.owes))
    }
}

/// Waits for an answer. One that does not come stays owed, and so it does where this future is dropped.
async fn answered<T>(
    limit: Duration,
    owes: &mut bool,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    *owes = true;
    let answer = within(limit, answer).await;
    *owes = matches!(answer, Err(sqlx::Error::Io(_)));
    answer
}

impl<'c> Executor<'c> for &'c mut PgConnection {
    type Database = Postgres;

    fn fetch_many<'e, 'q, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: Execute<'q, Postgres>,
        'q: 'e,
        E: 'q,
    {
        let (raw, limit, owes) = match self.ask() {
            Ok(asked) => asked,
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        let answer = raw.fetch_many(query);
        stream::try_unfold((answer, owes), move |(mut answer, owes)| async move {
            let next = answered(limit, &mut *owes, answer.try_next()).await?;
            // Until its end.
            *owes = next.is_some();
            Ok(next.map(|next| (next, (answer, owes))))
        })
        .boxed()
    }

    fn fetch_optional<'e, 'q, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: Execute<'q, Postgres>,
        'q: 'e,
        E: 'q,
    {
        Box::pin(async move {
            let (raw, limit, owes) = self.ask()?;
            answered(limit, owes, raw.fetch_optional(query)).await
        })
    }

    fn prepare_with<'e>(
        self,
        statement: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let (raw, limit, owes) = self.ask()?;
            answered(limit, owes, raw.prepare_with(statement, parameters)).await
        })
    }

    fn describe<'e>(self, statement: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let (raw, limit, owes) = self.ask()?;
            answered(limit, owes, raw.describe(statement)).await
        })
    }
}

/// A connection that the pool lent; dropped, it goes back in the background.
#[derive(Debug)]
pub struct Lent {
    connection: PgConnection,
    in_transaction: bool,
}

impl Lent {
    pub(super) fn new(connection: PoolConnection<Postgres>, limits: Limits) -> Self {
        let connection = PgConnection { wire: Wire::Pooled(connection), limits, owes: false };
        Self { connection, in_transaction: false }
    }

    /// Begins a transaction, which ends with the connection if nobody ends it before.
    pub(super) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        // Also where the answer is lost.
        self.in_transaction = true;
        self.connection.command(sql::BEGIN).await
    }

    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.connection.command(sql::COMMIT).await?;
        self.in_transaction = false;
        Ok(())
    }

    pub(super) async fn roll_back(mut self) -> Result<(), sqlx::Error> {
        self.connection.command(sql::ROLL_BACK).await?;
        self.in_transaction = false;
        Ok(())
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let PgConnection { wire, limits, owes } = &mut self.connection;
        let Wire::Pooled(mut pooled) = std::mem::replace(wire, Wire::Returned) else { return };
        match Handle::try_current() {
            Ok(runtime) if !*owes => {
                runtime.spawn(give_back(pooled, self.in_transaction, limits.test));
            }
            _ => end(&mut pooled),
        }
    }
}

/// Gives a connection back, if it shows in time that its server is still there.
async fn give_back(mut pooled: PoolConnection<Postgres>, in_transaction: bool, limit: Duration) {
    if in_transaction && within(limit, pooled.execute(sql::ROLL_BACK)).await.is_err() {
        end(&mut pooled);
        return;
    }
    // This is where the driver tests it. Broken off there, it ends as below.
    if tokio::time::timeout(limit, pooled.return_to_pool()).await.is_err() {
        tracing::debug!("a connection to the database went silent");
    }
}

/// Closes a connection at once: it and its place in the pool are part of the future by which it would go back there.
fn end(pooled: &mut PoolConnection<Postgres>) {
    drop(pooled.return_to_pool());
}

/// Hears the notifications of one channel.
#[derive(Debug)]
pub struct Listener {
    inner: PgListener,
    limits: Limits,
}

impl Listener {
    /// Listens over a connection that is no part of the pool: one that went silent is held until the operating system
    /// gives it up, because the driver waits for a farewell.
    pub(super) async fn open(pool: &PgPool, limits: Limits, channel: &str) -> Result<Self, sqlx::Error> {
        let options = pool.options().clone().max_connections(1);
        let own = options.connect_lazy_with((*pool.connect_options()).clone());
        let mut inner = PgListener::connect_with(&own).await?;
        // Whoever hears of a lost connection opens another one.
        inner.eager_reconnect(false);
        within(limits.test, inner.listen(channel)).await?;
        Ok(Self { inner, limits })
    }

    /// Waits for a notification; fails when the connection is lost, or nobody is at its other end any more.
    pub async fn heard(&mut self) -> Result<(), StoreError> {
        let failed = || StoreError::during("store.listen");
        loop {
            match tokio::time::timeout(TESTED_AFTER_SILENCE, self.inner.try_recv()).await {
                Ok(Ok(Some(_))) => return Ok(()),
                Ok(Ok(None)) => return Err(failed()(silent())),
                Ok(Err(error)) => return Err(failed()(error)),
                Err(_) => {
                    let test = async { self.inner.acquire().await?.ping().await };
                    within(self.limits.test, test).await.map_err(failed())?;
                }
            }
        }
    }
}
