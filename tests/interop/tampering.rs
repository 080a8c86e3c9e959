//! What a superuser may do to the log, and that `verify` finds and names it (S-40, F-25).

use std::process::Command;

use dsrd::audit::LogKeys;
use dsrd::audit::verify::{Database, Level, Severity, Step, Verdict};

use crate::log::{Log, execute, fill, plan, verified};
use crate::support::service::sealer_at;

/// Switches the guards of a table off for a statement, and on again as they were.
fn unguarded(table: &str, statement: &str) -> String {
    let guards: &[&str] = match table {
        "head" => &["head_moves_forward", "head_row_stays", "head_stays"],
        "tile" => &["tile_rows_stay", "tile_stays"],
        _ => &["checkpoint_rows_stay", "checkpoint_stays"],
    };
    let on: Vec<String> = guards
        .iter()
        .map(|guard| format!("ALTER TABLE audit.{table} ENABLE ALWAYS TRIGGER {guard};"))
        .collect();
    format!("ALTER TABLE audit.{table} DISABLE TRIGGER USER; {statement}; {}", on.concat())
}

/// Name of the tampering, what is done, and what the first violation says: the beginning of its place, and a part of it.
type Tampering = (&'static str, String, &'static str, &'static str);

fn table() -> Vec<Tampering> {
    [of_entries(), of_definitions(), of_the_tree()].concat()
}

fn of_entries() -> Vec<Tampering> {
    let entry = |statement: &str| {
        format!(
            "ALTER TABLE audit.entry DISABLE TRIGGER USER; ALTER TABLE audit.entry_000000 DISABLE TRIGGER USER;
             ALTER TABLE audit.entry_000001 DISABLE TRIGGER USER; {statement};
             ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER entry_rows_stay;
             ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER entry_stays;
             ALTER TABLE audit.entry_000000 ENABLE ALWAYS TRIGGER entry_000000_stays;
             ALTER TABLE audit.entry_000001 ENABLE ALWAYS TRIGGER entry_000001_stays;"
        )
    };
    let bytes = |from: &str, to: &str, seq: u64| {
        entry(&format!(
            "UPDATE audit.entry SET entry = convert_to(regexp_replace(convert_from(entry, 'UTF8'), '{from}', '{to}'), 'UTF8')
             WHERE seq = {seq}"
        ))
    };
    vec![
        ("edit", bytes("\"v\":1", "\"v\":0", 17), "entry 17", "do not hash"),
        ("back-date", bytes("\"at_us\":[0-9]+", "\"at_us\":1", 22), "entry 22", "do not hash"),
        ("delete", entry("DELETE FROM audit.entry WHERE seq = 18"), "entry 18", "gone"),
        (
            "reorder",
            entry(
                "UPDATE audit.entry SET seq = 9999 WHERE seq = 20; UPDATE audit.entry SET seq = 20 WHERE seq = 21;
                 UPDATE audit.entry SET seq = 21 WHERE seq = 9999",
            ),
            "entry 20",
            "do not hash",
        ),
        ("truncate", entry("TRUNCATE audit.entry"), "entries 1 to", "gone"),
        ("cut the tail", entry("DELETE FROM audit.entry WHERE seq > 290"), "entries 291 to", "gone"),
        ("insert behind the head", entry(
            "INSERT INTO audit.entry (seq, entry) SELECT seq + 1, entry FROM audit.entry ORDER BY seq DESC LIMIT 1"
        ), "entries ", "no signed head covers"),
        (
            "a column of its own",
            entry(
                "ALTER TABLE audit.entry ALTER COLUMN outcome DROP EXPRESSION;
                 UPDATE audit.entry SET outcome = 'done' WHERE seq = 23",
            ),
            "audit.entry",
            "column outcome",
        ),
    ]
}

fn of_definitions() -> Vec<Tampering> {
    vec![
        ("detach", "ALTER TABLE audit.entry DETACH PARTITION audit.entry_000000".to_owned(), "audit.entry_000000", "not shipped"),
        ("drop a partition", "DROP TABLE audit.entry_000000".to_owned(), "entries 1 to", "gone"),
        (
            "hide from auditors",
            "ALTER TABLE audit.entry ENABLE ROW LEVEL SECURITY; CREATE POLICY hide ON audit.entry USING (seq <> 19)"
                .to_owned(),
            "audit.entry",
            "row security t",
        ),
        (
            "swallow by rule",
            "CREATE RULE swallow AS ON INSERT TO audit.inbox DO INSTEAD NOTHING".to_owned(),
            "audit.inbox",
            "rule swallow",
        ),
        (
            "swallow by trigger",
            "CREATE FUNCTION public.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER swallow BEFORE INSERT ON audit.inbox FOR EACH ROW EXECUTE FUNCTION public.swallow()"
                .to_owned(),
            "audit.inbox",
            "trigger swallow",
        ),
        ("guards off", "ALTER TABLE audit.entry DISABLE TRIGGER USER".to_owned(), "audit.entry", "enabled D"),
        (
            "guards for replicas only",
            "ALTER TABLE audit.tile ENABLE REPLICA TRIGGER tile_rows_stay".to_owned(),
            "audit.tile",
            "enabled R",
        ),
        (
            "guard dropped from the catalogue",
            "DELETE FROM pg_trigger WHERE tgname = 'checkpoint_rows_stay'".to_owned(),
            "audit.checkpoint",
            "is missing",
        ),
        (
            "guard made harmless",
            "CREATE OR REPLACE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'"
                .to_owned(),
            "audit.refuse_change()",
            "function is",
        ),
        (
            "generated otherwise",
            "CREATE OR REPLACE FUNCTION audit.field(entry bytea, name text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT
             PARALLEL SAFE AS 'BEGIN RETURN ''x''; END'"
                .to_owned(),
            "audit.field",
            "function is",
        ),
        (
            "view replaced",
            "CREATE OR REPLACE VIEW audit_view.open_intent AS
               SELECT seq, at, organisation_id, case_id, action, actor, uid FROM audit_view.log WHERE false"
                .to_owned(),
            "audit_view.open_intent",
            "view is",
        ),
        ("rights given", "GRANT DELETE ON audit.entry TO dsrd_producer".to_owned(), "audit.entry", "grant to dsrd_producer"),
    ]
}

fn of_the_tree() -> Vec<Tampering> {
    vec![
        (
            "tile changed",
            unguarded(
                "tile",
                "UPDATE audit.tile SET hashes = set_byte(hashes, 40, get_byte(hashes, 40) # 1) WHERE level = 0",
            ),
            "entry 2",
            "do not hash",
        ),
        (
            "edge changed",
            "UPDATE audit.edge SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1) WHERE level = 1"
                .to_owned(),
            "tile/1/000.p/1",
            "is not that",
        ),
        (
            "head edited",
            unguarded(
                "head",
                "UPDATE audit.head SET note = regexp_replace(note, E'\\n[0-9]+\\n', E'\\n299\\n')",
            ),
            "checkpoint",
            "not validly signed",
        ),
        (
            "head's columns edited",
            unguarded("head", "UPDATE audit.head SET size = size - 1"),
            "audit.head",
            "not what its signed note says",
        ),
        (
            "kept head replaced",
            unguarded(
                "checkpoint",
                "UPDATE audit.checkpoint SET note = (SELECT max(note) FROM audit.checkpoint WHERE size > 290) WHERE size < 290",
            ),
            "kept checkpoint",
            "another size",
        ),
    ]
}

#[tokio::test]
async fn s_40_whatever_a_superuser_changes_is_found_and_named() {
    let log = Log::of_a_real_run().await;
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
    let mut missed = Vec::new();
    for (name, statements, place, what) in table() {
        let copy = log.copy().await;
        // The catalogue itself can be written by a superuser who says so.
        copy.tamper(&format!("SET allow_system_table_mods = on; {statements}"))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let report = verified(&copy.options, &log.plan()).await;
        let named = report.first_bad().is_some_and(|bad| {
            bad.severity == Severity::Violation && bad.place.starts_with(place) && bad.what.contains(what)
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
    let append = |case: &str| {
        format!(
            "INSERT INTO audit.inbox (entry) SELECT convert_to(regexp_replace(convert_from(entry, 'UTF8'),
               '\"id\":\"[0-9a-f-]+\"', '\"id\":\"{case}' || substr(gen_random_uuid()::text, 9) || '\"'), 'UTF8')
             FROM audit.entry WHERE seq > 290 AND convert_from(entry, 'UTF8') LIKE '%request.read%' ORDER BY seq LIMIT 5"
        )
    };
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
        println!("skipped: this machine has no pg_dump and psql");
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
    if report.size < 500 {
        assert_eq!(report.verdict, Verdict::Violation, "{:#?}", report.findings);
    }
    execute(&options.clone().database("postgres"), &format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .unwrap();
    log.service.finish().await;
}
