//! What a recipient has to be told, and what became of it.

use chrono::{DateTime, Days, NaiveDate, Utc};
use uuid::Uuid;

use super::error::RecipientError;
use super::register::held_by;
use super::settings::{ChannelKind, PUBLIC, Recipient};
use super::{object, sql};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{ContactId, MasterKey, OrganisationId, Origin, Personal, RequestId};
use crate::report::Section;
use crate::store::{StoreError, Tx};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every word, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word as stored, shown and audited. Never renamed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|each| each.as_str() == text)
                    .ok_or_else(|| format!(concat!("unknown ", $what, " (known: {})"), [$($word),+].join(", ")))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }
    };
}

words! {
    /// What a recipient is asked to do with its copy.
    TaskAction, "action" {
        /// Erase it (Art. 17 GDPR).
        Erase = "erase",
        /// Correct it (Art. 16 GDPR); what is right is told by the controller itself.
        Rectify = "rectify",
        /// Restrict it (Art. 18 GDPR).
        Restrict = "restrict",
        /// Restrict it no more.
        Release = "release",
        /// Use it for marketing no more (Art. 7(3), 21(2) GDPR).
        OptOut = "opt_out",
        /// Neither sell nor share it any more, and pass that on (11 CCR 7026(f)).
        CcpaOptOut = "ccpa_opt_out",
    }
}

words! {
    /// Where a task stands.
    TaskState, "state" {
        /// Not told yet.
        Queued = "queued",
        /// Told; no answer yet.
        Sent = "sent",
        /// The recipient said that it is done.
        Confirmed = "confirmed",
        /// Telling it proved impossible (Art. 19 GDPR); a person decided so.
        Impossible = "impossible",
        /// Telling it would be a disproportionate effort (Art. 19 GDPR); a person decided so.
        Disproportionate = "disproportionate",
    }
}

impl TaskState {
    /// Whether something is still to be done.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Sent)
    }
}

words! {
    /// Why a person gave a task up.
    GiveUpReason, "reason" {
        /// The recipient does not exist any more and has no successor.
        RecipientGone = "recipient_gone",
        /// The recipient cannot tell which of its records are meant.
        ObjectUnknownThere = "object_unknown_there",
        /// The recipient does not answer, and there is no other way to reach it.
        NoAnswer = "no_answer",
        /// The recipient refuses and is itself responsible; the person was told whom to ask.
        RefusesAsController = "refuses_as_controller",
        /// The cost is out of all proportion to what is left there.
        Effort = "effort",
    }
}

/// What was done to a contact, of which recipients have to be told.
#[derive(Clone, Debug)]
pub struct Affected {
    /// What they are asked to do.
    pub action: TaskAction,
    /// The contact; none where nobody knows which one is meant, and a person has to tell the recipients.
    pub contact: Option<ContactId>,
    /// The sections concerned.
    pub sections: Vec<Section>,
    /// Who held the data on this day or later is told: the day on which the contact was created, as far as that is known. Of an
    /// opt-out, the day on which it was asked for: who held the data no more by then uses it for nothing.
    pub since: Option<NaiveDate>,
    /// Who set it in motion.
    pub origin: Origin,
}

/// For whom tasks are written, and when.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The organisation.
    pub organisation: &'a OrganisationId,
    /// The request.
    pub request: RequestId,
    /// Now.
    pub at: DateTime<Utc>,
    /// The present day of the controller.
    pub today: NaiveDate,
}

/// Writes a task for every recipient that held data concerned, in the caller's transaction: that of the proof that it was
/// done. A recipient that has a task of this request already gets no second one, unless it is about a restriction that was placed
/// again after its end.
pub async fn enqueue(
    tx: &mut Tx,
    keys: &MasterKey,
    register: &[Recipient],
    affected: &Affected,
    place: Place<'_>,
) -> Result<u64, StoreError> {
    let mut written = 0;
    for recipient in told_of(register, affected, place.today) {
        let task = Uuid::now_v7();
        let categories: Vec<String> = recipient
            .categories
            .iter()
            .filter(|category| affected.sections.contains(category))
            .map(|category| category.as_str().to_owned())
            .collect();
        let new = sql::NewTask {
            organisation: place.organisation,
            request: place.request,
            task,
            recipient: &recipient.id,
            action: affected.action,
            categories: &categories,
            channel: channel_for(recipient, affected.contact.is_some()),
            sealed_object: affected.contact.as_ref().map(|contact| object::seal(keys, task, contact)),
            object_ref: affected
                .contact
                .as_ref()
                .filter(|_| affected.action == TaskAction::Erase)
                .map(|contact| keys.subject(place.organisation).contact(contact)),
            answer_by: place.today + Days::new(recipient.answer_within_days().into()),
            at: place.at,
        };
        written += u64::from(write(tx, new, Actor::Process("worker")).await?);
    }
    Ok(written)
}

/// Those that are told of something that was done. What was tried on an invented contact concerns nobody.
///
/// Of an opt-out from marketing only those whose settings ask for it: no law wants it told, because what the controller may do no
/// more is its own marketing. Of a request of kind `ccpa_opt_out` all are told (11 CCR 7026(f), R-56).
pub fn told_of<'a>(
    register: &'a [Recipient],
    affected: &'a Affected,
    today: NaiveDate,
) -> impl Iterator<Item = &'a Recipient> {
    held_by(register, &affected.sections, affected.since, today).filter(|recipient| {
        match (affected.origin, affected.action) {
            (Origin::Subject, TaskAction::OptOut) => recipient.is_told_of_opt_outs(),
            (Origin::Subject, _) => true,
            (Origin::Retention, _) => recipient.is_told_of_sweeps(),
            (Origin::SelfTest, _) => false,
        }
    })
}

/// Writes a task for every recipient that was told of the restriction which a request led to and which ended now, and not of its
/// end before. The object is the one that they were told of; where it is forgotten, a person tells them. Who was told since to erase
/// that object is not asked to use it again.
pub async fn enqueue_release(
    tx: &mut Tx,
    keys: &MasterKey,
    register: &[Recipient],
    place: Place<'_>,
) -> Result<u64, StoreError> {
    let mut written = 0;
    for told in sql::restricted(tx, place.organisation, place.request).await? {
        let sealed = told.sealed_object.as_deref();
        let contact = sealed.and_then(|sealed| object::open(keys, told.task, sealed).ok());
        if let Some(contact) = &contact {
            let object = (contact.expose(), keys.subject(place.organisation).contact(contact.expose()));
            let since = told.created_at;
            if sql::is_told_to_erase(tx, place.organisation, &told.recipient, object, since).await? {
                continue;
            }
        }
        // Who left the register since then is told by hand.
        let registered = register.iter().find(|recipient| recipient.id == told.recipient);
        let task = Uuid::now_v7();
        let new = sql::NewTask {
            organisation: place.organisation,
            request: place.request,
            task,
            recipient: &told.recipient,
            action: TaskAction::Release,
            categories: &told.categories,
            channel: registered
                .map_or(ChannelKind::Person, |recipient| channel_for(recipient, contact.is_some())),
            sealed_object: contact.as_ref().map(|contact| object::seal(keys, task, contact.expose())),
            object_ref: None,
            answer_by: place.today + Days::new(registered.map_or(30, Recipient::answer_within_days).into()),
            at: place.at,
        };
        written += u64::from(write(tx, new, Actor::Process("worker")).await?);
    }
    Ok(written)
}

/// How a recipient is told: without an object nothing but a person can tell it.
const fn channel_for(recipient: &Recipient, has_object: bool) -> ChannelKind {
    if has_object { recipient.channel } else { ChannelKind::Person }
}

/// Writes a task with its entry in the log; false when there is one of this request, recipient and action already, in the same
/// round.
async fn write(tx: &mut Tx, new: sql::NewTask<'_>, actor: Actor) -> Result<bool, StoreError> {
    let detail = Detail::none()
        .word("task", &new.task.to_string())
        .word("recipient", new.recipient)
        .word("action", new.action.as_str())
        .word("channel", new.channel.as_str())
        .count("categories", new.categories.len() as u64);
    let event = Event::of(new.organisation, new.request, Action::RecipientQueued, actor, new.at);
    if !sql::insert(tx, new).await? {
        return Ok(false);
    }
    audit::append(tx, event.with(detail)).await?;
    Ok(true)
}

/// Writes the task of telling those who use data that the controller had made public (Art. 17(2) GDPR): by hand, because nobody
/// else knows where that was. False when the request has it already.
pub async fn note_published(tx: &mut Tx, place: Place<'_>, actor: Actor) -> Result<bool, StoreError> {
    let task = Uuid::now_v7();
    let categories = [Section::Profile.as_str().to_owned()];
    let new = sql::NewTask {
        organisation: place.organisation,
        request: place.request,
        task,
        recipient: PUBLIC,
        action: TaskAction::Erase,
        categories: &categories,
        channel: ChannelKind::Person,
        sealed_object: None,
        object_ref: None,
        answer_by: place.today + Days::new(30),
        at: place.at,
    };
    write(tx, new, actor).await
}

/// Shows which object a task means, to a person who tells the recipient by hand; that it was shown is recorded. None where
/// it is forgotten.
pub async fn reveal(
    tx: &mut Tx,
    keys: &MasterKey,
    organisation: &OrganisationId,
    task: Uuid,
    actor: Actor,
    at: DateTime<Utc>,
) -> Result<Option<Personal<ContactId>>, RecipientError> {
    let locked = sql::lock(tx, organisation, task).await?.ok_or(RecipientError::NotFound)?;
    let Some(sealed) = locked.sealed_object else { return Ok(None) };
    let object = object::open(keys, task, &sealed).map_err(RecipientError::Sealed)?;
    let detail = Detail::none().flag("revealed", true).word("task", &task.to_string());
    let event = Event::of(organisation, locked.request, Action::RequestRead, actor, at);
    audit::append(tx, event.with(detail)).await?;
    Ok(Some(object))
}

/// Records that a recipient said it is done, by whatever way it said so.
pub async fn confirm(
    tx: &mut Tx,
    organisation: &OrganisationId,
    task: Uuid,
    actor: Actor,
    at: DateTime<Utc>,
) -> Result<(), RecipientError> {
    end(tx, organisation, task, (TaskState::Confirmed, None), actor, at).await
}

/// Records the decision of a person that a recipient is told no further, on one of the two grounds of Art. 19 GDPR.
pub async fn give_up(
    tx: &mut Tx,
    organisation: &OrganisationId,
    task: Uuid,
    (state, reason): (TaskState, GiveUpReason),
    actor: Actor,
    at: DateTime<Utc>,
) -> Result<(), RecipientError> {
    end(tx, organisation, task, (state, Some(reason)), actor, at).await
}

async fn end(
    tx: &mut Tx,
    organisation: &OrganisationId,
    task: Uuid,
    (state, reason): (TaskState, Option<GiveUpReason>),
    actor: Actor,
    at: DateTime<Utc>,
) -> Result<(), RecipientError> {
    let locked = sql::lock(tx, organisation, task).await?.ok_or(RecipientError::NotFound)?;
    if !locked.state.is_open() {
        return Err(RecipientError::Ended);
    }
    sql::end(tx, organisation, task, (state, reason), at).await?;
    let action =
        if state == TaskState::Confirmed { Action::RecipientConfirmed } else { Action::RecipientGivenUp };
    let mut detail = Detail::none().word("task", &task.to_string()).word("recipient", &locked.recipient);
    if let Some(reason) = reason {
        detail = detail.word("ground", state.as_str()).word("reason", reason.as_str());
    }
    audit::append(tx, Event::of(organisation, locked.request, action, actor, at).with(detail)).await?;
    Ok(())
}
