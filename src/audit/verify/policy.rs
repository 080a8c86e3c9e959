//! Whom the auditor trusts: a policy file (c2sp.org/tlog-policy).

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use crate::audit::tlog::{Algorithm, KeyError, OpenedCheckpoint, VerifierKey};

/// The most lines of a kind that are read.
const MOST: usize = 256;

/// A text that is no policy.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum PolicyError {
    /// A control character.
    #[error("the policy has a control character other than tab and newline")]
    Characters,
    /// A line that is none of the known ones.
    #[error(
        "line {line} of the policy is not one of: log VKEY [URL], witness NAME VKEY [URL], group NAME N|any|all MEMBER…, quorum NAME"
    )]
    Line {
        /// The line, counted from 1.
        line: usize,
    },
    /// A key that cannot be read.
    #[error("line {line} of the policy has a key that cannot be read")]
    Key {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// A key of the wrong kind: logs sign with type 0x01, witnesses with type 0x04.
    #[error("line {line} of the policy has a key of the wrong type (logs: Ed25519, witnesses: cosignature)")]
    KeyType {
        /// The line, counted from 1.
        line: usize,
    },
    /// A key or name that stands twice, or a member that is in a group already.
    #[error("line {line} of the policy repeats a key, a name or a member")]
    Repeated {
        /// The line, counted from 1.
        line: usize,
    },
    /// A name that no line above defines.
    #[error("line {line} of the policy uses a name that no line above it defines")]
    Unknown {
        /// The line, counted from 1.
        line: usize,
    },
    /// Not exactly one quorum.
    #[error("the policy must have exactly one quorum line (quorum none asks for no witness)")]
    Quorum,
    /// No log: nothing could be verified.
    #[error("the policy names no log; add a line: log VKEY")]
    NoLog,
    /// More lines of a kind than are read.
    #[error("the policy is larger than this program reads (256 lines of a kind)")]
    TooLarge,
}

/// How many of which members have to have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Member {
    Witness(VerifierKey),
    Group { needed: usize, members: Vec<String> },
}

/// The keys that are believed, and how many witnesses are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    members: BTreeMap<String, Member>,
    quorum: Option<String>,
    stamps: Option<StampCheck>,
}

/// Checks the token of a head's hash (SHA-256 of its text): the second since 1970 at which it was stamped, or what is wrong.
type Stamped = dyn Fn(&[u8], &[u8; 32]) -> Result<u64, String> + Send + Sync;

/// How time-stamps are checked, with whom is believed.
#[derive(Clone)]
pub struct StampCheck(Arc<Stamped>);

impl StampCheck {
    /// Checks time-stamps of RFC 3161 against these authorities.
    #[cfg(feature = "timestamps")]
    #[must_use]
    pub fn by(authorities: crate::audit::timestamp::Authorities) -> Self {
        Self(Arc::new(move |token, hash| {
            let at = crate::audit::timestamp::check(token, hash, &authorities)
                .map_err(|error| error.to_string())?;
            u64::try_from(at.timestamp()).map_err(|_| "its instant lies before 1970".to_owned())
        }))
    }

    /// When the token of a head was made, in seconds since 1970, or what is wrong with it.
    pub(super) fn check(&self, token: &[u8], hash: &[u8; 32]) -> Result<u64, String> {
        self.0(token, hash)
    }
}

impl PartialEq for StampCheck {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for StampCheck {}

impl std::fmt::Debug for StampCheck {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("StampCheck").finish_non_exhaustive()
    }
}

impl Policy {
    /// Believes these keys of the log and asks for no witness.
    #[must_use]
    pub const fn of_logs(logs: Vec<VerifierKey>) -> Self {
        Self { logs, members: BTreeMap::new(), quorum: None, stamps: None }
    }

    /// The same, which also believes time-stamps.
    #[must_use]
    pub fn with_stamps(self, stamps: StampCheck) -> Self {
        Self { stamps: Some(stamps), ..self }
    }

    /// How time-stamps are checked, if they are.
    #[must_use]
    pub const fn stamps(&self) -> Option<&StampCheck> {
        self.stamps.as_ref()
    }

    /// The keys of the log.
    #[must_use]
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// All keys: the log's and the witnesses'.
    pub fn keys(&self) -> impl Iterator<Item = &VerifierKey> {
        let witnesses = self.members.values().filter_map(|member| match member {
            Member::Witness(key) => Some(key),
            Member::Group { .. } => None,
        });
        self.logs.iter().chain(witnesses)
    }

    /// Whether witnesses are asked for at all.
    #[must_use]
    pub const fn asks_for_witnesses(&self) -> bool {
        self.quorum.is_some()
    }

    /// Whether enough witnesses signed. Answers with the time (seconds since 1970) by which enough had.
    #[must_use]
    pub fn witnessed(&self, opened: &OpenedCheckpoint<'_>) -> Option<u64> {
        self.time_of(self.quorum.as_deref()?, opened)
    }

    fn time_of(&self, name: &str, opened: &OpenedCheckpoint<'_>) -> Option<u64> {
        match self.members.get(name)? {
            Member::Witness(key) => {
                opened.signatures.iter().find(|signature| signature.key == key)?.signed_at_secs
            }
            Member::Group { needed, members } => {
                // A group refers to lines above it only, so this ends.
                let mut times: Vec<u64> =
                    members.iter().filter_map(|member| self.time_of(member, opened)).collect();
                times.sort_unstable();
                times.get(needed.checked_sub(1)?).copied()
            }
        }
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        if text.bytes().any(|byte| (byte < b' ' && !matches!(byte, b'\n' | b'\t')) || byte == 0x7f) {
            return Err(PolicyError::Characters);
        }
        let mut policy = Self { logs: Vec::new(), members: BTreeMap::new(), quorum: None, stamps: None };
        let mut quorum = None;
        let mut grouped: Vec<&str> = Vec::new();
        for (index, content) in text.split('\n').enumerate() {
            let line = index + 1;
            let words: Vec<&str> = content.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            match *words.as_slice() {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["log", key] | ["log", key, _] => {
                    let key = read_key(key, Algorithm::Ed25519, line)?;
                    policy.refuse_repeated(&key, line)?;
                    policy.logs.push(key);
                }
                ["witness", name, key] | ["witness", name, key, _] => {
                    let key = read_key(key, Algorithm::Cosignature, line)?;
                    policy.refuse_repeated(&key, line)?;
                    policy.define(name, Member::Witness(key), line)?;
                }
                ["group", name, needed, ref members @ ..] if !members.is_empty() => {
                    for member in members {
                        if !policy.members.contains_key(*member) {
                            return Err(PolicyError::Unknown { line });
                        }
                        if grouped.contains(member) {
                            return Err(PolicyError::Repeated { line });
                        }
                        grouped.push(member);
                    }
                    let needed = match needed {
                        "any" => 1,
                        "all" => members.len(),
                        number => number.parse().map_err(|_| PolicyError::Line { line })?,
                    };
                    if !(1..=members.len()).contains(&needed) {
                        return Err(PolicyError::Line { line });
                    }
                    let members = members.iter().map(|&member| member.to_owned()).collect();
                    policy.define(name, Member::Group { needed, members }, line)?;
                }
                ["quorum", name] => {
                    if name != "none" && !policy.members.contains_key(name) {
                        return Err(PolicyError::Unknown { line });
                    }
                    if quorum.replace(name).is_some() {
                        return Err(PolicyError::Quorum);
                    }
                }
                _ => return Err(PolicyError::Line { line }),
            }
            if policy.logs.len() > MOST || policy.members.len() > MOST {
                return Err(PolicyError::TooLarge);
            }
        }
        policy.quorum = match quorum.ok_or(PolicyError::Quorum)? {
            "none" => None,
            name => Some(name.to_owned()),
        };
        if policy.logs.is_empty() { Err(PolicyError::NoLog) } else { Ok(policy) }
    }
}

impl Policy {
    fn define(&mut self, name: &str, member: Member, line: usize) -> Result<(), PolicyError> {
        if name == "none" || self.members.insert(name.to_owned(), member).is_some() {
            return Err(PolicyError::Repeated { line });
        }
        Ok(())
    }

    fn refuse_repeated(&self, key: &VerifierKey, line: usize) -> Result<(), PolicyError> {
        if self.keys().any(|known| known == key) { Err(PolicyError::Repeated { line }) } else { Ok(()) }
    }
}

fn read_key(text: &str, algorithm: Algorithm, line: usize) -> Result<VerifierKey, PolicyError> {
    let key: VerifierKey = text.parse().map_err(|source| PolicyError::Key { line, source })?;
    if key.algorithm() == algorithm { Ok(key) } else { Err(PolicyError::KeyType { line }) }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::audit::tlog::{Checkpoint, CosigningKey, EMPTY_ROOT, SigningKey};

    fn witness(number: u8) -> CosigningKey {
        let name = format!("witness.example/{number}").parse().unwrap();
        CosigningKey::from_seed(name, &Zeroizing::new([number; 32]))
    }

    #[test]
    fn a_quorum_of_two_levels_asks_for_both_groups() {
        let log = SigningKey::from_seed("log.example".parse().unwrap(), &Zeroizing::new([9; 32]));
        let text = format!(
            "# ours\nlog {}\n witness X1 {} https://x1.example\nwitness X2\t{}\nwitness Y {}\n\
             group X 1 X1 X2\ngroup both all X Y\nquorum both\n",
            log.verifier(),
            witness(1).verifier(),
            witness(2).verifier(),
            witness(3).verifier()
        );
        let policy: Policy = text.parse().unwrap();
        assert!(policy.asks_for_witnesses());
        let checkpoint = Checkpoint { origin: log.verifier().name().clone(), size: 0, root: EMPTY_ROOT };
        let note = checkpoint.sign([&log]).unwrap();
        let witnessed = |signers: &[(u8, u64)]| {
            let lines =
                signers.iter().map(|(number, time)| witness(*number).sign(&checkpoint, *time).unwrap());
            let note = note.clone().with_signatures(lines).unwrap();
            policy.witnessed(&Checkpoint::open(&note, policy.keys()).unwrap())
        };
        assert_eq!(witnessed(&[]), None);
        assert_eq!(witnessed(&[(1, 10), (2, 20)]), None);
        assert_eq!(witnessed(&[(2, 20), (3, 30)]), Some(30));
        assert_eq!(witnessed(&[(1, 40), (2, 20), (3, 30)]), Some(30), "the earlier one of X is enough");
    }

    #[test]
    fn what_a_policy_may_not_say_is_refused_with_its_line() {
        let log = SigningKey::from_seed("log.example".parse().unwrap(), &Zeroizing::new([9; 32]));
        let (log, one) = (log.verifier().to_string(), witness(1).verifier().to_string());
        let refused = |text: String| text.parse::<Policy>().unwrap_err();
        assert_eq!(refused(format!("log {log}\n")), PolicyError::Quorum);
        assert_eq!(refused("quorum none\n".to_owned()), PolicyError::NoLog);
        assert_eq!(refused(format!("log {one}\nquorum none\n")), PolicyError::KeyType { line: 1 });
        assert_eq!(
            refused(format!("log {log}\nlog {log}\nquorum none\n")),
            PolicyError::Repeated { line: 2 }
        );
        assert_eq!(refused(format!("log {log}\nquorum X\n")), PolicyError::Unknown { line: 2 });
        assert_eq!(
            refused(format!("log {log}\nwitness A {one}\ngroup G 2 A\nquorum G\n")),
            PolicyError::Line { line: 3 }
        );
        assert_eq!(refused(format!("log {log}\r\nquorum none\n")), PolicyError::Characters);
    }
}
