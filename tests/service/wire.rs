//! The way to the platform breaks, and the platform changes under a request.

use std::time::Duration;

use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Outcome, ParkReason, RequestKind, RequestState};
use dsrd::execution::KillSwitch;
use dsrd_simulator::{ContactSpec, Endpoint, Fault};
use futures_util::future::join_all;

use crate::support::service::TestService;

fn ada() -> ContactSpec {
    ContactSpec::new()
        .name("Canarino", "Prova")
        .email("canarino@posta.example")
        .policy("mktgCommunications", true)
        .events(40)
        .devices(3)
        .accountings(7)
}

/// What an erasure and an access request read.
const READ: [Endpoint; 5] = [
    Endpoint::ListContacts,
    Endpoint::Contact,
    Endpoint::ContactEvents,
    Endpoint::Devices,
    Endpoint::Accountings,
];

/// Ways in which an answer does not arrive whole.
fn broken() -> Vec<Fault> {
    let mut faults = vec![
        Fault::FailWithoutEffect,
        Fault::ResetBeforeEffect,
        Fault::ResetAfterEffect,
        Fault::LoseAnswer,
        Fault::CutWithLength,
        Fault::CutChunked,
    ];
    faults.extend([1, 17, 120, 400].map(Fault::ResetAfterBytes));
    faults
}

/// Ways in which an answer does not end; each costs the client its patience.
fn stalling() -> Vec<Fault> {
    vec![Fault::NeverAnswer, Fault::StalledBody { after: 20 }]
}

async fn a_fault_that_passes_changes_nothing(kind: RequestKind, fault: Fault, endpoint: Endpoint) {
    let service = TestService::builder().most_attempts(10).build().await;
    let contact = service.platform.add_contact(ada());
    // More often than the client itself tries, so that the request is put back at least once.
    service.simulator.faults().inject(fault.clone().on(endpoint).times(3));
    let receipt = service.submit(kind, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.outcome, Some(Outcome::Fulfilled), "{kind}, {fault:?} on {endpoint:?}: {case:?}");
    assert_eq!(service.platform.truth(&contact).unwrap().exists, kind != RequestKind::Erasure);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_31_answers_that_break_off_or_never_end_are_asked_for_again() {
    for kind in [RequestKind::Erasure, RequestKind::Access] {
        for endpoint in READ {
            join_all(
                broken().into_iter().map(|fault| a_fault_that_passes_changes_nothing(kind, fault, endpoint)),
            )
            .await;
        }
    }
    join_all([RequestKind::Erasure, RequestKind::Access].into_iter().flat_map(|kind| {
        [Endpoint::ListContacts, Endpoint::Contact, Endpoint::ContactEvents].into_iter().flat_map(
            move |endpoint| {
                stalling()
                    .into_iter()
                    .map(move |fault| a_fault_that_passes_changes_nothing(kind, fault, endpoint))
            },
        )
    }))
    .await;
}

async fn a_fault_that_stays_waits_for_a_person(kind: RequestKind, fault: Fault, endpoint: Endpoint) {
    let service = TestService::builder().most_attempts(2).build().await;
    let contact = service.platform.add_contact(ada());
    service.simulator.faults().inject(fault.clone().on(endpoint));
    let receipt = service.submit(kind, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    let place = format!("{kind}, {fault:?} on {endpoint:?}: {case:?}");
    // An answer that is lost is no unreadable answer, and never "no data".
    assert_eq!(case.park_reason, Some(ParkReason::AttemptsExhausted), "{place}");
    assert_eq!(case.outcome, None, "{place}");
    assert_eq!(service.mails.sent().len(), 1, "only the acknowledgement: {place}");
    let before_the_effect = matches!(endpoint, Endpoint::ListContacts | Endpoint::Contact);
    if before_the_effect || kind == RequestKind::Access {
        assert!(service.platform.truth(&contact).unwrap().exists, "{place}");
        assert!(service.simulator.journal().effects().is_empty(), "{place}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_31_answers_that_always_break_off_or_never_end_wait_for_a_person() {
    for kind in [RequestKind::Erasure, RequestKind::Access] {
        let faults =
            [Fault::ResetBeforeEffect, Fault::CutWithLength, Fault::CutChunked, Fault::ResetAfterBytes(120)];
        for endpoint in READ {
            join_all(
                faults
                    .iter()
                    .map(|fault| a_fault_that_stays_waits_for_a_person(kind, fault.clone(), endpoint)),
            )
            .await;
        }
    }
    join_all([RequestKind::Erasure, RequestKind::Access].into_iter().flat_map(|kind| {
        stalling()
            .into_iter()
            .map(move |fault| a_fault_that_stays_waits_for_a_person(kind, fault, Endpoint::ListContacts))
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_32_a_body_cut_at_valid_json_never_becomes_no_data() {
    for kind in [RequestKind::Erasure, RequestKind::Access] {
        for endpoint in READ {
            let service = TestService::builder().most_attempts(10).build().await;
            let contact = service.platform.add_contact(ada());
            let fault = service.simulator.faults().inject(Fault::CutAtValidJson.on(endpoint).times(1));
            let receipt = service.submit(kind, &[(Email, "canarino@posta.example")]).await;
            service.work_to_the_end().await;
            assert_eq!(service.simulator.faults().hits(fault), 1);
            let case = service.case(receipt.request).await;
            // The oracle compares the counts of a package with the platform's.
            assert_eq!(case.outcome, Some(Outcome::Fulfilled), "{kind} on {endpoint:?}: {case:?}");
            assert_eq!(service.platform.truth(&contact).unwrap().exists, kind == RequestKind::Access);
            service.finish().await;
        }
    }
}

#[tokio::test]
async fn f_36_a_contact_that_somebody_else_deleted_in_between_is_absent_and_not_by_us() {
    for boundary in ["delete.before", "delete.began"] {
        let service = TestService::start().await;
        let contact = service.platform.add_contact(ada());
        let (platform, vanishing) = (service.platform.clone(), contact.clone());
        let in_between = KillSwitch::new(move |reached| {
            if reached == boundary {
                platform.delete_contact(&vanishing);
            }
            false
        });
        let receipt = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
        service.worker_with(in_between, false).await.work_until_idle().await.unwrap();
        service.work_to_the_end().await;
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled), "{boundary}");
        let story = service.story(receipt.request).await;
        assert!(story.contains(&"deletion.ended=absent".to_owned()), "{boundary}: {story:?}");
        service.finish().await;
    }
}

#[tokio::test]
async fn f_36_a_contact_that_vanishes_before_its_records_are_read_makes_a_package_that_says_so() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let (platform, vanishing) = (service.platform.clone(), contact.clone());
    let in_between = KillSwitch::new(move |reached| {
        if reached == "collect.before" {
            platform.delete_contact(&vanishing);
        }
        false
    });
    let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    service.worker_with(in_between, false).await.work_until_idle().await.unwrap();
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.outcome, Some(Outcome::PartlyFulfilled), "{case:?}");
    service.finish().await;
}

#[tokio::test]
async fn f_43_an_answer_by_id_that_is_somebody_else_is_never_used() {
    for kind in RequestKind::ALL {
        let service = TestService::builder().most_attempts(2).build().await;
        let _contact = service.platform.add_contact(ada());
        service.simulator.faults().inject(Fault::OtherContact);
        let receipt = service.submit(*kind, &[(Email, "canarino@posta.example")]).await;
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        assert_eq!(case.park_reason, Some(ParkReason::PlatformUnreadable), "{kind}: {case:?}");
        assert!(service.simulator.journal().effects().is_empty(), "{kind}");
        assert!(service.mails.sent().iter().all(|mail| mail.link.is_none()), "{kind}");
        service.finish().await;
    }
}

#[tokio::test]
async fn f_43_somebody_else_in_the_read_back_is_no_proof_of_absence() {
    let service = TestService::builder().most_attempts(2).build().await;
    let contact = service.platform.add_contact(ada());
    let faults = service.simulator.faults();
    let in_between = KillSwitch::new(move |reached| {
        if reached == "verify.before" {
            faults.inject(Fault::OtherContact);
        }
        false
    });
    let receipt = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
    service.worker_with(in_between, false).await.work_until_idle().await.unwrap();
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.verified_at), (RequestState::Manual, None), "{case:?}");
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    assert_eq!(service.mails.sent().len(), 1, "nobody is told that it is done");
    service.finish().await;
}

#[tokio::test]
async fn f_38_a_worker_that_dies_after_a_lost_answer_repeats_nothing_and_tells_once() {
    for (kind, boundary, endpoint, ended) in [
        (RequestKind::Erasure, "delete.called", Endpoint::DeleteContact, "deletion.ended=by_former_attempt"),
        (RequestKind::OptOut, "apply.called", Endpoint::UpdatePolicies, "policy.ended=by_former_attempt"),
    ] {
        for fault in [Fault::LoseAnswer, Fault::ResetAfterEffect, Fault::HangAfterEffect] {
            let service = TestService::start().await;
            let _contact = service.platform.add_contact(ada());
            service.simulator.faults().inject(fault.clone().on(endpoint).times(1));
            let receipt = service.submit(kind, &[(Email, "canarino@posta.example")]).await;
            let dying = KillSwitch::new(move |reached| reached == boundary);
            service.worker_with(dying, false).await.work_once().await.unwrap();
            service.bury_workers().await;
            service.work_to_the_end().await;
            let place = format!("{kind}, {fault:?}");
            assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled), "{place}");
            assert_eq!(service.simulator.journal().calls(endpoint), 1, "{place}");
            assert_eq!(service.simulator.journal().effects().len(), 1, "{place}");
            let story = service.story(receipt.request).await;
            assert!(story.contains(&ended.to_owned()), "{place}: {story:?}");
            // The acknowledgement, and one notice of the outcome.
            assert_eq!(service.mails.sent().len(), 2, "{place}");
            service.finish().await;
        }
    }
}

#[tokio::test]
async fn f_38_a_deletion_that_is_lost_without_effect_is_done_by_the_next_attempt() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    service.simulator.faults().inject(Fault::FailWithoutEffect.on(Endpoint::DeleteContact).times(1));
    let receipt = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
    service.work().await;
    service.advance(Duration::from_secs(600)).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    let story = service.story(receipt.request).await;
    assert!(story.contains(&"deletion.ended=outcome_unknown".to_owned()), "{story:?}");
    service.finish().await;
}
