//! The Cloud4Wi client on the wire: against scripted answers, raw sockets, and (as one suite) against pages and the
//! simulator.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod bombs;
mod broken_wire;
mod conformance;
mod effects;
mod listing;
mod parameters;
mod rate;
mod search;
mod session;
mod settings;
mod simulated;
mod support;
