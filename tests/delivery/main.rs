//! Notices and packages brought to their recipient: against a real database, a mail server of our own and a real
//! listener.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking, as a test does")]

#[path = "../support/database.rs"]
mod database;
mod download;
mod handover;
mod notices;
mod pages;
mod smtp;
mod smtp_stub;
mod smtp_tls;
mod texts;
mod truths;
mod world;
