//! A witness for the logs of others, run on a host of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::StartError;
use super::master_key::create;
use crate::audit::tlog::{KeyName, VerifierKey};
use crate::audit::{LogKeys, Witness};
use crate::config;
use crate::domain::SystemClock;
use crate::http;

/// What a witness is told.
#[derive(Clone, Debug)]
pub struct WitnessPlan {
    /// Its name, as it stands in cosignatures.
    pub name: KeyName,
    /// Where it remembers, and keeps its key.
    pub state_dir: PathBuf,
    /// The keys of the logs that it watches.
    pub logs: Vec<VerifierKey>,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Opens a witness; its key is made where there is none.
pub fn open_witness(plan: &WitnessPlan) -> Result<Witness, StartError> {
    let path = plan.state_dir.join("witness.key");
    if !path.exists() {
        create(&path, &LogKeys::generate().to_text())
            .map_err(|source| StartError::LogKeyWrite { path: path.clone(), source })?;
    }
    let text = config::read_secret("the key file of the witness", &path)?;
    let key = LogKeys::from_text(&text)
        .ok()
        .and_then(|seeds| seeds.cosigning_key(&plan.name))
        .ok_or(StartError::WitnessKey { path })?;
    Ok(Witness::open(&plan.state_dir, key, plan.logs.iter().cloned(), Arc::new(SystemClock))?)
}

/// Serves until the stop.
pub async fn serve_witness(
    witness: Witness,
    address: SocketAddr,
    stop: CancellationToken,
) -> Result<(), StartError> {
    let listener = http::bind(address).await?;
    // Where port 0 was asked for, the system chose one.
    let address = listener.local_addr().unwrap_or(address);
    for (log, size) in witness.sizes() {
        tracing::info!(detail = log, count = size, "watches a log");
    }
    tracing::info!(%address, "the witness listens");
    let settings = http::Settings { listen: Some(address), header_timeout_secs: 10, max_connections: 100 };
    http::serve(listener, http::witness_router(Arc::new(witness)), &settings, stop).await;
    Ok(())
}
