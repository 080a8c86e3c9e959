//! The run over a log, from its newest head to its last entry.

use std::collections::VecDeque;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::account::{Account, range_name};
use super::catalogue::Flaw;
use super::policy::Policy;
use super::report::{Counts, Findings, Level, Report, Step, Verdict};
use super::source::{Columns, KeptHead, KeptStamp, ManifestOf, Source, SourceError, Stored};
use crate::audit::event::Action;
use crate::audit::leaf::{Leaf, LeafError};
use crate::audit::manifest;
use crate::audit::tlog::{
    self, Checkpoint, CheckpointError, Edge, Hash, NoteError, OpenedCheckpoint, SignedNote, TILE_WIDTH, Tile,
    TileHashes, TileMap, leaf_hash,
};

/// Entries in a full tile.
const WIDTH: u64 = TILE_WIDTH as u64;

/// Entries that are read at a time: a whole number of tiles.
const CHUNK: u64 = 16 * WIDTH;

/// How far a clock may be off before an instant later than its witness's is told, in microseconds.
const CLOCK_TOLERANCE_US: u64 = 5 * 60 * 1_000_000;

/// The longest interval between witnessed heads that still counts as bounding the log in time, in seconds: a day.
const LONGEST_INTERVAL_SECS: u64 = 24 * 60 * 60;

/// Said of a head that no key of the policy signed. An older key may have: then the policy should name it, too.
const UNKNOWN_KEY: &str =
    "no log's key of the policy signed it; if the log changed its key, name both keys in the policy";

/// What to compare with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whom to believe.
    pub policy: Policy,
    /// Heads that were kept elsewhere: a name for people, and the signed note as it was kept.
    pub known_heads: Vec<(String, Vec<u8>)>,
    /// Begin after so many entries; the tiles stand for those before.
    pub since: u64,
}

/// A head to be met on the way.
#[derive(Clone, Debug)]
struct Known {
    /// Where it was kept; empty for one that the log itself kept.
    name: String,
    size: u64,
    root: Hash,
    /// When enough witnesses had signed it, in seconds since 1970.
    witnessed_at_secs: Option<u64>,
    /// When an authority stamped it, in seconds since 1970.
    stamped_at_secs: Option<u64>,
}

/// The tree as it grows.
struct Tree {
    /// Out of the tiles as long as there are any, so that each entry is compared with its own leaf and not with all
    /// that came before it.
    main: Edge,
    /// Out of the entries alone, from the first one on that differs: tells which of both was changed.
    of_entries: Option<Edge>,
    /// Whether neither the tiles nor the entries told a hash: then nothing after it can be compared.
    broken: bool,
}

/// Verifies a log. What is wrong stands in the report; the answer is an error only where the log cannot be read.
pub async fn verify<S: Source>(source: &mut S, plan: &Plan) -> Result<Report, SourceError> {
    let mut run = Run {
        plan,
        findings: Findings::default(),
        counts: Counts::default(),
        catalogue_checked: false,
        protected_up_to: 0,
        witness: Witness::default(),
        stamps: Witness::default(),
        unchecked_stamps: 0,
    };
    let Some(head) = run.head(source).await? else {
        return Ok(run.report(source.describe(), None, Level::L0));
    };
    match source.flaws(head.checkpoint.size).await {
        Ok(Some(flaws)) => {
            run.catalogue_checked = true;
            for Flaw { severity, place, what } in flaws {
                run.findings.add(severity, Step::Catalogue, place, what);
            }
        }
        Ok(None) => {}
        Err(error) => run.unreadable(Step::Catalogue, error)?,
    }
    let known = run.known_heads(&head.checkpoint);
    run.walk(source, &head.checkpoint, known).await?;
    run.witness.take(head.checkpoint.size, head.witnessed_at_secs);
    let level = run.level(head.signed);
    Ok(run.report(source.describe(), Some(&head.checkpoint), level))
}

/// The newest head.
struct Head {
    checkpoint: Checkpoint,
    signed: bool,
    witnessed_at_secs: Option<u64>,
}

struct Run<'p> {
    plan: &'p Plan,
    findings: Findings,
    counts: Counts,
    catalogue_checked: bool,
    /// The largest size of a head that somebody else kept and that agrees.
    protected_up_to: u64,
    witness: Witness,
    /// What the time-stamping authority stands for.
    stamps: Witness,
    unchecked_stamps: u64,
}

/// What witnesses stand for.
#[derive(Default)]
struct Witness {
    /// The largest size that enough of them signed.
    size: u64,
    /// When they did, in seconds since 1970.
    at_secs: u64,
    longest_interval_secs: u64,
    /// How many different heads.
    heads: u64,
    /// Whether an entry says that it is younger than its witness.
    clock_is_ahead: bool,
}

impl Witness {
    /// Takes note of a head; smaller ones first.
    fn take(&mut self, size: u64, at_secs: Option<u64>) {
        let Some(at_secs) = at_secs else { return };
        if self.heads > 0 && size <= self.size {
            return;
        }
        if self.heads > 0 {
            self.longest_interval_secs = self.longest_interval_secs.max(at_secs.saturating_sub(self.at_secs));
        }
        self.heads += 1;
        self.at_secs = self.at_secs.max(at_secs);
        self.size = size;
    }
}

impl Run<'_> {
    async fn head<S: Source>(&mut self, source: &mut S) -> Result<Option<Head>, SourceError> {
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

    /// Opens the heads that were kept elsewhere, smallest first.
    fn known_heads(&mut self, checkpoint: &Checkpoint) -> VecDeque<Known> {
        let mut known = Vec::new();
        for (name, bytes) in &self.plan.known_heads {
            let opened = SignedNote::from_bytes(bytes).map_err(|error| told(&error));
            match opened.and_then(|note| open(self.plan, &note)) {
                Err(reason) => self.findings.undecided(Step::Consistency, name, reason),
                Ok(OpenedCheckpoint { checkpoint: head, .. }) if head.origin != checkpoint.origin => {
                    let what = format!("it is the head of another log, {}", head.origin);
                    self.findings.undecided(Step::Consistency, name, what);
                }
                Ok(OpenedCheckpoint { checkpoint: head, .. }) if head.size > checkpoint.size => {
                    let what = format!(
                        "this head of {} entries was signed before, and the log has only {}: it was cut or set back",
                        head.size, checkpoint.size
                    );
                    self.findings.violation(Step::Consistency, name, what);
                }
                Ok(opened) => known.push(Known {
                    name: name.clone(),
                    size: opened.checkpoint.size,
                    root: opened.checkpoint.root,
                    witnessed_at_secs: self.plan.policy.witnessed(&opened),
                    stamped_at_secs: None,
                }),
            }
        }
        known.sort_by_key(|head| head.size);
        known.into()
    }

    /// Rehashes all entries after `since`, rebuilds the tiles and compares everything on the way.
    async fn walk<S: Source>(
        &mut self,
        source: &mut S,
        checkpoint: &Checkpoint,
        mut known: VecDeque<Known>,
    ) -> Result<(), SourceError> {
        let size = checkpoint.size;
        let since = self.plan.since.min(size);
        if self.plan.since > size {
            let what =
                format!("the log has {size} entries, fewer than the {} to begin after", self.plan.since);
            self.findings.violation(Step::Head, "checkpoint", what);
        }
        let main = self.beginning(source, since, size).await?;
        let mut tree = Tree { main, of_entries: None, broken: false };
        let mut account = Account::new(since > 0);
        match source.erasable().await {
            Ok(erasable) => account.erasures.begin(erasable),
            Err(error) => self.unreadable(Step::Erasures, error)?,
        }
        self.consistent_beginnings(source, &tree.main, &mut known, size).await?;
        // Chunks begin at whole tiles.
        let mut first = since - since % WIDTH;
        while first < size && !tree.broken {
            let end = (first + CHUNK).min(size);
            let rows = self.rows(source, first, end, size).await?;
            let from = first.max(since);
            account.erasures.may_open(source.openings(first, end).await?);
            let kept = source.kept_heads(from, end).await?;
            let stamps = source.stamps(from, end).await?;
            let heads = self.heads_up_to(&mut known, kept, &stamps, end);
            let mut chunk = Chunk { rows: rows.into(), heads, tile: None, size };
            self.chunk(source, from..end, &mut chunk, &mut tree, &mut account).await?;
            first = end;
        }
        if !tree.broken {
            self.compare_edge(source, checkpoint, &tree).await?;
        }
        account.settle(&mut self.counts, &mut self.findings);
        Ok(())
    }

    /// The entries of a chunk. Where one bundle of them is broken, the others are read nevertheless.
    async fn rows<S: Source>(
        &mut self,
        source: &mut S,
        first: u64,
        end: u64,
        size: u64,
    ) -> Result<Vec<Stored>, SourceError> {
        if let Ok(rows) = source.entries(first, end, size).await {
            return Ok(rows);
        }
        let mut rows = Vec::new();
        let mut from = first;
        while from < end {
            let to = (from + WIDTH).min(end);
            match source.entries(from, to, size).await {
                Ok(some) => rows.extend(some),
                Err(error) => self.unreadable(Step::Entries, error)?,
            }
            from = to;
        }
        Ok(rows)
    }

    /// The edge of the tree of `since` leaves, out of tiles.
    async fn beginning<S: Source>(
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
    async fn consistent_beginnings<S: Source>(
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
                Err(reason) => self.findings.violation(Step::Consistency, head.name, reason),
            }
        }
        Ok(())
    }

    /// The heads to be met up to `end`: those that were given, and those that the log kept.
    fn heads_up_to(
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
                    let (root, witnessed_at_secs) =
                        (opened.checkpoint.root, self.plan.policy.witnessed(&opened));
                    let stamped_at_secs = self.stamped(&text, size, stamps);
                    heads.push(Known { name: String::new(), size, root, witnessed_at_secs, stamped_at_secs });
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

    /// When a kept head was stamped, by the earliest time-stamp of its text that counts.
    fn stamped(&mut self, text: &str, size: u64, stamps: &[KeptStamp]) -> Option<u64> {
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
    fn agrees(&mut self, head: &Known, latest_us: u64) {
        self.counts.heads += 1;
        // Kept heads stand where the log stands: they protect nothing.
        if !head.name.is_empty() {
            self.protected_up_to = self.protected_up_to.max(head.size);
        }
        if let Some(at_secs) = head.witnessed_at_secs
            && latest_us > at_secs.saturating_mul(1_000_000).saturating_add(CLOCK_TOLERANCE_US)
        {
            self.witness.clock_is_ahead = true;
            self.findings.remark(
                Step::Consistency,
                format!("head of {} entries", head.size),
                "an entry that it covers says that it is younger than the witnesses' signatures",
            );
        }
        self.witness.take(head.size, head.witnessed_at_secs);
        if let Some(at_secs) = head.stamped_at_secs
            && latest_us > at_secs.saturating_mul(1_000_000).saturating_add(CLOCK_TOLERANCE_US)
        {
            self.stamps.clock_is_ahead = true;
            self.findings.remark(
                Step::Stamps,
                format!("time-stamp of checkpoint {}", head.size),
                "an entry that it covers says that it is younger than the time-stamp",
            );
        }
        self.stamps.take(head.size, head.stamped_at_secs);
    }

    async fn chunk<S: Source>(
        &mut self,
        source: &mut S,
        range: Range<u64>,
        chunk: &mut Chunk,
        tree: &mut Tree,
        account: &mut Account,
    ) -> Result<(), SourceError> {
        for index in range {
            let seq = index + 1;
            if index % WIDTH == 0 || chunk.tile.is_none() {
                chunk.tile = Some(match Tile::of_tree(0, index / WIDTH, chunk.size) {
                    Some(tile) => self.tile(source, tile).await?.unwrap_or_default(),
                    None => Vec::new(),
                });
            }
            let position = usize::try_from(index % WIDTH).unwrap_or_default();
            let in_tile = chunk.tile.as_ref().and_then(|tile| tile.get(position)).copied();
            while chunk.rows.pop_front_if(|row| row.seq < seq).is_some() {}
            let row = chunk.rows.pop_front_if(|row| row.seq == seq);
            let in_entry = row.as_ref().map(|row| leaf_hash(&row.entry));
            let Some(hash) = in_tile.or(in_entry) else {
                self.findings.violation(
                    Step::Entries,
                    range_name(seq, seq),
                    "neither the entry nor its hash is there; what follows cannot be compared",
                );
                tree.broken = true;
                return Ok(());
            };
            match (&row, in_entry) {
                (Some(row), Some(own)) => {
                    let leaf = self.entry(row, own, hash, tree, account);
                    if let Some(leaf) = leaf.filter(|leaf| leaf.action == Action::SweepPage.as_str()) {
                        self.page(source, seq, &leaf).await?;
                    }
                }
                _ => account.miss(seq),
            }
            for tile in tree.push(hash, in_entry.unwrap_or(hash)) {
                // Those of level 0 are where the hashes came from.
                if tile.level > 0 {
                    self.compare_tile(source, &tile).await?;
                }
            }
            while let Some(head) = chunk.heads.pop_front_if(|head| head.size == tree.main.size()) {
                self.compare_head(&head, tree, account.latest_us());
            }
        }
        Ok(())
    }

    /// Checks one entry by itself: against its leaf in the tree, its columns, and the form that entries have.
    fn entry(
        &mut self,
        row: &Stored,
        own: Hash,
        hash: Hash,
        tree: &mut Tree,
        account: &mut Account,
    ) -> Option<Leaf> {
        self.counts.entries += 1;
        let place = || range_name(row.seq, row.seq);
        if own != hash {
            tree.diverge();
            self.findings.violation(
                Step::Entries,
                place(),
                "its bytes do not hash to the leaf that stands in the tree: entry or tile was changed",
            );
        }
        match Leaf::parse(&row.entry) {
            Ok(leaf) => {
                if let Some(columns) = &row.columns
                    && let Some(column) = columns.first_difference(&leaf, own)
                {
                    let what = format!("the column {column} is not what the entry's bytes say");
                    self.findings.violation(Step::Columns, place(), what);
                }
                account.take(row.seq, &leaf, own, &mut self.findings);
                return Some(leaf);
            }
            // A change of the bytes was told already.
            Err(_) if own != hash => {}
            Err(LeafError::Json) => self.findings.undecided(
                Step::Entries,
                place(),
                "it is of a form that this program does not know; verify with the version that wrote it",
            ),
            Err(error) => self.findings.violation(Step::Entries, place(), told(&error)),
        }
        None
    }

    /// Compares the commitments beside a page of a sweep with the root in its entry.
    async fn page<S: Source>(&mut self, source: &mut S, seq: u64, leaf: &Leaf) -> Result<(), SourceError> {
        let stored = match source.manifest(leaf.id).await? {
            ManifestOf::Elsewhere => return Ok(()),
            ManifestOf::Missing => None,
            ManifestOf::Kept(commitments) => Some(commitments),
        };
        if let Some(Err(what)) = manifest::check_page(leaf, stored.as_deref()) {
            self.findings.violation(Step::Manifests, range_name(seq, seq), what);
        }
        Ok(())
    }

    fn compare_head(&mut self, head: &Known, tree: &Tree, latest_us: u64) {
        if tree.main.root() == head.root
            || tree.of_entries.as_ref().is_some_and(|edge| edge.root() == head.root)
        {
            return self.agrees(head, latest_us);
        }
        let place =
            if head.name.is_empty() { format!("kept checkpoint {}", head.size) } else { head.name.clone() };
        let what = format!("the first {} entries are not those that this head was signed for", head.size);
        self.findings.violation(Step::Consistency, place, what);
    }

    async fn compare_tile<S: Source>(
        &mut self,
        source: &mut S,
        built: &TileHashes,
    ) -> Result<(), SourceError> {
        let Some(tile) = built.tile() else { return Ok(()) };
        if let Some(stored) = self.tile(source, tile).await?
            && stored != built.hashes
        {
            let position = stored.iter().zip(&built.hashes).take_while(|(one, other)| one == other).count();
            let what = format!("its hash {position} is not that of the tiles below it");
            self.findings.violation(Step::Tree, tile.path(), what);
        }
        Ok(())
    }

    /// Compares the partial tiles above level 0 and the root.
    async fn compare_edge<S: Source>(
        &mut self,
        source: &mut S,
        checkpoint: &Checkpoint,
        tree: &Tree,
    ) -> Result<(), SourceError> {
        for partial in tree.main.partial_tiles() {
            if partial.level > 0 {
                self.compare_tile(source, &partial).await?;
            }
        }
        let signed = checkpoint.root;
        let of_entries = tree.of_entries.as_ref().map(Edge::root);
        match (tree.main.root() == signed, of_entries) {
            (true, None) => {}
            (true, Some(_)) => self.findings.remark(
                Step::Tree,
                "root",
                "the tiles agree with the signed head: it is the entries named above that were changed",
            ),
            (false, Some(root)) if root == signed => self.findings.violation(
                Step::Tree,
                "tiles",
                "the entries agree with the signed head: it is the tiles that were changed",
            ),
            (false, _) => self.findings.violation(
                Step::Tree,
                "root",
                format!("the tree over the {} entries has another root than the head says", checkpoint.size),
            ),
        }
        Ok(())
    }

    /// The hashes of a tile of the source; one that is malformed or missing is told.
    async fn tile<S: Source>(
        &mut self,
        source: &mut S,
        tile: Tile,
    ) -> Result<Option<Vec<Hash>>, SourceError> {
        let bytes = match source.tile(tile).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                self.findings.undecided(Step::Tree, tile.path(), "the tile is missing");
                return Ok(None);
            }
            Err(error) => {
                self.unreadable(Step::Tree, error)?;
                return Ok(None);
            }
        };
        self.counts.tiles += 1;
        match Hash::row_from_bytes(&bytes) {
            Ok(hashes) if hashes.len() == usize::from(tile.width()) => Ok(Some(hashes)),
            Ok(hashes) => {
                let what = format!("it has {} hashes instead of {}", hashes.len(), tile.width());
                self.findings.violation(Step::Tree, tile.path(), what);
                Ok(None)
            }
            Err(error) => {
                self.findings.violation(Step::Tree, tile.path(), told(&error));
                Ok(None)
            }
        }
    }

    /// A missing thing leaves the question open, a malformed one answers it; anything else ends the run.
    fn unreadable(&mut self, step: Step, error: SourceError) -> Result<(), SourceError> {
        match error {
            SourceError::Missing { place } => self.findings.undecided(step, place, "it is not there"),
            SourceError::Malformed { place, reason } => self.findings.violation(step, place, reason),
            other => return Err(other),
        }
        Ok(())
    }

    fn level(&mut self, signed: bool) -> Level {
        if self.plan.policy.asks_for_witnesses() && self.witness.heads == 0 {
            self.findings.undecided(
                Step::Head,
                "checkpoint",
                "no head has the signatures of the witnesses that the policy asks for",
            );
        }
        self.counts.witnessed_heads = self.witness.heads;
        self.counts.stamped_heads = self.stamps.heads;
        if self.unchecked_stamps > 0 {
            let what = format!(
                "{} heads have a time-stamp that was not checked: name whom you trust with --timestamp-authority",
                self.unchecked_stamps
            );
            self.findings.remark(Step::Stamps, "time-stamps", what);
        }
        if !signed {
            return Level::L0;
        }
        if self.witness.heads == 0 {
            return if self.protected_up_to > 0 { Level::L2 } else { Level::L1 };
        }
        self.protected_up_to = self.protected_up_to.max(self.witness.size);
        let is_bounded = |times: &Witness| {
            times.heads > 1 && times.longest_interval_secs <= LONGEST_INTERVAL_SECS && !times.clock_is_ahead
        };
        if is_bounded(&self.witness) || is_bounded(&self.stamps) { Level::L4 } else { Level::L3 }
    }

    fn report(self, source: String, checkpoint: Option<&Checkpoint>, level: Level) -> Report {
        let verdict = self.findings.verdict();
        let size = checkpoint.map_or(0, |checkpoint| checkpoint.size);
        let (level, still_possible) = if verdict == Verdict::Violation {
            (
                Level::L0,
                "The log is not what was signed: rely on no entry before each finding is explained."
                    .to_owned(),
            )
        } else {
            (level, level.still_possible(self.protected_up_to, size))
        };
        let (findings, more_findings) = self.findings.into_parts();
        Report {
            source,
            origin: checkpoint.map(|checkpoint| checkpoint.origin.to_string()),
            size,
            root: checkpoint.map(|checkpoint| checkpoint.root.to_string()),
            since: self.plan.since,
            verdict,
            level,
            still_possible,
            catalogue_checked: self.catalogue_checked,
            counts: self.counts,
            findings,
            more_findings,
        }
    }
}

/// What is needed while one chunk is gone through.
struct Chunk {
    rows: VecDeque<Stored>,
    heads: VecDeque<Known>,
    /// The tile of level 0 that the next entry belongs to; empty where it is missing.
    tile: Option<Vec<Hash>>,
    size: u64,
}

impl Tree {
    /// From here on the entries are another tree than the tiles.
    fn diverge(&mut self) {
        if self.of_entries.is_none() {
            self.of_entries = Some(self.main.clone());
        }
    }

    fn push(&mut self, hash: Hash, of_entry: Hash) -> Vec<TileHashes> {
        if let Some(edge) = &mut self.of_entries {
            edge.push(of_entry);
        }
        self.main.push(hash)
    }
}

impl Columns {
    /// The name of the first column that says something else than the entry.
    fn first_difference(&self, leaf: &Leaf, own: Hash) -> Option<&'static str> {
        let word = |uuid: Option<uuid::Uuid>| uuid.map(|uuid| uuid.to_string());
        let number = |number: u64| i64::try_from(number).ok();
        let equal = [
            ("leaf", self.leaf == own.as_bytes()),
            ("uid", self.uid == leaf.id.to_string()),
            ("at", Some(self.at_us) == number(leaf.at_us)),
            ("organisation_id", self.organisation == leaf.tenant),
            ("action", self.action == leaf.action),
            ("outcome", self.outcome == leaf.outcome),
            ("actor", self.actor == leaf.actor),
            ("case_id", self.case == word(leaf.case)),
            ("intent", self.intent == word(leaf.intent)),
            ("writer", self.writer == leaf.w),
            ("wseq", self.wseq == leaf.n.and_then(number)),
        ];
        equal.iter().find(|(_, equal)| !equal).map(|(name, _)| *name)
    }
}

/// Opens a note by the keys of the policy; a log's own key must have signed it.
fn open<'p>(plan: &'p Plan, note: &SignedNote) -> Result<OpenedCheckpoint<'p>, String> {
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
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
