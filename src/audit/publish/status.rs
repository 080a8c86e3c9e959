//! What each place has.

use serde::Serialize;

use super::error::Trouble;
use super::mail::MAIL;
#[cfg(feature = "timestamps")]
use super::stamp;
use super::{PublishError, Publisher, sql};

/// What one place has got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// `directory`, `bucket`, `witness`, `timestamp` or `mail`.
    pub kind: &'static str,
    /// Which one.
    pub place: String,
    /// The size of the newest head that it has; none if it has none, or cannot be read.
    pub size: Option<u64>,
    /// How many sealed entries it does not know of yet.
    pub behind: u64,
    /// Why it cannot be read, in words of our own.
    pub problem: Option<String>,
}

impl Publisher {
    /// What each place has, without changing anything. What diverges is reported as a problem.
    pub async fn status(&self) -> Result<Vec<SinkStatus>, PublishError> {
        let head = self.head().await?;
        let behind = |size: Option<u64>| head.size.saturating_sub(size.unwrap_or(0));
        let (size, problem) = match self.compare_directory().await {
            Ok(size) => ((size > 0).then_some(size), None),
            Err(Trouble::Away(why)) => (None, Some(why)),
            Err(Trouble::Busy) => (None, None),
            Err(Trouble::Stop(PublishError::Diverged(found))) => (None, Some(found.to_string())),
            Err(Trouble::Stop(error)) => return Err(error),
        };
        let place = self.directory();
        let mut statuses = vec![SinkStatus { kind: "directory", place, size, behind: behind(size), problem }];
        if let Some(bucket) = &self.bucket {
            let (size, problem) = match self.compare_bucket(bucket).await {
                Ok(size) => ((size > 0).then_some(size), None),
                Err(Trouble::Away(why)) => (None, Some(why)),
                Err(Trouble::Busy) => (None, None),
                Err(Trouble::Stop(PublishError::Diverged(found))) => (None, Some(found.to_string())),
                Err(Trouble::Stop(error)) => return Err(error),
            };
            let place = bucket.place();
            statuses.push(SinkStatus { kind: "bucket", place, size, behind: behind(size), problem });
        }
        for witness in &self.witnesses {
            let size = self.newest_cosigned(&head.origin, &witness.key).await?;
            let place = witness.url.clone();
            statuses.push(SinkStatus { kind: "witness", place, size, behind: behind(size), problem: None });
        }
        #[cfg(feature = "timestamps")]
        if !self.settings.timestamp_url.is_empty() {
            let place = self.settings.timestamp_url.clone();
            let mut connection = self.store.connection().await?;
            let last = sql::newest_anchor(&mut connection, stamp::KIND, &place).await?;
            let size = last.and_then(|last| u64::try_from(last.size).ok());
            statuses.push(SinkStatus { kind: "timestamp", place, size, behind: behind(size), problem: None });
        }
        if !self.settings.mail_to.is_empty() {
            let mut connection = self.store.connection().await?;
            let last = sql::newest_anchor(&mut connection, "mail", MAIL).await?;
            let size = last.and_then(|last| u64::try_from(last.size).ok());
            let place = MAIL.to_owned();
            statuses.push(SinkStatus { kind: "mail", place, size, behind: behind(size), problem: None });
        }
        Ok(statuses)
    }
}
