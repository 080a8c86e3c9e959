//! What the executable says without any database.

use crate::program::{dsrd, run};

#[test]
fn every_help_text_is_as_documented() {
    let commands: &[&[&str]] = &[
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
        &["request", "ask-again"],
        &["request", "package"],
        &["request", "bounced"],
        &["request", "parked"],
        &["decide"],
        &["decide", "candidates"],
        &["decide", "choose"],
        &["decide", "refuse"],
        &["alert"],
        &["alert", "list"],
        &["alert", "acknowledge"],
        &["retention"],
        &["retention", "preview"],
        &["retention", "run"],
        &["audit"],
        &["audit", "list"],
        &["audit", "search"],
        &["audit", "verify"],
        &["audit", "drill"],
        &["audit", "prove"],
        &["audit", "export"],
        &["audit", "key"],
        &["audit", "key", "rotate"],
        &["upkeep"],
        &["upkeep", "run"],
        &["deadline"],
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
fn i_8_identifiers_are_refused_as_arguments_and_not_repeated() {
    for option in ["--email", "--phone", "--username", "--external-id", "--external-property-1"] {
        let arguments = ["request", "submit", "--kind", "access", option, "canary@people.example"];
        let finished = run(&mut dsrd(&arguments), "").expect(2);
        for part in [option, "is refused", "--from FILE", "--from -"] {
            assert!(finished.stderr.contains(part), "{part}: {}", finished.stderr);
        }
        assert!(!format!("{finished:?}").contains("canary"), "{finished:?}");
    }
}

#[test]
fn an_instant_that_cannot_be_read_is_answered_with_one_that_can() {
    let arguments = ["request", "submit", "--from", "-", "--received-at", "20/11/2026"];
    let finished = run(&mut dsrd(&arguments), "{}").expect(2);
    assert!(finished.stderr.contains("for example 2026-11-23T10:00:00+01:00"), "{}", finished.stderr);
    let mut command = dsrd(&["config", "explain"]);
    for (key, value) in [("ID", "a"), ("NAME", "a"), ("CONTACT", "a"), ("TIME_ZONE", "Rome time")] {
        command.env(format!("DSRD__ORGANISATIONS__0__{key}"), value);
    }
    for key in ["ORGANISATION_ID", "CLIENT_KEY_FILE", "CLIENT_SECRET_FILE"] {
        command.env(format!("DSRD__ORGANISATIONS__0__PLATFORM__{key}"), "a");
    }
    let finished = run(&mut command, "").expect(2);
    assert!(finished.stderr.contains("for example Europe/Rome"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("Rome time"), "{}", finished.stderr);
}

#[test]
fn a_key_that_does_not_exist_is_answered_with_near_ones() {
    let finished = run(&mut dsrd(&["config", "explain", "pol_secs"]), "").expect(3);
    assert!(finished.stdout.is_empty() && finished.stderr.contains("queue.poll_secs"), "{finished:?}");
    let finished = run(&mut dsrd(&["config", "explain", "quue"]), "").expect(3);
    assert!(finished.stderr.contains("did you mean queue."), "{}", finished.stderr);
    let finished = run(&mut dsrd(&["--json", "config", "explain", "nosuchthing"]), "").expect(3);
    assert!(finished.stdout.is_empty() && finished.stderr.contains("no key contains"), "{finished:?}");
}

#[test]
fn the_runbook_lists_the_exit_codes_of_the_help() {
    let help = run(&mut dsrd(&["--help"]), "").expect(0).stdout;
    let runbook = include_str!("../../docs/operator-runbook.md");
    let codes = help.split("Exit codes:\n").nth(1).unwrap().lines().filter(|line| line.starts_with("  "));
    let mut number = 0;
    for line in codes {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        assert!(
            runbook.contains(&format!("| {code} | {meaning} |")),
            "missing in the runbook: {code} {meaning}"
        );
        number += 1;
    }
    assert_eq!(number, 8);
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
