//! What a sweep finds and cannot mend.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use dsrd::audit;
use dsrd::domain::Clock as _;
use dsrd::platform::{Created, ListedContact, ReadOnly};
use dsrd::retention::{self, Anchor, Finding, FindingKind, RecordTerms, Settings, SweepState};

use crate::office::{Office, at, settings};
use crate::pages::{Pages, Person, contacts, listed};

/// Connection records may be kept for 12 months, events for 24.
fn terms() -> Settings {
    let records = RecordTerms {
        accountings_months: Some(12),
        events_months: Some(24),
        devices_months: None,
        most_looked_at: 200,
    };
    Settings { records, ..settings() }
}

/// A session 14 months before 23 November 2026, and one of last week.
const SESSIONS: &[&str] = &[
    r#"{"start":"2025-09-20T10:00:00Z","stop":"2025-09-20T11:00:00Z"}"#,
    r#"{"start":"2026-11-16T10:00:00Z","stop":"2026-11-16T11:00:00Z"}"#,
];
const LAST_WEEK: &[&str] = &[r#"{"stop":"2026-11-16T11:00:00Z"}"#];
const UNDATED: &[&str] = &[r#"{"id":"s-1"}"#];

fn people() -> Pages {
    let of = |accountings| Person { accountings, events: LAST_WEEK, ..Person::default() };
    Pages::of(contacts(0, 20))
        .person("kept", "2025-01-10T09:00:00Z", of(SESSIONS))
        .person("tidy", "2025-01-10T09:00:00Z", of(LAST_WEEK))
        .person("undated", "2025-01-10T09:00:00Z", of(UNDATED))
        .person("past", "2020-01-10T09:00:00Z", of(SESSIONS))
}

fn old(category: &str, looked_at: i64, contacts: i64, records: i64, unreadable: i64) -> Finding {
    let category = category.to_owned();
    Finding { finding: FindingKind::OldRecords, category, looked_at, contacts, records, unreadable }
}

/// The detail of the entry that ends the sweep.
async fn detail(office: &Office) -> serde_json::Value {
    office.sealer.seal_everything().await.unwrap();
    let mut connection = office.store.connection().await.unwrap();
    let entries = audit::list(&mut connection, &audit::Filter::default(), 0, 10_000).await.unwrap();
    let entry = entries.into_iter().find(|entry| entry.action == "sweep.finished").unwrap();
    serde_json::to_value(entry.detail).unwrap()
}

#[tokio::test]
async fn r_61_old_records_of_contacts_that_are_kept_are_reported_as_a_gap() {
    let office = Office::open().await;
    let expected = [old("accountings", 3, 1, 1, 1), old("events", 3, 0, 0, 0)];
    let rule = terms().rule().unwrap();
    let preview = retention::preview(
        &ReadOnly(people()),
        &office.controller,
        &rule,
        office.clock.now(),
        Some(office.holds()),
        |_| (),
    )
    .await
    .unwrap();
    let mut shown = preview.findings.clone();
    shown.sort_by(|a, b| a.category.cmp(&b.category));
    assert_eq!(shown, expected);

    let platform = Arc::new(people());
    let report = office.sweeper(&platform, &terms()).sweep("ada").await.unwrap();
    // Only what is past its time goes; the old records of the others stay, and are told.
    assert_eq!((report.state, report.submitted), (SweepState::Finished, 1));
    assert_eq!(report.findings, expected);
    assert_eq!(office.sweeps().await[0].findings.0, expected);
    let detail = detail(&office).await;
    assert_eq!((&detail["old_accountings"], &detail["looked_at_accountings"]), (&1.into(), &3.into()));
    assert_eq!(detail["old_events"], 0);
    assert_eq!(platform.reads.load(Ordering::SeqCst), 6, "one call for each contact and category");
    assert_eq!(
        expected[0].text(),
        "accountings past their term: 1 of 3 contacts looked at, 1 records; 1 unreadable"
    );
}

#[tokio::test]
async fn r_61_nobody_looks_unless_a_term_is_set_and_never_at_more_than_allowed() {
    let office = Office::open().await;
    let platform = Arc::new(people());
    let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert_eq!((report.findings, platform.reads.load(Ordering::SeqCst)), (Vec::new(), 0));

    let few = RecordTerms { accountings_months: Some(12), most_looked_at: 2, ..RecordTerms::default() };
    let report =
        office.sweeper(&platform, &Settings { records: few, ..settings() }).sweep("ada").await.unwrap();
    assert_eq!(report.findings[0].looked_at, 2);
}

#[tokio::test]
async fn r_61_an_old_guest_who_still_comes_has_old_records_and_who_goes_has_none_that_stay() {
    let office = Office::open().await;
    let guest = Person { accountings: SESSIONS, ..Person::default() };
    let gone = Person { accountings: &[r#"{"stop":"2021-01-01T00:00:00Z"}"#], ..Person::default() };
    let platform = Pages::of(contacts(0, 20)).person("guest", "2020-01-10T09:00:00Z", guest).person(
        "gone",
        "2020-01-10T09:00:00Z",
        gone,
    );
    let rule = Settings { anchor: Anchor::LastActivity, ..terms() };
    let report = office.sweeper(&Arc::new(platform), &rule).sweep("ada").await.unwrap();
    assert_eq!((report.active, report.submitted), (1, 1));
    assert_eq!(report.findings[0], old("accountings", 1, 1, 1, 0));
}

fn with_fields(id: &str, names: &[&str]) -> ListedContact {
    let undocumented = names.iter().map(|name| (*name).to_owned()).collect();
    ListedContact { undocumented, ..listed(id, Created::At(at("2026-01-01T00:00:00Z"))) }
}

#[tokio::test]
async fn r_59_data_that_no_rule_names_is_a_finding_and_not_silence() {
    let pages = || {
        let mut all = contacts(2, 6);
        all.push(with_fields("member-1", &["loyalty"]));
        all.push(with_fields("member-2", &["loyalty", "pets", "(other)", "(other)"]));
        Arc::new(Pages::of(all))
    };
    let office = Office::open().await;
    let report = office.sweeper(&pages(), &settings()).sweep("ada").await.unwrap();
    let found = |findings: &[Finding]| -> Vec<(String, i64, i64)> {
        assert!(findings.iter().all(|finding| finding.finding == FindingKind::UnclassifiedData));
        findings.iter().map(|each| (each.category.clone(), each.contacts, each.looked_at)).collect()
    };
    let expected = [("(other)", 1, 10), ("loyalty", 2, 10), ("pets", 1, 10)];
    let expected = expected.map(|(name, contacts, of)| (name.to_owned(), contacts, of));
    assert_eq!(found(&report.findings), expected);
    assert_eq!((report.state, report.submitted), (SweepState::Finished, 2));
    let detail = detail(&office).await;
    assert_eq!(detail["unclassified_data"], 3);
    assert!(!detail.to_string().contains("loyalty"), "the log has numbers only");

    // What the controller has decided about is found no more.
    let classified_fields = vec!["loyalty".to_owned()];
    let report =
        office.sweeper(&pages(), &Settings { classified_fields, ..settings() }).sweep("ada").await.unwrap();
    assert_eq!(found(&report.findings).len(), 2);
}

#[tokio::test]
async fn r_59_findings_go_with_their_sweep() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(vec![with_fields("member-1", &["loyalty"])]));
    office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert_eq!(office.count("findings").await, 1);
    let mut connection = office.store.connection().await.unwrap();
    let later = office.clock.now() + TimeDelta::days(1);
    let gone = retention::purge_sweeps(&mut connection, &office.controller.id, later).await.unwrap();
    drop(connection);
    assert_eq!((gone, office.count("findings").await), (1, 0));
}
