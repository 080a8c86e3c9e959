//! A `.tlog-proof` file, checked with the key of the specification's example.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = dsrd_fuzz::proof_file(bytes);
});
