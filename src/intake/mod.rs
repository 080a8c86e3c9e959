//! The only way a request comes into being.
//!
//! Three doors lead to one function, [`submit`]: the command line and other library callers call it; producers insert
//! into the table `dsrd.intake`, whose rows [`take_producer_rows`] turns into calls; the retention sweep calls it for
//! each contact past its time. `submit` writes, in the caller's transaction, the case (`dsrd.request`), its
//! identifiers (encrypted, `dsrd.identifier`), the acknowledgement, the job, and the audit entry with what lets the log be
//! asked for the person.
//!
//! Invariants:
//! - The legal clock starts at `received_at`, which somebody must state; it never defaults to the time of insertion
//!
//! - The same idempotency key of the same producer, with the same kinds and identifiers, is the same request and gives the
//!   same receipt. With others it is refused, or parked: it asks for something else, or for somebody else.
//! - A producer's row that cannot become a request is parked, sealed, with a reason; none is dropped.
//! - Who hands a request in says how it is known who asks; what a right needs is the controller's to say, and is asked for
//!   by the engine on every way that a request can take.
//! - The kind is what the producer said; free text is never read for another one (S-13), and nothing changes it later. A
//!   word that is no kind becomes `other`, which a person looks at.
//! - A message that asks for several rights becomes one request each, with one key and one date of receipt.
//! - A reminder of an open request is recorded as one and ends at once; the first keeps its date. How often
//!   somebody asks is counted and refuses nothing.
//! - What no procedure covers, and what somebody hands in for the person, waits for a person from the beginning.
//! - A clear identifier stands in `dsrd.intake` for moments only, until its row is taken.
//!
//! The case-level acts of people ([`withdraw`], [`resume`], [`record_informed`]) live here too, because they write the
//! same table under the same rules. Decisions are `triage`'s, which locks and continues the case through
//! [`lock_parked`] and [`continue_with`]. What people do to producers' parked rows is here as well: a row that is released
//! goes through [`submit`] with the producer, key and date that it came with.

mod arrival;
mod case;
mod clock;
mod flood;
mod identifier;
mod producer;
mod sql;
mod submission;

pub use arrival::{submit, submit_on_page, submit_request};
pub use case::{
    CaseError, OpenCase, ParkedCase, WaitingCase, clarified, continue_proven, continue_with,
    given_address_of, lock_open, lock_parked, lock_waiting, recipient_of, record_informed, resume,
    resume_despite_access, resume_not_held, stood_still, wait_for_person, withdraw, withdraw_with_reminders,
};
pub use clock::{ClockEvent, clock_events, dates_from_events, recompute, record_pause, settle_extensions};
pub use flood::{FloodWindow, HeldBack, Scope, count_held_back, list_floods, purge_rates, release_held_back};
pub use identifier::{Identifier, IdentifierRole, add_identifiers, identifiers, references};
pub use producer::{
    Corrections, OpenedRow, ParkedColumn, ParkedRow, ParkedRowError, Taken, count_parked_rows,
    discard_parked_row, list_parked_rows, open_parked_row, release_parked_row, take_producer_rows,
};
pub use sql::{
    AskedAgain, Case, Surroundings, count_cases, find_by_reference, find_case, forget_contacts,
    forget_identifiers, holds_of_others, list_cases, past_evidence, purge, registered_organisations,
    reminders_of, set_needs_identity, set_policies, set_reminded, set_superseded, surroundings,
};
pub use submission::{Desk, IntakeError, Receipt, Submission};
