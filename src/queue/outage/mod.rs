//! Whether the platform of an organisation answers at all: table `dsrd.platform_watch`.
//!
//! Every daemon looks from time to time, also when nobody asks anything, and what one of them sees counts for all. While
//! a platform answers nobody, a failed call says nothing about the request that made it: such attempts are not counted
//! ([`PutBack::counts`](super::PutBack::counts)), so that an outage of a day leaves no queue of requests that wait for a
//! person (F-46). Staff is told of the outage and of every due date that comes near meanwhile, by `alert`.

mod sql;

pub use sql::{note_platform, platform_down_since};
