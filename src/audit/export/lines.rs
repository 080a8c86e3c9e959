//! Entries as lines for other systems.

use std::borrow::Cow;
use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::reader::{CHUNK, Reader};
use super::{ExportError, Exported, Selection};
use crate::audit::leaf::{Leaf, LeafBytes, LeafView};
use crate::audit::tlog::{BASE64_CHARS, Hash};
use crate::audit::verify::Source;

/// The version of OCSF whose class API Activity is written.
const OCSF_VERSION: &str = "1.6.0";

/// How entries are written, one a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// JSON: the first line is the checkpoint, each other one an entry, verbatim, with its proof.
    Ndjson,
    /// Comma-separated values with a head line.
    Csv,
    /// OCSF, class API Activity (6003), as JSON.
    Ocsf,
    /// `CloudEvents` 1.0, as JSON.
    CloudEvents,
}

/// Writes the entries that the selection takes, in their order.
pub async fn write_lines<S: Source, W: Write>(
    source: &mut S,
    selection: &Selection,
    format: LineFormat,
    out: W,
) -> Result<Exported, ExportError> {
    let mut out = Hashing { out, hash: Sha256::new(), bytes: 0 };
    let mut reader = Reader::open(source).await?;
    let size = reader.size();
    let origin = reader.checkpoint.origin.to_string();
    let mut proofs = ProofText::default();
    // What was written of the present chunk.
    let mut text = Vec::new();
    match format {
        LineFormat::Ndjson => {
            let head = json!({ "checkpoint": reader.note.to_string(), "entries_under_it": size });
            writeln!(text, "{head}")?;
        }
        LineFormat::Csv => {
            writeln!(text, "seq,at,organisation,case_id,action,outcome,actor,intent,uid,detail")?;
        }
        LineFormat::Ocsf | LineFormat::CloudEvents => {}
    }
    let mut entries = 0;
    let mut first = 0;
    while first < size {
        let end = (first + CHUNK).min(size);
        let mut csv = None;
        for (row, hash) in reader.entries(first, end).await? {
            let seq = row.seq;
            let read = LeafBytes::of(row.entry).map_err(|_| ExportError::Altered { seq })?;
            let leaf = read.view();
            if !selection.takes(leaf) {
                continue;
            }
            entries += 1;
            match format {
                LineFormat::Ndjson => {
                    let proof = reader.proof(seq - 1, &hash).await?;
                    proofs.line(&mut text, seq, leaf, &proof)?;
                }
                LineFormat::Csv => {
                    let lines = csv.get_or_insert_with(|| csv::Writer::from_writer(Vec::new()));
                    csv_line(lines, seq, leaf)?;
                }
                LineFormat::Ocsf => writeln!(text, "{}", ocsf(&origin, seq, &leaf.to_leaf()))?,
                LineFormat::CloudEvents => writeln!(text, "{}", cloud_event(&origin, seq, &leaf.to_leaf()))?,
            }
        }
        if let Some(lines) = csv {
            text.extend(lines.into_inner().map_err(|error| io::Error::other(error.to_string()))?);
        }
        out.write_all(&text)?;
        text.clear();
        first = end;
    }
    out.write_all(&text)?;
    out.flush()?;
    Ok(Exported { entries, size, sha256: hex::encode(out.hash.finalize()), bytes: out.bytes })
}

/// Proofs in their spelling. Neighbours have most hashes in common, counted from the root down, and so their text.
#[derive(Default)]
struct ProofText {
    /// The hashes of the last proof, the root's child first, and their text.
    spelled: Vec<(Hash, [u8; BASE64_CHARS])>,
}

impl ProofText {
    /// Writes an entry with its proof, as JSON on a line.
    fn line(
        &mut self,
        out: &mut Vec<u8>,
        seq: u64,
        leaf: LeafView<'_>,
        proof: &[Hash],
    ) -> Result<(), ExportError> {
        let shared =
            self.spelled.iter().zip(proof.iter().rev()).take_while(|((known, _), hash)| known == *hash);
        self.spelled.truncate(shared.count());
        for hash in proof.iter().rev().skip(self.spelled.len()) {
            self.spelled.push((*hash, hash.to_base64()));
        }
        write!(out, "{{\"seq\":{seq},\"entry\":")?;
        serde_json::to_writer(&mut *out, leaf.text()).map_err(io::Error::from)?;
        out.extend_from_slice(b",\"proof\":[");
        for (place, (_, text)) in self.spelled.iter().rev().enumerate() {
            out.extend_from_slice(if place == 0 { b"\"" } else { b",\"" });
            out.extend_from_slice(text);
            out.push(b'"');
        }
        out.extend_from_slice(b"]}\n");
        Ok(())
    }
}

/// Hashes what it passes on.
struct Hashing<W> {
    out: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.out.write(piece)?;
        self.hash.update(&piece[..written]);
        self.bytes += u64::try_from(written).unwrap_or(u64::MAX);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn instant(at_us: u64) -> String {
    // The parser keeps instants below 2^53 microseconds, which is the year 2255.
    let at = DateTime::from_timestamp_micros(i64::try_from(at_us).unwrap_or_default()).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn csv_line(out: &mut csv::Writer<Vec<u8>>, seq: u64, leaf: LeafView<'_>) -> Result<(), ExportError> {
    let word = |uuid: Option<Uuid>| uuid.map(|uuid| uuid.to_string()).unwrap_or_default();
    let (case, intent) = (word(leaf.case()), word(leaf.intent()));
    let cells = [
        &seq.to_string(),
        &instant(leaf.at_us()),
        leaf.tenant().unwrap_or_default(),
        &case,
        leaf.action(),
        leaf.outcome().unwrap_or_default(),
        leaf.actor(),
        &intent,
        &leaf.id().to_string(),
        leaf.detail_text(),
    ];
    out.write_record(cells.map(harmless).each_ref().map(AsRef::as_ref)).map_err(io::Error::other)?;
    Ok(())
}

/// A spreadsheet takes a cell that begins so for a formula. No value of an entry does today; a later one might.
fn harmless(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}").into() } else { cell.into() }
}

/// The kind of activity as OCSF numbers it: 1 create, 2 read, 3 update, 4 delete, 99 anything else.
fn activity(action: &str) -> (u16, &'static str) {
    match action.split_once('.') {
        Some(("deletion", _) | (_, "destroyed")) => (4, "Delete"),
        Some(("policy", _)) => (3, "Update"),
        Some(("contact", _) | (_, "read" | "opened" | "fetched" | "exported" | "verified")) => (2, "Read"),
        Some((_, "received" | "built" | "enqueued" | "started")) => (1, "Create"),
        _ => (99, "Other"),
    }
}

fn ocsf(origin: &str, seq: u64, leaf: &Leaf) -> Value {
    let (activity_id, activity_name) = activity(&leaf.action);
    let (status_id, status) = match leaf.outcome.as_deref() {
        Some("failed") => (2, "Failure"),
        Some("outcome_unknown") | None => (0, "Unknown"),
        Some(_) => (1, "Success"),
    };
    let actor = match leaf.actor.split_once(':') {
        Some(("person", word)) => json!({ "user": { "uid": word, "type_id": 1 } }),
        _ => json!({ "app_name": leaf.actor }),
    };
    json!({
        "category_uid": 6,
        "category_name": "Application Activity",
        "class_uid": 6003,
        "class_name": "API Activity",
        "activity_id": activity_id,
        "activity_name": activity_name,
        "type_uid": 600_300 + u32::from(activity_id),
        "severity_id": 1,
        "status_id": status_id,
        "status": status,
        "time": leaf.at_us / 1000,
        "actor": actor,
        "api": { "operation": leaf.action, "service": { "name": "dsrd" } },
        "src_endpoint": { "name": origin },
        "metadata": {
            "version": OCSF_VERSION,
            "uid": leaf.id,
            "sequence": seq,
            "log_name": origin,
            "correlation_uid": leaf.case,
            "tenant_uid": leaf.tenant,
            "product": { "name": "dsrd", "vendor_name": "dsrd", "version": leaf.build },
        },
        "unmapped": { "outcome": leaf.outcome, "intent": leaf.intent, "detail": leaf.detail },
    })
}

fn cloud_event(origin: &str, seq: u64, leaf: &Leaf) -> Value {
    let mut event = json!({
        "specversion": "1.0",
        "id": leaf.id,
        "source": format!("//{origin}"),
        "type": format!("dsrd.audit.{}", leaf.action),
        "time": instant(leaf.at_us),
        "datacontenttype": "application/json",
        // The extension "sequence" asks for text that sorts.
        "sequence": format!("{seq:019}"),
        "data": leaf,
    });
    // An attribute without a value must not stand there.
    if let (Some(case), Some(attributes)) = (leaf.case, event.as_object_mut()) {
        attributes.insert("subject".to_owned(), json!(case));
    }
    event
}
