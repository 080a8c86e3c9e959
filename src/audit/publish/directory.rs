//! A directory in the layout of tlog-tiles: `checkpoint`, `tile/…`, and `tile/entries/…` where that is wanted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::audit::files;
use crate::audit::stamped::{self, StampedHeads};
use crate::audit::tlog::{Bundle, Checkpoint, SignedNote, TILE_WIDTH};

/// The name of the newest checkpoint's file.
const CHECKPOINT: &str = "checkpoint";

/// Where a log's files are: a log that goes on after a restore under another name has a folder of its own, beside what
/// was published before.
pub(super) fn folder_of(root: &Path, origin: &str) -> PathBuf {
    root.join(folder_name(origin))
}

/// The name of that folder below the root; empty for the root itself.
pub(super) fn folder_name(origin: &str) -> String {
    origin.rsplit_once("/restored-").map_or_else(String::new, |(_, instant)| format!("restored-{instant}"))
}

/// The checkpoint that the folder holds; `None` where it holds none yet.
pub(super) fn read(folder: &Path) -> io::Result<Option<Checkpoint>> {
    let bytes = match fs::read(folder.join(CHECKPOINT)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    // Who signed it is not asked: whatever stands there is to be a beginning of our own log.
    let note = SignedNote::from_bytes(&bytes).ok().and_then(|note| note.text().parse().ok());
    note.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the file is not a checkpoint"))
}

/// The index of the time-stamped heads in the folder; an empty one where there is none yet.
pub(super) fn stamped(folder: &Path) -> io::Result<StampedHeads> {
    match fs::read(folder.join(stamped::INDEX)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(StampedHeads::default()),
        Err(error) => Err(error),
        Ok(content) => StampedHeads::from_bytes(&content).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "its index of time-stamped heads cannot be read; remove timestamps/index",
            )
        }),
    }
}

/// The path of a full bundle.
fn bundle_path(folder: &Path, index: u64) -> Option<PathBuf> {
    Some(folder.join(Bundle::new(index, TILE_WIDTH).ok()?.path()))
}

/// Whether the folder has got this bundle. It was written whole or not at all.
pub(super) fn has(folder: &Path, bundle: Bundle) -> bool {
    folder.join(bundle.path()).is_file()
}

/// Removes the bundles before the first one that the log keeps: its entries were pruned. The lowest goes first, so that
/// what an interrupted removal leaves is found from above.
pub(super) fn forget_entries(folder: &Path, first_kept: u64) -> io::Result<()> {
    let mut lowest = first_kept;
    while lowest > 0 && bundle_path(folder, lowest - 1).is_some_and(|path| path.exists()) {
        lowest -= 1;
    }
    for path in (lowest..first_kept).filter_map(|index| bundle_path(folder, index)) {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Where the partial forms of a tile or bundle are.
fn partial_of(full: &Path) -> PathBuf {
    let mut name = full.as_os_str().to_owned();
    name.push(".p");
    name.into()
}

/// Writes files, each whole or not at all.
pub(super) fn write(folder: &Path, files: &[(String, Vec<u8>)]) -> io::Result<()> {
    for (path, content) in files {
        files::write_whole(&folder.join(path), content)?;
    }
    Ok(())
}

/// Replaces the checkpoint; what it needs must be there. Partial tiles whose full one is there are of no more use.
pub(super) fn write_checkpoint(folder: &Path, note: &str, full: &[String]) -> io::Result<()> {
    files::write_whole(&folder.join(CHECKPOINT), note.as_bytes())?;
    for path in full {
        match fs::remove_dir_all(partial_of(&folder.join(path))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
