//! What the private cluster has to be told.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Where the cluster lives and how its server programs are found.
///
/// A plain structure, not read from a file: the composition root fills it from its own configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The daemon's data directory. The cluster, its socket and its log live in `postgres/` below it.
    pub data_dir: PathBuf,
    /// Directory with `postgres` and `initdb`. When set, no other place is looked at.
    pub binaries_dir: Option<PathBuf>,
    /// Directories of `PATH`, in order.
    pub path_dirs: Vec<PathBuf>,
    /// Directories of distributions that keep versions apart; `{major}` stands for the version, the highest is preferred.
    pub versioned_dirs: Vec<String>,
    /// Where [`install`](super::install()) puts programs that it unpacks. Default: `postgres/binaries` in the data directory.
    pub cache_dir: Option<PathBuf>,
    /// How long the server may take until it accepts connections. Replaying the log after a crash counts: one that is ended
    /// meanwhile begins from the start, so this is far longer than any replay should take. A server that fails ends by itself.
    pub start_timeout: Duration,
    /// How long a guest waits until the server of whoever holds the lock accepts connections. As long as a start may
    /// take for whoever is to serve; less for whoever is to answer a person.
    pub guest_timeout: Duration,
    /// How long the server may take to close its connections and write everything down.
    pub stop_timeout: Duration,
    /// Further server settings, as name and value. Those that keep data safe or private cannot be changed by them.
    pub server_settings: Vec<(String, String)>,
}

impl Settings {
    /// The usual settings for a data directory. `path` is the content of the environment's `PATH`, which only the
    /// caller may read.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>, path: Option<OsString>) -> Self {
        Self {
            data_dir: data_dir.into(),
            binaries_dir: None,
            path_dirs: path.map(|path| std::env::split_paths(&path).collect()).unwrap_or_default(),
            versioned_dirs: vec![
                "/usr/lib/postgresql/{major}/bin".to_owned(),
                "/usr/pgsql-{major}/bin".to_owned(),
            ],
            cache_dir: None,
            start_timeout: Duration::from_hours(2),
            guest_timeout: Duration::from_hours(2),
            stop_timeout: Duration::from_secs(30),
            server_settings: Vec::new(),
        }
    }
}
