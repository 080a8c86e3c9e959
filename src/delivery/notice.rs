//! What a notice is, and how it gets into the outbox.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::sql;
use crate::audit::{self, Action, Actor, Detail, EntryId, Event};
use crate::domain::{
    Follows, IdentifierKind, MasterKey, OrganisationId, Personal, RefusalGround, RequestId, RequestKind,
};
use crate::store::{StoreError, Tx};

/// So much time somebody has to answer a question at the least, for it to be said that they were asked.
pub const TIME_TO_ANSWER: TimeDelta = TimeDelta::hours(12);

/// Whether a question that was written at an instant, and whose link works until another one, leaves too little time to answer
/// at `at`: less than [`TIME_TO_ANSWER`], or than half of what it had, where that was less from the beginning.
pub(super) fn comes_too_late((written_at, until): (DateTime<Utc>, DateTime<Utc>), at: DateTime<Utc>) -> bool {
    until - at < TIME_TO_ANSWER.min((until - written_at) / 2)
}

/// Id of one notice: a version 7 UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NoticeId(pub Uuid);

impl fmt::Display for NoticeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a notice says; the numbers are those of section 5 of the requirements. The words are those of the table's CHECK
/// and of the templates' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// N-1: the request arrived, and when it will be answered.
    Acknowledgement,
    /// N-2: the person is asked to confirm, by a link, that they made the request.
    IdentityRequest,
    /// N-3: the person is asked what they mean; the question is the controller's.
    ClarificationRequest,
    /// N-4: the answer takes longer than the first term, and why (Art. 12(3) GDPR).
    Extension,
    /// N-5: a part of the answer, and when the rest follows.
    PartialAnswer,
    /// N-6: a fee is asked for, on a ground of the law (Art. 12(5) GDPR).
    Fee,
    /// N-7: the request was not carried out, because nobody knows for sure whose data it concerns.
    NotIdentified,
    /// N-8: a person refused the request; the ground, and what can be done about it.
    Refused,
    /// N-9: the access package can be fetched.
    AccessReady,
    /// N-9: the package with what the person may take along can be fetched (Art. 20 GDPR).
    PortabilityReady,
    /// N-10: nothing is held under the identifiers given.
    NoData,
    /// N-11: everything was erased.
    ErasureDone,
    /// N-12: part was erased; what is kept, why and until when.
    ErasurePartlyDone,
    /// N-13: the use of the data is restricted (Art. 18 GDPR).
    RestrictionSet,
    /// N-13: the restriction is going to be lifted (Art. 18(3) GDPR).
    RestrictionLifting,
    /// N-14: the policies are switched off.
    OptOutDone,
    /// N-15: what was done about a correction.
    RectificationDone,
    /// N-16: the withdrawal was recorded.
    Withdrawn,
    /// N-17: to a recipient of the data: what to do with which records (Art. 19 GDPR).
    RecipientNotice,
    /// N-18: a breach that concerns the person (Art. 34 GDPR).
    BreachNotice,
    /// N-20: a complaint arrived.
    ComplaintReceived,
    /// A person carried out a request of a kind that is not automated; what was done is the controller's words.
    Answered,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 22] = [
        Self::Acknowledgement,
        Self::IdentityRequest,
        Self::ClarificationRequest,
        Self::Extension,
        Self::PartialAnswer,
        Self::Fee,
        Self::NotIdentified,
        Self::Refused,
        Self::AccessReady,
        Self::PortabilityReady,
        Self::NoData,
        Self::ErasureDone,
        Self::ErasurePartlyDone,
        Self::RestrictionSet,
        Self::RestrictionLifting,
        Self::OptOutDone,
        Self::RectificationDone,
        Self::Withdrawn,
        Self::RecipientNotice,
        Self::BreachNotice,
        Self::ComplaintReceived,
        Self::Answered,
    ];

    /// Whether it hands a package over.
    #[must_use]
    pub const fn hands_over(self) -> bool {
        matches!(self, Self::AccessReady | Self::PortabilityReady)
    }

    /// Whether its link can be told by a code, too.
    pub(super) const fn has_code(self) -> bool {
        matches!(self, Self::IdentityRequest)
    }

    /// Whether it is told although the person took the request back: what it tells does not depend on that.
    pub(super) const fn is_sent_after_withdrawal(self) -> bool {
        matches!(self, Self::Withdrawn | Self::BreachNotice | Self::RestrictionLifting)
    }

    /// Whether it tells that a request arrived and is worked on. To who had the answer, it comes too late; whoever else typed an
    /// address must not learn from its absence that somebody was found (S-5).
    pub(super) const fn confirms_receipt(self) -> bool {
        matches!(self, Self::Acknowledgement | Self::ComplaintReceived)
    }

    /// Whether one to another recipient of the same request does not replace it: of a breach, whoever has the wrong address in the
    /// profile and whoever gave the right one are told (Art. 34 GDPR).
    pub(super) const fn is_owed_to_each(self) -> bool {
        matches!(self, Self::BreachNotice)
    }

    /// Whether what it says, or asks, is true only as long as the request is open. A first part of the answer is owed in any case.
    pub(super) const fn is_about_an_open_request(self) -> bool {
        matches!(self, Self::IdentityRequest | Self::ClarificationRequest | Self::Extension | Self::Fee)
    }

    /// The word as stored and audited.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledgement => "acknowledgement",
            Self::IdentityRequest => "identity_request",
            Self::ClarificationRequest => "clarification_request",
            Self::Extension => "extension",
            Self::PartialAnswer => "partial_answer",
            Self::Fee => "fee",
            Self::NotIdentified => "not_identified",
            Self::Refused => "refused",
            Self::AccessReady => "access_ready",
            Self::PortabilityReady => "portability_ready",
            Self::NoData => "no_data",
            Self::ErasureDone => "erasure_done",
            Self::ErasurePartlyDone => "erasure_partly_done",
            Self::RestrictionSet => "restriction_set",
            Self::RestrictionLifting => "restriction_lifting",
            Self::OptOutDone => "opt_out_done",
            Self::RectificationDone => "rectification_done",
            Self::Withdrawn => "withdrawn",
            Self::RecipientNotice => "recipient_notice",
            Self::BreachNotice => "breach_notice",
            Self::ComplaintReceived => "complaint_received",
            Self::Answered => "answered",
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
    /// What it is: the ending of a phrase `kept.what.…` (`events_left`), which is said in the language of the
    /// notice, or words that are used as they are (`Invoices`). A category, never a value.
    pub what: String,
    /// Why: the ending of a phrase `kept.why.…`, or words (`tax law requires us to keep them`).
    pub why: String,
    /// Until when, if that is known.
    pub until: Option<NaiveDate>,
}

/// Another request of whoever a notice goes to, of which the record is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherRequest {
    /// Its id, from which its reference follows.
    pub request: RequestId,
    /// When it reached the controller, in its time zone.
    pub received_on: NaiveDate,
}

/// Why an answer takes longer than the first term (Art. 12(3) GDPR): the only two reasons that the law knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyLonger {
    /// The request is complex.
    Complexity,
    /// There are many requests of the person.
    NumberOfRequests,
}

impl WhyLonger {
    /// The word as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complexity => "complexity",
            Self::NumberOfRequests => "number_of_requests",
        }
    }
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
#[expect(clippy::struct_excessive_bools, reason = "each says something of its own")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// What was asked.
    pub request_kind: RequestKind,
    /// When the request reached the controller, in its time zone.
    pub received_on: NaiveDate,
    /// By when it is answered.
    pub due_on: NaiveDate,
    /// From which request of the person it follows by itself, where nobody made it anew: then the text names that one, and the
    /// day of its receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<Follows>,
    /// When it was carried out and read back, or decided: needed by every kind that tells an outcome.
    #[serde(default)]
    pub done_on: Option<NaiveDate>,
    /// For `identity_request`: whether it had been known who asks, and it is asked again because that was proven too long ago. The
    /// time for the answer runs on then, whatever the regime.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_proven: bool,
    /// When the link stops working: needed by `access_ready`, `portability_ready` and `identity_request`.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
    /// The policies that are switched off, by their names at the platform: needed by `opt_out_done`, and by whatever tells that less
    /// than all marketing was asked for.
    #[serde(default)]
    pub policies: Vec<String>,
    /// Whether no more was asked for, or is off, than what is named in `policies`, or something else than marketing was meant.
    /// `opt_out_done` has a text of its own then: who is told "no more marketing" believes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub named_only: bool,
    /// For `access_ready` and `portability_ready`: whether something could not be read, so that it is missing in the package.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// For `access_ready`: whether the package says what the data are used for, on which ground, for how long, where they come
    /// from and who receives them (Art. 15(1) GDPR). It does where the controller has put that down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub explained: bool,
    /// By which kinds of identifier was searched: needed by `no_data`.
    #[serde(default)]
    pub searched_by: Vec<IdentifierKind>,
    /// What was not erased: needed by `erasure_partly_done`.
    #[serde(default)]
    pub kept: Vec<Kept>,
    /// For `erasure_partly_done`: whether nothing was erased yet, because a hold stands against all of it. Its text is one of
    /// its own then: who is told "erased in part" believes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nothing_erased: bool,
    /// For `erasure_done`: whether the contact was gone already when it was to be deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_gone: bool,
    /// For `erasure_partly_done`: whether marketing was switched off meanwhile; not where the controller names no policies for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub marketing_off: bool,
    /// On which ground it is refused, not identified, or a fee is asked for: needed by `refused`, `not_identified` and
    /// `fee`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// Until when the answer is due after the extension: needed by `extension`, whose `due_on` is the first term's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_to: Option<NaiveDate>,
    /// Why it takes longer: needed by `extension`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_reason: Option<WhyLonger>,
    /// By when the reader should act: needed by `fee` and `recipient_notice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_by: Option<NaiveDate>,
    /// The fee with its currency: needed by `fee`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// For `withdrawn`: whether a restriction of the data stands because of the request. It ends only after another notice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restricted: bool,
    /// When the restriction ends: needed by `restriction_lifting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted_on: Option<NaiveDate>,
    /// Who received the data and was told, by name (Art. 19 GDPR). Organisations of the settings, never people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// Until when backups may hold copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backups_until: Option<NaiveDate>,
    /// Whether a keyed fingerprint stays, so that the person is not written to or taken up again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suppressed: bool,
    /// For `no_data`: other requests that were made with the address to which it goes, or answered to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherRequest>,
    /// Whether there are more of these.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_others: bool,
    /// When the record of the request itself is forgotten; without it the text says that it is kept until what the request is about is
    /// settled, and for a fixed time afterwards: a hold or a restriction keeps it.
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
            follows: None,
            done_on: None,
            was_proven: false,
            expires_at: None,
            policies: Vec::new(),
            named_only: false,
            incomplete: false,
            explained: false,
            searched_by: Vec::new(),
            kept: Vec::new(),
            nothing_erased: false,
            was_gone: false,
            marketing_off: false,
            refusal: None,
            extended_to: None,
            extension_reason: None,
            answer_by: None,
            amount: None,
            restricted: false,
            lifted_on: None,
            recipients: Vec::new(),
            backups_until: None,
            suppressed: false,
            others: Vec::new(),
            more_others: false,
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
    /// The language that the person wished for; where there are no texts in it, the mail is in the controller's
    /// language, else in English, and its template's name says so.
    pub language: String,
    /// What its text is made from.
    pub facts: Facts,
    /// What the controller says itself, a few lines: the question, the reasons beside a ground, what was done. For
    /// `breach_notice` three blocks with an empty line between them: what happened, what it may mean, what is done. For
    /// `recipient_notice` one record a line. Stored sealed.
    pub words: Option<Personal<String>>,
    /// The secret of the link ([`crate::domain::random::token`]), for `access_ready`, `portability_ready` and `identity_request`.
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
    tx: &mut Tx,
    keys: &MasterKey,
    notice: NewNotice,
    at: DateTime<Utc>,
) -> Result<Option<EnqueuedNotice>, StoreError> {
    write_new(tx, keys, notice, 1, at).await
}

/// Writes a further notice of a kind that a person may have to get more than once, under a Message-ID of its own. Those of
/// the kind that were not sent are dropped: their links are of no use any more. One that each recipient has to get takes the place of
/// those to the same recipient only.
pub async fn enqueue_again(
    tx: &mut Tx,
    keys: &MasterKey,
    notice: NewNotice,
    at: DateTime<Utc>,
) -> Result<Option<EnqueuedNotice>, StoreError> {
    let replaced = notice.kind.is_owed_to_each().then_some(notice.recipient_no);
    sql::drop_unsent(tx, &notice.organisation, notice.request, notice.kind, replaced).await?;
    let round = sql::next_round(tx, &notice.organisation, notice.request, notice.kind).await?;
    write_new(tx, keys, notice, round, at).await
}

async fn write_new(
    tx: &mut Tx,
    keys: &MasterKey,
    notice: NewNotice,
    round: i16,
    at: DateTime<Utc>,
) -> Result<Option<EnqueuedNotice>, StoreError> {
    let id = NoticeId(Uuid::now_v7());
    let written = write(tx, keys, &notice, (id, round), None, at).await?;
    Ok(written.then(|| EnqueuedNotice { id, message_id: message_id(id, &notice.organisation) }))
}

/// The Message-ID of a notice, with angle brackets. The right side needs no name of ours: the id alone is unique, and a
/// name from the configuration could change between two attempts. RFC 2606 keeps `invalid` from ever being somebody's
/// domain.
pub(super) fn message_id(id: NoticeId, organisation: &OrganisationId) -> String {
    format!("<{id}@{organisation}.dsrd.invalid>")
}

/// Writes a notice, with its first attempt where `intent` announces it; false when the request has one of that kind and
/// round already.
pub(super) async fn write(
    tx: &mut Tx,
    keys: &MasterKey,
    notice: &NewNotice,
    (id, round): (NoticeId, i16),
    intent: Option<EntryId>,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let message_id = message_id(id, &notice.organisation);
    let sealed_link = notice.link_token.as_ref().map(|token| {
        keys.sealing(LINK).seal(&id.to_string(), &Personal::new(token.expose().clone().into_bytes()))
    });
    let sealed_words = notice.words.as_ref().map(|words| {
        keys.sealing(WORDS).seal(&id.to_string(), &Personal::new(words.expose().clone().into_bytes()))
    });
    let sealed = (sealed_link, sealed_words);
    if !sql::insert_notice(tx, (id, round), &message_id, notice, sealed, intent, at).await? {
        return Ok(false);
    }
    let event =
        Event::of(&notice.organisation, notice.request, Action::NoticeEnqueued, notice.sender.writer(), at)
            .with(Detail::none().word("kind", notice.kind.as_str()).word("notice", &id.to_string()));
    audit::append(tx, event).await?;
    Ok(true)
}

/// Drops the acknowledgement of a request that waits to be sent, tried before or not, inside the transaction that writes the answer:
/// "we are working on it" must not arrive after "it is done". One that is being sent meanwhile, and fails, is dropped when it is to be
/// tried again. One to another address than the answer's goes out all the same:
/// whoever typed it must not learn from its absence that somebody was found (S-5).
pub async fn supersede_acknowledgement(
    tx: &mut Tx,
    organisation: &OrganisationId,
    request: RequestId,
    answered_to: i16,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    if sql::supersede_acknowledgement(tx, organisation, request, answered_to).await? {
        let event = Event::of(organisation, request, Action::NoticeSuperseded, Actor::Process("worker"), at);
        audit::append(tx, event).await?;
    }
    Ok(())
}

/// The purpose under which the secret of a link is sealed.
pub(super) const LINK: &str = "notice_link";
/// The purpose under which a controller's own words are sealed.
pub(super) const WORDS: &str = "notice_words";
