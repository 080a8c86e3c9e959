//! Heads leave the machine: what is signed is shown to others, so that a later rewriting or an older copy of the database
//! does not fit any more.
//!
//! Data enters as the newest kept checkpoint with its tree, read from the database. It leaves to a directory and to a
//! bucket (tlog-tiles), to witnesses (tlog-witness; their cosignatures come back into `audit.cosignature`), and by mail through
//! a [`Courier`] that the composition root hands in; their hashes go to a time-stamping authority (RFC 3161), whose tokens come
//! back into `audit.anchor`. Only heads and hashes leave; entries go to directory and bucket
//! only where the settings say so. The directory gets the time-stamped heads with their tokens, too ([`stamped`]); the bucket
//! does not, where each new index would stay as another version.
//!
//! [`Publisher::round`] does two things in this order: it compares everything outside that can be read with the database,
//! and it publishes what is new. A [`Divergence`] ends it before anything is written: whoever calls must stop sealing and
//! working until a later round finds nothing or a person has named the fork ([`Sealer::fork`](crate::audit::Sealer::fork)).
//!
//! Invariants:
//! - A place that is away stops nothing: it is told once per outage, and gets what it missed when it is back.
//! - Every step can be repeated: tiles are immutable, the checkpoint comes after the tiles that it needs, and both are
//!   written whole or not at all.
//! - The head in the database is committed before it is published, so a head outside that is ahead of a head read *later*
//!   can only be one that the database has lost.
//!
//! To add a sink: a file here, a field of [`PublishSettings`], a call in `round` and a line in `status`.

mod asking;
mod aws;
mod bucket;
mod directory;
mod error;
mod post;
mod settings;
mod sql;
#[cfg(feature = "timestamps")]
mod stamp;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use self::asking::{Asked, asked};
use self::bucket::Bucket;
use self::error::Trouble;
pub use self::error::{Divergence, PublishError};
use self::post::Post;
pub use self::settings::{PublishSettings, WitnessSettings};
use super::files;
use super::stamped;
use super::tlog::{
    self, Bundle, Checkpoint, Hash, SignedNote, Tile, TileHashes, TileMap, TileSource as _, bundle,
    bundles_between, root_tiles, tiles_between,
};
use crate::domain::Clock;
use crate::store::Store;

/// How many tiles are held in memory at once while a place catches up (8 KiB each).
const TILES_AT_ONCE: usize = 256;

/// How many bundles are held in memory at once (up to 16 MiB each, mostly 150 KiB).
const BUNDLES_AT_ONCE: usize = 4;

/// How many time-stamped heads are written before their index.
const STAMPED_AT_ONCE: i64 = 100;

/// What stands for the mailbox in tables and messages: its address stays in the settings.
const MAIL: &str = "publish.mail_to";

/// A head as it is mailed.
#[derive(Clone, Debug)]
pub struct HeadMail {
    /// To whom.
    pub to: String,
    /// The log.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The signed checkpoint.
    pub note: String,
    /// The log's public keys.
    pub verifier_keys: Vec<String>,
    /// When it is sent.
    pub at: DateTime<Utc>,
}

/// Brings heads to people by mail. The composition root has one, this module does not know how.
pub trait Courier: Send + Sync + std::fmt::Debug {
    /// Hands a mail over; an error is a short word and never an address.
    fn send(&self, mail: HeadMail) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
}

/// What one place has got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// `directory`, `bucket`, `witness`, `timestamp` or `mail`.
    pub kind: &'static str,
    /// Which one.
    pub place: String,
    /// The size of the newest head that it has; none if it has none, or cannot be read.
    pub size: Option<u64>,
    /// How many sealed entries it does not know of yet.
    pub behind: u64,
    /// Why it cannot be read, in words of our own.
    pub problem: Option<String>,
}

/// The log as the database has it.
struct Head {
    origin: String,
    verifier_keys: Vec<String>,
    size: u64,
    /// The newest kept checkpoint.
    kept: Option<(Checkpoint, SignedNote)>,
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
    /// Places that failed the last time.
    away: Mutex<BTreeSet<String>>,
}

impl Publisher {
    /// Makes ready to publish. `store` must be one of [`Store::connect_as_sealer`]; nothing is connected yet.
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
            away: Mutex::default(),
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

    /// Compares everything outside that can be read with the database; answers with what the directory has, and with
    /// nothing where it cannot be read. Witnesses are asked for their signature in passing: they tell what they have seen
    /// in no other way.
    pub async fn look(&self) -> Result<Option<u64>, PublishError> {
        let place = self.settings.directory.display().to_string();
        let compared = self.compare_directory().await;
        let published = match &compared {
            Ok(size) => Some(*size),
            Err(_) => None,
        };
        self.settle("directory", &place, compared.map(drop))?;
        if let Some(bucket) = &self.bucket {
            let compared = self.compare_bucket(bucket).await;
            self.settle("bucket", &bucket.place(), compared.map(drop))?;
        }
        let head = self.head().await?;
        if let Some((checkpoint, note)) = &head.kept {
            for witness in &self.witnesses {
                let asked = self.ask(witness, &head, checkpoint, note).await;
                self.settle("witness", &witness.url, asked)?;
            }
        }
        Ok(published)
    }

    /// Compares what can be read without asking anybody over the network: the directory. For commands that seal in
    /// passing and must not do so behind an older copy.
    pub async fn glance(&self) -> Result<(), PublishError> {
        match self.compare_directory().await {
            Ok(_) | Err(Trouble::Away(_)) => Ok(()),
            Err(Trouble::Stop(error)) => Err(error),
        }
    }

    /// Compares and publishes.
    pub async fn round(&self) -> Result<(), PublishError> {
        let published = self.look().await?;
        let head = self.head().await?;
        let Some((checkpoint, note)) = &head.kept else { return Ok(()) };
        if let Some(published) = published {
            let filled = self.fill_directory(published, checkpoint, note).await;
            self.settle("directory", &self.settings.directory.display().to_string(), filled)?;
        }
        if let Some(bucket) = &self.bucket {
            let filled = self.fill_bucket(bucket, checkpoint, note).await;
            self.settle("bucket", &bucket.place(), filled)?;
        }
        #[cfg(feature = "timestamps")]
        if let Some(authority) = &self.authority {
            let stamped = self.stamp(authority, checkpoint, note).await;
            self.settle("timestamp", &authority.url, stamped)?;
        }
        if published.is_some() {
            let filled = self.fill_stamps(checkpoint).await;
            self.settle("directory", &self.settings.directory.display().to_string(), filled)?;
        }
        let mailed = self.mail(&head, checkpoint, note).await;
        self.settle("mail", MAIL, mailed)
    }

    /// Tells once when a place goes away, and when it is back; passes on what concerns the whole log.
    fn settle(
        &self,
        kind: &'static str,
        place: &str,
        ended: Result<(), Trouble>,
    ) -> Result<(), PublishError> {
        let name = format!("{kind} {place}");
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        match ended {
            Ok(()) => {
                if away.remove(&name) {
                    tracing::info!(
                        kind,
                        path = place,
                        "heads of the audit log reach the place outside again"
                    );
                }
            }
            Err(Trouble::Away(why)) => {
                if away.insert(name) {
                    tracing::warn!(
                        kind,
                        path = place,
                        detail = why,
                        "heads of the audit log do not reach a place outside; tried again, it gets what it missed"
                    );
                }
            }
            Err(Trouble::Stop(error)) => return Err(error),
        }
        Ok(())
    }

    async fn head(&self) -> Result<Head, PublishError> {
        let mut connection = self.store.connection().await?;
        let row = sql::head(&mut connection).await?;
        let altered = |_| PublishError::Altered("the newest checkpoint");
        let kept = match row.kept_note {
            None => None,
            Some(note) => {
                let note = SignedNote::from_bytes(note.as_bytes()).map_err(altered)?;
                let checkpoint: Checkpoint =
                    note.text().parse().map_err(|_| PublishError::Altered("the newest checkpoint"))?;
                if checkpoint.origin.as_str() != row.origin || row.kept_size != Some(stored(checkpoint.size))
                {
                    return Err(PublishError::Altered("the newest checkpoint"));
                }
                Some((checkpoint, note))
            }
        };
        let size = u64::try_from(row.size).map_err(|_| PublishError::Altered("the size of the head"))?;
        Ok(Head { origin: row.origin, verifier_keys: row.verifier_keys, size, kept })
    }

    /// The size of the head that the directory has; 0 for an empty one.
    async fn compare_directory(&self) -> Result<u64, Trouble> {
        let root = self.settings.directory.clone();
        let origin = self.head().await?.origin;
        let folder = directory::folder_of(&root, &origin);
        let found = blocking(move || directory::read(&folder)).await?;
        // Read after the directory: what was published before was committed before.
        let head = self.head().await?;
        let Some(outside) = found else { return Ok(0) };
        self.compare(format!("the directory {}", root.display()), &outside, &head).await?;
        Ok(outside.size)
    }

    /// The size of the head that the bucket has; 0 for an empty one.
    async fn compare_bucket(&self, bucket: &Bucket) -> Result<u64, Trouble> {
        let folder = directory::folder_name(&self.head().await?.origin);
        let found = bucket.checkpoint(&folder).await.map_err(Trouble::Away)?;
        // Read after the bucket, as with the directory.
        let head = self.head().await?;
        let Some(outside) = found else { return Ok(0) };
        self.compare(format!("the bucket {}", bucket.place()), &outside, &head).await?;
        Ok(outside.size)
    }

    /// Whether a head is that of a beginning of the log.
    async fn compare(&self, place: String, outside: &Checkpoint, inside: &Head) -> Result<(), PublishError> {
        let (size, root) = (outside.size, Some(outside.root));
        if outside.origin.as_str() != inside.origin {
            return Err(Divergence::Foreign { place, origin: outside.origin.to_string() }.into());
        }
        if size > inside.size {
            return Err(Divergence::Ahead { place, outside: size, inside: inside.size, root }.into());
        }
        if self.root_at(size).await? != outside.root {
            return Err(Divergence::Fork { place, size, root }.into());
        }
        Ok(())
    }

    async fn root_at(&self, size: u64) -> Result<Hash, PublishError> {
        let tiles = self.tiles(&root_tiles(size)).await?;
        tlog::root(&tiles, size).map_err(|_| PublishError::Altered("a tile is missing"))
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

    /// Brings the directory from one size to that of the checkpoint.
    async fn fill_directory(
        &self,
        published: u64,
        checkpoint: &Checkpoint,
        note: &SignedNote,
    ) -> Result<(), Trouble> {
        let folder = directory::folder_of(&self.settings.directory, checkpoint.origin.as_str());
        let (looked, wants_entries, first_kept) =
            (folder.clone(), self.settings.entries, self.first_kept_bundle().await?);
        let misses_entries = blocking(move || {
            // What the log has forgotten is not shown any longer.
            directory::forget_entries(&looked, first_kept)?;
            Ok(wants_entries && !directory::has_entries(&looked, first_kept))
        })
        .await?;
        if published >= checkpoint.size && !misses_entries {
            return Ok(());
        }
        let own = folder.clone();
        let Some(_lock) = blocking(move || files::lock(&own)).await? else {
            // Another daemon on this host is at it.
            return Ok(());
        };
        let (size, own) = (checkpoint.size, folder.clone());
        let present = blocking(move || directory::read(&own)).await?;
        if !misses_entries && present.is_some_and(|present| present.size >= size) {
            // It was, a moment ago: a checkpoint in the directory never goes back.
            return Ok(());
        }
        let tiles: Vec<Tile> = tiles_between(published, size).collect();
        for chunk in tiles.chunks(TILES_AT_ONCE) {
            let files = self.tile_files(chunk).await?;
            let folder = folder.clone();
            blocking(move || directory::write(&folder, &files)).await?;
        }
        let mut bundles: Vec<Bundle> = Vec::new();
        if self.settings.entries {
            let between = bundles_between(if misses_entries { 0 } else { published }, size);
            bundles.extend(between.filter(|each| each.index() >= first_kept));
        }
        for chunk in bundles.chunks(BUNDLES_AT_ONCE) {
            let files = self.bundle_files(chunk).await?;
            let folder = folder.clone();
            blocking(move || directory::write(&folder, &files)).await?;
        }
        let full_tiles = tiles.iter().filter(|tile| tile.is_full()).map(|tile| tile.path());
        let full_bundles =
            bundles.iter().filter(|each| each.width() == tlog::TILE_WIDTH).map(|each| each.path());
        let full: Vec<String> = full_tiles.chain(full_bundles).collect();
        let note = note.to_string();
        blocking(move || directory::write_checkpoint(&folder, &note, &full)).await
    }

    /// Brings the time-stamps of kept heads into the directory, as far as its checkpoint reaches.
    async fn fill_stamps(&self, checkpoint: &Checkpoint) -> Result<(), Trouble> {
        let folder = directory::folder_of(&self.settings.directory, checkpoint.origin.as_str());
        let own = folder.clone();
        let (present, mut index) =
            blocking(move || Ok((directory::read(&own)?, directory::stamped(&own)?))).await?;
        let reached = present.map_or(0, |present| present.size);
        loop {
            let mut connection = self.store.connection().await?;
            let rows =
                sql::stamped(&mut connection, stored(index.newest()), stored(reached), STAMPED_AT_ONCE)
                    .await?;
            drop(connection);
            if rows.is_empty() {
                return Ok(());
            }
            let mut files = Vec::new();
            for row in rows {
                let size = u64::try_from(row.size).unwrap_or_default();
                let Some(number) = index.add(size) else { continue };
                files.push((stamped::token_path(size, number), row.token));
                if number == 1 {
                    files.push((stamped::note_path(size), row.note.into_bytes()));
                }
            }
            // Last: what it names is there.
            files.push((stamped::INDEX.to_owned(), index.to_bytes()));
            let folder = folder.clone();
            blocking(move || directory::write(&folder, &files)).await?;
        }
    }

    /// Brings the bucket to the checkpoint, if one is due. Several daemons that do so at once write the same.
    async fn fill_bucket(
        &self,
        bucket: &Bucket,
        checkpoint: &Checkpoint,
        note: &SignedNote,
    ) -> Result<(), Trouble> {
        let (now, place, size) = (self.clock.now(), bucket.place(), checkpoint.size);
        let mut connection = self.store.connection().await?;
        let last = sql::newest_anchor(&mut connection, "bucket", &place).await?;
        drop(connection);
        let every = TimeDelta::seconds(self.settings.bucket_every_secs.into());
        if last.is_some_and(|last| last.size >= stored(size) || now - last.at < every) {
            return Ok(());
        }
        let folder = directory::folder_name(checkpoint.origin.as_str());
        let published = self.compare_bucket(bucket).await?;
        let mut from = published;
        if self.settings.entries && published > 0 {
            let first = Bundle::of_tree(self.first_kept_bundle().await?, published).map(Bundle::path);
            // Entries were not wanted at first.
            if let Some(first) = first
                && !bucket.has(&folder, &first).await.map_err(Trouble::Away)?
            {
                from = 0;
            }
        }
        let tiles: Vec<Tile> = tiles_between(published, size).collect();
        for chunk in tiles.chunks(TILES_AT_ONCE) {
            let files = self.tile_files(chunk).await?;
            bucket.write(&folder, files).await.map_err(Trouble::Away)?;
        }
        let mut bundles: Vec<Bundle> = Vec::new();
        if self.settings.entries {
            let first_kept = self.first_kept_bundle().await?;
            bundles.extend(bundles_between(from, size).filter(|each| each.index() >= first_kept));
        }
        for chunk in bundles.chunks(BUNDLES_AT_ONCE) {
            let files = self.bundle_files(chunk).await?;
            bucket.write(&folder, files).await.map_err(Trouble::Away)?;
        }
        if published < size {
            bucket.write_checkpoint(&folder, &note.to_string()).await.map_err(Trouble::Away)?;
        }
        let mut connection = self.store.connection().await?;
        sql::insert_anchor(&mut connection, stored(size), "bucket", &place, now).await?;
        Ok(())
    }

    /// Tiles with their paths.
    async fn tile_files(&self, tiles: &[Tile]) -> Result<Vec<(String, Vec<u8>)>, PublishError> {
        let held = self.tiles(tiles).await?;
        let mut files = Vec::with_capacity(tiles.len());
        for tile in tiles {
            let Ok(hashes) = held.hashes(tile.level(), tile.index(), tile.width());
            if hashes.len() != usize::from(tile.width()) {
                return Err(PublishError::Altered("a tile is missing"));
            }
            files.push((tile.path(), Hash::row_to_bytes(&hashes)));
        }
        Ok(files)
    }

    /// Bundles of entries with their paths.
    async fn bundle_files(&self, bundles: &[Bundle]) -> Result<Vec<(String, Vec<u8>)>, PublishError> {
        let mut files = Vec::with_capacity(bundles.len());
        for each in bundles {
            if let Some(content) = self.bundle(*each).await? {
                files.push((each.path(), content));
            }
        }
        Ok(files)
    }

    /// The index of the bundle with the first entry that is kept. Entries go by whole bundles.
    async fn first_kept_bundle(&self) -> Result<u64, PublishError> {
        let first = sql::first_kept(&mut *self.store.connection().await?).await?;
        Ok(u64::try_from(first - 1).unwrap_or_default() / u64::from(tlog::TILE_WIDTH))
    }

    /// The content of an entry bundle; `None` for one that was pruned meanwhile.
    async fn bundle(&self, wanted: Bundle) -> Result<Option<Vec<u8>>, PublishError> {
        let first = stored(wanted.index()) * i64::from(tlog::TILE_WIDTH) + 1;
        let last = first + i64::from(wanted.width()) - 1;
        let entries = sql::entries(&mut *self.store.connection().await?, first, last).await?;
        if entries.is_empty() && wanted.index() < self.first_kept_bundle().await? {
            return Ok(None);
        }
        if entries.len() != usize::from(wanted.width()) {
            return Err(PublishError::Altered("an entry is missing"));
        }
        bundle::write(entries.iter().map(Vec::as_slice))
            .map(Some)
            .map_err(|_| PublishError::Altered("an entry is too long"))
    }

    /// Mails a head when one is due.
    async fn mail(&self, head: &Head, checkpoint: &Checkpoint, note: &SignedNote) -> Result<(), Trouble> {
        let to = &self.settings.mail_to;
        let (Some(courier), false) = (&self.courier, to.is_empty()) else { return Ok(()) };
        let now = self.clock.now();
        let mut connection = self.store.connection().await?;
        // The address stays out of the database: what is written there is that one mail left.
        let last = sql::newest_anchor(&mut connection, "mail", MAIL).await?;
        drop(connection);
        let every = TimeDelta::seconds(self.settings.mail_every_secs.into());
        if last.is_some_and(|last| last.size >= stored(checkpoint.size) || now - last.at < every) {
            return Ok(());
        }
        let mail = HeadMail {
            to: to.clone(),
            origin: head.origin.clone(),
            size: checkpoint.size,
            note: note.to_string(),
            verifier_keys: head.verifier_keys.clone(),
            at: now,
        };
        courier.send(mail).await.map_err(|code| Trouble::Away(format!("was not sent ({code})")))?;
        let mut connection = self.store.connection().await?;
        sql::insert_anchor(&mut connection, stored(checkpoint.size), "mail", MAIL, now).await?;
        Ok(())
    }

    /// What each place has, without changing anything. What diverges is reported as a problem.
    pub async fn status(&self) -> Result<Vec<SinkStatus>, PublishError> {
        let head = self.head().await?;
        let behind = |size: Option<u64>| head.size.saturating_sub(size.unwrap_or(0));
        let (size, problem) = match self.compare_directory().await {
            Ok(size) => ((size > 0).then_some(size), None),
            Err(Trouble::Away(why)) => (None, Some(why)),
            Err(Trouble::Stop(PublishError::Diverged(found))) => (None, Some(found.to_string())),
            Err(Trouble::Stop(error)) => return Err(error),
        };
        let place = self.settings.directory.display().to_string();
        let mut statuses = vec![SinkStatus { kind: "directory", place, size, behind: behind(size), problem }];
        if let Some(bucket) = &self.bucket {
            let (size, problem) = match self.compare_bucket(bucket).await {
                Ok(size) => ((size > 0).then_some(size), None),
                Err(Trouble::Away(why)) => (None, Some(why)),
                Err(Trouble::Stop(PublishError::Diverged(found))) => (None, Some(found.to_string())),
                Err(Trouble::Stop(error)) => return Err(error),
            };
            let place = bucket.place();
            statuses.push(SinkStatus { kind: "bucket", place, size, behind: behind(size), problem });
        }
        for witness in &self.witnesses {
            let size = self.newest_cosigned(&head.origin, &witness.key).await?;
            let place = witness.url.clone();
            statuses.push(SinkStatus { kind: "witness", place, size, behind: behind(size), problem: None });
        }
        #[cfg(feature = "timestamps")]
        if !self.settings.timestamp_url.is_empty() {
            let place = self.settings.timestamp_url.clone();
            let mut connection = self.store.connection().await?;
            let last = sql::newest_anchor(&mut connection, stamp::KIND, &place).await?;
            let size = last.and_then(|last| u64::try_from(last.size).ok());
            statuses.push(SinkStatus { kind: "timestamp", place, size, behind: behind(size), problem: None });
        }
        if !self.settings.mail_to.is_empty() {
            let mut connection = self.store.connection().await?;
            let last = sql::newest_anchor(&mut connection, "mail", MAIL).await?;
            let size = last.and_then(|last| u64::try_from(last.size).ok());
            let place = MAIL.to_owned();
            statuses.push(SinkStatus { kind: "mail", place, size, behind: behind(size), problem: None });
        }
        Ok(statuses)
    }

    /// How often to call [`Publisher::round`].
    #[must_use]
    pub fn every(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.settings.every_secs.max(1).into())
    }
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
