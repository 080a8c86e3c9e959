//! I-4: the log, its numbers against the witness of commits, and the whole of it by our own verification.
//!
//! [`verify`](dsrd::audit::verify::verify) reads the tables as an auditor does, with the keys of the rig, once everything is
//! sealed. The heads that were handed out have to be beginnings of it: those under which the test read the log
//! ([`TestService::audit`]), and those that daemons published into the folder of the rig.
//!
//! Of what is left undecided three things are no fault: an effect without an end, which I-3 judges without waiting an hour for
//! it; numbers that a killed process took with it; and a head of entries that were lost, as the log says itself, when it was restored.

use std::collections::BTreeSet;

use dsrd::audit::LogKeys;
use dsrd::audit::tlog::{KeyName, VerifierKey};
use dsrd::audit::verify::{self, Database, Finding, Plan, Policy, Severity, Step};
use dsrd::domain::Clock as _;
use uuid::Uuid;

use super::{Evidence, files_below};
use crate::support::service::TestService;

/// I-4: the numbers of the log are 1..n, and no entry stands there twice or was lost on the way.
pub(super) fn has_no_gap(evidence: &Evidence<'_>) -> Vec<String> {
    let log = &evidence.log;
    let mut faults = Vec::new();
    if let Some((entry, expected)) = log.iter().zip(1..).find(|(entry, expected)| entry.seq != *expected) {
        faults.push(format!("I-4: the log has number {} in place {expected}", entry.seq));
    }
    let ids: BTreeSet<Uuid> = log.iter().map(|entry| entry.id).collect();
    if ids.len() != log.len() {
        faults.push(format!("I-4: {} of {} entries have ids of their own", ids.len(), log.len()));
    }
    let lost = evidence.commits.keys().filter(|id| !ids.contains(id)).count();
    if lost > 0 {
        faults.push(format!("I-4: {lost} entries were committed and are not in the log"));
    }
    faults
}

/// I-4: the verification of the log finds nothing, sees as many entries as the service shows, and every head that was
/// handed out is the head of a beginning of it.
pub(super) async fn is_verified(evidence: &Evidence<'_>) -> Vec<String> {
    let service = evidence.service;
    let known_heads = heads(service);
    if evidence.log.is_empty() && known_heads.is_empty() {
        // Nothing was ever signed.
        return Vec::new();
    }
    let newest = evidence.log.iter().map(|entry| entry.at).max();
    let plan = Plan {
        policy: Policy::of_logs(keys(service, &known_heads).await),
        known_heads,
        since: 0,
        // Processes write by the clock of the machine, which the test's own may lag behind.
        now: newest.into_iter().chain([service.clock.now()]).max().unwrap_or_default(),
    };
    let options = service.database.options();
    let mut database =
        Database::open(&options, "the test's".to_owned()).await.expect("the tables of the log");
    let report = verify::verify(&mut database, &plan).await;
    database.close().await;
    let report = report.expect("a log that can be read");
    let mut faults: Vec<String> = report
        .findings
        .iter()
        .filter(|finding| is_fault(finding))
        .map(|Finding { step, place, what, .. }| format!("I-4: verification, {step:?}: {place}: {what}"))
        .collect();
    let shown = evidence.log.len() as u64;
    if report.counts.entries != shown || report.size != shown {
        faults.push(format!(
            "I-4: verification saw {} entries under a head of {}, and the service shows {shown}",
            report.counts.entries, report.size
        ));
    }
    faults
}

fn is_fault(finding: &Finding) -> bool {
    // The other witness is none of the log's own.
    let is_witness =
        finding.place == "audit.inbox" && finding.what.starts_with("trigger witnessed was not shipped");
    match (finding.severity, finding.step) {
        (Severity::Violation, _) => !is_witness,
        (Severity::Remark, _) | (Severity::Undecided, Step::Effects | Step::Counters) => false,
        (Severity::Undecided, Step::Consistency) => !finding.what.contains("was restored from a copy"),
        (Severity::Undecided, _) => true,
    }
}

/// The heads that were handed out, each with a name.
fn heads(service: &TestService) -> Vec<(String, Vec<u8>)> {
    let read = service.heads.list().into_iter().enumerate();
    let read = read.map(|(number, note)| (format!("head {number} that the test read"), note.into_bytes()));
    let published = files_below(service.directory.path()).into_iter().filter_map(|path| {
        let note =
            path.ends_with("log/checkpoint").then(|| std::fs::read(&path).expect("a published head"))?;
        Some((path.display().to_string(), note))
    });
    read.chain(published).collect()
}

/// The keys of the rig: those that sign at present, and those that it began with under every name that a head has.
async fn keys(service: &TestService, heads: &[(String, Vec<u8>)]) -> Vec<VerifierKey> {
    let seeds = LogKeys::from_text(&service.log_keys).expect("the seeds of the rig");
    let names: BTreeSet<&str> =
        heads.iter().filter_map(|(_, note)| std::str::from_utf8(note).ok()?.lines().next()).collect();
    let names = names.into_iter().filter_map(|name| name.parse::<KeyName>().ok());
    let first = names.flat_map(|name| seeds.signing_keys(&name)).map(|key| key.verifier().to_string());
    let keys: BTreeSet<String> = service.sealer.verifier_keys().await.into_iter().chain(first).collect();
    keys.iter().map(|key| key.parse().expect("a key")).collect()
}
