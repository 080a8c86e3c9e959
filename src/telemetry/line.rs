//! One event, one line.

use std::fmt::{self, Write};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use super::outage::OncePerOutage;

/// Lets another format write into memory and passes on a single line without control characters. Escaping the
/// finished line, not each value, also covers what formats and libraries add by themselves.
pub(super) struct OneLine<F> {
    inner: F,
    escape: fn(&mut String, char),
    colour: bool,
    outage: OncePerOutage,
}

impl<F> OneLine<F> {
    /// For a format whose text is JSON: all such characters stand inside of strings there.
    pub(super) fn json(inner: F) -> Self {
        Self { inner, escape: escape_json, colour: false, outage: OncePerOutage::default() }
    }

    /// For text. With `colour`, the whole line has the colour of its level.
    pub(super) fn human(inner: F, colour: bool) -> Self {
        Self { inner, escape: escape_human, colour, outage: OncePerOutage::default() }
    }
}

impl<S, N, F> FormatEvent<S, N> for OneLine<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::with_capacity(256);
        self.inner.format_event(context, Writer::new(&mut text), event)?;
        if !self.outage.allows(*event.metadata().level(), &text) {
            return Ok(());
        }
        let mut line = String::with_capacity(text.len());
        for character in text.trim_end_matches(['\n', '\r']).chars() {
            if breaks_a_line_or_hides(character) {
                (self.escape)(&mut line, character);
            } else {
                line.push(character);
            }
        }
        match self.colour.then(|| colour_of(*event.metadata().level())).flatten() {
            Some(colour) => writeln!(writer, "{colour}{line}\u{1b}[0m"),
            None => writeln!(writer, "{line}"),
        }
    }
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and marks that reorder or hide text.
fn breaks_a_line_or_hides(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}'
        )
}

fn escape_human(line: &mut String, character: char) {
    line.extend(character.escape_default());
}

fn escape_json(line: &mut String, character: char) {
    // All of them lie in the basic plane, so four digits are enough. Writing to a String cannot fail.
    write!(line, "\\u{:04x}", u32::from(character)).unwrap_or_default();
}

fn colour_of(level: Level) -> Option<&'static str> {
    match level {
        Level::ERROR => Some("\u{1b}[31m"),
        Level::WARN => Some("\u{1b}[33m"),
        Level::INFO => None,
        Level::DEBUG | Level::TRACE => Some("\u{1b}[2m"),
    }
}
