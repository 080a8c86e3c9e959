//! The waiting for the person who was asked: what it costs, who ends it, and what comes of it (F-10, R-16, R-18).

use std::time::Duration;

use chrono::TimeDelta;
use dsrd::delivery::{self, NoticeKind, Plan};
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    IdentityMethod, IdentityRules, Outcome, ParkReason, RefusalGround, RequestKind, RequestState,
};
use dsrd::execution::KillSwitch;
use dsrd::identity::{self, Confirmation, IdentityError};
use dsrd::intake;
use dsrd::triage::{self, Facts, TriageError};
use dsrd_simulator::{ContactSpec, Endpoint, Fault, RetryAfter};

use crate::identity::{NUMBER, STORED, ask_again, asked, check, confirm, dpo, person, questions, submit};
use crate::rig::count;
use crate::support::service::TestService;

#[tokio::test]
async fn f_10_waiting_uses_up_no_attempts_reminds_once_and_ends_by_rule_with_a_notice() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    asked(&service, receipt.request).await;
    let calls = service.simulator.journal().entries().len();
    let until = service.case(receipt.request).await.identity_until.unwrap();
    assert_eq!(until, service.desk.clock.now() + TimeDelta::days(14));
    // Every hour somebody looks at it, as a wake-up too many would make them.
    for _ in 0..(14 * 24 - 1) {
        service.advance(Duration::from_hours(1)).await;
        let mut connection = service.store.connection().await.unwrap();
        sqlx::query("UPDATE dsrd.job SET run_at = now()").execute(&mut *connection).await.unwrap();
        drop(connection);
        service.work().await;
    }
    service.pump().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.state, RequestState::NeedsIdentity);
    assert_eq!(count(&service, "SELECT sum(attempt + crash_count) FROM dsrd.job").await, 0);
    assert_eq!(questions(&service).len(), 2, "asked, and reminded once");
    assert_eq!(service.simulator.journal().entries().len(), calls, "the platform is left alone");

    service.advance(Duration::from_hours(2)).await;
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.outcome), (RequestState::Closed, Some(Outcome::NotIdentified)));
    assert!(case.informed_at.is_some());
    assert!(service.platform.truth(&contact).unwrap().exists);
    let end = service.mails.sent_to(STORED).pop().unwrap();
    let text = end.text.expose().split_whitespace().collect::<Vec<_>>().join(" ");
    for part in
        ["not carry it out", "Article 12(6)", "What would help", "supervisory authority", "Go to court"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    for mail in questions(&service) {
        let late = mail.link.unwrap().into_exposed();
        assert_eq!(confirm(&service, &late, STORED).await, Confirmation::NoSuchLink);
    }
    let story = service.story(receipt.request).await;
    let place = |action: &str| story.iter().position(|each| each == action).expect(action);
    assert!(place("identity.wanted") < place("identity.asked"));
    assert!(place("identity.asked") < place("identity.unproven"));
    assert!(place("identity.unproven") < place("request.closed"));
    service.finish().await;
}

#[tokio::test]
async fn f_42_who_became_another_while_the_proof_was_waited_for_is_not_deleted() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Phone, NUMBER)], None).await;
    let secret = asked(&service, receipt.request).await;
    let json = service.platform.contact_json(&contact).unwrap();
    let other = json.replace(NUMBER, "+39 333 7654321");
    assert_ne!(json, other);
    let other = Fault::Body(other).on(Endpoint::Contact).for_contact(&contact);
    let other = service.simulator.faults().inject(other);
    assert!(matches!(confirm(&service, &secret, NUMBER).await, Confirmation::Confirmed(_)));
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.park_reason, Some(ParkReason::ChosenContactChanged));
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 0);
    // The number is in the profile again: a person has it go on.
    service.simulator.faults().remove(other);
    let mut tx = service.store.begin("test").await.unwrap();
    intake::resume(&mut tx, &service.desk, &service.controller.id, receipt.request, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test]
async fn f_42_the_data_of_who_became_another_go_to_nobody_and_no_link_goes_to_a_former_address() {
    let asked_first = IdentityRules { access_by_hand_over: false, ..IdentityRules::default() };
    // Their address is another by now, they have none any more, or the record is somebody else's.
    for (from, to) in [
        (STORED, "new.address@posta.example"),
        (&*format!("\"{STORED}\""), "null"),
        (NUMBER, "+39 333 7654321"),
    ] {
        let service = TestService::builder().identity(asked_first.clone()).build().await;
        let contact = service.platform.add_contact(person());
        let receipt = submit(&service, RequestKind::Access, &[(Phone, NUMBER)], None).await;
        let secret = asked(&service, receipt.request).await;
        let json = service.platform.contact_json(&contact).unwrap();
        let other = json.replace(from, to);
        assert_ne!(json, other);
        let other = Fault::Body(other).on(Endpoint::Contact).for_contact(&contact);
        let other = service.simulator.faults().inject(other);
        assert!(matches!(confirm(&service, &secret, NUMBER).await, Confirmation::Confirmed(_)));
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        assert_eq!(case.park_reason, Some(ParkReason::ChosenContactChanged), "{to}");
        assert!(!service.story(receipt.request).await.contains(&"package.built".to_owned()), "{to}");
        // The profile is as it was: a person has it go on.
        service.simulator.faults().remove(other);
        let mut tx = service.store.begin("test").await.unwrap();
        intake::resume(&mut tx, &service.desk, &service.controller.id, receipt.request, dpo()).await.unwrap();
        tx.commit().await.unwrap();
        service.work_to_the_end().await;
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled), "{to}");
        let told: Vec<_> = service.mails.sent_to(STORED);
        assert!(told.iter().any(|mail| mail.subject.contains("ready to fetch")), "{to}");
        service.finish().await;
    }
}

#[tokio::test]
async fn r_25_a_deletion_that_was_announced_and_did_not_happen_meets_the_gate_again() {
    let rules = IdentityRules { erasure_proof_hours: 24, ..IdentityRules::default() };
    let service = TestService::builder().identity(rules).build().await;
    let contact = service.platform.add_contact(person());
    let receipt = service.submit(RequestKind::Erasure, &[(Email, STORED)]).await;
    let limited = Fault::TooManyRequests(RetryAfter::Seconds(1)).on(Endpoint::DeleteContact);
    let limited = service.simulator.faults().inject(limited);
    service.work().await;
    assert!(service.story(receipt.request).await.contains(&"deletion.ended=failed".to_owned()));
    service.simulator.faults().remove(limited);
    service.advance(Duration::from_hours(48)).await;
    let secret = asked(&service, receipt.request).await;
    assert!(service.platform.truth(&contact).unwrap().exists);
    assert!(matches!(confirm(&service, &secret, STORED).await, Confirmation::Confirmed(_)));
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn the_wait_ends_in_time_for_the_due_date_and_never_at_once() {
    let rules = IdentityRules { wait_max_days: 60, ..IdentityRules::default() };
    let service = TestService::builder().identity(rules).build().await;
    let _contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    asked(&service, receipt.request).await;
    let case = service.case(receipt.request).await;
    let due = service.controller.end_of_day(case.due_on);
    assert_eq!(case.identity_until.unwrap(), due - TimeDelta::days(5));
    // One that comes late in its month.
    let mut late = service.submission(RequestKind::Erasure, &[(Phone, NUMBER)]);
    late.proof = None;
    late.received_at = service.desk.clock.now() - TimeDelta::days(29);
    let late =
        intake::submit_request(&service.store, &service.desk, &service.controller, late).await.unwrap();
    asked(&service, late.request).await;
    let until = service.case(late.request).await.identity_until.unwrap();
    assert_eq!(until, service.desk.clock.now() + TimeDelta::days(1));
    service.finish().await;
}

#[tokio::test]
async fn where_the_profile_has_no_address_a_person_finds_out_and_records_how() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ContactSpec::new().phone(NUMBER));
    let receipt = submit(&service, RequestKind::Erasure, &[(Phone, NUMBER)], None).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::IdentityUnproven));
    assert!(matches!(
        ask_again(&service, receipt.request).await,
        Err(IdentityError::Case(intake::CaseError::NotWaitingForProof))
    ));
    check(&service, receipt.request, IdentityMethod::ContactPoint).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    let case = service.case(receipt.request).await;
    assert_eq!(case.park_reason, Some(ParkReason::NoContactPoint), "carried out; told by telephone");
    let mut connection = service.store.connection().await.unwrap();
    let proofs = identity::proofs_of(&mut connection, &service.controller.id, receipt.request).await.unwrap();
    assert_eq!(proofs.len(), 1);
    let proof = &proofs[0];
    assert_eq!((proof.method.as_str(), proof.recorded_by.as_str()), ("contact_point", "person:dpo"));
    drop(connection);
    let log = service.audit().await;
    let entry = log.iter().find(|entry| entry.action == "identity.checked").unwrap();
    assert_eq!(entry.actor, "person:dpo");
    assert_eq!(entry.detail["method"], "contact_point");
    service.finish().await;
}

#[tokio::test]
async fn a_person_may_end_the_wait_by_a_proof_or_by_a_refusal() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let refused = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    let secret = asked(&service, refused.request).await;
    let mut tx = service.store.begin("test").await.unwrap();
    let facts = Facts::read("We asked on 23 November and heard that it was not you.").unwrap();
    triage::refuse(
        &mut tx,
        &service.desk,
        &service.controller.id,
        refused.request,
        RefusalGround::IdentityNotConfirmed,
        Some(facts),
        dpo(),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(refused.request).await.outcome, Some(Outcome::Refused));
    assert_eq!(confirm(&service, &secret, STORED).await, Confirmation::NoSuchLink);
    assert!(service.platform.truth(&contact).unwrap().exists);

    let proven = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    let secret = asked(&service, proven.request).await;
    check(&service, proven.request, IdentityMethod::InPerson).await.unwrap();
    assert_eq!(confirm(&service, &secret, STORED).await, Confirmation::NoSuchLink);
    service.work_to_the_end().await;
    assert_eq!(service.case(proven.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn the_link_is_sent_again_as_another_message_and_not_without_end() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    let first = asked(&service, receipt.request).await;
    // Before the second one was sent a third is asked for: the second is dropped.
    ask_again(&service, receipt.request).await.unwrap();
    ask_again(&service, receipt.request).await.unwrap();
    service.pump().await;
    let sent = questions(&service);
    assert_eq!(sent.len(), 2);
    assert_ne!(sent[0].message_id, sent[1].message_id, "nobody takes it for a repetition");
    for _ in 0..3 {
        ask_again(&service, receipt.request).await.unwrap();
    }
    assert!(matches!(ask_again(&service, receipt.request).await, Err(IdentityError::TooOften(6))));
    // The first link still works; it ends all others.
    assert!(matches!(confirm(&service, &first, STORED).await, Confirmation::Confirmed(_)));
    let sent = questions(&service).len();
    service.pump().await;
    assert_eq!(questions(&service).len(), sent, "what was not sent is not sent any more");
    let second = questions(&service)[1].link.clone().unwrap().into_exposed();
    assert_eq!(confirm(&service, &second, STORED).await, Confirmation::NoSuchLink);
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn who_could_not_answer_because_we_were_away_is_asked_once_more_by_decision_and_one_at_a_time() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    asked(&service, receipt.request).await;
    for _ in 0..5 {
        ask_again(&service, receipt.request).await.unwrap();
    }
    service.pump().await;
    let after_outage = async || {
        let mut tx = service.store.begin("test").await.unwrap();
        let (desk, controller) = (&service.desk, &service.controller);
        let asked = identity::ask_after_outage(&mut tx, desk, controller, receipt.request, dpo()).await;
        tx.commit().await.unwrap();
        asked
    };
    assert!(matches!(after_outage().await, Err(IdentityError::LinkWorks)), "they can answer still");
    // Three days of an outage, and all links are dead.
    service.clock.advance(TimeDelta::hours(73));
    assert!(matches!(ask_again(&service, receipt.request).await, Err(IdentityError::TooOften(6))));
    let before = questions(&service).len();
    after_outage().await.unwrap();
    assert!(matches!(after_outage().await, Err(IdentityError::LinkWorks)), "one at a time");
    assert!(matches!(ask_again(&service, receipt.request).await, Err(IdentityError::TooOften(7))));
    service.pump().await;
    assert_eq!(questions(&service).len(), before + 1);
    let log = service.audit().await;
    let asked = log.iter().rfind(|entry| entry.action == "identity.asked").unwrap();
    assert_eq!((asked.actor.as_str(), &asked.detail["occasion"]), ("person:dpo", &"after_outage".into()));
    let secret = crate::identity::secret(&service);
    assert!(matches!(confirm(&service, &secret, STORED).await, Confirmation::Confirmed(_)));
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn a_question_that_the_mail_server_refuses_comes_to_a_person() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Phone, NUMBER)], None).await;
    service.work().await;
    service.mails.plan(Plan::Reply(550), 1);
    service.pump().await;
    service.advance(Duration::from_hours(73)).await;
    service.work().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::NoticeRefused));
    service.finish().await;
}

/// A request that was received so long ago that the person has a day to answer who asks.
async fn submit_late(service: &TestService) -> intake::Receipt {
    let late = intake::Submission {
        proof: None,
        received_at: service.desk.clock.now() - TimeDelta::days(29),
        ..service.submission(RequestKind::Erasure, &[(Email, STORED)])
    };
    intake::submit_request(&service.store, &service.desk, &service.controller, late).await.unwrap()
}

#[tokio::test]
async fn r_83_whoever_was_never_asked_did_not_fail_to_answer() {
    // The mail server is away until the time is over, or refuses the question, or the question comes back.
    for what in ["away", "refused", "came back"] {
        let service = TestService::start().await;
        let contact = service.platform.add_contact(person());
        let receipt = submit_late(&service).await;
        service.work().await;
        if what == "came back" {
            service.pump().await;
            let mut tx = service.store.begin("test").await.unwrap();
            let (kind, now) = (Some(NoticeKind::IdentityRequest), service.desk.clock.now());
            delivery::record_bounce(&mut tx, &service.controller.id, receipt.request, kind, dpo(), now)
                .await
                .unwrap();
            tx.commit().await.unwrap();
        } else if what == "refused" {
            service.mails.plan(Plan::Reply(550), 1);
            service.pump().await;
        }
        service.advance(Duration::from_hours(25)).await;
        let worker = service.worker().await;
        worker.work_until_idle().await.unwrap();
        let case = service.case(receipt.request).await;
        let expected = if what == "away" { ParkReason::IdentityUnproven } else { ParkReason::NoticeRefused };
        assert_eq!((case.state, case.park_reason), (RequestState::Manual, Some(expected)), "{what}");
        assert!(case.outcome.is_none() && service.platform.truth(&contact).unwrap().exists, "{what}");

        // Nothing asks them any more for what they could answer until yesterday.
        let before = questions(&service).len();
        service.pump().await;
        assert_eq!(questions(&service).len(), before, "{what}");

        if what == "away" {
            // Sent on its way again, it asks them, and they have a day.
            let mut tx = service.store.begin("test").await.unwrap();
            intake::resume(&mut tx, &service.desk, &service.controller.id, receipt.request, dpo())
                .await
                .unwrap();
            tx.commit().await.unwrap();
            let secret = asked(&service, receipt.request).await;
            assert!(matches!(confirm(&service, &secret, STORED).await, Confirmation::Confirmed(_)));
        } else {
            // Somebody calls them: the request waited for that, and goes on.
            check(&service, receipt.request, IdentityMethod::ContactPoint).await.unwrap();
        }
        service.work_to_the_end().await;
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled), "{what}");
        assert_eq!(service.simulator.journal().deleted_contacts(), [contact], "{what}");
        service.finish().await;
    }
}

#[tokio::test]
async fn r_83_a_question_that_waited_too_long_is_asked_anew_and_nobody_is_asked_for_yesterday() {
    // The mail server is away for days, from before the first question on; links work for one.
    let rules = IdentityRules { link_hours: 24, ..IdentityRules::default() };
    let service = TestService::builder().identity(rules).build().await;
    let contact = service.platform.add_contact(person());
    submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    let worker = service.worker().await;
    worker.work_until_idle().await.unwrap();
    service.advance(Duration::from_hours(73)).await;
    worker.work_until_idle().await.unwrap();
    // By now the reminder is in the outbox, and its link dead in its turn.
    service.advance(Duration::from_hours(27)).await;
    service.pump().await;
    assert_eq!(questions(&service).len(), 0, "a dead link is sent to nobody");
    worker.work_until_idle().await.unwrap();
    service.pump().await;
    let [question] = questions(&service).try_into().unwrap();
    let said = question.text.expose().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("Please confirm by: 28 November 2026, 17:00 CET"), "{said}");
    let secret = question.link.unwrap().into_exposed();
    service.advance(Duration::from_hours(20)).await;
    assert!(matches!(confirm(&service, &secret, STORED).await, Confirmation::Confirmed(_)));
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;

    // Near the due date there is a day: with the rest of it nobody can do anything, and a person hears of it at once.
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let late = submit_late(&service).await;
    let worker = service.worker().await;
    worker.work_until_idle().await.unwrap();
    service.advance(Duration::from_hours(20)).await;
    service.pump().await;
    worker.work_until_idle().await.unwrap();
    service.pump().await;
    assert_eq!(questions(&service).len(), 0);
    let case = service.case(late.request).await;
    assert_eq!(case.park_reason, Some(ParkReason::IdentityUnproven));
    check(&service, late.request, IdentityMethod::ContactPoint).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test]
async fn r_83_a_question_that_leaves_late_in_its_time_still_counts_where_half_a_day_is_left() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let receipt = submit_late(&service).await;
    service.worker().await.work_until_idle().await.unwrap();
    service.advance(Duration::from_hours(11)).await;
    service.pump().await;
    assert_eq!(questions(&service).len(), 1);
    service.advance(Duration::from_hours(14)).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::NotIdentified));
    service.finish().await;
}

#[tokio::test]
async fn a_link_works_no_longer_than_an_answer_is_waited_for_and_says_so() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let receipt = submit_late(&service).await;
    let secret = asked(&service, receipt.request).await;
    let until = service.case(receipt.request).await.identity_until.unwrap();
    let expires: chrono::DateTime<chrono::Utc> = sqlx::query_scalar("SELECT expires_at FROM dsrd.proof_link")
        .fetch_one(&mut *service.store.connection().await.unwrap())
        .await
        .unwrap();
    assert_eq!(expires, until);
    let said = questions(&service)[0].text.expose().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("Please confirm by: 24 November 2026, 13:00 CET"), "{said}");
    service.advance(Duration::from_hours(24)).await;
    assert!(matches!(
        ask_again(&service, receipt.request).await,
        Err(IdentityError::Case(intake::CaseError::NotWaitingForProof))
    ));
    assert_eq!(confirm(&service, &secret, STORED).await, Confirmation::NoSuchLink);
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::NotIdentified));
    service.finish().await;
}

#[tokio::test]
async fn killed_at_any_boundary_of_asking_and_ending_it_comes_to_the_same_end() {
    for boundary in [
        "identify.written",
        "identify.committed",
        "unproven.before",
        "unproven.written",
        "unproven.committed",
    ] {
        let service = TestService::start().await;
        let _contact = service.platform.add_contact(person());
        let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
        let dying = || KillSwitch::new(move |at| at == boundary);
        service.worker_with(dying(), false).await.work_until_idle().await.unwrap();
        service.bury_workers().await;
        service.advance(Duration::from_hours(1)).await;
        asked(&service, receipt.request).await;
        assert_eq!(questions(&service).len(), 1, "{boundary}: asked once");
        service.advance(Duration::from_hours(15 * 24)).await;
        service.worker_with(dying(), false).await.work_until_idle().await.unwrap();
        service.bury_workers().await;
        service.advance(Duration::from_hours(1)).await;
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        assert_eq!(case.outcome, Some(Outcome::NotIdentified), "{boundary}");
        service.finish().await;
    }
}

#[tokio::test]
async fn r_18_a_proof_that_comes_after_the_wait_is_refused_while_its_end_is_told() {
    // The mail server is away when the end is to be told, or refuses that.
    for plan in [Plan::NoConnection, Plan::Reply(550)] {
        let refuses = matches!(plan, Plan::Reply(_));
        let service = TestService::start().await;
        let contact = service.platform.add_contact(person());
        let request = submit_late(&service).await.request;
        asked(&service, request).await;
        service.advance(Duration::from_hours(25)).await;
        service.mails.plan(plan, 1);
        service.worker().await.work_until_idle().await.unwrap();
        let case = service.case(request).await;
        assert!(case.unproven && case.outcome.is_none());
        assert_eq!(case.park_reason, refuses.then_some(ParkReason::NoticeRefused));

        let late = check(&service, request, IdentityMethod::InPerson).await;
        assert!(matches!(late, Err(IdentityError::Case(intake::CaseError::EndIsTold))), "{late:?}");
        let code = dsrd::domain::Personal::new("12345678".to_owned());
        let mut tx = service.store.begin("test").await.unwrap();
        let late =
            identity::record_code(&mut tx, &service.desk, &service.controller, request, &code, dpo()).await;
        assert!(matches!(late, Err(IdentityError::Case(intake::CaseError::EndIsTold))), "{late:?}");
        drop(tx);
        assert_eq!(count(&service, "SELECT count(*) FROM dsrd.identity_proof").await, 0);
        assert!(!service.story(request).await.contains(&"identity.checked".to_owned()));
        // Nor is anything asked or told in part.
        let asked = crate::deadlines::ask(&service, request).await;
        assert!(matches!(asked, Err(TriageError::NothingToClarify)), "{asked:?}");
        let mut tx = service.store.begin("test").await.unwrap();
        let part = Facts::read("The first half.").unwrap();
        let part =
            triage::answer_part(&mut tx, &service.desk, &service.controller, request, part, dpo()).await;
        assert!(matches!(part, Err(TriageError::NothingFollows)), "{part:?}");
        drop(tx);

        if refuses {
            // Somebody tells them the end by telephone.
            let mut tx = service.store.begin("test").await.unwrap();
            intake::record_informed(&mut tx, &service.desk, &service.controller.id, request, dpo())
                .await
                .unwrap();
            tx.commit().await.unwrap();
        }
        service.work_to_the_end().await;
        let case = service.case(request).await;
        assert_eq!((case.outcome, case.park_reason), (Some(Outcome::NotIdentified), None));
        assert!(case.informed_at.is_some());
        assert!(service.platform.truth(&contact).unwrap().exists);
        service.finish().await;
    }
}
