//! The Cloud4Wi client on the wire: against scripted answers, raw sockets, and (as one suite) against pages and the
//! simulator.

mod answers;
mod broken_wire;
mod conformance;
mod effects;
mod listing;
mod rate;
mod search;
mod session;
mod settings;
mod simulated;
mod support;
