//! Module `store`.
pub mod embedded;
