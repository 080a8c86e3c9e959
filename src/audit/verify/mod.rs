//! Verifies a log, wherever it stands, as somebody who need not trust those who run it.
//!
//! Data enters through a [`Source`]: the tables ([`Database`]), a directory or a web server in the layout of
//! c2sp.org/tlog-tiles ([`Tiles`] of a [`Directory`] or of a [`Web`]); and through a [`Plan`]: whom to believe
//! ([`Policy`]), heads that were kept elsewhere, and where to begin. It leaves as a [`Report`]: a verdict, how far it
//! reaches ([`Level`]), what somebody could still have done, and each [`Finding`] with its place.
//!
//! The run ([`verify`]): signatures of the newest head; definition of the tables; then, in one pass over the entries,
//! each entry rehashed and compared with its leaf, its columns and its form, the tiles and the root rebuilt, each known
//! or kept head compared when the tree has its size, and an account kept of effects, counters, silence, allowed absences,
//! of what made entries personal and was erased, and of holds.
//!
//! Invariants:
//! - A case that is asked for is gathered on the way, and each of its entries proven by the tiles once more.
//! - Reader's rights are enough, and nothing is written. That somebody verified is recorded by the caller, who may write.
//! - Memory does not grow with the log: entries come in chunks, the tree is its edge, the account is what is open.
//! - What cannot be read is told as such and never counted as in order: [`Verdict::Undecided`].
//! - Each entry is compared with its own leaf and the leaves with the head, so that one changed entry is named as one,
//!   and does not make all that follow look changed.
//!
//! To check one more thing: a [`Step`], in `account` if it is told by the entries (in `account::writers` if by their numbers), in
//! `erasure.rs` or `holds.rs` if by what stands beside them, in `run` if by the tree, in `Source::flaws` if by the place where the log stands.

mod absence;
mod account;
mod ahead;
mod catalogue;
mod columns;
mod database;
mod erasure;
mod files;
mod holds;
mod instants;
mod policy;
mod receipts;
mod report;
mod run;
mod source;
mod sql;
mod web;

pub use catalogue::Flaw;
pub use columns::Columns;
pub use database::Database;
pub use erasure::{Erasable, PageRow};
pub use files::{Directory, Files, Tiles};
pub use holds::{HoldDeed, HoldRow};
pub use policy::{Policy, PolicyError, StampCheck};
pub use receipts::{Proven, ProvenItem, ReceiptError, check_receipt};
pub use report::{Counts, Finding, Level, MAX_FINDINGS, Report, Severity, Step, Verdict};
pub use run::{CaseEntry, CaseReport, CaseSubject, Plan, verify, verify_case};
pub use source::{CommittedCases, KeptHead, KeptStamp, ManifestOf, Source, SourceError, Stored};
pub use web::Web;
