//! Until when the data of somebody are kept, as their copy of them tells (Art. 15(1)(d) GDPR).

use chrono::TimeDelta;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    ActivityKind, ActivityRule, Clock, HoldKind, Outcome, RequestKind, SubjectIdentifier, WithoutActivity,
};
use dsrd::holds::{About, EndRule, NewHold};
use dsrd::report::{Catalogue, CatalogueEntry, Section, StorageAnchor, StorageTerm};
use dsrd_simulator::ContactSpec;

use crate::access::{ada, explained, package, said};
use crate::support::service::TestService;

/// A catalogue with the terms of some sections.
fn terms(terms: &[(Section, &str, StorageAnchor)]) -> Catalogue {
    let mut catalogue =
        Catalogue { sections: Section::ALL.map(|section| (section, said())).into(), ..explained() };
    for (section, period, from) in terms {
        let retention = Some(StorageTerm { period: period.parse().unwrap(), from: *from });
        catalogue.sections.insert(*section, CatalogueEntry { retention, ..said() });
    }
    catalogue
}

/// What the copy of somebody's data says of storage, and its page.
async fn copy_of(service: &TestService, address: &str) -> (serde_json::Value, String) {
    let receipt = service.submit(RequestKind::Access, &[(Email, address)]).await;
    service.work_to_the_end().await;
    let files = package(service, receipt.request).await;
    let of = |name: &str| files.iter().find(|(each, _)| each == name).unwrap().1.clone();
    let report: serde_json::Value = serde_json::from_str(&of("report.json")).unwrap();
    (report["storage"].clone(), of("report.html"))
}

/// What is said of a profile that something keeps.
const KEPT: &str = "No day can be stated, because for now a reason of the law may keep the data longer. The criterion is: 36 months, \
                    counted from the day on which your profile was made, and the end of that reason.";

#[tokio::test]
async fn r_27_no_day_of_the_end_is_told_while_a_hold_may_keep_the_data_longer() {
    let catalogue = terms(&[(Section::Profile, "36m", StorageAnchor::Created)]);
    let service = TestService::builder().catalogue(catalogue).build().await;
    // A restriction stops no access and no erasure of the person; it stops the sweep, whose day would be told.
    for (address, hold) in [
        ("canarino@posta.example", Some(HoldKind::Claim)),
        ("canarino.secondo@posta.example", Some(HoldKind::Restriction)),
        ("canarina@posta.example", None),
    ] {
        let spec = ContactSpec::new().email(address).created("2024-02-29T10:00:00Z".parse().unwrap());
        let _contact = service.platform.add_contact(spec);
        if let Some(kind) = hold {
            let new = NewHold { kind, matter: None, ..crate::holds::claim_about(&service, address) };
            crate::holds::place(&service, new).await;
        }
        let receipt = service.submit(RequestKind::Access, &[(Email, address)]).await;
        service.work_to_the_end().await;
        let files = package(&service, receipt.request).await;
        let of = |name: &str| &files.iter().find(|(each, _)| each == name).unwrap().1;
        let report: serde_json::Value = serde_json::from_str(of("report.json")).unwrap();
        let end = &report["storage"]["profile"];
        assert_eq!(end["until"].as_str(), hold.is_none().then_some("2027-02-28"), "{address}: {end}");
        assert_eq!(end["period"], "36m", "the criterion is told");
        assert_eq!(end["kept_longer"].as_bool(), hold.map(|_| true), "{address}: {end}");
        // The true reason, which names no hold; and none that is not true.
        for name in ["report.html", "README.txt"] {
            assert_eq!(of(name).contains(KEPT), hold.is_some(), "{address} {name}");
            assert!(!of(name).contains("it is not known from which day to count. The"), "{address} {name}");
            assert!(!of(name).contains("HLD-") && !of(name).contains("2026-O-17"), "{address} {name}");
        }
    }
    service.finish().await;
}

#[tokio::test]
async fn r_27_an_access_report_names_the_days_until_which_the_data_of_this_person_are_kept() {
    use StorageAnchor::{Created, LastActivity, Record};
    let term = |period: &str, from| {
        let retention = Some(StorageTerm { period: period.parse().unwrap(), from });
        CatalogueEntry {
            storage_period: "As our policy says.".to_owned(),
            retention,
            ..CatalogueEntry::default()
        }
    };
    let sections = [
        (Section::Profile, term("36m", Created)),
        (Section::Consents, term("12m", LastActivity)),
        (Section::Events, term("12m", Record)),
        (Section::Devices, CatalogueEntry::default()),
        (Section::Accountings, term("30d", Record)),
        (Section::Requests, term("36m", Record)),
    ];
    let catalogue = Catalogue { sections: sections.into(), ..Catalogue::default() };
    let rule = ActivityRule {
        kinds: vec![ActivityKind::LastLogin],
        passive_events: Vec::new(),
        without: WithoutActivity::Review,
    };
    let service = TestService::builder().catalogue(catalogue).activity(rule).build().await;
    // Already the first of March where the controller is.
    let known = ada()
        .created("2024-02-29T23:30:00Z".parse().unwrap())
        .modified("2026-04-30T10:00:00Z".parse().unwrap());
    let unknown =
        ContactSpec::new().email("unknown@posta.example").created_json("null").events(0).accountings(0);
    let _contacts = [known, unknown].map(|spec| service.platform.add_contact(spec));
    let mut reports = Vec::new();
    for address in ["canarino@posta.example", "canarino@posta.example", "unknown@posta.example"] {
        let receipt = service.submit(RequestKind::Access, &[(Email, address)]).await;
        service.work_to_the_end().await;
        let files = package(&service, receipt.request).await;
        let of = |name: &str| files.iter().find(|(each, _)| each == name).unwrap().1.clone();
        reports.push((
            serde_json::from_str::<serde_json::Value>(&of("report.json")).unwrap(),
            of("report.html"),
        ));
    }
    let (first, page) = &reports[0];
    assert_eq!(first["storage"]["profile"]["until"], "2027-03-01");
    assert_eq!(first["storage"]["consents"]["until"], "2027-04-30");
    assert_eq!(first["storage"].get("devices"), None, "the words of the controller stand alone");
    // The only request is the one under way.
    assert_eq!(first["storage"]["requests"]["until"], serde_json::Value::Null);
    for (section, field, last) in [
        ("events", "/when/createdAt", |day: chrono::NaiveDate| {
            day.checked_add_months(chrono::Months::new(12))
        }),
        ("accountings", "/stop", |day: chrono::NaiveDate| day.checked_add_days(chrono::Days::new(30))),
    ]
        as [(&str, &str, fn(chrono::NaiveDate) -> Option<chrono::NaiveDate>); 2]
    {
        let records = first["records"][section].as_array().unwrap();
        let days: Vec<chrono::NaiveDate> = records
            .iter()
            .map(|record| {
                let at: chrono::DateTime<chrono::Utc> =
                    record.pointer(field).unwrap().as_str().unwrap().parse().unwrap();
                last(at.with_timezone(&service.controller.time_zone).date_naive()).unwrap()
            })
            .collect();
        let today = service.controller.local_date(service.clock.now());
        let over = days.iter().filter(|day| **day < today).count();
        let end = &first["storage"][section];
        assert_eq!(end["until"], days.iter().max().unwrap().to_string(), "{section}: {records:#?}");
        assert_eq!(
            (&end["records_over"], &end["records_without_date"]),
            (&over.into(), &0.into()),
            "{section}"
        );
    }
    for said in ["As our policy says.", "Until 1 March 2027: 36 months", "Until 30 April 2027: 12 months"] {
        assert!(page.contains(said), "{said}");
    }
    // The closing of the first request begins its period; the second is under way.
    let (second, _) = &reports[1];
    assert_eq!(second["storage"]["requests"]["until"], "2029-11-23");
    // Nothing tells when this profile was made: the criterion is named, and no day.
    let (stranger, page) = &reports[2];
    assert_eq!(stranger["storage"]["profile"]["until"], serde_json::Value::Null);
    assert!(
        page.contains("The criterion is: 36 months, counted from the day on which your profile was made.")
    );
    service.finish().await;
}

#[tokio::test]
async fn r_27_a_law_keeps_nobody_without_such_records_and_the_day_of_the_end_is_told() {
    let catalogue = terms(&[
        (Section::Profile, "36m", StorageAnchor::Created),
        (Section::Accountings, "30d", StorageAnchor::Record),
    ]);
    let service = TestService::builder().catalogue(catalogue).build().await;
    // Twelve months after the last connection, of everybody.
    crate::holds::settle(&service, &crate::holds::statutes("2027-06-30")).await;
    // With one record it is of the day of creation.
    for (address, created, connections, profile, last) in [
        ("canarino@posta.example", "2024-02-29T10:00:00Z", 0, "2027-02-28", None),
        ("canarino.secondo@posta.example", "2024-02-29T10:00:00Z", 1, "2027-02-28", Some("2024-03-30")),
        ("canarina@posta.example", "2026-11-01T10:00:00Z", 1, "2029-11-01", Some("2027-11-01")),
    ] {
        let spec = ContactSpec::new().email(address).created(created.parse().unwrap());
        let _contact = service.platform.add_contact(spec.accountings(connections));
        let (storage, page) = copy_of(&service, address).await;
        assert_eq!(storage["profile"]["until"], profile, "{address}: {storage}");
        assert_eq!(storage["profile"].get("kept_longer"), None, "{address}: {storage}");
        assert_eq!(storage["accountings"]["until"].as_str(), last, "{address}: {storage}");
        let kept = "Until 1 November 2027: longer than 30 days, counted from its own date, because a reason of the law";
        assert_eq!(page.contains(kept), last == Some("2027-11-01"), "{address}");
    }
    service.finish().await;
}

#[tokio::test]
async fn r_27_nobody_is_told_that_something_is_kept_of_another_of_the_household() {
    const NUMBER: &str = "+39 333 1234567";
    let catalogue = terms(&[(Section::Profile, "36m", StorageAnchor::Created)]);
    let service = TestService::builder().catalogue(catalogue).build().await;
    let created = "2024-02-29T10:00:00Z".parse().unwrap();
    let household = ContactSpec::new().phone(NUMBER).created(created);
    let held = service.platform.add_contact(household.clone().email("canarino@posta.example"));
    let _other = service.platform.add_contact(household.email("canarina@posta.example"));
    let keys = &service.desk.keys;
    let organisation = &service.controller.id;
    let number = SubjectIdentifier::parse(Phone, NUMBER, None).unwrap().reference(keys, organisation);
    let contact = keys.subject(organisation).contact(&held.parse().unwrap());
    let claim = crate::holds::claim_about(&service, "canarino@posta.example");
    let About::Person(mut references) = claim.about.clone() else { panic!("about a person") };
    references.extend([number, contact]);
    let about = About::Person(references);
    crate::holds::place(&service, NewHold { about, contacts: vec![contact], ..claim }).await;
    let (storage, page) = copy_of(&service, "canarino@posta.example").await;
    assert!(storage["profile"]["until"].is_null() && page.contains(KEPT), "{storage}");
    let (storage, page) = copy_of(&service, "canarina@posta.example").await;
    assert_eq!(storage["profile"]["until"], "2027-02-28");
    assert!(!page.contains("a reason of the law"));
    service.finish().await;
}

#[tokio::test]
async fn r_27_a_hold_with_a_last_day_keeps_the_data_until_then_where_that_is_the_later_day() {
    let catalogue = terms(&[(Section::Profile, "36m", StorageAnchor::Created)]);
    let service = TestService::builder().catalogue(catalogue).build().await;
    let today = service.controller.local_date(service.clock.now());
    for (address, until, told, is_longer) in [
        ("canarino@posta.example", today + TimeDelta::days(3), "2027-02-28", false),
        ("canarina@posta.example", "2027-12-31".parse().unwrap(), "2027-12-31", true),
    ] {
        let created = "2024-02-29T10:00:00Z".parse().unwrap();
        let _contact = service.platform.add_contact(ContactSpec::new().email(address).created(created));
        let claim = crate::holds::claim_about(&service, address);
        crate::holds::place(&service, NewHold { ends: EndRule::On(until), ..claim }).await;
        let (storage, page) = copy_of(&service, address).await;
        assert_eq!(storage["profile"]["until"], told, "{address}: {storage}");
        assert_eq!(page.contains("Until 31 December 2027: longer than 36 months"), is_longer, "{address}");
    }
    service.finish().await;
}

#[tokio::test]
async fn r_27_no_day_is_told_of_the_record_of_a_request_that_a_hold_keeps() {
    const ADDRESS: &str = "canarino@posta.example";
    let catalogue = terms(&[(Section::Requests, "36m", StorageAnchor::Record)]);
    let service = TestService::builder().catalogue(catalogue).build().await;
    let _contact = service.platform.add_contact(ada().policy("mktgCommunications", true));
    let claim = crate::holds::claim_about(&service, ADDRESS);
    let claim = crate::holds::place(&service, claim).await;
    let erasure = service.submit(RequestKind::Erasure, &[(Email, ADDRESS)]).await.request;
    service.work_to_the_end().await;
    assert_eq!(service.case(erasure).await.outcome, Some(Outcome::PartlyFulfilled));
    // What waits for the end of the claim is kept beyond the term of its closing.
    let (storage, _) = copy_of(&service, ADDRESS).await;
    assert!(storage["requests"]["until"].is_null(), "{storage}");
    // The copy was a request, too: the record of that one has a day, whatever keeps the contact.
    let (storage, _) = copy_of(&service, ADDRESS).await;
    assert_eq!(storage["requests"]["until"], "2029-11-23", "{storage}");
    assert_eq!(storage["requests"].get("kept_longer"), None, "{storage}");
    let reason = dsrd::domain::LiftReason::ClaimSettled;
    crate::holds::lift(&service, &claim.reference, reason).await.unwrap();
    service.finish().await;
}
