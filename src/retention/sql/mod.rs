//! Tables `dsrd.sweep`, `dsrd.sweep_candidate`, `dsrd.sweep_finding` and `dsrd.schedule`.

mod candidate;
mod finding;
mod schedule;
mod sweep;

pub use candidate::*;
pub(super) use finding::*;
pub(super) use schedule::*;
pub use sweep::*;
