//! What is new, brought to each place by itself.

use super::mail::MAIL;
use super::memory::Step;
use super::{Looked, PublishError, Publisher};

/// A part of what is published. None waits for another: a bucket that gets the whole log for the first time takes hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sink {
    /// The tree, and the entries where that is wanted, go to the directory.
    Directory,
    /// The same go to the bucket.
    Bucket,
    /// The newest head goes to the time-stamping authority, whose token comes back.
    Authority,
    /// Time-stamped heads go to the directory.
    DirectoryStamps,
    /// Time-stamped heads go to the bucket.
    BucketStamps,
    /// The newest head goes to the mailbox.
    Mail,
}

impl Sink {
    /// All of them, in the order in which one process that does nothing else publishes: what was time-stamped goes out at once.
    pub const ALL: [Self; 6] = [
        Self::Directory,
        Self::Bucket,
        Self::Authority,
        Self::DirectoryStamps,
        Self::BucketStamps,
        Self::Mail,
    ];
}

impl Publisher {
    /// Compares and publishes, one sink after the other. For whoever waits for the end of it.
    pub async fn round(&self) -> Result<(), PublishError> {
        let looked = self.look().await?;
        for sink in Sink::ALL {
            self.publish(sink, looked).await?;
        }
        Ok(())
    }

    /// Brings the directory what is new, and asks nobody over the network: for a process that ends and cannot wait for others.
    pub async fn publish_near(&self) -> Result<(), PublishError> {
        let compared = self.compare_directory().await;
        let looked = Looked { directory: compared.as_ref().ok().copied(), bucket: false };
        self.keep(Step::Look, "directory", &self.directory(), &compared.map(drop))?;
        self.publish(Sink::Directory, looked).await
    }

    /// Brings one sink what is new, if it is configured and the look that came before could read its place.
    pub async fn publish(&self, sink: Sink, looked: Looked) -> Result<(), PublishError> {
        let step = Step::Publish(sink);
        match sink {
            Sink::Directory => {
                let Some(published) = looked.directory else { return Ok(()) };
                let filled = self.fill_directory(published).await;
                self.settle(step, "directory", &self.directory(), &filled)
            }
            Sink::DirectoryStamps => {
                if looked.directory.is_none() {
                    return Ok(());
                }
                let filled = self.stamps_to_directory().await;
                self.settle(step, "directory", &self.directory(), &filled)
            }
            Sink::Bucket | Sink::BucketStamps => {
                let Some(bucket) = self.bucket.as_ref().filter(|_| looked.bucket) else { return Ok(()) };
                let filled = match sink {
                    Sink::Bucket => self.fill_bucket(bucket).await,
                    _ => self.stamps_to_bucket(bucket).await,
                };
                self.settle(step, "bucket", &bucket.place(), &filled)
            }
            Sink::Authority | Sink::Mail if self.rests(sink) => Ok(()),
            #[cfg(feature = "timestamps")]
            Sink::Authority => {
                let Some(authority) = &self.authority else { return Ok(()) };
                let stamped = self.stamp(authority).await;
                self.note_attempt(sink, &stamped);
                self.settle(step, "timestamp", &authority.url, &stamped)
            }
            #[cfg(not(feature = "timestamps"))]
            Sink::Authority => Ok(()),
            Sink::Mail => {
                let mailed = self.mail().await;
                self.note_attempt(sink, &mailed);
                self.settle(step, "mail", MAIL, &mailed)
            }
        }
    }
}
