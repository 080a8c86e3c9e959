//! Cosignatures: a witness states that it saw a checkpoint, consistent with all it saw before, at a time
//! (tlog-cosignature, type 0x04).

use std::fmt;

use zeroize::Zeroizing;

use super::checkpoint::Checkpoint;
use super::key::{Algorithm, KeyName, Secret, VerifierKey};
use super::note::Signature;
use super::text::{self, NumberError};

/// A witness's key (type 0x04). One witness, one key: the signed message does not name the witness.
pub struct CosigningKey(Secret);

impl CosigningKey {
    /// The key of a 32-byte seed. The caller's copy of the seed is wiped when it is dropped, and so is this one.
    #[must_use]
    pub fn from_seed(name: KeyName, seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(Secret::new(name, Algorithm::Cosignature, seed))
    }

    /// What others verify with.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        self.0.verifier()
    }

    /// States that at `now_secs` (seconds since 1970) this is the largest consistent head that was seen of its log.
    /// The caller must have checked exactly that, and stored it. Fails only for times of 2^63 and later.
    pub fn sign(&self, checkpoint: &Checkpoint, now_secs: u64) -> Result<Signature, NumberError> {
        let time = text::within_range(now_secs)?;
        Ok(self.0.sign(&time.to_be_bytes(), message(&checkpoint.to_string(), time).as_bytes()))
    }
}

impl fmt::Debug for CosigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("CosigningKey").field(&self.0.verifier().to_string()).finish()
    }
}

/// The message that is signed: the header keeps it apart from every other use of the key.
pub(super) fn message(checkpoint: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{checkpoint}")
}

/// Takes the bytes of a signature line apart: time and Ed25519 signature.
pub(super) fn split(bytes: &[u8]) -> Option<(u64, &[u8; 64])> {
    let (time, signature) = bytes.split_first_chunk::<8>()?;
    let time = text::within_range(u64::from_be_bytes(*time)).ok()?;
    Some((time, signature.try_into().ok()?))
}
