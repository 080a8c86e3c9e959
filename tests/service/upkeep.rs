//! the service forgets its own copies in time.

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::delivery;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{RequestId, RequestKind};
use dsrd::intake;
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
