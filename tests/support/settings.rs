//! The settings of the service under test: fast, impatient, and boring.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dsrd::audit::{self, LogKeys, SealError, Sealer};
use dsrd::delivery;
use dsrd::domain::{Clock, Controller, ErasureRules, FloodLimits, IdentityRules, OrganisationId};
use dsrd::platform::cloud4wi;
use dsrd::store::{self, Store};
use dsrd_simulator::OrganisationHandle;
use serde::de::DeserializeOwned;
use sqlx::postgres::PgConnectOptions;
use zeroize::Zeroizing;

use super::database::TestDatabase;

/// How fast one key may call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallLimit {
    /// Calls a second.
    pub(crate) per_second: f64,
    /// How many calls may be made at once after a rest.
    pub(crate) burst: u32,
}

/// Fast enough not to be felt, and no faster. A test that is about the limit sets another one.
pub(crate) const CALL_LIMIT: CallLimit = CallLimit { per_second: 1_000.0, burst: 100 };

pub(super) fn controller(
    name: &str,
    identity: &IdentityRules,
    erasure: &ErasureRules,
    flood: FloodLimits,
) -> Controller {
    Controller {
        id: name.parse().expect("simulated organisations have plain names"),
        name: "Caffè Prova".to_owned(),
        contact: "dpo@prova.example".to_owned(),
        time_zone: chrono_tz::Europe::Rome,
        regime: dsrd::domain::deadline::RegimeCode::EU,
        calendar: None,
        further_calendars: Vec::new(),
        reminder_days: 0,
        frequent_from: 4,
        two_persons: Vec::new(),
        default_country: Some("IT".to_owned()),
        language: "en".to_owned(),
        opt_out_policies: vec!["mktgCommunications".to_owned()],
        identity: identity.clone(),
        erasure: erasure.clone(),
        flood,
    }
}

pub(super) fn database_settings() -> store::Settings {
    store::Settings {
        url_file: None,
        url: None,
        max_connections: 8,
        statement_timeout_secs: 30,
        acquire_timeout_secs: 30,
        migrate_at_start: false,
        embedded_binaries_dir: None,
    }
}

/// A sealer of the log of a database.
pub(crate) async fn sealer(
    database: &TestDatabase,
    keys: LogKeys,
    clock: Arc<dyn Clock>,
) -> Result<Sealer, SealError> {
    sealer_at(database.options(), keys, clock).await
}

/// A sealer that reaches the database in its own way.
pub(crate) async fn sealer_at(
    options: PgConnectOptions,
    keys: LogKeys,
    clock: Arc<dyn Clock>,
) -> Result<Sealer, SealError> {
    let settings = audit::Settings {
        key_file: PathBuf::new(),
        origin: String::new(),
        seal_secs: 0.2,
        checkpoint_secs: 10,
        heartbeat_secs: 600,
        merge_delay_secs: 5,
        account_secs: 60,
    };
    Sealer::open(Store::connect_as_sealer(options, &database_settings()), keys, clock, settings).await
}

/// Settings of mail: written into files, from a data protection office.
pub(crate) fn mail_settings() -> delivery::Settings {
    from_toml(
        r#"
        transport = "file"
        from_address = "privacy@prova.example"
        link_base_url = "https://privacy.prova.example"
        package_expiry_days = 14
        download_retry_secs = 900
        send_timeout_secs = 5
        retry_first_secs = 1
        retry_max_secs = 60
        give_up_after_days = 5
        smtp = { host = "localhost", port = 25, security = "none", plain_text_allowed = false, max_connections = 2 }
        file = {}
        "#,
    )
}

/// What signs the calls to gateways of text messages.
pub(crate) const GATEWAY_SECRET: &str = "fedcba9876543210fedcba9876543210";

/// The gateways of the organisations that have one.
pub(super) fn gateways(controllers: &BTreeMap<OrganisationId, Arc<Controller>>) -> delivery::TextGateways {
    let with_texts = controllers.values().filter_map(|controller| {
        let settings = controller.identity.text_messages.clone()?;
        let secret = Zeroizing::new(GATEWAY_SECRET.to_owned());
        Some((controller.id.clone(), delivery::TextGateway::new(settings, secret)))
    });
    with_texts.collect()
}

/// Reads settings as the daemon does, from TOML.
pub(crate) fn from_toml<T: DeserializeOwned>(text: &str) -> T {
    config::Config::builder()
        .add_source(config::File::from_str(text, config::FileFormat::Toml))
        .build()
        .and_then(config::Config::try_deserialize)
        .expect("settings that can be read")
}

/// Fast and impatient. How fast it may call, the builder says.
pub(super) fn platform_settings(
    organisation: &OrganisationHandle,
    base_url: &str,
    directory: &Path,
) -> cloud4wi::Settings {
    let key = secret_file(directory, &format!("{}.key", organisation.name()), organisation.client_key());
    let secret =
        secret_file(directory, &format!("{}.secret", organisation.name()), organisation.client_secret());
    let mut settings: cloud4wi::Settings = from_toml(&format!(
        r#"
        base_url = "{base_url}"
        organisation_id = "{}"
        client_key_file = "{}"
        client_secret_file = "{}"
        {}
        "#,
        organisation.org_id(),
        key.display(),
        secret.display(),
        include_str!("../platform/defaults.toml").replace("base_url = \"https://explore.cloud4wi.com\"", ""),
    ));
    settings.rate.in_flight = 16;
    settings.rate.patience_secs = 0;
    settings.rate.attempts = 2;
    settings.rate.retry_pause_secs = 0.001;
    settings.rate.breaker_failures = 1_000_000;
    settings.limits.idle_timeout_secs = 2.0;
    settings.limits.total_timeout_secs = 10.0;
    settings
}

fn secret_file(directory: &Path, name: &str, content: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = directory.join(name);
    std::fs::write(&path, content).expect("a secret file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its rights");
    path
}
