//! A log of a real run, and copies of its database to be tampered with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dsrd::audit::manifest::{Page, PageItem, append_page};
use dsrd::audit::tlog::VerifierKey;
use dsrd::audit::verify::{self, Database, Plan, Policy, Report};
use dsrd::audit::{self, Action, Actor, Detail, Event, LogKeys};
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Clock as _, RequestId, RequestKind, SystemClock};
use dsrd_simulator::ContactSpec;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use crate::support::service::{ORGANISATION, TestService};
use crate::support::settings::sealer_at;

/// How many entries there are at least: a full tile, and a partial one on each of two levels.
pub(crate) const ENTRIES: u64 = 300;

/// A service that answered an access request, an opt-out and an erasure, whose log is sealed and has a kept head.
pub(crate) struct Log {
    pub(crate) service: TestService,
    pub(crate) key: VerifierKey,
    /// The newest head, kept elsewhere.
    pub(crate) head: String,
    /// One case of the log.
    pub(crate) case: RequestId,
}

impl Log {
    pub(crate) async fn of_a_real_run() -> Self {
        Self::of(TestService::start().await).await
    }

    /// The same with partitions of 256 entries. What is set when a log is made is set here as its maker does it: before
    /// the first entry.
    pub(crate) async fn narrow() -> Self {
        let mut service = TestService::start().await;
        service.sealer.close().await;
        let statements = "ALTER TABLE audit.layout DISABLE TRIGGER layout_row_stays;
             UPDATE audit.layout SET partition_width = 256;
             ALTER TABLE audit.layout ENABLE ALWAYS TRIGGER layout_row_stays;
             DROP TABLE audit.entry_000000, audit.entry_000001;
             SELECT audit.make_partition_ahead()";
        execute(&service.database.options(), statements).await.unwrap();
        let keys = LogKeys::from_text(&service.log_keys).unwrap();
        let opened = sealer_at(service.database.options(), keys, service.clock.clone()).await.unwrap();
        service.sealer = Arc::new(opened);
        Self::of(service).await
    }

    async fn of(service: TestService) -> Self {
        let mut case = None;
        for (kind, email) in [
            (RequestKind::Access, "ada@people.example"),
            (RequestKind::OptOut, "bea@people.example"),
            (RequestKind::Erasure, "cleo@people.example"),
        ] {
            let _contact = service
                .platform
                .add_contact(ContactSpec::new().name("Prova", "Persona").email(email).events(2));
            case = Some(service.submit(kind, &[(Email, email)]).await.request);
            service.work_to_the_end().await;
        }
        service.sealer.seal_everything().await.unwrap();
        service.sealer.keep_checkpoint().await.unwrap();
        fill(&service, ENTRIES).await;
        let head = service.sealer.keep_checkpoint().await.unwrap().unwrap();
        let key = service.sealer.verifier_keys().await[0].parse().unwrap();
        // A trigger that was not shipped is a finding, and the tests' own witness of commits is one.
        let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
        sqlx::raw_sql("DROP TRIGGER witnessed ON audit.inbox").execute(&mut owner).await.unwrap();
        owner.close().await.unwrap();
        Self { service, key, head, case: case.unwrap() }
    }

    /// Lets a sweep submit one erasure; the number and id of its entry. Sealed, under a head that the log keeps.
    pub(crate) async fn page_of_a_sweep(&self) -> (u64, Uuid) {
        let service = &self.service;
        let contact = "986a372347aac5e4a94516db835d58aa".parse().unwrap();
        let page = Page {
            organisation: &service.controller.id,
            sweep: Uuid::now_v7(),
            actor: Actor::Process("test"),
            at: service.clock.now(),
            items: &[PageItem { request: RequestId(Uuid::now_v7()), contact }],
        };
        let mut tx = service.store.begin("test").await.unwrap();
        let id = append_page(&mut tx, page).await.unwrap().0;
        tx.commit().await.unwrap();
        service.sealer.seal_everything().await.unwrap();
        service.sealer.keep_checkpoint().await.unwrap();
        let mut owner = PgConnection::connect_with(&self.options()).await.unwrap();
        let seq: i64 = sqlx::query_scalar("SELECT seq FROM audit.entry WHERE uid = $1")
            .bind(id)
            .fetch_one(&mut owner)
            .await
            .unwrap();
        owner.close().await.unwrap();
        (u64::try_from(seq).unwrap(), id)
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.service.database.options()
    }

    pub(crate) fn plan(&self) -> Plan {
        Plan { now: self.service.clock.now(), ..plan(&self.key, &[]) }
    }

    /// Ends the service and leaves its database to be copied.
    pub(crate) async fn rest(&self) {
        self.service.store.close().await;
        self.service.sealer.close().await;
    }

    /// Copies the database, which nobody may use meanwhile.
    pub(crate) async fn copy(&self) -> Copy {
        static COPIES: AtomicU64 = AtomicU64::new(0);
        let name = format!("copy_{}", COPIES.fetch_add(1, Ordering::Relaxed));
        let source = self.options().get_database().unwrap().to_owned();
        let postgres = self.options().database("postgres");
        execute(&postgres, &format!("CREATE DATABASE {name} TEMPLATE {source}")).await.unwrap();
        Copy { options: self.options().database(&name), postgres, name }
    }
}

/// A copy of a database.
pub(crate) struct Copy {
    pub(crate) options: PgConnectOptions,
    postgres: PgConnectOptions,
    name: String,
}

impl Copy {
    /// Runs statements as the superuser who owns everything.
    pub(crate) async fn tamper(&self, statements: &str) -> Result<(), sqlx::Error> {
        execute(&self.options, statements).await
    }

    pub(crate) async fn drop(self) {
        execute(&self.postgres, &format!("DROP DATABASE {} WITH (FORCE)", self.name)).await.unwrap();
    }
}

/// Appends entries until there are so many, and seals them.
pub(crate) async fn fill(service: &TestService, entries: u64) {
    let organisation = ORGANISATION.parse().unwrap();
    let mut sealed = audit::sealed_up_to(&mut service.store.connection().await.unwrap()).await.unwrap();
    while sealed < entries {
        let mut tx = service.store.begin("test").await.unwrap();
        let event = Event::general(
            &organisation,
            Action::RequestRead,
            Actor::Process("test"),
            service.desk.clock.now(),
        );
        audit::append(&mut tx, event.with(Detail::none().count("number", sealed))).await.unwrap();
        tx.commit().await.unwrap();
        sealed += 1;
    }
    service.sealer.seal_everything().await.unwrap();
}

pub(crate) fn plan(key: &VerifierKey, known_heads: &[(&str, &str)]) -> Plan {
    Plan {
        policy: Policy::of_logs(vec![key.clone()]),
        known_heads: known_heads
            .iter()
            .map(|(name, note)| ((*name).to_owned(), note.as_bytes().to_vec()))
            .collect(),
        since: 0,
        now: SystemClock.now(),
    }
}

pub(crate) async fn verified(options: &PgConnectOptions, plan: &Plan) -> Report {
    let mut database = Database::open(options, "a copy".to_owned()).await.unwrap();
    let report = verify::verify(&mut database, plan).await.unwrap();
    database.close().await;
    report
}

pub(crate) async fn execute(options: &PgConnectOptions, statements: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let done = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await;
    connection.close().await?;
    done.map(drop)
}
