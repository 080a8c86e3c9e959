//! The service as a whole, in one process: each promise of the catalogues as a test named after its id. Every test
//! ends with the oracle.

#![expect(clippy::unwrap_used, reason = "what fails while a test is set up fails the test")]

#[path = "../support/proxy.rs"]
#[expect(dead_code, reason = "these tests need some of its faults only")]
mod proxy;
#[path = "../support/mod.rs"]
mod support;

mod access;
mod carried_over;
mod conflicts;
mod crash;
mod erasure;
mod intake;
mod lanes;
mod leaks;
mod opt_out;
mod organisations;
mod publishing;
mod rig;
mod sealing;
mod unknown_commit;
mod wire;
