//! A log, copied into a database of its own.
//!
//! The copy is made of bytes: each entry is inserted anew into tables that this program's own migrations made, and the
//! tree is built over them. Nothing of the original is taken for true but what its signed head covers. Of a log that was pruned the
//! copy begins where the log does now; what is gone stands in it by its hashes, as in the original.

use std::collections::VecDeque;

use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use super::DrillError;
use super::manipulations::{RUN, Scene};
use super::sql::execute;
use crate::audit::event::Action;
use crate::audit::leaf::Leaf;
use crate::audit::sealer::sql as sealing;
use crate::audit::tlog::{Checkpoint, Edge, Hash, SignedNote, TILE_WIDTH, Tile, leaf_hash};
use crate::audit::verify::{KeptHead, ManifestOf, Source, Stored};
use crate::domain::Clock;
use crate::store::{self, Store};

/// Entries in a full tile.
const WIDTH: u64 = TILE_WIDTH as u64;

/// Entries that are copied at a time: a whole number of tiles.
const CHUNK: u64 = 16 * WIDTH;

/// How many entries a partition of a log holds as it is shipped.
const PARTITION: u64 = 4_194_304;

/// What was copied.
pub(super) struct Copied {
    /// The head that covers the copy.
    pub(super) checkpoint: Checkpoint,
    /// How many entries the original has.
    pub(super) original_size: u64,
    /// Where there is something to be manipulated.
    pub(super) scene: Scene,
    /// Whether the commitments beside pages of sweeps were copied, too: files have none.
    pub(super) has_manifests: bool,
}

/// The settings of the few connections of a drill.
pub(super) fn settings() -> store::Settings {
    store::Settings {
        url_file: None,
        url: None,
        max_connections: 1,
        statement_timeout_secs: 600,
        acquire_timeout_secs: 30,
        migrate_at_start: false,
        embedded_binaries_dir: None,
    }
}

/// Fills an empty, migrated database with the log of a source, or with its beginning of at most `most` entries, from the first
/// that is there on, under a head that the log kept.
pub(super) async fn fill<S: Source>(
    source: &mut S,
    most: u64,
    options: &PgConnectOptions,
    clock: &dyn Clock,
) -> Result<Copied, DrillError> {
    let newest = SignedNote::from_bytes(&source.head().await?).map_err(|_| DrillError::NoHead)?;
    let original: Checkpoint = newest.text().parse().map_err(|_| DrillError::NoHead)?;
    let gone = gone_before(source, original.size).await?;
    let kept = source.kept_heads(gone, original.size.min(gone.saturating_add(most))).await?;
    let there = original.size - gone;
    let (note, checkpoint) = if there <= most {
        (newest.to_string(), original.clone())
    } else {
        kept.iter().rev().find_map(readable).ok_or(DrillError::TooLong { there, most })?
    };
    if gone > 0 {
        // Whatever is done to the first partition is done to all that is copied, as with a log that was never pruned.
        execute(options, &with_partitions_of(checkpoint.size.next_multiple_of(WIDTH).max(PARTITION))).await?;
    }
    let store = Store::connect_as_sealer(options.clone(), &settings());
    let copied = insert(source, &store, &original, note, checkpoint, &kept, clock).await;
    store.close().await;
    let (mut copied, pages) = copied?;
    for (seq, page) in pages {
        match source.manifest(page).await? {
            ManifestOf::Elsewhere => copied.has_manifests = false,
            ManifestOf::Missing => {}
            ManifestOf::Kept(commitments) => {
                let commitments = hex::encode(commitments);
                let statement = format!("INSERT INTO audit.manifest VALUES ('{page}', '\\x{commitments}')");
                execute(options, &statement).await?;
                copied.scene.page = Some((seq, page));
            }
        }
    }
    Ok(copied)
}

/// How many entries lie before the first one that is there. A log forgets from its beginning on, by whole tiles.
async fn gone_before<S: Source>(source: &mut S, size: u64) -> Result<u64, DrillError> {
    let (mut gone, mut there) = (0, size.div_ceil(WIDTH));
    if there == 0 || holds(source, 0, size).await? {
        return Ok(0);
    }
    // The tile before `there` is looked at last: where nothing is to be found at all, the log is too short.
    while gone + 1 < there {
        let middle = gone.midpoint(there);
        if holds(source, middle, size).await? {
            there = middle;
        } else {
            gone = middle;
        }
    }
    Ok((there * WIDTH).min(size))
}

/// Whether an entry of a tile is there.
async fn holds<S: Source>(source: &mut S, tile: u64, size: u64) -> Result<bool, DrillError> {
    let first = tile * WIDTH;
    let rows = source.entries(first, (first + WIDTH).min(size), size).await?;
    Ok(rows.iter().any(|row| row.seq > first && row.seq <= first + WIDTH))
}

/// Statements that cut a log into wider partitions before its first entry is in it: what is set when a log is made.
fn with_partitions_of(width: u64) -> String {
    format!(
        "ALTER TABLE audit.layout DISABLE TRIGGER layout_row_stays;
         UPDATE audit.layout SET partition_width = {width};
         ALTER TABLE audit.layout ENABLE ALWAYS TRIGGER layout_row_stays;
         DROP TABLE audit.entry_000000, audit.entry_000001;
         SELECT audit.make_partition_ahead()"
    )
}

/// A kept head whose note can be read.
fn readable(kept: &KeptHead) -> Option<(String, Checkpoint)> {
    let note = SignedNote::from_bytes(kept.note.as_bytes()).ok()?;
    Some((kept.note.clone(), note.text().parse().ok()?))
}

async fn insert<S: Source>(
    source: &mut S,
    store: &Store,
    original: &Checkpoint,
    note: String,
    checkpoint: Checkpoint,
    kept: &[KeptHead],
    clock: &dyn Clock,
) -> Result<(Copied, Vec<(u64, Uuid)>), DrillError> {
    let mut edge = Edge::new();
    let mut presence = Presence::default();
    let mut first = 0;
    while first < checkpoint.size {
        let end = (first + CHUNK).min(checkpoint.size);
        let rows = source.entries(first, end, original.size).await?;
        let rows: Vec<Stored> = rows.into_iter().filter(|row| row.seq > first && row.seq <= end).collect();
        let mut tx = store.begin("audit.drill.copy").await?;
        for run in rows.chunk_by(|one, next| one.seq + 1 == next.seq) {
            let entries: Vec<Vec<u8>> = run.iter().map(|row| row.entry.to_vec()).collect();
            if let Some(start) = run.first() {
                sealing::insert(&mut tx, stored(start.seq), &entries).await?;
            }
        }
        let tiles = extend(source, &mut edge, &mut presence, rows.into(), end, original.size).await?;
        if !tiles.is_empty() {
            sealing::insert_tiles(&mut tx, &tiles).await?;
        }
        tx.commit().await?;
        first = end;
    }
    if edge.root() != checkpoint.root {
        return Err(DrillError::Altered);
    }
    let mut tx = store.begin("audit.drill.copy").await?;
    sealing::replace_edge(&mut tx, &edge.partial_tiles()).await?;
    let head = sealing::NewHead {
        origin: checkpoint.origin.as_str(),
        size: stored(checkpoint.size),
        root: &checkpoint.root.0,
        note: &note,
        verifier_keys: &[],
        signed_at: clock.now(),
    };
    if !sealing::move_head(&mut tx, 0, None, &head).await? {
        return Err(DrillError::NotEmpty);
    }
    let mut kept_heads = 0;
    for (note, head) in kept.iter().filter_map(readable).filter(|(_, head)| head.size <= checkpoint.size) {
        sealing::insert_checkpoint(&mut tx, stored(head.size), &head.root.0, &note, clock.now()).await?;
        kept_heads += 1;
    }
    tx.commit().await?;
    let run = presence.run.ok_or(DrillError::TooShort)?;
    // The ten newest are removed in one of the manipulations.
    if checkpoint.size < presence.first + 20 {
        return Err(DrillError::TooShort);
    }
    let scene = Scene { size: checkpoint.size, first: presence.first, run, kept_heads, page: None };
    let copied = Copied { checkpoint, original_size: original.size, scene, has_manifests: true };
    Ok((copied, presence.pages))
}

/// Which entries are there.
#[derive(Default)]
pub(super) struct Presence {
    first: u64,
    last: u64,
    in_a_row: u64,
    run: Option<u64>,
    /// Pages of sweeps: number and id of the entry.
    pages: Vec<(u64, Uuid)>,
}

impl Presence {
    fn see(&mut self, row: &Stored) {
        if self.first == 0 {
            self.first = row.seq;
        }
        let follows = self.last + 1 == row.seq;
        self.last = row.seq;
        let leaf = Leaf::parse(&row.entry).ok();
        let is_of_this_form = leaf.as_ref().is_some_and(|leaf| leaf.v == 1);
        let page = leaf.filter(|leaf| leaf.action == Action::SweepPage.as_str());
        self.pages.extend(page.map(|leaf| (row.seq, leaf.id)));
        self.in_a_row = match (is_of_this_form, follows) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => self.in_a_row + 1,
        };
        if self.in_a_row == RUN && self.run.is_none() {
            self.run = Some(row.seq + 1 - RUN);
        }
    }
}

/// Extends the tree up to `end`: by the entries, and where one is gone by its hash. Answers with the full tiles.
pub(super) async fn extend<S: Source>(
    source: &mut S,
    edge: &mut Edge,
    presence: &mut Presence,
    mut rows: VecDeque<Stored>,
    end: u64,
    size: u64,
) -> Result<Vec<crate::audit::tlog::TileHashes>, DrillError> {
    let mut tiles = Vec::new();
    let mut absent: Option<(u64, Vec<Hash>)> = None;
    while edge.size() < end {
        let index = edge.size();
        let hash = if let Some(row) = rows.pop_front_if(|row| row.seq == index + 1) {
            presence.see(&row);
            leaf_hash(&row.entry)
        } else {
            let of_tile = index / WIDTH;
            let (_, hashes) = match absent.take() {
                Some(held) if held.0 == of_tile => absent.insert(held),
                _ => absent.insert((of_tile, hashes_of(source, of_tile, size).await?)),
            };
            let position = usize::try_from(index % WIDTH).unwrap_or_default();
            *hashes.get(position).ok_or(DrillError::Altered)?
        };
        tiles.extend(edge.push(hash));
    }
    Ok(tiles)
}

async fn hashes_of<S: Source>(source: &mut S, index: u64, size: u64) -> Result<Vec<Hash>, DrillError> {
    let tile = Tile::of_tree(0, index, size).ok_or(DrillError::Altered)?;
    let bytes = source.tile(tile).await?.ok_or(DrillError::Altered)?;
    Hash::row_from_bytes(&bytes).map_err(|_| DrillError::Altered)
}

/// A number as the database stores it; the tree has fewer than 2^62 leaves.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
