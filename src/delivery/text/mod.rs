//! The texts of mails: read once, checked, filled in one pass.
//!
//! A text is a file: `version: 1`, `subject: …`, then blocks, one a line: `# title`, `## heading`, `- bullet`,
//! `| label | value`, `! button label | {{link}}`, anything else a paragraph. `{{name}}` is a placeholder of a closed set.
//! There is no logic: a value is never read again as text of a template (S-20), and a placeholder that stands for a list
//! fills one bullet an item. Text and HTML are made from the same blocks, so that they cannot say different things.
//!
//! What differs by law and not by text (who is complained to, what the time does, which article) is a phrase of the
//! language: see `phrases`. Whom each kind of notice is for and what it must say stands in `docs/notices.md`.

mod catalogue;
mod html;
mod phrases;
mod plain;
mod template;
mod values;
mod vocabulary;

pub(super) use catalogue::{Language, language_of};
pub use catalogue::{check_texts, placeholders, speaks};
pub use template::{TextError, check_template};
pub(super) use values::{Occasion, clean};
pub use vocabulary::{Vocabulary, VocabularyOf, vocabulary};

use chrono::{DateTime, NaiveDate, Utc};

use super::NoticeKind;
use crate::domain::Controller;

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

/// What stands around the parts of a message.
struct Frame<'a> {
    language: &'a str,
    organisation: &'a str,
    /// The last line: why the person gets this.
    footer: &'a str,
    /// What follows a label: in French a colon has a space before it.
    colon: &'a str,
    button_help: &'a str,
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

/// Fills the text of a kind.
pub(super) fn render(
    language: &Language,
    kind: NoticeKind,
    occasion: &Occasion<'_>,
) -> Result<Words, TextError> {
    let speech = language.phrases.under(occasion.controller.regime);
    let values = values::values(&speech, kind, occasion)?;
    let organisation = values.word("organisation")?;
    let text = language.text(kind)?;
    let (template, (subject, mut parts)) = if occasion.facts.nothing_erased {
        let postponed = &language.erasure_postponed;
        let name = format!("erasure_postponed/{}/{}", language.tag, postponed.version());
        (name, postponed.fill(&values, &catalogue::WITH_A_POSTPONED_ERASURE)?)
    } else {
        let optional = catalogue::manifest(text.kind()).optional;
        let (name, template) = if occasion.facts.named_only && kind == NoticeKind::OptOutDone {
            let switched_off = &language.switched_off;
            (format!("switched_off/{}/{}", language.tag, switched_off.version()), switched_off)
        } else {
            (text.name(language), &text.template)
        };
        (name, template.fill(&values, optional)?)
    };
    // A recipient of data is not told how to complain about us, nor asked for an identity card.
    if kind != NoticeKind::RecipientNotice {
        let (_, closing) = language.closing.fill(&values, &[])?;
        parts.push(Part::Rule);
        parts.extend(closing);
    }
    let footer_of_kind = format!("footer.{kind}");
    let footer = speech.say_first([&footer_of_kind, "footer"], &[("organisation", organisation)])?;
    let frame = Frame {
        language: language.tag,
        organisation,
        footer: &footer,
        colon: &speech.say("colon", &[])?,
        button_help: &speech.say("button_help", &[])?,
    };
    Ok(Words {
        template,
        plain: plain::render(&parts, &frame),
        html: html::render(&subject, &frame, &parts)?,
        subject,
    })
}

/// The words of a text message, and the name of their template.
pub(super) struct ShortWords {
    pub(super) template: String,
    pub(super) text: String,
}

/// Fills the text message that asks who somebody is.
pub(super) fn render_identity_text(
    language: &Language,
    occasion: &Occasion<'_>,
) -> Result<ShortWords, TextError> {
    let speech = language.phrases.under(occasion.controller.regime);
    let values = values::values(&speech, NoticeKind::IdentityRequest, occasion)?;
    let (_, parts) = language.identity_text.fill(&values, &[])?;
    let paragraphs = parts.into_iter().filter_map(|part| match part {
        Part::Paragraph(text) => Some(text),
        _ => None,
    });
    Ok(ShortWords {
        template: format!("identity_text/{}/{}", language.tag, language.identity_text.version()),
        text: paragraphs.collect::<Vec<_>>().join("\n"),
    })
}

/// A day as people read it in a language of the texts, else in ISO form.
#[must_use]
pub fn day_in_words(language: &str, controller: &Controller, day: NaiveDate) -> String {
    let said = language_of(language, &controller.language)
        .and_then(|language| language.phrases.under(controller.regime).day(day));
    said.unwrap_or_else(|_| day.to_string())
}

/// An instant as people read it in a language of the texts, in the controller's time zone, to the minute.
#[must_use]
pub fn instant_in_words(language: &str, controller: &Controller, at: DateTime<Utc>) -> String {
    let said = language_of(language, &controller.language)
        .and_then(|language| language.phrases.under(controller.regime).instant(at, controller.time_zone));
    said.unwrap_or_else(|_| controller.local_time(at))
}
