//! What is refused before the first call.

use std::sync::Arc;

use dsrd::domain::SystemClock;
use dsrd::platform::cloud4wi::{Cloud4Wi, LocalBudget, OrgId, Settings, SetupError};
use dsrd::secret_file::SecretFileError;

use crate::support::{self, secret_file};

fn build(settings: Settings) -> Result<Cloud4Wi, SetupError> {
    let budget = Arc::new(LocalBudget::new(&settings.rate));
    Cloud4Wi::new(settings, None, budget, Arc::new(SystemClock))
}

#[tokio::test]
async fn s_23_only_https_or_loopback_without_user_info_is_accepted_as_base_url() {
    let directory = tempfile::tempdir().unwrap();
    let base = |url: &str| build(support::settings(url, directory.path()));
    for refused in [
        "http://explore.cloud4wi.com",
        "http://169.254.169.254",
        "https://169.254.169.254",
        "https://10.0.0.1",
        "https://[fd00::1]",
        "https://user:word@explore.cloud4wi.com",
        "https://user@explore.cloud4wi.com",
        "ftp://explore.cloud4wi.com",
        "file:///etc/passwd",
        "explore.cloud4wi.com",
        "",
        "https://a.example/?x=1",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "https://[::ffff:10.0.0.1]",
    ] {
        assert!(matches!(base(refused), Err(SetupError::BaseUrl(_))), "{refused}");
    }
    for accepted in [
        "https://explore.cloud4wi.com/",
        "http://127.0.0.1:8080",
        "http://localhost:8080",
        "http://[::1]:80",
        "http://127.9.9.9",
    ] {
        base(accepted).unwrap_or_else(|error| panic!("{accepted}: {error}"));
    }
    let mut private = support::settings("https://10.0.0.1", directory.path());
    private.allow_private_address = true;
    build(private).unwrap();
}

#[tokio::test]
async fn s_42_secret_files_open_to_others_are_refused_and_secrets_are_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    for mode in [0o644, 0o640, 0o606] {
        let mut settings = support::settings("http://127.0.0.1:1", directory.path());
        settings.client_secret_file =
            secret_file(directory.path(), &format!("open-{mode:o}"), "word-canary", mode);
        let error = build(settings).unwrap_err();
        assert!(matches!(error, SetupError::Secret(SecretFileError::Open { .. })), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
    for text in ["", " \n", "two\nlines"] {
        let mut settings = support::settings("http://127.0.0.1:1", directory.path());
        settings.client_key_file = secret_file(directory.path(), "bad", text, 0o600);
        let built = build(settings);
        assert!(matches!(built, Err(SetupError::Secret(SecretFileError::Content { .. }))), "{text:?}");
    }
    let mut settings = support::settings("http://127.0.0.1:1", directory.path());
    settings.client_key_file = directory.path().join("missing");
    assert!(matches!(build(settings), Err(SetupError::Secret(SecretFileError::Unreadable { .. }))));
    let client = build(support::settings("http://127.0.0.1:1", directory.path())).unwrap();
    assert!(!format!("{client:#?}").contains("canary"));
}

/// The service manager shows a credential to a unit with `User=` by an access-control list, whose mask shows as rights of the
/// group; the same rule is tested whole in the configuration's tests.
#[tokio::test]
async fn the_key_pair_is_read_from_systemd_credentials_as_other_secrets_are() {
    use std::os::unix::fs::PermissionsExt as _;
    let (directory, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut settings = support::settings("http://127.0.0.1:1", directory.path());
    settings.client_key_file = secret_file(credentials.path(), "cloud4wi.key", "key", 0o440);
    std::fs::set_permissions(credentials.path(), std::fs::Permissions::from_mode(0o550)).unwrap();
    let built = build(settings);
    std::fs::set_permissions(credentials.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    // Only root can make such files.
    let of_root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
    assert_eq!(built.is_ok(), of_root);
}

#[test]
fn s_22_an_organisation_id_is_one_safe_segment_of_a_path() {
    for hostile in ["", ".", "..", "%2e%2e", "a/b", "a?b", "a\nb", &"a".repeat(10_000)] {
        assert!(hostile.parse::<OrgId>().is_err(), "{hostile:?}");
    }
}

#[test]
fn numbers_that_make_no_sense_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    for (change, name) in [
        ((|settings| settings.rate.requests_per_second = 0.0) as fn(&mut Settings), "requests_per_second"),
        (|settings| settings.rate.requests_per_second = f64::NAN, "requests_per_second"),
        (|settings| settings.paging.page_size = 0, "page_size"),
        (|settings| settings.paging.page_size = 10_001, "page_size"),
        (|settings| settings.rate.in_flight = 0, "in_flight"),
        (|settings| settings.limits.max_depth = 1000, "max_depth"),
        (|settings| settings.limits.idle_timeout_secs = -1.0, "idle_timeout_secs"),
    ] {
        let mut settings = support::settings("http://127.0.0.1:1", directory.path());
        change(&mut settings);
        assert!(build(settings).unwrap_err().to_string().contains(name), "{name}");
    }
}
