//! The service's tasks over a way to the database that is not the usual one.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dsrd::delivery::{Mailer, Transport};
use dsrd::execution::{Executor, KillSwitch, Worker};
use dsrd::queue::{self, Wake};
use dsrd::store::{self, Store};
use dsrd::{delivery, intake};
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::service::TestService;
use crate::support::settings::from_toml;

/// A pool of so many connections.
pub(crate) fn store(options: PgConnectOptions, connections: u32) -> Store {
    let settings = store::Settings {
        url_file: None,
        url: None,
        max_connections: connections,
        statement_timeout_secs: 30,
        acquire_timeout_secs: 10,
        migrate_at_start: false,
        embedded_binaries_dir: None,
    };
    Store::connect_lazily(options, &settings)
}

/// The service's executor over another store, with settings of the queue changed.
pub(crate) fn executor(
    service: &TestService,
    store: &Store,
    kill: KillSwitch,
    change: impl FnOnce(&mut queue::Settings),
) -> Arc<Executor> {
    let settings: delivery::Settings = from_toml(
        r#"
        transport = "file"
        from_address = "privacy@prova.example"
        link_base_url = "https://privacy.prova.example"
        package_expiry_days = 14
        download_retry_secs = 900
        send_timeout_secs = 5
        retry_first_secs = 1
        retry_max_secs = 60
        give_up_after_days = 5
        smtp = { host = "localhost", port = 25, security = "none", plain_text_allowed = false, max_connections = 2 }
        file = {}
        "#,
    );
    let controllers = BTreeMap::from([(service.controller.id.clone(), Arc::clone(&service.controller))]);
    let keys = Arc::clone(&service.desk.keys);
    let clock = Arc::clone(&service.desk.clock);
    let transport = Transport::Memory(service.mails.clone());
    let mailer = Mailer::new(settings, store.clone(), keys, controllers, clock, transport).unwrap();
    let mailer = mailer.with_kill(kill.clone());
    let mut executor = service.executor_with(kill);
    executor.store = store.clone();
    executor.mailer = Arc::new(mailer);
    change(&mut executor.settings);
    Arc::new(executor)
}

/// The tasks of a daemon: a worker, the intake of producers' rows, the pump of notices.
pub(crate) struct Tasks {
    wake: Arc<Wake>,
    stop: CancellationToken,
    set: JoinSet<()>,
}

impl Tasks {
    pub(crate) fn start(service: &TestService, executor: &Arc<Executor>, pulse: &Store) -> Self {
        let (wake, stop) = (Arc::new(Wake::default()), CancellationToken::new());
        let mut set = JoinSet::new();
        {
            let (executor, pulse) = (Arc::clone(executor), pulse.clone());
            let (wake, stop) = (Arc::clone(&wake), stop.clone());
            set.spawn(async move {
                while !stop.is_cancelled() {
                    match Worker::start(Arc::clone(&executor), pulse.clone()).await {
                        Ok(worker) => worker.run(&wake, &stop).await,
                        Err(_) => short_rest().await,
                    }
                }
            });
        }
        {
            let (store, desk, stop) = (executor.store.clone(), service.desk.clone(), stop.clone());
            let controllers =
                BTreeMap::from([(service.controller.id.clone(), Arc::clone(&service.controller))]);
            set.spawn(async move {
                while !stop.is_cancelled() {
                    // A failure is met by the next round.
                    drop(intake::take_producer_rows(&store, &desk, &controllers).await);
                    short_rest().await;
                }
            });
        }
        {
            let (mailer, stop) = (Arc::clone(&executor.mailer), stop.clone());
            set.spawn(async move {
                while !stop.is_cancelled() {
                    drop(mailer.pump_once().await);
                    short_rest().await;
                }
            });
        }
        Self { wake, stop, set }
    }

    /// Lets time pass for what waits, until every request is closed or waits for a person and every notice is sent.
    pub(crate) async fn rest(&self, service: &TestService, within: Duration) {
        self.rest_in(&service.store, within).await;
    }

    /// The same, seen through another store than the service's. Who waits for days waits.
    pub(crate) async fn rest_in(&self, store: &Store, within: Duration) {
        let left = Mutex::new(Vec::new());
        let unfinished = || async {
            self.wake.raise();
            let mut connection = store.connection().await.unwrap();
            for statement in [
                "UPDATE dsrd.job SET run_at = run_at - interval '10 s' WHERE job_id IN
                   (SELECT job_id FROM dsrd.job WHERE state = 'ready' AND run_at > now() FOR UPDATE SKIP LOCKED)",
                "UPDATE dsrd.notice SET run_at = run_at - interval '10 s' WHERE notice_id IN
                   (SELECT notice_id FROM dsrd.notice WHERE state = 'pending' AND run_at > now() FOR UPDATE SKIP LOCKED)",
            ] {
                // Meets the faults that a test plans for all writers.
                drop(sqlx::query(statement).execute(&mut *connection).await);
            }
            let now_left: Vec<String> = sqlx::query_scalar(
                "SELECT 'row ' || idempotency_key FROM dsrd.intake
                 UNION ALL SELECT concat_ws(' ', 'job', kind, request.state, job.state, last_code, job.run_at - now())
                   FROM dsrd.job JOIN dsrd.request USING (organisation_id, request_id)
                   WHERE job.state <> 'parked' AND (job.state <> 'ready' OR job.run_at < now() + interval '12 h')
                 UNION ALL SELECT concat_ws(' ', 'notice', kind, run_at - now()) FROM dsrd.notice WHERE state = 'pending'",
            )
            .fetch_all(&mut *connection)
            .await
            .unwrap();
            let rests = now_left.is_empty();
            *left.lock().unwrap() = now_left;
            rests
        };
        let started = Instant::now();
        while !unfinished().await {
            assert!(started.elapsed() < within, "not at rest within {within:?}: {:#?}", left.lock().unwrap());
            short_rest().await;
        }
    }

    /// Stops in order.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        self.wake.raise();
        while let Some(ended) = self.set.join_next().await {
            ended.unwrap();
        }
    }
}

async fn short_rest() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Waits until the condition holds; fails when it does not within the time.
pub(crate) async fn eventually<F>(what: &str, within: Duration, mut condition: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < within, "{what}: not within {within:?}");
        short_rest().await;
    }
}

/// A number from the database.
pub(crate) async fn count(service: &TestService, statement: &'static str) -> i64 {
    let mut connection = service.store.connection().await.unwrap();
    sqlx::query_scalar(statement).fetch_one(&mut *connection).await.unwrap()
}
