//! The HTML form: the same parts in a quiet frame. No script, no picture, nothing loaded from anywhere.

use askama::Template;

use super::{Part, TextError};

#[derive(Template)]
#[template(path = "mail/frame.html")]
struct Frame<'a> {
    language: &'a str,
    subject: &'a str,
    organisation: &'a str,
    footer: &'a str,
    parts: &'a [Part],
}

/// The parts as a page. Every value is escaped by the template engine.
pub(super) fn render(
    language: &str,
    subject: &str,
    organisation: &str,
    footer: &str,
    parts: &[Part],
) -> Result<String, TextError> {
    Frame { language, subject, organisation, footer, parts }.render().map_err(|_| TextError::Html)
}
