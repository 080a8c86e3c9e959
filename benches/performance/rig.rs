//! A private PostgreSQL and the service on it, put together as the daemon does, with the daemon's own defaults.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use chrono::TimeDelta;
use dsrd::delivery::{self, MemoryTransport, Transport};
use dsrd::domain::{
    Assurance, Channel, Clock, Controller, IdentifierKind, MasterKey, Origin, Proof, RequestId, RequestKind,
    RequesterRole, SubjectIdentifier, SystemClock,
};
use dsrd::execution::{Executor, Gate, KillSwitch, PackageRules, Site, Worker};
use dsrd::intake::{self, Desk, Submission};
use dsrd::platform::ContactPlatform;
use dsrd::platform::cloud4wi::{self, Cloud4Wi, LocalBudget};
use dsrd::queue::{self, Wake, WakeSource};
use dsrd::report;
use dsrd::store::embedded::{self, Cluster};
use dsrd::store::{self, Store};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::de::DeserializeOwned;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::simulated::{Access, Person};
use crate::watch;

const DEFAULTS: &str = include_str!("../../config/default.toml");

/// A private cluster, durable as in production, in a directory of its own.
#[derive(Debug)]
pub(crate) struct Database {
    cluster: Cluster,
    directory: TempDir,
    number: u32,
}

impl Database {
    /// `statements` loads the extension that counts statements.
    pub(crate) async fn start(statements: bool) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("dsrd-bench-").tempdir()?;
        // A server that steps down from root must be able to pass through.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711))?;
        let mut settings = embedded::Settings::new(directory.path(), std::env::var_os("PATH"));
        if statements {
            let library = ("shared_preload_libraries".to_owned(), "pg_stat_statements".to_owned());
            let planning = ("pg_stat_statements.track_planning".to_owned(), "on".to_owned());
            settings.server_settings.extend([library, planning]);
        }
        let cluster = Cluster::start(settings).await?;
        Ok(Self { cluster, directory, number: 0 })
    }

    /// A fresh, migrated database.
    pub(crate) async fn create(&mut self) -> Result<PgConnectOptions> {
        self.number += 1;
        let name = format!("bench_{}", self.number);
        let mut connection = PgConnection::connect_with(&self.cluster.options("postgres")).await?;
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
        connection.close().await?;
        let options = self.cluster.options(&name);
        store::migrate(&options).await?;
        Ok(options)
    }

    /// Version of the server and the settings that decide about durability.
    pub(crate) async fn describe(&self) -> Result<BTreeMap<String, String>> {
        let mut connection = PgConnection::connect_with(&self.cluster.options("postgres")).await?;
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT name, setting FROM pg_settings WHERE name IN
               ('server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'wal_sync_method',
                'commit_delay')",
        )
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        Ok(rows.into_iter().collect())
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.cluster.stop().await?;
        self.directory.close()?;
        Ok(())
    }
}

/// What the server has done, counted by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    /// Transactions that wrote: each took a transaction id.
    pub(crate) writes: f64,
    /// All transactions, also those that only read.
    pub(crate) commits: f64,
    /// How often the log was flushed to disk; several commits may share one flush.
    pub(crate) flushes: f64,
}

impl Work {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            writes: self.writes - before.writes,
            commits: self.commits - before.commits,
            flushes: self.flushes - before.flushes,
        }
    }

    pub(crate) fn per(self, units: f64) -> Self {
        Self { writes: self.writes / units, commits: self.commits / units, flushes: self.flushes / units }
    }
}

/// After so long an idle backend has reported what it did (its own interval is ten seconds). Transaction ids are
/// exact at once.
pub(crate) const REPORTED: Duration = Duration::from_secs(11);

/// Reads the counters after a pause: [`REPORTED`] where more than `writes` is asked for.
pub(crate) async fn work_done(options: &PgConnectOptions, pause: Duration) -> Result<Work> {
    tokio::time::sleep(pause).await;
    let mut connection = PgConnection::connect_with(options).await?;
    let (writes, commits, flushes): (f64, f64, f64) = sqlx::query_as(
        "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::float8, xact_commit::float8,
                (SELECT wal_sync::float8 FROM pg_stat_wal)
         FROM pg_stat_database WHERE datname = current_database()",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    Ok(Work { writes, commits, flushes })
}

/// Begins to count statements in the server, by their text.
pub(crate) async fn watch_statements(options: &PgConnectOptions) -> Result<()> {
    let mut connection = PgConnection::connect_with(options).await?;
    sqlx::raw_sql("CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

/// The statements that took the server longest: times executed for each unit, microseconds each, text.
pub(crate) async fn statements_by_time(options: &PgConnectOptions, units: f64) -> Result<Vec<String>> {
    let mut connection = PgConnection::connect_with(options).await?;
    let rows: Vec<(i64, f64, i64, f64, String)> = sqlx::query_as(
        "SELECT calls, mean_exec_time * 1000, plans, mean_plan_time * 1000, left(regexp_replace(query, '\\s+', ' ', 'g'), 90)
         FROM pg_stat_statements JOIN pg_database ON dbid = pg_database.oid
         WHERE datname = current_database()
         ORDER BY total_exec_time + total_plan_time DESC LIMIT 40",
    )
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let line = |(calls, micros, plans, planning, text): (i64, f64, i64, f64, String)| {
        let (calls, plans) = (calls as f64 / units, plans as f64 / units);
        format!("{calls:6.2} × {micros:7.1} µs  planned {plans:5.2} × {planning:7.1} µs  {text}")
    };
    Ok(rows.into_iter().map(line).collect())
}

/// A part of the daemon's default configuration, with some keys set.
pub(crate) fn defaults<T: DeserializeOwned>(part: &str, keys: &[(&str, config::Value)]) -> Result<T> {
    let mut builder =
        config::Config::builder().add_source(config::File::from_str(DEFAULTS, config::FileFormat::Toml));
    for (key, value) in keys {
        builder = builder.set_override(format!("{part}.{key}"), value.clone())?;
    }
    builder.build()?.get(part).with_context(|| format!("read the defaults of {part}"))
}

/// The organisation of all benches.
pub(crate) fn controller() -> Result<Controller> {
    Ok(Controller {
        id: "main".parse().map_err(|_| anyhow::anyhow!("a name"))?,
        name: "Caffè Prova".to_owned(),
        contact: "dpo@prova.example".to_owned(),
        time_zone: chrono_tz::Europe::Rome,
        regime: dsrd::domain::deadline::RegimeCode::EU,
        calendar: None,
        further_calendars: Vec::new(),
        reminder_days: 0,
        frequent_from: 4,
        two_persons: Vec::new(),
        default_country: Some("IT".to_owned()),
        language: "en".to_owned(),
        opt_out_policies: vec!["mktgCommunications".to_owned()],
        identity: dsrd::domain::IdentityRules::default(),
        erasure: dsrd::domain::ErasureRules::default(),
        // Counted, as usual, and never reached.
        flood: dsrd::domain::FloodLimits {
            per_source_per_hour: 10_000_000,
            per_identifier_per_day: 10_000_000,
            all_per_hour: 10_000_000,
        },
    })
}

/// The real client without a rate limit; everything else as configured by default.
pub(crate) fn connect(
    access: &Access,
    directory: &Path,
    in_flight: u32,
    page_size: u32,
) -> Result<Arc<dyn ContactPlatform>> {
    let key = secret_file(directory, "bench.key", &access.client_key)?;
    let secret = secret_file(directory, "bench.secret", &access.client_secret)?;
    let settings: cloud4wi::Settings = defaults(
        "organisation_defaults.platform",
        &[
            ("base_url", access.base_url.clone().into()),
            ("organisation_id", access.organisation_id.clone().into()),
            ("client_key_file", key.into()),
            ("client_secret_file", secret.into()),
            ("rate.requests_per_second", 1_000_000.0.into()),
            ("rate.burst", 100_000.into()),
            ("rate.in_flight", in_flight.into()),
            ("paging.page_size", page_size.into()),
        ],
    )?;
    let budget = Arc::new(LocalBudget::new(&settings.rate));
    Ok(Arc::new(Cloud4Wi::new(settings, Some("IT".to_owned()), budget, Arc::new(SystemClock))?))
}

fn secret_file(directory: &Path, name: &str, content: &str) -> Result<String> {
    let path = directory.join(name);
    std::fs::write(&path, content)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(path.display().to_string())
}

/// The service in this process.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) store: Store,
    pulse: Store,
    pub(crate) executor: Arc<Executor>,
    controller: Arc<Controller>,
    desk: Desk,
    mails: MemoryTransport,
    directory: TempDir,
}

/// A worker that runs until it is told to stop.
#[derive(Debug)]
pub(crate) struct Running {
    stop: CancellationToken,
    worker: tokio::task::JoinHandle<()>,
    listener: tokio::task::JoinHandle<()>,
}

impl Running {
    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.worker.await?;
        self.listener.abort();
        Ok(())
    }
}

impl Service {
    /// So many workers for people's requests, and a quarter as many connections where the default is less: a worker
    /// waits for the platform most of the time, and every connection has to learn every statement.
    pub(crate) async fn build(options: &PgConnectOptions, access: &Access, workers: u32) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("dsrd-bench-service-").tempdir()?;
        let controller = Arc::new(controller()?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let keys = Arc::new(MasterKey::generate());
        let desk = Desk { keys: Arc::clone(&keys), clock: Arc::clone(&clock), evidence_months: 36 };
        let settings: store::Settings = defaults("database", &[])?;
        let store = Store::connect_lazily(options.clone(), &settings);
        let pulse =
            Store::connect_lazily(options.clone(), &store::Settings { max_connections: 2, ..settings });

        let mut connection = store.connection().await?;
        sqlx::query("INSERT INTO dsrd.organisation VALUES ($1, $2, now()) ON CONFLICT DO NOTHING")
            .bind(controller.id.as_str())
            .bind(&access.organisation_id)
            .execute(&mut *connection)
            .await?;
        drop(connection);

        let platform = connect(access, directory.path(), workers + 2, 500)?;
        platform.probe().await?;
        let mails = MemoryTransport::new();
        let controllers = BTreeMap::from([(controller.id.clone(), Arc::clone(&controller))]);
        let mail: delivery::Settings = defaults(
            "delivery",
            &[
                ("from_address", "privacy@prova.example".into()),
                ("link_base_url", "https://privacy.prova.example".into()),
                ("smtp.host", "localhost".into()),
            ],
        )?;
        let mailer = delivery::Mailer::new(
            mail,
            store.clone(),
            keys,
            controllers,
            Arc::clone(&clock),
            Transport::Memory(mails.clone()),
        )?;
        let packages = directory.path().join("packages");
        report::prepare_directory(&packages)?;
        let report = defaults("report", &[("directory", packages.display().to_string().into())])?;
        let site = Site {
            controller: Arc::clone(&controller),
            platform,
            catalogue: None,
            redaction: report::RedactionRules::strict(),
            recipients: Arc::default(),
            retention: None,
            activity: None,
            gate: Gate::opened(),
        };
        let executor = Arc::new(Executor {
            store: store.clone(),
            desk: desk.clone(),
            sites: BTreeMap::from([(controller.id.clone(), site)]),
            mailer: Arc::new(mailer),
            settings: defaults::<queue::Settings>("queue", &[("request_workers", workers.into())])?,
            packages: PackageRules { report, keep_days: 14 },
            ledger: Arc::new(dsrd::suppression::ledger::Ledger::new(directory.path().join("ledger"))),
            watch: defaults("suppression", &[])?,
            checks_clock: true,
            kill: KillSwitch::default(),
        });
        Ok(Self { store, pulse, executor, controller, desk, mails, directory })
    }

    /// Hands in a request of a person by e-mail address.
    pub(crate) async fn submit(&self, kind: RequestKind, person: &Person) -> Result<RequestId> {
        let identifier = SubjectIdentifier::parse(IdentifierKind::Email, &person.email, Some("IT"))
            .map_err(|_| anyhow::anyhow!("an address that is not accepted"))?;
        let submission = Submission {
            kind,
            also: Vec::new(),
            kind_unknown: false,
            requester_role: RequesterRole::Own,
            origin: Origin::Subject,
            channel: Channel::Web,
            received_at: crate::now() - TimeDelta::hours(1),
            language: None,
            identifiers: vec![identifier],
            policies: Vec::new(),
            ground: None,
            proof: Some(Proof { assurance: Assurance::AuthenticatedSession, at: crate::now() }),
            producer: "bench".to_owned(),
            idempotency_key: uuid::Uuid::new_v4().to_string(),
            handed_in_by: None,
            sweep_target: None,
            follows: None,
        };
        let receipt = intake::submit_request(&self.store, &self.desk, &self.controller, submission).await?;
        Ok(receipt.request)
    }

    /// Hands in one request for each person, several at a time.
    pub(crate) async fn submit_all(&self, kind: RequestKind, people: &[Person]) -> Result<()> {
        stream::iter(people)
            .map(|person| self.submit(kind, person))
            .buffer_unordered(8)
            .try_for_each(|_| async { Ok(()) })
            .await
    }

    /// Sends the acknowledgements, as the daemon does within moments of a submission: an answer that has to drop one does
    /// work that hardly ever arises.
    pub(crate) async fn acknowledge_all(&self) -> Result<()> {
        while self.executor.mailer.pump_once().await? > 0 {}
        Ok(())
    }

    /// Starts a worker, woken by LISTEN/NOTIFY, as the daemon does.
    pub(crate) async fn run(&self) -> Result<Running> {
        let worker = Worker::start(Arc::clone(&self.executor), self.pulse.clone()).await?;
        let wake = Arc::new(Wake::default());
        let stop = CancellationToken::new();
        let (heard, pulse) = (Arc::clone(&wake), self.pulse.clone());
        let listener = tokio::spawn(async move { heard.listen(&pulse, WakeSource::Jobs).await });
        let until = stop.clone();
        let worker = tokio::spawn(async move { worker.run(&wake, &until).await });
        Ok(Running { stop, worker, listener })
    }

    /// Waits until so many requests were closed after `before`.
    pub(crate) async fn wait_closed(&self, before: u64, number: usize) -> Result<std::time::Instant> {
        let goal = before + number as u64;
        let Ok(at) = tokio::time::timeout(Duration::from_mins(10), watch::wait_closed(goal)).await else {
            bail!("only {} of {number} requests were closed in ten minutes", watch::closed() - before);
        };
        Ok(at)
    }

    /// Mails handed to the transport.
    pub(crate) fn mails(&self) -> usize {
        self.mails.tried()
    }

    pub(crate) async fn end(self) -> Result<()> {
        self.store.close().await;
        self.pulse.close().await;
        self.directory.close()?;
        Ok(())
    }
}
