//! `dsrd request package`: an access package, decrypted by a member of staff.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Case;
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::output::Output;
use crate::cli::stdout;
use crate::daemon::Foundation;
use crate::domain::OrganisationId;
use crate::{delivery, report};

/// Options of `dsrd request package`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Id or reference of the request.
    request: Case,
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// Where the archive is written: a new file that only the account of this process can read, or - for standard output.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Report {
    file: String,
    bytes: u64,
}

pub(super) async fn run(
    args: Args,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(args.organisation.as_ref())?;
    let request = args.request.find(foundation, &organisation).await?;
    let is_stdout = stdout::is_meant(&args.out);
    // Made before the package is opened: an opening that stands in the log should lead to a file.
    let mut archive: Box<dyn Write + Send> =
        if is_stdout { Box::new(stdout::open()?) } else { Box::new(new_file(&args.out)?) };
    let written = async {
        let opened = delivery::open_for_staff(
            &foundation.store,
            &foundation.desk.keys,
            &foundation.settings.report.directory,
            &organisation,
            request,
            context.person(),
            foundation.desk.clock.now(),
        )
        .await?
        .ok_or_else(|| {
            Failure::NotFound.because("the request has no package, or it has expired and was destroyed")
        })?;
        let key = report::PackageKey::parse(opened.identity.expose())?;
        let bytes = tokio::task::spawn_blocking(move || {
            let bytes = report::open_package(&opened.path, &key, &mut archive)?;
            archive.flush()?;
            Ok::<u64, anyhow::Error>(bytes)
        })
        .await??;
        Ok::<u64, anyhow::Error>(bytes)
    };
    match written.await {
        Ok(_) if is_stdout => Ok(()),
        Err(error) if is_stdout => Err(error),
        Ok(bytes) => {
            let report = Report { file: args.out.display().to_string(), bytes };
            output.show(&report, |report| format!("{} ({} bytes)", report.file, report.bytes))
        }
        Err(error) => {
            // Half an archive is of no use to anybody; that it could not be removed is told beside the cause.
            if let Err(left) = std::fs::remove_file(&args.out) {
                output.say(&format!("note: {} could not be removed: {left}", args.out.display()));
            }
            Err(error)
        }
    }
}

fn new_file(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| cannot_be_made(path, &error))
}

/// Why the archive's file cannot be made, in a sentence.
fn cannot_be_made(path: &Path, error: &io::Error) -> anyhow::Error {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::Refused.because(format!(
            "{shown} exists already and is not overwritten; remove it or name another file with --out"
        )),
        io::ErrorKind::NotFound => Failure::Usage.because(format!(
            "{shown} cannot be made, because its directory does not exist; make it or name another file"
        )),
        io::ErrorKind::PermissionDenied => Failure::Usage.because(format!(
            "{shown} cannot be made, because you may not write there; name another file with --out"
        )),
        kind => {
            Failure::Usage.because(format!("{shown} cannot be made ({kind}); name another file with --out"))
        }
    }
}
