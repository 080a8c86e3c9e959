//! Notices and packages brought to their recipient: against a real database, a mail server of our own and a real
//! listener.

mod handover;
mod notices;
mod pages;
mod smtp;
mod smtp_stub;
#[path = "../support/mod.rs"]
mod support;
mod texts;
mod world;
