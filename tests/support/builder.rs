//! Builds the service under test, as each test wants it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeZone, Utc};
use dsrd::audit::LogKeys;
use dsrd::daemon::SharedBudget;
use dsrd::delivery::{self, MemoryTransport, Transport};
use dsrd::domain::{
    ActivityRule, Clock, Controller, ErasureRules, FloodLimits, IdentityRules, ManualClock, MasterKey,
    OrganisationId, RetentionPeriod, SystemClock,
};
use dsrd::execution::{Executor, Gate, KillSwitch, PackageRules, Site};
use dsrd::intake::Desk;
use dsrd::platform::cloud4wi::{self, Cloud4Wi, LocalBudget};
use dsrd::platform::{CallBudget, ContactPlatform};
use dsrd::recipients::Recipient;
use dsrd::store::Store;
use dsrd::suppression::ledger::Ledger;
use dsrd::suppression::watch;
use dsrd::{queue, report};
use dsrd_simulator::{OrganisationHandle, OrganisationSettings, Simulator, TokenClaims};

use super::database::TestDatabase;
use super::service::{ORGANISATION, TestService};
use super::settings::{
    CALL_LIMIT, CallLimit, controller, database_settings, gateways, mail_settings, platform_settings, sealer,
};
use super::witness::Heads;

/// Builds a [`TestService`].
#[expect(clippy::struct_excessive_bools, reason = "each switches one part of a test's service on or off")]
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
    retention: Option<RetentionPeriod>,
    full_scan: bool,
    breaker_pause: Option<Duration>,
    shares_budget: bool,
    call_limit: CallLimit,
    checks_clock: bool,
}

/// The instant at which the manual clock starts.
pub(crate) fn start_of_test() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 23, 12, 0, 0).single().expect("a valid instant")
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
            retention: Some(RetentionPeriod { keep_months: 1, safety_margin_hours: 0 }),
            full_scan: true,
            breaker_pause: None,
            shares_budget: false,
            call_limit: CALL_LIMIT,
            checks_clock: false,
        }
    }

    /// A service with boring settings.
    pub(crate) async fn start() -> Self {
        Self::builder().build().await
    }
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

    /// How long the retention rule keeps contacts, if there is one; a month without it.
    pub(crate) fn retention(mut self, period: Option<RetentionPeriod>) -> Self {
        self.retention = period;
        self
    }

    /// A search that the platform does not honour reads nobody else, so that it proves nothing.
    pub(crate) fn without_full_scan(mut self) -> Self {
        self.full_scan = false;
        self
    }

    /// After five failed calls in a row the client makes none for so long, by the clock on the wall; without it it never
    /// stops, so that tests of one call need not wait.
    pub(crate) fn breaker_pause(mut self, pause: Duration) -> Self {
        self.breaker_pause = Some(pause);
        self
    }

    /// Calls are drawn from the budget in the database, as daemons do that share a key; without it each process has its own.
    pub(crate) fn sharing_the_budget(mut self) -> Self {
        self.shares_budget = true;
        self
    }

    /// Each key may make so many calls a second, and so many at once after a rest.
    pub(crate) fn call_limit(mut self, per_second: f64, burst: u32) -> Self {
        self.call_limit = CallLimit { per_second, burst };
        self
    }

    /// The clock is compared with the database's, as a daemon does: the manual one stands where that of the machine does.
    pub(crate) fn checking_the_clock(mut self) -> Self {
        self.checks_clock = true;
        self.starting_at(SystemClock.now())
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
        let desk = Desk { keys, clock: clock.clone(), evidence_months: 36 };
        let store = Store::connect_lazily(database.options(), &database_settings());

        let mut sites = BTreeMap::new();
        let mut controllers = BTreeMap::new();
        let mut call_limits = BTreeMap::new();
        for organisation in simulator.organisations() {
            let controller =
                Arc::new(controller(organisation.name(), &self.identity, &self.erasure, self.flood));
            register(&store, &controller, &organisation).await;
            let mut settings = platform_settings(&organisation, &simulator.base_url(), directory.path());
            settings.full_scan = self.full_scan;
            if let Some(pause) = self.breaker_pause {
                settings.rate.breaker_failures = 5;
                settings.rate.breaker_pause_secs = pause.as_secs_f64();
            }
            settings.rate.requests_per_second = self.call_limit.per_second;
            settings.rate.burst = self.call_limit.burst;
            call_limits.insert(organisation.name().to_owned(), self.call_limit);
            let budget: Arc<dyn CallBudget> = if self.shares_budget {
                let mut connection = store.connection().await.expect("a connection");
                queue::ensure_budget(&mut connection, &controller.id).await.expect("a budget");
                Arc::new(SharedBudget::new(store.clone(), controller.id.clone(), &settings.rate))
            } else {
                Arc::new(LocalBudget::new(&settings.rate))
            };
            let platform = connect(settings, budget, clock.clone());
            controllers.insert(controller.id.clone(), Arc::clone(&controller));
            sites.insert(
                controller.id.clone(),
                Site {
                    controller,
                    platform,
                    catalogue: self.catalogue.clone(),
                    redaction: self.redaction.clone(),
                    recipients: self.recipients.clone().into(),
                    retention: self.retention,
                    activity: self.activity.clone(),
                    gate: Gate::opened(),
                },
            );
        }
        let mails = MemoryTransport::new();
        let mailer = self.mailer(&store, &desk, &controllers, &mails);
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
            checks_clock: self.checks_clock,
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
            heads: Heads::default(),
            call_limits,
            directory,
            logged_before,
            settings,
        }
    }

    fn mailer(
        &self,
        store: &Store,
        desk: &Desk,
        controllers: &BTreeMap<OrganisationId, Arc<Controller>>,
        mails: &MemoryTransport,
    ) -> delivery::Mailer {
        let mailer = delivery::Mailer::new(
            mail_settings(),
            store.clone(),
            Arc::clone(&desk.keys),
            controllers.clone(),
            Arc::clone(&desk.clock),
            Transport::Memory(mails.clone()),
        )
        .expect("mail settings that pass their check")
        .with_gateways(gateways(controllers));
        if self.checks_clock { mailer.checking_the_clock() } else { mailer }
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
fn connect(
    settings: cloud4wi::Settings,
    budget: Arc<dyn CallBudget>,
    clock: Arc<dyn Clock>,
) -> Arc<dyn ContactPlatform> {
    Arc::new(Cloud4Wi::new(settings, Some("IT".to_owned()), budget, clock).expect("a client"))
}
