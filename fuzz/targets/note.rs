//! A signed note, checked with the key of the specification's example and one witness's.

#![no_main]

use dsrd::audit::tlog::{SignedNote, VerifierKey};
use libfuzzer_sys::fuzz_target;

/// The keys that notes are checked with: a log's and a witness's.
const KEYS: [&str; 2] = [
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    "witness.example.org/w+bac6f48b+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
];

fuzz_target!(|bytes: &[u8]| {
    let Ok(note) = SignedNote::from_bytes(bytes) else { return };
    assert_eq!(note.to_string().as_bytes(), bytes);
    let keys = KEYS.map(|key| key.parse::<VerifierKey>().expect("the key is valid"));
    if let Ok(signatures) = note.verify(&keys) {
        assert!(!signatures.is_empty());
    }
});
