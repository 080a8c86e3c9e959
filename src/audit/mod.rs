//! What is remembered: an append-only log of every decision and effect, without identifiers.
//!
//! Data enters through [`append`], inside the transaction of the change that it records: the change and its entry
//! commit together or not at all. It leaves through [`list`] and the database views of the schema `audit_view`,
//! which the role `auditor` reads with any SQL tool.
//!
//! An effect outside the database is bracketed by two entries: `….began`, committed *before* the call, and
//! `….ended` with its outcome after it, which names the first by its id. A `began` without an end is an effect whose
//! outcome is unknown; [`append`]ing the end with [`Ending::Unknown`] says so in the log.
//!
//! Invariants:
//! - An entry is bytes ([`Leaf`]), hashed and stored as they were written. Every column that is asked for is generated
//!   from them by the database.
//! - Writers only insert into an inbox and hold no common lock; the [`Sealer`] alone numbers entries 1..n, extends the
//!   tree over them ([`tlog`]) and signs it. PostgreSQL hands out identity values before it shows the rows, so numbers
//!   given by writers would let rows appear in a past that an auditor has read already.
//! - No role of the service can change or delete an entry (grants and triggers of the migrations).
//! - The vocabulary is closed ([`Action`]); details are counts and short words ([`Detail`]), which the database checks.
//! - A process numbers the entries that it writes and accounts for them ([`Writer`]), so that one which vanishes before it is
//!   sealed is missed.
//! - Signed heads leave the machine ([`Publisher`]) and are compared with the database before anything is sealed; a
//!   [`Witness`] is what somebody else runs to remember them.
//! - No entry names a person: staff stand in it by a random word, people who ask by a salted commitment ([`subject`]).
//!   What gives both a meaning stands in `audit_private` and is erased through [`forget`], which says so in the log.
//!
//! To record something new: add an [`Action`], describe it in `docs/audit-log.md`.

pub mod drill;
mod event;
pub mod export;
mod files;
pub mod forget;
mod keys;
mod leaf;
pub mod manifest;
mod publish;
mod sealer;
mod search;
mod sql;
mod stamped;
pub mod subject;
#[cfg(feature = "timestamps")]
pub mod timestamp;
pub mod tlog;
pub mod verify;
mod witness;
mod writer;

pub use event::{Action, Actor, Detail, Ending, EntryId, Event};
pub use keys::{LogKeys, MalformedLogKeys};
pub use leaf::{DetailValue, Leaf, LeafError, MAX_LEAF_BYTES};
pub use publish::{
    Courier, Divergence, HeadMail, Looked, PublishError, PublishSettings, Publisher, Sink, SinkStatus,
    WitnessSettings, published_folder,
};
pub use sealer::{MOST_AT_ONCE, RestoreReason, Restored, SealError, Sealed, Sealer, Settings, Takeover};
pub use search::{Search, StaffEntry, first_of_actions, list_actions, list_by_staff, search, whole_since};
pub use sql::{
    Entry, Filter, Half, append, append_about_log, half, list, open_intents, pending, raise_half,
    sealed_up_to, settle_half, verifier_keys,
};
pub use stamped::StampedHeads;
pub use witness::{Answer, Witness, WitnessError};
pub use writer::{Turn as WriterTurn, Writer};
