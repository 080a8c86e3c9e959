//! Whom a hold concerns at its edges: deletions that had begun, contacts created about its span.

use chrono::TimeDelta;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Clock as _, Outcome, ParkReason, RequestKind};
use dsrd::holds::{self, About, NewHold};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};

use crate::decide::resume;
use crate::holds::{claim_about, place};
use crate::support::builder::start_of_test;
use crate::support::service::TestService;

const ADDRESS: &str = "canarino@posta.example";

#[tokio::test]
async fn r_65_whoever_places_a_hold_hears_of_every_deletion_that_may_have_happened() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(ADDRESS));
    // Accepted, and not carried out: the deletion is open until reading shows it.
    service.simulator.faults().inject(Fault::DeleteIgnored);
    let receipt = service.submit(RequestKind::Erasure, &[(Email, ADDRESS)]).await;
    service.work().await;
    assert!(service.case(receipt.request).await.executed_at.is_some());
    let late = [receipt.reference.to_string()];
    assert_eq!(place(&service, claim_about(&service, ADDRESS)).await.too_late_for, late);
    let other = claim_about(&service, "canarino.altro@posta.example");
    assert!(place(&service, other).await.too_late_for.is_empty());
    let now = service.clock.now();
    for created_from in [None, Some(now - TimeDelta::days(900))] {
        let about = About::Contacts { created_from, created_before: None };
        let placed = place(&service, NewHold { about, ..claim_about(&service, ADDRESS) }).await;
        assert_eq!(placed.too_late_for, late, "{created_from:?}");
    }
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::VerificationFailed));
    service.finish().await;
}

#[tokio::test]
async fn r_65_a_hold_does_not_come_too_late_for_a_deletion_that_certainly_failed() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ContactSpec::new().email(ADDRESS));
    let refused = service.simulator.faults().inject(Fault::Status(409).on(Endpoint::DeleteContact));
    let receipt = service.submit(RequestKind::Erasure, &[(Email, ADDRESS)]).await;
    service.work().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::PlatformRejected));
    assert!(place(&service, claim_about(&service, ADDRESS)).await.too_late_for.is_empty());
    // It looks for holds once more before it is announced again.
    service.simulator.faults().remove(refused);
    resume(&service, receipt.request).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::PartlyFulfilled));
    assert!(service.platform.truth(&contact).unwrap().exists);
    service.finish().await;
}

#[tokio::test]
async fn r_65_a_hold_over_a_span_keeps_who_may_have_been_created_in_it_by_a_local_time() {
    let service = TestService::start().await;
    let (from, before) = (start_of_test() - TimeDelta::days(400), start_of_test() - TimeDelta::days(300));
    let about = About::Contacts { created_from: Some(from), created_before: Some(before) };
    place(&service, NewHold { about, ..claim_about(&service, ADDRESS) }).await;
    let edge = TimeDelta::hours(13);
    let far = TimeDelta::hours(15);
    let people = [(from - edge, true), (from - far, false), (before + edge, true), (before + far, false)];
    let mut requests = Vec::new();
    for (number, (created, held)) in people.into_iter().enumerate() {
        let address = format!("canarino.{number}@posta.example");
        let _contact = service.platform.add_contact(ContactSpec::new().email(&address).created(created));
        let receipt = service.submit(RequestKind::Erasure, &[(Email, &address)]).await;
        requests.push((receipt.request, held));
    }
    service.work_to_the_end().await;
    for (request, held) in requests {
        let expected = if held { Outcome::PartlyFulfilled } else { Outcome::Fulfilled };
        assert_eq!(service.case(request).await.outcome, Some(expected));
    }
    // A sweep leaves the same ones alone.
    let keys = service.desk.keys.subject(&service.controller.id);
    let contacts = people.map(|(created, _)| (keys.contact(&"nobody".parse().unwrap()), created));
    let mut connection = service.store.connection().await.unwrap();
    let today = service.clock.now().date_naive();
    let mut among =
        holds::held_among(&mut connection, &service.controller.id, &contacts, today).await.unwrap();
    among.sort_unstable();
    assert_eq!(among, [(0, true), (2, true)]);
    drop(connection);
    service.finish().await;
}
