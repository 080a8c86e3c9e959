//! Packages: their link, staff's way in, and their end.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use dsrd::audit::Actor;
use dsrd::delivery::{
    DeliveryError, Download, Handover, NewPackage, PackageId, Piece, Redemption, count_not_here,
    destroy_expired, open_for_staff, record_package, remove_leftovers,
};
use dsrd::domain::{Clock as _, IncidentCategory, IncidentCause, IncidentEnd, Personal, RequestId, random};
use dsrd::triage;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use uuid::Uuid;

use crate::world::{ADA, World};

pub(crate) struct Shelf {
    pub(crate) directory: TempDir,
}

pub(crate) struct Stored {
    pub(crate) request: RequestId,
    pub(crate) token: String,
    pub(crate) file_name: String,
    pub(crate) clear: Vec<u8>,
}

impl Shelf {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn handover(&self, world: &World) -> Handover {
        Handover::new(
            &world.settings,
            world.store.clone(),
            Arc::clone(&world.keys),
            world.controllers(),
            Arc::clone(&world.clock) as _,
            self.path().to_owned(),
        )
    }

    /// A package of random bytes, expiring in 14 days.
    pub(crate) async fn package(&self, world: &World, bytes: usize) -> Stored {
        let request = world.request().await;
        let id = Uuid::now_v7();
        let mut clear = vec![0_u8; bytes];
        for piece in clear.chunks_mut(32) {
            piece.copy_from_slice(&random::bytes::<32>()[..piece.len()]);
        }
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public();
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as _)).unwrap();
        let mut sealed = Vec::new();
        let mut writer = encryptor.wrap_output(&mut sealed).unwrap();
        writer.write_all(&clear).unwrap();
        writer.finish().unwrap();
        let file_name = format!("{id}.zip.age");
        std::fs::write(self.path().join(&file_name), &sealed).unwrap();
        let token = random::token();
        let now = world.clock.now();
        let package = NewPackage {
            organisation: world.organisation().clone(),
            request,
            package_id: PackageId(id),
            file_name: file_name.clone(),
            identity: Personal::new(
                age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned(),
            ),
            token: Personal::new(token.clone()),
            sha256: Sha256::digest(&sealed).into(),
            bytes: sealed.len() as u64,
            manifest: serde_json::json!({}),
            created_at: now,
            expires_at: now + TimeDelta::days(14),
        };
        let mut tx = world.store.begin("test").await.unwrap();
        record_package(&mut tx, &world.keys, package).await.unwrap();
        tx.commit().await.unwrap();
        Stored { request, token, file_name, clear }
    }
}

/// All of a download, which says its end.
async fn read_all(mut download: Download) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match download.pieces.recv().await.expect("its end is said").unwrap() {
            Piece::Bytes(bytes) => all.extend(bytes),
            Piece::End => return all,
        }
    }
}

/// Waits until the log of a request ends with a fetch of that outcome.
pub(crate) async fn until_download(world: &World, request: RequestId, outcome: &str) {
    let patience = std::time::Instant::now() + Duration::from_mins(2);
    loop {
        assert!(std::time::Instant::now() < patience, "no download was {outcome}");
        let last: Option<String> = sqlx::query_scalar(
            "SELECT detail ->> 'download' FROM audit.pending WHERE case_id = $1 AND action = 'package.fetched'
             ORDER BY inbox_id DESC LIMIT 1",
        )
        .bind(request.0)
        .fetch_optional(&mut *world.store.connection().await.unwrap())
        .await
        .unwrap()
        .flatten();
        if last.as_deref() == Some(outcome) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// The download that a right answer begins; `None` when the link does not work.
async fn redeem(handover: &Handover, stored: &Stored) -> Option<Download> {
    match handover.redeem(&stored.token, &answer(ADA)).await.unwrap() {
        Redemption::Download(download) => Some(download),
        Redemption::NoSuchLink => None,
        other => panic!("{other:?}"),
    }
}

fn answer(text: &str) -> Personal<String> {
    Personal::new(text.to_owned())
}

type Columns = (Option<Vec<u8>>, Option<Vec<u8>>, Option<DateTime<Utc>>, Option<DateTime<Utc>>);

async fn columns(world: &World, request: RequestId) -> Columns {
    sqlx::query_as(
        "SELECT sealed_identity, token_sha256, fetched_at, destroyed_at FROM dsrd.package WHERE request_id = $1",
    )
    .bind(request.0)
    .fetch_one(&mut *world.store.connection().await.unwrap())
    .await
    .unwrap()
}

#[tokio::test]
async fn a_package_is_fetched_whole_and_once() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let handover = shelf.handover(&world);
    let stored = shelf.package(&world, 700_000).await;

    let landing = handover.look(&stored.token).await.unwrap().unwrap();
    assert_eq!(landing.reference, dsrd::domain::Reference::of(stored.request).as_str());
    assert_eq!(landing.expires, "7 December 2026, 10:00 CET");
    assert!(columns(&world, stored.request).await.2.is_none(), "looking uses nothing up");

    let download = redeem(&handover, &stored).await.unwrap();
    assert_eq!(download.file_name, format!("{}.zip", landing.reference));
    assert!(read_all(download).await == stored.clear);
    until_download(&world, stored.request, "complete").await;

    assert!(handover.look(&stored.token).await.unwrap().is_none());
    assert!(redeem(&handover, &stored).await.is_none());
    let (identity, token, fetched_at, _) = columns(&world, stored.request).await;
    assert!(identity.is_some() && token.is_none() && fetched_at.is_some());
}

#[tokio::test]
async fn s_2_five_wrong_answers_lock_a_link_whoever_is_asked() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let stored = shelf.package(&world, 100).await;
    for left in [4, 3, 2, 1] {
        // Another process each time: the tries are counted in the database.
        let handover = shelf.handover(&world);
        for nothing in ["", "  "] {
            let unanswered = handover.redeem(&stored.token, &answer(nothing)).await.unwrap();
            assert!(matches!(unanswered, Redemption::Unproven { tries_left: None, .. }), "{unanswered:?}");
        }
        let wrong = handover.redeem(&stored.token, &answer("eve@people.example")).await.unwrap();
        match wrong {
            Redemption::Unproven { tries_left: Some(found), landing } => {
                assert_eq!((found, landing.expires.as_str()), (left, "7 December 2026, 10:00 CET"));
            }
            other => panic!("{other:?}"),
        }
    }
    let handover = shelf.handover(&world);
    let last = handover.redeem(&stored.token, &answer("+39 06 1234 5678")).await.unwrap();
    assert!(matches!(last, Redemption::Locked), "{last:?}");
    // From now on the right answer is of no use either.
    assert!(redeem(&handover, &stored).await.is_none());
    assert!(handover.look(&stored.token).await.unwrap().is_none());
    assert_eq!(world.log(stored.request).await, ["package.refused"; 5]);
    let everything = world.everything_stored().await;
    assert!(!everything.contains("eve@") && everything.contains("\"locked\": true"), "{everything}");
}

#[tokio::test]
async fn s_2_answers_given_at_once_are_counted_one_by_one() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let handover = shelf.handover(&world);
    let stored = shelf.package(&world, 100).await;
    let guesses =
        (0..12).map(|number| {
            let (handover, token) = (handover.clone(), stored.token.clone());
            async move {
                handover.redeem(&token, &answer(&format!("guess{number}@people.example"))).await.unwrap()
            }
        });
    let results = futures_util::future::join_all(guesses).await;
    let judged = results.iter().filter(|each| !matches!(each, Redemption::NoSuchLink)).count();
    assert_eq!(judged, 5, "{results:?}");
    assert_eq!(world.log(stored.request).await.len(), 5);
}

#[tokio::test]
async fn s_11_the_request_s_own_identifiers_are_the_second_proof_in_any_spelling() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let handover = shelf.handover(&world);
    for right in ["ada@people.example", "  ADA@People.EXAMPLE "] {
        let stored = shelf.package(&world, 100).await;
        let redeemed = handover.redeem(&stored.token, &answer(right)).await.unwrap();
        assert!(matches!(redeemed, Redemption::Download(_)), "{right}: {redeemed:?}");
    }
    // Of another request of the same organisation, it opens nothing.
    let stored = shelf.package(&world, 100).await;
    world.request_of(dsrd::domain::IdentifierKind::Phone, "+39 06 6982 0000").await;
    let other = handover.redeem(&stored.token, &answer("+390669820000")).await.unwrap();
    assert!(matches!(other, Redemption::Unproven { tries_left: Some(4), .. }), "{other:?}");
}

#[tokio::test]
async fn s_11_of_two_that_redeem_at_once_one_wins() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let (one, other) = (shelf.handover(&world), shelf.handover(&world));
    for _ in 0..10 {
        let stored = shelf.package(&world, 100).await;
        let (first, second) = tokio::join!(redeem(&one, &stored), redeem(&other, &stored));
        let winners = [first, second].into_iter().flatten().count();
        assert_eq!(winners, 1);
    }
}

#[tokio::test]
async fn a_broken_download_may_begin_again_for_a_quarter_of_an_hour() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let handover = shelf.handover(&world);
    let stored = shelf.package(&world, 2_000_000).await;

    let mut download = redeem(&handover, &stored).await.unwrap();
    download.pieces.recv().await.unwrap().unwrap();
    assert!(redeem(&handover, &stored).await.is_none(), "not while the first is under way");
    drop(download);
    until_download(&world, stored.request, "broken_off").await;

    world.clock.advance(TimeDelta::seconds(899));
    assert!(handover.look(&stored.token).await.unwrap().is_some());
    let (first, second) = tokio::join!(redeem(&handover, &stored), redeem(&handover, &stored));
    let mut winners: Vec<_> = [first, second].into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "one of two");
    let mut again = winners.remove(0);
    again.pieces.recv().await.unwrap().unwrap();
    drop(again);
    until_download(&world, stored.request, "broken_off").await;

    world.clock.advance(TimeDelta::seconds(1));
    assert!(redeem(&handover, &stored).await.is_none(), "counted from the first beginning");
}

#[tokio::test]
async fn a_file_that_does_not_open_uses_no_link_up() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let handover = shelf.handover(&world);
    let stored = shelf.package(&world, 100).await;
    let path = shelf.path().join(&stored.file_name);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, b"not a package").unwrap();
    assert!(handover.redeem(&stored.token, &answer(ADA)).await.is_err());
    std::fs::write(&path, whole).unwrap();
    assert!(read_all(redeem(&handover, &stored).await.unwrap()).await == stored.clear);
}

#[tokio::test]
async fn an_altered_file_ends_in_an_error_not_in_a_shorter_archive() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let handover = shelf.handover(&world);
    let stored = shelf.package(&world, 300_000).await;
    let path = shelf.path().join(&stored.file_name);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() - 1000;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut download = redeem(&handover, &stored).await.unwrap();
    let mut failed = false;
    while let Some(piece) = download.pieces.recv().await {
        failed |= piece.is_err();
    }
    assert!(failed);
    until_download(&world, stored.request, "broken_off").await;
}

#[tokio::test]
async fn s_11_who_leaves_at_the_moment_in_which_the_link_is_used_up_may_begin_again() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let handover = shelf.handover(&world);
    let stored = shelf.package(&world, 100_000).await;
    // The commit waits until it is let through.
    let mut owner = world.owner().await;
    for statement in [
        "CREATE FUNCTION dsrd.wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER wait_at_commit AFTER UPDATE ON dsrd.package
           DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dsrd.wait_at_commit()",
    ] {
        sqlx::query(statement).execute(&mut owner).await.unwrap();
    }
    let mut gate = world.store.begin("test").await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(4711)").execute(&mut *gate).await.unwrap();
    let (leaving, token) = (handover.clone(), stored.token.clone());
    let leaving = tokio::spawn(async move { leaving.redeem(&token, &answer(ADA)).await });
    let committing = "SELECT EXISTS (SELECT FROM pg_locks
                                     WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted
                                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    while !sqlx::query_scalar::<_, bool>(committing).fetch_one(&mut *gate).await.unwrap() {
        tokio::task::yield_now().await;
    }
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    gate.commit().await.unwrap();

    let ended = until_download(&world, stored.request, "broken_off");
    tokio::time::timeout(std::time::Duration::from_mins(1), ended).await.expect("its end is recorded");
    let again = redeem(&handover, &stored).await.expect("the link works again");
    assert!(read_all(again).await == stored.clear);
}

#[tokio::test]
async fn an_expired_package_loses_its_key_its_link_and_its_file() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let handover = shelf.handover(&world);
    let stored = shelf.package(&world, 100).await;
    world.clock.advance(TimeDelta::days(14) - TimeDelta::seconds(1));
    assert_eq!(destroy_expired(&world.store, shelf.path(), world.clock.now()).await.unwrap(), 0);
    assert!(handover.look(&stored.token).await.unwrap().is_some());

    world.clock.advance(TimeDelta::seconds(1));
    assert!(handover.look(&stored.token).await.unwrap().is_none(), "before it is destroyed, too");
    assert_eq!(destroy_expired(&world.store, shelf.path(), world.clock.now()).await.unwrap(), 1);
    assert_eq!(destroy_expired(&world.store, shelf.path(), world.clock.now()).await.unwrap(), 0);
    let (identity, token, _, destroyed_at) = columns(&world, stored.request).await;
    assert!(identity.is_none() && token.is_none() && destroyed_at.is_some());
    assert!(!shelf.path().join(&stored.file_name).exists());
    assert_eq!(world.log(stored.request).await, ["package.destroyed"]);
    let actor = Actor::Person("operator".to_owned());
    let opened = open_for_staff(
        &world.store,
        &world.keys,
        shelf.path(),
        world.organisation(),
        stored.request,
        actor,
        world.clock.now(),
    );
    assert!(opened.await.unwrap().is_none());
}

#[tokio::test]
async fn r_36_a_declared_breach_closes_the_link_and_keeps_the_package_until_it_is_ended() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let handover = shelf.handover(&world);
    let stored = shelf.package(&world, 100).await;
    let dpo = || Actor::Person("dpo".to_owned());
    let (desk, controller, request) = (world.desk(), &world.controller, stored.request);
    let breach = (IncidentCause::Misdirected, &[IncidentCategory::Profile][..], world.clock.now());
    let mut tx = world.store.begin("test").await.unwrap();
    triage::declare_incident(&mut tx, &desk, controller, request, breach, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    assert!(handover.look(&stored.token).await.unwrap().is_none(), "whoever got the mail has nothing of it");
    assert!(redeem(&handover, &stored).await.is_none());
    assert!(world.everything_stored().await.contains("\"link_ended\": true"));

    world.clock.advance(TimeDelta::days(15));
    let now = world.clock.now();
    assert_eq!(destroy_expired(&world.store, shelf.path(), now).await.unwrap(), 0);
    let (store, keys, organisation) = (&world.store, &world.keys, world.organisation());
    let opened = open_for_staff(store, keys, shelf.path(), organisation, request, dpo(), now).await.unwrap();
    assert!(opened.is_some_and(|opened| opened.path.exists()), "what was disclosed can be found out");

    let mut tx = world.store.begin("test").await.unwrap();
    triage::end_incident(&mut tx, &desk, controller, request, IncidentEnd::Reported, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(destroy_expired(&world.store, shelf.path(), now).await.unwrap(), 1);
}

#[tokio::test]
async fn r_36_data_that_are_lost_or_altered_close_no_link() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let handover = shelf.handover(&world);
    let stored = shelf.package(&world, 100).await;
    let breach = (IncidentCause::Altered, &[IncidentCategory::Events][..], world.clock.now());
    let (desk, dpo) = (world.desk(), Actor::Person("dpo".to_owned()));
    let mut tx = world.store.begin("test").await.unwrap();
    triage::declare_incident(&mut tx, &desk, &world.controller, stored.request, breach, dpo).await.unwrap();
    tx.commit().await.unwrap();
    assert!(handover.look(&stored.token).await.unwrap().is_some());
}

#[tokio::test]
async fn staff_open_a_package_and_the_log_says_who() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let stored = shelf.package(&world, 1000).await;
    let opened = open_for_staff(
        &world.store,
        &world.keys,
        shelf.path(),
        world.organisation(),
        stored.request,
        Actor::Person("operator".to_owned()),
        world.clock.now(),
    )
    .await
    .unwrap()
    .unwrap();
    let key = dsrd::report::PackageKey::parse(opened.identity.expose()).unwrap();
    let mut clear = Vec::new();
    dsrd::report::open_package(&opened.path, &key, &mut clear).unwrap();
    assert!(clear == stored.clear);
    assert_eq!(world.log(stored.request).await, ["package.opened"]);
    assert!(!format!("{opened:?}").contains("AGE-SECRET"));
    let everything = world.everything_stored().await;
    assert!(everything.contains("person:operator") && !everything.contains(&stored.token));
}

#[tokio::test]
async fn a_package_whose_file_is_on_another_host_is_named_and_costs_the_person_nothing() {
    let (world, here, there) = (World::new().await, Shelf::new(), Shelf::new());
    let stored = there.package(&world, 100).await;
    let not_here = |error: DeliveryError| {
        assert!(
            matches!(&error, DeliveryError::PackageNotHere { directory } if directory == here.path()),
            "{error}"
        );
    };
    let answer = Personal::new(ADA.to_owned());
    not_here(here.handover(&world).redeem(&stored.token, &answer).await.unwrap_err());
    let opened = open_for_staff(
        &world.store,
        &world.keys,
        here.path(),
        world.organisation(),
        stored.request,
        Actor::Person("operator".to_owned()),
        world.clock.now(),
    );
    not_here(opened.await.unwrap_err());
    assert!(world.log(stored.request).await.is_empty(), "nobody opened or fetched anything");
    assert_eq!(count_not_here(&world.store, here.path()).await.unwrap(), 1);
    assert_eq!(count_not_here(&world.store, there.path()).await.unwrap(), 0);
    let redeemed = there.handover(&world).redeem(&stored.token, &answer).await.unwrap();
    assert!(matches!(redeemed, Redemption::Download(_)), "the link still works where the file is");
    drop(redeemed);
    until_download(&world, stored.request, "broken_off").await;
}

#[tokio::test]
async fn s_44_leftovers_are_removed_and_living_packages_stay() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let living = shelf.package(&world, 10).await;
    for name in ["half.zip.age.partial", "orphan.zip.age"] {
        std::fs::write(shelf.path().join(name), b"x").unwrap();
    }
    let hour_ago = DateTime::<Utc>::from(std::time::SystemTime::now()) - TimeDelta::hours(1);
    assert_eq!(remove_leftovers(&world.store, shelf.path(), hour_ago).await.unwrap(), 0, "too young");
    let soon = DateTime::<Utc>::from(std::time::SystemTime::now()) + TimeDelta::hours(1);
    assert_eq!(remove_leftovers(&world.store, shelf.path(), soon).await.unwrap(), 2);
    let left: Vec<_> =
        std::fs::read_dir(shelf.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [living.file_name.as_str()]);
    assert_eq!(remove_leftovers(&world.store, "/nowhere/at/all".as_ref(), soon).await.unwrap(), 0);
}
