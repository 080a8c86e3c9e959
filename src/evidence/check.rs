//! Checking a bundle without database and settings.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Seek};

use chrono::{DateTime, TimeDelta, Utc};
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
    /// Statements from before the first entry of the bundle: the log was pruned, or is kept for a shorter time than the cases.
    pub not_covered: u64,
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

/// So long before a bundle is taken an entry may say when it happened, and its case not show it yet: what both tell is written at
/// one instant, but read one after the other.
const SETTLING: TimeDelta = TimeDelta::minutes(1);

/// So long after a bundle was begun an entry may say that it happened: the log is added after the cases.
const LONGEST_TAKING: TimeDelta = TimeDelta::hours(1);

/// What the log tells of one case, as far as facts are compared with it: each with its instant.
#[derive(Debug, Default)]
struct Told {
    /// Its first entry is there: of this case nothing was pruned.
    received: bool,
    outcome: Option<(String, DateTime<Utc>)>,
    packages: Vec<(String, DateTime<Utc>)>,
    notices: Vec<(String, DateTime<Utc>)>,
}

/// What the entries of the bundle tell.
#[derive(Debug, Default)]
struct Log {
    cases: BTreeMap<Uuid, Told>,
    /// When the earliest of them happened.
    begins: Option<DateTime<Utc>>,
}

/// Of what the bundle says that it is about. None of it is signed: entries outside of it are findings.
struct Claimed {
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    taken_at: Option<DateTime<Utc>>,
}

impl Claimed {
    fn of(manifest: &Value) -> Self {
        let period = &manifest["scope"]["period"];
        Self {
            since: instant(&period["since"]),
            until: instant(&period["until"]),
            taken_at: instant(&manifest["taken_at"]),
        }
    }

    /// Of one case the bundle holds every entry; of a period those within it.
    fn holds(&self, at: DateTime<Utc>) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    /// Whether the cases were read long enough after an instant to show what happened then.
    fn shows(&self, at: DateTime<Utc>) -> bool {
        self.taken_at.is_some_and(|taken_at| at + SETTLING <= taken_at)
    }

    fn problem_of(&self, at: DateTime<Utc>) -> Option<&'static str> {
        if !self.holds(at) {
            return Some("is not of the period of which the bundle says that it is about");
        }
        let late = self.taken_at.is_none_or(|taken_at| at > taken_at + LONGEST_TAKING);
        late.then_some("is later than the bundle says that it was taken")
    }
}

fn instant(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str().and_then(|text| text.parse().ok())
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
        not_covered: 0,
        findings: Vec::new(),
        more_findings: 0,
    };
    check_names(&mut archive, &mut checked)?;
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
    let claimed = Claimed::of(&manifest);
    let log = check_log(&mut archive, (&note, &checkpoint), &claimed, &mut checked)?;
    check_cases(&mut archive, &claimed, &log, &mut checked)?;
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

/// What is checked must be what any program unpacks: of two files of one name one program reads the first, another the last.
fn check_names<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    checked: &mut Checked,
) -> Result<(), EvidenceError> {
    match archive.validate_header_consistency() {
        Ok(()) => Ok(()),
        Err(error @ zip::result::ZipError::Io(_)) => Err(error.into()),
        Err(_) => {
            checked.find(
                "the archive: a file stands in it twice, or otherwise than its directory says; another program may unpack another one"
                    .to_owned(),
            );
            Ok(())
        }
    }
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
    (note, checkpoint): (&[u8], &Checkpoint),
    claimed: &Claimed,
    checked: &mut Checked,
) -> Result<Log, EvidenceError> {
    let mut log = Log::default();
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
                let Some(at) = happened_at(&leaf) else {
                    checked.find(format!("{LOG}: line {number}: entry {seq} happened at no instant"));
                    return;
                };
                if let Some(problem) = claimed.problem_of(at) {
                    checked.find(format!("{LOG}: line {number}: entry {seq} {problem}"));
                }
                log.begins = Some(log.begins.map_or(at, |begins| begins.min(at)));
                if let Some(case) = leaf.case {
                    note_told(log.cases.entry(case).or_default(), &leaf, at);
                }
            }
            Err(problem) => checked.find(format!("{LOG}: line {number}: {problem}")),
        }
    })?;
    Ok(log)
}

fn happened_at(leaf: &Leaf) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(i64::try_from(leaf.at_us).ok()?)
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

fn note_told(told: &mut Told, leaf: &Leaf, at: DateTime<Utc>) {
    let word = |key: &str| {
        let value = serde_json::to_value(leaf.detail.get(key)?).ok()?;
        value.as_str().map(str::to_owned)
    };
    let action = leaf.action.as_str();
    if action == Action::RequestClosed.as_str() {
        told.outcome = word("outcome").map(|outcome| (outcome, at));
    } else if action == Action::RequestWithdrawn.as_str() {
        told.outcome = Some((Outcome::Withdrawn.as_str().to_owned(), at));
    } else if action == Action::RequestReceived.as_str() {
        told.received = true;
    } else if action == Action::RequestSuperseded.as_str() {
        told.outcome = Some((Outcome::Superseded.as_str().to_owned(), at));
    } else if action == Action::PackageBuilt.as_str() {
        told.packages.extend(word("sha256").map(|sha256| (sha256, at)));
    } else if action == Action::NoticeEnded.as_str() && leaf.outcome.as_deref() == Some(Ending::Done.as_str())
    {
        told.notices.extend(word("notice").map(|notice| (notice, at)));
    }
}

/// Compares what the cases say with what the log tells, and what the log tells with what the cases say, as far as the log of the
/// bundle reaches.
fn check_cases<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    claimed: &Claimed,
    log: &Log,
    checked: &mut Checked,
) -> Result<(), EvidenceError> {
    let nothing = Told::default();
    for_each_line(archive.by_name(CASES)?, |number, line| {
        let Ok(case) = serde_json::from_slice::<Value>(line) else {
            checked.find(format!("{CASES}: line {number} is no JSON"));
            return;
        };
        checked.cases += 1;
        let id = case["case"].as_str().and_then(|text| text.parse::<Uuid>().ok());
        let told = id.and_then(|id| log.cases.get(&id)).unwrap_or(&nothing);
        for claim in claims_of(&case, told) {
            // What the log tells is compared, whenever the case says that it was.
            let covered = claim.at.filter(|at| claimed.holds(*at));
            if claim.is_told {
                checked.borne_out += u64::from(covered.is_some());
            } else if claim.is_contradicted(claimed) {
                checked.find(format!("{CASES}: line {number}: the log says otherwise than {}", claim.what));
            } else if let Some(at) = covered {
                if told.received || log.begins.is_some_and(|begins| at >= begins) {
                    checked.find(format!("{CASES}: line {number}: the log does not bear out {}", claim.what));
                } else {
                    checked.not_covered += 1;
                }
            }
        }
        // Of a case that is held no more its entries alone tell.
        if case["held"] != Value::Bool(false) {
            for what in missing_of(&case, told, claimed) {
                checked.find(format!("{CASES}: line {number}: the log tells of {what}, the case does not"));
            }
        }
    })?;
    Ok(())
}

/// Something that a case says, and what the log says of it.
struct Claim {
    what: String,
    /// When it was, as the case says.
    at: Option<DateTime<Utc>>,
    is_told: bool,
    /// When the log tells something else in its place.
    otherwise: Option<DateTime<Utc>>,
}

impl Claim {
    fn is_contradicted(&self, claimed: &Claimed) -> bool {
        self.otherwise.is_some_and(|at| claimed.shows(at))
    }
}

fn claims_of(case: &Value, told: &Told) -> Vec<Claim> {
    let facts = &case["facts"];
    let mut claims = Vec::new();
    if case["held"] != Value::Bool(false) {
        let outcome = facts["outcome"].as_str();
        let known = told.outcome.as_ref();
        claims.push(Claim {
            what: format!("its outcome {outcome:?}"),
            at: instant(&facts["closed_at"]),
            is_told: known.map(|(outcome, _)| outcome.as_str()) == outcome,
            otherwise: known.map(|(_, at)| *at),
        });
    }
    for package in each(case, "packages") {
        let sha256 = package["sha256"].as_str().unwrap_or_default();
        claims.push(Claim {
            what: "its package".to_owned(),
            at: instant(&package["created_at"]),
            is_told: told.packages.iter().any(|(known, _)| known == sha256),
            otherwise: None,
        });
    }
    for notice in each(case, "notices") {
        let id = notice["notice"].as_str().unwrap_or_default();
        claims.push(Claim {
            what: format!("its notice {}", notice["kind"].as_str().unwrap_or_default()),
            at: instant(&notice["sent_at"]),
            is_told: told.notices.iter().any(|(known, _)| known == id),
            otherwise: None,
        });
    }
    claims
}

/// What the log tells of a case and the case does not say, although it was read after that.
fn missing_of(case: &Value, told: &Told, claimed: &Claimed) -> Vec<String> {
    let packages = told.packages.iter().filter(|(sha256, at)| {
        claimed.shows(*at) && !each(case, "packages").any(|package| package["sha256"] == sha256.as_str())
    });
    let notices = told.notices.iter().filter(|(id, at)| {
        let is_sent = |notice: &Value| notice["notice"] == id.as_str() && !notice["sent_at"].is_null();
        claimed.shows(*at) && !each(case, "notices").any(is_sent)
    });
    let packages = packages.map(|_| "a package".to_owned());
    packages.chain(notices.map(|(id, _)| format!("the notice {id}"))).collect()
}

fn each<'a>(case: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    case[list].as_array().into_iter().flatten()
}
