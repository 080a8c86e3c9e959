//! Why the listener cannot work.

use std::net::SocketAddr;

/// A failed operation of this module.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}; choose another http.listen")]
    Listen {
        /// The address of the settings.
        address: SocketAddr,
        /// What was seen.
        #[source]
        source: std::io::Error,
    },
}
