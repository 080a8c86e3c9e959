//! Inclusion and consistency proofs: equal to the independent tree's, accepted, and refused after any change.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use dsrd::audit::tlog::{
    BuildError, Checker, EMPTY_ROOT, Hash, Prover, Tile, TileHashes, TileMap, TileSource, VerifyError,
    consistency_proof, consistency_tiles, inclusion_proof, inclusion_tiles, leaf_hash, root,
    verify_consistency, verify_inclusion,
};
use proptest::prelude::*;
use sha2::Sha256;

use crate::{entry, grown, joined};

/// How far the places tried at this size are apart. Every place at small sizes and around the borders of tiles, and with
/// `DSRD_TEST_EVERY_PAIR` at all of them (both tests together: 1.2 million proofs); else a sample that moves through all
/// residues.
fn step_at(size: u64) -> u64 {
    let is_special =
        size <= 130 || [255, 256, 257, 300, 511, 512, 513, 777, 1_023, 1_024, 1_025, 1_100].contains(&size);
    if is_special || std::env::var_os("DSRD_TEST_EVERY_PAIR").is_some() { 1 } else { 73 }
}

/// Places below a size, from `first` on.
fn places(size: u64, first: u64) -> impl Iterator<Item = u64> {
    let step = step_at(size);
    (first + size % step..size).step_by(usize::try_from(step).unwrap())
}

#[test]
fn inclusion_proofs_equal_those_of_an_independent_tree_and_hold() {
    let (_, tiles) = grown(1_100);
    let mut oracle = MemoryBackedTree::<Sha256, [u8; 8]>::new();
    for size in 1..=1_100 {
        oracle.push(entry(size - 1));
        let head = root(&tiles, size).unwrap();
        for index in places(size, 0) {
            let proof = inclusion_proof(&tiles, index, size).unwrap();
            let theirs = oracle.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(joined(&proof), theirs.as_bytes(), "{index} in {size}");
            assert_eq!(verify_inclusion(&leaf_hash(&entry(index)), index, size, &head, &proof), Ok(()));
            let other = leaf_hash(&entry(index + 1));
            let refused = verify_inclusion(&other, index, size, &head, &proof);
            assert_eq!(refused, Err(VerifyError::Root { size }));
        }
    }
}

#[test]
fn consistency_proofs_equal_those_of_an_independent_tree_and_hold() {
    let (_, tiles) = grown(1_100);
    let heads: Vec<_> = (0..=1_100).map(|size| root(&tiles, size).unwrap()).collect();
    let head = |size: u64| &heads[usize::try_from(size).unwrap()];
    let mut oracle = MemoryBackedTree::<Sha256, [u8; 8]>::new();
    for new in 1..=1_100 {
        oracle.push(entry(new - 1));
        for old in places(new, 1) {
            let proof = consistency_proof(&tiles, old, new).unwrap();
            let theirs = oracle.prove_consistency(usize::try_from(new - old).unwrap());
            assert_eq!(joined(&proof), theirs.as_bytes(), "{old} to {new}");
            assert_eq!(verify_consistency(old, new, head(old), head(new), &proof), Ok(()), "{old} to {new}");
            let refused = verify_consistency(old, new, head(old), head(old), &proof);
            assert_eq!(refused, Err(VerifyError::Root { size: new }), "{old} to {new}");
            let refused = verify_consistency(old, new, head(new), head(new), &proof);
            assert!(refused.is_err(), "{old} to {new}");
        }
    }
}

#[test]
fn proofs_hold_across_three_levels_of_tiles_and_read_only_the_tiles_they_name() {
    let size = 70_000;
    let (edge, tiles) = grown(size);
    let few = |needed: Vec<Tile>| -> TileMap {
        let hashes = |tile: &Tile| tiles.hashes(tile.level(), tile.index(), tile.width()).unwrap();
        let content = |tile: Tile| dsrd::audit::tlog::TileHashes {
            level: tile.level(),
            index: tile.index(),
            hashes: hashes(&tile),
        };
        needed.into_iter().map(content).collect()
    };
    for index in [0, 1, 255, 256, 65_535, 65_536, 69_631, 69_632, 69_887, 69_888, 69_999] {
        let source = few(inclusion_tiles(index, size).unwrap());
        let proof = inclusion_proof(&source, index, size).unwrap();
        assert_eq!(verify_inclusion(&leaf_hash(&entry(index)), index, size, &edge.root(), &proof), Ok(()));
    }
    for old in [0, 1, 255, 256, 300, 65_535, 65_536, 65_537, 69_888, 69_999, 70_000] {
        let source = few(consistency_tiles(old, size).unwrap());
        let proof = consistency_proof(&source, old, size).unwrap();
        let before = root(&tiles, old).unwrap();
        assert_eq!(verify_consistency(old, size, &before, &edge.root(), &proof), Ok(()), "from {old}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_prover_says_the_same_in_any_order_and_reads_only_the_tiles_it_names(
        size in 1_u64..1_100,
        start in any::<prop::sample::Index>(),
        run in 0_usize..600,
        jumps in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let (_, tiles) = grown(size);
        let at = |place: &prop::sample::Index| place.index(usize::try_from(size).unwrap()) as u64;
        // A stretch of neighbours, as in an export, then anywhere.
        let stretch = (at(&start)..size).take(run);
        let mut prover = Prover::of_tree(size);
        for index in stretch.chain(jumps.iter().map(at)) {
            let needed = prover.tiles(index).unwrap();
            let source: TileMap = needed
                .into_iter()
                .map(|tile| TileHashes {
                    level: tile.level(),
                    index: tile.index(),
                    hashes: tiles.hashes(tile.level(), tile.index(), tile.width()).unwrap(),
                })
                .collect();
            prop_assert_eq!(prover.prove(&source, index), inclusion_proof(&tiles, index, size));
        }
        prop_assert_eq!(prover.tiles(size), None);
        prop_assert_eq!(prover.prove(&tiles, size), Err(BuildError::OutOfRange { of: size, size }));
    }
}

/// What is done to a proof before it is checked.
#[derive(Clone, Copy, Debug)]
enum Twist {
    None,
    /// A hash of it is another one.
    Hash(usize),
    /// One hash less, or one more.
    Shorter,
    Longer,
    /// The leaf is another one.
    Leaf,
    /// It is said to stand elsewhere.
    Index,
}

fn twists() -> impl Strategy<Value = Twist> {
    prop_oneof![
        6 => Just(Twist::None),
        3 => (0_usize..12).prop_map(Twist::Hash),
        1 => Just(Twist::Shorter),
        1 => Just(Twist::Longer),
        1 => Just(Twist::Leaf),
        1 => Just(Twist::Index),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_checker_says_of_every_proof_what_its_whole_way_up_says(
        size in 1_u64..1_100,
        start in any::<prop::sample::Index>(),
        stretch in prop::collection::vec(twists(), 0..60),
        jumps in prop::collection::vec((any::<prop::sample::Index>(), twists()), 0..20),
        repeats in prop::collection::vec((any::<prop::sample::Index>(), twists()), 0..10),
    ) {
        let (edge, tiles) = grown(size);
        let at = |place: &prop::sample::Index| place.index(usize::try_from(size).unwrap()) as u64;
        let neighbours = (at(&start)..size).zip(stretch);
        let jumps = jumps.iter().map(|(place, change)| (at(place), *change));
        // The same leaf once more, and what is not it.
        let repeats =
            repeats.iter().flat_map(|(place, change)| [Twist::None, *change].map(|change| (at(place), change)));
        let mut checker = Checker::of_tree(size, edge.root());
        for (mut index, change) in neighbours.chain(jumps).chain(repeats) {
            let mut leaf = leaf_hash(&entry(index));
            let mut proof = inclusion_proof(&tiles, index, size).unwrap();
            match change {
                Twist::None => {}
                Twist::Hash(place) => {
                    if let Some(hash) = proof.get_mut(place) {
                        hash.0[place] ^= 1;
                    }
                }
                Twist::Shorter => drop(proof.pop()),
                Twist::Longer => proof.push(leaf),
                Twist::Leaf => leaf = leaf_hash(&entry(index + 1)),
                Twist::Index => index ^= 1,
            }
            let whole = verify_inclusion(&leaf, index, size, &edge.root(), &proof);
            prop_assert_eq!(checker.check(&leaf, index, &proof), whole, "{} in {}, {:?}", index, size, change);
        }
    }
}

#[test]
fn equal_and_empty_trees_are_consistent_with_nothing_to_show() {
    let (edge, tiles) = grown(5);
    let head = edge.root();
    assert_eq!(consistency_proof(&tiles, 5, 5), Ok(vec![]));
    assert_eq!(consistency_proof(&tiles, 0, 5), Ok(vec![]));
    assert_eq!(verify_consistency(5, 5, &head, &head, &[]), Ok(()));
    assert_eq!(verify_consistency(0, 5, &EMPTY_ROOT, &head, &[]), Ok(()));
    assert_eq!(verify_consistency(0, 0, &EMPTY_ROOT, &EMPTY_ROOT, &[]), Ok(()));

    let other = Hash([7; 32]);
    assert_eq!(verify_consistency(5, 5, &head, &other, &[]), Err(VerifyError::Root { size: 5 }));
    assert_eq!(verify_consistency(0, 5, &other, &head, &[]), Err(VerifyError::OldRoot { size: 0 }));
    assert_eq!(verify_consistency(0, 0, &EMPTY_ROOT, &other, &[]), Err(VerifyError::Root { size: 0 }));
    assert_eq!(verify_consistency(0, 5, &EMPTY_ROOT, &head, &[other]), Err(VerifyError::Length { size: 5 }));
    assert_eq!(verify_consistency(5, 5, &head, &head, &[other]), Err(VerifyError::Length { size: 5 }));
    assert_eq!(verify_consistency(3, 5, &head, &head, &[]), Err(VerifyError::Length { size: 5 }));
}

#[test]
fn what_is_not_within_the_tree_is_neither_built_nor_believed() {
    let (edge, tiles) = grown(5);
    let out_of_range = |of| BuildError::OutOfRange { of, size: 5 };
    assert_eq!(inclusion_proof(&tiles, 5, 5), Err(out_of_range(5)));
    assert_eq!(consistency_proof(&tiles, 6, 5), Err(out_of_range(6)));
    let refused = Err(VerifyError::OutOfRange { of: 5, size: 5 });
    assert_eq!(verify_inclusion(&edge.root(), 5, 5, &edge.root(), &[]), refused);
    let refused = Err(VerifyError::OutOfRange { of: 6, size: 5 });
    assert_eq!(verify_consistency(6, 5, &edge.root(), &edge.root(), &[]), refused);
    let missing = BuildError::Width { tile: Tile::new(0, 0, 9).unwrap(), found: 5 };
    assert_eq!(inclusion_proof(&tiles, 0, 9), Err(missing));
    // The largest numbers there are neither overflow nor run forever.
    let long = vec![Hash([0; 32]); 63];
    for size in [u64::MAX, u64::MAX - 1, 1 << 63] {
        assert!(verify_inclusion(&edge.root(), size - 1, size, &edge.root(), &long).is_err());
        assert!(verify_consistency(size - 1, size, &edge.root(), &edge.root(), &long).is_err());
        assert!(inclusion_proof(&tiles, size - 1, size).is_err());
        assert!(consistency_proof(&tiles, size - 1, size).is_err());
        assert!(root(&tiles, size).is_err());
    }
}

/// A change of a proof.
#[derive(Debug, Clone)]
enum Change {
    Flip { hash: prop::sample::Index, bit: u8 },
    Drop { hash: prop::sample::Index },
    Add { at: prop::sample::Index, hash: [u8; 32] },
    Swap,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(hash, bit)| Change::Flip { hash, bit }),
        any::<prop::sample::Index>().prop_map(|hash| Change::Drop { hash }),
        (any::<prop::sample::Index>(), any::<[u8; 32]>()).prop_map(|(at, hash)| Change::Add { at, hash }),
        Just(Change::Swap),
    ]
}

/// The changed proof, if the change is possible and makes a difference.
fn changed(proof: &[Hash], change: &Change) -> Option<Vec<Hash>> {
    let mut proof = proof.to_vec();
    match change {
        Change::Add { at, hash } => proof.insert(at.index(proof.len() + 1), Hash(*hash)),
        _ if proof.is_empty() => return None,
        Change::Flip { hash, bit } => {
            let at = hash.index(proof.len());
            let hash = &mut proof[at];
            hash.0[usize::from(bit / 8)] ^= 1 << (bit % 8);
        }
        Change::Drop { hash } => {
            let at = hash.index(proof.len());
            proof.remove(at);
        }
        Change::Swap if proof.len() > 1 => proof.reverse(),
        Change::Swap => return None,
    }
    Some(proof)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_changed_proof_proves_nothing(
        size in 1_u64..700, index: prop::sample::Index, old: prop::sample::Index, change in change(),
    ) {
        let (edge, tiles) = grown(size);
        let head = edge.root();
        let index = u64::try_from(index.index(usize::try_from(size).unwrap())).unwrap();
        let proof = inclusion_proof(&tiles, index, size).unwrap();
        let leaf = leaf_hash(&entry(index));
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &head, &proof), Ok(()));
        if let Some(proof) = changed(&proof, &change) {
            prop_assert!(verify_inclusion(&leaf, index, size, &head, &proof).is_err());
        }
        for other in (0..size).filter(|other| *other != index) {
            prop_assert!(verify_inclusion(&leaf, other, size, &head, &proof).is_err());
        }

        let old = u64::try_from(old.index(usize::try_from(size).unwrap())).unwrap() + 1;
        let before = root(&tiles, old).unwrap();
        let proof = consistency_proof(&tiles, old, size).unwrap();
        prop_assert_eq!(verify_consistency(old, size, &before, &head, &proof), Ok(()));
        if let Some(proof) = changed(&proof, &change) {
            prop_assert!(verify_consistency(old, size, &before, &head, &proof).is_err());
        }
    }
}
