//! Entries as lines for other systems.

use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::reader::{CHUNK, Reader};
use super::{ExportError, Exported, Selection};
use crate::audit::leaf::Leaf;
use crate::audit::tlog::leaf_hash;
use crate::audit::verify::{Source, Stored};

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
    match format {
        LineFormat::Ndjson => {
            let head = json!({ "checkpoint": reader.note.to_string(), "entries_under_it": size });
            writeln!(out, "{head}")?;
        }
        LineFormat::Csv => {
            writeln!(out, "seq,at,organisation,case_id,action,outcome,actor,intent,uid,detail")?;
        }
        LineFormat::Ocsf | LineFormat::CloudEvents => {}
    }
    let origin = reader.checkpoint.origin.to_string();
    let mut entries = 0;
    let mut first = 0;
    while first < size {
        let end = (first + CHUNK).min(size);
        for row in reader.entries(first, end).await? {
            let Ok(leaf) = Leaf::parse(&row.entry) else { return Err(ExportError::Altered { seq: row.seq }) };
            if !selection.takes(&leaf) {
                continue;
            }
            entries += 1;
            match format {
                LineFormat::Ndjson => {
                    let proof = reader.proof(row.seq - 1, &leaf_hash(&row.entry)).await?;
                    let proof: Vec<String> = proof.iter().map(ToString::to_string).collect();
                    let entry = String::from_utf8_lossy(&row.entry);
                    writeln!(out, "{}", json!({ "seq": row.seq, "entry": entry, "proof": proof }))?;
                }
                LineFormat::Csv => csv_line(&mut out, &row, &leaf)?,
                LineFormat::Ocsf => writeln!(out, "{}", ocsf(&origin, row.seq, &leaf))?,
                LineFormat::CloudEvents => writeln!(out, "{}", cloud_event(&origin, &row, &leaf))?,
            }
        }
        first = end;
    }
    out.flush()?;
    Ok(Exported { entries, size, sha256: hex::encode(out.hash.finalize()), bytes: out.bytes })
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

fn instant(leaf: &Leaf) -> DateTime<Utc> {
    // The parser keeps instants below 2^53 microseconds, which is the year 2255.
    DateTime::from_timestamp_micros(i64::try_from(leaf.at_us).unwrap_or_default()).unwrap_or_default()
}

fn csv_line<W: Write>(out: &mut W, row: &Stored, leaf: &Leaf) -> Result<(), ExportError> {
    let word = |uuid: Option<uuid::Uuid>| uuid.map(|uuid| uuid.to_string()).unwrap_or_default();
    let cells = [
        row.seq.to_string(),
        instant(leaf).to_rfc3339_opts(SecondsFormat::Micros, true),
        leaf.tenant.clone().unwrap_or_default(),
        word(leaf.case),
        leaf.action.clone(),
        leaf.outcome.clone().unwrap_or_default(),
        leaf.actor.clone(),
        word(leaf.intent),
        leaf.id.to_string(),
        json!(leaf.detail).to_string(),
    ];
    let mut line = csv::WriterBuilder::new().from_writer(Vec::new());
    line.write_record(cells.map(|cell| harmless(&cell))).map_err(io::Error::other)?;
    out.write_all(&line.into_inner().map_err(|error| io::Error::other(error.to_string()))?)?;
    Ok(())
}

/// A spreadsheet takes a cell that begins so for a formula. No value of an entry does today; a later one might.
fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.to_owned() }
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

fn cloud_event(origin: &str, row: &Stored, leaf: &Leaf) -> Value {
    let mut event = json!({
        "specversion": "1.0",
        "id": leaf.id,
        "source": format!("//{origin}"),
        "type": format!("dsrd.audit.{}", leaf.action),
        "time": instant(leaf).to_rfc3339_opts(SecondsFormat::Micros, true),
        "datacontenttype": "application/json",
        // The extension "sequence" asks for text that sorts.
        "sequence": format!("{:019}", row.seq),
        "data": leaf,
    });
    // An attribute without a value must not stand there.
    if let (Some(case), Some(attributes)) = (leaf.case, event.as_object_mut()) {
        attributes.insert("subject".to_owned(), json!(case));
    }
    event
}
