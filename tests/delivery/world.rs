//! A database with one organisation, and requests in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use dsrd::delivery::{
    self, Delivery, Facts, FileSettings, Kept, Mailer, MemoryTransport, NewNotice, NoticeKind, OtherRequest,
    Refusal, Security, Sender, Settings, SmtpSettings, Transport, TransportKind, WhyLonger,
};
use dsrd::domain::{
    Controller, IdentifierKind, ManualClock, MasterKey, OrganisationId, Personal, Reference, RefusalGround,
    RequestId, RequestKind, SubjectIdentifier, random,
};
use dsrd::intake::{Desk, IdentifierRole, add_identifiers};
use dsrd::store::Store;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::database::TestDatabase;

pub(crate) const ADA: &str = "ada@people.example";

pub(crate) struct World {
    /// Dropped last, with the database.
    database: TestDatabase,
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
            identity: dsrd::domain::IdentityRules::default(),
            erasure: dsrd::domain::ErasureRules::default(),
            flood: dsrd::domain::FloodLimits::NONE,
        };
        sqlx::query("INSERT INTO dsrd.organisation VALUES ('venue', 'platform-1', $1)")
            .bind(now)
            .execute(&mut *store.connection().await.unwrap())
            .await
            .unwrap();
        Self {
            database,
            store,
            keys: Arc::new(MasterKey::generate()),
            clock: Arc::new(ManualClock::at(now)),
            controller,
            settings: settings(),
        }
    }

    /// A connection of the owner of the schema, who may do what the service may not.
    pub(crate) async fn owner(&self) -> PgConnection {
        PgConnection::connect_with(&self.database.options()).await.unwrap()
    }

    pub(crate) fn organisation(&self) -> &OrganisationId {
        &self.controller.id
    }

    pub(crate) fn controllers(&self) -> BTreeMap<OrganisationId, Arc<Controller>> {
        BTreeMap::from([(self.controller.id.clone(), Arc::new(self.controller.clone()))])
    }

    pub(crate) fn desk(&self) -> Desk {
        Desk { keys: Arc::clone(&self.keys), clock: Arc::clone(&self.clock) as _, evidence_months: 36 }
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
             VALUES ('venue', $1, $2, 'access', 'subject', 'web', 'en', '{}', 'test', $1::text, $3, $3,
               '2026-12-23', 'received')",
        )
        .bind(request.0)
        .bind(Reference::of(request).as_str())
        .bind(dsrd::domain::Clock::now(&*self.clock))
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
        self.enqueue_in("en", request, kind, sender, facts).await
    }

    /// The same for a person who wished for another language.
    pub(crate) async fn enqueue_in(
        &self,
        language: &str,
        request: RequestId,
        kind: NoticeKind,
        sender: Sender,
        facts: Facts,
    ) -> Option<delivery::EnqueuedNotice> {
        let with_link = [NoticeKind::AccessReady, NoticeKind::PortabilityReady, NoticeKind::IdentityRequest];
        let link_token = with_link.contains(&kind).then(|| Personal::new(random::token()));
        let notice = NewNotice {
            organisation: self.organisation().clone(),
            request,
            kind,
            sender,
            recipient_no: 0,
            language: language.to_owned(),
            facts,
            words: words_of(kind).map(|words| Personal::new(words.to_owned())),
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
        self.enqueue_with(request, kind, Sender::Procedure, facts_for(kind)).await
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

/// What the controller says itself in a notice of that kind.
fn words_of(kind: NoticeKind) -> Option<&'static str> {
    match kind {
        NoticeKind::Refused => Some("Section 147 of the tax code: invoices.\nUntil 2036."),
        NoticeKind::ClarificationRequest => Some("Do you mean the guest Wi-Fi or the loyalty card?"),
        NoticeKind::Extension => Some("Records of three systems have to be put together."),
        NoticeKind::PartialAnswer => Some("Your visits of 2026 are enclosed.\nThose of 2025 follow."),
        NoticeKind::Fee => Some("The tenth copy in this year: 10 sheets at EUR 1.20."),
        NoticeKind::NotIdentified => Some("Two people have used this telephone number."),
        NoticeKind::RestrictionLifting => Some("The accuracy of the data was checked; it is correct."),
        NoticeKind::RectificationDone => Some("The spelling of the family name was corrected."),
        NoticeKind::RecipientNotice => Some("contact 5f3a\ncontact 5f3b"),
        NoticeKind::BreachNotice => Some(
            "A copy of data was sent to a wrong address.\n\nYou may get unwanted mail.\n\nThe copy was deleted.\nWatch out for strange mails.",
        ),
        NoticeKind::Answered => Some("The decision was looked at again by a person and stays as it is."),
        _ => None,
    }
}

/// Facts that every kind can be told with.
pub(crate) fn facts() -> Facts {
    let date = |text: &str| Some(text.parse().unwrap());
    Facts {
        done_on: date("2026-11-25"),
        expires_at: Some("2026-12-09T09:00:00Z".parse().unwrap()),
        policies: vec!["mktgCommunications".to_owned()],
        searched_by: vec![IdentifierKind::Email, IdentifierKind::Phone],
        kept: vec![Kept {
            what: "Invoices".to_owned(),
            why: "tax law requires us to keep them".to_owned(),
            until: date("2036-12-31"),
        }],
        refusal: Some(Refusal {
            ground: RefusalGround::LegalObligation,
            authority: Some("Garante, Piazza Venezia 11, Roma".to_owned()),
            deletion_failed: false,
        }),
        extended_to: date("2027-02-23"),
        answer_by: date("2026-12-07"),
        amount: Some("EUR 12.00".to_owned()),
        lifted_on: date("2027-01-01"),
        recipients: vec!["Mailworks Ltd".to_owned()],
        backups_until: date("2026-12-30"),
        suppressed: true,
        others: vec![OtherRequest {
            request: RequestId("01938a2b-6c00-7000-8000-000000000001".parse().unwrap()),
            received_on: "2026-10-03".parse().unwrap(),
        }],
        explained: true,
        ..Facts::of(RequestKind::Access, "2026-11-23".parse().unwrap(), "2026-12-23".parse().unwrap())
    }
}

/// The facts as a request of that kind of notice has them: what it asked, and on which ground it is answered.
pub(crate) fn facts_for(kind: NoticeKind) -> Facts {
    let mut facts = facts();
    let (asked, ground) = match kind {
        NoticeKind::ErasureDone
        | NoticeKind::ErasurePartlyDone
        | NoticeKind::IdentityRequest
        | NoticeKind::RecipientNotice
        | NoticeKind::Refused => (RequestKind::Erasure, RefusalGround::LegalObligation),
        NoticeKind::PortabilityReady => (RequestKind::Portability, RefusalGround::LegalObligation),
        NoticeKind::OptOutDone => (RequestKind::OptOut, RefusalGround::LegalObligation),
        NoticeKind::Fee => (RequestKind::Access, RefusalGround::Excessive),
        NoticeKind::NotIdentified => (RequestKind::Access, RefusalGround::NotIdentifiable),
        _ => (RequestKind::Access, RefusalGround::LegalObligation),
    };
    facts.request_kind = asked;
    facts.extension_reason = (kind == NoticeKind::Extension).then_some(WhyLonger::Complexity);
    let with_ground = [NoticeKind::Fee, NoticeKind::NotIdentified, NoticeKind::Refused];
    let refusal = facts.refusal.take().filter(|_| with_ground.contains(&kind));
    facts.refusal = refusal.map(|refusal| Refusal { ground, ..refusal });
    facts
}

pub(crate) fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
