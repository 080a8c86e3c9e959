//! Tables `dsrd.hold`, `dsrd.hold_subject`, `dsrd.hold_until`, `dsrd.postponed_erasure` and `dsrd.postponed_by`.

mod contact;
mod hold;
mod last_day;
mod postponed;
mod restriction;
mod review;

pub use contact::*;
pub use hold::*;
pub use last_day::*;
pub use postponed::*;
pub use restriction::*;
pub use review::*;
