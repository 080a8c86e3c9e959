//! Witnesses asked for their signatures; what they answer tells what they have seen.

use std::sync::atomic::{AtomicBool, Ordering};

use super::error::Trouble;
use super::{
    Divergence, Head, PublishError, PublishSettings, Publisher, WitnessSettings, bucket, sql, stored,
};
use crate::audit::tlog::{
    AddCheckpoint, Algorithm, Checkpoint, Signature, SignedNote, VerifierKey, consistency_proof,
    consistency_tiles,
};

/// A witness that is asked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) url: String,
    pub(super) key: VerifierKey,
    /// Whether it has answered since the start: until then it is asked even if there is nothing new to sign.
    has_answered: AtomicBool,
}

impl Publisher {
    /// Asks one witness for its signature.
    pub(super) async fn ask(
        &self,
        witness: &Asked,
        head: &Head,
        checkpoint: &Checkpoint,
        note: &SignedNote,
    ) -> Result<(), Trouble> {
        /// Another daemon may be asking at the same time.
        const TRIES: usize = 4;
        let size = checkpoint.size;
        let mut old = self.newest_cosigned(&head.origin, &witness.key).await?.unwrap_or(0);
        if old == size && witness.has_answered.load(Ordering::Relaxed) {
            return Ok(());
        }
        let place = || place_of(witness);
        let url = url_of(witness);
        for _ in 0..TRIES {
            let wanted =
                consistency_tiles(old, size).ok_or(PublishError::Altered("a checkpoint is missing"))?;
            let tiles = self.tiles(&wanted).await?;
            let proof = consistency_proof(&tiles, old, size)
                .map_err(|_| PublishError::Altered("a tile is missing"))?;
            let request = AddCheckpoint { old, proof, note: note.clone() };
            let reply = self.post.send(&url, request.to_string()).await.map_err(Trouble::Away)?;
            match reply.status {
                200 => {
                    let line = cosignature(note, &reply.text, &witness.key)
                        .ok_or_else(|| Trouble::Away("answers without a valid cosignature".to_owned()))?;
                    let mut connection = self.store.connection().await?;
                    let (name, id) = (witness.key.name().as_str(), witness.key.id());
                    sql::insert_cosignature(&mut connection, stored(size), name, &id.0, &line).await?;
                    witness.has_answered.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                409 => {
                    let seen = seen_by(&reply.text)?;
                    if seen > size {
                        return self.ensure_not_ahead(place(), seen).await;
                    }
                    if seen == old {
                        return Err(Divergence::Fork { place: place(), size: seen, root: None }.into());
                    }
                    old = seen;
                }
                422 => return Err(Divergence::Fork { place: place(), size: old, root: None }.into()),
                status => return Err(refused(status)),
            }
        }
        Err(Trouble::Away("changes its mind faster than it can be asked".to_owned()))
    }

    /// Asks one witness what it has seen, and for no signature under anything else: the log in the database is not the one
    /// that another place has. So the request says that the witness has seen this very head, and is refused where it has not.
    pub(super) async fn probe(
        &self,
        witness: &Asked,
        head: &Head,
        checkpoint: &Checkpoint,
        note: &SignedNote,
    ) -> Result<(), Trouble> {
        let size = checkpoint.size;
        let request = AddCheckpoint { old: size, proof: Vec::new(), note: note.clone() };
        let reply = self.post.send(&url_of(witness), request.to_string()).await.map_err(Trouble::Away)?;
        match reply.status {
            200 => Ok(()),
            409 => {
                let seen = seen_by(&reply.text)?;
                if seen > size {
                    return self.ensure_not_ahead(place_of(witness), seen).await;
                }
                let known = self.newest_cosigned(&head.origin, &witness.key).await?.unwrap_or(0);
                if seen > known || seen == size {
                    // It has signed a head of that size which the database does not know.
                    return Err(Divergence::Fork { place: place_of(witness), size: seen, root: None }.into());
                }
                Ok(())
            }
            422 => Err(Divergence::Fork { place: place_of(witness), size, root: None }.into()),
            status => Err(refused(status)),
        }
    }

    /// A size that is ahead of a checkpoint is ahead of the database only if it is ahead of what is sealed by now.
    async fn ensure_not_ahead(&self, place: String, outside: u64) -> Result<(), Trouble> {
        let inside = self.head().await?.size;
        if outside > inside {
            return Err(Divergence::Ahead { place, outside, inside, root: None }.into());
        }
        Ok(())
    }

    pub(super) async fn newest_cosigned(
        &self,
        origin: &str,
        key: &VerifierKey,
    ) -> Result<Option<u64>, PublishError> {
        let mut connection = self.store.connection().await?;
        let id = key.id();
        let size = sql::newest_cosigned(&mut connection, origin, key.name().as_str(), &id.0).await?;
        Ok(size.and_then(|size| u64::try_from(size).ok()))
    }
}

/// A witness in words.
fn place_of(witness: &Asked) -> String {
    format!("the witness {}", witness.key.name())
}

fn url_of(witness: &Asked) -> String {
    format!("{}/add-checkpoint", witness.url.trim_end_matches('/'))
}

/// The size that a witness has seen, as it tells with a conflict.
fn seen_by(text: &str) -> Result<u64, Trouble> {
    let seen = text.strip_suffix('\n').and_then(|text| text.parse().ok());
    seen.ok_or_else(|| Trouble::Away("answers 409 without a size".to_owned()))
}

/// A status that says nothing of what the witness has seen.
fn refused(status: u16) -> Trouble {
    Trouble::Away(match status {
        403 | 404 => {
            "does not accept this log; give its operator the keys of `dsrd audit key show`".to_owned()
        }
        status => format!("answers with status {status}"),
    })
}

/// Reads the settings of a witness.
pub(super) fn asked(settings: &WitnessSettings) -> Result<Asked, PublishError> {
    let key: VerifierKey = settings.verifier_key.parse().map_err(|_| {
        PublishError::Witness("verifier_key is not a key; take what `dsrd witness serve` prints")
    })?;
    if key.algorithm() != Algorithm::Cosignature {
        return Err(PublishError::Witness("verifier_key is the key of a log, not of a witness"));
    }
    if !settings.url.starts_with("https://") && !settings.url.starts_with("http://") {
        return Err(PublishError::Witness("url must begin with https:// or http://"));
    }
    Ok(Asked { url: settings.url.clone(), key, has_answered: AtomicBool::new(false) })
}

impl PublishSettings {
    /// Whether a publisher can be made of them.
    pub fn check(&self) -> Result<(), PublishError> {
        bucket::check(self)?;
        self.witnesses.iter().try_for_each(|witness| asked(witness).map(drop))
    }
}

/// The line among an answer's that is this witness's signature of the note.
fn cosignature(note: &SignedNote, answer: &str, key: &VerifierKey) -> Option<String> {
    let lines = answer.strip_suffix('\n')?.split('\n');
    let signatures: Vec<Signature> = lines.map(str::parse).collect::<Result<_, _>>().ok()?;
    let line = signatures.into_iter().find(|signature| key.made(signature))?;
    let text = line.to_string();
    let alone = SignedNote::new(note.text().to_owned(), vec![line]).ok()?;
    alone.verify([key]).ok().map(|_| text)
}
