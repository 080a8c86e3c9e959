//! The daily self-test: an invented contact of each organisation taken through its rights, so that a door that does not open is
//! noticed by us and not by the first person who knocks.
//!
//! The controller makes a contact at the platform that is nobody, and names it in the settings ([`Settings`]). Once a day
//! [`SelfTester::turn`] hands in a request for each right that it names, with an origin of its own, through the same
//! [`intake`](crate::intake) as everybody's: search, report, effect, read-back and notice are the real ones. When their time is
//! over it judges them ([`judge`]); what did not end as fulfilled, read back and told is told to staff (`alert`).
//!
//! Invariants:
//! - Once a day over any number of daemons: whoever moves the due time on in `dsrd.schedule` has claimed it, and a day has one
//!   row in `dsrd.self_test`.
//! - Nobody but the invented contact is touched: one identifier of the settings must bear the mark [`MARK`], which no person's
//!   does, and `execution` goes on only with the contact that carries every one of them.
//! - Who asks is known from the settings, for requests of this origin only: no producer and no command can hand one in, and
//!   the database lets one delete a contact only where the run says so.
//! - It is no request of a person: not in the figures, no reminder, no mark of frequency, no entry of the suppression list, no
//!   later look, no task for recipients.
//! - While a request of an earlier run is open, no new one is handed in: the next run fails at once and says so. Nothing piles
//!   up, and nothing ends silently.
//!
//! Why it uses `retention`: when something is due, a [`Timetable`](crate::retention::Timetable) says.
//!
//! To try another right: its kind in [`KINDS`], if a procedure carries it out and reads it back.

mod settings;
mod sql;
mod tester;
mod verdict;

pub use settings::{KINDS, MARK, Plan, PlanError, Settings};
pub use sql::purge;
pub use tester::{Run, SelfTestError, SelfTester, Turn};
pub use verdict::judge;

/// The name of its schedule, its producer and its actor.
const NAME: &str = "self_test";
