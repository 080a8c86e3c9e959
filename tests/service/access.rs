//! Access requests: everything in one package, for nobody but the person.

use std::io::Read as _;

use dsrd::audit::Actor;
use dsrd::delivery;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{Clock, Outcome, ParkReason, RequestId, RequestKind, RequestState};
use dsrd::report::{self, PackageKey};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};

use crate::support::service::TestService;

fn ada() -> ContactSpec {
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
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    let poison = Fault::Poison { poison: dsrd_simulator::Poison::LoneSurrogate, position: 5 };
    service.simulator.faults().inject(poison.on(Endpoint::ContactEvents));
    let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert!(matches!(case.outcome, Some(Outcome::PartlyFulfilled | Outcome::Fulfilled)), "{case:?}");
    let files = package(&service, receipt.request).await;
    let events = &files.iter().find(|(name, _)| name == "events.csv").unwrap().1;
    assert!(events.lines().count() >= 30);
    service.finish().await;
}
