//! Tables `dsrd.sweep`, `dsrd.sweep_candidate` and `dsrd.schedule`.

mod candidate;
mod schedule;
mod sweep;

pub use candidate::*;
pub(super) use schedule::*;
pub use sweep::*;
