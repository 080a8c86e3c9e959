//! That no way leads around the proof of who asks (S-3).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    Assurance, ChoiceReason, FloodLimits, LiftReason, Outcome, ParkReason, Proof, RequestId, RequestKind,
    RequestState,
};
use dsrd::execution::{Decided, KillSwitch, Settlement, resume_postponed};
use dsrd::identity::Confirmation;
use dsrd::intake::{self, Corrections};
use dsrd::triage::{self, Site};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};
use sqlx::{Connection as _, PgConnection};

use crate::identity::{NUMBER, STORED, confirm, dpo, person, secret, submit};
use crate::intake::{producer, take};
use crate::support::service::TestService;
use crate::{holds, replay, watch};

/// The functions that make a job ready to be handed out, and the ways by which a request comes through them.
const EDGES: [(&str, &[Way]); 6] = [
    (
        "enqueue",
        &[
            Way::Submitted,
            Way::HandedInTwice,
            Way::InsertedByProducer,
            Way::ReleasedRow,
            Way::BesideAnAccess,
            Way::SecondStage,
            Way::Repeated,
            Way::SeenBack,
        ],
    ),
    ("enqueue_held_back", &[Way::HeldBack]),
    ("put_back", &[Way::PlatformWasAway]),
    ("resume", &[Way::Resumed, Way::Chosen, Way::ResumedDespiteAccess]),
    ("rescue", &[Way::WorkerDied]),
    ("release_all", &[Way::Released]),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Submitted,
    HandedInTwice,
    InsertedByProducer,
    ReleasedRow,
    BesideAnAccess,
    /// The rest of an erasure that a hold had postponed.
    SecondStage,
    /// Done again after a restore, because the ledger knows of it.
    Repeated,
    /// Done again, because somebody looked and it had not lasted.
    SeenBack,
    HeldBack,
    PlatformWasAway,
    Resumed,
    Chosen,
    ResumedDespiteAccess,
    WorkerDied,
    Released,
}

/// Inserts a producer's row; what it says of kind and of who asks stands in `values`.
pub(crate) async fn insert(service: &TestService, key: &str, values: &str) {
    let mut producer = producer(service).await;
    let statement = format!(
        "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email, phone, assurance,
           assured_at)
         VALUES ('main', '{key}', {values})"
    );
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut producer).await.unwrap();
}

pub(crate) async fn request_of(service: &TestService, key: &str) -> RequestId {
    let mut connection = service.store.connection().await.unwrap();
    let id = sqlx::query_scalar("SELECT request_id FROM dsrd.request WHERE idempotency_key = $1")
        .bind(key)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    RequestId(id)
}

async fn resume(service: &TestService, request: RequestId) {
    let mut tx = service.store.begin("test").await.unwrap();
    intake::resume(&mut tx, &service.desk, &service.controller.id, request, dpo()).await.unwrap();
    tx.commit().await.unwrap();
}

/// Makes what is on record of who asked less than an erasure needs by the rules as they are.
async fn know_less_of(service: &TestService, request: RequestId) {
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query("UPDATE dsrd.request SET assurance = 'matched_data' WHERE request_id = $1")
        .bind(request.0)
        .execute(&mut owner)
        .await
        .unwrap();
}

async fn by_reference(service: &TestService, reference: &str) -> RequestId {
    let mut connection = service.store.connection().await.unwrap();
    let found = intake::find_by_reference(&mut connection, &service.controller.id, reference).await;
    found.unwrap().unwrap()
}

/// Brings an erasure of which nothing is known, or not enough, into the queue by this way, and lets it be worked on.
#[expect(clippy::too_many_lines, reason = "an arm for each way of the table")]
async fn come(service: &TestService, way: Way) -> RequestId {
    let erase = || submit(service, RequestKind::Erasure, &[(Email, STORED)], None);
    match way {
        Way::Submitted => {
            let request = erase().await.request;
            service.work().await;
            request
        }
        Way::HeldBack => {
            // The source may send one message an hour.
            submit(service, RequestKind::Access, &[(Email, "altro@posta.example")], None).await;
            let request = erase().await.request;
            service.work().await;
            assert_eq!(service.case(request).await.state, RequestState::Received, "it waits");
            let mut connection = service.store.connection().await.unwrap();
            let released = intake::release_held_back(&mut connection, &service.controller.id).await.unwrap();
            assert_eq!(released, 1);
            drop(connection);
            service.work().await;
            request
        }
        Way::HandedInTwice => {
            let mut submission = service.submission(RequestKind::Erasure, &[(Email, STORED)]);
            submission.proof = None;
            let known = service.submission(RequestKind::Erasure, &[(Email, STORED)]).proof;
            let hand_in = async |submission| {
                intake::submit_request(&service.store, &service.desk, &service.controller, submission)
                    .await
                    .unwrap()
            };
            let first = hand_in(submission.clone()).await;
            // The same key with a proof is the same request, and proves nothing for it.
            let again = hand_in(intake::Submission { proof: known, ..submission }).await;
            assert!(again.repeated);
            service.work().await;
            first.request
        }
        Way::InsertedByProducer => {
            insert(
                service,
                "row",
                &format!("'erasure', '2026-11-23T09:00:00Z', 'web', '{STORED}', NULL, 'none', NULL"),
            )
            .await;
            assert_eq!(take(service).await.accepted, 1);
            service.work().await;
            request_of(service, "row").await
        }
        Way::ReleasedRow => {
            insert(
                service,
                "row",
                &format!("NULL, '2026-11-23T09:00:00Z', 'web', '{STORED}', NULL, NULL, NULL"),
            )
            .await;
            assert_eq!(take(service).await.parked, 1);
            let controllers =
                BTreeMap::from([(service.controller.id.clone(), std::sync::Arc::clone(&service.controller))]);
            let mut tx = service.store.begin("test").await.unwrap();
            let row =
                intake::list_parked_rows(&mut tx, &service.desk, &controllers, 10).await.unwrap()[0].intake;
            let corrections = Corrections { kind: Some(RequestKind::Erasure), ..Corrections::default() };
            let receipt =
                intake::release_parked_row(&mut tx, &service.desk, &controllers, row, corrections, dpo())
                    .await
                    .unwrap();
            tx.commit().await.unwrap();
            service.work().await;
            receipt.request
        }
        Way::BesideAnAccess => {
            let access = submit(service, RequestKind::Access, &[(Email, STORED)], None).await;
            let request = erase().await.request;
            service.work_until_waiting().await;
            assert_eq!(service.case(access.request).await.outcome, Some(Outcome::Fulfilled));
            request
        }
        // What was known of the person when it was carried out the first time is less than the rule asks now.
        Way::SecondStage => {
            let hold = holds::place(service, holds::claim(service)).await;
            let first = service.submit(RequestKind::Erasure, &[(Email, STORED)]).await;
            service.work_to_the_end().await;
            assert_eq!(service.case(first.request).await.outcome, Some(Outcome::PartlyFulfilled));
            know_less_of(service, first.request).await;
            holds::lift(service, &hold.reference, LiftReason::ClaimSettled).await.unwrap();
            let second = resume_postponed(&service.store, &service.desk, &service.controller).await.unwrap();
            service.work().await;
            second[0]
        }
        Way::Repeated => {
            replay::dump(service).await;
            service.submit(RequestKind::Erasure, &[(Email, STORED)]).await;
            service.work_to_the_end().await;
            let deleted = service.simulator.journal().deleted_contacts().remove(0);
            replay::restore(service).await;
            service.platform.restore_contact(&deleted);
            let at = service.desk.clock.now();
            replay::know(service, Some(Proof { assurance: Assurance::MatchedData, at })).await;
            assert_eq!(replay::compare(service).await, 1);
            let found = replay::lost(service).await.remove(0);
            let again = replay::settle(service, &found, Settlement::Repeat).await.unwrap().unwrap();
            service.work().await;
            by_reference(service, &again).await
        }
        Way::SeenBack => {
            let first = service.submit(RequestKind::Erasure, &[(Email, STORED)]).await.request;
            service.work_to_the_end().await;
            let deleted = service.simulator.journal().deleted_contacts().remove(0);
            know_less_of(service, first).await;
            service.platform.restore_contact(&deleted);
            service.clock.advance(TimeDelta::days(1));
            assert_eq!(watch::look(service).await.found, 1);
            let task = watch::found(service).await.remove(0);
            let again = watch::settle(service, &task, Decided::Again).await.unwrap().unwrap();
            service.work().await;
            by_reference(service, again.as_str()).await
        }
        Way::PlatformWasAway => {
            service.simulator.faults().inject(Fault::Status(500).on(Endpoint::ListContacts).times(2));
            let request = erase().await.request;
            service.work_until_waiting().await;
            request
        }
        Way::Resumed => {
            let request =
                submit(service, RequestKind::Erasure, &[(Phone, "+39 333 7654321")], None).await.request;
            for _ in 0..2 {
                service.work().await;
                assert_eq!(service.case(request).await.park_reason, Some(ParkReason::IdentityUnproven));
                resume(service, request).await;
            }
            service.work().await;
            request
        }
        Way::Chosen => {
            let request = submit(service, RequestKind::Erasure, &[(Phone, NUMBER)], None).await.request;
            let other = service
                .platform
                .add_contact(ContactSpec::new().email("canarino@altra.example").phone(NUMBER));
            service.work().await;
            let site = Site {
                store: &service.store,
                desk: &service.desk,
                controller: &service.controller,
                platform: service.executor.sites[&service.controller.id].platform.as_ref(),
            };
            let candidates = triage::candidates(site, request, dpo()).await.unwrap();
            let mine = |each: &&triage::Candidate| {
                each.profile.iter().any(|each| each.masked.ends_with("@posta.example"))
            };
            let code = &candidates.iter().find(mine).unwrap().code;
            // Not even a choice by somebody whose identity was checked is a proof: that is recorded as one, or not at all.
            triage::choose(site, request, code, ChoiceReason::IdentityChecked, dpo()).await.unwrap();
            service.work().await;
            assert!(service.platform.truth(&other).unwrap().exists);
            request
        }
        Way::ResumedDespiteAccess => {
            service.mails.plan(dsrd::delivery::Plan::Reply(550), 2);
            let access = submit(service, RequestKind::Access, &[(Email, STORED)], None).await;
            service.work().await;
            assert_eq!(service.case(access.request).await.state, RequestState::Manual);
            let request = erase().await.request;
            service.work().await;
            assert_eq!(service.case(request).await.park_reason, Some(ParkReason::WaitsForAccess));
            let mut tx = service.store.begin("test").await.unwrap();
            let organisation = &service.controller.id;
            intake::resume_despite_access(&mut tx, &service.desk, organisation, request, dpo())
                .await
                .unwrap();
            tx.commit().await.unwrap();
            service.work().await;
            request
        }
        Way::WorkerDied => {
            let request = erase().await.request;
            let dying = KillSwitch::new(|boundary| boundary == "locate.after");
            service.worker_with(dying, false).await.work_once().await.unwrap();
            service.bury_workers().await;
            service.advance(Duration::from_mins(10)).await;
            service.work().await;
            request
        }
        Way::Released => {
            let request = erase().await.request;
            let dying = KillSwitch::new(|boundary| boundary == "locate.before");
            let worker = service.worker_with(dying, false).await;
            worker.work_once().await.unwrap();
            let mut connection = service.store.connection().await.unwrap();
            let released = dsrd::queue::release_all(&mut connection, worker.instance(), &[]).await.unwrap();
            drop(connection);
            assert_eq!(released, 1);
            service.work().await;
            request
        }
    }
}

/// The functions of the queue that make a job ready, as they stand in the source.
fn edges_in_the_source() -> BTreeSet<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/queue/sql.rs");
    let source = std::fs::read_to_string(path).unwrap();
    let mut found = BTreeSet::new();
    for function in source.split("pub async fn ").skip(1) {
        let sets_ready = function.split("SET ").skip(1).any(|set| {
            set.split("WHERE").next().is_some_and(|assigned| assigned.contains("state = 'ready'"))
        });
        let inserts_ready = function.contains("INSERT INTO dsrd.job ") && !function.contains("'parked'");
        if sets_ready || inserts_ready {
            found.insert(function.split('(').next().unwrap_or_default().to_owned());
        }
    }
    found
}

#[tokio::test]
async fn s_3_every_way_into_the_queue_meets_the_same_rule() {
    let listed: BTreeSet<String> = EDGES.iter().map(|(function, _)| (*function).to_owned()).collect();
    assert_eq!(edges_in_the_source(), listed, "a new way into `ready` needs its line in the table");
    for way in EDGES.iter().flat_map(|(_, ways)| *ways) {
        let per_source_per_hour = u32::from(*way == Way::HeldBack);
        let limits = FloodLimits { per_source_per_hour, ..FloodLimits::NONE };
        let service = TestService::builder().flood(limits).build().await;
        let old = service.desk.clock.now() - TimeDelta::days(90);
        let contact = service.platform.add_contact(person().created(old).modified(old));
        // Somebody whose profile has no address at which they could be asked.
        let without = service.platform.add_contact(ContactSpec::new().phone("+39 333 7654321"));
        let request = come(&service, *way).await;
        let case = service.case(request).await;
        if *way == Way::Resumed {
            assert_eq!(case.park_reason, Some(ParkReason::IdentityUnproven), "{way:?}");
        } else {
            assert_eq!(case.state, RequestState::NeedsIdentity, "{way:?}: {:?}", case.park_reason);
            assert!(case.identity_until.is_some(), "{way:?}");
        }
        let deleted = usize::from(matches!(way, Way::Repeated | Way::SeenBack));
        assert_eq!(
            service.simulator.journal().deleted_contacts().len(),
            deleted,
            "{way:?}: nothing but the first time"
        );
        for each in [&contact, &without] {
            assert!(service.platform.truth(each).unwrap().exists, "{way:?}");
        }
        if *way != Way::Resumed {
            service.pump().await;
            assert!(matches!(confirm(&service, &secret(&service), STORED).await, Confirmation::Confirmed(_)));
            if *way == Way::ResumedDespiteAccess || *way == Way::Chosen {
                service.work().await;
            } else {
                service.work_to_the_end().await;
            }
            assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled), "{way:?}");
        }
        // A database that was put back by hand tells no whole story.
        if *way != Way::Repeated {
            service.finish().await;
        }
    }
}

impl TestService {
    /// Works and lets minutes pass until nothing is under way but requests that wait for their person.
    async fn work_until_waiting(&self) {
        for _ in 0..30 {
            self.work().await;
            let mut connection = self.store.connection().await.unwrap();
            let left: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM dsrd.request WHERE state IN ('received', 'in_progress')",
            )
            .fetch_one(&mut *connection)
            .await
            .unwrap();
            drop(connection);
            if left == 0 {
                return;
            }
            self.advance(Duration::from_mins(2)).await;
        }
        panic!("requests are still under way");
    }
}

#[tokio::test]
async fn r_16_a_row_says_how_it_is_known_who_asks_in_words_that_are_read_or_parked() {
    let service = TestService::start().await;
    for (key, assurance, assured_at, parked) in [
        ("a", "NULL", "NULL", None),
        ("b", "'none'", "NULL", None),
        ("c", "'matched_data'", "'2026-11-23T09:00:00Z'", None),
        ("d", "'verified_channel_loop'", "NULL", Some("missing_column")),
        ("e", "NULL", "'2026-11-23T09:00:00Z'", Some("missing_column")),
        ("f", "'trust me'", "'2026-11-23T09:00:00Z'", Some("unknown_assurance")),
        ("g", "'authenticated_session'", "'2036-01-01'", Some("assured_in_future")),
    ] {
        let values = format!(
            "'access', '2026-11-23T09:00:00Z', 'web', 'canarino.{key}@posta.example', NULL, {assurance}, {assured_at}"
        );
        insert(&service, key, &values).await;
        let taken = take(&service).await;
        assert_eq!(
            (taken.accepted, taken.parked),
            (u64::from(parked.is_none()), u64::from(parked.is_some())),
            "{key}"
        );
        if let Some(reason) = parked {
            let mut connection = service.store.connection().await.unwrap();
            let stored: String =
                sqlx::query_scalar("SELECT reason FROM dsrd.intake_parked WHERE idempotency_key = $1")
                    .bind(key)
                    .fetch_one(&mut *connection)
                    .await
                    .unwrap();
            assert_eq!(stored, reason, "{key}");
        }
    }
    service.work_to_the_end().await;
    service.finish().await;
}
