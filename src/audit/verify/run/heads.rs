//! Heads: that of the log, those kept elsewhere, and whether they agree with the entries.

use std::collections::VecDeque;

use sha2::{Digest as _, Sha256};

use crate::audit::leaf::LeafView;
use crate::audit::sealer::is_former_name;
use crate::audit::tlog::{
    self, Checkpoint, CheckpointError, Edge, Hash, KeyName, NoteError, OpenedCheckpoint, SignedNote, Tile,
    TileHashes, TileMap,
};
use crate::audit::verify::report::Step;
use crate::audit::verify::source::{KeptHead, KeptStamp, Source, SourceError};

use super::restores::Parting;
use super::tiles::Tree;
use super::{Plan, Run, WIDTH};

/// How far a clock may be off before an instant later than its witness's is told, in microseconds.
pub(super) const CLOCK_TOLERANCE_US: u64 = 5 * 60 * 1_000_000;

/// Said of a head that no key of the policy signed. An older key may have: then the policy should name it, too.
pub(super) const UNKNOWN_KEY: &str =
    "no log's key of the policy signed it; if the log changed its key, name both keys in the policy";

/// A head to be met on the way.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Where it was kept; empty for one that the log itself kept.
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) root: Hash,
    /// The name of the log under which it was signed.
    pub(super) signed_as: KeyName,
    /// The same, where the log has another one since a restore.
    pub(super) former_name: Option<String>,
    /// When enough witnesses had signed it, in seconds since 1970.
    pub(super) witnessed_at_secs: Option<u64>,
    /// When an authority stamped it, in seconds since 1970.
    pub(super) stamped_at_secs: Option<u64>,
}

impl Known {
    /// The latest time of somebody else's that it has, in seconds since 1970.
    pub(super) fn time_secs(&self) -> Option<u64> {
        self.witnessed_at_secs.max(self.stamped_at_secs)
    }
}

/// The newest head.
pub(super) struct Head {
    pub(super) checkpoint: Checkpoint,
    pub(super) signed: bool,
    pub(super) witnessed_at_secs: Option<u64>,
}

/// Opens a note by the keys of the policy; a log's own key must have signed it.
pub(super) fn open<'p>(plan: &'p Plan, note: &SignedNote) -> Result<OpenedCheckpoint<'p>, String> {
    let opened = Checkpoint::open(note, plan.policy.keys()).map_err(|error| match error {
        CheckpointError::Note(NoteError::Unsigned) => UNKNOWN_KEY.to_owned(),
        other => told(&other),
    })?;
    if opened.signatures.iter().any(|signature| plan.policy.logs().contains(signature.key)) {
        Ok(opened)
    } else {
        Err(UNKNOWN_KEY.to_owned())
    }
}

/// An error with its causes, on one line.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

impl Run<'_> {
    pub(super) async fn head<S: Source>(&mut self, source: &mut S) -> Result<Option<Head>, SourceError> {
        let bytes = match source.head().await {
            Ok(bytes) => bytes,
            Err(error) => {
                self.unreadable(Step::Head, error)?;
                return Ok(None);
            }
        };
        let note = match SignedNote::from_bytes(&bytes) {
            Ok(note) => note,
            Err(error) => {
                self.findings.violation(Step::Head, "checkpoint", told(&error));
                return Ok(None);
            }
        };
        match open(self.plan, &note) {
            Ok(opened) => Ok(Some(Head {
                witnessed_at_secs: self.plan.policy.witnessed(&opened),
                checkpoint: opened.checkpoint,
                signed: true,
            })),
            Err(reason) => {
                self.findings.violation(Step::Head, "checkpoint", reason);
                // What it says is still compared with the entries, so that the reader sees where it is wrong.
                let checkpoint = note.text().parse().ok();
                Ok(checkpoint.map(|checkpoint| Head { checkpoint, signed: false, witnessed_at_secs: None }))
            }
        }
    }

    /// Opens the heads that were kept elsewhere, smallest first. `is_the_log`: whether the place is the log itself, which has every
    /// head that was ever signed for it.
    pub(super) fn known_heads(&mut self, checkpoint: &Checkpoint, is_the_log: bool) -> VecDeque<Known> {
        let mut known = Vec::new();
        for (name, bytes) in &self.plan.known_heads {
            let opened = SignedNote::from_bytes(bytes).map_err(|error| told(&error));
            match opened.and_then(|note| open(self.plan, &note)) {
                Err(reason) => self.findings.undecided(Step::Consistency, name, reason),
                Ok(OpenedCheckpoint { checkpoint: head, .. })
                    if head.origin != checkpoint.origin
                        && !is_former_name(head.origin.as_str(), checkpoint.origin.as_str()) =>
                {
                    let what = format!("it is the head of another log, {}", head.origin);
                    self.findings.undecided(Step::Consistency, name, what);
                }
                Ok(opened) if opened.checkpoint.origin != checkpoint.origin => {
                    let former_name = Some(opened.checkpoint.origin.to_string());
                    let head = self.known(name, opened, former_name);
                    if head.size > checkpoint.size {
                        // It reaches further than the copy did, and the log has not come as far again.
                        self.differ(head, false);
                    } else {
                        known.push(head);
                    }
                }
                Ok(OpenedCheckpoint { checkpoint: head, .. })
                    if head.size > checkpoint.size && !is_the_log =>
                {
                    let what = format!(
                        "this head has {} entries, and this place only {}: it is of an earlier moment, or was cut; verify what \
                         was made of the log later, or the log itself",
                        head.size, checkpoint.size
                    );
                    self.findings.undecided(Step::Consistency, name, what);
                }
                Ok(OpenedCheckpoint { checkpoint: head, .. }) if head.size > checkpoint.size => {
                    let what = format!(
                        "this head of {} entries was signed before, and the log has only {}: it was cut or set back",
                        head.size, checkpoint.size
                    );
                    self.findings.violation(Step::Consistency, name, what);
                }
                Ok(opened) => known.push(self.known(name, opened, None)),
            }
        }
        known.sort_by_key(|head| head.size);
        known.into()
    }

    /// A head that was kept elsewhere.
    fn known(&self, name: &str, opened: OpenedCheckpoint<'_>, former_name: Option<String>) -> Known {
        let witnessed_at_secs = self.plan.policy.witnessed(&opened);
        let Checkpoint { origin, size, root } = opened.checkpoint;
        let name = name.to_owned();
        Known { name, size, root, signed_as: origin, former_name, witnessed_at_secs, stamped_at_secs: None }
    }

    /// The name under which the log signed the first of its own heads behind the entry in hand: the next ones of the chunk, else
    /// of the rest. A place that is not the log itself may have none: then the name that the log has now.
    pub(super) async fn next_name<S: Source>(
        &mut self,
        source: &mut S,
        heads: &VecDeque<Known>,
        (end, size): (u64, u64),
        present: &KeyName,
    ) -> Result<Option<KeyName>, SourceError> {
        if let Some(head) = heads.iter().find(|head| head.name.is_empty()) {
            return Ok(Some(head.signed_as.clone()));
        }
        let kept = self.told_of(Step::Consistency, source.kept_heads(end, size).await)?;
        let signed_as = kept.into_iter().find_map(|KeptHead { note, .. }| {
            let note = SignedNote::from_bytes(note.as_bytes()).ok()?;
            Some(open(self.plan, &note).ok()?.checkpoint.origin)
        });
        Ok(signed_as.or_else(|| (!source.is_the_log()).then(|| present.clone())))
    }

    /// The edge of the tree of `since` leaves, out of tiles.
    pub(super) async fn beginning<S: Source>(
        &mut self,
        source: &mut S,
        since: u64,
        size: u64,
    ) -> Result<Edge, SourceError> {
        let mut stored = Vec::new();
        for level in 0..8_u8 {
            let row = since.checked_shr(8 * u32::from(level)).unwrap_or(0);
            let (index, count) = (row / WIDTH, usize::try_from(row % WIDTH).unwrap_or_default());
            let Some(tile) = Tile::of_tree(level, index, size).filter(|_| count > 0) else { continue };
            let Some(mut hashes) = self.tile(source, tile).await? else {
                return Err(SourceError::Missing { place: format!("{}, with which to begin,", tile.path()) });
            };
            hashes.truncate(count);
            stored.push(TileHashes { level, index, hashes });
        }
        Edge::restore(since, stored)
            .map_err(|error| SourceError::Malformed { place: "the tiles".to_owned(), reason: told(&error) })
    }

    /// Compares heads that lie before the beginning, by proof out of the tiles, and those at the beginning itself.
    pub(super) async fn consistent_beginnings<S: Source>(
        &mut self,
        source: &mut S,
        beginning: &Edge,
        known: &mut VecDeque<Known>,
        size: u64,
    ) -> Result<(), SourceError> {
        let (since, root) = (beginning.size(), beginning.root());
        while let Some(head) = known.pop_front_if(|head| head.size <= since) {
            let mut tiles = TileMap::default();
            for tile in tlog::consistency_tiles(head.size, since).unwrap_or_default() {
                let wide = Tile::of_tree(tile.level(), tile.index(), size).unwrap_or(tile);
                if let Some(hashes) = self.tile(source, wide).await? {
                    tiles.insert(TileHashes { level: tile.level(), index: tile.index(), hashes });
                }
            }
            let proven = tlog::consistency_proof(&tiles, head.size, since)
                .map_err(|error| told(&error))
                .and_then(|proof| {
                    tlog::verify_consistency(head.size, since, &head.root, &root, &proof)
                        .map_err(|error| told(&error))
                });
            match proven {
                Ok(()) => self.agrees(&head, 0),
                // Which restore lies before it is told by an entry that is not read.
                Err(_) if head.former_name.is_some() => self.differ(head, false),
                Err(reason) => self.findings.violation(Step::Consistency, head.name, reason),
            }
        }
        Ok(())
    }

    /// The heads to be met up to `end`: those that were given, and those that the log kept.
    pub(super) fn heads_up_to(
        &mut self,
        known: &mut VecDeque<Known>,
        kept: Vec<KeptHead>,
        stamps: &[KeptStamp],
        end: u64,
    ) -> VecDeque<Known> {
        let mut heads = Vec::new();
        while let Some(head) = known.pop_front_if(|head| head.size <= end) {
            heads.push(head);
        }
        for KeptHead { size, note } in kept {
            let note = SignedNote::from_bytes(note.as_bytes()).map_err(|error| told(&error));
            let text = note.as_ref().map(|note| note.text().to_owned()).unwrap_or_default();
            let what = match note.and_then(|note| open(self.plan, &note)) {
                Ok(opened) if opened.checkpoint.size == size => {
                    let witnessed_at_secs = self.plan.policy.witnessed(&opened);
                    let Checkpoint { origin: signed_as, root, .. } = opened.checkpoint;
                    let stamped_at_secs = self.stamped(&text, size, stamps);
                    heads.push(Known {
                        name: String::new(),
                        size,
                        root,
                        signed_as,
                        former_name: None,
                        witnessed_at_secs,
                        stamped_at_secs,
                    });
                    continue;
                }
                Ok(_) => "its note is of another size".to_owned(),
                Err(reason) if reason == UNKNOWN_KEY => {
                    self.findings.undecided(Step::Consistency, format!("kept checkpoint {size}"), reason);
                    continue;
                }
                Err(reason) => reason,
            };
            self.findings.violation(Step::Consistency, format!("kept checkpoint {size}"), what);
        }
        heads.sort_by_key(|head| head.size);
        heads.into()
    }

    /// Tells of heads that stand beside the log, were signed for it, and are larger than its newest one.
    pub(super) fn heads_beyond(&mut self, checkpoint: &Checkpoint, kept: Vec<KeptHead>) {
        for KeptHead { size, note } in kept {
            let note = SignedNote::from_bytes(note.as_bytes()).map_err(|error| told(&error));
            let place = format!("kept checkpoint {size}");
            match note.and_then(|note| open(self.plan, &note)) {
                Ok(opened) if opened.checkpoint.origin == checkpoint.origin => {
                    let what = format!(
                        "it was signed, and the newest head covers only {}: the log was cut or set back",
                        checkpoint.size
                    );
                    self.findings.violation(Step::Consistency, place, what);
                }
                Ok(_) => {
                    self.findings.undecided(
                        Step::Consistency,
                        place,
                        "it is larger than the log, and of another",
                    );
                }
                Err(reason) => self.findings.undecided(Step::Consistency, place, reason),
            }
        }
    }

    /// When a kept head was stamped, by the earliest time-stamp of its text that counts.
    pub(super) fn stamped(&mut self, text: &str, size: u64, stamps: &[KeptStamp]) -> Option<u64> {
        let of_head: Vec<&KeptStamp> = stamps.iter().filter(|stamp| stamp.size == size).collect();
        let Some(check) = self.plan.policy.stamps() else {
            self.unchecked_stamps += of_head.len() as u64;
            return None;
        };
        let hash: [u8; 32] = Sha256::digest(text).into();
        let mut earliest: Option<u64> = None;
        for stamp in of_head {
            match check.check(&stamp.token, &hash) {
                Ok(at) => earliest = Some(earliest.map_or(at, |earlier| earlier.min(at))),
                Err(what) => {
                    self.findings.violation(Step::Stamps, format!("time-stamp of checkpoint {size}"), what);
                }
            }
        }
        earliest
    }

    /// Takes note of a head that agrees; `latest_us` is the latest instant of the entries that it covers.
    pub(super) fn agrees(&mut self, head: &Known, latest_us: u64) {
        self.counts.heads += 1;
        // Kept heads stand where the log stands: they protect nothing.
        if !head.name.is_empty() {
            self.protected_up_to = self.protected_up_to.max(head.size);
        }
        self.witnessed(head.size, head.witnessed_at_secs, latest_us);
        if let Some(at_secs) = head.stamped_at_secs
            && is_later(latest_us, at_secs)
        {
            self.stamps.contradicted = true;
            self.findings.remark(
                Step::Stamps,
                format!("time-stamp of checkpoint {}", head.size),
                "an entry that it covers says that it is younger than the time-stamp",
            );
        }
        self.stamps.take(head.size, head.stamped_at_secs);
    }

    /// Takes note of the time at which enough witnesses had signed a head of so many entries, if they did; `latest_us` is the
    /// latest instant of these.
    pub(super) fn witnessed(&mut self, size: u64, at_secs: Option<u64>, latest_us: u64) {
        if let Some(at_secs) = at_secs
            && is_later(latest_us, at_secs)
        {
            self.witness.contradicted = true;
            self.findings.remark(
                Step::Consistency,
                format!("head of {size} entries"),
                "an entry that it covers says that it is younger than the witnesses' signatures",
            );
        }
        self.witness.take(size, at_secs);
    }

    /// Compares the instant of an entry with the times of the heads before it.
    pub(super) fn compare_instant(&mut self, seq: u64, leaf: LeafView<'_>) {
        // What was carried over from the first form of the log has its own order.
        if leaf.v() == 0 {
            return;
        }
        let times = [
            (&mut self.witness, Step::Consistency, "witnesses signed"),
            (&mut self.stamps, Step::Stamps, "an authority stamped"),
        ];
        for (times, step, who) in times {
            if times.is_contradicted_by(leaf.at_us()) {
                let what = format!("it says that it is older than the head before it, which {who}");
                self.findings.remark(step, format!("entry {seq}"), what);
            }
        }
    }

    /// A head of a former name of the log does not agree; `is_all_read`: whether every entry was there that it would cover. What
    /// that means is told by entries that may lie behind it.
    fn differ(&mut self, head: Known, is_all_read: bool) {
        self.differing.push((head, is_all_read));
    }

    /// Tells what it means that heads of former names do not agree with the log of this name.
    pub(super) fn settle_differing(&mut self, present: &str) {
        for (head, is_all_read) in std::mem::take(&mut self.differing) {
            let former = head.former_name.clone().unwrap_or_default();
            let parting = self.restores.judge(&former, head.size, present, is_all_read);
            let what = match parting {
                Parting::Told(seq) => format!(
                    "it was signed for the log {former} before that was restored from a copy, see entry {seq}: of its {} \
                     entries, those that the copy lacked are lost",
                    head.size
                ),
                Parting::Untold => format!(
                    "it was signed for the log {former}, from which this one goes on, and the first {} entries are others: \
                     lost with a restore, or changed; which restore that was stands in no entry that is here",
                    head.size
                ),
                Parting::Unexplained => {
                    self.differs(&head);
                    continue;
                }
            };
            self.findings.undecided(Step::Consistency, head.name, what);
        }
    }

    fn differs(&mut self, head: &Known) {
        let place =
            if head.name.is_empty() { format!("kept checkpoint {}", head.size) } else { head.name.clone() };
        let what = format!("the first {} entries are not those that this head was signed for", head.size);
        self.findings.violation(Step::Consistency, place, what);
    }

    /// Compares a head with the tree at its size. `latest_us` is the latest instant of the entries before, and `is_all_read`
    /// whether each of them was there.
    pub(super) fn compare_head(&mut self, head: &Known, tree: &Tree, latest_us: u64, is_all_read: bool) {
        if tree.main.root() == head.root
            || tree.of_entries.as_ref().is_some_and(|edge| edge.root() == head.root)
        {
            self.agrees(head, latest_us);
        } else if head.former_name.is_some() {
            self.differ(head.clone(), is_all_read);
        } else {
            self.differs(head);
        }
    }
}

/// Whether an instant in microseconds is later than one in seconds, by more than clocks differ.
fn is_later(at_us: u64, than_secs: u64) -> bool {
    at_us > than_secs.saturating_mul(1_000_000).saturating_add(CLOCK_TOLERANCE_US)
}
