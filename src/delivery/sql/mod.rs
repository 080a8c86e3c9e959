//! Tables `dsrd.notice` and `dsrd.package`; reads the recipient from `dsrd.identifier` and the reference from
//! `dsrd.request`.

mod attempt;
mod outbox;
mod package;
mod reach;

pub use attempt::*;
pub use outbox::*;
pub(super) use package::*;
pub use reach::*;
