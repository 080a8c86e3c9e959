//! The ways out: a mail server, a directory of files, or memory.

mod file;
mod gateway;
mod memory;
mod smtp;

use std::path::Path;

pub use file::FileTransport;
pub use gateway::TextGateway;
pub use memory::{MemoryTransport, Plan, SentMail};
pub use smtp::SmtpTransport;

use super::{DeliveryError, Outgoing, Settings, TransportKind};

/// What is known about the effect of a failed sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The message did not go out.
    None,
    /// It may have gone out: the body was sent, and no answer came.
    Unknown,
}

/// A sending that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The server's reply code, or a word where there was none: `timeout`, `connection`, `tls`, `no_starttls`. Never
    /// the server's text, which may repeat the address.
    pub code: String,
    /// Whether repeating is pointless, because the server refuses this recipient or this message.
    pub permanent: bool,
    /// What is known about its effect.
    pub effect: Effect,
}

impl Failure {
    pub(super) fn temporary(code: impl Into<String>, effect: Effect) -> Self {
        Self { code: code.into(), permanent: false, effect }
    }

    pub(super) fn permanent(code: impl Into<String>) -> Self {
        Self { code: code.into(), permanent: true, effect: Effect::None }
    }
}

/// A way out.
#[derive(Debug)]
pub enum Transport {
    /// To a mail server.
    Smtp(SmtpTransport),
    /// Into a directory.
    File(FileTransport),
    /// Into memory, for tests.
    Memory(MemoryTransport),
}

impl Transport {
    /// The way out that the settings name. `data_dir` is where the `file` transport makes its directory when the settings
    /// name none. Nothing is connected yet.
    pub async fn open(settings: &Settings, data_dir: &Path) -> Result<Self, DeliveryError> {
        settings.check()?;
        match settings.transport {
            TransportKind::Smtp => SmtpTransport::open(settings).await.map(Self::Smtp),
            TransportKind::File => {
                let dir = settings.file.dir.clone().unwrap_or_else(|| data_dir.join("mail"));
                FileTransport::open(dir).await.map(Self::File)
            }
        }
    }

    /// Finds out whether mails could leave, without sending one.
    pub async fn check(&self) -> Result<(), Failure> {
        match self {
            Self::Smtp(transport) => transport.check().await,
            Self::File(_) | Self::Memory(_) => Ok(()),
        }
    }

    /// Hands a message over; the reply code when it was taken.
    pub(super) async fn send(&self, mail: &Outgoing) -> Result<String, Failure> {
        match self {
            Self::Smtp(transport) => transport.send(mail).await,
            Self::File(transport) => transport.send(mail).await,
            Self::Memory(transport) => transport.send(mail),
        }
    }
}
