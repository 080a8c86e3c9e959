//! the service forgets its own copies in time.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::delivery;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{
    AnsweredOutcome, ClarificationReason, DecisionKind, ExtensionReason, HoldCategory, HoldKind,
    IncidentCategory, IncidentCause, IncidentEnd, LiftReason, Outcome, RefusalGround, RequestId, RequestKind,
    SubjectIdentifier,
};
use dsrd::execution::resume_postponed;
use dsrd::holds::{self, About, EndRule, NewHold};
use dsrd::identity::Confirmation;
use dsrd::intake;
use dsrd::recipients::ChannelKind;
use dsrd::triage::{self, Decision, Facts, Taken};
use dsrd::upkeep::{Forgotten, Settings, Upkeep};
use dsrd_simulator::ContactSpec;
use sqlx::Connection as _;

use crate::rig::count;
use crate::support::service::TestService;

const ADDRESS: &str = "canarino.oblio@posta.example";

fn upkeep(service: &TestService) -> Upkeep {
    let settings =
        Settings { identifiers_days: 30, contact_ids_days: 65, evidence_months: 36, log_months: 36 };
    Upkeep { store: service.store.clone(), desk: service.desk.clone(), settings }
}

async fn forget(service: &TestService) -> Forgotten {
    let now = service.desk.clock.now();
    let directory = &service.executor.packages.report.directory;
    delivery::destroy_expired(&service.store, directory, now).await.unwrap();
    upkeep(service).run(&Actor::Process("upkeep")).await.unwrap()
}

async fn withdraw(service: &TestService, request: RequestId) {
    let mut tx = service.store.begin("test.withdraw").await.unwrap();
    let person = Actor::Person("dpo".to_owned());
    intake::withdraw(&mut tx, &service.desk, &service.controller, request, person).await.unwrap();
    tx.commit().await.unwrap();
}

/// Every value of every table, as text.
async fn dump(service: &TestService) -> String {
    let mut connection = sqlx::PgConnection::connect_with(&service.database.options()).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(tables.len() > 15, "all tables are seen: {tables:?}");
    let mut text = String::new();
    for table in tables {
        // The bytes of an entry of the log would be shown in hexadecimal digits.
        let is_log = ["audit.entry", "audit.inbox"].contains(&table.as_str());
        let row = if is_log { "convert_from(entry, 'UTF8')" } else { "each::text" };
        let statement = format!("SELECT coalesce(string_agg({row}, chr(10)), '') FROM {table} AS each");
        let rows: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&mut connection).await.unwrap();
        text.extend(["-- ", table.as_str(), "\n", rows.as_str(), "\n"]);
    }
    text.to_lowercase()
}

/// What would lead back to the person: the address, its pseudonym, the platform's id of the contact.
async fn traces(service: &TestService, contact: &str) -> Vec<String> {
    let mut connection = sqlx::PgConnection::connect_with(&service.database.options()).await.unwrap();
    let pseudonyms: Vec<String> =
        sqlx::query_scalar("SELECT encode(subject_ref, 'hex') FROM dsrd.identifier UNION SELECT encode(sealed, 'hex') FROM dsrd.identifier WHERE sealed IS NOT NULL")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let mut traces = vec![ADDRESS.to_owned(), hex::encode(ADDRESS), contact.to_lowercase()];
    traces.extend(pseudonyms);
    traces
}

#[tokio::test]
async fn r_71_to_r_75_after_37_months_no_table_leads_back_to_the_person() {
    let service = TestService::builder().build().await;
    let contact = service.platform.add_contact(ContactSpec::new().email(ADDRESS).events(5));
    for kind in [RequestKind::OptOut, RequestKind::Access, RequestKind::Erasure] {
        service.submit(kind, &[(Email, ADDRESS)]).await;
        service.work_to_the_end().await;
    }
    let withdrawn = service.submit(RequestKind::Access, &[(Email, ADDRESS)]).await.request;
    withdraw(&service, withdrawn).await;
    service.work_to_the_end().await;
    crate::support::oracle::check(&service).await;

    let known = traces(&service, &contact).await;
    assert!(known.len() > 6, "identifiers are there to be forgotten");
    let before = dump(&service).await;
    assert!(before.contains(&contact.to_lowercase()), "the dump shows what is there");
    assert!(forget(&service).await.is_nothing(), "nothing is past its term on the first day");

    service.clock.advance(TimeDelta::days(31));
    let forgotten = forget(&service).await;
    assert_eq!((forgotten.identifiers_of, forgotten.contacts_of, forgotten.requests), (4, 0, 0));
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.identifier WHERE sealed IS NOT NULL").await, 0);
    assert!(count(&service, "SELECT count(*) FROM dsrd.identifier").await > 0, "the pseudonyms stay");

    service.clock.advance(TimeDelta::days(35));
    let forgotten = forget(&service).await;
    assert_eq!((forgotten.identifiers_of, forgotten.contacts_of, forgotten.requests), (0, 4, 0));
    assert!(!dump(&service).await.contains(&contact.to_lowercase()));

    service.clock.advance(TimeDelta::days(37 * 31 - 66));
    let forgotten = forget(&service).await;
    assert_eq!((forgotten.identifiers_of, forgotten.contacts_of, forgotten.requests), (0, 0, 4));
    let after = dump(&service).await;
    for trace in &known {
        assert!(!after.contains(trace), "left after 37 months: {trace}");
    }
    for table in ["request", "identifier", "notice", "package", "checkpoint", "job", "job_done", "look"] {
        assert!(after.contains(&format!("-- dsrd.{table}\n\n")), "dsrd.{table} is empty");
    }
    assert!(after.contains("upkeep.forgot"), "that they were forgotten stands in the log");
    assert!(forget(&service).await.is_nothing(), "once is enough");
}

#[tokio::test]
async fn r_73_an_open_request_and_an_answer_under_way_lose_nothing() {
    let service = TestService::builder().build().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(ADDRESS));
    let open = service.submit(RequestKind::Access, &[(Email, ADDRESS)]).await.request;
    service.clock.advance(TimeDelta::days(37 * 31));
    assert!(forget(&service).await.is_nothing(), "it is open, however old");

    withdraw(&service, open).await;
    service.clock.advance(TimeDelta::days(31));
    assert!(forget(&service).await.is_nothing(), "the confirmation of its withdrawal is not sent yet");
    service.work_to_the_end().await;
    assert_eq!(forget(&service).await.identifiers_of, 1);
    service.finish().await;
}

#[tokio::test]
async fn s_39_the_service_cannot_delete_an_open_request_whatever_its_rights() {
    let service = TestService::builder().build().await;
    service.submit(RequestKind::Access, &[(Email, ADDRESS)]).await;
    let mut connection = service.store.connection().await.unwrap();
    for statement in ["DELETE FROM dsrd.job", "DELETE FROM dsrd.notice", "DELETE FROM dsrd.identifier"] {
        sqlx::query(statement).execute(&mut *connection).await.unwrap();
    }
    let refused = sqlx::query("DELETE FROM dsrd.request").execute(&mut *connection).await.unwrap_err();
    assert!(refused.to_string().contains("an open request is never deleted"), "{refused}");
    let refused = sqlx::query("UPDATE dsrd.request SET identifiers_forgotten_at = now()")
        .execute(&mut *connection)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("only_closed_requests_are_forgotten"), "{refused}");
}

/// Somebody whose address is theirs alone.
fn somebody(name: &str) -> String {
    format!("canarino.{name}@posta.example")
}

async fn submit(service: &TestService, kind: RequestKind, address: &str) -> RequestId {
    service.submit(kind, &[(Email, address)]).await.request
}

fn staff(name: &str) -> Actor {
    Actor::Person(name.to_owned())
}

/// What a person of the controller decides, by two where that is asked for.
async fn decide(service: &TestService, request: RequestId, decision: Decision) {
    let (desk, controller) = (&service.desk, &*service.controller);
    let facts = || Some(Facts::read("As the record of 3 March shows.").unwrap());
    let mut tx = service.store.begin("test").await.unwrap();
    let taken =
        triage::decide(&mut tx, desk, controller, request, (decision, facts()), staff("anna")).await.unwrap();
    tx.commit().await.unwrap();
    if taken == Taken::Proposed {
        let mut tx = service.store.begin("test").await.unwrap();
        triage::confirm(&mut tx, desk, controller, request, staff("bea")).await.unwrap();
        tx.commit().await.unwrap();
    }
    service.pump().await;
}

/// The names of the service's tables that hold anything.
async fn filled(service: &TestService) -> BTreeSet<String> {
    let mut owner = sqlx::PgConnection::connect_with(&service.database.options()).await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'dsrd'")
            .fetch_all(&mut owner)
            .await
            .unwrap();
    let mut filled = BTreeSet::new();
    for table in tables {
        let statement = format!("SELECT EXISTS (SELECT FROM dsrd.{table})");
        if sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&mut owner).await.unwrap() {
            filled.insert(table);
        }
    }
    filled
}

#[tokio::test]
async fn r_73_whatever_the_end_nothing_is_left_but_the_hash_of_who_must_not_come_back() {
    let recipient = crate::recipients::recipient("crm", ChannelKind::Person);
    let mut service = TestService::builder().recipients(vec![recipient]).build().await;
    let own = Arc::make_mut(&mut service.controller);
    own.two_persons = vec![DecisionKind::Refusal];
    own.reminder_days = 90;
    let mut owner = sqlx::PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query("UPDATE dsrd.organisation SET two_persons = '{refusal}'").execute(&mut owner).await.unwrap();
    let names =
        ["refused", "unknown", "unproven", "held", "again", "answered", "breach", "withdrawn", "erased"];
    let mut contacts = Vec::new();
    for name in names.iter().filter(|name| **name != "unknown") {
        let spec = ContactSpec::new().email(somebody(name)).policy("mktgCommunications", true).events(2);
        contacts.push(service.platform.add_contact(spec));
    }
    let mut requests = Vec::new();

    // Refused, by two persons.
    let refused = submit(&service, RequestKind::Objection, &somebody("refused")).await;
    decide(&service, refused, Decision::Refusal(RefusalGround::CompellingGrounds)).await;
    requests.push((refused, Outcome::Refused));
    // Nobody found.
    requests
        .push((submit(&service, RequestKind::Access, &somebody("unknown")).await, Outcome::FulfilledNoData));
    // Held, then erased by the second stage.
    let (desk, controller) = (service.desk.clone(), Arc::clone(&service.controller));
    let identifier = SubjectIdentifier::parse(Email, &somebody("held"), None).unwrap();
    let hold = NewHold {
        kind: HoldKind::Claim,
        category: HoldCategory::Everything,
        ground: None,
        statute: None,
        matter: Some("2026-O-17".to_owned()),
        owner: "legal".to_owned(),
        about: About::Person(vec![identifier.reference(&desk.keys, &controller.id)]),
        ends: EndRule::WhenLifted,
        review_on: Some((desk.clock.now() + TimeDelta::days(90)).date_naive()),
        request: None,
    };
    let mut tx = service.store.begin("test").await.unwrap();
    let placed = holds::place(&mut tx, &controller, hold, staff("anna"), desk.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    requests
        .push((submit(&service, RequestKind::Erasure, &somebody("held")).await, Outcome::PartlyFulfilled));
    service.work_to_the_end().await;
    let mut tx = service.store.begin("test").await.unwrap();
    let now = desk.clock.now();
    holds::lift(&mut tx, &controller, &placed.reference, LiftReason::ClaimSettled, staff("anna"), now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let second = resume_postponed(&service.store, &desk, &controller).await.unwrap();
    requests.push((second[0], Outcome::Fulfilled));
    service.work_to_the_end().await;
    // Answered by a person, after a question, an answer to it and an extension; and a reminder of the same.
    let answered = submit(&service, RequestKind::Rectification, &somebody("answered")).await;
    requests.push((
        submit(&service, RequestKind::Rectification, &somebody("answered")).await,
        Outcome::Superseded,
    ));
    let question = (ClarificationReason::Unclear, Facts::read("Which of your names?").unwrap());
    let mut tx = service.store.begin("test").await.unwrap();
    triage::ask_clarification(&mut tx, &desk, &controller, answered, question, staff("anna")).await.unwrap();
    tx.commit().await.unwrap();
    service.pump().await;
    service.clock.advance(TimeDelta::days(2));
    let mut tx = service.store.begin("test").await.unwrap();
    intake::clarified(&mut tx, &desk, &controller, answered, Some(desk.clock.now()), staff("anna"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    decide(&service, answered, Decision::Extension(ExtensionReason::Complexity)).await;
    decide(&service, answered, Decision::Answer(AnsweredOutcome::Fulfilled)).await;
    requests.push((answered, Outcome::Fulfilled));
    // Told to somebody else, and ended.
    let breach = submit(&service, RequestKind::OptOut, &somebody("breach")).await;
    service.work_to_the_end().await;
    let cause = (IncidentCause::Misdirected, &[IncidentCategory::Profile][..], desk.clock.now());
    let mut tx = service.store.begin("test").await.unwrap();
    triage::declare_incident(&mut tx, &desk, &controller, breach, cause, staff("anna")).await.unwrap();
    triage::end_incident(&mut tx, &desk, &controller, breach, IncidentEnd::Reported, staff("anna"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    requests.push((breach, Outcome::Fulfilled));
    // Taken back, and erased.
    let withdrawn = submit(&service, RequestKind::Access, &somebody("withdrawn")).await;
    withdraw(&service, withdrawn).await;
    requests.push((withdrawn, Outcome::Withdrawn));
    let erased =
        crate::identity::submit(&service, RequestKind::Erasure, &[(Email, &somebody("erased"))], None).await;
    let secret = crate::identity::asked(&service, erased.request).await;
    let proven = crate::identity::confirm(&service, &secret, &somebody("erased")).await;
    assert!(matches!(proven, Confirmation::Confirmed(_)), "{proven:?}");
    requests.push((erased.request, Outcome::Fulfilled));
    service.work_to_the_end().await;
    // Asked who asks, and never answered.
    let unproven =
        crate::identity::submit(&service, RequestKind::Erasure, &[(Email, &somebody("unproven"))], None)
            .await;
    crate::identity::asked(&service, unproven.request).await;
    requests.push((unproven.request, Outcome::NotIdentified));
    service.advance(std::time::Duration::from_hours(24 * 15)).await;
    service.work_to_the_end().await;
    for (request, outcome) in &requests {
        assert_eq!(service.case(*request).await.outcome, Some(*outcome), "{request}");
    }
    crate::support::oracle::check(&service).await;

    let before = filled(&service).await;
    for table in [
        "decision",
        "proposal",
        "extension",
        "pause",
        "incident",
        "proof_link",
        "identity_proof",
        "recipient_task",
        "postponed_erasure",
        "postponed_by",
        "hold",
        "hold_subject",
        "suppression",
    ] {
        assert!(before.contains(table), "dsrd.{table} has something to forget");
    }
    let mut known: Vec<String> = contacts.iter().map(|contact| contact.to_lowercase()).collect();
    for name in names {
        known.extend([somebody(name), hex::encode(somebody(name))]);
    }
    let pseudonyms: Vec<String> = sqlx::query_scalar(
        "SELECT encode(subject_ref, 'hex') FROM dsrd.identifier
         UNION SELECT encode(sealed, 'hex') FROM dsrd.identifier WHERE sealed IS NOT NULL",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    known.extend(pseudonyms);

    service.clock.advance(TimeDelta::days(38 * 31));
    while !forget(&service).await.is_nothing() {}
    let after = dump(&service).await;
    for trace in &known {
        assert!(!after.contains(trace), "left after 38 months: {trace}");
    }
    // What is left is the service's own, and the hashes.
    let own = [
        "case_transition",
        "half",
        "instance",
        "ledger",
        "master_key",
        "organisation",
        "platform_watch",
        "suppression",
    ];
    let left = filled(&service).await;
    assert!(left.contains("suppression"), "who must not come back is known by a hash");
    assert!(left.iter().all(|table| own.contains(&table.as_str())), "{left:?}");
}
