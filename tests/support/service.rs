//! The service in one process: real PostgreSQL, the simulator, mails in memory, a clock that is moved by hand.
//!
//! A test builds a [`TestService`], submits requests, lets them be worked on, and ends with [`TestService::finish`],
//! which asks the [`oracle`](super::oracle) whether every promise was kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use dsrd::audit::{self, LogKeys, SealError, Sealer};
use dsrd::delivery::{self, MemoryTransport, Transport};
use dsrd::domain::{
    ActivityRule, Assurance, Channel, Clock, ContactId, Controller, ErasureRules, FloodLimits,
    IdentifierKind, IdentityRules, ManualClock, MasterKey, OrganisationId, Origin, Proof, RequestId,
    RequestKind, RequesterRole, SubjectIdentifier,
};
use dsrd::execution::{Ended, Executor, Gate, KillSwitch, PackageRules, Site, Worker};
use dsrd::intake::{self, Case, Desk, Receipt, Submission};
use dsrd::platform::ContactPlatform;
use dsrd::platform::cloud4wi::{self, Cloud4Wi, LocalBudget};
use dsrd::recipients::Recipient;
use dsrd::store::{self, Store};
use dsrd::suppression::ledger::Ledger;
use dsrd::suppression::watch;
use dsrd::{queue, report};
use dsrd_simulator::{OrganisationHandle, OrganisationSettings, Simulator, TokenClaims};
use serde::de::DeserializeOwned;
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::database::TestDatabase;
use super::oracle;

/// How fast the client may call the simulator: fast enough not to be felt, and still a limit that the oracle checks.
pub(crate) const CALLS_PER_SECOND: u32 = 5_000;
/// How many calls may be made at once after a rest.
pub(crate) const BURST: u32 = 1_000;

/// The name of the one organisation that most tests have.
pub(crate) const ORGANISATION: &str = "main";

/// Builds a [`TestService`].
pub(crate) struct Builder {
    most_attempts: u32,
    retry_cap_secs: u64,
    second_look_secs: u64,
    largest_package_bytes: u64,
    second_organisation: bool,
    starts_at: DateTime<Utc>,
    recipients: Vec<Recipient>,
    catalogue: Option<report::Catalogue>,
    redaction: report::RedactionRules,
    identity: IdentityRules,
    erasure: ErasureRules,
    flood: FloodLimits,
    activity: Option<ActivityRule>,
    breaker_pause: Option<Duration>,
}

/// The service under test, with everything around it.
pub(crate) struct TestService {
    pub(crate) database: TestDatabase,
    pub(crate) simulator: Simulator,
    pub(crate) platform: OrganisationHandle,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) mails: MemoryTransport,
    pub(crate) store: Store,
    pub(crate) desk: Desk,
    pub(crate) controller: Arc<Controller>,
    pub(crate) executor: Arc<Executor>,
    pub(crate) sealer: Arc<Sealer>,
    /// The seeds with which the log is signed.
    pub(crate) log_keys: Zeroizing<String>,
    pub(crate) directory: TempDir,
    /// How much had been logged when it was built.
    pub(crate) logged_before: usize,
    settings: queue::Settings,
}

/// The instant at which the manual clock starts.
pub(crate) fn start_of_test() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 23, 12, 0, 0).single().expect("a valid instant")
}

impl Builder {
    /// Parks after so many attempts.
    pub(crate) fn most_attempts(mut self, attempts: u32) -> Self {
        self.most_attempts = attempts;
        self
    }

    /// Waits at most so long between two attempts.
    pub(crate) fn retry_cap_secs(mut self, secs: u64) -> Self {
        self.retry_cap_secs = secs;
        self
    }

    /// Lets so much time pass between the two looks at a deletion. Without it the second one, as always by a lease of its
    /// own, is due at once, so that tests of other things need not move the clock.
    pub(crate) fn second_look_secs(mut self, secs: u64) -> Self {
        self.second_look_secs = secs;
        self
    }

    /// Refuses larger packages.
    pub(crate) fn largest_package_bytes(mut self, bytes: u64) -> Self {
        self.largest_package_bytes = bytes;
        self
    }

    /// To whom every organisation gives data.
    pub(crate) fn recipients(mut self, recipients: Vec<Recipient>) -> Self {
        self.recipients = recipients;
        self
    }

    /// What access reports say beside the data.
    pub(crate) fn catalogue(mut self, catalogue: report::Catalogue) -> Self {
        self.catalogue = Some(catalogue);
        self
    }

    /// What is withheld as data of others.
    pub(crate) fn redaction(mut self, rules: report::RedactionRules) -> Self {
        self.redaction = rules;
        self
    }

    /// A second organisation, named `other`, with contacts of its own.
    pub(crate) fn second_organisation(mut self) -> Self {
        self.second_organisation = true;
        self
    }

    /// The manual clock starts at another instant.
    pub(crate) fn starting_at(mut self, instant: DateTime<Utc>) -> Self {
        self.starts_at = instant;
        self
    }

    /// What each right needs to know of who asks.
    pub(crate) fn identity(mut self, rules: IdentityRules) -> Self {
        self.identity = rules;
        self
    }

    /// On which grounds it erases, and on which legal bases it holds what.
    pub(crate) fn erasure(mut self, rules: ErasureRules) -> Self {
        self.erasure = rules;
        self
    }

    /// How much may begin at once; everything without it.
    pub(crate) fn flood(mut self, limits: FloodLimits) -> Self {
        self.flood = limits;
        self
    }

    /// The retention rule counts from the last activity.
    pub(crate) fn activity(mut self, rule: ActivityRule) -> Self {
        self.activity = Some(rule);
        self
    }

    /// After five failed calls in a row the client makes none for so long, by the clock on the wall; without it it never
    /// stops, so that tests of one call need not wait.
    pub(crate) fn breaker_pause(mut self, pause: Duration) -> Self {
        self.breaker_pause = Some(pause);
        self
    }

    pub(crate) async fn build(self) -> TestService {
        super::logs::record();
        let logged_before = super::logs::length();
        let database = TestDatabase::create().await;
        super::witness::install(&database.options()).await;
        let directory = tempfile::tempdir().expect("a directory for secrets and packages");
        let mut simulator_settings = dsrd_simulator::Settings::with_contacts(50);
        simulator_settings.token_claims = TokenClaims::WithoutExpiry;
        if self.second_organisation {
            simulator_settings = simulator_settings.organisation(OrganisationSettings::new("other", 50));
        }
        let simulator = Simulator::start(simulator_settings).await.expect("a simulator");
        let clock = Arc::new(ManualClock::at(self.starts_at));
        let keys = Arc::new(MasterKey::generate());
        let desk = Desk { keys: Arc::clone(&keys), clock: clock.clone() };
        let store = Store::connect_lazily(database.options(), &database_settings());

        let mut sites = BTreeMap::new();
        let mut controllers = BTreeMap::new();
        for organisation in simulator.organisations() {
            let controller =
                Arc::new(controller(organisation.name(), &self.identity, &self.erasure, self.flood));
            register(&store, &controller, &organisation).await;
            let mut settings = platform_settings(&organisation, &simulator.base_url(), directory.path());
            if let Some(pause) = self.breaker_pause {
                settings.rate.breaker_failures = 5;
                settings.rate.breaker_pause_secs = pause.as_secs_f64();
            }
            let platform = connect(settings, clock.clone());
            controllers.insert(controller.id.clone(), Arc::clone(&controller));
            sites.insert(
                controller.id.clone(),
                Site {
                    controller,
                    platform,
                    catalogue: self.catalogue.clone(),
                    redaction: self.redaction.clone(),
                    recipients: self.recipients.clone().into(),
                    activity: self.activity.clone(),
                    gate: Gate::opened(),
                },
            );
        }
        let mails = MemoryTransport::new();
        let mailer = delivery::Mailer::new(
            mail_settings(),
            store.clone(),
            keys,
            controllers.clone(),
            clock.clone(),
            Transport::Memory(mails.clone()),
        )
        .expect("mail settings that pass their check")
        .with_gateways(gateways(&controllers));
        let settings = self.queue_settings();
        let packages = self.package_rules(directory.path());
        let executor = Arc::new(Executor {
            store: store.clone(),
            desk: desk.clone(),
            sites,
            mailer: Arc::new(mailer),
            settings: settings.clone(),
            packages,
            ledger: Arc::new(Ledger::new(directory.path().join("ledger"))),
            watch: watch::Settings { watch_days: vec![1, 7, 30], watch_searches: true, daily_sample: 20 },
            kill: KillSwitch::default(),
        });
        let log_keys = LogKeys::generate();
        let seeds = log_keys.to_text();
        let sealer = sealer(&database, log_keys, clock.clone()).await.expect("a log without faults");
        let main: OrganisationId = ORGANISATION.parse().expect("a name");
        TestService {
            platform: simulator.organisation(ORGANISATION),
            controller: Arc::clone(&controllers[&main]),
            database,
            simulator,
            clock,
            mails,
            store,
            desk,
            executor,
            sealer: Arc::new(sealer),
            log_keys: seeds,
            directory,
            logged_before,
            settings,
        }
    }

    fn queue_settings(&self) -> queue::Settings {
        queue::Settings {
            request_workers: 4,
            sweep_workers: 2,
            heartbeat_secs: 3,
            lease_secs: 20,
            poll_secs: 1,
            most_attempts: self.most_attempts,
            most_crashes: 3,
            retry_base_secs: 1,
            retry_cap_secs: self.retry_cap_secs,
            access_goes_first_until_days: 5,
            second_look_secs: self.second_look_secs,
        }
    }

    fn package_rules(&self, directory: &Path) -> PackageRules {
        PackageRules {
            report: report::Settings {
                directory: directory.join("packages"),
                largest_records_bytes: 1 << 30,
                largest_package_bytes: self.largest_package_bytes,
                table_rows: 100,
                csv_columns: 200,
            },
            keep_days: 14,
        }
    }
}

fn controller(
    name: &str,
    identity: &IdentityRules,
    erasure: &ErasureRules,
    flood: FloodLimits,
) -> Controller {
    Controller {
        id: name.parse().expect("simulated organisations have plain names"),
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
        identity: identity.clone(),
        erasure: erasure.clone(),
        flood,
    }
}

fn database_settings() -> store::Settings {
    store::Settings {
        url_file: None,
        url: None,
        max_connections: 8,
        statement_timeout_secs: 30,
        acquire_timeout_secs: 30,
        migrate_at_start: false,
        embedded_binaries_dir: None,
    }
}

/// A sealer of the log of a database.
pub(crate) async fn sealer(
    database: &TestDatabase,
    keys: LogKeys,
    clock: Arc<dyn Clock>,
) -> Result<Sealer, SealError> {
    sealer_at(database.options(), keys, clock).await
}

/// A sealer that reaches the database in its own way.
pub(crate) async fn sealer_at(
    options: PgConnectOptions,
    keys: LogKeys,
    clock: Arc<dyn Clock>,
) -> Result<Sealer, SealError> {
    let settings = audit::Settings {
        key_file: PathBuf::new(),
        origin: String::new(),
        seal_secs: 0.2,
        checkpoint_secs: 10,
        heartbeat_secs: 600,
        merge_delay_secs: 5,
        account_secs: 60,
    };
    Sealer::open(Store::connect_as_sealer(options, &database_settings()), keys, clock, settings).await
}

/// Settings of mail: written into files, from a data protection office.
pub(crate) fn mail_settings() -> delivery::Settings {
    from_toml(
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
    )
}

/// What signs the calls to gateways of text messages.
pub(crate) const GATEWAY_SECRET: &str = "fedcba9876543210fedcba9876543210";

/// The gateways of the organisations that have one.
fn gateways(controllers: &BTreeMap<OrganisationId, Arc<Controller>>) -> delivery::TextGateways {
    let with_texts = controllers.values().filter_map(|controller| {
        let settings = controller.identity.text_messages.clone()?;
        let secret = Zeroizing::new(GATEWAY_SECRET.to_owned());
        Some((controller.id.clone(), delivery::TextGateway::new(settings, secret)))
    });
    with_texts.collect()
}

/// Reads settings as the daemon does, from TOML.
pub(crate) fn from_toml<T: DeserializeOwned>(text: &str) -> T {
    config::Config::builder()
        .add_source(config::File::from_str(text, config::FileFormat::Toml))
        .build()
        .and_then(config::Config::try_deserialize)
        .expect("settings that can be read")
}

async fn register(store: &Store, controller: &Controller, organisation: &OrganisationHandle) {
    let mut connection = store.connection().await.expect("a connection");
    sqlx::query("INSERT INTO dsrd.organisation VALUES ($1, $2, now())")
        .bind(controller.id.as_str())
        .bind(organisation.org_id())
        .execute(&mut *connection)
        .await
        .expect("an organisation");
}

/// The real client.
fn connect(settings: cloud4wi::Settings, clock: Arc<dyn Clock>) -> Arc<dyn ContactPlatform> {
    let budget = Arc::new(LocalBudget::new(&settings.rate));
    Arc::new(Cloud4Wi::new(settings, Some("IT".to_owned()), budget, clock).expect("a client"))
}

/// Fast and impatient.
fn platform_settings(
    organisation: &OrganisationHandle,
    base_url: &str,
    directory: &Path,
) -> cloud4wi::Settings {
    let key = secret_file(directory, &format!("{}.key", organisation.name()), organisation.client_key());
    let secret =
        secret_file(directory, &format!("{}.secret", organisation.name()), organisation.client_secret());
    let mut settings: cloud4wi::Settings = from_toml(&format!(
        r#"
        base_url = "{base_url}"
        organisation_id = "{}"
        client_key_file = "{}"
        client_secret_file = "{}"
        {}
        "#,
        organisation.org_id(),
        key.display(),
        secret.display(),
        include_str!("../platform/defaults.toml").replace("base_url = \"https://explore.cloud4wi.com\"", ""),
    ));
    settings.rate.requests_per_second = f64::from(CALLS_PER_SECOND);
    settings.rate.burst = BURST;
    settings.rate.in_flight = 16;
    settings.rate.patience_secs = 0;
    settings.rate.attempts = 2;
    settings.rate.retry_pause_secs = 0.001;
    settings.rate.breaker_failures = 1_000_000;
    settings.limits.idle_timeout_secs = 2.0;
    settings.limits.total_timeout_secs = 10.0;
    settings
}

fn secret_file(directory: &Path, name: &str, content: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = directory.join(name);
    std::fs::write(&path, content).expect("a secret file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its rights");
    path
}

impl TestService {
    /// Fifty generated contacts and boring settings.
    pub(crate) fn builder() -> Builder {
        Builder {
            most_attempts: 5,
            retry_cap_secs: 60,
            second_look_secs: 0,
            largest_package_bytes: 1 << 30,
            second_organisation: false,
            starts_at: start_of_test(),
            recipients: Vec::new(),
            catalogue: None,
            redaction: report::RedactionRules::strict(),
            identity: IdentityRules::default(),
            erasure: ErasureRules::default(),
            flood: FloodLimits::NONE,
            activity: None,
            breaker_pause: None,
        }
    }

    /// A service with boring settings.
    pub(crate) async fn start() -> Self {
        Self::builder().build().await
    }

    /// A submission by a person, received an hour ago.
    pub(crate) fn submission(&self, kind: RequestKind, identifiers: &[(IdentifierKind, &str)]) -> Submission {
        Submission {
            kind,
            also: Vec::new(),
            kind_unknown: false,
            requester_role: RequesterRole::Own,
            origin: Origin::Subject,
            channel: Channel::Web,
            received_at: self.clock.now() - TimeDelta::hours(1),
            language: None,
            identifiers: identifiers
                .iter()
                .map(|(kind, text)| {
                    SubjectIdentifier::parse(*kind, text, Some("IT")).expect("a valid identifier")
                })
                .collect(),
            policies: Vec::new(),
            ground: None,
            // As a portal hands in what a person asks who is signed in; tests of who asks say otherwise.
            proof: Some(Proof { assurance: Assurance::AuthenticatedSession, at: self.clock.now() }),
            producer: "tests".to_owned(),
            idempotency_key: uuid::Uuid::new_v4().to_string(),
            handed_in_by: None,
            sweep_target: None,
        }
    }

    /// Hands in a request.
    pub(crate) async fn submit(&self, kind: RequestKind, identifiers: &[(IdentifierKind, &str)]) -> Receipt {
        let submission = self.submission(kind, identifiers);
        intake::submit_request(&self.store, &self.desk, &self.controller, submission)
            .await
            .expect("a receipt")
    }

    /// Hands in the erasure of a sweep.
    pub(crate) async fn submit_sweep(&self, contact: &str, created_before: DateTime<Utc>) -> Receipt {
        let contact: ContactId = contact.parse().expect("a contact id");
        let submission = Submission {
            origin: Origin::Retention,
            channel: Channel::Retention,
            producer: "retention".to_owned(),
            proof: None,
            handed_in_by: None,
            sweep_target: Some((contact, created_before)),
            ..self.submission(RequestKind::Erasure, &[])
        };
        intake::submit_request(&self.store, &self.desk, &self.controller, submission)
            .await
            .expect("a receipt")
    }

    /// A worker process.
    pub(crate) async fn worker(&self) -> Worker {
        self.worker_with(KillSwitch::default(), true).await
    }

    /// A worker process; with a kill switch of its own unless `inherit` says to take the service's.
    pub(crate) async fn worker_with(&self, kill: KillSwitch, inherit: bool) -> Worker {
        let executor = if inherit { Arc::clone(&self.executor) } else { Arc::new(self.executor_with(kill)) };
        Worker::start(executor, self.store.clone()).await.expect("a worker")
    }

    /// The same executor with another kill switch.
    pub(crate) fn executor_with(&self, kill: KillSwitch) -> Executor {
        Executor {
            store: self.store.clone(),
            desk: self.desk.clone(),
            sites: self.executor.sites.clone(),
            mailer: Arc::new(self.executor.mailer.with_kill(kill.clone())),
            settings: self.settings.clone(),
            packages: self.executor.packages.clone(),
            ledger: Arc::clone(&self.executor.ledger),
            watch: self.executor.watch.clone(),
            kill,
        }
    }

    /// Works until nothing is ready, and sends the notices of the pump.
    pub(crate) async fn work(&self) -> Vec<Ended> {
        self.pump().await;
        let worker = self.worker().await;
        worker.work_until_idle().await.expect("work")
    }

    /// Sends what the pump has to send.
    pub(crate) async fn pump(&self) {
        while self.executor.mailer.pump_once().await.expect("the pump works") > 0 {}
        let controllers = BTreeMap::from([(self.controller.id.clone(), Arc::clone(&self.controller))]);
        intake::settle_extensions(&self.store, &self.desk, &controllers).await.expect("extensions");
    }

    /// Lets time pass for everything that waits in the queue and the outbox (their times are the database's), and for
    /// the clock.
    pub(crate) async fn advance(&self, by: Duration) {
        let delta = TimeDelta::from_std(by).expect("a difference in range");
        self.clock.advance(delta);
        let interval = sqlx::postgres::types::PgInterval {
            months: 0,
            days: 0,
            microseconds: delta.num_microseconds().expect("in range"),
        };
        let mut connection = self.store.connection().await.expect("a connection");
        for statement in [
            "UPDATE dsrd.job SET run_at = run_at - $1",
            "UPDATE dsrd.notice SET run_at = run_at - $1 WHERE state = 'pending'",
        ] {
            sqlx::query(statement).bind(interval).execute(&mut *connection).await.expect("time passes");
        }
    }

    /// Works, lets time pass, and works again, until every request is closed or waits for a person.
    pub(crate) async fn work_to_the_end(&self) {
        for _ in 0..60 {
            self.work().await;
            let mut connection = self.store.connection().await.expect("a connection");
            let depth = queue::depth(&mut connection).await.expect("a depth");
            drop(connection);
            if depth.ready + depth.scheduled + depth.leased == 0 {
                return;
            }
            self.advance(Duration::from_hours(1)).await;
        }
        let mut connection = self.store.connection().await.expect("a connection");
        let waiting: Vec<String> = sqlx::query_scalar(
            "SELECT concat_ws(' ', request.kind, request.state, request.park_reason, job.state, job.run_at - now())
             FROM dsrd.job JOIN dsrd.request USING (organisation_id, request_id)",
        )
        .fetch_all(&mut *connection)
        .await
        .expect("what waits");
        panic!("the queue does not come to rest: {waiting:#?}");
    }

    pub(crate) async fn depth(&self) -> queue::Depth {
        queue::depth(&mut self.store.connection().await.expect("a connection")).await.expect("a depth")
    }

    /// Declares every worker dead, as their missing heartbeats would, and puts their jobs back.
    pub(crate) async fn bury_workers(&self) {
        let mut connection = self.store.connection().await.expect("a connection");
        sqlx::query("UPDATE dsrd.instance SET dead_at = now() WHERE dead_at IS NULL")
            .execute(&mut *connection)
            .await
            .expect("instances");
        queue::rescue(&mut connection, Duration::from_secs(20), Duration::ZERO).await.expect("a rescue");
    }

    /// The case as stored.
    pub(crate) async fn case(&self, request: RequestId) -> Case {
        let mut connection = self.store.connection().await.expect("a connection");
        intake::find_case(&mut connection, &self.controller.id, request)
            .await
            .expect("a case")
            .expect("it exists")
    }

    /// Seals the audit entries that are still in the inbox and returns all, oldest first.
    pub(crate) async fn audit(&self) -> Vec<dsrd::audit::Entry> {
        self.sealer.seal_everything().await.expect("sealing");
        let mut connection = self.store.connection().await.expect("a connection");
        let mut entries: Vec<dsrd::audit::Entry> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |last| last.seq);
            let filter = dsrd::audit::Filter::default();
            let page = dsrd::audit::list(&mut connection, &filter, after, 10_000).await.expect("the log");
            if page.is_empty() {
                return entries;
            }
            entries.extend(page);
        }
    }

    /// The actions in the log of one request, in their order, with their endings.
    pub(crate) async fn story(&self, request: RequestId) -> Vec<String> {
        let entries = self.audit().await;
        let of_request = entries.iter().filter(|entry| entry.case == Some(request.0));
        of_request
            .map(|entry| match &entry.outcome {
                Some(outcome) => format!("{}={outcome}", entry.action),
                None => entry.action.clone(),
            })
            .collect()
    }

    /// Ends the test: the oracle checks every promise.
    pub(crate) async fn finish(self) {
        oracle::check(&self).await;
        self.simulator.shutdown().await;
        self.store.close().await;
    }
}
