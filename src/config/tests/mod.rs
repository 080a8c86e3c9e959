use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

mod decisions;

const ORGANISATION: &str = r#"
[[organisations]]
id = "venue-group"
name = "Venue Group"
contact = "privacy@venue-group.example"
platform = { organisation_id = "155d60f2", client_key_file = "/secrets/key", client_secret_file = "/secrets/secret" }

"#;

/// What a service needs beside organisations.
const MAIL: &str = r#"
[delivery]
from_address = "privacy@venue-group.example"
link_base_url = "https://privacy.venue-group.example"
smtp = { host = "mail.venue-group.example" }

"#;

/// A directory with configuration files, and an environment.
struct Scene {
    directory: tempfile::TempDir,
    sources: Sources,
}

impl Scene {
    fn new() -> Self {
        let mut sources = Sources::default();
        sources.environment.insert("HOME".to_owned(), "/home/operator".to_owned());
        Self { directory: tempfile::tempdir().unwrap(), sources }
    }

    fn file(mut self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        self.sources.files.push(path);
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn load(&self) -> Loaded {
        load(&self.sources).unwrap()
    }

    fn refusal(&self) -> String {
        let error = load(&self.sources).map(|loaded| loaded.settings).unwrap_err();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        text
    }
}

fn explained(loaded: &Loaded, key: &str) -> (Option<String>, String) {
    let row = explain(loaded).into_iter().find(|row| row.key == key);
    let row = row.unwrap_or_else(|| panic!("{key} is not explained"));
    assert!(!row.doc.is_empty(), "{key} has no text");
    (row.value, row.origin)
}

#[test]
fn defaults_alone_load_and_every_key_is_explained() {
    let loaded = Scene::new().load();
    assert_eq!(loaded.settings.data_dir, PathBuf::from("/home/operator/.local/state/dsrd"));
    let master = &loaded.settings.keys.master_key_file;
    assert_eq!(*master, PathBuf::from("/home/operator/.local/state/dsrd/keys/master.key"));
    for row in explain(&loaded) {
        assert!(!row.doc.is_empty(), "{} has no text", row.key);
        assert_eq!(row.origin, "default", "{}", row.key);
    }
}

#[test]
fn later_files_override_earlier_ones_and_the_environment_overrides_all() {
    let scene = Scene::new()
        .file("one.toml", "[queue]\nrequest_workers = 7\nsweep_workers = 7\npoll_secs = 7\n")
        .file("two.toml", "[queue]\nsweep_workers = 8\npoll_secs = 8\n")
        .variable("DSRD__QUEUE__POLL_SECS", "9");
    let loaded = scene.load();
    let queue = &loaded.settings.queue;
    assert_eq!((queue.request_workers, queue.sweep_workers, queue.poll_secs), (7, 8, 9));
    let origin = |key| explained(&loaded, key).1;
    assert!(origin("queue.request_workers").ends_with("one.toml"), "{}", origin("queue.request_workers"));
    assert!(origin("queue.sweep_workers").ends_with("two.toml"));
    assert_eq!(origin("queue.poll_secs"), "environment variable DSRD__QUEUE__POLL_SECS");
    assert_eq!(origin("queue.lease_secs"), "default");
}

#[test]
fn the_data_directory_follows_the_host() {
    let data_dir = |scene: Scene| scene.load().settings.data_dir;
    let mut root = Scene::new();
    root.sources.root = true;
    assert_eq!(data_dir(root), PathBuf::from("/var/lib/dsrd"));
    let mut service = Scene::new().variable("XDG_STATE_HOME", "/state");
    service.sources.of_service = true;
    assert_eq!(data_dir(service), PathBuf::from("/var/lib/dsrd"), "a command of the service's user");
    assert_eq!(data_dir(Scene::new().variable("XDG_STATE_HOME", "/state")), PathBuf::from("/state/dsrd"));
    assert_eq!(
        data_dir(Scene::new().variable("STATE_DIRECTORY", "/var/lib/dsrd:/x")),
        PathBuf::from("/var/lib/dsrd")
    );
    assert_eq!(data_dir(Scene::new().variable("DSRD__DATA_DIR", "/srv/dsrd")), PathBuf::from("/srv/dsrd"));
    let mut homeless = Scene::new();
    homeless.sources.environment.clear();
    assert!(homeless.refusal().contains("data_dir"));
}

#[test]
fn unknown_keys_are_refused_with_their_origin_and_a_guess() {
    let scene = Scene::new()
        .file("wrong.toml", "[queue]\nreqest_workers = 7\n[database]\npassword = \"canary\"\n[quue]\nx = 1\n")
        .variable("DSRD__TELEMETRY__LEVEL", "canary")
        .variable("DSRD__DATABASE__URL__FILE", "canary");
    let text = scene.refusal();
    for expected in [
        "unknown key queue.reqest_workers",
        "did you mean request_workers?",
        "wrong.toml",
        "unknown key database.password",
        "unknown key quue",
        "did you mean queue?",
        "unknown key telemetry.level (environment variable DSRD__TELEMETRY__LEVEL)",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in: {text}");
    }
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn unknown_keys_of_an_organisation_and_of_its_defaults_are_refused() {
    let text = Scene::new()
        .file(
            "dsrd.toml",
            &format!("[organisation_defaults]\nlanguages = \"it\"\n{ORGANISATION}timezone = \"UTC\"\n"),
        )
        .refusal();
    assert!(text.contains("unknown key organisation_defaults.languages"), "{text}");
    assert!(text.contains("unknown key organisations[0].timezone"), "{text}");
    assert!(text.contains("did you mean time_zone?"), "{text}");
}

#[test]
fn organisations_inherit_what_they_do_not_say() {
    let second = ORGANISATION.replace("\"venue-group\"", "\"second\"").replace("155d60f2", "255d60f2")
        + "language = \"de\"\n";
    let loaded = Scene::new()
        .file(
            "dsrd.toml",
            &format!("[organisation_defaults]\nlanguage = \"it\"\ntime_zone = \"Europe/Rome\"\n{ORGANISATION}{second}{MAIL}"),
        )
        .variable("DSRD__ORGANISATION_DEFAULTS__OPT_OUT_POLICIES", "one, two")
        .variable("DSRD__ORGANISATIONS__1__CONTACT", "dpo@second.example")
        .load();
    let [first, second] = loaded.settings.organisations.as_slice() else { panic!("two organisations") };
    assert_eq!((first.language.as_str(), second.language.as_str()), ("it", "de"));
    assert_eq!(second.time_zone, chrono_tz::Europe::Rome);
    assert_eq!(first.opt_out_policies, ["one", "two"]);
    assert_eq!(second.contact, "dpo@second.example");
    let origin = explained(&loaded, "organisations[0].language").1;
    assert!(origin.ends_with("dsrd.toml, organisation_defaults"), "{origin}");
    check(&loaded.settings).unwrap();
}

#[test]
fn a_missing_key_is_named_with_its_variable() {
    let text = Scene::new().file("dsrd.toml", &ORGANISATION.replace("name = \"Venue Group\"", "")).refusal();
    assert!(text.contains("organisations[0].name is missing"), "{text}");
    assert!(text.contains("DSRD__ORGANISATIONS__0__NAME"), "{text}");
}

#[test]
fn s_41_s_42_errors_name_key_and_origin_and_never_the_value() {
    for (key, text) in [
        ("queue.request_workers", "[queue]\nrequest_workers = \"canary-7\"\n"),
        ("queue.request_workers", "[queue]\nrequest_workers = -4242\n"),
        ("database.max_connections", "[database]\nmax_connections = 424242424242\n"),
        ("database.migrate_at_start", "[database]\nmigrate_at_start = \"canary\"\n"),
        ("telemetry.format", "[telemetry]\nformat = \"canary\"\n"),
        ("telemetry.filter", "[telemetry]\nfilter = { canary = \"canary\" }\n"),
        ("telemetry", "telemetry = \"canary\"\n"),
        ("organisations[0].id", &ORGANISATION.replace("\"venue-group\"", "\"CANARY \\\" canary\"")),
        ("organisations[0].time_zone", &format!("{ORGANISATION}time_zone = \"Canary/canary\"\n")),
        ("organisations[0].opt_out_policies", &format!("{ORGANISATION}opt_out_policies = \"canary\"\n")),
        (
            "organisations[0].opt_out_policies[0]",
            &format!("{ORGANISATION}opt_out_policies = [[\"canary\"]]\n"),
        ),
        ("organisations", "organisations = \"canary\"\n"),
    ] {
        let shown = Scene::new().file("place.toml", text).refusal();
        assert!(shown.contains(key), "{text}: {shown}");
        assert!(shown.contains("place.toml"), "{text}: {shown}");
        assert!(!shown.to_lowercase().contains("canary") && !shown.contains("4242"), "{text}: {shown}");
        assert!(shown.contains("must be") || shown.contains("failed to parse timezone"), "{text}: {shown}");
    }
}

#[test]
fn s_42_a_bad_variable_is_named_and_not_shown() {
    let shown = Scene::new().variable("DSRD__QUEUE__LEASE_SECS", "canary").refusal();
    assert!(
        shown.contains("queue.lease_secs (environment variable DSRD__QUEUE__LEASE_SECS): must be"),
        "{shown}"
    );
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn s_42_a_file_that_is_no_toml_is_refused_without_quoting_it() {
    for text in ["[database]\nurl = canary-secret\n", "x = \"canary", "[canary\n", "a = 1\na = \"canary\"\n"]
    {
        let shown = Scene::new().file("broken.toml", text).refusal();
        assert!(shown.contains("broken.toml") && shown.contains("line"), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
    }
    let mut scene = Scene::new();
    scene.sources.files.push(scene.path("missing.toml"));
    let shown = scene.refusal();
    assert!(shown.contains("missing.toml cannot be read: No such file"), "{shown}");
    let path = scene.path("binary.toml");
    std::fs::write(&path, [0xff, 0xfe, 0x00]).unwrap();
    scene.sources.files = vec![path];
    assert!(scene.refusal().contains("binary.toml"), "{}", scene.refusal());
}

#[test]
fn s_42_explain_shows_no_secret_at_any_depth() {
    let scene = Scene::new()
        .file(
            "dsrd.toml",
            &format!(
                "[database]\nurl = \"postgres://dsrd:can@ary/#%@db.example/dsrd\"\n[keys]\nmaster_key_file = \"/secrets/m\"\n{ORGANISATION}"
            ),
        );
    let loaded = scene.load();
    let all = format!("{:?}", explain(&loaded));
    assert!(!all.contains("can@ary"), "{all}");
    assert_eq!(explained(&loaded, "database.url").0.unwrap(), "[hidden: it holds a password]");
    assert_eq!(explained(&loaded, "keys.master_key_file").0.unwrap(), "/secrets/m [secret file]");
    let refused = check(&loaded.settings).unwrap_err().to_string();
    assert!(
        refused.contains("database.url holds a password") && refused.contains("database.url_file"),
        "{refused}"
    );
    assert!(!refused.contains("can@ary"), "{refused}");
}

#[test]
fn s_42_a_password_in_a_url_is_noticed_however_it_is_written() {
    for url in [
        "postgres://dsrd:secret@db/dsrd",
        "postgres://dsrd:p@ss/w:rd#?@db/dsrd",
        "postgres://db/dsrd?user=dsrd&password=secret",
        "postgresql://:secret@db/dsrd",
    ] {
        assert!(check::holds_password(url), "{url}");
    }
    for url in [
        "postgres://dsrd@db:5432/dsrd",
        "postgres:///dsrd?host=/run/postgresql",
        "postgres://[::1]:5432/dsrd",
    ] {
        assert!(!check::holds_password(url), "{url}");
    }
}

#[test]
fn s_42_secret_files_that_others_can_read_are_refused_with_the_remedy() {
    let scene = Scene::new();
    let path = scene.path("secret");
    std::fs::write(&path, "canary\n").unwrap();
    for mode in [0o640, 0o604, 0o660, 0o644, 0o610] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let shown = read_secret("mail.password_file", &path).unwrap_err().to_string();
        assert!(shown.contains("mail.password_file") && shown.contains("chmod 600"), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
    }
    // The one that lets its owner write comes last: whoever is not root writes the file once more below.
    for mode in [0o400, 0o600] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(read_secret("mail.password_file", &path).unwrap().as_str(), "canary");
    }
    for content in ["", "\n", "two\nlines"] {
        std::fs::write(&path, content).unwrap();
        assert!(matches!(read_secret("k", &path), Err(SecretFileError::Content { .. })), "{content:?}");
    }
    assert!(matches!(read_secret("k", scene.directory.path()), Err(SecretFileError::NotAFile { .. })));
    assert!(matches!(read_secret("k", &scene.path("missing")), Err(SecretFileError::Unreadable { .. })));
}

#[test]
fn the_logs_key_is_the_systemd_credential_where_there_is_one_and_none_is_named() {
    let credentials = tempfile::tempdir().unwrap();
    let directory = credentials.path().to_str().unwrap();
    let key_file =
        |scene: Scene| scene.variable("CREDENTIALS_DIRECTORY", directory).load().settings.audit.key_file;
    let in_data = PathBuf::from("/home/operator/.local/state/dsrd/keys/audit.key");
    assert_eq!(key_file(Scene::new()), in_data, "the unit has credentials, but not this one");
    std::fs::write(credentials.path().join("audit.key"), "canary\n").unwrap();
    assert_eq!(key_file(Scene::new()), credentials.path().join("audit.key"));
    let named = Scene::new().file("dsrd.toml", "[audit]\nkey_file = \"/secrets/audit.key\"\n");
    assert_eq!(key_file(named), PathBuf::from("/secrets/audit.key"));
}

#[test]
fn a_credential_is_read_as_systemd_shows_it_to_another_user_and_nothing_else_is_with_such_a_mode() {
    let credentials = tempfile::tempdir().unwrap();
    let path = credentials.path().join("audit.key");
    let modes = |directory: u32, file: u32| {
        std::fs::set_permissions(&path, Permissions::from_mode(file)).unwrap();
        std::fs::set_permissions(credentials.path(), Permissions::from_mode(directory)).unwrap();
        let read = read_secret("audit.key_file", &path).map(|secret| secret.as_str().to_owned());
        std::fs::set_permissions(credentials.path(), Permissions::from_mode(0o700)).unwrap();
        read.ok()
    };
    std::fs::write(&path, "canary\n").unwrap();
    let canary = Some("canary".to_owned());
    assert_eq!(modes(0o500, 0o400), canary);
    // The mask of an access-control list shows as rights of the group. Only the service manager makes such a file.
    let of_root = rustix::process::geteuid().is_root();
    assert_eq!(modes(0o550, 0o440), canary.filter(|_| of_root));
    for (directory, file) in [
        (0o550, 0o444),
        (0o550, 0o640),
        (0o550, 0o460),
        (0o750, 0o440),
        (0o570, 0o440),
        (0o555, 0o440),
        (0o551, 0o440),
    ] {
        assert_eq!(modes(directory, file), None, "{directory:o} {file:o}");
    }
    if of_root {
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        assert_eq!(modes(0o550, 0o440), None, "another user's");
        std::os::unix::fs::chown(&path, Some(0), Some(65_534)).unwrap();
        assert_eq!(modes(0o550, 0o440), None, "another group's");
    }
}

#[test]
fn secret_files_are_found_wherever_they_are_named() {
    // A certificate is none.
    let text =
        "[database]\nurl_file = \"/secrets/url\"\n[publish]\ntimestamp_certificate_file = \"/etc/tsa.pem\"\n";
    let loaded = Scene::new().file("dsrd.toml", text).load();
    let keys: Vec<String> = secret_files(&loaded).into_iter().map(|secret| secret.key).collect();
    assert_eq!(keys, ["audit.key_file", "database.url_file", "keys.master_key_file"]);
}

#[test]
fn s_51_wrong_or_unsafe_settings_are_refused_all_at_once() {
    let twice = format!("{ORGANISATION}{ORGANISATION}language = \"english\"\ndefault_country = \"Italy\"\n");
    let loaded = Scene::new()
        .file(
            "dsrd.toml",
            &format!(
                "data_dir = \"relative\"\n[queue]\nrequest_workers = 0\nlease_secs = 6\n[telemetry]\nfilter = \"a=b=c\"\n{twice}"
            ),
        )
        .load();
    let shown = check(&loaded.settings).unwrap_err().to_string();
    for expected in [
        "data_dir must be an absolute path",
        "queue.request_workers must be at least 1",
        "queue.lease_secs must be at least three times",
        "telemetry.filter",
        "organisations[1].id is the id of another organisation",
        "organisations[1].platform.organisation_id is that of another",
        "delivery: ",
        "organisations[1].language",
        "organisations[1].default_country",
    ] {
        assert!(shown.contains(expected), "{expected:?} is not in: {shown}");
    }
    let none = check(&Scene::new().load().settings).unwrap_err().to_string();
    assert!(none.contains("no organisation is configured"), "{none}");
}

#[test]
fn time_stamps_are_refused_by_a_program_that_was_built_without_them() {
    let text = format!(
        "{MAIL}{ORGANISATION}[publish]\ntimestamp_url = \"https://tsa.example\"\ntimestamp_certificate_file = \"/etc/tsa.pem\"\n"
    );
    let refused = check(&Scene::new().file("dsrd.toml", &text).load().settings).is_err_and(|error| {
        let shown = error.to_string();
        assert!(shown.contains("publish.timestamp_url") && shown.contains("built without"), "{shown}");
        true
    });
    assert_eq!(refused, cfg!(not(feature = "timestamps")));
}

#[test]
fn other_programs_variables_are_ignored() {
    Scene::new().variable("DSRD_SERVICE_HOST", "10.0.0.1").variable("DSRD_PORT", "tcp://10.0.0.1:80").load();
}

/// An organisation, and decisions beside it.
fn decided(more: &str) -> Scene {
    Scene::new().file("dsrd.toml", &format!("{ORGANISATION}{more}")).file("mail.toml", MAIL)
}

fn refused(scene: &Scene) -> String {
    check(&scene.load().settings).map_err(|error| error.to_string()).err().unwrap_or_default()
}

#[test]
fn r_27_the_period_of_the_retention_rule_is_that_of_the_profile_unless_the_catalogue_says_otherwise() {
    use crate::report::{Section, StorageAnchor};
    let entry =
        r#"{ purposes = "p", legal_basis = "l", recipients = "r", storage_period = "s", source = "o""#;
    let text = |own: &str, enabled: bool, anchor: &str| {
        format!(
            "[organisations.catalogue]\nautomated_decisions = \"n\"\ntransfers = \"n\"\ncomplaint_authority = \"a\"\n\
             [organisations.catalogue.sections]\nprofile = {entry}{own} }}\nconsents = {entry} }}\nevents = {entry} }}\n\
             devices = {entry} }}\naccountings = {entry} }}\nrequests = {entry} }}\n\
             [organisations.retention]\nenabled = {enabled}\nkeep_months = 24\nmost_percent = 5\nmost_contacts = 100\n\
             anchor = \"{anchor}\"\nactivities = [\"last_login\"]\n"
        )
    };
    let terms = |own: &str, enabled: bool, anchor: &str| {
        let catalogue =
            decided(&text(own, enabled, anchor)).load().settings.organisations[0].catalogue().unwrap();
        [Section::Profile, Section::Consents, Section::Events].map(|section| {
            catalogue.sections[&section].retention.map(|term| (term.period.to_string(), term.from))
        })
    };
    let months = |number: u32, from| Some((format!("{number} months"), from));
    let (created, active) = (StorageAnchor::Created, StorageAnchor::LastActivity);
    assert_eq!(terms("", true, "last_activity"), [months(24, active), months(24, active), None]);
    assert_eq!(terms("", true, "created"), [months(24, created), months(24, created), None]);
    assert_eq!(terms("", false, "created"), [None, None, None], "a rule that never runs promises nothing");
    let own = r#", retention = { period = "36m", from = "created" }"#;
    assert_eq!(terms(own, true, "last_activity"), [months(36, created), months(24, active), None]);
    // The spelling is that of `dsrd deadline --retention`, and an event that nothing tells of is refused.
    let active = r#", retention = { period = "36m", from = "last_activity" }"#;
    let problem = refused(&decided(&text(active, false, "created")));
    assert!(
        problem.contains("organisations[0].catalogue.sections.profile.retention.from is last_activity"),
        "{problem}"
    );
}

#[test]
fn a_gateway_of_text_messages_has_an_address_over_tls_and_no_other() {
    let with = |url: &str| {
        let gateway = format!(
            "[organisations.identity.text_messages]\nurl = \"{url}\"\nsecret_file = \"/secrets/gateway\"\n"
        );
        refused(&Scene::new().file("dsrd.toml", &format!("{MAIL}{ORGANISATION}{gateway}")))
    };
    let key = "organisations[0].identity.text_messages.url";
    for wrong in ["http://gateway.example/texts", "gateway", "https://user:pass@gateway.example/texts"] {
        let refused = with(wrong);
        assert!(refused.contains(key) && !refused.contains("user:pass"), "{wrong}: {refused}");
    }
    let right = with("https://gateway.example/texts");
    assert!(!right.contains(key), "{right}");
}

#[test]
fn r_46_backups_are_not_told_to_be_older_than_what_they_bring_back_can_be_deleted_again() {
    let with = |days: u32| refused(&decided(&format!("erasure = {{ backup_days = {days} }}\n")));
    assert_eq!(with(65), "");
    let refused = with(66);
    assert!(
        refused.contains("erasure.backup_days of organisation venue-group must not be more than"),
        "{refused}"
    );
}
