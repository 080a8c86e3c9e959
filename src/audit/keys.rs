//! The seeds of the keys that sign the log, as their file holds them.

use std::fmt;

use zeroize::Zeroizing;

use super::tlog::{CosigningKey, KeyName, SigningKey, VerifierKey};
use crate::domain::random;

/// How many keys may sign at the same time: the old one and the new one.
const MOST: usize = 2;

/// The file does not hold what it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must hold one seed of 64 hexadecimal digits, or two with a space between them, oldest first")]
pub struct MalformedLogKeys;

/// One seed, or two while keys are exchanged. Never in the database; wiped from memory when dropped.
pub struct LogKeys(Vec<Zeroizing<[u8; 32]>>);

impl LogKeys {
    /// One new key from the operating system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self(vec![Zeroizing::new(random::bytes())])
    }

    /// Reads what [`LogKeys::to_text`] wrote.
    pub fn from_text(text: &str) -> Result<Self, MalformedLogKeys> {
        let mut seeds = Vec::new();
        for word in text.split_whitespace() {
            let mut seed = Zeroizing::new([0_u8; 32]);
            hex::decode_to_slice(word, seed.as_mut_slice()).map_err(|_| MalformedLogKeys)?;
            seeds.push(seed);
        }
        if (1..=MOST).contains(&seeds.len()) { Ok(Self(seeds)) } else { Err(MalformedLogKeys) }
    }

    /// The seeds in one line, for the key file only.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let seeds: Vec<_> = self.0.iter().map(|seed| Zeroizing::new(hex::encode(seed.as_slice()))).collect();
        let words: Vec<_> = seeds.iter().map(|seed| seed.as_str()).collect();
        Zeroizing::new(words.join(" "))
    }

    /// The same with a new key behind the old one; `None` where two are there already.
    #[must_use]
    pub fn with_new(&self) -> Option<Self> {
        let mut seeds = self.0.clone();
        seeds.push(Zeroizing::new(random::bytes()));
        (seeds.len() <= MOST).then_some(Self(seeds))
    }

    /// The newest key alone; `None` where there is but one.
    #[must_use]
    pub fn newest(&self) -> Option<Self> {
        (self.0.len() > 1).then(|| Self(self.0.last().cloned().into_iter().collect()))
    }

    /// The seed of the key that signs the log of that name, and a new one behind it; any other seed is left out. `None` where
    /// no seed is that of the key.
    #[must_use]
    pub fn replacing(&self, signer: &VerifierKey) -> Option<Self> {
        let signs = |seed: &&Zeroizing<[u8; 32]>| {
            SigningKey::from_seed(signer.name().clone(), seed).verifier() == signer
        };
        let seed = self.0.iter().find(signs)?;
        Some(Self(vec![seed.clone(), Zeroizing::new(random::bytes())]))
    }

    /// The key of the witness of that name; `None` where there are two seeds, because a witness has one key.
    #[must_use]
    pub fn cosigning_key(&self, name: &KeyName) -> Option<CosigningKey> {
        match self.0.as_slice() {
            [seed] => Some(CosigningKey::from_seed(name.clone(), seed)),
            _ => None,
        }
    }

    /// The keys of the log of that name, oldest first.
    #[must_use]
    pub fn signing_keys(&self, origin: &KeyName) -> Vec<SigningKey> {
        self.0.iter().map(|seed| SigningKey::from_seed(origin.clone(), seed)).collect()
    }
}

impl fmt::Debug for LogKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LogKeys([{} secret])", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_file_and_are_exchanged_one_for_one() {
        let name: KeyName = "log.example".parse().unwrap();
        let public = |keys: &LogKeys| -> Vec<String> {
            keys.signing_keys(&name).iter().map(|key| key.verifier().to_string()).collect()
        };
        let first = LogKeys::generate();
        assert!(first.newest().is_none());
        let both = first.with_new().unwrap();
        let read = LogKeys::from_text(&format!("{}\n", both.to_text().as_str())).unwrap();
        assert_eq!(public(&read), public(&both));
        assert_eq!(public(&both)[..1], public(&first));
        assert!(both.with_new().is_none());
        assert_eq!(public(&both.newest().unwrap()), public(&both)[1..]);
        // A stolen key is replaced by one that the thief of the file cannot have.
        let signer = read.signing_keys(&name)[0].verifier().clone();
        let replaced = read.replacing(&signer).unwrap();
        assert_eq!(public(&replaced)[..1], public(&first));
        assert!(!public(&both).contains(&public(&replaced)[1]));
        assert!(LogKeys::generate().replacing(&signer).is_none());
        for malformed in ["", "00", "zz", &"0".repeat(63), &format!("{0} {0} {0}", "0".repeat(64))] {
            assert!(LogKeys::from_text(malformed).is_err(), "{malformed}");
        }
        assert!(!format!("{both:?}").contains(&hex::encode(both.0[0].as_slice())));
    }
}
