//! Every right accepted, split, reminded of, handed in for others: what becomes of it, and when it is due.

use std::sync::Arc;

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::delivery::Plan;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    AcceptanceReason, AnsweredOutcome, Clock as _, Controller, Handling, Outcome, Overdue, ParkReason,
    RefusalGround, RequestId, RequestKind, RequestState, RequesterRole,
};
use dsrd::intake::{self, CaseError, IntakeError, Submission, Taken};
use dsrd::triage::{self, Facts, TriageError};
use dsrd_simulator::ContactSpec;
use sqlx::{Connection as _, PgConnection};

use crate::intake::{producer, take};
use crate::support::service::TestService;
use crate::undelivered::informed;

const EMAIL: &str = "canarino@posta.example";
const PHONE: &str = "+39 333 1234567";
const ANSWER: &str = "We corrected your date of birth on 24 November 2026.\nWe told our newsletter provider.";

fn dpo() -> Actor {
    Actor::Person("dpo".to_owned())
}

fn person() -> ContactSpec {
    ContactSpec::new()
        .name("Canarino", "Prova")
        .email(EMAIL)
        .phone(PHONE)
        .policy("mktgCommunications", true)
        .events(3)
}

/// The same service for a controller that is set up otherwise.
fn set_up(service: &mut TestService, change: impl FnOnce(&mut Controller)) {
    change(Arc::make_mut(&mut service.controller));
}

pub(crate) async fn answer(
    service: &TestService,
    request: RequestId,
    outcome: AnsweredOutcome,
) -> Result<(), TriageError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let words = Facts::read(ANSWER).unwrap();
    triage::answer(&mut tx, &service.desk, &service.controller.id, request, outcome, words, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

pub(crate) async fn refuse(
    service: &TestService,
    request: RequestId,
    ground: RefusalGround,
) -> Result<(), TriageError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let facts = Some(Facts::read("The visits: we hold them because the law obliges us to.").unwrap());
    triage::refuse(&mut tx, &service.desk, &service.controller.id, request, ground, facts, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

async fn resume(service: &TestService, request: RequestId) -> Result<(), CaseError> {
    let mut tx = service.store.begin("test").await.unwrap();
    intake::resume(&mut tx, &service.desk, &service.controller.id, request, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

async fn submit(service: &TestService, submission: Submission) -> Result<intake::Receipt, IntakeError> {
    intake::submit_request(&service.store, &service.desk, &service.controller, submission).await
}

/// The answer that the mail server took last, in one line.
fn last_mail(service: &TestService) -> String {
    let mail = service.mails.sent().pop().expect("a mail");
    mail.text.expose().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn r_9_every_right_is_accepted_with_the_same_clock_and_what_no_procedure_covers_waits_for_a_person() {
    let service = TestService::start().await;
    let mut producer = producer(&service).await;
    for kind in RequestKind::ALL {
        sqlx::query(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email, assurance, assured_at)
             VALUES ('main', $1, $1, '2026-11-20T09:00:00Z', 'letter', $2, 'authenticated_session', '2026-11-23T11:00:00Z')",
        )
        .bind(kind.as_str())
        .bind(format!("canarino-{}@posta.example", kind.as_str().replace('_', "-")))
        .execute(&mut producer)
        .await
        .unwrap();
    }
    assert_eq!(take(&service).await, Taken { accepted: 12, repeated: 0, parked: 0 });
    service.work_to_the_end().await;
    let mut connection = service.store.connection().await.unwrap();
    let cases = intake::list_cases(&mut connection, &service.controller.id, None, None, 100).await.unwrap();
    drop(connection);
    assert_eq!(cases.len(), 12);
    for case in &cases {
        assert_eq!(case.due_on.to_string(), "2026-12-20", "{}", case.kind);
        if case.kind.handling() == Handling::Person {
            assert_eq!(case.park_reason, Some(ParkReason::NotAutomated), "{}", case.kind);
            assert!(matches!(resume(&service, case.request).await, Err(CaseError::ByPerson)));
        } else {
            // Nobody is held under these addresses, and the machine says so.
            assert_eq!(case.outcome, Some(Outcome::FulfilledNoData), "{}", case.kind);
        }
    }
    let acknowledged = service.mails.sent().iter().filter(|mail| mail.subject.contains("received")).count();
    assert_eq!(acknowledged, 12, "everybody is told that it arrived, and until when it is answered");
    service.finish().await;
}

#[tokio::test]
async fn r_9_a_word_that_is_no_kind_becomes_other_and_goes_nowhere_else() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let mut producer = producer(&service).await;
    sqlx::query(
        "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
         VALUES ('main', 'a', 'erasure of Canarino, please', '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example'),
                ('main', 'b', 'marketing_objection', '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example')",
    )
    .execute(&mut producer)
    .await
    .unwrap();
    assert_eq!(take(&service).await, Taken { accepted: 2, repeated: 0, parked: 0 });
    service.work_to_the_end().await;
    assert!(service.platform.truth(&contact).unwrap().exists, "free text erases nobody (S-13)");
    let seen: Vec<(String, String, String)> =
        sqlx::query_as("SELECT idempotency_key, kind, state FROM dsrd.request ORDER BY idempotency_key")
            .fetch_all(&mut *service.store.connection().await.unwrap())
            .await
            .unwrap();
    let row = |key: &str, kind: &str, state: &str| (key.to_owned(), kind.to_owned(), state.to_owned());
    assert_eq!(seen, [row("a", "other", "manual"), row("b", "opt_out", "closed")]);
    let log = service.audit().await;
    let unknown = log.iter().filter(|entry| entry.detail["kind_unknown"] == true).count();
    assert_eq!(unknown, 1, "that it was unknown is counted; the oracle finds the word nowhere");
    service.finish().await;
}

#[tokio::test]
async fn i_1_what_a_person_carried_out_is_closed_by_their_record_and_an_answer_that_was_delivered() {
    let service = TestService::start().await;
    let request = service.submit(RequestKind::Rectification, &[(Email, EMAIL)]).await.request;
    let access = service.submit(RequestKind::Access, &[(Phone, PHONE)]).await.request;
    service.work_to_the_end().await;
    assert!(matches!(
        answer(&service, access, AnsweredOutcome::Fulfilled).await,
        Err(TriageError::CarriedOutByTheMachine(RequestKind::Access))
    ));
    // The database lets nothing end that nobody answered.
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let closed = sqlx::query(
        "UPDATE dsrd.request SET state = 'closed', park_reason = NULL, outcome = 'fulfilled', closed_at = now(),
           informed_at = now() WHERE request_id = $1",
    )
    .bind(request.0)
    .execute(&mut owner)
    .await;
    assert!(closed.unwrap_err().to_string().contains("by what a person recorded only"));

    service.mails.plan(Plan::NoConnection, 1);
    answer(&service, request, AnsweredOutcome::PartlyFulfilled).await.unwrap();
    service.work().await;
    assert_eq!(service.case(request).await.state, RequestState::InProgress, "the mail server is away");
    service.work_to_the_end().await;
    let case = service.case(request).await;
    assert_eq!((case.state, case.outcome), (RequestState::Closed, Some(Outcome::PartlyFulfilled)));
    assert!(
        case.informed_at.is_some() && case.verified_at.is_none(),
        "told, and not read back by the machine"
    );
    let mail = last_mail(&service);
    for wanted in ["the correction of your data", "We corrected your date of birth"] {
        assert!(mail.contains(wanted), "{wanted}: {mail}");
    }
    let story = service.story(request).await;
    let place = |action: &str| {
        story.iter().position(|each| each == action).unwrap_or_else(|| panic!("{action}: {story:?}"))
    };
    assert!(place("request.parked") < place("decision.answered"));
    assert!(place("decision.answered") < place("notice.ended=done") || story.len() > 8);
    assert_eq!(story.last().unwrap(), "request.closed");
    let log = service.audit().await;
    let entry = log.iter().find(|entry| entry.action == "decision.answered").unwrap();
    assert_eq!(entry.actor, "person:dpo");
    assert_eq!(
        entry.detail,
        serde_json::json!({ "outcome": "partly_fulfilled" }),
        "what was done is for the person"
    );
    service.finish().await;
}

#[tokio::test]
async fn i_1_an_answer_without_an_address_is_told_by_other_means_and_recorded_once() {
    let service = TestService::start().await;
    let request = service.submit(RequestKind::Complaint, &[(Phone, PHONE)]).await.request;
    service.work_to_the_end().await;
    assert!(matches!(informed(&service, request).await, Err(CaseError::NotVerified)), "nobody answered yet");
    answer(&service, request, AnsweredOutcome::Fulfilled).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.park_reason, Some(ParkReason::NoContactPoint));
    assert!(matches!(
        answer(&service, request, AnsweredOutcome::Fulfilled).await,
        Err(TriageError::AlreadyAnswered)
    ));
    assert!(matches!(
        refuse(&service, request, RefusalGround::NotARequest).await,
        Err(TriageError::AlreadyAnswered)
    ));
    informed(&service, request).await.unwrap();
    service.work_to_the_end().await;
    let case = service.case(request).await;
    assert_eq!((case.outcome, case.informed_at.is_some()), (Some(Outcome::Fulfilled), true));
    service.finish().await;
}

#[tokio::test]
async fn a_right_for_a_person_is_refused_on_a_ground_of_its_own_only() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Portability, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    let wrong = refuse(&service, request, RefusalGround::CompellingGrounds).await.unwrap_err();
    assert!(matches!(wrong, TriageError::GroundDoesNotApply { .. }), "{wrong}");
    refuse(&service, request, RefusalGround::NotPortable).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Refused));
    let mail = last_mail(&service);
    assert!(mail.contains("Article 20"), "{mail}");
    service.finish().await;
}

#[tokio::test]
async fn r_52_r_56_a_consent_taken_back_and_the_californian_opt_out_are_carried_out_at_once_and_never_refused()
 {
    for kind in [RequestKind::ConsentWithdrawal, RequestKind::CcpaOptOut] {
        let service = TestService::start().await;
        let contact = service.platform.add_contact(person());
        // Somebody for the person may ask it, and no identity is checked.
        let submission = Submission {
            requester_role: RequesterRole::Agent,
            ..service.submission(kind, &[(Email, EMAIL)])
        };
        let request = submit(&service, submission).await.unwrap().request;
        service.work_to_the_end().await;
        assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled), "{kind}");
        assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(false));
        let _twin = service.platform.add_contact(person().email("canarino@altra.example"));
        let stuck = service.submit(kind, &[(Phone, PHONE)]).await.request;
        service.work_to_the_end().await;
        assert_eq!(service.case(stuck).await.park_reason, Some(ParkReason::AmbiguousMatch));
        let refused = refuse(&service, stuck, RefusalGround::Excessive).await;
        assert!(matches!(refused, Err(TriageError::OptOut)), "{kind}");
        let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
        let forced = sqlx::query(
            "UPDATE dsrd.request SET state = 'closed', park_reason = NULL, outcome = 'refused', closed_at = now(),
               informed_at = now() WHERE request_id = $1",
        )
        .bind(stuck.0)
        .execute(&mut owner)
        .await;
        assert!(forced.is_err(), "the database knows no refusal of {kind} (I-2)");
        service.finish().await;
    }
}

#[tokio::test]
async fn r_10_a_message_with_several_rights_is_one_request_each_with_one_date_marketing_first_erasure_last() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let mut producer = producer(&service).await;
    for _ in 0..2 {
        sqlx::query(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kinds, received_at, channel, email, assurance, assured_at)
             VALUES ('main', 'letter-1', '{erasure,access,opt_out}', '2026-11-20T09:00:00Z', 'letter', $1,
                     'authenticated_session', '2026-11-23T11:00:00Z')",
        )
        .bind(EMAIL)
        .execute(&mut producer)
        .await
        .unwrap();
    }
    assert_eq!(take(&service).await, Taken { accepted: 1, repeated: 1, parked: 0 });
    service.work_to_the_end().await;
    let seen: Vec<(String, String, chrono::NaiveDate)> =
        sqlx::query_as("SELECT kind, outcome, due_on FROM dsrd.request ORDER BY sibling_no")
            .fetch_all(&mut *service.store.connection().await.unwrap())
            .await
            .unwrap();
    let due: chrono::NaiveDate = "2026-12-20".parse().unwrap();
    let row = |kind: &str| (kind.to_owned(), "fulfilled".to_owned(), due);
    assert_eq!(seen, [row("opt_out"), row("access"), row("erasure")]);
    // The oracle compares the package with the truth; here: the snapshot was taken before the contact went.
    assert!(!service.platform.truth(&contact).unwrap().exists);
    let log = service.audit().await;
    let place = |action: &str| log.iter().position(|entry| entry.action == action).unwrap();
    assert!(place("package.built") < place("deletion.began"));
    service.finish().await;
}

#[tokio::test]
async fn r_10_the_same_key_with_other_rights_is_another_message() {
    let service = TestService::start().await;
    let both = Submission {
        also: vec![RequestKind::Access, RequestKind::Erasure],
        ..service.submission(RequestKind::Erasure, &[(Email, EMAIL)])
    };
    let receipt = submit(&service, both.clone()).await.unwrap();
    assert_eq!((receipt.kind, receipt.also.len()), (RequestKind::Access, 1), "each right once");
    assert_eq!(receipt.also[0].kind, RequestKind::Erasure);
    let again = submit(&service, both.clone()).await.unwrap();
    assert_eq!((again.request, again.repeated, again.also[0].repeated), (receipt.request, true, true));
    let less = Submission { also: Vec::new(), ..both };
    assert!(matches!(submit(&service, less).await, Err(IntakeError::KeyReused)));
    let mut connection = service.store.connection().await.unwrap();
    let around =
        intake::surroundings(&mut connection, &service.controller.id, receipt.request).await.unwrap();
    drop(connection);
    assert_eq!(around.siblings, [receipt.also[0].reference.to_string()]);
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn r_12_a_reminder_keeps_the_first_clock_and_nothing_is_queued_twice() {
    let mut service = TestService::start().await;
    set_up(&mut service, |controller| controller.reminder_days = 90);
    let _contact = service.platform.add_contact(person());
    let _twin = service.platform.add_contact(person().email("canarino@altra.example"));
    let first = service.submit(RequestKind::Access, &[(Phone, PHONE)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(first.request).await.state, RequestState::Manual);
    service.clock.advance(TimeDelta::days(20));
    let reminder = service.submit(RequestKind::Access, &[(Phone, "333 1234567")]).await;
    assert_eq!(reminder.reminds_of.as_ref(), Some(&first.reference));
    assert_eq!(
        (reminder.due_on, reminder.request == first.request),
        (first.due_on, false),
        "its own receipt"
    );
    let case = service.case(reminder.request).await;
    assert_eq!((case.state, case.outcome), (RequestState::Closed, Some(Outcome::Superseded)));
    assert_eq!(service.case(first.request).await.due_on, first.due_on);
    assert_eq!(service.depth().await.parked, 1, "one job, that of the first");
    let mut connection = service.store.connection().await.unwrap();
    let around = intake::surroundings(&mut connection, &service.controller.id, first.request).await.unwrap();
    drop(connection);
    assert_eq!(around.reminders, [reminder.reference.to_string()]);
    assert_eq!(
        service.story(reminder.request).await,
        ["request.received", "request.superseded"],
        "no address, no acknowledgement"
    );
    // Another kind, another person of the household, and a request after the window are no reminders.
    let other_kind = service.submit(RequestKind::Erasure, &[(Phone, PHONE)]).await;
    let other_person =
        service.submit(RequestKind::Access, &[(Phone, PHONE), (Email, "canarina@posta.example")]).await;
    service.clock.advance(TimeDelta::days(80));
    let later = service.submit(RequestKind::Access, &[(Phone, PHONE)]).await;
    for receipt in [other_kind, other_person, later] {
        assert_eq!(receipt.reminds_of, None, "{}", receipt.kind);
        assert_ne!(service.case(receipt.request).await.state, RequestState::Closed);
    }
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn r_9_r_12_what_may_be_about_something_else_is_no_reminder() {
    let mut service = TestService::start().await;
    set_up(&mut service, |controller| controller.reminder_days = 90);
    // Two words that nobody knows, of one person.
    let mut producer = producer(&service).await;
    for word in ["stop profiling me", "where do you buy your lists"] {
        sqlx::query(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
             VALUES ('main', $1, $1, '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example')",
        )
        .bind(word)
        .execute(&mut producer)
        .await
        .unwrap();
    }
    assert_eq!(take(&service).await, Taken { accepted: 2, repeated: 0, parked: 0 });
    // The name on one day, the birth date on another: which datum is wrong stands in no column.
    let by_person = [
        RequestKind::Complaint,
        RequestKind::Rectification,
        RequestKind::Restriction,
        RequestKind::Objection,
        RequestKind::AutomatedDecision,
    ];
    for kind in by_person {
        for _ in 0..2 {
            let receipt = service.submit(kind, &[(Email, EMAIL)]).await;
            assert_eq!(receipt.reminds_of, None, "{kind}");
        }
    }
    let mut connection = service.store.connection().await.unwrap();
    let cases = intake::list_cases(&mut connection, &service.controller.id, None, None, 100).await.unwrap();
    drop(connection);
    assert_eq!(cases.len(), 2 + 2 * by_person.len());
    for case in &cases {
        assert_eq!(case.park_reason, Some(ParkReason::NotAutomated), "{}: a task each", case.kind);
    }
    service.finish().await;
}

#[tokio::test]
async fn r_13_how_often_somebody_asks_refuses_nothing_and_a_year_later_is_not_often() {
    let mut service = TestService::start().await;
    set_up(&mut service, |controller| controller.reminder_days = 90);
    let _contact = service.platform.add_contact(person());
    let mut last = None;
    for _ in 0..5 {
        let receipt = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
        assert_eq!(receipt.reminds_of, None, "the one before is answered");
        service.work_to_the_end().await;
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
        service.clock.advance(TimeDelta::days(6));
        last = Some(receipt.request);
    }
    service.clock.advance(TimeDelta::days(366));
    let after = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
    service.work_to_the_end().await;
    let mut connection = service.store.connection().await.unwrap();
    let around = async |connection: &mut dsrd::store::PgConnection, request| {
        intake::surroundings(connection, &service.controller.id, request).await.unwrap().within_a_year
    };
    assert_eq!(around(&mut connection, last.unwrap()).await, 5);
    assert_eq!(around(&mut connection, after.request).await, 1);
    drop(connection);
    service.finish().await;
}

#[tokio::test]
async fn r_24_what_somebody_asks_for_the_person_waits_until_their_authority_was_checked() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let by = |role, kind| Submission { requester_role: role, ..service.submission(kind, &[(Email, EMAIL)]) };
    let access = submit(&service, by(RequesterRole::Agent, RequestKind::Access)).await.unwrap().request;
    let erasure = submit(&service, by(RequesterRole::Heir, RequestKind::Erasure)).await.unwrap().request;
    service.work_to_the_end().await;
    for request in [access, erasure] {
        assert_eq!(service.case(request).await.park_reason, Some(ParkReason::RequesterNotSelf));
        assert!(matches!(resume(&service, request).await, Err(CaseError::NotAccepted)));
    }
    assert!(service.simulator.journal().entries().is_empty(), "nobody was even looked for");
    // Not by the back door either.
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let forced = sqlx::query(
        "UPDATE dsrd.request SET state = 'in_progress', park_reason = NULL WHERE request_id = $1",
    )
    .bind(erasure.0)
    .execute(&mut owner)
    .await;
    assert!(forced.unwrap_err().to_string().contains("checked their authority"));
    let mut tx = service.store.begin("test").await.unwrap();
    let reason = AcceptanceReason::AuthorityChecked;
    triage::accept(&mut tx, &service.desk, &service.controller.id, access, reason, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    refuse(&service, erasure, RefusalGround::NotCovered).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(access).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.case(erasure).await.outcome, Some(Outcome::Refused));
    assert!(service.platform.truth(&contact).unwrap().exists);
    // A producer's word that nobody knows passes for anybody but the data subject.
    let mut producer = producer(&service).await;
    sqlx::query(
        "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, requester_role, received_at, channel, email)
         VALUES ('main', 'a', 'access', 'the neighbour', '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example')",
    )
    .execute(&mut producer)
    .await
    .unwrap();
    take(&service).await;
    let waiting: String =
        sqlx::query_scalar("SELECT park_reason FROM dsrd.request WHERE requester_role = 'other'")
            .fetch_one(&mut *service.store.connection().await.unwrap())
            .await
            .unwrap();
    assert_eq!(waiting, "requester_not_self");
    service.finish().await;
}

#[tokio::test]
async fn r_4_r_15_both_dates_are_stored_and_of_several_calendars_the_earliest_counts() {
    let mut service = TestService::start().await;
    set_up(&mut service, |controller| {
        controller.calendar = Some("DE".parse().unwrap());
        controller.further_calendars = vec!["IT".parse().unwrap()];
    });
    let received = |service: &TestService, at: &str| Submission {
        received_at: at.parse().unwrap(),
        ..service.submission(RequestKind::Complaint, &[(Email, EMAIL)])
    };
    let case = async |service: &TestService, at: &str| {
        let receipt = submit(service, received(service, at)).await.unwrap();
        service.case(receipt.request).await
    };
    let dates = |case: &intake::Case| {
        (case.due_on.to_string(), case.statutory_due_on.map(|day| day.to_string()).unwrap_or_default())
    };
    // The Day of German Unity, which Italy does not keep: R-15.
    let one = case(&service, "2025-09-03T10:00:00+02:00").await;
    assert_eq!(dates(&one), ("2025-10-03".to_owned(), "2025-10-03".to_owned()));
    // A Saturday everywhere: E-13.
    let other = case(&service, "2026-10-14T10:00:00+02:00").await;
    assert_eq!(dates(&other), ("2026-11-14".to_owned(), "2026-11-16".to_owned()));
    // A year that no calendar knows: never "no holidays".
    set_up(&mut service, |controller| {
        controller.calendar = None;
        controller.further_calendars = Vec::new();
    });
    let third = case(&service, "2026-11-20T10:00:00+01:00").await;
    assert_eq!(dates(&third), ("2026-12-20".to_owned(), String::new()));
    let lateness =
        |at: &str| service.controller.overdue(other.due_on, other.statutory_due_on, at.parse().unwrap());
    assert_eq!(lateness("2026-11-14T22:59:59Z"), Overdue::No);
    assert_eq!(lateness("2026-11-14T23:00:00Z"), Overdue::Yes);
    assert_eq!(lateness("2026-11-16T23:00:00Z"), Overdue::Breach);
    assert!(service.clock.now() > other.received_at);
    service.finish().await;
}

#[tokio::test]
async fn r_87_the_law_of_the_organisation_gives_the_term() {
    for (regime, calendar, kind, due, statutory) in [
        ("US-CA", "US-CA", RequestKind::Access, "2027-01-04", "2027-01-04"),
        ("US-CA", "US-CA", RequestKind::CcpaOptOut, "2026-12-11", "2026-12-15"),
        ("BR", "IT", RequestKind::Access, "2026-12-05", "2026-12-05"),
        ("CH", "CH", RequestKind::Rectification, "2026-12-20", "2026-12-20"),
    ] {
        let mut service = TestService::start().await;
        set_up(&mut service, |controller| {
            controller.regime = regime.parse().unwrap();
            controller.calendar = Some(calendar.parse().unwrap());
        });
        let submission = Submission {
            received_at: "2026-11-20T10:00:00Z".parse().unwrap(),
            ..service.submission(kind, &[(Email, EMAIL)])
        };
        let request = submit(&service, submission).await.unwrap().request;
        let case = service.case(request).await;
        assert_eq!(case.due_on.to_string(), due, "{regime} {kind}");
        assert_eq!(case.statutory_due_on.unwrap().to_string(), statutory, "{regime} {kind}");
        service.work_to_the_end().await;
        service.finish().await;
    }
}
