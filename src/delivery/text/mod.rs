//! The texts of mails: read once, checked, filled in one pass.
//!
//! A text is a file of blocks, one a line: `subject: …`, `# title`, `## heading`, `- bullet`, `| label | value`,
//! `! button label | {{link}}`, anything else a paragraph. `{{name}}` is a placeholder of a closed set. There is no
//! logic: a value is never read again as text of a template (S-20), and a placeholder that stands for a list fills one
//! bullet an item. Text and HTML are made from the same blocks, so that they cannot say different things.

mod catalogue;
mod html;
mod plain;
mod template;
mod values;

pub use catalogue::check_texts;
pub(super) use catalogue::{language_of, text_of};
pub use template::{TextError, check_template};
pub(super) use values::{Occasion, clean, values};

use values::Values;

/// A block with its values filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Title(String),
    Heading(String),
    Paragraph(String),
    Bullets(Vec<String>),
    Facts(Vec<(String, String)>),
    Button(String, String),
    Rule,
}

/// A mail's words, ready to be packed.
pub(super) struct Words {
    /// Name, language and version, for example `access_ready/en/1`.
    pub(super) template: String,
    /// One line.
    pub(super) subject: String,
    /// The text, wrapped, with line feeds.
    pub(super) plain: String,
    /// The same as HTML.
    pub(super) html: String,
}

/// Fills a text.
pub(super) fn render(text: &catalogue::Text, values: &Values) -> Result<Words, TextError> {
    let (subject, mut parts) = text.template.fill(values)?;
    let (_, closing) = text.closing.fill(values)?;
    parts.push(Part::Rule);
    parts.extend(closing);
    let organisation = values.word("organisation")?;
    let footer = text.closing_line(organisation);
    Ok(Words {
        template: text.name(),
        plain: plain::render(&parts, &footer),
        html: html::render(text.language, &subject, organisation, &footer, &parts)?,
        subject,
    })
}
