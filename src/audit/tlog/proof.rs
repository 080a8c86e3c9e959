//! Inclusion and consistency proofs: built from tiles, verified without them.
//!
//! The proofs are those of RFC 6962, sections 2.1.1 and 2.1.2; verification follows RFC 9162, sections 2.1.3.2 and
//! 2.1.4.2, which says the same in loops.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::convert::Infallible;

use super::hash::{EMPTY_ROOT, Hash, node_hash};
use super::tile::{TILE_WIDTH, Tile};
use super::tree::{TileHashes, perfect_root};

/// Where the hashes of tiles come from.
pub trait TileSource {
    /// Why a tile cannot be had.
    type Error;

    /// The first `width` hashes (1 to 256) of a tile. A source that has only a wider form of it cuts that.
    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Self::Error>;
}

impl<S: TileSource + ?Sized> TileSource for &S {
    type Error = S::Error;

    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, S::Error> {
        (**self).hashes(level, index, width)
    }
}

/// A proof or root that cannot be built.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BuildError<E> {
    /// There is no such leaf, or the old tree is larger than the new one.
    #[error("nothing can be proven about {of} in a tree of {size} leaves, because it is not within it")]
    OutOfRange {
        /// The leaf's index, or the old size.
        of: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The source answered with another number of hashes than asked.
    #[error("the tile {} came with {found} hashes", tile.path())]
    Width {
        /// What was asked for.
        tile: Tile,
        /// How many came.
        found: usize,
    },
    /// The source has no answer.
    #[error("a tile could not be read")]
    Source(#[source] E),
}

/// A proof that does not prove what it should.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum VerifyError {
    /// There is no such leaf in a tree of that size, or the old tree is larger than the new one.
    #[error("the proof speaks of {of} in a tree of {size} leaves, which is not within it")]
    OutOfRange {
        /// The leaf's index, or the old size.
        of: u64,
        /// The size of the tree.
        size: u64,
    },
    /// Too many or too few hashes for these sizes.
    #[error("the proof has the wrong number of hashes for a tree of {size} leaves")]
    Length {
        /// The size of the tree.
        size: u64,
    },
    /// The proof leads to another root than the old one.
    #[error("the proof does not lead to the root of the older tree of {size} leaves")]
    OldRoot {
        /// The size of the older tree.
        size: u64,
    },
    /// The proof leads to another root.
    #[error("the proof does not lead to the root of the tree of {size} leaves")]
    Root {
        /// The size of the tree.
        size: u64,
    },
}

/// Tiles in memory.
#[derive(Debug, Clone, Default)]
pub struct TileMap(BTreeMap<(u8, u64), Vec<Hash>>);

impl TileMap {
    /// Keeps a tile; of two forms of one tile the wider one stays.
    pub fn insert(&mut self, tile: TileHashes) {
        let held = self.0.entry((tile.level, tile.index)).or_default();
        if held.len() < tile.hashes.len() {
            *held = tile.hashes;
        }
    }
}

impl Extend<TileHashes> for TileMap {
    fn extend<I: IntoIterator<Item = TileHashes>>(&mut self, tiles: I) {
        tiles.into_iter().for_each(|tile| self.insert(tile));
    }
}

impl FromIterator<TileHashes> for TileMap {
    fn from_iter<I: IntoIterator<Item = TileHashes>>(tiles: I) -> Self {
        let mut map = Self::default();
        map.extend(tiles);
        map
    }
}

impl TileSource for TileMap {
    /// Only a tile that is held too short, or not at all, is missing; [`BuildError::Width`] names it.
    type Error = Infallible;

    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Infallible> {
        let held = self.0.get(&(level, index)).map_or(&[][..], Vec::as_slice);
        Ok(held[..held.len().min(usize::from(width))].to_vec())
    }
}

/// The hashes that lead from the leaf at `index` to the root of the tree of `size` leaves, the leaf's sibling first.
pub fn inclusion_proof<S: TileSource>(
    source: &S,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, BuildError<S::Error>> {
    let ranges = inclusion_ranges(index, size).ok_or(BuildError::OutOfRange { of: index, size })?;
    Tiles::new(source, size).roots(&ranges)
}

/// The hashes that show that the tree of `old` leaves is a beginning of the tree of `new` leaves.
///
/// Empty when the sizes are equal or the old tree is empty: there is nothing to show.
pub fn consistency_proof<S: TileSource>(
    source: &S,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, BuildError<S::Error>> {
    let ranges = consistency_ranges(old, new).ok_or(BuildError::OutOfRange { of: old, size: new })?;
    Tiles::new(source, new).roots(&ranges)
}

/// The root of the tree of `size` leaves, from its tiles.
pub fn root<S: TileSource>(source: &S, size: u64) -> Result<Hash, BuildError<S::Error>> {
    if size == 0 {
        return Ok(EMPTY_ROOT);
    }
    Tiles::new(source, size).root(0, size)
}

/// The tiles that [`inclusion_proof`] reads, in order of level and index. `None` if there is no such leaf.
#[must_use]
pub fn inclusion_tiles(index: u64, size: u64) -> Option<Vec<Tile>> {
    inclusion_ranges(index, size).map(|ranges| tiles_of(&ranges, size))
}

/// The tiles that [`consistency_proof`] reads, in order of level and index. `None` if `old` is larger than `new`.
#[must_use]
pub fn consistency_tiles(old: u64, new: u64) -> Option<Vec<Tile>> {
    consistency_ranges(old, new).map(|ranges| tiles_of(&ranges, new))
}

/// The tiles that [`root`] reads, in order of level and index: the partial ones of that size.
#[must_use]
pub fn root_tiles(size: u64) -> Vec<Tile> {
    tiles_of(&[(0, size)], size)
}

/// Checks that a leaf stands at `index` in the tree of `size` leaves with that root.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), VerifyError> {
    if index >= size {
        return Err(VerifyError::OutOfRange { of: index, size });
    }
    let mut path = Path::of(index, size);
    let mut reached = *leaf;
    for sibling in proof {
        reached = path.above(&reached, sibling).ok_or(VerifyError::Length { size })?;
    }
    if path.last != 0 {
        return Err(VerifyError::Length { size });
    }
    if reached == *root { Ok(()) } else { Err(VerifyError::Root { size }) }
}

/// Checks that the tree of `new` leaves begins with the tree of `old` leaves, given both roots.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), VerifyError> {
    if old > new {
        return Err(VerifyError::OutOfRange { of: old, size: new });
    }
    if old == 0 && *old_root != EMPTY_ROOT {
        return Err(VerifyError::OldRoot { size: old });
    }
    if old == 0 || old == new {
        // An empty tree is the beginning of every tree, and a tree that of itself.
        return match (proof.is_empty(), old == 0 && new > 0 || old_root == new_root) {
            (false, _) => Err(VerifyError::Length { size: new }),
            (true, false) => Err(VerifyError::Root { size: new }),
            (true, true) => Ok(()),
        };
    }
    // The old root itself is the first node when it is a perfect subtree: then the proof leaves it out.
    let (start, siblings) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(VerifyError::Length { size: new })?
    };
    let mut path = Path { node: old - 1, last: new - 1 };
    path.skip(path.node.trailing_ones());
    let (mut in_old, mut in_new) = (*start, *start);
    for sibling in siblings {
        match path.step().ok_or(VerifyError::Length { size: new })? {
            Side::Left => {
                in_old = node_hash(sibling, &in_old);
                in_new = node_hash(sibling, &in_new);
            }
            Side::Right => in_new = node_hash(&in_new, sibling),
        }
    }
    if path.last != 0 {
        return Err(VerifyError::Length { size: new });
    }
    if in_old != *old_root {
        return Err(VerifyError::OldRoot { size: old });
    }
    if in_new == *new_root { Ok(()) } else { Err(VerifyError::Root { size: new }) }
}

/// A half-open range of leaves.
pub(super) type Range = (u64, u64);

/// The way from a node up to the root: its number within its level, and that of the level's last node.
pub(super) struct Path {
    node: u64,
    last: u64,
}

/// On which side of a node its sibling stands.
enum Side {
    Left,
    Right,
}

impl Path {
    /// From a leaf of a tree that has one at least.
    pub(super) fn of(index: u64, size: u64) -> Self {
        Self { node: index, last: size.saturating_sub(1) }
    }

    /// Goes up over the next sibling, to the node of both. `None` above the root.
    pub(super) fn above(&mut self, reached: &Hash, sibling: &Hash) -> Option<Hash> {
        Some(match self.step()? {
            Side::Left => node_hash(sibling, reached),
            Side::Right => node_hash(reached, sibling),
        })
    }

    /// Goes up over the next sibling. `None` above the root.
    fn step(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.node & 1 == 1 {
            Side::Left
        } else if self.node == self.last {
            // A last node without a right neighbour stands unchanged in the levels above, until it has a left one.
            // It is not zero, as `last` is not, so it has a bit set.
            self.skip(self.node.trailing_zeros());
            Side::Left
        } else {
            Side::Right
        };
        self.skip(1);
        Some(side)
    }

    fn skip(&mut self, levels: u32) {
        self.node = self.node.checked_shr(levels).unwrap_or(0);
        self.last = self.last.checked_shr(levels).unwrap_or(0);
    }
}

/// The size of the left subtree of a tree of two leaves or more: the largest power of two below the size.
pub(super) fn left_size(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The subtrees whose roots make an inclusion proof.
pub(super) fn inclusion_ranges(index: u64, size: u64) -> Option<Vec<Range>> {
    if index >= size {
        return None;
    }
    let (mut from, mut to) = (0, size);
    // No tree is higher than that.
    let mut siblings = Vec::with_capacity(64);
    while to - from > 1 {
        let middle = from + left_size(to - from);
        if index < middle {
            siblings.push((middle, to));
            to = middle;
        } else {
            siblings.push((from, middle));
            from = middle;
        }
    }
    siblings.reverse();
    Some(siblings)
}

/// The subtrees whose roots make a consistency proof.
fn consistency_ranges(old: u64, new: u64) -> Option<Vec<Range>> {
    if old > new {
        return None;
    }
    let mut nodes = Vec::new();
    if old == 0 {
        return Some(nodes);
    }
    let (mut from, mut to) = (0, new);
    while old != to {
        let middle = from + left_size(to - from);
        if old <= middle {
            nodes.push((middle, to));
            to = middle;
        } else {
            nodes.push((from, middle));
            from = middle;
        }
    }
    // A subtree that begins with the tree is the old tree itself, whose root the verifier has.
    if from > 0 {
        nodes.push((from, to));
    }
    nodes.reverse();
    Some(nodes)
}

/// A run of hashes of one tile that make a perfect subtree.
pub(super) struct Run {
    tile: Tile,
    pub(super) start: usize,
    pub(super) count: usize,
}

/// The perfect subtrees of a range, from the left, each as a run of hashes of one tile. `None` if the range is not
/// within the tree.
///
/// The range must be a subtree of a tree of `size` leaves, as the ranges of proofs are: then its start is a multiple of
/// each of the powers of two that it is taken apart into, so a run never crosses tiles.
pub(super) fn runs((mut from, to): Range, size: u64) -> Option<Vec<Run>> {
    let width = u64::from(TILE_WIDTH);
    let mut runs = Vec::new();
    while from < to {
        let height = (to - from).ilog2();
        let level = height / 8;
        let node = from >> (8 * level);
        let tile = Tile::of_tree(u8::try_from(level).ok()?, node / width, size)?;
        runs.push(Run { tile, start: usize::try_from(node % width).ok()?, count: 1 << (height % 8) });
        from += 1 << height;
    }
    Some(runs)
}

/// The tiles of some ranges, each once.
pub(super) fn tiles_of(ranges: &[Range], size: u64) -> Vec<Tile> {
    let runs = ranges.iter().filter_map(|&range| runs(range, size)).flatten();
    let mut tiles: Vec<_> = runs.map(|run| run.tile).collect();
    tiles.sort_unstable();
    tiles.dedup();
    tiles
}

/// The tiles of a tree of `size` leaves, each read once.
pub(super) struct Tiles<'s, S> {
    source: &'s S,
    size: u64,
    read: BTreeMap<Tile, Vec<Hash>>,
}

impl<'s, S: TileSource> Tiles<'s, S> {
    pub(super) fn new(source: &'s S, size: u64) -> Self {
        Self { source, size, read: BTreeMap::new() }
    }

    fn roots(mut self, ranges: &[Range]) -> Result<Vec<Hash>, BuildError<S::Error>> {
        ranges.iter().map(|&(from, to)| self.root(from, to)).collect()
    }

    /// The root of a range that is not empty.
    pub(super) fn root(&mut self, from: u64, to: u64) -> Result<Hash, BuildError<S::Error>> {
        let outside = BuildError::OutOfRange { of: to, size: self.size };
        let Some(runs) = runs((from, to), self.size) else { return Err(outside) };
        let mut root: Option<Hash> = None;
        for run in runs.iter().rev() {
            let left = self.perfect(run)?;
            root = Some(root.map_or(left, |right| node_hash(&left, &right)));
        }
        root.ok_or(outside)
    }

    fn perfect(&mut self, run: &Run) -> Result<Hash, BuildError<S::Error>> {
        let Run { tile, start, count } = *run;
        let hashes = match self.read.entry(tile) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(unread) => {
                let hashes = self.source.hashes(tile.level(), tile.index(), tile.width());
                unread.insert(hashes.map_err(BuildError::Source)?)
            }
        };
        let wrong = BuildError::Width { tile, found: hashes.len() };
        if hashes.len() != usize::from(tile.width()) {
            return Err(wrong);
        }
        let row = hashes.get(start..start.saturating_add(count)).ok_or(wrong)?;
        Ok(perfect_root(row))
    }
}
