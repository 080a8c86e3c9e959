//! Everything that is logged while tests run: shown with a failing test, and searched for canaries by the oracle.

use std::io::{self, Write};
use std::sync::{Mutex, Once, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static STARTED: Once = Once::new();

/// Starts recording, at every level, once for the process. The database driver is left out: it logs the statements of
/// the tests themselves, in which canaries stand on purpose.
pub(crate) fn record() {
    STARTED.call_once(|| {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("trace,hyper=info,sqlx=off"))
            .with_ansi(false)
            .with_writer(Recorder)
            .init();
    });
}

/// Whether a text stands anywhere in what was logged, whatever its case.
pub(crate) fn contain(text: &str) -> bool {
    let logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    logged.to_ascii_lowercase().windows(text.len()).any(|window| window == text.as_bytes())
}

/// How many bytes were logged so far.
pub(crate) fn length() -> usize {
    LOGGED.lock().unwrap_or_else(PoisonError::into_inner).len()
}

/// What was logged since then.
pub(crate) fn since(length: usize) -> Vec<u8> {
    LOGGED.lock().unwrap_or_else(PoisonError::into_inner)[length..].to_vec()
}

#[derive(Clone, Copy)]
struct Recorder;

impl Write for Recorder {
    #[expect(clippy::print_stdout, reason = "printed, so that the test harness keeps it for failures")]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        if text.contains(" WARN ") || text.contains(" ERROR ") {
            print!("{text}");
        }
        LOGGED.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Recorder {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}
