//! What a superuser may do to the log, and that `verify` finds and names it (S-40, F-25).

use std::process::Command;

use dsrd::audit::drill::{Manipulation, Scene, manipulations};
use dsrd::audit::tlog::VerifierKey;
use dsrd::audit::verify::{
    self, Database, Directory, Level, Plan, Policy, Report, Severity, Step, Tiles, Verdict,
};
use dsrd::audit::{LogKeys, RestoreReason, Restored, Sealer};

use crate::log::{Copy, Log, execute, fill, plan, verified};
use crate::support::settings::sealer_at;

#[tokio::test]
async fn s_40_whatever_a_superuser_changes_is_found_and_named() {
    let log = Log::of_a_real_run().await;
    let page = Some(log.page_of_a_sweep().await);
    log.rest().await;
    let whole = verified(&log.options(), &log.plan()).await;
    assert_eq!(whole.verdict, Verdict::Ok, "{:#?}", whole.findings);
    assert!(
        whole.catalogue_checked && whole.counts.entries >= 300 && whole.counts.heads >= 2,
        "{:?}",
        whole.counts
    );
    assert_eq!(whole.level, Level::L1);
    assert!(whole.source.ends_with("as auditor"), "{}", whole.source);
    let scene = Scene { size: whole.size, first: 1, run: 17, kept_heads: whole.counts.heads, page };
    let list = manipulations(&scene);
    assert!(list.len() >= 25, "{}", list.len());
    let mut missed = Vec::new();
    for Manipulation { name, statements, place, says, .. } in list {
        let statements = statements.unwrap_or_else(|reason| panic!("{name}: {reason}"));
        let copy = log.copy().await;
        // The catalogue itself can be written by a superuser who says so.
        copy.tamper(&format!("SET allow_system_table_mods = on; {statements}"))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let report = verified(&copy.options, &log.plan()).await;
        let named = report.first_bad().is_some_and(|bad| {
            bad.severity == Severity::Violation && bad.place.starts_with(&place) && bad.what.contains(says)
        });
        if report.verdict != Verdict::Violation || !named {
            missed.push(format!("{name}: {:?} {:#?}", report.verdict, report.findings));
        }
        copy.drop().await;
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn s_40_guards_stop_a_superuser_who_does_not_remove_them() {
    let log = Log::of_a_real_run().await;
    for statement in [
        "UPDATE audit.entry SET entry = entry WHERE seq = 1",
        "SET session_replication_role = replica; DELETE FROM audit.entry_000000 WHERE seq = 1",
        "TRUNCATE audit.entry_000000",
        "DELETE FROM audit.tile",
        "UPDATE audit.checkpoint SET note = ''",
        "DELETE FROM audit.head",
    ] {
        assert!(execute(&log.options(), statement).await.is_err(), "{statement}");
    }
    log.service.finish().await;
}

/// Five more entries, which tell the same and are others: their ids begin with this word.
fn append(word: &str) -> String {
    format!(
        "INSERT INTO audit.inbox (entry) SELECT convert_to(regexp_replace(convert_from(entry, 'UTF8'),
           '\"id\":\"[0-9a-f-]+\"', '\"id\":\"{word}' || substr(gen_random_uuid()::text, 9) || '\"'), 'UTF8')
         FROM audit.entry WHERE seq > 290 AND convert_from(entry, 'UTF8') LIKE '%request.read%' ORDER BY seq LIMIT 5"
    )
}

#[tokio::test]
async fn f_26_a_head_from_before_a_restore_is_compared_as_far_as_the_copy_reached() {
    let log = Log::of_a_real_run().await;
    log.rest().await;
    let clock = log.service.clock.clone();
    let open =
        |options| sealer_at(options, LogKeys::from_text(&log.service.log_keys).unwrap(), clock.clone());
    let longer = |word: &'static str| {
        let options = log.copy();
        async {
            let copy = options.await;
            let sealer = open(copy.options.clone()).await.unwrap();
            execute(&copy.options, &append(word)).await.unwrap();
            assert_eq!(sealer.seal_everything().await.unwrap(), 5);
            let head = sealer.keep_checkpoint().await.unwrap().unwrap();
            (copy, sealer, head)
        }
    };
    // What was lost, and a history that was rewritten: both longer than the copy that the log goes on from.
    let (lost, lost_sealer, lost_head) = longer("aaaaaaaa").await;
    let (restored, sealer) = {
        let copy = log.copy().await;
        let sealer = open(copy.options.clone()).await.unwrap();
        (copy, sealer)
    };
    let (rewritten, rewriter, _) = longer("bbbbbbbb").await;
    let mut keys = vec![log.key.clone()];
    for sealer in [&sealer, &rewriter] {
        let (size, reason) =
            (verified(&lost.options, &log.plan()).await.size, RestoreReason::HardwareFailure);
        sealer.fork(Restored { origin: None, size: Some(size), root: None, reason }).await.unwrap();
        keys.extend(sealer.verifier_keys().await.iter().map(|key| key.parse::<VerifierKey>().unwrap()));
    }
    let plan = |heads: &[(&str, &str)], since: u64| Plan {
        policy: Policy::of_logs(keys.clone()),
        since,
        ..plan(&log.key, heads)
    };
    // At once, while the log has not come as far again as the head that is lost.
    let soon = verified(&restored.options, &plan(&[("late", &lost_head)], 0)).await;
    let bad = soon.first_bad().unwrap();
    assert_eq!((bad.severity, bad.place.as_str()), (Severity::Undecided, "late"), "{:#?}", soon.findings);
    assert!(bad.what.contains("are lost") && bad.what.contains("see entry"), "{}", bad.what);
    for (copy, sealer) in [(&restored, &sealer), (&rewritten, &rewriter)] {
        execute(&copy.options, &append("cccccccc")).await.unwrap();
        sealer.seal_everything().await.unwrap();
    }
    for since in [0, 200] {
        let early = verified(&restored.options, &plan(&[("early", &log.head)], since)).await;
        assert_eq!((early.verdict, early.level), (Verdict::Ok, Level::L2), "{:#?}", early.findings);
        let late =
            verified(&restored.options, &plan(&[("early", &log.head), ("late", &lost_head)], since)).await;
        let bad = late.first_bad().unwrap();
        assert_eq!((bad.severity, bad.place.as_str()), (Severity::Undecided, "late"), "{:#?}", late.findings);
        assert!(bad.what.contains("are lost") && bad.what.contains("see entry"), "{}", bad.what);
        // As far as the copy reached nothing excuses a difference.
        let altered = verified(&rewritten.options, &plan(&[("late", &lost_head)], since)).await;
        let bad = altered.first_bad().unwrap();
        assert_eq!(
            (bad.severity, bad.place.as_str()),
            (Severity::Violation, "late"),
            "{:#?}",
            altered.findings
        );
    }
    for sealer in [&lost_sealer, &sealer, &rewriter] {
        sealer.close().await;
    }
    for copy in [lost, restored, rewritten] {
        copy.drop().await;
    }
    log.service.simulator.shutdown().await;
}

/// What is said of a head, by the name under which it was given.
fn said_of<'r>(report: &'r Report, name: &str) -> Vec<(Severity, &'r str)> {
    let of_head = report.findings.iter().filter(|finding| finding.place == name);
    of_head.map(|finding| (finding.severity, finding.what.as_str())).collect()
}

#[tokio::test]
async fn f_26_a_restore_excuses_the_heads_of_its_own_log_and_no_others() {
    let log = Log::of_a_real_run().await;
    log.rest().await;
    let clock = log.service.clock.clone();
    let open = async |copy: &Copy| {
        let keys = LogKeys::from_text(&log.service.log_keys).unwrap();
        sealer_at(copy.options.clone(), keys, clock.clone()).await.unwrap()
    };
    let grow = async |copy: &Copy, sealer: &Sealer, word: &str| {
        execute(&copy.options, &append(word)).await.unwrap();
        sealer.seal_everything().await.unwrap();
        sealer.keep_checkpoint().await.unwrap().unwrap()
    };
    let fork = async |sealer: &Sealer, size: u64| {
        let named = sealer
            .fork(Restored {
                origin: None,
                size: Some(size),
                root: None,
                reason: RestoreReason::HardwareFailure,
            })
            .await;
        named.unwrap();
        sealer.verifier_keys().await[0].parse::<VerifierKey>().unwrap()
    };
    let (lost, restored, rewritten) = (log.copy().await, log.copy().await, log.copy().await);
    let (lost_sealer, sealer, rewriter) = (open(&lost).await, open(&restored).await, open(&rewritten).await);
    let late = grow(&lost, &lost_sealer, "aaaaaaaa").await;
    let size = verified(&lost.options, &log.plan()).await.size;
    let mut keys = vec![log.key.clone(), fork(&sealer, size).await];
    let second = grow(&restored, &sealer, "cccccccc").await;
    // The same fork under the same name, whose entries are others: then it goes on once more from a copy of itself.
    fork(&rewriter, size).await;
    let _other = grow(&rewritten, &rewriter, "dddddddd").await;
    clock.advance(chrono::TimeDelta::hours(1));
    keys.push(fork(&rewriter, size + 20).await);
    grow(&rewritten, &rewriter, "eeeeeeee").await;
    let plan =
        |heads: &[(&str, &str)]| Plan { policy: Policy::of_logs(keys.clone()), ..plan(&log.key, heads) };

    let report = verified(&rewritten.options, &plan(&[("late", &late), ("second", &second)])).await;
    assert_eq!(said_of(&report, "late")[0].0, Severity::Undecided, "{:#?}", report.findings);
    let said = said_of(&report, "second");
    assert!(
        matches!(said[..], [(Severity::Violation, what)] if what.contains("not those that this head")),
        "the first restore is none of its log's: {said:?}"
    );

    // Where the entry that tells of the restore is not there, it is left open: in a place without entries, and behind what
    // was pruned.
    let place = tempfile::tempdir().unwrap();
    let mut database = Database::open(&restored.options, String::new()).await.unwrap();
    dsrd::audit::export::write_tiles(&mut database, place.path()).await.unwrap();
    database.close().await;
    std::fs::remove_dir_all(place.path().join("tile/entries")).unwrap();
    let mut tiles = Tiles::of(Directory(place.path().to_owned()));
    let report = verify::verify(&mut tiles, &plan(&[("late", &late)])).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undecided, "{:#?}", report.findings);
    assert!(
        said_of(&report, "late")[0].1.contains("stands in no entry that is here"),
        "{:#?}",
        report.findings
    );
    sealer.close().await;
    restored
        .tamper(
            "ALTER TABLE audit.entry DISABLE TRIGGER USER; ALTER TABLE audit.entry_000000 DISABLE TRIGGER USER;
             DELETE FROM audit.entry WHERE seq <= (SELECT seq FROM audit.entry WHERE action = 'log.restored')",
        )
        .await
        .unwrap();
    let report = verified(&restored.options, &plan(&[("late", &late)])).await;
    assert!(matches!(said_of(&report, "late")[..], [(Severity::Undecided, _)]), "{:#?}", report.findings);
    for sealer in [&lost_sealer, &rewriter] {
        sealer.close().await;
    }
    for copy in [lost, restored, rewritten] {
        copy.drop().await;
    }
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn a_definition_of_another_release_is_undecided_and_told_as_such() {
    let log = Log::of_a_real_run().await;
    log.rest().await;
    let copy = log.copy().await;
    let newer =
        "INSERT INTO public._sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (99991231000000, 'of a later release', true, '\\x00', 0)";
    copy.tamper(newer).await.unwrap();
    let same = verified(&copy.options, &log.plan()).await;
    assert_eq!(same.verdict, Verdict::Ok, "what does not differ is no question: {:#?}", same.findings);
    copy.tamper("ALTER VIEW audit_view.hold RENAME COLUMN in_force TO is_in_force").await.unwrap();
    let told = async |statement: &str| {
        copy.tamper(statement).await.unwrap();
        let report = verified(&copy.options, &log.plan()).await;
        let bad = report.first_bad().cloned().unwrap();
        (report.verdict, bad.place, bad.what)
    };
    for (statement, which) in [
        ("SELECT 1", "a newer release"),
        ("DELETE FROM public._sqlx_migrations WHERE version > 20261206000000", "an older release"),
        (
            "REVOKE SELECT ON public._sqlx_migrations FROM auditor, aud_reader",
            "does not show auditors its migrations",
        ),
    ] {
        let (verdict, place, what) = told(statement).await;
        assert_eq!((verdict, place.as_str()), (Verdict::Undecided, "migrations"), "{which}: {what}");
        assert!(what.contains(which), "{which}: {what}");
    }
    copy.drop().await;
    // By the migrations of this program the same is a violation.
    let copy = log.copy().await;
    copy.tamper("ALTER VIEW audit_view.hold RENAME COLUMN in_force TO is_in_force").await.unwrap();
    let changed = verified(&copy.options, &log.plan()).await;
    assert_eq!(changed.verdict, Verdict::Violation, "{:#?}", changed.findings);
    copy.drop().await;
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn s_40_a_log_that_was_set_back_or_forked_is_found_against_a_head_kept_elsewhere() {
    let log = Log::of_a_real_run().await;
    log.rest().await;
    let (copy, fork) = (log.copy().await, log.copy().await);
    // Whoever has the key and an old copy can go on from there; the copy's own word for it is worth nothing.
    let clock = log.service.clock.clone();
    let open =
        |options| sealer_at(options, LogKeys::from_text(&log.service.log_keys).unwrap(), clock.clone());
    let sealer = open(copy.options.clone()).await.unwrap();
    execute(&copy.options, &append("aaaaaaaa")).await.unwrap();
    assert_eq!(sealer.seal_everything().await.unwrap(), 5);
    let newer = sealer.keep_checkpoint().await.unwrap().unwrap();
    sealer.close().await;

    let ours = plan(&log.key, &[("known head a", log.head.as_str()), ("known head b", newer.as_str())]);
    let whole = verified(&copy.options, &ours).await;
    assert_eq!((whole.verdict, whole.level), (Verdict::Ok, Level::L2), "{:#?}", whole.findings);
    assert!(whole.still_possible.contains("0 entries after"), "{}", whole.still_possible);

    let set_back = verified(&log.options(), &ours).await;
    assert_eq!(set_back.verdict, Verdict::Violation);
    let bad = set_back.first_bad().unwrap();
    assert_eq!((bad.place.as_str(), bad.step), ("known head b", Step::Consistency));
    assert!(bad.what.contains("cut or set back"), "{}", bad.what);
    assert_eq!(
        verified(&log.options(), &log.plan()).await.verdict,
        Verdict::Ok,
        "by its own word it is in order"
    );

    let sealer = open(fork.options.clone()).await.unwrap();
    execute(&fork.options, &append("bbbbbbbb")).await.unwrap();
    sealer.seal_everything().await.unwrap();
    sealer.close().await;
    let forked = verified(&fork.options, &ours).await;
    let bad = forked.first_bad().unwrap();
    assert_eq!((forked.verdict, bad.place.as_str()), (Verdict::Violation, "known head b"));
    assert!(bad.what.contains("not those that this head was signed for"), "{}", bad.what);

    // The same when what lies before was verified already.
    for since in [1, 255, 256, 290] {
        let mut part = ours.clone();
        part.since = since;
        let report = verified(&copy.options, &part).await;
        assert_eq!(
            (report.verdict, report.level),
            (Verdict::Ok, Level::L2),
            "{since}: {:#?}",
            report.findings
        );
        assert_eq!(verified(&fork.options, &part).await.verdict, Verdict::Violation, "{since}");
    }
    copy.drop().await;
    fork.drop().await;
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn the_shipped_definition_is_that_of_the_migrations() {
    let log = Log::of_a_real_run().await;
    let mut database = Database::open(&log.options(), String::new()).await.unwrap();
    let major = database.server_major().await.unwrap();
    let present = format!("server {major}\n{}\n", database.definition().await.unwrap().join("\n"));
    database.close().await;
    let shipped = include_str!("../../src/audit/verify/catalogue.txt");
    let views: Vec<&str> = present.lines().filter(|line| line.split('\t').nth(1) == Some("view")).collect();
    let views = views.join("\n") + "\n";
    if major == 18 && views != include_str!("../../src/audit/verify/views-18.txt") {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("views-18.txt");
        std::fs::write(&path, &views).unwrap();
        panic!(
            "views of server 18 are spelled otherwise: cp {} src/audit/verify/views-18.txt",
            path.display()
        );
    }
    if major == 15 && present != shipped {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("catalogue.txt");
        std::fs::write(&path, &present).unwrap();
        let mark = |line: &&str, other: &str| !other.lines().any(|known| known == *line);
        let new: Vec<&str> = present.lines().filter(|line| mark(line, shipped)).collect();
        let gone: Vec<&str> = shipped.lines().filter(|line| mark(line, &present)).collect();
        panic!(
            "migrations changed the definition of the log; if that is meant: cp {} src/audit/verify/catalogue.txt\n\
             new:\n{}\ngone:\n{}",
            path.display(),
            new.join("\n"),
            gone.join("\n")
        );
    }
    log.service.finish().await;
}

/// A program of the server's, where this machine has it.
fn server_program(name: &str) -> Option<std::path::PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = installed.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.chain(std::env::split_paths(&path)).map(|folder| folder.join(name)).find(|path| path.exists())
}

#[tokio::test]
async fn f_25_a_dump_under_load_is_in_order_and_told_from_the_newest_head() {
    let (Some(dump), Some(restore)) = (server_program("pg_dump"), server_program("psql")) else {
        crate::required::skipped("this machine has no pg_dump and psql");
        return;
    };
    let log = Log::of_a_real_run().await;
    let options = log.options();
    let uri = |database: &str| {
        let place = options.get_socket().map_or_else(
            || format!("host={}", options.get_host()),
            |socket| format!("host={}", socket.display()),
        );
        format!("{place} port={} user={} dbname={database}", options.get_port(), options.get_username())
    };
    let file = log.service.directory.path().join("dump.sql");
    // Entries are written and sealed while the dump runs.
    let load = async {
        for more in 1..=40 {
            fill(&log.service, crate::log::ENTRIES + more * 5).await;
        }
    };
    let program = Command::new(&dump)
        .arg("--file")
        .arg(&file)
        .arg(uri(options.get_database().unwrap()))
        .spawn()
        .map(|mut child| tokio::task::spawn_blocking(move || child.wait()));
    load.await;
    assert!(program.unwrap().await.unwrap().unwrap().success(), "pg_dump");
    // What comes after it is in no dump, however long that took.
    fill(&log.service, crate::log::ENTRIES + 205).await;
    let newest = log.service.sealer.keep_checkpoint().await.unwrap().unwrap();

    let name = format!("{}_restored", options.get_database().unwrap());
    execute(&options.clone().database("postgres"), &format!("CREATE DATABASE {name}")).await.unwrap();
    let restored = Command::new(&restore)
        .args(["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file"])
        .arg(&file)
        .arg(uri(&name))
        .status()
        .unwrap();
    assert!(restored.success(), "psql");
    let copy = options.clone().database(&name);
    let published = plan(&log.key, &[("known head", log.head.as_str())]);
    let report = verified(&copy, &published).await;
    assert_eq!((report.verdict, report.level), (Verdict::Ok, Level::L2), "{:#?}", report.findings);
    // A head that is newer than the dump tells that something is lost.
    let report = verified(&copy, &plan(&log.key, &[("known head", newest.as_str())])).await;
    assert_eq!(report.verdict, Verdict::Violation, "{:#?}", report.findings);
    execute(&options.clone().database("postgres"), &format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .unwrap();
    log.service.finish().await;
}
