//! The index of the time-stamped heads.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = dsrd_fuzz::stamped_heads(bytes);
});
