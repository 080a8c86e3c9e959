//! The hashes of RFC 6962: leaves and inner nodes are told apart by their first byte.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Length of a hash in bytes.
pub const HASH_BYTES: usize = 32;

/// Length of the base64 spelling of a hash.
pub const BASE64_CHARS: usize = 44;

/// A SHA-256 hash of a leaf, of an inner node or of a whole tree.
///
/// Shown as standard base64, as checkpoints and proofs spell it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; HASH_BYTES]);

/// The root of the tree without leaves: SHA-256 of nothing.
pub const EMPTY_ROOT: Hash = Hash([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// Bytes or text that are not a hash.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum HashError {
    /// The number of bytes is not 32, or not a multiple of it for a row of hashes.
    #[error("{0} bytes are not a whole number of 32-byte hashes")]
    Length(usize),
    /// A row holds more hashes than a tile.
    #[error("a row of {0} hashes is longer than a tile, which holds 256")]
    TooMany(usize),
    /// The text is not the canonical base64 of 32 bytes.
    #[error("a hash is not spelled as standard base64 of 32 bytes (44 characters)")]
    Base64,
}

/// The hash of a leaf: SHA-256 of a zero byte and the entry, verbatim as stored (RFC 6962, section 2.1).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
}

/// The hash of an inner node: SHA-256 of a one byte and both children (RFC 6962, section 2.1).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

impl Hash {
    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    /// Reads a hash out of a column or a file; anything but 32 bytes is an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HashError> {
        bytes.try_into().map(Self).map_err(|_| HashError::Length(bytes.len()))
    }

    /// The base64 spelling: 44 characters.
    #[must_use]
    pub fn to_base64(&self) -> [u8; BASE64_CHARS] {
        let mut text = [b'A'; BASE64_CHARS];
        // 32 bytes always take 44 characters.
        let written = STANDARD.encode_slice(self.0, &mut text);
        debug_assert_eq!(written.ok(), Some(BASE64_CHARS));
        text
    }

    /// Reads the base64 spelling that [`fmt::Display`] writes, and no other.
    pub fn from_base64(text: &str) -> Result<Self, HashError> {
        // Checked before decoding, so that a long line costs nothing.
        if text.len() != BASE64_CHARS {
            return Err(HashError::Base64);
        }
        let bytes = STANDARD.decode(text).map_err(|_| HashError::Base64)?;
        Self::from_bytes(&bytes).map_err(|_| HashError::Base64)
    }

    /// Reads a row of at most 256 hashes, as tiles and the stored edge keep them: one after the other.
    pub fn row_from_bytes(bytes: &[u8]) -> Result<Vec<Self>, HashError> {
        let (rows, rest) = bytes.as_chunks::<HASH_BYTES>();
        if !rest.is_empty() {
            return Err(HashError::Length(bytes.len()));
        }
        if rows.len() > usize::from(super::TILE_WIDTH) {
            return Err(HashError::TooMany(rows.len()));
        }
        Ok(rows.iter().copied().map(Self).collect())
    }

    /// Writes a row of hashes one after the other: the content of a tile file, and of the columns that hold tiles.
    #[must_use]
    pub fn row_to_bytes(row: &[Self]) -> Vec<u8> {
        row.iter().flat_map(|hash| hash.0).collect()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(std::str::from_utf8(&self.to_base64()).unwrap_or_default())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Hash({self})")
    }
}
