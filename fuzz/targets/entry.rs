//! The bytes of an entry.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = dsrd_fuzz::entry(bytes);
});
