//! What belongs to other people in a package: marked, counted, explained, and nothing else touched.

use dsrd::domain::{IdentifierKind, SubjectIdentifier};
use dsrd::report::{Language, Others, Own, Package, RedactionRules, ReportHeader, Section, Spool};

use crate::ground::{
    DEVICE, Entries, PROFILE, archive, csv_rows, event, header, json, settings, text, unpack,
};

/// A package about Ada that withholds what is not hers.
fn package(records: &[(Section, &str)], rules: RedactionRules, language: Language) -> (Package, Entries) {
    let mut own = Own::new(Some("GB"));
    own.add(&SubjectIdentifier::parse(IdentifierKind::Email, "ada@people.example", None).unwrap());
    own.add_values_of(PROFILE);
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let mut spool = Spool::new(&settings.directory, &settings).withholding(Others::new(rules, own, language));
    for (section, record) in records {
        spool.push(*section, record).unwrap();
    }
    let package = Package::write(&ReportHeader { language, ..header() }, spool, &settings).unwrap();
    let entries = unpack(archive(&settings, &package));
    (package, entries)
}

const TABLE: &str =
    r#"{"text":"Table for ada@people.example and bob@else.example, +39 06 1234 5678","seats":2.0}"#;

#[test]
fn r_34_s_9_another_persons_address_is_masked_counted_and_explained_in_every_file() {
    let plain = event(3, "login", "Harbour");
    let records = [
        (Section::Profile, PROFILE),
        (Section::Events, TABLE),
        (Section::Events, plain.as_str()),
        (Section::Devices, DEVICE),
    ];
    for (language, marks, words) in [
        (
            Language::English,
            [
                "[withheld: e-mail address of another person]",
                "[withheld: telephone number of another person]",
            ],
            "belongs to other people (Article 15(4) GDPR): e-mail addresses in text: 1; telephone numbers in text: 1.",
        ),
        (
            Language::German,
            [
                "[nicht herausgegeben: E-Mail-Adresse einer anderen Person]",
                "[nicht herausgegeben: Telefonnummer einer anderen Person]",
            ],
            "E-Mail-Adressen in text: 1; Telefonnummern in text: 1",
        ),
        (
            Language::French,
            [
                "[non communiqué\u{a0}: adresse électronique d’une autre personne]",
                "[non communiqué\u{a0}: numéro de téléphone d’une autre personne]",
            ],
            "adresses électroniques dans text\u{a0}: 1; numéros de téléphone dans text\u{a0}: 1",
        ),
        (
            Language::Italian,
            [
                "[omesso: indirizzo e-mail di un’altra persona]",
                "[omesso: numero di telefono di un’altra persona]",
            ],
            "indirizzi e-mail in text: 1; numeri di telefono in text: 1",
        ),
        (
            Language::Spanish,
            [
                "[omitido: dirección de correo electrónico de otra persona]",
                "[omitido: número de teléfono de otra persona]",
            ],
            "direcciones de correo electrónico en text: 1; números de teléfono en text: 1",
        ),
    ] {
        let (package, entries) = package(&records, RedactionRules::strict(), language);
        let expected = TABLE.replace("bob@else.example", marks[0]).replace("+39 06 1234 5678", marks[1]);
        let report = json(&entries);
        let held =
            |section: Section| report.records[&section].iter().map(|each| each.get()).collect::<Vec<_>>();
        // Text for text but for the marks, and everything else as it came.
        assert_eq!(held(Section::Events), [expected.as_str(), plain.as_str()], "{language:?}");
        assert_eq!(held(Section::Profile), [PROFILE]);
        assert_eq!(held(Section::Devices), [DEVICE]);
        assert_eq!(report.counts[&Section::Events].withheld, 2);
        assert_eq!(report.counts[&Section::Profile].withheld, 0);
        assert_eq!(package.manifest.sections[&Section::Events].withheld, 2);
        let listed: serde_json::Value = serde_json::from_slice(&entries["report.json"]).unwrap();
        let entry = |what: &str, mark: &str| {
            serde_json::json!({"section": "events", "field": "text", "what": what,
                "reason": "rights of others, Art. 15(4) GDPR", "mark": mark, "values": 1})
        };
        let listed = listed["withheld"].as_array().unwrap();
        assert_eq!(
            *listed,
            [entry("email_address", marks[0]), entry("telephone_number", marks[1])],
            "{language:?}"
        );
        let rows = csv_rows(&entries, Section::Events).1;
        assert_eq!(rows[0][0], expected[9..expected.find("\",").unwrap()], "{language:?}");
        for file in ["report.html", "README.txt"] {
            assert!(text(&entries, file).contains(words), "{language:?}: {file}");
        }
        assert!(text(&entries, "report.html").contains(marks[0]), "{language:?}");
        for (name, bytes) in &entries {
            let whole = String::from_utf8_lossy(bytes);
            assert!(!whole.contains("bob@") && !whole.contains("1234 5678"), "{language:?}: {name}");
        }
        assert!(!format!("{package:?}").contains("ada@"));
    }
}

#[test]
fn r_34_nothing_is_said_where_nothing_was_withheld() {
    let records = [(Section::Profile, PROFILE), (Section::Devices, DEVICE)];
    let (package, entries) = package(&records, RedactionRules::strict(), Language::English);
    assert!(package.manifest.sections.values().all(|count| count.withheld == 0));
    assert!(!text(&entries, "report.html").contains("15(4)"));
    assert!(text(&entries, "report.json").contains("\"withheld\": []"));
}

#[test]
fn r_34_s_9_a_field_of_others_leaves_neither_its_values_nor_its_columns() {
    let record = r#"{"id":7,"guest":{"eve@else.example":{"name":"Evelina"}},"list":["a"]}"#;
    let rules = RedactionRules { fields: vec!["guest".to_owned()], ..RedactionRules::strict() };
    let (_, entries) = package(&[(Section::Events, record)], rules, Language::English);
    let (columns, rows) = csv_rows(&entries, Section::Events);
    assert_eq!(columns, ["id", "guest", "list"]);
    assert_eq!(rows[0], ["7", "[withheld: concerns other people]", r#"["a"]"#]);
    for (name, bytes) in &entries {
        assert!(!String::from_utf8_lossy(bytes).contains("Evelina"), "{name}");
        assert!(!String::from_utf8_lossy(bytes).contains("eve@"), "{name}");
    }
    assert!(text(&entries, "report.html").contains("whole fields in guest: 1"));
}

#[test]
fn r_34_s_9_what_is_withheld_from_a_profile_does_not_come_out_among_its_consents() {
    let profile = r#"{"cid":"c","policies":{"parental":{"guardian":"Evelina"},"mktg":true}}"#;
    let mark = "[withheld: concerns other people]";
    for (field, consents) in [
        (
            "policies.parental.guardian",
            vec![
                format!(r#"{{"name":"parental","accepted":{{"guardian":"{mark}"}}}}"#),
                r#"{"name":"mktg","accepted":true}"#.to_owned(),
            ],
        ),
        ("policies", vec![format!("\"{mark}\"")]),
    ] {
        let rules = RedactionRules { fields: vec![field.to_owned()], ..RedactionRules::strict() };
        let (package, entries) = package(&[(Section::Profile, profile)], rules, Language::English);
        let held: Vec<String> =
            json(&entries).records[&Section::Consents].iter().map(|each| each.get().to_owned()).collect();
        assert_eq!(held, consents, "{field}");
        for (name, bytes) in &entries {
            assert!(!String::from_utf8_lossy(bytes).contains("Evelina"), "{field}: {name}");
        }
        assert_eq!(package.manifest.sections[&Section::Profile].withheld, 1);
        // Nobody reads that there is nothing where something is withheld.
        assert!(!text(&entries, "report.html").contains("No consent is recorded"), "{field}");
    }
}

#[test]
fn r_34_text_that_is_no_json_hides_nobody() {
    let (package, entries) = package(
        &[(Section::Events, "{broken bob@else.example")],
        RedactionRules::strict(),
        Language::English,
    );
    let held = json(&entries).records[&Section::Events][0].get().to_owned();
    assert_eq!(held, r#""{broken [withheld: e-mail address of another person]""#);
    assert_eq!(package.manifest.sections[&Section::Events].unreadable, 1);
    assert_eq!(package.manifest.sections[&Section::Events].withheld, 1);
}
