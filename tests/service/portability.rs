//! Portability: what rests on consent or contract, for the person to take along (Art. 20 GDPR, R-32).

use dsrd::audit::Actor;
use dsrd::delivery;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    AnsweredOutcome, ErasureRules, LegalBases, LegalBasis, Outcome, ParkReason, RequestId, RequestKind,
    RequestState,
};
use dsrd::report::{self, Section};
use dsrd::triage::{self, Facts, TriageError};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};

use crate::access::package;
use crate::support::service::TestService;

const ADDRESS: &str = "canarino@posta.example";

fn ada() -> ContactSpec {
    ContactSpec::new()
        .name("Canarino", "Prova")
        .email(ADDRESS)
        .phone("+39 333 1234567")
        .events(30)
        .devices(3)
        .accountings(7)
}

/// Profile and events by contract and consent, the rest by an interest.
fn mixed() -> ErasureRules {
    let legal_bases = LegalBases {
        profile: vec![LegalBasis::Contract],
        events: vec![LegalBasis::Consent, LegalBasis::LegitimateInterest],
        devices: vec![LegalBasis::LegitimateInterest],
        accountings: vec![LegalBasis::LegalObligation],
    };
    ErasureRules { legal_bases, ..ErasureRules::default() }
}

fn file<'a>(files: &'a [(String, String)], name: &str) -> &'a str {
    &files.iter().find(|(file, _)| file == name).unwrap_or_else(|| panic!("{name} is there")).1
}

/// What is wrong with `data.json`, by the schema that lies beside it.
fn faults(files: &[(String, String)]) -> Option<String> {
    let parse = |name: &str| serde_json::from_str(file(files, name)).unwrap();
    let mut compiler = boon::Compiler::new();
    let mut schemas = boon::Schemas::new();
    compiler.enable_format_assertions();
    compiler.add_resource("data.schema.json", parse(report::SCHEMA_NAME)).unwrap();
    let schema = compiler.compile("data.schema.json", &mut schemas).unwrap();
    schemas.validate(&parse(report::PORTABLE_NAME), schema).err().map(|error| format!("{error:#}"))
}

#[tokio::test]
async fn r_32_what_rests_on_consent_or_contract_is_taken_along_and_nothing_else() {
    let service = TestService::builder().erasure(mixed()).build().await;
    let contact = service.platform.add_contact(ada());
    let other = Fault::Poison {
        poison: dsrd_simulator::Poison::Record(
            r#"{"event":{"type":"survey"},"text":"with bob@altrove.example, 1.50"}"#.to_owned(),
        ),
        position: 4,
    };
    let other = service.simulator.faults().inject(other.on(Endpoint::ContactEvents));
    let receipt = service.submit(RequestKind::Portability, &[(Email, ADDRESS)]).await;
    service.work_to_the_end().await;
    service.simulator.faults().remove(other);
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.outcome), (RequestState::Closed, Some(Outcome::Fulfilled)));
    let files = package(&service, receipt.request).await;
    let mut names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["README.txt", "consents.csv", "data.json", "data.schema.json", "events.csv", "profile.csv"]
    );
    assert_eq!(faults(&files), None);
    let json: serde_json::Value = serde_json::from_str(file(&files, "data.json")).unwrap();
    let mut sections: Vec<&str> = json["records"].as_object().unwrap().keys().map(String::as_str).collect();
    sections.sort_unstable();
    assert_eq!(sections, ["consents", "events", "profile"]);
    assert_eq!(json["records"]["events"].as_array().unwrap().len(), 30);
    assert_eq!(
        json["categories"]["events"]["legal_bases"],
        serde_json::json!(["consent", "legitimate_interest"])
    );
    assert_eq!(json["left_out"]["categories"], serde_json::json!(["devices", "accountings"]));
    let profile = &json["records"]["profile"][0];
    assert_eq!((&profile["cid"], &profile["email"]), (&contact.as_str().into(), &ADDRESS.into()));
    for worked_out in ["metrics", "segments", "segmentCids"] {
        assert!(profile.get(worked_out).is_none(), "{worked_out}");
    }
    assert!(!file(&files, "data.json").contains("altrove"), "nothing of others either");
    assert_eq!(json["withheld"][0]["reason"], "rights of others, Art. 20(4) GDPR");
    let mail = service.mails.sent_to(ADDRESS).into_iter().find(|mail| mail.link.is_some()).unwrap();
    assert!(mail.subject.contains("take with you"), "{}", mail.subject);
    assert!(!mail.text.expose().contains("together everything"), "not all that is held");
    let story = service.story(receipt.request).await;
    assert!(story.contains(&"package.built".to_owned()), "{story:?}");
    // The same person's copy of everything holds all of it.
    let access = service.submit(RequestKind::Access, &[(Email, ADDRESS)]).await;
    service.work_to_the_end().await;
    let whole = package(&service, access.request).await;
    let whole: serde_json::Value = serde_json::from_str(file(&whole, "report.json")).unwrap();
    assert_eq!(whole["records"]["devices"].as_array().unwrap().len(), 3);
    assert_eq!(whole["records"]["accountings"].as_array().unwrap().len(), 7);
    assert!(whole["records"]["profile"][0].get("metrics").is_some());
    service.finish().await;
}

#[tokio::test]
async fn r_32_the_schema_refuses_what_is_not_of_its_form() {
    let service = TestService::builder().erasure(mixed()).build().await;
    let _contact = service.platform.add_contact(ada());
    let receipt = service.submit(RequestKind::Portability, &[(Email, ADDRESS)]).await;
    service.work_to_the_end().await;
    let files = package(&service, receipt.request).await;
    assert_eq!(faults(&files), None);
    for (from, to) in [
        ("\"format\": \"dsrd-portable-data/1\"", "\"format\": \"else\""),
        ("\"contract\"", "\"legitimate_interest\""),
        ("\"events\": [", "\"requests\": ["),
        ("\"emailVerified\":", "\"metrics\":"),
        ("\"records\": 1", "\"records\": \"1\""),
    ] {
        let altered: Vec<(String, String)> = files
            .iter()
            .map(|(name, text)| match name.as_str() {
                "data.json" => (name.clone(), text.replacen(from, to, 1)),
                _ => (name.clone(), text.clone()),
            })
            .collect();
        assert_ne!(file(&altered, "data.json"), file(&files, "data.json"), "{from} is there");
        assert!(faults(&altered).is_some(), "{from} -> {to}");
    }
    service.finish().await;
}

async fn answer(service: &TestService, request: RequestId) -> Result<(), TriageError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let words = Facts::read("Your data is enclosed with the letter of today.").unwrap();
    let (outcome, dpo) = (AnsweredOutcome::Fulfilled, Actor::Person("dpo".to_owned()));
    triage::answer(&mut tx, &service.desk, &service.controller.id, request, outcome, words, dpo).await?;
    tx.commit().await.unwrap();
    Ok(())
}

#[tokio::test]
async fn r_32_where_no_legal_basis_is_configured_a_person_decides_and_no_package_is_empty_by_accident() {
    let interest = || vec![LegalBasis::LegitimateInterest];
    let by_interest =
        LegalBases { profile: interest(), events: interest(), devices: interest(), accountings: interest() };
    for legal_bases in [LegalBases::default(), by_interest] {
        let rules = ErasureRules { legal_bases, ..ErasureRules::default() };
        let service = TestService::builder().erasure(rules).build().await;
        let _contact = service.platform.add_contact(ada());
        let receipt = service.submit(RequestKind::Portability, &[(Email, ADDRESS)]).await;
        let access = service.submit(RequestKind::Access, &[(Email, ADDRESS)]).await;
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        assert_eq!((case.state, case.park_reason), (RequestState::Manual, Some(ParkReason::NothingPortable)));
        let opened = delivery::open_for_staff(
            &service.store,
            &service.desk.keys,
            &service.executor.packages.report.directory,
            &service.controller.id,
            receipt.request,
            Actor::Person("dpo".to_owned()),
            service.desk.clock.now(),
        );
        assert!(opened.await.unwrap().is_none(), "no package");
        // Only what waits for that reason is a person's to answer.
        assert!(answer(&service, access.request).await.is_err());
        answer(&service, receipt.request).await.unwrap();
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        assert_eq!((case.state, case.outcome), (RequestState::Closed, Some(Outcome::Fulfilled)));
        let mails = service.mails.sent_to(ADDRESS);
        assert!(mails.iter().any(|mail| mail.text.expose().contains("enclosed with the letter")));
        service.finish().await;
    }
}

#[tokio::test]
async fn r_32_nobody_found_is_told_so_whatever_is_configured() {
    let service = TestService::start().await;
    let receipt = service.submit(RequestKind::Portability, &[(Email, ADDRESS)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::FulfilledNoData));
    service.finish().await;
}

#[tokio::test]
async fn r_20_what_is_taken_along_goes_to_the_address_in_the_profile_only() {
    let service = TestService::builder().erasure(mixed()).build().await;
    let _contact = service.platform.add_contact(ada());
    let given = [(Phone, "+39 333 1234567"), (Email, "somebody-else@posta.example")];
    let receipt = service.submit(RequestKind::Portability, &given).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    for mail in service.mails.sent_to("somebody-else@posta.example") {
        assert!(mail.link.is_none(), "only the acknowledgement");
    }
    assert!(service.mails.sent_to(ADDRESS).iter().any(|mail| mail.link.is_some()));
    // Without an address in the profile a person hands it over.
    let _other = service.platform.add_contact(ContactSpec::new().phone("+39 333 7654321").events(2));
    let without = service.submit(RequestKind::Portability, &[(Phone, "+39 333 7654321")]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(without.request).await.park_reason, Some(ParkReason::NoContactPoint));
    assert!(package(&service, without.request).await.iter().any(|(name, _)| name == report::PORTABLE_NAME));
    service.finish().await;
}

#[tokio::test]
async fn r_32_a_source_that_breaks_off_makes_no_package_to_take_along() {
    let service = TestService::builder().erasure(mixed()).most_attempts(2).build().await;
    let _contact = service.platform.add_contact(ada().events(20_000));
    service.simulator.faults().inject(Fault::CutWithLength.on(Endpoint::ContactEvents));
    let receipt = service.submit(RequestKind::Portability, &[(Email, ADDRESS)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.state, RequestState::Manual);
    assert!(service.mails.sent().iter().all(|mail| mail.link.is_none()));
    service.finish().await;
}

#[tokio::test]
async fn r_32_a_request_of_before_that_waits_for_a_person_can_go_on_by_itself() {
    let service = TestService::builder().erasure(mixed()).build().await;
    let _contact = service.platform.add_contact(ada());
    let receipt = service.submit(RequestKind::Portability, &[(Email, ADDRESS)]).await;
    // As a former version left it.
    let mut connection = service.store.connection().await.unwrap();
    for statement in [
        "UPDATE dsrd.request SET state = 'manual', park_reason = 'not_automated'",
        "UPDATE dsrd.job SET state = 'parked'",
    ] {
        sqlx::query(statement).execute(&mut *connection).await.unwrap();
    }
    drop(connection);
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.state, RequestState::Manual);
    let mut tx = service.store.begin("test").await.unwrap();
    let dpo = Actor::Person("dpo".to_owned());
    dsrd::intake::resume(&mut tx, &service.desk, &service.controller.id, receipt.request, dpo).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    let package = package(&service, receipt.request).await;
    assert!(!package.iter().any(|(name, _)| name == Section::Devices.csv_name()));
    service.finish().await;
}
