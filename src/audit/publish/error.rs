//! What is found when the log is compared with what was published of it.

use crate::audit::sealer::{RestoreReason, Restored};
use crate::audit::tlog;
use crate::store::StoreError;

/// What was published outside is not a beginning of the log in the database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Divergence {
    /// The outside head is larger.
    #[error(
        "{place} holds a head of the audit log at {outside} entries, but the database has {inside}: the database is an \
         older copy. Nothing is sealed, claimed or mailed; restore the newest copy, or accept the loss with `dsrd audit \
         recover --after-restore`"
    )]
    Ahead {
        /// Which sink.
        place: String,
        /// The size there.
        outside: u64,
        /// The size here.
        inside: u64,
        /// The root there, where the sink tells it.
        root: Option<tlog::Hash>,
    },
    /// The trees differ.
    #[error(
        "{place} holds a head of the audit log at {size} entries that the log in the database does not continue: its \
         history was rewritten or forked. Nothing is sealed, claimed or mailed; find out why with `dsrd audit verify`, \
         restore the right database, or name the fork with `dsrd audit recover --after-restore`"
    )]
    Fork {
        /// Which sink.
        place: String,
        /// The size at which they differ.
        size: u64,
        /// The root there, where the sink tells it.
        root: Option<tlog::Hash>,
    },
    /// The log was restored before, went on under a later name, and the database is a copy from before that.
    #[error(
        "{place} holds the audit log under the later name {origin}, at {size} entries: the database is a copy from before \
         the restore that gave it that name, and lacks what came after. Nothing is sealed, claimed or mailed; restore the \
         newest copy, or accept the loss with `dsrd audit recover --after-restore`"
    )]
    LaterName {
        /// Which sink.
        place: String,
        /// The name there.
        origin: String,
        /// The size there.
        size: u64,
        /// The root there.
        root: tlog::Hash,
    },
    /// The place belongs to another log.
    #[error(
        "{place} holds the audit log {origin}, which is not the one of this database. Nothing is sealed, claimed or \
         mailed; restore the right database, or move what is there away"
    )]
    Foreign {
        /// Which sink.
        place: String,
        /// The log there.
        origin: String,
    },
}

impl Divergence {
    /// How much it tells of what was lost: the latest name, else the largest size outside, with its root if it can be. Before
    /// that, what is not of this log has to be moved away.
    pub(super) fn weight(&self) -> (u8, &str, u64, bool) {
        match self {
            Self::Ahead { outside: size, root, .. } | Self::Fork { size, root, .. } => {
                (0, "", *size, root.is_some())
            }
            Self::LaterName { origin, size, .. } => (1, origin, *size, true),
            Self::Foreign { .. } => (2, "", 0, false),
        }
    }

    /// What a recovery says of the log that was lost; `None` where another one has to be moved away first.
    #[must_use]
    pub fn lost(&self, reason: RestoreReason) -> Option<Restored> {
        let (origin, size, root) = match self {
            Self::Ahead { outside: size, root, .. } | Self::Fork { size, root, .. } => (None, *size, *root),
            Self::LaterName { origin, size, root, .. } => (Some(origin.clone()), *size, Some(*root)),
            Self::Foreign { .. } => return None,
        };
        Some(Restored { origin, size: Some(size), root, reason })
    }
}

/// Why heads cannot be published or compared.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PublishError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is outside and what is inside do not fit.
    #[error(transparent)]
    Diverged(#[from] Divergence),
    /// The stored tree is not one.
    #[error("the stored tree of the audit log does not match its checkpoint ({0}); run `dsrd audit verify`")]
    Altered(&'static str),
    /// A bucket cannot be used with these settings.
    #[error("{0}")]
    Bucket(&'static str),
    /// A time-stamping authority cannot be asked with these settings.
    #[error("publish.timestamp_url and publish.timestamp_certificate_file: {0}")]
    Timestamp(String),
    /// A witness cannot be asked with these settings.
    #[error("publish.witnesses: {0}")]
    Witness(&'static str),
}

/// Why one place did not take a head; it is tried again, and nothing waits for it.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// It is away or refuses, in words of our own.
    Away(String),
    /// Another process is at it: nothing was done, and nothing is amiss.
    Busy,
    /// All of it must stop.
    Stop(PublishError),
}

impl From<PublishError> for Trouble {
    fn from(error: PublishError) -> Self {
        Self::Stop(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Stop(error.into())
    }
}

impl From<Divergence> for Trouble {
    fn from(error: Divergence) -> Self {
        Self::Stop(error.into())
    }
}
