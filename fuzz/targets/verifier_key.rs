//! The text form of a key.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = dsrd_fuzz::verifier_key(text.as_bytes());
});
