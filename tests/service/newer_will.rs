//! The older will does not overrule the newer (F-42): when it is seen, and how a request that stopped for it ends.

use std::time::Duration;

use chrono::TimeDelta;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{Clock as _, Outcome, ParkReason, RequestId, RequestKind, RequestState};
use dsrd::intake;
use dsrd::triage::TriageError;
use dsrd_simulator::{ContactSpec, Endpoint, Fault};

use crate::decide::{candidates, choose, resume};
use crate::identity::{NUMBER, asked, confirm, dpo, person, submit};
use crate::reminders;
use crate::support::service::TestService;

const ADDRESS: &str = "canarino.volere@posta.example";

/// Before the instant from which the simulator counts what it calls modified.
async fn start() -> TestService {
    TestService::builder().starting_at("2025-06-02T09:00:00Z".parse().unwrap()).build().await
}

/// Somebody who was created and changed last long ago.
fn spec(service: &TestService) -> ContactSpec {
    let old = service.clock.now() - TimeDelta::days(90);
    ContactSpec::new().email(ADDRESS).policy("mktgCommunications", true).created(old).modified(old)
}

/// An opt-out whose contact was found, whose call failed, and whose person opted in again.
async fn stopped(service: &TestService) -> (RequestId, String) {
    let contact = service.platform.add_contact(spec(service));
    service.simulator.faults().inject(Fault::Status(503).on(Endpoint::UpdatePolicies));
    let receipt = service.submit(RequestKind::OptOut, &[(Email, ADDRESS)]).await;
    service.work().await;
    service.simulator.faults().clear();
    service.platform.set_policy(&contact, "mktgCommunications", true);
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::NewerWill));
    (receipt.request, contact)
}

async fn withdraw(service: &TestService, request: RequestId) {
    let mut tx = service.store.begin("test").await.unwrap();
    intake::withdraw(&mut tx, &service.desk, &service.controller, request, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    let case = service.case(request).await;
    assert_eq!((case.state, case.outcome), (RequestState::Closed, Some(Outcome::Withdrawn)));
}

#[tokio::test]
async fn f_42_an_opt_out_that_stopped_goes_on_when_a_person_says_that_it_is_still_wanted() {
    let service = start().await;
    let (request, contact) = stopped(&service).await;
    let listed = candidates(&service, request).await;
    choose(&service, request, &listed[0].code).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(false));
    service.finish().await;
}

#[tokio::test]
async fn f_42_an_opt_out_that_stopped_chooses_no_other_contact() {
    let service = start().await;
    let (request, contact) = stopped(&service).await;
    let own = candidates(&service, request).await.remove(0).code;
    let other = service.platform.add_contact(spec(&service));
    let listed = candidates(&service, request).await;
    let another = listed.iter().find(|each| each.code != own).unwrap();
    let refused = choose(&service, request, &another.code).await;
    assert!(matches!(refused, Err(TriageError::AlreadyLocated)), "{refused:?}");
    choose(&service, request, &own).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(false));
    assert_eq!(service.platform.truth(&other).unwrap().policy("mktgCommunications"), Some(true));
    service.finish().await;
}

#[tokio::test]
async fn f_42_an_opt_out_that_stopped_is_withdrawn_when_it_is_not_wanted_any_more() {
    let service = start().await;
    let (request, contact) = stopped(&service).await;
    withdraw(&service, request).await;
    service.work_to_the_end().await;
    assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(true));
    service.finish().await;
}

#[tokio::test]
async fn f_42_an_opt_out_that_stopped_halfway_is_withdrawn_and_the_log_says_so() {
    let service = start().await;
    let contact = service.platform.add_contact(spec(&service).policy("termsOfUse", true));
    // The first policy is switched off, the second cannot be.
    service.simulator.faults().inject(Fault::Status(503).on(Endpoint::UpdatePolicies).after(1));
    let mut submission = service.submission(RequestKind::OptOut, &[(Email, ADDRESS)]);
    submission.policies = vec!["mktgCommunications".to_owned(), "termsOfUse".to_owned()];
    let receipt =
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap();
    service.work().await;
    service.simulator.faults().clear();
    assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(false));
    service.platform.set_policy(&contact, "mktgCommunications", true);
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::NewerWill));
    withdraw(&service, receipt.request).await;
    let log = service.audit().await;
    let withdrawn = log.iter().find(|entry| entry.action == "request.withdrawn").unwrap();
    assert_eq!(withdrawn.detail["effect_begun"], true);
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn f_42_a_change_of_the_profile_is_seen_in_whatever_zone_its_time_stands() {
    let service = start().await;
    let contact = service.platform.add_contact(spec(&service));
    // Refused: nothing of ours has changed the profile.
    service.simulator.faults().inject(Fault::Status(409).on(Endpoint::UpdatePolicies));
    let receipt = service.submit(RequestKind::OptOut, &[(Email, ADDRESS)]).await;
    service.work().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::PlatformRejected));
    service.simulator.faults().clear();
    // Changed an hour ago, says a platform that is eight hours behind and writes `Z`.
    let changed = service.clock.now() - TimeDelta::hours(9);
    let json = service.platform.contact_json(&contact).unwrap();
    let mut profile: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(profile["modified"].is_string(), "{profile}");
    profile["modified"] = changed.to_rfc3339().into();
    service
        .simulator
        .faults()
        .inject(Fault::Body(profile.to_string()).on(Endpoint::Contact).for_contact(&contact));
    resume(&service, receipt.request).await;
    service.work().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::NewerWill));
    service.simulator.faults().clear();
    service.finish().await;
}

#[tokio::test]
async fn f_42_an_erasure_does_not_delete_who_signed_up_after_it_by_a_time_without_its_zone() {
    for (created, wanted) in [("2026-11-23 08:00:00", true), ("2026-11-22 18:00:00", false)] {
        let service = TestService::start().await;
        // Asked for at 11:00Z; in California the first of the two is 16:00Z.
        let receipt = service.submit(RequestKind::Erasure, &[(Email, ADDRESS)]).await;
        let spec = ContactSpec::new().email(ADDRESS).created_json(format!("\"{created}\""));
        let contact = service.platform.add_contact(spec);
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        assert_eq!(case.park_reason == Some(ParkReason::NewerWill), wanted, "{created}");
        assert_eq!(service.platform.truth(&contact).unwrap().exists, wanted, "{created}");
        service.finish().await;
    }
}

#[tokio::test]
async fn s_6_for_an_erasure_whose_contact_was_found_before_no_other_is_chosen() {
    const OTHER: &str = "canarino.trasloco@posta.example";
    let service = reminders::start().await;
    let contact = service.platform.add_contact(person());
    let stuck = submit(&service, RequestKind::Erasure, &[(Phone, NUMBER)], None).await;
    let secret = asked(&service, stuck.request).await;
    // The number moves to somebody else while the proof is waited for.
    let json = service.platform.contact_json(&contact).unwrap();
    let moved = Fault::Body(json.replace(NUMBER, "+39 333 7654321")).on(Endpoint::Contact);
    service.simulator.faults().inject(moved.for_contact(&contact));
    let other = service.platform.add_contact(ContactSpec::new().email(OTHER).phone(NUMBER));
    confirm(&service, &secret, NUMBER).await;
    service.work_to_the_end().await;
    let case = service.case(stuck.request).await;
    assert_eq!(case.park_reason, Some(ParkReason::ChosenContactChanged));
    let site = crate::decide::site(&service);
    let looked = dsrd::triage::candidates(site, stuck.request, dpo()).await;
    assert!(matches!(looked, Err(TriageError::AlreadyLocated)), "{looked:?}");
    let chosen = choose(&service, stuck.request, "00000000").await;
    assert!(matches!(chosen, Err(TriageError::AlreadyLocated)), "{chosen:?}");
    assert_eq!(service.case(stuck.request).await.contact, case.contact);
    // What the other one asks is theirs.
    let own = service.submit(RequestKind::Erasure, &[(Email, OTHER)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(own.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [other]);
    service.finish().await;
}

#[tokio::test]
async fn f_42_what_was_done_before_the_person_asked_again_is_no_newer_will() {
    // Until the contact is found nothing answers, or the policy cannot be switched off; the platform shows a policy that was switched on
    // as modified at 09:30. Who asks again before that, or after it?
    for (located, asked_again, stops) in
        [(false, 120, false), (true, 120, false), (false, 10, true), (true, 10, true)]
    {
        let built = TestService::builder().starting_at("2026-01-15T09:00:00Z".parse().unwrap()).build().await;
        let service = reminders::taking_reminders(built);
        let contact = service.platform.add_contact(spec(&service));
        let (faults, outage) = (service.simulator.faults(), Fault::Status(503));
        if located {
            faults.inject(outage.on(Endpoint::UpdatePolicies))
        } else {
            faults.inject(outage)
        };
        let first = service.submit(RequestKind::OptOut, &[(Email, ADDRESS)]).await;
        service.work().await;
        assert_eq!(service.case(first.request).await.located, located);
        service.platform.set_policy(&contact, "mktgCommunications", true);
        service.advance(Duration::from_mins(asked_again)).await;
        let again = service.submit(RequestKind::OptOut, &[(Email, ADDRESS)]).await;
        assert_eq!(again.reminds_of, Some(first.reference));
        service.simulator.faults().clear();
        service.work_to_the_end().await;
        let case = service.case(first.request).await;
        assert_eq!(case.park_reason, stops.then_some(ParkReason::NewerWill), "{located} {asked_again}");
        let policy = service.platform.truth(&contact).unwrap().policy("mktgCommunications");
        assert_eq!(policy, Some(stops), "{located} {asked_again}");
        service.finish().await;
    }
}

#[tokio::test]
async fn f_42_who_signed_up_and_then_asked_again_to_be_forgotten_is_and_not_by_the_word_of_a_stranger() {
    for known in [true, false] {
        let service = reminders::start().await;
        service.simulator.faults().inject(Fault::Status(503));
        let first = service.submit(RequestKind::Erasure, &[(Email, ADDRESS)]).await;
        service.work().await;
        let signed_up = ContactSpec::new().email(ADDRESS).created(service.clock.now());
        let contact = service.platform.add_contact(signed_up);
        service.advance(Duration::from_hours(3)).await;
        let mut again = service.submission(RequestKind::Erasure, &[(Email, ADDRESS)]);
        again.proof = again.proof.filter(|_| known);
        let again = intake::submit_request(&service.store, &service.desk, &service.controller, again).await;
        assert_eq!(again.unwrap().reminds_of, Some(first.reference));
        service.simulator.faults().clear();
        service.work_to_the_end().await;
        let case = service.case(first.request).await;
        assert_eq!(case.park_reason, (!known).then_some(ParkReason::NewerWill));
        assert_eq!(service.platform.truth(&contact).unwrap().exists, !known);
        service.finish().await;
    }
}
