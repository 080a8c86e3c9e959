//! The transparency log in the database: what goes in and what comes out signed. Who may do what to it,
//! tests `log_rights`.

use dsrd::audit::tlog::{Checkpoint, Edge, SignedNote, VerifierKey, leaf_hash};
use dsrd::audit::verify::{self, Database, Plan, Policy, Step, Verdict};
use dsrd::audit::{self, Action, Actor, Detail, Ending, Event, Leaf, LogKeys, SealError};
use dsrd::domain::{Clock as _, RequestId};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::proxy::{Cut, PgProxy, holds};
use crate::support::service::TestService;
use crate::support::settings::{sealer, sealer_at};

pub(crate) fn event(service: &TestService, actor: Actor) -> Event {
    let case = RequestId(Uuid::now_v7());
    Event::of(&service.controller.id, case, Action::RequestRead, actor, service.desk.clock.now())
}

pub(crate) async fn append(service: &TestService, number: u64) {
    for _ in 0..number {
        let mut tx = service.store.begin("test").await.unwrap();
        audit::append(&mut tx, event(service, Actor::Process("test"))).await.unwrap();
        tx.commit().await.unwrap();
    }
}

pub(crate) async fn owner(service: &TestService) -> PgConnection {
    PgConnection::connect_with(&service.database.options()).await.unwrap()
}

/// A trigger that was not shipped is a finding, and the tests' own witness of commits is one.
async fn without_witness(service: &TestService) {
    sqlx::raw_sql("DROP TRIGGER witnessed ON audit.inbox").execute(&mut owner(service).await).await.unwrap();
}

/// Recomputes the tree from all entries, as a verifier does, and compares it with everything that is stored. Returns
/// the number of entries.
pub(crate) async fn verify(service: &TestService) -> u64 {
    let mut owner = owner(service).await;
    let rows = sqlx::query("SELECT seq, entry, leaf, uid, at, action FROM audit.entry ORDER BY seq")
        .fetch_all(&mut owner)
        .await
        .unwrap();
    let mut edge = Edge::new();
    let mut tiles = Vec::new();
    for (row, seq) in rows.iter().zip(1_i64..) {
        let entry: Vec<u8> = row.get("entry");
        let leaf = Leaf::parse(&entry).unwrap();
        assert_eq!(row.get::<i64, _>("seq"), seq);
        assert_eq!(row.get::<Uuid, _>("uid"), leaf.id);
        assert_eq!(row.get::<String, _>("action"), leaf.action);
        let at: chrono::DateTime<chrono::Utc> = row.get("at");
        assert_eq!(u64::try_from(at.timestamp_micros()).unwrap(), leaf.at_us);
        let hash = leaf_hash(&entry);
        assert_eq!(row.get::<Vec<u8>, _>("leaf"), hash.0);
        tiles.extend(edge.push(hash));
    }
    let head = sqlx::query("SELECT size, root, note, verifier_keys FROM audit.head")
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert_eq!(head.get::<i64, _>("size"), i64::try_from(edge.size()).unwrap());
    assert_eq!(head.get::<Vec<u8>, _>("root"), edge.root().0);
    let keys: Vec<VerifierKey> =
        head.get::<Vec<String>, _>("verifier_keys").iter().map(|key| key.parse().unwrap()).collect();
    if let Some(note) = head.get::<Option<String>, _>("note") {
        let note = SignedNote::from_bytes(note.as_bytes()).unwrap();
        let opened = Checkpoint::open(&note, &keys).unwrap();
        assert_eq!((opened.checkpoint.size, opened.checkpoint.root), (edge.size(), edge.root()));
        assert!(opened.signatures.len() >= keys.len(), "every key of the log signs");
    }
    for (table, expected) in [("audit.tile", tiles), ("audit.edge", edge.partial_tiles())] {
        let statement = format!("SELECT level, n, hashes FROM {table} WHERE hashes <> '' ORDER BY level, n");
        let stored = sqlx::query(AssertSqlSafe(statement)).fetch_all(&mut owner).await.unwrap();
        let stored: Vec<(i16, i64, Vec<u8>)> =
            stored.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        let mut expected: Vec<_> = expected
            .iter()
            .map(|tile| (i16::from(tile.level), i64::try_from(tile.index).unwrap(), tile.bytes()))
            .collect();
        expected.sort();
        assert_eq!(stored, expected, "{table}");
    }
    for checkpoint in
        sqlx::query("SELECT size, root, note FROM audit.checkpoint").fetch_all(&mut owner).await.unwrap()
    {
        let note = SignedNote::from_bytes(checkpoint.get::<String, _>("note").as_bytes()).unwrap();
        let text: Checkpoint = note.text().parse().unwrap();
        assert_eq!(text.root.0.to_vec(), checkpoint.get::<Vec<u8>, _>("root"));
    }
    edge.size()
}

#[tokio::test]
async fn what_is_sealed_is_what_a_verifier_computes_from_the_entries_alone() {
    let service = TestService::start().await;
    for (number, size) in [(1, 1), (254, 255), (1, 256), (1, 257), (300, 557)] {
        append(&service, number).await;
        assert_eq!(service.sealer.seal_everything().await.unwrap(), number);
        assert_eq!(verify(&service).await, size);
    }
    // In small steps it becomes the same tree; and a checkpoint is kept when one is due.
    append(&service, 7).await;
    while service.sealer.seal_once(3).await.unwrap() > 0 {}
    assert_eq!(verify(&service).await, 564);
    service.clock.advance(chrono::TimeDelta::seconds(10));
    let turned = service.sealer.turn().await.unwrap();
    assert_eq!((turned.entries, turned.size), (0, 564));
    let kept: Vec<i64> = sqlx::query_scalar("SELECT size FROM audit.checkpoint ORDER BY size")
        .fetch_all(&mut owner(&service).await)
        .await
        .unwrap();
    assert_eq!(kept, [1, 564]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_by_a_day_stops_neither_sealing_nor_kept_heads_and_is_told() {
    let service = TestService::start().await;
    append(&service, 3).await;
    service.sealer.turn().await.unwrap();
    let logged = crate::support::logs::length();
    service.clock.advance(chrono::TimeDelta::days(-1));
    append(&service, 2).await;
    for _ in 0..3 {
        service.sealer.turn().await.unwrap();
    }
    assert_eq!(verify(&service).await, 5);
    let kept: Vec<i64> = sqlx::query_scalar("SELECT size FROM audit.checkpoint ORDER BY size")
        .fetch_all(&mut owner(&service).await)
        .await
        .unwrap();
    assert_eq!(kept, [3, 5], "a head is kept although the last one is of tomorrow");
    let logged = String::from_utf8(crate::support::logs::since(logged)).unwrap();
    assert!(logged.contains("behind_secs=86400"), "it is told by how much");

    // From there on everything has its intervals again: the next head after ten seconds, a sign of life after silence.
    append(&service, 1).await;
    service.sealer.turn().await.unwrap();
    service.clock.advance(chrono::TimeDelta::seconds(10));
    service.sealer.turn().await.unwrap();
    service.clock.advance(chrono::TimeDelta::days(-1));
    service.sealer.turn().await.unwrap();
    let kept: Vec<i64> = sqlx::query_scalar("SELECT size FROM audit.checkpoint ORDER BY size")
        .fetch_all(&mut owner(&service).await)
        .await
        .unwrap();
    assert_eq!(kept, [3, 5, 6, 7], "a silent log says that it lives when the clock is set back");

    without_witness(&service).await;
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
    let remarks: Vec<_> = report.findings.iter().filter(|finding| finding.step == Step::Instants).collect();
    assert_eq!((remarks.len(), remarks[0].place.as_str()), (1, "entry 4"), "{remarks:#?}");
    assert!(remarks[0].what.contains("1440 minutes") && remarks[0].what.contains("of 2 such falls"));
}

#[tokio::test]
async fn a_person_stands_in_no_entry_and_the_name_can_be_erased() {
    let service = TestService::start().await;
    let mut tx = service.store.begin("test").await.unwrap();
    for name in ["anna", "anna", "bruno"] {
        audit::append(&mut tx, event(&service, Actor::Person(name.to_owned()))).await.unwrap();
    }
    tx.commit().await.unwrap();
    let actors = async |service: &TestService| -> Vec<String> {
        service.audit().await.into_iter().map(|entry| entry.actor).collect()
    };
    assert_eq!(actors(&service).await, ["person:anna", "person:anna", "person:bruno"]);
    let mut owner = owner(&service).await;
    let leaves: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT entry FROM audit.entry ORDER BY seq").fetch_all(&mut owner).await.unwrap();
    assert!(!leaves.iter().any(|leaf| holds(leaf, b"anna") || holds(leaf, b"bruno")));
    sqlx::query("SET ROLE aud_eraser").execute(&mut owner).await.unwrap();
    sqlx::query("SELECT audit.forget_person('anna', 'staff_left', 'process:test', now())")
        .execute(&mut owner)
        .await
        .unwrap();
    let after = actors(&service).await;
    assert!(
        after[0] == after[1] && after[0].len() == "person:".len() + 32 && after[2] == "person:bruno",
        "{after:?}"
    );
    verify(&service).await;
}

#[tokio::test]
async fn a_second_sealer_that_passes_the_lock_cannot_commit() {
    let service = TestService::start().await;
    append(&service, 3).await;
    // As the role, without the lock: a head that is read, and moved by somebody else before it is replaced.
    let mut rogue = owner(&service).await;
    sqlx::query("SET ROLE aud_sealer").execute(&mut rogue).await.unwrap();
    let mut tx = rogue.begin().await.unwrap();
    sqlx::query("SELECT size FROM audit.head").execute(&mut *tx).await.unwrap();
    service.sealer.seal_everything().await.unwrap();
    let moved = sqlx::query("UPDATE audit.head SET size = 1 WHERE size = 0").execute(&mut *tx).await.unwrap();
    assert_eq!(moved.rows_affected(), 0);
    let doubled =
        sqlx::query("INSERT INTO audit.entry (seq, entry) SELECT seq, entry FROM audit.entry WHERE seq = 1")
            .execute(&mut *tx)
            .await
            .unwrap_err();
    assert_eq!(doubled.as_database_error().unwrap().code().unwrap(), "23505");
    tx.rollback().await.unwrap();
    assert_eq!(verify(&service).await, 3);
}

#[tokio::test]
async fn f_12_a_sealer_whose_commit_is_cut_loses_nothing_and_seals_nothing_twice() {
    let service = TestService::start().await;
    let proxy = PgProxy::start(service.database.options()).await;
    let keys = LogKeys::from_text(&service.log_keys).unwrap();
    let cut = sealer_at(proxy.options(), keys, service.clock.clone()).await.unwrap();
    for (mode, expected) in [(Cut::Before, 10), (Cut::During, 20), (Cut::After, 30)] {
        append(&service, 10).await;
        proxy.cut_commits(move |sent| sent.holds("DELETE FROM audit.inbox").then_some(mode));
        let error = cut.seal_everything().await.unwrap_err();
        assert!(matches!(&error, SealError::Store(store) if store.is_ambiguous()), "{error}");
        proxy.spare_commits();
        // It may be carried out later than what follows; then it waits for the lock.
        while audit::pending(&mut service.store.connection().await.unwrap()).await.unwrap() > 0 {
            cut.seal_everything().await.unwrap();
        }
        assert_eq!(verify(&service).await, expected, "{mode:?}");
    }
    let cuts = proxy.cuts();
    assert!(cuts.values().map(Vec::len).sum::<usize>() >= 3, "{cuts:?}");
    // The other sealer, whose state is old by now, goes on from what is stored.
    append(&service, 1).await;
    assert_eq!(service.sealer.seal_everything().await.unwrap(), 1);
    assert_eq!(verify(&service).await, 31);
}

#[tokio::test]
async fn another_key_or_another_name_never_seals() {
    let service = TestService::start().await;
    append(&service, 1).await;
    service.sealer.seal_everything().await.unwrap();
    let other = sealer(&service.database, LogKeys::generate(), service.clock.clone()).await.unwrap_err();
    assert!(matches!(other, SealError::KeyOther { .. }), "{other}");
    // A key that is put into the file while the sealer runs does not sign either.
    append(&service, 1).await;
    let keys = LogKeys::from_text(&service.log_keys).unwrap();
    let running = sealer(&service.database, keys, service.clock.clone()).await.unwrap();
    service.sealer.seal_everything().await.unwrap();
    append(&service, 1).await;
    running.take_keys(LogKeys::generate());
    assert!(matches!(running.seal_everything().await, Err(SealError::KeyOther { .. })));
    assert_eq!(verify(&service).await, 2);
}

#[tokio::test]
async fn keys_are_exchanged_with_an_entry_that_both_sign() {
    let service = TestService::start().await;
    append(&service, 2).await;
    let both = LogKeys::from_text(&service.log_keys).unwrap().with_new().unwrap();
    let text = both.to_text();
    let changing = sealer(&service.database, both, service.clock.clone()).await.unwrap();
    let before = changing.verifier_keys().await;
    assert_eq!(before.len(), 1, "a key in the file signs when it was announced");
    changing.add_key().await.unwrap();
    let during = changing.verifier_keys().await;
    assert_eq!((during.len(), &during[..1]), (2, &before[..]));
    verify(&service).await;
    // The daemon's sealer knows the old key only: it stops, until it is given the file as it is now.
    append(&service, 1).await;
    assert!(matches!(service.sealer.seal_everything().await, Err(SealError::KeyOther { .. })));
    service.sealer.take_keys(LogKeys::from_text(&text).unwrap());
    service.sealer.seal_everything().await.unwrap();
    verify(&service).await;
    assert!(matches!(changing.add_key().await, Err(SealError::Rotation(_))));
    changing.retire_key().await.unwrap();
    assert_eq!(changing.verifier_keys().await, during[1..]);
    append(&service, 1).await;
    service.sealer.take_keys(LogKeys::from_text(&text).unwrap().newest().unwrap());
    let told: Vec<_> = service.audit().await.into_iter().filter(|entry| entry.action == "log.key").collect();
    let changes: Vec<_> = told.iter().map(|entry| entry.detail["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["added", "retired"]);
    assert!(during[1].ends_with(&format!("+{}", told[0].detail["key"].as_str().unwrap())));
    verify(&service).await;

    // After a theft: the head of the takeover is signed by both, and from it on the new key alone is believed.
    let takeover = told[1].seq;
    let note: String = sqlx::query_scalar("SELECT note FROM audit.checkpoint WHERE size = $1")
        .bind(takeover)
        .fetch_one(&mut owner(&service).await)
        .await
        .unwrap();
    without_witness(&service).await;
    let believed = async |keys: &[String], since| {
        let keys = keys.iter().map(|key| key.parse().unwrap()).collect();
        let known_heads = vec![("takeover".to_owned(), note.clone().into_bytes())];
        let plan = Plan { policy: Policy::of_logs(keys), known_heads, since, now: service.clock.now() };
        let mut database = Database::open(&service.database.options(), String::new()).await.unwrap();
        let report = verify::verify(&mut database, &plan).await.unwrap();
        database.close().await;
        report
    };
    let newest = believed(&during[1..], u64::try_from(takeover).unwrap()).await;
    assert_eq!((newest.verdict, newest.counts.heads), (Verdict::Ok, 1), "{:#?}", newest.findings);
    assert_eq!(believed(&during, 0).await.verdict, Verdict::Ok);
    assert_eq!(believed(&before, 0).await.verdict, Verdict::Violation, "the old key signs no more");
    assert!(matches!(changing.retire_key().await, Err(SealError::Rotation(_))));
}

#[tokio::test]
async fn a_change_of_keys_that_another_process_has_made_already_is_not_sealed_again() {
    let service = TestService::start().await;
    append(&service, 2).await;
    let both = LogKeys::from_text(&service.log_keys).unwrap().with_new().unwrap().to_text();
    let open = async || {
        sealer(&service.database, LogKeys::from_text(&both).unwrap(), service.clock.clone()).await.unwrap()
    };
    let (one, other) = (open().await, open().await);
    let refused = |ended| matches!(ended, Err(SealError::Rotation(_)));
    one.add_key().await.unwrap();
    assert!(refused(other.add_key().await), "added already");
    let late = open().await;
    one.retire_key().await.unwrap();
    assert!(refused(late.retire_key().await), "retired already: the key that signs would be named");
    let changes = async || {
        let told = service.audit().await.into_iter().filter(|entry| entry.action == "log.key");
        told.map(|entry| entry.detail["change"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    service.sealer.take_keys(LogKeys::from_text(&both).unwrap().newest().unwrap());
    assert_eq!(changes().await, ["added", "retired"]);

    let next = LogKeys::from_text(&both).unwrap().newest().unwrap().with_new().unwrap().to_text();
    let open = async || {
        sealer(&service.database, LogKeys::from_text(&next).unwrap(), service.clock.clone()).await.unwrap()
    };
    let (one, other) = (open().await, open().await);
    one.replace_key().await.unwrap();
    assert!(refused(other.replace_key().await.map(drop)), "replaced already");
    service.sealer.take_keys(LogKeys::from_text(&next).unwrap().newest().unwrap());
    assert_eq!(changes().await, ["added", "retired", "replaced"]);
    verify(&service).await;
}

#[tokio::test]
async fn nothing_is_sealed_on_top_of_an_altered_state() {
    for alteration in [
        "UPDATE audit.edge SET hashes = sha256('x') WHERE level = 0",
        "UPDATE audit.head SET root = sha256('x')",
        "UPDATE audit.head SET note = NULL",
        "UPDATE audit.head SET note = replace(note, E'\\n1\\n', E'\\n2\\n')",
    ] {
        let service = TestService::start().await;
        append(&service, 1).await;
        service.sealer.seal_everything().await.unwrap();
        let mut owner = owner(&service).await;
        sqlx::query("ALTER TABLE audit.head DISABLE TRIGGER ALL").execute(&mut owner).await.unwrap();
        sqlx::query(alteration).execute(&mut owner).await.unwrap();
        let keys = LogKeys::from_text(&service.log_keys).unwrap();
        let refused = sealer(&service.database, keys, service.clock.clone()).await.unwrap_err();
        assert!(matches!(refused, SealError::Altered { .. }), "{alteration}: {refused}");
    }
}

#[tokio::test]
async fn a_silent_log_shows_that_it_lives_and_a_busy_one_does_not_have_to() {
    let service = TestService::start().await;
    let turn = async || service.sealer.turn().await.unwrap().entries;
    service.clock.advance(chrono::TimeDelta::hours(1));
    assert_eq!(turn().await, 0, "there is no log yet");
    append(&service, 1).await;
    assert_eq!(turn().await, 1);
    service.clock.advance(chrono::TimeDelta::seconds(599));
    assert_eq!(turn().await, 0);
    service.clock.advance(chrono::TimeDelta::seconds(1));
    assert_eq!(turn().await, 1);
    assert_eq!(turn().await, 0);
    let last = service.audit().await.pop().unwrap();
    assert_eq!(
        (last.action.as_str(), last.organisation, last.detail["entries"].as_u64()),
        ("log.heartbeat", None, Some(1))
    );
    // Another daemon, whose state is older, does not repeat it.
    let keys = LogKeys::from_text(&service.log_keys).unwrap();
    let second = sealer(&service.database, keys, service.clock.clone()).await.unwrap();
    service.clock.advance(chrono::TimeDelta::seconds(600));
    assert_eq!((turn().await, second.turn().await.unwrap().entries), (1, 0));
    verify(&service).await;
}

async fn append_alone(service: &TestService, event: Event) {
    let mut tx = service.store.begin("test").await.unwrap();
    audit::append(&mut tx, event).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn open_intents_are_found_in_the_log_and_in_the_inbox() {
    let service = TestService::start().await;
    let began = Event { action: Action::DeletionBegan, ..event(&service, Actor::Process("worker")) };
    let ended = Event { action: Action::DeletionEnded, ..began.clone() };
    let intent = began.id;
    let mut connection = service.store.connection().await.unwrap();
    append_alone(&service, began.with(Detail::none().count("attempt", 1))).await;
    assert_eq!(audit::open_intents(&mut connection).await.unwrap(), 1);
    service.sealer.seal_everything().await.unwrap();
    assert_eq!(audit::open_intents(&mut connection).await.unwrap(), 1);
    let ended = Event { id: audit::EntryId(Uuid::now_v7()), ..ended }.ending(intent, Ending::Done);
    append_alone(&service, ended).await;
    assert_eq!(audit::open_intents(&mut connection).await.unwrap(), 0);
    service.sealer.seal_everything().await.unwrap();
    assert_eq!(audit::open_intents(&mut connection).await.unwrap(), 0);
    assert_eq!(audit::sealed_up_to(&mut connection).await.unwrap(), 2);
}
