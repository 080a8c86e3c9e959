//! The index of the time-stamped heads.

#![no_main]

use dsrd::audit::StampedHeads;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(heads) = StampedHeads::from_bytes(bytes) {
        assert_eq!(heads.to_bytes(), bytes);
    }
});
