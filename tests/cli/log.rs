//! The log, verified, proven, searched and taken out on the command line.

use std::fs;
use std::path::Path;
use std::process::Command;

use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::database::TestDatabase;
use crate::program::{Finished, Scene, dsrd, run};

/// The program of the auditor's guide recognises the person by the receipt, and nobody else.
fn opened(receipt: &serde_json::Value, reference: &str) -> Result<(), &'static str> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/opening.py");
    let files = [receipt["entry"].as_str().unwrap(), receipt["proof"].as_str().unwrap()];
    if Command::new("python3").arg("--version").output().is_err() {
        return Err("this machine has no python3");
    }
    let open = |identifier: &str| run(Command::new("python3").arg(program).args(files), identifier);
    let mine = open("canary.nobody@people.example\n").expect(0);
    assert!(mine.stdout.contains("gave this email"), "{reference}: {mine:?}");
    let other = open("somebody.else@people.example\n").expect(1);
    assert!(other.stderr.contains("did not give this identifier"), "{other:?}");
    Ok(())
}

/// A certificate of some authority.
fn certificate(path: &str) -> Result<String, &'static str> {
    let arguments =
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=Authority -keyout";
    let key = format!("{path}.key");
    let mut openssl = Command::new("openssl");
    openssl.args(arguments.split(' ')).args([key.as_str(), "-out", path]);
    match openssl.output() {
        Ok(output) if output.status.success() => Ok(path.to_owned()),
        _ => Err("this machine has no openssl"),
    }
}

/// The reference of a request that was handed in by a person.
fn submitted(scene: &Scene) -> String {
    let request = serde_json::json!({
        "kind": "access",
        "channel": "email",
        "received_at": "2026-11-20T10:00:00Z",
        "identifiers": { "email": "canary.nobody@people.example" },
        "idempotency_key": "one",
    });
    let submit = &mut scene.command(&["--json", "request", "submit", "--from", "-"]);
    let receipt = run(submit, &request.to_string()).expect(0).json();
    receipt["reference"].as_str().unwrap().to_owned()
}

async fn execute(database: &TestDatabase, statements: &'static str) {
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
}

/// Whoever cannot be told of takes no export, and the name is free for the next attempt.
async fn export_that_cannot_be_recorded(scene: &Scene, database: &TestDatabase, lines: &str) {
    let refuse = "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''full''; END';
         CREATE TRIGGER refuse BEFORE INSERT ON audit.inbox FOR EACH STATEMENT EXECUTE FUNCTION public.refuse()";
    let allow = "DROP TRIGGER refuse ON audit.inbox";
    execute(database, refuse).await;
    let fresh = scene.path("fresh").to_str().unwrap().to_owned();
    for (form, out) in [("csv", lines), ("tiles", fresh.as_str())] {
        scene.run(&["audit", "export", "--as", form, "--out", out]).expect(1);
        let left = |path: &str| fs::read_dir(path).map_or(0, Iterator::count);
        assert!(
            !Path::new(out).is_file() && !Path::new(&format!("{out}.part")).exists() && left(out) == 0,
            "{form}"
        );
    }
    execute(database, allow).await;
    scene.run(&["audit", "export", "--as", "tiles", "--out", &fresh]).expect(0);
    assert!(fs::read(format!("{fresh}/checkpoint")).unwrap().starts_with(b"dsrd"), "{fresh}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r_41_the_log_is_asked_for_a_person_held_and_made_to_forget_a_member_of_staff() {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    let request = serde_json::json!({
        "kind": "erasure",
        "channel": "email",
        "received_at": "2026-11-20T10:00:00Z",
        "identifiers": { "email": "canary.nobody@people.example", "phone": "+39 06 12345678" },
        "idempotency_key": "one",
    });
    let submit = &mut scene.command(&["--json", "request", "submit", "--from", "-"]);
    let receipt = run(submit, &request.to_string()).expect(0).json();
    let ask = |identifiers: &str| {
        run(&mut scene.command(&["--json", "audit", "subject", "--from", "-"]), identifiers)
    };
    for asked in [r#"{"email": "Canary.Nobody@people.example"}"#, r#"{"phone": "+390612345678"}"#] {
        let found = ask(asked).expect(0).json();
        assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
        assert_eq!(
            (&found[0]["reference"], &found[0]["kind"], &found[0]["opens"]),
            (&receipt["reference"], &"erasure".into(), &true.into())
        );
    }
    assert!(ask(r#"{"email": "other@people.example"}"#).expect(0).json().as_array().unwrap().is_empty());
    let shown = run(
        &mut scene.command(&["audit", "subject", "--from", "-"]),
        r#"{"email": "canary.nobody@people.example"}"#,
    );
    let shown = shown.expect(0);
    assert!(shown.stdout.contains("fits") && !shown.stdout.contains("canary"), "{shown:?}");
    for (wrong, why) in [
        ("{}", "no identifier is given"),
        (r#"{"e-mail": "canary@people.example"}"#, "known keys are email, phone"),
        (r#"{"email": "canary"}"#, "name@domain.example"),
    ] {
        let refused = ask(wrong).expect(2);
        assert!(refused.stderr.contains(why) && !refused.stderr.contains("canary"), "{wrong}: {refused:?}");
    }
    run(&mut scene.command(&["audit", "subject"]), "").expect(2);
    let asked = scene.run(&["--json", "audit", "search", "--action", "log.asked"]).expect(0).json();
    assert_eq!(asked.as_array().unwrap().len(), 4, "each answered question is an entry: {asked}");
    assert_eq!((&asked[0]["detail"]["cases"], &asked[0]["detail"]["identifiers"]), (&1.into(), &1.into()));
    let login = asked[0]["actor"].as_str().unwrap().strip_prefix("person:").unwrap().to_owned();

    let nothing = scene.run(&["audit", "prune"]).expect(0);
    assert!(nothing.stdout.contains("older than 36 months"), "{nothing:?}");
    scene.run(&["audit", "prune", "--confirm", "1"]).expect(5);

    scene.run(&["audit", "hold", "set", "--reason", "court_or_claim"]).expect(2);
    scene.run(&["audit", "hold", "set", "--reason", "because", "--until", "2999-01-01"]).expect(2);
    scene.run(&["audit", "hold", "set", "--reason", "court_or_claim", "--until", "2020-01-01"]).expect(2);
    let set = ["--json", "audit", "hold", "set", "--reason", "court_or_claim", "--review", "2999-01-01"];
    let made = scene.run(&set).expect(0).json();
    let id = made["id"].as_str().unwrap();
    let holds = scene.run(&["audit", "hold", "list"]).expect(0);
    assert!(holds.stdout.contains(id) && holds.stdout.contains("in force"), "{holds:?}");
    let refused = scene.run(&["audit", "forget-staff", &login]).expect(5);
    assert!(refused.stderr.contains("a hold on the log is in force"), "{refused:?}");
    scene.run(&["audit", "hold", "lift", id]).expect(0);
    scene.run(&["audit", "hold", "lift", id]).expect(3);

    scene.run(&["audit", "forget-staff", "nobody-here"]).expect(3);
    // The same person under another account.
    let elsewhere = format!("{}.as.elsewhere", login.split(".as.").next().unwrap());
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    sqlx::query("SELECT audit.person($1)").bind(&elsewhere).execute(&mut connection).await.unwrap();
    let forgotten = scene.run(&["audit", "forget-staff", &login]).expect(0);
    let left = "SELECT count(*) FROM audit_private.actor WHERE name IN ($1, $2)";
    let left = sqlx::query_scalar::<_, i64>(left).bind(&login).bind(&elsewhere);
    assert_eq!(left.fetch_one(&mut connection).await.unwrap(), 0, "{login} and {elsewhere}");
    // What is promised is what is done: other tables keep the name for their own time.
    let months = "36 months after its end (upkeep.evidence_months)";
    for said in ["Erased from the log: ", &login, &elsewhere, "working tables", months] {
        assert!(forgotten.stdout.contains(said), "{said}: {forgotten:?}");
    }
    let asked = scene.run(&["--json", "audit", "search", "--action", "log.asked"]).expect(0).json();
    let actor = asked[0]["actor"].as_str().unwrap();
    assert!(actor.len() == 39 && *actor != format!("person:{login}"), "{actor}");
    let verified = scene.run(&["audit", "verify"]).expect(0);
    assert!(
        verified.stdout.contains("2 salts or names were erased, as signed entries allow"),
        "{verified:?}"
    );
    scene.simulator.shutdown().await;
}

/// From files a case is asked for by its id, in the database by its reference.
fn tells_of_one_case(scene: &Scene, verify: &dyn Fn(&[&str]) -> Finished, case: &str, reference: &str) {
    let told = verify(&["--case", case]).expect(0).json()["case"].clone();
    assert_eq!((&told["entries"][0]["action"], &told["case"]), (&"request.received".into(), &case.into()));
    assert!(told["entries"].as_array().unwrap().iter().all(|entry| entry["included"] == true), "{told}");
    assert_eq!(told["subject"]["state"], "committed");
    let unknown = verify(&["--case", "0193aaaa-0000-7000-8000-000000000000"]).expect(2);
    assert!(unknown.stderr.contains("no entry that was read is of that case"), "{unknown:?}");
    let by_reference = verify(&["--case", reference]).expect(3);
    assert!(by_reference.stderr.contains("holds no references"), "{by_reference:?}");
    let shown = scene.run(&["audit", "verify", "--case", reference]).expect(0);
    for expected in [case, "the salt is kept", "request.received", "proven", "none: every entry"] {
        assert!(shown.stdout.contains(expected), "{expected}: {shown:?}");
    }
    scene.run(&["audit", "verify", "--case", "DSR-ZZZZ-ZZZZ"]).expect(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_taken_out_and_verified_and_each_of_it_recorded() {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    let reference = submitted(&scene);
    let reference = reference.as_str();

    let found = scene.run(&["--json", "audit", "search", "--action", "request."]).expect(0).json();
    assert_eq!(found[0]["action"], "request.received");
    let none =
        scene.run(&["--json", "audit", "search", "--detail", "kind=nothing", "--outcome", "done"]).expect(0);
    assert!(none.json().as_array().unwrap().is_empty());

    let key = scene.run(&["--json", "audit", "key", "show"]).expect(0).json();
    let key = key[0]["verifier_key"].as_str().unwrap();
    let path = |name: &str| scene.path(name).to_str().unwrap().to_owned();
    let policy = path("log.policy");
    fs::write(&policy, format!("log {key}\nquorum none\n")).unwrap();

    let tiles = path("tiles");
    let exported =
        scene.run(&["--json", "audit", "export", "--as", "tiles", "--out", &tiles]).expect(0).json();
    // An auditor needs no configuration for files.
    let verify = |more: &[&str]| {
        let arguments =
            [&["--json", "audit", "verify", "--dir", tiles.as_str(), "--policy", policy.as_str()], more];
        run(&mut dsrd(&arguments.concat()), "")
    };
    let report = verify(&[]).expect(0).json();
    assert_eq!((&report["verdict"], &report["level"]), (&"ok".into(), &"L1".into()));
    assert_eq!(report["size"], exported["size"]);
    let head = format!("{tiles}/checkpoint");
    assert_eq!(verify(&["--known-head", &head]).expect(0).json()["level"], "L2");
    verify(&["--since", "1"]).expect(0);
    match certificate(&path("authority.pem")) {
        Ok(authority) => {
            // An authority is asked for wherever a log is read from. Nobody stamped this one.
            let asked = verify(&["--timestamp-authority", &authority]).expect(0);
            assert_eq!(asked.json()["level"], "L1");
        }
        Err(reason) => crate::required::skipped(&format!("no time-stamp was asked for, because {reason}")),
    }
    tells_of_one_case(&scene, &verify, found[0]["case"].as_str().unwrap(), reference);

    let shown = scene.run(&["audit", "verify", "--policy", &policy, "--known-head", &head]).expect(0);
    assert!(
        shown.stdout.contains("in order") && shown.stdout.contains("compared with what was shipped"),
        "{shown:?}"
    );
    assert!(shown.stdout.contains("entries after number"), "{shown:?}");
    let own_word = scene.run(&["audit", "verify"]).expect(0);
    assert!(own_word.stderr.contains("no --policy was given"), "{own_word:?}");

    // 1: violated; 2: something is missing; 3: wrong usage.
    let bundle = fs::read_dir(format!("{tiles}/tile/entries/000.p")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&bundle).unwrap();
    let mut altered = whole.clone();
    altered[30] ^= 1;
    fs::write(&bundle, altered).unwrap();
    let violated = verify(&[]).expect(1);
    assert!(violated.stderr.contains("violated: entry 1: its bytes do not hash"), "{violated:?}");
    fs::write(&bundle, whole).unwrap();
    fs::remove_file(&head).unwrap();
    verify(&[]).expect(2);
    let usage =
        |arguments: &[&str]| run(&mut dsrd(&[&["audit", "verify"], arguments].concat()), "").expect(3);
    usage(&["--dir", &tiles]);
    usage(&["--dir", &tiles, "--url", "http://localhost/", "--policy", &policy]);
    usage(&["--nonsense"]);
    usage(&["--dir", &tiles, "--policy", &path("tiles/nothing")]);
    run(&mut dsrd(&["audit", "verify", "--url", "http://127.0.0.1:9/", "--policy", &policy]), "").expect(2);

    let lines = path("log.csv");
    export_that_cannot_be_recorded(&scene, &database, &lines).await;
    scene.run(&["audit", "export", "--as", "csv", "--out", &lines, "--action", "request.received"]).expect(0);
    assert_eq!(fs::read_to_string(&lines).unwrap().lines().count(), 2);
    scene.run(&["audit", "export", "--as", "csv", "--out", &lines]).expect(5);
    scene.run(&["audit", "export", "--as", "tiles", "--out", &path("x"), "--action", "log.read"]).expect(2);

    let receipts = path("receipts");
    let proven =
        scene.run(&["--json", "audit", "prove", "--case", reference, "--out", &receipts]).expect(0).json();
    assert_eq!(proven.as_array().unwrap().len(), fs::read_dir(&receipts).unwrap().count() / 2);
    let proof = fs::read_to_string(proven[0]["proof"].as_str().unwrap()).unwrap();
    assert!(proof.starts_with("c2sp.org/tlog-proof@v1\nextra "), "{proof}");
    // Before it stands the announcement of the process that wrote it.
    assert!(proof.contains("\nindex 1\n") && !proof.contains("canary"), "{proof}");
    if let Err(reason) = opened(&proven[0], reference) {
        crate::required::skipped(&format!("the program of the guide was not run, because {reason}"));
    }
    scene.run(&["audit", "prove", "--seq", "999999", "--out", &receipts]).expect(3);

    each_look_is_recorded(&scene, reference, &path("case.csv"), &exported["sha256"]);
    scene.simulator.shutdown().await;
}

/// Each way to look at the log left its entry, and who looked at one case of it is found by that case.
fn each_look_is_recorded(scene: &Scene, reference: &str, out: &str, exported_sha256: &serde_json::Value) {
    let export = ["audit", "export", "--as", "csv", "--out", out, "--case", reference];
    scene.run(&export).expect(0);
    let received = ["--json", "audit", "search", "--case", reference, "--action", "request.received"];
    let case = scene.run(&received).expect(0).json()[0]["case"].clone();

    let log = scene.run(&["--json", "audit", "search", "--action", "log."]).expect(0).json();
    for action in ["log.read", "log.exported", "log.proved"] {
        let looks = log.as_array().unwrap().iter().filter(|entry| entry["action"] == action);
        let cases: Vec<_> = looks.filter_map(|entry| entry["detail"].get("of_case")).collect();
        assert_eq!(cases, [&case], "{action}");
    }
    let number = scene.run(&received).expect(0).json()[0]["seq"].to_string();
    scene.run(&["audit", "show", &number]).expect(0);
    let receipt = format!("{out}.receipt");
    scene.run(&["audit", "prove", "--seq", &number, "--seq", "1", "--out", &receipt]).expect(0);
    let proved = scene.run(&["--json", "audit", "search", "--action", "log.proved"]).expect(0).json();
    let proved: Vec<_> = proved.as_array().unwrap().iter().rev().take(2).collect();
    assert!(proved.iter().any(|entry| entry["detail"]["of_case"] == case), "{proved:?}");
    assert!(proved.iter().all(|entry| entry["detail"]["entries"] == 1), "entry 1 is of no case: {proved:?}");
    let read = scene.run(&["--json", "audit", "search", "--action", "log.read"]).expect(0).json();
    let read: Vec<_> = read.as_array().unwrap().iter().filter(|entry| entry["case"] == case).collect();
    assert!(!read.is_empty(), "the entry was shown by its number");
    let recorded: Vec<_> =
        log.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    for action in ["log.read", "log.exported", "log.verified", "log.proved"] {
        assert!(recorded.contains(&action), "{action}: {recorded:?}");
    }
    let export = log.as_array().unwrap().iter().find(|entry| entry["action"] == "log.exported").unwrap();
    assert_eq!((&export["detail"]["form"], &export["detail"]["sha256"]), (&"tiles".into(), exported_sha256));
}

#[tokio::test(flavor = "multi_thread")]
async fn r_41_the_log_of_a_case_whose_row_is_gone_is_shown_and_proved_by_its_id() {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    let reference = submitted(&scene);
    let reference = reference.as_str();
    let received = ["--json", "audit", "search", "--case", reference, "--action", "request.received"];
    let case = scene.run(&received).expect(0).json()[0]["case"].as_str().unwrap().to_owned();
    // As after its term, or where the working tables are those of an older moment.
    execute(
        &database,
        "SET session_replication_role = replica;
         DELETE FROM dsrd.notice; DELETE FROM dsrd.job; DELETE FROM dsrd.identifier; DELETE FROM dsrd.request",
    )
    .await;
    scene.run(&["request", "show", &case]).expect(3);
    let shown = scene.run(&["--json", "audit", "show", &case]).expect(0).json();
    assert_eq!(shown[0]["action"], "request.received", "{shown}");
    let found = scene.run(&["--json", "audit", "search", "--case", &case]).expect(0).json();
    assert_eq!(found[0]["id"], shown[0]["id"], "{found}");
    let path = |name: &str| scene.path(name).to_str().unwrap().to_owned();
    let receipts = path("receipts");
    let proven =
        scene.run(&["--json", "audit", "prove", "--case", &case, "--out", &receipts]).expect(0).json();
    assert!(proven.as_array().unwrap().iter().any(|each| each["seq"] == shown[0]["seq"]), "{proven}");
    let lines = path("case.csv");
    scene.run(&["audit", "export", "--as", "csv", "--out", &lines, "--case", &case]).expect(0);
    assert!(fs::read_to_string(&lines).unwrap().contains("request.received"));
    // What never was is said so, and the reference leads nowhere any more.
    for (unknown, name) in [("0193aaaa-0000-7000-8000-000000000000", "unknown"), (reference, "reference")] {
        let out = path(name);
        for command in [
            &["audit", "show", unknown][..],
            &["audit", "search", "--case", unknown],
            &["audit", "prove", "--case", unknown, "--out", &out],
            &["audit", "export", "--as", "csv", "--out", &out, "--case", unknown],
        ] {
            let refused = scene.run(command).expect(3);
            assert!(refused.stderr.contains("name one that is deleted by its id"), "{refused:?}");
        }
    }
    scene.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s_40_a_drill_shows_what_is_found_on_a_copy_and_stands_in_the_log() {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    scene.run(&["audit", "drill"]).expect(1);
    // Each reading is an entry.
    for _ in 0..30 {
        scene.run(&["audit", "search", "--limit", "1"]).expect(0);
    }
    let shown = scene.run(&["audit", "drill"]).expect(0);
    for expected in ["superuser with key", "the original was only read", " found", "L3"] {
        assert!(shown.stdout.contains(expected), "{expected}: {shown:?}");
    }
    assert!(!shown.stdout.contains("NOT FOUND"), "{shown:?}");
    let recorded = scene.run(&["--json", "audit", "search", "--action", "log.drilled"]).expect(0).json();
    let detail = &recorded[0]["detail"];
    assert_eq!((&detail["missed"], recorded.as_array().unwrap().len()), (&0.into(), 1), "{recorded}");

    // An auditor with an export needs no configuration, and nothing is recorded.
    let path = |name: &str| scene.path(name).to_str().unwrap().to_owned();
    let (tiles, policy) = (path("tiles"), path("log.policy"));
    scene.run(&["audit", "export", "--as", "tiles", "--out", &tiles]).expect(0);
    let key = scene.run(&["--json", "audit", "key", "show"]).expect(0).json();
    fs::write(&policy, format!("log {}\nquorum none\n", key[0]["verifier_key"].as_str().unwrap())).unwrap();
    let report = run(&mut dsrd(&["--json", "audit", "drill", "--dir", &tiles, "--policy", &policy]), "")
        .expect(0)
        .json();
    assert_eq!((&report["missed"], &report["copied"]), (&0.into(), &report["size"]), "{report}");
    assert_eq!(report["trials"][0]["result"], "found");
    run(&mut dsrd(&["audit", "drill", "--dir", &tiles]), "").expect(2);
    let again = scene.run(&["--json", "audit", "search", "--action", "log.drilled"]).expect(0).json();
    assert_eq!(again.as_array().unwrap().len(), 1);
    scene.simulator.shutdown().await;
}
