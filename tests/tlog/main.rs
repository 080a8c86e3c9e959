//! The transparency log's core against published vectors, an independent Merkle tree, and any bytes at all.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

#[path = "../../fuzz/bodies.rs"]
#[expect(unreachable_pub, reason = "a library where the fuzz targets are built")]
mod bodies;
mod formats;
mod fuzzed;
mod proofs;
mod seeds;
mod tree;
mod vectors;

use dsrd::audit::tlog::{Edge, Hash, TileMap, leaf_hash};

/// The entry at an index: different for each.
fn entry(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// The edge of a log of `size` entries and all its tiles.
fn grown(size: u64) -> (Edge, TileMap) {
    let mut edge = Edge::new();
    let mut tiles = TileMap::default();
    for index in 0..size {
        tiles.extend(edge.push(leaf_hash(&entry(index))));
    }
    tiles.extend(edge.partial_tiles());
    (edge, tiles)
}

/// Hashes one after the other, as the independent tree shows its proofs.
fn joined(hashes: &[Hash]) -> Vec<u8> {
    Hash::row_to_bytes(hashes)
}
