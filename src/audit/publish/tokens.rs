//! Time-stamped heads with their tokens, brought to the places that hold files: see [`stamped`](crate::audit::stamped) for
//! the layout.

use std::path::PathBuf;
use std::sync::PoisonError;

use chrono::TimeDelta;

use super::bucket::Bucket;
use super::error::Trouble;
use super::{Publisher, blocking, directory, sql, stored};
use crate::audit::stamped::{self, StampedHeads};

/// How many time-stamped heads are written before their index.
const AT_ONCE: i64 = 100;

/// The oldest time-stamp that the bucket lacks is so old before they are brought there together: what is replaced in a
/// bucket stays as another version, and an index that was written anew every hour would in time be most of it.
const GATHERED: TimeDelta = TimeDelta::days(1);

/// A place that holds the files of a log.
enum Files<'p> {
    Folder(PathBuf),
    Bucket(&'p Bucket, String),
}

impl Files<'_> {
    /// The size of the checkpoint that stands there; 0 where there is none yet.
    async fn size(&self) -> Result<u64, Trouble> {
        let checkpoint = match self {
            Self::Folder(folder) => {
                let folder = folder.clone();
                blocking(move || directory::read(&folder)).await?
            }
            Self::Bucket(bucket, folder) => bucket.checkpoint(folder).await.map_err(Trouble::Away)?,
        };
        Ok(checkpoint.map_or(0, |checkpoint| checkpoint.size))
    }

    /// The index of the time-stamped heads; an empty one where there is none yet.
    async fn stamped(&self) -> Result<StampedHeads, Trouble> {
        match self {
            Self::Folder(folder) => {
                let folder = folder.clone();
                blocking(move || directory::stamped(&folder)).await
            }
            Self::Bucket(bucket, folder) => bucket.stamped(folder).await.map_err(Trouble::Away),
        }
    }

    async fn write(&self, files: Vec<(String, Vec<u8>)>) -> Result<(), Trouble> {
        match self {
            Self::Folder(folder) => {
                let folder = folder.clone();
                blocking(move || directory::write(&folder, &files)).await
            }
            Self::Bucket(bucket, folder) => bucket.write(folder, files).await.map_err(Trouble::Away),
        }
    }
}

impl Publisher {
    /// Brings the directory the time-stamps that it lacks.
    pub(super) async fn stamps_to_directory(&self) -> Result<(), Trouble> {
        let folder = directory::folder_of(&self.settings.directory, &self.head().await?.origin);
        self.bring_stamps(&Files::Folder(folder)).await.map(drop)
    }

    /// Brings the bucket the time-stamps that it lacks, a day's together. Several daemons that do so at once write the same.
    pub(super) async fn stamps_to_bucket(&self, bucket: &Bucket) -> Result<(), Trouble> {
        let folder = directory::folder_name(&self.head().await?.origin);
        let known = {
            let held = self.stamped_in_bucket.lock().unwrap_or_else(PoisonError::into_inner);
            held.as_ref().filter(|(of, _)| *of == folder).map_or(0, |(_, size)| *size)
        };
        if !self.is_gathered(known).await? {
            return Ok(());
        }
        let place = Files::Bucket(bucket, folder.clone());
        // After a start, or where another daemon was faster, the index names more than is known here.
        let named = place.stamped().await?.newest();
        let newest = if self.is_gathered(named).await? { self.bring_stamps(&place).await? } else { named };
        *self.stamped_in_bucket.lock().unwrap_or_else(PoisonError::into_inner) = Some((folder, newest));
        Ok(())
    }

    /// Whether the oldest time-stamp of a head larger than that waited long enough.
    async fn is_gathered(&self, after: u64) -> Result<bool, Trouble> {
        let mut connection = self.store.connection().await?;
        let oldest = sql::oldest_stamp(&mut connection, stored(after)).await?;
        Ok(oldest.is_some_and(|oldest| self.clock.now() - oldest >= GATHERED))
    }

    /// Brings a place the time-stamps that it lacks, as far as its checkpoint reaches; answers with the size of the largest
    /// head that its index names.
    async fn bring_stamps(&self, place: &Files<'_>) -> Result<u64, Trouble> {
        let reached = place.size().await?;
        let mut index = place.stamped().await?;
        loop {
            let mut connection = self.store.connection().await?;
            let rows =
                sql::stamped(&mut connection, stored(index.newest()), stored(reached), AT_ONCE).await?;
            drop(connection);
            if rows.is_empty() {
                return Ok(index.newest());
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
            place.write(files).await?;
        }
    }
}
