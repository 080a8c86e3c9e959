//! A published directory that lacks something, or has too much: it is filled up, and what was pruned goes from it. And one that
//! does not answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dsrd::audit::{RestoreReason, Restored};

use crate::publishing::{grow, owner, publisher, read_published};
use crate::support::service::TestService;

/// Lets entries go up to a number, as pruning does.
async fn prune(service: &TestService, up_to: u64) {
    let statements = format!(
        "ALTER TABLE audit.entry DISABLE TRIGGER ALL;
         DELETE FROM audit.entry WHERE seq <= {up_to};
         ALTER TABLE audit.entry ENABLE TRIGGER ALL"
    );
    let mut owner = owner(service).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut owner).await.unwrap();
}

/// A file that nobody answers who opens it, as of a network's file system that is away. It lets go of its reader at the end.
struct Silent(PathBuf);

impl Silent {
    fn put(path: PathBuf) -> Self {
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        Self(path)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        use std::os::unix::fs::OpenOptionsExt as _;
        // Without waiting for a reader.
        let nonblocking = 0o4000;
        drop(fs::OpenOptions::new().write(true).custom_flags(nonblocking).open(&self.0));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let listed = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = listed.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_directory_gets_every_entry_that_it_missed_also_after_a_fill_that_broke_off() {
    let service = TestService::start().await;
    let folders = tempfile::tempdir().unwrap();
    let directory = folders.path().join("log");
    let keys = service.sealer.verifier_keys().await;
    let publisher = |entries| publisher(&service, &directory, entries, Vec::new());
    let entries = directory.join("tile/entries");
    // Entries were not wanted at first. What is filled up with them breaks off at the third bundle, as on a full disk.
    grow(&service, 1_000).await;
    publisher(false).round().await.unwrap();
    std::fs::create_dir_all(entries.join("002/in the way")).unwrap();
    let ours = publisher(true);
    ours.round().await.unwrap();
    assert!(entries.join("001").exists() && !entries.join("003.p").exists());
    std::fs::remove_dir_all(entries.join("002")).unwrap();
    ours.round().await.unwrap();
    assert_eq!(read_published(&directory, &keys), 1_000);

    // What is whole is not written again.
    let written = || std::fs::metadata(entries.join("000")).unwrap().modified().unwrap();
    let before = written();
    grow(&service, 10).await;
    ours.round().await.unwrap();
    // Wanted no more for a while, and wanted again: by a process that starts anew.
    grow(&service, 700).await;
    publisher(false).round().await.unwrap();
    publisher(true).round().await.unwrap();
    assert_eq!(read_published(&directory, &keys), 1_710);
    grow(&service, 700).await;
    publisher(false).round().await.unwrap();
    grow(&service, 100).await;
    // And by one that wanted them all the time, beside one that did not.
    ours.round().await.unwrap();
    assert_eq!((read_published(&directory, &keys), written()), (2_510, before));

    // A directory that is exchanged for an empty one gets all again.
    std::fs::rename(&directory, folders.path().join("away")).unwrap();
    ours.round().await.unwrap();
    assert_eq!(read_published(&directory, &keys), 2_510);
}

#[tokio::test]
async fn what_was_pruned_goes_from_a_directory_that_has_holes() {
    let service = TestService::start().await;
    let folders = tempfile::tempdir().unwrap();
    let directory = folders.path().join("log");
    let publisher = publisher(&service, &directory, true, Vec::new());
    grow(&service, 2_000).await;
    publisher.round().await.unwrap();
    // Of an earlier time, in which entries were not wanted, and a fill that was broken off.
    let entries = directory.join("tile/entries");
    fs::remove_file(entries.join("002")).unwrap();
    fs::create_dir_all(entries.join("001.p")).unwrap();
    fs::write(entries.join("001.p/17"), "of a fill that was broken off").unwrap();
    prune(&service, 1_024).await;
    grow(&service, 10).await;
    publisher.round().await.unwrap();
    assert_eq!(names(&entries), ["004", "005", "006", "007.p"]);
}

#[tokio::test]
async fn what_was_pruned_stays_in_a_directory_that_cannot_take_the_head_that_allows_it() {
    let service = TestService::start().await;
    let folders = tempfile::tempdir().unwrap();
    let directory = folders.path().join("log");
    let publisher = publisher(&service, &directory, true, Vec::new());
    let keys = service.sealer.verifier_keys().await;
    grow(&service, 600).await;
    publisher.round().await.unwrap();
    prune(&service, 256).await;
    grow(&service, 10).await;
    // As on a full disk, where removing works and writing does not.
    let in_the_way = directory.join("tile/0/002.p/98");
    fs::create_dir_all(in_the_way.join("x")).unwrap();
    publisher.round().await.unwrap();
    assert_eq!(read_published(&directory, &keys), 600, "a whole log");
    fs::remove_dir_all(&in_the_way).unwrap();
    publisher.round().await.unwrap();
    assert_eq!(names(&directory.join("tile/entries")), ["001", "002.p"]);
}

#[tokio::test]
async fn r_72_what_was_published_before_a_restore_is_forgotten_too() {
    let service = TestService::start().await;
    let folders = tempfile::tempdir().unwrap();
    let directory = folders.path().join("log");
    let publisher = publisher(&service, &directory, true, Vec::new());
    let keys = service.sealer.verifier_keys().await;
    grow(&service, 500).await;
    publisher.round().await.unwrap();
    let restored = Restored { origin: None, size: Some(500), root: None, reason: RestoreReason::Drill };
    let name = service.sealer.fork(restored).await.unwrap();
    let fork = directory.join(name.rsplit_once('/').unwrap().1);
    grow(&service, 300).await;
    publisher.round().await.unwrap();

    prune(&service, 256).await;
    grow(&service, 10).await;
    publisher.round().await.unwrap();
    assert_eq!(names(&fork.join("tile/entries"))[0], "001");
    assert_eq!(read_published(&directory, &keys), 500, "what was before lacks all or nothing");
    prune(&service, 512).await;
    grow(&service, 10).await;
    publisher.round().await.unwrap();
    assert!(!directory.join("tile/entries").exists(), "nothing of it is kept any longer");
    assert!(
        directory.join("checkpoint").exists() && directory.join("tile/0/000").exists(),
        "its hashes stay"
    );
    assert_eq!(names(&fork.join("tile/entries"))[0], "002");
}

#[tokio::test]
async fn a_directory_that_does_not_answer_holds_up_no_look_and_stops_nothing() {
    let service = TestService::start().await;
    let folder = tempfile::tempdir().unwrap();
    let silent = Silent::put(folder.path().join("checkpoint"));
    let publisher = publisher(&service, folder.path(), false, Vec::new());
    grow(&service, 3).await;
    let looks = async {
        publisher.glance().await.unwrap();
        publisher.round().await.unwrap();
        publisher.status().await.unwrap()
    };
    let status = tokio::time::timeout(Duration::from_mins(1), looks).await.expect("an answer");
    assert!(status[0].problem.as_ref().is_some_and(|problem| problem.contains("in time")), "{status:?}");
    fs::rename(&silent.0, folder.path().join("aside")).unwrap();
    drop(Silent(folder.path().join("aside")));
    publisher.round().await.unwrap();
    assert_eq!(publisher.status().await.unwrap()[0].size, Some(3));
}
