//! What a notice is, and how it gets into the outbox.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{sql, text};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{
    AnsweredOutcome, ExtensionReason, IdentifierKind, MasterKey, OrganisationId, Personal, RefusalGround,
    RequestId, RequestKind,
};
use crate::store::StoreError;

/// Id of one notice: a version 7 UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NoticeId(pub Uuid);

impl fmt::Display for NoticeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a notice says. The words are those of the table's CHECK and of the templates' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// The request arrived, and when it will be answered.
    Acknowledgement,
    /// The access package can be fetched.
    AccessReady,
    /// Nothing is held under the identifiers given.
    NoData,
    /// Everything was erased.
    ErasureDone,
    /// Part was erased; what is kept, and why.
    ErasurePartlyDone,
    /// The policies are switched off.
    OptOutDone,
    /// A person refused the request; the ground, and what can be done about it.
    Refused,
    /// The withdrawal was recorded.
    Withdrawn,
    /// A person carried the request out; what was done.
    Answered,
    /// More time is needed; why, and until when.
    Extension,
    /// A question to the person: what do they mean?
    ClarificationRequest,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Acknowledgement,
        Self::AccessReady,
        Self::NoData,
        Self::ErasureDone,
        Self::ErasurePartlyDone,
        Self::OptOutDone,
        Self::Refused,
        Self::Withdrawn,
        Self::Answered,
        Self::Extension,
        Self::ClarificationRequest,
    ];

    /// The word as stored and audited.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledgement => "acknowledgement",
            Self::AccessReady => "access_ready",
            Self::NoData => "no_data",
            Self::ErasureDone => "erasure_done",
            Self::ErasurePartlyDone => "erasure_partly_done",
            Self::OptOutDone => "opt_out_done",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Answered => "answered",
            Self::Extension => "extension",
            Self::ClarificationRequest => "clarification_request",
        }
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for NoticeKind {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| StoreError::unreadable("delivery.read_notice", "dsrd.notice.kind"))
    }
}

/// Who sends a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The background: [`super::Mailer::pump_once`].
    Pump,
    /// A step of the request's procedure, which waits for the answer: [`super::Mailer::deliver`].
    Procedure,
}

impl Sender {
    /// The word as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pump => "pump",
            Self::Procedure => "procedure",
        }
    }

    /// Who is recorded as having put the notice into the outbox: acknowledgements come from intake, outcomes from the
    /// worker.
    pub(super) const fn writer(self) -> Actor {
        match self {
            Self::Pump => Actor::Process("intake"),
            Self::Procedure => Actor::Process("worker"),
        }
    }

    /// Who is recorded as having sent it.
    pub(super) const fn actor(self) -> Actor {
        match self {
            Self::Pump => Actor::Process("pump"),
            Self::Procedure => Actor::Process("worker"),
        }
    }
}

impl FromStr for Sender {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        [Self::Pump, Self::Procedure]
            .into_iter()
            .find(|sender| sender.as_str() == text)
            .ok_or_else(|| StoreError::unreadable("delivery.read_notice", "dsrd.notice.sender"))
    }
}

/// Something that was not erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// What it is, for example `Invoices`. A category, never a value.
    pub what: String,
    /// Why, for example `tax law requires us to keep them`.
    pub why: String,
    /// Until when, if that is known.
    pub until: Option<NaiveDate>,
}

/// Why and how a request is refused. What the controller says in support of it travels sealed ([`NewNotice::words`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The ground.
    pub ground: RefusalGround,
    /// Name and address of the authority to which a complaint can be made, where the controller names one.
    pub authority: Option<String>,
    /// Whether a deletion was begun at the platform and did not take effect.
    pub deletion_failed: bool,
}

/// The plain facts that a notice's text is made from. Stored in clear: no personal data, and no counts of a person's
/// records either, because a mail must not hold data of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// What was asked.
    pub request_kind: RequestKind,
    /// When the request reached the controller, in its time zone.
    pub received_on: NaiveDate,
    /// By when it is answered.
    pub due_on: NaiveDate,
    /// When it was carried out and read back: needed by all kinds but the acknowledgement and `access_ready`.
    #[serde(default)]
    pub done_on: Option<NaiveDate>,
    /// When the link stops working: needed by `access_ready`.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
    /// The policies switched off, by their names at the platform: needed by `opt_out_done`.
    #[serde(default)]
    pub policies: Vec<String>,
    /// By which kinds of identifier was searched: needed by `no_data`.
    #[serde(default)]
    pub searched_by: Vec<IdentifierKind>,
    /// What was not erased: needed by `erasure_partly_done`.
    #[serde(default)]
    pub kept: Vec<Kept>,
    /// Why it is refused: needed by `refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// How a person carried it out: needed by `answered`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<AnsweredOutcome>,
    /// Why more time is needed: needed by `extension`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<ExtensionReason>,
    /// When the record of the request itself is forgotten; without it the text says "only as long as the law asks
    /// us to".
    #[serde(default)]
    pub evidence_until: Option<NaiveDate>,
}

impl Facts {
    /// The facts that every notice needs; the others are set as its kind demands.
    #[must_use]
    pub const fn of(request_kind: RequestKind, received_on: NaiveDate, due_on: NaiveDate) -> Self {
        Self {
            request_kind,
            received_on,
            due_on,
            done_on: None,
            expires_at: None,
            policies: Vec::new(),
            searched_by: Vec::new(),
            kept: Vec::new(),
            refusal: None,
            answered: None,
            extension: None,
            evidence_until: None,
        }
    }
}

/// A notice to be written.
#[derive(Clone, Debug)]
pub struct NewNotice {
    /// For which organisation.
    pub organisation: OrganisationId,
    /// For which request.
    pub request: RequestId,
    /// What it says. There is at most one of a kind for a request.
    pub kind: NoticeKind,
    /// Who sends it.
    pub sender: Sender,
    /// `identifier_no` of the row of `dsrd.identifier` with the address to which it goes.
    pub recipient_no: i16,
    /// In which language; English where there is no text of that language.
    pub language: String,
    /// What its text is made from.
    pub facts: Facts,
    /// For `refused`: what the controller says in support of the ground, for `answered`: what was done, for
    /// `extension`: why, for `clarification_request`: the question; a few lines. Stored sealed.
    pub words: Option<Personal<String>>,
    /// The secret of the hand-over link ([`crate::domain::random::token`]), for `access_ready` only.
    pub link_token: Option<Personal<String>>,
}

/// A notice that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnqueuedNotice {
    /// Its id.
    pub id: NoticeId,
    /// Its Message-ID, with angle brackets.
    pub message_id: String,
}

/// Writes a notice into the outbox, inside the caller's transaction. `None` when the request already has a notice of
/// that kind, whose facts and link then stay as they are.
pub async fn enqueue(
    connection: &mut PgConnection,
    keys: &MasterKey,
    notice: NewNotice,
    at: DateTime<Utc>,
) -> Result<Option<EnqueuedNotice>, StoreError> {
    let id = NoticeId(Uuid::now_v7());
    // What is recorded is the language in which the person is written to, not the one that was wished for.
    let notice = NewNotice { language: text::language_of(notice.kind, &notice.language), ..notice };
    // The right side needs no name of ours: the id alone is unique, and a name from the configuration could change
    // between two attempts. RFC 2606 keeps `invalid` from ever being somebody's domain.
    let message_id = format!("<{id}@{}.dsrd.invalid>", notice.organisation);
    let sealed_link = notice.link_token.as_ref().map(|token| {
        keys.sealing(LINK).seal(&id.to_string(), &Personal::new(token.expose().clone().into_bytes()))
    });
    let sealed_words = notice.words.as_ref().map(|words| {
        keys.sealing(WORDS).seal(&id.to_string(), &Personal::new(words.expose().clone().into_bytes()))
    });
    if !sql::insert_notice(connection, id, &message_id, &notice, (sealed_link, sealed_words), at).await? {
        return Ok(None);
    }
    let event =
        Event::of(&notice.organisation, notice.request, Action::NoticeEnqueued, notice.sender.writer(), at)
            .with(Detail::none().word("kind", notice.kind.as_str()).word("notice", &id.to_string()));
    audit::append(connection, event).await?;
    Ok(Some(EnqueuedNotice { id, message_id }))
}

/// Drops the acknowledgement of a request if no sending of it has begun, inside the transaction that writes the answer:
/// "we are working on it" must not arrive after "it is done".
pub async fn supersede_acknowledgement(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    if sql::supersede_acknowledgement(connection, organisation, request).await? {
        let event = Event::of(organisation, request, Action::NoticeSuperseded, Actor::Process("worker"), at);
        audit::append(connection, event).await?;
    }
    Ok(())
}

/// The purpose under which the secret of a link is sealed.
pub(super) const LINK: &str = "notice_link";
/// The purpose under which a controller's own words are sealed.
pub(super) const WORDS: &str = "notice_words";
