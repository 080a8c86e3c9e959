//! The simulator as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Killed at the end of the test, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().map(|_| ()).unwrap_or_default();
    }
}

#[test]
fn the_key_directory_is_made_and_its_files_are_ready_to_be_named_in_a_configuration() {
    let directory =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("keys-{}", std::process::id())).join("deep");
    let mut running = Running(
        Command::new(env!("CARGO_BIN_EXE_dsrd-simulator"))
            .args([
                "--listen",
                "127.0.0.1:0",
                "--contacts",
                "1",
                "--organisation",
                "venue",
                "--key-directory",
            ])
            .arg(&directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let lines: Vec<String> = BufReader::new(running.0.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .take_while(|line| !line.starts_with("ready"))
        .collect();
    assert!(lines.iter().any(|line| line.ends_with("venue.key.json")), "{lines:?}");
    let read = |name: &str| {
        let path = directory.join(name);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        std::fs::read_to_string(path).unwrap()
    };
    let pair: serde_json::Value = serde_json::from_str(&read("venue.key.json")).unwrap();
    assert_eq!(read("venue.client_key").trim(), pair["clientKey"]);
    assert_eq!(read("venue.client_secret").trim(), pair["clientSecret"]);
    std::fs::remove_dir_all(directory.parent().unwrap()).unwrap();
}
