//! What integration tests share. A test target takes it in with `mod support;`.

pub(crate) mod database;
pub(crate) mod logs;
pub(crate) mod oracle;
pub(crate) mod service;
pub(crate) mod witness;
