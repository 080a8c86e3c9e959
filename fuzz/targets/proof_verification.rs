//! The checks of proofs with any sizes and hashes: first the older size or the index, then the size, then hashes.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = dsrd_fuzz::proof_verification(bytes);
});
