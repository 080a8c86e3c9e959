//! Access requests: everything in one package, for nobody but the person.

use std::io::Read as _;

use dsrd::audit::{self, Action, Actor, Detail};
use dsrd::delivery;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{Clock, Outcome, ParkReason, RequestId, RequestKind, RequestState};
use dsrd::intake;
use dsrd::report::{self, Catalogue, CatalogueEntry, PackageKey, Section, StorageAnchor, StorageTerm};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};
use sqlx::{Connection as _, PgConnection};

use crate::support::service::TestService;

pub(crate) fn ada() -> ContactSpec {
    ContactSpec::new()
        .name("Canarino", "Prova")
        .email("canarino@posta.example")
        .phone("+39 333 1234567")
        .events(30)
        .devices(3)
        .accountings(7)
}

/// The package of a request, decrypted: the names and texts of its files.
pub(crate) async fn package(service: &TestService, request: RequestId) -> Vec<(String, String)> {
    let opened = delivery::open_for_staff(
        &service.store,
        &service.desk.keys,
        &service.executor.packages.report.directory,
        &service.controller.id,
        request,
        Actor::Person("dpo".to_owned()),
        service.clock.now(),
    )
    .await
    .unwrap()
    .expect("a package");
    let mut clear = Vec::new();
    report::open_package(&opened.path, &PackageKey::parse(opened.identity.expose()).unwrap(), &mut clear)
        .unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(clear)).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut file = archive.by_index(index).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            (file.name().unwrap().to_string(), text)
        })
        .collect()
}

#[tokio::test]
async fn an_access_request_gives_everything_to_the_address_in_the_profile() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    service.work().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.outcome), (RequestState::Closed, Some(Outcome::Fulfilled)));
    let files = package(&service, receipt.request).await;
    let json: serde_json::Value =
        serde_json::from_str(&files.iter().find(|(name, _)| name == "report.json").unwrap().1).unwrap();
    assert!(json.to_string().contains(&contact));
    let events = &files.iter().find(|(name, _)| name == "events.csv").unwrap().1;
    assert_eq!(events.lines().count(), 31, "a heading and thirty events");
    let mails = service.mails.sent_to("canarino@posta.example");
    assert!(mails.iter().any(|mail| mail.link.is_some()));
    service.finish().await;
}

#[tokio::test]
async fn r_33_the_report_tells_of_earlier_requests_and_of_the_suppression_list() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada().policy("mktgCommunications", true));
    // Somebody else with the same number: what they asked is not hers to read.
    let _other = service
        .platform
        .add_contact(ContactSpec::new().email("altra@posta.example").phone("+39 333 7654321"));
    let opt_out = service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
    let other = service.submit(RequestKind::OptOut, &[(Email, "altra@posta.example")]).await;
    service.work_to_the_end().await;
    let opted_out_at = service.case(opt_out.request).await.verified_at.unwrap();
    service.advance(std::time::Duration::from_hours(30)).await;
    let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    let files = package(&service, receipt.request).await;
    let requests = &files.iter().find(|(name, _)| name == "requests.csv").unwrap().1;
    assert!(requests.contains(opt_out.reference.as_str()), "{requests}");
    assert!(requests.contains(receipt.reference.as_str()), "{requests}");
    assert!(requests.contains("marketing") && requests.contains("opt_out"), "{requests}");
    assert!(requests.contains(&opted_out_at.format("%Y-%m-%d").to_string()), "{requests}");
    assert!(!requests.contains(other.reference.as_str()), "{requests}");
    service.finish().await;
}

#[tokio::test]
async fn r_33_r_34_a_number_that_a_household_shares_shows_nobody_the_requests_of_another() {
    let service = TestService::start().await;
    // The number is all that this profile has, and its contact point.
    let number = "+39 333 1234567";
    let _contact = service.platform.add_contact(ContactSpec::new().phone(number).events(2));
    let _other = service.platform.add_contact(ContactSpec::new().email("altra@posta.example"));
    // Somebody else of the household names the number beside their own address.
    let theirs = [(Email, "altra@posta.example"), (Phone, number)];
    let other = service.submit(RequestKind::OptOut, &theirs).await;
    service.work_to_the_end().await;
    let receipt = service.submit(RequestKind::Access, &[(Phone, number)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::NoContactPoint));
    let files = package(&service, receipt.request).await;
    assert!(files.iter().any(|(_, content)| content.contains(receipt.reference.as_str())));
    for (name, content) in &files {
        assert!(!content.contains(other.reference.as_str()), "{name}: {content}");
    }
    service.finish().await;
}

#[tokio::test]
async fn r_33_a_report_that_leaves_earlier_requests_out_says_so_and_names_the_newest() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada().policy("mktgCommunications", true));
    let oldest = service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    service.advance(std::time::Duration::from_hours(30)).await;
    // So many that nobody would send them one by one.
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let many = "
        INSERT INTO dsrd.request
        SELECT (jsonb_populate_record(old, jsonb_build_object(
                  'request_id', md5(number::text)::uuid,
                  'reference', 'DSR-' || translate(to_char(number, 'FM0000'), '01', 'AB') || '-MANY',
                  'idempotency_key', 'many-' || number,
                  'received_at', old.received_at + make_interval(mins => number)))).*
        FROM dsrd.request AS old, generate_series(1, $1) AS number
        WHERE old.request_id = $2";
    sqlx::query(many).bind(1_000).bind(oldest.request.0).execute(&mut owner).await.unwrap();
    let theirs = "
        INSERT INTO dsrd.identifier
        SELECT (jsonb_populate_record(old, jsonb_build_object('request_id', md5(number::text)::uuid))).*
        FROM dsrd.identifier AS old, generate_series(1, $1) AS number
        WHERE old.request_id = $2";
    sqlx::query(theirs).bind(1_000).bind(oldest.request.0).execute(&mut owner).await.unwrap();
    let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::PartlyFulfilled));
    let files = package(&service, receipt.request).await;
    let file = |name: &str| &files.iter().find(|(file, _)| file == name).unwrap().1;
    let json: serde_json::Value = serde_json::from_str(file("report.json")).unwrap();
    let requests = json["records"]["requests"].as_array().unwrap();
    let references: Vec<&str> = requests.iter().filter_map(|record| record["reference"].as_str()).collect();
    let earlier = references.iter().filter(|reference| reference.ends_with("-MANY")).count();
    assert_eq!(earlier, 1_000);
    assert!(!references.contains(&oldest.reference.as_str()), "the oldest one is left out");
    assert_eq!(references[..2], ["DSR-AAAB-MANY", "DSR-AAA2-MANY"], "oldest first");
    // They were never asked: the oracle does not look for their stories.
    for statement in [
        "DELETE FROM dsrd.identifier USING dsrd.request
         WHERE identifier.request_id = request.request_id AND idempotency_key LIKE 'many-%'",
        "DELETE FROM dsrd.request WHERE idempotency_key LIKE 'many-%'",
    ] {
        sqlx::query(statement).execute(&mut owner).await.unwrap();
    }
    owner.close().await.unwrap();
    service.finish().await;
}

#[tokio::test]
async fn r_33_the_report_tells_when_staff_looked_at_the_persons_requests_and_what_for() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    let _other = service.platform.add_contact(ContactSpec::new().email("altra@posta.example").events(1));
    let first = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    let other = service.submit(RequestKind::Access, &[(Email, "altra@posta.example")]).await;
    service.work_to_the_end().await;
    service.advance(std::time::Duration::from_hours(30)).await;
    let looked_at = service.clock.now();
    // A member of staff opens both packages; each look is an entry of the log.
    package(&service, first.request).await;
    package(&service, other.request).await;
    // Others search the log for each of the two, and take its entries out: entries about the log, which name the case.
    let mut tx = service.store.begin("test").await.unwrap();
    for request in [first.request, other.request] {
        for action in [Action::LogRead, Action::LogExported, Action::LogProved] {
            let of_case = Detail::none().word("of_case", &request.to_string());
            let actor = Actor::Person("auditor".to_owned());
            audit::append_about_log(&mut tx, action, actor, looked_at, of_case).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    service.audit().await;
    service.advance(std::time::Duration::from_hours(30)).await;
    let second = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    let files = package(&service, second.request).await;
    let file = |name: &str| &files.iter().find(|(file, _)| file == name).unwrap().1;
    let json: serde_json::Value = serde_json::from_str(file("report.json")).unwrap();
    let requests = json["records"]["requests"].as_array().unwrap();
    let looks: Vec<_> = requests.iter().filter(|record| record.get("look_up").is_some()).collect();
    assert_eq!(looks.len(), 4, "{looks:?}");
    assert!(looks.iter().all(|look| look["reference"] == first.reference.as_str()), "{looks:?}");
    assert!(looks[1..].iter().all(|look| look["look_up"] == "log_read"), "{looks:?}");
    assert_eq!(looks[0]["look_up"], "package_opened");
    let at: chrono::DateTime<chrono::Utc> = looks[0]["looked_up_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(at, looked_at);
    let purpose = "A member of staff opened the package with your data, to hand it over or to check it.";
    assert_eq!(looks[0]["purpose"], purpose);
    assert!(file("requests.csv").contains(purpose) && file("report.html").contains(purpose));
    // Neither who looked nor what concerns somebody else.
    for (name, content) in &files {
        assert!(!content.contains(other.reference.as_str()), "{name}");
    }
    assert!(requests.iter().all(|record| !record.to_string().contains("dpo")), "{requests:?}");
    service.finish().await;
}

#[tokio::test]
async fn s_1_a_package_is_never_offered_to_an_address_that_the_profile_does_not_hold() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    let receipt = service
        .submit(RequestKind::Access, &[(Phone, "+39 333 1234567"), (Email, "somebody-else@posta.example")])
        .await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    for mail in service.mails.sent_to("somebody-else@posta.example") {
        assert!(mail.link.is_none(), "only the acknowledgement");
    }
    assert!(service.mails.sent_to("canarino@posta.example").iter().any(|mail| mail.link.is_some()));
    service.finish().await;
}

#[tokio::test]
async fn a_profile_without_address_gets_its_package_through_a_person() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().phone("+39 333 1234567").events(2));
    let receipt = service.submit(RequestKind::Access, &[(Phone, "+39 333 1234567")]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::NoContactPoint));
    assert!(!package(&service, receipt.request).await.is_empty());
    service.finish().await;
}

#[tokio::test]
async fn r_29_a_source_that_breaks_off_makes_no_package() {
    let service = TestService::builder().most_attempts(2).build().await;
    let _contact = service.platform.add_contact(ada().events(20_000));
    service.simulator.faults().inject(Fault::CutWithLength.on(Endpoint::ContactEvents));
    let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.state, RequestState::Manual);
    assert!(service.mails.sent().iter().all(|mail| mail.link.is_none()));
    service.finish().await;
}

#[tokio::test]
async fn a_package_over_the_limit_waits_for_a_person() {
    let service = TestService::builder().largest_package_bytes(10_000).build().await;
    let _contact = service.platform.add_contact(ada().events(5_000));
    let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::PackageTooLarge));
    service.finish().await;
}

#[tokio::test]
async fn f_8_a_record_that_cannot_be_read_is_counted_and_the_report_says_so() {
    use dsrd_simulator::Poison::{DeepNesting, LoneSurrogate};
    // Half of a surrogate pair is odd and can be read; what is nested without end is not.
    for (poison, outcome) in [(LoneSurrogate, Outcome::Fulfilled), (DeepNesting, Outcome::PartlyFulfilled)] {
        let service = TestService::start().await;
        let _contact = service.platform.add_contact(ada());
        let poison = Fault::Poison { poison, position: 5 };
        service.simulator.faults().inject(poison.clone().on(Endpoint::ContactEvents));
        let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        assert_eq!(case.outcome, Some(outcome), "{poison:?}");
        // Nobody is told that they have everything when they have not.
        let (told, is_whole) = (service.last_told(), outcome == Outcome::Fulfilled);
        assert_eq!(
            told.contains("together everything that our contact platform gives out"),
            is_whole,
            "{told}"
        );
        for said in
            ["is missing: the file says where", "Complain to the supervisory authority", "Go to court."]
        {
            assert_eq!(told.contains(said), !is_whole, "{said}: {told}");
        }
        let files = package(&service, receipt.request).await;
        let file = |wanted: &str| &files.iter().find(|(name, _)| name == wanted).unwrap().1;
        assert!(file("events.csv").lines().count() >= 30);
        let said = "1 could not be read properly. Please ask the controller about them.";
        assert_eq!(file("report.html").contains(said), !is_whole, "{poison:?}");
        let entries = service.audit().await;
        let built = entries.iter().find(|entry| entry.action == "package.built").unwrap();
        assert_eq!(built.detail["incomplete"], !is_whole, "{:?}", built.detail);
        service.finish().await;
    }
}

/// What a controller says of each section.
pub(crate) fn said() -> CatalogueEntry {
    CatalogueEntry {
        purposes: "To run the guest Wi-Fi.".to_owned(),
        legal_basis: "Contract.".to_owned(),
        recipients: "Nobody.".to_owned(),
        storage_period: "As our policy says.".to_owned(),
        source: "You.".to_owned(),
        retention: None,
    }
}

/// What a controller says beside that, as long as nothing is held.
pub(crate) fn explained() -> Catalogue {
    Catalogue {
        automated_decisions: "None.".to_owned(),
        transfers: "None.".to_owned(),
        complaint_authority: "Garante".to_owned(),
        ..Catalogue::default()
    }
}

#[tokio::test]
async fn f_33_a_total_beyond_all_reason_is_told_as_missing_and_holds_nothing_up() {
    let entry = |section| {
        let retention = Some(StorageTerm { period: "12m".parse().unwrap(), from: StorageAnchor::Record });
        let retention = retention.filter(|_| !matches!(section, Section::Profile | Section::Consents));
        (section, CatalogueEntry { retention, ..said() })
    };
    let catalogue = Catalogue { sections: Section::ALL.map(entry).into(), ..explained() };
    let service = TestService::builder().catalogue(catalogue).build().await;
    let _contact = service.platform.add_contact(ada());
    let absurd = r#"{"devices":[],"total":18446744073709551615}"#.to_owned();
    service.simulator.faults().inject(Fault::Body(absurd).on(Endpoint::Devices));
    let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::PartlyFulfilled));
    let files = package(&service, receipt.request).await;
    let file = |name: &str| &files.iter().find(|(file, _)| file == name).unwrap().1;
    let json: serde_json::Value = serde_json::from_str(file("report.json")).unwrap();
    assert_eq!(json["counts"]["devices"]["unreadable"], u64::MAX);
    assert!(!file("report.html").contains("No device is recorded for you."));
    // The mail promises no explanation that is not there, and this package has one.
    assert!(service.last_told().contains("explains what we use the data for"), "{}", service.last_told());
    service.finish().await;
}

/// An event whose text names the person and somebody else.
fn table_for_two() -> Fault {
    let record = r#"{"event":{"type":"survey","id":"e-1"},"when":{"createdAt":"2026-10-02T10:00:00Z"},
        "text":"With Bob.Best@altrove.example, +44 20 7123 4567; me: CANARINO@posta.example, +39 333 1234567.
        Questions: privacy@prova.example"}"#;
    let record = record.replace('\n', " ");
    Fault::Poison { poison: dsrd_simulator::Poison::Record(record), position: 4 }
}

#[tokio::test]
async fn r_34_another_persons_address_in_the_text_of_an_event_is_masked_and_counted() {
    let service = TestService::start().await;
    // A second address and a number of hers that the platform holds beside the first.
    let spec = ada().ext_prop1("ada.work@posta.example").raw("mobile", "\"+39 347 7654321\"");
    let _contact = service.platform.add_contact(spec);
    service.simulator.faults().inject(table_for_two().on(Endpoint::ContactEvents));
    let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.outcome, Some(Outcome::Fulfilled), "the whole is never refused for it");
    let files = package(&service, receipt.request).await;
    let file = |name: &str| &files.iter().find(|(file, _)| file == name).unwrap().1;
    let json: serde_json::Value = serde_json::from_str(file("report.json")).unwrap();
    let (address, number) =
        ("[withheld: e-mail address of another person]", "[withheld: telephone number of another person]");
    let text = json["records"]["events"].as_array().unwrap().iter().find_map(|event| event["text"].as_str());
    let text = text.unwrap();
    assert!(
        text.starts_with(&format!("With {address}, {number}; me: CANARINO@posta.example, +39 333 1234567."))
    );
    assert!(text.ends_with("Questions: privacy@prova.example"), "the controller's own: {text}");
    assert_eq!(json["counts"]["events"]["withheld"], 2);
    assert_eq!(json["counts"]["profile"]["withheld"], 0);
    let profile = &json["records"]["profile"][0];
    assert_eq!(profile["mobile"], "+39 347 7654321");
    assert!(profile.to_string().contains("ada.work@posta.example"));
    assert_eq!(json["withheld"][0]["field"], "text");
    assert!(file("report.html").contains("e-mail addresses in text: 1; telephone numbers in text: 1"));
    assert!(file("events.csv").contains(address));
    for (name, content) in &files {
        // Whole, as written and without its gaps: fewer digits would be found by chance in a hash.
        for hers in ["altrove", "7123 4567", "71234567"] {
            assert!(!content.contains(hers), "{hers} in {name}");
        }
    }
    // Auditors see how many, and nothing else.
    let log = service.audit().await;
    let built = log.iter().find(|entry| entry.action == "package.built").unwrap();
    assert_eq!(built.detail["withheld"], 2);
    service.finish().await;
}

#[tokio::test]
async fn r_34_a_field_of_others_is_withheld_whole_where_the_controller_says_so() {
    let rules = report::RedactionRules {
        addresses: false,
        fields: vec!["text".to_owned()],
        ..report::RedactionRules::strict()
    };
    let service = TestService::builder().redaction(rules).build().await;
    let _contact = service.platform.add_contact(ada());
    service.simulator.faults().inject(table_for_two().on(Endpoint::ContactEvents));
    let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    let files = package(&service, receipt.request).await;
    let events = &files.iter().find(|(name, _)| name == "events.csv").unwrap().1;
    assert!(events.contains("[withheld: concerns other people]") && !events.contains("altrove"), "{events}");
    service.finish().await;
}

#[tokio::test]
async fn r_26_an_unknown_person_is_told_within_the_limit_that_nothing_is_held() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    let stranger = "nobody@posta.example";
    let receipt = service.submit(RequestKind::Access, &[(Email, stranger)]).await;
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.outcome), (RequestState::Closed, Some(Outcome::FulfilledNoData)));
    let informed_on =
        service.controller.local_date(case.informed_at.expect("a negative answer is an answer"));
    assert!(informed_on <= case.due_on, "{informed_on} {}", case.due_on);
    let mut told = service.mails.sent_to(stranger);
    told.retain(|mail| mail.subject.contains("no data found"));
    let [answer] = told.try_into().expect("one answer");
    assert!(answer.link.is_none() && answer.text.expose().contains(receipt.reference.as_str()));
    assert!(service.mails.sent_to("canarino@posta.example").is_empty());
    service.finish().await;
}

#[tokio::test]
async fn r_33_who_was_erased_and_asks_what_is_held_hears_of_the_fingerprint_and_of_the_former_request() {
    const GONE: &str = "canarino@posta.example";
    const STRANGER: &str = "nobody@posta.example";
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    let erasure = service.submit(RequestKind::Erasure, &[(Email, GONE)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(erasure.request).await.outcome, Some(Outcome::Fulfilled));
    service.advance(std::time::Duration::from_hours(30)).await;
    let (fingerprint, another) = ("A fingerprint of your contact details", "another request about you");
    for (address, is_known) in [(STRANGER, false), (GONE, true)] {
        let receipt = service.submit(RequestKind::Access, &[(Email, address)]).await;
        service.work_to_the_end().await;
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::FulfilledNoData));
        let told = service.last_told();
        assert!(told.contains("no data about you in our contact platform"), "{told}");
        assert_eq!(told.contains(fingerprint), is_known, "{told}");
        assert_eq!(told.contains(another), is_known, "{told}");
        assert_eq!(told.contains(erasure.reference.as_str()), is_known, "{told}");
    }
    // Somebody nobody knows names the address beside their own: the answer would not go to it, and so nothing is told.
    let mut submission = service.submission(RequestKind::Access, &[(Email, STRANGER), (Email, GONE)]);
    submission.proof = None;
    let receipt =
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap();
    let before = service.mails.sent().len();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::IdentityUnproven));
    for mail in service.mails.sent().iter().skip(before) {
        assert!(!mail.text.expose().contains(erasure.reference.as_str()), "{}", mail.text.expose());
    }
    // Who asks for something else is answered that, and no more.
    let receipt = service.submit(RequestKind::Erasure, &[(Email, GONE)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::FulfilledNoData));
    assert!(!service.last_told().contains(fingerprint), "{}", service.last_told());
    service.finish().await;
}
