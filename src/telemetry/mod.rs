//! How the service speaks to its operators without naming people.
//!
//! Events of `tracing` enter from every module and leave as single lines on standard error, for people
//! ([`Format::Human`]) or programs ([`Format::Json`]). Standard output belongs to the data of the command line.
//!
//! Invariants:
//! - One event is one line, whatever its values hold: line breaks, escape codes and invisible direction marks are
//!   written as `\u{…}` (S-25).
//! - Other people's libraries may speak up to the level `warn` only. Their lower levels may show what they carry,
//!   which are persons' data; no setting opens them (S-41).
//! - A panic is logged with its place; its text only where it is a literal of the program, because a formatted text
//!   can hold any value.
//! - A database that is away is told once a minute, however many tasks notice it (F-16).
//! - Fields have the names listed in [`fields`]; `tests/documents.rs` reads the sources and refuses others.
//!
//! To log something new: use a name of [`fields`], or add one there and say what it holds.

pub mod fields;
mod json;
mod line;
mod outage;
mod panic;

use std::io::IsTerminal;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

pub use panic::install_panic_hook;

/// Settings of the log.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Form of the lines on standard error: `human`, `json`, or `auto` (human on a terminal, else json).
    pub format: Format,
    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`), or levels per module
    /// (`info,dsrd::execution=debug`). Other people's libraries never speak below `warn`.
    pub filter: String,
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Human on a terminal, else JSON.
    Auto,
    /// Text for people, coloured on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not of the form `level` or `target=level,…`.
    #[error(
        "telemetry.filter cannot be read; write a level such as info, or target=level pairs separated by commas"
    )]
    Filter,
    /// Another subscriber was installed before.
    #[error("the log was set up twice")]
    Twice,
}

/// Installs the log for this process, and the panic hook.
pub fn init(settings: &Settings) -> Result<(), TelemetryError> {
    let terminal = std::io::stderr().is_terminal();
    let subscriber = subscriber(settings, terminal, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Twice)?;
    install_panic_hook();
    Ok(())
}

/// Checks a filter without installing anything.
pub fn check(settings: &Settings) -> Result<(), TelemetryError> {
    filter(settings).map(|_| ())
}

/// The subscriber that [`init`] installs, writing to `writer`; for tests and for embedding.
pub fn subscriber<W>(
    settings: &Settings,
    terminal: bool,
    writer: W,
) -> Result<impl tracing::Subscriber + Send + Sync + use<W>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let is_json = match settings.format {
        Format::Auto => !terminal,
        Format::Human => false,
        Format::Json => true,
    };
    // A closed standard error must not end the daemon, hence no reports about failed writing.
    let lines =
        tracing_subscriber::fmt::layer().log_internal_errors(false).with_ansi(false).with_writer(writer);
    let lines = if is_json {
        lines
            .fmt_fields(tracing_subscriber::fmt::format::JsonFields::new())
            .event_format(line::OneLine::json(json::Json))
            .boxed()
    } else {
        lines.event_format(line::OneLine::human(tracing_subscriber::fmt::format(), terminal)).boxed()
    };
    Ok(Registry::default().with(lines.with_filter(filter(settings)?.and(filter_fn(may_speak)))))
}

fn filter(settings: &Settings) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder()
        .with_default_directive(LevelFilter::ERROR.into())
        .parse(&settings.filter)
        .map_err(|_| TelemetryError::Filter)
}

fn may_speak(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    // After an outage each waiting task would tell how long it waited for its connection.
    if target.starts_with("sqlx::pool") {
        return *metadata.level() == tracing::Level::ERROR;
    }
    target == "dsrd" || target.starts_with("dsrd::") || *metadata.level() <= tracing::Level::WARN
}

#[cfg(test)]
mod tests;
