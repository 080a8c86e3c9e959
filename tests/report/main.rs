//! What a person receives: the package as a whole, opened as the person opens it.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails fails the test")]

mod ground;
mod hostile;
mod others;
mod package;
mod readable;
#[path = "../support/required.rs"]
mod required;
