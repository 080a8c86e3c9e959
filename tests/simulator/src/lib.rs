//! The Cloud4Wi contact API, simulated: stateful, throttled, faulty on demand.
//!
//! A [`Simulator`] is an HTTP server with one or more organisations full of invented people. Calls come in over a
//! socket, as they would at the vendor; tests look in through three handles: [`Faults`] to break things at run time,
//! [`Journal`] to see every call and effect, and [`OrganisationHandle`] for the truth about contacts.
//!
//! ```
//! # async fn example() -> Result<(), dsrd_simulator::StartError> {
//! use dsrd_simulator::{ContactSpec, Endpoint, Fault, Settings, Simulator};
//!
//! let simulator = Simulator::start(Settings::with_contacts(100)).await?;
//! let organisation = simulator.organisation("main");
//! let contact = organisation.add_contact(ContactSpec::new().email("ada@posta.example"));
//! simulator.faults().inject(Fault::LoseAnswer.on(Endpoint::DeleteContact).times(1));
//! // … let the service work against `simulator.base_url()` …
//! assert!(organisation.truth(&contact).is_some_and(|truth| truth.exists));
//! simulator.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! Rules of the simulated platform, beyond the documented ones:
//!
//! - Unknown query parameters are ignored. Names are in [`dialect`].
//! - A scroll is a cursor on the server under **one** id: a page whose answer was lost is not given again, so a client
//!   must begin anew ([`ScrollIds`] has the friendlier way). A page of the full size has an id; the end is a shorter page
//!   without id, or an empty page.
//! - Contacts deleted after a scroll began still stand in its pages.
//! - `generated` and all seed data depend on [`Settings::reference`] and seeds only; `modified` of a changed contact is
//!   the reference instant plus the time since the start.
//! - A policy update changes all the policies that it names, or none. Unknown policies, malformed bodies and bad
//!   parameters are answered 409; a wrong verb is an unknown path, 404.
//!
//! Invariants: no person is kept in memory unless a test added it; an effect is journalled after it happened and before
//! the first byte of the answer; a fault acts on a call once, taken at its arrival.

#![forbid(unsafe_code)]

mod answer;
mod auth;
mod connection;
mod contacts;
pub mod dialect;
mod endpoints;
mod faults;
mod journal;
mod json;
mod organisation;
mod people;
mod rate_limit;
mod records;
mod routes;
mod scroll;
mod server;
mod settings;
mod simulator;

pub use contacts::{ContactSpec, Identifiers, Truth};
pub use faults::{Fault, FaultId, FaultPlan, Faults, Poison};
pub use journal::{Effect, Endpoint, Entry, Journal};
pub use organisation::{OrganisationHandle, Wanted};
pub use people::RecordCounts;
pub use settings::{
    ALL_SCOPES, JournalKeeping, OrganisationSettings, RateLimit, RetryAfter, ScopeRule, ScrollIds, Settings,
    TokenClaims,
};
pub use simulator::{Simulator, StartError};
