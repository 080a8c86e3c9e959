//! `dsrd-simulator`: the simulated contact platform as a process of its own.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use chrono::{DateTime, SubsecRound, Utc};
use clap::Parser;
use dsrd_simulator::{JournalKeeping, OrganisationSettings, RateLimit, Settings, Simulator, TokenClaims};

/// Simulates the Cloud4Wi contact API with invented people. For tests and demonstrations only.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8089")]
    listen: SocketAddr,
    /// Number of generated contacts per organisation.
    #[arg(long, default_value_t = 1_000)]
    contacts: u32,
    /// Seed of the generated contacts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Name of an organisation; may be given several times.
    #[arg(long = "organisation", default_values_t = ["main".to_owned()])]
    organisations: Vec<String>,
    /// Calls per second that a key may make; without it there is no limit.
    #[arg(long)]
    rate_limit: Option<f64>,
    /// Calls that a key may make at once.
    #[arg(long, default_value_t = 5.0, requires = "rate_limit")]
    burst: f64,
    /// The platform's "now" (RFC 3339); the real time when not given.
    #[arg(long)]
    reference: Option<DateTime<Utc>>,
    /// Writes each organisation's key pair into this directory, which is made where it is missing, as files of mode 0600:
    /// `<organisation>.client_key` and `<organisation>.client_secret` as dsrd's `client_key_file` and
    /// `client_secret_file` want them, and `<organisation>.key.json` with the two as `clientKey` and `clientSecret`, the
    /// body of the platform's log-in call.
    #[arg(long)]
    key_directory: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nothing is left to do when even the error cannot be shown.
            drop(writeln!(std::io::stderr(), "dsrd-simulator: {message}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let mut settings = Settings::with_contacts(0);
    settings.listen = arguments.listen;
    settings.reference = arguments.reference.unwrap_or_else(|| {
        // Whole seconds, as the platform writes them.
        DateTime::<Utc>::from(SystemTime::now()).trunc_subsecs(0)
    });
    settings.token_claims = TokenClaims::WallClock;
    settings.journal = JournalKeeping::Last(10_000);
    settings.organisations = arguments
        .organisations
        .iter()
        .map(|name| {
            let mut organisation = OrganisationSettings::new(name, arguments.contacts);
            organisation.seed ^= arguments.seed;
            organisation.rate_limit = arguments.rate_limit.map(|rate| RateLimit::new(rate, arguments.burst));
            organisation
        })
        .collect();
    let simulator =
        Simulator::start(settings).await.map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })?;
    let mut lines = vec![format!("base-url {}", simulator.base_url())];
    for organisation in simulator.organisations() {
        let key = serde_json::json!({
            "clientKey": organisation.client_key(),
            "clientSecret": organisation.client_secret(),
        });
        let hint = match &arguments.key_directory {
            Some(directory) => {
                std::fs::create_dir_all(directory)
                    .map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
                let path = |ending: &str| directory.join(format!("{}.{ending}", organisation.name()));
                write_secret(&path("client_key"), organisation.client_key())?;
                write_secret(&path("client_secret"), organisation.client_secret())?;
                write_secret(&path("key.json"), &key.to_string())?;
                format!("key-file {}", path("key.json").display())
            }
            None => format!("key {key}"),
        };
        let (name, id, contacts) =
            (organisation.name(), organisation.org_id(), organisation.contact_number());
        lines.push(format!("organisation {name} id {id} contacts {contacts} {hint}"));
    }
    lines.push("ready; stop with Ctrl-C\n".to_owned());
    let mut out = std::io::stdout();
    out.write_all(lines.join("\n").as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot print: {error}"))?;
    tokio::signal::ctrl_c().await.map_err(|error| format!("cannot wait for Ctrl-C: {error}"))?;
    simulator.shutdown().await;
    Ok(())
}

/// Writes one line that only the owner can read.
fn write_secret(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(failed)?;
    // A file of an earlier run keeps the mode that it had.
    file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    writeln!(file, "{text}").map_err(failed)
}
