//! Those to whom the controller gave data: the register, and telling them what became of it (Art. 15(1)(c), 19 GDPR).
//!
//! The register is settings ([`Recipient`]): who, which categories of data, from when to when, in which country under which
//! safeguard, and how to reach them. An access report names those that held the person's data in their time ([`name_in`],
//! When an erasure or an opt-out was read back, or a person's record of a correction or restriction was taken up, or an
//! objection restricts, [`enqueue`] writes one task for each of them into the transaction of that proof; [`enqueue_release`] does when a restriction
//! ends. [`Courier`] sends what is due, by mail or by a signed call to a webhook; persons record the answers
//! ([`confirm`], [`give_up`]).
//!
//! Invariants:
//! - A recipient is told the platform's id of the contact and nothing else about the person (N-17). That id stands sealed in
//!   the task's row, leaves it in the message only, and goes with the id in the case ([`forget`]).
//! - Every sending stands in the log before it happens and has one end there; a sending whose end nobody saw is ended as
//!   `outcome_unknown` and repeated, with the task's id, by which the recipient recognises it.
//! - A request may close while a task is open. An open task never ends by itself, except by a recipient's own answer; after
//!   its day it is told in the log once and shown as overdue until it ends.
//! - A webhook is called over TLS (plain HTTP on this host only), without redirects and, unless the settings say otherwise,
//!   never at an address of a private network.
//!
//! Why the settings and no table: who gets data is a decision of the controller that belongs under version control, with the
//! record of processing; a past recipient stays in the register with its last day.
//!
//! To add a channel: a variant of [`ChannelKind`] and its arm in [`Courier`].

mod courier;
mod error;
mod object;
mod register;
mod settings;
mod sql;
mod task;
mod webhook;

pub use courier::{Courier, Secrets};
pub use error::RecipientError;
pub use register::{held_by, name_in};
pub use settings::{ChannelKind, Recipient, Role};
pub use sql::{Task, find_task, forget, list_tasks, purge};
pub use task::{
    Affected, GiveUpReason, Place, TaskAction, TaskState, confirm, enqueue, enqueue_release, give_up,
    note_published, reveal, told_of,
};
