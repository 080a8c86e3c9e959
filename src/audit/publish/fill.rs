//! Directory and bucket get the tree, and the entries where that is wanted.

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

impl Publisher {
    /// Brings the directory from one size to that of the checkpoint.
    pub(super) async fn fill_directory(
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
}
