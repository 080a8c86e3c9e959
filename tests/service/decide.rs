//! What persons decide: which contact is meant, and that a request is refused.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dsrd::audit::Actor;
use dsrd::delivery::Plan;
use dsrd::domain::IdentifierKind::{self, Email, Phone};
use dsrd::domain::{ChoiceReason, Outcome, ParkReason, RefusalGround, RequestId, RequestKind, RequestState};
use dsrd::execution::KillSwitch;
use dsrd::intake::{self, CaseError};
use dsrd::triage::{self, Candidate, Facts, Site, TriageError};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};
use sqlx::{Connection as _, PgConnection};

use crate::support::service::TestService;
use crate::undelivered::informed;

const SHARED: &str = "+39 333 1234567";

fn dpo() -> Actor {
    Actor::Person("dpo".to_owned())
}

pub(crate) fn site(service: &TestService) -> Site<'_> {
    Site {
        store: &service.store,
        desk: &service.desk,
        controller: &service.controller,
        platform: service.executor.sites[&service.controller.id].platform.as_ref(),
    }
}

/// The contact that is meant.
fn meant() -> ContactSpec {
    ContactSpec::new()
        .name("Canarino", "Prova")
        .email("canarino@posta.example")
        .phone(SHARED)
        .policy("mktgCommunications", true)
        .events(3)
}

/// The other one, of the same household.
fn other() -> ContactSpec {
    ContactSpec::new()
        .name("Canarino", "Altra")
        .email("canarino@altra.example")
        .phone(SHARED)
        .policy("mktgCommunications", true)
        .events(5)
}

pub(crate) async fn candidates(service: &TestService, request: RequestId) -> Vec<Candidate> {
    triage::candidates(site(service), request, dpo()).await.unwrap()
}

/// The code of the contact with an address of this domain.
pub(crate) fn code_of(candidates: &[Candidate], domain: &str) -> String {
    let of_domain = |each: &&Candidate| each.profile.iter().any(|each| each.masked.ends_with(domain));
    candidates.iter().find(of_domain).expect("a candidate of that domain").code.clone()
}

pub(crate) async fn choose(service: &TestService, request: RequestId, code: &str) -> Result<(), TriageError> {
    triage::choose(site(service), request, code, ChoiceReason::ToldByPerson, dpo()).await
}

async fn refuse(
    service: &TestService,
    request: RequestId,
    ground: RefusalGround,
    facts: Option<&str>,
) -> Result<(), TriageError> {
    let facts = facts.map(|text| Facts::read(text).unwrap());
    let mut tx = service.store.begin("test").await.unwrap();
    triage::refuse(&mut tx, &service.desk, &service.controller.id, request, ground, facts, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

pub(crate) async fn resume(service: &TestService, request: RequestId) {
    let mut tx = service.store.begin("test").await.unwrap();
    intake::resume(&mut tx, &service.desk, &service.controller.id, request, dpo()).await.unwrap();
    tx.commit().await.unwrap();
}

/// Two contacts with one phone and a request by it, parked; the one that is meant is chosen. Returns the request, the
/// contacts, and the number of calls before the worker went on.
async fn chosen(service: &TestService, kind: RequestKind) -> (RequestId, String, String, usize) {
    let (p, q) = (service.platform.add_contact(meant()), service.platform.add_contact(other()));
    let receipt = service.submit(kind, &[(Phone, SHARED)]).await;
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.park_reason, Some(ParkReason::AmbiguousMatch), "{kind}");
    assert!(service.simulator.journal().effects().is_empty());

    let shown = candidates(service, receipt.request).await;
    let said = format!("{shown:?} {}", serde_json::to_string(&shown).unwrap());
    assert_eq!(shown.len(), 2);
    for secret in ["canarino", "1234567", p.as_str(), q.as_str()] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    assert!(shown.iter().all(|each| each.found_by.len() == 1 && each.found_by[0].kind == Phone));
    assert!(shown.iter().all(|each| each.created_at.is_some() && each.code.len() == 8));
    let again = candidates(service, receipt.request).await;
    assert_eq!(code_of(&shown, "@posta.example"), code_of(&again, "@posta.example"));

    assert!(matches!(choose(service, receipt.request, "00000000").await, Err(TriageError::NoSuchCandidate)));
    choose(service, receipt.request, &code_of(&shown, "@posta.example")).await.unwrap();
    let before = service.simulator.journal().entries().len();
    service.work_to_the_end().await;
    (receipt.request, p, q, before)
}

/// After the choice nobody looked at, changed or deleted the other contact by its id, and nothing was searched for in
/// order to find anybody.
fn left_alone(service: &TestService, other: &str, before: usize) {
    let journal = service.simulator.journal();
    let entries = journal.entries();
    for entry in &entries[before..] {
        assert_ne!(entry.contact.as_deref(), Some(other), "{entry:?}");
    }
    let truth = service.platform.truth(other).unwrap();
    assert!(truth.exists && truth.policy("mktgCommunications") == Some(true));
    assert_eq!(truth.records.events, 5);
}

#[tokio::test]
async fn s_6_an_access_by_a_shared_phone_reports_the_contact_chosen_and_no_other() {
    let service = TestService::start().await;
    let (request, p, q, before) = chosen(&service, RequestKind::Access).await;
    let case = service.case(request).await;
    assert_eq!((case.outcome, case.contact.unwrap().as_str()), (Some(Outcome::Fulfilled), p.as_str()));
    left_alone(&service, &q, before);
    let searches = service.simulator.journal().entries()[before..]
        .iter()
        .filter(|entry| entry.endpoint == Endpoint::ListContacts)
        .count();
    assert_eq!(searches, 0, "the choice is read by its id");
    let links: Vec<_> = service.mails.sent().into_iter().filter(|mail| mail.link.is_some()).collect();
    assert_eq!(links.len(), 1);
    assert_eq!(links[0].to.expose(), "canarino@posta.example", "the address in the profile chosen");
    let story = service.story(request).await;
    let place =
        |action: &str| story.iter().position(|each| each == action).unwrap_or_else(|| panic!("{action}"));
    assert!(place("decision.candidates_shown") < place("decision.contact_chosen"));
    assert!(place("decision.contact_chosen") < place("request.resumed"));
    assert!(place("request.resumed") < place("contact.located"));
    let log = service.audit().await;
    let entry = log.iter().find(|entry| entry.action == "decision.contact_chosen").unwrap();
    assert_eq!(entry.actor, "person:dpo");
    assert_eq!(entry.detail, serde_json::json!({ "reason": "told_by_person", "among": 2 }));
    service.finish().await;
}

#[tokio::test]
async fn s_6_an_erasure_by_a_shared_phone_deletes_the_contact_chosen_and_says_that_another_is_left() {
    let service = TestService::start().await;
    let (request, p, q, before) = chosen(&service, RequestKind::Erasure).await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [p]);
    left_alone(&service, &q, before);
    let log = service.audit().await;
    let verified = log.iter().find(|entry| entry.action == "deletion.verified").unwrap();
    assert_eq!(verified.detail["other_contacts"], 1, "{}", verified.detail);
    assert_eq!(verified.detail["contact_absent"], true);
    let answer = service.mails.sent_to("canarino@posta.example").pop().unwrap();
    let text = answer.text.expose().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("We deleted your contact"), "{text}");
    assert!(!text.contains("telephone") && !text.contains("nothing is held"), "{text}");
    service.finish().await;
}

#[tokio::test]
async fn s_6_an_opt_out_by_a_shared_phone_switches_off_for_the_contact_chosen_only() {
    let service = TestService::start().await;
    let (request, p, q, before) = chosen(&service, RequestKind::OptOut).await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.platform.truth(&p).unwrap().policy("mktgCommunications"), Some(false));
    left_alone(&service, &q, before);
    service.finish().await;
}

#[tokio::test]
async fn s_6_a_contact_that_went_away_after_the_choice_is_not_replaced_by_the_one_that_is_left() {
    let service = TestService::start().await;
    let (p, q) = (service.platform.add_contact(meant()), service.platform.add_contact(other()));
    let receipt = service.submit(RequestKind::Erasure, &[(Phone, SHARED)]).await;
    service.work_to_the_end().await;
    let code = code_of(&candidates(&service, receipt.request).await, "@posta.example");
    choose(&service, receipt.request, &code).await.unwrap();
    assert!(matches!(
        choose(&service, receipt.request, &code).await,
        Err(TriageError::Case(CaseError::NotParked))
    ));
    service.platform.delete_contact(&p);
    for _ in 0..2 {
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        assert_eq!(case.park_reason, Some(ParkReason::ChosenContactChanged));
        resume(&service, receipt.request).await;
    }
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 0);
    assert!(service.platform.truth(&q).unwrap().exists);
    let left = candidates(&service, receipt.request).await;
    assert_eq!(left.len(), 1);
    // When nobody is left at all, the search says so and no person is needed.
    service.platform.delete_contact(&q);
    resume(&service, receipt.request).await;
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.park_reason, Some(ParkReason::NoContactPoint), "the phone has no address");
    assert!(case.verified_at.is_some());
    service.finish().await;
}

#[tokio::test]
async fn a_choice_is_asked_only_where_contacts_compete() {
    let service = TestService::builder().most_attempts(1).build().await;
    let _contact = service.platform.add_contact(meant());
    service.simulator.faults().inject(Fault::Status(409).on(Endpoint::DeleteContact));
    let receipt = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    let error = triage::candidates(site(&service), receipt.request, dpo()).await.unwrap_err();
    assert!(matches!(error, TriageError::NothingToChoose(ParkReason::PlatformRejected)), "{error}");
    assert!(!service.story(receipt.request).await.contains(&"decision.candidates_shown".to_owned()));
    service.finish().await;
}

/// An erasure of somebody whose identifiers lead to two contacts, parked.
async fn disagreeing(service: &TestService, kind: RequestKind) -> RequestId {
    let _p = service.platform.add_contact(meant());
    let _q = service.platform.add_contact(other().phone("+39 333 7654321"));
    let given: &[(IdentifierKind, &str)] = &[(Email, "canarino@posta.example"), (Phone, "+39 333 7654321")];
    let receipt = service.submit(kind, given).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::IdentifiersDisagree));
    receipt.request
}

#[tokio::test]
async fn r_12_4_a_refusal_tells_ground_facts_authority_and_court_before_it_is_closed() {
    let service = TestService::start().await;
    let request = disagreeing(&service, RequestKind::Erasure).await;
    let needs = refuse(&service, request, RefusalGround::LegalObligation, None).await.unwrap_err();
    assert!(needs.to_string().contains("which statute"), "{needs}");
    let wrong = refuse(&service, request, RefusalGround::RightsOfOthers, None).await.unwrap_err();
    assert!(wrong.to_string().contains("RF-08"), "{wrong}");
    let facts =
        "Section 147 of the tax code: the invoices of Canarino.\nThey are kept until 31 December 2036.";
    // The mail server is away: nothing is closed meanwhile.
    service.mails.plan(Plan::NoConnection, 1);
    refuse(&service, request, RefusalGround::LegalObligation, Some(facts)).await.unwrap();
    let again = refuse(&service, request, RefusalGround::LegalObligation, Some(facts)).await.unwrap_err();
    assert!(matches!(again, TriageError::Case(CaseError::NotParked)), "{again}");
    service.work().await;
    let case = service.case(request).await;
    assert_eq!((case.state, case.outcome), (RequestState::InProgress, None));
    service.work_to_the_end().await;
    let case = service.case(request).await;
    assert_eq!((case.state, case.outcome), (RequestState::Closed, Some(Outcome::Refused)));
    assert!(case.informed_at.is_some() && case.executed_at.is_none() && case.verified_at.is_none());
    assert!(service.simulator.journal().effects().is_empty());

    let answer = service.mails.sent_to("canarino@posta.example").pop().unwrap();
    for form in [answer.text.expose(), answer.html.expose()] {
        let said = form.split_whitespace().collect::<Vec<_>>().join(" ");
        for wanted in
            ["A law obliges us", "Section 147", "31 December 2036", "supervisory authority", "court"]
        {
            assert!(said.contains(wanted), "{wanted:?} is not in {said}");
        }
        assert!(!said.contains("withdr"), "{said}");
    }
    let story = service.story(request).await;
    let place =
        |action: &str| story.iter().rposition(|each| each == action).unwrap_or_else(|| panic!("{action}"));
    assert!(place("decision.refused") < place("notice.ended=done"));
    assert!(place("notice.ended=done") < place("request.closed"));
    service.finish().await;
}

#[tokio::test]
async fn a_refusal_without_an_address_waits_until_a_person_told_it() {
    let service = TestService::start().await;
    let _contacts = [service.platform.add_contact(meant()), service.platform.add_contact(other())];
    let receipt = service.submit(RequestKind::Access, &[(Phone, SHARED)]).await;
    service.work_to_the_end().await;
    refuse(
        &service,
        receipt.request,
        RefusalGround::IdentityNotConfirmed,
        Some("Asked on 24 November, no answer."),
    )
    .await
    .unwrap();
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.park_reason, case.outcome), (Some(ParkReason::NoContactPoint), None));
    let again = refuse(&service, receipt.request, RefusalGround::NotCovered, None).await.unwrap_err();
    assert!(matches!(again, TriageError::AlreadyRefused), "{again}");
    informed(&service, receipt.request).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Refused));
    service.finish().await;
}

#[tokio::test]
async fn a_package_that_was_never_offered_is_withheld_and_destroyed_by_a_refusal() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().phone(SHARED));
    let given: &[(IdentifierKind, &str)] = &[(Phone, SHARED)];
    let receipt = service.submit(RequestKind::Access, given).await;
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.park_reason, Some(ParkReason::NoContactPoint));
    assert!(case.verified_at.is_some());
    refuse(&service, receipt.request, RefusalGround::IdentityNotConfirmed, Some("No answer.")).await.unwrap();
    service.work_to_the_end().await;
    informed(&service, receipt.request).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Refused));
    assert!(service.mails.sent().is_empty());
    let directory = &service.executor.packages.report.directory;
    let now = dsrd::domain::Clock::now(&*service.clock);
    let destroyed = dsrd::delivery::destroy_expired(&service.store, directory, now).await.unwrap();
    assert_eq!(destroyed, 1, "long before its expiry");
    service.finish().await;
}

#[tokio::test]
async fn r_21_2_an_opt_out_is_never_refused() {
    let service = TestService::start().await;
    let request = disagreeing(&service, RequestKind::OptOut).await;
    for ground in RefusalGround::ALL {
        let error = refuse(&service, request, *ground, Some("Because.")).await.unwrap_err();
        assert!(matches!(error, TriageError::OptOut), "{error}");
        assert!(error.to_string().contains("never refused"), "{error}");
    }
    // Nor by anybody who writes to the database as the service.
    let mut connection = service.store.connection().await.unwrap();
    sqlx::query(
        "INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, decided_by, decided_at)
         VALUES ('main', gen_random_uuid(), $1, 'refusal', 'RF-02', 'person:x', now())",
    )
    .bind(request.0)
    .execute(&mut *connection)
    .await
    .unwrap();
    let close = "UPDATE dsrd.request SET state = 'closed', park_reason = NULL, outcome = 'refused', closed_at = now(),
                   informed_at = now() WHERE request_id = $1";
    let refused = sqlx::query(close).bind(request.0).execute(&mut *connection).await.unwrap_err();
    assert!(refused.to_string().contains("opt_out_is_never_refused"), "{refused}");
    drop(connection);
    service.finish().await;
}

#[tokio::test]
async fn nobody_but_a_person_refuses_and_a_decision_is_never_changed() {
    let service = TestService::start().await;
    let request = disagreeing(&service, RequestKind::Access).await;
    let close = "UPDATE dsrd.request SET state = 'closed', park_reason = NULL, outcome = 'refused', closed_at = now(),
                   informed_at = now() WHERE request_id = $1";
    let mut as_service = service.store.connection().await.unwrap();
    let refused = sqlx::query(close).bind(request.0).execute(&mut *as_service).await.unwrap_err();
    assert!(refused.to_string().contains("decision of a person"), "{refused}");
    let code = code_of(&candidates(&service, request).await, "@posta.example");
    choose(&service, request, &code).await.unwrap();
    let mut as_owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    for statement in [
        "UPDATE dsrd.decision SET reason = 'details_match'",
        "DELETE FROM dsrd.decision",
        "TRUNCATE dsrd.decision",
    ] {
        let denied = sqlx::query(statement).execute(&mut *as_service).await.unwrap_err();
        // The right to delete came with forgetting, for closed cases only.
        let how = if statement.starts_with("DELETE") { "never changed" } else { "permission denied" };
        assert!(denied.to_string().contains(how), "{statement}: {denied}");
        let kept = sqlx::query(statement).execute(&mut as_owner).await.unwrap_err();
        assert!(kept.to_string().contains("never changed"), "{statement}: {kept}");
    }
    let row: (String, String, String, Option<Vec<u8>>) = sqlx::query_as(
        "SELECT kind, reason, decided_by, sealed_facts FROM dsrd.decision WHERE request_id = $1",
    )
    .bind(request.0)
    .fetch_one(&mut *as_service)
    .await
    .unwrap();
    assert_eq!(row, ("choice".to_owned(), "told_by_person".to_owned(), "person:dpo".to_owned(), None));
    drop(as_service);
    as_owner.close().await.unwrap();
    service.work_to_the_end().await;
    service.finish().await;
}

/// An erasure whose deletion the platform refuses for good, parked.
async fn rejected(service: &TestService) -> (RequestId, String) {
    let contact = service.platform.add_contact(meant());
    service.simulator.faults().inject(Fault::Status(409).on(Endpoint::DeleteContact));
    let receipt = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::PlatformRejected));
    (receipt.request, contact)
}

#[tokio::test]
async fn a_deletion_that_the_platform_refuses_for_good_ends_honestly() {
    let service = TestService::start().await;
    let (request, contact) = rejected(&service).await;
    let calls = service.simulator.journal().calls(Endpoint::DeleteContact);
    refuse(&service, request, RefusalGround::LegalClaims, Some("Claim 12/2026, until it is settled."))
        .await
        .unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Refused));
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), calls, "nothing more is called");
    assert!(service.platform.truth(&contact).unwrap().exists);
    let answer = service.mails.sent_to("canarino@posta.example").pop().unwrap();
    let said = answer.text.expose().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("It did not do so: we looked, and the contact is still there."), "{said}");
    assert!(service.story(request).await.contains(&"refusal.checked".to_owned()));
    service.finish().await;
}

#[tokio::test]
async fn what_was_deleted_after_all_is_not_refused_but_read_back_and_told() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(meant());
    // No answer ever tells what became of the deletion, until the attempts are used up.
    service.simulator.faults().inject(Fault::FailWithoutEffect.on(Endpoint::DeleteContact));
    let receipt = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::AttemptsExhausted));
    let calls = service.simulator.journal().calls(Endpoint::DeleteContact);
    refuse(&service, receipt.request, RefusalGround::LegalClaims, Some("Claim 12/2026.")).await.unwrap();
    service.platform.delete_contact(&contact);
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), calls, "nothing more is called");
    let answer = service.mails.sent_to("canarino@posta.example").pop().unwrap();
    assert!(answer.subject.contains("has been erased"), "{}", answer.subject);
    let story = service.story(receipt.request).await;
    assert!(story.contains(&"deletion.verified".to_owned()), "{story:?}");
    service.finish().await;
}

#[tokio::test]
async fn what_was_carried_out_and_read_back_is_not_refused() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().phone(SHARED));
    let receipt = service.submit(RequestKind::Erasure, &[(Phone, SHARED)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::NoContactPoint));
    let error = refuse(&service, receipt.request, RefusalGround::NotCovered, None).await.unwrap_err();
    assert!(matches!(error, TriageError::NothingLeft), "{error}");
    service.finish().await;
}

#[tokio::test]
async fn a_refusal_whose_notice_the_mail_server_refuses_waits_and_goes_on() {
    let service = TestService::start().await;
    let request = disagreeing(&service, RequestKind::Access).await;
    service.mails.plan(Plan::Reply(550), 1);
    refuse(&service, request, RefusalGround::NotCovered, None).await.unwrap();
    service.work_to_the_end().await;
    let case = service.case(request).await;
    assert_eq!((case.park_reason, case.outcome), (Some(ParkReason::NoticeRefused), None));
    resume(&service, request).await;
    service.advance(Duration::from_mins(1)).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Refused));
    service.finish().await;
}

#[tokio::test]
async fn f_1_a_refusal_killed_at_any_boundary_ends_the_same_and_calls_nothing() {
    let service = TestService::start().await;
    service.simulator.faults().inject(Fault::Status(409).on(Endpoint::DeleteContact));
    let passed = Arc::new(Mutex::new(Vec::new()));
    let mut number = 0;
    // The first run is undisturbed and records the boundaries.
    while number <= passed.lock().unwrap().len() {
        let email = format!("canarino{number}@posta.example");
        let contact =
            service.platform.add_contact(meant().email(&email).phone(format!("+39 333 12345{number:02}")));
        let receipt = service.submit(RequestKind::Erasure, &[(Email, &email)]).await;
        service.work_to_the_end().await;
        let calls = service.simulator.journal().calls(Endpoint::DeleteContact);
        refuse(&service, receipt.request, RefusalGround::LegalClaims, Some("Claim 12/2026.")).await.unwrap();
        let switch = if number == 0 {
            let passed = Arc::clone(&passed);
            KillSwitch::new(move |boundary| {
                passed.lock().unwrap().push(boundary.to_owned());
                false
            })
        } else {
            let reached = AtomicUsize::new(1);
            KillSwitch::new(move |_| reached.fetch_add(1, Ordering::SeqCst) == number)
        };
        service.worker_with(switch, false).await.work_once().await.unwrap();
        service.bury_workers().await;
        service.work_to_the_end().await;
        let place = format!("killed at {:?}", passed.lock().unwrap().get(number.wrapping_sub(1)));
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Refused), "{place}");
        assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), calls, "{place}");
        assert!(service.platform.truth(&contact).unwrap().exists, "{place}");
        let sent = service.mails.sent_to(&email);
        assert!(sent.iter().any(|mail| mail.subject.contains("we do not follow it")), "{place}");
        number += 1;
    }
    let passed = passed.lock().unwrap().clone();
    assert!(passed.len() >= 6 && passed.iter().any(|each| each.starts_with("refuse")), "{passed:?}");
    service.finish().await;
}
