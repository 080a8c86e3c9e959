//! Whether the platform of an organisation serves anybody at all, or does not answer or refuses the key, and which of its
//! filters it ignores: table `dsrd.platform_watch`.
//!
//! Every daemon looks from time to time, also when nobody asks anything, and what one of them sees counts for all. While
//! a platform answers nobody, a failed call says nothing about the request that made it: such attempts are not counted
//! ([`PutBack::counts`](super::PutBack::counts)), so that an outage of a day leaves no queue of requests that wait for a
//! person (F-46). They wait long instead ([`Settings::wait_in_outage`](super::Settings::wait_in_outage)), and the look that
//! finds the platform back wakes them all, the earliest date first. Staff is told of the outage and of every due date that
//! comes near meanwhile, by `alert`.

mod sql;

pub use sql::{Seen, filter_ignored_since, note_ignored_filters, note_platform, platform_down_since};

/// The code of a job that waits until the platform of its organisation answers again.
pub const WAITS_FOR_PLATFORM: &str = "platform_down";
