//! What a sealer knows of the stored log, and how it is read and compared with what was signed.

use chrono::{DateTime, Utc};

use super::{SealError, sql};
use crate::audit::keys::LogKeys;
use crate::audit::tlog::{Checkpoint, Edge, Hash, KeyName, SignedNote, SigningKey, TileHashes, VerifierKey};
use crate::store::PgConnection;

/// The right edge of the tree, the head that was signed over it, and who signs.
pub(super) struct State {
    pub(super) edge: Edge,
    pub(super) origin: KeyName,
    /// The keys that the log names, oldest first.
    pub(super) signers: Vec<SigningKey>,
    pub(super) note: Option<String>,
    pub(super) signed_at: Option<DateTime<Utc>>,
    /// Size and instant of the last checkpoint that was kept.
    pub(super) kept: Option<(u64, DateTime<Utc>)>,
}

/// What a transaction did to the tree.
pub(super) struct Extended {
    pub(super) edge: Edge,
    pub(super) note: String,
    pub(super) signed_at: DateTime<Utc>,
    pub(super) is_kept: bool,
}

impl Extended {
    pub(super) fn into_state(self, former: &mut State) -> State {
        let kept = if self.is_kept { Some((self.edge.size(), self.signed_at)) } else { former.kept };
        State {
            edge: self.edge,
            origin: former.origin.clone(),
            signers: std::mem::take(&mut former.signers),
            note: Some(self.note),
            signed_at: Some(self.signed_at),
            kept,
        }
    }
}

impl State {
    /// Reads the stored state and compares it with what was signed.
    pub(super) async fn load(
        connection: &mut PgConnection,
        head: sql::HeadRow,
        keys: &LogKeys,
        former: &[VerifierKey],
    ) -> Result<Self, SealError> {
        let origin: KeyName = head.origin.parse().map_err(SealError::OriginMalformed)?;
        let is_named = |key: &VerifierKey| head.verifier_keys.contains(&key.to_string());
        if !former.iter().all(is_named) {
            return Err(SealError::Rotation(
                "the log in the database names no such former key; `dsrd audit key show` shows which it names",
            ));
        }
        let mut signers = keys.signing_keys(&origin);
        signers.retain(|key| is_named(key.verifier()));
        let known: Vec<&VerifierKey> = signers.iter().map(SigningKey::verifier).chain(former).collect();
        let found: Vec<String> = known.iter().map(ToString::to_string).collect();
        if let Some(wanted) = head.verifier_keys.iter().find(|key| !found.contains(key)) {
            return Err(SealError::KeyOther { wanted: wanted.clone() });
        }
        let edge = restore(&head, sql::edge(connection).await?)?;
        if let Some(note) = &head.note {
            check_note(note, &origin, &edge, known)?;
        } else if edge.size() > 0 {
            return Err(SealError::Altered { what: "the signed note is missing" });
        }
        let kept = sql::last_checkpoint(connection).await?;
        let kept = kept.map(|last| (u64::try_from(last.size).unwrap_or_default(), last.signed_at));
        Ok(Self { edge, origin, signers, note: head.note, signed_at: head.signed_at, kept })
    }
}

fn restore(head: &sql::HeadRow, rows: Vec<sql::EdgeRow>) -> Result<Edge, SealError> {
    let altered = |what| SealError::Altered { what };
    let size = u64::try_from(head.size).map_err(|_| altered("the size of the head"))?;
    let mut partial = Vec::with_capacity(rows.len());
    for row in rows {
        let wrong = || altered("the edge of the tree");
        partial.push(TileHashes {
            level: row.level.try_into().map_err(|_| wrong())?,
            index: row.n.try_into().map_err(|_| wrong())?,
            hashes: Hash::row_from_bytes(&row.hashes).map_err(|_| wrong())?,
        });
    }
    let edge = Edge::restore(size, partial).map_err(|_| altered("the edge of the tree"))?;
    if edge.root().0 == head.root.as_slice() { Ok(edge) } else { Err(altered("the root of the tree")) }
}

/// The note must be signed by a key that signs now: every change of keys is signed by those of before and after.
fn check_note(note: &str, origin: &KeyName, edge: &Edge, keys: Vec<&VerifierKey>) -> Result<(), SealError> {
    let wrong = |_| SealError::Altered { what: "the signed note" };
    let note = SignedNote::from_bytes(note.as_bytes()).map_err(wrong)?;
    let opened = Checkpoint::open(&note, keys).map_err(|_| SealError::Altered { what: "the signed note" })?;
    let Checkpoint { origin: named, size, root } = opened.checkpoint;
    if named == *origin && size == edge.size() && root == edge.root() {
        Ok(())
    } else {
        Err(SealError::Altered { what: "the head and its signed note" })
    }
}
