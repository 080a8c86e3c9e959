//! `README.txt`: which file is what.

use super::html;
use super::spool::Collected;
use super::texts::fill;
use super::{Form, ReportHeader, Section};

/// The text with CRLF line ends, which every editor shows as lines.
pub(super) fn text(header: &ReportHeader, collected: &Collected) -> String {
    let texts = header.language.texts();
    let files: Vec<String> = Section::ALL
        .into_iter()
        .filter(|section| header.form.holds(*section))
        .map(|section| format!("{:<18}{}.", section.csv_name(), (texts.section)(section).title))
        .collect();
    let counts: Vec<String> = collected
        .sections()
        .iter()
        .filter(|part| header.form.holds(part.section))
        .map(|part| {
            let title = (texts.section)(part.section).title;
            let mut line = format!("{title:<18}{}", texts.number(part.count.records));
            if part.count.unreadable > 0 {
                let count = texts.number(part.count.unreadable);
                line = format!("{line}. {}", fill(texts.unreadable, &[("count", &count)]));
            }
            if part.count.incomplete {
                line = format!("{line}. {}", texts.incomplete);
            }
            let end = header.storage.get(&part.section).filter(|_| part.count.records > 0);
            if let Some(end) = end {
                line = format!("{line}. {}: {}", texts.storage.title, html::until(header, part.section, end));
            }
            if let Some(withheld) = html::withheld(header, part) {
                line = format!("{line}. {withheld}");
            }
            line
        })
        .collect();
    let text = match header.form {
        Form::Access => texts.readme,
        Form::Portability(_) => texts.portable_readme,
    };
    fill(
        &texts.cited(text, header.regime.law()),
        &[
            ("reference", header.reference.as_str()),
            ("organisation", &header.organisation_name),
            ("generated", &texts.date(header.generated_at, header.time_zone)),
            ("contact", &header.controller_contact),
            ("csv_files", &files.join("\n")),
            ("counts", &counts.join("\n")),
        ],
    )
    .replace("\r\n", "\n")
    .replace('\n', "\r\n")
}
