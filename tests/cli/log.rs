//! The log, verified, proven, searched and taken out on the command line.

use std::fs;

use sqlx::ConnectOptions as _;

use crate::database::TestDatabase;
use crate::program::{Scene, dsrd, run};

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_taken_out_and_verified_and_each_of_it_recorded() {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    let request = serde_json::json!({
        "kind": "access",
        "channel": "email",
        "received_at": "2026-11-20T10:00:00Z",
        "identifiers": { "email": "canary.nobody@people.example" },
        "idempotency_key": "one",
    });
    let submit = &mut scene.command(&["--json", "request", "submit", "--from", "-"]);
    let receipt = run(submit, &request.to_string()).expect(0).json();
    let reference = receipt["reference"].as_str().unwrap();

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
    scene.run(&["audit", "export", "--as", "csv", "--out", &lines, "--action", "request.received"]).expect(0);
    assert_eq!(fs::read_to_string(&lines).unwrap().lines().count(), 2);
    scene.run(&["audit", "export", "--as", "csv", "--out", &lines]).expect(5);
    scene.run(&["audit", "export", "--as", "tiles", "--out", &path("x"), "--action", "log.read"]).expect(2);

    let receipts = path("receipts");
    let proven =
        scene.run(&["--json", "audit", "prove", "--case", reference, "--out", &receipts]).expect(0).json();
    assert_eq!(proven.as_array().unwrap().len(), fs::read_dir(&receipts).unwrap().count() / 2);
    let proof = fs::read_to_string(proven[0]["proof"].as_str().unwrap()).unwrap();
    assert!(proof.starts_with("c2sp.org/tlog-proof@v1\nindex 0\n"), "{proof}");
    scene.run(&["audit", "prove", "--seq", "999999", "--out", &receipts]).expect(3);

    let log = scene.run(&["--json", "audit", "search", "--action", "log."]).expect(0).json();
    let recorded: Vec<_> =
        log.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    for action in ["log.read", "log.exported", "log.verified", "log.proved"] {
        assert!(recorded.contains(&action), "{action}: {recorded:?}");
    }
    let export = log.as_array().unwrap().iter().find(|entry| entry["action"] == "log.exported").unwrap();
    assert_eq!(
        (&export["detail"]["form"], &export["detail"]["sha256"]),
        (&"tiles".into(), &exported["sha256"])
    );
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
