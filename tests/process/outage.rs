//! The database goes away and comes back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use dsrd::domain::{Clock as _, ManualClock, SystemClock};
use dsrd_simulator::{Endpoint, Fault};
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::{ProcessService, eventually};
use crate::proxy::PgProxy;
use crate::support::service::TestService;
use crate::{assert_done, hand_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_16_a_daemon_waits_for_its_database_at_start_and_whenever_it_goes_away() {
    let world = TestService::start().await;
    let proxy = PgProxy::start(world.database.options()).await;
    proxy.refuse(true);
    let service = ProcessService::reaching(world, &proxy.options());
    let mut daemon = service.spawn();
    daemon.wait_for("not ready").await;
    eventually("it tries again", Duration::from_mins(1), || async { proxy.connections() >= 3 }).await;
    proxy.refuse(false);
    daemon.wait_for("the worker takes requests").await;

    let mut producer = service.producer().await;
    let mut handed_in = hand_in(&service, &mut producer, 0..12).await;
    eventually("work in hand", Duration::from_mins(1), || async {
        service.count("SELECT count(*) FROM dsrd.job WHERE state = 'leased'").await > 0
    })
    .await;
    let before = proxy.connections();
    proxy.refuse(true);
    eventually("it tries again", Duration::from_mins(1), || async { proxy.connections() >= before + 5 })
        .await;
    proxy.refuse(false);
    handed_in.extend(hand_in(&service, &mut producer, 12..18).await);
    service.rest(Duration::from_mins(1)).await;
    daemon.stop().await;
    assert_done(&service, &handed_in);

    // Half a minute at most went by: one line, or two where a minute ended.
    let said = service.said();
    let lines: Vec<&str> =
        said.lines().filter(|line| line.contains("no connection to the database")).collect();
    assert!((1..=2).contains(&lines.len()), "{lines:#?}");
    // What else was told of an outage is told of requests and tasks, once each, not in a loop.
    let warnings =
        said.lines().filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\"")).count();
    assert!(warnings < 60, "{warnings} warnings: {said}");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_24_a_daemon_whose_database_a_newer_one_migrates_stops_all_work_and_says_so() {
    let service = ProcessService::start().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    service.amend(
        "[telemetry]",
        &format!("[publish]\nevery_secs = 1\n[http]\nlisten = \"{free}\"\n[telemetry]"),
    );
    let mut daemon = service.serve().await;
    let mut producer = service.producer().await;
    let mut handed_in = hand_in(&service, &mut producer, 0..3).await;
    service.rest(Duration::from_mins(1)).await;
    assert_eq!(ask_ready(free).await, (200, "ready".to_owned()));
    // What comes in from here on is claimed again and again.
    let faults = service.world.simulator.faults();
    faults.inject(Fault::Status(503).on(Endpoint::ListContacts));
    handed_in.extend(hand_in(&service, &mut producer, 3..6).await);
    let claims = || service.count("SELECT coalesce(sum(fence), 0)::bigint FROM dsrd.job");
    eventually("it is tried again", Duration::from_mins(1), || async { claims().await > 6 }).await;

    let mut owner = PgConnection::connect_with(&service.world.database.options()).await.unwrap();
    sqlx::query(
        "INSERT INTO public._sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99991231000000, 'of a later release', true, 'x', 0)",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    let (status, said) = ask_ready(free).await;
    assert!(status == 503 && said.starts_with("schema_newer: "), "{status} {said}");
    daemon.wait_for("not ready: nothing is taken in, claimed, sealed, mailed or destroyed").await;
    eventually("it holds nothing", Duration::from_secs(20), || async {
        service.count("SELECT count(*) FROM dsrd.instance WHERE dead_at IS NULL").await == 0
    })
    .await;
    faults.clear();
    let claimed = claims().await;
    handed_in.extend(hand_in(&service, &mut producer, 6..9).await);
    // Longer than a row of a producer waits, and a request that failed.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(service.count("SELECT count(*) FROM dsrd.intake").await, 3, "none was taken in");
    assert_eq!(claims().await, claimed, "nothing was claimed");
    assert_eq!(ask_ready(free).await.0, 503, "it waits to be replaced, and says so");
    assert_eq!(daemon.log().matches("not ready: nothing is taken in").count(), 1, "{}", daemon.log());
    daemon.stop().await;

    // One that knows the schema goes on.
    sqlx::query("DELETE FROM public._sqlx_migrations WHERE version = 99991231000000")
        .execute(&mut owner)
        .await
        .unwrap();
    let daemon = service.serve().await;
    service.rest(Duration::from_mins(1)).await;
    daemon.stop().await;
    assert_done(&service, &handed_in);
    service.finish().await;
}

/// A host that lost its power closes nothing: what was asked of its server is never answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_16_a_daemon_goes_on_by_itself_after_its_database_went_silent() {
    let world = TestService::start().await;
    let proxy = PgProxy::start(world.database.options()).await;
    let service = ProcessService::reaching(world, &proxy.options());
    let address =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number");
    service.amend("acquire_timeout_secs = 3", "acquire_timeout_secs = 3\nstatement_timeout_secs = 2");
    service.amend("[queue]", &format!("[http]\nlisten = \"{address}\"\n[queue]"));
    let daemon = service.serve().await;
    eventually("it is ready", Duration::from_secs(20), || async { ask_ready(address).await.0 == 200 }).await;

    let mut producer = service.producer().await;
    let mut handed_in = Vec::new();
    for silence in 0..3 {
        // Slow answers of the platform spread the work over the silence.
        let faults = service.world.simulator.faults();
        let slow = faults.inject(Fault::Latency(Duration::from_millis(300)).on(Endpoint::ListContacts));
        handed_in.extend(hand_in(&service, &mut producer, 12 * silence..12 * (silence + 1)).await);
        eventually("work in hand", Duration::from_secs(20), || async {
            service.count("SELECT count(*) FROM dsrd.job WHERE state = 'leased'").await > 0
        })
        .await;
        // Each time in the middle of something else.
        tokio::time::sleep(Duration::from_millis(150) * u32::try_from(silence).expect("a small number"))
            .await;
        proxy.fall_silent();
        let until = Instant::now() + Duration::from_secs(8);
        while Instant::now() < until {
            assert_eq!(ask_ready(address).await.0, 503, "it is not ready while nothing answers");
        }
        proxy.answer_again();
        faults.remove(slow);
        eventually("it is ready again", Duration::from_secs(20), || async {
            ask_ready(address).await.0 == 200
        })
        .await;
        handed_in.extend(hand_in(&service, &mut producer, 100 + silence..101 + silence).await);
        service.rest(Duration::from_mins(1)).await;
    }
    // Its own wake-ups and its sealer are among what goes on: the oracle wants every entry sealed.
    daemon.stop().await;
    assert_done(&service, &handed_in);
    service.finish().await;
}

/// What the daemon says of itself: the status, and the text.
async fn ask_ready(address: SocketAddr) -> (u16, String) {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_mins(1), asking).await.expect("an answer in time");
    let answer = answer.expect("an answer");
    let (head, text) = answer.split_once("\r\n\r\n").expect("head and text");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, text.trim().to_owned())
}

/// Lets every write of the service fail as PostgreSQL fails it on a full disk, while a switch of the test is on.
async fn watch_the_disk(service: &ProcessService) -> PgConnection {
    let mut owner =
        PgConnection::connect_with(&service.world.database.options()).await.expect("a connection");
    sqlx::raw_sql(
        "CREATE TABLE witness.disk (full_since timestamptz);
         CREATE FUNCTION witness.write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
           IF EXISTS (SELECT FROM witness.disk) THEN
             RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
           END IF;
           RETURN NULL;
         END $$;
         DO $$
         DECLARE written regclass;
         BEGIN
           FOR written IN SELECT oid FROM pg_class
                          WHERE relkind IN ('r', 'p') AND NOT relispartition
                            AND relnamespace IN ('dsrd'::regnamespace, 'audit'::regnamespace)
           LOOP
             EXECUTE format('CREATE TRIGGER takes_room BEFORE INSERT OR UPDATE ON %s EXECUTE FUNCTION witness.write()', written);
           END LOOP;
         END $$;",
    )
    .execute(&mut owner)
    .await
    .expect("a trigger on each table");
    owner
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_17_a_full_disk_stops_all_work_and_loses_nothing() {
    let service = ProcessService::start().await;
    let mut owner = watch_the_disk(&service).await;
    let daemon = service.serve().await;
    let mut producer = service.producer().await;
    // While the platform takes its time to find people, the disk fills up: the next that a run wants to write is that it begins.
    let faults = service.world.simulator.faults();
    let slow = faults.inject(Fault::Latency(Duration::from_secs(4)).on(Endpoint::ListContacts));
    let mut handed_in = hand_in(&service, &mut producer, 0..12).await;
    eventually("people of every kind of request are looked for", Duration::from_mins(1), || async {
        faults.hits(slow) >= 6
    })
    .await;
    sqlx::raw_sql("INSERT INTO witness.disk VALUES (now())").execute(&mut owner).await.unwrap();
    faults.remove(slow);
    // Whoever hands in learns it, with the code of PostgreSQL; there is no half of a request.
    let refused = sqlx::query(
        "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
         VALUES ('main', 'ticket-full', 'erasure', now(), 'web', 'canarino0@posta.example')",
    )
    .execute(&mut producer)
    .await
    .unwrap_err();
    assert_eq!(
        refused.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(),
        Some("53100")
    );
    let said = || async { service.said().contains("SQLSTATE 53100") };
    eventually("the daemon says what it is", Duration::from_mins(1), said).await;
    // What was under way comes to its end, however long that takes here; after that nothing has an effect that could not be
    // recorded.
    let effects =
        || service.world.simulator.journal().entries().iter().map(|call| call.effects.len()).sum::<usize>();
    let mut before = effects();
    loop {
        tokio::time::sleep(Duration::from_secs(6)).await;
        if std::mem::replace(&mut before, effects()) == before {
            break;
        }
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(effects(), before, "an effect without its announcement");
    assert!(
        service.count("SELECT count(*) FROM dsrd.request WHERE state <> 'closed'").await > 0,
        "work was left"
    );

    sqlx::raw_sql("TRUNCATE witness.disk").execute(&mut owner).await.unwrap();
    handed_in.extend(hand_in(&service, &mut producer, 12..18).await);
    service.rest(Duration::from_mins(3)).await;
    daemon.stop().await;
    // What was not shipped is a finding of the log's verification.
    sqlx::raw_sql("DROP FUNCTION witness.write() CASCADE").execute(&mut owner).await.unwrap();
    assert_done(&service, &handed_in);
    assert_eq!(
        service.count("SELECT count(*) FROM dsrd.request WHERE outcome IS NULL").await,
        0,
        "all by itself"
    );
    service.finish().await;
}

#[tokio::test]
async fn f_48_a_clock_that_differs_from_the_databases_by_more_than_five_minutes_is_not_believed() {
    let world = TestService::start().await;
    let clock = ManualClock::at(SystemClock.now());
    let mut before = TimeDelta::zero();
    for (ahead, believed) in [
        (TimeDelta::zero(), true),
        (TimeDelta::seconds(290), true),
        (TimeDelta::seconds(-290), true),
        (TimeDelta::seconds(310), false),
        (TimeDelta::hours(1), false),
        (TimeDelta::hours(-1), false),
        (TimeDelta::days(400), false),
        (TimeDelta::zero(), true),
    ] {
        clock.advance(ahead - before);
        before = ahead;
        let difference = dsrd::daemon::clocks::difference(&world.store, &clock).await.expect("a database");
        assert_eq!(difference.is_none(), believed, "{ahead}: {difference:?}");
    }
    world.finish().await;
}
