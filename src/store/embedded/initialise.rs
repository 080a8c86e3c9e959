//! Making a cluster, and the rules of who may enter it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::account::{Account, name_of};
use super::binaries::Binaries;
use super::error::{EmbeddedError, last_lines};
use super::layout::{Layout, create_directory};
use super::settings::Settings;

/// The database role that owns everything in the private cluster. Not named like a schema of ours: PostgreSQL puts the
/// schema of the role's own name first in the search path, and the table of applied migrations would be looked for there.
pub const ROLE: &str = "dsrd_owner";

/// Name of the user name map in `pg_ident.conf`.
const IDENT_MAP: &str = "dsrd";

/// Creates the cluster if there is none. It grows under another name and is renamed when complete, so that a crash in
/// the middle leaves nothing that looks like a cluster.
pub(super) fn create_cluster(
    layout: &Layout,
    binaries: &Binaries,
    account: &Account,
) -> Result<(), EmbeddedError> {
    if layout.cluster_major()?.is_some() {
        return Ok(());
    }
    tracing::info!(version = %binaries.version, directory = %layout.cluster.display(), "creating the private database cluster");
    if fs::symlink_metadata(&layout.unfinished).is_ok() {
        fs::remove_dir_all(&layout.unfinished)
            .map_err(EmbeddedError::directory("remove", &layout.unfinished))?;
    }
    create_directory(&layout.unfinished, 0o700, (account.uid, account.gid))?;
    let output = binaries
        .command("initdb", account)
        .arg("--pgdata")
        .arg(&layout.unfinished)
        .args(["--username", ROLE, "--encoding", "UTF8", "--locale", "C", "--data-checksums"])
        .args(["--auth-local", "peer", "--auth-host", "reject", "--no-instructions"])
        .output()
        .map_err(|source| EmbeddedError::Launch { program: binaries.program("initdb"), source })?;
    if !output.status.success() {
        let all = [output.stdout, output.stderr].concat();
        return Err(EmbeddedError::InitdbFailed {
            directory: layout.cluster.clone(),
            output: last_lines(&String::from_utf8_lossy(&all), 4),
        });
    }
    fs::rename(&layout.unfinished, &layout.cluster)
        .map_err(EmbeddedError::directory("rename", &layout.unfinished))
}

/// Writes who may log in as whom. Done at every start, because the daemon's account may have changed.
///
/// The files lie beside the cluster, not in it: the directory of the cluster belongs to the server's account, and a root
/// daemon does not write where somebody else could have laid a link.
pub(super) fn write_access_rules(layout: &Layout, account: &Account) -> Result<(), EmbeddedError> {
    let rules = format!(
        "# Written by dsrd at every start. Local sockets only; the operating system vouches for the caller.\n\
         local all all peer map={IDENT_MAP}\n"
    );
    layout.replace(&layout.hba, &rules)?;

    // Root can become anyone anyway; naming it lets an administrator use the command line beside a running daemon.
    let us = name_of(rustix::process::geteuid().as_raw())?;
    let names = BTreeSet::from(["root", account.name.as_str(), us.as_str()]);
    let mut map = "# Written by dsrd at every start: map, operating-system user, database role.\n".to_owned();
    for name in names {
        map.push_str(&format_ident_line(name));
    }
    layout.replace(&layout.ident, &map)
}

fn format_ident_line(name: &str) -> String {
    format!("{IDENT_MAP} {} {}\n", quoted(name), quoted(ROLE))
}

/// Arguments of `postgres`. Of a setting named twice the last one counts, so ours come after the operator's.
pub(super) fn server_arguments(layout: &Layout, socket_dir: &Path, settings: &Settings) -> Vec<String> {
    let mut arguments = vec!["-D".to_owned(), layout.cluster.display().to_string()];
    let mut set = |name: &str, value: &str| {
        arguments.push("-c".to_owned());
        arguments.push(format!("{name}={value}"));
    };
    for (name, value) in &settings.server_settings {
        set(name, value);
    }
    set("listen_addresses", "");
    set("port", &super::layout::PORT.to_string());
    set("unix_socket_directories", &quoted(&socket_dir.display().to_string()));
    set("unix_socket_permissions", "0700");
    set("hba_file", &layout.hba.display().to_string());
    set("ident_file", &layout.ident.display().to_string());
    set("cluster_name", "dsrd");
    // An answered commit is on disk, also after a power cut.
    set("fsync", "on");
    set("full_page_writes", "on");
    set("data_sync_retry", "off");
    // Compiling queries needs memory that is writable and executable, which the hardened service unit denies.
    set("jit", "off");
    set("timezone", "UTC");
    set("log_timezone", "UTC");
    // The log goes to our file. Statements, their parameters and the values in their errors may name people: they
    // reach the daemon, which knows how to keep them to itself, and never the log.
    set("log_destination", "stderr");
    set("logging_collector", "off");
    set("log_min_messages", "log");
    set("log_min_error_statement", "panic");
    set("log_min_duration_statement", "-1");
    set("log_min_duration_sample", "-1");
    set("log_transaction_sample_rate", "0");
    set("log_parameter_max_length", "0");
    set("log_parameter_max_length_on_error", "0");
    set("log_error_verbosity", "terse");
    set("log_statement", "none");
    set("log_duration", "off");
    set("log_lock_waits", "off");
    set("log_autovacuum_min_duration", "-1");
    set("log_checkpoints", "off");
    set("log_line_prefix", "%m [%p] ");
    arguments
}

/// A name in double quotes, as `pg_ident.conf` and directory lists want it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_keep_data_safe_come_last_and_so_win() {
        let mut settings = Settings::new("/var/lib/example", None);
        settings.server_settings = vec![("fsync".to_owned(), "off".to_owned())];
        let layout = Layout::new(&settings).unwrap();
        let arguments = server_arguments(&layout, Path::new("/run/a, \"b\""), &settings);
        let last = arguments.iter().rfind(|argument| argument.starts_with("fsync=")).unwrap();
        assert_eq!(last, "fsync=on");
        assert!(arguments.contains(&"unix_socket_directories=\"/run/a, \"\"b\"\"\"".to_owned()));
    }
}
