//! The whole log as files of c2sp.org/tlog-tiles.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::reader::{CHUNK, Reader, WIDTH};
use super::{ExportError, Exported};
use crate::audit::stamped::{self, StampedHeads};
use crate::audit::tlog::{Bundle, Hash, Tile, bundle};
use crate::audit::verify::{Source, SourceError, Stored};

/// Writes the log into an empty directory, which is made where there is none. The checkpoint comes last: a directory
/// without one is not complete.
pub async fn write_tiles<S: Source>(source: &mut S, directory: &Path) -> Result<Exported, ExportError> {
    fs::create_dir_all(directory)?;
    if fs::read_dir(directory)?.next().is_some() {
        return Err(ExportError::Write(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the directory is not empty; name a new one",
        )));
    }
    let mut reader = Reader::open(source).await?;
    let size = reader.size();
    let mut exported = Exported { entries: 0, size, sha256: String::new(), bytes: 0 };
    let mut stamped = StampedHeads::default();
    let mut first = 0;
    while first < size {
        let end = (first + CHUNK).min(size);
        let rows = reader.entries(first, end).await?;
        exported.entries += u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let mut rows = rows.as_slice();
        for index in first / WIDTH..end.div_ceil(WIDTH) {
            let Some(held) = Bundle::of_tree(index, size) else { continue };
            let of_bundle = rows.partition_point(|(row, _)| row.seq <= (index + 1) * WIDTH);
            let (own, rest) = rows.split_at(of_bundle);
            rows = rest;
            // One that was removed as a whole is left out; its hashes stay.
            if own.is_empty() {
                continue;
            }
            if let Some(gap) = gap(index * WIDTH + 1, usize::from(held.width()), own) {
                return Err(ExportError::Gap { seq: gap });
            }
            let content = bundle::write(own.iter().map(|(row, _)| row.entry.as_ref()))?;
            exported.bytes += write(directory, &held.path(), &content)?;
        }
        for (path, content) in stamped_files(reader.source(), first, end, &mut stamped).await? {
            exported.bytes += write(directory, &path, &content)?;
        }
        first = end;
    }
    for level in 0..8_u8 {
        let mut index = 0;
        while let Some(tile) = Tile::of_tree(level, index, size) {
            let content = Hash::row_to_bytes(&reader.hashes(tile).await?);
            exported.bytes += write(directory, &tile.path(), &content)?;
            index += 1;
        }
    }
    if !stamped.is_empty() {
        exported.bytes += write(directory, stamped::INDEX, &stamped.to_bytes())?;
    }
    let note = reader.note.to_string();
    exported.bytes += write(directory, "checkpoint", note.as_bytes())?;
    exported.sha256 = hex::encode(Sha256::digest(note.as_bytes()));
    Ok(exported)
}

/// The time-stamped heads with sizes above `after` and up to `end`, as files; they are added to the index.
async fn stamped_files<S: Source>(
    source: &mut S,
    after: u64,
    end: u64,
    index: &mut StampedHeads,
) -> Result<Vec<(String, Vec<u8>)>, SourceError> {
    let stamps = source.stamps(after, end).await?;
    if stamps.is_empty() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for head in source.kept_heads(after, end).await? {
        let mut has_some = false;
        for stamp in stamps.iter().filter(|stamp| stamp.size == head.size) {
            // More than are read would make the export unreadable.
            let Some(number) = index.add(head.size) else { continue };
            files.push((stamped::token_path(head.size, number), stamp.token.clone()));
            has_some = true;
        }
        if has_some {
            files.push((stamped::note_path(head.size), head.note.into_bytes()));
        }
    }
    Ok(files)
}

/// The first number that is missing among the entries of a bundle.
fn gap(first: u64, width: usize, rows: &[(Stored, Hash)]) -> Option<u64> {
    (first..)
        .take(width)
        .zip(0..)
        .find(|(seq, at)| rows.get(*at).is_none_or(|(row, _)| row.seq != *seq))
        .map(|(seq, _)| seq)
}

fn write(directory: &Path, path: &str, content: &[u8]) -> Result<u64, io::Error> {
    let path = directory.join(path);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::create_new(path)?;
    file.write_all(content)?;
    Ok(u64::try_from(content.len()).unwrap_or(u64::MAX))
}
