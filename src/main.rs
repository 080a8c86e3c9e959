//! `dsrd`: see `dsrd --help`, and the crate's documentation for how it is built.

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    // One provider of cryptography for all TLS; a second installation changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Nothing else works by now: no log, no command.
            std::io::Write::write_all(&mut std::io::stderr(), format!("error: {error}\n").as_bytes())
                .unwrap_or_default();
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(dsrd::cli::run(std::env::args_os()));
    // A blocking call that hangs must not keep a process from ending that was told to.
    runtime.shutdown_timeout(Duration::from_millis(500));
    code
}
