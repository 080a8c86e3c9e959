//! Notices that follow from what persons decide, each at its legal moment: a fee (N-6), a part of the answer (N-5), a
//! restriction and its end (N-13), a correction (N-15), a breach (N-18), a complaint (N-20); and who else is told (Art. 19).

use std::sync::Arc;

use chrono::{Days, NaiveDate, TimeDelta};
use dsrd::audit::Actor;
use dsrd::delivery::Plan;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    AnsweredOutcome, Clock as _, DecisionKind, HoldCategory, HoldKind, IncidentCategory, IncidentCause,
    LiftReason, Outcome, ParkReason, RefusalGround, RequestId, RequestKind, RequestState,
};
use dsrd::holds::{self, About, EndRule, HoldError, NewHold};
use dsrd::recipients::{self, ChannelKind, Recipient, Task, TaskAction, TaskState};
use dsrd::triage::{self, Decision, Facts, Fee, Taken, TriageError};
use dsrd::{execution, intake};
use dsrd_simulator::{ContactSpec, Fault};
use sqlx::{Connection as _, PgConnection};

use crate::recipients::recipient;
use crate::support::service::TestService;

const EMAIL: &str = "canarino@posta.example";
const PHONE: &str = "+39 333 1234567";

fn dpo() -> Actor {
    Actor::Person("dpo".to_owned())
}

fn person() -> ContactSpec {
    ContactSpec::new().name("Canarino", "Prova").email(EMAIL).phone(PHONE).events(2)
}

fn words(text: &str) -> Facts {
    Facts::read(text).unwrap()
}

fn today(service: &TestService) -> NaiveDate {
    service.controller.local_date(service.clock.now())
}

/// The words of the mails to an address, each in one line, the first one first.
fn mails_to(service: &TestService, address: &str) -> Vec<(String, String)> {
    let mails = service.mails.sent_to(address).into_iter();
    mails
        .map(|mail| {
            (mail.subject.clone(), mail.text.expose().split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

fn last_mail(service: &TestService) -> String {
    let (subject, text) = mails_to(service, EMAIL).pop().expect("a mail");
    format!("{subject} | {text}")
}

async fn answer(
    service: &TestService,
    request: RequestId,
    outcome: AnsweredOutcome,
    said: &str,
) -> Result<(), TriageError> {
    let mut tx = service.store.begin("test").await.unwrap();
    triage::answer(&mut tx, &service.desk, &service.controller.id, request, outcome, words(said), dpo())
        .await?;
    tx.commit().await.unwrap();
    Ok(())
}

async fn restrict(service: &TestService, request: RequestId) -> Result<String, HoldError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let references = holds::references_of(&mut tx, &service.controller.id, request).await?;
    let new = NewHold {
        kind: HoldKind::Restriction,
        category: HoldCategory::Everything,
        ground: None,
        statute: None,
        matter: None,
        owner: "dpo".to_owned(),
        about: About::Person(references),
        ends: EndRule::WhenLifted,
        review_on: Some(today(service) + Days::new(90)),
        request: Some(request),
    };
    let placed = holds::place(&mut tx, &service.controller, new, dpo(), service.clock.now()).await?;
    tx.commit().await.unwrap();
    Ok(placed.reference)
}

async fn announce(service: &TestService, hold: &str, on: NaiveDate) -> Result<(), TriageError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let why = words("We checked the data: it is correct.");
    let end = (hold, on);
    triage::announce_restriction_end(&mut tx, &service.desk, &service.controller, end, why, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

async fn lift(service: &TestService, hold: &str, reason: LiftReason) -> Result<(), HoldError> {
    let register = Arc::clone(&service.executor.sites[&service.controller.id].recipients);
    let mut tx = service.store.begin("test").await.unwrap();
    let site = (&*service.controller, &*register);
    execution::lift_hold(&mut tx, &service.desk, site, hold, reason, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

async fn tasks(service: &TestService, request: RequestId) -> Vec<Task> {
    let mut connection = service.store.connection().await.unwrap();
    let organisation = &service.controller.id;
    recipients::list_tasks(&mut connection, organisation, Some(request), false, today(service), 100)
        .await
        .unwrap()
}

fn register() -> Vec<Recipient> {
    vec![recipient("crm", ChannelKind::Mail)]
}

#[tokio::test]
async fn r_44_a_restriction_is_in_place_before_it_is_told_and_ends_after_the_person_was_told() {
    let service = TestService::builder().recipients(register()).build().await;
    let contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Restriction, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    // Nothing is said to be restricted that is not.
    let early = answer(&service, request, AnsweredOutcome::Fulfilled, "Restricted.").await;
    assert!(matches!(early, Err(TriageError::NotRestricted(_))), "{early:?}");
    let hold = restrict(&service, request).await.unwrap();
    assert!(matches!(restrict(&service, request).await, Err(HoldError::RestrictedAlready)));
    answer(&service, request, AnsweredOutcome::Fulfilled, "Your address is kept and not used.")
        .await
        .unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    let mail = last_mail(&service);
    for wanted in
        ["is restricted", "Your address is kept and not used.", "We tell crm s.r.l.", "Before we lift"]
    {
        assert!(mail.contains(wanted), "{wanted:?} is not in {mail}");
    }
    // Art. 19: the recipient is told of the restriction, by the id of the contact.
    let [told] = tasks(&service, request).await.try_into().unwrap();
    assert_eq!((told.action, told.channel.as_str(), told.object_held), (TaskAction::Restrict, "mail", true));

    // Art. 18(3): it ends after the person was told, and on the day that they were told.
    let lifted = async || lift(&service, &hold, LiftReason::RestrictionEnded).await;
    assert!(matches!(lifted().await, Err(HoldError::NotTold)));
    let now = announce(&service, &hold, today(&service)).await;
    assert!(matches!(now, Err(TriageError::Hold(HoldError::EndTooSoon))), "{now:?}");
    let day = today(&service) + Days::new(14);
    service.mails.plan(Plan::NoConnection, 1);
    announce(&service, &hold, day).await.unwrap();
    service.pump().await;
    assert!(matches!(lifted().await, Err(HoldError::NotTold)), "the mail server did not take it");
    assert!(
        matches!(lift(&service, &hold, LiftReason::Mistake).await, Err(HoldError::NotTold)),
        "no way around it once it is announced"
    );
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let forced = sqlx::query(
        "UPDATE dsrd.hold SET ended_at = now(), ended_by = 'person:x', end_reason = 'restriction_ended'",
    )
    .execute(&mut owner)
    .await;
    assert!(forced.unwrap_err().to_string().contains("only after the person was told"));
    service.advance(std::time::Duration::from_hours(1)).await;
    service.pump().await;
    let mail = last_mail(&service);
    for wanted in
        ["is going to end", "7 December 2026", "We checked the data", "Until that day you can object"]
    {
        assert!(mail.contains(wanted), "{wanted:?} is not in {mail}");
    }
    assert!(matches!(lifted().await, Err(HoldError::BeforeItsDay(on)) if on == day));
    service.clock.advance(TimeDelta::days(14));
    lifted().await.unwrap();
    let tasks = tasks(&service, request).await;
    let release = tasks.iter().find(|task| task.action == TaskAction::Release).expect("a task");
    assert_eq!((release.recipient.as_str(), release.object_held), ("crm", true));
    assert!(service.platform.truth(&contact).unwrap().exists);
    let log = service.audit().await;
    let actions: Vec<&str> =
        log.iter().map(|entry| entry.action.as_str()).filter(|action| action.starts_with("hold.")).collect();
    assert_eq!(actions, ["hold.placed", "hold.end_announced", "hold.lifted"]);
    service.finish().await;
}

#[tokio::test]
async fn r_44_the_end_of_a_restriction_can_be_told_by_other_means_and_a_mistake_is_mended_at_once() {
    let service = TestService::start().await;
    let request = service.submit(RequestKind::Restriction, &[(Phone, PHONE)]).await.request;
    service.work_to_the_end().await;
    let hold = restrict(&service, request).await.unwrap();
    lift(&service, &hold, LiftReason::Mistake).await.unwrap();
    let hold = restrict(&service, request).await.unwrap();
    let day = today(&service) + Days::new(7);
    assert!(matches!(announce(&service, &hold, day).await, Err(TriageError::NoAddress)));
    let mut tx = service.store.begin("test").await.unwrap();
    let end = (hold.as_str(), day);
    triage::restriction_end_told_otherwise(&mut tx, &service.desk, &service.controller, end, dpo())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    service.clock.advance(TimeDelta::days(7));
    lift(&service, &hold, LiftReason::RestrictionEnded).await.unwrap();
    assert!(tasks(&service, request).await.is_empty(), "nobody was told of it");
    service.finish().await;
}

#[tokio::test]
async fn r_45_a_correction_is_told_to_the_person_and_to_those_who_have_the_data() {
    let service = TestService::builder().recipients(register()).build().await;
    let _contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Rectification, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    answer(&service, request, AnsweredOutcome::Fulfilled, "The date of birth is 3 May 1980 now.")
        .await
        .unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    let mail = last_mail(&service);
    for wanted in ["what we corrected", "The date of birth is 3 May 1980 now.", "We tell crm s.r.l."] {
        assert!(mail.contains(wanted), "{wanted:?} is not in {mail}");
    }
    let [told] = tasks(&service, request).await.try_into().unwrap();
    assert_eq!((told.action, told.state, told.object_held), (TaskAction::Rectify, TaskState::Queued, true));
    assert!(told.categories.contains(&"profile".to_owned()));
    let story = service.story(request).await;
    assert!(story.contains(&"recipient.queued".to_owned()), "{story:?}");

    // Where two contacts match, nobody guesses: a person tells the recipients.
    let _other = service.platform.add_contact(ContactSpec::new().email("altra@posta.example").phone(PHONE));
    let shared = service.submit(RequestKind::Rectification, &[(Phone, PHONE), (Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    answer(&service, shared, AnsweredOutcome::PartlyFulfilled, "The name is corrected.").await.unwrap();
    service.work_to_the_end().await;
    let [told] = tasks(&service, shared).await.try_into().unwrap();
    assert_eq!((told.channel.as_str(), told.object_held), ("person", false));

    // Nothing was there: nobody has anything to correct.
    let none = service.submit(RequestKind::Rectification, &[(Email, "canarino.nessuno@posta.example")]).await;
    answer(&service, none.request, AnsweredOutcome::FulfilledNoData, "We hold nothing about you.")
        .await
        .unwrap();
    service.work_to_the_end().await;
    assert!(tasks(&service, none.request).await.is_empty());
    service.finish().await;
}

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

async fn answer_part(service: &TestService, request: RequestId, said: &str) -> Result<(), TriageError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let part = words(said);
    triage::answer_part(&mut tx, &service.desk, &service.controller, request, part, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

#[tokio::test]
async fn r_5_a_part_of_the_answer_goes_first_and_the_request_stays_open_until_the_whole_is_there() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let receipt = service.submit(RequestKind::Portability, &[(Email, EMAIL)]).await;
    let request = receipt.request;
    answer_part(&service, request, "The visits of 2026 are here. Those of 2025 follow.").await.unwrap();
    let second = answer_part(&service, request, "The visits of 2025.").await;
    assert!(matches!(second, Err(TriageError::PartPending)), "the first is not told yet: {second:?}");
    service.work_to_the_end().await;
    let mails = mails_to(&service, EMAIL);
    let (_, mail) = mails.iter().find(|(subject, _)| subject.contains("first part")).expect("the notice N-5");
    assert!(mail.contains("The visits of 2026"), "{mail}");
    let case = service.case(request).await;
    assert_eq!((case.state, case.due_on, case.informed_at), (RequestState::Manual, receipt.due_on, None));
    answer_part(&service, request, "The visits of 2025.").await.unwrap();
    service.pump().await;
    assert!(last_mail(&service).contains("The visits of 2025."));
    answer(&service, request, AnsweredOutcome::Fulfilled, "This was all.").await.unwrap();
    let late = answer_part(&service, request, "And one more.").await;
    assert!(matches!(late, Err(TriageError::NothingFollows)), "{late:?}");
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    let parts = service.story(request).await.iter().filter(|each| *each == "decision.part_answered").count();
    assert_eq!(parts, 2);
    service.finish().await;
}

#[tokio::test]
async fn r_36_the_person_is_told_of_a_breach_in_three_parts_whatever_became_of_the_request() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let given = "canarino.altro@posta.example";
    let request = service.submit(RequestKind::Erasure, &[(Phone, PHONE), (Email, given)]).await.request;
    let mut tx = service.store.begin("test").await.unwrap();
    intake::withdraw(&mut tx, &service.desk, &service.controller, request, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    let tell = async |text: &str, to_given: bool| {
        let told = (Facts::read_breach(text)?, to_given);
        let mut tx = service.store.begin("test").await.unwrap();
        triage::tell_breach(&mut tx, &service.desk, &service.controller, request, told, dpo()).await?;
        tx.commit().await.unwrap();
        Ok::<(), TriageError>(())
    };
    let three = "A letter went to a wrong address.\n\nSomebody may know that you asked.\n\nWe had it back.\nBe careful with calls.";
    assert!(matches!(tell(three, true).await, Err(TriageError::NoIncident)), "declared first");
    let mut tx = service.store.begin("test").await.unwrap();
    let breach = (IncidentCause::Misdirected, [IncidentCategory::Request].as_slice(), service.clock.now());
    triage::declare_incident(&mut tx, &service.desk, &service.controller, request, breach, dpo())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let two = tell("What happened.\n\nWhat it means.", true).await;
    assert!(matches!(two, Err(TriageError::BreachUnusable)), "{two:?}");
    tell(three, true).await.unwrap();
    service.pump().await;
    let (subject, text) = mails_to(&service, given).pop().unwrap();
    assert!(subject.contains("A breach"), "{subject}");
    let places: Vec<usize> =
        ["A letter went", "Somebody may know", "We had it back", "Be careful with calls"]
            .iter()
            .map(|wanted| text.find(wanted).unwrap_or_else(|| panic!("{wanted:?} is not in {text}")))
            .collect();
    assert!(places.is_sorted(), "{text}");
    let story = service.story(request).await;
    let place = |action: &str| story.iter().rposition(|each| each == action).expect("in the log");
    assert!(place("incident.declared") < place("incident.person_told"));
    assert!(place("incident.person_told") < place("notice.ended=done"));
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Withdrawn));
    service.finish().await;
}

#[tokio::test]
async fn r_88_a_complaint_is_acknowledged_as_one_in_the_language_of_the_person() {
    let service = TestService::start().await;
    let mut submission = service.submission(RequestKind::Complaint, &[(Email, EMAIL)]);
    submission.language = Some("it".to_owned());
    let receipt =
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap();
    service.work_to_the_end().await;
    let [(subject, text)] = mails_to(&service, EMAIL).try_into().unwrap();
    assert!(subject.contains("reclamo") && text.contains("23 dicembre 2026"), "{subject} {text}");
    let story = service.story(receipt.request).await;
    assert!(story.contains(&"notice.ended=done".to_owned()), "{story:?}");
    service.finish().await;
}

#[tokio::test]
async fn r_57_an_objection_restricts_until_it_is_weighed_and_the_end_is_told() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Objection, &[(Email, EMAIL)]).await.request;
    let other = service.submit(RequestKind::Portability, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    let look = async || {
        holds::restrict_objections(&service.store, &service.controller, &*service.desk.clock).await.unwrap()
    };
    assert_eq!((look().await, look().await), (1, 0), "at once, and once");
    let restriction = async |request| {
        let mut connection = service.store.connection().await.unwrap();
        holds::restriction_of(&mut connection, &service.controller.id, request).await.unwrap()
    };
    let hold = restriction(request).await.expect("a restriction");
    assert_eq!(restriction(other).await, None);
    // Weighed: the grounds of the controller outweigh. The restriction ends after the person was told, and not by itself.
    let mut tx = service.store.begin("test").await.unwrap();
    let facts = Some(words("We need the visits to answer for the safety of the building."));
    let ground = RefusalGround::CompellingGrounds;
    triage::refuse(&mut tx, &service.desk, &service.controller.id, request, ground, facts, dpo())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Refused));
    assert!(matches!(lift(&service, &hold, LiftReason::RestrictionEnded).await, Err(HoldError::NotTold)));
    let day = today(&service) + Days::new(14);
    announce(&service, &hold, day).await.unwrap();
    service.pump().await;
    service.clock.advance(TimeDelta::days(14));
    lift(&service, &hold, LiftReason::RestrictionEnded).await.unwrap();
    assert_eq!(look().await, 0, "what was weighed is not restricted again");
    service.finish().await;
}

#[tokio::test]
async fn r_57_recipients_are_told_of_the_restriction_that_stands_meanwhile_and_of_its_end() {
    let service = TestService::builder().recipients(register()).build().await;
    let contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Objection, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    let site = &service.executor.sites[&service.controller.id];
    let tell = async || execution::tell_of_objections(&service.store, &service.desk, site).await.unwrap();
    assert_eq!(tell().await, 0, "nothing is restricted yet");
    holds::restrict_objections(&service.store, &service.controller, &*service.desk.clock).await.unwrap();
    // While the platform is away nobody is told, and nothing is forgotten.
    let away = service.simulator.faults().inject(Fault::Status(503));
    assert_eq!(tell().await, 0);
    assert!(tasks(&service, request).await.is_empty());
    service.simulator.faults().remove(away);
    // Two daemons look at once: one tells.
    let both = tokio::join!(tell(), tell());
    assert_eq!(both.0 + both.1, 1);
    assert_eq!(tell().await, 0, "once");
    let [task] = tasks(&service, request).await.try_into().unwrap();
    assert_eq!((task.recipient.as_str(), task.action), ("crm", TaskAction::Restrict));
    assert_eq!(task.channel, "mail");
    let mut tx = service.store.begin("test").await.unwrap();
    let (keys, organisation) = (&service.desk.keys, &service.controller.id);
    let object = recipients::reveal(&mut tx, keys, organisation, task.task, dpo(), service.clock.now()).await;
    assert_eq!(object.unwrap().expect("the contact").expose().as_str(), contact);
    drop(tx);

    let mut connection = service.store.connection().await.unwrap();
    let hold = holds::restriction_of(&mut connection, organisation, request).await.unwrap().unwrap();
    drop(connection);
    announce(&service, &hold, today(&service) + Days::new(14)).await.unwrap();
    service.pump().await;
    service.clock.advance(TimeDelta::days(14));
    lift(&service, &hold, LiftReason::RestrictionEnded).await.unwrap();
    let actions: Vec<TaskAction> = tasks(&service, request).await.iter().map(|each| each.action).collect();
    assert_eq!(actions.len(), 2, "{actions:?}");
    assert!(actions.contains(&TaskAction::Release), "{actions:?}");
    assert_eq!(tell().await, 0, "what has ended is not told as standing");
    service.finish().await;
}

#[tokio::test]
async fn r_57_where_nobody_knows_which_contact_is_meant_a_person_tells_the_recipients() {
    let service = TestService::builder().recipients(register()).build().await;
    for name in ["Canarino", "Cardellino"] {
        let _one = service.platform.add_contact(ContactSpec::new().name(name, "Prova").phone(PHONE));
    }
    let several = service.submit(RequestKind::Objection, &[(Phone, PHONE)]).await.request;
    let erasure = service.submit(RequestKind::Portability, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    let hold = restrict(&service, several).await.unwrap();
    let of_another_kind = restrict(&service, erasure).await.unwrap();
    let site = &service.executor.sites[&service.controller.id];
    assert_eq!(execution::tell_of_objections(&service.store, &service.desk, site).await.unwrap(), 1);
    let [task] = tasks(&service, several).await.try_into().unwrap();
    assert_eq!((task.channel.as_str(), task.object_held), ("person", false));
    assert!(tasks(&service, erasure).await.is_empty(), "{of_another_kind} is told when it is answered");
    // A restriction that was a mistake is taken back, and that is told, too.
    lift(&service, &hold, LiftReason::Mistake).await.unwrap();
    assert_eq!(tasks(&service, several).await.len(), 2);
    service.finish().await;
}

#[tokio::test]
async fn r_43_data_that_were_made_public_are_a_task_for_a_person() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Erasure, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    let note = async || {
        let place = recipients::Place {
            organisation: &service.controller.id,
            request,
            at: service.clock.now(),
            today: today(&service),
        };
        let mut tx = service.store.begin("test").await.unwrap();
        let noted = recipients::note_published(&mut tx, place, dpo()).await.unwrap();
        tx.commit().await.unwrap();
        noted
    };
    assert!(note().await);
    assert!(!note().await, "once");
    let [task] = tasks(&service, request).await.try_into().unwrap();
    assert_eq!((task.recipient.as_str(), task.channel.as_str()), ("public", "person"));
    assert_eq!((task.action, task.state), (TaskAction::Erase, TaskState::Queued));
    let log = service.audit().await;
    let entry = log.iter().find(|entry| entry.action == "recipient.queued").unwrap();
    assert_eq!(entry.actor, "person:dpo");
    service.finish().await;
}
