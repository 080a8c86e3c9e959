//! The content of an entry bundle, after two bytes for its width.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = dsrd_fuzz::entry_bundle(bytes);
});
