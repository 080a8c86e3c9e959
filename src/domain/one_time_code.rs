//! The short form of a link's secret, for where nobody can click: read out on the telephone, or typed on another device.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{MasterKey, Personal};

/// Eight digits that stand for a link ([R-18](crate::identity)). They follow from what is stored of its secret and from the
/// master key, so that nothing of them is stored, and whoever holds only the database cannot make them.
///
/// 26 bits are few: whoever takes such a code counts the wrong ones, in the database, and stops at the fifth.
pub struct OneTimeCode(Personal<String>);

/// How many digits a code has.
const DIGITS: usize = 8;

impl OneTimeCode {
    /// The code of a link's secret.
    #[must_use]
    pub fn of_secret(keys: &MasterKey, secret: &Personal<String>) -> Self {
        Self::of_digest(keys, &link_digest(secret))
    }

    /// The code of a link of which the digest is known.
    #[must_use]
    pub fn of_digest(keys: &MasterKey, digest: &[u8; 32]) -> Self {
        let number = keys.one_time_number(digest) % 10_u64.pow(8);
        Self(Personal::new(format!("{number:0DIGITS$}")))
    }

    /// Reads what a person typed: eight digits, with spaces, hyphens and dots between them where they like.
    #[must_use]
    pub fn read(typed: &Personal<String>) -> Option<Self> {
        let bare: String = typed
            .expose()
            .chars()
            .filter(|each| !each.is_whitespace() && !matches!(each, '-' | '.' | '\u{2010}'..='\u{2015}'))
            .collect();
        let plain = bare.len() == DIGITS && bare.bytes().all(|each| each.is_ascii_digit());
        plain.then(|| Self(Personal::new(bare)))
    }

    /// As people read it: `1234 5678`.
    #[must_use]
    pub fn spaced(&self) -> Personal<String> {
        let (first, second) = self.0.expose().split_at(DIGITS / 2);
        Personal::new(format!("{first} {second}"))
    }

    /// Whether two codes are the same. All digits are looked at, whichever differ.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let pairs = self.0.expose().bytes().zip(other.0.expose().bytes());
        pairs.fold(0, |differing, (one, two)| differing | (one ^ two)) == 0
    }
}

impl fmt::Debug for OneTimeCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OneTimeCode([secret])")
    }
}

/// The form in which the secret of a link is kept. It has 256 bits, so that a plain hash cannot be guessed back.
#[must_use]
pub fn link_digest(secret: &Personal<String>) -> [u8; 32] {
    Sha256::digest(secret.expose().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::random;

    fn typed(text: &str) -> Personal<String> {
        Personal::new(text.to_owned())
    }

    #[test]
    fn r_18_a_code_follows_from_the_secret_and_the_key_and_from_nothing_less() {
        let (keys, others) = (MasterKey::generate(), MasterKey::generate());
        let secret = typed(&random::token());
        let code = OneTimeCode::of_secret(&keys, &secret);
        assert!(code.is(&OneTimeCode::of_digest(&keys, &link_digest(&secret))));
        let read = OneTimeCode::read(&code.spaced()).expect("what we write can be read");
        assert!(read.is(&code));
        // Two of a hundred secrets may have the same code by chance, not most of them.
        let same_by_chance = (0..100).filter(|_| {
            let other = typed(&random::token());
            code.is(&OneTimeCode::of_secret(&keys, &other))
                || code.is(&OneTimeCode::of_secret(&others, &secret))
        });
        assert!(same_by_chance.count() < 2);
    }

    #[test]
    fn r_18_a_code_is_read_as_people_type_it() {
        let code = OneTimeCode::read(&typed("01234567")).expect("eight digits");
        for same in ["0123 4567", " 0123-4567\n", "01.23.45.67", "0123\u{2013}4567", "0123\u{a0}4567"] {
            assert!(OneTimeCode::read(&typed(same)).is_some_and(|each| each.is(&code)), "{same:?}");
        }
        for other in ["0123456", "012345678", "0123456a", "", "\u{661}2345678", "12345670"] {
            assert!(!OneTimeCode::read(&typed(other)).is_some_and(|each| each.is(&code)), "{other:?}");
        }
    }
}
