//! The right edge of the tree: all that is needed to add leaves and to know the root, in at most 255 hashes per level.

use super::hash::{EMPTY_ROOT, Hash, node_hash};
use super::tile::{TILE_WIDTH, Tile, row_length};

/// The largest tree that an [`Edge`] is restored from. The space above it cannot be filled, so that pushing cannot fail.
pub const MAX_SIZE: u64 = 1 << 62;

/// Stored rows that are not the edge of a tree.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum EdgeError {
    /// The size is above [`MAX_SIZE`].
    #[error("a tree of {0} leaves is larger than this log supports (2^62)")]
    TooLarge(u64),
    /// A row has no place in a tree of the given size, stands twice, or has the wrong number of hashes.
    #[error(
        "the stored edge does not fit a tree of {size} leaves at level {level}; rebuild it from the entries"
    )]
    Row {
        /// The size that was asked for.
        size: u64,
        /// The level of the row.
        level: u8,
    },
    /// A row that a tree of the given size has is missing.
    #[error(
        "the stored edge of a tree of {size} leaves has no row at level {level}; rebuild it from the entries"
    )]
    Missing {
        /// The size that was asked for.
        size: u64,
        /// The level without a row.
        level: u8,
    },
}

/// A tile with its hashes, full or partial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileHashes {
    /// The level, 0 for leaf hashes.
    pub level: u8,
    /// The zero-based index within the level.
    pub index: u64,
    /// 1 to 256 hashes.
    pub hashes: Vec<Hash>,
}

impl TileHashes {
    /// The tile's name, if the number of hashes allows one.
    #[must_use]
    pub fn tile(&self) -> Option<Tile> {
        Tile::new(self.level, self.index, u16::try_from(self.hashes.len()).ok()?).ok()
    }

    /// The hashes one after the other: the tile's file, and the column that holds it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        Hash::row_to_bytes(&self.hashes)
    }
}

/// The right edge of a tree: the partial tile of each level.
///
/// Level `l` holds `size / 256^l mod 256` hashes, which is 0 to 255. The edge is derivable from the entries; it is stored
/// only so that the sealer need not read them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    size: u64,
    rows: [Vec<Hash>; 8],
}

impl Edge {
    /// The edge of the empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a tree of `size` leaves from its stored partial tiles, in any order; empty rows may be left out.
    ///
    /// Only the shape is checked here. Whether the hashes are right shows when [`Self::root`] is compared with the
    /// last signed checkpoint, which the caller must do before pushing.
    pub fn restore(size: u64, stored: impl IntoIterator<Item = TileHashes>) -> Result<Self, EdgeError> {
        if size > MAX_SIZE {
            return Err(EdgeError::TooLarge(size));
        }
        let mut edge = Self { size, rows: Default::default() };
        for TileHashes { level, index, hashes } in stored {
            let row_error = EdgeError::Row { size, level };
            let row = edge.rows.get_mut(usize::from(level)).ok_or(row_error)?;
            let length = row_length(level, size);
            let (full, width) = (length / u64::from(TILE_WIDTH), length % u64::from(TILE_WIDTH));
            let fits = u64::try_from(hashes.len()).is_ok_and(|count| count == width);
            if !row.is_empty() || index != full || !fits {
                return Err(row_error);
            }
            *row = hashes;
        }
        for (level, row) in (0_u8..).zip(&edge.rows) {
            if row.is_empty() && !row_length(level, size).is_multiple_of(u64::from(TILE_WIDTH)) {
                return Err(EdgeError::Missing { size, level });
            }
        }
        Ok(edge)
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf on the right. Answers with the full tiles that it completes, lowest level first: none for 255 of
    /// 256 leaves. They never change again.
    pub fn push(&mut self, leaf: Hash) -> Vec<TileHashes> {
        self.size += 1;
        let mut completed = Vec::new();
        let mut carried = leaf;
        for (level, row) in (0_u8..).zip(&mut self.rows) {
            row.push(carried);
            if row.len() < usize::from(TILE_WIDTH) {
                break;
            }
            let hashes = std::mem::take(row);
            carried = perfect_root(&hashes);
            let index = row_length(level, self.size) / u64::from(TILE_WIDTH) - 1;
            completed.push(TileHashes { level, index, hashes });
        }
        completed
    }

    /// The root of the tree (RFC 6962, section 2.1): that of the empty tree if nothing was pushed.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut root = None;
        // From the right: each row is a run of perfect subtrees, the smallest one last.
        for row in &self.rows {
            let mut rest = row.as_slice();
            while !rest.is_empty() {
                let (before, subtree) = rest.split_at(rest.len() - (1 << rest.len().trailing_zeros()));
                let left = perfect_root(subtree);
                root = Some(root.map_or(left, |right| node_hash(&left, &right)));
                rest = before;
            }
        }
        root.unwrap_or(EMPTY_ROOT)
    }

    /// The partial tiles of the present size, lowest level first: what has to be stored instead of the rows stored
    /// before (levels without one have no row), and published with a checkpoint of this size.
    #[must_use]
    pub fn partial_tiles(&self) -> Vec<TileHashes> {
        let rows = (0_u8..).zip(&self.rows).filter(|(_, row)| !row.is_empty());
        rows.map(|(level, row)| TileHashes {
            level,
            index: row_length(level, self.size) / u64::from(TILE_WIDTH),
            hashes: row.clone(),
        })
        .collect()
    }
}

/// The root of a perfect subtree, given as a row of hashes whose number is a power of two.
pub(super) fn perfect_root(row: &[Hash]) -> Hash {
    let mut row = row.to_vec();
    while row.len() > 1 {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    row.first().copied().unwrap_or(EMPTY_ROOT)
}
