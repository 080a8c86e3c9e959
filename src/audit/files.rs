//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::domain::random;

/// Writes a file beside its place, brings it to disk and moves it there: a reader sees the old content or the new one,
/// and after the return a loss of power changes nothing. Makes missing folders.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = folder.join(format!(".draft-{}", hex::encode(random::bytes::<8>())));
    let written = (|| {
        let mut file = File::create_new(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    })();
    if let Err(error) = written {
        // The reason of the failure counts, not that its leftover cannot be removed either.
        drop(fs::remove_file(&draft));
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

/// Takes the folder for this process alone, until the answer is dropped; `None` where another one has it.
pub(super) fn lock(folder: &Path) -> io::Result<Option<File>> {
    fs::create_dir_all(folder)?;
    let file = File::options().create(true).truncate(false).write(true).open(folder.join(".lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}
