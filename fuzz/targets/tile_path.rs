//! The path of a tile or an entry bundle.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = dsrd_fuzz::tile_path(text.as_bytes());
});
