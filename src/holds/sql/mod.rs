//! Tables `dsrd.hold`, `dsrd.hold_subject`, `dsrd.postponed_erasure` and `dsrd.postponed_by`.

mod contact;
mod hold;
mod postponed;
mod restriction;
mod review;

pub use contact::*;
pub use hold::*;
pub use postponed::*;
pub use restriction::*;
pub use review::*;
