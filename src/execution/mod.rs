//! One leased request carried through its steps.
//!
//! A worker hands a [`Lease`](crate::queue::Lease) to the [`Executor`]. It loads the case, its identifiers and its
//! checkpoints, follows the [`Procedure`] of the case's kind from the first step without a finished checkpoint, and
//! ends in one of four ways: closed, put back for later, parked for a person, or not at all because the lease was
//! lost.
//!
//! Invariants:
//! - A finished checkpoint never changes; recovery after a crash is "the first step that is not finished".
//! - An outside effect is announced (checkpoint and audit entry, committed) before it is called. When a former
//!   attempt was announced and its end is not recorded, the platform is *read* before anything is called again: an
//!   effect found in place was "by a former attempt".
//! - What was read, and how an effect ended, is written together with the next write, at the latest with the answer to
//!   the person or with what stops the run; a crash in between costs a repeated read.
//! - Nothing of an organisation is handed out before its platform's key was found to be its own ([`Gate`]).
//! - Every write first locks the job's row under the lease's fence. A worker that lost its lease writes nothing but
//!   a stray effect, and calls nobody.
//! - `fulfilled` needs a read-back after the effect; only then is the person told (Art. 12(3), R-37).
//! - A refusal ([`crate::triage`]) takes the place of every step but `inform`; an effect that was begun before is read
//!   back first, because what was done after all cannot be refused.
//! - Nothing is disclosed and nobody deleted before it is known well enough who asks (`identify`), on whatever way the
//!   request came there.
//! - A contact that a person chose is the only one that is read.
//! - A request whose contact an earlier open one of the same kind is about ends as a reminder of that (`reminder`), before
//!   anything is done for it; the earlier one keeps its proof, its recipient and its dates.
//! - No deletion is announced against which a hold stands ([`crate::holds`]): the transaction of the announcement looks.
//! - Nobody is deleted, no hold is passed over and no waiting ends by a clock that differs from the database's.
//! - Nobody is deleted by a retention rule that is not in force any more, or that keeps them for longer by now.
//! - Nobody is deleted by a retention rule from the last activity who was active since: it is read again before the
//!   announcement.
//! - What a withdrawn consent leaves without any basis follows by a request of its own, where the controller says so
//!   ([`hand_in_due`]).
//! - What was proven is looked at again later ([`look_again`]); what did not last is recorded and told to a person.
//! - Steps get ports, keys and earlier outcomes, no database: they cannot write beside the engine.
//!
//! Why an enum of steps and no workflow library: the procedures are short lines, the list is data that auditors and
//! documents show, and every boundary can be tested by killing the engine there ([`KillSwitch`]).
//!
//! To add a kind: a [`Procedure`] with its steps, an arm in `engine::Run::take_step` for each new step, and an entry
//! in the golden test of `procedure`.

mod absence;
mod access;
mod answered;
mod carry_out;
mod clocks;
mod effect;
mod engine;
mod erasure;
mod follow_up;
mod gate;
mod held;
mod hold;
mod identify;
mod inform;
mod lift;
mod locate;
mod lost_holds;
mod objection;
mod opt_out;
mod outcome;
mod place;
mod procedure;
mod refuse;
mod reminder;
mod replay;
mod restricted;
mod settle;
mod sql;
mod stop;
mod unclear;
mod watch;
mod worker;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use follow_up::{FollowUpError, FollowUpView, FollowedUp, follow_up_of, hand_in_due};
pub use gate::Gate;
pub use held::{contacts_to_hold, find_held_contacts};
pub use hold::resume_postponed;
pub use lift::lift_hold;
pub use lost_holds::place_lost_holds;
pub use objection::tell_of_objections;
pub use place::place_hold;
pub use procedure::{Procedure, Step, describe};
pub use replay::{Finding, Place, Replay, ReplayError, Settlement, Verdict, replay, settle};
pub use sql::{CheckpointView, checkpoints_of, count_stray_effects, purge};
pub use stop::Ended;
pub use watch::{Decided, LookedAgain, Lookout, WatchError, look_again, look_now, settle_look};
pub use worker::Worker;

use crate::delivery::Mailer;
pub use crate::domain::KillSwitch;
use crate::domain::{ActivityRule, Controller, OrganisationId, RetentionPeriod};
use crate::intake::Desk;
use crate::platform::ContactPlatform;
use crate::recipients::Recipient;
use crate::store::Store;
use crate::suppression::ledger::Ledger;
use crate::suppression::watch::Settings as WatchSettings;
use crate::{queue, report};

/// One organisation that the executor works for.
#[derive(Clone, Debug)]
pub struct Site {
    /// Who it is.
    pub controller: Arc<Controller>,
    /// Its contacts.
    pub platform: Arc<dyn ContactPlatform>,
    /// What the controller owes beside the data in an access report (Art. 15(1)(a) to (h)).
    pub catalogue: Option<report::Catalogue>,
    /// What is withheld from copies of the data because it belongs to other people (Art. 15(4)).
    pub redaction: report::RedactionRules,
    /// To whom it gave data: named in access reports, told of erasures.
    pub recipients: Arc<[Recipient]>,
    /// How long contacts are kept by the retention rule in force; none while there is none. A sweep's erasure that was submitted by
    /// another one is looked at by this one before its deletion.
    pub retention: Option<RetentionPeriod>,
    /// For a retention rule that counts from the last activity: what counts. Looked at again before each deletion by rule.
    pub activity: Option<ActivityRule>,
    /// Opened once the platform's key was found to be that of the organisation; no job is claimed before.
    pub gate: Gate,
}

/// How access packages are made and how long they can be fetched.
#[derive(Clone, Debug)]
pub struct PackageRules {
    /// How they are made, and where they lie.
    pub report: report::Settings,
    /// After how many days they are destroyed.
    pub keep_days: u32,
}

/// Everything that carrying out requests needs.
#[derive(Debug)]
pub struct Executor {
    /// The database.
    pub store: Store,
    /// Keys and clock.
    pub desk: Desk,
    /// The organisations.
    pub sites: BTreeMap<OrganisationId, Site>,
    /// Sends the outcome notices.
    pub mailer: Arc<Mailer>,
    /// Attempts, waits, leases.
    pub settings: queue::Settings,
    /// Access packages.
    pub packages: PackageRules,
    /// What is about to be done, outside of the database as well.
    pub ledger: Arc<Ledger>,
    /// When what was done is looked at again.
    pub watch: WatchSettings,
    /// Whether the clock is compared with the database's before somebody is deleted, or a waiting begins or ends, because a date
    /// has come (F-48); not where it is moved by hand.
    pub checks_clock: bool,
    /// Stops the engine at a boundary; inert in production.
    pub kill: KillSwitch,
}
