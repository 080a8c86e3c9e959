//! Keys of signed notes: names, ids, the seed that signs, and the text form of the key that verifies.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::cosignature;
use super::note::{Signature, VerifiedSignature};

/// The longest name of a key, in bytes: what later signature types have room for.
const LONGEST_NAME: usize = 255;

/// A name, seed or text that makes no key.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum KeyError {
    /// The name is empty or too long, or holds a space, a plus sign or a control character.
    #[error("the name of a key must be 1 to 255 bytes without spaces, plus signs and control characters")]
    Name,
    /// The text is not `name+id+key`.
    #[error("a verifier key is not of the form <name>+<8 hexadecimal digits>+<base64>")]
    Form,
    /// The first byte names a signature type that is not known here.
    #[error(
        "the verifier key has the signature type {0:#04x}; known are 0x01 (Ed25519) and 0x04 (cosignature)"
    )]
    Algorithm(u8),
    /// The bytes are not a public key, or one of the few that verify everything.
    #[error("the verifier key is not a usable Ed25519 public key")]
    PublicKey,
    /// The id does not belong to the name and the key.
    #[error("the id in the verifier key does not belong to its name and public key")]
    Id,
}

/// The name of a key, as it stands in signature lines; for a log's own key also the log's origin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(name: &str) -> Result<Self, KeyError> {
        let length = 1..=LONGEST_NAME;
        let refused = |each: char| each.is_whitespace() || each.is_control() || each == '+';
        if !length.contains(&name.len()) || name.contains(refused) {
            return Err(KeyError::Name);
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The short id of a key: with the name it tells which key a signature is to be checked with. It is not secure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

impl KeyId {
    /// The id of a public key: four bytes of SHA-256 over name, newline, signature type and key.
    #[must_use]
    pub fn of(name: &KeyName, algorithm: Algorithm, public_key: &[u8; 32]) -> Self {
        let hash = Sha256::new()
            .chain_update(name.as_str())
            .chain_update([b'\n', algorithm.byte()])
            .chain_update(public_key)
            .finalize();
        Self([hash[0], hash[1], hash[2], hash[3]])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex::encode(self.0))
    }
}

/// What a key signs, and how: the signature type of signed-note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Type 0x01: Ed25519 over the note's text. The log signs its checkpoints so.
    Ed25519,
    /// Type 0x04: Ed25519 over a checkpoint and a time. Witnesses sign so.
    Cosignature,
}

impl Algorithm {
    /// The signature type identifier of signed-note.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

/// A named seed that signs. Its debug form shows the name only; the seed is wiped from memory when it is dropped.
pub(super) struct Secret {
    verifier: VerifierKey,
    key: ed25519_dalek::SigningKey,
}

impl Secret {
    pub(super) fn new(name: KeyName, algorithm: Algorithm, seed: &Zeroizing<[u8; 32]>) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let verifier = VerifierKey::of(name, algorithm, key.verifying_key());
        Self { verifier, key }
    }

    pub(super) fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a message; `before` stands in the signature line ahead of the Ed25519 signature.
    pub(super) fn sign(&self, before: &[u8], message: &[u8]) -> Signature {
        let bytes = [before, &self.key.sign(message).to_bytes()].concat();
        Signature::new(self.verifier.name.clone(), self.verifier.id, bytes)
    }
}

/// A log's key (type 0x01).
pub struct SigningKey(Secret);

impl SigningKey {
    /// The key of a 32-byte seed. The caller's copy of the seed is wiped when it is dropped, and so is this one.
    #[must_use]
    pub fn from_seed(name: KeyName, seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(Secret::new(name, Algorithm::Ed25519, seed))
    }

    /// What others verify with.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        self.0.verifier()
    }

    /// Signs a note's text.
    #[must_use]
    pub fn sign(&self, text: &str) -> Signature {
        self.0.sign(&[], text.as_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("SigningKey").field(&self.0.verifier.to_string()).finish()
    }
}

/// A key that verifies, with its name and id. Its text form ("vkey") is what policies and settings carry.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    algorithm: Algorithm,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifierKey {
    fn of(name: KeyName, algorithm: Algorithm, key: ed25519_dalek::VerifyingKey) -> Self {
        let id = KeyId::of(&name, algorithm, key.as_bytes());
        Self { name, id, algorithm, key }
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What the key signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether a signature line names this key.
    #[must_use]
    pub fn made(&self, signature: &Signature) -> bool {
        self.id == signature.key_id() && self.name == *signature.name()
    }

    /// Whether these 64 bytes are the key's Ed25519 signature of the message, by the strict rules.
    fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.key.verify_strict(message, &signature).is_ok()
    }

    /// Checks the bytes of a signature line over a note's text. `None` if they are not this key's signature.
    pub(super) fn check(&self, text: &str, bytes: &[u8]) -> Option<VerifiedSignature<'_>> {
        let (signed_at_secs, valid) = match self.algorithm {
            Algorithm::Ed25519 => (None, self.verifies(text.as_bytes(), bytes.try_into().ok()?)),
            Algorithm::Cosignature => {
                let (time, signature) = cosignature::split(bytes)?;
                (Some(time), self.verifies(cosignature::message(text, time).as_bytes(), signature))
            }
        };
        valid.then_some(VerifiedSignature { key: self, signed_at_secs })
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let name: KeyName = name.parse()?;
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        // 33 bytes are 44 characters of base64 without padding.
        if id.len() != 8 || !id.bytes().all(lower) || key.len() != 44 {
            return Err(KeyError::Form);
        }
        let mut stated = [0; 4];
        hex::decode_to_slice(id, &mut stated).map_err(|_| KeyError::Form)?;
        let bytes = STANDARD.decode(key).map_err(|_| KeyError::Form)?;
        let (algorithm, key) = match bytes.split_first() {
            Some((0x01, key)) => (Algorithm::Ed25519, key),
            Some((0x04, key)) => (Algorithm::Cosignature, key),
            Some((other, _)) => return Err(KeyError::Algorithm(*other)),
            None => return Err(KeyError::Form),
        };
        let key: &[u8; 32] = key.try_into().map_err(|_| KeyError::PublicKey)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| KeyError::PublicKey)?;
        if key.is_weak() {
            return Err(KeyError::PublicKey);
        }
        let key = Self::of(name, algorithm, key);
        if key.id == KeyId(stated) { Ok(key) } else { Err(KeyError::Id) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.algorithm.byte()][..], self.key.as_bytes()].concat();
        write!(out, "{}+{}+{}", self.name, self.id, STANDARD.encode(key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "VerifierKey({self})")
    }
}
