//! `dsrd witness`: watch the audit log of somebody else.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::context::Context;
use super::output::Output;
use crate::audit::tlog::{KeyName, VerifierKey};
use crate::daemon::{self, Stop, WitnessPlan};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a witness: it remembers the newest head of each log and signs a newer one only if that continues it. Its key is
    /// made at the first start; the public key is printed. Needs no database and no configuration.
    Serve {
        /// Name of the witness in its signatures, in the form of a URL without scheme that belongs to you.
        #[arg(long)]
        name: KeyName,
        /// Public key of a log that is watched (`dsrd audit key show`); may be given several times.
        #[arg(long = "log", required = true, value_name = "VERIFIER_KEY")]
        logs: Vec<VerifierKey>,
        /// Address and port to listen on; a reverse proxy adds TLS.
        #[arg(long, default_value = "127.0.0.1:8086")]
        listen: SocketAddr,
        /// Directory for the key and what is remembered; `witness` in the data directory when left out.
        #[arg(long, value_name = "DIRECTORY")]
        state_dir: Option<PathBuf>,
    },
}

/// What a witness says of itself.
#[derive(Serialize)]
struct Shown {
    /// What logs put into publish.witnesses.
    verifier_key: String,
}

pub(super) async fn run(command: Command, context: Context, output: &Output) -> anyhow::Result<()> {
    let Command::Serve { name, logs, listen, state_dir } = command;
    let state_dir = state_dir.unwrap_or_else(|| context.settings().data_dir.join("witness"));
    let stop = Stop::at_signals()?;
    let witness = daemon::open_witness(&WitnessPlan { name, state_dir, logs, address: listen })?;
    let shown = Shown { verifier_key: witness.verifier().to_string() };
    output.show(&shown, |shown| shown.verifier_key.clone())?;
    Ok(daemon::serve_witness(witness, listen, stop.soft).await?)
}
