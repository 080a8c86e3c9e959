//! `dsrd`: see `dsrd --help`, and the crate's documentation for how it is built.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One provider of cryptography for all TLS; a second installation changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    dsrd::cli::run(std::env::args_os().collect())
}
