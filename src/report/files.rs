//! Private files: created for our user alone, counted, hashed, and gone again when something fails.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ReportError;
use super::error::LimitReached;
use crate::domain::random;

/// How a finished package's file name ends.
const FINISHED: &str = ".zip.age";
/// How the file name of a package that is being written ends.
const PARTIAL: &str = ".zip.age.partial";

/// Makes sure that the directory for packages exists and lets nobody else in.
///
/// # Errors
/// [`ReportError::DirectoryTooOpen`] if others have any right to it: it is refused and not changed, because a
/// mistyped path may name a directory that is shared on purpose.
pub fn prepare_directory(directory: &Path) -> Result<(), ReportError> {
    let failed = |source| ReportError::Directory { path: directory.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let metadata = fs::metadata(directory).map_err(failed)?;
    // The six lowest bits are the rights of the group and of everybody.
    if metadata.mode().trailing_zeros() >= 6 {
        Ok(())
    } else {
        Err(ReportError::DirectoryTooOpen { path: directory.to_owned() })
    }
}

fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// A file without a name: unlinked right after its creation, so that nothing remains of it after any end of the
/// process.
pub fn create_nameless(directory: &Path) -> io::Result<File> {
    let path = directory.join(format!("{}.spool{PARTIAL}", hex::encode(random::bytes::<16>())));
    let file = create_private(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) file_name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// Lets `write` fill a new file in `directory`, and gives the file its final name only when all of it is on the disk.
pub(super) fn write_whole(
    directory: &Path,
    prefix: &str,
    limit: LimitReached,
    write: impl FnOnce(&mut Measured<File>) -> io::Result<()>,
) -> io::Result<Written> {
    let file_name = format!("{prefix}{}{FINISHED}", hex::encode(random::bytes::<16>()));
    let finished = directory.join(&file_name);
    let partial = Partial(directory.join(file_name.replace(FINISHED, PARTIAL)));
    let mut measured = Measured::new(create_private(&partial.0)?, limit);
    write(&mut measured)?;
    measured.inner.sync_all()?;
    fs::rename(&partial.0, &finished)?;
    let Measured { hash, bytes, .. } = measured;
    // The new name must survive a power cut, too; without that the package counts as not written.
    if let Err(error) = File::open(directory).and_then(|folder| folder.sync_all()) {
        drop(Partial(finished));
        return Err(error);
    }
    Ok(Written { file_name, bytes, sha256: hex::encode(hash.finalize()) })
}

/// Removes the file of this path when dropped. After the renaming there is nothing left to remove.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // It may have its final name by now, or the disk may be gone; the next start removes what stays.
        fs::remove_file(&self.0).unwrap_or_default();
    }
}

/// Counts and hashes what passes through, up to a limit.
pub(super) struct Measured<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
    limit: LimitReached,
}

impl<W: Write> Measured<W> {
    pub(super) fn new(inner: W, limit: LimitReached) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0, limit }
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hash.update(&buffer[..written]);
        self.bytes += written as u64;
        if self.bytes > self.limit.limit_bytes {
            return Err(self.limit.into_io());
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: LimitReached = LimitReached { setting: "largest_package_bytes", limit_bytes: 10 };

    fn names(directory: &Path) -> Vec<String> {
        fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn f_19_a_full_disk_leaves_no_half_package() {
        let directory = tempfile::tempdir().unwrap();
        let error = write_whole(directory.path(), "", LIMIT, |file| {
            file.write_all(b"half")?;
            assert_eq!(names(directory.path()).len(), 1);
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert!(matches!(ReportError::writing(directory.path(), error), ReportError::DiskFull { .. }));
        assert_eq!(names(directory.path()), Vec::<String>::new());
    }

    #[test]
    fn a_file_over_the_limit_is_removed_and_named_as_too_large() {
        let directory = tempfile::tempdir().unwrap();
        let error =
            write_whole(directory.path(), "", LIMIT, |file| file.write_all(b"eleven chars")).unwrap_err();
        assert!(matches!(
            ReportError::writing(directory.path(), error),
            ReportError::TooLarge { limit_bytes: 10, .. }
        ));
        assert_eq!(names(directory.path()), Vec::<String>::new());
    }

    #[test]
    fn s_44_an_open_directory_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("a/b");
        prepare_directory(&directory).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(prepare_directory(&directory), Err(ReportError::DirectoryTooOpen { .. })));
    }
}
