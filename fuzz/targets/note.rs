//! A signed note, checked with the key of the specification's example and one witness's.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = dsrd_fuzz::note(bytes);
});
