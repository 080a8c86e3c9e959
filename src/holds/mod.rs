//! Who must not be erased for now, and on which ground.
//!
//! A person places a hold ([`place`]) on one data subject or on all contacts created in a span, for one category of what
//! is held; a statute that is switched on in the settings places one on everybody ([`settle_statutes`]). `execution` asks
//! [`in_force`] before every deletion, in the transaction that announces it; `retention` asks [`held_among`] before it
//! submits. [`keep_in_order`] ends holds whose last day has passed and reminds of reviews. An erasure of which a hold left
//! the rest is remembered by [`postpone`] and found again by [`take_resumable`].
//!
//! Invariants:
//! - A hold without a date of review cannot be stored: neither this module nor the table takes one.
//! - What a hold says is never changed. It ends, or its review moves on; both stand in the audit log.
//! - Placing a hold and announcing a deletion exclude each other ([`lock_for_deletion`]): either the deletion sees the
//!   hold, or whoever places it is told that it came too late.
//! - A restriction has no last day: it is lifted by a person, on the day and after the notice by which the data subject was
//!   told (Art. 18(3) GDPR, N-13), or by mistake's correction before anybody was told anything. A trigger looks, too.
//! - No identifier and no contact id is stored with a hold, only keyed pseudonyms.
//! - A hold about a person knows the contact, too, as soon as the platform told which one that is ([`know_contacts`]): an address or
//!   number of a profile changes.
//! - A restriction ends with the data of its contact ([`end_restrictions`]), where the person asked for the erasure and is told of that,
//!   and never in another way before they were told.
//!
//! Why the end of a statutory hold is no date: it counts from the last record of each contact, which only the platform
//! knows, and is computed when somebody asks for a deletion. Of the contact of a sweep the day is remembered
//! ([`note_last_days`]): until then no sweep asks again.
//!
//! To add a statute: a word in `domain::Statute` with its months and title. To add a kind: a word in `domain::HoldKind`,
//! its place in the precedence, its grounds, and the word in the table's CHECK by a migration.

mod contact;
mod error;
mod keeper;
mod order;
mod settings;
mod sql;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use contact::{end_restrictions, know_contacts};
pub use error::HoldError;
pub use keeper::{Kept, keep_in_order, restrict_objections};
pub use order::{
    About, Lifted, NewHold, Placed, announce_end, lift, place, place_again, restriction_to_end, review,
    settle_statutes,
};
pub use settings::Settings;
pub use sql::{
    FirstStage, Postponed, Postponement, RestrictionEnd, Unsought, Untold, about_another, find_by_reference,
    first_stage_of, forget_requests, held_among, in_force, knows_contact, list, lock_for_deletion,
    note_last_days, note_recipients, note_resumed, postpone, postponed_by, purge, put_rest_back,
    references_of, restriction_end, restriction_of, take_resumable, unsought_contacts, untold_restrictions,
};

use crate::domain::{HoldCategory, HoldKind, Reference, RequestId, Statute};

/// Id of a hold: a version 7 UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct HoldId(pub Uuid);

impl HoldId {
    /// What people quote: `HLD-` and two groups of four.
    #[must_use]
    pub fn reference(self) -> String {
        Reference::of(RequestId(self.0)).as_str().replace("DSR-", "HLD-")
    }
}

/// When a hold ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndRule {
    /// After this day, in the controller's time zone.
    On(NaiveDate),
    /// So many months after the last record of its category, for each contact.
    MonthsAfterLast(u8),
    /// Never: a person lifts it.
    WhenLifted,
}

/// Who and when ended a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// When.
    pub at: DateTime<Utc>,
    /// By whom, as the audit log names actors.
    pub by: String,
    /// Why: `expired`, `switched_off`, `erased` or a `domain::LiftReason`.
    pub reason: String,
}

/// A hold as stored.
#[derive(Clone, Debug, Serialize)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// What people quote.
    pub reference: String,
    /// What kind of order it is.
    pub kind: HoldKind,
    /// What it keeps.
    pub category: HoldCategory,
    /// The ground of the law, for example `RF-08`.
    pub ground: String,
    /// The law of the library that it follows.
    pub statute: Option<Statute>,
    /// The number of the matter, for example a court's.
    pub matter: Option<String>,
    /// The member of staff who answers for it.
    pub owner: String,
    /// Whether it is about persons; otherwise about every contact created in the span.
    pub about_persons: bool,
    /// Contacts created at or after this instant.
    pub created_from: Option<DateTime<Utc>>,
    /// Contacts created before this instant.
    pub created_before: Option<DateTime<Utc>>,
    /// When it ends by itself.
    pub ends: EndRule,
    /// By when it has to be reviewed.
    pub review_on: NaiveDate,
    /// By whom it was placed.
    pub placed_by: String,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// How it ended, if it did.
    pub ended: Option<Ended>,
}
