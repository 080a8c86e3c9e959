//! Inclusion proofs of many leaves of one tree, one after the other: built, and checked.
//!
//! Neighbouring leaves share nearly all hashes of their proofs. Where their ways up from the leaf meet, the rest is the
//! same; and the node of each below that point is the other one's hash in the proof. So a [`Prover`] builds, and a
//! [`Checker`] checks, the next proof with about one hash, where each alone would take dozens to hundreds.

use super::hash::{Hash, node_hash};
use super::proof::{
    BuildError, Path, Range, Run, TileSource, Tiles, VerifyError, inclusion_ranges, left_size, runs,
    tiles_of, verify_inclusion,
};
use super::tile::{TILE_WIDTH, Tile};

/// Leaves of a full tile.
const WIDTH: u64 = TILE_WIDTH as u64;

/// Builds inclusion proofs under one head.
#[derive(Debug, Clone)]
pub struct Prover {
    size: u64,
    /// The subtrees of the last proof, with their roots.
    known: Vec<(Range, Hash)>,
    /// The tile of the last leaf, with all nodes above its leaves.
    own: Option<Pyramid>,
}

impl Prover {
    /// For a tree of `size` leaves.
    #[must_use]
    pub fn of_tree(size: u64) -> Self {
        Self { size, known: Vec::new(), own: None }
    }

    /// The tiles that [`Self::prove`] will read for the leaf at `index`, in order of level and index. `None` if there is no
    /// such leaf.
    #[must_use]
    pub fn tiles(&self, index: u64) -> Option<Vec<Tile>> {
        let mut ranges = inclusion_ranges(index, self.size)?;
        ranges.truncate(ranges.len() - self.shared(&ranges));
        if self.own.as_ref().is_some_and(|own| own.index == index / WIDTH) {
            ranges.retain(|range| !is_within(*range, index / WIDTH));
        }
        Some(tiles_of(&ranges, self.size))
    }

    /// The same proof as [`inclusion_proof`](super::inclusion_proof) builds. An error leaves the prover as it was.
    pub fn prove<S: TileSource>(
        &mut self,
        source: &S,
        index: u64,
    ) -> Result<Vec<Hash>, BuildError<S::Error>> {
        let outside = BuildError::OutOfRange { of: index, size: self.size };
        let ranges = inclusion_ranges(index, self.size).ok_or(outside)?;
        let anew = ranges.len() - self.shared(&ranges);
        let mut tiles = Tiles::new(source, self.size);
        let tile = index / WIDTH;
        let is_held = self.own.as_ref().is_some_and(|own| own.index == tile);
        let loaded = if !is_held && ranges[..anew].iter().any(|range| is_within(*range, tile)) {
            Some(Pyramid::load(source, tile, self.size)?)
        } else {
            None
        };
        let own = loaded.as_ref().or(self.own.as_ref());
        let mut proof = Vec::with_capacity(ranges.len());
        for range in &ranges[..anew] {
            let within = own.filter(|_| is_within(*range, tile));
            proof.push(match within.and_then(|own| own.root(*range, self.size)) {
                Some(root) => root,
                None => tiles.root(range.0, range.1)?,
            });
        }
        let shared = self.known.len() - (ranges.len() - anew);
        proof.extend(self.known[shared..].iter().map(|(_, root)| *root));
        self.known.clear();
        self.known.extend(ranges.into_iter().zip(proof.iter().copied()));
        if loaded.is_some() {
            self.own = loaded;
        }
        Ok(proof)
    }

    /// How many subtrees, from the root down, are those of the last proof.
    fn shared(&self, ranges: &[Range]) -> usize {
        let pairs = ranges.iter().rev().zip(self.known.iter().rev());
        pairs.take_while(|(range, (known, _))| *range == known).count()
    }
}

/// Whether a subtree is made of leaves of one tile, and not of the whole tile, which is a leaf of the level above.
fn is_within((from, to): Range, tile: u64) -> bool {
    from / WIDTH == tile && to - from < WIDTH && to <= (tile + 1) * WIDTH
}

/// The nodes above the leaves of one tile.
#[derive(Debug, Clone)]
struct Pyramid {
    index: u64,
    /// The leaves, their parents, and so on, as far as there are two children for each.
    rows: Vec<Vec<Hash>>,
}

impl Pyramid {
    fn load<S: TileSource>(source: &S, index: u64, size: u64) -> Result<Self, BuildError<S::Error>> {
        let outside = BuildError::OutOfRange { of: index, size };
        let tile = Tile::of_tree(0, index, size).ok_or(outside)?;
        let leaves = source.hashes(0, index, tile.width()).map_err(BuildError::Source)?;
        if leaves.len() != usize::from(tile.width()) {
            return Err(BuildError::Width { tile, found: leaves.len() });
        }
        let mut rows = vec![leaves];
        while let Some(row) = rows.last().filter(|row| row.len() > 1) {
            rows.push(row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect());
        }
        Ok(Self { index, rows })
    }

    /// The root of a subtree [`is_within`] the tile.
    fn root(&self, range: Range, size: u64) -> Option<Hash> {
        let mut root: Option<Hash> = None;
        for Run { start, count, .. } in runs(range, size)?.iter().rev() {
            let row = self.rows.get(usize::try_from(count.ilog2()).ok()?)?;
            let left = row.get(start / count)?;
            root = Some(root.map_or(*left, |right| node_hash(left, &right)));
        }
        root
    }
}

/// Checks inclusion proofs under one head: says of each what [`verify_inclusion`] says.
///
/// What a proof that was checked consists of, and the nodes on its way, stand in the tree of that head. The next one need
/// only lead to one of them, and be the same above.
#[derive(Debug, Clone)]
pub struct Checker {
    size: u64,
    root: Hash,
    last: Option<Checked>,
}

/// A proof that was checked.
#[derive(Debug, Clone)]
struct Checked {
    index: u64,
    proof: Vec<Hash>,
    /// The leaf and each node above it, the root last.
    way: Vec<Hash>,
}

impl Checker {
    /// For the tree of `size` leaves with that root.
    #[must_use]
    pub fn of_tree(size: u64, root: Hash) -> Self {
        Self { size, root, last: None }
    }

    /// Checks that a leaf stands at `index`.
    pub fn check(&mut self, leaf: &Hash, index: u64, proof: &[Hash]) -> Result<(), VerifyError> {
        let way = if let Some(way) = self.by_neighbour(leaf, index, proof) {
            way
        } else {
            // The first one, or one that does not fit: the whole way up says what is wrong.
            verify_inclusion(leaf, index, self.size, &self.root, proof)?;
            way_up(leaf, index, self.size, proof)
        };
        self.last = Some(Checked { index, proof: proof.to_vec(), way });
        Ok(())
    }

    /// The nodes on the way of a proof that meets that of the last one; `None` where it does not, or says otherwise.
    fn by_neighbour(&self, leaf: &Hash, index: u64, proof: &[Hash]) -> Option<Vec<Hash>> {
        let Self { size, last: Some(last), .. } = self else { return None };
        if index >= *size {
            return None;
        }
        let (shared, length) = meeting(last.index, index, *size);
        if proof.len() != length {
            return None;
        }
        let (below, above) = proof.split_at(length - shared);
        let (last_below, last_above) = last.proof.split_at(last.proof.len() - shared);
        if above != last_above {
            return None;
        }
        let common = last.way.get(last_below.len()..)?;
        let (Some((sibling, lower)), Some((last_sibling, last_lower))) =
            (below.split_last(), last_below.split_last())
        else {
            // The same leaf once more.
            return (below.is_empty() && last_below.is_empty() && common.first() == Some(leaf))
                .then(|| last.way.clone());
        };
        // Below the point where the ways meet each one's node is the other one's sibling.
        let mut way = way_up(leaf, index, *size, lower);
        if way.last() != Some(last_sibling) || last.way.get(last_lower.len()) != Some(sibling) {
            return None;
        }
        way.extend_from_slice(common);
        Some(way)
    }
}

/// The leaf and each node that its first siblings lead to.
fn way_up(leaf: &Hash, index: u64, size: u64, siblings: &[Hash]) -> Vec<Hash> {
    let mut way = Vec::with_capacity(siblings.len() + 64);
    let mut reached = *leaf;
    way.push(reached);
    let mut path = Path::of(index, size);
    for sibling in siblings {
        let Some(node) = path.above(&reached, sibling) else { break };
        reached = node;
        way.push(reached);
    }
    way
}

/// How many hashes, from the root down, the proofs of two leaves have in common by their places, and how many the second
/// one has in all.
fn meeting(one: u64, other: u64, size: u64) -> (usize, usize) {
    let (mut from, mut to) = (0, size);
    let (mut shared, mut length) = (0, 0);
    let mut together = true;
    while to - from > 1 {
        let middle = from + left_size(to - from);
        together = together && (one < middle) == (other < middle);
        if together {
            shared += 1;
        }
        length += 1;
        if other < middle {
            to = middle;
        } else {
            from = middle;
        }
    }
    (shared, length)
}
