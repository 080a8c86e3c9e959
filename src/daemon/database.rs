//! The database that is configured, or the private one.

use std::ffi::OsString;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use super::StartError;
use crate::config::{self, Settings, Sources};
use crate::store::embedded::{self, Cluster};

/// How to connect, and the private cluster if that is what runs.
#[derive(Debug)]
pub struct Database {
    options: PgConnectOptions,
    cluster: Option<Cluster>,
}

impl Database {
    /// Reads the connection URL, or starts the private cluster (or attaches to it, where a daemon runs it already).
    /// Installs nothing: where server programs are missing, the error names `dsrd setup`.
    pub async fn open(settings: &Settings, sources: &Sources) -> Result<Self, StartError> {
        if let Some(options) = configured(settings)? {
            return Ok(Self { options, cluster: None });
        }
        let cluster = Cluster::start(Self::embedded_settings(settings, sources)).await?;
        Ok(Self { options: cluster.options(embedded::DATABASE), cluster: Some(cluster) })
    }

    /// What the private cluster has to be told.
    #[must_use]
    pub fn embedded_settings(settings: &Settings, sources: &Sources) -> embedded::Settings {
        let path = sources.variable("PATH").map(OsString::from);
        let mut embedded = embedded::Settings::new(&settings.data_dir, path);
        embedded.binaries_dir.clone_from(&settings.database.embedded_binaries_dir);
        embedded
    }

    /// How to connect.
    #[must_use]
    pub const fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Where it is, for people: never with a password.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.cluster {
            Some(cluster) => format!("private cluster ({})", cluster.url(embedded::DATABASE)),
            None => format!(
                "{} at {}:{}",
                self.options.get_database().unwrap_or("(default)"),
                self.options.get_host(),
                self.options.get_port()
            ),
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
    let well_formed = url.starts_with("postgres://") || url.starts_with("postgresql://");
    match PgConnectOptions::from_str(&url) {
        Ok(options) if well_formed => Ok(Some(options)),
        // The driver's error is dropped, because it may quote the URL.
        _ => Err(StartError::DatabaseUrl { key }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn s_42_a_wrong_url_with_special_characters_is_not_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("database.url");
        for password in ["can@ary/#", "can:ary@[x", "canary%zz", "canary ?x=/"] {
            std::fs::write(&path, format!("postgres://dsrd:{password}@db.internal:x/dsrd\n")).unwrap();
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
            let error = configured(&settings).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("database.url_file") && shown.contains("percent-encoded"), "{shown}");
            assert!(!shown.contains("ary"), "{shown}");
        }
    }
}
