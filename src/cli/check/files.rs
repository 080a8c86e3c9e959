//! Secret files, and the directories that are written to.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::{Findings, Verdict};
use crate::cli::context::Context;
use crate::config;

/// Below this the daemon may soon be unable to write packages; the private cluster needs room for its log as well.
const LITTLE_SPACE: u64 = 1 << 30;

pub(super) fn check(context: &Context, findings: &mut Findings) {
    for secret in config::secret_files(&context.loaded) {
        let settings = context.settings();
        let is_made = [&settings.keys.master_key_file, &settings.audit.key_file].contains(&&secret.path);
        if is_made && matches!(secret.path.try_exists(), Ok(false)) {
            let remedy = if secret.path == settings.audit.key_file {
                "it is made at the first start, unless the unit hands it over as a systemd credential, which no command from a shell \
                 sees; afterwards keep a copy apart from the copies of the database"
            } else {
                "it is made at the first start; afterwards keep a copy apart from the copies of the database"
            };
            findings.warn(&secret.key, format!("{} does not exist yet", secret.path.display()), remedy);
            continue;
        }
        match config::check_secret_file(&secret.key, &secret.path) {
            Ok(()) => {
                findings.ok(&secret.key, format!("{} is readable by its owner only", secret.path.display()));
            }
            Err(error) => findings.refuse(&secret.key, &error),
        }
    }
    let settings = context.settings();
    data_directory(&settings.data_dir, findings);
    // Where everything else lies elsewhere, nothing is written into the data directory itself.
    let keys = [&settings.keys.master_key_file, &settings.audit.key_file];
    let is_made =
        |file: &&PathBuf| file.starts_with(&settings.data_dir) && matches!(file.try_exists(), Ok(false));
    let has_cluster = settings.database.url.is_none() && settings.database.url_file.is_none();
    if has_cluster || keys.iter().any(is_made) {
        writable("data directory", &settings.data_dir, Verdict::Fail, findings);
    }
    writable("ledger.directory", &settings.ledger.directory, Verdict::Fail, findings);
    writable("report.directory", &settings.report.directory, Verdict::Fail, findings);
    // A place outside that is away stops nothing.
    writable("publish.directory", &settings.publish.directory, Verdict::Warn, findings);
}

/// Whether the user of this process may write into a directory, or make it; silent where it may. Root passes the rights of
/// files, but not what is mounted read-only.
fn writable(check: &str, directory: &Path, verdict: Verdict, findings: &mut Findings) {
    let Some(existing) = directory.ancestors().find(|each| each.exists()) else { return };
    let asked = if existing.is_dir() {
        access(existing, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
    } else {
        Err(Errno::NOTDIR)
    };
    let Err(error) = asked else { return };
    let shown = if existing == directory { String::new() } else { ", which does not exist yet".to_owned() };
    findings.add(
        verdict,
        check,
        format!("{}{shown}: nothing can be written into {} ({error})", directory.display(), existing.display()),
        Some(
            "give it to the user of the service with mode 0700; under systemd, name a directory outside of the state directory in \
             ReadWritePaths= of the unit",
        ),
    );
}

fn data_directory(directory: &Path, findings: &mut Findings) {
    const CHECK: &str = "data directory";
    // It is made at the first start: until then, the directory above it tells how much room there is.
    let Some(existing) = directory.ancestors().find(|each| each.exists()) else {
        findings.fail(
            CHECK,
            format!("{} cannot exist", directory.display()),
            "set data_dir to an absolute path",
        );
        return;
    };
    match rustix::fs::statvfs(existing) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let shown = format!("{}, {} free", directory.display(), room(free));
            if free < LITTLE_SPACE {
                findings.warn(CHECK, shown, "make room: packages, and the private database, need some");
            } else {
                findings.ok(CHECK, shown);
            }
        }
        Err(error) => findings.fail(
            CHECK,
            format!("{} cannot be looked at ({error})", existing.display()),
            "give the user of the service access to it",
        ),
    }
}

/// Bytes as people say them.
fn room(bytes: u64) -> String {
    if bytes >= 10 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}
