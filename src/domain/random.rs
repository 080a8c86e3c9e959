//! Randomness from the operating system: tokens, nonces, jitter. The one place that draws it.

/// Random bytes that nobody can guess.
///
/// # Panics
/// When the operating system has no randomness to give, which no service should survive.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

/// A random number from 0 (inclusive) to 1 (exclusive), for jitter.
#[must_use]
pub fn fraction() -> f64 {
    f64::from(u32::from_le_bytes(bytes())) / (f64::from(u32::MAX) + 1.0)
}

/// A secret for a link: 256 bits, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn token() -> String {
    hex::encode(bytes::<32>())
}
