//! A directory in the layout of tlog-tiles: `checkpoint`, `tile/…`, and `tile/entries/…` where that is wanted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::audit::files;
use crate::audit::sealer::is_former_name;
use crate::audit::stamped::{self, StampedHeads};
use crate::audit::tlog::{Bundle, Checkpoint, SignedNote, TILE_WIDTH};

/// The name of the newest checkpoint's file.
const CHECKPOINT: &str = "checkpoint";

/// What the names of folders begin with in which the log is under a later name than its first.
pub(super) const RESTORED: &str = "restored-";

/// Where bundles of entries are: `NNN`, partial ones in `NNN.p/`, from the thousandth on in groups `xNNN/`.
const ENTRIES: &str = "tile/entries";

/// Where a log's files are: a log that goes on after a restore under another name has a folder of its own, beside what
/// was published before.
pub(super) fn folder_of(root: &Path, origin: &str) -> PathBuf {
    root.join(folder_name(origin))
}

/// The name of that folder below the root; empty for the root itself.
pub(super) fn folder_name(origin: &str) -> String {
    origin.rsplit_once("/restored-").map_or_else(String::new, |(_, instant)| format!("{RESTORED}{instant}"))
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

/// The folders below the root in which the log is under later names than its first, in the order of their instants.
fn restored(root: &Path) -> io::Result<Vec<String>> {
    let listed = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in listed {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && name.starts_with(RESTORED)
            && entry.path().is_dir()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The checkpoints in folders of later instants than that of this one.
pub(super) fn later(root: &Path, folder: &str) -> io::Result<Vec<Checkpoint>> {
    let mut found = Vec::new();
    for name in restored(root)?.into_iter().filter(|name| name.as_str() > folder) {
        found.extend(read(&root.join(name))?);
    }
    Ok(found)
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

/// Whether the folder has got this bundle. It was written whole or not at all.
pub(super) fn has(folder: &Path, bundle: Bundle) -> bool {
    folder.join(bundle.path()).is_file()
}

/// Removes the bundles before the first one that the log keeps, whole or partial: their entries were pruned. What is there is
/// listed, because a fill that was broken off, or a time in which entries were not wanted, leaves holes.
pub(super) fn forget_entries(folder: &Path, first_kept: u64) -> io::Result<()> {
    if first_kept > 0 { forget_below(&folder.join(ENTRIES), 0, first_kept) } else { Ok(()) }
}

/// The same for a folder of bundles, whose indexes begin with a group.
fn forget_below(folder: &Path, group: u64, first_kept: u64) -> io::Result<()> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in listed {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let (name, is_group) = name.strip_prefix('x').map_or((name, false), |digits| (digits, true));
        let digits = name.strip_suffix(".p").unwrap_or(name);
        let is_number = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| is_number);
        let Some(index) = number.and_then(|number: u64| group.checked_mul(1000)?.checked_add(number)) else {
            continue;
        };
        let path = entry.path();
        // What is below a group has a larger index than it.
        let is_below = if is_group { index.saturating_mul(1000) < first_kept } else { index < first_kept };
        let removed = match (is_below, is_group) {
            (false, _) => continue,
            (true, true) => {
                forget_below(&path, index, first_kept)?;
                // Others are left in it, mostly.
                fs::remove_dir(&path).or_else(|error| match error.kind() {
                    io::ErrorKind::DirectoryNotEmpty => Ok(()),
                    _ => Err(error),
                })
            }
            (true, false) if entry.file_type()?.is_dir() => fs::remove_dir_all(&path),
            (true, false) => fs::remove_file(&path),
        };
        match removed {
            // Another daemon on this host was faster.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Removes the bundles of what was published before a restore, once the log has forgotten as many entries as that were. All of
/// them at once: below those heads nothing allows some to be missing, and hashes alone are what a place may hold. `origin` is
/// the present name, `first_kept` the first bundle that the log keeps.
pub(super) fn forget_former_entries(root: &Path, origin: &str, first_kept: u64) -> io::Result<()> {
    let forgotten = first_kept.saturating_mul(TILE_WIDTH.into());
    if forgotten == 0 || folder_name(origin).is_empty() {
        return Ok(());
    }
    for folder in std::iter::once(root.to_owned()).chain(restored(root)?.iter().map(|name| root.join(name))) {
        let entries = folder.join(ENTRIES);
        if !entries.is_dir() {
            continue;
        }
        // What cannot be read may be of another log.
        let Ok(Some(head)) = read(&folder) else { continue };
        if is_former_name(head.origin.as_str(), origin) && head.size <= forgotten {
            match fs::remove_dir_all(&entries) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_lies_below_the_first_kept_bundle_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let entries = folder.path().join(ENTRIES);
        let make = |paths: &[&str]| {
            for path in paths {
                files::write_whole(&entries.join(path), b"x").unwrap();
            }
        };
        let left = |paths: &[&str]| paths.iter().all(|path| entries.join(path).exists());
        forget_entries(folder.path(), 7).unwrap();
        make(&[
            "000",
            "002.p/17",
            "004",
            "999",
            "x001/000",
            "x001/002",
            "x001/x000/000",
            "x002/000",
            "notes",
        ]);
        forget_entries(folder.path(), 0).unwrap();
        assert!(left(&["000"]));
        forget_entries(folder.path(), 4).unwrap();
        assert!(!left(&["000"]) && !left(&["002.p"]) && left(&["004", "999", "x001/000"]));
        forget_entries(folder.path(), 1_002).unwrap();
        assert!(!left(&["004"]) && !left(&["999"]) && !left(&["x001/000"]));
        assert!(left(&["x001/002", "x001/x000/000", "x002/000", "notes"]));
        forget_entries(folder.path(), 1_000_001).unwrap();
        let names: Vec<_> = fs::read_dir(&entries).unwrap().map(|each| each.unwrap().file_name()).collect();
        assert_eq!(names, ["notes"]);
    }
}
