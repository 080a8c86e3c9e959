//! `dsrd demo`, run as a newcomer runs it.

#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs::{self, Permissions};
use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize as _;
use serde_json::Value;
use tempfile::TempDir;

/// The executable, with an environment that would lead a careless demonstration to somebody's database.
fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsrd"));
    command
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"))
        .env("LOGNAME", "newcomer")
        .env("DSRD__DATABASE__URL", "postgres://nobody@127.0.0.1:1/none")
        .arg("demo")
        .args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    demo(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A directory that the account of the database server can walk through, too.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).unwrap();
    let place = directory.path().join("demo");
    (directory, place)
}

fn path(value: &Value) -> &Path {
    Path::new(value.as_str().unwrap_or_else(|| panic!("{value} is no path")))
}

/// Processes that have the directory in their command line: the server of the database, or anything else of ours.
fn processes_in(directory: &Path) -> Vec<String> {
    let directory = directory.to_str().unwrap();
    let command_line = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("cmdline")).ok();
    let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(command_line);
    lines.filter(|line| line.contains(directory)).collect()
}

/// What is answered at a link.
fn page_at(link: &str) -> std::io::Result<String> {
    let (address, path) = link.trim_start_matches("http://").split_once('/').unwrap();
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(Duration::from_mins(1)))?;
    write!(connection, "GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut page = Vec::new();
    connection.read_to_end(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[test]
fn the_demonstration_comes_out_as_it_should_and_leaves_its_files() {
    let (_keep, place) = place();
    let output = run(&["--json", "--contacts", "500", "--directory", place.to_str().unwrap()]);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    assert_eq!(stderr, "", "beside JSON nothing is said");
    let summary: Value = serde_json::from_str(&stdout).unwrap();

    assert_eq!(summary["as_expected"], true, "{summary:#}");
    let results: Vec<(&str, &str)> = summary["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| {
            (each["state"].as_str().unwrap_or("no request"), each["result"].as_str().unwrap_or_default())
        })
        .collect();
    assert_eq!(
        results,
        [
            ("closed", "fulfilled"),
            ("closed", "fulfilled"),
            ("closed", "fulfilled"),
            ("manual", "ambiguous_match"),
            ("closed", "fulfilled_no_data"),
            ("closed", "fulfilled"),
            ("manual", "not_automated"),
        ]
    );
    let other = summary["requests"][6]["in_plain_words"].as_str().unwrap();
    assert!(other.contains("waits for a person"), "{other}");
    for asked in summary["requests"].as_array().unwrap() {
        assert!(asked["by"].as_str().unwrap().contains("•••"), "identifiers are masked: {asked}");
    }

    let number =
        |part: &str, key: &str| summary[part][key].as_u64().unwrap_or_else(|| panic!("{part}.{key}"));
    let swept = number("sweep", "erased");
    assert!(swept > 10, "the sweep found somebody: {swept}");
    assert_eq!(number("platform", "deletions"), swept + 2, "those of the sweep, and two people who asked");
    assert_eq!(number("platform", "contacts_after") + swept + 2, 500);
    assert_eq!(number("audit", "gaps"), 0);
    assert_eq!(number("audit", "effects_announced"), number("audit", "effects_ended"));

    let page = fs::read_to_string(path(&summary["package"]["page"])).unwrap();
    assert!(page.contains("Caffè Aurora") && page.contains("</html>"));
    let unpacked = path(&summary["package"]["page"]).parent().unwrap();
    assert!(unpacked.ends_with("what-the-person-receives") && unpacked.join("report.json").exists());
    assert!(fs::read(path(&summary["package"]["encrypted"])).unwrap().starts_with(b"age-encryption.org/v1"));
    let mails = fs::read_dir(path(&summary["mails"]["directory"])).unwrap().count() as u64;
    assert_eq!(mails, number("mails", "written"));
    let overtaken = number("mails", "acknowledgements_overtaken");
    assert!(
        overtaken <= 5 && mails + overtaken == 12,
        "five acknowledgements, two questions who asks, five answers: {mails}, {overtaken}"
    );
    assert!(path(&summary["configuration"]).starts_with(fs::canonicalize(&place).unwrap()));
    assert!(fs::read_to_string(path(&summary["log"])).unwrap().contains("dsrd has stopped"));

    assert_eq!(processes_in(&place), Vec::<String>::new(), "nothing runs afterwards");
    let link = summary["package"]["link"].as_str().unwrap();
    // Somebody else may have got the port meanwhile.
    let after = page_at(link).unwrap_or_default();
    assert!(!after.contains("Download my data"), "nobody serves the page afterwards: {after}");

    // The configuration goes on working: the cases are still there.
    let list = Command::new(env!("CARGO_BIN_EXE_dsrd"))
        .args(["--json", "--config", summary["configuration"].as_str().unwrap(), "request", "list"])
        .args(["--origin", "subject"])
        .output()
        .unwrap();
    let cases: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(cases.as_array().unwrap().len(), 7, "{cases}");
}

#[test]
fn kept_running_it_serves_the_page_until_a_signal() {
    let (_keep, place) = place();
    let mut child = demo(&["--json", "--keep-running", "--contacts", "300", "--directory"])
        .arg(&place)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = serde_json::Deserializer::from_reader(BufReader::new(child.stdout.take().unwrap()));
    let summary = Value::deserialize(&mut answers).unwrap();
    assert_eq!(summary["as_expected"], true, "{summary:#}");

    let page = page_at(summary["package"]["link"].as_str().unwrap()).unwrap();
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("Download my data"), "{page}");
    assert!(!processes_in(&place).is_empty(), "the database is up");

    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(processes_in(&place), Vec::<String>::new(), "nothing runs afterwards");
}

#[test]
fn what_cannot_be_used_is_told_in_one_sentence() {
    let (keep, place) = place();
    fs::create_dir(&place).unwrap();
    fs::write(place.join("precious"), "").unwrap();
    let occupied = place.to_str().unwrap();
    for (arguments, part) in [
        (vec!["--directory", "/proc/nowhere"], "the directory /proc/nowhere cannot be used"),
        (vec!["--directory", occupied], "it is not empty"),
        (vec!["--config", "/etc/hostname"], "leave --config out"),
    ] {
        let output = run(&arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(part) && told.lines().count() == 1, "{told}");
    }
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "nothing was written");
    drop(keep);
}
