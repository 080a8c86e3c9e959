//! The drill: what `verify` finds on copies, shown to people; the log itself stays as it is (S-40).

use dsrd::audit::drill::{Attacker, Drill, DrillError, DrillReport, Outcome, Place};
use dsrd::audit::verify::{Database, Directory, Level, Source, Step, Tiles, Verdict};
use dsrd::store::embedded::{Cluster, Settings};
use sqlx::Connection as _;
use tokio::sync::{Mutex, OnceCell};

use crate::forgetting::{age, fill_earlier, forget_now};
use crate::log::{Log, execute, fill, verified};
use crate::support::oracle;

/// A throw-away cluster, as the command has one: roles belong to all databases of a cluster, and while a copy is being
/// migrated its migrator holds rights that a verification beside it would call out.
static YARD: OnceCell<Cluster> = OnceCell::const_new();

/// One drill at a time, for the same reason.
static ONE: Mutex<()> = Mutex::const_new(());

/// Its directory lies in that of this process's other cluster, which the next test process removes.
async fn yard() -> sqlx::postgres::PgConnectOptions {
    let start = || async {
        let directory = std::env::temp_dir().join(format!("dsrd-test-{}", std::process::id())).join("drill");
        let settings = Settings::new(directory, std::env::var_os("PATH"));
        Cluster::start(settings).await.unwrap()
    };
    YARD.get_or_init(start).await.options("postgres")
}

async fn hold<S: Source>(
    log: &Log,
    name: &str,
    source: &mut S,
    most: u64,
) -> Result<DrillReport, DrillError> {
    let _alone = ONE.lock().await;
    let mut told = 0;
    let drill = Drill {
        place: &Place::new(yard().await, name),
        folder: &log.service.directory.path().join(name),
        plan: &log.plan(),
        most,
        clock: log.service.clock.clone(),
    };
    let report = drill.hold(source, &mut |_| told += 1).await?;
    assert_eq!(told, report.trials.len());
    Ok(report)
}

async fn on_the_database(log: &Log, name: &str, most: u64) -> Result<DrillReport, DrillError> {
    let mut database = Database::open(&log.options(), "the log".to_owned()).await.unwrap();
    let report = hold(log, name, &mut database, most).await;
    database.close().await;
    report
}

/// All that a manipulation could have changed: the head, and every entry.
async fn everything(log: &Log) -> (String, String) {
    let mut connection = log.service.store.connection().await.unwrap();
    sqlx::query_as(
        "SELECT (SELECT note FROM audit.head), encode(sha256(string_agg(seq || ' ' || encode(entry, 'hex'), ',' ORDER BY seq)::bytea), 'hex')
         FROM audit.entry",
    )
    .fetch_one(&mut *connection)
    .await
    .unwrap()
}

#[tokio::test]
async fn s_40_a_drill_finds_every_manipulation_of_its_copies_and_leaves_the_log_alone() {
    let log = Log::of_a_real_run().await;
    let _page = log.page_of_a_sweep().await;
    let before = everything(&log).await;
    let report = on_the_database(&log, "drill_whole", 1_000).await.unwrap();
    assert_eq!((report.missed, report.not_tried), (0, 0), "{:#?}", report.trials);
    assert_eq!(report.copied, report.size);
    assert_eq!(report.found, report.trials.len());
    assert!(report.found >= 33, "{}", report.found);
    let by_key: Vec<_> =
        report.trials.iter().filter(|trial| trial.by == Attacker::SuperuserWithKey).collect();
    let levels: Vec<Level> = by_key.iter().map(|trial| trial.needs).collect();
    assert_eq!(levels, [Level::L2, Level::L2, Level::L2, Level::L3]);
    let unsealed: Vec<(&str, Attacker)> = report
        .trials
        .iter()
        .filter(|trial| matches!(trial.name, "removed before it was sealed" | "written with a stolen login"))
        .map(|trial| (trial.name, trial.by))
        .collect();
    assert_eq!(
        unsealed,
        [
            ("removed before it was sealed", Attacker::Superuser),
            ("written with a stolen login", Attacker::ServiceLogin)
        ]
    );
    // A clock that was set back is told, and is no violation.
    let told: Vec<_> =
        report.trials.iter().filter(|trial| matches!(trial.outcome, Outcome::Remarked { .. })).collect();
    assert_eq!(
        (report.remarked, told.iter().map(|trial| (trial.name, trial.by)).collect::<Vec<_>>()),
        (1, vec![("written with a clock set back", Attacker::Operator)])
    );
    let Outcome::Remarked { place, says } = &told[0].outcome else { panic!("{told:?}") };
    assert!(place.starts_with("entry ") && says.contains("go back by 1440 minutes"), "{place}: {says}");
    for trial in report.trials.iter().filter(|trial| trial.by != Attacker::Operator) {
        let Outcome::Found { told_before, .. } = &trial.outcome else { panic!("{trial:?}") };
        // Nothing but a writer's account, or the definition that lets it happen, may come before what the row expects.
        let fits =
            told_before.as_ref().is_none_or(|first| matches!(first.step, Step::Counters | Step::Catalogue));
        assert!(fits, "{trial:?}");
    }
    for trial in by_key {
        assert_eq!(trial.found_one_level_lower, Some(false), "{trial:?}");
    }
    assert!(
        report
            .trials
            .iter()
            .any(|trial| matches!(&trial.outcome, Outcome::Found { says, .. } if says.contains("refuses"))),
        "the witness does not sign the second log"
    );
    assert_eq!(everything(&log).await, before);
    assert_eq!(verified(&log.options(), &log.plan()).await.verdict, Verdict::Ok);
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname LIKE 'drill\\_whole%'")
            .fetch_one(&mut sqlx::PgConnection::connect_with(&yard().await).await.unwrap())
            .await
            .unwrap();
    assert_eq!(left, 0, "the copies are gone");
    log.service.finish().await;
}

#[tokio::test]
async fn s_40_a_drill_takes_the_beginning_of_a_long_log_or_an_export() {
    let log = Log::of_a_real_run().await;
    // The first head that the log kept covers the real run, without the entries that fill it up.
    let part = on_the_database(&log, "drill_part", 299).await.unwrap();
    assert!(part.copied < 299 && part.size >= 300, "{part:?}");
    assert_eq!(part.missed, 0, "{:#?}", part.trials);
    let left_out: Vec<&str> = part
        .trials
        .iter()
        .filter(|trial| matches!(trial.outcome, Outcome::NotTried { .. }))
        .map(|trial| trial.name)
        .collect();
    assert_eq!(left_out, ["tile changed", "edge changed", "kept head replaced", "item of a sweep exchanged"]);

    let directory = log.service.directory.path().join("tiles");
    crate::exports::tiles(&log, &directory).await;
    let mut files = Tiles::of(Directory(directory));
    let report = hold(&log, "drill_files", &mut files, 1_000).await.unwrap();
    assert_eq!((report.missed, report.not_tried), (0, 2), "{:#?}", report.trials);
    let none = hold(&log, "drill_none", &mut files, 290).await;
    assert!(matches!(none, Err(DrillError::TooLong { most: 290, .. })), "an export has no heads in between");
    log.service.finish().await;
}

#[tokio::test]
async fn s_40_a_drill_on_a_pruned_log_takes_what_is_left_of_it() {
    let log = Log::narrow().await;
    // Afterwards the log has forgotten what the oracle asks for.
    oracle::check(&log.service).await;
    fill_earlier(&log, 560, 40).await;
    log.service.sealer.keep_checkpoint().await.unwrap();
    age(&log, 512, 40).await;
    assert_eq!(forget_now(&log).await.announced, 512);
    assert_eq!(forget_now(&log).await.pruned, 512);
    fill(&log.service, 800).await;
    log.service.sealer.keep_checkpoint().await.unwrap();
    let report = on_the_database(&log, "drill_left", 1_000).await.unwrap();
    assert_eq!((report.first, report.copied, report.missed), (513, report.size - 512, 0), "{report:#?}");

    // Fewer than are gone; the entry that let them go is not among those that are copied.
    let part = on_the_database(&log, "drill_left_part", 100).await.unwrap();
    assert_eq!((part.first, part.missed), (513, 0), "{part:#?}");
    assert!((20..=100).contains(&part.copied) && part.size == report.size, "{part:#?}");
    let none = on_the_database(&log, "drill_left_none", 20).await;
    assert!(
        matches!(none, Err(DrillError::TooLong { there, most: 20 }) if there == report.copied),
        "{none:?}"
    );
    execute(&yard().await, "DROP DATABASE drill_left_none_original WITH (FORCE)").await.unwrap();
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn s_40_a_drill_on_a_log_that_is_not_in_order_says_so() {
    let log = Log::of_a_real_run().await;
    log.rest().await;
    let copy = log.copy().await;
    copy.tamper(
        "ALTER TABLE audit.entry DISABLE TRIGGER USER; ALTER TABLE audit.entry_000000 DISABLE TRIGGER USER;
         UPDATE audit.entry SET entry = convert_to(replace(convert_from(entry, 'UTF8'), '\"v\":1', '\"v\":0'), 'UTF8')
         WHERE seq = 30",
    )
    .await
    .unwrap();
    let mut database = Database::open(&copy.options, String::new()).await.unwrap();
    let refused = hold(&log, "drill_altered", &mut database, 1_000).await;
    database.close().await;
    assert!(matches!(refused, Err(DrillError::Altered)), "{refused:?}");
    copy.drop().await;
    execute(&yard().await, "DROP DATABASE drill_altered_original WITH (FORCE)").await.unwrap();
    log.service.simulator.shutdown().await;
}
