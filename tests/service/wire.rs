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

/// A person of their own for each fault, so that one service meets all of them.
fn person(service: &TestService, number: usize) -> (String, String) {
    let email = format!("canarino{number}@posta.example");
    let contact = service.platform.add_contact(ada().email(&email).ext_id(format!("canarino-{number}")));
    (email, contact)
}

/// Each fault meets a request for a while, more often than the client itself tries, so that the request is put back.
async fn faults_that_pass_change_nothing(kind: RequestKind, faults: Vec<(Fault, Endpoint)>) {
    let service = TestService::builder().most_attempts(10).build().await;
    for (number, (fault, endpoint)) in faults.into_iter().enumerate() {
        let (email, contact) = person(&service, number);
        let planned = service.simulator.faults().inject(fault.clone().on(endpoint).times(3));
        let receipt = service.submit(kind, &[(Email, &email)]).await;
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        assert_eq!(case.outcome, Some(Outcome::Fulfilled), "{kind}, {fault:?} on {endpoint:?}: {case:?}");
        assert_eq!(service.platform.truth(&contact).unwrap().exists, kind != RequestKind::Erasure);
        service.simulator.faults().remove(planned);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_31_answers_that_break_off_or_never_end_are_asked_for_again() {
    let every = |faults: Vec<Fault>, endpoints: &[Endpoint]| -> Vec<(Fault, Endpoint)> {
        endpoints
            .iter()
            .flat_map(|endpoint| faults.iter().map(move |fault| (fault.clone(), *endpoint)))
            .collect()
    };
    let lists = [Endpoint::ListContacts, Endpoint::ContactEvents];
    let mut runs = Vec::new();
    for kind in [RequestKind::Erasure, RequestKind::Access] {
        runs.push(faults_that_pass_change_nothing(kind, every(broken(), &READ)));
        // Each costs the client its patience: all at the same time.
        for stalls in every(stalling(), &lists) {
            runs.push(faults_that_pass_change_nothing(kind, vec![stalls]));
        }
    }
    join_all(runs).await;
}

/// Each fault stays for as long as the request has attempts.
async fn faults_that_stay_wait_for_a_person(kind: RequestKind, faults: Vec<(Fault, Endpoint)>) {
    let service = TestService::builder().most_attempts(2).build().await;
    for (number, (fault, endpoint)) in faults.into_iter().enumerate() {
        let (email, contact) = person(&service, number);
        let planned = service.simulator.faults().inject(fault.clone().on(endpoint));
        let receipt = service.submit(kind, &[(Email, &email)]).await;
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        let place = format!("{kind}, {fault:?} on {endpoint:?}: {case:?}");
        // An answer that is lost is no unreadable answer, and never "no data".
        assert_eq!(case.park_reason, Some(ParkReason::AttemptsExhausted), "{place}");
        assert_eq!((case.outcome, case.verified_at), (None, None), "{place}");
        assert_eq!(service.mails.sent_to(&email).len(), 1, "only the acknowledgement: {place}");
        let before_the_effect = matches!(endpoint, Endpoint::ListContacts | Endpoint::Contact);
        if before_the_effect || kind == RequestKind::Access {
            assert!(service.platform.truth(&contact).unwrap().exists, "{place}");
        }
        service.simulator.faults().remove(planned);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_31_f_9_answers_that_always_break_off_or_never_end_wait_for_a_person() {
    let cut =
        [Fault::ResetBeforeEffect, Fault::CutWithLength, Fault::CutChunked, Fault::ResetAfterBytes(120)];
    let mut runs = Vec::new();
    for kind in [RequestKind::Erasure, RequestKind::Access] {
        let faults = READ.iter().flat_map(|endpoint| {
            cut.iter().filter_map(move |fault| {
                // After a deletion the records answer 404, of which nothing is cut.
                let nothing_to_cut = kind == RequestKind::Erasure
                    && !matches!(endpoint, Endpoint::ListContacts | Endpoint::Contact)
                    && *fault != Fault::ResetBeforeEffect;
                (!nothing_to_cut).then(|| (fault.clone(), *endpoint))
            })
        });
        runs.push(faults_that_stay_wait_for_a_person(kind, faults.collect()));
        for stalls in stalling() {
            runs.push(faults_that_stay_wait_for_a_person(kind, vec![(stalls, Endpoint::ListContacts)]));
        }
    }
    join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_32_a_body_cut_at_valid_json_never_becomes_no_data() {
    for kind in [RequestKind::Erasure, RequestKind::Access] {
        let service = TestService::builder().most_attempts(10).build().await;
        for (number, endpoint) in READ.into_iter().enumerate() {
            let (email, contact) = person(&service, number);
            let fault = service.simulator.faults().inject(Fault::CutAtValidJson.on(endpoint).times(1));
            let receipt = service.submit(kind, &[(Email, &email)]).await;
            service.work_to_the_end().await;
            assert_eq!(service.simulator.faults().hits(fault), 1);
            let case = service.case(receipt.request).await;
            // The oracle compares the counts of a package with the platform's.
            assert_eq!(case.outcome, Some(Outcome::Fulfilled), "{kind} on {endpoint:?}: {case:?}");
            assert_eq!(service.platform.truth(&contact).unwrap().exists, kind == RequestKind::Access);
        }
        service.finish().await;
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
    for kind in RequestKind::AUTOMATED {
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
    let other = service.platform.add_contact(ContactSpec::new().email("somebody-else@posta.example"));
    let other = Fault::Body(service.platform.contact_json(&other).unwrap());
    let faults = service.simulator.faults();
    let in_between = KillSwitch::new(move |reached| {
        if reached == "verify.before" {
            faults.inject(other.clone().on(Endpoint::Contact));
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
    service.advance(Duration::from_mins(10)).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    let story = service.story(receipt.request).await;
    assert!(story.contains(&"deletion.ended=outcome_unknown".to_owned()), "{story:?}");
    service.finish().await;
}
