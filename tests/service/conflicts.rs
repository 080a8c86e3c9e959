//! A database that asks for repetition, is slow, or has few connections.

use std::time::Duration;

use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Outcome, RequestKind};
use dsrd::execution::{Ended, KillSwitch};
use dsrd::intake::{self, IntakeError};
use dsrd_simulator::{ContactSpec, Endpoint};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::proxy::PgProxy;
use crate::rig::{self, Tasks, count, eventually};
use crate::support::service::TestService;

const TABLES: [&str; 6] =
    ["dsrd.request", "dsrd.job", "dsrd.checkpoint", "dsrd.identifier", "dsrd.notice", "audit.inbox"];

/// Lets every `nth` write fail with an SQLSTATE, half of them at COMMIT, until so many writes were counted. The counter
/// is a sequence: what is rolled back counts too.
async fn plan_conflicts(service: &TestService, tables: &[&str], code: &str, nth: u32, until: u32) {
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let function = format!(
        "CREATE SEQUENCE public.writes;
         CREATE FUNCTION public.conflict() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         DECLARE number bigint := nextval('public.writes');
         BEGIN
           IF number <= {until} AND number % {nth} = 0 THEN
             RAISE EXCEPTION 'planned' USING ERRCODE = '{code}';
           END IF;
           RETURN NULL;
         END $$;"
    );
    sqlx::raw_sql(AssertSqlSafe(function)).execute(&mut owner).await.unwrap();
    for table in tables {
        let triggers = format!(
            "CREATE TRIGGER conflict AFTER INSERT OR UPDATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION public.conflict();
             CREATE CONSTRAINT TRIGGER conflict_at_commit AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED
               FOR EACH ROW EXECUTE FUNCTION public.conflict();"
        );
        sqlx::raw_sql(AssertSqlSafe(triggers)).execute(&mut owner).await.unwrap();
    }
}

/// Takes the triggers off the log again: what was not shipped is a finding of its verification.
async fn leave_the_log_as_shipped(service: &TestService) {
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let statements = "DROP TRIGGER conflict ON audit.inbox; DROP TRIGGER conflict_at_commit ON audit.inbox";
    sqlx::raw_sql(statements).execute(&mut owner).await.unwrap();
}

/// How many writes met the trigger.
async fn writes(service: &TestService) -> i64 {
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query_scalar("SELECT last_value FROM public.writes").fetch_one(&mut owner).await.unwrap()
}

async fn conflicts_cost_a_repetition(code: &str) {
    let service = TestService::start().await;
    plan_conflicts(&service, &TABLES, code, 7, 210).await;
    let store = rig::store(service.database.options(), 8);
    let executor = rig::executor(&service, &store, KillSwitch::default(), |_| ());
    let tasks = Tasks::start(&service, &executor, &store);
    for number in 0..9 {
        let email = format!("canarino{number}@posta.example");
        let spec = ContactSpec::new().email(&email).policy("mktgCommunications", true).events(2);
        let _contact = service.platform.add_contact(spec);
        let submission = service.submission(RequestKind::AUTOMATED[number % 3], &[(Email, &email)]);
        // A submission is the caller's to repeat, under the same key.
        let submit =
            || intake::submit_request(&store, &service.desk, &service.controller, submission.clone());
        while let Err(error) = submit().await {
            let IntakeError::Store(error) = error else { panic!("{error}") };
            assert!(error.is_transient(), "{error}");
        }
    }
    tasks.rest(&service, Duration::from_mins(1)).await;
    tasks.stop().await;
    assert!(writes(&service).await > 210, "{code}: all planned conflicts were met");
    let fulfilled = count(&service, "SELECT count(*) FROM dsrd.request WHERE outcome = 'fulfilled'").await;
    assert_eq!(fulfilled, 9, "{code}");
    let journal = service.simulator.journal();
    assert_eq!(journal.calls(Endpoint::DeleteContact), 3, "{code}");
    assert_eq!(journal.calls(Endpoint::UpdatePolicies), 3, "{code}");
    dsrd::delivery::remove_leftovers(
        &service.store,
        &service.executor.packages.report.directory,
        chrono::DateTime::<chrono::Utc>::MAX_UTC,
    )
    .await
    .unwrap();
    store.close().await;
    leave_the_log_as_shipped(&service).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_14_conflicts_at_any_write_cost_a_repetition_and_nothing_else() {
    // Serialisation failure, deadlock, lock and statement time-out.
    futures_util::future::join_all(["40001", "40P01", "55P03", "57014"].map(conflicts_cost_a_repetition))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_14_a_write_that_fails_again_and_again_is_not_tried_round_and_round() {
    let service = TestService::start().await;
    plan_conflicts(&service, &["dsrd.checkpoint"], "40001", 1, 1_000_000).await;
    let _contact = service.platform.add_contact(ContactSpec::new().email("canarino@posta.example"));
    let receipt = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
    let executor = rig::executor(&service, &service.store, KillSwitch::default(), |settings| {
        settings.retry_base_secs = 30;
    });
    let tasks = Tasks::start(&service, &executor, &service.store);
    eventually("the job waits", Duration::from_mins(1), || async {
        count(
            &service,
            "SELECT count(*) FROM dsrd.job
             WHERE state = 'ready' AND last_code = 'database_failed' AND run_at > now() + interval '5 s'",
        )
        .await
            == 1
    })
    .await;
    assert_eq!(count(&service, "SELECT fence FROM dsrd.job").await, 1, "handed out once");
    assert_eq!(count(&service, "SELECT attempt::bigint FROM dsrd.job").await, 0, "and not counted");
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::raw_sql("DROP FUNCTION public.conflict CASCADE").execute(&mut owner).await.unwrap();
    tasks.rest(&service, Duration::from_mins(1)).await;
    tasks.stop().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn f_14_what_the_database_fails_again_and_again_waits_longer_each_time_until_it_succeeds() {
    let service = TestService::start().await;
    plan_conflicts(&service, &["dsrd.checkpoint"], "40001", 1, 1_000_000).await;
    let _contact = service.platform.add_contact(ContactSpec::new().email("canarino@posta.example"));
    let receipt = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
    let worker = service.worker().await;
    let mut waits = Vec::new();
    for _ in 0..20 {
        assert_eq!(worker.work_once().await.unwrap(), [Ended::Interrupted]);
        let wait = count(&service, "SELECT extract(epoch FROM run_at - now())::bigint FROM dsrd.job").await;
        waits.push(wait);
        service.advance(Duration::from_hours(1)).await;
    }
    assert!(waits[..5].iter().all(|wait| *wait <= 3), "{waits:?}");
    assert!(waits[8] > waits[4] && waits[8] >= 8, "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 15 * 60) && waits[19] >= 14 * 60, "{waits:?}");
    assert_eq!(count(&service, "SELECT attempt::bigint FROM dsrd.job").await, 0, "none is counted");
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::raw_sql("DROP FUNCTION public.conflict CASCADE").execute(&mut owner).await.unwrap();
    // What wrote its end begins anew.
    assert_eq!(worker.work_once().await.unwrap(), [Ended::PutBack]);
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_15_a_slow_database_and_a_pool_of_two_starve_neither_work_nor_heartbeats() {
    let service = TestService::start().await;
    let proxy = PgProxy::start(service.database.options()).await;
    let (store, pulse) = (rig::store(proxy.options(), 2), rig::store(proxy.options(), 1));
    let executor = rig::executor(&service, &store, KillSwitch::default(), |settings| {
        (settings.request_workers, settings.heartbeat_secs, settings.lease_secs) = (8, 1, 15);
    });
    for number in 0..16 {
        let email = format!("canarino{number}@posta.example");
        let spec = ContactSpec::new().email(&email).policy("mktgCommunications", true);
        let _contact = service.platform.add_contact(spec);
        service.submit(RequestKind::AUTOMATED[number % 3], &[(Email, &email)]).await;
    }
    proxy.delay(Duration::from_millis(8));
    let tasks = Tasks::start(&service, &executor, &pulse);
    tasks.rest(&service, Duration::from_mins(1)).await;
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.instance").await, 1, "one life");
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.instance WHERE dead_at IS NOT NULL").await, 0);
    assert_eq!(count(&service, "SELECT sum(crash_count)::bigint FROM dsrd.job_done").await, 0);
    let fulfilled = count(&service, "SELECT count(*) FROM dsrd.request WHERE outcome = 'fulfilled'").await;
    assert_eq!(fulfilled, 16);
    tasks.stop().await;
    store.close().await;
    pulse.close().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_15_answers_that_break_off_and_connections_that_are_reset_end_right() {
    let service = TestService::start().await;
    let proxy = PgProxy::start(service.database.options()).await;
    let (store, pulse) = (rig::store(proxy.options(), 4), rig::store(proxy.options(), 2));
    let executor = rig::executor(&service, &store, KillSwitch::default(), |_| ());
    // Each connection lives for some statements.
    proxy.limit_answers(6_000);
    let tasks = Tasks::start(&service, &executor, &pulse);
    for number in 0..12 {
        let email = format!("canarino{number}@posta.example");
        let spec = ContactSpec::new().email(&email).policy("mktgCommunications", true);
        let _contact = service.platform.add_contact(spec);
        service.submit(RequestKind::AUTOMATED[number % 3], &[(Email, &email)]).await;
        proxy.cut_all();
    }
    tasks.rest(&service, Duration::from_mins(1)).await;
    assert!(proxy.connections() > 12, "{} connections", proxy.connections());
    proxy.limit_answers(0);
    tasks.stop().await;
    let fulfilled = count(&service, "SELECT count(*) FROM dsrd.request WHERE outcome = 'fulfilled'").await;
    assert_eq!(fulfilled, 12);
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 4);
    assert_eq!(service.simulator.journal().calls(Endpoint::UpdatePolicies), 4);
    store.close().await;
    pulse.close().await;
    service.finish().await;
}
