//! What moves a date: extensions that were told in time, waiting for the person; and decisions by two persons.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use dsrd::audit::Actor;
use dsrd::delivery::Plan;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    Assurance, ClarificationReason, Clock as _, Controller, DecisionKind, ExtensionReason, IdentityMethod,
    IncidentCategory, IncidentCause, IncidentEnd, Outcome, ParkReason, Personal, Proof, Reference,
    RefusalGround, RequestId, RequestKind, RequestState,
};
use dsrd::identity::{self, CodeAnswer, Confirmation};
use dsrd::intake::{self, CaseError, Submission};
use dsrd::triage::{self, Decision, Facts, Taken, TriageError};
use dsrd_simulator::{ContactSpec, Fault};
use sqlx::{Connection as _, PgConnection};

use crate::identity::{asked, confirm, page, questions, secret, submit};
use crate::identity_codes::code;
use crate::support::service::TestService;

const EMAIL: &str = "canarino@posta.example";

fn person(name: &str) -> Actor {
    Actor::Person(name.to_owned())
}

/// A service for a controller under this law, at this local time.
pub(crate) async fn under(regime: &str, calendar: &str, zone: chrono_tz::Tz, now: &str) -> TestService {
    let mut service = TestService::start().await;
    let controller = Arc::make_mut(&mut service.controller);
    controller.regime = regime.parse().unwrap();
    controller.calendar = Some(calendar.parse().unwrap());
    controller.time_zone = zone;
    move_to(&service, now);
    service
}

pub(crate) fn move_to(service: &TestService, at: &str) {
    let at: DateTime<Utc> = at.parse().unwrap();
    service.clock.advance(at - service.clock.now());
}

/// A request for a person, received at an instant, which nothing carries out meanwhile.
pub(crate) async fn received(service: &TestService, at: &str) -> RequestId {
    let submission = Submission {
        received_at: at.parse().unwrap(),
        ..service.submission(RequestKind::Objection, &[(Email, EMAIL)])
    };
    let receipt =
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap();
    service.pump().await;
    receipt.request
}

fn facts(text: &str) -> Facts {
    Facts::read(text).unwrap()
}

async fn decide(
    service: &TestService,
    request: RequestId,
    decision: Decision,
    by: &str,
) -> Result<Taken, TriageError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let facts = Some(facts("Four venues and two former providers have to be asked."));
    let taken =
        triage::decide(&mut tx, &service.desk, &service.controller, request, (decision, facts), person(by))
            .await?;
    tx.commit().await.unwrap();
    Ok(taken)
}

pub(crate) async fn extend(service: &TestService, request: RequestId) -> Result<Taken, TriageError> {
    decide(service, request, Decision::Extension(ExtensionReason::Complexity), "dpo").await
}

pub(crate) async fn ask(service: &TestService, request: RequestId) -> Result<(), TriageError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let question = (ClarificationReason::MuchData, facts("Which of your visits do you mean?"));
    triage::ask_clarification(&mut tx, &service.desk, &service.controller, request, question, person("dpo"))
        .await?;
    tx.commit().await.unwrap();
    Ok(())
}

pub(crate) async fn clarified(
    service: &TestService,
    request: RequestId,
    at: Option<&str>,
) -> Result<(), CaseError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let at = at.map(|at| at.parse().unwrap());
    intake::clarified(&mut tx, &service.desk, &service.controller, request, at, person("dpo")).await?;
    tx.commit().await.unwrap();
    Ok(())
}

async fn dates(service: &TestService, request: RequestId) -> (String, String) {
    let case = service.case(request).await;
    (case.due_on.to_string(), case.statutory_due_on.unwrap().to_string())
}

fn days(conservative: &str, statutory: &str) -> (String, String) {
    (conservative.to_owned(), statutory.to_owned())
}

#[tokio::test]
async fn r_6_e_34_an_extension_counts_when_the_person_was_told_before_the_statutory_end_of_the_first_term() {
    let service = under("EU", "DE", chrono_tz::Europe::Berlin, "2026-04-07T08:00:00Z").await;
    let request = received(&service, "2026-03-05T09:00:00Z").await;
    // The conservative date has passed, the last lawful day (Easter) has not: E-34.
    assert_eq!(dates(&service, request).await, days("2026-04-05", "2026-04-07"));
    service.mails.plan(Plan::NoConnection, 1);
    extend(&service, request).await.unwrap();
    assert!(matches!(extend(&service, request).await, Err(TriageError::AlreadyExtended)));
    service.pump().await;
    // Decided, and not told: nothing moved.
    assert_eq!(dates(&service, request).await, days("2026-04-05", "2026-04-07"));
    service.advance(std::time::Duration::from_hours(1)).await;
    service.pump().await;
    assert_eq!(dates(&service, request).await, days("2026-06-05", "2026-06-05"));
    let case = service.case(request).await;
    assert!(case.extended && case.extension == Some(ExtensionReason::Complexity));
    let mail = service.mails.sent().pop().unwrap();
    let text = mail.text.expose().split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in ["5 June 2026, at the latest", "5 March 2026", "Four venues", "complain"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let story = service.story(request).await;
    let place = |action: &str| {
        story.iter().rposition(|each| each == action).unwrap_or_else(|| panic!("{action}: {story:?}"))
    };
    assert!(place("decision.extended") < place("notice.ended=done"));
    assert!(place("notice.ended=done") < place("term.extended"));
    service.finish().await;
}

#[tokio::test]
async fn r_6_an_extension_that_was_told_too_late_never_counts() {
    let service = under("EU", "DE", chrono_tz::Europe::Berlin, "2026-04-07T20:00:00Z").await;
    let request = received(&service, "2026-03-05T09:00:00Z").await;
    service.mails.plan(Plan::NoConnection, 1);
    extend(&service, request).await.unwrap();
    service.pump().await;
    // Midnight in Berlin is 22:00 UTC: the notice comes two hours too late.
    service.advance(std::time::Duration::from_hours(4)).await;
    service.pump().await;
    assert_eq!(service.mails.sent().len(), 2, "the acknowledgement, and the notice all the same");
    let case = service.case(request).await;
    assert_eq!((case.extended, case.due_on.to_string().as_str()), (false, "2026-04-05"));
    // Nor by the hand of somebody with the rights of the owner.
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let forced = sqlx::query(
        "INSERT INTO dsrd.extension (organisation_id, request_id, decision_id, notice_id, base_due_at, notified_at)
         SELECT decision.organisation_id, decision.request_id, decision_id, notice_id, base_due_at, sent_at
         FROM dsrd.decision JOIN dsrd.notice USING (organisation_id, request_id)
         WHERE decision.kind = 'extension' AND notice.kind = 'extension'",
    )
    .execute(&mut owner)
    .await;
    assert!(forced.unwrap_err().to_string().contains("told_in_time"));
    let moved = sqlx::query(
        "UPDATE dsrd.request SET due_on = due_on - 1, received_at = received_at - interval '1 day'",
    )
    .execute(&mut owner)
    .await;
    assert!(moved.unwrap_err().to_string().contains("never edited"), "I-6");
    service.finish().await;
}

#[tokio::test]
async fn r_6_an_extension_after_the_first_term_without_a_reason_or_an_address_is_refused() {
    let service = under("EU", "DE", chrono_tz::Europe::Berlin, "2026-04-07T22:00:00Z").await;
    let late = received(&service, "2026-03-05T09:00:00Z").await;
    assert!(matches!(extend(&service, late).await, Err(TriageError::TermOver)));
    let phone = service.submit(RequestKind::Objection, &[(Phone, "+39 333 1234567")]).await.request;
    assert!(matches!(extend(&service, phone).await, Err(TriageError::NoAddress)));
    let opt_out = service.submit(RequestKind::OptOut, &[(Email, EMAIL)]).await.request;
    assert!(matches!(extend(&service, opt_out).await, Err(TriageError::NotExtended)));
    service.work_to_the_end().await;
    assert!(matches!(extend(&service, opt_out).await, Err(TriageError::Case(CaseError::Closed))));
    service.finish().await;

    let service = under("BR", "PT", chrono_tz::America::Sao_Paulo, "2026-03-06T12:00:00Z").await;
    let request = received(&service, "2026-03-05T09:00:00Z").await;
    assert!(matches!(extend(&service, request).await, Err(TriageError::NoExtension(_))));
    service.finish().await;
}

#[tokio::test]
async fn r_6_the_californian_extension_has_its_own_length() {
    let service = under("US-CA", "US-CA", chrono_tz::America::Los_Angeles, "2026-11-21T18:00:00Z").await;
    let request = received(&service, "2026-11-20T18:00:00Z").await;
    assert_eq!(dates(&service, request).await, days("2027-01-04", "2027-01-04"));
    extend(&service, request).await.unwrap();
    service.pump().await;
    assert_eq!(dates(&service, request).await, days("2027-02-18", "2027-02-18"));
    service.finish().await;
}

#[tokio::test]
async fn i_5_a_question_stops_the_clock_as_the_regime_says_and_only_when_it_was_put() {
    // E-40: both ends excluded in the United Kingdom; E-36: nothing in the Union; nothing in California.
    for (regime, calendar, zone, due) in [
        ("UK", "GB-ENG", chrono_tz::Europe::London, ("2026-04-10", "2026-04-10")),
        ("EU", "DE", chrono_tz::Europe::Berlin, ("2026-04-02", "2026-04-02")),
        ("EU-suspend", "DE", chrono_tz::Europe::Berlin, ("2026-04-09", "2026-04-09")),
        ("US-CA", "US-CA", chrono_tz::America::Los_Angeles, ("2026-04-16", "2026-04-16")),
    ] {
        let service = under(regime, calendar, zone, "2026-03-09T12:00:00Z").await;
        let request = received(&service, "2026-03-02T12:00:00Z").await;
        let before = dates(&service, request).await;
        assert!(matches!(clarified(&service, request, None).await, Err(CaseError::NothingAsked)));
        ask(&service, request).await.unwrap();
        assert!(ask(&service, request).await.is_err());
        service.pump().await;
        let case = service.case(request).await;
        assert_eq!((case.state, case.park_reason), (RequestState::NeedsClarification, None), "{regime}");
        assert_eq!(dates(&service, request).await, before, "an open wait moves nothing");
        move_to(&service, "2026-03-17T12:00:00Z");
        assert!(matches!(
            clarified(&service, request, Some("2026-03-18T12:00:00Z")).await,
            Err(CaseError::AnswerOutOfTime)
        ));
        clarified(&service, request, Some("2026-03-16T12:00:00Z")).await.unwrap();
        assert_eq!(dates(&service, request).await, days(due.0, due.1), "{regime}");
        let case = service.case(request).await;
        assert_eq!(case.park_reason, Some(ParkReason::NotAutomated), "a person's task as before");
        service.finish().await;
    }
}

#[tokio::test]
async fn i_5_a_question_that_never_left_stops_no_clock_and_a_machines_request_goes_on_after_the_answer() {
    let service = under("UK", "GB-ENG", chrono_tz::Europe::London, "2026-03-09T12:00:00Z").await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL).events(3));
    let request = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await.request;
    let before = dates(&service, request).await;
    ask(&service, request).await.unwrap();
    let mut withdrawn = service.work().await;
    withdrawn.retain(|ended| matches!(ended, dsrd::execution::Ended::Closed));
    assert!(withdrawn.is_empty(), "nothing is carried out while the person is asked");
    assert!(service.simulator.journal().entries().is_empty());
    service.clock.advance(TimeDelta::days(3));
    clarified(&service, request, None).await.unwrap();
    assert_eq!(dates(&service, request).await, before, "nobody answered: no time stood still");
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    assert!(matches!(ask(&service, request).await, Err(TriageError::Case(CaseError::Closed))));

    // A mail server that is away: the question did not leave.
    let request = received(&service, "2026-03-10T12:00:00Z").await;
    service.mails.plan(Plan::NoConnection, 1);
    let before = dates(&service, request).await;
    ask(&service, request).await.unwrap();
    service.pump().await;
    clarified(&service, request, Some("2026-03-12T11:00:00Z")).await.unwrap();
    assert_eq!(dates(&service, request).await, before);
    service.advance(std::time::Duration::from_hours(1)).await;
    service.pump().await;
    let questions = service.mails.sent().iter().filter(|mail| mail.subject.contains("question")).count();
    assert_eq!(questions, 1, "what needs no answer any more is not asked");
    service.finish().await;
}

#[tokio::test]
async fn two_persons_decide_where_the_organisation_wants_it_and_never_the_same_twice() {
    let mut service = TestService::start().await;
    let both = vec![DecisionKind::Refusal, DecisionKind::Extension];
    change(&mut service, |controller| controller.two_persons = both);
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query("UPDATE dsrd.organisation SET two_persons = '{refusal,extension}'")
        .execute(&mut owner)
        .await
        .unwrap();
    let request = service.submit(RequestKind::Objection, &[(Email, EMAIL)]).await.request;
    let refusal = Decision::Refusal(RefusalGround::CompellingGrounds);
    // What cannot be decided cannot be proposed.
    let wrong = Decision::Refusal(RefusalGround::LegalClaims);
    assert!(matches!(
        decide(&service, request, wrong, "anna").await,
        Err(TriageError::GroundDoesNotApply { .. })
    ));
    assert_eq!(decide(&service, request, refusal.clone(), "anna").await.unwrap(), Taken::Proposed);
    assert!(matches!(
        decide(&service, request, refusal.clone(), "bea").await,
        Err(TriageError::AlreadyProposed)
    ));
    let confirm = async |by: &str| {
        let mut tx = service.store.begin("test").await.unwrap();
        let decision =
            triage::confirm(&mut tx, &service.desk, &service.controller, request, person(by)).await?;
        tx.commit().await.unwrap();
        Ok::<Decision, TriageError>(decision)
    };
    assert!(matches!(confirm("anna").await, Err(TriageError::SamePerson)));
    // Nor does she under another account; who is behind the bare name of that one, nobody knows.
    let dropped = async |by: &str| {
        let mut tx = service.store.begin("test").await.unwrap();
        triage::drop_proposal(&mut tx, &service.desk, &service.controller, request, person(by))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    dropped("anna").await;
    decide(&service, request, refusal.clone(), "anna.as.root").await.unwrap();
    for same in ["anna.as.dsrd", "anna", "root"] {
        assert!(matches!(confirm(same).await, Err(TriageError::SamePerson)), "{same}");
        // The database has the rule, too.
        let refused = sqlx::query("UPDATE dsrd.proposal SET ended_as = 'confirmed', ended_by = $1, ended_at = now() WHERE ended_as IS NULL")
            .bind(format!("person:{same}"))
            .execute(&mut owner)
            .await;
        assert!(refused.unwrap_err().to_string().contains("proposed themselves"), "{same}");
    }
    dropped("anna").await;
    decide(&service, request, refusal.clone(), "anna").await.unwrap();
    assert_eq!(service.case(request).await.refusal, None);
    // A door that asks for one person only finds the database's shut.
    let mut tx = service.store.begin("test").await.unwrap();
    let alone = triage::refuse(
        &mut tx,
        &service.desk,
        &service.controller.id,
        request,
        RefusalGround::CompellingGrounds,
        Some(facts("The claim of 3 March.")),
        person("anna"),
    )
    .await;
    assert!(matches!(alone, Err(TriageError::Store(_))), "{alone:?}");
    drop(tx);
    // A proposal may be dropped, and made again.
    let mut tx = service.store.begin("test").await.unwrap();
    triage::drop_proposal(&mut tx, &service.desk, &service.controller, request, person("anna"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(confirm("bea").await, Err(TriageError::NothingProposed)));
    decide(&service, request, refusal.clone(), "anna").await.unwrap();
    assert_eq!(confirm("bea").await.unwrap(), refusal);
    let decided: (String, Option<String>) =
        sqlx::query_as("SELECT decided_by, confirmed_by FROM dsrd.decision")
            .fetch_one(&mut owner)
            .await
            .unwrap();
    assert_eq!(decided, ("person:anna".to_owned(), Some("person:bea".to_owned())));
    let same = sqlx::query("UPDATE dsrd.proposal SET ended_as = NULL, ended_by = NULL, ended_at = NULL")
        .execute(&mut owner)
        .await;
    assert!(same.unwrap_err().to_string().contains("ends once"));
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Refused));
    let story = service.story(request).await;
    let place = |action: &str| {
        story.iter().position(|each| each == action).unwrap_or_else(|| panic!("{action}: {story:?}"))
    };
    assert!(place("decision.proposed") < place("decision.dropped"));
    assert!(place("decision.confirmed") < place("decision.refused"));
    service.finish().await;
}

#[tokio::test]
async fn two_persons_decide_where_the_daemon_wrote_it_down_whatever_the_settings_of_who_asks_say() {
    let service = TestService::start().await;
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query("UPDATE dsrd.organisation SET two_persons = '{refusal}'").execute(&mut owner).await.unwrap();
    assert!(service.controller.two_persons.is_empty());
    let request = service.submit(RequestKind::Objection, &[(Email, EMAIL)]).await.request;
    let refusal = Decision::Refusal(RefusalGround::CompellingGrounds);
    assert_eq!(decide(&service, request, refusal, "anna").await.unwrap(), Taken::Proposed);
    let mut tx = service.store.begin("test").await.unwrap();
    triage::confirm(&mut tx, &service.desk, &service.controller, request, person("bea")).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Refused));
    service.finish().await;
}

#[tokio::test]
async fn r_36_e_45_an_incident_freezes_its_evidence_and_counts_72_hours_without_a_shift() {
    let service = under("EU", "IT", chrono_tz::Europe::Rome, "2026-10-02T14:30:00Z").await;
    let request = service.submit(RequestKind::OptOut, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.state, RequestState::Closed);
    let declare = async |aware_at: &str| {
        let mut tx = service.store.begin("test").await.unwrap();
        let breach =
            (IncidentCause::Misdirected, &[IncidentCategory::Profile][..], aware_at.parse().unwrap());
        let due = triage::declare_incident(
            &mut tx,
            &service.desk,
            &service.controller,
            request,
            breach,
            person("dpo"),
        )
        .await?;
        tx.commit().await.unwrap();
        Ok::<_, TriageError>(due)
    };
    assert!(
        matches!(declare("2026-10-09T14:20:00Z").await, Err(TriageError::IncidentUnusable)),
        "the future"
    );
    // Friday 16:20 in Rome: Monday 16:20, E-45.
    let due = declare("2026-10-02T14:20:00Z").await.unwrap().unwrap();
    assert_eq!(due, "2026-10-05T14:20:00Z".parse::<DateTime<Utc>>().unwrap());
    assert!(matches!(declare("2026-10-02T14:20:00Z").await, Err(TriageError::IncidentOpen)));
    let mut connection = service.store.connection().await.unwrap();
    let open = triage::list_incidents(&mut connection, &service.controller.id).await.unwrap();
    drop(connection);
    assert_eq!((open.len(), open[0].authority_due_at), (1, Some(due)));
    service.clock.advance(TimeDelta::days(3000));
    let upkeep = dsrd::upkeep::Upkeep {
        store: service.store.clone(),
        desk: service.desk.clone(),
        settings: dsrd::upkeep::Settings {
            identifiers_days: 30,
            contact_ids_days: 120,
            evidence_months: 120,
            log_months: 120,
        },
    };
    let forgotten = upkeep.run(&Actor::Process("upkeep")).await.unwrap();
    assert_eq!((forgotten.identifiers_of, forgotten.contacts_of, forgotten.requests), (0, 0, 0));
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let forced =
        sqlx::query("UPDATE dsrd.request SET identifiers_forgotten_at = now()").execute(&mut owner).await;
    assert!(forced.unwrap_err().to_string().contains("is evidence"));
    let forced = sqlx::query("DELETE FROM dsrd.request").execute(&mut owner).await;
    assert!(forced.unwrap_err().to_string().contains("is evidence"));
    let mut tx = service.store.begin("test").await.unwrap();
    let reported = IncidentEnd::Reported;
    triage::end_incident(&mut tx, &service.desk, &service.controller, request, reported, person("dpo"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let forgotten = upkeep.run(&Actor::Process("upkeep")).await.unwrap();
    assert_eq!((forgotten.identifiers_of, forgotten.contacts_of, forgotten.requests), (1, 1, 0));
    let story = service.story(request).await;
    assert!(story.ends_with(&["incident.declared".to_owned(), "incident.ended".to_owned()]), "{story:?}");
    service.finish().await;
}

fn change(service: &mut TestService, with: impl FnOnce(&mut Controller)) {
    with(Arc::make_mut(&mut service.controller));
}

/// How it becomes known who asks.
#[derive(Clone, Copy, Debug)]
enum By {
    Link,
    Code,
    Staff,
}

#[tokio::test]
async fn i_5_e_36_e_37_e_39_asking_who_somebody_is_stops_the_clock_as_the_regime_says_however_it_is_answered()
{
    for (regime, calendar, zone, due, by) in [
        ("EU", "DE", chrono_tz::Europe::Berlin, ("2026-04-02", "2026-04-02"), By::Link),
        ("EU-suspend", "DE", chrono_tz::Europe::Berlin, ("2026-04-09", "2026-04-09"), By::Code),
        ("EU-suspend", "DE", chrono_tz::Europe::Berlin, ("2026-04-09", "2026-04-09"), By::Staff),
        ("UK", "GB-ENG", chrono_tz::Europe::London, ("2026-04-10", "2026-04-10"), By::Link),
        ("UK", "GB-ENG", chrono_tz::Europe::London, ("2026-04-10", "2026-04-10"), By::Staff),
        ("US-CA", "US-CA", chrono_tz::America::Los_Angeles, ("2026-04-16", "2026-04-16"), By::Code),
    ] {
        let mut service = under(regime, calendar, zone, "2026-03-02T12:00:00Z").await;
        let executor = Arc::get_mut(&mut service.executor).expect("nobody works yet");
        for site in executor.sites.values_mut() {
            site.controller = Arc::clone(&service.controller);
        }
        let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL).events(1));
        let request = submit(&service, RequestKind::Erasure, &[(Email, EMAIL)], None).await.request;
        let before = dates(&service, request).await;
        service.advance(std::time::Duration::from_hours(24)).await;
        asked(&service, request).await;
        // Neither the reminder nor another message begins the wait anew.
        service.advance(std::time::Duration::from_hours(24 * 3 + 1)).await;
        service.work().await;
        service.pump().await;
        service.advance(std::time::Duration::from_hours(24 * 3)).await;
        let (desk, controller) = (&service.desk, &*service.controller);
        let mut tx = service.store.begin("test").await.unwrap();
        identity::ask_again(&mut tx, desk, controller, request, person("dpo")).await.unwrap();
        tx.commit().await.unwrap();
        service.pump().await;
        assert_eq!(dates(&service, request).await, before, "an open wait moves nothing");
        move_to(&service, "2026-03-10T14:00:00Z");
        match by {
            By::Link => {
                let proven = confirm(&service, &secret(&service), EMAIL).await;
                assert!(matches!(proven, Confirmation::Confirmed(_)), "{proven:?}");
            }
            By::Code => {
                let reference = Reference::of(request);
                let code = Personal::new(code(&service));
                let proven = page(&service).confirm_by_code(reference.as_str(), &code).await.unwrap();
                assert!(matches!(proven, CodeAnswer::Confirmed(_)), "{proven:?}");
            }
            By::Staff => {
                let mut tx = service.store.begin("test").await.unwrap();
                let method = IdentityMethod::InPerson;
                identity::record_check(&mut tx, desk, controller, request, method, person("dpo"))
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
            }
        }
        assert_eq!(dates(&service, request).await, days(due.0, due.1), "{regime} {by:?}");
        service.work_to_the_end().await;
        assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
        service.finish().await;
    }
}

#[tokio::test]
async fn r_25_r_84_a_proof_that_grew_too_old_with_us_moves_no_date_and_nobody_is_told_that_it_does() {
    for (regime, calendar, zone) in [
        ("UK", "GB-ENG", chrono_tz::Europe::London),
        ("EU-suspend", "DE", chrono_tz::Europe::Berlin),
        ("EU", "DE", chrono_tz::Europe::Berlin),
    ] {
        let mut service = under(regime, calendar, zone, "2026-03-02T12:00:00Z").await;
        let executor = Arc::get_mut(&mut service.executor).expect("nobody works yet");
        for site in executor.sites.values_mut() {
            site.controller = Arc::clone(&service.controller);
        }
        let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
        // Signed in an hour ago; then the platform is away for 30 hours.
        let at = service.clock.now() - TimeDelta::hours(1);
        let signed_in = Some(Proof { assurance: Assurance::AuthenticatedSession, at });
        let request = submit(&service, RequestKind::Erasure, &[(Email, EMAIL)], signed_in).await.request;
        let before = dates(&service, request).await;
        let away = service.simulator.faults().inject(Fault::Status(503));
        service.work().await;
        service.simulator.faults().remove(away);
        service.advance(std::time::Duration::from_hours(30)).await;
        let secret = asked(&service, request).await;
        let question = questions(&service).pop().expect("a question");
        let told = question.text.expose().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("runs on while we wait for you"), "{regime}: {told}");
        service.advance(std::time::Duration::from_hours(48)).await;
        let proven = confirm(&service, &secret, EMAIL).await;
        assert!(matches!(proven, Confirmation::Confirmed(_)), "{proven:?}");
        assert_eq!(dates(&service, request).await, before, "{regime}");
        service.work_to_the_end().await;
        assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled), "{regime}");
        service.finish().await;
    }
}

#[tokio::test]
async fn r_20_an_opt_out_is_not_set_aside_for_a_question() {
    let service = TestService::start().await;
    let open = service.submit(RequestKind::OptOut, &[(Email, EMAIL)]).await.request;
    assert!(matches!(ask(&service, open).await, Err(TriageError::OptOutIsNotDelayed)));
    // Nor by a way around the program.
    let mut connection = service.store.connection().await.unwrap();
    let refused = sqlx::query("UPDATE dsrd.request SET state = 'needs_clarification' WHERE request_id = $1")
        .bind(open.0)
        .execute(&mut *connection)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("an opt-out waits for no answer"), "{refused}");
    drop(connection);
    // Where several contacts match it waits already, and the person may be asked which one is theirs.
    for address in ["canarino.uno@posta.example", "canarino.due@posta.example"] {
        let _contact =
            service.platform.add_contact(ContactSpec::new().email(address).phone("+39 333 1234567"));
    }
    let identifiers = [(Phone, "+39 333 1234567"), (Email, "canarino.uno@posta.example")];
    let ambiguous = service.submit(RequestKind::OptOut, &identifiers[..1]).await.request;
    service.work().await;
    assert_eq!(service.case(ambiguous).await.state, RequestState::Manual);
    assert!(
        matches!(ask(&service, ambiguous).await, Err(TriageError::NoAddress)),
        "nothing but an address is missing"
    );
    service.finish().await;
}
