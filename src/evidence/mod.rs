//! Evidence that leaves the house: what was done about one request, or in one period, in one file that proves itself
//! offline.
//!
//! A [`Bundle`] is a zip archive with the facts of the cases (`cases.ndjson`), their entries of the audit log with an
//! inclusion proof each (`log.ndjson`), the signed head under which these proofs stand (`checkpoint`), the keys of the log
//! as a policy file (`log.policy`), a `manifest.json` that says what each file proves, `SHA256SUMS` for `sha256sum -c`, and
//! a `README.txt` for whoever receives it. [`check_bundle`] verifies one without any database or configuration.
//!
//! Facts enter through the owners of the tables, each of which hands out what it may show: dates, words, counts and
//! hashes. The log enters through [`audit::export`](crate::audit::export), which compares every entry with the signed tree
//! on the way.
//!
//! Invariants:
//! - No identifier, no contact id, no text of a notice, no name of staff stands in a bundle: who did something stands in the
//!   log by a word whose meaning stays in the database.
//! - Facts are written before the log is, so that the log of a bundle is never behind its facts.
//! - Memory does not grow with the number of entries; it does with the number of cases of a period, by their ids.
//! - Who took a bundle is an entry of the log, with the SHA-256 of the file. The caller writes it (`evidence.taken`).
//!
//! To add a fact: let the owner of its table hand it out, put it into `cases::file_of`, and, where the log tells the same,
//! compare both in `check`.

mod bundle;
mod cases;
mod check;
mod error;
mod readme;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::{OrganisationId, Reference, RequestId};

pub use bundle::{Bundle, Taken};
pub use check::{Checked, CheckedFile, check_bundle};
pub use error::EvidenceError;

/// What the file is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One request.
    Case {
        /// Its id.
        case: RequestId,
        /// Its reference.
        reference: Reference,
    },
    /// All that the log of the organisation says of a period, and every case with an entry in it.
    Period {
        /// From this instant on.
        since: DateTime<Utc>,
        /// Before this instant.
        until: DateTime<Utc>,
    },
}

/// What is ordered.
#[derive(Clone, Debug)]
pub struct Order {
    /// Of which organisation.
    pub organisation: OrganisationId,
    /// About what.
    pub scope: Scope,
    /// When it is taken.
    pub taken_at: DateTime<Utc>,
    /// SHA-256 of the organisation's settings in force, in hexadecimal digits.
    pub settings_sha256: String,
    /// The verifier keys of the log.
    pub verifier_keys: Vec<String>,
}

/// The names of the files of a bundle, in their order, each with what it proves.
pub(crate) const FILES: [(&str, &str); 5] = [
    (README, "explains this bundle and how to check it without us"),
    (CASES, "dates, decisions, notices, packages and recipients told of each case, without identifiers"),
    (LOG, "entries of the audit log, verbatim, each with a proof that it stands under the checkpoint"),
    (CHECKPOINT, "the signed head of the audit log: nothing under it can be changed without its key"),
    (POLICY, "the public keys of the log; compare them with those that you got another way"),
];
pub(crate) const README: &str = "README.txt";
pub(crate) const CASES: &str = "cases.ndjson";
pub(crate) const LOG: &str = "log.ndjson";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const POLICY: &str = "log.policy";
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const SUMS: &str = "SHA256SUMS";

/// The form of the bundle, for readers of later ones.
pub(crate) const FORM: &str = "dsrd-evidence/1";
