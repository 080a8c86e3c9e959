//! The checks of proofs with any sizes and hashes: first the older size or the index, then the size, then hashes.

#![no_main]

use dsrd::audit::tlog::{HASH_BYTES, Hash, verify_consistency, verify_inclusion};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first_chunk::<8>() else { return };
    let Some((second, rest)) = rest.split_first_chunk::<8>() else { return };
    let (first, second) = (u64::from_be_bytes(*first), u64::from_be_bytes(*second));
    let hashes: Vec<_> = rest.as_chunks::<HASH_BYTES>().0.iter().copied().map(Hash).collect();
    let [old, new, proof @ ..] = hashes.as_slice() else { return };
    if verify_inclusion(old, first, second, new, proof).is_ok() {
        assert!(first < second && proof.len() <= 64);
    }
    if verify_consistency(first, second, old, new, proof).is_ok() {
        assert!(first <= second && proof.len() <= 65);
    }
});
