//! Why no report came about, and how errors of the layers below become that.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Section;

/// Why a spool, a package or its opening failed. Names files and settings, never a person.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The directory for packages cannot be created or read.
    #[error("directory for packages {} cannot be used; create it for this service's user with mode 0700", path.display())]
    Directory {
        /// The configured directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The directory lets other users in.
    #[error("directory for packages {} is open to other users; set its mode to 0700", path.display())]
    DirectoryTooOpen {
        /// The configured directory.
        path: PathBuf,
    },
    /// There is no room left for the spool or the package. Nothing half-written remains.
    #[error("no room left in {} for a report; free or enlarge the file system", path.display())]
    DiskFull {
        /// The configured directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The spool or the package could not be written for another reason. Nothing half-written remains.
    #[error("report cannot be written in {}; check the file system and the directory's rights", path.display())]
    Write {
        /// The configured directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The records or the package exceed a configured size.
    #[error("report exceeds {limit_bytes} bytes, the limit of {setting}")]
    TooLarge {
        /// Which setting of [`super::Settings`] holds the limit.
        setting: &'static str,
        /// The limit.
        limit_bytes: u64,
    },
    /// A data catalogue is configured, but has no entry for a section in which records are held.
    #[error("data catalogue has no entry for {section}, of which records are held; add one")]
    CatalogueEntryMissing {
        /// The section without entry.
        section: Section,
    },
    /// The text is no key of a package.
    #[error("package key is malformed; it must be the text that writing the package gave")]
    Key,
    /// A package file cannot be read.
    #[error("package {} cannot be read; it may have been removed after its time", path.display())]
    Read {
        /// The package file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The key is not the one of this package, or the package was altered.
    #[error("package {} does not open with this key, or its bytes were altered", path.display())]
    DoesNotOpen {
        /// The package file.
        path: PathBuf,
        /// What the cipher said.
        #[source]
        source: age::DecryptError,
    },
    /// The opened package could not be handed on, or turned out to be cut or altered on the way.
    #[error("package {} could not be handed on in full", path.display())]
    HandOver {
        /// The package file.
        path: PathBuf,
        /// What the reader or the writer said.
        #[source]
        source: io::Error,
    },
}

/// Travels inside an [`io::Error`] through compressor and cipher, so that a limit is still known as such outside.
#[derive(Clone, Copy, Debug)]
pub(super) struct LimitReached {
    pub(super) setting: &'static str,
    pub(super) limit_bytes: u64,
}

impl LimitReached {
    pub(super) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

impl fmt::Display for LimitReached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "limit of {} bytes reached", self.limit_bytes)
    }
}

impl std::error::Error for LimitReached {}

impl ReportError {
    /// Sorts an error that came up while writing in `directory`.
    pub(super) fn writing(directory: &Path, source: io::Error) -> Self {
        if let Some(limit) = source.get_ref().and_then(|inner| inner.downcast_ref::<LimitReached>()) {
            return Self::TooLarge { setting: limit.setting, limit_bytes: limit.limit_bytes };
        }
        let path = directory.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull { path, source }
            }
            _ => Self::Write { path, source },
        }
    }
}

/// The `io` error inside an error of the archive writer, so that a full disk is still known as such.
pub(super) fn zip_into_io(error: zip::result::ZipError) -> io::Error {
    match error {
        zip::result::ZipError::Io(inner) => inner,
        other => io::Error::other(other),
    }
}

/// The `io` error inside an error of the CSV writer.
pub(super) fn csv_into_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(inner) => inner,
        other => io::Error::other(format!("{other:?}")),
    }
}
