//! Opt-outs: switched off, read back, told.

use std::sync::Arc;
use std::time::Duration;

use chrono::Months;
use dsrd::delivery::{Plan, day_in_words};
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{KillSwitch, Outcome, ParkReason, RequestId, RequestKind, RequestState};
use dsrd::intake::{self, Submission};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};

use crate::deadlines::extend;
use crate::support::service::TestService;

fn ada() -> ContactSpec {
    ContactSpec::new()
        .name("Canarino", "Prova")
        .email("canarino@posta.example")
        .phone("+39 333 1234567")
        .policy("mktgCommunications", true)
}

#[tokio::test]
async fn an_opt_out_is_switched_off_read_back_and_told() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let receipt = service.submit(RequestKind::OptOut, &[(Email, "Canarino@posta.example")]).await;
    service.work().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.outcome), (RequestState::Closed, Some(Outcome::Fulfilled)));
    assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(false));
    let kinds: Vec<String> = service.mails.sent().iter().map(|mail| mail.subject.clone()).collect();
    assert_eq!(kinds.len(), 2, "acknowledgement and outcome: {kinds:?}");
    assert_eq!(
        service.story(receipt.request).await,
        [
            "request.received",
            "notice.enqueued",
            "notice.began",
            "notice.ended=done",
            "contact.located",
            "policy.began",
            "policy.ended=done",
            "policy.verified",
            "suppression.added",
            "notice.enqueued",
            "notice.began",
            "notice.ended=done",
            "request.closed",
        ]
    );
    service.finish().await;
}

#[tokio::test]
async fn r_54_an_opt_out_is_told_with_what_is_kept_and_until_when() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    let told = service.last_told();
    let today = service.controller.local_date(service.desk.clock.now());
    let until = today.checked_add_months(Months::new(36)).unwrap();
    let until = format!("until {}.", day_in_words("en", &service.controller, until));
    for said in ["Marketing is switched off", &until, "A fingerprint of your contact details"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    service.finish().await;
}

#[tokio::test]
async fn what_was_asked_and_how_long_that_is_kept_is_said_from_the_acknowledgement_to_the_withdrawal() {
    for (policies, said, other) in [
        (&["customs.newsletter"][..], "an end to: newsletter", "no more marketing"),
        (&["mktgCommunications"], "no more marketing", "an end to:"),
        (&[], "no more marketing", "an end to:"),
    ] {
        let service = TestService::start().await;
        let _contact = service.platform.add_contact(ada());
        let mut submission = service.submission(RequestKind::OptOut, &[(Email, "canarino@posta.example")]);
        submission.policies = policies.iter().map(|&policy| policy.to_owned()).collect();
        let receipt = intake::submit_request(&service.store, &service.desk, &service.controller, submission)
            .await
            .unwrap();
        service.pump().await;
        let told = service.last_told();
        assert!(told.contains("We have received your request"), "{told}");
        assert!(told.contains(said) && !told.contains(other), "{policies:?}: {told}");
        let mut tx = service.store.begin("test").await.unwrap();
        let dpo = dsrd::audit::Actor::Person("dpo".to_owned());
        let (desk, controller) = (&service.desk, &service.controller);
        intake::withdraw(&mut tx, desk, controller, receipt.request, dpo).await.unwrap();
        tx.commit().await.unwrap();
        service.pump().await;
        let told = service.last_told();
        let today = controller.local_date(desk.clock.now());
        let until = today.checked_add_months(Months::new(36)).unwrap();
        let until = format!("We keep it until {}.", day_in_words("en", controller, until));
        assert!(told.contains("has been withdrawn") && told.contains(&until), "{told}");
        assert!(told.contains(said) && !told.contains(other), "{policies:?}: {told}");
        service.finish().await;
    }
}

#[tokio::test]
async fn where_not_all_marketing_was_meant_nobody_is_told_that_it_is_off() {
    for (kind, policies, said) in [
        (RequestKind::OptOut, &["customs.newsletter"][..], "what you no longer want"),
        (RequestKind::ConsentWithdrawal, &["customs.newsletter"], "take back what you had consented to"),
        (RequestKind::ConsentWithdrawal, &[], "take back what you had consented to"),
        (RequestKind::CcpaOptOut, &[], "not to sell or share your data"),
    ] {
        let service = TestService::start().await;
        let contact = service.platform.add_contact(ada().policy("newsletter", true));
        let mut submission = service.submission(kind, &[(Email, "canarino@posta.example")]);
        submission.policies = policies.iter().map(|&policy| policy.to_owned()).collect();
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap();
        service.work_to_the_end().await;
        let told = service.last_told();
        assert!(told.contains(said) && told.contains("What is not named above stays as it was"), "{told}");
        for untrue in ["no more marketing", "Marketing is switched off"] {
            assert!(!told.contains(untrue), "{kind} {policies:?}: {untrue}: {told}");
        }
        let marketing = service.platform.truth(&contact).unwrap().policy("mktgCommunications");
        assert_eq!(marketing, Some(!policies.is_empty()));
        service.finish().await;
    }
}

#[tokio::test]
async fn f_40_a_policy_that_is_accepted_but_not_applied_ends_with_a_person() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    service.simulator.faults().inject(Fault::PolicyNotApplied);
    let receipt = service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.park_reason, Some(ParkReason::VerificationFailed));
    assert!(service.story(receipt.request).await.contains(&"verification.failed".to_owned()));
    service.finish().await;
}

#[tokio::test]
async fn f_38_a_policy_change_whose_answer_is_lost_is_found_and_not_repeated() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    service.simulator.faults().inject(Fault::LoseAnswer.on(Endpoint::UpdatePolicies).times(1));
    let receipt = service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().effects().len(), 1);
    assert!(service.story(receipt.request).await.contains(&"policy.ended=by_former_attempt".to_owned()));
    service.finish().await;
}

/// The operator corrects the configuration and starts the daemon again.
fn configure(service: &mut TestService, policies: &[&str]) {
    let controller = Arc::make_mut(&mut service.controller);
    controller.opt_out_policies = policies.iter().map(|each| (*each).to_owned()).collect();
    let mut executor = service.executor_with(KillSwitch::default());
    executor.sites.get_mut(&service.controller.id).unwrap().controller = Arc::clone(&service.controller);
    service.executor = Arc::new(executor);
}

async fn resume(service: &TestService, request: RequestId) {
    let mut tx = service.store.begin("test").await.unwrap();
    let actor = dsrd::audit::Actor::Person("dpo".to_owned());
    intake::resume(&mut tx, &service.desk, &service.controller.id, request, actor).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn r_51_an_opt_out_that_waits_because_of_the_configuration_goes_on_with_it_once_it_is_mended() {
    for (wrong, reason) in [
        (&[][..], ParkReason::NothingToOptOutOf),
        (&["mktgComunications"], ParkReason::PlatformRejected),
        (&["customs.newsletter"], ParkReason::VerificationFailed),
    ] {
        let mut service = TestService::start().await;
        configure(&mut service, wrong);
        let contact = service.platform.add_contact(ada().policy("newsletter", true));
        // The platform takes a name and shows nothing of it.
        let ignored = service.simulator.faults().inject(Fault::PolicyNotApplied);
        let receipt = service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
        let named = Submission {
            policies: vec!["mktgComunications".to_owned()],
            ..service.submission(RequestKind::ConsentWithdrawal, &[(Email, "canarino@posta.example")])
        };
        let named =
            intake::submit_request(&service.store, &service.desk, &service.controller, named).await.unwrap();
        service.work_to_the_end().await;
        assert_eq!(service.case(receipt.request).await.park_reason, Some(reason));

        service.simulator.faults().remove(ignored);
        configure(&mut service, &["mktgCommunications"]);
        resume(&service, receipt.request).await;
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        assert_eq!((case.outcome, case.policies), (Some(Outcome::Fulfilled), controller_policies(&service)));
        assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(false));
        // What a request names itself, nobody names otherwise.
        let named = service.case(named.request).await;
        assert_eq!((named.policies_named, named.policies), (true, vec!["mktgComunications".to_owned()]));
        service.finish().await;
    }
}

fn controller_policies(service: &TestService) -> Vec<String> {
    service.controller.opt_out_policies.clone()
}

#[tokio::test]
async fn s_6_two_contacts_with_one_phone_wait_for_a_person() {
    for kind in RequestKind::AUTOMATED {
        let service = TestService::start().await;
        let _one = service.platform.add_contact(ada());
        let _two = service
            .platform
            .add_contact(ContactSpec::new().email("other@posta.example").phone("+39 (333) 123-4567"));
        let receipt = service.submit(*kind, &[(Phone, "333 1234567")]).await;
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        assert_eq!(case.park_reason, Some(ParkReason::AmbiguousMatch), "{kind}");
        assert!(service.simulator.journal().effects().is_empty());
        service.finish().await;
    }
}

#[tokio::test]
async fn identifiers_of_different_contacts_wait_for_a_person() {
    let service = TestService::start().await;
    let _one = service.platform.add_contact(ada());
    let _two = service
        .platform
        .add_contact(ContactSpec::new().email("other@posta.example").phone("+39 333 7654321"));
    let receipt = service
        .submit(RequestKind::Erasure, &[(Email, "canarino@posta.example"), (Phone, "333 7654321")])
        .await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::IdentifiersDisagree));
    service.finish().await;
}

#[tokio::test]
async fn an_acknowledgement_that_is_late_is_dropped_for_the_answer() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    let receipt = service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
    // The worker is faster than the pump.
    service.worker().await.work_until_idle().await.unwrap();
    service.pump().await;
    assert_eq!(service.mails.sent().len(), 1, "the answer only");
    assert!(service.story(receipt.request).await.contains(&"notice.superseded".to_owned()));
    service.finish().await;
}

#[tokio::test]
async fn an_acknowledgement_that_failed_or_was_broken_off_does_not_follow_the_answer() {
    for broken_off in [false, true] {
        let service = TestService::start().await;
        let _contact = service.platform.add_contact(ada());
        let receipt = service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
        if broken_off {
            // How it ended nobody sees before it is tried again.
            let kill = KillSwitch::new(|boundary| boundary == "notice.begun");
            service.executor.mailer.with_kill(kill).pump_once().await.unwrap_err();
        } else {
            service.mails.plan(Plan::NoConnection, 1);
            service.pump().await;
        }
        service.worker().await.work_until_idle().await.unwrap();
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
        service.advance(Duration::from_hours(1)).await;
        service.pump().await;
        let subjects: Vec<String> = service.mails.sent().into_iter().map(|mail| mail.subject).collect();
        assert_eq!(subjects.len(), 1, "the answer only: {subjects:?}");
        let story = service.story(receipt.request).await;
        assert_eq!(story.iter().filter(|each| *each == "notice.superseded").count(), 1, "{story:?}");
        service.finish().await;
    }
}

#[tokio::test]
async fn s_5_an_acknowledgement_to_another_address_than_the_answers_goes_out_after_it() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    let identifiers = [(Email, "canarino@casella.example"), (Phone, "+39 333 1234567")];
    let submission = Submission { proof: None, ..service.submission(RequestKind::OptOut, &identifiers) };
    let receipt =
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap();
    service.mails.plan(Plan::NoConnection, 1);
    service.pump().await;
    service.worker().await.work_until_idle().await.unwrap();
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.advance(Duration::from_hours(1)).await;
    service.pump().await;
    let to: Vec<String> = service.mails.sent().iter().map(|mail| mail.to.expose().clone()).collect();
    assert_eq!(to, ["canarino@posta.example", "canarino@casella.example"]);
    service.finish().await;
}

#[tokio::test]
async fn more_time_that_was_never_told_is_not_asked_for_after_the_answer() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    let request = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await.request;
    service.pump().await;
    service.mails.plan(Plan::NoConnection, 1);
    extend(&service, request).await.unwrap();
    service.pump().await;
    service.worker().await.work_until_idle().await.unwrap();
    let case = service.case(request).await;
    assert_eq!((case.outcome, case.extended), (Some(Outcome::Fulfilled), false));
    let sent = service.mails.sent().len();
    service.advance(Duration::from_hours(1)).await;
    service.pump().await;
    assert_eq!(service.mails.sent().len(), sent, "{:?}", service.mails.sent().pop().map(|mail| mail.subject));
    assert!(!service.case(request).await.extended);
    let log = service.audit().await;
    let dropped: Vec<_> = log.iter().filter(|entry| entry.action == "notice.superseded").collect();
    assert_eq!(dropped.len(), 1);
    assert_eq!(dropped[0].detail["kind"], "extension");
    service.finish().await;
}

#[tokio::test]
async fn f_40_a_policy_that_the_profile_never_shows_is_no_proof() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada().without_policy("mktgCommunications"));
    service.simulator.faults().inject(Fault::PolicyNotApplied);
    let receipt = service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::VerificationFailed));
    service.finish().await;
}

#[tokio::test]
async fn f_39_a_contact_that_one_look_does_not_find_is_not_told_to_be_opted_out() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    service.simulator.faults().inject(Fault::PolicyNotApplied);
    // A copy that lags behind: seen when it is located, not when it is read back.
    service.simulator.faults().inject(Fault::Status(404).on(Endpoint::Contact).after(1).times(1));
    let receipt = service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.park_reason, case.verified_at), (Some(ParkReason::VerificationFailed), None));
    assert_eq!(service.mails.sent().len(), 1, "the acknowledgement only");
    service.finish().await;
}

#[tokio::test]
async fn f_39_a_contact_that_no_look_by_its_id_finds_but_a_search_does_is_not_told_to_be_opted_out() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    service.simulator.faults().inject(Fault::PolicyNotApplied);
    service.simulator.faults().inject(Fault::Status(404).on(Endpoint::Contact).after(1));
    let receipt = service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.park_reason, case.verified_at), (Some(ParkReason::VerificationFailed), None));
    assert_eq!(service.mails.sent().len(), 1, "the acknowledgement only");
    service.finish().await;
}

#[tokio::test]
async fn f_39_a_contact_that_is_gone_is_told_to_be_opted_out_after_the_second_look() {
    let service = TestService::builder().second_look_secs(30).build().await;
    let contact = service.platform.add_contact(ada());
    service.simulator.faults().inject(Fault::Status(404).on(Endpoint::Contact).after(1).times(1));
    let receipt = service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
    service.work().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.outcome, case.verified_at), (None, None), "one look");
    service.platform.delete_contact(&contact);
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    let log = service.audit().await;
    let verified = log.iter().find(|entry| entry.action == "policy.verified").unwrap();
    assert_eq!(verified.detail["contact_absent"], true);
    assert!(verified.detail["looks_apart_secs"].as_u64().unwrap() > 0);
    service.finish().await;
}

#[tokio::test]
async fn r_69_notices_go_to_those_who_opted_out_and_advertise_nothing() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    let told = service.mails.sent().len();
    assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(false));

    let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    let mails = service.mails.sent();
    assert_eq!(mails.len(), told + 2, "acknowledgement and answer, whatever the flags say");
    for mail in &mails {
        assert_eq!(mail.to.expose(), "canarino@posta.example");
        let text = format!("{}\n{}", mail.subject, mail.text.expose()).to_lowercase();
        for advertising in
            ["<img", "newsletter", "discount", "special offer", "utm_", "follow us", "download our app"]
        {
            assert!(!text.contains(advertising), "{advertising}: {text}");
        }
    }
    assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(false));
    service.finish().await;
}
