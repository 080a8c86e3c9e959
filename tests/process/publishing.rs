//! Work and the places that get the log: it waits until they were compared, not until they have got everything, and stops
//! where what they are to get was altered.

use std::sync::Arc;
use std::time::Duration;

use dsrd::audit::{self, Action, Actor, Event};
use dsrd::domain::{Clock as _, RequestId};
use sqlx::{Connection as _, PgConnection};

use crate::process::{ProcessService, eventually, write_private};
use crate::support::bucket::{KEY, PREFIX, Stub};
use crate::{assert_done, hand_in};

/// Lets the log have so many entries before any daemon starts.
async fn grow(service: &ProcessService, number: u64) {
    let world = &service.world;
    let mut tx = world.store.begin("test").await.expect("a transaction");
    for _ in 0..number {
        let case = RequestId(uuid::Uuid::now_v7());
        let event = Event::of(
            &world.controller.id,
            case,
            Action::RequestRead,
            Actor::Process("test"),
            world.clock.now(),
        );
        audit::append(&mut tx, event).await.expect("an entry");
    }
    tx.commit().await.expect("a commit");
    world.sealer.seal_everything().await.expect("a seal");
    world.sealer.keep_checkpoint().await.expect("a checkpoint");
}

/// A bucket that the daemons publish to, with the entries.
async fn bucket(service: &ProcessService) -> Arc<Stub> {
    let (stub, address, _task) = Stub::start().await;
    let key = service.home.join("keys/bucket.key");
    write_private(&key, KEY);
    let publish = format!(
        "[publish]\nevery_secs = 1\nentries = true\nbucket_url = \"http://{address}{}\"\nbucket_region = \"eu-south-1\"\n\
         bucket_key_file = \"{}\"\n[queue]\n",
        PREFIX.trim_end_matches('/'),
        key.display()
    );
    service.amend("[queue]\n", &publish);
    stub
}

/// The size of the head that the directory has.
fn in_directory(service: &ProcessService) -> i64 {
    let note = std::fs::read_to_string(service.home.join("log/checkpoint")).unwrap_or_default();
    note.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_and_the_directory_do_not_wait_for_a_bucket_that_gets_the_whole_log() {
    let service = ProcessService::start().await;
    grow(&service, 6_400).await;
    let stub = bucket(&service).await;
    // More than fifty objects.
    *stub.pause.lock().expect("a pause") = Duration::from_secs(3);
    let mut producer = service.producer().await;
    let daemon = service.serve().await;
    let handed_in = hand_in(&service, &mut producer, 0..3).await;
    service.rest(Duration::from_mins(1)).await;
    let sealed = service.count("SELECT size FROM audit.head").await;
    assert!(sealed > 6_400, "what was done is sealed");
    eventually("the directory has got it", Duration::from_secs(20), || async {
        in_directory(&service) >= sealed
    })
    .await;
    assert!(!stub.names().contains(&format!("{PREFIX}checkpoint")), "the bucket is filled still");
    daemon.stop().await;
    assert_done(&service, &handed_in);
    service.finish().await;
}

/// Changes the log as a superuser can.
async fn alter(service: &ProcessService, statements: &str) {
    let guarded = format!(
        "BEGIN;
         ALTER TABLE audit.entry DISABLE TRIGGER ALL;
         {statements}
         DO $$
         DECLARE guard record;
         BEGIN
           FOR guard IN SELECT tgrelid::regclass AS place, tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
                        WHERE relnamespace = 'audit'::regnamespace AND NOT tgisinternal AND tgenabled = 'D'
           LOOP
             EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', guard.place, guard.tgname);
           END LOOP;
         END $$;
         COMMIT;"
    );
    let mut owner =
        PgConnection::connect_with(&service.world.database.options()).await.expect("a connection");
    sqlx::raw_sql(sqlx::AssertSqlSafe(guarded)).execute(&mut owner).await.expect("statements of a superuser");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_26_an_entry_that_is_missing_while_the_log_is_published_stops_everything_until_it_is_back() {
    let service = ProcessService::start().await;
    grow(&service, 600).await;
    let stub = bucket(&service).await;
    alter(
        &service,
        "CREATE TABLE public.taken AS SELECT seq, entry, sealed_at FROM audit.entry WHERE seq = 300;
         DELETE FROM audit.entry WHERE seq = 300;",
    )
    .await;
    let looks = || {
        let seen = stub.seen.lock().expect("what was seen");
        seen.iter().filter(|seen| seen.method == "GET" && seen.path.ends_with("/checkpoint")).count()
    };
    let further = async |number: usize| {
        let from = looks();
        eventually("further looks", Duration::from_secs(40), || async { looks() >= from + number }).await;
    };
    let mut daemon = service.spawn();
    // No head says so: it shows when the entries are read.
    daemon.wait_for("safe mode").await;
    assert!(daemon.log().contains("an entry is missing"), "{}", daemon.log());
    further(2).await;
    let sealed = service.count("SELECT size FROM audit.head").await;
    let mut producer = service.producer().await;
    let handed_in = hand_in(&service, &mut producer, 0..3).await;
    further(6).await;
    assert_eq!(service.count("SELECT size FROM audit.head").await, sealed, "nothing is sealed");
    assert!(service.count("SELECT count(*) FROM audit.inbox").await > 0);
    assert_eq!(service.count("SELECT count(*) FROM dsrd.job WHERE attempt > 0").await, 0);
    assert!(!daemon.log().contains("work goes on"), "the gate was opened in between");
    assert_eq!(daemon.log().matches("safe mode").count(), 1, "it is told once");

    // That the bucket cannot be asked is no answer.
    stub.away.store(true, std::sync::atomic::Ordering::Relaxed);
    eventually("it is away", Duration::from_secs(20), || async {
        daemon.log().contains("do not reach a place outside")
    })
    .await;
    further(2).await;
    assert!(!daemon.log().contains("work goes on"));
    stub.away.store(false, std::sync::atomic::Ordering::Relaxed);
    alter(
        &service,
        "INSERT INTO audit.entry (seq, entry, sealed_at) SELECT seq, entry, sealed_at FROM public.taken;",
    )
    .await;
    daemon.wait_for("work goes on").await;
    service.rest(Duration::from_mins(1)).await;
    daemon.stop().await;
    assert_done(&service, &handed_in);
    service.finish().await;
}
