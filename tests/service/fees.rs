//! A fee (N-6): asked for by a person on a ground of the law, and nothing done before the answer.

use std::sync::Arc;

use chrono::{Days, TimeDelta};
use dsrd::audit::Actor;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{
    Clock as _, DecisionKind, Outcome, ParkReason, RefusalGround, RequestId, RequestKind, RequestState,
};
use dsrd::intake;
use dsrd::triage::{self, Decision, Fee, Taken, TriageError};
use sqlx::{Connection as _, PgConnection};

use crate::notices::{EMAIL, dpo, mails_to, person, today, words};
use crate::support::service::TestService;

fn fee(service: &TestService, ground: RefusalGround) -> Fee {
    Fee { ground, amount: "EUR 12.00".to_owned(), answer_by: today(service) + Days::new(14) }
}

async fn ask_fee(service: &TestService, request: RequestId, fee: Fee) -> Result<Taken, TriageError> {
    let why = words("The tenth copy within a year: 10 sheets at EUR 1.20.");
    let decision = (Decision::Fee(fee), Some(why));
    let mut tx = service.store.begin("test").await.unwrap();
    let taken = triage::decide(&mut tx, &service.desk, &service.controller, request, decision, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(taken)
}

async fn answered_about_the_fee(service: &TestService, request: RequestId, answered: bool) {
    let at = answered.then(|| service.clock.now());
    let mut tx = service.store.begin("test").await.unwrap();
    intake::clarified(&mut tx, &service.desk, &service.controller, request, at, dpo()).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn r_14_a_fee_is_asked_for_on_a_ground_by_a_person_and_nothing_is_done_before_the_answer() {
    let mut service = TestService::start().await;
    // The United Kingdom begins the term anew when a fee was answered about; the Union lets it run.
    Arc::make_mut(&mut service.controller).regime = "UK".parse().unwrap();
    let _contact = service.platform.add_contact(person());
    let receipt = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
    let request = receipt.request;
    let wrong = ask_fee(&service, request, fee(&service, RefusalGround::LegalObligation)).await;
    assert!(matches!(wrong, Err(TriageError::NoGroundForAFee(_))), "{wrong:?}");
    let unusable = Fee { amount: "a lot".to_owned(), ..fee(&service, RefusalGround::Excessive) };
    assert!(matches!(ask_fee(&service, request, unusable).await, Err(TriageError::FeeUnusable)));
    ask_fee(&service, request, fee(&service, RefusalGround::Excessive)).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.state, RequestState::NeedsClarification);
    assert!(service.mails.sent().iter().all(|mail| mail.link.is_none()), "no package before the answer");
    // Beside the acknowledgement, in whatever order the pump sent both.
    let mails = mails_to(&service, EMAIL);
    let (_, mail) = mails.iter().find(|(subject, _)| subject.contains("A fee")).expect("the notice N-6");
    for wanted in ["EUR 12.00", "7 December 2026", "excessive", "The tenth copy", "Withdraw it"] {
        assert!(mail.contains(wanted), "{wanted:?} is not in {mail}");
    }
    let again = ask_fee(&service, request, fee(&service, RefusalGround::Excessive)).await;
    assert!(again.is_err(), "once a request");
    service.clock.advance(TimeDelta::days(5));
    answered_about_the_fee(&service, request, true).await;
    assert!(service.case(request).await.due_on > receipt.due_on, "the time begins when the person answered");
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    let story = service.story(request).await;
    let place = |action: &str| story.iter().position(|each| each == action).expect("in the log");
    assert!(place("decision.fee_asked") < place("clarification.answered"));
    assert!(place("clarification.answered") < place("package.built"));

    // No answer: a person decides, and nothing was refused by silence.
    let silent = service.submit(RequestKind::Erasure, &[(Email, EMAIL)]).await.request;
    ask_fee(&service, silent, fee(&service, RefusalGround::ManifestlyUnfounded)).await.unwrap();
    service.pump().await;
    answered_about_the_fee(&service, silent, false).await;
    assert_eq!(service.case(silent).await.park_reason, Some(ParkReason::FeeUnanswered));
    service.work_to_the_end().await;
    assert_eq!(service.case(silent).await.state, RequestState::Manual);
    let mut tx = service.store.begin("test").await.unwrap();
    intake::resume(&mut tx, &service.desk, &service.controller.id, silent, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(silent).await.outcome, Some(Outcome::Fulfilled), "carried out for nothing");

    let opt_out = service.submit(RequestKind::OptOut, &[(Email, EMAIL)]).await.request;
    let never = ask_fee(&service, opt_out, fee(&service, RefusalGround::Excessive)).await;
    assert!(matches!(never, Err(TriageError::OptOut)), "{never:?}");
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn r_14_a_fee_is_asked_for_by_two_persons_where_the_organisation_wants_it() {
    let mut service = TestService::start().await;
    Arc::make_mut(&mut service.controller).two_persons = vec![DecisionKind::Fee];
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query("UPDATE dsrd.organisation SET two_persons = '{fee}'").execute(&mut owner).await.unwrap();
    let _contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await.request;
    let state = service.case(request).await.state;
    // What cannot be asked for cannot be proposed.
    let wrong = ask_fee(&service, request, fee(&service, RefusalGround::LegalObligation)).await;
    assert!(matches!(wrong, Err(TriageError::NoGroundForAFee(_))), "{wrong:?}");
    let proposed = ask_fee(&service, request, fee(&service, RefusalGround::Excessive)).await.unwrap();
    assert_eq!(proposed, Taken::Proposed);
    service.pump().await;
    assert_eq!(service.case(request).await.state, state, "it does not wait for the person yet");
    let told = |service: &TestService| {
        mails_to(service, EMAIL).into_iter().find(|(subject, _)| subject.contains("A fee")).map(|mail| mail.1)
    };
    assert_eq!(told(&service), None, "nothing is said before the second person");
    let mut tx = service.store.begin("test").await.unwrap();
    let proposal =
        triage::find_proposal(&mut tx, &service.controller.id, request).await.unwrap().expect("waits");
    drop(tx);
    assert_eq!((proposal.kind.as_str(), proposal.amount.as_deref()), ("fee", Some("EUR 12.00")));

    let confirm = async |by: &str| {
        let mut tx = service.store.begin("test").await.unwrap();
        let by = Actor::Person(by.to_owned());
        let decision = triage::confirm(&mut tx, &service.desk, &service.controller, request, by).await?;
        tx.commit().await.unwrap();
        Ok::<Decision, TriageError>(decision)
    };
    assert!(matches!(confirm("dpo").await, Err(TriageError::SamePerson)));
    // A door that asks for one person only finds the database's shut.
    let alone = sqlx::query(
        "INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, decided_by, decided_at)
         SELECT organisation_id, gen_random_uuid(), request_id, 'fee', 'RF-02', 'person:anna', now() FROM dsrd.request",
    )
    .execute(&mut owner)
    .await;
    assert!(alone.unwrap_err().to_string().contains("needs a second person"));
    for broken in ["amount = 'EUR 1.00'", "answer_by = answer_by + 1"] {
        let changed = sqlx::AssertSqlSafe(format!("UPDATE dsrd.proposal SET {broken}"));
        let refused = sqlx::query(changed).execute(&mut owner).await.unwrap_err().to_string();
        assert!(refused.contains("never changed"), "{refused}");
    }
    assert_eq!(confirm("bea").await.unwrap(), Decision::Fee(fee(&service, RefusalGround::Excessive)));
    service.pump().await;
    assert_eq!(service.case(request).await.state, RequestState::NeedsClarification);
    let mail = told(&service).expect("the notice N-6");
    for wanted in ["EUR 12.00", "7 December 2026", "The tenth copy"] {
        assert!(mail.contains(wanted), "{wanted:?} is not in {mail}");
    }
    let decided: (String, Option<String>) =
        sqlx::query_as("SELECT decided_by, confirmed_by FROM dsrd.decision WHERE kind = 'fee'")
            .fetch_one(&mut owner)
            .await
            .unwrap();
    assert_eq!(decided, (dpo().to_string(), Some("person:bea".to_owned())));
    service.finish().await;
}

#[tokio::test]
async fn r_14_a_fee_that_nobody_confirmed_in_time_is_not_asked_for() {
    let mut service = TestService::start().await;
    Arc::make_mut(&mut service.controller).two_persons = vec![DecisionKind::Fee];
    let _contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Erasure, &[(Email, EMAIL)]).await.request;
    ask_fee(&service, request, fee(&service, RefusalGround::Excessive)).await.unwrap();
    service.clock.advance(TimeDelta::days(14));
    let mut tx = service.store.begin("test").await.unwrap();
    let bea = Actor::Person("bea".to_owned());
    let late = triage::confirm(&mut tx, &service.desk, &service.controller, request, bea.clone()).await;
    assert!(matches!(late, Err(TriageError::AnswerDayOver)), "{late:?}");
    drop(tx);
    let mut tx = service.store.begin("test").await.unwrap();
    triage::drop_proposal(&mut tx, &service.desk, &service.controller, request, bea).await.unwrap();
    tx.commit().await.unwrap();
    let anew = ask_fee(&service, request, fee(&service, RefusalGround::Excessive)).await;
    assert_eq!(anew.unwrap(), Taken::Proposed);
    service.finish().await;
}
