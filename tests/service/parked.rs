//! Producers' rows that could not become a request, in the hands of a person.

use chrono::{TimeDelta, Utc};
use dsrd::audit::Actor;
use dsrd::domain::{
    Assurance, DiscardReason, IdentifierKind, MasterKey, Outcome, Personal, RequestKind, RequestState,
};
use dsrd::intake::{self, Corrections, IntakeError, OpenedRow, ParkedRow, ParkedRowError, Receipt};
use dsrd_simulator::ContactSpec;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::intake::{controllers, producer, take};
use crate::support::builder::start_of_test;
use crate::support::service::TestService;

fn dpo() -> Actor {
    Actor::Person("dpo".to_owned())
}

/// Inserts rows of `(organisation_id, idempotency_key, kind, received_at, channel, email)` as a producer and lets them be
/// parked.
async fn park(service: &TestService, rows: &[&str]) -> Vec<ParkedRow> {
    let mut producer = producer(service).await;
    for values in rows {
        let statement = format!(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email) VALUES {values}"
        );
        sqlx::query(AssertSqlSafe(statement)).execute(&mut producer).await.unwrap();
    }
    assert_eq!(take(service).await.parked, rows.len() as u64);
    let mut parked = list(service).await;
    parked.sort_by_key(|row| row.intake);
    parked
}

pub(crate) async fn as_owner(service: &TestService, statements: &str) {
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut owner).await.unwrap();
}

pub(crate) async fn list(service: &TestService) -> Vec<ParkedRow> {
    let mut connection = service.store.connection().await.unwrap();
    intake::list_parked_rows(&mut connection, &service.desk, &controllers(service), 100).await.unwrap()
}

pub(crate) async fn open(service: &TestService, row: i64) -> Result<OpenedRow, ParkedRowError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let reader = (&service.controller.id, dpo());
    let opened =
        intake::open_parked_row(&mut tx, &service.desk, &controllers(service), row, reader, false).await?;
    tx.commit().await.unwrap();
    Ok(opened)
}

pub(crate) async fn release(
    service: &TestService,
    row: i64,
    corrections: Corrections,
) -> Result<Receipt, ParkedRowError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let receipt =
        intake::release_parked_row(&mut tx, &service.desk, &controllers(service), row, corrections, dpo())
            .await?;
    tx.commit().await.unwrap();
    Ok(receipt)
}

pub(crate) fn of_kind(kind: RequestKind) -> Corrections {
    Corrections { kind: Some(kind), ..Corrections::default() }
}

#[tokio::test]
async fn r_1_a_parked_row_keeps_its_due_date_and_an_overdue_one_is_marked() {
    let service = TestService::start().await;
    let rows = park(
        &service,
        &[
            "('main', 'a', NULL, '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example')",
            "('main', 'b', NULL, '2026-09-20T09:00:00Z', 'web', 'canarino@posta.example')",
            "('main', 'c', 'access', NULL, 'web', 'canarino@posta.example')",
            "('nobody', 'd', 'access', '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example')",
        ],
    )
    .await;
    let seen: Vec<_> = rows.iter().map(|row| (row.due_on.map(|day| day.to_string()), row.overdue)).collect();
    assert_eq!(
        seen,
        [
            (Some("2026-12-20".to_owned()), false),
            (Some("2026-10-20".to_owned()), true),
            // At the latest: it was there when it was parked.
            (Some("2026-12-23".to_owned()), false),
            (None, false),
        ]
    );
    assert_eq!(rows[2].received_at, None);
    service.finish().await;
}

#[tokio::test]
async fn r_1_the_parked_row_whose_date_comes_first_is_listed_first_and_all_are_counted() {
    let service = TestService::start().await;
    park(
        &service,
        &[
            "('main', 'a', NULL, '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example')",
            // Handed in late: it is overdue already.
            "('main', 'b', NULL, '2026-09-20T09:00:00Z', 'web', 'canarino@posta.example')",
            "('main', 'c', 'access', NULL, 'web', 'canarino@posta.example')",
            "('nobody', 'd', 'access', '2026-11-19T09:00:00Z', 'web', 'canarino@posta.example')",
        ],
    )
    .await;
    let keys: Vec<_> = list(&service).await.into_iter().filter_map(|row| row.idempotency_key).collect();
    assert_eq!(keys, ["b", "d", "a", "c"]);
    let mut connection = service.store.connection().await.unwrap();
    let first = intake::list_parked_rows(&mut connection, &service.desk, &controllers(&service), 1).await;
    assert!(first.unwrap()[0].overdue, "however short the list is");
    assert_eq!(intake::count_parked_rows(&mut connection, &controllers(&service)).await.unwrap(), 4);
    drop(connection);
    service.finish().await;
}

#[tokio::test]
async fn a_parked_row_is_shown_masked_and_the_log_says_who_looked() {
    let service = TestService::start().await;
    let rows = park(
        &service,
        &["('main', 'a', 'delete canarino', '2026-11-20T09:00:00Z', 'smoke signal', 'canarino@posta.example')"],
    )
    .await;
    let opened = open(&service, rows[0].intake).await.unwrap();
    let masked: Vec<_> =
        opened.columns.iter().map(|column| format!("{}={}", column.name, column.masked)).collect();
    assert_eq!(
        masked,
        [
            "kind=d••• (15 characters)",
            "received_at=2026-11-20T09:00:00+00:00",
            "channel=s••• (12 characters)",
            "email=c•••@posta.example"
        ]
    );
    let clear = opened.columns.iter().find(|column| column.name == "email").unwrap();
    assert_eq!(clear.value.expose(), "canarino@posta.example");
    assert!(!format!("{opened:?}").contains("canarino"));
    let log = service.audit().await;
    let entry = log.iter().find(|entry| entry.action == "intake.read").unwrap();
    assert_eq!((entry.actor.as_str(), &entry.detail["revealed"]), ("person:dpo", &false.into()));
    assert!(matches!(open(&service, 999).await, Err(ParkedRowError::NotFound)));
    service.finish().await;
}

#[tokio::test]
async fn r_1_a_released_row_keeps_producer_key_and_clock() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email("canarino@posta.example"));
    let rows = park(
        &service,
        &["('main', 'ticket-7', NULL, '2026-11-03T09:00:00Z', 'web', 'canarino@posta.example')"],
    )
    .await;
    let row = rows[0].intake;
    // Two weeks later.
    service.clock.advance(TimeDelta::days(14));
    let still = release(&service, row, Corrections::default()).await.unwrap_err();
    assert!(still.to_string().contains("kind"), "{still}");
    let later = Corrections { received_at: Some(start_of_test()), ..of_kind(RequestKind::Erasure) };
    let stands = release(&service, row, later).await.unwrap_err();
    assert!(matches!(stands, ParkedRowError::Stands("received_at")), "{stands}");
    let other_key = Corrections { idempotency_key: Some("x".to_owned()), ..of_kind(RequestKind::Erasure) };
    let stands = release(&service, row, other_key).await.unwrap_err();
    assert!(matches!(stands, ParkedRowError::Stands("idempotency_key")), "{stands}");
    assert_eq!(list(&service).await.len(), 1, "what failed left the row where it was");

    // The producer said nothing of who asks; whoever releases the row knows, and vouches for it.
    let vouched = Corrections {
        assurance: Some(Assurance::AuthenticatedSession),
        assured_at: Some(start_of_test() + TimeDelta::days(14)),
        ..of_kind(RequestKind::Erasure)
    };
    let receipt = release(&service, row, vouched).await.unwrap();
    assert!(!receipt.repeated);
    assert_eq!(receipt.due_on.to_string(), "2026-12-03");
    assert!(list(&service).await.is_empty());
    assert!(matches!(
        release(&service, row, of_kind(RequestKind::Erasure)).await,
        Err(ParkedRowError::NotFound)
    ));
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.outcome, Some(Outcome::Fulfilled));
    assert_eq!(case.received_at, "2026-11-03T09:00:00Z".parse::<chrono::DateTime<Utc>>().unwrap());
    // Its producer sees it under its own key, and a repetition is the same request.
    let mut producer = producer(&service).await;
    sqlx::query(
        "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
         VALUES ('main', 'ticket-7', 'erasure', '2026-11-03T09:00:00Z', 'web', 'canarino@posta.example')",
    )
    .execute(&mut producer)
    .await
    .unwrap();
    assert_eq!(take(&service).await.repeated, 1);
    let status: String =
        sqlx::query_scalar("SELECT status FROM dsrd.receipt WHERE idempotency_key = 'ticket-7'")
            .fetch_one(&mut producer)
            .await
            .unwrap();
    assert_eq!(status, "accepted");
    let story = service.story(receipt.request).await;
    assert_eq!(story[0], "request.received");
    assert!(story.contains(&"intake.released".to_owned()), "{story:?}");
    let log = service.audit().await;
    let released = log.iter().find(|entry| entry.action == "intake.released").unwrap();
    assert_eq!(released.actor, "person:dpo");
    assert_eq!(released.detail["corrected"], "kind assurance assured_at");
    let received = log.iter().find(|entry| entry.action == "request.received").unwrap();
    assert!(received.actor.starts_with("producer:"), "{}", received.actor);
    service.finish().await;
}

#[tokio::test]
async fn r_1_a_row_that_was_parked_for_the_future_is_not_of_the_day_that_it_named_once_that_has_come() {
    let service = TestService::start().await;
    // The clock of a form is hours ahead, over the end of the day; a day and a month are swapped.
    let rows = park(
        &service,
        &[
            "('main', 'a', 'access', '2026-11-23T23:30:00Z', 'web', 'canarino@posta.example')",
            "('main', 'b', 'access', '2026-12-11T09:00:00Z', 'web', 'canarino@posta.example')",
            "('main', 'c', 'access', '2026-12-11T09:00:00Z', 'web', 'canarino@posta.example')",
        ],
    )
    .await;
    let promised: Vec<_> = rows.iter().map(|row| row.due_on.unwrap()).collect();
    service.clock.advance(TimeDelta::days(21));
    for row in &rows[..2] {
        let receipt = release(&service, row.intake, Corrections::default()).await.unwrap();
        assert_eq!(service.case(receipt.request).await.received_at, start_of_test());
        assert_eq!(receipt.due_on, promised[0], "as it was listed");
    }
    // Who knows the day says it.
    let known = start_of_test() - TimeDelta::days(12);
    let corrected = Corrections { received_at: Some(known), ..Corrections::default() };
    let receipt = release(&service, rows[2].intake, corrected).await.unwrap();
    assert_eq!(service.case(receipt.request).await.received_at, known);

    // How long somebody is known is not guessed.
    let mut producer = producer(&service).await;
    sqlx::query(
        "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email, assurance, assured_at)
         VALUES ('main', 'd', 'access', '2026-12-01T09:00:00Z', 'web', 'canarino@posta.example', 'authenticated_session',
           '2027-01-12T09:00:00Z')",
    )
    .execute(&mut producer)
    .await
    .unwrap();
    assert_eq!(take(&service).await.parked, 1);
    let row = list(&service).await[0].intake;
    service.clock.advance(TimeDelta::days(40));
    let guessed = release(&service, row, Corrections::default()).await.unwrap_err();
    assert!(matches!(guessed, ParkedRowError::Refused(IntakeError::AssuredInFuture)), "{guessed}");
    let at = start_of_test() + TimeDelta::days(8);
    let corrected = Corrections { assured_at: Some(at), ..Corrections::default() };
    let receipt = release(&service, row, corrected).await.unwrap();
    assert_eq!(service.case(receipt.request).await.assured_at, Some(at));
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn a_row_that_names_too_much_is_released_under_its_own_key() {
    let service = TestService::start().await;
    let mut producer = producer(&service).await;
    for too_much in ["'a', ARRAY['mktgCommunications'], NULL", "'b', NULL, 'objection'"] {
        let statement = format!(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, policies, ground, kind, received_at, channel, email)
             VALUES ('main', {too_much}, 'access', '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example')"
        );
        sqlx::query(AssertSqlSafe(statement)).execute(&mut producer).await.unwrap();
    }
    assert_eq!(take(&service).await.parked, 2);
    let rows = list(&service).await;
    assert_eq!((rows[0].reason.as_str(), rows[1].reason.as_str()), ("bad_policies", "bad_ground"));
    for row in rows {
        let still = release(&service, row.intake, Corrections::default()).await.unwrap_err();
        assert!(matches!(still, ParkedRowError::Refused(_)), "{still}");
        let corrections =
            Corrections { policies: Some(Vec::new()), no_ground: true, ..Corrections::default() };
        let receipt = release(&service, row.intake, corrections).await.unwrap();
        assert_eq!(service.case(receipt.request).await.kind, RequestKind::Access);
    }
    service.work_to_the_end().await;
    let log = service.audit().await;
    let released = log.iter().find(|entry| entry.action == "intake.released").unwrap();
    assert_eq!(released.detail["corrected"], "policies ground");
    service.finish().await;
}

#[tokio::test]
async fn a_row_whose_key_is_somebody_elses_is_parked_and_released_under_another() {
    let service = TestService::start().await;
    let mut producer = producer(&service).await;
    let mut insert = async |kind: &str, email: &str| {
        let statement = format!(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
             VALUES ('main', 'form-17', {kind}, '2026-11-20T09:00:00Z', 'web', '{email}')"
        );
        sqlx::query(AssertSqlSafe(statement)).execute(&mut producer).await.unwrap();
        take(&service).await
    };
    assert_eq!(insert("'access'", "canarino@posta.example").await.accepted, 1);
    assert_eq!(insert("'access'", "canarino@posta.example").await.repeated, 1);
    // The counter of the form starts again; one of the rows is faulty besides.
    assert_eq!(insert("'access'", "canarino.altro@posta.example").await.parked, 1);
    assert_eq!(insert("NULL", "canarino.terzo@posta.example").await.parked, 1);
    let rows = list(&service).await;
    assert_eq!((rows[0].reason.as_str(), rows[1].reason.as_str()), ("key_reused", "missing_column"));
    for (row, key) in rows.iter().zip(["form-17-b", "form-17-c"]) {
        let as_it_is = release(&service, row.intake, of_kind(RequestKind::Access)).await.unwrap_err();
        assert!(matches!(as_it_is, ParkedRowError::Refused(IntakeError::KeyReused)), "{as_it_is}");
        let other_key = Corrections { idempotency_key: Some(key.to_owned()), ..of_kind(RequestKind::Access) };
        assert!(!release(&service, row.intake, other_key).await.unwrap().repeated);
    }
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn a_row_is_corrected_in_its_identifiers_its_organisation_and_its_missing_fields() {
    let service = TestService::start().await;
    let rows = park(
        &service,
        &[
            "('main', 'a', 'access', '2026-11-20T09:00:00Z', 'web', 'canarino at posta')",
            "('nobody', 'b', 'access', '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example')",
            "('main', NULL, 'access', NULL, 'web', 'canarino@posta.example')",
            "('main', 'd', 'access', '2036-01-01T00:00:00Z', 'web', 'canarino@posta.example')",
        ],
    )
    .await;
    let email = Some(Personal::new("canarino@posta.example".to_owned()));
    let corrections = [
        Corrections { identifiers: [(IdentifierKind::Email, email)].into(), ..Corrections::default() },
        Corrections { organisation: Some(service.controller.id.clone()), ..Corrections::default() },
        Corrections {
            idempotency_key: Some("c".to_owned()),
            received_at: Some(start_of_test() - TimeDelta::days(2)),
            ..Corrections::default()
        },
        Corrections { received_at: Some(start_of_test() - TimeDelta::days(2)), ..Corrections::default() },
    ];
    for (row, corrections) in rows.iter().zip(corrections) {
        let receipt = release(&service, row.intake, corrections).await.unwrap();
        assert_eq!(service.case(receipt.request).await.state, RequestState::Received);
    }
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn r_1_a_row_under_a_misspelt_name_is_parked_at_once_and_handed_in_under_the_right_one_with_its_date() {
    let service = TestService::start().await;
    let rows = park(
        &service,
        &["('mian', 'ticket-9', 'access', '2026-11-03T09:00:00Z', 'web', 'canarino@posta.example')"],
    )
    .await;
    assert_eq!((rows[0].reason.as_str(), rows[0].organisation.as_str()), ("unknown_organisation", "mian"));
    let right = Corrections { organisation: Some(service.controller.id.clone()), ..Corrections::default() };
    let receipt = release(&service, rows[0].intake, right).await.unwrap();
    assert_eq!(receipt.due_on.to_string(), "2026-12-03");
    let case = service.case(receipt.request).await;
    assert_eq!(case.received_at.to_rfc3339(), "2026-11-03T09:00:00+00:00");
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn a_discarded_row_leaves_its_reason_and_nothing_of_its_content() {
    let service = TestService::start().await;
    let rows = park(&service, &["('main', 'a', NULL, now(), 'web', 'canarino@posta.example')"]).await;
    let row = rows[0].intake;
    let mut tx = service.store.begin("test").await.unwrap();
    let reader = (&service.controller.id, dpo());
    intake::discard_parked_row(
        &mut tx,
        &service.desk,
        &controllers(&service),
        row,
        DiscardReason::Test,
        reader,
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    assert!(list(&service).await.is_empty());
    let log = service.audit().await;
    let entry = log.iter().find(|entry| entry.action == "intake.discarded").unwrap();
    assert_eq!(
        entry.detail,
        serde_json::json!({ "intake": row, "reason": "test", "parked_for": "missing_column" })
    );
    service.finish().await;
}

#[tokio::test]
async fn a_row_that_another_key_sealed_is_listed_and_not_opened() {
    let mut service = TestService::start().await;
    let rows =
        park(&service, &["('main', 'a', NULL, '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example')"])
            .await;
    let right = std::mem::replace(&mut service.desk.keys, std::sync::Arc::new(MasterKey::generate()));
    let listed = list(&service).await;
    assert_eq!((listed.len(), listed[0].received_at), (1, None));
    assert!(matches!(open(&service, rows[0].intake).await, Err(ParkedRowError::Sealed(_))));
    service.desk.keys = right;
    service.finish().await;
}

#[tokio::test]
async fn a_parked_row_of_an_organisation_that_another_daemon_serves_is_not_there() {
    let service = TestService::start().await;
    let rows = park(
        &service,
        &[
            "('main', 'a', NULL, '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example')",
            "('elsewhere', 'b', NULL, '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example')",
        ],
    )
    .await;
    // As long as nobody serves it, its row is anybody's to correct.
    assert_eq!(rows.len(), 2);
    let foreign = rows[1].intake;
    as_owner(&service, "INSERT INTO dsrd.organisation VALUES ('elsewhere', 'platform-elsewhere', now())")
        .await;
    assert_eq!(
        list(&service).await.iter().map(|row| row.organisation.as_str()).collect::<Vec<_>>(),
        ["main"]
    );
    assert!(matches!(open(&service, foreign).await, Err(ParkedRowError::NotFound)));
    let released = release(&service, foreign, of_kind(RequestKind::Access)).await;
    assert!(matches!(released, Err(ParkedRowError::NotFound)));
    let mut tx = service.store.begin("test").await.unwrap();
    let discarded = intake::discard_parked_row(
        &mut tx,
        &service.desk,
        &controllers(&service),
        foreign,
        DiscardReason::Duplicate,
        (&service.controller.id, dpo()),
    )
    .await;
    assert!(matches!(discarded, Err(ParkedRowError::NotFound)));
    drop(tx);
    service.finish().await;
}

#[tokio::test]
async fn of_two_rows_of_one_key_that_two_daemons_take_at_once_the_second_is_a_repetition() {
    let service = TestService::start().await;
    let mut producer = producer(&service).await;
    sqlx::query(
        "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
         VALUES ('main', 'once', 'access', '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example')",
    )
    .execute(&mut producer)
    .await
    .unwrap();
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let name: String =
        sqlx::query_scalar("SELECT producer FROM dsrd.intake").fetch_one(&mut owner).await.unwrap();
    // Another daemon has taken the other row and has not committed yet.
    let email = [(IdentifierKind::Email, "canarino@posta.example")];
    let theirs = intake::Submission {
        producer: name,
        idempotency_key: "once".to_owned(),
        received_at: "2026-11-20T09:00:00Z".parse().unwrap(),
        proof: None,
        ..service.submission(RequestKind::Access, &email)
    };
    let mut tx = service.store.begin("test").await.unwrap();
    intake::submit(&mut tx, &service.desk, &service.controller, theirs).await.unwrap();
    let commits_once_the_other_waits = async {
        let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut owner).await.unwrap() {
            tokio::task::yield_now().await;
        }
        tx.commit().await.unwrap();
    };
    let (taken, ()) = tokio::join!(take(&service), commits_once_the_other_waits);
    assert_eq!((taken.accepted, taken.repeated, taken.parked), (0, 1, 0));
    assert!(list(&service).await.is_empty());
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn r_1_a_row_whose_request_the_database_refuses_is_parked_and_stops_nobody() {
    for moment in
        ["AFTER INSERT ON dsrd.request", "AFTER INSERT ON dsrd.request DEFERRABLE INITIALLY DEFERRED"]
    {
        let service = TestService::start().await;
        let kind = if moment.contains("DEFER") { "CONSTRAINT TRIGGER" } else { "TRIGGER" };
        let refuse = format!(
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
               IF NEW.kind = 'access' THEN RAISE 'never' USING ERRCODE = 'check_violation'; END IF;
               RETURN NULL;
             END $$;
             CREATE {kind} refuse {moment} FOR EACH ROW EXECUTE FUNCTION public.refuse()"
        );
        as_owner(&service, &refuse).await;
        let mut producer = producer(&service).await;
        for values in ["'a', 'access'", "'b', 'opt_out'"] {
            let statement = format!(
                "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
                 SELECT 'main', of.key, of.kind, '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example'
                 FROM (VALUES ({values})) AS of (key, kind)"
            );
            sqlx::query(AssertSqlSafe(statement)).execute(&mut producer).await.unwrap();
        }
        let taken = take(&service).await;
        assert_eq!((taken.parked, taken.accepted), (1, 1), "{moment}");
        assert_eq!(list(&service).await[0].reason, "refused");
        service.finish().await;
    }
}
