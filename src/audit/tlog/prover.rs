//! Inclusion proofs of many leaves of one tree, one after the other.

use super::hash::Hash;
use super::proof::{BuildError, Range, TileSource, Tiles, inclusion_ranges, tiles_of};
use super::tile::Tile;

/// Builds inclusion proofs under one head. Neighbouring leaves share nearly all hashes of their proofs: those of the last
/// one are kept, so that a whole log is proven with a few hashes an entry instead of hundreds.
#[derive(Debug, Clone)]
pub struct Prover {
    size: u64,
    /// The subtrees of the last proof, with their roots.
    known: Vec<(Range, Hash)>,
}

impl Prover {
    /// For a tree of `size` leaves.
    #[must_use]
    pub fn of_tree(size: u64) -> Self {
        Self { size, known: Vec::new() }
    }

    /// The tiles that [`Self::prove`] will read for the leaf at `index`, in order of level and index. `None` if there is no
    /// such leaf.
    #[must_use]
    pub fn tiles(&self, index: u64) -> Option<Vec<Tile>> {
        let mut ranges = inclusion_ranges(index, self.size)?;
        ranges.retain(|range| self.root_of(*range).is_none());
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
        let mut tiles = Tiles::new(source, self.size);
        let mut known = Vec::with_capacity(ranges.len());
        for range in ranges {
            let root = match self.root_of(range) {
                Some(root) => root,
                None => tiles.root(range.0, range.1)?,
            };
            known.push((range, root));
        }
        self.known = known;
        Ok(self.known.iter().map(|(_, root)| *root).collect())
    }

    fn root_of(&self, range: Range) -> Option<Hash> {
        self.known.iter().find(|(known, _)| *known == range).map(|(_, root)| *root)
    }
}
