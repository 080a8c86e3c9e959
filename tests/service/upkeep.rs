//! the service forgets its own copies in time.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{
    AnsweredOutcome, ClarificationReason, DecisionKind, ExtensionReason, IncidentCategory, IncidentCause,
    IncidentEnd, LiftReason, Outcome, RefusalGround, RequestId, RequestKind,
};
use dsrd::execution::resume_postponed;
use dsrd::identity::Confirmation;
use dsrd::recipients::ChannelKind;
use dsrd::triage::{self, Decision, Facts, Taken};
use dsrd::upkeep::{Forgotten, Settings, Upkeep};
use dsrd::{alert, delivery, holds, intake};
use dsrd_simulator::ContactSpec;
use sqlx::Connection as _;

use crate::alerts;
use crate::holds::claim_about;
use crate::rig::count;
use crate::support::service::TestService;

const ADDRESS: &str = "canarino.oblio@posta.example";

fn upkeep(service: &TestService) -> Upkeep {
    let settings =
        Settings { identifiers_days: 30, contact_ids_days: 65, evidence_months: 36, log_months: 36 };
    Upkeep { store: service.store.clone(), desk: service.desk.clone(), settings }
}

pub(crate) async fn forget(service: &TestService) -> Forgotten {
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

/// Every value of every table, as text in small letters.
pub(crate) async fn dump(service: &TestService) -> String {
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
async fn r_74_a_case_that_was_closed_on_20_march_goes_three_years_later_on_the_21st() {
    let at = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let service = TestService::builder().starting_at(at("2026-03-20T10:00:00Z")).build().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(ADDRESS));
    let request = service.submit(RequestKind::OptOut, &[(Email, ADDRESS)]).await.request;
    service.work_to_the_end().await;
    let closed = service.case(request).await.closed_at.unwrap();
    assert_eq!(closed.date_naive().to_string(), "2026-03-20");
    crate::support::oracle::check(&service).await;

    let now = service.desk.clock.now();
    service.clock.advance(at("2029-03-20T23:59:59Z") - now);
    assert_eq!(forget(&service).await.requests, 0, "its last day is not over");
    service.clock.advance(TimeDelta::seconds(1));
    assert_eq!(forget(&service).await.requests, 1);
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.request").await, 0);
}

#[tokio::test]
async fn r_65_an_erasure_that_waits_for_longer_than_evidence_is_kept_is_carried_out_on_its_first_proof() {
    let service = TestService::start().await;
    let spec = ContactSpec::new().email(ADDRESS).policy("mktgCommunications", true);
    let contact = service.platform.add_contact(spec);
    let placed = crate::holds::place(&service, claim_about(&service, ADDRESS)).await;
    let first = service.submit(RequestKind::Erasure, &[(Email, ADDRESS)]).await.request;
    service.work_to_the_end().await;
    assert_eq!(service.case(first).await.outcome, Some(Outcome::PartlyFulfilled));
    assert!(service.last_told().contains("until all of this is settled"), "{}", service.last_told());
    crate::support::oracle::check(&service).await;
    for days in [31, 35, 37 * 31 - 66] {
        service.clock.advance(TimeDelta::days(days));
        forget(&service).await;
    }
    let proof = service.case(first).await.proof();
    assert!(proof.is_some());
    crate::holds::lift(&service, &placed.reference, LiftReason::ClaimSettled).await.unwrap();
    let second = resume_postponed(&service.store, &service.desk, &service.controller).await.unwrap()[0];
    service.work_to_the_end().await;
    let case = service.case(second).await;
    assert_eq!((case.outcome, case.proof()), (Some(Outcome::Fulfilled), proof));
    assert!(!service.platform.truth(&contact).unwrap().exists);
    assert_eq!(forget(&service).await.requests, 1, "nothing keeps the first one any more");
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

/// People each of whom ends in another way.
const NAMES: [&str; 8] =
    ["refused", "unknown", "unproven", "held", "answered", "breach", "withdrawn", "erased"];

/// A request with how it ends.
type End = (RequestId, Outcome);

/// Kept by a hold, then erased by the second stage.
async fn held_then_erased(service: &TestService) -> [End; 2] {
    let (desk, controller) = (&service.desk, &*service.controller);
    let (now, hold) = (desk.clock.now(), claim_about(service, &somebody("held")));
    let mut tx = service.store.begin("test").await.unwrap();
    let placed = holds::place(&mut tx, controller, hold, staff("anna"), now).await.unwrap();
    tx.commit().await.unwrap();
    let first = submit(service, RequestKind::Erasure, &somebody("held")).await;
    service.work_to_the_end().await;
    let (mut tx, settled) = (service.store.begin("test").await.unwrap(), LiftReason::ClaimSettled);
    let now = desk.clock.now();
    holds::lift(&mut tx, controller, &placed.reference, settled, staff("anna"), now).await.unwrap();
    tx.commit().await.unwrap();
    let second = resume_postponed(&service.store, desk, controller).await.unwrap();
    service.work_to_the_end().await;
    [(first, Outcome::PartlyFulfilled), (second[0], Outcome::Fulfilled)]
}

/// Answered by a person, after a question, an answer to it and an extension; and a reminder of the same.
async fn answered_by_a_person(service: &TestService) -> End {
    let (desk, controller) = (&service.desk, &*service.controller);
    let request = submit(service, RequestKind::Rectification, &somebody("answered")).await;
    let question = (ClarificationReason::Unclear, Facts::read("Which of your names?").unwrap());
    let mut tx = service.store.begin("test").await.unwrap();
    triage::ask_clarification(&mut tx, desk, controller, request, question, staff("anna")).await.unwrap();
    tx.commit().await.unwrap();
    service.pump().await;
    service.clock.advance(TimeDelta::days(2));
    let now = Some(desk.clock.now());
    let mut tx = service.store.begin("test").await.unwrap();
    intake::clarified(&mut tx, desk, controller, request, now, staff("anna")).await.unwrap();
    tx.commit().await.unwrap();
    decide(service, request, Decision::Extension(ExtensionReason::Complexity)).await;
    decide(service, request, Decision::Answer(AnsweredOutcome::Fulfilled)).await;
    (request, Outcome::Fulfilled)
}

/// Carried out, told to somebody else, and that reported to the authority.
async fn breach(service: &TestService) -> End {
    let (desk, controller) = (&service.desk, &*service.controller);
    let request = submit(service, RequestKind::OptOut, &somebody("breach")).await;
    service.work_to_the_end().await;
    let cause = (IncidentCause::Misdirected, &[IncidentCategory::Profile][..], desk.clock.now());
    let (mut tx, end) = (service.store.begin("test").await.unwrap(), IncidentEnd::Reported);
    triage::declare_incident(&mut tx, desk, controller, request, cause, staff("anna")).await.unwrap();
    triage::end_incident(&mut tx, desk, controller, request, end, staff("anna")).await.unwrap();
    tx.commit().await.unwrap();
    (request, Outcome::Fulfilled)
}

/// Of two who are asked who they are, one answers.
async fn asked_who_they_are(service: &TestService) -> [End; 2] {
    let mut asked = Vec::new();
    for name in ["erased", "unproven"] {
        let address = somebody(name);
        let receipt =
            crate::identity::submit(service, RequestKind::Erasure, &[(Email, &address)], None).await;
        let secret = crate::identity::asked(service, receipt.request).await;
        if name == "erased" {
            let proven = crate::identity::confirm(service, &secret, &address).await;
            assert!(matches!(proven, Confirmation::Confirmed(_)), "{proven:?}");
            service.work_to_the_end().await;
        }
        asked.push(receipt.request);
    }
    [(asked[0], Outcome::Fulfilled), (asked[1], Outcome::NotIdentified)]
}

#[tokio::test]
async fn r_73_what_a_decision_says_of_the_person_goes_when_the_contact_is_forgotten() {
    let service = TestService::start().await;
    answered_by_a_person(&service).await;
    service.work_to_the_end().await;
    let decided = "SELECT count(*) FROM dsrd.decision";
    let said = "SELECT count(*) FROM dsrd.decision WHERE sealed_facts IS NOT NULL OR contact_id IS NOT NULL";
    let (all, before) = (count(&service, decided).await, count(&service, said).await);
    assert!(before > 0, "a person wrote what they did");
    service.clock.advance(TimeDelta::days(64));
    forget(&service).await;
    assert_eq!(count(&service, said).await, before);
    service.clock.advance(TimeDelta::days(3));
    forget(&service).await;
    assert_eq!(count(&service, said).await, 0);
    assert_eq!(count(&service, decided).await, all, "that somebody decided stays");
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
    let mut contacts = Vec::new();
    for name in NAMES.iter().filter(|name| **name != "unknown") {
        let spec = ContactSpec::new().email(somebody(name)).policy("mktgCommunications", true).events(2);
        contacts.push(service.platform.add_contact(spec));
    }

    let refused = submit(&service, RequestKind::Objection, &somebody("refused")).await;
    decide(&service, refused, Decision::Refusal(RefusalGround::CompellingGrounds)).await;
    let unknown = submit(&service, RequestKind::Access, &somebody("unknown")).await;
    let reminder = submit(&service, RequestKind::Access, &somebody("unknown")).await;
    let withdrawn = submit(&service, RequestKind::Access, &somebody("withdrawn")).await;
    withdraw(&service, withdrawn).await;
    let mut ends = vec![
        (refused, Outcome::Refused),
        (unknown, Outcome::FulfilledNoData),
        (reminder, Outcome::Superseded),
        (withdrawn, Outcome::Withdrawn),
    ];
    ends.extend(held_then_erased(&service).await);
    ends.push(answered_by_a_person(&service).await);
    ends.push(breach(&service).await);
    ends.extend(asked_who_they_are(&service).await);
    let (watch, mails) = alerts::watch(&service, alert::Settings { digest: true, ..alerts::settings() });
    assert!(!alerts::round(&watch, &mails).await.1.is_empty(), "staff is told of what is open");
    service.advance(std::time::Duration::from_hours(24 * 15)).await;
    service.work_to_the_end().await;
    for (request, outcome) in &ends {
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
        "staff_mail",
        "suppression",
    ] {
        assert!(before.contains(table), "dsrd.{table} has something to forget");
    }
    let tied_to_the_log = "SELECT count(*) FROM audit_private.subject";
    let tied: i64 = sqlx::query_scalar(tied_to_the_log).fetch_one(&mut owner).await.unwrap();
    assert!(tied > 0, "the log can be asked for people");
    let mut known: Vec<String> = contacts.iter().map(|contact| contact.to_lowercase()).collect();
    for name in NAMES {
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
    // The log goes by the clock of the database, which nobody moves.
    sqlx::query("UPDATE audit_private.subject SET erase_after = erase_after - interval '38 months'")
        .execute(&mut owner)
        .await
        .unwrap();
    while !forget(&service).await.is_nothing() {}
    let after = dump(&service).await;
    for trace in &known {
        assert!(!after.contains(trace), "left after 38 months: {trace}");
    }
    // What is left is the service's own, and the hashes.
    let own = [
        "case_transition",
        "figures_watch",
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
    let tied: i64 = sqlx::query_scalar(tied_to_the_log).fetch_one(&mut owner).await.unwrap();
    assert_eq!(tied, 0, "salts and tags by which the log is asked for people");
    assert!(left.iter().all(|table| own.contains(&table.as_str())), "{left:?}");
}
