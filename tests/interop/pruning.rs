//! Entries past their term go by whole partitions, and nothing else goes that way.

use std::fs;

use chrono::{DateTime, Days, Utc};
use dsrd::audit::export::{self, ExportError, LineFormat, Selection};
use dsrd::audit::forget::{self, HoldReason, Prunable};
use dsrd::audit::tlog::leaf_hash;
use dsrd::audit::verify::{self, Database, Directory, Tiles, Verdict};
use dsrd::audit::{Action, Actor, Detail, PublishSettings, Publisher, append_about_log};
use dsrd::domain::{Clock as _, SystemClock};
use dsrd::store::{Store, Tx};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::forgetting::{
    MONTHS, age, fill_earlier, forget_after, forget_now, in_order, sealer_settings, text,
};
use crate::log::{Log, execute, fill, plan, verified};
use crate::support::oracle;
use crate::support::service::TestService;

/// Asks the database itself to prune; its error as text.
async fn prune(log: &Log, id: &str) -> Result<(), String> {
    execute(&log.options(), &format!("SET ROLE dsrd_service; SELECT audit.prune('{id}')"))
        .await
        .map_err(|error| error.to_string())
}

/// Announces that entries are to go; the id of the entry, where there is one now.
async fn announce(tx: &mut Tx, service: &TestService, prunable: &Prunable) -> Option<Uuid> {
    let (actor, clock) = (Actor::Process("upkeep"), &*service.desk.clock);
    forget::announce_pruning(tx, prunable, MONTHS, actor, clock).await.unwrap().map(|id| id.0)
}

/// A publisher into a directory, with entries.
fn published(service: &TestService) -> Publisher {
    let settings = PublishSettings {
        every_secs: 10,
        directory: service.directory.path().join("published"),
        entries: true,
        witnesses: Vec::new(),
        mail_to: String::new(),
        mail_every_secs: 86_400,
        bucket_url: String::new(),
        bucket_region: String::new(),
        bucket_key_file: std::path::PathBuf::new(),
        bucket_every_secs: 600,
        bucket_retain_days: 0,
        timestamp_url: String::new(),
        timestamp_every_secs: 3_600,
        timestamp_certificate_file: std::path::PathBuf::new(),
    };
    let store = Store::connect_as_sealer(service.database.options(), &sealer_settings());
    Publisher::new(store, settings, None, service.clock.clone()).unwrap()
}

#[tokio::test]
async fn r_72_r_74_entries_past_their_term_go_and_what_is_left_verifies() {
    let log = Log::narrow().await;
    // Afterwards the log has forgotten what the oracle asks for.
    oracle::check(&log.service).await;
    let early = log.head.clone();
    let receipts = |seqs: Vec<u64>| {
        let options = log.options();
        async move {
            let mut database = Database::open(&options, String::new()).await.unwrap();
            let proven = export::prove(&mut database, &seqs).await;
            database.close().await;
            proven
        }
    };
    let (old, old_proof) = receipts(vec![10]).await.unwrap().remove(0);
    fill_earlier(&log, 700, 40).await;
    let service = &log.service;
    let find = async || {
        let mut connection = service.store.connection().await.unwrap();
        forget::find_prunable(&mut connection, MONTHS).await.unwrap()
    };
    assert_eq!(find().await, None, "everything is young");
    age(&log, 300, 40).await;
    let some = find().await.unwrap();
    assert_eq!((some.first, some.last), (1, 256), "whole closed partitions only");
    age(&log, 700, 40).await;
    let prunable = find().await.unwrap();
    assert_eq!(
        (prunable.first, prunable.last, prunable.partitions),
        (1, 512, 2),
        "never the one that is filled"
    );
    let published = published(service);
    published.round().await.unwrap();

    let mut tx = service.store.begin("test").await.unwrap();
    let id = announce(&mut tx, service, &prunable).await.unwrap();
    assert!(announce(&mut tx, service, &prunable).await.is_none(), "once is enough");
    tx.commit().await.unwrap();
    let id = id.to_string();
    assert!(prune(&log, &id).await.unwrap_err().contains("no sealed entry"));
    service.sealer.seal_everything().await.unwrap();
    assert!(prune(&log, &id).await.unwrap_err().contains("no kept checkpoint"));
    let head = service.sealer.keep_checkpoint().await.unwrap().unwrap();
    published.round().await.unwrap();
    let pruned = {
        let mut tx = service.store.begin("test").await.unwrap();
        let pruned = forget::prune_announced(&mut tx, MONTHS, None).await.unwrap();
        tx.commit().await.unwrap();
        pruned
    };
    assert_eq!(pruned.entries, 512);
    assert_eq!(text(&log, "SELECT min(seq)::text FROM audit.entry").await.unwrap(), "513");

    // Everything that was signed before still fits, and what is gone is allowed to be.
    fill(service, 800).await;
    let ours = plan(&log.key, &[("known head early", early.as_str()), ("known head late", head.as_str())]);
    let report = verified(&log.options(), &ours).await;
    in_order(&report);
    assert_eq!(report.counts.authorised_absences, 512);
    assert!(report.counts.heads >= 2 && report.catalogue_checked, "{:?}", report.counts);
    for since in [100, 512, 600] {
        let mut part = ours.clone();
        part.since = since;
        in_order(&verified(&log.options(), &part).await);
    }
    let opened = old_proof.verify(&leaf_hash(&old.entry), [&log.key]);
    assert!(opened.is_ok(), "a receipt outlives its entry");
    assert!(matches!(receipts(vec![10]).await, Err(ExportError::Gone { seq: 10 })));
    let (new, proof) = receipts(vec![600]).await.unwrap().remove(0);
    proof.verify(&leaf_hash(&new.entry), [&log.key]).unwrap();

    // Files tell the same, and foreign programs agree.
    let place = service.directory.path().join("pruned");
    let mut database = Database::open(&log.options(), String::new()).await.unwrap();
    let exported = export::write_tiles(&mut database, &place).await.unwrap();
    assert_eq!(exported.entries, exported.size - 512);
    let selection = Selection::default();
    let lines = export::write_lines(&mut database, &selection, LineFormat::Ndjson, Vec::new()).await.unwrap();
    assert_eq!(lines.entries, exported.entries);
    database.close().await;
    in_order(&verify::verify(&mut Tiles::of(Directory(place.clone())), &ours).await.unwrap());
    if let Err(reason) = crate::foreign::accept(&place, &log.key.to_string()).await {
        crate::required::skipped(&format!("foreign programs were not run, because {reason}"));
    }
    // Without the entry that allows it the same absence is a violation, to each of them.
    fs::remove_file(place.join("tile/entries/002")).unwrap();
    let report = verify::verify(&mut Tiles::of(Directory(place.clone())), &ours).await.unwrap();
    assert_eq!(report.verdict, Verdict::Violation, "{:#?}", report.findings);

    // The published directory forgets, too.
    published.round().await.unwrap();
    let entries = service.directory.path().join("published/tile/entries");
    let shown: Vec<_> = fs::read_dir(&entries).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(shown, ["002.p"], "what was pruned is not shown any longer");
    assert!(entries.parent().unwrap().join("0/000").exists(), "its hashes are");
    published.close().await;
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn r_74_the_database_prunes_nothing_that_is_younger_than_24_months_whatever_it_is_told() {
    let log = Log::narrow().await;
    // Afterwards the log has forgotten what the oracle asks for.
    oracle::check(&log.service).await;
    fill(&log.service, 600).await;
    age(&log, 256, 30).await;
    let announce = async |last: u64, months: u64| {
        let mut tx = log.service.store.begin("test").await.unwrap();
        let detail = Detail::none().count("first", 1).count("last", last).count("months", months);
        let at: DateTime<Utc> = log.service.desk.clock.now();
        let id =
            append_about_log(&mut tx, Action::LogPrune, Actor::Process("thief"), at, detail).await.unwrap();
        tx.commit().await.unwrap();
        log.service.sealer.seal_everything().await.unwrap();
        log.service.sealer.keep_checkpoint().await.unwrap();
        id.0.to_string()
    };
    for (last, months, why) in [
        (256, 12, "less than 24 months"),
        (256, 36, "newer than the term"),
        (512, 24, "newer than the term"),
        (100_000, 24, "itself to go"),
    ] {
        let id = announce(last, months).await;
        let refused = prune(&log, &id).await.unwrap_err();
        assert!(refused.contains(why), "{last} {months}: {refused}");
        assert_eq!(text(&log, "SELECT min(seq)::text FROM audit.entry").await.unwrap(), "1");
    }
    let id = announce(300, 24).await;
    prune(&log, &id).await.unwrap();
    assert_eq!(text(&log, "SELECT min(seq)::text FROM audit.entry").await.unwrap(), "257");
    prune(&log, &id).await.expect("a repetition finds nothing to drop");
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn r_74_an_announcement_that_somebody_planted_stops_no_forgetting() {
    let log = Log::narrow().await;
    // Afterwards the log has forgotten what the oracle asks for.
    oracle::check(&log.service).await;
    fill_earlier(&log, 600, 40).await;
    age(&log, 256, 40).await;
    let plant = async |detail: Detail| {
        let mut tx = log.service.store.begin("test").await.unwrap();
        let at = log.service.desk.clock.now();
        append_about_log(&mut tx, Action::LogPrune, Actor::Process("thief"), at, detail).await.unwrap();
        tx.commit().await.unwrap();
    };
    let none = || Detail::none().count("first", 1);
    // Waiting, and sealed under a kept head: of more than there is, of no number, of too short a term, of what is too young.
    for detail in [
        none().count("last", 999_999_999).count("months", 12),
        none().count("last", 999_999_999_999_999).count("months", 999_999_999_999),
        none().word("last", "x").count("months", 24),
        none().count("last", 256).word("months", "x"),
        none().count("last", 256).count("months", 12),
        none().count("last", 256).count("months", 999_999_999_999),
        none().count("last", 600).count("months", 45),
        none(),
    ] {
        plant(detail).await;
    }
    assert_eq!(forget_now(&log).await.announced, 256, "while they wait to be sealed");
    assert_eq!(forget_now(&log).await.pruned, 256);
    assert_eq!(text(&log, "SELECT min(seq)::text FROM audit.entry").await.unwrap(), "257");

    age(&log, 512, 40).await;
    plant(none().count("last", 512).word("months", "x")).await;
    log.service.sealer.seal_everything().await.unwrap();
    log.service.sealer.keep_checkpoint().await.unwrap();
    assert_eq!(forget_now(&log).await.announced, 256, "after they were sealed");
    assert_eq!(forget_now(&log).await.pruned, 256);
    let last = forget_now(&log).await;
    assert_eq!((last.announced, last.pruned), (0, 0), "once is enough");
    log.service.simulator.shutdown().await;
}

/// Partitions are cut by the month of the database's clock: what is sealed now must not be of last month in a moment.
async fn away_from_the_turn_of_a_month() {
    let now = SystemClock.now();
    let soon = now + chrono::TimeDelta::minutes(3);
    if chrono::Datelike::month(&soon) != chrono::Datelike::month(&now) {
        tokio::time::sleep(std::time::Duration::from_mins(3)).await;
    }
}

#[tokio::test]
async fn r_74_what_was_announced_is_carried_out_only_as_far_as_term_and_confirmation_reach() {
    let log = Log::narrow().await;
    // Afterwards the log has forgotten what the oracle asks for.
    oracle::check(&log.service).await;
    fill_earlier(&log, 600, 31).await;
    age(&log, 512, 30).await;
    let first = async || text(&log, "SELECT min(seq)::text FROM audit.entry").await.unwrap();
    assert_eq!(forget_after(&log, 24).await.announced, 512);
    // Before it is carried out the term is raised.
    let kept = forget_after(&log, MONTHS).await;
    assert_eq!((kept.announced, kept.pruned, first().await.as_str()), (0, 0, "1"));
    // Once they are past that one, too, it is announced anew.
    age(&log, 256, 10).await;
    assert_eq!(forget_after(&log, MONTHS).await.announced, 256);
    let carried_out = async |months: u32, up_to: i64| {
        let mut tx = log.service.store.begin("test").await.unwrap();
        let pruned = forget::prune_announced(&mut tx, months, Some(up_to)).await.unwrap();
        tx.commit().await.unwrap();
        pruned.entries
    };
    assert_eq!(carried_out(24, 255).await, 0);
    assert_eq!(carried_out(24, 256).await, 256, "not what was announced beyond it");
    assert_eq!(first().await, "257");
    assert_eq!(forget_after(&log, 24).await.pruned, 256);
    in_order(&verified(&log.options(), &log.plan()).await);
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn r_74_nothing_is_announced_in_a_hold_not_even_one_that_is_set_at_that_moment() {
    let log = Log::narrow().await;
    // Afterwards the log has forgotten what the oracle asks for.
    oracle::check(&log.service).await;
    let service = &log.service;
    fill_earlier(&log, 600, 40).await;
    age(&log, 256, 40).await;
    let begin = async || service.store.begin("test").await.unwrap();
    let prunable = {
        let mut connection = service.store.connection().await.unwrap();
        forget::find_prunable(&mut connection, MONTHS).await.unwrap().unwrap()
    };
    let now = service.desk.clock.now();
    let set = async |until| {
        let mut tx = begin().await;
        let (reason, actor) = (HoldReason::CourtOrClaim, Actor::Process("test"));
        let id = forget::set_hold(&mut tx, reason, (None, Some(until)), &actor, now).await.unwrap();
        tx.commit().await.unwrap();
        id
    };
    let lift = async |id| {
        let mut tx = begin().await;
        assert!(forget::lift_hold(&mut tx, id, &Actor::Process("test"), now).await.unwrap());
        tx.commit().await.unwrap();
    };
    // Of these it is the clock of whoever announces that is still in the last day, whatever that of the database says.
    for until in [now.date_naive(), SystemClock.now().date_naive() + Days::new(30)] {
        let id = set(until).await;
        let mut tx = begin().await;
        assert!(announce(&mut tx, service, &prunable).await.is_none(), "{until}");
        tx.commit().await.unwrap();
        lift(id).await;
    }
    // What is announced comes before a hold, or after it.
    let mut tx = begin().await;
    assert!(announce(&mut tx, service, &prunable).await.is_some());
    let may_be_set = async || {
        let mut owner = PgConnection::connect_with(&log.options()).await.unwrap();
        let locked =
            sqlx::query_scalar("SELECT pg_try_advisory_lock(7236123, 2)").fetch_one(&mut owner).await;
        owner.close().await.unwrap();
        locked.unwrap()
    };
    assert!(!may_be_set().await);
    tx.commit().await.unwrap();
    assert!(may_be_set().await);
    service.sealer.seal_everything().await.unwrap();
    in_order(&verified(&log.options(), &log.plan()).await);
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn r_72_a_log_that_grows_slowly_is_cut_at_the_end_of_the_month() {
    away_from_the_turn_of_a_month().await;
    let log = Log::of_a_real_run().await;
    // Afterwards the log has forgotten what the oracle asks for.
    oracle::check(&log.service).await;
    let cut = async || {
        let mut tx = log.service.store.begin("test").await.unwrap();
        let cut = forget::cut_partition(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        cut
    };
    assert!(!cut().await, "the month is not over");
    age(&log, 300, 2).await;
    assert!(cut().await);
    assert!(!cut().await, "once a month");
    let ranges = "SELECT string_agg(first || '-' || beyond, ' ' ORDER BY first) FROM audit.partitions()";
    assert_eq!(text(&log, ranges).await.unwrap(), "1-513 513-4194817 4194817-8389121");
    fill_earlier(&log, 520, 40).await;
    in_order(&verified(&log.options(), &log.plan()).await);

    age(&log, 512, 40).await;
    assert_eq!(forget_now(&log).await.announced, 512);
    assert_eq!(forget_now(&log).await.pruned, 512);
    fill(&log.service, 540).await;
    let report = verified(&log.options(), &log.plan()).await;
    in_order(&report);
    assert_eq!(report.counts.authorised_absences, 512);
    log.service.simulator.shutdown().await;
}
