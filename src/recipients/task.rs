//! What a recipient has to be told, and what became of it.

use chrono::{DateTime, Days, NaiveDate, Utc};
use uuid::Uuid;

use super::error::RecipientError;
use super::register::held_by;
use super::settings::Recipient;
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
    /// The contact.
    pub contact: ContactId,
    /// The sections concerned.
    pub sections: Vec<Section>,
    /// The day on which the contact was created, as far as that is known.
    pub created_on: Option<NaiveDate>,
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
/// done. A recipient that has a task of this request already gets no second one.
pub async fn enqueue(
    tx: &mut Tx,
    keys: &MasterKey,
    register: &[Recipient],
    affected: &Affected,
    place: Place<'_>,
) -> Result<u64, StoreError> {
    let mut written = 0;
    for recipient in held_by(register, &affected.sections, affected.created_on, place.today) {
        if affected.origin == Origin::Retention && !recipient.is_told_of_sweeps() {
            continue;
        }
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
            channel: recipient.channel,
            sealed_object: object::seal(keys, task, &affected.contact),
            answer_by: place.today + Days::new(recipient.answer_within_days().into()),
            at: place.at,
        };
        if !sql::insert(tx, new).await? {
            continue;
        }
        written += 1;
        let detail = Detail::none()
            .word("task", &task.to_string())
            .word("recipient", &recipient.id)
            .word("action", affected.action.as_str())
            .word("channel", recipient.channel.as_str())
            .count("categories", categories.len() as u64);
        let event = Event::of(
            place.organisation,
            place.request,
            Action::RecipientQueued,
            Actor::Process("worker"),
            place.at,
        );
        audit::append(tx, event.with(detail)).await?;
    }
    Ok(written)
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
