//! The database: reachable, of this version, with the right rights and durable.

use super::Findings;
use crate::cli::context::Context;
use crate::daemon::{self, Database};
use crate::store::{self, PgConnection, SchemaState, Store, embedded};

const REACHABLE: &str = "database";

/// An open database and its pool, for the other checks.
pub(super) struct Opened {
    database: Database,
    store: Store,
}

impl Opened {
    pub(super) const fn database(&self) -> &Database {
        &self.database
    }

    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    pub(super) async fn close(self) {
        self.store.close().await;
        self.database.close().await;
    }
}

pub(super) async fn check(context: &Context, findings: &mut Findings) -> Option<Opened> {
    let settings = context.settings();
    if !Database::is_there(settings) {
        private_programs(context, findings);
        return None;
    }
    let database = match Database::open(settings, &context.sources).await {
        Ok(database) => database,
        Err(error) => {
            findings.fail_with(REACHABLE, &error);
            return None;
        }
    };
    let state = match database.schema_state(settings).await {
        Ok(state) => state,
        Err(error) => {
            findings.fail(
                REACHABLE,
                error.to_string(),
                "check database.url_file, the server and the network between",
            );
            database.close().await;
            return None;
        }
    };
    findings.ok(REACHABLE, database.describe());
    let check = "schema";
    match state {
        SchemaState::Current => findings.ok(check, "up to date"),
        SchemaState::Behind(missing) if settings.database.migrate_at_start => {
            findings.ok(check, format!("{missing} migration(s) missing; applied at the next start"));
        }
        SchemaState::Behind(missing) => {
            findings.fail(check, format!("{missing} migration(s) missing"), "run: dsrd migrate");
        }
        SchemaState::Newer => {
            findings.fail(check, "made by a newer dsrd", "start that version, or restore a backup");
        }
        SchemaState::Altered => {
            findings.fail(check, "a migration differs from this program's", "install an unmodified release");
        }
    }
    if state != SchemaState::Current {
        // The role and the tables that the other checks would use are not there yet.
        database.close().await;
        return None;
    }
    let store = Store::connect_lazily(database.options().clone(), &settings.database);
    let opened = Opened { database, store };
    if let Err(error) = look_inside(context, opened.store(), findings).await {
        findings.fail("role of the service", error.to_string(), "GRANT dsrd_service to the login role");
    }
    Some(opened)
}

/// Without a cluster yet, what matters is whether one could be made.
fn private_programs(context: &Context, findings: &mut Findings) {
    match embedded::discover(&Database::embedded_settings(context.settings(), &context.sources)) {
        Ok(binaries) => findings.ok(
            REACHABLE,
            format!(
                "a private one is made at the first start with {} in {}",
                binaries.version,
                binaries.directory.display()
            ),
        ),
        Err(error) => findings.fail_with(REACHABLE, &error),
    }
}

async fn look_inside(
    context: &Context,
    store: &Store,
    findings: &mut Findings,
) -> Result<(), store::StoreError> {
    let mut connection = store.connection().await?;
    let rights = daemon::role_rights(&mut connection).await?;
    match (rights.may_work, rights.may_forge) {
        (true, false) => findings.ok("role of the service", "may append to the audit log and not change it"),
        (false, _) => findings.fail(
            "role of the service",
            "dsrd_service lacks rights, or the login may not act as aud_sealer",
            "run `dsrd migrate` as the owner of the schema, and: GRANT dsrd_service, aud_sealer TO <login role>",
        ),
        (true, true) => findings.fail(
            "role of the service",
            "dsrd_service could change the audit log",
            "revoke the rights on schema audit that the migrations did not grant",
        ),
    }
    for (name, value) in daemon::server_settings(&mut connection).await? {
        match (name.as_str(), value.as_str()) {
            ("server_version", version) => findings.ok("server version", version),
            ("fsync" | "full_page_writes", "off") => findings.fail(
                &name,
                "off: a crash of the host can lose or corrupt requests and audit entries",
                "set it to on in postgresql.conf and reload",
            ),
            ("synchronous_commit", "off") => findings.fail(
                &name,
                "off: a crash can forget what the audit log has acknowledged",
                "set it to on for the login role of the service",
            ),
            ("fsync", _) => findings.ok(&name, "on: what is committed reaches the disk"),
            ("full_page_writes", _) => findings.ok(&name, "on: a page half written at a crash is mended"),
            ("synchronous_commit", other) => {
                findings.ok(&name, format!("{other}: what the audit log has acknowledged is stored"));
            }
            (_, other) => findings.ok(&name, other),
        }
    }
    stranded(context, &mut connection, findings).await?;
    let stored = daemon::find_fingerprint(&mut connection).await?;
    let path = &context.settings().keys.master_key_file;
    match &stored {
        None => findings.ok("master key", "nothing was sealed yet"),
        Some(_) if matches!(path.try_exists(), Ok(false)) => findings.fail(
            "master key",
            format!("{} does not exist although the database holds sealed identifiers", path.display()),
            "restore it from its backup",
        ),
        Some(fingerprint) => match daemon::load_or_create_master_key(path, Some(fingerprint)) {
            Ok(_) => findings.ok("master key", "it is the one of this database"),
            Err(error) => findings.fail_with("master key", &error),
        },
    }
    Ok(())
}

/// Requests of organisations that the configuration does not name are worked on by nobody here.
async fn stranded(
    context: &Context,
    connection: &mut PgConnection,
    findings: &mut Findings,
) -> Result<(), store::StoreError> {
    const CHECK: &str = "organisations";
    let configured: Vec<String> =
        context.settings().organisations.iter().map(|each| each.id.to_string()).collect();
    let found = daemon::find_stranded(connection, &configured).await?;
    if found.is_empty() {
        findings.ok(CHECK, "nothing waits for an organisation that is not configured");
    }
    for each in found {
        let name = each.organisation.map_or_else(|| "a text that is no name".to_owned(), |id| id.to_string());
        findings.warn(
            CHECK,
            format!(
                "{name} is not configured; open requests: {}, rows of producers: {}",
                each.open_requests, each.intake_rows
            ),
            "add it to the configuration, unless another daemon works for it; correct the producer if it is no \
             organisation of yours",
        );
    }
    Ok(())
}
