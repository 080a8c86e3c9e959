//! Secret files and the data directory.

use std::path::Path;

use super::Findings;
use crate::cli::context::Context;
use crate::config;

/// Below this the daemon may soon be unable to write packages; the private cluster needs room for its log as well.
const LITTLE_SPACE: u64 = 1 << 30;

pub(super) fn check(context: &Context, findings: &mut Findings) {
    for secret in config::secret_files(&context.loaded) {
        let settings = context.settings();
        let is_made = [&settings.keys.master_key_file, &settings.audit.key_file].contains(&&secret.path);
        if is_made && matches!(secret.path.try_exists(), Ok(false)) {
            findings.warn(
                &secret.key,
                format!("{} does not exist yet", secret.path.display()),
                "it is made at the first start; afterwards keep a copy apart from the copies of the database",
            );
            continue;
        }
        match config::check_secret_file(&secret.key, &secret.path) {
            Ok(()) => {
                findings.ok(&secret.key, format!("{} is readable by its owner only", secret.path.display()));
            }
            Err(error) => findings.refuse(&secret.key, &error),
        }
    }
    data_directory(&context.settings().data_dir, findings);
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
