//! Spoiling one record of an answer.

use super::{CallFaults, Fault, Poison};

/// The record of an answer that is to be spoilt.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    poison: Poison,
    position: usize,
}

impl Target {
    /// The target of a call, if there is one.
    pub(crate) fn of(faults: &CallFaults) -> Option<Self> {
        faults.find(|fault| match fault {
            Fault::Poison { poison, position } => Some(Self { poison: poison.clone(), position: *position }),
            _ => None,
        })
    }

    /// Spoils the record that `out` ends with, from `start`, when it stands at the target's position.
    pub(crate) fn spoil(&self, out: &mut Vec<u8>, start: usize, position: usize) {
        if position == self.position {
            self.poison.spoil(out, start);
        }
    }

    /// Spoils a record that stands alone.
    pub(crate) fn spoil_alone(&self, out: &mut Vec<u8>, start: usize) {
        self.poison.spoil(out, start);
    }
}

impl Poison {
    /// Spoils the object that `out` ends with, from `start`.
    fn spoil(&self, out: &mut Vec<u8>, start: usize) {
        let member = match self {
            Self::Nul => {
                // A hostile first name; records without one get a note.
                if !replace(out, start, b"\"firstName\":\"", b"\"firstName\":\"\\u0000") {
                    append(out, b"\"note\":\"a\\u0000b\"");
                }
                return;
            }
            Self::WithoutId => {
                for key in [&b"\"cid\":"[..], b"\"id\":", b"\"macAddress\":"] {
                    if replace(out, start, key, b"\"was\":") {
                        return;
                    }
                }
                return;
            }
            Self::NotAnObject => {
                out.truncate(start);
                return out.extend_from_slice(b"42");
            }
            Self::Record(text) => {
                out.truncate(start);
                return out.extend_from_slice(text.as_bytes());
            }
            Self::LoneSurrogate => b"\"companyName\":\"half \\ud83d pair\"".to_vec(),
            Self::HugeExponent => b"\"score\":1e999".to_vec(),
            Self::FortyDigits => b"\"points\":1234567890123456789012345678901234567890".to_vec(),
            Self::DeepNesting => {
                let mut member = b"\"custom\":".to_vec();
                member.resize(member.len() + NESTING, b'[');
                member.resize(member.len() + NESTING, b']');
                member
            }
            Self::DuplicateCid => b"\"cid\":\"00000000000000000000000000000000\"".to_vec(),
            Self::InvalidUtf8 => b"\"companyName\":\"\xff\xfe caf\xe9\"".to_vec(),
        };
        append(out, &member);
    }
}

/// How deep arrays are nested.
const NESTING: usize = 200_000;

/// Adds a member to the object that `out` ends with.
fn append(out: &mut Vec<u8>, member: &[u8]) {
    out.pop();
    out.push(b',');
    out.extend_from_slice(member);
    out.push(b'}');
}

/// Replaces the first `old` after `start`; false when there is none.
fn replace(out: &mut Vec<u8>, start: usize, old: &[u8], new: &[u8]) -> bool {
    let found = out[start..].windows(old.len()).position(|window| window == old);
    if let Some(at) = found {
        out.splice(start + at..start + at + old.len(), new.iter().copied());
    }
    found.is_some()
}
