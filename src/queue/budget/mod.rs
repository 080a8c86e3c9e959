//! The rate budget of a platform key, shared by every daemon on the database: table `dsrd.rate_budget`.
//!
//! The generic cell rate algorithm in one row: the *theoretical arrival time* moves forward by one emission interval
//! for each call. A caller gets the delay until its first call may be made, so that the clocks of several hosts need
//! not agree. Whoever may be kept waiting asks with a short horizon and is refused while the row lies further ahead,
//! so that bulk work can never push urgent calls back by more than that horizon.

mod sql;

use std::time::Duration;

pub use sql::{block_calls, ensure_budget, has_budget, pause_left, reserve_calls};

/// What came of asking for calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The first call may be made after this time, the others one emission interval apart.
    After(Duration),
    /// Nothing was reserved: ask again after this time.
    NotYet(Duration),
}

/// A limit as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The time between two calls at a steady rate.
    pub emission: Duration,
    /// How many calls may be made at once after a rest.
    pub burst: u32,
    /// How far ahead anybody may reserve: the longest of all horizons.
    pub furthest: Duration,
    /// The longest pause of all calls.
    pub longest_pause: Duration,
}
