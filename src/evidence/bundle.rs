//! Writing a bundle, file after file.

use std::io::{self, Seek, Write};

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{
    CASES, CHECKPOINT, EvidenceError, FILES, FORM, LOG, MANIFEST, Order, POLICY, README, SUMS, Scope, cases,
    readme,
};
use crate::audit::export::{self, LineFormat, Selection};
use crate::audit::tlog::{Checkpoint, SignedNote};
use crate::audit::verify::Source;
use crate::store::PgConnection;

/// What a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// How many cases.
    pub cases: u64,
    /// How many of them are held no more, so that only their entries tell of them.
    pub cases_purged: u64,
    /// How many entries of the log.
    pub entries: u64,
    /// The size of the head under which they stand.
    pub size: u64,
}

/// A file that was written.
struct Written {
    name: &'static str,
    bytes: u64,
    sha256: String,
}

/// A bundle that is being written: first the cases, then the log.
pub struct Bundle<W: Write + Seek> {
    zip: ZipWriter<W>,
    order: Order,
    written: Vec<Written>,
    taken: Taken,
}

impl<W: Write + Seek> std::fmt::Debug for Bundle<W> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Bundle").field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl<W: Write + Seek> Bundle<W> {
    /// Begins a bundle.
    pub fn begin(out: W, order: Order) -> Self {
        let taken = Taken { cases: 0, cases_purged: 0, entries: 0, size: 0 };
        Self { zip: ZipWriter::new(out), order, written: Vec::new(), taken }
    }

    /// Adds the facts of the cases. To be done before the log is sealed and added, so that it is never behind them.
    pub async fn add_cases(&mut self, connection: &mut PgConnection) -> Result<(), EvidenceError> {
        let listed = cases::list(connection, &self.order).await?;
        let today = self.order.taken_at.date_naive();
        self.start(CASES, false)?;
        let mut out = Hashing::new(&mut self.zip);
        for request in listed {
            let file = cases::file_of(connection, &self.order.organisation, request, today).await?;
            self.taken.cases += 1;
            self.taken.cases_purged += u64::from(file["held"] == Value::Bool(false));
            writeln!(out, "{file}")?;
        }
        let written = out.written(CASES);
        self.written.push(written);
        Ok(())
    }

    /// Adds the entries of the log with their proofs, and everything that is known only then; ends the archive.
    pub async fn finish<S: Source>(mut self, source: &mut S) -> Result<(W, Taken), EvidenceError> {
        self.start(LOG, true)?;
        let mut out = Hashing::new(&mut self.zip);
        let exported =
            export::write_lines(source, &selection(&self.order), LineFormat::Ndjson, &mut out).await?;
        let head: Value = serde_json::from_slice(&out.first_line).unwrap_or_default();
        let written = out.written(LOG);
        self.written.push(written);
        let note = head["checkpoint"].as_str().ok_or(EvidenceError::NoHead)?.to_owned();
        let checkpoint = SignedNote::from_bytes(note.as_bytes())
            .ok()
            .and_then(|note| note.text().parse::<Checkpoint>().ok())
            .ok_or(EvidenceError::NoHead)?;
        self.taken.entries = exported.entries;
        self.taken.size = exported.size;
        self.add(CHECKPOINT, note.as_bytes())?;
        let keys = self.order.verifier_keys.iter().map(|key| format!("log {key}"));
        let policy: Vec<String> = keys.chain(["quorum none".to_owned()]).collect();
        self.add(POLICY, (policy.join("\n") + "\n").as_bytes())?;
        let text = readme::text(&self.order, &self.taken);
        self.add(README, text.as_bytes())?;
        let manifest = self.manifest(&checkpoint);
        self.add(MANIFEST, format!("{manifest:#}\n").as_bytes())?;
        let sums: Vec<String> =
            self.written.iter().map(|file| format!("{}  {}", file.sha256, file.name)).collect();
        self.add(SUMS, (sums.join("\n") + "\n").as_bytes())?;
        let Self { zip, taken, .. } = self;
        Ok((zip.finish()?, taken))
    }

    fn manifest(&self, checkpoint: &Checkpoint) -> Value {
        let proves = |name: &str| FILES.iter().find(|(known, _)| *known == name).map(|(_, proves)| *proves);
        let files = self.written.iter().map(|file| {
            json!({
                "name": file.name,
                "bytes": file.bytes,
                "sha256": file.sha256,
                "proves": proves(file.name),
            })
        });
        json!({
            "form": FORM,
            "organisation": self.order.organisation,
            "scope": self.order.scope,
            "taken_at": self.order.taken_at,
            "program": concat!("dsrd ", env!("CARGO_PKG_VERSION")),
            "settings_sha256": self.order.settings_sha256,
            "log": { "origin": checkpoint.origin.to_string(), "size": checkpoint.size, "root": checkpoint.root.to_string() },
            "cases": self.taken.cases,
            "cases_purged": self.taken.cases_purged,
            "entries": self.taken.entries,
            "files": files.collect::<Vec<_>>(),
        })
    }

    fn start(&mut self, name: &'static str, large: bool) -> Result<(), EvidenceError> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(0o600)
            .large_file(large);
        Ok(self.zip.start_file(name, options)?)
    }

    fn add(&mut self, name: &'static str, content: &[u8]) -> Result<(), EvidenceError> {
        self.start(name, false)?;
        let mut out = Hashing::new(&mut self.zip);
        out.write_all(content)?;
        let written = out.written(name);
        self.written.push(written);
        Ok(())
    }
}

fn selection(order: &Order) -> Selection {
    let organisation = Some(order.organisation.to_string());
    match &order.scope {
        Scope::Case { case, .. } => Selection { organisation, case: Some(case.0), ..Selection::default() },
        Scope::Period { since, until } => {
            Selection { organisation, since: Some(*since), until: Some(*until), ..Selection::default() }
        }
    }
}

/// Hashes what it passes on, and keeps the first line.
pub(super) struct Hashing<W> {
    out: W,
    hash: Sha256,
    bytes: u64,
    first_line: Vec<u8>,
    first_line_ended: bool,
}

impl<W: Write> Hashing<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, hash: Sha256::new(), bytes: 0, first_line: Vec::new(), first_line_ended: false }
    }

    /// The hash of all that passed, in hexadecimal digits.
    pub(super) fn sha256(self) -> String {
        hex::encode(self.hash.finalize())
    }

    fn written(self, name: &'static str) -> Written {
        Written { name, bytes: self.bytes, sha256: hex::encode(self.hash.finalize()) }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(piece)?;
        let piece = &piece[..taken];
        self.hash.update(piece);
        self.bytes += u64::try_from(taken).unwrap_or(u64::MAX);
        if !self.first_line_ended {
            let end = piece.iter().position(|byte| *byte == b'\n');
            self.first_line.extend_from_slice(&piece[..end.unwrap_or(piece.len())]);
            self.first_line_ended = end.is_some();
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
