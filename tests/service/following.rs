//! What follows by itself is nobody's own wish of today: it takes no more than what was asked then, and stops for a newer will.

use std::time::Duration;

use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{AcceptanceReason, Outcome, ParkReason, RequestId, RequestKind, RequesterRole};
use dsrd::intake::{self, Submission};
use dsrd::triage;
use dsrd_simulator::ContactSpec;

use crate::grounds::{follow_up, hand_in};
use crate::notices::{EMAIL, dpo};
use crate::support::service::TestService;

const WEEK: Duration = Duration::from_hours(7 * 24);

/// A consent withdrawn by somebody who is signed in, in this role, and that carried out at once.
async fn withdrawn(service: &TestService, requester_role: RequesterRole) -> (RequestId, String) {
    let spec = ContactSpec::new().email(EMAIL).policy("mktgCommunications", true).events(3);
    let contact = service.platform.add_contact(spec);
    let submission = service.submission(RequestKind::ConsentWithdrawal, &[(Email, EMAIL)]);
    let submission = Submission { requester_role, ..submission };
    let receipt =
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    (receipt.request, contact)
}

fn exists(service: &TestService, contact: &str) -> bool {
    service.platform.truth(contact).is_some_and(|truth| truth.exists)
}

#[tokio::test]
async fn r_24_r_52_what_an_agent_withdrew_erases_nobody_before_their_authority_was_checked() {
    let service = TestService::builder().erasure(follow_up(true)).build().await;
    let (_, contact) = withdrawn(&service, RequesterRole::Agent).await;
    service.advance(WEEK).await;
    let [erasure] = hand_in(&service).await.try_into().unwrap();
    service.work_to_the_end().await;
    let case = service.case(erasure).await;
    assert_eq!(
        (case.kind, case.requester_role, case.park_reason),
        (RequestKind::Erasure, RequesterRole::Agent, Some(ParkReason::RequesterNotSelf))
    );
    assert!(exists(&service, &contact));
    let mut tx = service.store.begin("test").await.unwrap();
    let (organisation, reason) = (&service.controller.id, AcceptanceReason::AuthorityChecked);
    triage::accept(&mut tx, &service.desk, organisation, erasure, reason, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(erasure).await.outcome, Some(Outcome::Fulfilled));
    assert!(!exists(&service, &contact));
    service.finish().await;
}
