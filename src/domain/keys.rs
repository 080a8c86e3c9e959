//! Keys and what they protect.
//!
//! One [`MasterKey`] lives in a file outside the database. Each use has a key of its own derived from it, so
//! that no value made for one purpose means anything for another: a [`SealingKey`] encrypts a column (the place of
//! the value is bound in, so that a sealed value moved to another row does not open), a [`SubjectKey`] makes keyed
//! pseudonyms ([`SubjectRef`]) that let two records of one person be linked without naming the person, a [`TagKey`] makes
//! the tags by which the audit log's erasable part is asked.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{ContactId, OrganisationId, Personal, random};

/// Why a key or a sealed value is of no use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// The key file does not hold 64 hexadecimal digits.
    #[error("master key must be 64 hexadecimal digits (256 bits)")]
    Malformed,
    /// The value was sealed with another key, for another place, or was altered.
    #[error("sealed value does not open: another master key, another row, or altered bytes")]
    DoesNotOpen,
}

/// The secret from which all others are derived.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// A new key from the operating system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(random::bytes()))
    }

    /// Reads a key written by [`MasterKey::to_hex`]; surrounding white space is ignored.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut key = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(text.trim(), key.as_mut_slice()).map_err(|_| KeyError::Malformed)?;
        Ok(Self(key))
    }

    /// The key as 64 hexadecimal digits, for the key file only.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0.as_slice()))
    }

    /// The key that encrypts one kind of column, for example `identifier`.
    #[must_use]
    pub fn sealing(&self, purpose: &'static str) -> SealingKey {
        SealingKey { key: self.derive(&["seal", purpose]), purpose }
    }

    /// The key that makes the pseudonyms of one organisation's data subjects.
    #[must_use]
    pub fn subject(&self, organisation: &OrganisationId) -> SubjectKey {
        SubjectKey(self.derive(&["subject", organisation.as_str()]))
    }

    /// The key that makes the hashes of one organisation's suppression list for one purpose.
    #[must_use]
    pub fn suppression(&self, organisation: &OrganisationId, purpose: &str) -> SuppressionKey {
        SuppressionKey(self.derive(&["suppression", organisation.as_str(), purpose]))
    }

    /// The key that makes the tags by which the audit log is asked for one organisation's data subjects. A new epoch is a
    /// new key.
    #[must_use]
    pub fn tagging(&self, organisation: &OrganisationId, epoch: i32) -> TagKey {
        TagKey(self.derive(&["audit-tag", organisation.as_str(), &epoch.to_string()]))
    }

    /// A number that follows from the digest of a link's secret, and that nobody without the key can tell.
    pub(super) fn one_time_number(&self, digest: &[u8; 32]) -> u64 {
        let mac = authenticate(&self.derive(&["one-time-code"]), &[&hex::encode(digest)]);
        mac[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// A value to store beside the data, by which a later start notices that it was given another key.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex::encode(&self.derive(&["fingerprint"])[..8])
    }

    fn derive(&self, labels: &[&str]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(authenticate(&self.0, labels))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MasterKey([secret])")
    }
}

/// HMAC-SHA-256 over length-prefixed parts, so that no two lists of parts give the same input.
fn authenticate(key: &[u8; 32], parts: &[&str]) -> [u8; 32] {
    let mut mac =
        <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

/// Encrypts and decrypts the values of one kind of column (XChaCha20-Poly1305, random nonce in front).
#[derive(Clone)]
pub struct SealingKey {
    key: Zeroizing<[u8; 32]>,
    purpose: &'static str,
}

const NONCE_BYTES: usize = 24;

impl SealingKey {
    /// Encrypts `clear` for the place `row` (for example a request id): it opens there only.
    ///
    /// # Panics
    /// When the value is larger than the cipher takes, hundreds of gigabytes.
    #[must_use]
    pub fn seal(&self, row: &str, clear: &Personal<Vec<u8>>) -> Vec<u8> {
        let nonce = random::bytes::<NONCE_BYTES>();
        let sealed = self
            .cipher()
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: clear.expose(), aad: row.as_bytes() })
            .expect("a value that fits into memory can be encrypted");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Decrypts what [`SealingKey::seal`] made for the same place.
    pub fn open(&self, row: &str, sealed: &[u8]) -> Result<Personal<Vec<u8>>, KeyError> {
        let (nonce, body) = sealed.split_at_checked(NONCE_BYTES).ok_or(KeyError::DoesNotOpen)?;
        self.cipher()
            .decrypt(XNonce::from_slice(nonce), Payload { msg: body, aad: row.as_bytes() })
            .map(Personal::new)
            .map_err(|_| KeyError::DoesNotOpen)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.key.as_slice().into())
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SealingKey({})", self.purpose)
    }
}

/// Makes the pseudonyms of one organisation's data subjects.
#[derive(Clone)]
pub struct SubjectKey(Zeroizing<[u8; 32]>);

impl SubjectKey {
    /// The pseudonym of the platform's id of a contact.
    #[must_use]
    pub fn contact(&self, contact: &ContactId) -> SubjectRef {
        self.reference("contact", &Personal::new(contact.as_str().to_owned()))
    }

    /// The pseudonym of a normalised identifier or of a contact id. `word` says what kind of value it is.
    #[must_use]
    pub fn reference(&self, word: &str, value: &Personal<String>) -> SubjectRef {
        let full = authenticate(&self.0, &[word, value.expose()]);
        let mut short = [0_u8; 16];
        short.copy_from_slice(&full[..16]);
        SubjectRef(short)
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SubjectKey([secret])")
    }
}

/// Makes the hashes of one organisation's suppression list for one purpose.
#[derive(Clone)]
pub struct SuppressionKey(Zeroizing<[u8; 32]>);

impl SuppressionKey {
    /// The hash of a normalised identifier; `kind` says what kind it is.
    #[must_use]
    pub fn hash(&self, kind: &str, normalised: &str) -> [u8; 32] {
        authenticate(&self.0, &[kind, normalised])
    }
}

impl fmt::Debug for SuppressionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SuppressionKey([secret])")
    }
}

/// Makes the tags by which the erasable part of the audit log is asked for a data subject. They are no pseudonyms of any
/// other table: the log's answer must not be found by joining.
#[derive(Clone)]
pub struct TagKey(Zeroizing<[u8; 32]>);

impl TagKey {
    /// The tag of a normalised identifier. `word` says what kind of value it is.
    #[must_use]
    pub fn tag(&self, word: &str, value: &Personal<String>) -> [u8; 32] {
        authenticate(&self.0, &[word, value.expose()])
    }
}

impl fmt::Debug for TagKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TagKey([secret])")
    }
}

/// A keyed pseudonym: equal for equal identifiers of one organisation, meaningless without the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectRef([u8; 16]);

impl SubjectRef {
    /// The pseudonym as stored in the database.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads a pseudonym as stored; none when it has another length.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for SubjectRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl Serialize for SubjectRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SubjectRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut bytes = [0_u8; 16];
        let text = String::deserialize(deserializer)?;
        hex::decode_to_slice(&text, &mut bytes).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_at_its_place_and_nowhere_else() {
        let key = MasterKey::generate().sealing("identifier");
        let clear = Personal::new(b"ada@people.example".to_vec());
        let sealed = key.seal("row-1", &clear);
        assert_eq!(key.open("row-1", &sealed), Ok(clear));
        assert_eq!(key.open("row-2", &sealed), Err(KeyError::DoesNotOpen));
        let mut altered = sealed.clone();
        *altered.last_mut().unwrap() ^= 1;
        assert_eq!(key.open("row-1", &altered), Err(KeyError::DoesNotOpen));
        assert_eq!(key.open("row-1", b"short"), Err(KeyError::DoesNotOpen));
        assert_eq!(
            MasterKey::generate().sealing("identifier").open("row-1", &sealed),
            Err(KeyError::DoesNotOpen)
        );
    }

    #[test]
    fn pseudonyms_differ_by_organisation_word_and_key() {
        let master = MasterKey::generate();
        let value = Personal::new("ada@people.example".to_owned());
        let one = master.subject(&"one".parse().unwrap());
        let two = master.subject(&"two".parse().unwrap());
        assert_eq!(one.reference("email", &value), one.reference("email", &value));
        assert_ne!(one.reference("email", &value), two.reference("email", &value));
        assert_ne!(one.reference("email", &value), one.reference("username", &value));
    }

    #[test]
    fn tags_differ_by_organisation_epoch_word_and_key() {
        let master = MasterKey::generate();
        let value = Personal::new("ada@people.example".to_owned());
        let (one, two) = ("one".parse().unwrap(), "two".parse().unwrap());
        let tag = master.tagging(&one, 1).tag("email", &value);
        assert_eq!(master.tagging(&one, 1).tag("email", &value), tag);
        assert_ne!(master.tagging(&two, 1).tag("email", &value), tag);
        assert_ne!(master.tagging(&one, 2).tag("email", &value), tag);
        assert_ne!(master.tagging(&one, 1).tag("username", &value), tag);
        assert_ne!(MasterKey::generate().tagging(&one, 1).tag("email", &value), tag);
        assert_ne!(&tag[..16], master.subject(&one).reference("email", &value).as_bytes());
    }

    #[test]
    fn a_master_key_survives_its_file() {
        let key = MasterKey::generate();
        let read = MasterKey::from_hex(&format!("{}\n", key.to_hex().as_str())).unwrap();
        assert_eq!(read.fingerprint(), key.fingerprint());
        assert!(MasterKey::from_hex("abc").is_err());
    }
}
