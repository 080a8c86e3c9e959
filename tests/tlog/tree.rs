//! The right edge: roots, restoring, and the tiles it hands out.

use std::collections::BTreeMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use dsrd::audit::tlog::{
    Edge, EdgeError, Hash, MAX_SIZE, TileHashes, bundles_between, leaf_hash, node_hash, root, root_tiles,
    tiles_between,
};
use proptest::prelude::*;
use sha2::Sha256;

use crate::{entry, grown};

/// The definition of RFC 6962, section 2.1, word for word.
fn defined_root(leaves: &[Hash]) -> Hash {
    if let [only] = leaves {
        return *only;
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    node_hash(&defined_root(left), &defined_root(right))
}

#[test]
fn roots_agree_with_an_independent_tree_at_every_size_and_after_every_restart() {
    let (_, tiles) = grown(1_100);
    let mut oracle = MemoryBackedTree::<Sha256, [u8; 8]>::new();
    let mut edge = Edge::new();
    for size in 0..=1_100 {
        assert_eq!(edge.size(), size);
        assert_eq!(edge.root().as_bytes()[..], oracle.root().as_bytes()[..], "size {size}");
        assert_eq!(root(&tiles, size).unwrap(), edge.root(), "from tiles, size {size}");

        let stored = edge.partial_tiles();
        let named: Vec<_> = stored.iter().map(|tile| tile.tile().unwrap()).collect();
        assert_eq!(named, root_tiles(size), "size {size}");
        // Through bytes, as the columns keep them.
        let read = stored
            .iter()
            .map(|tile| TileHashes { hashes: Hash::row_from_bytes(&tile.bytes()).unwrap(), ..tile.clone() });
        edge = Edge::restore(size, read).unwrap();

        edge.push(leaf_hash(&entry(size)));
        oracle.push(entry(size));
    }
}

#[test]
fn a_tree_of_three_levels_of_tiles_has_the_defined_root_and_exactly_its_tiles() {
    let size = 70_000;
    let mut edge = Edge::new();
    let mut files = BTreeMap::new();
    let mut leaves = Vec::new();
    for index in 0..size {
        let leaf = leaf_hash(&entry(index));
        leaves.push(leaf);
        for tile in edge.push(leaf) {
            assert!(tile.tile().unwrap().is_full());
            assert!(
                files.insert((tile.level, tile.index), tile.hashes).is_none(),
                "a tile was completed twice"
            );
        }
    }
    for tile in edge.partial_tiles() {
        assert!(files.insert((tile.level, tile.index), tile.hashes).is_none());
    }
    assert_eq!(edge.root(), defined_root(&leaves));
    let expected: Vec<_> = tiles_between(0, size).collect();
    assert_eq!(expected.len(), files.len());
    for tile in expected {
        let span = 256_usize.pow(tile.level().into());
        for (position, hash) in files[&(tile.level(), tile.index())].iter().enumerate() {
            let start = (usize::try_from(tile.index()).unwrap() * 256 + position) * span;
            assert_eq!(*hash, defined_root(&leaves[start..start + span]));
        }
    }
}

#[test]
fn an_edge_that_does_not_fit_its_size_is_refused() {
    let (edge, _) = grown(600);
    let stored = edge.partial_tiles();
    let restore = |change: &dyn Fn(&mut Vec<TileHashes>)| {
        let mut rows = stored.clone();
        change(&mut rows);
        Edge::restore(600, rows)
    };
    assert_eq!(restore(&|_| ()), Ok(edge.clone()));
    let wrong_row = |level| Err(EdgeError::Row { size: 600, level });
    assert_eq!(restore(&|rows| rows[0].hashes.truncate(87)), wrong_row(0));
    assert_eq!(restore(&|rows| rows[0].index += 1), wrong_row(0));
    assert_eq!(restore(&|rows| rows[1].level = 2), wrong_row(2));
    assert_eq!(restore(&|rows| rows[1].level = 200), wrong_row(200));
    assert_eq!(restore(&|rows| rows.push(rows[1].clone())), wrong_row(1));
    assert_eq!(restore(&|rows| rows.truncate(1)), Err(EdgeError::Missing { size: 600, level: 1 }));
    assert_eq!(Edge::restore(599, stored.clone()), Err(EdgeError::Row { size: 599, level: 0 }));
    assert_eq!(Edge::restore(MAX_SIZE + 1, []), Err(EdgeError::TooLarge(MAX_SIZE + 1)));
    // Zeroes stand for hashes nobody has: the largest tree that is supported is still restored and extended.
    let largest = TileHashes { level: 7, index: 0, hashes: vec![Hash([0; 32]); 64] };
    let mut largest = Edge::restore(MAX_SIZE, [largest]).unwrap();
    assert_eq!(largest.push(Hash([1; 32])), []);
    assert_eq!(largest.partial_tiles().len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn publishing_in_steps_publishes_every_tile_that_a_size_needs(
        mut sizes in prop::collection::vec(0_u64..200_000, 1..6),
    ) {
        sizes.sort_unstable();
        let mut published = std::collections::BTreeSet::new();
        let mut bundles = std::collections::BTreeSet::new();
        let mut before = 0;
        for size in sizes {
            published.extend(tiles_between(before, size));
            bundles.extend(bundles_between(before, size));
            prop_assert_eq!(tiles_between(size, size).count(), 0);
            for tile in tiles_between(0, size) {
                prop_assert!(published.contains(&tile), "{} is missing at {}", tile.path(), size);
            }
            for bundle in bundles_between(0, size) {
                prop_assert!(bundles.contains(&bundle), "{} is missing at {}", bundle.path(), size);
            }
            before = size;
        }
    }
}
