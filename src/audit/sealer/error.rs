//! Why entries cannot be sealed.

use crate::audit::tlog;
use crate::store::StoreError;

/// Why entries cannot be sealed. Until the cause is mended they wait in the inbox, and nothing is lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SealError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The login may not act as the sealer.
    #[error("the database login may not seal the audit log; run: GRANT aud_sealer TO <login role>")]
    NoRight(#[source] StoreError),
    /// The configured name cannot be that of a log.
    #[error("audit.origin cannot be the name of a log")]
    OriginMalformed(#[source] tlog::KeyError),
    /// The log has another name already.
    #[error(
        "audit.origin differs from the name {stored} that the log in this database has; the name of a log cannot be \
         changed, set audit.origin back or leave it empty"
    )]
    OriginOther {
        /// The name that it has.
        stored: String,
    },
    /// A key that must sign is not in the key file.
    #[error(
        "audit.key_file does not hold the key {wanted} that signs this log; restore the file from its backup. The log \
         is not signed with another key. If the database was restored to before an exchange of keys, and that key's seed is \
         gone for good: `dsrd audit recover --after-restore --former-key {wanted}`"
    )]
    KeyOther {
        /// The verifier key that is missing.
        wanted: String,
    },
    /// A key is to be added or retired, and there is none to do it with.
    #[error("{0}")]
    Rotation(&'static str),
    /// What is stored is not what was signed.
    #[error(
        "the stored state of the audit log does not match its last signed checkpoint ({what}); it was altered or \
         restored in part. Nothing is sealed on top of it"
    )]
    Altered {
        /// What does not match.
        what: &'static str,
    },
    /// The log in the database became shorter while the daemon ran.
    #[error(
        "the audit log in the database went back from {from} to {to} entries while this daemon ran: an older copy was \
         restored. Nothing is sealed; stop all daemons, then see `dsrd check`"
    )]
    SetBack {
        /// The size that was sealed.
        from: u64,
        /// The size that is there now.
        to: u64,
    },
    /// Another sealer was faster. Nothing of ours was kept.
    #[error("another sealer has moved the head of the audit log; tried again")]
    Overtaken,
}

impl SealError {
    /// The error of a connection that could not be made: mostly the right is missing to act as the sealer.
    #[must_use]
    pub fn of_connecting(error: StoreError) -> Self {
        match &error {
            StoreError::Refused { code, .. } if code == "42501" => Self::NoRight(error),
            _ => Self::Store(error),
        }
    }

    /// Whether trying again may help without anybody doing something.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Overtaken => true,
            _ => false,
        }
    }
}
