//! What each fuzz target does with its bytes: one function a target, of the target's name.
//!
//! Two call them: the targets (`targets/`), with what libFuzzer makes up, and ordinary tests (`tests/tlog/fuzzed.rs`), with the
//! seeds (`seeds/`) and altered seeds, which needs no nightly compiler.
//!
//! A body panics where a parser breaks its promise, and says whether the bytes were accepted: a seed has to be.
//!
//! To add one: here and in [`TARGETS`], a file in `targets/` with its `[[bin]]` in `Cargo.toml`, and its seeds in
//! `tests/tlog/seeds.rs`.

use dsrd::audit::tlog::{
    AddCheckpoint, Bundle, Checkpoint, EMPTY_ROOT, HASH_BYTES, Hash, ProofFile, SignedNote, TilePath,
    VerifierKey, bundle, verify_consistency, verify_inclusion,
};
use dsrd::audit::{Leaf, StampedHeads};

/// A body: it takes any bytes and says whether they were accepted.
pub type Body = fn(&[u8]) -> bool;

/// Every target by its name.
pub const TARGETS: [(&str, Body); 10] = [
    ("add_checkpoint", add_checkpoint),
    ("checkpoint", checkpoint),
    ("entry", entry),
    ("entry_bundle", entry_bundle),
    ("note", note),
    ("proof_file", proof_file),
    ("proof_verification", proof_verification),
    ("stamped_heads", stamped_heads),
    ("tile_path", tile_path),
    ("verifier_key", verifier_key),
];

/// The keys that notes are checked with: that of the specification's example, and a witness's.
const KEYS: [&str; 2] = [
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    "witness.example.org/w+bac6f48b+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
];

/// The text of a value that is written back as it was read.
fn text<T: std::str::FromStr + ToString>(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(value) = text.parse::<T>() else { return false };
    assert_eq!(value.to_string(), text);
    true
}

/// What a log posts to a witness.
#[must_use]
pub fn add_checkpoint(bytes: &[u8]) -> bool {
    let Ok(request) = AddCheckpoint::from_bytes(bytes) else { return false };
    assert_eq!(request.to_string().as_bytes(), bytes);
    true
}

/// The text of a checkpoint.
#[must_use]
pub fn checkpoint(bytes: &[u8]) -> bool {
    text::<Checkpoint>(bytes)
}

/// The bytes of an entry.
#[must_use]
pub fn entry(bytes: &[u8]) -> bool {
    let Ok(leaf) = Leaf::parse(bytes) else { return false };
    assert_eq!(leaf.to_bytes(), bytes);
    true
}

/// The content of an entry bundle, after two bytes for its width.
#[must_use]
pub fn entry_bundle(bytes: &[u8]) -> bool {
    let Some((width, content)) = bytes.split_first_chunk::<2>() else { return false };
    let Ok(name) = Bundle::new(0, u16::from_be_bytes(*width)) else { return false };
    let Ok(entries) = bundle::read(name, content) else { return false };
    assert_eq!(entries.len(), usize::from(name.width()));
    assert_eq!(bundle::write(entries).as_deref(), Ok(content));
    true
}

/// A signed note, checked with [`KEYS`].
#[must_use]
pub fn note(bytes: &[u8]) -> bool {
    let Ok(note) = SignedNote::from_bytes(bytes) else { return false };
    assert_eq!(note.to_string().as_bytes(), bytes);
    let keys = KEYS.map(|key| key.parse::<VerifierKey>().expect("the key is valid"));
    if let Ok(signatures) = note.verify(&keys) {
        assert!(!signatures.is_empty());
    }
    true
}

/// A `.tlog-proof` file, checked with the key of the specification's example.
#[must_use]
pub fn proof_file(bytes: &[u8]) -> bool {
    let Ok(file) = ProofFile::from_bytes(bytes) else { return false };
    assert_eq!(file.to_string().as_bytes(), bytes);
    let key: VerifierKey = KEYS[0].parse().expect("the key is valid");
    assert!(file.verify(&EMPTY_ROOT, [&key]).is_err(), "nobody signed a checkpoint with this key");
    true
}

/// The checks of proofs with any sizes and hashes: first the older size or the index, then the size, then the older root or the
/// leaf, the root, and the hashes of the proof. Accepted is what proves something.
#[must_use]
pub fn proof_verification(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first_chunk::<8>() else { return false };
    let Some((second, rest)) = rest.split_first_chunk::<8>() else { return false };
    let (first, second) = (u64::from_be_bytes(*first), u64::from_be_bytes(*second));
    let hashes: Vec<_> = rest.as_chunks::<HASH_BYTES>().0.iter().copied().map(Hash).collect();
    let [old, new, proof @ ..] = hashes.as_slice() else { return false };
    let is_included = verify_inclusion(old, first, second, new, proof).is_ok();
    if is_included {
        assert!(first < second && proof.len() <= 64);
    }
    let is_consistent = verify_consistency(first, second, old, new, proof).is_ok();
    if is_consistent {
        assert!(first <= second && proof.len() <= 65);
    }
    is_included || is_consistent
}

/// The index of the time-stamped heads.
#[must_use]
pub fn stamped_heads(bytes: &[u8]) -> bool {
    let Ok(heads) = StampedHeads::from_bytes(bytes) else { return false };
    assert_eq!(heads.to_bytes(), bytes);
    true
}

/// The path of a tile or an entry bundle.
#[must_use]
pub fn tile_path(bytes: &[u8]) -> bool {
    text::<TilePath>(bytes)
}

/// The text form of a key.
#[must_use]
pub fn verifier_key(bytes: &[u8]) -> bool {
    text::<VerifierKey>(bytes)
}
