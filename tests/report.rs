//! What a person receives: the package as a whole, opened as the person opens it.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use chrono::{DateTime, TimeDelta, Utc};
use dsrd::domain::{IdentifierKind, Reference, RequestId, SubjectIdentifier};
use dsrd::report::{
    Catalogue, CatalogueEntry, FILE_NAMES, Language, MaskedIdentifier, Package, PackageKey, ReportError,
    ReportHeader, Section, SectionCount, Settings, Spool, open_package, prepare_directory, read_package,
};
use proptest::prelude::*;
use scraper::{Html, Node, Selector};
use serde_json::value::RawValue;

fn settings(directory: &Path) -> Settings {
    Settings {
        directory: directory.to_owned(),
        largest_records_bytes: 1 << 32,
        largest_package_bytes: 1 << 30,
        table_rows: 50,
        csv_columns: 200,
    }
}

fn header() -> ReportHeader {
    let received_at: DateTime<Utc> = "2026-11-03T08:15:00Z".parse().unwrap();
    let email = SubjectIdentifier::parse(IdentifierKind::Email, "ada@people.example", None).unwrap();
    ReportHeader {
        reference: Reference::of("0195d3e0-0000-7000-8000-0012345678ff".parse::<RequestId>().unwrap()),
        organisation_name: "Harbour Cafés Ltd".to_owned(),
        controller_contact: "Harbour Cafés Ltd, Data Protection\nprivacy@harbour.example".to_owned(),
        received_at,
        generated_at: received_at + TimeDelta::hours(30),
        time_zone: chrono_tz::Europe::Rome,
        identifiers: vec![MaskedIdentifier::of(&email)],
        language: Language::English,
        catalogue: None,
    }
}

/// The entries of a package, by name.
type Entries = BTreeMap<String, Vec<u8>>;

fn unpack(archive: Vec<u8>) -> Entries {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut entries = Entries::new();
    for number in 0..archive.len() {
        let mut file = archive.by_index(number).unwrap();
        assert!(file.is_file() && !file.is_symlink());
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert!(entries.insert(file.name().unwrap().into_owned(), bytes).is_none());
    }
    entries
}

fn archive(settings: &Settings, package: &Package) -> Vec<u8> {
    let mut clear = Vec::new();
    let path = settings.directory.join(&package.manifest.file_name);
    let bytes = open_package(&path, &package.key, &mut clear).unwrap();
    assert_eq!(bytes, clear.len() as u64);
    clear
}

fn spool(settings: &Settings, records: &[(Section, &str)]) -> Spool {
    let mut spool = Spool::new(&settings.directory, settings);
    for (section, record) in records {
        spool.push(*section, record).unwrap();
    }
    spool
}

/// Makes a package of records and unpacks it again.
fn entries_of(records: &[(Section, &str)]) -> Entries {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let package = Package::write(&header(), spool(&settings, records), &settings).unwrap();
    unpack(archive(&settings, &package))
}

fn text<'a>(entries: &'a Entries, name: &str) -> &'a str {
    std::str::from_utf8(&entries[name]).unwrap()
}

fn csv_rows(entries: &Entries, section: Section) -> (Vec<String>, Vec<Vec<String>>) {
    let body = text(entries, section.csv_name()).strip_prefix('\u{feff}').expect("a byte order mark");
    let mut reader = csv::Reader::from_reader(body.as_bytes());
    let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader
        .records()
        .map(|record| {
            record.unwrap().iter().map(|cell| cell.strip_prefix('\'').unwrap_or(cell).to_owned()).collect()
        })
        .collect();
    (header, rows)
}

/// `report.json` with every record as its text.
#[derive(serde::Deserialize)]
struct ReportWire<'a> {
    format: String,
    reference: String,
    counts: BTreeMap<Section, SectionCount>,
    #[serde(borrow)]
    records: BTreeMap<Section, Vec<&'a RawValue>>,
}

fn json(entries: &Entries) -> ReportWire<'_> {
    serde_json::from_slice(&entries["report.json"]).unwrap()
}

fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

const PROFILE: &str = r#"{"cid":"986a372347aac5e4a94516db835d58aa","firstName":"Ada","lastName":"Lovelace","gender":"F",
  "birthDate":"1990-12-10","country":"GB","zipCode":"EC1A 1BB","created":"2023-04-02T10:11:12Z","email":"ada@people.example",
  "emailVerified":true,"phone":"+442071234567","phoneVerified":false,"signupMethod":"splashportal","username":"ada@people.example",
  "locked":false,"enabled":true,"lastLogin":"2026-10-30T17:55:01Z","logins":412,"locationName":"Harbour Café Brighton",
  "externalSource":null,"policies":[{"name":"privacy","accepted":true},{"name":"termsOfUse","accepted":true},
  {"name":"mktgCommunications","accepted":false}],"segments":[{"cid":"s1","name":"Regulars"}],
  "extId":{"id":"C-1042","prop1":"gold","prop2":""},"metrics":{"frequencyMonthlyVisit":6.50,"countTotalVisits":187,
  "lastVisitVenue":"Harbour Café Brighton","lastVisitDateUtc":"2026-10-30T17:55:01Z","avgVisitLength":42.125,
  "prefVisitWDay":"Friday","countVisitedLocations":4}}"#;

fn event(number: usize, kind: &str, place: &str) -> String {
    let (day, hour) = (1 + number % 28, 7 + number % 12);
    format!(
        r#"{{"organizationId":"155d60f21dc1938562900a0e201d54f6","customerId":"986a372347aac5e4a94516db835d58aa","event":{{"type":"{kind}","id":"{number:032x}"}},"where":{{"locationId":"ff808081803ff92a01821d4cfd856805","locationName":"{place}","hotspotId":"5da63f1da1f3a290306314b6273d6382"}},"when":{{"createdAt":"2026-0{}-{day:02}T{hour:02}:41:09Z","createdAtLocal":"2026-0{}-{day:02}T{:02}:41:09Z","timezone":"Europe/London"}}}}"#,
        1 + number % 9,
        1 + number % 9,
        hour + 1
    )
}

const DEVICE: &str =
    r#"{"macAddress":"AA:BB:CC:DD:EE:FF","connections":12,"lastConnection":"2026-10-30T18:05:11Z"}"#;
const ACCOUNTING: &str = r#"{"id":"s-1","start":"2026-10-30T17:00:00Z","stop":"2026-10-30T18:05:11Z","duration":3911,"bytesIn":1048576,"bytesOut":524288,"macAddress":"AA:BB:CC:DD:EE:FF","hotspotId":"5da63f1d","locationId":"ff808081","terminateCause":"User-Request"}"#;

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
    assert_eq!(counts[&Section::Devices], SectionCount { records: 0, unreadable: 2, incomplete: false });
    assert!(counts[&Section::Accountings].incomplete);
    assert!(text(&entries, "README.txt").contains("2 could not be read properly"));
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

const POLYGLOTS: [&str; 14] = [
    r"<script>alert(1)</script>",
    r#""><img src=x onerror=alert(1)>"#,
    r"' onmouseover='alert(1)",
    r#"</td></tr></table></main><a href="javascript:alert(1)">x</a>"#,
    r"--><svg/onload=alert(1)>",
    r#"]]><iframe src="https://evil.example/">"#,
    r"</style><link rel=stylesheet href=https://evil.example/x.css>",
    r"</title><base href=https://evil.example/>",
    r#"<meta http-equiv=refresh content="0;url=https://evil.example/">"#,
    r"{{ 7*7 }}{% raw %}${7*7}",
    "\u{202e}txt.exe\u{2066}<b>",
    "jaVasCript:/*-/*`/*\\`/*'/*\"/**/(/* */oNcliCk=alert() )//%0D%0A</stYle/</titLe/</teXtarEa/</scRipt/--!>\\x3csVg/<sVg/oNloAd=alert()//>",
    "&lt;script&gt;&#x3c;script&#x3e;",
    "\0<plaintext>",
];

/// Every string field of all sections, filled from `values` in turn.
fn hostile(values: &[&str]) -> Vec<(Section, String)> {
    let mut turn = values.iter().cycle();
    let mut fill = |template: &str| {
        let mut out = template.to_owned();
        while let Some(at) = out.find('$') {
            let value = serde_json::to_string(turn.next().unwrap()).unwrap().replace('$', "\\u0024");
            out.replace_range(at..=at, &value);
        }
        out
    };
    let mut records = Vec::new();
    for _ in 0..POLYGLOTS.len() {
        for (section, template) in [
            (
                Section::Profile,
                r#"{"cid":$,"firstName":$,"created":$,"email":$,"unknown":$,"nested":{"deep":$},"policies":[{"name":$,"accepted":true,"by":$}],"metrics":{"lastVisitVenue":$}}"#,
            ),
            (
                Section::Events,
                r#"{"event":{"type":$,"id":$},"where":{"locationName":$},"when":{"createdAt":$,"createdAtLocal":$},"x":[$,{"y":$}]}"#,
            ),
            (Section::Devices, r#"{"macAddress":$,"connections":1,"lastConnection":$}"#),
            (Section::Accountings, r#"{"id":$,"start":$,"hotspotId":$,"terminateCause":$}"#),
            (Section::Requests, r#"{"reference":$,"kind":$,"received_at":$}"#),
        ] {
            records.push((section, fill(template)));
        }
    }
    records
}

fn page(values: &[&str]) -> String {
    let records = hostile(values);
    let borrowed: Vec<_> = records.iter().map(|(section, record)| (*section, record.as_str())).collect();
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let mut header = header();
    values[0].clone_into(&mut header.organisation_name);
    values[1 % values.len()].clone_into(&mut header.controller_contact);
    values[2 % values.len()].clone_into(&mut header.identifiers[0].masked);
    let package = Package::write(&header, spool(&settings, &borrowed), &settings).unwrap();
    text(&unpack(archive(&settings, &package)), "report.html").to_owned()
}

/// Elements and names of attributes in document order, with depth.
fn tree(page: &str) -> Vec<(usize, String)> {
    Html::parse_document(page)
        .tree
        .nodes()
        .filter_map(|node| match node.value() {
            Node::Element(element) => {
                let mut attributes: Vec<&str> = element.attrs().map(|(name, _)| name).collect();
                attributes.sort_unstable();
                Some((node.ancestors().count(), format!("{} {attributes:?}", element.name())))
            }
            Node::Comment(_) => Some((node.ancestors().count(), "comment".to_owned())),
            _ => None,
        })
        .collect()
}

fn selector(text: &str) -> Selector {
    Selector::parse(text).unwrap()
}

#[test]
fn s_15_no_value_changes_the_structure_of_the_readable_report() {
    let harmless = page(&["2026-01-02T03:04:05Z"]);
    let expected = tree(&harmless);
    assert!(expected.len() > 1_000);
    assert_eq!(tree(&page(&POLYGLOTS)), expected);
    for polyglot in POLYGLOTS {
        assert_eq!(tree(&page(&[polyglot])), expected, "{polyglot}");
    }
}

#[test]
fn s_15_links_lead_to_fixed_places_and_the_policy_forbids_everything_else() {
    let text = page(&POLYGLOTS);
    let page = Html::parse_document(&text);
    let ids: Vec<&str> = page.select(&selector("[id]")).filter_map(|each| each.attr("id")).collect();
    let links: Vec<&str> = page.select(&selector("[href]")).filter_map(|each| each.attr("href")).collect();
    assert!(links.len() > 10);
    for link in links {
        assert!(link.strip_prefix('#').is_some_and(|place| ids.contains(&place)), "{link}");
    }
    let policy = page.select(&selector("meta[http-equiv=Content-Security-Policy]")).next().unwrap();
    assert_eq!(policy.attr("content"), Some("default-src 'none'; style-src 'unsafe-inline'"));
    assert_eq!(
        page.select(&selector("script, iframe, object, embed, form, base, link, img, svg")).count(),
        0
    );
    // The first polyglot is there, as text.
    assert!(page.root_element().text().any(|words| words.contains(POLYGLOTS[0])));
}

#[test]
fn s_16_no_file_loads_anything() {
    let text = page(&POLYGLOTS);
    let page = Html::parse_document(&text);
    let loading = [
        "src",
        "srcset",
        "data",
        "poster",
        "background",
        "action",
        "formaction",
        "cite",
        "ping",
        "manifest",
        "style",
    ];
    for element in page.select(&selector("*")) {
        for (name, value) in element.value().attrs() {
            assert!(!loading.contains(&name) && !name.starts_with("on"), "{name}={value}");
        }
    }
    let styles: String = page.select(&selector("style")).flat_map(|style| style.text()).collect();
    assert!(styles.len() > 1_000);
    for fetching in ["url(", "@import", "image(", "src:", "expression(", "//"] {
        assert!(!styles.contains(fetching), "{fetching}");
    }
    assert_eq!(page.select(&selector("meta[http-equiv]")).count(), 1);
}

#[test]
fn s_17_no_cell_or_column_of_any_csv_file_starts_a_formula() {
    let dangerous =
        ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r\n=1", " \u{a0}=1", "＝1", "－1", "'=1", "a\"=1\n,=2"];
    let mut records: Vec<(Section, String)> = hostile(&dangerous);
    records.push((Section::Events, r#"{"=HYPERLINK(1)":-5,"@x":{"y":"=1"}}"#.to_owned()));
    let borrowed: Vec<_> = records.iter().map(|(section, record)| (*section, record.as_str())).collect();
    let entries = entries_of(&borrowed);
    let mut seen = 0;
    for section in Section::ALL {
        let body = text(&entries, section.csv_name()).trim_start_matches('\u{feff}');
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(body.as_bytes());
        for cell in
            reader.records().flat_map(|record| record.unwrap().iter().map(str::to_owned).collect::<Vec<_>>())
        {
            let first = cell.trim_start().chars().next();
            assert!(!matches!(first, Some('=' | '+' | '-' | '@' | '＝' | '－')), "{cell:?}");
            seen += usize::from(cell.starts_with('\''));
        }
    }
    assert!(seen > 100);
    // Dropping the apostrophe gives every value back.
    let (columns, rows) = csv_rows(&entries, Section::Devices);
    let place = columns.iter().position(|name| name == "macAddress").unwrap();
    for row in rows {
        assert!(dangerous.contains(&row[place].as_str()), "{:?}", row[place]);
    }
}

#[test]
fn s_18_names_come_from_a_fixed_list_and_other_unpackers_open_the_package() {
    let names = ["../../etc/passwd", "C:\\x", "a\0b", "REPORT.HTML", "\u{202e}fdp.exe"];
    let long = "n".repeat(300);
    let mut records = hostile(&names);
    records.push((Section::Events, format!("{{\"{long}\":\"{long}\",\"../x\":1}}")));
    let borrowed: Vec<_> = records.iter().map(|(section, record)| (*section, record.as_str())).collect();
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let package = Package::write(&header(), spool(&settings, &borrowed), &settings).unwrap();
    let clear = archive(&settings, &package);
    let entries = unpack(clear.clone());
    let mut expected = FILE_NAMES.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(entries.keys().cloned().collect::<Vec<_>>(), expected);

    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("package.zip");
    fs::write(&path, &clear).unwrap();
    let script = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n\
                  print('\\n'.join(f'{i.filename} {i.file_size}' for i in z.infolist()))";
    let mut readers = 0;
    if let Ok(output) = Command::new("python3").args(["-c", script]).arg(&path).output() {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let listed = String::from_utf8(output.stdout).unwrap();
        for (name, bytes) in &entries {
            assert!(listed.lines().any(|line| line == format!("{name} {}", bytes.len())), "{name}: {listed}");
        }
        readers += 1;
    }
    for (program, arguments) in [("unzip", ["-tqq"]), ("7z", ["t"])] {
        if let Ok(output) = Command::new(program).args(arguments).arg(&path).output() {
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stdout));
            readers += 1;
        }
    }
    assert!(readers > 0, "no unpacker but our own was there");
}

#[test]
fn s_44_a_package_is_private_encrypted_and_opens_with_its_key_only() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory.path().join("packages"));
    prepare_directory(&settings.directory).unwrap();
    let record = r#"{"name":"CANARY-CANARY-CANARY"}"#;
    let package =
        Package::write(&header(), spool(&settings, &[(Section::Events, record)]), &settings).unwrap();
    assert_eq!(files(&settings.directory), [package.manifest.file_name.as_str()]);
    let path = settings.directory.join(&package.manifest.file_name);
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&settings.directory).unwrap().mode() & 0o777, 0o700);
    assert_eq!(metadata.len(), package.manifest.bytes);

    let sealed = fs::read(&path).unwrap();
    assert_eq!(hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&sealed)), package.manifest.sha256);
    for clear in [&b"CANARY"[..], b"PK\x03\x04", b"report.html"] {
        assert!(!sealed.windows(clear.len()).any(|window| window == clear));
    }
    let shown = format!("{package:?} {}", serde_json::to_string(&package.manifest).unwrap());
    assert!(!shown.contains("CANARY") && !shown.contains("AGE-SECRET-KEY"), "{shown}");

    let again = PackageKey::parse(package.key.expose()).unwrap();
    assert!(open_package(&path, &again, &mut Vec::new()).is_ok());
    assert!(matches!(PackageKey::parse("wrong"), Err(ReportError::Key)));
    let other = Package::write(&header(), spool(&settings, &[]), &settings).unwrap();
    assert!(matches!(read_package(&path, &other.key), Err(ReportError::DoesNotOpen { .. })));

    let mut altered = sealed.clone();
    *altered.last_mut().unwrap() ^= 1;
    fs::write(&path, &altered).unwrap();
    assert!(matches!(open_package(&path, &package.key, &mut Vec::new()), Err(ReportError::HandOver { .. })));
    fs::write(&path, &sealed[..sealed.len() - 100]).unwrap();
    assert!(open_package(&path, &package.key, &mut Vec::new()).is_err());
    fs::remove_file(&path).unwrap();
    assert!(matches!(read_package(&path, &package.key), Err(ReportError::Read { .. })));
}

#[test]
fn f_19_errors_are_typed_and_leave_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let small = Settings { largest_package_bytes: 10_000, ..settings.clone() };
    // Hashes do not compress, so the package cannot be small.
    let noise: String = (0..1_000_u32)
        .map(|number| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(number.to_le_bytes())))
        .collect();
    let record = format!("{{\"noise\":\"{noise}\"}}");
    let error = Package::write(&header(), spool(&small, &[(Section::Events, &record)]), &small).unwrap_err();
    assert!(
        matches!(error, ReportError::TooLarge { setting: "largest_package_bytes", limit_bytes: 10_000 }),
        "{error}"
    );
    assert_eq!(files(directory.path()), Vec::<String>::new());

    // The directory vanishes, or a file stands in its place, between the two passes.
    let full = spool(&settings, &[(Section::Events, &record)]);
    let gone = Settings { directory: directory.path().join("gone"), ..settings.clone() };
    let error = Package::write(&header(), full, &gone).unwrap_err();
    assert!(matches!(error, ReportError::Write { .. }), "{error}");
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(prepare_directory(&file.join("below")), Err(ReportError::Directory { .. })));
    assert_eq!(files(directory.path()), ["file"]);
}

#[test]
fn reports_can_be_made_in_any_thread() {
    fn assert_send<T: Send>() {}
    assert_send::<Spool>();
    assert_send::<Package>();
    assert_send::<dsrd::report::PackageReader>();
    assert_send::<ReportError>();
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        "[=+@ \t\r\n,\";'-]{0,4}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            prop::collection::btree_map("[a-c.\"\n=\u{0}]{0,2}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_records_give_as_many_csv_rows_and_the_same_json(
        records in prop::collection::vec(any_json(), 0..12),
        csv_columns in 1_u32..6,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { csv_columns, ..settings(directory.path()) };
        let texts: Vec<String> = records.iter().map(ToString::to_string).collect();
        let borrowed: Vec<_> = texts.iter().map(|record| (Section::Accountings, record.as_str())).collect();
        let package = Package::write(&header(), spool(&settings, &borrowed), &settings).unwrap();
        let entries = unpack(archive(&settings, &package));
        let (_, rows) = csv_rows(&entries, Section::Accountings);
        prop_assert_eq!(rows.len(), records.len());
        let report = json(&entries);
        let read: Vec<&str> = report.records[&Section::Accountings].iter().map(|record| record.get()).collect();
        prop_assert_eq!(read, texts);
    }
}
