//! All texts there are, with their versions and what each must say.

use std::sync::LazyLock;

use super::template::{Template, TextError};
use crate::delivery::NoticeKind;

/// The texts of one kind in one language.
pub(in crate::delivery) struct Text {
    kind: NoticeKind,
    pub(super) language: &'static str,
    version: u16,
    pub(super) template: Template,
    pub(super) closing: Template,
}

impl Text {
    /// Name, language and version, as stored with a notice that was sent.
    pub(super) fn name(&self) -> String {
        format!("{}/{}/{}", self.kind, self.language, self.version)
    }

    /// The last line: why the person gets this.
    #[expect(clippy::unused_self, reason = "the line belongs to the language of the text")]
    pub(super) fn closing_line(&self, organisation: &str) -> String {
        format!(
            "{organisation} sends this message because of a request about your personal data. It is not advertising."
        )
    }
}

struct Source {
    kind: NoticeKind,
    language: &'static str,
    version: u16,
    text: &'static str,
    closing: &'static str,
}

macro_rules! english {
    ($kind:ident, $version:literal, $file:literal) => {
        Source {
            kind: NoticeKind::$kind,
            language: "en",
            version: $version,
            text: include_str!(concat!("../../../templates/mail/en/", $file)),
            closing: include_str!("../../../templates/mail/en/closing.txt"),
        }
    };
}

/// A text whose words change gets the next version; `the_texts_are_those_of_their_versions` fails until it does.
const SOURCES: &[Source] = &[
    english!(Acknowledgement, 1, "acknowledgement.txt"),
    english!(AccessReady, 2, "access_ready.txt"),
    english!(NoData, 1, "no_data.txt"),
    english!(ErasureDone, 1, "erasure_done.txt"),
    english!(ErasurePartlyDone, 1, "erasure_partly_done.txt"),
    english!(OptOutDone, 1, "opt_out_done.txt"),
    english!(Refused, 1, "refused.txt"),
    english!(Withdrawn, 1, "withdrawn.txt"),
    english!(Answered, 1, "answered.txt"),
    english!(Extension, 1, "extension.txt"),
    english!(ClarificationRequest, 1, "clarification_request.txt"),
];

/// What every text must say.
const COMMON: [&str; 4] = ["organisation", "reference", "asked", "received_on"];
/// What the closing must say.
const CLOSING: [&str; 3] = ["organisation", "reference", "contact"];

/// What a text of this kind must say beyond that.
const fn particular(kind: NoticeKind) -> &'static [&'static str] {
    match kind {
        NoticeKind::Acknowledgement => &["due_on"],
        NoticeKind::AccessReady => &["link", "expires_at"],
        NoticeKind::NoData => &["done_on", "searched_by", "evidence"],
        NoticeKind::ErasureDone | NoticeKind::Withdrawn => &["done_on", "evidence"],
        NoticeKind::ErasurePartlyDone => &["done_on", "kept", "evidence"],
        NoticeKind::OptOutDone => &["done_on", "policies", "evidence"],
        NoticeKind::Answered => &["done_on", "result", "answer", "evidence"],
        NoticeKind::Extension => &["due_on", "reasons"],
        NoticeKind::ClarificationRequest => &["due_on", "questions"],
        NoticeKind::Refused => &["done_on", "concerned", "reasons", "authority", "evidence"],
    }
}

static TEXTS: LazyLock<Result<Vec<Text>, TextError>> = LazyLock::new(|| SOURCES.iter().map(read).collect());

fn read(source: &Source) -> Result<Text, TextError> {
    let template = Template::read(source.text)?;
    let required: Vec<&'static str> = COMMON.iter().chain(particular(source.kind)).copied().collect();
    template.check(&required, &["contact"])?;
    let closing = Template::read(source.closing)?;
    closing.check(&CLOSING, &[])?;
    Ok(Text { kind: source.kind, language: source.language, version: source.version, template, closing })
}

/// Checks all compiled-in texts against their manifests.
pub fn check_texts() -> Result<(), TextError> {
    texts().map(|_| ())
}

fn texts() -> Result<&'static [Text], TextError> {
    TEXTS.as_deref().map_err(Clone::clone)
}

/// The text for a language tag such as `de-AT`; English where there is none.
pub(in crate::delivery) fn text_of(kind: NoticeKind, language: &str) -> Result<&'static Text, TextError> {
    let primary = language.split('-').next().unwrap_or_default();
    let of_kind = || texts().map(|texts| texts.iter().filter(|text| text.kind == kind));
    of_kind()?
        .find(|text| text.language == primary)
        .or(of_kind()?.find(|text| text.language == "en"))
        .ok_or(TextError::Missing("subject"))
}

/// The language of the text for a language tag: `en` where there is none of that language. Texts that cannot be read are
/// told when one is sent; until then the wish stands.
pub(in crate::delivery) fn language_of(kind: NoticeKind, wished: &str) -> String {
    text_of(kind, wished).map_or(wished, |text| text.language).to_owned()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn every_kind_has_an_english_text_that_says_what_it_must() {
        assert_eq!(check_texts(), Ok(()));
        for kind in NoticeKind::ALL {
            let name = text_of(kind, "xx").unwrap().name();
            assert!(name.starts_with(&format!("{kind}/en/")), "{name}");
        }
    }

    #[test]
    fn the_language_recorded_is_that_of_the_text() {
        assert_eq!(language_of(NoticeKind::Acknowledgement, "it"), "en");
        assert_eq!(language_of(NoticeKind::Acknowledgement, "en-GB"), "en");
    }

    #[test]
    fn the_texts_are_those_of_their_versions() {
        let digests: Vec<String> = SOURCES
            .iter()
            .map(|source| {
                let digest = Sha256::digest(format!("{}{}", source.text, source.closing).as_bytes());
                format!(
                    "{}/{}/{} {}",
                    source.kind,
                    source.language,
                    source.version,
                    &hex::encode(digest)[..16]
                )
            })
            .collect();
        insta::assert_snapshot!(digests.join("\n"));
    }
}
