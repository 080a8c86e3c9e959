//! Looks at contacts after they were erased or opted out: is it still so?
//!
//! `execution` calls [`begin`] in the transaction that records the proof of an effect: the first look stands in the table from
//! then on, with the instant at which it is due, and each look that is recorded writes the next one. Sweeps hand in contacts
//! that they listed although the list says that they were erased ([`look_at_erased`]). Whoever looks takes what is due
//! ([`take_due`]), reads the platform without a transaction, and records what it saw ([`record`]).
//!
//! Invariants:
//! - A look is never lost: one whose platform failed is due again, later each time, and shown as such.
//! - What was found and needs a person stays a task until it is settled; the same contact, for an opt-out with the same policies,
//!   is one task, however often it is seen. Another contact than the one that was erased is a task of its own: whatever is decided
//!   about it, the looks at the erased one go on.
//! - What is found changes nothing at the platform. What is done about it goes through a request of its own.
//! - The contact's id is sealed; the row is found again by the keyed hash of the suppression list.
//!
//! Why a table and no timers: what is due follows from rows alone, so that a daemon that was away for a week looks when it
//! comes back, and several daemons share the work.
//!
//! To add something to look for: a word in [`Seen`] (and in the table's CHECK), what it means in `execution::watch`.

mod settings;
mod sql;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use settings::Settings;
pub use sql::{Watched, forget, list_found, list_watched, purge, purge_without_request};

use super::{CONTACT, Purpose, words};
use crate::domain::{ContactId, KeyError, MasterKey, OrganisationId, Personal, RequestId};
use crate::store::{PgConnection, StoreError};

words! {
    /// What a look saw.
    Seen, "verdict of a look" {
        /// The contact is gone, or its policies are off, as they were left.
        StillSo = "still_so",
        /// It is as it was before, and nothing tells that the person acted since.
        Back = "back",
        /// It is as it was before, and the person, or somebody, did something to it since.
        NewerWill = "newer_will",
        /// Another contact with one of the person's identifiers was created since: allowed.
        SignedUp = "signed_up",
        /// Another contact with one of the person's identifiers is there that seems older than the erasure, and was not there
        /// when it was proven: an import with old dates, or a restore.
        OtherContact = "other_contact",
    }
}

impl Seen {
    /// Whether a person has to decide about it.
    #[must_use]
    pub const fn needs_person(self) -> bool {
        matches!(self, Self::Back | Self::NewerWill | Self::OtherContact)
    }
}

words! {
    /// Why somebody looks.
    Cause, "cause of a look" {
        /// So many days have passed since the proof.
        Planned = "planned",
        /// It was drawn that day.
        Sample = "sample",
        /// A sweep listed the contact.
        Sweep = "sweep",
        /// Somebody asked to look at once.
        Person = "person",
    }
}

words! {
    /// What became of what was found.
    SettledAs, "settlement" {
        /// It is done again, by a request of its own.
        Again = "again",
        /// A person leaves it as it is.
        Left = "left",
        /// The same is a task already, or by the time of the decision it was as it was left.
        Known = "known",
    }
}

/// The purpose under which contact ids are sealed here.
const SEALED: &str = "look";

/// An effect that was proven just now, and will be looked at again.
#[derive(Clone, Copy, Debug)]
pub struct Proven<'a> {
    /// Of which organisation.
    pub organisation: &'a OrganisationId,
    /// By which request.
    pub request: RequestId,
    /// Erased, or opted out.
    pub purpose: Purpose,
    /// Whom.
    pub contact: &'a ContactId,
    /// For an opt-out: the policies that are off.
    pub policies: &'a [String],
    /// For an erasure: how many other contacts carry one of the identifiers.
    pub others: u64,
    /// When.
    pub since: DateTime<Utc>,
}

/// One look, with what has to be known for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Of which organisation.
    pub organisation: OrganisationId,
    /// Its id.
    pub id: Uuid,
    /// The request whose effect is looked at; none where only the suppression list knows of it.
    pub request: Option<RequestId>,
    /// Erased, or opted out.
    pub purpose: Purpose,
    /// Why.
    pub cause: Cause,
    /// How many days after the proof.
    pub after_days: u32,
    /// Whom.
    pub contact: ContactId,
    /// The same, as the suppression list knows them.
    pub contact_hash: [u8; 32],
    /// For an opt-out: the policies that were off.
    pub policies: Vec<String>,
    /// For an erasure: how many other contacts carried one of the identifiers then.
    pub others: u64,
    /// When the effect was proven.
    pub since: DateTime<Utc>,
    /// When the look was due.
    pub due_at: DateTime<Utc>,
}

/// Something that was found and is not as it was left.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The look that found it; names it in commands.
    pub look: Uuid,
    /// The reference of the request whose effect did not last, where it is known.
    pub reference: Option<String>,
    /// Erased, or opted out.
    pub purpose: Purpose,
    /// Why somebody looked.
    pub cause: Cause,
    /// When the effect had been proven.
    pub since: DateTime<Utc>,
    /// When it was found.
    pub found_at: DateTime<Utc>,
    /// What was seen.
    pub seen: Seen,
    /// What became of it; nothing while it waits for a person.
    pub settled: Option<SettledAs>,
    /// When.
    pub settled_at: Option<DateTime<Utc>>,
    /// By whom.
    pub settled_by: Option<String>,
    /// The request by which it is done again.
    pub again_by: Option<String>,
}

impl Found {
    /// Whether a person has to decide about it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.seen.needs_person() && self.settled.is_none()
    }
}

/// The keyed hash by which a contact is known here.
fn hash_of(
    keys: &MasterKey,
    organisation: &OrganisationId,
    purpose: Purpose,
    contact: &ContactId,
) -> [u8; 32] {
    keys.suppression(organisation, purpose.as_str()).hash(CONTACT, contact.as_str())
}

fn seal(keys: &MasterKey, look: Uuid, contact: &ContactId) -> Vec<u8> {
    let clear = Personal::new(contact.as_str().as_bytes().to_vec());
    keys.sealing(SEALED).seal(&look.to_string(), &clear)
}

fn open(keys: &MasterKey, look: Uuid, sealed: &[u8]) -> Result<ContactId, KeyError> {
    let clear = keys.sealing(SEALED).open(&look.to_string(), sealed)?;
    let text = std::str::from_utf8(clear.expose()).map_err(|_| KeyError::DoesNotOpen)?;
    text.parse().map_err(|_| KeyError::DoesNotOpen)
}

/// Plans the first look at an effect, in the caller's transaction; nothing where none is wanted.
pub async fn begin(
    connection: &mut PgConnection,
    keys: &MasterKey,
    settings: &Settings,
    proven: Proven<'_>,
) -> Result<(), StoreError> {
    let Some(after_days) = settings.next_day(0) else { return Ok(()) };
    let look = Look {
        organisation: proven.organisation.clone(),
        id: Uuid::now_v7(),
        request: Some(proven.request),
        purpose: proven.purpose,
        cause: Cause::Planned,
        after_days,
        contact: proven.contact.clone(),
        contact_hash: hash_of(keys, proven.organisation, proven.purpose, proven.contact),
        policies: proven.policies.to_vec(),
        others: proven.others,
        since: proven.since,
        due_at: proven.since + TimeDelta::days(after_days.into()),
    };
    sql::insert(connection, keys, &look).await
}

/// Plans a look at contacts that somebody listed although they were erased: each with the instant since which the list says so.
/// One that is a task already, is about to be looked at, or is being erased again, is left out. Returns how many.
pub async fn look_at_erased(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    listed: &[(&ContactId, DateTime<Utc>)],
    at: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let mut planned = 0;
    for (contact, since) in listed {
        let contact_hash = hash_of(keys, organisation, Purpose::ReCreation, contact);
        let (request, others) =
            match sql::latest_of_contact(connection, organisation, Purpose::ReCreation, &contact_hash, at)
                .await?
            {
                Some(latest) if latest.is_pending => continue,
                Some(latest) => (latest.request, latest.others),
                None => (None, 0),
            };
        let look = Look {
            organisation: organisation.clone(),
            id: Uuid::now_v7(),
            request,
            purpose: Purpose::ReCreation,
            cause: Cause::Sweep,
            after_days: u32::try_from((at - *since).num_days()).unwrap_or_default(),
            contact: (*contact).clone(),
            contact_hash,
            policies: Vec::new(),
            others,
            since: *since,
            due_at: at,
        };
        sql::insert(connection, keys, &look).await?;
        planned += 1;
    }
    Ok(planned)
}

/// Draws opt-outs to be read again today, so that `daily_sample` are looked at in a day over any number of daemons; returns how
/// many were drawn now.
pub async fn draw_sample(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    settings: &Settings,
    at: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let drawn = sql::count_sampled(connection, organisation, at - TimeDelta::days(1)).await?;
    let wanted = u64::from(settings.daily_sample).saturating_sub(drawn);
    if wanted == 0 {
        return Ok(0);
    }
    repeat(connection, keys, organisation, (Some(Purpose::Marketing), wanted), Cause::Sample, at).await
}

/// Plans one look at once at everything whose contact is still known; returns how many.
pub async fn look_at_all(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    at: DateTime<Utc>,
) -> Result<u64, StoreError> {
    repeat(connection, keys, organisation, (None, u64::from(u32::MAX)), Cause::Person, at).await
}

async fn repeat(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    (purpose, most): (Option<Purpose>, u64),
    cause: Cause,
    at: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let known = sql::draw(connection, keys, organisation, purpose, most, at).await?;
    let number = known.len() as u64;
    for known in known {
        let look = Look {
            id: Uuid::now_v7(),
            cause,
            after_days: u32::try_from((at - known.since).num_days()).unwrap_or_default(),
            due_at: at,
            ..known
        };
        sql::insert(connection, keys, &look).await?;
    }
    Ok(number)
}

/// Takes a look that is due, for a quarter of an hour: whoever took it and died leaves it to another.
pub async fn take_due(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    now: DateTime<Utc>,
) -> Result<Option<Look>, StoreError> {
    sql::take_due(connection, keys, organisation, now).await
}

/// Puts a look back whose platform gave no answer that can be read: due again in a minute, then later each time, at least every
/// hour.
pub async fn put_back(connection: &mut PgConnection, look: &Look, code: &str) -> Result<(), StoreError> {
    sql::put_back(connection, look, code).await
}

/// How a look ended.
#[derive(Clone, Debug)]
pub struct Ended<'a> {
    /// What was seen.
    pub seen: Seen,
    /// With [`Seen::OtherContact`]: the contacts that were not expected, in a fixed order.
    pub strangers: &'a [ContactId],
    /// By how many identifiers was searched.
    pub searches: u64,
    /// When.
    pub at: DateTime<Utc>,
}

/// Whether something found is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// It was not known.
    New,
    /// The same is a task, or was seen before.
    Known,
    /// Another process had taken the look over, and records it.
    Overtaken,
}

/// Records how a look ended, in the caller's transaction, and plans the next one.
pub async fn record(
    connection: &mut PgConnection,
    keys: &MasterKey,
    settings: &Settings,
    look: &Look,
    ended: &Ended<'_>,
) -> Result<Novelty, StoreError> {
    let strangers: Vec<[u8; 32]> =
        ended.strangers.iter().map(|id| hash_of(keys, &look.organisation, look.purpose, id)).collect();
    let (is_known, stranger) = match ended.seen {
        Seen::StillSo => (false, None),
        Seen::OtherContact => {
            let new = sql::find_new_stranger(connection, look, &strangers).await?;
            (new.is_none(), new.or_else(|| strangers.first().copied()))
        }
        seen => (sql::is_known(connection, look, seen).await?, None),
    };
    if !sql::end(connection, look, ended, stranger, is_known).await? {
        return Ok(Novelty::Overtaken);
    }
    if look.cause == Cause::Planned
        && let Some(after_days) = settings.next_day(look.after_days)
    {
        let due_at = look.since + TimeDelta::days(after_days.into());
        let next = Look { id: Uuid::now_v7(), after_days, due_at, ..look.clone() };
        sql::insert(connection, keys, &next).await?;
    }
    Ok(if is_known { Novelty::Known } else { Novelty::New })
}

/// Whether the watch has had an opt-out from the same policies done again before, or a person left any of them on since: a second
/// time, and against what a person decided, a person looks.
pub async fn was_done_again(connection: &mut PgConnection, look: &Look) -> Result<bool, StoreError> {
    sql::was_done_again(connection, look).await
}

/// Reads something that waits for a person, and locks it; none when there is no such task.
pub async fn lock_open(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    look: Uuid,
) -> Result<Option<(Look, Seen)>, StoreError> {
    sql::lock_open(connection, keys, organisation, look).await
}

/// Settles what a look found. The looks still planned at the same contact, for an opt-out at the same policies of it, end with it:
/// what was done again has looks of its own, and what was left is left. A contact that is left is not on the list of those erased
/// any more. Of another contact than the erased one nothing of this is true: it is not reported again, and the erased one is watched
/// as before. Nor of what is as it was left by now, and whatever was proven since stays watched and listed: it was asked for anew.
pub async fn settle(
    connection: &mut PgConnection,
    (look, seen): (&Look, Seen),
    (settled, again): (SettledAs, Option<RequestId>),
    by: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sql::settle(connection, look, settled, again, by, at).await?;
    if seen == Seen::OtherContact || settled == SettledAs::Known {
        return Ok(());
    }
    sql::end_planned(connection, look).await?;
    if settled == SettledAs::Left && look.purpose == Purpose::ReCreation {
        sql::allow_contact(connection, look).await?;
    }
    Ok(())
}
