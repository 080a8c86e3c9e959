//! Contacts past their time found and submitted for erasure.
//!
//! A [`Rule`] (from [`Settings`]) says how long contacts are kept, when sweeps run and how much one may erase at most.
//! [`preview`] shows what a sweep would do; [`Sweeper::run_due`] is called by the daemon every minute and does it when
//! it is due; [`Sweeper::sweep`] does it because a person asks. A sweep lists all contacts, freezes those past their
//! time in `dsrd.sweep_candidate`, compares their number with the caps, and only then submits one erasure for each
//! through [`intake`](crate::intake), with origin `retention`. **It deletes nothing itself**: there is one way by which
//! a contact is deleted, with one set of checks and proofs, and that is the erasure procedure of `execution`.
//!
//! The period runs from the creation, or from the last contact that came from the person ([`Anchor`], R-60). For the latter
//! the records of everybody old enough are read between the listing and the caps; who was active is dropped, and of whom it
//! cannot be known is left for a person to look at. The same is read once more right before each deletion, by `execution`.
//!
//! What cannot be mended by deleting contacts is found and counted ([`Finding`]): records past a term of their own on contacts
//! that are kept, and fields of profiles that no rule names.
//!
//! Each page that is listed is compared with the suppression list: who was erased and is listed again is looked at by
//! [`suppression::watch`](crate::suppression::watch).
//!
//! Invariants:
//! - Nothing is submitted before the listing is complete and within the caps. Over a cap, with clocks that differ by
//!   more than five minutes, or at a platform that ignores its filters, the sweep stops and says why.
//! - A contact of unknown or future creation is never a candidate, whatever the platform's filter says.
//! - A contact that a hold keeps is no candidate: neither caps nor previews count it, and it is left to a later sweep.
//! - Where a person confirmed a number of candidates, a sweep that finds another one submits nothing.
//! - A contact that has an open retention request gets no second one.
//! - One sweep of an organisation runs at a time (advisory lock), and each due time runs once: it is claimed by a
//!   conditional update together with the insertion of its sweep.
//! - A contact whose last activity cannot be known is never a candidate of a period that runs from it.
//! - A sweep may be killed at any point. While it listed, it is marked `failed` and run anew; while it read or submitted, the
//!   candidates that are left are continued, unless the rule was switched off or made milder since or counts from another event.
//!
//! What happens between the listing and the deletion is the erasure procedure's matter: it reads the contact again,
//! takes its absence for normal (somebody deleted it meanwhile), and waits while an access request for the same contact
//! is open. Where the contact's records show that a hold keeps it, it is left alone, and sweeps do not ask again until the last
//! day of that.
//!
//! Due times that were missed while no daemon ran give one run, recorded with its lateness. A sweep that fails on a
//! passing trouble of the platform is due again after an hour; one that stopped at a safeguard waits for its next
//! regular time, because repeating it changes nothing.
//!
//! To add a safeguard: add a [`StopReason`] and return it from `survey::distrust` or `Survey::over`, where preview and
//! sweep both look.

mod due;
mod look;
mod period;
mod preview;
mod schedule;
mod settings;
mod sql;
mod survey;
mod sweep;
mod timetable;
mod vocabulary;

pub use due::Turn;
pub use look::{Finding, FindingKind};
pub use period::cutoff;
pub use preview::{Preview, PreviewError, Progress, preview};
pub use schedule::{Schedule, ScheduleError};
pub use settings::{Anchor, Caps, RecordTerms, Rule, Settings, SettingsError};
pub use sql::{
    SweepRow, count_unclear, list_sweeps, list_unclear, purge_candidates, purge_sweeps,
    purge_unused_candidates,
};
pub use survey::ActiveLately;
pub use sweep::held::Holds;
pub use sweep::{Halt, Stage, SweepError, SweepReport, Sweeper, never_halt};
pub use timetable::Timetable;
pub use vocabulary::{BegunBy, SkipReason, StopReason, SweepState};
