//! Configurations that cannot be used.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::process::{Daemon, ProcessService, eventually, write_private};
use crate::support::service::TestService;

/// What a daemon says of a configuration that it refuses, and its exit code.
async fn refused(service: &ProcessService) -> (Option<i32>, String) {
    let (status, log) = Daemon::start(service.command(&["serve"])).ended(Duration::from_secs(20)).await;
    (status.code(), log)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s_51_a_configuration_that_cannot_be_used_is_refused_with_the_key_and_the_file() {
    let service = ProcessService::start().await;
    let good = std::fs::read_to_string(service.config()).unwrap();
    let file = service.config().to_str().unwrap().to_owned();
    let key = service.world.directory.path().join("main.key");
    let key_text = std::fs::read_to_string(&key).unwrap();
    let cases = [
        // A typing error must not leave a default in force.
        ("lease_secs", "leese_secs", vec!["queue.leese_secs", file.as_str()]),
        ("in_flight = 16", "in_fligth = 16", vec!["platform.rate.in_fligth", file.as_str()]),
        (
            "request_workers = 8",
            "request_workers = \"canarino\"",
            vec!["queue.request_workers", file.as_str()],
        ),
        ("lease_secs = 3", "lease_secs = 2", vec!["queue.lease_secs"]),
        ("http://127.0.0.1", "http://api.example", vec!["base_url", "plain http is for loopback only"]),
        ("transport = \"file\"", "transport = \"smtp\"", vec!["delivery"]),
        ("[queue]", "[queue", vec![file.as_str(), "not valid TOML"]),
        ("contact = \"dpo@prova.example\"", "", vec!["organisations[0].contact"]),
    ];
    for (from, to, said) in cases {
        assert!(good.contains(from), "{from}");
        std::fs::write(service.config(), good.replace(from, to)).unwrap();
        let (code, log) = refused(&service).await;
        assert_eq!(code, Some(2), "{to}: {log}");
        for part in said {
            assert!(log.contains(part), "{to}: {part} is not told: {log}");
        }
        assert!(!log.contains("canarino"), "{to}: the value is repeated: {log}");
    }
    std::fs::write(service.config(), &good).unwrap();

    // S-42: a secret that others may read.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, log) = refused(&service).await;
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("client_key_file") && !log.contains(key_text.trim()), "{log}");
    write_private(&key, &key_text);
    let password = service.world.directory.path().join("mail.password");
    std::fs::write(&password, "canarino\n").unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o644)).unwrap();
    let smtp = format!(
        "transport = \"smtp\"\nsmtp = {{ host = \"localhost\", username = \"dsrd\", password_file = \"{}\" }}",
        password.display()
    );
    std::fs::write(service.config(), good.replace("transport = \"file\"", &smtp)).unwrap();
    let (code, log) = refused(&service).await;
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("password_file") && log.contains("chmod 600") && !log.contains("canarino"), "{log}");
    std::fs::remove_file(&password).unwrap();
    std::fs::write(service.config(), &good).unwrap();

    // Nothing was called, and nothing was begun.
    assert_eq!(service.world.simulator.journal().total_calls(), 0);
    assert_eq!(service.count("SELECT count(*) FROM dsrd.instance").await, 0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_limited_to_the_connections_that_the_reference_names_is_enough() {
    const LOGIN: &str = "limited_login";
    let world = TestService::start().await;
    // The default of database.max_connections, and what the reference says of it.
    let limit = 4 + dsrd::daemon::CONNECTIONS_BESIDE_POOL;
    let mut owner = PgConnection::connect_with(&world.database.options()).await.unwrap();
    let role = format!("CREATE ROLE {LOGIN} LOGIN CONNECTION LIMIT {limit} IN ROLE dsrd_service, aud_sealer");
    sqlx::raw_sql(AssertSqlSafe(role)).execute(&mut owner).await.unwrap();
    // The cluster of the tests lets nobody in but its owner.
    let rules: String = sqlx::query_scalar("SHOW hba_file").fetch_one(&mut owner).await.unwrap();
    let text = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, format!("local all {LOGIN} trust\n{text}")).unwrap();
    sqlx::query("SELECT pg_reload_conf()").execute(&mut owner).await.unwrap();
    owner.close().await.unwrap();
    let options = world.database.options().username(LOGIN);
    eventually("the login is let in", Duration::from_mins(1), || async {
        PgConnection::connect_with(&options).await.is_ok()
    })
    .await;

    let service = ProcessService::reaching(world, &options);
    let mut producer = service.producer().await;
    let daemon = service.serve().await;
    let handed_in = crate::hand_in(&service, &mut producer, 0..30).await;
    service.rest(Duration::from_mins(2)).await;
    let published = service.home.join("log/checkpoint");
    eventually("a head is published", Duration::from_mins(1), || async { published.exists() }).await;
    let log = daemon.log();
    for refused in ["SQLSTATE 53300", "too many connections"] {
        let line = log.lines().find(|line| line.contains(refused));
        assert!(line.is_none(), "{line:?}");
    }
    daemon.stop().await;
    crate::assert_done(&service, &handed_in);
    service.finish().await;
}
