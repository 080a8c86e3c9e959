//! Checking a bundle without database and settings.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Seek};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;
use zip::ZipArchive;

use super::bundle::Hashing;
use super::{CASES, CHECKPOINT, EvidenceError, FILES, FORM, LOG, MANIFEST, POLICY, README, SUMS};
use crate::audit::tlog::{self, Checkpoint, Hash, SignedNote, leaf_hash, verify_inclusion};
use crate::audit::verify::Policy;
use crate::audit::{Action, Ending, Leaf};
use crate::domain::Outcome;

/// The longest of the files that are read as a whole, and the longest line of the others, in bytes.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// More findings are counted, not kept.
const MOST_FINDINGS: usize = 100;

/// A file of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckedFile {
    /// Its name.
    pub name: String,
    /// SHA-256 of its content.
    pub sha256: String,
    /// Whether that is the hash in the manifest and in the list of sums.
    pub as_packed: bool,
    /// What it proves.
    pub proves: String,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// About whom.
    pub organisation: String,
    /// When it was taken.
    pub taken_at: String,
    /// The log.
    pub origin: String,
    /// The size of its head.
    pub size: u64,
    /// Who signed the head, of those whom the policy names.
    pub signed_by: Vec<String>,
    /// The files.
    pub files: Vec<CheckedFile>,
    /// Entries that were proven.
    pub entries: u64,
    /// Cases that were compared with the log.
    pub cases: u64,
    /// Statements of cases that the log bears out.
    pub borne_out: u64,
    /// What is wrong; nothing when all is in order.
    pub findings: Vec<String>,
    /// How many more things are wrong.
    pub more_findings: u64,
}

impl Checked {
    fn find(&mut self, finding: String) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more_findings += 1;
        }
    }
}

/// What the log tells of one case, as far as facts are compared with it.
#[derive(Debug, Default)]
struct Told {
    outcome: Option<String>,
    packages: Vec<String>,
    notices: Vec<String>,
}

/// Checks a bundle. Without a policy the keys are those that the bundle itself names.
pub fn check_bundle<R: Read + Seek>(bundle: R, policy: Option<&Policy>) -> Result<Checked, EvidenceError> {
    let mut archive = ZipArchive::new(bundle)?;
    let manifest: Value = serde_json::from_slice(&read(&mut archive, MANIFEST)?)
        .map_err(|_| EvidenceError::Form("its manifest.json is no JSON"))?;
    if manifest["form"] != FORM {
        return Err(EvidenceError::Form("its manifest.json is of another form"));
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut checked = Checked {
        organisation: text(&manifest["organisation"]),
        taken_at: text(&manifest["taken_at"]),
        origin: String::new(),
        size: 0,
        signed_by: Vec::new(),
        files: Vec::new(),
        entries: 0,
        cases: 0,
        borne_out: 0,
        findings: Vec::new(),
        more_findings: 0,
    };
    check_files(&mut archive, &manifest, &mut checked)?;
    let note = read(&mut archive, CHECKPOINT)?;
    let own = String::from_utf8(read(&mut archive, POLICY)?)
        .map_err(|_| EvidenceError::Form("its log.policy is no text"))?
        .parse::<Policy>();
    let policy = match (policy, &own) {
        (Some(policy), _) => policy,
        (None, Ok(own)) => own,
        (None, Err(_)) => return Err(EvidenceError::Form("its log.policy is no policy")),
    };
    let Some(checkpoint) = open_head(&note, policy, &mut checked) else { return Ok(checked) };
    let told = check_log(&mut archive, &note, &checkpoint, &mut checked)?;
    check_cases(&mut archive, &manifest, &told, &mut checked)?;
    for (key, counted) in [("entries", checked.entries), ("cases", checked.cases)] {
        if manifest[key] != counted {
            checked
                .find(format!("{MANIFEST}: it promises {} {key}, the bundle holds {counted}", manifest[key]));
        }
    }
    Ok(checked)
}

fn read<R: Read + Seek>(archive: &mut ZipArchive<R>, name: &'static str) -> Result<Vec<u8>, EvidenceError> {
    let file = archive.by_name(name).map_err(|error| match error {
        zip::result::ZipError::FileNotFound => EvidenceError::Form("one of its files is missing"),
        other => other.into(),
    })?;
    let mut content = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MOST_BYTES {
        return Err(EvidenceError::Form("one of its files is larger than such a file can be"));
    }
    Ok(content)
}

/// Compares the hash of every file with both lists, and refuses files that no list names.
fn check_files<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    manifest: &Value,
    checked: &mut Checked,
) -> Result<(), EvidenceError> {
    let sums = String::from_utf8_lossy(&read(archive, SUMS)?).into_owned();
    let sums: BTreeMap<&str, &str> =
        sums.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect();
    let none = Vec::new();
    let listed = manifest["files"].as_array().unwrap_or(&none);
    let mut expected = vec![MANIFEST, SUMS];
    expected.extend(FILES.iter().map(|(name, _)| *name));
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let name = String::from_utf8_lossy(file.name_raw()).into_owned();
        if !expected.contains(&name.as_str()) {
            checked.find(format!("{}: no file of a bundle has this name", printable(&name)));
            continue;
        }
        if name == SUMS {
            continue;
        }
        let mut hash = Hashing::new(io::sink());
        io::copy(&mut file, &mut hash)?;
        let sha256 = hash.sha256();
        let in_manifest = listed.iter().find(|each| each["name"] == name.as_str());
        let as_packed = sums.get(name.as_str()).is_some_and(|sum| *sum == sha256)
            && (name == MANIFEST || in_manifest.is_some_and(|each| each["sha256"] == sha256.as_str()));
        if !as_packed {
            checked.find(format!("{name}: its SHA-256 is not the one in {SUMS} and {MANIFEST}"));
        }
        let proves =
            FILES.iter().find(|(known, _)| *known == name).map_or("lists the files", |(_, proves)| *proves);
        checked.files.push(CheckedFile { name, sha256, as_packed, proves: proves.to_owned() });
    }
    for name in [README, CASES, LOG, CHECKPOINT, POLICY] {
        if checked.files.iter().filter(|file| file.name == name).count() != 1 {
            checked.find(format!("{name}: it must stand in the bundle once"));
        }
    }
    Ok(())
}

/// A name from a foreign archive, harmless for a terminal.
fn printable(name: &str) -> String {
    name.chars().take(100).map(|each| if each.is_control() { '?' } else { each }).collect()
}

/// Whether the head is signed by whom the policy believes.
fn open_head(note: &[u8], policy: &Policy, checked: &mut Checked) -> Option<Checkpoint> {
    let note = match SignedNote::from_bytes(note) {
        Ok(note) => note,
        Err(error) => {
            checked.find(format!("{CHECKPOINT}: it is no signed note: {error}"));
            return None;
        }
    };
    let opened = match Checkpoint::open(&note, policy.keys()) {
        Ok(opened) => opened,
        Err(error) => {
            checked.find(format!("{CHECKPOINT}: it is not signed by a key of the policy: {error}"));
            return None;
        }
    };
    if policy.asks_for_witnesses() && policy.witnessed(&opened).is_none() {
        checked.find(format!("{CHECKPOINT}: not enough of the policy's witnesses signed it"));
    }
    checked.signed_by = opened.signatures.iter().map(|each| each.key.name().to_string()).collect();
    checked.origin = opened.checkpoint.origin.to_string();
    checked.size = opened.checkpoint.size;
    Some(opened.checkpoint)
}

/// Calls back for every line, with its number from 1. A line that is too long is no line of ours.
fn for_each_line(file: impl Read, mut line: impl FnMut(usize, &[u8])) -> Result<(), EvidenceError> {
    let mut reader = BufReader::new(file);
    let mut content = Vec::new();
    for number in 1.. {
        content.clear();
        let length = reader.by_ref().take(MOST_BYTES).read_until(b'\n', &mut content)?;
        if length == 0 {
            return Ok(());
        }
        if content.pop_if(|last| *last == b'\n').is_none() && length as u64 == MOST_BYTES {
            return Err(EvidenceError::Form("one of its lines is longer than such a line can be"));
        }
        line(number, &content);
    }
    Ok(())
}

/// Proves every entry under the head, and notes what the entries tell of the cases.
fn check_log<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    note: &[u8],
    checkpoint: &Checkpoint,
    checked: &mut Checked,
) -> Result<BTreeMap<Uuid, Told>, EvidenceError> {
    let mut told: BTreeMap<Uuid, Told> = BTreeMap::new();
    let mut last = 0;
    for_each_line(archive.by_name(LOG)?, |number, line| {
        let Ok(line) = serde_json::from_slice::<Value>(line) else {
            checked.find(format!("{LOG}: line {number} is no JSON"));
            return;
        };
        if number == 1 {
            if line["checkpoint"].as_str().map(str::as_bytes) != Some(note) {
                checked.find(format!("{LOG}: its first line is not the file {CHECKPOINT}"));
            }
            return;
        }
        match proven(&line, checkpoint) {
            Ok((seq, leaf)) => {
                if seq <= last {
                    checked.find(format!("{LOG}: line {number} is out of order"));
                }
                last = seq;
                checked.entries += 1;
                if let Some(case) = leaf.case {
                    note_told(told.entry(case).or_default(), &leaf);
                }
            }
            Err(problem) => checked.find(format!("{LOG}: line {number}: {problem}")),
        }
    })?;
    Ok(told)
}

fn proven(line: &Value, checkpoint: &Checkpoint) -> Result<(u64, Leaf), String> {
    let seq = line["seq"].as_u64().filter(|seq| *seq > 0).ok_or("it has no number")?;
    let entry = line["entry"].as_str().ok_or("it has no entry")?;
    let hashes = line["proof"].as_array().ok_or("it has no proof")?;
    if hashes.len() > tlog::MAX_PROOF_HASHES {
        return Err("its proof is longer than any can be".to_owned());
    }
    let hashes: Result<Vec<Hash>, _> =
        hashes.iter().map(|hash| Hash::from_base64(hash.as_str().unwrap_or_default())).collect();
    let hashes = hashes.map_err(|_| "its proof has a malformed hash")?;
    let leaf = leaf_hash(entry.as_bytes());
    verify_inclusion(&leaf, seq - 1, checkpoint.size, &checkpoint.root, &hashes)
        .map_err(|error| format!("entry {seq} is not proven: {error}"))?;
    let leaf =
        Leaf::parse(entry.as_bytes()).map_err(|error| format!("entry {seq} cannot be read: {error}"))?;
    Ok((seq, leaf))
}

fn note_told(told: &mut Told, leaf: &Leaf) {
    let word = |key: &str| {
        let value = serde_json::to_value(leaf.detail.get(key)?).ok()?;
        value.as_str().map(str::to_owned)
    };
    let action = leaf.action.as_str();
    if action == Action::RequestClosed.as_str() {
        told.outcome = word("outcome");
    } else if action == Action::RequestWithdrawn.as_str() {
        told.outcome = Some(Outcome::Withdrawn.as_str().to_owned());
    } else if action == Action::PackageBuilt.as_str() {
        told.packages.extend(word("sha256"));
    } else if action == Action::NoticeEnded.as_str() && leaf.outcome.as_deref() == Some(Ending::Done.as_str())
    {
        told.notices.extend(word("notice"));
    }
}

/// Compares what the cases say with what the log tells, as far as the log of the bundle reaches.
fn check_cases<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    manifest: &Value,
    told: &BTreeMap<Uuid, Told>,
    checked: &mut Checked,
) -> Result<(), EvidenceError> {
    let instant = |value: &Value| value.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
    let period = &manifest["scope"]["period"];
    let (since, until) = (instant(&period["since"]), instant(&period["until"]));
    // Of one case the bundle holds every entry; of a period those within it.
    let covered = |at: &Value| {
        instant(at)
            .is_some_and(|at| since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until))
    };
    let nothing = Told::default();
    for_each_line(archive.by_name(CASES)?, |number, line| {
        let Ok(case) = serde_json::from_slice::<Value>(line) else {
            checked.find(format!("{CASES}: line {number} is no JSON"));
            return;
        };
        checked.cases += 1;
        let id = case["case"].as_str().and_then(|text| text.parse::<Uuid>().ok());
        let told = id.and_then(|id| told.get(&id)).unwrap_or(&nothing);
        let facts = &case["facts"];
        let mut claims: Vec<(bool, String)> = Vec::new();
        if covered(&facts["closed_at"]) {
            let outcome = facts["outcome"].as_str();
            claims.push((told.outcome.as_deref() == outcome, format!("its outcome {outcome:?}")));
        }
        for package in case["packages"].as_array().into_iter().flatten() {
            if covered(&package["created_at"]) {
                let sha256 = package["sha256"].as_str().unwrap_or_default();
                claims.push((told.packages.iter().any(|known| known == sha256), "its package".to_owned()));
            }
        }
        for notice in case["notices"].as_array().into_iter().flatten() {
            if covered(&notice["sent_at"]) {
                let id = notice["notice"].as_str().unwrap_or_default();
                let kind = notice["kind"].as_str().unwrap_or_default();
                claims.push((told.notices.iter().any(|known| known == id), format!("its notice {kind}")));
            }
        }
        for (is_told, what) in claims {
            if is_told {
                checked.borne_out += 1;
            } else {
                checked.find(format!("{CASES}: line {number}: the log does not bear out {what}"));
            }
        }
    })?;
    Ok(())
}
