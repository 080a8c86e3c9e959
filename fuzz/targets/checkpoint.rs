//! The text of a checkpoint.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = dsrd_fuzz::checkpoint(text.as_bytes());
});
