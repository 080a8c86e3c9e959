//! The oracle: invariants I-1 to I-10, checked after every service test from three independent witnesses: the
//! simulator's journal, the mails that went out, and the database.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dsrd_simulator::Effect;
use sqlx::{Connection as _, PgConnection, Row as _};

use super::logs;
use super::service::TestService;
use super::service::{BURST, CALLS_PER_SECOND};

/// Fails with everything that is not as promised.
pub(crate) async fn check(service: &TestService) {
    let sent = service.mails.sent().into_iter().map(|mail| mail.message_id).collect();
    check_with(service, sent).await;
}

/// The same for a service whose mails went another way: `sent` holds their Message-IDs.
pub(crate) async fn check_with(service: &TestService, sent: Vec<String>) {
    let mut faults = Vec::new();
    let entries = service.audit().await;
    faults.extend(every_request_is_somewhere(service).await);
    faults.extend(only_approved_contacts_were_touched(service).await);
    faults.extend(every_effect_is_bracketed(service, &entries));
    faults.extend(the_log_has_no_gap(&entries));
    faults.extend(success_follows_a_read_back(service, &entries).await);
    faults.extend(packages_hold_what_is_true(service).await);
    faults.extend(notices_are_sent_once(service, sent).await);
    faults.extend(canaries_stay_in_their_cage(service).await);
    faults.extend(nothing_is_left_running(service).await);
    faults.extend(the_rate_limit_was_kept(service));
    assert!(faults.is_empty(), "the oracle found:\n- {}", faults.join("\n- "));
}

async fn rows(service: &TestService, statement: &'static str) -> Vec<sqlx::postgres::PgRow> {
    let mut connection = service.store.connection().await.expect("a connection");
    sqlx::query(statement).fetch_all(&mut *connection).await.expect("rows")
}

/// I-1: every request is closed, scheduled, or parked with a reason, and its job agrees.
async fn every_request_is_somewhere(service: &TestService) -> Vec<String> {
    let lost = rows(
        service,
        "SELECT reference, request.state, job.state AS job_state
         FROM dsrd.request LEFT JOIN dsrd.job USING (organisation_id, request_id)
         WHERE (request.state = 'closed') <> (job.job_id IS NULL)
            OR (request.state = 'manual') <> (coalesce(job.state, '') = 'parked')",
    )
    .await;
    lost.iter()
        .map(|row| {
            let job: Option<String> = row.get("job_state");
            format!(
                "I-1: request {} is {} and its job {job:?}",
                row.get::<String, _>(0),
                row.get::<String, _>(1)
            )
        })
        .collect()
}

/// I-2: only contacts that a request was allowed to touch were deleted or changed, and only in its way.
async fn only_approved_contacts_were_touched(service: &TestService) -> Vec<String> {
    let approved =
        rows(service, "SELECT contact_id, kind FROM dsrd.request WHERE contact_id IS NOT NULL").await;
    let approved: BTreeSet<(String, String)> =
        approved.iter().map(|row| (row.get("contact_id"), row.get("kind"))).collect();
    let allowed = |contact: &str, kind: &str| approved.contains(&(contact.to_owned(), kind.to_owned()));
    service
        .simulator
        .journal()
        .effects()
        .into_iter()
        .filter(|(_, effect)| match effect {
            Effect::PolicySet { contact, accepted, .. } => *accepted || !allowed(contact, "opt_out"),
            Effect::Deleted { contact } | Effect::DeletionAccepted { contact } => {
                !allowed(contact, "erasure")
            }
        })
        .map(|(sequence, effect)| format!("I-2: effect {sequence} was approved by no request: {effect:?}"))
        .collect()
}

/// I-3: each effect was announced in the log, and each announcement has an end.
fn every_effect_is_bracketed(service: &TestService, entries: &[dsrd::audit::Entry]) -> Vec<String> {
    let mut faults = Vec::new();
    let ended: BTreeSet<_> = entries.iter().filter_map(|entry| entry.intent).collect();
    for began in entries.iter().filter(|entry| entry.action.rsplit('.').next() == Some("began")) {
        if !ended.contains(&began.id) {
            faults.push(format!("I-3: entry {} ({}) has no end", began.seq, began.action));
        }
    }
    let count = |action: &str| entries.iter().filter(|entry| entry.action == action).count();
    let effects = service.simulator.journal().effects();
    let deletions =
        effects.iter().filter(|(_, effect)| matches!(effect, Effect::DeletionAccepted { .. })).count();
    let direct = effects.iter().filter(|(_, effect)| matches!(effect, Effect::Deleted { .. })).count();
    if direct.max(deletions) > count("deletion.began") {
        faults.push(format!("I-3: {direct} deletions, {} announced", count("deletion.began")));
    }
    let policies = effects.iter().filter(|(_, effect)| matches!(effect, Effect::PolicySet { .. })).count();
    if policies > count("policy.began") {
        faults.push(format!("I-3: {policies} policy changes, {} announced", count("policy.began")));
    }
    faults
}

/// I-4: the numbers of the log are 1..n.
fn the_log_has_no_gap(entries: &[dsrd::audit::Entry]) -> Vec<String> {
    let numbers: Vec<i64> = entries.iter().map(|entry| entry.seq).collect();
    let expected: Vec<i64> = (1..=i64::try_from(entries.len()).expect("few entries")).collect();
    if numbers == expected { Vec::new() } else { vec![format!("I-4: the log is numbered {numbers:?}")] }
}

/// I-5: a request that says "fulfilled" has a read-back in the log, after its last effect and before its end, and the
/// simulator agrees.
async fn success_follows_a_read_back(service: &TestService, entries: &[dsrd::audit::Entry]) -> Vec<String> {
    let mut faults = Vec::new();
    let fulfilled = rows(
        service,
        "SELECT request_id, kind, contact_id FROM dsrd.request WHERE outcome IN ('fulfilled', 'partly_fulfilled')",
    )
    .await;
    for row in fulfilled {
        let (request, kind): (uuid::Uuid, String) = (row.get("request_id"), row.get("kind"));
        let contact: String = row.get::<Option<String>, _>("contact_id").unwrap_or_default();
        let place = |actions: &[&str]| {
            entries
                .iter()
                .filter(|entry| entry.case == Some(request) && actions.contains(&entry.action.as_str()))
                .map(|entry| entry.seq)
                .max()
        };
        let effect = place(&["policy.ended", "deletion.ended"]).unwrap_or(0);
        let proof = place(&["policy.verified", "deletion.verified", "package.built"]);
        let told = place(&["notice.ended"]);
        let closed = place(&["request.closed"]);
        if proof.is_none_or(|proof| proof < effect)
            || closed < proof
            || told.is_some_and(|told| Some(told) < proof)
        {
            faults.push(format!(
                "I-5: {kind} {request}: effect {effect}, proof {proof:?}, told {told:?}, closed {closed:?}"
            ));
        }
        let truth = service.platform.truth(&contact);
        if kind == "erasure" && truth.is_some_and(|truth| truth.exists) {
            faults.push(format!("I-5: erasure {request} says fulfilled and the contact exists"));
        }
    }
    faults
}

/// I-6: a package's counts are the simulator's truth, or it says that it is not complete; it was offered to the address
/// in the profile only.
async fn packages_hold_what_is_true(service: &TestService) -> Vec<String> {
    let mut faults = Vec::new();
    for row in rows(
        service,
        "SELECT contact_id, manifest FROM dsrd.package JOIN dsrd.request USING (organisation_id, request_id)",
    )
    .await
    {
        let contact: String = row.get("contact_id");
        let manifest: serde_json::Value = row.get("manifest");
        let Some(truth) = service.platform.truth(&contact).filter(|truth| truth.exists) else { continue };
        for (section, expected) in [
            ("profile", 1),
            ("events", truth.records.events),
            ("devices", truth.records.devices),
            ("accountings", truth.records.accountings),
        ] {
            let part = &manifest["sections"][section];
            let complete = part["incomplete"] == false && part["unreadable"] == 0;
            if complete && part["records"] != expected {
                faults.push(format!("I-6: {section} has {} of {expected} records", part["records"]));
            }
        }
        for mail in service.mails.sent() {
            if mail.link.is_some() && !mail.to.expose().eq_ignore_ascii_case(&truth.identifiers.email) {
                let known = service.platform.contact_ids().iter().any(|id| {
                    service
                        .platform
                        .truth(id)
                        .is_some_and(|other| other.identifiers.email.eq_ignore_ascii_case(mail.to.expose()))
                });
                if !known {
                    faults.push("I-6: a link went to an address that no profile holds".to_owned());
                }
            }
        }
    }
    faults
}

/// I-7: one Message-ID for each notice; what went out twice went out under the same one.
async fn notices_are_sent_once(service: &TestService, message_ids: Vec<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    for message_id in message_ids {
        *sent.entry(message_id).or_default() += 1;
    }
    let notices = rows(service, "SELECT message_id, state, attempts, kind FROM dsrd.notice").await;
    for row in &notices {
        let times = sent.remove(&row.get::<String, _>("message_id")).unwrap_or(0);
        let attempts = usize::try_from(row.get::<i32, _>("attempts")).unwrap_or(0);
        let state: String = row.get("state");
        if times > attempts || (state == "sent") && times == 0 {
            faults.push(format!(
                "I-7: notice {} is {state} after {attempts} attempts, sent {times} times",
                row.get::<String, _>("kind")
            ));
        }
    }
    if !sent.is_empty() {
        faults.push(format!("I-7: {} mails belong to no notice", sent.len()));
    }
    faults
}

/// A piece of every value that tests give to their canary person.
pub(crate) const CANARY: &str = "canarino";

/// I-8: no canary in any table but the sealed ones, nor in any file.
async fn canaries_stay_in_their_cage(service: &TestService) -> Vec<String> {
    let mut faults = Vec::new();
    let tables = rows(
        service,
        "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables
         WHERE table_schema IN ('dsrd', 'audit', 'audit_private') AND table_type = 'BASE TABLE'",
    )
    .await;
    let mut connection =
        PgConnection::connect_with(&service.database.options()).await.expect("a connection of the owner");
    for table in tables {
        let name: String = table.get("name");
        // The bytes of an entry are shown in hexadecimal digits otherwise.
        let text = if ["audit.entry", "audit.inbox"].contains(&name.as_str()) {
            "convert_from(entry, 'UTF8')"
        } else {
            "row::text"
        };
        let statement = format!("SELECT count(*) FROM {name} AS row WHERE {text} ILIKE '%{CANARY}%'");
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_one(&mut connection)
            .await
            .expect("the owner may read all tables");
        if found > 0 {
            faults.push(format!("I-8: {found} rows of {name} hold a canary"));
        }
    }
    if logs::contain(CANARY) {
        faults.push("I-8: a canary was logged".to_owned());
    }
    for path in files_below(service.directory.path()) {
        let content = std::fs::read(&path).expect("a file of the test");
        if content.to_ascii_lowercase().windows(CANARY.len()).any(|window| window == CANARY.as_bytes()) {
            faults.push(format!("I-8: the file {} holds a canary", path.display()));
        }
    }
    faults
}

fn files_below(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = std::fs::read_dir(directory) else { return files };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// I-9: no lease, no open transaction, no half-written file.
async fn nothing_is_left_running(service: &TestService) -> Vec<String> {
    let mut faults = Vec::new();
    let leased = service.depth().await.leased;
    if leased > 0 {
        faults.push(format!("I-9: {leased} jobs are still leased"));
    }
    let open = rows(
        service,
        "SELECT query FROM pg_stat_activity
         WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()",
    )
    .await;
    faults.extend(
        open.iter().map(|row| format!("I-9: an open transaction after: {}", row.get::<String, _>("query"))),
    );
    let partial = files_below(service.directory.path());
    faults.extend(
        partial
            .iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "partial"))
            .map(|path| format!("I-9: a half-written file {}", path.display())),
    );
    faults
}

/// I-10: no second saw more calls of one key than its limit and its burst allow.
fn the_rate_limit_was_kept(service: &TestService) -> Vec<String> {
    let allowed = (CALLS_PER_SECOND + BURST) as usize;
    let seen = service.platform.journal().max_calls_in_window(Duration::from_secs(1));
    if seen > allowed {
        vec![format!("I-10: {seen} calls in one second, {allowed} allowed")]
    } else {
        Vec::new()
    }
}
