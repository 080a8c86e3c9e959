//! Heads leave the machine: what is signed is shown to others, so that a later rewriting or an older copy of the database
//! does not fit any more.
//!
//! Data enters as the newest kept checkpoint with its tree, read from the database. It leaves to a directory and to a
//! bucket (tlog-tiles), to witnesses (tlog-witness; their cosignatures come back into `audit.cosignature`), and by mail through
//! a [`Courier`] that the composition root hands in; their hashes go to a time-stamping authority (RFC 3161), whose tokens come
//! back into `audit.anchor`. Only heads and hashes leave; entries go to directory and bucket
//! only where the settings say so. Directory and bucket get the time-stamped heads with their tokens, too
//! ([`stamped`](super::stamped)): the directory at once, the bucket a day's together.
//!
//! Two things are done in this order: [`Publisher::look`] compares everything outside that can be read with the database, and
//! [`Publisher::publish`] brings each [`Sink`] what is new. A [`Divergence`] ends the first before anything is written: whoever
//! calls must stop sealing and working until a later look finds nothing or a person has named the fork
//! ([`Sealer::fork`](crate::audit::Sealer::fork)). The same holds where publishing finds that the stored log was altered
//! ([`Publisher::obstacle`]), until that sink has got everything after all.
//!
//! Invariants:
//! - A place that is away stops nothing: it is told once per outage, and gets what it missed when it is back. It holds up no
//!   other: each sink is published by itself, as long as that takes, and a look asks each place for seconds only.
//! - What a place was found to hold against the log stands until that place says otherwise; that it cannot be asked any more
//!   settles nothing.
//! - Every step can be repeated: tiles are immutable, the checkpoint comes after the tiles that it needs, and both are
//!   written whole or not at all.
//! - The head in the database is committed before it is published, so a head outside that is ahead of a head read *later*
//!   can only be one that the database has lost.
//!
//! To add a sink: a file here, a field of [`PublishSettings`], a word of [`Sink`] with its call in `sinks.rs` and a line in
//! `status.rs`.

mod asking;
mod aws;
mod bucket;
mod compare;
mod directory;
mod error;
mod fill;
mod mail;
mod memory;
mod post;
mod settings;
mod sinks;
mod sql;
#[cfg(feature = "timestamps")]
mod stamp;
mod status;
mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;

use self::asking::{Asked, asked};
use self::bucket::Bucket;
use self::error::Trouble;
pub use self::error::{Divergence, PublishError};
pub use self::mail::{Courier, HeadMail};
use self::memory::{Memory, Step};
use self::post::Post;
pub use self::settings::{PublishSettings, WitnessSettings};
pub use self::sinks::Sink;
pub use self::status::SinkStatus;
use super::tlog::{Checkpoint, Hash, SignedNote, Tile, TileHashes, TileMap};
use crate::domain::Clock;
use crate::store::Store;

/// How long the directory may take to tell what it holds: it may lie on a file system that does not answer any more.
const PATIENCE: Duration = Duration::from_secs(5);

/// The log as the database has it.
struct Head {
    origin: String,
    verifier_keys: Vec<String>,
    size: u64,
    /// The newest kept checkpoint.
    kept: Option<(Checkpoint, SignedNote)>,
}

/// What a look has found where everything agrees: which places can be published to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The size of the head that the directory has; none where it cannot be read.
    directory: Option<u64>,
    /// Whether there is a bucket that can be read.
    bucket: bool,
}

/// Shows heads to others and compares.
#[derive(Debug)]
pub struct Publisher {
    store: Store,
    clock: Arc<dyn Clock>,
    settings: PublishSettings,
    witnesses: Vec<Asked>,
    post: Post,
    bucket: Option<Bucket>,
    #[cfg(feature = "timestamps")]
    authority: Option<stamp::Authority>,
    courier: Option<Arc<dyn Courier>>,
    /// The largest time-stamped head that the bucket is known to have, in which folder of it.
    stamped_in_bucket: Mutex<Option<(String, u64)>>,
    /// Up to which size a place is known to have every bundle of the kept entries. Not kept anywhere: a place that this process
    /// has not seen whole is looked at.
    whole_entries: Mutex<BTreeMap<String, u64>>,
    /// The name of the log than which the bucket was seen to have none later, and when.
    latest_in_bucket: Mutex<Option<(String, DateTime<Utc>)>>,
    /// What failed the last time, and what stopped everything.
    memory: Mutex<Memory>,
    /// One look at the directory at a time, so that a file system that does not answer holds one thread and not more.
    looks: Arc<Semaphore>,
}

impl Publisher {
    /// Makes ready to publish. `store` must be one of [`Store::connect_as_sealer`], or of the service for [`Publisher::glance`]
    /// alone; nothing is connected yet.
    pub fn new(
        store: Store,
        settings: PublishSettings,
        courier: Option<Arc<dyn Courier>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PublishError> {
        let witnesses = settings.witnesses.iter().map(asked).collect::<Result<_, _>>()?;
        let post = Post::new()?;
        Ok(Self {
            store,
            clock,
            settings,
            witnesses,
            post,
            bucket: None,
            #[cfg(feature = "timestamps")]
            authority: None,
            courier,
            stamped_in_bucket: Mutex::default(),
            whole_entries: Mutex::default(),
            latest_in_bucket: Mutex::default(),
            memory: Mutex::default(),
            looks: Arc::new(Semaphore::new(1)),
        })
    }

    /// The same with the bucket that the settings name; `key` is the content of `bucket_key_file`.
    pub fn with_bucket(mut self, key: &str) -> Result<Self, PublishError> {
        self.bucket = Bucket::of(&self.settings, key, Arc::clone(&self.clock))?;
        Ok(self)
    }

    /// The same with the time-stamping authority that the settings name; `pem` is the content of
    /// `timestamp_certificate_file`.
    #[cfg(feature = "timestamps")]
    pub fn with_authority(mut self, pem: &[u8]) -> Result<Self, PublishError> {
        self.authority = stamp::Authority::of(&self.settings, pem)?;
        Ok(self)
    }

    /// Closes its connection.
    pub async fn close(&self) {
        self.store.close().await;
    }

    /// Compares everything outside that can be read with the database; answers with which places could be. Witnesses are
    /// asked for their signature in passing: they tell what they have seen in no other way.
    ///
    /// Of several that diverge the one that tells most of what was lost is named, since a recovery names it for ever. Once one
    /// diverges, witnesses sign nothing that they have not seen.
    pub async fn look(&self) -> Result<Looked, PublishError> {
        self.forget_of_other_name().await?;
        let mut worst = None;
        let mut looked = Looked { directory: None, bucket: false };
        let compared = self.compare_directory().await;
        if let Ok(size) = &compared {
            looked.directory = Some(*size);
        }
        self.settle_look(&mut worst, "directory", &self.directory(), &compared.map(drop))?;
        if let Some(bucket) = &self.bucket {
            let compared = self.compare_bucket(bucket).await;
            looked.bucket = compared.is_ok();
            self.settle_look(&mut worst, "bucket", &bucket.place(), &compared.map(drop))?;
        }
        let head = self.head().await?;
        if let Some((checkpoint, note)) = &head.kept {
            for witness in &self.witnesses {
                let asked = if worst.is_none() {
                    self.ask(witness, &head, checkpoint, note).await
                } else {
                    self.probe(witness, &head, checkpoint, note).await
                };
                self.settle_look(&mut worst, "witness", &witness.url, &asked)?;
            }
        }
        match worst {
            Some(found) => Err(found.into()),
            None => Ok(looked),
        }
    }

    /// The same as [`Publisher::settle`], but a divergence is kept, if it tells more than the one that was found before.
    fn settle_look(
        &self,
        worst: &mut Option<Divergence>,
        kind: &'static str,
        place: &str,
        ended: &Result<(), Trouble>,
    ) -> Result<(), PublishError> {
        match self.settle(Step::Look, kind, place, ended) {
            Err(PublishError::Diverged(found)) => {
                if worst.as_ref().is_none_or(|worst| found.weight() > worst.weight()) {
                    *worst = Some(found);
                }
                Ok(())
            }
            other => other,
        }
    }

    /// Compares what can be read without asking anybody over the network: the directory. For commands that seal in
    /// passing and must not do so behind an older copy.
    pub async fn glance(&self) -> Result<(), PublishError> {
        self.forget_of_other_name().await?;
        let compared = self.compare_directory().await.map(drop);
        self.keep(Step::Look, "directory", &self.directory(), &compared)
    }

    /// The directory in words.
    fn directory(&self) -> String {
        self.settings.directory.display().to_string()
    }

    async fn head(&self) -> Result<Head, PublishError> {
        let mut connection = self.store.connection().await?;
        let row = sql::head(&mut connection).await?;
        let kept = match (row.kept_size, row.kept_note) {
            (Some(size), Some(note)) => {
                Some(kept(&row.origin, size, &note).ok_or(PublishError::Altered("the newest checkpoint"))?)
            }
            _ => None,
        };
        let size = u64::try_from(row.size).map_err(|_| PublishError::Altered("the size of the head"))?;
        Ok(Head { origin: row.origin, verifier_keys: row.verifier_keys, size, kept })
    }

    async fn tiles(&self, wanted: &[Tile]) -> Result<TileMap, PublishError> {
        let levels: Vec<i16> = wanted.iter().map(|tile| i16::from(tile.level())).collect();
        let places: Vec<i64> = wanted.iter().map(|tile| stored(tile.index())).collect();
        let rows = sql::tiles(&mut *self.store.connection().await?, &levels, &places).await?;
        let wrong = || PublishError::Altered("a tile is malformed");
        rows.into_iter()
            .map(|row| {
                Ok(TileHashes {
                    level: row.level.try_into().map_err(|_| wrong())?,
                    index: row.n.try_into().map_err(|_| wrong())?,
                    hashes: Hash::row_from_bytes(&row.hashes).map_err(|_| wrong())?,
                })
            })
            .collect()
    }

    /// How often to call [`Publisher::round`].
    #[must_use]
    pub fn every(&self) -> Duration {
        Duration::from_secs(self.settings.every_secs.max(1).into())
    }

    /// Looks at files where that may block, for a short time: whoever is at work waits for the answer.
    async fn looking<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Trouble> {
        let late = || Trouble::Away("does not answer in time".to_owned());
        let looks = Arc::clone(&self.looks);
        let looking = async {
            let one = looks.acquire_owned().await.map_err(|_| late())?;
            blocking(move || {
                let seen = look();
                drop(one);
                seen
            })
            .await
        };
        tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| Err(late()))
    }
}

/// A kept checkpoint of the log of that name; `None` where what is stored is not one of that size.
fn kept(origin: &str, size: i64, note: &str) -> Option<(Checkpoint, SignedNote)> {
    let note = SignedNote::from_bytes(note.as_bytes()).ok()?;
    let checkpoint: Checkpoint = note.text().parse().ok()?;
    (checkpoint.origin.as_str() == origin && stored(checkpoint.size) == size).then_some((checkpoint, note))
}

/// Runs file operations where they may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Trouble> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Trouble::Away(match error.get_ref() {
            Some(inner) => inner.to_string(),
            None => error.kind().to_string(),
        })),
        Err(_) => Err(Trouble::Away("broke down".to_owned())),
    }
}

/// A size or index as the database stores it; the tree has fewer than 2^62 leaves.
fn stored(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Where the heads of a log go below the configured directory.
#[must_use]
pub fn published_folder(settings: &PublishSettings, origin: &str) -> PathBuf {
    directory::folder_of(&settings.directory, origin)
}
