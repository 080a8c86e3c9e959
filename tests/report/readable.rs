//! What is in a package, and how it reads.

use std::collections::BTreeMap;

use dsrd::domain::LegalBasis;
use dsrd::report::{
    Catalogue, CatalogueEntry, FILE_NAMES, Form, Language, Others, Own, Package, RedactionRules, ReportError,
    ReportHeader, Section, SectionCount, Settings, Spool, StorageAnchor, StorageEnd, StorageTerm,
};
use scraper::Html;
use serde_json::value::RawValue;

use crate::ground::{
    ACCOUNTING, DEVICE, PROFILE, archive, csv_rows, entries_of, event, files, header, json, selector,
    settings, spool, text, unpack,
};

#[test]
fn r_29_every_record_is_in_the_json_text_for_text_and_counted() {
    let odd = [
        r#"{"a":123456789012345678901234567890.10,"b":1e999,"c":-0.0,"d":1E+2}"#,
        r#"{"nul":"x\u0000y","lone":"\ud800","pair":"\ud83d\ude00"}"#,
        "{ \"spaced\" :\n [ 1 , 2 ] }",
        r#"{"twice":1,"twice":2}"#,
    ];
    let mut records: Vec<_> = odd.iter().map(|record| (Section::Events, *record)).collect();
    records.extend([
        (Section::Profile, PROFILE),
        (Section::Devices, DEVICE),
        (Section::Accountings, ACCOUNTING),
    ]);
    let entries = entries_of(&records);
    let report = json(&entries);
    assert_eq!(report.format, "dsrd-access-report/1");
    assert_eq!(report.reference, header().reference.as_str());
    let events: Vec<&str> = report.records[&Section::Events].iter().map(|record| record.get()).collect();
    assert_eq!(events, odd);
    assert_eq!(report.records[&Section::Profile][0].get(), PROFILE);
    for (section, records) in &report.records {
        assert_eq!(report.counts[section].records, records.len() as u64);
        assert_eq!(csv_rows(&entries, *section).1.len(), records.len(), "{section}");
    }
    assert_eq!(report.counts[&Section::Consents].records, 3);
    let (columns, rows) = csv_rows(&entries, Section::Events);
    assert_eq!(columns, ["a", "b", "c", "d", "nul", "lone", "pair", "spaced", "twice", "other"]);
    assert_eq!(rows[0][..4], ["123456789012345678901234567890.10", "1e999", "-0.0", "1E+2"]);
    assert_eq!(rows[1][4..7], ["x␀y", "\u{fffd}", "😀"]);
    assert_eq!(rows[3][8..], ["1", r#"{"twice":2}"#]);
    assert!(!text(&entries, "report.html").contains('\0'));
}

#[test]
fn consents_of_the_profile_have_a_table_of_their_own() {
    let entries = entries_of(&[(Section::Profile, PROFILE)]);
    let (columns, rows) = csv_rows(&entries, Section::Consents);
    assert_eq!(columns, ["name", "accepted"]);
    assert_eq!(rows[2], ["mktgCommunications", "false"]);
}

#[test]
fn a_consent_is_called_what_it_is_where_people_read_and_as_it_is_stored_elsewhere() {
    let profile = PROFILE.replace("\"mktgCommunications\"", "\"customs.emailMarketing\"");
    assert_ne!(profile, PROFILE);
    let entries = entries_of(&[(Section::Profile, &profile)]);
    let page = Html::parse_document(text(&entries, "report.html"));
    let cells: Vec<String> = page
        .select(&selector("#consents tbody tr > :first-child"))
        .map(|cell| cell.text().collect())
        .collect();
    assert_eq!(cells, ["Privacy policy", "Terms of use", "Marketing by e-mail"]);
    assert!(!text(&entries, "report.html").contains("customs."));
    assert_eq!(csv_rows(&entries, Section::Consents).1[2], ["customs.emailMarketing", "false"]);
    assert_eq!(json(&entries).records[&Section::Profile][0].get(), profile);
}

#[test]
fn the_readable_report_says_what_is_held_and_what_is_left_out() {
    let mut records = vec![(Section::Profile, PROFILE.to_owned())];
    records.extend((0..75).map(|number| (Section::Events, event(number, "login", "Harbour"))));
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let borrowed: Vec<_> = records.iter().map(|(section, record)| (*section, record.as_str())).collect();
    let mut spool = spool(&settings, &borrowed);
    spool.note_unreadable(Section::Devices, 2);
    spool.mark_incomplete(Section::Accountings);
    let package = Package::write(&header(), spool, &settings).unwrap();
    let entries = unpack(archive(&settings, &package));
    let page = Html::parse_document(text(&entries, "report.html"));
    let words = page.root_element().text().collect::<Vec<_>>().join(" ");
    for expected in [
        // Instants stand in the controller's time zone, which is named: the request came at 08:15 UTC.
        "3 November 2026, 09:15 CET",
        "4 November 2026, 15:15 CET",
        "The first 50 of 75 entries are shown here. The complete list is in events.csv",
        "By kind: login (75).",
        "79 records in 3 categories",
        "a•••@people.example",
        "Harbour Cafés Ltd, Data Protection",
        "interface does not give out",
        "2 could not be read properly",
        "could not be fetched in full",
        "DSR-",
        "Article 16",
    ] {
        assert!(words.contains(expected), "{expected}");
    }
    assert_eq!(page.select(&selector("#events tbody tr")).count(), 50);
    assert_eq!(csv_rows(&entries, Section::Events).1.len(), 75);
    let counts = &package.manifest.sections;
    assert_eq!(
        counts[&Section::Devices],
        SectionCount { records: 0, unreadable: 2, incomplete: false, withheld: 0 }
    );
    assert!(counts[&Section::Accountings].incomplete);
    assert!(text(&entries, "README.txt").contains("2 could not be read properly"));
}

#[test]
fn f_33_what_could_not_be_read_is_never_called_nothing_held() {
    type Gap = fn(&mut Spool);
    let visit = event(1, "login", "Harbour");
    let gaps: [(Gap, usize); 3] = [
        (|spool| spool.mark_incomplete(Section::Profile), 0),
        (|spool| spool.note_unreadable(Section::Profile, 1), 0),
        (|spool| spool.push(Section::Profile, "{broken").unwrap(), 1),
    ];
    for (place, (gap, profiles)) in gaps.into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path());
        let mut spool = spool(&settings, &[(Section::Events, visit.as_str())]);
        gap(&mut spool);
        spool.note_unreadable(Section::Devices, 2);
        spool.mark_incomplete(Section::Accountings);
        let package = Package::write(&header(), spool, &settings).unwrap();
        let entries = unpack(archive(&settings, &package));
        let page = text(&entries, "report.html");
        for nothing in ["No profile is held", "No consent is", "No device is", "No connection is"] {
            assert!(!page.contains(nothing), "{place}: {nothing}");
        }
        for section in [Section::Profile, Section::Consents, Section::Devices, Section::Accountings] {
            let (columns, rows) = csv_rows(&entries, section);
            if rows.is_empty() {
                assert_eq!(columns, ["no records that could be read"], "{place}: {section}");
            }
            assert_eq!(rows.len(), if section == Section::Profile { profiles } else { 0 }, "{place}");
        }
        // Who never asked for anything else is told so.
        assert!(page.contains("Apart from the request that this report answers, nothing was listed."));
        assert_eq!(csv_rows(&entries, Section::Requests).0, ["no records held"]);
        assert!(package.manifest.sections[&Section::Consents].incomplete, "they stand in the profile");
    }
}

#[test]
fn f_33_a_number_of_missing_records_beyond_all_reason_is_told_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let mut spool = spool(&settings, &[]);
    spool.note_unreadable(Section::Devices, u64::MAX);
    spool.note_unreadable(Section::Devices, 2);
    let package = Package::write(&header(), spool, &settings).unwrap();
    assert_eq!(package.manifest.sections[&Section::Devices].unreadable, u64::MAX);
    assert!(
        text(&unpack(archive(&settings, &package)), "README.txt")
            .contains("18,446,744,073,709,551,615 could")
    );
}

#[test]
fn r_26_nothing_held_is_an_answer_too() {
    let entries = entries_of(&[]);
    assert_eq!(entries.keys().map(String::as_str).collect::<Vec<_>>().len(), FILE_NAMES.len());
    let page = text(&entries, "report.html");
    assert!(page.contains("no personal data were found"));
    for section in Section::ALL {
        let (columns, rows) = csv_rows(&entries, section);
        assert_eq!((columns, rows.len()), (vec!["no records held".to_owned()], 0));
    }
    assert!(json(&entries).records.values().all(Vec::is_empty));
}

#[test]
fn r_30_the_readable_report_speaks_the_language_of_the_request() {
    for (language, wanted) in [
        (Language::English, ["Your personal data", "What the words mean", "First name", "30 October 2026"]),
        (
            Language::German,
            ["Ihre personenbezogenen Daten", "Was die Wörter bedeuten", "Vorname", "30. Oktober 2026"],
        ),
        (
            Language::French,
            ["Vos données personnelles", "Ce que les mots veulent dire", "Prénom", "30 octobre 2026"],
        ),
        (
            Language::Italian,
            ["I Suoi dati personali", "Che cosa significano le parole", "Cognome", "30 ottobre 2026"],
        ),
        (
            Language::Spanish,
            ["Sus datos personales", "Qué significan las palabras", "Apellidos", "30 de octubre de 2026"],
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path());
        let events = event(29, "login", "Harbour Café").replace("2026-03-02", "2026-10-30");
        let records = [(Section::Profile, PROFILE), (Section::Events, events.as_str())];
        let header = ReportHeader { language, ..header() };
        let package = Package::write(&header, spool(&settings, &records), &settings).unwrap();
        let entries = unpack(archive(&settings, &package));
        let page = text(&entries, "report.html");
        assert!(page.contains(&format!("<html lang=\"{}\"", language.tag())), "{language:?}");
        for each in wanted {
            assert!(page.contains(each), "{language:?}: {each:?} is not in the report");
        }
        let readme = text(&entries, "README.txt");
        assert!(readme.contains("CSV") && !readme.contains('{'), "{language:?}: {readme}");
        let english = Language::English == language;
        assert_eq!(page.contains("What the words mean"), english, "{language:?}");
    }
}

#[test]
fn records_without_fields_and_records_that_are_no_objects_keep_their_rows() {
    let entries = entries_of(&[
        (Section::Devices, "{}"),
        (Section::Devices, "{}"),
        (Section::Accountings, "[1,2]"),
        (Section::Accountings, "not json"),
    ]);
    assert_eq!(csv_rows(&entries, Section::Devices).1.len(), 2);
    let (columns, rows) = csv_rows(&entries, Section::Accountings);
    assert_eq!(columns, ["value"]);
    assert_eq!(rows, [["[1,2]"], ["not json"]]);
    let report = json(&entries);
    assert_eq!(report.counts[&Section::Accountings].unreadable, 1);
    assert_eq!(report.records[&Section::Accountings][1].get(), r#""not json""#);
}

#[test]
fn one_huge_record_passes_and_is_cut_in_the_readable_report_only() {
    let long = "x".repeat(8 << 20);
    let record = format!(r#"{{"note":"{long}","list":[{}1]}}"#, "[],".repeat(1 << 20));
    let entries = entries_of(&[(Section::Events, &record)]);
    assert_eq!(json(&entries).records[&Section::Events][0].get(), record);
    assert_eq!(csv_rows(&entries, Section::Events).1[0][0], long);
    assert!(entries["report.html"].len() < 200_000);
}

#[test]
fn more_fields_than_columns_go_to_the_column_other() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { csv_columns: 3, ..settings(directory.path()) };
    let fields: Vec<String> = (0..500).map(|number| format!("\"f{number}\":{number}.0")).collect();
    let record = format!("{{{}}}", fields.join(","));
    let package =
        Package::write(&header(), spool(&settings, &[(Section::Events, &record)]), &settings).unwrap();
    let (columns, rows) = csv_rows(&unpack(archive(&settings, &package)), Section::Events);
    assert_eq!(columns, ["f0", "f1", "f2", "other"]);
    let other: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&rows[0][3]).unwrap();
    assert_eq!(other.len(), 497);
    assert_eq!(other["f499"].get(), "499.0");
}

#[test]
fn r_27_a_catalogue_must_cover_every_section_with_records() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let entry = CatalogueEntry {
        purposes: "To run the guest Wi-Fi".to_owned(),
        storage_period: "2027-04-30".to_owned(),
        ..CatalogueEntry::default()
    };
    let covered = [Section::Profile, Section::Consents].map(|section| (section, entry.clone()));
    let catalogue = Catalogue {
        sections: covered.into(),
        complaint_authority: "Information Commissioner".to_owned(),
        ..Catalogue::default()
    };
    let header = ReportHeader { catalogue: Some(catalogue), ..header() };
    let package =
        Package::write(&header, spool(&settings, &[(Section::Profile, PROFILE)]), &settings).unwrap();
    let entries = unpack(archive(&settings, &package));
    for expected in ["To run the guest Wi-Fi", "2027-04-30", "Information Commissioner"] {
        assert!(text(&entries, "report.html").contains(expected), "{expected}");
    }
    let records = [(Section::Profile, PROFILE), (Section::Events, "{}")];
    let error = Package::write(&header, spool(&settings, &records), &settings).unwrap_err();
    assert!(matches!(error, ReportError::CatalogueEntryMissing { section: Section::Events }), "{error}");
    assert_eq!(files(directory.path()).len(), 1);
}

/// Every entry of a package under a regime, in which something of other people was withheld; the catalogue is the controller's own.
fn under(regime: &str, language: Language, form: &Form) -> BTreeMap<String, String> {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let entry = CatalogueEntry { purposes: "To run the guest Wi-Fi".to_owned(), ..CatalogueEntry::default() };
    let catalogue = Catalogue {
        sections: Section::ALL.map(|section| (section, entry.clone())).into(),
        ..Catalogue::default()
    };
    let header = ReportHeader {
        regime: regime.parse().unwrap(),
        language,
        form: form.clone(),
        catalogue: (*form == Form::Access).then_some(catalogue),
        ..header()
    };
    let rules = RedactionRules { addresses: true, numbers: true, fields: Vec::new(), keep: Vec::new() };
    let others = Others::new(rules, Own::new(Some("IT")), language);
    let mut spool = Spool::new(&settings.directory, &settings).withholding(others);
    spool.push(Section::Profile, PROFILE).unwrap();
    spool.push(Section::Events, r#"{"text":"with bob.best@altrove.example"}"#).unwrap();
    let package = Package::write(&header, spool, &settings).unwrap();
    let entries = unpack(archive(&settings, &package));
    entries.keys().map(|name| (name.clone(), text(&entries, name).to_owned())).collect()
}

#[test]
fn r_88_the_package_cites_the_law_that_holds_and_names_its_authority() {
    let bases = [Section::Profile, Section::Events].map(|section| (section, vec![LegalBasis::Consent]));
    for (regime, law, complaint) in [
        ("EU", Some("GDPR"), "where you live, where you work"),
        ("UK", Some("UK GDPR"), "complain to the controller at the address"),
        ("US-CA", None, "California Privacy Protection Agency"),
        ("US-CO", None, "Attorney General of your state"),
        ("CH", None, "Federal Data Protection and Information Commissioner"),
        ("BR", None, "ANPD"),
    ] {
        let copy = under(regime, Language::English, &Form::Access);
        let page = copy["report.html"].split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(page.contains(complaint), "{regime}");
        assert_eq!(page.contains("where you live"), regime == "EU", "{regime}");
        assert_eq!(page.contains("Have your data kept but not used"), law.is_some(), "{regime}");
        assert_eq!(page.contains("Forbid the controller to sell"), regime.starts_with("US"), "{regime}");
        assert!(copy["report.json"].contains("\"reason\": \"rights of others"), "something was withheld");
        if let Some(law) = law {
            assert!(page.contains(&format!("(Article 16 {law}).")), "{regime}");
            assert!(page.contains(&format!("(Article 15(4) {law}):")), "{regime}");
            assert!(copy["report.json"].contains(&format!("Art. 15(4) {law}\"")), "{regime}");
        }
        for language in Language::ALL {
            for form in [Form::Access, Form::Portability(bases.clone().into())] {
                for (name, content) in under(regime, language, &form) {
                    let cites =
                        ["GDPR", "DSGVO", "RGPD", "Article", "Artikel", "article 1", "articolo", "artículo"]
                            .iter()
                            .any(|each| content.contains(each));
                    let may_cite =
                        law.is_some() && ![".csv", ".schema.json"].iter().any(|end| name.ends_with(end));
                    assert!(
                        may_cite || !cites,
                        "{regime} {language:?} {name} cites a law that does not hold: {content}"
                    );
                }
            }
        }
    }
}

#[test]
fn r_32_and_r_30_what_a_person_takes_along_says_in_every_language_what_it_may_lack() {
    let bases = [Section::Profile, Section::Events].map(|section| (section, vec![LegalBasis::Consent]));
    for (language, interface, campaigns) in [
        (Language::English, "its interface does not give out", "your answers to surveys"),
        (Language::German, "ihre Schnittstelle nicht herausgibt", "Ihre Antworten in Umfragen"),
        (Language::French, "son interface ne donne pas", "vos réponses à des enquêtes"),
        (Language::Italian, "l’interfaccia non fornisce", "le Sue risposte a sondaggi"),
        (Language::Spanish, "su interfaz no entrega", "sus respuestas a encuestas"),
    ] {
        let package = under("EU", language, &Form::Portability(bases.clone().into()));
        let readme = package["README.txt"].split_whitespace().collect::<Vec<_>>().join(" ");
        for limit in [interface, campaigns] {
            assert!(readme.contains(limit), "{language:?}: {limit}: {readme}");
        }
    }
}

/// A report with an end of storage in each form, as JSON, README and page; in the page every run of spaces is one.
fn report_of_ends(language: Language) -> (serde_json::Value, String, String) {
    let end = |period: &str, from, until: Option<&str>, records_over, records_without_date| StorageEnd {
        term: StorageTerm { period: period.parse().unwrap(), from },
        until: until.map(|day| day.parse().unwrap()),
        kept_longer: false,
        records_over,
        records_without_date,
    };
    let storage = [
        (Section::Profile, end("36m", StorageAnchor::LastActivity, Some("2027-01-15"), 0, 0)),
        (Section::Consents, end("1m", StorageAnchor::Created, Some("2024-05-01"), 0, 0)),
        (Section::Events, end("12m", StorageAnchor::Record, Some("2027-04-30"), 2, 1)),
        (Section::Devices, end("90d", StorageAnchor::Record, None, 0, 1)),
        // Of a section without records nothing is said.
        (Section::Accountings, end("12m", StorageAnchor::Record, None, 0, 0)),
        (Section::Requests, end("36m", StorageAnchor::Record, Some("2029-02-01"), 0, 1)),
    ];
    report_of(language, storage.into())
}

/// A report with these ends of storage.
fn report_of(
    language: Language,
    storage: BTreeMap<Section, StorageEnd>,
) -> (serde_json::Value, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let entry = CatalogueEntry { storage_period: "As we say.".to_owned(), ..CatalogueEntry::default() };
    let catalogue = Catalogue {
        sections: Section::ALL.map(|section| (section, entry.clone())).into(),
        ..Catalogue::default()
    };
    let header = ReportHeader { language, catalogue: Some(catalogue), storage, ..header() };
    let records = [
        (Section::Profile, PROFILE),
        (Section::Events, "{}"),
        (Section::Devices, "{}"),
        (Section::Requests, "{}"),
    ];
    let package = Package::write(&header, spool(&settings, &records), &settings).unwrap();
    let entries = unpack(archive(&settings, &package));
    let report: serde_json::Value = serde_json::from_str(text(&entries, "report.json")).unwrap();
    let page = Html::parse_document(text(&entries, "report.html"));
    let information = page.select(&selector("#information")).next().unwrap();
    let words = information.text().flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
    (report, text(&entries, "README.txt").to_owned(), words)
}

#[test]
fn r_27_the_report_names_the_last_day_of_storage_of_each_category() {
    let (report, readme, page) = report_of_ends(Language::English);
    assert_eq!(
        report["storage"],
        serde_json::json!({
            "profile": { "period": "36m", "from": "last_activity", "until": "2027-01-15",
                "records_over": 0, "records_without_date": 0 },
            "consents": { "period": "1m", "from": "created", "until": "2024-05-01",
                "records_over": 0, "records_without_date": 0 },
            "events": { "period": "12m", "from": "record", "until": "2027-04-30",
                "records_over": 2, "records_without_date": 1 },
            "devices": { "period": "90d", "from": "record", "until": null,
                "records_over": 0, "records_without_date": 1 },
            "requests": { "period": "36m", "from": "record", "until": "2029-02-01",
                "records_over": 0, "records_without_date": 1 },
        })
    );
    let said = [
        "Until 15 January 2027: 36 months, counted from your last activity.",
        "The period of 1 month, counted from the day on which your profile was made, ended on 1 May 2024. The data were still \
         held when this report was made.",
        "Each record for 12 months, counted from its own date; the last of those listed here until 30 April 2027. \
         Records whose period had ended and that were still held when this report was made: 2. Records for which no \
         day can be stated, because it is not known from which day to count: 1.",
        "No day can be stated, because it is not known from which day to count. The criterion is: 90 days, counted from its \
         own date.",
        "Each record for 36 months, counted from the end of the request; the last of those listed here until 1 February 2029",
    ];
    for each in said {
        assert!(page.contains(&format!("As we say. In your case {each}")), "{each:?} is not in {page}");
        assert!(readme.contains(&format!(". Storage: {each}")), "{each:?} is not in {readme}");
    }
    assert_eq!(page.matches("In your case").count(), said.len());
}

#[test]
fn r_27_and_r_30_what_keeps_the_data_longer_than_their_period_is_said_in_every_language() {
    let end = |period: &str, from, until: Option<&str>, records_without_date| StorageEnd {
        term: StorageTerm { period: period.parse().unwrap(), from },
        until: until.map(|day| day.parse().unwrap()),
        kept_longer: true,
        records_over: 0,
        records_without_date,
    };
    let storage = BTreeMap::from([
        (Section::Profile, end("36m", StorageAnchor::LastActivity, None, 0)),
        (Section::Consents, end("1m", StorageAnchor::Created, Some("2027-04-30"), 0)),
        (Section::Events, end("12m", StorageAnchor::Record, Some("2027-04-30"), 1)),
    ]);
    for (language, said) in [
        (
            Language::English,
            [
                "No day can be stated, because for now a reason of the law may keep the data longer. The criterion is: 36 months, \
                 counted from your last activity, and the end of that reason.",
                "Until 30 April 2027: longer than 1 month, counted from the day on which your profile was made, because a reason of \
                 the law keeps the data until then.",
                "Until 30 April 2027: longer than 12 months, counted from its own date, because a reason of the law keeps the data \
                 until then. Records for which no day can be stated, because it is not known from which day to count: 1.",
            ],
        ),
        (
            Language::German,
            [
                "aus einem gesetzlichen Grund möglicherweise länger aufbewahrt werden. Das Kriterium: 36 Monate, gerechnet ab Ihrer",
                "Bis 30. April 2027. Das ist länger als die Frist (1 Monat, gerechnet ab der Anlage",
                "Bis 30. April 2027. Das ist länger als die Frist (12 Monate, gerechnet ab dem eigenen Datum)",
            ],
        ),
        (
            Language::French,
            [
                "un motif légal peut actuellement faire conserver les données plus longtemps. Le critère : 36 mois",
                "Jusqu’au 30 avril 2027. C’est plus que la durée (1 mois à compter de la création",
                "Jusqu’au 30 avril 2027. C’est plus que la durée (12 mois à compter de sa propre date)",
            ],
        ),
        (
            Language::Italian,
            [
                "un motivo di legge può far conservare i dati più a lungo. Il criterio: 36 mesi, da contare dalla Sua",
                "Fino al giorno 30 aprile 2027. È più del periodo (1 mese, da contare dalla creazione",
                "Fino al giorno 30 aprile 2027. È più del periodo (12 mesi, da contare dalla data della voce)",
            ],
        ),
        (
            Language::Spanish,
            [
                "un motivo legal puede hacer que los datos se conserven más tiempo. El criterio: 36 meses, contados desde su",
                "Hasta el 30 de abril de 2027. Es más que el plazo (1 mes, contados desde la creación",
                "Hasta el 30 de abril de 2027. Es más que el plazo (12 meses, contados desde su propia fecha)",
            ],
        ),
    ] {
        let (report, readme, page) = report_of(language, storage.clone());
        assert_eq!(report["storage"]["profile"]["kept_longer"], true, "{language:?}");
        for each in said {
            assert!(page.contains(each), "{language:?}: {each:?} is not in {page}");
            assert!(readme.contains(each), "{language:?}: {each:?} is not in {readme}");
        }
    }
}

#[test]
fn r_27_and_r_30_the_last_day_of_storage_reads_in_every_language() {
    for (language, said) in [
        (Language::German, "aufgeführten bis 30. April 2027"),
        (Language::French, "jusqu’au 30 avril 2027"),
        (Language::Italian, "fino al giorno 30 aprile 2027"),
        (Language::Spanish, "hasta el 30 de abril de 2027"),
    ] {
        let (report, readme, page) = report_of_ends(language);
        assert_eq!(report["storage"]["events"]["until"], "2027-04-30", "{language:?}");
        assert!(page.contains(said) && readme.contains(said), "{language:?}: {page}");
        insta::assert_snapshot!(format!("end_of_storage_{}", language.tag()), page);
    }
}
