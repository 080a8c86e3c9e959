//! The cluster as the rest of the program sees it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection as _, PgConnection};

use super::control::{Control, Part};
use super::error::EmbeddedError;
use super::initialise::ROLE;
use super::keeper::{Keeper, WhenEnded};
use super::layout::PORT;
use super::settings::Settings;
use super::sql;

/// The database of the daemon inside the cluster.
pub const DATABASE: &str = "dsrd";

/// The database that exists in every cluster and serves to create others.
const MAINTENANCE_DATABASE: &str = "postgres";

/// After the fast shutdown has failed, how long the immediate one may take.
const IMMEDIATE_STOP: Duration = Duration::from_secs(10);

/// Pause between two attempts to connect to a server that is about to accept connections.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);

/// A running private cluster. Dropping it tells the server to stop without waiting; [`stop`](Cluster::stop) waits.
#[derive(Debug)]
pub struct Cluster {
    directory: PathBuf,
    log: PathBuf,
    socket_dir: PathBuf,
    stop_timeout: Duration,
    control: Arc<Control>,
    ended: WhenEnded,
}

impl Cluster {
    /// Brings the cluster up: finds server programs, creates the cluster and the database [`DATABASE`] when they are
    /// absent, starts the server or attaches to the one that runs, and checks that it serves our data.
    ///
    /// # Errors
    /// Any of [`EmbeddedError`]; what was started is stopped again.
    pub async fn start(settings: Settings) -> Result<Self, EmbeddedError> {
        let start_timeout = settings.start_timeout;
        let stop_timeout = settings.stop_timeout;
        let control = Arc::new(Control::new());
        let (ready, ended) = Keeper::spawn(settings, Arc::clone(&control))?;
        // Made before anything else can fail, so that its Drop stops the server.
        let mut cluster = Self {
            directory: PathBuf::new(),
            log: PathBuf::new(),
            socket_dir: PathBuf::new(),
            stop_timeout,
            control,
            ended,
        };
        let found = ready.await.map_err(|_| EmbeddedError::KeeperLost)??;
        cluster.directory = found.directory;
        cluster.log = found.log;
        cluster.socket_dir = found.socket_dir;
        cluster.check_and_complete(start_timeout).await?;
        Ok(cluster)
    }

    /// How to connect to `database` as [`ROLE`]. Nothing of it comes from the environment or a password file.
    #[must_use]
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_dir)
            .port(PORT)
            .username(ROLE)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
            .application_name("dsrd")
    }

    /// The same for people, as libpq's connection string: `psql "host=… port=… dbname=… user=…"`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let host = self.socket_dir.display().to_string();
        format!("host={} port={PORT} dbname={} user={ROLE}", quoted(&host), quoted(database))
    }

    /// Our part in running the server; a guest may become its runner later.
    #[must_use]
    pub fn part(&self) -> Part {
        self.control.part()
    }

    /// The file that the server writes its log to.
    #[must_use]
    pub fn log_file(&self) -> &std::path::Path {
        &self.log
    }

    /// Stops the server when this process runs it, and waits for its end. For a guest it only lets go. Close pools
    /// before; connections that are left are cut. Calling it again is harmless.
    ///
    /// # Errors
    /// [`EmbeddedError::StopTimedOut`] when the server is still there after the fast and the immediate shutdown.
    pub async fn stop(&self) -> Result<(), EmbeddedError> {
        self.control.request_stop(Signal::INT);
        if self.has_ended_within(self.stop_timeout).await {
            return Ok(());
        }
        tracing::warn!("the private database server does not shut down; telling it to leave at once");
        self.control.request_stop(Signal::QUIT);
        if self.has_ended_within(IMMEDIATE_STOP).await {
            return Ok(());
        }
        let limit = self.stop_timeout + IMMEDIATE_STOP;
        Err(EmbeddedError::StopTimedOut { limit, directory: self.directory.clone() })
    }

    async fn has_ended_within(&self, limit: Duration) -> bool {
        let mut ended = self.ended.clone();
        // The channel never carries a value; it closes when the keeper ends.
        tokio::time::timeout(limit, ended.changed()).await.is_ok()
    }

    /// Checks whose server answers, and creates our database in it.
    async fn check_and_complete(&self, limit: Duration) -> Result<(), EmbeddedError> {
        let mut connection = self.connect(limit).await?;
        let refused = |source| EmbeddedError::Connect { directory: self.directory.clone(), source };
        let served = sql::get_data_directory(&mut connection).await.map_err(refused)?;
        let same = std::fs::canonicalize(&served).ok() == std::fs::canonicalize(&self.directory).ok();
        if !same {
            return Err(EmbeddedError::WrongServer { found: served, expected: self.directory.clone() });
        }
        sql::create_database(&mut connection, DATABASE).await.map_err(refused)?;
        sql::close(connection).await;
        Ok(())
    }

    /// Connects, with patience for a server that is being replaced at this moment.
    async fn connect(&self, limit: Duration) -> Result<PgConnection, EmbeddedError> {
        let options = self.options(MAINTENANCE_DATABASE);
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            match PgConnection::connect_with(&options).await {
                Ok(connection) => return Ok(connection),
                Err(error) if is_passing(&error) && tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
                Err(source) => {
                    return Err(EmbeddedError::Connect { directory: self.directory.clone(), source });
                }
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.control.request_stop(Signal::INT);
    }
}

/// Whether a connection error says "not now" rather than "no".
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // Class 57P: the server is starting up or shutting down.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

/// A value of a libpq connection string.
fn quoted(value: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/_-.".contains(character);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_connection_string_are_quoted_when_they_must_be() {
        assert_eq!(quoted("/var/lib/dsrd/postgres/socket"), "/var/lib/dsrd/postgres/socket");
        assert_eq!(quoted("/o'hara's data"), "'/o\\'hara\\'s data'");
        assert_eq!(quoted(""), "''");
    }
}
