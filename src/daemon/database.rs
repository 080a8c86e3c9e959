//! The database that is configured, or the private one.

use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use super::StartError;
use crate::config::{self, Settings, Sources};
use crate::store::embedded::{self, Cluster};
use crate::store::{self, SchemaState, StoreError};

/// How to connect, and the private cluster if that is what runs.
pub struct Database {
    options: PgConnectOptions,
    cluster: Option<Cluster>,
}

impl std::fmt::Debug for Database {
    /// The driver's own options show the password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Database({})", self.describe())
    }
}

impl Database {
    /// Reads the connection URL, or starts the private cluster (or attaches to it, where a daemon runs it already).
    /// Installs nothing: where server programs are missing, the error names `dsrd setup`. For commands: where another
    /// process does not bring its server up, they wait no longer for it than for a connection
    /// (`database.acquire_timeout_secs`).
    pub async fn open(settings: &Settings, sources: &Sources) -> Result<Self, StartError> {
        let mut embedded = Self::embedded_settings(settings, sources);
        embedded.guest_timeout = Duration::from_secs(settings.database.acquire_timeout_secs);
        Self::open_with(settings, embedded).await
    }

    /// The same for a daemon, which waits for as long as a server may take to start.
    pub(super) async fn open_to_serve(settings: &Settings, sources: &Sources) -> Result<Self, StartError> {
        Self::open_with(settings, Self::embedded_settings(settings, sources)).await
    }

    async fn open_with(settings: &Settings, embedded: embedded::Settings) -> Result<Self, StartError> {
        if let Some(options) = configured(settings)? {
            return Ok(Self { options, cluster: None });
        }
        let cluster = Cluster::start(embedded).await?;
        Ok(Self { options: cluster.options(embedded::DATABASE), cluster: Some(cluster) })
    }

    /// Whether a database is configured, or else a private cluster was made.
    #[must_use]
    pub fn is_there(settings: &Settings) -> bool {
        let configured = settings.database.url.is_some() || settings.database.url_file.is_some();
        configured || embedded::has_cluster(&settings.data_dir)
    }

    /// What the private cluster has to be told.
    #[must_use]
    pub fn embedded_settings(settings: &Settings, sources: &Sources) -> embedded::Settings {
        let path = sources.variable("PATH").map(OsString::from);
        let mut embedded = embedded::Settings::new(&settings.data_dir, path);
        embedded.binaries_dir.clone_from(&settings.database.embedded_binaries_dir);
        embedded
    }

    /// Compares its schema with this program. Waits no longer than for a connection (`database.acquire_timeout_secs`): the
    /// driver itself waits for as long as the operating system does.
    pub async fn schema_state(&self, settings: &Settings) -> Result<SchemaState, StoreError> {
        let patience = Duration::from_secs(settings.database.acquire_timeout_secs);
        tokio::time::timeout(patience, store::schema_state(&self.options)).await.unwrap_or_else(|_| {
            Err(StoreError::Unreachable {
                operation: "store.connect",
                detail: "no answer in time".to_owned(),
                ambiguous: false,
            })
        })
    }

    /// How to connect.
    #[must_use]
    pub const fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Where it is, for people: never with a password.
    #[must_use]
    pub fn describe(&self) -> String {
        if let Some(cluster) = &self.cluster {
            return format!("private cluster ({})", cluster.url(embedded::DATABASE));
        }
        let name = self.options.get_database().unwrap_or("(default)");
        let port = self.options.get_port();
        match self.options.get_socket() {
            Some(socket) => format!("{name} at {}, port {port}", socket.display()),
            None => format!("{name} at {}:{port}", self.options.get_host()),
        }
    }

    /// How people connect to the private cluster with `psql`, if that is what runs.
    #[must_use]
    pub fn connection_string(&self) -> Option<String> {
        self.cluster.as_ref().map(|cluster| cluster.url(embedded::DATABASE))
    }

    /// Stops the private cluster, if this process runs it. Close all pools before.
    pub async fn close(&self) {
        if let Some(cluster) = &self.cluster
            && let Err(error) = cluster.stop().await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the private database did not stop in time"
            );
        }
    }
}

fn configured(settings: &Settings) -> Result<Option<PgConnectOptions>, StartError> {
    let (key, url) = match (&settings.database.url_file, &settings.database.url) {
        (Some(path), _) => {
            let key = "database.url_file";
            (key, config::read_secret(key, path)?)
        }
        (None, Some(url)) => ("database.url", url.clone().into()),
        (None, None) => return Ok(None),
    };
    match PgConnectOptions::from_str(&url) {
        Ok(options) if is_well_formed(&url) => Ok(Some(options)),
        // The driver's error is dropped, because it may quote the URL.
        _ => Err(StartError::DatabaseUrl { key }),
    }
}

/// Whether a URL means what its writer meant. A password with a raw `@`, `/`, `?` or `#` gives a URL that can be read,
/// but whose host is a piece of the password: it would be looked up and shown.
fn is_well_formed(url: &str) -> bool {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
    let Some(rest) = rest else { return false };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    authority.matches('@').count() <= 1 && !path.contains(['@', '#']) && !rest.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn s_42_a_wrong_url_with_special_characters_is_not_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("database.url");
        for password in ["can@ary/#", "can:ary@[x", "can@ary", "can/ary", "can?ary", "can#ary", "can ary"] {
            std::fs::write(&path, format!("postgres://dsrd:{password}@db.internal/dsrd\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let sources = Sources {
                environment: [
                    ("DSRD__DATABASE__URL_FILE".to_owned(), path.display().to_string()),
                    ("HOME".to_owned(), "/home/operator".to_owned()),
                ]
                .into(),
                ..Sources::default()
            };
            let settings = config::load(&sources).unwrap().settings;
            let error = configured(&settings).map(|_| ()).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("database.url_file") && shown.contains("percent-encoded"), "{shown}");
            assert!(!shown.contains("ary"), "{shown}");
        }
    }

    #[test]
    fn s_42_an_open_database_does_not_show_its_password() {
        let url = "postgres://dsrd:can%40ary%2F@db.internal:6432/dsrd?sslmode=require";
        assert!(is_well_formed(url) && is_well_formed("postgres:///dsrd?host=/run/postgresql"));
        let options = PgConnectOptions::from_str(url).unwrap();
        let database = Database { options, cluster: None };
        assert_eq!(format!("{database:?}"), "Database(dsrd at db.internal:6432)");
    }
}
