//! Start and end of the daemon.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dsrd_simulator::{Endpoint, Fault};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::database::TestDatabase;
use crate::program::{Scene, run};

async fn scene() -> (TestDatabase, Scene) {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    (database, scene)
}

#[tokio::test(flavor = "multi_thread")]
async fn f_3_a_request_is_carried_out_and_a_signal_ends_the_daemon_in_order() {
    let (database, scene) = scene().await;
    let mut daemon = scene.serve();
    daemon.wait_for("the worker takes requests");
    let body = serde_json::json!({
        "kind": "access", "channel": "web", "received_at": "2026-11-20T10:00:00Z",
        "identifiers": { "email": "canary.nobody@people.example" },
    });
    let submitted =
        run(&mut scene.command(&["--json", "request", "submit", "--from", "-"]), &body.to_string());
    let reference = submitted.expect(0).json()["reference"].as_str().unwrap().to_owned();
    daemon.wait_for("request closed");

    let asked = Instant::now();
    daemon.signal("-TERM");
    let (status, log) = daemon.finish();
    assert!(status.success(), "{log}");
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert!(log.contains("dsrd has stopped") && !log.contains("canary"), "{log}");

    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    let alive: i64 = sqlx::query_scalar("SELECT count(*) FROM dsrd.instance WHERE dead_at IS NULL")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let unsealed: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit.inbox").fetch_one(&mut connection).await.unwrap();
    assert_eq!(alive, 0, "the worker signed off");
    assert_eq!(unsealed, 0, "the log is numbered to its end");
    let shown = scene.run(&["--json", "request", "show", &reference]).expect(0).json();
    assert_eq!(shown["outcome"], "fulfilled_no_data");
}

#[tokio::test(flavor = "multi_thread")]
async fn f_3_a_daemon_that_waits_for_its_database_ends_at_a_signal() {
    let scene = Scene::new("postgres://dsrd@127.0.0.1:1/dsrd").await;
    let mut daemon = scene.serve();
    daemon.wait_for("not ready");
    daemon.signal("-INT");
    let (status, log) = daemon.finish();
    assert!(status.success(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f_16_a_daemon_starts_without_its_database_and_goes_on_when_it_comes() {
    let database = TestDatabase::create().await;
    let options = database.options();
    let socket = options.get_socket().unwrap().join(format!(".s.PGSQL.{}", options.get_port()));
    // Held, and refusing everybody until it listens.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = held.local_addr().unwrap();
    let url = format!(
        "postgres://{}@{address}/{}?sslmode=disable",
        options.get_username(),
        options.get_database().unwrap()
    );
    let scene = Scene::new(&url).await;
    let mut daemon = scene.serve();
    daemon.wait_for("not ready");
    let listener = held.listen(64).unwrap().into_std().unwrap();
    listener.set_nonblocking(false).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            forward(stream.unwrap(), UnixStream::connect(&socket).unwrap());
        }
    });
    daemon.wait_for("the worker takes requests");
    daemon.signal("-TERM");
    let (status, log) = daemon.finish();
    assert!(status.success(), "{log}");
    let lines = log.matches("no connection to the database").count();
    assert!((1..=3).contains(&lines), "one line a minute: {log}");
}

/// Passes bytes on in both directions until either end closes.
fn forward(client: TcpStream, server: UnixStream) {
    fn copy(mut from: impl Read, mut to: impl Write) {
        // The end of a connection is the end of its copy.
        std::io::copy(&mut from, &mut to).map(|_| ()).unwrap_or_default();
    }
    let (client_reads, server_writes) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        copy(client_reads, &server_writes);
        server_writes.shutdown(std::net::Shutdown::Both).unwrap_or_default();
    });
    std::thread::spawn(move || {
        copy(server, &client);
        client.shutdown(std::net::Shutdown::Both).unwrap_or_default();
    });
}

/// A service manager that hears nothing for its patience ends the daemon, and a migration would begin again for ever.
#[tokio::test(flavor = "multi_thread")]
async fn f_16_the_watchdog_is_fed_while_the_database_is_away() {
    let scene = Scene::new("postgres://dsrd@127.0.0.1:1/dsrd").await;
    let socket = scene.path("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut daemon =
        scene.serve_with(&[("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "400000")]);
    let (mut ready, mut fed) = (false, 0);
    while fed < 5 {
        let mut message = [0; 4096];
        let length = manager.recv(&mut message).unwrap();
        let said = String::from_utf8_lossy(&message[..length]).into_owned();
        ready |= said.contains("READY=1");
        fed += usize::from(ready && said.contains("WATCHDOG=1"));
    }
    daemon.wait_for("not ready");
    daemon.signal("-TERM");
    let (status, log) = daemon.finish();
    assert!(status.success(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f_24_a_newer_schema_is_refused_with_the_reason() {
    let (database, scene) = scene().await;
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99991231000000, 'of a later release', true, 'x', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let (status, log) = scene.serve().finish();
    assert_eq!(status.code(), Some(7), "{log}");
    assert!(log.contains("migrated by a newer dsrd"), "{log}");
    let checked = scene.run(&["check"]).expect(4);
    assert!(checked.stdout.contains("made by a newer dsrd"), "{}", checked.stdout);
    scene.run(&["request", "list"]).expect(7);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_14_the_key_of_another_organisation_is_refused() {
    let database = TestDatabase::create().await;
    let url = database.options().to_url_lossy().to_string();
    let scene = Scene::new(&url).await;
    scene.configure(&url, "other");
    let (status, log) = scene.serve().finish();
    assert_eq!(status.code(), Some(2), "{log}");
    // Told once: the log and the end of the command go to the same place.
    assert_eq!(log.matches("venue-group belongs to another organisation").count(), 1, "{log}");
    // The commands that call the platform by themselves look first, too.
    for arguments in [&["retention", "preview"][..], &["retention", "run", "--confirm", "0"]] {
        let refused = scene.run(arguments).expect(2);
        assert!(refused.stderr.contains("venue-group belongs to another organisation"), "{refused:?}");
    }
    assert_eq!(scene.simulator.journal().calls(Endpoint::ListContacts), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_14_a_sweep_by_hand_refuses_a_platform_that_does_not_tell_whose_key_it_is() {
    let (_database, scene) = scene().await;
    scene.simulator.faults().inject(Fault::Status(503).on(Endpoint::Service));
    let refused = scene.run(&["retention", "preview"]).expect(6);
    assert!(refused.stderr.contains("could not be asked whether the key belongs"), "{refused:?}");
    assert_eq!(scene.simulator.journal().calls(Endpoint::ListContacts), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_an_organisation_that_is_not_configured_is_told() {
    let (database, scene) = scene().await;
    scene.run(&["request", "list"]).expect(0);
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    for name in ["mistyped", "mistyped", "Canarina Rossi"] {
        sqlx::query("INSERT INTO dsrd.intake (organisation_id) VALUES ($1)")
            .bind(name)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let checked = scene.run(&["--json", "check"]);
    let findings = checked.json();
    let lines: Vec<_> =
        findings.as_array().unwrap().iter().filter(|each| each["check"] == "organisations").collect();
    assert_eq!(lines.len(), 2, "{findings}");
    assert!(lines.iter().all(|line| line["verdict"] == "warn"), "{lines:?}");
    assert!(checked.stdout.contains("mistyped is not configured; open requests: 0, rows of producers: 2"));
    let mut daemon = scene.serve();
    daemon.wait_for("the worker takes requests");
    daemon.signal("-TERM");
    let (_, log) = daemon.finish();
    assert_eq!(log.matches("an organisation that is not configured here").count(), 2, "{log}");
    assert!(!format!("{log}{checked:?}").contains("Rossi"), "what is no name is not repeated: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s_51_a_plain_http_platform_is_refused_before_anything_waits() {
    // No database answers there: the refusal must not need one.
    let scene = Scene::new("postgres://dsrd@127.0.0.1:1/dsrd").await;
    let text = std::fs::read_to_string(scene.path("dsrd.toml")).unwrap();
    let plain = text.replace(scene.simulator.base_url().as_str(), "http://platform.example");
    assert_ne!(plain, text);
    std::fs::write(scene.path("dsrd.toml"), plain).unwrap();
    let (status, log) = scene.serve().finish();
    assert_eq!(status.code(), Some(2), "{log}");
    assert_eq!(log.matches("plain http is for loopback only").count(), 1, "{log}");
    assert!(!log.contains("dsrd starts"), "{log}");
    let checked = scene.run(&["check", "--offline"]).expect(4);
    assert!(checked.stdout.contains("plain http is for loopback only"), "{}", checked.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_master_key_is_not_replaced_by_a_new_one() {
    let (_database, scene) = scene().await;
    scene.run(&["request", "list"]).expect(0);
    let key = scene.path("data/keys/master.key");
    std::fs::remove_file(&key).unwrap();
    let (status, log) = scene.serve().finish();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("restore the file from its backup") && !key.exists(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_not_signed_with_another_key_than_its_own() {
    let (_database, scene) = scene().await;
    scene.run(&["audit", "key", "show"]).expect(3);
    scene.run(&["audit", "list"]).expect(0);
    let shown = scene.run(&["--json", "audit", "key", "show"]).expect(0).json();
    assert!(shown[0]["verifier_key"].as_str().unwrap().starts_with(shown[0]["origin"].as_str().unwrap()));
    scene.run(&["audit", "key", "new"]).expect(5);
    let both = scene.run(&["--json", "audit", "key", "rotate"]).expect(0).json();
    assert_eq!((both.as_array().unwrap().len(), &both[0]), (2, &shown[0]));
    scene.run(&["audit", "key", "rotate"]).expect(5);
    let last = scene.run(&["--json", "audit", "key", "rotate", "--finish"]).expect(0).json();
    assert_eq!((last.as_array().unwrap().len(), &last[0]), (1, &both[1]));
    scene.run(&["audit", "key", "rotate", "--finish"]).expect(1);
    let told = scene.run(&["--json", "audit", "list", "--action", "log.key"]).expect(0).json();
    assert_eq!(told.as_array().unwrap().len(), 2);

    let key = scene.path("data/keys/audit.key");
    std::fs::remove_file(&key).unwrap();
    let (status, log) = scene.serve().finish();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("restore the file from its backup") && !key.exists(), "{log}");
    // Reading does not need the key; what could not be sealed is told.
    let read = scene.run(&["audit", "list"]).expect(0);
    assert!(read.stderr.contains("may be missing"), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_signed_with_the_key_that_systemd_hands_over() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_database, scene) = scene().await;
    let credentials = scene.path("credentials");
    let key = credentials.join("audit.key");
    let seed = "5".repeat(64);
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(&key, &seed).unwrap();
    mode(&key, 0o400);
    mode(&credentials, 0o500);
    let with_credentials =
        |arguments: &[&str]| run(scene.command(arguments).env("CREDENTIALS_DIRECTORY", &credentials), "");
    // The second reading is of the entry of the first.
    for _ in 0..2 {
        with_credentials(&["audit", "list"]).expect(0);
    }
    let shown = with_credentials(&["--json", "audit", "key", "show"]).expect(0).json();
    let origin = shown[0]["origin"].as_str().unwrap().parse().unwrap();
    let ours = dsrd::audit::LogKeys::from_text(&seed).unwrap().signing_keys(&origin);
    assert_eq!(shown[0]["verifier_key"].as_str(), Some(ours[0].verifier().to_string().as_str()));
    with_credentials(&["audit", "verify"]).expect(0);
    let checked = with_credentials(&["config", "explain"]).expect(0);
    assert!(
        checked.stdout.contains("credentials/audit.key") && !checked.stdout.contains(&seed),
        "{checked:?}"
    );
    assert!(!scene.path("data/keys/audit.key").exists(), "no second key is made");

    // A command from a shell has no credential. It is told so, and leaves nothing half done.
    let checked = scene.run(&["check", "--offline"]);
    assert!(checked.stdout.contains("hands it over as a systemd credential"), "{checked:?}");
    let recover = ["audit", "recover", "--after-restore", "--nothing-outside", "--reason", "drill"];
    for arguments in [&recover[..], &["audit", "key", "rotate"], &["audit", "key", "rotate", "--finish"]] {
        let refused = scene.run(arguments).expect(2);
        assert!(refused.stderr.contains("only the unit sees it"), "{arguments:?}: {refused:?}");
    }
    let holds = scene.run(&["--json", "audit", "hold", "list"]).expect(0).json();
    assert_eq!(holds, serde_json::json!([]), "no hold without the fork that it is for");

    // Where the unit hands nothing over, the log is not signed with another key.
    let (status, log) = scene.serve().finish();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("restore the file from its backup"), "{log}");
    assert!(!scene.path("data/keys/audit.key").exists());
    mode(&credentials, 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_14_an_organisation_does_not_move_to_other_people() {
    let (_database, scene) = scene().await;
    scene.run(&["request", "list"]).expect(0);
    let organisations = scene.simulator.organisations();
    let [main, other] = organisations.as_slice() else { panic!("two organisations") };
    let text = std::fs::read_to_string(scene.path("dsrd.toml")).unwrap();
    std::fs::write(scene.path("dsrd.toml"), text.replace(main.org_id(), other.org_id())).unwrap();
    let refused = scene.run(&["request", "list"]).expect(2);
    assert!(refused.stderr.contains("was registered with another platform.organisation_id"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s_42_a_wrong_database_password_is_shown_nowhere() {
    // Nobody listens there; the point is what the failure says.
    let scene = Scene::new("postgres://dsrd:c%40n%2Fary-bird%23%25@127.0.0.1:1/dsrd").await;
    for arguments in [&["request", "list"][..], &["check"], &["migrate"], &["config", "explain"]] {
        let finished = scene.run(arguments);
        let shown = format!("{finished:?}");
        assert!(!shown.contains("ary-bird"), "{arguments:?}: {shown}");
    }
    scene.run(&["request", "list"]).expect(6);
    scene.run(&["migrate"]).expect(6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_private_database_is_kept_up_alone_for_a_restore() {
    let (_database, scene) = scene().await;
    let refused = scene.run(&["setup", "--hold"]).expect(5);
    assert!(refused.stderr.contains("a database is configured"), "{}", refused.stderr);
    let configured = std::fs::read_to_string(scene.path("dsrd.toml")).unwrap();
    let private =
        configured.lines().filter(|line| !line.starts_with("url_file")).collect::<Vec<_>>().join("\n");
    std::fs::write(scene.path("dsrd.toml"), private).unwrap();
    // The server runs under an account of its own, which has to reach its files.
    std::fs::set_permissions(scene.directory.path(), Permissions::from_mode(0o755)).unwrap();
    let mut command = scene.command(&["setup", "--hold"]);
    let mut held = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(held.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains("it stops with Ctrl-C")).unwrap();
    let options = line.split(['(', ')']).nth(1).unwrap().to_owned();
    let option = |name: &str| {
        let prefix = format!("{name}=");
        options.split(' ').find_map(|each| each.strip_prefix(&prefix)).unwrap().to_owned()
    };
    let connect = sqlx::postgres::PgConnectOptions::new_without_pgpass()
        .socket(option("host"))
        .port(option("port").parse().unwrap())
        .username(&option("user"))
        .database("postgres");
    let mut connection = PgConnection::connect_with(&connect).await.unwrap();
    // Nobody is connected to it, so that it can be replaced.
    sqlx::raw_sql("DROP DATABASE dsrd").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert!(Command::new("kill").args(["-INT", &held.id().to_string()]).status().unwrap().success());
    assert!(held.wait().unwrap().success());
    assert!(PgConnection::connect_with(&connect).await.is_err(), "it ended with its process");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_migrated_with_the_login_of_a_second_file() {
    // The daemon's login is of no use here; the runbook names the other one in a file that root keeps beside it.
    let scene = Scene::new("postgres://dsrd@127.0.0.1:1/dsrd").await;
    scene.run(&["migrate"]).expect(6);
    let database = TestDatabase::create().await;
    let url = scene.path("migrator.url");
    std::fs::write(&url, format!("{}\n", database.options().to_url_lossy())).unwrap();
    std::fs::set_permissions(&url, Permissions::from_mode(0o600)).unwrap();
    let second = scene.path("migrate.toml");
    std::fs::write(&second, format!("[database]\nurl_file = \"{}\"\n", url.display())).unwrap();
    let migrated = scene.run(&["--config", second.to_str().unwrap(), "migrate"]).expect(0);
    assert!(migrated.stdout.contains("up to date"), "{migrated:?}");
    scene.run(&["migrate"]).expect(6);
}
