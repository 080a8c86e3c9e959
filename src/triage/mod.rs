//! What persons decide about a parked request: which of several contacts is meant, and that it is refused.
//!
//! A request comes here parked, with its reason. [`candidates`] looks for its contacts again and shows them masked;
//! [`choose`] records which one is meant and sends the request on its way: from then on it may touch that contact and no
//! other. [`refuse`] records a ground of the law and what the controller says in support of it; the procedure of the
//! request carries the refusal out (`execution`), so that nothing is closed before its notice was accepted. [`answer`] records
//! how a person carried out what no procedure covers ([`answer_part`]: a first part of it), [`tell_breach`] that a breach is told, [`announce_restriction_end`] that a restriction ends, [`accept`] that somebody may ask for the data subject. Matching
//! itself ([`find_matches`], [`carried`], [`contradicts`]) is shared with `execution`, so that a person sees the contacts
//! that the machine saw.
//!
//! Invariants:
//! - [`decide`] is the door for decisions that an organisation may want two persons for: then the first proposes, and
//!   another confirms; the same person never does both, which the database checks too.
//! - A decision is a row that is never changed (I-8 of the state machine), with the person who made it.
//! - Nobody but a person refuses, an opt-out is never refused, and a ground must be one of the kind (R: Art. 12(4), 12(5),
//!   17(3)).
//! - No clear identifier and no id of the platform leaves this module: contacts are masked, and named by a code that is
//!   keyed and belongs to one request.
//! - What was chosen is read again before it is recorded, and once more before it is acted upon.
//!
//! Why it uses `intake` and `platform`: the case's row is intake's to write, and a choice needs a look at the platform.
//! What the machine can carry out is not "closed by hand": what a person did at the platform in its stead is proven by
//! `dsrd request resume`, whose read-back finds it done; a success that nobody read back would be an assertion. Only the
//! kinds that no procedure covers end by a person's record ([`answer`]), with what the data subject is told.
//!
//! To add a decision: a word for it in `domain::decision`, its kind in the CHECK of `dsrd.decision` by a migration, an
//! action of the audit log, and a function here that locks the case, writes the row, and continues the case.

mod answer;
mod choice;
mod error;
mod extension;
mod incident;
mod matching;
mod record;
mod refusal;
mod second;
mod sql;
mod telling;

pub use answer::{accept, answer};
pub use choice::{Candidate, Matched, Site, candidates, choose};
pub use error::TriageError;
pub use extension::ask_clarification;
pub use incident::{declare_incident, end_incident};
pub use matching::{Match, MatchError, Matches, carried, contradicts, find_matches};
pub use record::{DecisionRecord, list_decisions};
pub use refusal::{Facts, answer_words, refusal_facts, refuse};
pub use second::{Decision, Taken, confirm, decide, drop_proposal};
pub use sql::{Incident, Proposal, find_proposal, forget, list_incidents, purge};
pub use telling::{Fee, announce_restriction_end, answer_part, restriction_end_told_otherwise, tell_breach};
