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
//! - The same idempotency key of the same producer is the same request and gives the same receipt.
//! - A producer's row that cannot become a request is parked, sealed, with a reason; none is dropped.
//! - Who hands a request in says how it is known who asks; what a right needs is the controller's to say, and is asked for
//!   by the engine on every way that a request can take.
//! - The kind is what the producer said; free text is never read for another one (S-13), and nothing changes it later.
//! - A clear identifier stands in `dsrd.intake` for moments only, until its row is taken.
//!
//! The case-level acts of people ([`withdraw`], [`resume`], [`record_informed`]) live here too, because they write the
//! same table under the same rules. Decisions are `triage`'s, which locks and continues the case through
//! [`lock_parked`] and [`continue_with`]. What people do to producers' parked rows is here as well: a row that is released
//! goes through [`submit`] with the producer, key and date that it came with.

mod case;
mod identifier;
mod producer;
mod sql;
mod submission;

pub use case::{
    CaseError, ParkedCase, WaitingCase, continue_proven, continue_with, lock_parked, lock_waiting,
    record_informed, resume, resume_despite_access, withdraw,
};
pub use identifier::{Identifier, IdentifierRole, add_identifiers, identifiers, references};
pub use producer::{
    Corrections, OpenedRow, ParkedColumn, ParkedRow, ParkedRowError, Taken, discard_parked_row,
    list_parked_rows, open_parked_row, release_parked_row, take_producer_rows,
};
pub use sql::{
    Case, count_cases, find_by_reference, find_case, forget_contacts, forget_identifiers, list_cases,
    past_evidence, purge, registered_organisations, set_needs_identity, set_reminded,
};
pub use submission::{Desk, IntakeError, Receipt, Submission, submit, submit_on_page, submit_request};
