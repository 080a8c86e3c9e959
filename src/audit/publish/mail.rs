//! Heads by mail.

use std::future::Future;
use std::pin::Pin;

use chrono::{DateTime, TimeDelta, Utc};

use super::error::Trouble;
use super::{Publisher, sql, stored};
use crate::domain::clock::is_due;

/// What stands for the mailbox in tables and messages: its address stays in the settings.
pub(super) const MAIL: &str = "publish.mail_to";

/// A head as it is mailed.
#[derive(Clone, Debug)]
pub struct HeadMail {
    /// To whom.
    pub to: String,
    /// The log.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The signed checkpoint.
    pub note: String,
    /// The log's public keys.
    pub verifier_keys: Vec<String>,
    /// When it is sent.
    pub at: DateTime<Utc>,
}

/// Brings heads to people by mail. The composition root has one, this module does not know how.
pub trait Courier: Send + Sync + std::fmt::Debug {
    /// Hands a mail over; an error is a short word and never an address.
    fn send(&self, mail: HeadMail) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
}

impl Publisher {
    /// Mails a head when one is due.
    pub(super) async fn mail(&self) -> Result<(), Trouble> {
        let to = &self.settings.mail_to;
        let (Some(courier), false) = (&self.courier, to.is_empty()) else { return Ok(()) };
        let head = self.head().await?;
        let Some((checkpoint, note)) = &head.kept else { return Ok(()) };
        let now = self.clock.now();
        let mut connection = self.store.connection().await?;
        // The address stays out of the database: what is written there is that one mail left.
        let last = sql::newest_anchor(&mut connection, "mail", MAIL).await?;
        drop(connection);
        let every = TimeDelta::seconds(self.settings.mail_every_secs.into());
        if last.is_some_and(|last| last.size >= stored(checkpoint.size) || !is_due(last.at, every, now)) {
            return Ok(());
        }
        let mail = HeadMail {
            to: to.clone(),
            origin: head.origin.clone(),
            size: checkpoint.size,
            note: note.to_string(),
            verifier_keys: head.verifier_keys.clone(),
            at: now,
        };
        courier.send(mail).await.map_err(|code| Trouble::Away(format!("was not sent ({code})")))?;
        let mut connection = self.store.connection().await?;
        sql::insert_anchor(&mut connection, stored(checkpoint.size), "mail", MAIL, now).await?;
        Ok(())
    }
}
