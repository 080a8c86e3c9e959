//! Directory and bucket get the tree, and the entries where that is wanted.

use std::path::PathBuf;
use std::sync::PoisonError;

use chrono::TimeDelta;

use super::bucket::Bucket;
use super::error::Trouble;
use super::{Head, PublishError, Publisher, blocking, directory, kept, sql, stored};
use crate::audit::files;
use crate::audit::tlog::{
    self, Bundle, Checkpoint, Hash, SignedNote, Tile, TileSource as _, VerifierKey, bundle, bundles_between,
    tiles_between,
};
use crate::domain::clock::is_due;

/// How many tiles are held in memory at once while a place catches up (8 KiB each).
const TILES_AT_ONCE: usize = 256;

/// How many bundles are held in memory at once (up to 16 MiB each, mostly 150 KiB).
const BUNDLES_AT_ONCE: usize = 4;

/// How many entries a stage of the bucket's fill has at least: with the entries some thirty objects, a minute at a slow store.
const STAGE: u64 = 16 * tlog::TILE_WIDTH as u64;

/// What the names of all bundles begin with.
const ENTRIES: &str = "tile/entries/";

/// Whether a bundle has entries that the published tree has not. What lies there of it counts for nothing: a fill that was broken
/// off may have left it, of a history that was lost since.
fn is_new(bundle: Bundle, published: u64, size: u64) -> bool {
    size > published && bundle.index() >= published / u64::from(tlog::TILE_WIDTH)
}

impl Publisher {
    /// Brings the directory from one size to that of the newest kept checkpoint.
    pub(super) async fn fill_directory(&self, published: u64) -> Result<(), Trouble> {
        // Read before the head: a kept head covers the entry that allowed what is gone by now.
        let first_kept = self.first_kept_bundle().await?;
        let Some((checkpoint, note)) = self.head().await?.kept else { return Ok(()) };
        let folder = directory::folder_of(&self.settings.directory, checkpoint.origin.as_str());
        let (place, size) = (folder.display().to_string(), checkpoint.size);
        let bundles = self.bundles_wanted(&place, published, size, first_kept);
        let looked = folder.clone();
        let bundles: Vec<Bundle> = blocking(move || {
            let is_missing =
                |each: &Bundle| is_new(*each, published, size) || !directory::has(&looked, *each);
            Ok(bundles.into_iter().filter(is_missing).collect())
        })
        .await?;
        if published >= size && bundles.is_empty() {
            self.remember_entries(place, size);
            return self.forget_in_directory(folder, &checkpoint, first_kept).await;
        }
        let own = folder.clone();
        let Some(_lock) = blocking(move || files::lock(&own)).await? else {
            // Another daemon on this host is at it.
            return Err(Trouble::Busy);
        };
        let own = folder.clone();
        let present = blocking(move || directory::read(&own)).await?.map_or(0, |present| present.size);
        if present > size || present == size && bundles.is_empty() {
            // It was smaller a moment ago: a checkpoint in the directory never goes back.
            return Ok(());
        }
        let tiles: Vec<Tile> = tiles_between(published, size).collect();
        for chunk in tiles.chunks(TILES_AT_ONCE) {
            let files = self.tile_files(chunk).await?;
            let folder = folder.clone();
            blocking(move || directory::write(&folder, &files)).await?;
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
        let (own, note) = (folder.clone(), note.to_string());
        blocking(move || directory::write_checkpoint(&own, &note, &full)).await?;
        self.remember_entries(place, size);
        self.forget_in_directory(folder, &checkpoint, first_kept).await
    }

    /// What the log has forgotten is not shown any longer. It goes when the directory has the head that covers the entry which
    /// allows it, and not before: whoever verifies the directory would take it for stolen.
    async fn forget_in_directory(
        &self,
        folder: PathBuf,
        checkpoint: &Checkpoint,
        first_kept: u64,
    ) -> Result<(), Trouble> {
        let (root, origin) = (self.settings.directory.clone(), checkpoint.origin.to_string());
        blocking(move || {
            directory::forget_entries(&folder, first_kept)?;
            directory::forget_former_entries(&root, &origin, first_kept)
        })
        .await
    }

    /// Brings the bucket to the newest kept checkpoint, if one is due. Several daemons that do so at once write the same.
    ///
    /// What is far goes by stages, each of which ends with a checkpoint of its own: a fill that is broken off, by an outage or
    /// the end of the process, goes on behind the last one. What lies there beyond a checkpoint is no sign of anything.
    pub(super) async fn fill_bucket(&self, bucket: &Bucket) -> Result<(), Trouble> {
        let (now, place) = (self.clock.now(), bucket.place());
        let mut connection = self.store.connection().await?;
        let last = sql::newest_anchor(&mut connection, "bucket", &place).await?;
        drop(connection);
        let every = TimeDelta::seconds(self.settings.bucket_every_secs.into());
        let mut brought = 0;
        loop {
            // Read before the head, as for the directory.
            let first_kept = self.first_kept_bundle().await?;
            let head = self.head().await?;
            let Some((newest, note)) = &head.kept else { return Ok(()) };
            let size = stored(newest.size);
            if last.as_ref().is_some_and(|last| last.size >= size || !is_due(last.at, every, now)) {
                return Ok(());
            }
            let published = self.compare_bucket(bucket).await?;
            if published < brought {
                // It would get the same stage for ever.
                return Err(Trouble::Away("does not keep the checkpoint that it was given".to_owned()));
            }
            let stage = self.stage(&head, newest.size, published, first_kept).await?;
            let (reached, note) =
                stage.as_ref().map_or((newest, note), |(checkpoint, note)| (checkpoint, note));
            self.fill_bucket_to(bucket, published, reached, note, first_kept).await?;
            brought = reached.size;
            if stage.is_none() {
                let mut connection = self.store.connection().await?;
                sql::insert_anchor(&mut connection, size, "bucket", &place, now).await?;
                return Ok(());
            }
        }
    }

    /// The kept checkpoint to which the bucket is brought before the newest one, where that is far from what it has. None where
    /// entries were pruned: a head that does not cover the entry which allows it would call them stolen.
    async fn stage(
        &self,
        head: &Head,
        size: u64,
        published: u64,
        first_kept: u64,
    ) -> Result<Option<(Checkpoint, SignedNote)>, Trouble> {
        if self.settings.entries && first_kept > 0 {
            return Ok(None);
        }
        let from = stored(published.saturating_add(STAGE));
        let mut connection = self.store.connection().await?;
        let row = sql::kept_between(&mut connection, &head.origin, from, stored(size)).await?;
        drop(connection);
        let Some((checkpoint, note)) = row.and_then(|row| kept(&head.origin, row.size, &row.note)) else {
            return Ok(None);
        };
        // Signed by a key that is exchanged by now it is of no use to whoever checks the bucket meanwhile; and what is not a
        // head of this tree is for `dsrd audit verify` to tell.
        let keys: Vec<VerifierKey> = head.verifier_keys.iter().filter_map(|key| key.parse().ok()).collect();
        let is_ours = note.verify(&keys).is_ok() && self.root_at(checkpoint.size).await? == checkpoint.root;
        Ok(is_ours.then_some((checkpoint, note)))
    }

    async fn fill_bucket_to(
        &self,
        bucket: &Bucket,
        published: u64,
        checkpoint: &Checkpoint,
        note: &SignedNote,
        first_kept: u64,
    ) -> Result<(), Trouble> {
        let (place, size) = (bucket.place(), checkpoint.size);
        let folder = directory::folder_name(checkpoint.origin.as_str());
        let complete = format!("{place}/{folder}");
        let mut bundles = self.bundles_wanted(&complete, published, size, first_kept);
        if bundles.iter().any(|each| !is_new(*each, published, size)) {
            let present = bucket.names(&folder, ENTRIES).await.map_err(Trouble::Away)?;
            bundles.retain(|each| is_new(*each, published, size) || !present.contains(&each.path()));
        }
        let tiles: Vec<Tile> = tiles_between(published, size).collect();
        for chunk in tiles.chunks(TILES_AT_ONCE) {
            let files = self.tile_files(chunk).await?;
            bucket.write(&folder, files).await.map_err(Trouble::Away)?;
        }
        for chunk in bundles.chunks(BUNDLES_AT_ONCE) {
            let files = self.bundle_files(chunk).await?;
            bucket.write(&folder, files).await.map_err(Trouble::Away)?;
        }
        if published < size {
            bucket.write_checkpoint(&folder, &note.to_string()).await.map_err(Trouble::Away)?;
        }
        self.remember_entries(complete, size);
        Ok(())
    }

    /// The bundles that a place does not have yet for all that is known: those of every kept entry, where it was not seen whole,
    /// or is not any more at the size at which it was. A place with one bundle may lack others: a fill was broken off, or entries
    /// were not wanted for a while.
    fn bundles_wanted(&self, place: &str, published: u64, size: u64, first_kept: u64) -> Vec<Bundle> {
        if !self.settings.entries {
            return Vec::new();
        }
        let whole = self.whole_entries.lock().unwrap_or_else(PoisonError::into_inner).get(place).copied();
        let from = whole.filter(|whole| *whole <= published).unwrap_or(0);
        bundles_between(from, size).filter(|each| each.index() >= first_kept).collect()
    }

    /// Remembers that a place has every bundle of the kept entries up to a size, where entries are wanted.
    fn remember_entries(&self, place: String, size: u64) {
        if self.settings.entries {
            self.whole_entries.lock().unwrap_or_else(PoisonError::into_inner).insert(place, size);
        }
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
    pub(super) async fn first_kept_bundle(&self) -> Result<u64, PublishError> {
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
}
