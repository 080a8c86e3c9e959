//! Why something could not be brought to its recipient at all. A mail server's refusal is no error, but a
//! [`super::Delivery`].

use std::path::PathBuf;

use super::NoticeKind;
use super::text::TextError;
use crate::domain::{KeyError, Killed};
use crate::report::ReportError;
use crate::secret_file::SecretFileError;
use crate::store::StoreError;

/// A failed operation of this module.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The database failed.
    #[error("delivery: the database failed")]
    Store(#[from] StoreError),
    /// The request has no notice of that kind.
    #[error("no {0} notice was enqueued for this request")]
    NoSuchNotice(NoticeKind),
    /// The row belongs to an organisation that the configuration does not name.
    #[error("the organisation of the notice is not configured; add it or let another daemon send the notice")]
    UnknownOrganisation,
    /// The address, the link or the key of a package does not open.
    #[error("{what} cannot be opened with this master key")]
    Sealed {
        /// Table and column.
        what: &'static str,
        /// Why not.
        #[source]
        source: KeyError,
    },
    /// The text cannot be made from the facts.
    #[error("the text of the {kind} notice cannot be made")]
    Text {
        /// Which notice.
        kind: NoticeKind,
        /// What is missing.
        #[source]
        source: TextError,
    },
    /// A compiled-in text is wrong.
    #[error("a compiled-in text is wrong")]
    Texts(#[source] TextError),
    /// A setting is missing or contradicts another.
    #[error("setting delivery.{setting}: {problem}")]
    Setting {
        /// Its name below `delivery`.
        setting: &'static str,
        /// What is wrong with it, and what to write instead.
        problem: String,
    },
    /// A file of the settings cannot be read.
    #[error("setting delivery.{setting}: the file cannot be read")]
    SettingFile {
        /// Its name below `delivery`.
        setting: &'static str,
        /// What was seen.
        #[source]
        source: std::io::Error,
    },
    /// The file of a secret of the settings cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// The message could not be put together.
    #[error("the mail cannot be put together; check delivery.from_address and delivery.from_name")]
    Message,
    /// The notice holds something that this program does not know: a newer one wrote it, which runs beside this one or will again.
    #[error("{0} is of a newer dsrd, which is left to send the notice")]
    NewerProgram(&'static str),
    /// The attempt lasted so long that another one took the notice over.
    #[error("the notice was taken over by another attempt while it was being sent")]
    Superseded,
    /// The file of a package does not open: missing, altered, or not of this key.
    #[error("the file of a package cannot be opened")]
    Package(#[source] ReportError),
    /// A package that has not expired was built, but its file is not here: by a daemon on another host, most likely.
    #[error(
        "the file of a package that has not expired is not in {}; daemons on several hosts need one report.directory together",
        directory.display()
    )]
    PackageNotHere {
        /// The directory of packages of this daemon.
        directory: PathBuf,
    },
    /// The part of the program that reads a package broke down.
    #[error("the reading of a package broke down")]
    ReaderLost,
    /// The kill switch of a test fired.
    #[error("the sending was stopped by its kill switch")]
    Killed,
    /// A directory or file of packages failed.
    #[error("{operation} failed at {path}")]
    Files {
        /// Which operation.
        operation: &'static str,
        /// Where. Names of packages hold nothing about a person.
        path: PathBuf,
        /// What was seen.
        #[source]
        source: std::io::Error,
    },
}

impl From<Killed> for DeliveryError {
    fn from(_: Killed) -> Self {
        Self::Killed
    }
}

impl DeliveryError {
    /// Whether trying again may help without anybody's doing.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Files { .. } | Self::Superseded => true,
            _ => false,
        }
    }
}
