//! Receipts: single entries, checked without the log.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::policy::Policy;
use crate::audit::event::Action;
use crate::audit::leaf::{Leaf, LeafError};
use crate::audit::manifest::{Opening, OpeningError};
use crate::audit::tlog::{Algorithm, ProofFile, ProofFileError, leaf_hash};

/// Why a receipt proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The proof.
    #[error("the proof does not show this entry")]
    Proof(#[source] ProofFileError),
    /// Proven, by a key that the policy does not name as a log's.
    #[error("no log's key of the policy signed the head that it leads to")]
    UnknownKey,
    /// The entry is proven and cannot be read.
    #[error("the entry is proven, but of a form that this program cannot read")]
    Entry(#[source] LeafError),
    /// The page of a sweep is proven; the item that stands beside it is not.
    #[error("the entry is proven, but what stands beside it is not")]
    Opening(#[source] OpeningError),
}

/// What a receipt proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proven {
    /// Number of the entry.
    pub seq: u64,
    /// What it records.
    pub action: String,
    /// How it ended, where it is the end of an effect.
    pub outcome: Option<String>,
    /// When it happened, by the clock of its writer.
    pub at: DateTime<Utc>,
    /// The request.
    pub case: Option<Uuid>,
    /// How many entries the head covers to which the proof leads.
    pub under: u64,
    /// When enough witnesses had signed that head, where the policy asks for them.
    pub witnessed_at: Option<DateTime<Utc>>,
    /// The item of a page of a sweep, where the receipt opens one.
    pub item: Option<ProvenItem>,
}

/// The item of a page.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct ProvenItem {
    /// The case.
    pub case: Uuid,
    /// The platform's id of the contact.
    pub contact: String,
    /// Its place on the page, from 0.
    pub index: u64,
    /// How many items the page has.
    pub items: u64,
}

impl std::fmt::Debug for ProvenItem {
    /// The contact is a person's.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ProvenItem").field("case", &self.case).finish_non_exhaustive()
    }
}

/// Checks the proof of an entry, and what it carries beside it. Whether there are enough witnesses is told, not asked
/// for: a receipt may be older than the first of them.
pub fn check_receipt(policy: &Policy, entry: &[u8], proof: &[u8]) -> Result<Proven, ReceiptError> {
    let file = ProofFile::from_bytes(proof).map_err(ReceiptError::Proof)?;
    let opened = file.verify(&leaf_hash(entry), policy.keys()).map_err(ReceiptError::Proof)?;
    let by_log = |signature: &crate::audit::tlog::VerifiedSignature<'_>| {
        signature.key.algorithm() == Algorithm::Ed25519 && policy.logs().contains(signature.key)
    };
    if !opened.signatures.iter().any(by_log) {
        return Err(ReceiptError::UnknownKey);
    }
    let leaf = Leaf::parse(entry).map_err(ReceiptError::Entry)?;
    // What other entries carry (the openings of `request.received`) needs an identifier to be checked.
    let item = match file.extra.as_ref().filter(|_| leaf.action == Action::SweepPage.as_str()) {
        None => None,
        Some(extra) => {
            let opening = Opening::from_bytes(extra).map_err(ReceiptError::Opening)?;
            opening.check(&leaf).map_err(ReceiptError::Opening)?;
            let Opening { case, contact, index, items, .. } = opening;
            Some(ProvenItem { case, contact, index, items })
        }
    };
    let instant = |micros: i64| DateTime::from_timestamp_micros(micros).unwrap_or_default();
    let witnessed = policy.witnessed(&opened).and_then(|secs| i64::try_from(secs).ok());
    Ok(Proven {
        seq: file.index + 1,
        action: leaf.action,
        outcome: leaf.outcome,
        at: instant(i64::try_from(leaf.at_us).unwrap_or_default()),
        case: leaf.case,
        under: opened.checkpoint.size,
        witnessed_at: witnessed.and_then(|secs| DateTime::from_timestamp(secs, 0)),
        item,
    })
}
