//! What a log posts to a witness.

#![no_main]

use dsrd::audit::tlog::AddCheckpoint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = AddCheckpoint::from_bytes(bytes) else { return };
    assert_eq!(request.to_string().as_bytes(), bytes);
});
