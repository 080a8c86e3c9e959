//! dsrd.
fn main() {}
