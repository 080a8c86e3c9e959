//! Standard output is data, standard error is talk.

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::Failure;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Tables and sentences.
    #[default]
    Human,
    /// One JSON value.
    Json,
}

/// Writes results and remarks.
#[derive(Clone, Debug)]
pub(super) struct Output {
    format: Format,
}

impl Output {
    pub(super) const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether a program reads the results.
    pub(super) fn is_for_programs(&self) -> bool {
        self.format == Format::Json
    }

    /// Writes a value for programs, or what `human` makes of it for people.
    pub(super) fn show<T: Serialize>(
        &self,
        value: &T,
        human: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Json => serde_json::to_string_pretty(value)?,
            Format::Human => human(value),
        };
        self.raw(format!("{}\n", text.trim_end()).as_bytes())
    }

    /// Writes bytes as they are. A reader that has gone away (`dsrd … | head`) is no failure.
    #[expect(clippy::unused_self, reason = "all writing goes through the output that a command was given")]
    pub(super) fn raw(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    /// A remark for the person at the terminal.
    #[expect(clippy::unused_self, reason = "all writing goes through the output that a command was given")]
    pub(super) fn say(&self, remark: &str) {
        // A closed standard error is nobody's failure.
        writeln!(anstream::stderr(), "{}", one_line(remark)).unwrap_or_default();
    }

    /// A counter on standard error for work whose length nobody knows; silent where nobody looks at it.
    #[expect(clippy::unused_self, reason = "all writing goes through the output that a command was given")]
    pub(super) fn progress(&self, what: &'static str) -> ProgressBar {
        if !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{spinner} {pos} {msg} ({elapsed})");
        let bar = ProgressBar::new_spinner().with_message(what);
        style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
    }

    /// An error with its causes, on one line.
    pub(super) fn say_error(&self, error: &anyhow::Error) {
        let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
        self.say(&format!("error: {}", chain.join(": ")));
    }
}

/// A table of rows under a head.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(if io::stdout().is_terminal() {
        ContentArrangement::Dynamic
    } else {
        ContentArrangement::Disabled
    });
    table.set_header(head.iter().map(|each| each.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| one_line(cell)));
    }
    let text = table.to_string();
    text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect::<Vec<_>>().join("\n")
}

/// Pairs of a label and a value, one a line.
pub(super) fn pairs(rows: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    rows.iter()
        .map(|(label, value)| format!("{label:width$}  {}", one_line(value)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A terminal obeys control characters, and values come from people: show them as escapes.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .flat_map(|each| {
            let harmless = !each.is_control() && !matches!(each, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
            let (plain, escaped) = if harmless { (Some(each), None) } else { (None, Some(each.escape_default())) };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

/// The most that is read of a file with words of a person: a request has a few hundred bytes.
const MOST_BYTES: u64 = 64 * 1024;

/// Reads a small text file, or standard input when it is named `-`; with the name under which it is spoken of.
pub(super) fn read_small_text(path: &Path) -> anyhow::Result<(String, String)> {
    let is_stdin = path == Path::new("-");
    let shown = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
    let unreadable = |error: io::Error| Failure::Usage.because(format!("{shown} cannot be read: {error}"));
    let mut text = String::new();
    if is_stdin {
        io::stdin().take(MOST_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    } else {
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    }
    if text.len() as u64 > MOST_BYTES {
        return Err(Failure::Usage.because(format!("{shown} is longer than {MOST_BYTES} bytes")));
    }
    Ok((shown, text))
}

/// A value that may be missing.
pub(super) fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_25_values_cannot_steer_the_terminal() {
        let shown = table(&["name"], [vec!["\u{1b}[2Jtwo\nlines\u{202e}".to_owned()]]);
        assert_eq!(shown, "NAME\n\\u{1b}[2Jtwo\\nlines\\u{202e}");
    }

    #[test]
    fn pairs_stand_in_columns() {
        assert_eq!(pairs([("a", "1".to_owned()), ("long", "2".to_owned())]), "a     1\nlong  2");
    }
}
