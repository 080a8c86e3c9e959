//! A key without a name, which lives as long as one process and signs what that process says about itself.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ed25519_dalek::{Signer, VerifyingKey};
use zeroize::Zeroizing;

/// An Ed25519 key of one process. Never stored; wiped from memory when it is dropped.
pub struct SessionKey(ed25519_dalek::SigningKey);

impl SessionKey {
    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The public key: 43 characters of base64 without padding.
    #[must_use]
    pub fn public(&self) -> String {
        STANDARD_NO_PAD.encode(self.0.verifying_key().as_bytes())
    }

    /// Signs a message: 86 characters of base64 without padding.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        STANDARD_NO_PAD.encode(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("SessionKey").field(&self.public()).finish()
    }
}

/// Whether a signature of [`SessionKey::sign`] is that of the public key, by the strict rules.
#[must_use]
pub fn is_signed_in_session(public: &str, message: &[u8], signature: &str) -> bool {
    let key = || <[u8; 32]>::try_from(STANDARD_NO_PAD.decode(public).ok()?).ok();
    let bytes = || <[u8; 64]>::try_from(STANDARD_NO_PAD.decode(signature).ok()?).ok();
    let (Some(key), Some(bytes)) = (key(), bytes()) else { return false };
    let Ok(key) = VerifyingKey::from_bytes(&key) else { return false };
    key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&bytes)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_key_and_one_message() {
        let [one, other] = [1, 2].map(|byte| SessionKey::from_seed(&Zeroizing::new([byte; 32])));
        let signature = one.sign(b"message");
        assert!(is_signed_in_session(&one.public(), b"message", &signature));
        assert!(!is_signed_in_session(&one.public(), b"massage", &signature));
        assert!(!is_signed_in_session(&other.public(), b"message", &signature));
        assert!(!is_signed_in_session(&one.public(), b"message", ""));
        assert!(!is_signed_in_session("AAAA", b"message", &signature));
        assert_eq!((one.public().len(), signature.len()), (43, 86));
    }
}
