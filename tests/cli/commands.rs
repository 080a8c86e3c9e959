//! Commands against a real database and a simulated platform.

use dsrd::domain::{Clock as _, SystemClock};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::database::TestDatabase;
use crate::program::{Finished, Scene, files, run};

const CANARY: &str = "canary.nobody@people.example";

fn submit(scene: &Scene, body: &serde_json::Value) -> Finished {
    run(&mut scene.command(&["--json", "request", "submit", "--from", "-"]), &body.to_string())
}

fn request(key: &str) -> serde_json::Value {
    serde_json::json!({
        "kind": "access",
        "channel": "email",
        "received_at": "2026-11-20T10:00:00Z",
        "identifiers": { "email": CANARY },
        "idempotency_key": key,
    })
}

async fn scene() -> (TestDatabase, Scene) {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    (database, scene)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_handed_in_shown_and_withdrawn() {
    let (_database, scene) = scene().await;
    let receipt = submit(&scene, &request("one")).expect(0).json();
    assert_eq!(receipt["due_on"], "2026-12-20");
    let again = submit(&scene, &request("one")).expect(0).json();
    assert_eq!((&again["request"], &again["repeated"]), (&receipt["request"], &serde_json::json!(true)));
    let mut other = request("one");
    other["kind"] = "erasure".into();
    submit(&scene, &other).expect(5);

    let reference = receipt["reference"].as_str().unwrap();
    let listed = scene.run(&["request", "list"]).expect(0);
    assert!(listed.stdout.contains(reference), "{}", listed.stdout);
    let shown = scene.run(&["request", "show", reference]).expect(0);
    let log = scene.run(&["audit", "show", reference]).expect(0);
    for finished in [&listed, &shown, &log] {
        assert!(!format!("{finished:?}").contains("canary"), "{finished:?}");
    }
    // Tables show the clear value only to those who ask for it, and the log says who did.
    let revealed = scene.run(&["--json", "request", "show", reference, "--reveal"]).expect(0).json();
    assert_eq!(revealed["identifiers"][0]["value"], CANARY);
    let log = scene.run(&["--json", "audit", "list", "--action", "request.read"]).expect(0).json();
    let read: Vec<_> = log.as_array().unwrap().iter().map(|entry| &entry["detail"]["revealed"]).collect();
    assert_eq!(read, [false, true]);
    let account = std::process::Command::new("id").arg("-un").output().unwrap().stdout;
    let account = String::from_utf8(account).unwrap().trim().to_owned();
    let actor = log[1]["actor"].as_str().unwrap();
    // Another login stands before the account.
    assert!(
        actor == format!("person:{account}") || actor.ends_with(&format!(".as.{account}")),
        "{actor}: by login and account, whatever LOGNAME says"
    );
    assert!(!actor.contains("operator"), "{actor}");

    // A process that writes announces itself first.
    for (seq, action) in [("1", "writer.start"), ("2", "request.received")] {
        let entry = scene.run(&["--json", "audit", "show", seq]).expect(0).json();
        assert_eq!(
            (&entry[0]["seq"], &entry[0]["action"]),
            (&seq.parse::<u64>().unwrap().into(), &action.into())
        );
    }
    scene.run(&["audit", "show", "999999"]).expect(3);
    let since = scene.run(&["--json", "audit", "list", "--since", "2999-01-01"]).expect(0).json();
    assert!(since.as_array().unwrap().is_empty());
    let parked = scene.run(&["--json", "request", "list", "--parked-rows"]).expect(0).json();
    assert!(parked.as_array().unwrap().is_empty());

    scene.run(&["request", "resume", reference]).expect(5);
    let withdrawn = scene.run(&["request", "withdraw", reference]).expect(0);
    assert_eq!(withdrawn.stdout, format!("{reference}: withdrawn\n"), "people know it by its reference");
    scene.run(&["request", "withdraw", reference]).expect(5);
    scene.run(&["request", "package", reference, "--out", "/nonexistent/x.zip"]).expect(2);
    let out = scene.path("package.zip");
    std::fs::write(&out, "somebody's").unwrap();
    let taken = scene.run(&["request", "package", reference, "--out", out.to_str().unwrap()]).expect(5);
    assert!(
        taken.stderr.contains("exists already") && !taken.stderr.contains("os error"),
        "{}",
        taken.stderr
    );
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "somebody's");
    std::fs::remove_file(&out).unwrap();
    scene.run(&["request", "package", reference, "--out", out.to_str().unwrap()]).expect(3);
    assert!(!out.exists(), "no empty archive is left");
    scene.run(&["request", "show", "DSR-AAAA-AAAA"]).expect(3);
    scene.run(&["request", "list", "--organisation", "unknown"]).expect(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_41_a_submission_that_is_refused_is_not_repeated() {
    let (_database, scene) = scene().await;
    for (change, expected) in [
        (serde_json::json!({ "identifiers": { "email": "canary" } }), "email is not of the form"),
        (serde_json::json!({ "identifiers": { "phone": "canary" } }), "phone"),
        (serde_json::json!({ "identifiers": {} }), "no identifier given"),
        (serde_json::json!({ "channel": "canary" }), "channel cannot be read: unknown channel (known: web,"),
        (
            serde_json::json!({ "kind": "canary" }),
            "kind cannot be read: unknown request kind (known: access,",
        ),
        (serde_json::json!({ "kinds": ["canary"] }), "kind cannot be read"),
        (serde_json::json!({ "assurance": "canary" }), "assurance cannot be read"),
        (serde_json::json!({ "requester_role": "canary" }), "requester_role cannot be read"),
        (serde_json::json!({ "ground": "canary" }), "ground cannot be read"),
        (serde_json::json!({ "organisation": "Canary!" }), "organisation cannot be read"),
        (serde_json::json!({ "channel": ["canary"] }), "is not a request: line"),
        (serde_json::json!({ "canary": "canary" }), "is not a request: line"),
        (serde_json::json!({ "received_at": null }), "received_at is missing"),
        (serde_json::json!({ "received_at": "canary" }), "for example 2026-11-23T10:00:00+01:00"),
        (serde_json::json!({ "channel": "retention" }), "reserved"),
        (serde_json::json!({ "channel": "self_test" }), "reserved"),
    ] {
        let mut body = request("bad");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let finished = submit(&scene, &body).expect(2);
        assert!(finished.stderr.contains(expected), "{expected}: {}", finished.stderr);
        assert!(
            !finished.stderr.to_lowercase().contains("canary") && finished.stdout.is_empty(),
            "{finished:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_cut_says_how_many_are_left_and_shows_open_requests_first() {
    let (_database, scene) = scene().await;
    let mut references = Vec::new();
    for (key, day) in [("late", "2026-11-22"), ("early", "2026-11-02"), ("middle", "2026-11-12")] {
        let mut body = request(key);
        body["received_at"] = format!("{day}T10:00:00Z").into();
        // Of different people: the same person would be reminding.
        body["identifiers"]["email"] = format!("{key}@people.example").into();
        references.push(submit(&scene, &body).expect(0).json()["reference"].as_str().unwrap().to_owned());
    }
    scene.run(&["request", "withdraw", &references[1]]).expect(0);
    let order = |finished: &Finished| -> Vec<String> {
        let rows = finished.json();
        rows.as_array().unwrap().iter().map(|case| case["reference"].as_str().unwrap().to_owned()).collect()
    };
    let all = scene.run(&["--json", "request", "list"]).expect(0);
    let expected = [&references[2], &references[0], &references[1]];
    assert!(order(&all).iter().eq(expected), "{}", all.stdout);
    assert!(!all.stderr.contains("more"), "{}", all.stderr);
    let cut = scene.run(&["--json", "request", "list", "--limit", "2"]).expect(0);
    assert!(cut.stderr.contains("1 more") && cut.stderr.contains("--limit"), "{}", cut.stderr);
    let exact = scene.run(&["request", "list", "--limit", "3"]).expect(0);
    assert!(!exact.stderr.contains("more"), "{}", exact.stderr);
    assert!(exact.stdout.contains("2026-11-12 10:00:00 UTC"), "{}", exact.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_never_recommends_what_a_cap_would_stop() {
    let (_database, scene) = scene().await;
    let text = std::fs::read_to_string(scene.path("dsrd.toml")).unwrap();
    for (from, to, setting) in [
        ("most_contacts = 1000", "most_contacts = 1", "retention.most_contacts = 1 "),
        ("most_percent = 100", "most_percent = 1", "retention.most_percent = 1 "),
    ] {
        std::fs::write(scene.path("dsrd.toml"), text.replace(from, to)).unwrap();
        let preview = scene.run(&["retention", "preview"]).expect(0);
        assert!(preview.stderr.contains(setting), "{}", preview.stderr);
        assert!(!preview.stderr.contains("--confirm"), "{}", preview.stderr);
    }
    std::fs::write(scene.path("dsrd.toml"), text.replace("enabled = true", "enabled = false")).unwrap();
    let preview = scene.run(&["retention", "preview"]).expect(0);
    assert!(preview.stderr.contains("set retention.enabled"), "{}", preview.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_migrated_or_lacks_a_right_has_a_code_of_its_own() {
    let (database, scene) = scene().await;
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    let version = "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    sqlx::raw_sql(version).execute(&mut connection).await.unwrap();
    let text = std::fs::read_to_string(scene.path("dsrd.toml")).unwrap();
    let kept = text.replace("[database]\n", "[database]\nmigrate_at_start = false\n");
    std::fs::write(scene.path("dsrd.toml"), kept).unwrap();
    for command in [&["request", "list"][..], &["audit", "list"], &["retention", "list"]] {
        let finished = scene.run(command).expect(7);
        assert!(finished.stderr.contains("dsrd migrate"), "{}", finished.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_a_newer_release_migrates_nothing_under_the_daemon_that_runs() {
    let (database, scene) = scene().await;
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    let version = "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    sqlx::raw_sql(version).execute(&mut connection).await.unwrap();
    let applied = "SELECT count(*) FROM _sqlx_migrations";
    let before: i64 = sqlx::query_scalar(applied).fetch_one(&mut connection).await.unwrap();
    // As configured by default, `dsrd serve` would migrate.
    for command in [&["request", "list"][..], &["stats"], &["retention", "list"]] {
        let finished = scene.run(command).expect(7);
        assert!(finished.stderr.contains("dsrd migrate"), "{}", finished.stderr);
    }
    let after: i64 = sqlx::query_scalar(applied).fetch_one(&mut connection).await.unwrap();
    assert_eq!(before, after);
}

/// A command may read another file than the daemon, or a variable of whoever gives it.
#[tokio::test(flavor = "multi_thread")]
async fn what_two_persons_decide_and_what_a_law_holds_is_changed_by_a_daemon_and_by_no_command() {
    let (database, scene) = scene().await;
    let loose = std::fs::read_to_string(scene.path("dsrd.toml")).unwrap();
    let contact = "contact = \"privacy@venue-group.example\"\n";
    let review_on = SystemClock.now().date_naive() + chrono::Days::new(100);
    let strict = format!(
        "{}[organisations.holds]\nstatutes = [\"fr_connection_logs\"]\nstatutes_owner = \"dpo\"\nstatutes_review_on = \"{review_on}\"\n",
        loose.replace(contact, &format!("{contact}two_persons = [\"refusal\", \"fee\"]\n")),
    );
    let write = |text: &str| std::fs::write(scene.path("dsrd.toml"), text).unwrap();
    let stands = async || -> (Vec<String>, i64) {
        let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
        sqlx::query_as(
            "SELECT two_persons, (SELECT count(*) FROM dsrd.hold WHERE ended_at IS NULL) FROM dsrd.organisation",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap()
    };
    let known = (vec!["refusal".to_owned(), "fee".to_owned()], 1);

    // What no database knows yet is registered whole.
    write(&strict);
    scene.run(&["request", "list"]).expect(0);
    assert_eq!(stands().await, known);
    write(&loose);
    for command in [&["request", "list"][..], &["stats"], &["hold", "list"]] {
        scene.run(command).expect(0);
        assert_eq!(stands().await, known, "{command:?}");
    }
    // Another order is no change.
    write(&strict.replace("[\"refusal\", \"fee\"]", "[\"fee\", \"refusal\"]"));
    let serve = || {
        let mut daemon = scene.serve();
        daemon.wait_for("the worker takes requests");
        daemon.signal("-TERM");
        let (status, log) = daemon.finish();
        assert!(status.success(), "{log}");
    };
    serve();
    assert_eq!(stands().await, known);
    write(&loose);
    serve();
    assert_eq!(stands().await, (Vec::new(), 0));
    let log =
        scene.run(&["--json", "audit", "list", "--action", "organisation.two_persons"]).expect(0).json();
    let asked: Vec<_> = log.as_array().unwrap().iter().map(|entry| &entry["detail"]["refusal"]).collect();
    assert_eq!(asked, [true, false]);
    assert_eq!(log[0]["detail"]["answer"], false);
}

/// A server that takes connections and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_never_answers_is_told_in_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://dsrd@{}/dsrd?sslmode=disable", silent.local_addr().unwrap());
    let scene = Scene::new(&url).await;
    for command in [&["migrate"][..], &["migrate", "--dry-run"]] {
        let finished = scene.run(command).expect(6);
        assert!(finished.stderr.contains("no answer in time"), "{}", finished.stderr);
    }
    let checked = scene.run(&["check"]).expect(4);
    assert!(checked.stdout.contains("no answer in time"), "{}", checked.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_makes_no_private_database() {
    let (_database, scene) = scene().await;
    let configured = std::fs::read_to_string(scene.path("dsrd.toml")).unwrap();
    let private =
        configured.lines().filter(|line| !line.starts_with("url_file")).collect::<Vec<_>>().join("\n");
    std::fs::write(scene.path("dsrd.toml"), private).unwrap();
    // What `dsrd setup` leaves behind.
    std::fs::create_dir_all(scene.path("data/postgres/binaries")).unwrap();
    scene.run(&["check", "--offline"]);
    scene.run(&["check"]);
    assert!(!scene.path("data/postgres/cluster").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_finds_no_private_database_makes_none_and_takes_no_request_into_it() {
    let (_database, scene) = scene().await;
    let configured = std::fs::read_to_string(scene.path("dsrd.toml")).unwrap();
    let lines = configured.lines().filter(|line| !line.starts_with("url_file"));
    std::fs::write(scene.path("dsrd.toml"), lines.collect::<Vec<_>>().join("\n")).unwrap();
    // As where the unit has a data directory that whoever gives the command does not see.
    let data_dir = scene.path("data");
    let mut command = scene.command(&["request", "submit", "--from", "-"]);
    let refused = run(&mut command, &request("one").to_string()).expect(7);
    assert!(refused.stderr.contains("holds no private one"), "{}", refused.stderr);
    assert!(files(&data_dir).is_empty(), "neither a cluster nor a key was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_where_nothing_can_be_written() {
    let (_database, scene) = scene().await;
    std::fs::write(scene.path("taken"), "a file, not a directory").unwrap();
    let taken = scene.path("taken/below").display().to_string();
    let checked = |setting: &str, expected: i32| {
        let mut command = scene.command(&["--json", "check", "--offline"]);
        let finished = run(command.env(setting, &taken), "").expect(expected).json();
        let found = finished.as_array().unwrap().iter().find(|each| {
            each["found"].as_str().is_some_and(|found| found.contains("nothing can be written"))
        });
        found.cloned().unwrap_or_default()
    };
    for (setting, check) in
        [("DSRD__LEDGER__DIRECTORY", "ledger.directory"), ("DSRD__REPORT__DIRECTORY", "report.directory")]
    {
        let found = checked(setting, 4);
        assert_eq!((&found["check"], &found["verdict"]), (&check.into(), &"fail".into()), "{found}");
        assert!(found["remedy"].as_str().unwrap().contains("ReadWritePaths="), "{found}");
    }
    // Heads that do not get there stop nothing, and so does this.
    let found = checked("DSRD__PUBLISH__DIRECTORY", 0);
    assert_eq!(
        (&found["check"], &found["verdict"]),
        (&"publish.directory".into(), &"warn".into()),
        "{found}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_needs_the_number_that_the_preview_showed() {
    let (_database, scene) = scene().await;
    let preview = scene.run(&["--json", "retention", "run"]).expect(0);
    let candidates = preview.json()["candidates"].as_u64().unwrap();
    assert!(candidates > 0, "{}", preview.stdout);
    assert!(preview.stderr.contains(&format!("--confirm {candidates}")), "{}", preview.stderr);
    let wrong = (candidates + 1).to_string();
    scene.run(&["retention", "run", "--confirm", &wrong]).expect(5);
    assert!(scene.run(&["--json", "retention", "list"]).expect(0).json().as_array().unwrap().is_empty());
    let report =
        scene.run(&["--json", "retention", "run", "--confirm", &candidates.to_string()]).expect(0).json();
    assert_eq!(report["submitted"], candidates);
    let listed = scene.run(&["--json", "request", "list", "--origin", "retention"]).expect(0).json();
    assert_eq!(listed.as_array().unwrap().len() as u64, candidates);
    let people = scene.run(&["--json", "request", "list"]).expect(0);
    assert!(people.json().as_array().unwrap().is_empty(), "sweeps do not bury the requests of people");
    assert!(people.stderr.contains(&format!("{candidates} of retention sweeps")), "{}", people.stderr);
    let all = scene.run(&["--json", "request", "list", "--origin", "all"]).expect(0).json();
    assert_eq!(all.as_array().unwrap().len() as u64, candidates);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_51_check_tells_each_fault_with_its_remedy_and_changes_nothing() {
    let (database, scene) = scene().await;
    // Test clusters forget the last commits in a crash: S-51 wants that to be refused.
    let unsafe_server = scene.run(&["check"]).expect(4);
    assert!(unsafe_server.stdout.contains("synchronous_commit"), "{}", unsafe_server.stdout);
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    let name = database.options().get_database().unwrap().to_owned();
    let durable = sqlx::AssertSqlSafe(format!("ALTER DATABASE {name} SET synchronous_commit = on"));
    sqlx::raw_sql(durable).execute(&mut connection).await.unwrap();
    let finished = scene.run(&["--json", "check"]).expect(0);
    assert!(
        finished.stderr.is_empty(),
        "nothing is registered yet, and nothing warns of it: {}",
        finished.stderr
    );
    let findings = finished.json();
    let verdict = |findings: &serde_json::Value, check: &str| {
        let found = findings.as_array().unwrap().iter().find(|each| each["check"] == check).cloned();
        found.unwrap_or_else(|| panic!("{check} is missing: {findings:#}"))["verdict"].clone()
    };
    for check in
        ["configuration", "database", "schema", "role of the service", "fsync", "venue-group: platform"]
    {
        assert_eq!(verdict(&findings, check), "ok", "{check}");
    }
    assert!(files(&scene.path("data")).is_empty(), "no key and no directory was made");

    std::fs::set_permissions(scene.path("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .unwrap();
    let finished = scene.run(&["check"]).expect(2);
    assert!(finished.stdout.contains("chmod 600"), "{}", finished.stdout);
    let offline = scene.run(&["check", "--offline"]).expect(2);
    assert!(!offline.stdout.contains("fsync"), "{}", offline.stdout);

    scene.configure(database.options().to_url_lossy().as_ref(), "other");
    let finished = scene.run(&["--json", "check"]).expect(4);
    assert_eq!(verdict(&finished.json(), "venue-group: platform"), "fail");

    // The bucket is one of the places outside; nobody listens there.
    let text = std::fs::read_to_string(scene.path("dsrd.toml")).unwrap();
    let key = scene.path("bucket.key");
    std::fs::write(&key, "id secret").unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let publish = format!(
        "[publish]\nbucket_url = \"http://127.0.0.1:9/audit-log\"\nbucket_region = \"eu-south-1\"\nbucket_key_file = \"{}\"\n",
        key.display()
    );
    std::fs::write(scene.path("dsrd.toml"), text + &publish).unwrap();
    let finished = scene.run(&["check"]).expect(4);
    let line = finished.stdout.lines().find(|line| line.contains("bucket http://127.0.0.1:9/audit-log"));
    assert!(line.is_some_and(|line| line.contains("cannot be reached")), "{}", finished.stdout);
}
