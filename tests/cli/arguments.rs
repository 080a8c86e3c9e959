//! What the executable says without any database.

use crate::program::{dsrd, run};

#[test]
fn every_help_text_is_as_documented() {
    let commands: [&[&str]; 21] = [
        &[],
        &["serve"],
        &["migrate"],
        &["setup"],
        &["check"],
        &["request"],
        &["request", "submit"],
        &["request", "show"],
        &["request", "list"],
        &["request", "withdraw"],
        &["request", "resume"],
        &["request", "package"],
        &["retention"],
        &["retention", "run"],
        &["audit"],
        &["audit", "list"],
        &["audit", "search"],
        &["audit", "verify"],
        &["audit", "prove"],
        &["audit", "export"],
        &["config"],
    ];
    let mut text = String::new();
    for command in commands {
        let arguments: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let finished = run(&mut dsrd(&arguments), "").expect(0);
        text.extend(["$ dsrd ", &arguments.join(" "), "\n", &finished.stdout, "\n"]);
        assert!(finished.stderr.is_empty(), "{}", finished.stderr);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn wrong_usage_ends_with_2_and_speaks_on_standard_error() {
    for arguments in [
        &["nonsense"][..],
        &["request", "show", "ada@people.example"],
        &["audit", "list", "--limit", "0"],
        &["--config", "/nonexistent.toml", "config", "explain"],
        &["--format", "json", "--json", "config", "explain"],
        &["serve", "--only", "everything"],
        &["request", "list"],
    ] {
        let finished = run(&mut dsrd(arguments), "").expect(2);
        assert!(finished.stdout.is_empty() && finished.stderr.starts_with("error: "), "{finished:?}");
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let finished = run(&mut dsrd(&["completions", shell]), "").expect(0);
        assert!(finished.stdout.contains("dsrd") && finished.stdout.contains("retention"), "{shell}");
    }
}

#[test]
fn data_goes_to_standard_output_as_tables_or_json() {
    let human = run(&mut dsrd(&["config", "explain", "queue.poll"]), "").expect(0);
    assert!(human.stdout.contains("queue.poll_secs") && human.stdout.contains("default"), "{}", human.stdout);
    let json = run(&mut dsrd(&["--json", "config", "explain", "queue.poll"]), "").expect(0).json();
    assert_eq!(json[0]["key"], "queue.poll_secs");
    assert_eq!(json[0]["origin"], "default");
    let schema = run(&mut dsrd(&["config", "schema"]), "").expect(0).json();
    assert!(schema["properties"]["organisation_defaults"].is_object());
    let reference = run(&mut dsrd(&["config", "reference"]), "").expect(0).stdout;
    assert!(reference.starts_with("# Configuration reference"));
    let defaults = run(&mut dsrd(&["config", "defaults"]), "").expect(0).stdout;
    assert!(defaults.contains("[organisation_defaults]"));
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut shell = std::process::Command::new("bash");
    let script = format!("set -o pipefail; '{}' config reference | head -1", env!("CARGO_BIN_EXE_dsrd"));
    let finished = run(shell.env("HOME", "/nonexistent").args(["-c", &script]), "").expect(0);
    assert!(finished.stderr.is_empty(), "{}", finished.stderr);
}

#[test]
fn s_42_a_bad_variable_is_named_and_not_shown() {
    let mut command = dsrd(&["config", "explain"]);
    command.env("DSRD__QUEUE__POLL_SECS", "canary").env("DSRD__MAIL__PASSWORD", "canary");
    let finished = run(&mut command, "").expect(2);
    assert!(finished.stderr.contains("DSRD__MAIL__PASSWORD"), "{}", finished.stderr);
    assert!(!format!("{finished:?}").contains("canary"), "{finished:?}");
}
