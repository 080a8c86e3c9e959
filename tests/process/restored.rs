//! The database is an older copy than what the log has shown to others.

use std::time::Duration;

use chrono::{DateTime, Utc};
use dsrd::domain::{RequestKind, local_time};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::dumps::{self, number};
use crate::process::{Daemon, ProcessService, eventually, insert};
use crate::{assert_done, hand_in, person};

async fn as_owner(service: &ProcessService, statements: &'static str) {
    let mut owner =
        PgConnection::connect_with(&service.world.database.options()).await.expect("a connection");
    sqlx::raw_sql(statements).execute(&mut owner).await.expect("statements of a superuser");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_26_after_an_older_dump_nothing_is_claimed_mailed_or_sealed_until_a_person_names_the_fork() {
    let service = ProcessService::start().await;
    let mut producer = service.producer().await;
    let daemon = service.serve().await;
    let mut handed_in = hand_in(&service, &mut producer, 0..3).await;
    service.rest(Duration::from_mins(1)).await;
    daemon.stop().await;
    // What a dump holds of the log; the requests of this test come later, so only the log goes back.
    as_owner(
        &service,
        "CREATE TABLE public.old_head AS TABLE audit.head; CREATE TABLE public.old_edge AS TABLE audit.edge;",
    )
    .await;
    let old = service.count("SELECT size FROM audit.head").await;
    let daemon = service.serve().await;
    handed_in.extend(hand_in(&service, &mut producer, 3..6).await);
    service.rest(Duration::from_mins(1)).await;
    let published = service.home.join("log/checkpoint");
    eventually("the newer head is published", Duration::from_mins(1), || async {
        let note = std::fs::read_to_string(&published).unwrap_or_default();
        note.lines().nth(1).and_then(|size| size.parse::<i64>().ok()).is_some_and(|size| size > old)
    })
    .await;
    daemon.stop().await;
    as_owner(
        &service,
        "BEGIN;
         ALTER TABLE audit.entry DISABLE TRIGGER ALL; ALTER TABLE audit.head DISABLE TRIGGER ALL;
         ALTER TABLE audit.checkpoint DISABLE TRIGGER ALL;
         CREATE TABLE public.lost AS SELECT entry FROM audit.entry WHERE seq > (SELECT size FROM public.old_head) ORDER BY seq;
         DELETE FROM audit.checkpoint WHERE size > (SELECT size FROM public.old_head);
         DELETE FROM audit.entry WHERE seq > (SELECT size FROM public.old_head);
         DELETE FROM audit.edge; INSERT INTO audit.edge SELECT * FROM public.old_edge;
         DELETE FROM audit.head; INSERT INTO audit.head SELECT * FROM public.old_head;
         DO $$
         DECLARE guard record;
         BEGIN
           FOR guard IN SELECT tgrelid::regclass AS place, tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
                        WHERE relnamespace = 'audit'::regnamespace AND NOT tgisinternal AND tgenabled = 'D'
           LOOP
             EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', guard.place, guard.tgname);
           END LOOP;
         END $$;
         INSERT INTO audit.inbox (entry) SELECT entry FROM public.lost;
         COMMIT;",
    )
    .await;

    // A package that was built in the lost time: no row of the older database names it, and nobody writes it any more.
    let package = service.home.join("packages/999999-1-00000000000000000000000000000000.zip.age");
    std::fs::write(&package, "noise").expect("a file");
    let mut scheduler = Daemon::start(service.command(&["serve", "--only", "scheduler"]));
    scheduler.wait_for("safe mode").await;
    let mut daemon = service.spawn();
    daemon.wait_for("safe mode").await;
    let late = hand_in(&service, &mut producer, 6..9).await;
    // They are accepted, and that is recorded in the inbox; nothing else happens to them.
    eventually("the requests are accepted", Duration::from_mins(1), || async {
        service.count("SELECT count(*) FROM dsrd.intake").await == 0
    })
    .await;
    tokio::time::timeout(Duration::from_mins(1), async {
        let check = service.command(&["check"]).output().await.expect("a command");
        let said = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(said.contains("FAIL") && said.contains("recover --after-restore"), "{said}");
    })
    .await
    .expect("an answer");
    assert_eq!(service.count("SELECT count(*) FROM dsrd.job WHERE state = 'leased'").await, 0);
    assert_eq!(service.count("SELECT count(*) FROM dsrd.job WHERE attempt > 0").await, 0);
    assert_eq!(service.count("SELECT size FROM audit.head").await, old, "nothing is sealed");
    assert!(service.count("SELECT count(*) FROM audit.inbox").await > 0);
    assert!(package.exists(), "a package is not destroyed because an older database does not name it");
    scheduler.stop().await;
    let refused = service.command(&["audit", "key", "rotate"]).output().await.expect("a command");
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    // A key that was stolen as well is exchanged under the name of the fork, not before.
    let takeover = service.home.join("takeover.txt");
    let stolen = ["audit", "key", "rotate", "--stolen", "--takeover", takeover.to_str().expect("a path")];
    let refused = service.command(&stolen).output().await.expect("a command");
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("recover --after-restore"), "{refused:?}");
    assert!(!takeover.exists());

    let named = service
        .command(&["audit", "recover", "--after-restore", "--reason", "operator_error"])
        .output()
        .await
        .expect("a command");
    assert!(named.status.success(), "{named:?}");
    assert!(String::from_utf8_lossy(&named.stdout).contains("/restored-"), "{named:?}");
    let again = service
        .command(&["audit", "recover", "--after-restore", "--reason", "operator_error"])
        .output()
        .await
        .expect("a command");
    assert_eq!(again.status.code(), Some(5), "there is nothing left to recover: {again:?}");
    daemon.wait_for("work goes on").await;
    eventually("what no package names is deleted", Duration::from_mins(1), || async { !package.exists() })
        .await;
    handed_in.extend(late);
    service.rest(Duration::from_mins(1)).await;
    daemon.stop().await;
    assert_done(&service, &handed_in);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_26_a_recovery_says_since_when_requests_are_lost_and_what_is_handed_in_again_is_one() {
    let Some((pg_dump, psql)) = dumps::clients() else { return };
    let service = ProcessService::start().await;
    let original = service.world.database.options();
    let mut producer = service.producer().await;
    let daemon = service.serve().await;
    hand_in(&service, &mut producer, 0..1).await;
    service.rest(Duration::from_mins(1)).await;
    daemon.stop().await;
    let dump = service.world.directory.path().join("backup.sql");
    dumps::run(&pg_dump, &original, &["-f", dump.to_str().expect("a path")]).await;
    let mut owner = PgConnection::connect_with(&original).await.expect("a connection");
    let last: DateTime<Utc> = sqlx::query_scalar("SELECT at FROM audit_view.log ORDER BY seq DESC LIMIT 1")
        .fetch_one(&mut owner)
        .await
        .expect("an entry");
    owner.close().await.expect("its end");
    let old = service.count("SELECT size FROM audit.head").await;

    // After the backup: taken, answered, told. An access request, whose effect no ledger has to make good.
    let daemon = service.serve().await;
    hand_in(&service, &mut producer, 3..4).await;
    let hold = ["audit", "hold", "set", "--reason", "supervisory_authority", "--review", "2999-12-31"];
    let placed = service.command(&hold).output().await.expect("a command");
    assert!(placed.status.success(), "{placed:?}");
    service.rest(Duration::from_mins(1)).await;
    let published = service.home.join("log/checkpoint");
    eventually("the newer head is published", Duration::from_mins(1), || async {
        let note = std::fs::read_to_string(&published).unwrap_or_default();
        note.lines().nth(1).and_then(|size| size.parse::<i64>().ok()).is_some_and(|size| size > old)
    })
    .await;
    daemon.stop().await;
    drop(producer);
    let copy = dumps::restored(&service, &psql, &dump, "backup").await;
    service.amend(original.to_url_lossy().as_ref(), copy.to_url_lossy().as_ref());
    let mut daemon = service.spawn();
    daemon.wait_for("safe mode").await;
    let recover = ["audit", "recover", "--after-restore", "--reason", "hardware_failure"];
    let named = service.command(&recover).output().await.expect("a command");
    assert!(named.status.success(), "{named:?}");
    let said = String::from_utf8_lossy(&named.stdout);
    let since = format!("Requests that came in after {}", local_time(last, chrono_tz::UTC));
    assert!(said.contains(&since) && said.contains("dsrd check"), "{since}: {said}");
    // The hold that an authority asked for is lost. Nothing is erased before a person has looked.
    assert!(said.contains("nothing of the log is pruned or erased (hold "), "{said}");
    let standing = "SELECT count(*) FROM audit_view.hold WHERE in_force AND review_on IS NULL
                  AND until_on BETWEEN current_date + 13 AND current_date + 15";
    assert_eq!(number(&copy, "SELECT count(*) FROM audit_view.hold").await, 1, "the other one is lost");
    assert_eq!(number(&copy, standing).await, 1);
    let erasing = "SELECT audit.refuse_while_held()";
    let mut owner = PgConnection::connect_with(&copy).await.expect("a connection");
    let refused = sqlx::query(erasing).execute(&mut owner).await.expect_err("a hold is in force");
    assert!(refused.to_string().contains("a hold on the log is in force"), "{refused}");
    let forgotten = service.command(&["audit", "forget-staff", "anna"]).output().await.expect("a command");
    assert_eq!(forgotten.status.code(), Some(5), "{forgotten:?}");
    owner.close().await.expect("its end");
    daemon.wait_for("work goes on").await;

    let of_lost = "SELECT count(*) FROM dsrd.request WHERE idempotency_key = 'ticket-3'";
    assert_eq!(number(&copy, of_lost).await, 0, "it is in no list");
    let mut late = PgConnection::connect_with(&copy).await.expect("a connection");
    sqlx::query("SET ROLE dsrd_producer").execute(&mut late).await.expect("the role of producers");
    for known_or_lost in [0, 3] {
        let (email, _) = person(known_or_lost);
        insert(&mut late, RequestKind::Access, &format!("ticket-{known_or_lost}"), &email).await;
    }
    late.close().await.expect("its end");
    eventually("it is a request again", Duration::from_mins(1), || async {
        number(&copy, of_lost).await == 1
    })
    .await;
    eventually("both rows are taken", Duration::from_mins(1), || async {
        number(&copy, "SELECT count(*) FROM dsrd.intake").await == 0
    })
    .await;
    let parked = number(&copy, "SELECT count(*) FROM dsrd.intake_parked").await;
    let known = number(&copy, "SELECT count(*) FROM dsrd.request WHERE idempotency_key = 'ticket-0'").await;
    assert_eq!((parked, known), (0, 1), "what is known is harmless");
    daemon.stop().await;
    dumps::remove(&copy).await;
    service.world.simulator.shutdown().await;
    service.world.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_26_where_nothing_outside_is_left_a_person_names_the_fork_before_anything_starts() {
    let Some((pg_dump, psql)) = dumps::clients() else { return };
    let service = ProcessService::start().await;
    let original = service.world.database.options();
    let mut producer = service.producer().await;
    let daemon = service.serve().await;
    hand_in(&service, &mut producer, 0..1).await;
    service.rest(Duration::from_mins(1)).await;
    daemon.stop().await;
    let dump = service.world.directory.path().join("backup.sql");
    dumps::run(&pg_dump, &original, &["-f", dump.to_str().expect("a path")]).await;
    let kept = service.count("SELECT size FROM audit.head").await;
    let daemon = service.serve().await;
    hand_in(&service, &mut producer, 3..4).await;
    service.rest(Duration::from_mins(1)).await;
    let published = service.home.join("log");
    eventually("a head is published", Duration::from_mins(1), || async {
        published.join("checkpoint").exists()
    })
    .await;
    daemon.stop().await;
    drop(producer);
    // The host is lost, and the published directory with it: only keys, ledger and the dump lay elsewhere.
    std::fs::remove_dir_all(&published).expect("the published directory");
    let copy = dumps::restored(&service, &psql, &dump, "backup").await;
    service.amend(original.to_url_lossy().as_ref(), copy.to_url_lossy().as_ref());

    let recover = ["audit", "recover", "--after-restore", "--reason", "hardware_failure"];
    let refused = service.command(&recover).output().await.expect("a command");
    assert_eq!(refused.status.code(), Some(5), "nobody says that it is a copy: {refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--nothing-outside"), "{refused:?}");
    let holds = "SELECT count(*) FROM audit_view.hold WHERE in_force AND until_on IS NOT NULL";
    assert_eq!(number(&copy, holds).await, 0);
    let confirmed = [&recover[..], &["--nothing-outside"]].concat();
    let named = service.command(&confirmed).output().await.expect("a command");
    assert!(named.status.success(), "{named:?}");
    let said = String::from_utf8_lossy(&named.stdout);
    assert!(said.contains("/restored-") && said.contains("Requests that came in after "), "{said}");
    assert_eq!(number(&copy, holds).await, 1, "nothing is forgotten before somebody has looked");
    let told = "SELECT max((detail ->> 'kept')::bigint) FROM audit_view.log
                WHERE action = 'log.restored' AND detail ->> 'reason' = 'hardware_failure'
                  AND NOT detail ?| ARRAY['former_size', 'former_root', 'lost_from', 'lost_to']";
    assert_eq!(number(&copy, told).await, kept, "nobody knows how much was lost, and nothing is made up");

    let daemon = service.serve().await;
    let entries = std::fs::read_dir(&published).expect("the published directory").flatten();
    let files: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(files.iter().any(|name| name.starts_with("restored-")), "{files:?}");
    daemon.stop().await;
    dumps::remove(&copy).await;
    service.world.simulator.shutdown().await;
    service.world.store.close().await;
}
