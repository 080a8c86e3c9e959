//! What the settings say about themselves: the written procedure, the record of processing, the decisions.

use std::fs;

use crate::program::{Finished, dsrd, run};

/// A configuration that no database is needed for.
const SETTINGS: &str = r#"
data_dir = "/nonexistent/dsrd"
[delivery]
from_address = "privacy@venue-group.example"
link_base_url = "https://privacy.venue-group.example"
smtp = { host = "mail.venue-group.example" }
[[organisations]]
id = "venue-group"
name = "Venue Group"
contact = "privacy@venue-group.example"
platform = { organisation_id = "155d60f2", client_key_file = "/secrets/key", client_secret_file = "/secrets/secret" }
retention = { enabled = true, keep_months = 24, most_percent = 5, most_contacts = 1000 }
[organisations.catalogue]
automated_decisions = "None."
transfers = "To the United States, on standard contractual clauses."
complaint_authority = "Garante"
[organisations.catalogue.sections]
profile = { purposes = "Wi-Fi", legal_basis = "consent", recipients = "staff", storage_period = "two years", source = "you" }
consents = { purposes = "Wi-Fi", legal_basis = "consent", recipients = "staff", storage_period = "two years", source = "you" }
events = { purposes = "Wi-Fi", legal_basis = "consent", recipients = "staff", storage_period = "two years", source = "you" }
devices = { purposes = "Wi-Fi", legal_basis = "consent", recipients = "staff", storage_period = "two years", source = "you" }
accountings = { purposes = "Wi-Fi", legal_basis = "consent", recipients = "staff", storage_period = "two years", source = "you" }
requests = { purposes = "law", legal_basis = "law", recipients = "nobody", storage_period = "three years", source = "you" }
[[organisations.recipients]]
id = "crm"
name = "Example CRM"
role = "processor"
categories = ["profile", "events"]
country = "US"
safeguard = "standard contractual clauses"
from = "2025-01-01"
channel = "mail"
mail_to = "privacy@crm.example"
[[decisions]]
organisation = "venue-group"
key = "retention.keep_months"
decided_by = "the board"
date = "2026-11-01"
reason = "guests come back within two seasons"
"#;

fn with(settings: &str, arguments: &[&str]) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dsrd.toml");
    fs::write(&file, settings).unwrap();
    run(dsrd(&["--config"]).arg(&file).args(arguments), "")
}

#[test]
fn r_78_the_written_procedure_changes_with_the_settings() {
    let procedure = |settings: &str| with(settings, &["procedure"]).expect(0).stdout;
    let written = procedure(SETTINGS);
    for said in [
        "# How Venue Group answers requests of data subjects",
        "| 1 month | 2 months |",
        "1. find the one contact by every identifier given",
        "It is never refused.",
        "erased 24 months after their creation",
        "| Example CRM | profile, events | US |",
        "| dates, decisions, outcome, proofs | 36 months after the end |",
        "| access package | 14 days after it was built, or after its link went out late",
        "| suppression list: keyed hashes of who was erased or opted out |",
        "keyed hashes | 65 days after the entry, by whole months |",
        "| 36 months after an entry was sealed |",
        "could not become a request, encrypted | a person hands it in or removes it |",
        "`retention.keep_months` = 24 | the board | 2026-11-01 | guests come back within two seasons |",
    ] {
        assert!(written.contains(said), "{said}: {written}");
    }
    for (from, to) in [
        ("keep_months = 24", "keep_months = 12"),
        ("name = \"Venue Group\"", "name = \"Other Group\""),
        ("Example CRM", "Another CRM"),
        ("the board", "the management"),
        ("[delivery]", "upkeep = { evidence_months = 24 }\n[delivery]"),
        ("[delivery]", "upkeep = { log_months = 30 }\n[delivery]"),
        ("[delivery]", "upkeep = { contact_ids_days = 60 }\nledger = { keep_days = 60 }\n[delivery]"),
        ("contact = \"privacy", "regime = \"UK\"\ncontact = \"privacy"),
        ("contact = \"privacy", "time_zone = \"Europe/Lisbon\"\ncontact = \"privacy"),
    ] {
        let changed = procedure(&SETTINGS.replacen(from, to, 1));
        assert_ne!(changed, written, "{from} -> {to}");
    }
}

#[test]
fn r_77_the_record_of_processing_has_all_that_article_30_asks() {
    let record = with(SETTINGS, &["--json", "config", "processing-record"]).expect(0).json();
    let of_organisation = record["records"][0].as_object().unwrap();
    let letters: Vec<&str> =
        of_organisation.keys().filter_map(|key| key.split_once('_').map(|(letter, _)| letter)).collect();
    assert_eq!(letters, ["a", "b", "c", "d", "e", "f", "g"], "{record}");
    assert_eq!(record["records"][0]["d_recipients"][0]["name"], "Example CRM");
    assert_eq!(record["records"][0]["e_transfers"]["of_recipients"][0]["country"], "US");
    assert_eq!(record["records"][0]["f_time_limits"]["contacts_months_after_creation"], 24);
    let limits = &record["records"][0]["f_time_limits"];
    assert_eq!(limits["evidence_months_after_end"], 36);
    assert_eq!(limits["audit_log_months_after_sealing"], 36);
    assert_eq!(limits["ledger_days"], 65);
    for kept in ["suppression_list", "rows_that_became_no_request", "access_packages_longer"] {
        assert!(limits[kept].is_string(), "{kept}: {limits}");
    }
    // Heads that stay in the data directory go nowhere, and nothing says that they do.
    let elsewhere = "its heads published elsewhere";
    let measures = |settings: &str| {
        with(settings, &["--json", "config", "processing-record"]).expect(0).json()["records"][0]["g_security_measures"]
            .to_string()
    };
    let published = |how: &str| SETTINGS.replacen("[delivery]", &format!("[publish]\n{how}\n[delivery]"), 1);
    assert!(!measures(SETTINGS).contains(elsewhere));
    assert!(!measures(&published("directory = \"/nonexistent/dsrd/heads\"")).contains(elsewhere));
    for how in ["directory = \"/mnt/other-disk/log\"", "mail_to = \"heads@auditor.example\""] {
        assert!(measures(&published(how)).contains(elsewhere), "{how}");
    }
}

#[test]
fn r_82_what_was_decided_and_what_stands_on_its_default_is_shown() {
    let shown = with(SETTINGS, &["config", "decisions"]).expect(0).stdout;
    let line = |key: &str| shown.lines().find(|line| line.contains(key)).unwrap().to_owned();
    assert!(line("retention.keep_months").contains("decided by the board on 2026-11-01"), "{shown}");
    assert!(line("upkeep.evidence_months").contains("default"), "{shown}");
    assert!(line("retention.most_percent").contains("set; nobody said why"), "{shown}");
    let explained = with(SETTINGS, &["config", "explain", "keep_months"]).expect(0).stdout;
    assert!(explained.contains("decided by the board"), "{explained}");
    let check = with(SETTINGS, &["check", "--offline"]);
    assert!(check.stdout.contains("1 on record"), "{}", check.stdout);
    let refused =
        with(&SETTINGS.replace("[delivery]", "[upkeep]\nevidence_months = 60\n[delivery]"), &["procedure"]);
    let refused = refused.expect(2);
    assert!(refused.stderr.contains("looser than the default"), "{}", refused.stderr);
}

#[test]
fn r_81_a_register_that_cannot_stand_is_refused_with_its_key() {
    let refused =
        with(&SETTINGS.replace("safeguard = \"standard contractual clauses\"\n", ""), &["procedure"]);
    let refused = refused.expect(2);
    assert!(
        refused.stderr.contains("organisations[0].recipients[0].safeguard is missing"),
        "{}",
        refused.stderr
    );
    let shown = with(SETTINGS, &["recipient", "register"]).expect(0).stdout;
    assert!(shown.contains("Example CRM") && shown.contains("US (standard contractual clauses)"), "{shown}");
}
