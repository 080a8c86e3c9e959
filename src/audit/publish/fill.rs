//! Directory and bucket get the tree, and the entries where that is wanted.

use std::path::PathBuf;
use std::sync::PoisonError;

use chrono::TimeDelta;

use super::bucket::Bucket;
use super::error::Trouble;
use super::{PublishError, Publisher, blocking, directory, sql, stored};
use crate::audit::files;
use crate::audit::tlog::{
    self, Bundle, Checkpoint, Hash, SignedNote, Tile, TileSource as _, bundle, bundles_between, tiles_between,
};
use crate::domain::clock::is_due;

/// How many tiles are held in memory at once while a place catches up (8 KiB each).
const TILES_AT_ONCE: usize = 256;

/// How many bundles are held in memory at once (up to 16 MiB each, mostly 150 KiB).
const BUNDLES_AT_ONCE: usize = 4;

/// What the names of all bundles begin with.
const ENTRIES: &str = "tile/entries/";

/// Whether a bundle has entries that the published tree has not. What lies there of it counts for nothing: a fill that was broken
/// off may have left it, of a history that was lost since.
fn is_new(bundle: Bundle, published: u64, size: u64) -> bool {
    size > published && bundle.index() >= published / u64::from(tlog::TILE_WIDTH)
}

impl Publisher {
    /// Brings the directory from one size to that of the checkpoint, which was read after `first_kept`.
    pub(super) async fn fill_directory(
        &self,
        published: u64,
        checkpoint: &Checkpoint,
        note: &SignedNote,
        first_kept: u64,
    ) -> Result<(), Trouble> {
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
            return self.forget_in_directory(folder, checkpoint, first_kept).await;
        }
        let own = folder.clone();
        let Some(_lock) = blocking(move || files::lock(&own)).await? else {
            // Another daemon on this host is at it.
            return Ok(());
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
        self.forget_in_directory(folder, checkpoint, first_kept).await
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

    /// Brings the bucket to the checkpoint, if one is due. Several daemons that do so at once write the same.
    pub(super) async fn fill_bucket(
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
        if last.is_some_and(|last| last.size >= stored(size) || !is_due(last.at, every, now)) {
            return Ok(());
        }
        let folder = directory::folder_name(checkpoint.origin.as_str());
        let published = self.compare_bucket(bucket).await?;
        let complete = format!("{place}/{folder}");
        let first_kept = self.first_kept_bundle().await?;
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
        let mut connection = self.store.connection().await?;
        sql::insert_anchor(&mut connection, stored(size), "bucket", &place, now).await?;
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
