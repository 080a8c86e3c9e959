//! Configurations that cannot be used.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::process::{Daemon, ProcessService, write_private};

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
