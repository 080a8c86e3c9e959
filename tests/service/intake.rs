//! The doors by which requests come in.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use dsrd::delivery::Plan;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    Clock as _, Controller, IdentifierKind, OrganisationId, RequestId, RequestKind, RequestState,
};
use dsrd::intake::{self, CaseError, IntakeError, Taken};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::service::TestService;

pub(crate) fn controllers(service: &TestService) -> BTreeMap<OrganisationId, Arc<Controller>> {
    BTreeMap::from([(service.controller.id.clone(), Arc::clone(&service.controller))])
}

pub(crate) async fn take(service: &TestService) -> Taken {
    intake::take_producer_rows(&service.store, &service.desk, &controllers(service)).await.unwrap()
}

/// A connection with the rights of a producer.
pub(crate) async fn producer(service: &TestService) -> PgConnection {
    let mut connection = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query("SET ROLE dsrd_producer").execute(&mut connection).await.unwrap();
    connection
}

#[tokio::test]
async fn a_producers_row_becomes_a_request_and_leaves_the_table() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email("canarino@posta.example"));
    let mut producer = producer(&service).await;
    for _ in 0..2 {
        sqlx::query(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email, assurance,
               assured_at)
             VALUES ('main', 'ticket-1', 'opt_out', '2026-11-23T09:00:00Z', 'web', 'canarino@posta.example',
               'authenticated_session', '2026-11-23T09:00:00Z')",
        )
        .execute(&mut producer)
        .await
        .unwrap();
    }
    assert_eq!(take(&service).await, Taken { accepted: 1, repeated: 1, parked: 0 });
    service.work_to_the_end().await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM dsrd.intake")
        .fetch_one(&mut *service.store.connection().await.unwrap())
        .await
        .unwrap();
    assert_eq!(left, 0);
    let receipt: (String, String) =
        sqlx::query_as("SELECT status, state FROM dsrd.receipt WHERE idempotency_key = 'ticket-1'")
            .fetch_one(&mut producer)
            .await
            .unwrap();
    assert_eq!(receipt, ("accepted".to_owned(), "closed".to_owned()));
    service.finish().await;
}

#[tokio::test]
async fn the_same_key_by_another_login_is_another_request() {
    let service = TestService::start().await;
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let logins = ["form", "new_form"].map(|name| format!("{name}_{}", uuid::Uuid::now_v7().simple()));
    let accepted = Taken { accepted: 1, repeated: 0, parked: 0 };
    let repeated = Taken { accepted: 0, repeated: 1, parked: 0 };
    for (login, expected) in [(&logins[0], accepted), (&logins[0], repeated), (&logins[1], accepted)] {
        // The database takes the producer from the session: what it is a member of and what it sets itself to says nothing.
        let become_producer = format!(
            "DO $$ BEGIN CREATE ROLE {login} IN ROLE dsrd_producer; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
             SET SESSION AUTHORIZATION {login}"
        );
        sqlx::raw_sql(AssertSqlSafe(become_producer)).execute(&mut owner).await.unwrap();
        sqlx::query(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
             VALUES ('main', 'ticket-1', 'complaint', '2026-11-23T09:00:00Z', 'web', 'canarino@posta.example')",
        )
        .execute(&mut owner)
        .await
        .unwrap();
        sqlx::raw_sql("RESET SESSION AUTHORIZATION").execute(&mut owner).await.unwrap();
        assert_eq!(take(&service).await, expected, "{login}");
    }
    let producers: Vec<String> = sqlx::query_scalar("SELECT producer FROM dsrd.request ORDER BY producer")
        .fetch_all(&mut owner)
        .await
        .unwrap();
    assert_eq!(producers, logins);
    // Roles are of the cluster.
    let gone = logins.map(|login| format!("DROP ROLE {login};")).concat();
    sqlx::raw_sql(AssertSqlSafe(gone)).execute(&mut owner).await.unwrap();
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn a_key_that_is_used_for_two_things_has_a_row_of_each_that_tells_which_is_which() {
    let service = TestService::start().await;
    let mut producer = producer(&service).await;
    let first = service.clock.now();
    for (address, taken) in [
        ("canarino@posta.example", Taken { accepted: 1, repeated: 0, parked: 0 }),
        ("canarino.altro@posta.example", Taken { accepted: 0, repeated: 0, parked: 1 }),
    ] {
        sqlx::query(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
             VALUES ('main', 'ticket-1', 'access', '2026-11-23T09:00:00Z', 'web', $1)",
        )
        .bind(address)
        .execute(&mut producer)
        .await
        .unwrap();
        assert_eq!(take(&service).await, taken);
        service.clock.advance(TimeDelta::hours(1));
    }
    let rows = sqlx::query_as::<_, (String, Option<String>, Option<String>, DateTime<Utc>)>(
        "SELECT status, reference, detail, taken_at FROM dsrd.receipt WHERE idempotency_key = 'ticket-1' ORDER BY taken_at",
    )
    .fetch_all(&mut producer)
    .await
    .unwrap();
    let [(accepted, reference, none, at), (parked, nothing, detail, later)] = rows.try_into().unwrap();
    assert_eq!((accepted.as_str(), reference.is_some(), none, at), ("accepted", true, None, first));
    assert_eq!((parked.as_str(), nothing, later), ("parked", None, first + TimeDelta::hours(1)));
    assert!(detail.unwrap().contains("used before for another request"));
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn r_1_a_row_without_received_at_is_parked_with_its_reason_and_never_dropped() {
    let service = TestService::start().await;
    let mut producer = producer(&service).await;
    let bad = [
        ("missing_column", "('main', 'a', 'access', NULL, 'web', 'canarino@posta.example')"),
        ("missing_column", "('main', 'b', NULL, now(), 'web', 'canarino@posta.example')"),
        ("unknown_channel", "('main', 'c', 'access', now(), 'smoke signal', 'canarino@posta.example')"),
        ("bad_identifier", "('main', 'd', 'access', now(), 'web', 'canarino at posta')"),
        ("no_identifier", "('main', 'e', 'access', '2026-11-01T00:00:00Z', 'web', NULL)"),
        ("missing_column", "('main', NULL, 'access', now(), 'web', 'canarino@posta.example')"),
        ("unknown_organisation", "('nobody', 'f', 'access', now(), 'web', 'canarino@posta.example')"),
        (
            "received_in_future",
            "('main', 'g', 'access', '2036-01-01T00:00:00Z', 'web', 'canarino@posta.example')",
        ),
    ];
    for (_, values) in bad {
        let statement = format!(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email) VALUES {values}"
        );
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut producer).await.unwrap();
    }
    assert_eq!(take(&service).await, Taken { accepted: 0, repeated: 0, parked: 8 });
    let mut connection = service.store.connection().await.unwrap();
    let mut parked =
        intake::list_parked_rows(&mut connection, &service.desk, &controllers(&service), 100).await.unwrap();
    drop(connection);
    parked.sort_by_key(|row| row.intake);
    let reasons: Vec<&str> = parked.iter().map(|row| row.reason.as_str()).collect();
    assert_eq!(reasons, bad.map(|(reason, _)| reason));
    assert!(parked.iter().all(|row| !row.detail.contains("canarino")));
    service.finish().await;
}

#[tokio::test]
async fn f_7_a_row_of_an_odd_shape_stops_no_row_behind_it() {
    let service = TestService::start().await;
    let mut producer = producer(&service).await;
    for (key, received_at, policies) in [
        ("a", "'infinity'", "NULL"),
        ("b", "'-infinity'", "NULL"),
        ("c", "'290000-01-01'", "NULL"),
        ("d", "'2026-11-01'", "ARRAY[NULL]::text[]"),
        ("e", "'2026-11-01'", "ARRAY[ARRAY['x', NULL], ARRAY['y', 'z']]"),
        ("f", "'2026-11-01'", "'[5:5]={mktgCommunications}'::text[]"),
        ("g", "'2026-11-01'", "NULL"),
    ] {
        let statement = format!(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email, policies)
             VALUES ('main', '{key}', 'opt_out', {received_at}, 'web', 'canarino@posta.example', {policies})"
        );
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut producer).await.unwrap();
    }
    assert_eq!(take(&service).await, Taken { accepted: 2, repeated: 0, parked: 5 });
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn a_producer_can_insert_and_nothing_else() {
    let service = TestService::start().await;
    let mut producer = producer(&service).await;
    for forbidden in [
        "SELECT email FROM dsrd.intake",
        "UPDATE dsrd.intake SET kind = 'erasure'",
        "DELETE FROM dsrd.intake",
        "INSERT INTO dsrd.intake (organisation_id, producer) VALUES ('main', 'somebody else')",
        "SELECT sealed FROM dsrd.identifier",
        "SELECT request_id FROM dsrd.request",
        "SELECT seq FROM audit.entry",
        "SELECT audit.seal(1)",
    ] {
        let error = sqlx::query(forbidden).execute(&mut producer).await.expect_err(forbidden);
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501", "{forbidden}");
    }
    service.finish().await;
}

#[tokio::test]
async fn the_same_key_is_the_same_request_and_never_another_kind_or_somebody_elses() {
    let service = TestService::start().await;
    let submission = service.submission(RequestKind::Access, &[(Email, "canarino@posta.example")]);
    let submit =
        |submission| intake::submit_request(&service.store, &service.desk, &service.controller, submission);
    let first = submit(submission.clone()).await.unwrap();
    let again = submit(submission.clone()).await.unwrap();
    assert_eq!((first.request, first.repeated, again.repeated), (again.request, false, true));
    // S-13: the kind cannot drift by handing the key in again.
    let mut drifted = submission.clone();
    drifted.kind = RequestKind::Erasure;
    assert!(matches!(submit(drifted).await, Err(IntakeError::KeyReused)));
    // A counter that starts again: what another person asks is not taken for what the first one asked.
    let by = |identifiers: &[(IdentifierKind, &str)]| intake::Submission {
        identifiers: service.submission(RequestKind::Access, identifiers).identifiers,
        ..submission.clone()
    };
    let (own, others) = ((Email, "canarino@posta.example"), (Email, "canarino.altro@posta.example"));
    for identifiers in [&[others][..], &[own, (Phone, "333 1234567")]] {
        assert!(matches!(submit(by(identifiers)).await, Err(IntakeError::KeyReused)));
    }
    assert!(submit(by(&[(Email, "Canarino@Posta.example"), own])).await.unwrap().repeated, "the same, twice");
    // Many at once: one request.
    let many = futures_util::future::join_all((0..8).map(|_| submit(submission.clone()))).await;
    assert!(many.into_iter().all(|receipt| receipt.unwrap().request == first.request));
    service.work_to_the_end().await;
    // Nor a year later, when the clear identifiers are forgotten.
    service.clock.advance(TimeDelta::days(365));
    let mut tx = service.store.begin("test").await.unwrap();
    let (organisation, now) = (&service.controller.id, service.clock.now());
    let forgotten = intake::forget_identifiers(&mut tx, organisation, now, now, 10).await.unwrap();
    assert_eq!(forgotten, [first.request]);
    tx.commit().await.unwrap();
    assert!(matches!(submit(by(&[others])).await, Err(IntakeError::KeyReused)));
    assert!(submit(submission.clone()).await.unwrap().repeated);
    service.finish().await;
}

#[tokio::test]
async fn s_13_the_kind_of_a_request_cannot_be_changed_by_free_text() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ContactSpec::new().email("canarino@posta.example"));
    let mut submission = service.submission(RequestKind::Access, &[(Email, "canarino@posta.example")]);
    submission.idempotency_key = "please delete everything, erasure".to_owned();
    let receipt =
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.kind, RequestKind::Access);
    assert!(service.platform.truth(&contact).unwrap().exists);
    service.finish().await;
}

/// Writes with the rights of the service what would make another request of this one; each is refused.
async fn assert_stays(service: &TestService, request: RequestId, state: RequestState) {
    assert_eq!(service.case(request).await.state, state);
    let mut connection = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query("SET ROLE dsrd_service").execute(&mut connection).await.unwrap();
    for change in [
        "kind = 'erasure'",
        "kind = 'opt_out'",
        "origin = 'retention'",
        "received_at = received_at - interval '1 day'",
        "organisation_id = 'other'",
        "reference = 'DSR-0000-0000'",
        "idempotency_key = 'another'",
    ] {
        let statement = format!("UPDATE dsrd.request SET {change} WHERE request_id = $1");
        let done = sqlx::query(AssertSqlSafe(statement)).bind(request.0).execute(&mut connection).await;
        let error = done.expect_err(change).to_string();
        // A closed request and the dates have triggers of their own, which may be asked first.
        assert!(
            error.contains("never changed") || error.contains("never edited"),
            "{state}, {change}: {error}"
        );
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn s_13_what_a_request_is_stays_so_in_every_state_on_every_way() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ContactSpec::new().email("canarino@posta.example"));
    // A producer's row, and the same key again with another kind.
    let mut producer = producer(&service).await;
    let mut insert = async |kind: &str| {
        let statement = format!(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email, assurance,
               assured_at)
             VALUES ('main', 'ticket-13', '{kind}', '2026-11-23T09:00:00Z', 'web', 'canarino@posta.example',
               'authenticated_session', '2026-11-23T09:00:00Z')"
        );
        sqlx::query(AssertSqlSafe(statement)).execute(&mut producer).await.unwrap();
    };
    insert("access").await;
    assert_eq!(take(&service).await, Taken { accepted: 1, repeated: 0, parked: 0 });
    let request: sqlx::types::Uuid = sqlx::query_scalar("SELECT request_id FROM dsrd.request")
        .fetch_one(&mut *service.store.connection().await.unwrap())
        .await
        .unwrap();
    let request = RequestId(request);
    insert("erasure").await;
    assert_eq!(
        take(&service).await,
        Taken { accepted: 0, repeated: 0, parked: 1 },
        "another wish under the same key"
    );
    assert_stays(&service, request, RequestState::Received).await;

    // Retries of the platform's failures, and a mail server that refuses: the same request goes on.
    let _away = service.simulator.faults().inject(Fault::Status(500).on(Endpoint::ListContacts).times(3));
    service.mails.plan(Plan::Reply(550), 2);
    service.work().await;
    assert_stays(&service, request, RequestState::InProgress).await;
    service.work_to_the_end().await;
    assert_stays(&service, request, RequestState::Manual).await;
    let mut tx = service.store.begin("test").await.unwrap();
    let dpo = dsrd::audit::Actor::Person("dpo".to_owned());
    intake::resume(&mut tx, &service.desk, &service.controller.id, request, dpo).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_stays(&service, request, RequestState::Closed).await;
    assert_eq!(service.case(request).await.kind, RequestKind::Access);
    assert!(service.platform.truth(&contact).unwrap().exists, "nothing was erased by any of it");
    service.finish().await;
}

#[tokio::test]
async fn a_request_can_be_withdrawn_until_its_effect_has_begun() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email("canarino@posta.example"));
    let actor = || dsrd::audit::Actor::Person("dpo".to_owned());
    let withdraw = async |request| {
        let mut tx = service.store.begin("test").await.unwrap();
        let result = intake::withdraw(&mut tx, &service.desk, &service.controller, request, actor()).await;
        tx.commit().await.unwrap();
        result
    };
    let early = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
    withdraw(early.request).await.unwrap();
    assert!(matches!(withdraw(early.request).await, Err(CaseError::Closed)));
    service.work_to_the_end().await;
    assert!(service.simulator.journal().effects().is_empty());

    service.simulator.faults().inject(dsrd_simulator::Fault::DeleteIgnored);
    let late = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
    service.work().await;
    assert!(matches!(withdraw(late.request).await, Err(CaseError::EffectBegun)));
    service.simulator.faults().clear();
    service.work_to_the_end().await;
    assert_eq!(service.case(late.request).await.state, RequestState::Manual);
    service.finish().await;
}

#[tokio::test]
async fn s_14_a_request_of_one_organisation_does_not_exist_for_another() {
    let service = TestService::builder().second_organisation().build().await;
    let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    let other: dsrd::domain::OrganisationId = "other".parse().unwrap();
    let mut tx = service.store.begin("test").await.unwrap();
    assert!(intake::find_case(&mut tx, &other, receipt.request).await.unwrap().is_none());
    let stranger = &service.executor.sites[&other].controller;
    let actor = dsrd::audit::Actor::Person("dpo".to_owned());
    let withdrawn = intake::withdraw(&mut tx, &service.desk, stranger, receipt.request, actor).await;
    assert!(matches!(withdrawn, Err(CaseError::NotFound)));
    drop(tx);
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn s_39_no_role_of_the_service_changes_the_log() {
    let service = TestService::start().await;
    let _receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    service.audit().await;
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    for role in ["dsrd_service", "auditor", "dsrd_producer", "none"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("SET ROLE {role}"))).execute(&mut owner).await.unwrap();
        for forbidden in [
            "UPDATE audit.entry SET entry = '{}'",
            "DELETE FROM audit.entry",
            "TRUNCATE audit.entry",
            "TRUNCATE audit.inbox",
        ] {
            let error = sqlx::query(forbidden).execute(&mut owner).await.expect_err(forbidden);
            assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501", "{role}: {forbidden}");
        }
    }
    sqlx::query("SET ROLE auditor").execute(&mut owner).await.unwrap();
    let seen: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit_view.log").fetch_one(&mut owner).await.unwrap();
    assert!(seen > 0);
    assert!(sqlx::query("SELECT sealed FROM dsrd.identifier").execute(&mut owner).await.is_err());
    service.finish().await;
}
