//! Mails as files: for the demo, and for looking at what would be sent.

use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt as _;

use super::{Effect, Failure};
use crate::delivery::{DeliveryError, Outgoing};

/// Writes each message as `<Message-ID>.eml`, readable by the daemon's account only. A repetition overwrites its first
/// try, so that the directory shows each notice once.
#[derive(Debug)]
pub struct FileTransport {
    dir: PathBuf,
}

impl FileTransport {
    /// Makes the directory if it is missing.
    pub async fn open(dir: PathBuf) -> Result<Self, DeliveryError> {
        let mut builder = tokio::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&dir).await.map_err(|source| DeliveryError::Files {
            operation: "making the directory for mails",
            path: dir.clone(),
            source,
        })?;
        Ok(Self { dir })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) async fn send(&self, mail: &Outgoing) -> Result<String, Failure> {
        self.write(mail).await.map_err(|error| Failure::temporary(error.kind().to_string(), Effect::None))?;
        Ok("written".to_owned())
    }

    async fn write(&self, mail: &Outgoing) -> std::io::Result<()> {
        // A Message-ID of ours is a UUID and a name, but nothing is taken for granted where it becomes a path.
        let name: String = mail
            .message_id()
            .chars()
            .filter(|each| each.is_ascii_alphanumeric() || matches!(each, '-' | '@' | '.'))
            .collect();
        let whole = self.dir.join(format!("{name}.eml"));
        let partial = self.dir.join(format!("{name}.partial"));
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&partial).await?;
        file.write_all(mail.raw()).await?;
        file.sync_all().await?;
        tokio::fs::rename(&partial, &whole).await
    }
}
