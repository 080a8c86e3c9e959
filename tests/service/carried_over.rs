//! A database with a log in its first form is brought up to date: nothing is lost, and everything is signed.

use std::sync::Arc;

use dsrd::audit::tlog::leaf_hash;
use dsrd::audit::{self, DetailValue, Filter, Leaf, LogKeys};
use dsrd::domain::SystemClock;
use dsrd::store::{MIGRATOR, migrate};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::rig;
use crate::support::database::TestDatabase;
use crate::support::settings::sealer_at;

/// The last migration of the first form.
const FIRST_FORM: i64 = 20_261_123_190_600;

#[tokio::test]
async fn the_log_in_its_first_form_is_carried_over_whole() {
    let witness = TestDatabase::create().await;
    let name = format!("carried_{}", Uuid::now_v7().simple());
    let mut server = PgConnection::connect_with(&witness.options()).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut server).await.unwrap();
    let options = witness.options().database(&name);
    let mut owner = PgConnection::connect_with(&options).await.unwrap();
    MIGRATOR.run_to(FIRST_FORM, &mut owner).await.unwrap();
    // What writers and the sealer of that time did: some numbered in several turns, some not numbered yet.
    for (number, statement) in
        ["SELECT 1", "SELECT audit.seal(100)", "SELECT audit.seal(3)", "SELECT audit.seal(100)", "SELECT 1"]
            .into_iter()
            .enumerate()
    {
        let rows = "INSERT INTO audit.inbox (uid, at, organisation_id, case_id, action, outcome, actor, intent, detail)
             SELECT gen_random_uuid(), '2026-11-20 10:00:00.123456Z'::timestamptz + n * interval '1 second',
                    CASE WHEN n % 2 = 0 THEN 'main' ELSE 'other-1' END,
                    CASE WHEN n % 3 > 0 THEN gen_random_uuid() END,
                    CASE WHEN n % 4 = 0 THEN 'deletion.ended' ELSE 'request.read' END,
                    CASE WHEN n % 4 = 0 THEN 'outcome_unknown' END,
                    (ARRAY['person:anna', 'person:bruno_b.c-d', 'process:worker', 'schedule:retention', 'producer:web_form'])[n % 5 + 1],
                    CASE WHEN n % 4 = 0 THEN gen_random_uuid() END,
                    (ARRAY['{}', '{\"zone\": \"a b: /x+y\", \"all\": true, \"of\": -12}', '{\"huge\": 12345678901234567890}'])[n % 3 + 1]::jsonb
             FROM generate_series($1, $1 + 9) AS n";
        sqlx::query(rows).bind(i32::try_from(number * 10).unwrap()).execute(&mut owner).await.unwrap();
        sqlx::query(statement).execute(&mut owner).await.unwrap();
    }
    let before = sqlx::query(
        "SELECT seq, uid, at, organisation_id, case_id, action, outcome, actor, intent, detail, sealed_at, 0 AS inbox_id
         FROM audit.entry
         UNION ALL
         SELECT NULL, uid, at, organisation_id, case_id, action, outcome, actor, intent, detail, NULL, inbox_id
         FROM audit.inbox
         ORDER BY seq, inbox_id",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(before.len(), 50);
    assert_eq!(before.iter().filter(|row| row.get::<Option<i64>, _>("seq").is_none()).count(), 10);

    assert_eq!(
        migrate(&options).await.unwrap(),
        MIGRATOR.iter().filter(|each| each.version > FIRST_FORM).count()
    );
    let sealer = sealer_at(options.clone(), LogKeys::generate(), Arc::new(SystemClock)).await.unwrap();
    assert_eq!(sealer.seal_everything().await.unwrap(), 51);

    let service = rig::store(options.clone(), 1);
    let mut reader = service.connection().await.unwrap();
    let after = audit::list(&mut reader, &Filter::default(), 0, 100).await.unwrap();
    let leaves: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT entry FROM audit.entry ORDER BY seq").fetch_all(&mut owner).await.unwrap();
    assert_eq!((after.len(), leaves.len()), (51, 51));
    for (((old, new), leaf), place) in before.iter().zip(&after).zip(&leaves).zip(1_i64..) {
        let leaf = Leaf::parse(leaf).unwrap();
        assert_eq!((new.seq, leaf.v), (place, 0));
        assert_eq!(old.get::<Option<i64>, _>("seq").unwrap_or(place), place);
        assert_eq!(old.get::<Uuid, _>("uid"), new.id);
        assert_eq!(old.get::<chrono::DateTime<chrono::Utc>, _>("at"), new.at);
        assert_eq!(old.get::<Option<String>, _>("organisation_id"), new.organisation);
        assert_eq!(old.get::<Option<Uuid>, _>("case_id"), new.case);
        assert_eq!(old.get::<String, _>("action"), new.action);
        assert_eq!(old.get::<Option<String>, _>("outcome"), new.outcome);
        assert_eq!(old.get::<String, _>("actor"), new.actor);
        assert_eq!(old.get::<Option<Uuid>, _>("intent"), new.intent);
        let sealed_at: Option<chrono::DateTime<chrono::Utc>> = old.get("sealed_at");
        assert_eq!(sealed_at.map(|at| u64::try_from(at.timestamp_micros()).unwrap()), leaf.sealed_us);
        let mut detail: serde_json::Value = old.get("detail");
        if detail.get("huge").is_some() {
            detail["huge"] = "12345678901234567890".into();
        }
        assert_eq!(detail, new.detail);
        assert!(!leaf.actor.contains("anna") && !leaf.actor.contains("bruno"), "{}", leaf.actor);
    }
    let hashes = leaves[..50].iter().fold(Sha256::new(), |all, leaf| all.chain_update(leaf_hash(leaf).0));
    let told = Leaf::parse(&leaves[50]).unwrap();
    assert_eq!((told.action.as_str(), told.v, told.tenant), ("log.migrated", 1, None));
    assert_eq!(told.detail["entries"], DetailValue::Number(50));
    assert_eq!(told.detail["sha256"], DetailValue::Word(hex::encode(hashes.finalize())));

    sealer.close().await;
    owner.close().await.unwrap();
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
        .execute(&mut server)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_empty_log_has_nothing_to_carry_over() {
    let database = TestDatabase::create().await;
    let service = rig::store(database.options(), 1);
    let mut reader = service.connection().await.unwrap();
    assert_eq!(audit::pending(&mut reader).await.unwrap(), 0);
    assert_eq!(audit::sealed_up_to(&mut reader).await.unwrap(), 0);
    assert!(audit::verifier_keys(&mut reader).await.unwrap().is_empty());
}
