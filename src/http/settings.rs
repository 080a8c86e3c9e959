//! Settings of the listener.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the hand-over page.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address and port, for example `127.0.0.1:8085`, for a reverse proxy that adds TLS. No page is served when empty;
    /// packages are then handed over by staff (`dsrd request package`).
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
    /// How long a browser may take to send the head of a request, in seconds.
    pub header_timeout_secs: u32,
    /// How many connections may be open at once.
    pub max_connections: u32,
}
