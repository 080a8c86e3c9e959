//! A database from before a named fork, found out by what was published under the later name.

use dsrd::audit::{Divergence, LogKeys, PublishError, PublishSettings, Publisher, RestoreReason, Sealer};
use dsrd::store::Store;
use sqlx::Row as _;

use crate::publishing::{append, database_settings, dump, grow, no_bucket, owner, publisher, restore};
use crate::support::bucket::{KEY, PREFIX, Stub};
use crate::support::service::TestService;
use crate::support::settings::sealer;

/// Keeps what the log has beyond the dump, as a copy of a later moment does.
async fn dump_later(service: &TestService) {
    let statements = "CREATE TABLE public.later_head AS TABLE audit.head; CREATE TABLE public.later_edge AS TABLE audit.edge;
         CREATE TABLE public.later_entry AS
           SELECT seq, entry, sealed_at FROM audit.entry WHERE seq > (SELECT size FROM public.old_head);
         CREATE TABLE public.later_checkpoint AS
           SELECT * FROM audit.checkpoint WHERE size > (SELECT size FROM public.old_head);";
    sqlx::raw_sql(statements).execute(&mut owner(service).await).await.unwrap();
}

/// Puts the log back to that later moment.
async fn restore_later(service: &TestService) {
    restore(service).await;
    let statements = "BEGIN;
         ALTER TABLE audit.head DISABLE TRIGGER ALL;
         INSERT INTO audit.entry (seq, entry, sealed_at) SELECT * FROM public.later_entry;
         INSERT INTO audit.checkpoint SELECT * FROM public.later_checkpoint;
         DELETE FROM audit.edge; INSERT INTO audit.edge SELECT * FROM public.later_edge;
         DELETE FROM audit.head; INSERT INTO audit.head SELECT * FROM public.later_head;
         ALTER TABLE audit.head ENABLE TRIGGER ALL;
         COMMIT;";
    sqlx::raw_sql(statements).execute(&mut owner(service).await).await.unwrap();
}

async fn opened(service: &TestService) -> Sealer {
    let keys = LogKeys::from_text(&service.log_keys).unwrap();
    sealer(&service.database, keys, service.clock.clone()).await.unwrap()
}

/// Names the fork that a place outside asks for; answers with the name.
async fn recover(service: &TestService, publisher: &Publisher) -> String {
    let Err(PublishError::Diverged(found)) = publisher.look().await else { panic!("nothing diverges") };
    let restored = found.lost(RestoreReason::HardwareFailure).unwrap();
    let sealer = opened(service).await;
    let name = sealer.fork(restored).await.unwrap();
    append(service, 90).await;
    sealer.seal_everything().await.unwrap();
    sealer.keep_checkpoint().await.unwrap();
    sealer.close().await;
    name
}

#[track_caller]
fn later_name(found: Result<(), PublishError>) -> (String, u64) {
    match found {
        Err(PublishError::Diverged(Divergence::LaterName { origin, size, .. })) => (origin, size),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn f_26_a_copy_from_before_a_named_fork_is_found_out_also_where_it_continues_all_of_its_own_name() {
    let service = TestService::start().await;
    let folders = tempfile::tempdir().unwrap();
    let (directory, beside) = (folders.path().join("log"), folders.path().join("beside"));
    let (_stub, address, _task) = Stub::start().await;
    let by_directory = || publisher(&service, &directory, false, Vec::new());
    let by_bucket = {
        let settings = PublishSettings {
            directory: beside.clone(),
            bucket_url: format!("http://{address}{PREFIX}"),
            bucket_region: "eu-south-1".to_owned(),
            bucket_key_file: "unused".into(),
            ..no_bucket()
        };
        let store = Store::connect_as_sealer(service.database.options(), &database_settings());
        Publisher::new(store, settings, None, service.clock.clone()).unwrap().with_bucket(KEY).unwrap()
    };
    let publish = async || {
        service.clock.advance(chrono::TimeDelta::seconds(601));
        by_directory().round().await.unwrap();
        by_bucket.round().await.unwrap();
    };
    // What its own directory tells is not asked for here.
    let told_by_bucket = async || {
        if beside.exists() {
            std::fs::remove_dir_all(&beside).unwrap();
        }
        by_bucket.round().await
    };
    grow(&service, 300).await;
    publish().await;
    dump(&service).await;
    grow(&service, 50).await;
    publish().await;
    dump_later(&service).await;
    restore(&service).await;
    let first = recover(&service, &by_directory()).await;
    publish().await;

    // The copy that the fork goes on from: the work under the later name is more than what its own name lost.
    restore(&service).await;
    assert_eq!(later_name(by_directory().round().await), (first.clone(), 391));
    assert_eq!(later_name(told_by_bucket().await), (first.clone(), 391));
    // A copy of a later moment: whatever was published under its own name agrees.
    restore_later(&service).await;
    for found in [by_directory().round().await, by_directory().glance().await, told_by_bucket().await] {
        assert_eq!(later_name(found), (first.clone(), 391));
    }
    assert!(!beside.exists(), "nothing is published of a log that was found out");
    let status = by_bucket.status().await.unwrap();
    assert!(status[1].problem.as_ref().is_some_and(|problem| problem.contains(&first)), "{status:?}");

    // It goes on under a name that is later than both, and says which one is lost.
    let second = recover(&service, &by_directory()).await;
    assert!(second > first, "{second}");
    publish().await;
    let mut owner = owner(&service).await;
    let row =
        sqlx::query("SELECT detail FROM audit_view.log WHERE seq = 351").fetch_one(&mut owner).await.unwrap();
    let mut detail: serde_json::Value = row.get("detail");
    let root = detail.as_object_mut().unwrap().remove("former_root").unwrap();
    assert_eq!(root.as_str().unwrap().len(), 64);
    let (own, _) = first.rsplit_once("/restored-").unwrap();
    assert_eq!(
        detail,
        serde_json::json!({
            "former_origin": first, "former_size": 391, "copy_origin": own, "kept": 350, "reason": "hardware_failure",
        })
    );
}
