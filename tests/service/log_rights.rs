//! What the database lets nobody do to the transparency log: each role its work and no more, no malformed entry, no entry
//! that is swallowed, no partition that is missing (S-39).

use dsrd::audit::{self, Actor, Leaf, SealError};
use dsrd::store::StoreError;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use crate::sealing::{append, event, owner, verify};
use crate::support::service::TestService;

#[tokio::test]
async fn s_39_each_role_of_the_log_may_do_its_work_and_nothing_else() {
    let service = TestService::start().await;
    append(&service, 257).await;
    service.audit().await;
    append(&service, 1).await;
    let mut owner = owner(&service).await;
    let everywhere = [
        "UPDATE audit.entry SET entry = entry",
        "DELETE FROM audit.entry",
        "DELETE FROM audit.entry_000000",
        "TRUNCATE audit.entry",
        "TRUNCATE audit.entry_000000",
        "UPDATE audit.tile SET hashes = hashes",
        "DELETE FROM audit.checkpoint",
        "TRUNCATE audit.inbox CASCADE",
        "TRUNCATE audit.head",
        "DELETE FROM audit.head",
        "UPDATE audit.inbox SET entry = entry",
        "ALTER TABLE audit.entry DISABLE TRIGGER ALL",
        "DROP TABLE audit.entry_000000",
    ];
    let writer = [
        "SELECT entry FROM audit.inbox",
        "DELETE FROM audit.inbox",
        "INSERT INTO audit.inbox (inbox_id, entry) OVERRIDING SYSTEM VALUE VALUES (1, '{}')",
        "INSERT INTO audit.entry (seq, entry) VALUES (99, '{}')",
        "UPDATE audit.head SET size = 0",
        "SELECT audit.make_partition_ahead()",
        "SELECT name FROM audit_private.actor",
        "SELECT salt FROM audit_private.subject",
    ];
    let sealer = [
        "INSERT INTO audit.entry (seq, entry, sealed_at) VALUES (99, '{}', now())",
        "UPDATE audit.head SET size = size - 1",
        "UPDATE audit.head SET root = sha256('')",
        "UPDATE audit.head SET origin = 'elsewhere.example'",
        "SELECT name FROM audit_private.actor",
        "SELECT request_id FROM dsrd.request",
    ];
    let reader = [
        "INSERT INTO audit.inbox (entry) VALUES ('{}')",
        "SELECT entry FROM audit.inbox",
        "SELECT name FROM audit_private.actor",
        "SELECT salt FROM audit_private.subject",
        "SELECT sealed FROM dsrd.identifier",
        "UPDATE audit.edge SET n = 1",
    ];
    let eraser = [
        "SELECT entry FROM audit.entry",
        "UPDATE audit_private.actor SET name = 'x'",
        "DELETE FROM audit_private.actor",
        "DELETE FROM audit_private.subject",
    ];
    // It asks for the salts of a person's cases; it erases them through the function that says so.
    let service_too = [&writer[..7], &["DELETE FROM audit_private.subject"]].concat();
    let superuser_too = &everywhere[..11];
    for (role, forbidden) in [
        ("aud_writer", [&everywhere[..], &writer].concat()),
        ("dsrd_service", [&everywhere[..], &service_too].concat()),
        ("aud_sealer", [&everywhere[..], &sealer].concat()),
        ("aud_reader", [&everywhere[..], &reader].concat()),
        ("auditor", [&everywhere[..], &reader].concat()),
        ("aud_eraser", [&everywhere[..], &eraser].concat()),
        // Its grants reach every table; what stops it are the triggers.
        ("writes_all", [&superuser_too[..3], &superuser_too[5..7], &["DELETE FROM audit.inbox"]].concat()),
        ("none", superuser_too.to_vec()),
    ] {
        for statement in forbidden {
            let mut tx = owner.begin().await.unwrap();
            if role == "writes_all" {
                // Roles are the whole cluster's: one that is never committed is no finding of whoever verifies meanwhile.
                let made = "CREATE ROLE writes_all; GRANT pg_write_all_data, pg_read_all_data TO writes_all";
                sqlx::raw_sql(made).execute(&mut *tx).await.unwrap();
            }
            if role == "none" {
                // What would switch ordinary triggers off.
                sqlx::query("SET LOCAL session_replication_role = replica").execute(&mut *tx).await.unwrap();
            }
            sqlx::query(AssertSqlSafe(format!("SET LOCAL ROLE {role}"))).execute(&mut *tx).await.unwrap();
            let error = sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await.expect_err(statement);
            assert_eq!(
                error.as_database_error().unwrap().code().unwrap(),
                "42501",
                "{role}: {statement}: {error}"
            );
            tx.rollback().await.unwrap();
        }
    }
    for (role, allowed) in [
        ("aud_reader", "SELECT entry, leaf FROM audit.entry, audit.tile, audit.head, audit.checkpoint"),
        ("auditor", "SELECT * FROM audit_view.log, audit.pending, audit.head"),
        (
            "aud_eraser",
            "SELECT audit.erase_subjects('main', NULL, now(), 1, 'evidence_term', 'process:test', now())",
        ),
    ] {
        sqlx::query(AssertSqlSafe(format!("SET ROLE {role}"))).execute(&mut owner).await.unwrap();
        sqlx::query(AssertSqlSafe(allowed)).execute(&mut owner).await.expect(allowed);
        sqlx::query("RESET ROLE").execute(&mut owner).await.unwrap();
    }
    verify(&service).await;
}

#[tokio::test]
async fn a_malformed_oversized_or_repeated_entry_fails_in_the_transaction_that_wrote_it() {
    let service = TestService::start().await;
    append(&service, 1).await;
    let mut owner = owner(&service).await;
    let good: Vec<u8> =
        sqlx::query_scalar("SELECT entry FROM audit.inbox").fetch_one(&mut owner).await.unwrap();
    let good = String::from_utf8(good).unwrap();
    let id = |text: &str| {
        let at = text.find("\"id\":\"").unwrap() + 6;
        text[at..at + 36].to_owned()
    };
    let renewed = |text: &str| text.replace(&id(&good), &Uuid::now_v7().to_string());
    let mut bad = vec![
        good.clone().into_bytes(),
        b"{}".to_vec(),
        b"[]".to_vec(),
        b"canary".to_vec(),
        vec![0xff, 0xfe],
        Vec::new(),
    ];
    for (from, to) in [
        ("{\"action\"", "{ \"action\""),
        ("\"v\":1}", "\"v\":1}\n"),
        ("\"v\":1}", "\"v\":2}"),
        ("\"v\":1}", "\"v\":1,\"x\":1}"),
        ("\"v\":1}", "\"v\":1,\"v\":1}"),
        ("\"tenant\":\"main\"", "\"tenant\":\"Mario Rossi\""),
        ("\"tenant\":\"main\"", "\"tenant\":\"\""),
        ("process:test", "person:anna"),
        ("process:test", "process:a b"),
        ("request.read", "request"),
        ("request.read", "ada@people.example"),
        ("\"detail\":{}", "\"detail\":{\"a\":\"x@y.example\"}"),
        ("\"detail\":{}", "\"detail\":{\"a\":1,\"a\":1}"),
        ("\"detail\":{}", "\"detail\":{\"a\":{}}"),
        ("\"detail\":{}", "\"detail\":{\"a\":[1]}"),
        ("\"detail\":{}", "\"detail\":{\"a\":null}"),
        ("\"detail\":{}", "\"detail\":{\"a\":1.5}"),
        ("\"detail\":{}", "\"detail\":{\"a\":-0}"),
        ("\"detail\":{}", "\"detail\":{\"a\": 1}"),
        ("\"detail\":{}", "\"detail\":{\"a\":1000000000000000}"),
        ("\"detail\":{}", "\"detail\":{\"A\":1}"),
        ("\"detail\":{}", "\"detail\":{\"a\":\"\\u0041\"}"),
        ("\"detail\":{},", ""),
        ("\"at_us\":1", "\"at_us\":1111111"),
        ("\"at_us\":", "\"at_us\":-"),
    ] {
        let altered = renewed(&good).replacen(from, to, 1);
        assert_ne!(altered, renewed(&good), "{from}");
        assert!(Leaf::parse(altered.as_bytes()).is_err(), "{altered}");
        bad.push(altered.into_bytes());
    }
    // In their form they are entries; as words of a vocabulary they are nobody's.
    for number in ["+393331234567", "+39 333 1234567", "AA:BB:CC:DD:EE:01", "aa-bb-cc-dd-ee-01"] {
        let altered =
            renewed(&good).replacen("\"detail\":{}", &format!("\"detail\":{{\"a\":\"{number}\"}}"), 1);
        bad.push(altered.into_bytes());
    }
    let long = "a".repeat(66_000);
    bad.push(
        renewed(&good).replacen("\"detail\":{}", &format!("\"detail\":{{\"a\":\"{long}\"}}"), 1).into_bytes(),
    );
    sqlx::query("SET ROLE aud_writer").execute(&mut owner).await.unwrap();
    for entry in bad {
        let refused =
            sqlx::query("INSERT INTO audit.inbox (entry) VALUES ($1)").bind(&entry).execute(&mut owner).await;
        assert!(refused.is_err(), "{}", String::from_utf8_lossy(&entry));
    }
    // What is left is right.
    let full = renewed(&good).replacen(
        "\"detail\":{}",
        "\"detail\":{\"a\":-1,\"b\":\"x: y\",\"c\":true,\"d\":\"\"}",
        1,
    );
    assert!(Leaf::parse(full.as_bytes()).is_ok());
    sqlx::query("INSERT INTO audit.inbox (entry) VALUES ($1)")
        .bind(full.as_bytes())
        .execute(&mut owner)
        .await
        .unwrap();
    service.sealer.seal_everything().await.unwrap();
    assert_eq!(verify(&service).await, 2);
}

#[tokio::test]
async fn an_insertion_that_is_swallowed_fails_the_transaction() {
    for trap in [
        "CREATE RULE swallow AS ON INSERT TO audit.inbox DO INSTEAD NOTHING",
        "CREATE FUNCTION public.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER swallow BEFORE INSERT ON audit.inbox FOR EACH ROW EXECUTE FUNCTION public.swallow()",
    ] {
        let service = TestService::start().await;
        sqlx::raw_sql(trap).execute(&mut owner(&service).await).await.unwrap();
        let mut tx = service.store.begin("test").await.unwrap();
        audit::append(&mut tx, event(&service, Actor::Process("test"))).await.unwrap();
        let error = tx.commit().await.unwrap_err();
        assert!(matches!(error, StoreError::RowCount { .. } | StoreError::Refused { .. }), "{error}");
    }
}

#[tokio::test]
async fn partitions_are_made_ahead_and_guarded() {
    let service = TestService::start().await;
    append(&service, 1).await;
    service.sealer.seal_everything().await.unwrap();
    let mut owner = owner(&service).await;
    let names = async |owner: &mut PgConnection| -> Vec<String> {
        sqlx::query_scalar("SELECT relid::text FROM pg_partition_tree('audit.entry') WHERE isleaf ORDER BY 1")
            .fetch_all(owner)
            .await
            .unwrap()
    };
    assert_eq!(names(&mut owner).await, ["audit.entry_000000", "audit.entry_000001"]);
    // A log that has grown by a partition.
    let mut tx = owner.begin().await.unwrap();
    sqlx::query("ALTER TABLE audit.head DISABLE TRIGGER ALL").execute(&mut *tx).await.unwrap();
    sqlx::query("UPDATE audit.head SET size = 4194304").execute(&mut *tx).await.unwrap();
    let made: bool =
        sqlx::query_scalar("SELECT audit.make_partition_ahead()").fetch_one(&mut *tx).await.unwrap();
    assert!(made);
    let unguarded: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_partition_tree('audit.entry') AS part
         WHERE (SELECT count(*) FROM pg_trigger WHERE tgrelid = part.relid AND tgenabled = 'A') <> 2",
    )
    .fetch_one(&mut *tx)
    .await
    .unwrap();
    assert_eq!(unguarded, 0);
    tx.rollback().await.unwrap();
}

#[tokio::test]
async fn a_login_without_the_right_to_seal_is_told_so() {
    let service = TestService::start().await;
    let mut owner = owner(&service).await;
    let login = format!("login_{}", Uuid::now_v7().simple());
    sqlx::query(AssertSqlSafe(format!("CREATE ROLE {login} IN ROLE dsrd_service")))
        .execute(&mut owner)
        .await
        .unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("SET SESSION AUTHORIZATION {login}")))
        .execute(&mut owner)
        .await
        .unwrap();
    let refused = sqlx::query("SET ROLE aud_sealer").execute(&mut owner).await.unwrap_err();
    let refused = SealError::of_connecting(StoreError::during("audit.open")(refused));
    assert!(
        matches!(refused, SealError::NoRight(_)) && refused.to_string().contains("GRANT aud_sealer"),
        "{refused}"
    );
}
