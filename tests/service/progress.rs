//! What is counted against a request, and what is given back when it gets on; requests of a newer program.

use std::sync::Arc;

use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Outcome, ParkReason, RequestKind, RequestState};
use dsrd::execution::{Ended, KillSwitch};
use dsrd::{daemon, intake};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};
use sqlx::AssertSqlSafe;

use crate::rig::count;
use crate::support::service::TestService;

const EMAIL: &str = "canarino@posta.example";

async fn opt_out(service: &TestService) -> intake::Receipt {
    let spec = ContactSpec::new().email(EMAIL).policy("mktgCommunications", true);
    let _contact = service.platform.add_contact(spec);
    service.submit(RequestKind::OptOut, &[(Email, EMAIL)]).await
}

#[tokio::test]
async fn f_7_crashes_count_since_the_last_step_that_was_finished() {
    let service = TestService::start().await;
    let receipt = opt_out(&service).await;
    // Three crashes with one step would be poison; here are two with one step and two with the next.
    let deaths = ["apply.began", "apply.looked", "verify.before", "verify.before"];
    for (number, dies_at) in deaths.into_iter().enumerate() {
        let dying = KillSwitch::new(move |boundary| boundary == dies_at);
        let ended = service.worker_with(dying, false).await.work_once().await.unwrap();
        assert_eq!(ended, [Ended::Killed], "death {number}");
        service.bury_workers().await;
    }
    assert_eq!(count(&service, "SELECT crash_count::bigint FROM dsrd.job").await, 2);
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn attempts_count_since_the_last_step_that_was_finished() {
    let service = TestService::builder().most_attempts(3).build().await;
    let receipt = opt_out(&service).await;
    // A read is tried twice by each run: two runs fail to find the contact, two to change it.
    service.simulator.faults().inject(Fault::Status(503).on(Endpoint::ListContacts).times(4));
    service.simulator.faults().inject(Fault::Status(503).on(Endpoint::UpdatePolicies).times(2));
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.outcome, Some(Outcome::Fulfilled), "{case:?}");
    service.finish().await;
}

#[tokio::test]
async fn attempts_with_one_step_are_still_used_up() {
    let service = TestService::builder().most_attempts(3).build().await;
    let receipt = opt_out(&service).await;
    let away = service.simulator.faults().inject(Fault::Status(503).on(Endpoint::UpdatePolicies));
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.park_reason, Some(ParkReason::AttemptsExhausted), "{case:?}");
    assert_eq!(service.simulator.faults().hits(away), 3, "three runs");
    service.finish().await;
}

#[tokio::test]
async fn f_22_a_request_that_a_newer_program_began_is_left_to_it() {
    let service = TestService::start().await;
    let receipt = opt_out(&service).await;
    let begin = |version: &'static str| {
        let store = service.store.clone();
        async move {
            let statement = format!("UPDATE dsrd.request SET procedure_version = {version}");
            let mut connection = store.connection().await.unwrap();
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await.unwrap();
        }
    };
    begin("99").await;
    for _ in 0..10 {
        let ended = service.worker().await.work_once().await.unwrap();
        assert_eq!(ended, [Ended::PutBack]);
        assert_eq!(service.depth().await.scheduled, 1, "it waits");
        service.advance(std::time::Duration::from_mins(2)).await;
    }
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.last_code.as_deref()), (RequestState::Received, Some("newer_program")));
    assert_eq!(count(&service, "SELECT attempt::bigint FROM dsrd.job").await, 0, "and costs nothing");
    assert_eq!(service.simulator.journal().total_calls(), 0);
    begin("NULL").await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));

    // A form that no program knows any more is for a person.
    let other = service.submit(RequestKind::OptOut, &[(Email, EMAIL)]).await;
    let mut connection = service.store.connection().await.unwrap();
    sqlx::query("UPDATE dsrd.request SET procedure_version = 0 WHERE state = 'received'")
        .execute(&mut *connection)
        .await
        .unwrap();
    drop(connection);
    service.work().await;
    assert_eq!(service.case(other.request).await.park_reason, Some(ParkReason::CheckpointUnreadable));
    service.finish().await;
}

#[tokio::test]
async fn what_waits_for_an_organisation_that_is_not_configured_is_counted() {
    let service = TestService::builder().second_organisation().build().await;
    let other = Arc::clone(&service.executor.sites[&"other".parse().unwrap()].controller);
    let submission = service.submission(RequestKind::Access, &[(Email, EMAIL)]);
    intake::submit_request(&service.store, &service.desk, &other, submission).await.unwrap();
    let _ours = opt_out(&service).await;
    let mut connection = service.store.connection().await.unwrap();
    for organisation in ["other", "Mistyped Name", "Canarina Rossi", "main"] {
        sqlx::query("INSERT INTO dsrd.intake (organisation_id) VALUES ($1)")
            .bind(organisation)
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    // One of an organisation that nobody has registered can be corrected anywhere.
    for (number, organisation) in [(1001_i64, "other"), (1002, "nobody"), (1003, "main")] {
        sqlx::query(
            "INSERT INTO dsrd.intake_parked (intake_id, organisation_id, producer, reason, detail, sealed, parked_at)
             VALUES ($1, $2, 'tests', 'bad_identifier', 'email', '', now())",
        )
        .bind(number)
        .bind(organisation)
        .execute(&mut *connection)
        .await
        .unwrap();
    }
    let found = daemon::find_stranded(&mut connection, &["main".to_owned()]).await.unwrap();
    let shown: Vec<_> = found
        .iter()
        .map(|each| {
            (each.organisation.as_ref().map(ToString::to_string), each.open_requests, each.intake_rows)
        })
        .collect();
    assert_eq!(shown, [(None, 0, 2), (Some("other".to_owned()), 1, 2)]);
    sqlx::query("DELETE FROM dsrd.intake").execute(&mut *connection).await.unwrap();
    sqlx::query("DELETE FROM dsrd.intake_parked").execute(&mut *connection).await.unwrap();
    drop(connection);
    service.finish().await;
}
