//! Notices that follow from what persons decide, each at its legal moment: a part of the answer (N-5), a correction (N-15), a
//! breach (N-18), a complaint (N-20); and who else is told (Art. 19). A fee, tests `fees`; a restriction, tests `restriction`.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::NaiveDate;
use dsrd::audit::Actor;
use dsrd::delivery::Plan;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    AnsweredOutcome, Clock as _, IdentifierKind, IncidentCategory, IncidentCause, Outcome, RequestId,
    RequestKind, RequestState, SubjectIdentifier,
};
use dsrd::intake::{self, IdentifierRole, Submission};
use dsrd::recipients::{self, ChannelKind, Recipient, Task, TaskAction, TaskState};
use dsrd::triage::{self, Facts, TriageError};
use dsrd_simulator::ContactSpec;

use crate::recipients::recipient;
use crate::support::service::TestService;

pub(crate) const EMAIL: &str = "canarino@posta.example";
pub(crate) const PHONE: &str = "+39 333 1234567";

pub(crate) fn dpo() -> Actor {
    Actor::Person("dpo".to_owned())
}

pub(crate) fn person() -> ContactSpec {
    ContactSpec::new().name("Canarino", "Prova").email(EMAIL).phone(PHONE).events(2)
}

pub(crate) fn words(text: &str) -> Facts {
    Facts::read(text).unwrap()
}

pub(crate) fn today(service: &TestService) -> NaiveDate {
    service.controller.local_date(service.clock.now())
}

/// The words of the mails to an address, each in one line, the first one first.
pub(crate) fn mails_to(service: &TestService, address: &str) -> Vec<(String, String)> {
    let mails = service.mails.sent_to(address).into_iter();
    mails
        .map(|mail| {
            (mail.subject.clone(), mail.text.expose().split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

pub(crate) fn last_mail(service: &TestService) -> String {
    let (subject, text) = mails_to(service, EMAIL).pop().expect("a mail");
    format!("{subject} | {text}")
}

pub(crate) async fn answer(
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

pub(crate) async fn tasks(service: &TestService, request: RequestId) -> Vec<Task> {
    let mut connection = service.store.connection().await.unwrap();
    let organisation = &service.controller.id;
    recipients::list_tasks(&mut connection, organisation, Some(request), false, today(service), 100)
        .await
        .unwrap()
}

pub(crate) fn register() -> Vec<Recipient> {
    vec![recipient("crm", ChannelKind::Mail)]
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
    // One that cannot leave before the whole answer does is told all the same.
    service.mails.plan(Plan::NoConnection, 1);
    answer_part(&service, request, "The visits of 2024.").await.unwrap();
    service.pump().await;
    answer(&service, request, AnsweredOutcome::Fulfilled, "This was all.").await.unwrap();
    let late = answer_part(&service, request, "And one more.").await;
    assert!(matches!(late, Err(TriageError::NothingFollows)), "{late:?}");
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    let parts = service.story(request).await.iter().filter(|each| *each == "decision.part_answered").count();
    assert_eq!(parts, 3);
    service.advance(Duration::from_hours(1)).await;
    service.pump().await;
    let mails = mails_to(&service, EMAIL);
    assert!(mails.iter().any(|(_, mail)| mail.contains("The visits of 2024.")), "{mails:?}");
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
async fn r_36_a_breach_is_told_to_each_address_whatever_was_told_to_another_one_meanwhile() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let given = "canarino.altro@posta.example";
    let by_both = [(Phone, PHONE), (Email, given)];
    let submission = Submission { proof: None, ..service.submission(RequestKind::OptOut, &by_both) };
    let request = intake::submit_request(&service.store, &service.desk, &service.controller, submission)
        .await
        .unwrap()
        .request;
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    let mut tx = service.store.begin("test").await.unwrap();
    let breach = (IncidentCause::Misdirected, [IncidentCategory::Request].as_slice(), service.clock.now());
    triage::declare_incident(&mut tx, &service.desk, &service.controller, request, breach, dpo())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let tell = async |happened: &str, to_given: bool| {
        let text = format!("{happened}\n\nSomebody may know that you asked.\n\nWe had it back.");
        let told = (Facts::read_breach(&text).unwrap(), to_given);
        let mut tx = service.store.begin("test").await.unwrap();
        triage::tell_breach(&mut tx, &service.desk, &service.controller, request, told, dpo()).await.unwrap();
        tx.commit().await.unwrap();
    };
    // The mail server is away when the first is to be sent; the others are written before it is back.
    tell("A letter went to the profile.", false).await;
    service.mails.plan(Plan::NoConnection, 1);
    service.pump().await;
    tell("A letter went astray.", true).await;
    tell("Two letters went astray.", true).await;
    service.advance(Duration::from_hours(1)).await;
    service.pump().await;
    let breaches = |address: &str| {
        let mails = mails_to(&service, address).into_iter();
        mails.filter(|(subject, _)| subject.contains("A breach")).map(|(_, text)| text).collect::<Vec<_>>()
    };
    let [to_profile] = breaches(EMAIL).try_into().unwrap();
    assert!(to_profile.contains("A letter went to the profile."), "{to_profile}");
    let [to_given] = breaches(given).try_into().unwrap();
    assert!(to_given.contains("Two letters went astray."), "the later one to the same address: {to_given}");
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
async fn i_1_a_withdrawal_is_confirmed_at_the_address_of_the_profile_where_none_was_given() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let by_number = Submission { proof: None, ..service.submission(RequestKind::Erasure, &[(Phone, PHONE)]) };
    let request = intake::submit_request(&service.store, &service.desk, &service.controller, by_number)
        .await
        .unwrap()
        .request;
    service.work().await;
    assert_eq!(service.case(request).await.state, RequestState::NeedsIdentity);
    service.pump().await;
    let before = mails_to(&service, EMAIL).len();
    // Somebody calls and takes it back.
    let withdraw = async |request| {
        let mut tx = service.store.begin("test").await.unwrap();
        intake::withdraw(&mut tx, &service.desk, &service.controller, request, dpo()).await.unwrap();
        tx.commit().await.unwrap();
    };
    withdraw(request).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Withdrawn));
    assert_eq!(mails_to(&service, EMAIL).len(), before + 1);
    assert!(last_mail(&service).contains("has been withdrawn"), "{}", last_mail(&service));
    // Not of a sweep, whatever the profile says: nobody asked for it.
    let sweep = service.submit_sweep(&contact, service.clock.now()).await.request;
    let mut tx = service.store.begin("test").await.unwrap();
    let point = SubjectIdentifier::parse(Email, EMAIL, None).unwrap();
    let (keys, organisation) = (&service.desk.keys, &service.controller.id);
    intake::add_identifiers(
        &mut tx,
        keys,
        organisation,
        sweep,
        0,
        vec![(IdentifierRole::ContactPoint, point)],
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    withdraw(sweep).await;
    service.work_to_the_end().await;
    assert_eq!(mails_to(&service, EMAIL).len(), before + 1);
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

#[tokio::test]
async fn r_30_who_names_no_language_is_answered_in_that_of_the_profile_and_nobody_else_learns_of_it() {
    const ADDRESS: &str = "canarino@posta.example";
    for (named, shown, answer) in [(None, "de_AT", "de"), (Some("fr"), "de", "fr"), (None, "sv", "en")] {
        let service = TestService::start().await;
        let spec = ContactSpec::new().email(ADDRESS).raw("language", &format!("\"{shown}\""));
        let _contact = service.platform.add_contact(spec);
        let ask = async |identifiers: &[(IdentifierKind, &str)], kind| {
            let mut submission = service.submission(kind, identifiers);
            submission.language = named.map(str::to_owned);
            let (store, desk) = (&service.store, &service.desk);
            let receipt = intake::submit_request(store, desk, &service.controller, submission).await.unwrap();
            service.work_to_the_end().await;
            receipt.request
        };
        let access = ask(&[(Email, ADDRESS)], RequestKind::Access).await;
        let files = crate::access::package(&service, access).await;
        let page = &files.iter().find(|(name, _)| name == "report.html").unwrap().1;
        assert!(page.contains(&format!("<html lang=\"{answer}\"")), "{named:?} {shown}: {page}");
        let languages = languages_of(&service, access).await;
        let before = named.unwrap_or("en").to_owned();
        assert_eq!(languages["acknowledgement"], before, "{named:?} {shown}");
        assert_eq!(languages["access_ready"], answer, "{named:?} {shown}");
        // Nobody was found: the answer goes to the address that was typed.
        let nobody = ask(&[(Email, "nobody@posta.example")], RequestKind::Access).await;
        assert_eq!(languages_of(&service, nobody).await["no_data"], before, "{named:?} {shown}");
        service.finish().await;
    }
}

/// The language of each notice of a request.
async fn languages_of(service: &TestService, request: RequestId) -> BTreeMap<String, String> {
    let mut connection = service.store.connection().await.unwrap();
    let query = sqlx::query_as("SELECT kind, language FROM dsrd.notice WHERE request_id = $1");
    let found: Vec<(String, String)> = query.bind(request.0).fetch_all(&mut *connection).await.unwrap();
    found.into_iter().collect()
}
