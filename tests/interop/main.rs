//! The log as outsiders see it: verified from its tables after every kind of tampering, taken out and verified by
//! programs that we did not write, and asked as the guide for auditors asks it.

#![expect(clippy::unwrap_used, reason = "what fails while a test is set up fails the test")]

#[path = "../support/required.rs"]
mod required;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "these tests need some of it only")]
mod support;

mod beside;
mod case;
mod drill;
mod exports;
mod foreign;
mod forgetting;
mod guide;
mod log;
mod pruning;
mod reading;
mod tampering;
#[cfg(feature = "timestamps")]
mod timestamps;
mod writers;
