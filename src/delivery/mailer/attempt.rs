//! One attempt to send a notice, as it is announced, made and answered.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::audit::EntryId;
use crate::delivery::message::{Destination, Message};
use crate::delivery::notice::{Facts, NoticeKind, Sender};
use crate::delivery::transport::Failure;
use crate::domain::{OrganisationId, Personal, RequestId};

use super::Delivery;

/// An attempt that is announced: once its announcement is committed, it may happen.
#[derive(Debug)]
pub struct Attempt {
    pub(super) organisation: OrganisationId,
    pub(super) request: RequestId,
    pub(super) kind: NoticeKind,
    pub(super) notice: Uuid,
    pub(super) sender: Sender,
    pub(super) number: u32,
    pub(super) enqueued_at: DateTime<Utc>,
    pub(super) intent: EntryId,
    pub(super) template: String,
    pub(super) text_sha256: [u8; 32],
    /// The language wished for, where there are no texts in it.
    pub(super) fell_back_from: Option<String>,
    pub(super) message: Message,
}

/// What a notice says to whom, in clear.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) to: Destination,
    pub(super) message_id: String,
    /// As wished for.
    pub(super) language: String,
    pub(super) reference: String,
    pub(super) facts: Facts,
    pub(super) link_token: Option<Personal<String>>,
    pub(super) words: Option<Personal<String>>,
}

/// A message with what its announcement keeps of it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) template: String,
    pub(super) text_sha256: [u8; 32],
    pub(super) fell_back_from: Option<String>,
    pub(super) message: Message,
}

/// Under which entry of the log an attempt is announced, and as the how-manieth of which notice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announcement {
    pub(super) notice: Uuid,
    pub(super) number: u32,
    pub(super) enqueued_at: DateTime<Utc>,
    pub(super) intent: EntryId,
}

impl Prepared {
    pub(super) fn attempt(
        self,
        (organisation, request, kind, sender): (&OrganisationId, RequestId, NoticeKind, Sender),
        announcement: Announcement,
    ) -> Box<Attempt> {
        Box::new(Attempt {
            organisation: organisation.clone(),
            request,
            kind,
            notice: announcement.notice,
            sender,
            number: announcement.number,
            enqueued_at: announcement.enqueued_at,
            intent: announcement.intent,
            template: self.template,
            text_sha256: self.text_sha256,
            fell_back_from: self.fell_back_from,
            message: self.message,
        })
    }
}

/// What became of announcing an attempt.
#[derive(Debug)]
pub enum Announced {
    /// It stands in the transaction; commit that, then [`Mailer::send`](super::Mailer::send).
    Ready(Box<Attempt>),
    /// There is nothing to send.
    Settled(Delivery),
    /// The end of a former attempt is not recorded; [`Mailer::deliver`](super::Mailer::deliver) records it before it announces another.
    FormerOpen,
}

/// An attempt with the mail server's answer to it, which [`Mailer::record`](super::Mailer::record) writes down.
#[derive(Debug)]
pub struct Answered {
    pub(super) attempt: Box<Attempt>,
    pub(super) answer: Result<String, Failure>,
    /// When the answer came, whenever it is written down.
    pub(super) at: DateTime<Utc>,
}

impl Answered {
    /// Whether the mail server took the message.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        self.answer.is_ok()
    }

    /// When the answer came.
    #[must_use]
    pub const fn at(&self) -> DateTime<Utc> {
        self.at
    }
}
