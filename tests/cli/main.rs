//! The real executable: what it prints, how it ends, and how the daemon starts and stops.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../support/database.rs"]
mod database;
#[path = "../support/required.rs"]
mod required;

mod arguments;
mod budget;
mod commands;
mod daemon;
mod deadline;
mod decide;
mod dpo;
mod evidence;
mod guide;
mod log;
mod procedure;
mod program;
mod reader;
mod stolen;
