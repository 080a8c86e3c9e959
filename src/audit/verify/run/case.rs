//! One case, looked at while the whole log is verified: what it consists of, and whether each of it is in the tree.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::Run;
use crate::audit::event::Action;
use crate::audit::leaf::{DetailValue, Leaf, LeafView};
use crate::audit::tlog::{
    Checkpoint, Hash, TileHashes, TileMap, inclusion_proof, inclusion_tiles, verify_inclusion,
};
use crate::audit::verify::erasure::{Erasures, Openable};
use crate::audit::verify::report::Step;
use crate::audit::verify::source::{Source, SourceError};

/// The most entries of a case that are told one by one: memory does not grow with the log.
const MAX_ENTRIES: usize = 10_000;

/// An entry of the case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseEntry {
    /// Its number.
    pub seq: u64,
    /// When it happened, by the clock of its writer.
    pub at: DateTime<Utc>,
    /// What it records.
    pub action: String,
    /// Who caused it, as a random word or the name of a part of the service.
    pub actor: String,
    /// How it ended, where it is the end of an effect.
    pub outcome: Option<String>,
    /// Whether it concerns the case by its detail only: evidence that was taken of it, for example.
    pub by_detail: bool,
    /// Whether a proof leads from its bytes to the root of the head that was verified.
    pub included: bool,
}

/// What the log says of the identifiers that the request gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum CaseSubject {
    /// No entry that was read commits to them.
    #[default]
    Uncommitted,
    /// An entry commits to them; whether that can be opened is not to be seen in this place.
    Committed {
        /// Its number.
        entry: u64,
    },
    /// An entry commits to them, and a salt is kept that should open it; whether it does, the identifier would tell.
    Kept {
        /// Its number.
        entry: u64,
    },
    /// The salt was erased, which is recorded and not sealed yet.
    BeingForgotten {
        /// The entry that commits to them.
        entry: u64,
    },
    /// The salt was erased as a signed entry says: an authorised absence.
    Forgotten {
        /// The entry that commits to them, where it is still there.
        entry: Option<u64>,
        /// The entry that says so.
        by: u64,
    },
    /// The salt is gone, and no entry that was read allows it.
    Gone {
        /// The entry that commits to them.
        entry: u64,
    },
}

/// One case as the log tells it.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// Its id.
    pub case: Uuid,
    /// Its entries by their numbers; at most ten thousand.
    pub entries: Vec<CaseEntry>,
    /// How many more there are.
    pub more_entries: u64,
    /// Numbers of entries that announced an effect of which no entry says how it ended.
    pub open_intents: Vec<u64>,
    /// Whether its person can still be recognised in it.
    pub subject: CaseSubject,
    /// How many entries of the log were not read, because they are gone or lie before the beginning of the run: some may
    /// have been of this case.
    pub unread_entries: u64,
}

/// Gathers one case.
pub(super) struct Wanted {
    case: Uuid,
    word: String,
    entries: Vec<CaseEntry>,
    leaves: Vec<Hash>,
    more_entries: u64,
    open: HashMap<Uuid, u64>,
    subject: CaseSubject,
}

impl Wanted {
    pub(super) fn new(case: Uuid) -> Self {
        Self {
            case,
            word: case.to_string(),
            entries: Vec::new(),
            leaves: Vec::new(),
            more_entries: 0,
            open: HashMap::new(),
            subject: CaseSubject::default(),
        }
    }

    /// Takes note of an entry of the log.
    pub(super) fn take(&mut self, seq: u64, leaf: LeafView<'_>, own: Hash, erasures: &Erasures) {
        // Of nearly all entries nothing else is looked at.
        if leaf.case() != Some(self.case) && !leaf.detail_text().contains(&self.word) {
            return;
        }
        let leaf = leaf.to_leaf();
        let is_own = leaf.case == Some(self.case);
        let names_it = |value: &DetailValue| matches!(value, DetailValue::Word(word) if *word == self.word);
        if !is_own && !leaf.detail.values().any(names_it) {
            return;
        }
        if is_own {
            self.follow(seq, &leaf, erasures);
        }
        if self.entries.len() == MAX_ENTRIES {
            self.more_entries += 1;
            return;
        }
        let at_us = i64::try_from(leaf.at_us).unwrap_or(i64::MAX);
        self.entries.push(CaseEntry {
            seq,
            at: DateTime::from_timestamp_micros(at_us).unwrap_or(DateTime::<Utc>::MAX_UTC),
            action: leaf.action,
            actor: leaf.actor,
            outcome: leaf.outcome,
            by_detail: !is_own,
            included: false,
        });
        self.leaves.push(own);
    }

    fn follow(&mut self, seq: u64, leaf: &Leaf, erasures: &Erasures) {
        if let Some(intent) = leaf.intent {
            self.open.remove(&intent);
        }
        if matches!(leaf.action.rsplit_once('.'), Some((_, "began"))) {
            self.open.insert(leaf.id, seq);
        }
        if leaf.subject_c.is_some() && self.subject == CaseSubject::Uncommitted {
            self.subject = match erasures.openable(self.case) {
                Openable::Elsewhere => CaseSubject::Committed { entry: seq },
                Openable::Kept => CaseSubject::Kept { entry: seq },
                Openable::Pending => CaseSubject::BeingForgotten { entry: seq },
                Openable::Gone => CaseSubject::Gone { entry: seq },
            };
        }
        let kind = leaf.detail.get("kind");
        if leaf.action == Action::LogRedact.as_str()
            && matches!(kind, Some(DetailValue::Word(kind)) if kind == "subject")
        {
            let entry = match self.subject {
                CaseSubject::Uncommitted => None,
                CaseSubject::Forgotten { entry, .. } => entry,
                CaseSubject::Committed { entry }
                | CaseSubject::Kept { entry }
                | CaseSubject::BeingForgotten { entry }
                | CaseSubject::Gone { entry } => Some(entry),
            };
            self.subject = CaseSubject::Forgotten { entry, by: seq };
        }
    }

    pub(super) fn into_report(self, unread_entries: u64) -> CaseReport {
        let mut open_intents: Vec<u64> = self.open.into_values().collect();
        open_intents.sort_unstable();
        CaseReport {
            case: self.case,
            entries: self.entries,
            more_entries: self.more_entries,
            open_intents,
            subject: self.subject,
            unread_entries,
        }
    }
}

impl Run<'_> {
    /// Leads a proof from each entry of the case to the root that was signed: by the tiles of the source, and not by the
    /// tree that this run has built.
    pub(super) async fn prove_case<S: Source>(
        &mut self,
        source: &mut S,
        head: &Checkpoint,
    ) -> Result<(), SourceError> {
        let Some(mut wanted) = self.wanted.take() else { return Ok(()) };
        let mut tiles = TileMap::default();
        let mut asked = HashSet::new();
        for (entry, leaf) in wanted.entries.iter_mut().zip(&wanted.leaves) {
            let index = entry.seq - 1;
            for tile in inclusion_tiles(index, head.size).unwrap_or_default() {
                if !asked.insert((tile.level(), tile.index(), tile.width())) {
                    continue;
                }
                let bytes = match source.tile(tile).await {
                    Ok(bytes) => bytes.unwrap_or_default(),
                    Err(SourceError::Missing { .. } | SourceError::Malformed { .. }) => Vec::new(),
                    Err(other) => return Err(other),
                };
                let hashes = Hash::row_from_bytes(&bytes).unwrap_or_default();
                tiles.insert(TileHashes { level: tile.level(), index: tile.index(), hashes });
            }
            let proof = inclusion_proof(&tiles, index, head.size);
            entry.included =
                proof.is_ok_and(|proof| verify_inclusion(leaf, index, head.size, &head.root, &proof).is_ok());
            if !entry.included {
                self.findings.undecided(
                    Step::Tree,
                    format!("entry {}", entry.seq),
                    "no proof by the tiles that are there leads from it to the root of the head",
                );
            }
        }
        self.wanted = Some(wanted);
        Ok(())
    }
}
