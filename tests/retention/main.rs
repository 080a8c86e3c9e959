//! Retention on a real database, with a contact platform that lives in the test and with the simulated one.

#![expect(clippy::unwrap_used, reason = "what fails while a test is set up fails the test")]

#[path = "../support/database.rs"]
mod database;
#[path = "../support/required.rs"]
mod required;

mod anchors;
mod due;
mod findings;
mod holds;
mod manifests;
mod office;
mod pages;
mod resume;
mod simulated;
mod sweeps;
