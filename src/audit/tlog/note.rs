//! Signed notes: a text, an empty line, and one line per signature (signed-note).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::key::{KeyError, KeyId, KeyName, VerifierKey};

/// The longest note that is read, in bytes: room for the 16 large post-quantum signatures that the format demands.
pub const MAX_NOTE_BYTES: usize = 128 * 1024;

/// The most signature lines that are read.
pub const MAX_SIGNATURES: usize = 64;

/// What every signature line begins with: an em dash and a space.
const SIGNATURE_START: &str = "\u{2014} ";

/// A text that is no signed note, or a note that is not signed as it should be.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE_BYTES`].
    #[error("the signed note is longer than 128 KiB")]
    TooLong,
    /// A control character other than newline, or bytes that are not UTF-8.
    #[error("the signed note is not plain UTF-8 text without control characters")]
    Characters,
    /// No text that ends in a newline, or no empty line after it.
    #[error("the signed note is not a text, an empty line and signature lines")]
    Form,
    /// A line after the last empty line is not a signature.
    #[error("signature line {0} of the signed note is malformed")]
    SignatureLine(usize),
    /// More than [`MAX_SIGNATURES`] lines.
    #[error("the signed note has more than 64 signatures")]
    TooManySignatures,
    /// The name in a signature line cannot be that of a key.
    #[error("signature line {line} of the signed note has no possible name")]
    Name {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// A line names a known key but is not its signature.
    #[error("the signature by {0} is not valid for this text")]
    Invalid(KeyName),
    /// None of the given keys signed.
    #[error("the signed note carries no signature by a known key")]
    Unsigned,
}

/// One signature line.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    name: KeyName,
    key_id: KeyId,
    bytes: Vec<u8>,
}

impl Signature {
    /// `bytes` is what follows the key's id. The caller passes at least one.
    pub(super) fn new(name: KeyName, key_id: KeyId, bytes: Vec<u8>) -> Self {
        Self { name, key_id, bytes }
    }

    /// The name of the key that is said to have signed.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The id of the key that is said to have signed.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Reads a line without its newline, as witnesses answer and as columns keep it.
    fn from_line(line: &str, number: usize) -> Result<Self, NoteError> {
        let malformed = || NoteError::SignatureLine(number);
        let rest = line.strip_prefix(SIGNATURE_START).ok_or_else(malformed)?;
        let (name, encoded) = rest.split_once(' ').ok_or_else(malformed)?;
        let name = name.parse().map_err(|source| NoteError::Name { line: number, source })?;
        let bytes = STANDARD.decode(encoded).map_err(|_| malformed())?;
        let (id, bytes) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
        if bytes.is_empty() {
            return Err(malformed());
        }
        Ok(Self { name, key_id: KeyId(*id), bytes: bytes.to_vec() })
    }
}

impl FromStr for Signature {
    type Err = NoteError;

    /// Reads one signature line, without newline.
    fn from_str(line: &str) -> Result<Self, NoteError> {
        check_characters(line)?;
        Self::from_line(line, 1)
    }
}

impl fmt::Display for Signature {
    /// The signature line, without newline.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key_id.0[..], &self.bytes].concat();
        write!(out, "{SIGNATURE_START}{} {}", self.name, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Signature({self})")
    }
}

/// A signature that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedSignature<'k> {
    /// The key that made it, one of those that were given.
    pub key: &'k VerifierKey,
    /// When a witness signed, in seconds since 1970; `None` for signatures without time.
    pub signed_at_secs: Option<u64>,
}

/// A text with signatures, of which none is checked yet: believe only what [`Self::verify`] answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<Signature>,
}

impl SignedNote {
    /// Puts signatures under a text, which must end in a newline.
    pub fn new(text: String, signatures: Vec<Signature>) -> Result<Self, NoteError> {
        check_characters(&text)?;
        if !text.ends_with('\n') || signatures.is_empty() {
            return Err(NoteError::Form);
        }
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let note = Self { text, signatures };
        if note.to_string().len() > MAX_NOTE_BYTES { Err(NoteError::TooLong) } else { Ok(note) }
    }

    /// Reads a note as it came from a file or the network.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong);
        }
        std::str::from_utf8(bytes).map_err(|_| NoteError::Characters)?.parse()
    }

    /// The signed text, with its final newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines in their order, unchecked.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The same note with more signatures below the others: those of witnesses. Lines that it has already are left out.
    pub fn with_signatures(mut self, more: impl IntoIterator<Item = Signature>) -> Result<Self, NoteError> {
        for signature in more {
            if !self.signatures.contains(&signature) {
                self.signatures.push(signature);
            }
        }
        Self::new(self.text, self.signatures)
    }

    /// Checks the signatures by the given keys and ignores all others.
    ///
    /// A line that names a given key and is not its signature refuses the whole note, and so does a note that none of
    /// the keys signed. Each key appears once in the answer, in the order of its first line.
    pub fn verify<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<Vec<VerifiedSignature<'k>>, NoteError> {
        let keys: Vec<_> = keys.into_iter().collect();
        let mut verified: Vec<VerifiedSignature<'k>> = Vec::new();
        for signature in &self.signatures {
            let Some(&key) = keys.iter().find(|key| key.made(signature)) else { continue };
            let checked = key.check(&self.text, &signature.bytes);
            let checked = checked.ok_or_else(|| NoteError::Invalid(signature.name.clone()))?;
            if verified.iter().all(|known| known.key != checked.key) {
                verified.push(checked);
            }
        }
        if verified.is_empty() { Err(NoteError::Unsigned) } else { Ok(verified) }
    }
}

impl FromStr for SignedNote {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        check_characters(note)?;
        // The text may hold empty lines itself: the last one is the border.
        let border = note.rfind("\n\n").ok_or(NoteError::Form)? + 1;
        let (text, lines) = (&note[..border], &note[border + 1..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        let mut signatures = Vec::new();
        for (index, line) in lines.split('\n').enumerate() {
            if index >= MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(Signature::from_line(line, index + 1)?);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(out, "{signature}"))
    }
}

/// Length and characters that a note may have.
fn check_characters(text: &str) -> Result<(), NoteError> {
    if text.len() > MAX_NOTE_BYTES {
        return Err(NoteError::TooLong);
    }
    if text.bytes().any(|byte| byte < b' ' && byte != b'\n') { Err(NoteError::Characters) } else { Ok(()) }
}
