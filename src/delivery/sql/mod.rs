//! Tables `dsrd.notice` and `dsrd.package`; reads the recipient from `dsrd.identifier` and the reference from
//! `dsrd.request`.

mod attempt;
mod outbox;
mod package;

pub use attempt::*;
pub use outbox::*;
pub(super) use package::*;
