//! A bucket of an S3-compatible store: what it gets, and how an older database is found out by it.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use dsrd::audit::tlog::{Checkpoint, SignedNote, SigningKey};
use dsrd::audit::verify::{self, Directory, Plan, Policy, Tiles, Verdict};
use dsrd::audit::{Divergence, LogKeys, PublishError, PublishSettings, Publisher};
use dsrd::domain::Clock as _;
use dsrd::store::Store;

use crate::publishing::{database_settings, grow, no_bucket};
use crate::support::bucket::{KEY, PREFIX, Seen, Stub};
use crate::support::service::TestService;

fn publisher(service: &TestService, address: SocketAddr, entries: bool, key: &str) -> Publisher {
    let settings = PublishSettings {
        directory: service.directory.path().join("published"),
        entries,
        bucket_url: format!("http://{address}{PREFIX}"),
        bucket_region: "eu-south-1".to_owned(),
        bucket_key_file: "unused".into(),
        bucket_retain_days: 400,
        ..no_bucket()
    };
    settings.check().unwrap();
    let store = Store::connect_as_sealer(service.database.options(), &database_settings());
    Publisher::new(store, settings, None, service.clock.clone()).unwrap().with_bucket(key).unwrap()
}

#[tokio::test]
async fn a_bucket_gets_the_tree_when_it_is_due_locked_and_verifiable() {
    let service = TestService::start().await;
    let (stub, address, _task) = Stub::start().await;
    let publisher = publisher(&service, address, true, KEY);
    grow(&service, 300).await;
    publisher.round().await.unwrap();
    let names = stub.names();
    for expected in ["checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000"] {
        assert!(names.contains(&format!("/audit-log/venue/{expected}")), "{expected}: {names:?}");
    }
    assert_eq!(stub.sizes("/audit-log/venue/checkpoint"), 300);
    let puts: Vec<Seen> =
        stub.seen.lock().unwrap().iter().filter(|seen| seen.method == "PUT").cloned().collect();
    assert!(puts.last().unwrap().path.ends_with("/checkpoint"), "what it needs is there before");
    let until = (service.clock.now() + chrono::TimeDelta::days(400)).format("%Y-%m-%d").to_string();
    for put in &puts {
        assert_eq!(put.headers["x-amz-object-lock-mode"], "COMPLIANCE");
        assert!(put.headers["x-amz-object-lock-retain-until-date"].starts_with(&until), "{put:?}");
        for signed in
            ["x-amz-object-lock-mode", "x-amz-checksum-sha256", "x-amz-object-lock-retain-until-date"]
        {
            assert!(put.headers["authorization"].contains(signed), "{signed} is signed");
        }
    }

    // What lies there is a whole log.
    let folder = tempfile::tempdir().unwrap();
    stub.copy_to(folder.path());
    let key = service.sealer.verifier_keys().await[0].parse().unwrap();
    let plan = Plan {
        policy: Policy::of_logs(vec![key]),
        known_heads: Vec::new(),
        since: 0,
        now: service.clock.now(),
    };
    let report = verify::verify(&mut Tiles::of(Directory(folder.path().to_owned())), &plan).await.unwrap();
    assert_eq!((report.verdict, report.size), (Verdict::Ok, 300), "{:#?}", report.findings);

    grow(&service, 5).await;
    publisher.round().await.unwrap();
    assert_eq!(stub.sizes("/audit-log/venue/checkpoint"), 300, "the next one is not due");
    service.clock.advance(chrono::TimeDelta::seconds(601));
    publisher.round().await.unwrap();
    assert_eq!(stub.sizes("/audit-log/venue/checkpoint"), 305);
    assert_eq!(stub.written("/audit-log/venue/checkpoint"), 2);
    let status = publisher.status().await.unwrap();
    let bucket = status.iter().find(|each| each.kind == "bucket").unwrap();
    assert_eq!((bucket.size, bucket.behind, &bucket.problem), (Some(305), 0, &None));
    service.finish().await;
}

/// What lies in the bucket is a whole log with all of its entries.
async fn verified(service: &TestService, stub: &Stub) -> (Verdict, u64) {
    let folder = tempfile::tempdir().unwrap();
    stub.copy_to(folder.path());
    let key = service.sealer.verifier_keys().await[0].parse().unwrap();
    let plan = Plan {
        policy: Policy::of_logs(vec![key]),
        known_heads: Vec::new(),
        since: 0,
        now: service.clock.now(),
    };
    let report = verify::verify(&mut Tiles::of(Directory(folder.path().to_owned())), &plan).await.unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    (report.verdict, report.size)
}

#[tokio::test]
async fn a_bucket_gets_every_entry_that_it_missed_also_after_a_fill_that_broke_off() {
    let service = TestService::start().await;
    let (stub, address, _task) = Stub::start().await;
    let due = || service.clock.advance(chrono::TimeDelta::seconds(601));
    // Entries were not wanted at first. What is filled up with them breaks off after one of six bundles.
    grow(&service, 700).await;
    publisher(&service, address, false, KEY).round().await.unwrap();
    grow(&service, 700).await;
    due();
    let tiles = 5;
    *stub.room.lock().unwrap() = Some(tiles + 1);
    let entries = || stub.names().iter().filter(|name| name.contains("/tile/entries/")).count();
    let ours = publisher(&service, address, true, KEY);
    ours.round().await.unwrap();
    assert_eq!(entries(), 1, "{:?}", stub.names());
    *stub.room.lock().unwrap() = None;
    ours.round().await.unwrap();
    assert_eq!(verified(&service, &stub).await, (Verdict::Ok, 1_400));

    // What is whole is not looked at again, nor written.
    let (listings, first) = (stub.listings(), "/audit-log/venue/tile/entries/000");
    assert!(listings > 0);
    grow(&service, 100).await;
    due();
    ours.round().await.unwrap();
    assert_eq!((stub.listings(), stub.written(first)), (listings, 1));

    // Wanted no more for a while, and wanted again.
    grow(&service, 600).await;
    due();
    publisher(&service, address, false, KEY).round().await.unwrap();
    grow(&service, 100).await;
    due();
    publisher(&service, address, true, KEY).round().await.unwrap();
    assert_eq!(verified(&service, &stub).await, (Verdict::Ok, 2_200));
    assert_eq!(stub.written(first), 1);
    service.finish().await;
}

#[tokio::test]
async fn a_bucket_whose_first_fill_breaks_off_goes_on_behind_the_last_stage_in_another_process_too() {
    let service = TestService::start().await;
    let (stub, address, _task) = Stub::start().await;
    // A stage has 4,096 entries at least, and ends with a checkpoint that was kept.
    grow(&service, 4_200).await;
    grow(&service, 300).await;
    let (tiles, bundles, checkpoint) = (18, 17, 1);
    *stub.room.lock().unwrap() = Some(tiles + bundles + checkpoint + 2);
    publisher(&service, address, true, KEY).round().await.unwrap();
    assert_eq!(verified(&service, &stub).await, (Verdict::Ok, 4_200));
    let behind = async |publisher: &Publisher| {
        let status = publisher.status().await.unwrap();
        status.into_iter().find(|each| each.kind == "bucket").unwrap().behind
    };
    *stub.room.lock().unwrap() = None;
    let anew = publisher(&service, address, true, KEY);
    assert_eq!(behind(&anew).await, 300);
    anew.round().await.unwrap();
    assert_eq!(verified(&service, &stub).await, (Verdict::Ok, 4_500));
    for early in ["tile/0/000", "tile/0/015", "tile/entries/000", "tile/entries/015"] {
        assert_eq!(stub.written(&format!("{PREFIX}{early}")), 1, "{early}");
    }
    service.finish().await;
}

#[tokio::test]
async fn f_26_a_bucket_that_is_ahead_or_another_logs_stops_everything_and_one_that_is_away_nothing() {
    let service = TestService::start().await;
    let (stub, address, task) = Stub::start().await;
    let ours = publisher(&service, address, false, KEY);
    grow(&service, 10).await;
    ours.round().await.unwrap();
    let name = "/audit-log/venue/checkpoint";
    assert!(!stub.names().iter().any(|name| name.contains("entries")), "only hashes leave");
    let published = stub.objects.lock().unwrap()[name].clone();

    // What a newer copy of the database would have published; who signed it is not asked.
    let note: SignedNote = String::from_utf8(published.clone()).unwrap().parse().unwrap();
    let now: Checkpoint = note.text().parse().unwrap();
    let keys = LogKeys::generate();
    let put = |checkpoint: &Checkpoint| {
        let key: SigningKey = keys.signing_keys(&checkpoint.origin).remove(0);
        let note = checkpoint.sign([&key]).unwrap().to_string();
        stub.objects.lock().unwrap().insert(name.to_owned(), note.into_bytes());
    };
    put(&Checkpoint { size: 40, ..now.clone() });
    let ahead = ours.round().await.unwrap_err();
    assert!(
        matches!(&ahead, PublishError::Diverged(Divergence::Ahead { outside: 40, inside: 10, place, .. }) if place.contains("bucket")),
        "{ahead}"
    );
    // That it cannot be asked any more settles nothing, also where work began anew meanwhile, and a process that did not see it
    // knows nothing.
    stub.away.store(true, Ordering::Relaxed);
    assert!(matches!(ours.round().await, Err(PublishError::Diverged(Divergence::Ahead { outside: 40, .. }))));
    let ours = publisher(&service, address, false, KEY).remembering(&ours);
    assert!(matches!(ours.round().await, Err(PublishError::Diverged(Divergence::Ahead { outside: 40, .. }))));
    publisher(&service, address, false, KEY).round().await.unwrap();
    stub.away.store(false, Ordering::Relaxed);
    put(&Checkpoint { size: 9, ..now.clone() });
    assert!(matches!(ours.round().await, Err(PublishError::Diverged(Divergence::Fork { size: 9, .. }))));
    put(&Checkpoint { origin: "other.example/log".parse().unwrap(), ..now });
    assert!(matches!(ours.round().await, Err(PublishError::Diverged(Divergence::Foreign { .. }))));
    stub.objects.lock().unwrap().insert(name.to_owned(), published);
    ours.round().await.unwrap();

    // A key that is refused, and a store that is away, are told and stop nothing.
    let problem = async |publisher: &Publisher| {
        publisher.round().await.unwrap();
        let status = publisher.status().await.unwrap();
        status.into_iter().find(|each| each.kind == "bucket").unwrap().problem.unwrap()
    };
    let refused = publisher(&service, address, false, "AKIDOTHER wrong");
    assert!(problem(&refused).await.contains("refuses the access key"));
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let gone = publisher(&service, "127.0.0.1:9".parse().unwrap(), false, KEY);
    assert!(problem(&gone).await.contains("cannot be reached"));
    assert!(!format!("{gone:?}").contains("wJalrXUtnFEMI"), "the secret is not shown");
    service.finish().await;
}
