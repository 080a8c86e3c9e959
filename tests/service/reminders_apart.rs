//! What swallows no new request as its reminder: what was decided already, ended without a proof, or is about another contact of
//! the same person.

use std::time::Duration;

use dsrd::delivery::Plan;
use dsrd::domain::IdentifierKind::{self, Email, Phone, Username};
use dsrd::domain::{Outcome, ParkReason, RefusalGround, RequestKind, RequestState};
use dsrd_simulator::ContactSpec;

use crate::cases::refuse;
use crate::decide::{candidates, choose, code_of};
use crate::identity::{NUMBER, STORED, asked, person, submit};
use crate::reminders::start;
use crate::support::service::TestService;

const OTHER: &str = "canarino@altra.example";

/// Hands in what anybody typed, lets it be worked on, and makes sure that it reminds of nothing.
async fn stands_by_itself(service: &TestService, kind: RequestKind, by: &[(IdentifierKind, &str)]) {
    let receipt = submit(service, kind, by, None).await;
    assert_eq!(receipt.reminds_of, None, "at its receipt");
    service.work().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.reminds_of, case.outcome), (None, None), "once its contact is found");
}

#[tokio::test]
async fn r_12_what_was_refused_swallows_no_new_request_by_another_identifier_of_the_contact() {
    let service = start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().username("canarino88").phone(NUMBER));
    let refused = submit(&service, RequestKind::Access, &[(Username, "canarino88")], None).await.request;
    service.work_to_the_end().await;
    let case = service.case(refused).await;
    assert!(case.contact.is_some(), "it was found");
    assert_eq!(case.park_reason, Some(ParkReason::IdentityUnproven));
    refuse(&service, refused, RefusalGround::IdentityNotConfirmed).await.unwrap();
    service.work_to_the_end().await;
    // Somebody has to write a letter. Whoever asks meanwhile is not told that their request is worked on.
    assert_eq!(service.case(refused).await.park_reason, Some(ParkReason::NoContactPoint));
    stands_by_itself(&service, RequestKind::Access, &[(Phone, NUMBER)]).await;
    service.finish().await;
}

#[tokio::test]
async fn r_12_what_ended_without_a_proof_swallows_no_new_request_by_another_identifier_of_the_contact() {
    let service = start().await;
    let contact = service.platform.add_contact(person());
    let first = submit(&service, RequestKind::Erasure, &[(Phone, NUMBER)], None).await.request;
    asked(&service, first).await;
    service.advance(Duration::from_hours(8 * 24)).await;
    service.work().await;
    service.advance(Duration::from_hours(8 * 24)).await;
    // The mail server is away when they are to be told.
    service.mails.plan(Plan::NoConnection, 1);
    service.worker().await.work_until_idle().await.unwrap();
    let case = service.case(first).await;
    assert!(case.unproven && case.state != RequestState::Closed, "{:?}", case.state);
    stands_by_itself(&service, RequestKind::Erasure, &[(Email, STORED)]).await;
    service.advance(Duration::from_hours(1)).await;
    service.work().await;
    assert_eq!(service.case(first).await.outcome, Some(Outcome::NotIdentified));
    assert!(service.platform.truth(&contact).unwrap().exists);
    service.finish().await;
}

#[tokio::test]
async fn r_12_s_6_for_each_contact_of_one_person_a_request_is_taken() {
    let service = start().await;
    let one = service.platform.add_contact(ContactSpec::new().email(STORED));
    let other = service.platform.add_contact(ContactSpec::new().email(OTHER).phone(NUMBER));
    let by = [(Email, STORED), (Phone, NUMBER)];
    for (contact, domain) in [(one, "@posta.example"), (other, "@altra.example")] {
        // The first waits for its proof when the same identifiers are handed in for the other one.
        let receipt = submit(&service, RequestKind::Erasure, &by, None).await;
        assert_eq!(receipt.reminds_of, None, "{domain}");
        service.work().await;
        let case = service.case(receipt.request).await;
        assert_eq!(case.park_reason, Some(ParkReason::IdentifiersDisagree), "{domain}");
        let code = code_of(&candidates(&service, receipt.request).await, domain);
        choose(&service, receipt.request, &code).await.unwrap();
        service.work().await;
        let case = service.case(receipt.request).await;
        assert_eq!((case.state, case.outcome), (RequestState::NeedsIdentity, None), "{domain}");
        assert_eq!(case.contact.unwrap().as_str(), contact, "{domain}");
    }
    service.finish().await;
}
