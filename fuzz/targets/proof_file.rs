//! A `.tlog-proof` file, checked with the key of the specification's example.

#![no_main]

use dsrd::audit::tlog::{EMPTY_ROOT, ProofFile, VerifierKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = ProofFile::from_bytes(bytes) else { return };
    assert_eq!(file.to_string().as_bytes(), bytes);
    let key = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    let key: VerifierKey = key.parse().expect("the key is valid");
    assert!(file.verify(&EMPTY_ROOT, [&key]).is_err(), "nobody signed a checkpoint with this key");
});
