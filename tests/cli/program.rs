//! Runs the executable in a directory of its own, with a simulated platform.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use chrono::Datelike as _;
use dsrd::domain::{Clock as _, SystemClock};
use dsrd_simulator::{OrganisationSettings, Settings, Simulator};
use tempfile::TempDir;

/// What a finished command left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// The executable with an empty environment, but for what finds server programs.
pub(crate) fn dsrd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsrd"));
    command.env_clear().env("HOME", "/nonexistent").env("LOGNAME", "operator").args(arguments);
    command
}

pub(crate) fn run(command: &mut Command, input: &str) -> Finished {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read its input closes it: that is no failure of the test.
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap_or_default();
    let output = child.wait_with_output().unwrap();
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A directory with a configuration for one organisation.
pub(crate) struct Scene {
    pub(crate) directory: TempDir,
    pub(crate) simulator: Simulator,
}

impl Scene {
    /// A scene with a platform of two organisations, configured for the first.
    pub(crate) async fn new(database_url: &str) -> Self {
        let mut settings = Settings::with_contacts(0);
        settings.organisations =
            vec![OrganisationSettings::new("main", 20), OrganisationSettings::new("other", 5)];
        let scene = Self {
            directory: tempfile::tempdir().unwrap(),
            simulator: Simulator::start(settings).await.unwrap(),
        };
        scene.configure(database_url, "main");
        scene
    }

    /// Writes the configuration, with the key of the organisation named.
    pub(crate) fn configure(&self, database_url: &str, key_of: &str) {
        let organisations = self.simulator.organisations();
        let main = organisations.iter().find(|each| each.name() == "main").unwrap();
        let key = organisations.iter().find(|each| each.name() == key_of).unwrap();
        self.secret("key", key.client_key());
        self.secret("secret", key.client_secret());
        self.secret("database.url", database_url);
        let directory = self.directory.path().display();
        // Half a year away, whenever the tests run: the sweeps of a daemon are those that a test asks for.
        let month = (SystemClock.now().month0() + 6) % 12 + 1;
        let text = format!(
            r#"data_dir = "{directory}/data"
[database]
url_file = "{directory}/database.url"
acquire_timeout_secs = 2
[telemetry]
format = "human"
[delivery]
transport = "file"
from_address = "privacy@venue-group.example"
link_base_url = "http://127.0.0.1:8085"
[[organisations]]
id = "venue-group"
name = "Venue Group"
contact = "privacy@venue-group.example"
[organisations.platform]
base_url = "{base_url}"
organisation_id = "{organisation_id}"
client_key_file = "{directory}/key"
client_secret_file = "{directory}/secret"
rate = {{ requests_per_second = 200.0, burst = 50 }}
[organisations.retention]
enabled = true
keep_months = 24
most_percent = 100
most_contacts = 1000
schedule = "0 0 1 {month} *"
"#,
            base_url = self.simulator.base_url(),
            organisation_id = main.org_id(),
        );
        std::fs::write(self.path("dsrd.toml"), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn secret(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::write(&path, format!("{text}\n")).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = dsrd(&["--config"]);
        command.arg(self.path("dsrd.toml")).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        run(&mut self.command(arguments), "")
    }

    pub(crate) fn serve(&self) -> Daemon {
        self.serve_with(&[])
    }

    /// The daemon with variables in its environment.
    pub(crate) fn serve_with(&self, environment: &[(&str, &str)]) -> Daemon {
        let mut command = self.command(&["serve"]);
        command.envs(environment.iter().copied());
        Daemon::start(command)
    }
}

/// A running daemon, killed when a test ends early.
pub(crate) struct Daemon {
    child: Child,
    lines: BufReader<ChildStderr>,
    pub(crate) log: String,
}

impl Daemon {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines, log: String::new() }
    }

    /// Reads the log until a line of ours holds `mark`; fails when the daemon ends before.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, mark: &str) {
        self.wait_for_each(&[(mark, 1)]);
    }

    /// Reads the log until each mark has stood in so many lines of ours, in whatever order; fails when the daemon ends before.
    ///
    /// Lines of libraries do not count: on a busy machine the database's driver shows slow statements, whose text has the names
    /// of tables and states in it.
    #[track_caller]
    pub(crate) fn wait_for_each(&mut self, marks: &[(&str, usize)]) {
        let mut left = marks.to_vec();
        while !left.is_empty() {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "{left:?} never came: {}", self.log);
            self.log.push_str(&line);
            if !line.contains(" dsrd::") {
                continue;
            }
            for (mark, times) in &mut left {
                *times -= usize::from(line.contains(*mark));
            }
            left.retain(|(_, times)| *times > 0);
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Reads the log to its end and waits for the process.
    pub(crate) fn finish(mut self) -> (ExitStatus, String) {
        let mut log = std::mem::take(&mut self.log);
        std::io::Read::read_to_string(&mut self.lines, &mut log).unwrap();
        (self.child.wait().unwrap(), log)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already, in a test that passed.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(|_| ()).unwrap_or_default();
    }
}

/// The names of the files in a directory.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}
