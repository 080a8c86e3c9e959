//! A log as files (c2sp.org/tlog-tiles): a directory, or the same behind an address.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::source::{KeptHead, KeptStamp, Source, SourceError, Stored, bundles};
use crate::audit::stamped::{self, StampedHeads};
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

    /// The content of several files, in the order of their paths, as [`Self::get`] answers for each.
    fn get_all(
        &mut self,
        paths: Vec<String>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Option<Vec<u8>>>, SourceError>> + Send {
        async move {
            let mut contents = Vec::with_capacity(paths.len());
            for path in paths {
                contents.push(self.get(&path, limit).await?);
            }
            Ok(contents)
        }
    }

    /// How many tiles are worth reading at a time.
    fn tiles_ahead(&self) -> u64 {
        1
    }
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
        Ok(self.get_all(vec![path.to_owned()], limit).await?.pop().flatten())
    }

    async fn get_all(
        &mut self,
        paths: Vec<String>,
        limit: usize,
    ) -> Result<Vec<Option<Vec<u8>>>, SourceError> {
        let root = self.0.clone();
        // One task for all of them: several would each wait for a core beside the examination.
        let read = tokio::task::spawn_blocking(move || {
            paths.into_iter().map(|path| read_at_most(&root.join(path), limit)).collect()
        });
        read.await.unwrap_or_else(|lost| {
            let place = self.describe();
            Err(SourceError::File { place, source: io::Error::other(lost) })
        })
    }

    fn tiles_ahead(&self) -> u64 {
        32
    }
}

/// A file's content, `None` where there is none. One longer than `limit` bytes is malformed.
fn read_at_most(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
    let place = || path.display().to_string();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = File::open(path).and_then(|file| {
        let mut content = Vec::new();
        file.take(most).read_to_end(&mut content)?;
        Ok(content)
    });
    match read {
        Ok(content) if content.len() > limit => {
            Err(SourceError::Malformed { place: place(), reason: format!("it is longer than {limit} bytes") })
        }
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SourceError::File { place: place(), source }),
    }
}

/// A log in the layout of tlog-tiles below a [`Files`], with the time-stamped heads beside it where there are any.
#[derive(Clone, Debug)]
pub struct Tiles<F> {
    files: F,
    /// The index of the time-stamped heads, once it was read.
    stamped: Option<StampedHeads>,
    /// Tiles of level 0 that were read before they were asked for.
    ahead: VecDeque<(Tile, Vec<u8>)>,
}

impl<F: Files> Tiles<F> {
    /// The log below this place.
    pub const fn of(files: F) -> Self {
        Self { files, stamped: None, ahead: VecDeque::new() }
    }

    /// Which heads have time-stamps; none where no index stands.
    async fn stamped(&mut self) -> Result<&StampedHeads, SourceError> {
        let heads = match self.stamped.take() {
            Some(heads) => heads,
            None => match self.files.get(stamped::INDEX, stamped::MAX_INDEX_BYTES).await? {
                None => StampedHeads::default(),
                Some(content) => {
                    StampedHeads::from_bytes(&content).map_err(|reason| SourceError::Malformed {
                        place: self.files.place(stamped::INDEX),
                        reason: reason.to_owned(),
                    })?
                }
            },
        };
        Ok(self.stamped.insert(heads))
    }

    /// A file that the index names.
    async fn named(&mut self, path: &str, limit: usize) -> Result<Vec<u8>, SourceError> {
        let content = self.files.get(path, limit).await?;
        content.ok_or_else(|| SourceError::Missing { place: self.files.place(path) })
    }

    /// The file of the full bundle, where the partial one was removed.
    async fn full_bundle(&mut self, wanted: Bundle) -> Result<Option<(Bundle, Vec<u8>)>, SourceError> {
        match Bundle::new(wanted.index(), TILE_WIDTH) {
            Ok(full) if full != wanted => {
                Ok(self.files.get(&full.path(), MAX_BUNDLE_BYTES).await?.map(|content| (full, content)))
            }
            _ => Ok(None),
        }
    }

    /// Reads a full tile of level 0 with those that follow it: they are asked for one after the other.
    async fn read_ahead(&mut self, tile: Tile) {
        self.ahead.clear();
        let next = (0..self.files.tiles_ahead())
            .map_while(|place| Tile::new(0, tile.index().checked_add(place)?, TILE_WIDTH).ok());
        let tiles: Vec<Tile> = next.collect();
        // What cannot be read is told when it is asked for.
        let paths = tiles.iter().map(|tile| tile.path()).collect();
        if let Ok(contents) = self.files.get_all(paths, MAX_TILE_BYTES).await {
            let found = tiles.into_iter().zip(contents).map_while(|(tile, content)| Some((tile, content?)));
            self.ahead.extend(found);
        }
    }
}

impl<F: Files> Source for Tiles<F> {
    fn describe(&self) -> String {
        self.files.describe()
    }

    async fn head(&mut self) -> Result<Vec<u8>, SourceError> {
        // Whoever publishes writes the checkpoint before the index: read the other way round, no head of the index can be
        // newer than the checkpoint. What is wrong with the index is told where it is used.
        drop(self.stamped().await);
        let head = self.files.get("checkpoint", MAX_NOTE_BYTES).await?;
        head.ok_or_else(|| SourceError::Missing { place: self.files.place("checkpoint") })
    }

    async fn entries(&mut self, first: u64, end: u64, size: u64) -> Result<Vec<Stored>, SourceError> {
        let mut entries = Vec::new();
        let wanted: Vec<Bundle> = bundles(first, end, size).collect();
        let paths = wanted.iter().map(|bundle| bundle.path()).collect();
        let contents = self.files.get_all(paths, MAX_BUNDLE_BYTES).await?;
        for (wanted, content) in wanted.into_iter().zip(contents) {
            let found = match content {
                Some(content) => Some((wanted, content)),
                None => self.full_bundle(wanted).await?,
            };
            let Some((held, content)) = found else { continue };
            let content = Bytes::from(content);
            let read = bundle::read(held, &content).map_err(|error| SourceError::Malformed {
                place: self.files.place(&held.path()),
                reason: error.to_string(),
            })?;
            let first_seq = wanted.index() * u64::from(TILE_WIDTH) + 1;
            let stored = (first_seq..).zip(read).take(usize::from(wanted.width()));
            entries.extend(stored.map(|(seq, entry)| Stored {
                seq,
                entry: content.slice_ref(entry),
                columns: None,
            }));
        }
        Ok(entries)
    }

    /// A log is published without its entries where these are nobody else's business.
    fn may_lack_entries(&self) -> bool {
        true
    }

    async fn tile(&mut self, tile: Tile) -> Result<Option<Vec<u8>>, SourceError> {
        if tile.level() == 0 && tile.is_full() {
            if !self.ahead.iter().any(|(held, _)| *held == tile) {
                self.read_ahead(tile).await;
            }
            while self.ahead.pop_front_if(|(held, _)| *held != tile).is_some() {}
            if let Some((_, content)) = self.ahead.pop_front() {
                return Ok(Some(content));
            }
        }
        if let Some(content) = self.files.get(&tile.path(), MAX_TILE_BYTES).await? {
            return Ok(Some(content));
        }
        let Ok(full) = Tile::new(tile.level(), tile.index(), TILE_WIDTH) else { return Ok(None) };
        let mut content =
            if full == tile { None } else { self.files.get(&full.path(), MAX_TILE_BYTES).await? };
        if let Some(content) = &mut content {
            content.truncate(usize::from(tile.width()) * HASH_BYTES);
        }
        Ok(content)
    }

    async fn kept_heads(&mut self, after: u64, end: u64) -> Result<Vec<KeptHead>, SourceError> {
        let sizes: Vec<u64> = self.stamped().await?.between(after, end).map(|(size, _)| size).collect();
        let mut heads = Vec::with_capacity(sizes.len());
        for size in sizes {
            let path = stamped::note_path(size);
            let note = String::from_utf8(self.named(&path, MAX_NOTE_BYTES).await?).map_err(|_| {
                SourceError::Malformed { place: self.files.place(&path), reason: "it is no text".to_owned() }
            })?;
            heads.push(KeptHead { size, note });
        }
        Ok(heads)
    }

    async fn stamps(&mut self, after: u64, end: u64) -> Result<Vec<KeptStamp>, SourceError> {
        let heads: Vec<(u64, u16)> = self.stamped().await?.between(after, end).collect();
        let mut stamps = Vec::new();
        for (size, tokens) in heads {
            for number in 1..=tokens {
                let token = self.named(&stamped::token_path(size, number), stamped::MAX_TOKEN_BYTES).await?;
                stamps.push(KeptStamp { size, token });
            }
        }
        Ok(stamps)
    }
}
