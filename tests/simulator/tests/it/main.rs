//! The simulator seen from outside, through sockets.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as the test does")]

mod endpoints;
mod executable;
mod faults;
mod rig;
mod untruths;
mod volume;
