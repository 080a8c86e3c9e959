//! What the law leaves to the controller, and what it leaves to nobody (R-82, law section 8).

use super::super::*;
use super::{MAIL, ORGANISATION, Scene, decided, refused};

const DECISION: &str = r#"
[[decisions]]
key = "upkeep.evidence_months"
decided_by = "the board"
date = "2026-11-01"
reason = "claims of guests become time-barred after five years"
"#;

#[test]
fn r_82_a_looser_setting_needs_a_recorded_decision() {
    let looser = "[upkeep]\nevidence_months = 60\n";
    let problem = refused(&decided(looser));
    assert!(problem.contains("upkeep.evidence_months is 60, more than 36 months"), "{problem}");
    assert!(
        problem.contains("[[decisions]]") && problem.contains("key = \"upkeep.evidence_months\""),
        "{problem}"
    );
    assert_eq!(refused(&decided(&format!("{looser}{DECISION}"))), "");
    // What is as strict as the default, or stricter, needs none.
    assert_eq!(refused(&decided("[upkeep]\nevidence_months = 24\nidentifiers_days = 10\n")), "");

    let suspended = ORGANISATION.replace("contact =", "regime = \"EU-suspend\"\ncontact =");
    let scene =
        |more: &str| Scene::new().file("dsrd.toml", &format!("{suspended}{more}")).file("mail.toml", MAIL);
    let problem = refused(&scene(""));
    assert!(problem.contains("regime of organisation venue-group lets the time stand still"), "{problem}");
    let of_organisation = "organisation = \"venue-group\"\nkey = \"regime\"";
    let decision = DECISION.replace("key = \"upkeep.evidence_months\"", of_organisation);
    assert_eq!(refused(&scene(&decision)), "");
}

/// A decision about a key of the organisation.
fn decision_about(key: &str) -> String {
    let place = format!("organisation = \"venue-group\"\nkey = \"{key}\"");
    DECISION.replace("key = \"upkeep.evidence_months\"", &place)
}

#[test]
fn r_19_r_25_a_weaker_or_older_proof_needs_a_recorded_decision() {
    for (key, line, looser) in [
        ("identity.access", "access = [\"matched_data\"]", "lets matched_data be enough"),
        (
            "identity.erasure",
            "erasure = [\"verified_channel_loop\", \"agent_proof\"]",
            "lets agent_proof be enough",
        ),
        ("identity.erasure_proof_hours", "erasure_proof_hours = 25", "is 25, more than 24 hours"),
    ] {
        let set = format!("identity = {{ {line} }}\n");
        let problem = refused(&decided(&set));
        assert!(problem.contains(&format!("{key} of organisation venue-group {looser}")), "{problem}");
        assert_eq!(refused(&decided(&format!("{set}{}", decision_about(key)))), "");
        let other = decision_about("identity.wait_max_days");
        assert!(refused(&decided(&format!("{set}{other}"))).contains(looser), "a decision about another key");
    }
    // As strict as the default, or stricter.
    let strict = "identity = { access = [\"authenticated_session\"], erasure = [\"authenticated_session\"], \
                  erasure_proof_hours = 1, wait_max_days = 30 }\n";
    assert_eq!(refused(&decided(strict)), "");
    // No decision makes a proof of more than a month fresh.
    let set = format!(
        "identity = {{ erasure_proof_hours = 721 }}\n{}",
        decision_about("identity.erasure_proof_hours")
    );
    let problem = refused(&decided(&set));
    assert!(problem.contains("identity.erasure_proof_hours must be at most 720"), "{problem}");
}

#[test]
fn r_82_every_key_that_the_law_leaves_to_a_controller_can_be_decided() {
    // Law section 8: what each key is listed for.
    let left = left_to_controllers(&decided("").load());
    for key in [
        "time_zone",
        "calendar",
        "further_calendars",
        "regime",
        "two_persons",
        "identity.access",
        "identity.access_by_hand_over",
        "identity.erasure",
        "identity.erasure_proof_hours",
        "identity.wait_max_days",
        "holds.statutes",
        "escalation",
        "catalogue",
        "recipients",
        "retention.anchor",
    ] {
        assert!(left.iter().any(|each| each.key == key && each.organisation.is_some()), "{key}");
        assert_eq!(refused(&decided(&decision_about(key))), "", "{key}");
    }
    for key in
        ["upkeep.evidence_months", "upkeep.log_months", "ledger.keep_days", "delivery.package_expiry_days"]
    {
        assert!(left.iter().any(|each| each.key == key && each.organisation.is_none()), "{key}");
        assert_eq!(refused(&decided(&DECISION.replace("upkeep.evidence_months", key))), "", "{key}");
    }
}

#[test]
fn r_73_longer_logs_and_ledgers_need_a_recorded_decision() {
    for (key, set) in [
        ("upkeep.log_months", "[upkeep]\nlog_months = 37\n"),
        ("ledger.keep_days", "[ledger]\nkeep_days = 66\n"),
        ("upkeep.contact_ids_days", "[upkeep]\ncontact_ids_days = 95\n[ledger]\nkeep_days = 95\n"),
    ] {
        let problem = refused(&decided(set));
        assert!(problem.contains(&format!("{key} is ")), "{problem}");
        // One decision about the age of the backups is enough where both have the same length.
        let decision = DECISION.replace("upkeep.evidence_months", key);
        assert_eq!(refused(&decided(&format!("{set}{decision}"))), "", "{key}");
    }
}

#[test]
fn r_74_evidence_is_kept_as_long_as_the_regime_asks() {
    let scene = |regime: &str, months: u32| {
        let organisation = ORGANISATION.replace("contact =", &format!("regime = \"{regime}\"\ncontact ="));
        let text = format!("{organisation}[upkeep]\nevidence_months = {months}\n");
        refused(&Scene::new().file("dsrd.toml", &text).file("mail.toml", MAIL))
    };
    for regime in ["US-CA", "US-CO"] {
        let problem = scene(regime, 23);
        assert!(problem.contains("upkeep.evidence_months must be at least 24"), "{problem}");
        assert!(problem.contains("venue-group") && problem.contains(regime), "{problem}");
        assert_eq!(scene(regime, 24), "");
    }
    assert_eq!(scene("EU", 12), "");
}

#[test]
fn r_57_no_setting_lets_data_be_used_while_an_objection_is_weighed() {
    let problem = decided("holds = { restrict_objections = false }\n").refusal();
    assert!(problem.contains("restrict_objections"), "{problem}");
    let mut keys = Vec::new();
    names(&schema(), &mut keys);
    assert!(keys.iter().all(|key| !key.contains("objection")), "{keys:?}");
}

#[test]
fn a_record_of_a_decision_that_cannot_be_right_is_refused() {
    for (from, to, problem) in [
        ("upkeep.evidence_months", "upkeep.evidence", "key is none that the law leaves"),
        ("upkeep.evidence_months", "regime", "names none"),
        ("key =", "organisation = \"elsewhere\"\nkey =", "organisation is none that is configured"),
        ("the board", " ", "decided_by must be one line of text"),
        ("2026-11-01", "yesterday", "decisions[0].date"),
    ] {
        let scene = decided(&DECISION.replace(from, to));
        let said = load(&scene.sources).map_or_else(|error| error.to_string(), |_| refused(&scene));
        assert!(said.contains(problem), "{from} -> {to}: {said}");
    }
}

#[test]
fn r_82_what_is_left_to_the_controller_is_listed_with_how_it_stands() {
    let loaded = decided(DECISION).load();
    let left = left_to_controllers(&loaded);
    let standing = |key: &str| left.iter().find(|each| each.key == key).unwrap().standing;
    assert_eq!(standing("upkeep.evidence_months"), Standing::Decided);
    assert_eq!(standing("upkeep.identifiers_days"), Standing::StrictDefault);
    assert_eq!(standing("regime"), Standing::StrictDefault);
    let set = decided("retention = { keep_months = 24 }\n").load();
    let set = left_to_controllers(&set);
    let keep = set.iter().find(|each| each.key == "retention.keep_months").unwrap();
    assert_eq!((keep.standing, keep.value.as_str()), (Standing::SetWithoutRecord, "24"));
    let rows = explain(&loaded);
    let row = rows.iter().find(|row| row.key == "upkeep.evidence_months").unwrap();
    assert!(row.decision.as_ref().unwrap().starts_with("decided by the board on 2026-11-01"), "{row:?}");
    for each in left {
        let place = if each.organisation.is_some() { "organisations[0]." } else { "" };
        let key = format!("{place}{}", each.key);
        let is_key = |row: &Explained| row.key == key || row.key.starts_with(&format!("{key}."));
        // A list of tables that is empty has no rows; the schema knows it.
        let known = each.key == "recipients" && each.value == "(none)";
        assert!(rows.iter().any(is_key) || known, "{key} is no key of the settings");
    }
}

#[test]
fn r_60_a_period_from_the_creation_is_to_be_confirmed() {
    let standing = |more: &str| {
        let rule = |anchor: &str| {
            format!(
                "retention = {{ enabled = true, keep_months = 24, most_percent = 5, most_contacts = 9{anchor} }}\n{more}"
            )
        };
        [rule(""), rule(", anchor = \"created\""), rule(", anchor = \"last_activity\"")].map(|text| {
            let scene = decided(&text);
            assert_eq!(refused(&scene), "", "existing settings go on working");
            let left = left_to_controllers(&scene.load());
            left.iter().find(|each| each.key == "retention.anchor").unwrap().standing
        })
    };
    let decision = DECISION.replace(
        "key = \"upkeep.evidence_months\"",
        "organisation = \"venue-group\"\nkey = \"retention.anchor\"",
    );
    let set = Standing::SetWithoutRecord;
    assert_eq!(standing(""), [Standing::Unconfirmed, Standing::Unconfirmed, set]);
    assert_eq!(standing(&decision), [Standing::Decided; 3]);
    // Nobody is erased by a rule that is off.
    let left = left_to_controllers(&decided("").load());
    let anchor = left.iter().find(|each| each.key == "retention.anchor").unwrap();
    assert_eq!((anchor.standing, anchor.value.as_str()), (Standing::StrictDefault, "created"));
}

#[test]
fn r_59_a_term_of_records_needs_its_reason_and_who_answers_for_it() {
    let term = "retention = { records = { accountings_months = 12 } }\n";
    let problem = refused(&decided(term));
    assert!(problem.contains("retention.records of organisation venue-group sets a term"), "{problem}");
    let decision = DECISION.replace(
        "key = \"upkeep.evidence_months\"",
        "organisation = \"venue-group\"\nkey = \"retention.records\"",
    );
    assert_eq!(refused(&decided(&format!("{term}{decision}"))), "");
}

/// The names of all keys of a schema, however deep.
fn names(schema: &serde_json::Value, into: &mut Vec<String>) {
    match schema {
        serde_json::Value::Object(members) => {
            if let Some(serde_json::Value::Object(properties)) = members.get("properties") {
                into.extend(properties.keys().cloned());
            }
            members.values().for_each(|each| names(each, into));
        }
        serde_json::Value::Array(elements) => elements.iter().for_each(|each| names(each, into)),
        _ => {}
    }
}

/// Law section 8, last line: for these there is no key, and none may come.
#[test]
fn what_the_law_leaves_to_nobody_has_no_key() {
    const FORBIDDEN: &[&str] = &[
        "silence",
        "silent",
        "without_notice",
        "skip_notice",
        "id_document",
        "passport",
        "id_card",
        "upload",
        "attachment",
        "refuse",
        "refusal",
        "reject",
        "second_extension",
        "extensions",
        "auto_",
        "skip_verif",
        "skip_read_back",
        "without_read_back",
        "verify_deletion",
        "read_back",
        "clear_identifiers",
        "log_identifiers",
        "plain_identifiers",
        "reveal",
    ];
    let every = decided(DECISION).load();
    let mut keys: Vec<String> = explain(&every).into_iter().map(|row| row.key).collect();
    // Of lists that are empty here, the schema knows the keys.
    names(&schema(), &mut keys);
    assert!(keys.len() > 150 && keys.iter().any(|key| key == "secret_file"), "{}", keys.len());
    let found: Vec<&String> =
        keys.iter().filter(|key| FORBIDDEN.iter().any(|word| key.contains(word))).collect();
    assert!(found.is_empty(), "the law leaves this to nobody: {found:?}");
}
