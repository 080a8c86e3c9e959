//! A database with one organisation, and requests in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use dsrd::delivery::{
    self, Delivery, Facts, FileSettings, Kept, Mailer, MemoryTransport, NewNotice, NoticeKind, Refusal,
    Security, Sender, Settings, SmtpSettings, Transport, TransportKind,
};
use dsrd::domain::{
    AnsweredOutcome, Controller, IdentifierKind, ManualClock, MasterKey, OrganisationId, Personal, Reference,
    RefusalGround, RequestId, RequestKind, SubjectIdentifier, random,
};
use dsrd::intake::{IdentifierRole, add_identifiers};
use dsrd::store::Store;
use uuid::Uuid;

use crate::database::TestDatabase;

pub(crate) const ADA: &str = "ada@people.example";

pub(crate) struct World {
    /// Dropped last, with the database.
    _database: TestDatabase,
    pub(crate) store: Store,
    pub(crate) keys: Arc<MasterKey>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) controller: Controller,
    pub(crate) settings: Settings,
}

pub(crate) fn settings() -> Settings {
    Settings {
        transport: TransportKind::Smtp,
        from_address: "privacy@venue.example".to_owned(),
        from_name: None,
        reply_to_address: None,
        link_base_url: "https://privacy.venue.example".to_owned(),
        package_dir: None,
        package_expiry_days: 14,
        download_retry_secs: 900,
        send_timeout_secs: 20,
        retry_first_secs: 60,
        retry_max_secs: 1800,
        give_up_after_days: 5,
        smtp: SmtpSettings {
            host: "127.0.0.1".to_owned(),
            port: 25,
            security: Security::None,
            plain_text_allowed: false,
            username: None,
            password_file: None,
            ca_file: None,
            hello_name: Some("daemon.venue.example".to_owned()),
            max_connections: 4,
        },
        file: FileSettings { dir: None },
    }
}

pub(crate) fn store_of(database: &TestDatabase) -> Store {
    let settings = dsrd::store::Settings {
        url_file: None,
        url: None,
        max_connections: 8,
        statement_timeout_secs: 30,
        acquire_timeout_secs: 10,
        migrate_at_start: false,
        embedded_binaries_dir: None,
    };
    Store::connect_lazily(database.options(), &settings)
}

impl World {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::create().await;
        let store = store_of(&database);
        let now: DateTime<Utc> = "2026-11-23T09:00:00Z".parse().unwrap();
        let controller = Controller {
            id: "venue".parse().unwrap(),
            name: "Harbour Café Group".to_owned(),
            contact: "dpo@venue.example".to_owned(),
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
        };
        sqlx::query("INSERT INTO dsrd.organisation VALUES ('venue', 'platform-1', $1)")
            .bind(now)
            .execute(&mut *store.connection().await.unwrap())
            .await
            .unwrap();
        Self {
            _database: database,
            store,
            keys: Arc::new(MasterKey::generate()),
            clock: Arc::new(ManualClock::at(now)),
            controller,
            settings: settings(),
        }
    }

    pub(crate) fn organisation(&self) -> &OrganisationId {
        &self.controller.id
    }

    pub(crate) fn controllers(&self) -> BTreeMap<OrganisationId, Arc<Controller>> {
        BTreeMap::from([(self.controller.id.clone(), Arc::new(self.controller.clone()))])
    }

    pub(crate) fn mailer(&self, transport: Transport) -> Mailer {
        Mailer::new(
            self.settings.clone(),
            self.store.clone(),
            Arc::clone(&self.keys),
            self.controllers(),
            Arc::clone(&self.clock) as _,
            transport,
        )
        .unwrap()
    }

    pub(crate) fn memory_mailer(&self) -> (Mailer, MemoryTransport) {
        let memory = MemoryTransport::new();
        (self.mailer(Transport::Memory(memory.clone())), memory)
    }

    /// A request with one identifier, number 0.
    pub(crate) async fn request_of(&self, kind: IdentifierKind, text: &str) -> RequestId {
        let request = RequestId(Uuid::now_v7());
        let mut tx = self.store.begin("test").await.unwrap();
        sqlx::query(
            "INSERT INTO dsrd.request (organisation_id, request_id, reference, kind, origin, channel, language,
               policies, producer, idempotency_key, received_at, inserted_at, due_on, state)
             VALUES ('venue', $1, $2, 'access', 'subject', 'web', 'en', '{}', 'test', $1::text, now(), now(),
               '2026-12-23', 'received')",
        )
        .bind(request.0)
        .bind(Reference::of(request).as_str())
        .execute(&mut *tx)
        .await
        .unwrap();
        let identifier = SubjectIdentifier::parse(kind, text, Some("IT")).unwrap();
        let organisation = self.organisation();
        let added = add_identifiers(
            &mut tx,
            &self.keys,
            organisation,
            request,
            0,
            vec![(IdentifierRole::ContactPoint, identifier)],
        )
        .await
        .unwrap();
        let number = added[0].number;
        assert_eq!(number, 0);
        tx.commit().await.unwrap();
        request
    }

    pub(crate) async fn request(&self) -> RequestId {
        self.request_of(IdentifierKind::Email, ADA).await
    }

    pub(crate) async fn enqueue_with(
        &self,
        request: RequestId,
        kind: NoticeKind,
        sender: Sender,
        facts: Facts,
    ) -> Option<delivery::EnqueuedNotice> {
        let link_token = (kind == NoticeKind::AccessReady).then(|| Personal::new(random::token()));
        let notice = NewNotice {
            organisation: self.organisation().clone(),
            request,
            kind,
            sender,
            recipient_no: 0,
            language: "en".to_owned(),
            facts,
            words: matches!(
                kind,
                NoticeKind::Refused
                    | NoticeKind::Answered
                    | NoticeKind::Extension
                    | NoticeKind::ClarificationRequest
            )
            .then(|| Personal::new("Section 147 of the tax code: invoices.\nUntil 2036.".to_owned())),
            link_token,
        };
        let mut tx = self.store.begin("test").await.unwrap();
        let at = dsrd::domain::Clock::now(&*self.clock);
        let enqueued = delivery::enqueue(&mut tx, &self.keys, notice, at).await.unwrap();
        tx.commit().await.unwrap();
        enqueued
    }

    pub(crate) async fn enqueue(
        &self,
        request: RequestId,
        kind: NoticeKind,
    ) -> Option<delivery::EnqueuedNotice> {
        self.enqueue_with(request, kind, Sender::Procedure, facts()).await
    }

    /// A request with an outcome notice, not sent yet.
    pub(crate) async fn pending(&self) -> (RequestId, delivery::EnqueuedNotice) {
        let request = self.request().await;
        let notice = self.enqueue(request, NoticeKind::AccessReady).await.unwrap();
        (request, notice)
    }

    pub(crate) async fn deliver(&self, mailer: &Mailer, request: RequestId) -> Delivery {
        mailer.deliver(self.organisation(), request, NoticeKind::AccessReady).await.unwrap()
    }

    pub(crate) async fn notice(&self, request: RequestId) -> NoticeRow {
        sqlx::query_as(
            "SELECT state, attempts, last_code, intent, template, text_sha256, sealed_link, sent_at
             FROM dsrd.notice WHERE request_id = $1",
        )
        .bind(request.0)
        .fetch_one(&mut *self.store.connection().await.unwrap())
        .await
        .unwrap()
    }

    /// The log of a request as `action` or `action:outcome`, in order.
    pub(crate) async fn log(&self, request: RequestId) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT action || coalesce(':' || outcome, '') FROM audit.pending WHERE case_id = $1 ORDER BY inbox_id",
        )
        .bind(request.0)
        .fetch_all(&mut *self.store.connection().await.unwrap())
        .await
        .unwrap()
    }

    /// Everything that notices and the log say, as text.
    pub(crate) async fn everything_stored(&self) -> String {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT to_jsonb(notice)::text FROM dsrd.notice UNION ALL SELECT to_jsonb(pending)::text FROM audit.pending",
        )
        .fetch_all(&mut *self.store.connection().await.unwrap())
        .await
        .unwrap();
        rows.join("\n")
    }
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct NoticeRow {
    pub(crate) state: String,
    pub(crate) attempts: i32,
    pub(crate) last_code: Option<String>,
    pub(crate) intent: Option<Uuid>,
    pub(crate) template: Option<String>,
    pub(crate) text_sha256: Option<Vec<u8>>,
    pub(crate) sealed_link: Option<Vec<u8>>,
    pub(crate) sent_at: Option<DateTime<Utc>>,
}

/// Facts that every kind can be told with.
pub(crate) fn facts() -> Facts {
    Facts {
        done_on: Some("2026-11-25".parse().unwrap()),
        expires_at: Some("2026-12-09T09:00:00Z".parse().unwrap()),
        policies: vec!["mktgCommunications".to_owned()],
        searched_by: vec![IdentifierKind::Email, IdentifierKind::Phone],
        kept: vec![Kept {
            what: "Invoices".to_owned(),
            why: "tax law requires us to keep them".to_owned(),
            until: Some("2036-12-31".parse().unwrap()),
        }],
        refusal: Some(Refusal {
            ground: RefusalGround::LegalObligation,
            authority: Some("Garante, Piazza Venezia 11, Roma".to_owned()),
            deletion_failed: false,
        }),
        answered: Some(AnsweredOutcome::PartlyFulfilled),
        extension: None,
        ..Facts::of(RequestKind::Access, "2026-11-23".parse().unwrap(), "2026-12-23".parse().unwrap())
    }
}

pub(crate) fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
