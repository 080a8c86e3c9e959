//! Archives and exports that go to standard output: whoever works under another account (`sudo -u dsrd dsrd …`) can neither have a
//! file written into their own directories nor read one that belongs to that account.
//!
//! What has to stand in the audit log before it is handed over waits in a file without a name, so that nothing is left of it where
//! it cannot be recorded.

use std::fs::File;
use std::io::{self, IsTerminal as _, Seek as _, Write as _};
use std::path::Path;

use super::Failure;
use super::context::Context;
use crate::report;

/// Whether an option for a file names standard output.
pub(super) fn is_meant(path: &Path) -> bool {
    path == Path::new("-")
}

/// Standard output, for what no person reads; refused where it is a terminal.
pub(super) fn open() -> anyhow::Result<io::Stdout> {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        return Err(Failure::Usage
            .because("an archive is nothing to be read at a terminal; send it into a file with > FILE"));
    }
    Ok(stdout)
}

/// A file of this process alone, in the private directory of packages.
pub(super) fn create_nameless(context: &Context) -> anyhow::Result<File> {
    let directory = &context.settings().report.directory;
    report::prepare_directory(directory)?;
    Ok(report::create_nameless(directory)?)
}

/// Writes all of a file to standard output. A reader that has gone away has got half of it, which is a failure.
pub(super) fn hand_over(mut file: File) -> anyhow::Result<()> {
    file.rewind()?;
    let mut stdout = open()?.lock();
    io::copy(&mut file, &mut stdout)?;
    Ok(stdout.flush()?)
}
