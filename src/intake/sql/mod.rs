//! Table `dsrd.request`: the cases.

mod arrival;
mod case;
mod course;
mod forget;

pub use arrival::*;
pub use case::*;
pub use course::*;
pub use forget::*;
