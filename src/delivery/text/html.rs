//! The HTML form: the same parts in a quiet frame. No script, no picture, nothing loaded from anywhere.

use askama::Template;

use super::{Frame, Part, TextError};

#[derive(Template)]
#[template(path = "mail/frame.html")]
struct Page<'a> {
    subject: &'a str,
    frame: &'a Frame<'a>,
    parts: &'a [Part],
}

/// The parts as a page. Every value is escaped by the template engine.
pub(super) fn render(subject: &str, frame: &Frame<'_>, parts: &[Part]) -> Result<String, TextError> {
    Page { subject, frame, parts }.render().map_err(|_| TextError::Html)
}
