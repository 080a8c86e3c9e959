//! The account that a writer gives of its entries: which numbers, what was written under them, signed by its session key.

use sha2::{Digest, Sha256};

use crate::audit::event::Detail;
use crate::audit::leaf::{DetailValue, Leaf};
use crate::audit::tlog::{SessionKey, is_signed_in_session};

/// Stands for a number that was given up.
pub(in crate::audit) const VOID: [u8; 32] = [0; 32];

/// First line of the message that is signed.
const PREFIX: &str = "dsrd/writer-account/v1";

/// Hashes what was written, number after number: the leaf hash of each entry, and 32 zero bytes for a number that was
/// given up.
#[derive(Debug, Default)]
pub(in crate::audit) struct Summary(Sha256);

impl Summary {
    /// Takes the next number.
    pub(in crate::audit) fn take(&mut self, leaf: &[u8; 32]) {
        self.0.update(leaf);
    }

    /// The hash of all, in hexadecimal.
    pub(in crate::audit) fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// What an entry `writer.account` or `writer.stop` states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::audit) struct Account {
    /// The first number that it accounts for.
    pub(in crate::audit) first: u64,
    /// The last one.
    pub(in crate::audit) last: u64,
    /// SHA-256 over what was written, in hexadecimal.
    pub(in crate::audit) sha256: String,
}

impl Account {
    /// The detail of the entry, signed.
    pub(in crate::audit) fn detail(&self, writer: &str, key: &SessionKey) -> Detail {
        Detail::none()
            .count("first", self.first)
            .count("last", self.last)
            .word("sha256", &self.sha256)
            .word("signature", &key.sign(self.message(writer).as_bytes()))
    }

    /// What an entry states, and the signature under it; `None` where it states nothing.
    pub(in crate::audit) fn read(leaf: &Leaf) -> Option<(Self, String)> {
        let number = |key: &str| match leaf.detail.get(key) {
            Some(DetailValue::Number(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        let word = |key: &str| match leaf.detail.get(key) {
            Some(DetailValue::Word(word)) => Some(word.clone()),
            _ => None,
        };
        let account = Self { first: number("first")?, last: number("last")?, sha256: word("sha256")? };
        Some((account, word("signature")?)).filter(|(account, _)| account.first <= account.last)
    }

    /// Whether the session key of the writer signed it.
    pub(in crate::audit) fn is_signed(&self, writer: &str, public: &str, signature: &str) -> bool {
        is_signed_in_session(public, self.message(writer).as_bytes(), signature)
    }

    fn message(&self, writer: &str) -> String {
        format!("{PREFIX}\n{writer}\n{}\n{}\n{}\n", self.first, self.last, self.sha256)
    }
}
