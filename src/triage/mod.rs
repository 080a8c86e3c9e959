//! What persons decide about a parked request: which of several contacts is meant, and that it is refused.
//!
//! A request comes here parked, with its reason. [`candidates`] looks for its contacts again and shows them masked;
//! [`choose`] records which one is meant and sends the request on its way: from then on it may touch that contact and no
//! other. [`refuse`] records a ground of the law and what the controller says in support of it; the procedure of the
//! request carries the refusal out (`execution`), so that nothing is closed before its notice was accepted. Matching
//! itself ([`find_matches`], [`carried`], [`contradicts`]) is shared with `execution`, so that a person sees the contacts
//! that the machine saw.
//!
//! Invariants:
//! - A decision is a row that is never changed (I-8 of the state machine), with the person who made it.
//! - Nobody but a person refuses, an opt-out is never refused, and a ground must be one of the kind (R: Art. 12(4), 12(5),
//!   17(3)).
//! - No clear identifier and no id of the platform leaves this module: contacts are masked, and named by a code that is
//!   keyed and belongs to one request.
//! - What was chosen is read again before it is recorded, and once more before it is acted upon.
//!
//! Why it uses `intake` and `platform`: the case's row is intake's to write, and a choice needs a look at the platform.
//! There is no "closed by hand": what a person carried out at the platform is proven by `dsrd request resume`, whose
//! read-back finds it done; a success that nobody read back would be an assertion.
//!
//! To add a decision: a word for it in `domain::decision`, its kind in the CHECK of `dsrd.decision` by a migration, an
//! action of the audit log, and a function here that locks the case, writes the row, and continues the case.

mod choice;
mod error;
mod matching;
mod record;
mod refusal;
mod sql;

pub use choice::{Candidate, Matched, Site, candidates, choose};
pub use error::TriageError;
pub use matching::{Match, MatchError, Matches, carried, contradicts, find_matches};
pub use record::{DecisionRecord, list_decisions};
pub use refusal::{Facts, refusal_facts, refuse};
pub use sql::{forget, purge};
