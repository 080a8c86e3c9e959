//! Tiles: the tree cut into rows of 256 hashes, and the entries into bundles of 256, with their paths (tlog-tiles).

use std::fmt;
use std::str::FromStr;

use super::text::{self, NumberError};

/// Hashes in a full tile, and entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// The highest level that tlog-tiles knows.
const HIGHEST_LEVEL: u8 = 63;

/// The longest path: `tile/63/` with seven groups and `.p/255`.
const LONGEST_PATH: usize = 64;

/// Values or a path that name no tile.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum TileError {
    /// Levels end at 63.
    #[error("the level of a tile is not between 0 and 63")]
    Level,
    /// A tile or bundle has 1 to 256 members.
    #[error("the width of a tile is not between 1 and 256")]
    Width,
    /// The index is not below 2^63.
    #[error("the index of a tile is out of range")]
    Index(#[source] NumberError),
    /// The path is not in the form that tlog-tiles prescribes.
    #[error(
        "the path is not that of a tile (tile/<level>/<index>[.p/<width>] with the index in groups of three digits)"
    )]
    Path,
}

/// A row of hashes of the tree: at level 0 leaf hashes, above that the roots of full tiles of the level below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    level: u8,
    index: u64,
    width: u16,
}

impl Tile {
    /// Names a tile; a width of 256 is the full tile.
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        if level > HIGHEST_LEVEL {
            return Err(TileError::Level);
        }
        let Bundle { index, width } = Bundle::new(index, width)?;
        Ok(Self { level, index, width })
    }

    /// The widest form that the tile at this level and index has in a tree of `size` leaves, if it has any.
    #[must_use]
    pub fn of_tree(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = row_length(level, size);
        let first = index.checked_mul(u64::from(TILE_WIDTH))?;
        let width = u16::try_from(hashes.checked_sub(first)?.min(u64::from(TILE_WIDTH))).ok()?;
        Self::new(level, index, width).ok()
    }

    /// The level, 0 for leaf hashes.
    #[must_use]
    pub fn level(self) -> u8 {
        self.level
    }

    /// The zero-based index within the level.
    #[must_use]
    pub fn index(self) -> u64 {
        self.index
    }

    /// The number of hashes, 1 to 256.
    #[must_use]
    pub fn width(self) -> u16 {
        self.width
    }

    /// Whether the tile has all 256 hashes and thus never changes.
    #[must_use]
    pub fn is_full(self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The path below the log's prefix, as in `tile/0/x001/234.p/17`.
    #[must_use]
    pub fn path(self) -> String {
        format!("tile/{}/{}", self.level, Bundle { index: self.index, width: self.width }.tail())
    }
}

/// A file with up to 256 entries: those whose leaf hashes stand in the tile of level 0 with the same index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bundle {
    index: u64,
    width: u16,
}

impl Bundle {
    /// Names a bundle; a width of 256 is the full one.
    pub fn new(index: u64, width: u16) -> Result<Self, TileError> {
        if width == 0 || width > TILE_WIDTH {
            return Err(TileError::Width);
        }
        let index = text::within_range(index).map_err(TileError::Index)?;
        Ok(Self { index, width })
    }

    /// The widest form that the bundle at this index has in a log of `size` entries, if it has any.
    #[must_use]
    pub fn of_tree(index: u64, size: u64) -> Option<Self> {
        Tile::of_tree(0, index, size).map(|tile| Self { index: tile.index, width: tile.width })
    }

    /// The zero-based index; the first entry's index is 256 times as much.
    #[must_use]
    pub fn index(self) -> u64 {
        self.index
    }

    /// The number of entries, 1 to 256.
    #[must_use]
    pub fn width(self) -> u16 {
        self.width
    }

    /// The path below the log's prefix, as in `tile/entries/x001/234.p/17`.
    #[must_use]
    pub fn path(self) -> String {
        format!("tile/entries/{}", self.tail())
    }

    /// Index in groups of three digits, all but the last with an `x` before it, and the width of a partial one.
    fn tail(self) -> String {
        let mut groups = vec![format!("{:03}", self.index % 1000)];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(format!("x{:03}", rest % 1000));
            rest /= 1000;
        }
        groups.reverse();
        let path = groups.join("/");
        if self.width < TILE_WIDTH { format!("{path}.p/{}", self.width) } else { path }
    }

    /// Reads what [`Self::tail`] writes.
    fn from_tail(tail: &str) -> Result<Self, TileError> {
        let (groups, width) = match tail.split_once(".p/") {
            Some((groups, width)) => {
                let width = text::number(width).map_err(|_| TileError::Path)?;
                let width = u16::try_from(width).map_err(|_| TileError::Width)?;
                if width >= TILE_WIDTH {
                    return Err(TileError::Width);
                }
                (groups, width)
            }
            None => (tail, TILE_WIDTH),
        };
        let (upper, last) = match groups.rsplit_once('/') {
            Some((upper, last)) => (Some(upper), last),
            None => (None, groups),
        };
        let mut index = 0_u64;
        for (position, group) in upper.into_iter().flat_map(|upper| upper.split('/')).enumerate() {
            let value = group.strip_prefix('x').and_then(three_digits).ok_or(TileError::Path)?;
            // A leading group of zeroes would be a second path for the same tile.
            if position == 0 && value == 0 {
                return Err(TileError::Path);
            }
            index = append(index, value)?;
        }
        index = append(index, three_digits(last).ok_or(TileError::Path)?)?;
        Self::new(index, width)
    }
}

/// What a path below the log's prefix names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TilePath {
    /// A row of hashes.
    Hashes(Tile),
    /// A file of entries.
    Entries(Bundle),
}

impl FromStr for TilePath {
    type Err = TileError;

    fn from_str(path: &str) -> Result<Self, TileError> {
        if path.len() > LONGEST_PATH {
            return Err(TileError::Path);
        }
        let rest = path.strip_prefix("tile/").ok_or(TileError::Path)?;
        let (level, tail) = rest.split_once('/').ok_or(TileError::Path)?;
        let bundle = Bundle::from_tail(tail)?;
        if level == "entries" {
            return Ok(Self::Entries(bundle));
        }
        let level = text::number(level).map_err(|_| TileError::Path)?;
        let level = u8::try_from(level).map_err(|_| TileError::Level)?;
        Tile::new(level, bundle.index, bundle.width).map(Self::Hashes)
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hashes(tile) => out.write_str(&tile.path()),
            Self::Entries(bundle) => out.write_str(&bundle.path()),
        }
    }
}

/// The tiles that a log of `new` leaves has to publish when that of `old` leaves is published already: full ones that
/// were completed since, and the partial ones of the new size. Empty when the log did not grow.
pub fn tiles_between(old: u64, new: u64) -> impl Iterator<Item = Tile> {
    // Eight levels hold 2^64 leaves.
    (0..8_u8).flat_map(move |level| {
        let (before, after) = (row_length(level, old), row_length(level, new));
        let width = u64::from(TILE_WIDTH);
        let changed = if after > before { before / width..after.div_ceil(width) } else { 0..0 };
        changed.filter_map(move |index| Tile::of_tree(level, index, new))
    })
}

/// The entry bundles that belong to [`tiles_between`].
pub fn bundles_between(old: u64, new: u64) -> impl Iterator<Item = Bundle> {
    tiles_between(old, new)
        .take_while(|tile| tile.level == 0)
        .map(|tile| Bundle { index: tile.index, width: tile.width })
}

/// How many hashes a level has in a tree of `size` leaves.
pub(super) fn row_length(level: u8, size: u64) -> u64 {
    size.checked_shr(8 * u32::from(level)).unwrap_or(0)
}

/// Exactly three digits.
fn three_digits(group: &str) -> Option<u64> {
    let digits = group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit());
    if digits { group.parse().ok() } else { None }
}

/// The next group of an index.
fn append(index: u64, group: u64) -> Result<u64, TileError> {
    let longer = index.checked_mul(1000).and_then(|index| index.checked_add(group));
    longer.ok_or(TileError::Index(NumberError::TooLarge))
}
