//! Database, clock and organisation of a test, and what can be seen there.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use dsrd::audit::{self, LogKeys, Sealer};
use dsrd::domain::{ActivityKind, Clock, Controller, ManualClock, MasterKey, WithoutActivity};
use dsrd::intake::Desk;
use dsrd::platform::ContactPlatform;
use dsrd::retention::{self, Anchor, Halt, Holds, RecordTerms, Settings, SweepRow, Sweeper, never_halt};
use dsrd::store::Store;
use sqlx::Connection as _;

use crate::database::TestDatabase;

pub(crate) const NOON: &str = "2026-11-23T12:00:00Z";

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn settings() -> Settings {
    Settings {
        enabled: true,
        keep_months: Some(36),
        anchor: Anchor::Created,
        activities: ActivityKind::ALL.to_vec(),
        passive_events: vec!["send_email".to_owned(), "open_email".to_owned()],
        without_activity: WithoutActivity::Review,
        classified_fields: Vec::new(),
        records: RecordTerms { most_looked_at: 200, ..RecordTerms::default() },
        safety_margin_hours: 24,
        schedule: "30 2 * * *".to_owned(),
        schedule_time_zone: "UTC".to_owned(),
        most_percent: Some(50),
        most_contacts: Some(1_000),
        submit_batch: 3,
    }
}

pub(crate) struct Office {
    pub(crate) database: TestDatabase,
    pub(crate) store: Store,
    pub(crate) sealer: Sealer,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) desk: Desk,
    pub(crate) controller: Controller,
}

impl Office {
    pub(crate) async fn open() -> Self {
        Self::open_with("SELECT 1").await
    }

    /// Opens after a statement of the database's owner; functions in `public` come before the built-in ones.
    pub(crate) async fn open_with(statement: &'static str) -> Self {
        let database = TestDatabase::create().await;
        let mut owner = sqlx::PgConnection::connect_with(&database.options()).await.unwrap();
        sqlx::raw_sql(statement).execute(&mut owner).await.unwrap();
        let settings = dsrd::store::Settings {
            url_file: None,
            url: None,
            max_connections: 4,
            statement_timeout_secs: 30,
            acquire_timeout_secs: 30,
            migrate_at_start: false,
            embedded_binaries_dir: None,
        };
        let store = Store::connect_lazily(
            database.options().options([("search_path", "public,pg_catalog")]),
            &settings,
        );
        let clock = Arc::new(ManualClock::at(at(NOON)));
        let log = audit::Settings {
            key_file: std::path::PathBuf::new(),
            origin: String::new(),
            seal_secs: 0.2,
            checkpoint_secs: 10,
            heartbeat_secs: 600,
            merge_delay_secs: 5,
            account_secs: 60,
        };
        let own = Store::connect_as_sealer(database.options(), &settings);
        let sealer = Sealer::open(own, LogKeys::generate(), clock.clone(), log).await.unwrap();
        let desk = Desk { keys: Arc::new(MasterKey::generate()), clock: clock.clone(), evidence_months: 36 };
        let controller = Controller {
            id: "venues".parse().unwrap(),
            name: "Venues Ltd".to_owned(),
            contact: "privacy@venues.example".to_owned(),
            time_zone: chrono_tz::Europe::Rome,
            regime: dsrd::domain::deadline::RegimeCode::EU,
            calendar: None,
            further_calendars: Vec::new(),
            reminder_days: 0,
            frequent_from: 4,
            two_persons: Vec::new(),
            default_country: None,
            language: "en".to_owned(),
            opt_out_policies: Vec::new(),
            identity: dsrd::domain::IdentityRules::default(),
            erasure: dsrd::domain::ErasureRules::default(),
            flood: dsrd::domain::FloodLimits::NONE,
        };
        sqlx::query("INSERT INTO dsrd.organisation VALUES ('venues', 'platform-venues', '2026-01-01Z')")
            .execute(&mut *store.connection().await.unwrap())
            .await
            .unwrap();
        Self { database, store, sealer, clock, desk, controller }
    }

    pub(crate) fn sweeper(
        &self,
        platform: &Arc<impl ContactPlatform + 'static>,
        settings: &Settings,
    ) -> Sweeper {
        self.halting(platform, settings, never_halt())
    }

    pub(crate) fn halting(
        &self,
        platform: &Arc<impl ContactPlatform + 'static>,
        settings: &Settings,
        halt: Arc<Halt>,
    ) -> Sweeper {
        Sweeper {
            store: self.store.clone(),
            platform: platform.clone(),
            desk: self.desk.clone(),
            controller: self.controller.clone(),
            rule: settings.rule().unwrap(),
            halt,
        }
    }

    /// Where previews look for holds.
    pub(crate) fn holds(&self) -> Holds<'_> {
        Holds { store: &self.store, keys: &self.desk.keys }
    }

    pub(crate) fn move_to(&self, now: &str) {
        self.clock.advance(at(now) - self.clock.now());
    }

    pub(crate) async fn count(&self, table: &'static str) -> i64 {
        let statement = match table {
            "jobs" => "SELECT count(*) FROM dsrd.job WHERE lane = 'sweep'",
            "requests" => {
                "SELECT count(*) FROM dsrd.request WHERE kind = 'erasure' AND origin = 'retention' AND channel = 'retention'"
            }
            "contacts with a request" => "SELECT count(DISTINCT contact_id) FROM dsrd.request",
            "candidates" => "SELECT count(*) FROM dsrd.sweep_candidate",
            "findings" => "SELECT count(*) FROM dsrd.sweep_finding",
            "open candidates" => "SELECT count(*) FROM dsrd.sweep_candidate WHERE request_id IS NULL",
            other => panic!("no such count: {other}"),
        };
        sqlx::query_scalar(statement).fetch_one(&mut *self.store.connection().await.unwrap()).await.unwrap()
    }

    /// Sweeps, oldest first.
    pub(crate) async fn sweeps(&self) -> Vec<SweepRow> {
        let mut connection = self.store.connection().await.unwrap();
        let mut rows = retention::list_sweeps(&mut connection, &self.controller.id, 1_000).await.unwrap();
        rows.reverse();
        rows
    }

    pub(crate) async fn states(&self) -> Vec<String> {
        self.sweeps().await.into_iter().map(|row| row.state).collect()
    }

    /// Ids of the contacts for which an erasure was submitted.
    pub(crate) async fn submitted(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT contact_id FROM dsrd.request ORDER BY contact_id")
            .fetch_all(&mut *self.store.connection().await.unwrap())
            .await
            .unwrap()
    }

    /// Actions and reasons of the sweeps in the audit log, without their pages.
    pub(crate) async fn log(&self) -> Vec<(String, String)> {
        let mut connection = self.store.connection().await.unwrap();
        self.sealer.seal_everything().await.unwrap();
        let entries =
            audit::list(&mut connection, &audit::Filter::default(), 0, 10_000).await.unwrap().into_iter();
        entries
            .filter(|entry| entry.action.starts_with("sweep.") && entry.action != "sweep.page")
            .map(|entry| (entry.action, entry.detail["reason"].as_str().unwrap_or_default().to_owned()))
            .collect()
    }
}

pub(crate) fn words(log: &[(&str, &str)]) -> Vec<(String, String)> {
    log.iter().map(|(action, reason)| ((*action).to_owned(), (*reason).to_owned())).collect()
}
