//! one organisation is taken out at the end of its contract, and nothing of it is left (Art. 28(3)(g) GDPR).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::audit::forget::{self, HoldReason};
use dsrd::audit::manifest::{Page, PageItem, append_page};
use dsrd::audit::verify::{self, Database, Plan, Policy, Verdict};
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{
    Clock as _, KillSwitch, LiftReason, OrganisationId, Outcome, RequestId, RequestKind, SystemClock,
};
use dsrd::recipients::{self, ChannelKind};
use dsrd::suppression::ledger::Ledger;
use dsrd::upkeep::{Left, Removal, RemovalError, RemovalReason, Removed, Settings, Upkeep};
use dsrd::{delivery, holds, intake};
use dsrd_simulator::ContactSpec;
use sqlx::Connection as _;

use crate::holds::claim_about;
use crate::recipients::recipient;
use crate::rig::count;
use crate::support::service::TestService;

const REASON: RemovalReason = RemovalReason::ContractEnded;

fn other() -> OrganisationId {
    "other".parse().unwrap()
}

fn dpo() -> Actor {
    Actor::Person("dpo".to_owned())
}

pub(crate) fn removal(service: &TestService) -> Removal {
    let settings =
        Settings { identifiers_days: 30, contact_ids_days: 65, evidence_months: 36, log_months: 36 };
    Removal {
        upkeep: Upkeep { store: service.store.clone(), desk: service.desk.clone(), settings },
        packages: service.executor.packages.report.directory.clone(),
        ledger: Ledger::new(service.directory.path().join("ledger")),
    }
}

async fn owner(service: &TestService) -> sqlx::PgConnection {
    sqlx::PgConnection::connect_with(&service.database.options()).await.unwrap()
}

/// Every row of an organisation in every table that names organisations, as text, by table; the entries of the log apart. The
/// catalogue tells which tables there are: none can be forgotten here.
async fn rows_of(service: &TestService, organisation: &str) -> BTreeMap<String, Vec<String>> {
    let mut owner = owner(service).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT format('%I.%I', table_schema, table_name)
         FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
         WHERE table_type = 'BASE TABLE' AND column_name = 'organisation_id'
           AND table_schema NOT IN ('pg_catalog', 'information_schema')
           AND NOT (table_schema = 'audit' AND table_name LIKE 'entry%')",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert!(tables.len() >= 35, "{tables:?}");
    let mut found = BTreeMap::new();
    for table in tables {
        let statement =
            format!("SELECT each::text FROM {table} AS each WHERE organisation_id = $1 ORDER BY 1");
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind(organisation)
            .fetch_all(&mut owner)
            .await
            .unwrap();
        if !rows.is_empty() {
            found.insert(table, rows);
        }
    }
    found
}

async fn submit(
    service: &TestService,
    organisation: &OrganisationId,
    kind: RequestKind,
    to: &str,
) -> RequestId {
    let submission = service.submission(kind, &[(Email, to)]);
    let controller = &service.executor.sites[organisation].controller;
    intake::submit_request(&service.store, &service.desk, controller, submission).await.unwrap().request
}

/// People of an organisation with an answer each, a hold that was lifted, and what the service notes beside cases.
async fn lived(service: &TestService, organisation: &OrganisationId) {
    let platform = service.simulator.organisation(organisation.as_str());
    for (kind, name) in
        [(RequestKind::Access, "access"), (RequestKind::Erasure, "erasure"), (RequestKind::OptOut, "opt-out")]
    {
        let address = format!("canarino.{name}@{organisation}.example");
        let _contact = platform.add_contact(ContactSpec::new().email(&address).events(2));
        submit(service, organisation, kind, &address).await;
    }
    let controller = &service.executor.sites[organisation].controller;
    let now = service.desk.clock.now();
    let hold = claim_about(service, &format!("canarino.held@{organisation}.example"));
    let mut tx = service.store.begin("test").await.unwrap();
    let placed = holds::place(&mut tx, controller, hold, dpo(), now).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = service.store.begin("test").await.unwrap();
    holds::lift(&mut tx, controller, &placed.reference, LiftReason::ClaimSettled, dpo(), now).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    let mut owner = owner(service).await;
    for statement in [
        "INSERT INTO dsrd.schedule (organisation_id, name, expression, next_run_at) VALUES ($1, 'sweep', '@daily', now())",
        "INSERT INTO dsrd.figures_watch (organisation_id, counted_on) VALUES ($1, current_date)",
        "INSERT INTO dsrd.alert (organisation_id, alert_id, rule, step, raised_on, raised_at)
         VALUES ($1, gen_random_uuid(), 'platform_down', 0, current_date, now())",
        "INSERT INTO dsrd.intake_rate (organisation_id, scope, key, window_start, accepted) VALUES ($1, 'everybody', '', now(), 1)",
        "INSERT INTO dsrd.platform_watch (organisation_id, looked_at) VALUES ($1, now()) ON CONFLICT DO NOTHING",
    ] {
        sqlx::query(statement).bind(organisation.as_str()).execute(&mut owner).await.unwrap();
    }
}

/// The ledger of this machine, and that of a second one with files of its own.
fn two_ledgers(service: &TestService) -> (PathBuf, PathBuf) {
    let (here, there) =
        (service.directory.path().join("ledger"), service.directory.path().join("ledger-there"));
    std::fs::create_dir(&there).unwrap();
    for file in std::fs::read_dir(&here).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), there.join(file.file_name())).unwrap();
    }
    (here, there)
}

/// The command on another machine, whose ledger still has the lines of an organisation that is registered no more.
async fn blank_on_a_second_machine(service: &TestService, removal: Removal, there: PathBuf, here: &Ledger) {
    let main = &service.controller.id;
    let removal_there = Removal { ledger: Ledger::new(there.clone()), ..removal };
    let ledger_there = Ledger::new(there);
    let lines = ledger_there.read(&other()).await.unwrap().entries.len();
    assert!(lines > 0);
    // Before the log tells of a removal nothing goes: a restore may have lost the registration.
    let untold = removal_there.remove(&other(), REASON, &dpo()).await;
    assert!(matches!(untold, Err(RemovalError::NotFound(_))), "{untold:?}");
    assert_eq!(ledger_there.read(&other()).await.unwrap().entries.len(), lines);
    service.sealer.seal_everything().await.unwrap();
    let removed = removal_there.remove(&other(), REASON, &dpo()).await.unwrap();
    assert!(
        matches!(removed, Removed::Before { ledger_lines } if ledger_lines >= lines as u64),
        "{removed:?}"
    );
    assert!(ledger_there.read(&other()).await.unwrap().entries.is_empty());
    assert_eq!(ledger_there.read(main).await.unwrap().entries, here.read(main).await.unwrap().entries);
}

#[tokio::test]
async fn r_80_one_organisation_is_taken_out_and_leaves_zero_rows_while_the_other_is_untouched() {
    let register = vec![recipient("crm", ChannelKind::Mail)];
    let service = TestService::builder().second_organisation().recipients(register).build().await;
    let main = service.controller.id.clone();
    lived(&service, &main).await;
    lived(&service, &other()).await;
    crate::support::oracle::check(&service).await;
    let removal = removal(&service);
    let (_, in_the_way) = removal.look(&other()).await.unwrap();
    assert!(in_the_way.sentence().unwrap().starts_with("1 recipients of data are not told yet"));
    let told: Vec<uuid::Uuid> = sqlx::query_scalar(
        "SELECT task_id FROM dsrd.recipient_task WHERE organisation_id = 'other' AND state = 'queued'",
    )
    .fetch_all(&mut owner(&service).await)
    .await
    .unwrap();
    let mut tx = service.store.begin("test").await.unwrap();
    for task in told {
        let now = service.desk.clock.now();
        recipients::confirm(&mut tx, &other(), task, dpo(), now).await.unwrap();
    }
    tx.commit().await.unwrap();
    let (theirs, ours) = (rows_of(&service, "other").await, rows_of(&service, "main").await);
    for table in [
        "audit_private.subject",
        "dsrd.figures_watch",
        "dsrd.hold",
        "dsrd.ledger",
        "dsrd.look",
        "dsrd.package",
        "dsrd.recipient_task",
        "dsrd.request",
        "dsrd.schedule",
        "dsrd.suppression",
    ] {
        assert!(theirs.contains_key(table), "{table} has something to lose: {:?}", theirs.keys());
    }
    let files = || std::fs::read_dir(&service.executor.packages.report.directory).unwrap().count();
    let packages = files();
    // Looked at, and nothing was changed.
    let (left, in_the_way) = removal.look(&other()).await.unwrap();
    assert_eq!(in_the_way.sentence(), None);
    let counted: BTreeMap<&str, usize> =
        left.iter().map(|each| (each.table.as_str(), usize::try_from(each.rows).unwrap())).collect();
    let seen: BTreeMap<&str, usize> =
        theirs.iter().map(|(table, rows)| (table.as_str(), rows.len())).collect();
    assert_eq!(counted, seen);
    assert_eq!(rows_of(&service, "other").await, theirs);

    let (here, there) = two_ledgers(&service);

    // Dies in the middle: nothing is said to be done, and the same call goes on.
    let mut owner = owner(&service).await;
    let stop = "CREATE FUNCTION dsrd.stop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''stopped''; END';
                CREATE TRIGGER stop BEFORE DELETE ON dsrd.suppression FOR EACH ROW EXECUTE FUNCTION dsrd.stop()";
    sqlx::raw_sql(stop).execute(&mut owner).await.unwrap();
    assert!(matches!(removal.remove(&other(), REASON, &dpo()).await, Err(RemovalError::Store(_))));
    sqlx::raw_sql("DROP TRIGGER stop ON dsrd.suppression").execute(&mut owner).await.unwrap();
    let half = rows_of(&service, "other").await;
    assert!(half.contains_key("dsrd.suppression") && !half.contains_key("dsrd.request"), "{:?}", half.keys());

    // What ties the entries of the log to people is given to nobody before its time.
    let waits = removal.remove(&other(), REASON, &dpo()).await.unwrap();
    assert!(matches!(waits, Removed::Waits { .. }), "{waits:?}");
    let half = rows_of(&service, "other").await;
    assert_eq!(
        half.keys().map(String::as_str).collect::<Vec<_>>(),
        ["audit_private.subject", "dsrd.organisation"]
    );
    sqlx::query("UPDATE audit_private.subject SET erase_after = erase_after - interval '40 months' WHERE organisation_id = 'other'")
        .execute(&mut owner)
        .await
        .unwrap();
    assert_eq!(removal.remove(&other(), REASON, &dpo()).await.unwrap(), Removed::Done);
    assert_eq!(rows_of(&service, "other").await, BTreeMap::new());
    assert_eq!(rows_of(&service, "main").await, ours, "the other is as it was");
    assert_eq!(files(), packages - 1, "its package is gone, the other's is not");
    let ledger = Ledger::new(here);
    assert!(ledger.read(&other()).await.unwrap().entries.is_empty());
    assert!(!ledger.read(&main).await.unwrap().entries.is_empty());
    assert_eq!(ledger.read(&main).await.unwrap().damaged, 0);
    let again = removal.remove(&other(), REASON, &dpo()).await;
    assert!(matches!(again, Err(RemovalError::NotFound(_))), "{again:?}");
    blank_on_a_second_machine(&service, removal, there, &ledger).await;

    // The log tells of it, and is whole.
    let log = service.audit().await;
    let told: Vec<&str> = log
        .iter()
        .map(|entry| entry.action.as_str())
        .filter(|action| action.starts_with("organisation."))
        .collect();
    let began = "organisation.removal_began";
    assert_eq!(told, [began, began, began, "organisation.removed"]);
    assert!(
        log.iter()
            .any(|entry| entry.action == "log.redact" && entry.detail["rule"] == "organisation_removed")
    );
    // The witness of the tests is none of the log's own.
    sqlx::raw_sql("DROP TRIGGER witnessed ON audit.inbox").execute(&mut owner).await.unwrap();
    let key = service.sealer.verifier_keys().await[0].parse().unwrap();
    let plan = Plan {
        policy: Policy::of_logs(vec![key]),
        known_heads: Vec::new(),
        since: 0,
        now: service.clock.now(),
    };
    let mut database = Database::open(&service.database.options(), String::new()).await.unwrap();
    let report = verify::verify(&mut database, &plan).await.unwrap();
    assert_eq!(report.verdict, Verdict::Ok, "{:#?}", report.findings);
}

#[tokio::test]
async fn r_80_nothing_is_removed_while_somebody_waits_or_a_hold_stands() {
    let service = TestService::builder().second_organisation().build().await;
    let controller = Arc::clone(&service.executor.sites[&other()].controller);
    let removal = removal(&service);
    let refused = async || match removal.remove(&other(), REASON, &dpo()).await {
        Err(RemovalError::InTheWay(sentence)) => sentence,
        otherwise => panic!("{otherwise:?}"),
    };
    let open = submit(&service, &other(), RequestKind::Access, "canarino@other.example").await;
    let before = rows_of(&service, "other").await;
    assert!(refused().await.starts_with("1 requests are open"));
    assert_eq!(rows_of(&service, "other").await, before, "nothing went");
    service.work_to_the_end().await;
    let outcome: Option<String> =
        sqlx::query_scalar("SELECT outcome FROM dsrd.request WHERE request_id = $1")
            .bind(open.0)
            .fetch_one(&mut owner(&service).await)
            .await
            .unwrap();
    assert_eq!(outcome.as_deref(), Some(Outcome::FulfilledNoData.as_str()));

    let now = service.desk.clock.now();
    let mut tx = service.store.begin("test").await.unwrap();
    delivery::record_bounce(&mut tx, &other(), open, None, dpo(), now).await.unwrap();
    tx.commit().await.unwrap();
    assert!(refused().await.starts_with("1 notices wait or came back"));
    let mut tx = service.store.begin("test").await.unwrap();
    intake::record_informed(&mut tx, &service.desk, &other(), open, dpo()).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = service.store.begin("test").await.unwrap();
    let hold = claim_about(&service, "canarino@other.example");
    let placed = holds::place(&mut tx, &controller, hold, dpo(), now).await.unwrap();
    tx.commit().await.unwrap();
    assert!(refused().await.starts_with("1 holds stand"));
    let mut tx = service.store.begin("test").await.unwrap();
    holds::lift(&mut tx, &controller, &placed.reference, LiftReason::ClaimSettled, dpo(), now).await.unwrap();
    tx.commit().await.unwrap();

    let follow_up = "INSERT INTO dsrd.follow_up (organisation_id, request_id, categories, due_at)
                     VALUES ('other', $1, '{profile}', now() + interval '9 days')";
    sqlx::query(follow_up).bind(open.0).execute(&mut owner(&service).await).await.unwrap();
    let sentence = refused().await;
    assert!(sentence.starts_with("1 consents were withdrawn whose data is still to be erased"), "{sentence}");
    sqlx::query("UPDATE dsrd.follow_up SET ended_at = now(), ended_as = 'gone'")
        .execute(&mut owner(&service).await)
        .await
        .unwrap();

    sqlx::query(
        "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
         VALUES ('other', 'late', 'access', now(), 'web', 'canarino@other.example')",
    )
    .execute(&mut owner(&service).await)
    .await
    .unwrap();
    let sentence = refused().await;
    assert!(sentence.starts_with("1 rows of producers"), "{sentence}");
    assert!(sentence.contains("put the organisation back into the configuration"), "{sentence}");
    assert!(matches!(
        removal.remove(&"nobody".parse().unwrap(), REASON, &dpo()).await,
        Err(RemovalError::NotFound(_))
    ));
}

/// Lets a sweep submit the erasure of a case: its page stands in the log, and the salt of its one item beside it.
async fn page_of(service: &TestService, request: RequestId, contact: &str) {
    let page = Page {
        organisation: &service.controller.id,
        sweep: uuid::Uuid::now_v7(),
        actor: Actor::Schedule("retention"),
        at: service.clock.now(),
        items: &[PageItem { request, contact: contact.parse().unwrap() }],
    };
    let mut tx = service.store.begin("test").await.unwrap();
    append_page(&mut tx, page).await.unwrap();
    tx.commit().await.unwrap();
    service.sealer.seal_everything().await.unwrap();
}

const KEPT_ITEMS: &str = "SELECT count(*) FROM audit_private.manifest_item";

/// An erasure of a sweep whose contact and whose case went while somebody held the log, so that its salt stayed; the hold was
/// lifted since.
async fn salt_that_outlived_its_case() -> TestService {
    // Ids of cases are of the system's clock.
    let service = TestService::builder().starting_at(SystemClock.now()).build().await;
    let contact = service.platform.add_contact(ContactSpec::new().email("canarino@posta.example"));
    let case = service.submit_sweep(&contact, service.clock.now()).await.request;
    service.work_to_the_end().await;
    crate::support::oracle::check(&service).await;
    page_of(&service, case, &contact).await;
    let now = service.clock.now();
    let mut tx = service.store.begin("test").await.unwrap();
    let review = (Some(now.date_naive()), None);
    let hold = forget::set_hold(&mut tx, HoldReason::CourtOrClaim, review, &dpo(), now).await.unwrap();
    tx.commit().await.unwrap();
    service.clock.advance(TimeDelta::days(66));
    let forgotten = crate::upkeep::forget(&service).await;
    assert_eq!((forgotten.contacts_of, forgotten.page_items), (1, 0));
    service.clock.advance(TimeDelta::days(37 * 31 - 66));
    let forgotten = crate::upkeep::forget(&service).await;
    assert_eq!((forgotten.requests, forgotten.page_items), (1, 0));
    assert_eq!(count(&service, KEPT_ITEMS).await, 1, "the log is held");
    let refused = removal(&service).remove(&service.controller.id, REASON, &dpo()).await;
    assert!(matches!(refused, Err(RemovalError::LogHeld)), "{refused:?}");
    let mut tx = service.store.begin("test").await.unwrap();
    assert!(forget::lift_hold(&mut tx, hold, &dpo(), service.clock.now()).await.unwrap());
    tx.commit().await.unwrap();
    service
}

#[tokio::test]
async fn r_75_a_salt_that_a_hold_kept_beyond_its_case_goes_when_the_log_is_free() {
    let service = salt_that_outlived_its_case().await;
    assert_eq!(crate::upkeep::forget(&service).await.page_items, 1);
    assert_eq!(count(&service, KEPT_ITEMS).await, 0);
    assert_eq!(crate::upkeep::forget(&service).await.page_items, 0, "once is enough");
    let log = service.audit().await;
    let redacted = log.iter().find(|entry| entry.action == "log.redact").unwrap();
    let detail = serde_json::json!({"kind": "sweep_item", "rows": 1, "rule": "evidence_term"});
    assert_eq!(redacted.detail, detail);
    service.simulator.shutdown().await;
}

#[tokio::test]
async fn r_80_a_removal_takes_salts_of_items_along_and_is_not_done_while_one_is_left() {
    let service = salt_that_outlived_its_case().await;
    let (removal, main) = (removal(&service), service.controller.id.clone());
    let items = Left { table: "audit_private.manifest_item".to_owned(), rows: 1 };
    let (left, _) = removal.look(&main).await.unwrap();
    assert!(left.contains(&items), "{left:?}");
    let waits = removal.remove(&main, REASON, &dpo()).await.unwrap();
    assert!(matches!(waits, Removed::Waits { .. }), "salts of a case have their own term: {waits:?}");
    assert_eq!(count(&service, KEPT_ITEMS).await, 0);
    // Of a case whose end the log does not tell the database keeps it.
    page_of(&service, RequestId(uuid::Uuid::now_v7()), "986a372347aac5e4a94516db835d58aa").await;
    match removal.remove(&main, REASON, &dpo()).await.unwrap() {
        Removed::Left { tables } => assert!(tables.contains(&items), "{tables:?}"),
        otherwise => panic!("{otherwise:?}"),
    }
    service.simulator.shutdown().await;
}

#[tokio::test]
async fn r_80_a_mail_to_staff_whose_sender_was_cut_off_has_its_end_before_its_row_goes() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email("canarino@posta.example"));
    submit(&service, &service.controller.id, RequestKind::Access, "canarino@posta.example").await;
    service.clock.advance(TimeDelta::days(14));
    let (mut watch, _mails) = crate::alerts::watch(&service, crate::alerts::settings());
    watch.kill = KillSwitch::new(|boundary| boundary == "staff_mail.begun");
    watch.turn().await.unwrap();
    watch.send_due().await.unwrap();
    service.work_to_the_end().await;
    let open = async || {
        service.sealer.seal_everything().await.unwrap();
        let statement = "SELECT count(*) FROM audit_view.open_intent";
        sqlx::query_scalar::<_, i64>(statement).fetch_one(&mut owner(&service).await).await.unwrap()
    };
    assert_eq!(open().await, 1, "announced, and nobody saw how it ended");
    let removal = removal(&service);
    for _ in 0..2 {
        let waits = removal.remove(&service.controller.id, REASON, &dpo()).await.unwrap();
        assert!(matches!(waits, Removed::Waits { .. }), "{waits:?}");
        assert_eq!(open().await, 0);
    }
    let log = service.audit().await;
    let ends: Vec<_> = log.iter().filter(|entry| entry.action == "staff_mail.ended").collect();
    assert_eq!(ends.len(), 1, "{ends:?}");
    assert_eq!(ends[0].outcome.as_deref(), Some("outcome_unknown"));
    service.simulator.shutdown().await;
}
