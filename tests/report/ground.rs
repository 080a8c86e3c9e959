//! What the tests of the package have in common: settings, a header, records, and ways to open what came out.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use dsrd::domain::deadline::RegimeCode;
use dsrd::domain::{IdentifierKind, Reference, RequestId, SubjectIdentifier};
use dsrd::report::{
    Form, Language, MaskedIdentifier, Package, ReportHeader, Section, SectionCount, Settings, Spool,
    open_package,
};
use scraper::Selector;
use serde_json::value::RawValue;

pub(crate) fn settings(directory: &Path) -> Settings {
    Settings {
        directory: directory.to_owned(),
        largest_records_bytes: 1 << 32,
        largest_package_bytes: 1 << 30,
        table_rows: 50,
        csv_columns: 200,
    }
}

pub(crate) fn header() -> ReportHeader {
    let received_at: DateTime<Utc> = "2026-11-03T08:15:00Z".parse().unwrap();
    let email = SubjectIdentifier::parse(IdentifierKind::Email, "ada@people.example", None).unwrap();
    ReportHeader {
        reference: Reference::of("0195d3e0-0000-7000-8000-0012345678ff".parse::<RequestId>().unwrap()),
        organisation_name: "Harbour Cafés Ltd".to_owned(),
        controller_contact: "Harbour Cafés Ltd, Data Protection\nprivacy@harbour.example".to_owned(),
        received_at,
        generated_at: received_at + TimeDelta::hours(30),
        time_zone: chrono_tz::Europe::Rome,
        regime: RegimeCode::EU,
        identifiers: vec![MaskedIdentifier::of(&email)],
        language: Language::English,
        form: Form::Access,
        catalogue: None,
        storage: BTreeMap::new(),
    }
}

/// The entries of a package, by name.
pub(crate) type Entries = BTreeMap<String, Vec<u8>>;

pub(crate) fn unpack(archive: Vec<u8>) -> Entries {
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

pub(crate) fn archive(settings: &Settings, package: &Package) -> Vec<u8> {
    let mut clear = Vec::new();
    let path = settings.directory.join(&package.manifest.file_name);
    let bytes = open_package(&path, &package.key, &mut clear).unwrap();
    assert_eq!(bytes, clear.len() as u64);
    clear
}

pub(crate) fn spool(settings: &Settings, records: &[(Section, &str)]) -> Spool {
    let mut spool = Spool::new(&settings.directory, settings);
    for (section, record) in records {
        spool.push(*section, record).unwrap();
    }
    spool
}

/// Makes a package of records and unpacks it again.
pub(crate) fn entries_of(records: &[(Section, &str)]) -> Entries {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let package = Package::write(&header(), spool(&settings, records), &settings).unwrap();
    unpack(archive(&settings, &package))
}

pub(crate) fn text<'a>(entries: &'a Entries, name: &str) -> &'a str {
    std::str::from_utf8(&entries[name]).unwrap()
}

/// What a cell stands for: the apostrophes that keep it from being a formula are dropped, as `README.txt` says.
fn value_of(cell: &str) -> String {
    let parts = cell.split_inclusive([';', '\t', '\n', '\r']);
    parts.map(|part| part.strip_prefix('\'').unwrap_or(part)).collect()
}

pub(crate) fn csv_rows(entries: &Entries, section: Section) -> (Vec<String>, Vec<Vec<String>>) {
    let body = text(entries, section.csv_name()).strip_prefix('\u{feff}').expect("a byte order mark");
    let mut reader = csv::Reader::from_reader(body.as_bytes());
    let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader.records().map(|record| record.unwrap().iter().map(value_of).collect()).collect();
    (header, rows)
}

/// `report.json` with every record as its text.
#[derive(serde::Deserialize)]
pub(crate) struct ReportWire<'a> {
    pub(crate) format: String,
    pub(crate) reference: String,
    pub(crate) counts: BTreeMap<Section, SectionCount>,
    #[serde(borrow)]
    pub(crate) records: BTreeMap<Section, Vec<&'a RawValue>>,
}

pub(crate) fn json(entries: &Entries) -> ReportWire<'_> {
    serde_json::from_slice(&entries["report.json"]).unwrap()
}

pub(crate) fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

pub(crate) const PROFILE: &str = r#"{"cid":"986a372347aac5e4a94516db835d58aa","firstName":"Ada","lastName":"Lovelace","gender":"F",
  "birthDate":"1990-12-10","country":"GB","zipCode":"EC1A 1BB","created":"2023-04-02T10:11:12Z","email":"ada@people.example",
  "emailVerified":true,"phone":"+442071234567","phoneVerified":false,"signupMethod":"splashportal","username":"ada@people.example",
  "locked":false,"enabled":true,"lastLogin":"2026-10-30T17:55:01Z","logins":412,"locationName":"Harbour Café Brighton",
  "externalSource":null,"policies":[{"name":"privacy","accepted":true},{"name":"termsOfUse","accepted":true},
  {"name":"mktgCommunications","accepted":false}],"segments":[{"cid":"s1","name":"Regulars"}],
  "extId":{"id":"C-1042","prop1":"gold","prop2":""},"metrics":{"frequencyMonthlyVisit":6.50,"countTotalVisits":187,
  "lastVisitVenue":"Harbour Café Brighton","lastVisitDateUtc":"2026-10-30T17:55:01Z","avgVisitLength":42.125,
  "prefVisitWDay":"Friday","countVisitedLocations":4}}"#;

pub(crate) fn event(number: usize, kind: &str, place: &str) -> String {
    let (day, hour) = (1 + number % 28, 7 + number % 12);
    format!(
        r#"{{"organizationId":"155d60f21dc1938562900a0e201d54f6","customerId":"986a372347aac5e4a94516db835d58aa","event":{{"type":"{kind}","id":"{number:032x}"}},"where":{{"locationId":"ff808081803ff92a01821d4cfd856805","locationName":"{place}","hotspotId":"5da63f1da1f3a290306314b6273d6382"}},"when":{{"createdAt":"2026-0{}-{day:02}T{hour:02}:41:09Z","createdAtLocal":"2026-0{}-{day:02}T{:02}:41:09Z","timezone":"Europe/London"}}}}"#,
        1 + number % 9,
        1 + number % 9,
        hour + 1
    )
}

pub(crate) const DEVICE: &str =
    r#"{"macAddress":"AA:BB:CC:DD:EE:FF","connections":12,"lastConnection":"2026-10-30T18:05:11Z"}"#;
pub(crate) const ACCOUNTING: &str = r#"{"id":"s-1","start":"2026-10-30T17:00:00Z","stop":"2026-10-30T18:05:11Z","duration":3911,"bytesIn":1048576,"bytesOut":524288,"macAddress":"AA:BB:CC:DD:EE:FF","hotspotId":"5da63f1d","locationId":"ff808081","terminateCause":"User-Request"}"#;

pub(crate) fn selector(text: &str) -> Selector {
    Selector::parse(text).unwrap()
}
