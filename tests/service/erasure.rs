//! Erasures: deleted once, proven absent, told; and the erasures of sweeps.

use std::sync::Arc;

use std::time::Duration;

use chrono::{Months, TimeDelta};
use dsrd::delivery::day_in_words;
use dsrd::domain::IdentifierKind::{Email, ExternalId, Phone};
use dsrd::domain::{
    ActivityKind, ActivityRule, ErasureRules, Outcome, ParkReason, RequestKind, RequestState,
    RetentionPeriod, WithoutActivity,
};
use dsrd::execution::{KillSwitch, Worker};
use dsrd_simulator::{ContactSpec, Endpoint, Fault, Poison};

use crate::rig;
use crate::support::builder::start_of_test;
use crate::support::service::TestService;

fn ada() -> ContactSpec {
    ContactSpec::new()
        .name("Canarino", "Prova")
        .email("canarino@posta.example")
        .phone("+39 333 1234567")
        .ext_id("canarino-7")
        .created(start_of_test() - TimeDelta::days(400))
        .events(3)
        .devices(2)
        .accountings(4)
}

async fn erase(service: &TestService) -> dsrd::intake::Receipt {
    service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await
}

#[tokio::test]
async fn told_is_when_the_mail_server_took_the_notice_and_not_when_the_case_was_closed() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    let receipt = erase(&service).await;
    let sent_at = service.desk.clock.now();
    // Between the answer of the mail server and the closing lie five hours.
    let slow = {
        let clock = Arc::clone(&service.clock);
        KillSwitch::new(move |boundary| {
            if boundary == "notice.sent" {
                clock.advance(chrono::TimeDelta::hours(5));
            }
            false
        })
    };
    service.worker_with(slow, false).await.work_until_idle().await.unwrap();
    let case = service.case(receipt.request).await;
    assert_eq!(case.informed_at, Some(sent_at));
    assert_eq!(case.closed_at, Some(sent_at + chrono::TimeDelta::hours(5)));
    service.finish().await;
}

#[tokio::test]
async fn an_erasure_is_deleted_once_proven_absent_and_told() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let receipt = erase(&service).await;
    service.work().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.outcome), (RequestState::Closed, Some(Outcome::Fulfilled)));
    assert!(case.executed_at.is_some() && case.verified_at.is_some() && case.informed_at.is_some());
    assert!(!service.platform.truth(&contact).is_some_and(|truth| truth.exists));
    assert_eq!(service.simulator.journal().deleted_contacts(), std::slice::from_ref(&contact));
    // Read back by id, by every identifier of the profile, and by all three sources.
    let journal = service.simulator.journal();
    let after_deletion = |endpoint| {
        let entries = journal.entries();
        let deletion = entries.iter().position(|entry| entry.endpoint == Endpoint::DeleteContact).unwrap();
        entries[deletion..].iter().filter(|entry| entry.endpoint == endpoint).count()
    };
    assert!(after_deletion(Endpoint::Contact) >= 1);
    assert!(after_deletion(Endpoint::ListContacts) >= 3, "by e-mail, phone and external id");
    for endpoint in [Endpoint::ContactEvents, Endpoint::Devices, Endpoint::Accountings] {
        assert!(after_deletion(endpoint) >= 1, "{endpoint:?}");
    }
    service.finish().await;
}

#[tokio::test]
async fn r_46_r_54_who_is_erased_is_told_of_backups_of_the_record_and_of_the_fingerprint() {
    for backup_days in [None, Some(35)] {
        let rules = ErasureRules { backup_days, ..ErasureRules::default() };
        let service = TestService::builder().erasure(rules).build().await;
        let _contact = service.platform.add_contact(ada());
        erase(&service).await;
        service.work_to_the_end().await;
        let told = service.last_told();
        let today = service.controller.local_date(service.desk.clock.now());
        let day = |day| day_in_words("en", &service.controller, day);
        let record = format!("until {}.", day(today.checked_add_months(Months::new(36)).unwrap()));
        for said in ["Your data has been erased", &record, "A fingerprint of your contact details"] {
            assert!(told.contains(said), "{said}: {told}");
        }
        let backups = format!("Our backups may hold copies until {}.", day(today + TimeDelta::days(35)));
        assert_eq!(told.contains(&backups), backup_days.is_some(), "{told}");
        assert_eq!(told.contains("backups"), backup_days.is_some(), "{told}");
        service.finish().await;
    }
}

#[tokio::test]
async fn f_38_a_deletion_whose_answer_is_lost_is_found_and_not_repeated() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    service.simulator.faults().inject(Fault::LoseAnswer.on(Endpoint::DeleteContact).times(1));
    let receipt = erase(&service).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 1);
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    assert!(service.story(receipt.request).await.contains(&"deletion.ended=by_former_attempt".to_owned()));
    service.finish().await;
}

#[tokio::test]
async fn f_38_who_is_disabled_or_marked_is_not_taken_for_deleted_by_a_call_that_did_not_arrive() {
    for (what, spec) in [("disabled", ada().enabled(false)), ("marked", ada().marked_deleted())] {
        let service = TestService::start().await;
        let contact = service.platform.add_contact(spec);
        service.simulator.faults().inject(Fault::Status(502).on(Endpoint::DeleteContact).times(1));
        let receipt = erase(&service).await;
        service.work_to_the_end().await;
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled), "{what}");
        assert_eq!(service.simulator.journal().deleted_contacts(), [contact], "{what}");
        service.finish().await;
    }
}

#[tokio::test]
async fn f_39_a_deletion_that_takes_effect_late_is_told_only_then() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    service.simulator.faults().inject(Fault::DeleteAfterReads(3).on(Endpoint::DeleteContact).times(1));
    let receipt = erase(&service).await;
    service.work().await;
    assert_eq!(service.case(receipt.request).await.state, RequestState::InProgress);
    assert_eq!(service.mails.sent().len(), 1, "the acknowledgement only");
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 1);
    service.finish().await;
}

/// Reads of the contact by its id since it was deleted.
fn looks(service: &TestService) -> usize {
    let entries = service.simulator.journal().entries();
    let deletion = entries.iter().rposition(|entry| entry.endpoint == Endpoint::DeleteContact).unwrap();
    entries[deletion..].iter().filter(|entry| entry.endpoint == Endpoint::Contact).count()
}

#[tokio::test]
async fn f_39_a_deletion_is_done_after_two_absences_that_are_apart_and_holds_no_worker_between_them() {
    let service = TestService::builder().second_look_secs(600).build().await;
    let _contact = service.platform.add_contact(ada());
    let receipt = erase(&service).await;
    service.work().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.last_code.as_deref()), (RequestState::InProgress, Some("second_look")));
    assert!(case.executed_at.is_some() && case.verified_at.is_none());
    assert_eq!(service.mails.sent().len(), 1, "the acknowledgement only");
    assert_eq!(looks(&service), 1, "the first look is one call");
    let calls = service.simulator.journal().total_calls();
    let depth = service.depth().await;
    assert_eq!((depth.leased, depth.scheduled), (0, 1), "no worker waits for it");
    // Whatever makes it due too early: nothing is read, and it goes on waiting.
    let mut connection = service.store.connection().await.unwrap();
    sqlx::query("UPDATE dsrd.job SET run_at = now()").execute(&mut *connection).await.unwrap();
    drop(connection);
    service.work().await;
    assert_eq!(service.simulator.journal().total_calls(), calls);
    assert_eq!(service.depth().await.scheduled, 1);

    service.advance(Duration::from_mins(10)).await;
    service.work().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert!(looks(&service) >= 2, "the second one by every other way as well");
    assert_eq!(service.mails.sent().len(), 2);
    let log = service.audit().await;
    let verified = log.iter().find(|entry| entry.action == "deletion.verified").unwrap();
    assert!(verified.detail["looks_apart_secs"].as_u64().unwrap() >= 600, "{:?}", verified.detail);
    service.finish().await;
}

#[tokio::test]
async fn f_48_a_first_look_by_a_clock_that_was_ahead_is_made_again() {
    let service = TestService::builder().second_look_secs(600).build().await;
    let _contact = service.platform.add_contact(ada());
    let receipt = erase(&service).await;
    service.work().await;
    let ahead = "UPDATE dsrd.checkpoint SET absent_since = absent_since + interval '400 days' WHERE absent_since IS NOT NULL";
    let mut connection = service.store.connection().await.unwrap();
    assert_eq!(sqlx::query(ahead).execute(&mut *connection).await.unwrap().rows_affected(), 1);
    drop(connection);
    for outcome in [None, Some(Outcome::Fulfilled)] {
        service.advance(Duration::from_mins(10)).await;
        service.work().await;
        assert_eq!(service.case(receipt.request).await.outcome, outcome);
    }
    service.finish().await;
}

#[tokio::test]
async fn f_39_a_contact_that_answers_again_at_the_second_look_is_not_told_done() {
    let service = TestService::builder().second_look_secs(2).build().await;
    let contact = service.platform.add_contact(ada());
    let receipt = erase(&service).await;
    service.work().await;
    service.platform.restore_contact(&contact);
    service.advance(Duration::from_secs(2)).await;
    service.work().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.verified_at, case.last_code.as_deref()), (None, Some("contact_still_there")));
    assert_eq!(service.mails.sent().len(), 1, "nobody is told that it is done");
    let log = service.audit().await;
    let returned = log.iter().find(|entry| entry.action == "verification.failed").unwrap();
    assert_eq!(returned.detail["after_absence"], true);
    // The copy that lagged behind has caught up: it takes two absences again.
    service.platform.delete_contact(&contact);
    service.advance(Duration::from_mins(1)).await;
    service.work().await;
    assert_eq!(service.case(receipt.request).await.last_code.as_deref(), Some("second_look"));
    service.advance(Duration::from_secs(2)).await;
    service.work().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 1, "nothing is deleted twice");
    service.finish().await;
}

#[tokio::test]
async fn f_39_a_contact_that_is_back_for_good_at_the_second_look_ends_with_a_person() {
    let service = TestService::builder().second_look_secs(2).build().await;
    let contact = service.platform.add_contact(ada());
    let receipt = erase(&service).await;
    service.work().await;
    service.platform.restore_contact(&contact);
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::VerificationFailed));
    assert_eq!(service.mails.sent().len(), 1, "nobody is told that it is done");
    // Looked at by a person and resumed: what was seen before counts no more.
    service.platform.delete_contact(&contact);
    let mut tx = service.store.begin("test").await.unwrap();
    let actor = dsrd::audit::Actor::Person("operator".to_owned());
    dsrd::intake::resume(&mut tx, &service.desk, &service.controller.id, receipt.request, actor)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    service.work().await;
    assert_eq!(service.case(receipt.request).await.last_code.as_deref(), Some("second_look"));
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn f_39_a_contact_that_is_only_marked_as_deleted_is_pending_and_ends_with_a_person() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    service.simulator.faults().inject(Fault::SoftDelete);
    let receipt = erase(&service).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::VerificationFailed));
    assert_eq!(service.mails.sent().len(), 1, "nobody is told that it is done");
    service.finish().await;
}

#[tokio::test]
async fn f_41_records_that_still_answer_make_it_partly_fulfilled() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    service.simulator.faults().inject(Fault::PartialDelete);
    let receipt = erase(&service).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::PartlyFulfilled));
    // Each of them is called what it is.
    let told = service.last_told();
    for left in ["Records of your visits,", "The addresses of your devices,", "Records of your connections,"]
    {
        let said = format!("{left} because the platform still answered");
        assert!(told.contains(&said), "{said}: {told}");
    }
    service.finish().await;
}

#[tokio::test]
async fn nobody_found_is_told_as_such_and_nothing_is_deleted() {
    let service = TestService::start().await;
    let receipt = erase(&service).await;
    service.work().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.outcome, Some(Outcome::FulfilledNoData));
    assert!(service.simulator.journal().effects().is_empty());
    assert_eq!(service.mails.sent().len(), 2);
    service.finish().await;
}

#[tokio::test]
async fn s_7_a_filter_that_the_server_ignores_touches_no_stranger() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    service.simulator.faults().inject(Fault::FilterIgnored);
    let receipt = erase(&service).await;
    let stranger = service.submit(RequestKind::Erasure, &[(Email, "nobody@posta.example")]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.case(stranger.request).await.outcome, Some(Outcome::FulfilledNoData));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test]
async fn f_33_answers_that_cannot_be_read_are_never_no_data() {
    let unreadable = [
        Fault::HtmlPage,
        Fault::EmptyBody,
        Fault::NoContent,
        Fault::NullBody,
        Fault::UnrecognisedEnvelope,
        Fault::StatusKo,
    ];
    for fault in unreadable {
        let service = TestService::builder().most_attempts(2).build().await;
        let _contact = service.platform.add_contact(ada());
        service.simulator.faults().inject(fault.clone().on(Endpoint::ListContacts));
        let receipt = erase(&service).await;
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        let expected = [ParkReason::PlatformUnreadable, ParkReason::PlatformRejected];
        assert!(case.park_reason.is_some_and(|reason| expected.contains(&reason)), "{fault:?}: {case:?}");
        assert!(service.simulator.journal().effects().is_empty(), "{fault:?}");
        service.finish().await;
    }
}

#[tokio::test]
async fn a_request_without_any_address_waits_for_a_person_who_tells_by_other_means() {
    let service = TestService::start().await;
    let _contact =
        service.platform.add_contact(ContactSpec::new().phone("+39 333 1234567").ext_id("canarino-7"));
    let receipt =
        service.submit(RequestKind::Erasure, &[(Phone, "+39 333 1234567"), (ExternalId, "canarino-7")]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::NoContactPoint));
    let mut tx = service.store.begin("test").await.unwrap();
    let actor = dsrd::audit::Actor::Person("dpo".to_owned());
    dsrd::intake::record_informed(&mut tx, &service.desk, &service.controller.id, receipt.request, actor)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert!(service.mails.sent().is_empty());
    service.finish().await;
}

#[tokio::test]
async fn r_11_an_erasure_waits_for_the_access_request_of_the_same_person() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let erasure = erase(&service).await;
    let access = service.submit(RequestKind::Access, &[(Phone, "+39 333 1234567")]).await;
    let sweep = service.submit_sweep(&contact, start_of_test()).await;
    // The mail server is away, so that the access request cannot end yet.
    service.mails.plan(dsrd::delivery::Plan::NoConnection, 40);
    service.work().await;
    assert_eq!(service.case(access.request).await.state, RequestState::InProgress);
    assert!(service.simulator.journal().deleted_contacts().is_empty());
    service.work_to_the_end().await;
    assert_eq!(service.case(access.request).await.outcome, Some(Outcome::Fulfilled));
    // Person and rule asked for the same: whichever came first deleted, and the other found nobody left.
    for receipt in [&erasure, &sweep] {
        let outcome = service.case(receipt.request).await.outcome;
        assert!(matches!(outcome, Some(Outcome::Fulfilled | Outcome::FulfilledNoData)), "{outcome:?}");
    }
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test]
async fn r_11_an_erasure_waits_for_a_person_when_the_access_request_does() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let access = service.submit(RequestKind::Access, &[(Phone, "+39 333 1234567")]).await;
    service.mails.plan(dsrd::delivery::Plan::Reply(550), 1);
    service.work_to_the_end().await;
    let parked = service.case(access.request).await;
    assert_eq!(parked.park_reason, Some(ParkReason::NoticeRefused));
    let erasure = erase(&service).await;
    service.work_to_the_end().await;
    let case = service.case(erasure.request).await;
    assert_eq!(case.park_reason, Some(ParkReason::WaitsForAccess));
    assert_eq!(case.waits_for, Some(parked.reference.to_string()));
    assert!(service.simulator.journal().deleted_contacts().is_empty());
    let entries = service.audit().await;
    let entry = entries.iter().rfind(|entry| entry.action == "request.parked").unwrap();
    assert_eq!(entry.detail["waits_for"], parked.reference.to_string());

    // Without a decision it comes back to the person; with one it goes on.
    let dpo = || dsrd::audit::Actor::Person("dpo".to_owned());
    let organisation = &service.controller.id;
    let mut tx = service.store.begin("test").await.unwrap();
    dsrd::intake::resume(&mut tx, &service.desk, organisation, erasure.request, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(erasure.request).await.park_reason, Some(ParkReason::WaitsForAccess));
    let mut tx = service.store.begin("test").await.unwrap();
    dsrd::intake::resume_despite_access(&mut tx, &service.desk, organisation, erasure.request, dpo())
        .await
        .unwrap();
    // The decision is about erasures that wait for it, and nothing else.
    let refused =
        dsrd::intake::resume_despite_access(&mut tx, &service.desk, organisation, access.request, dpo())
            .await;
    assert!(matches!(refused, Err(dsrd::intake::CaseError::NotWaitingForAccess)), "{refused:?}");
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    let case = service.case(erasure.request).await;
    assert_eq!((case.outcome, case.waits_for), (Some(Outcome::Fulfilled), None));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test]
async fn r_11_an_erasure_near_its_due_date_waits_for_a_person_and_not_for_the_access_request() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    let access = service.submit(RequestKind::Access, &[(Phone, "+39 333 1234567")]).await;
    let erasure = erase(&service).await;
    service.mails.plan(dsrd::delivery::Plan::NoConnection, 3);
    service.work().await;
    assert_eq!(service.case(access.request).await.state, RequestState::InProgress);
    assert_eq!(service.case(erasure.request).await.last_code.as_deref(), Some("waits_for_access"));
    // The time that the erasure has left is shorter than what the settings leave to the access request.
    let executor = rig::executor(&service, &service.store, KillSwitch::default(), |settings| {
        settings.access_goes_first_until_days = 60;
    });
    let mut connection = service.store.connection().await.unwrap();
    sqlx::query("UPDATE dsrd.job SET run_at = now() WHERE last_code = 'waits_for_access'")
        .execute(&mut *connection)
        .await
        .unwrap();
    drop(connection);
    Worker::start(executor, service.store.clone()).await.unwrap().work_once().await.unwrap();
    assert_eq!(service.case(erasure.request).await.park_reason, Some(ParkReason::WaitsForAccess));

    // Once the access request has ended, the plain resumption is enough.
    service.work_to_the_end().await;
    assert_eq!(service.case(access.request).await.outcome, Some(Outcome::Fulfilled));
    let mut tx = service.store.begin("test").await.unwrap();
    let dpo = dsrd::audit::Actor::Person("dpo".to_owned());
    dsrd::intake::resume(&mut tx, &service.desk, &service.controller.id, erasure.request, dpo).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(erasure.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn a_sweep_erases_its_candidate_and_tells_nobody() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let receipt = service.submit_sweep(&contact, start_of_test()).await;
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.outcome, Some(Outcome::Fulfilled));
    assert!(service.mails.sent().is_empty());
    service.finish().await;
}

#[tokio::test]
async fn f_53_a_sweep_never_deletes_what_is_young_or_of_unknown_age() {
    let service = TestService::start().await;
    let young = service.platform.add_contact(ada());
    let unknown =
        service.platform.add_contact(ContactSpec::new().email("two@posta.example").created_json("\"soon\""));
    let mut receipts = Vec::new();
    for contact in [&young, &unknown] {
        receipts.push(service.submit_sweep(contact, start_of_test() - TimeDelta::days(800)).await);
    }
    service.work_to_the_end().await;
    for receipt in receipts {
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::OutOfScope));
    }
    assert!(service.simulator.journal().effects().is_empty());
    service.finish().await;
}

#[tokio::test]
async fn r_64_a_rule_made_milder_stops_erasures_that_were_submitted_before() {
    let longer = RetentionPeriod { keep_months: 36, safety_margin_hours: 24 };
    for rule in [None, Some(longer)] {
        // When the contact is looked at for the first time.
        let service = TestService::builder().retention(rule).build().await;
        let contact = service.platform.add_contact(ada());
        let receipt = service.submit_sweep(&contact, start_of_test()).await;
        service.work_to_the_end().await;
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::OutOfScope), "{rule:?}");
        assert!(service.simulator.journal().effects().is_empty(), "{rule:?}");
        service.finish().await;

        // And when it was looked at before, and its deletion could not be sent.
        let service = TestService::start().await;
        let contact = service.platform.add_contact(ada());
        let receipt = service.submit_sweep(&contact, start_of_test()).await;
        let limited = Fault::TooManyRequests(dsrd_simulator::RetryAfter::Seconds(1));
        let limited = service.simulator.faults().inject(limited.on(Endpoint::DeleteContact));
        service.work().await;
        assert!(service.story(receipt.request).await.contains(&"deletion.ended=failed".to_owned()));
        service.simulator.faults().remove(limited);
        service.advance(Duration::from_mins(10)).await;
        let mut executor = service.executor_with(KillSwitch::default());
        executor.sites.get_mut(&service.controller.id).unwrap().retention = rule;
        let worker = Worker::start(Arc::new(executor), service.store.clone()).await.unwrap();
        worker.work_until_idle().await.unwrap();
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::OutOfScope), "{rule:?}");
        assert!(service.platform.truth(&contact).unwrap().exists, "{rule:?}");
        service.finish().await;
    }
}

#[tokio::test]
async fn f_39_a_search_that_is_not_honoured_any_more_proves_no_absence() {
    let service = TestService::builder().second_look_secs(2).without_full_scan().build().await;
    let _contact = service.platform.add_contact(ada());
    let receipt = erase(&service).await;
    service.work().await;
    let ignored = service.simulator.faults().inject(Fault::FilterIgnored);
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.verified_at, case.park_reason), (None, Some(ParkReason::SearchNotHonoured)));
    assert_eq!(service.mails.sent().len(), 1, "nobody is told that it is done");
    service.simulator.faults().remove(ignored);
    service.finish().await;
}

#[tokio::test]
async fn f_39_where_nothing_can_be_searched_by_the_platform_has_to_show_that_it_serves() {
    let service = TestService::builder().second_look_secs(2).build().await;
    let contact = service.platform.add_contact(ContactSpec::new());
    let receipt = service.submit_sweep(&contact, start_of_test()).await;
    service.work().await;
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    // A gateway that answers 404 to everything.
    let gateway = service.simulator.faults().inject(Fault::Status(404));
    service.advance(Duration::from_secs(2)).await;
    service.work().await;
    assert_eq!(service.case(receipt.request).await.verified_at, None);
    service.simulator.faults().remove(gateway);
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn r_60_who_came_back_after_the_sweep_had_looked_is_not_deleted() {
    let rule = ActivityRule {
        kinds: ActivityKind::ALL.to_vec(),
        passive_events: Vec::new(),
        without: WithoutActivity::Review,
    };
    let service = TestService::builder().activity(rule).build().await;
    let person = |email: &str| ada().email(email).phone("").ext_id("").events(1).devices(1).accountings(1);
    // The single record of each kind lies on the day of the creation.
    let away = service.platform.add_contact(person("one@posta.example"));
    let back = service.platform.add_contact(person("two@posta.example").accountings(5));
    let logged_in = person("three@posta.example").modified(start_of_test() - TimeDelta::days(2));
    let logged_in = service.platform.add_contact(logged_in);
    let silent = service.platform.add_contact(person("four@posta.example"));
    let since = start_of_test() - TimeDelta::days(390);
    let mut receipts = Vec::new();
    for contact in [&away, &back, &logged_in] {
        receipts.push(service.submit_sweep(contact, since).await);
    }
    service.work_to_the_end().await;
    let outcome = async |number: usize| service.case(receipts[number].request).await.outcome;
    assert_eq!(outcome(0).await, Some(Outcome::Fulfilled));
    assert_eq!(outcome(1).await, Some(Outcome::OutOfScope));
    assert_eq!(outcome(2).await, Some(Outcome::OutOfScope));
    assert_eq!(service.simulator.journal().deleted_contacts(), [away]);

    // What cannot be read is no ground either.
    let fault = Fault::Poison { poison: Poison::NotAnObject, position: 0 }.on(Endpoint::Accountings);
    service.simulator.faults().inject(fault);
    let receipt = service.submit_sweep(&silent, since).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::OutOfScope));
    assert!(service.platform.truth(&silent).is_some());
    service.finish().await;
}

#[tokio::test]
async fn r_60_one_absence_or_a_mark_says_nothing_of_who_was_there_lately() {
    let rule = ActivityRule {
        kinds: ActivityKind::ALL.to_vec(),
        passive_events: Vec::new(),
        without: WithoutActivity::Review,
    };
    let service = TestService::builder().activity(rule).build().await;
    let person = |email: &str| ada().email(email).phone("").ext_id("").events(1).devices(1).accountings(1);
    let back = service.platform.add_contact(person("one@posta.example").accountings(5));
    let disabled = service.platform.add_contact(person("two@posta.example").accountings(5).enabled(false));
    let away = service.platform.add_contact(person("three@posta.example").enabled(false));
    let since = start_of_test() - TimeDelta::days(390);
    // A copy that lags behind: seen when it is looked at again, not when its activity is.
    let lags = Fault::Status(404).on(Endpoint::Contact).for_contact(&back).after(1).times(1);
    service.simulator.faults().inject(lags);
    let mut receipts = Vec::new();
    for contact in [&back, &disabled, &away] {
        receipts.push(service.submit_sweep(contact, since).await);
    }
    service.work_to_the_end().await;
    let outcome = async |number: usize| service.case(receipts[number].request).await.outcome;
    assert_eq!(outcome(0).await, Some(Outcome::OutOfScope));
    assert_eq!(outcome(1).await, Some(Outcome::OutOfScope));
    assert_eq!(outcome(2).await, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [away]);
    service.finish().await;
}

#[tokio::test]
async fn r_60_a_person_who_asks_is_deleted_however_active() {
    let rule = ActivityRule {
        kinds: ActivityKind::ALL.to_vec(),
        passive_events: Vec::new(),
        without: WithoutActivity::Review,
    };
    let service = TestService::builder().activity(rule).build().await;
    let contact = service.platform.add_contact(ada().accountings(9));
    let receipt = erase(&service).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test]
async fn f_37_a_key_that_lost_its_scope_parks_the_request_with_the_reason() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    service.platform.set_scopes(["organization_read", "customer_read"]);
    let receipt = erase(&service).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::PlatformForbidden));
    // The announced deletion certainly did not happen, and the log says so.
    assert!(service.story(receipt.request).await.contains(&"deletion.ended=failed".to_owned()));
    service.finish().await;
}

#[tokio::test]
async fn f_30_an_outage_costs_waiting_and_nothing_else() {
    let service = TestService::builder().most_attempts(10).build().await;
    let _contact = service.platform.add_contact(ada());
    service.simulator.faults().inject(Fault::Status(503).times(12));
    let receipt = erase(&service).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn f_29_a_rate_limit_puts_requests_back_without_costing_attempts() {
    let service = TestService::builder().most_attempts(2).build().await;
    let _contact = service.platform.add_contact(ada());
    let limited = Fault::TooManyRequests(dsrd_simulator::RetryAfter::Seconds(1));
    let id = service.simulator.faults().inject(limited);
    let receipt = erase(&service).await;
    for _ in 0..3 {
        service.work().await;
        service.advance(Duration::from_mins(10)).await;
    }
    service.simulator.faults().remove(id);
    assert_eq!(service.case(receipt.request).await.state, RequestState::InProgress);
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}
