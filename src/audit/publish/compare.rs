//! What stands outside, compared with the log in the database.

use super::bucket::Bucket;
use super::error::Trouble;
use super::{Divergence, Head, PublishError, Publisher, blocking, directory};
use crate::audit::tlog::{self, Checkpoint, Hash, root_tiles};

impl Publisher {
    /// The size of the head that the directory has; 0 for an empty one.
    pub(super) async fn compare_directory(&self) -> Result<u64, Trouble> {
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
    pub(super) async fn compare_bucket(&self, bucket: &Bucket) -> Result<u64, Trouble> {
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
}
