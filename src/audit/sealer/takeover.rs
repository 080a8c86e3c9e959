//! The key that signs the log is exchanged at once, because somebody else may have it.
//!
//! The usual exchange has a time in which both keys sign, so that everybody can get the new one. After a theft that time is
//! the thief's. So one transaction seals the entry `log.key` as the last one of the old key's time, under a head that both keys
//! sign and that is kept: the takeover head. From it on the log names the new key alone. Whoever has the takeover head and the
//! new key, from the operator's own mouth, needs nothing else to tell this log from the thief's: theirs bears the old signature only.
//!
//! What the entry says proves nothing, because the thief can write such, too; the takeover head is found again by both
//! signatures under it.

use super::{KeyChange, SealError, Sealer, State, sql};
use crate::audit::keys::LogKeys;
use crate::audit::leaf::{DetailValue, Leaf};
use crate::audit::tlog::{Checkpoint, Hash, SignedNote, SigningKey, VerifierKey};

/// The head at which a key took over.
#[derive(Clone, Debug)]
pub struct Takeover {
    /// How many entries it covers; the last one tells of the exchange.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
    /// The signed note.
    pub note: String,
    /// The key that signs no more.
    pub former: VerifierKey,
    /// The key that signs from there on.
    pub present: VerifierKey,
}

impl Sealer {
    /// The seed that signs and a fresh one behind it, for the key file. A second seed of the file that the log has not named
    /// yet is left out: it lay beside the stolen one.
    pub async fn fresh_keys(&self) -> Result<LogKeys, SealError> {
        let state = self.state.lock().await;
        let signer = the_one(&state)?;
        self.keys()
            .replacing(signer.verifier())
            .ok_or_else(|| SealError::KeyOther { wanted: signer.verifier().to_string() })
    }

    /// Lets the newest key of the key file sign instead of the present one, from the next entry on.
    pub async fn replace_key(&self) -> Result<Takeover, SealError> {
        let mut state = self.state.lock().await;
        let tx = self.begin(&mut state).await?;
        let former = the_one(&state)?.verifier().clone();
        let keys = self.keys().signing_keys(&state.origin);
        let [first, second] = keys.as_slice() else {
            return Err(SealError::Rotation("a key is replaced where the key file holds it and a new one"));
        };
        if *first.verifier() != former {
            return Err(SealError::Rotation(
                "the key file holds another key before the new one than the log's",
            ));
        }
        let present = second.verifier().clone();
        let signers = keys.into_iter().skip(1).collect();
        let note = self.change_keys(tx, &mut state, signers, KeyChange::Replaced).await?;
        opened(note, former, present).ok_or(SealError::Altered { what: "the takeover head" })
    }

    /// The head at which the key that signs now, alone, took over at once; `None` where it came in another way.
    pub async fn takeover(&self) -> Result<Option<Takeover>, SealError> {
        let state = self.state.lock().await;
        let Ok(present) = the_one(&state) else { return Ok(None) };
        let changes = sql::key_changes(&mut *self.store.connection().await?).await?;
        Ok(changes.into_iter().find_map(|changed| {
            let leaf = Leaf::parse(&changed.entry).ok()?;
            let word = |key: &str| match leaf.detail.get(key) {
                Some(DetailValue::Word(word)) => Some(word.as_str()),
                _ => None,
            };
            if word("change") != Some(KeyChange::Replaced.as_str()) {
                return None;
            }
            let former = format!("{}+{}+{}", state.origin, word("former_id")?, word("former")?);
            opened(changed.note, former.parse().ok()?, present.verifier().clone())
        }))
    }
}

/// The key that signs, where it is one alone.
fn the_one(state: &State) -> Result<&SigningKey, SealError> {
    match state.signers.as_slice() {
        [one] => Ok(one),
        _ => Err(SealError::Rotation("two keys sign the log; the older one is to be retired first")),
    }
}

/// A head that both keys signed.
fn opened(note: String, former: VerifierKey, present: VerifierKey) -> Option<Takeover> {
    let signed = SignedNote::from_bytes(note.as_bytes()).ok()?;
    let head = Checkpoint::open(&signed, [&former, &present]).ok()?;
    let by_both = head.signatures.len() == 2 && head.checkpoint.origin == *present.name();
    let Checkpoint { size, root, .. } = head.checkpoint;
    by_both.then_some(Takeover { size, root, note, former, present })
}
