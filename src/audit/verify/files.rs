//! A log as files (c2sp.org/tlog-tiles): a directory, or the same behind an address.

use std::future::Future;
use std::io::ErrorKind;
use std::path::PathBuf;

use tokio::io::AsyncReadExt as _;

use super::source::{Source, SourceError, Stored, bundles};
use crate::audit::tlog::{Bundle, HASH_BYTES, MAX_NOTE_BYTES, TILE_WIDTH, Tile, bundle};

/// The longest bundle: 256 entries of the longest kind, each after its length.
const MAX_BUNDLE_BYTES: usize = TILE_WIDTH as usize * (bundle::MAX_ENTRY_BYTES + 2);

/// The longest tile.
const MAX_TILE_BYTES: usize = TILE_WIDTH as usize * HASH_BYTES;

/// A place with files.
pub trait Files: Send {
    /// The place, for people.
    fn describe(&self) -> String;

    /// A file's place, for people.
    fn place(&self, path: &str) -> String;

    /// A file's content, `None` where there is none. One longer than `limit` bytes is malformed.
    fn get(
        &mut self,
        path: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, SourceError>> + Send;
}

/// A directory.
#[derive(Clone, Debug)]
pub struct Directory(pub PathBuf);

impl Files for Directory {
    fn describe(&self) -> String {
        format!("directory {}", self.0.display())
    }

    fn place(&self, path: &str) -> String {
        self.0.join(path).display().to_string()
    }

    async fn get(&mut self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let unreadable = |source| SourceError::File { place: self.place(path), source };
        let file = match tokio::fs::File::open(self.0.join(path)).await {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let mut content = Vec::new();
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        file.take(most).read_to_end(&mut content).await.map_err(unreadable)?;
        if content.len() > limit {
            return Err(SourceError::Malformed {
                place: self.place(path),
                reason: format!("it is longer than {limit} bytes"),
            });
        }
        Ok(Some(content))
    }
}

/// A log in the layout of tlog-tiles below a [`Files`].
#[derive(Clone, Debug)]
pub struct Tiles<F>(pub F);

impl<F: Files> Tiles<F> {
    /// A bundle's file, or the beginning of the full one where the partial one was removed.
    async fn bundle(&mut self, wanted: Bundle) -> Result<Option<(Bundle, Vec<u8>)>, SourceError> {
        if let Some(content) = self.0.get(&wanted.path(), MAX_BUNDLE_BYTES).await? {
            return Ok(Some((wanted, content)));
        }
        match Bundle::new(wanted.index(), TILE_WIDTH) {
            Ok(full) if full != wanted => {
                Ok(self.0.get(&full.path(), MAX_BUNDLE_BYTES).await?.map(|content| (full, content)))
            }
            _ => Ok(None),
        }
    }
}

impl<F: Files> Source for Tiles<F> {
    fn describe(&self) -> String {
        self.0.describe()
    }

    async fn head(&mut self) -> Result<Vec<u8>, SourceError> {
        let head = self.0.get("checkpoint", MAX_NOTE_BYTES).await?;
        head.ok_or_else(|| SourceError::Missing { place: self.0.place("checkpoint") })
    }

    async fn entries(&mut self, first: u64, end: u64, size: u64) -> Result<Vec<Stored>, SourceError> {
        let mut entries = Vec::new();
        for wanted in bundles(first, end, size) {
            let Some((held, content)) = self.bundle(wanted).await? else { continue };
            let read = bundle::read(held, &content).map_err(|error| SourceError::Malformed {
                place: self.0.place(&held.path()),
                reason: error.to_string(),
            })?;
            let first_seq = wanted.index() * u64::from(TILE_WIDTH) + 1;
            let stored = (first_seq..).zip(read).take(usize::from(wanted.width()));
            entries.extend(stored.map(|(seq, entry)| Stored { seq, entry: entry.to_vec(), columns: None }));
        }
        Ok(entries)
    }

    async fn tile(&mut self, tile: Tile) -> Result<Option<Vec<u8>>, SourceError> {
        if let Some(content) = self.0.get(&tile.path(), MAX_TILE_BYTES).await? {
            return Ok(Some(content));
        }
        let Ok(full) = Tile::new(tile.level(), tile.index(), TILE_WIDTH) else { return Ok(None) };
        let mut content = if full == tile { None } else { self.0.get(&full.path(), MAX_TILE_BYTES).await? };
        if let Some(content) = &mut content {
            content.truncate(usize::from(tile.width()) * HASH_BYTES);
        }
        Ok(content)
    }
}
