//! What stands outside, compared with the log in the database.

use std::sync::PoisonError;

use chrono::TimeDelta;

use super::bucket::Bucket;
use super::error::Trouble;
use super::{Divergence, Head, PublishError, Publisher, directory};
use crate::audit::sealer::is_former_name;
use crate::audit::tlog::{self, Checkpoint, Hash, root_tiles};
use crate::domain::clock::is_due;

impl Publisher {
    /// The size of the head that the directory has; 0 for an empty one.
    pub(super) async fn compare_directory(&self) -> Result<u64, Trouble> {
        let root = self.settings.directory.clone();
        let place = format!("the directory {}", root.display());
        let origin = self.head().await?.origin;
        let (looked, name) = (root.clone(), directory::folder_name(&origin));
        let later = self.looking(move || directory::later(&looked, &name)).await?;
        let folder = directory::folder_of(&root, &origin);
        let found = self.looking(move || directory::read(&folder)).await?;
        // Read after the directory: what was published before was committed before.
        let head = self.head().await?;
        ensure_latest_name(&place, &later, &head)?;
        let Some(outside) = found else { return Ok(0) };
        self.compare(place, &outside, &head).await?;
        Ok(outside.size)
    }

    /// The size of the head that the bucket has; 0 for an empty one.
    pub(super) async fn compare_bucket(&self, bucket: &Bucket) -> Result<u64, Trouble> {
        let place = format!("the bucket {}", bucket.place());
        let origin = self.head().await?.origin;
        let folder = directory::folder_name(&origin);
        self.compare_names(bucket, &place, origin, &folder).await?;
        let found = bucket.checkpoint(&folder).await.map_err(Trouble::Away)?;
        // Read after the bucket, as with the directory.
        let head = self.head().await?;
        let Some(outside) = found else { return Ok(0) };
        self.compare(place, &outside, &head).await?;
        Ok(outside.size)
    }

    /// Whether the bucket has the log under a later name. Listings are paid for: it is asked at the start, when the log in the
    /// database has another name, and as often as the bucket gets a checkpoint.
    async fn compare_names(
        &self,
        bucket: &Bucket,
        place: &str,
        origin: String,
        folder: &str,
    ) -> Result<(), Trouble> {
        let now = self.clock.now();
        let every = TimeDelta::seconds(self.settings.bucket_every_secs.into());
        let known = self.latest_in_bucket.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.is_some_and(|(known, at)| known == origin && !is_due(at, every, now)) {
            return Ok(());
        }
        let later = bucket.later(folder).await.map_err(Trouble::Away)?;
        ensure_latest_name(place, &later, &self.head().await?)?;
        let mut known = self.latest_in_bucket.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((origin, now));
        Ok(())
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

    pub(super) async fn root_at(&self, size: u64) -> Result<Hash, PublishError> {
        let tiles = self.tiles(&root_tiles(size)).await?;
        tlog::root(&tiles, size).map_err(|_| PublishError::Altered("a tile is missing"))
    }
}

/// Whether no place outside has the log under a later name than the database has. Whatever such a head says, and also where
/// everything agrees that was published under the present name: what came after the restore that gave it is lost.
fn ensure_latest_name(place: &str, found: &[Checkpoint], inside: &Head) -> Result<(), Divergence> {
    let is_of_ours = |name: &str| name == inside.origin || is_former_name(name, &inside.origin);
    let mut latest: Option<&Checkpoint> = None;
    for outside in found.iter().filter(|outside| !is_of_ours(outside.origin.as_str())) {
        let name = outside.origin.as_str();
        if !is_former_name(&inside.origin, name) {
            return Err(Divergence::Foreign { place: place.to_owned(), origin: name.to_owned() });
        }
        if latest.is_none_or(|latest| latest.origin.as_str() < name) {
            latest = Some(outside);
        }
    }
    let Some(Checkpoint { origin, size, root }) = latest else { return Ok(()) };
    Err(Divergence::LaterName {
        place: place.to_owned(),
        origin: origin.to_string(),
        size: *size,
        root: *root,
    })
}
