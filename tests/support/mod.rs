//! What integration tests share. A test target takes it in with `mod support;`.

pub(crate) mod alerts;
pub(crate) mod bucket;
pub(crate) mod builder;
pub(crate) mod database;
pub(crate) mod logs;
pub(crate) mod oracle;
pub(crate) mod service;
pub(crate) mod settings;
pub(crate) mod witness;

/// A number that an environment variable may ask for in place of the ordinary one.
pub(crate) fn asked_for(variable: &str, ordinary: usize) -> usize {
    let text = std::env::var_os(variable).map(|text| text.into_string().expect("a number"));
    text.map_or(ordinary, |text| text.parse().expect("a number"))
}
