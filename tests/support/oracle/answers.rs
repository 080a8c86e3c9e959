//! I-6 and I-7: what people received.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use dsrd::audit::Actor;
use dsrd::delivery;
use dsrd::domain::RequestId;
use dsrd::report::{self, PackageKey};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::Row as _;
use uuid::Uuid;

use super::{Evidence, files_below, rows};

/// The sections of a package whose records come from the platform.
const SECTIONS: [&str; 4] = ["profile", "events", "devices", "accountings"];

/// So many bytes of a package are searched.
const LOOKED_AT: usize = 1 << 20;

/// `report.json`, as far as the oracle reads it.
#[derive(Deserialize)]
struct ReportWire {
    withheld: Vec<WithheldWire>,
    records: BTreeMap<String, Vec<Box<RawValue>>>,
}

/// What `report.json` says of one field from which something was withheld.
#[derive(Deserialize)]
struct WithheldWire {
    section: String,
    mark: String,
    values: u64,
}

/// I-6: what a package says that it holds, what it holds, and the simulator's truth are the same, or it says that it is
/// not complete; and it is all of the one contact. Gives back the contents of all packages too.
pub(super) async fn packages_hold_what_is_true(evidence: &Evidence<'_>) -> (Vec<String>, Vec<String>) {
    let service = evidence.service;
    let (mut faults, mut contents) = (Vec::new(), Vec::new());
    let files = files_below(service.directory.path());
    let packages = rows(
        service,
        "SELECT organisation_id, request_id, file_name, manifest, sealed_identity IS NOT NULL AS can_be_opened
         FROM dsrd.package",
    )
    .await;
    let everybody: Vec<String> = service
        .simulator
        .organisations()
        .iter()
        .flat_map(dsrd_simulator::OrganisationHandle::contact_ids)
        .collect();
    for row in packages {
        let request: Uuid = row.get("request_id");
        let manifest: serde_json::Value = row.get("manifest");
        let stored = evidence.requests.get(&request);
        let portable = stored.is_some_and(|stored| stored.kind == "portability");
        let contact = stored.and_then(|request| request.contact.clone());
        let Some(contact) = contact else {
            faults.push(format!("I-6: the package of {request} is about no contact"));
            continue;
        };
        let truth = evidence.truth(&contact).filter(|truth| truth.exists);
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        for section in SECTIONS {
            let part = &manifest["sections"][section];
            // What a person takes along holds the categories that rest on consent or contract, and no other.
            if portable && part.is_null() == may_take_along(evidence, section) {
                faults.push(format!("I-6: the package of {request} holds {section} against its legal bases"));
            }
            if portable && part.is_null() {
                continue;
            }
            let (Some(records), Some(unreadable), Some(incomplete)) =
                (part["records"].as_u64(), part["unreadable"].as_u64(), part["incomplete"].as_bool())
            else {
                faults.push(format!("I-6: the manifest of {request} does not tell of {section}"));
                continue;
            };
            expected.insert(section, records);
            let Some(truth) = &truth else { continue };
            let there = match section {
                "events" => truth.records.events,
                "devices" => truth.records.devices,
                "accountings" => truth.records.accountings,
                _ => 1,
            };
            if !incomplete && unreadable == 0 && records != u64::from(there) {
                faults.push(format!("I-6: {section} of {request} has {records} of {there} records"));
            }
        }
        if !row.get::<bool, _>("can_be_opened") {
            continue;
        }
        let name: String = row.get("file_name");
        let Some(path) = files.iter().find(|path| path.file_name().is_some_and(|file| file == name.as_str()))
        else {
            faults.push(format!("I-6: the file of the package of {request} is missing"));
            continue;
        };
        let organisation: String = row.get("organisation_id");
        let name = if portable { report::PORTABLE_NAME } else { report::JSON_NAME };
        let text = open(evidence, &organisation, request, path, name).await;
        let report: ReportWire = serde_json::from_str(&text).expect("the report is JSON");
        if portable && report.records.keys().any(|section| manifest["sections"][section].is_null()) {
            faults.push(format!("I-6: the package of {request} holds more than its manifest says"));
        }
        for (section, records) in expected {
            let held = report.records.get(section).map_or(0, Vec::len) as u64;
            if held != records {
                faults.push(format!("I-6: {section} of {request} says {records} records and holds {held}"));
            }
        }
        faults.extend(withheld_as_told(request, &manifest, &report));
        for profile in report.records.get("profile").into_iter().flatten() {
            let profile: serde_json::Value = serde_json::from_str(profile.get()).unwrap_or_default();
            if profile.get("cid").is_some_and(|cid| cid != contact.as_str()) {
                faults.push(format!("I-6: the package of {request} holds the profile of somebody else"));
            }
            let own = truth.as_ref().map(|truth| &truth.identifiers);
            let own = own.map(|own| [("email", &own.email), ("phone", &own.phone)]).into_iter().flatten();
            for (field, held) in own {
                if profile.get(field).is_some_and(|given| given != held.as_str()) {
                    faults.push(format!("I-6: the package of {request} alters the person's own {field}"));
                }
            }
        }
        // Of a large package its beginning: every further record is made like those.
        let text = text.get(..text.floor_char_boundary(LOOKED_AT)).unwrap_or_default();
        if everybody.iter().any(|other| *other != contact && text.contains(other.as_str())) {
            faults.push(format!("I-6: the package of {request} names another contact"));
        }
        contents.push(text.to_owned());
    }
    (faults, contents)
}

/// I-6: what was withheld from a section is as many marks as the package and its manifest say, and nothing else has one.
fn withheld_as_told(request: Uuid, manifest: &serde_json::Value, report: &ReportWire) -> Vec<String> {
    let mut faults = Vec::new();
    for (section, records) in &report.records {
        let told: Vec<_> = report.withheld.iter().filter(|each| each.section == *section).collect();
        let listed: u64 = told.iter().map(|each| each.values).sum();
        let marks: BTreeSet<&str> = told.iter().map(|each| each.mark.as_str()).collect();
        let marked = |record: &RawValue| -> usize {
            marks.iter().map(|mark| record.get().matches(mark).count()).sum()
        };
        let held = records.iter().map(|record| marked(record)).sum::<usize>() as u64;
        let counted = manifest["sections"][section.as_str()]["withheld"].as_u64();
        if held != listed || counted != Some(listed) {
            faults.push(format!(
                "I-6: {section} of {request} has {held} marks, lists {listed} and counts {counted:?}"
            ));
        }
    }
    faults
}

/// Whether the controller holds a section by consent or contract.
fn may_take_along(evidence: &Evidence<'_>, section: &str) -> bool {
    let portable = evidence.service.controller.erasure.legal_bases.portable();
    portable.iter().any(|category| category.as_str() == section)
}

/// A file for programs in a package, as staff would open it.
async fn open(
    evidence: &Evidence<'_>,
    organisation: &str,
    request: Uuid,
    path: &std::path::Path,
    name: &str,
) -> String {
    let service = evidence.service;
    let opened = delivery::open_for_staff(
        &service.store,
        &service.desk.keys,
        path.parent().expect("a directory"),
        &organisation.parse().expect("an organisation"),
        RequestId(request),
        Actor::Person("oracle".to_owned()),
        service.desk.clock.now(),
    )
    .await
    .expect("the package's row")
    .expect("it exists");
    let key = PackageKey::parse(opened.identity.expose()).expect("a key");
    let mut clear = Vec::new();
    report::open_package(path, &key, &mut clear).expect("the file opens with its key");
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(clear)).expect("an archive");
    let mut text = String::new();
    let mut file = archive.by_name(name).expect("the report for programs");
    file.read_to_string(&mut text).expect("it is text");
    text
}

/// I-6: a mail with a hand-over link belongs to a request for access, and went to the address that the simulator holds
/// for the contact of that request; and the link opens the package of that request and no other.
pub(super) async fn links_go_to_their_contact_only(evidence: &Evidence<'_>) -> Vec<String> {
    use sha2::{Digest as _, Sha256};
    let mut faults = Vec::new();
    let notices: BTreeMap<String, (Uuid, String)> =
        rows(evidence.service, "SELECT message_id, request_id, kind FROM dsrd.notice")
            .await
            .iter()
            .map(|row| (row.get("message_id"), (row.get("request_id"), row.get("kind"))))
            .collect();
    let links: BTreeMap<Vec<u8>, Uuid> = rows(
        evidence.service,
        "SELECT token_sha256, request_id FROM dsrd.package WHERE token_sha256 IS NOT NULL",
    )
    .await
    .iter()
    .map(|row| (row.get("token_sha256"), row.get("request_id")))
    .collect();
    let hands_over = ["access_ready", "portability_ready"];
    for mail in &evidence.mails {
        let Some((request, kind)) = notices.get(&mail.message_id) else { continue };
        let Some(link) = mail.link() else {
            if hands_over.contains(&kind.as_str()) {
                faults.push(format!("I-6: the mail {} offers a package without a link", mail.message_id));
            }
            continue;
        };
        if !hands_over.contains(&kind.as_str()) {
            faults.push(format!("I-6: a mail of kind {kind} holds a link"));
        }
        // The hash is emptied when the package is fetched; until then it names the request.
        let opens = links.get(Sha256::digest(link.as_bytes()).as_slice());
        if opens.is_some_and(|opens| opens != request) {
            faults.push(format!("I-6: the link in the mail of {request} opens another package"));
        }
        let contact = evidence.requests.get(request).and_then(|request| request.contact.as_deref());
        let truth = contact.and_then(|contact| evidence.truth(contact));
        let Some(truth) = truth else {
            faults.push(format!("I-6: the link of {request} is about no contact of the platform"));
            continue;
        };
        if !mail.to.eq_ignore_ascii_case(&truth.identifiers.email) {
            faults.push(format!(
                "I-6: the link of {request} went to an address that its contact does not have"
            ));
        }
    }
    faults
}

/// What must stand in the log before a notice may say it.
fn proof_of(kind: &str) -> Option<&'static [&'static str]> {
    match kind {
        "access_ready" | "portability_ready" => Some(&["package.built"]),
        "erasure_done" => Some(&["deletion.verified"]),
        "erasure_partly_done" => Some(&["deletion.verified", "erasure.postponed"]),
        "opt_out_done" => Some(&["policy.verified"]),
        "no_data" => Some(&["contact.located"]),
        _ => None,
    }
}

/// I-7: one Message-ID for each notice. It went out as often as the log says that it was taken or that nobody knows: at
/// most once more for each end that a death or a lost answer hid. And no notice of success before its proof.
pub(super) async fn notices_are_sent_once(evidence: &Evidence<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut sent: BTreeMap<&str, usize> = BTreeMap::new();
    for mail in &evidence.mails {
        *sent.entry(&mail.message_id).or_default() += 1;
    }
    let notices = rows(
        evidence.service,
        "SELECT notice_id, request_id, message_id, state, attempts, kind FROM dsrd.notice",
    )
    .await;
    for row in &notices {
        let (id, request): (Uuid, Uuid) = (row.get("notice_id"), row.get("request_id"));
        let (kind, state): (String, String) = (row.get("kind"), row.get("state"));
        let message_id: String = row.get("message_id");
        let times = sent.remove(message_id.as_str()).unwrap_or(0);
        let attempts = usize::try_from(row.get::<i32, _>("attempts")).unwrap_or(0);
        if times > attempts || (state == "sent") && times == 0 {
            faults
                .push(format!("I-7: notice {kind} is {state} after {attempts} attempts, sent {times} times"));
        }
        let own: Vec<_> = evidence
            .of(request, &["notice.enqueued", "notice.began", "notice.ended"])
            .filter(|entry| entry.detail["notice"] == id.to_string())
            .collect();
        let ends =
            |outcome: &str| own.iter().filter(|entry| entry.outcome.as_deref() == Some(outcome)).count();
        let (taken, unknown) = (ends("done"), ends("outcome_unknown"));
        if times > taken + unknown || times < taken || taken > 1 || (state == "sent") != (taken == 1) {
            faults.push(format!(
                "I-7: notice {kind} of {request} is {state} and went out {times} times; the log says taken {taken}, unknown {unknown}"
            ));
        }
        let Some(proofs) = proof_of(&kind) else { continue };
        let proven = evidence.of(request, proofs).next();
        let early = own.iter().filter(|entry| entry.action != "notice.enqueued").any(|entry| {
            proven.is_none_or(|proven| {
                proven.seq > entry.seq || evidence.committed(proven) > evidence.committed(entry)
            })
        });
        // Written together with its proof, so it may stand beside it, but not without it.
        if early || proven.is_none() {
            faults.push(format!("I-7: notice {kind} of {request} stands before {proofs:?}"));
        }
    }
    if !sent.is_empty() {
        faults.push(format!("I-7: {} mails belong to no notice", sent.len()));
    }
    faults
}
