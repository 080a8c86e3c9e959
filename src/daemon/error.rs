//! Faults at start that only a person can mend.

use std::path::PathBuf;

use crate::audit::{MalformedLogKeys, PublishError, SealError, WitnessError};
use crate::config::{SecretFileError, SettingsError};
use crate::delivery::DeliveryError;
use crate::domain::{KeyError, OrganisationId};
use crate::http::HttpError;
use crate::platform::PlatformError;
use crate::platform::cloud4wi::SetupError;
use crate::report::ReportError;
use crate::store::StoreError;
use crate::store::embedded::EmbeddedError;

/// Why the daemon or a command cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings are refused.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A secret file cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// The secret of a webhook is too short to sign anything.
    #[error("{key} names a secret of fewer than {shortest} characters; write one with: openssl rand -hex 32")]
    WebhookSecret {
        /// The key that names the file.
        key: String,
        /// How long it must be.
        shortest: usize,
    },
    /// The connection URL cannot be read. Its text is not repeated: it may hold a password.
    #[error(
        "{key} is not a connection URL; write postgres://login:password@host/database, with special characters of the \
         password percent-encoded (@ is %40, / is %2F, : is %3A, # is %23, % is %25)"
    )]
    DatabaseUrl {
        /// The key that names it.
        key: &'static str,
    },
    /// A command that makes no database finds none.
    #[error(
        "no database is configured, and {} holds no private one; if the service has one, its data_dir or database.url_file is not \
         what this command sees: run it as the user of the service (`sudo -u dsrd dsrd …`) with the service's configuration. For a \
         new one: `dsrd migrate`, or start the daemon",
        data_dir.display()
    )]
    NoDatabase {
        /// Where it was looked for.
        data_dir: PathBuf,
    },
    /// The private database cannot be had.
    #[error("the private database cannot be started")]
    Embedded(#[from] EmbeddedError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The schema is older than this program, which may not change it by itself.
    #[error("{missing} migration(s) are missing; run `dsrd migrate`")]
    SchemaBehind {
        /// How many.
        missing: usize,
    },
    /// The schema is newer than this program, or was altered (F-24).
    #[error(
        "the database was migrated by a newer dsrd; start that version, or restore a backup made before the upgrade"
    )]
    SchemaNewer,
    /// An applied migration is not the one compiled in.
    #[error(
        "a migration in the database differs from the one in this program; install an unmodified release of dsrd"
    )]
    SchemaAltered,
    /// The master key file does not hold a key.
    #[error("keys.master_key_file {} is unusable", path.display())]
    MasterKeyMalformed {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The file is missing although identifiers were sealed with its key.
    #[error(
        "keys.master_key_file {} does not exist, but the database holds identifiers sealed with a key; restore the \
         file from its backup, without it they cannot be read",
        path.display()
    )]
    MasterKeyLost {
        /// The file.
        path: PathBuf,
    },
    /// The key is not the one with which stored identifiers were sealed.
    #[error(
        "keys.master_key_file {} holds another key than the one that sealed the identifiers in this database; restore \
         the right file from its backup",
        path.display()
    )]
    MasterKeyOther {
        /// The file.
        path: PathBuf,
    },
    /// The key file cannot be made.
    #[error("the master key file {} cannot be made", path.display())]
    MasterKeyWrite {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file of the log's key does not hold one.
    #[error("audit.key_file {} is unusable", path.display())]
    LogKeyMalformed {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: MalformedLogKeys,
    },
    /// The file is missing although the log was signed with its key.
    #[error(
        "audit.key_file {} does not exist, but the audit log in this database is signed with a key; restore the file from \
         its backup. Where systemd hands the key over as a credential, only the unit sees it: for a command, put the seed into a file of \
         mode 0600 and name that in audit.key_file. The log is not signed with another key",
        path.display()
    )]
    LogKeyLost {
        /// The file.
        path: PathBuf,
    },
    /// Another process changes the key file.
    #[error(
        "another `dsrd audit key rotate` (process {process}) is at work on {}; wait until it has ended, see with `dsrd audit key \
         show` what it did, and run this command again if it is still needed",
        path.display()
    )]
    LogKeyTaken {
        /// The key file.
        path: PathBuf,
        /// Number of the process on its host.
        process: String,
    },
    /// Whether another process changes the key file cannot be found out.
    #[error(
        "{} cannot be locked, which keeps two exchanges of keys from going on at once; it must belong to whoever writes \
         audit.key_file, on a file system that has locks. A systemd credential is read-only: copy it into a file of mode 0600, \
         name that in audit.key_file, and put the new seed where the credential comes from",
        path.display()
    )]
    LogKeyLock {
        /// The file beside the key file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The key file cannot be written.
    #[error(
        "the key file {} of the audit log cannot be written; a systemd credential is read-only: copy it into a file of mode 0600, \
         name that in audit.key_file, and put the new seed where the credential comes from",
        path.display()
    )]
    LogKeyWrite {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The audit log cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Heads of the log cannot be published or compared.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A witness cannot be run.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The file of the witness's key does not hold one.
    #[error("the key file {} of the witness must hold one seed of 64 hexadecimal digits", path.display())]
    WitnessKey {
        /// The file.
        path: PathBuf,
    },
    /// The organisation was registered with another id at the platform before.
    #[error(
        "organisation {organisation} was registered with another platform.organisation_id before, or that id belongs to \
         another organisation of this database; requests would reach the wrong people. Restore the former id, or \
         configure the new one under a new short name"
    )]
    OrganisationMoved {
        /// The organisation.
        organisation: OrganisationId,
    },
    /// The platform key belongs to another organisation (S-14).
    #[error(
        "the platform key of organisation {organisation} belongs to another organisation at the platform; check \
         client_key_file, client_secret_file and organisation_id"
    )]
    OrganisationOther {
        /// The organisation.
        organisation: OrganisationId,
    },
    /// The platform did not answer when it was asked to which organisation the key belongs.
    #[error(
        "the platform could not be asked whether the key belongs to organisation {organisation}; nothing else was \
         called, try again when it answers"
    )]
    OrganisationUnchecked {
        /// The organisation.
        organisation: OrganisationId,
        /// Why not.
        #[source]
        source: PlatformError,
    },
    /// A platform client cannot be built.
    #[error("organisation {organisation}")]
    Platform {
        /// The organisation.
        organisation: OrganisationId,
        /// Why.
        #[source]
        source: SetupError,
    },
    /// The directory of packages cannot be used.
    #[error("the directory of access packages cannot be used")]
    Packages(#[from] ReportError),
    /// Mail cannot be set up.
    #[error("mail cannot be set up")]
    Delivery(#[from] DeliveryError),
    /// The hand-over page cannot be served.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl StartError {
    /// Whether waiting may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) | Self::Publish(PublishError::Store(error)) => error.is_transient(),
            Self::Seal(error) => error.is_transient(),
            // Whoever runs the migration is expected soon.
            Self::SchemaBehind { .. } => true,
            _ => false,
        }
    }

    /// Whether the configuration must be changed.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        !matches!(
            self,
            Self::NoDatabase { .. }
                | Self::Embedded(_)
                | Self::Store(_)
                | Self::SchemaBehind { .. }
                | Self::SchemaNewer
                | Self::SchemaAltered
                | Self::MasterKeyWrite { .. }
                | Self::OrganisationUnchecked { .. }
                | Self::LogKeyWrite { .. }
                | Self::LogKeyTaken { .. }
                | Self::LogKeyLock { .. }
                | Self::Seal(
                    SealError::Store(_)
                        | SealError::NoRight(_)
                        | SealError::Altered { .. }
                        | SealError::SetBack { .. }
                        | SealError::Overtaken
                )
                | Self::Publish(
                    PublishError::Store(_) | PublishError::Diverged(_) | PublishError::Altered(_)
                )
                | Self::Packages(_)
                | Self::Http(_)
        )
    }
}
