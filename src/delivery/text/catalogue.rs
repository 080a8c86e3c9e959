//! All texts there are, by language, and what each must say.

use std::sync::LazyLock;

use super::phrases::Phrases;
use super::template::{Template, TextError};
use crate::delivery::NoticeKind;

/// The text of one kind in one language.
pub(in crate::delivery) struct Text {
    kind: NoticeKind,
    pub(super) template: Template,
}

/// All words of one language.
pub(in crate::delivery) struct Language {
    /// ISO 639 code.
    pub(super) tag: &'static str,
    pub(super) closing: Template,
    /// The question who asks, as a text message.
    pub(super) identity_text: Template,
    /// What `erasure_partly_done` says where nothing was erased yet.
    pub(super) erasure_postponed: Template,
    /// What `opt_out_done` says where no more is off than what is named.
    pub(super) switched_off: Template,
    pub(super) phrases: Phrases,
    texts: Vec<Text>,
}

impl Language {
    /// ISO 639 code.
    pub(in crate::delivery) const fn tag(&self) -> &'static str {
        self.tag
    }

    /// The text of a kind.
    pub(super) fn text(&self, kind: NoticeKind) -> Result<&Text, TextError> {
        // Every language is read whole, or not at all.
        self.texts.iter().find(|text| text.kind == kind).ok_or(TextError::Missing("subject"))
    }
}

impl Text {
    /// Name, language and version, as stored with a notice that was sent.
    pub(super) fn name(&self, language: &Language) -> String {
        format!("{}/{}/{}", self.kind, language.tag, self.template.version())
    }

    pub(super) const fn kind(&self) -> NoticeKind {
        self.kind
    }
}

struct Source {
    tag: &'static str,
    closing: &'static str,
    identity_text: &'static str,
    erasure_postponed: &'static str,
    switched_off: &'static str,
    words: &'static str,
    texts: &'static [(NoticeKind, &'static str)],
}

/// The files of a language. A text whose words change gets the next version in its first line;
/// `the_texts_are_those_of_their_versions` fails until it does.
macro_rules! language {
    ($tag:literal) => {
        language!($tag:
            Acknowledgement "acknowledgement",
            IdentityRequest "identity_request",
            ClarificationRequest "clarification_request",
            Extension "extension",
            PartialAnswer "partial_answer",
            Fee "fee",
            NotIdentified "not_identified",
            Refused "refused",
            AccessReady "access_ready",
            PortabilityReady "portability_ready",
            NoData "no_data",
            ErasureDone "erasure_done",
            ErasurePartlyDone "erasure_partly_done",
            RestrictionSet "restriction_set",
            RestrictionLifting "restriction_lifting",
            OptOutDone "opt_out_done",
            RectificationDone "rectification_done",
            Withdrawn "withdrawn",
            RecipientNotice "recipient_notice",
            BreachNotice "breach_notice",
            ComplaintReceived "complaint_received",
            Answered "answered")
    };
    ($tag:literal: $($kind:ident $file:literal),+) => {
        Source {
            tag: $tag,
            closing: include_str!(concat!("../../../templates/mail/", $tag, "/closing.txt")),
            identity_text: include_str!(concat!("../../../templates/mail/", $tag, "/identity_text.txt")),
            erasure_postponed: include_str!(concat!("../../../templates/mail/", $tag, "/erasure_postponed.txt")),
            switched_off: include_str!(concat!("../../../templates/mail/", $tag, "/switched_off.txt")),
            words: include_str!(concat!("../../../templates/mail/", $tag, "/words.txt")),
            texts: &[$((
                NoticeKind::$kind,
                include_str!(concat!("../../../templates/mail/", $tag, "/", $file, ".txt")),
            ),)+],
        }
    };
}

/// English first: where neither the language of the request nor that of the controller has texts, it is English.
const SOURCES: [Source; 5] =
    [language!("en"), language!("de"), language!("fr"), language!("it"), language!("es")];

/// What a text of some kind must hold, and what it may hold. A list that it may hold vanishes where there is nothing to
/// say.
#[derive(Clone, Copy, Debug)]
pub(in crate::delivery) struct Manifest {
    /// Placeholders that the text must hold and the facts must fill.
    pub(in crate::delivery) required: &'static [&'static str],
    /// Placeholders that it may hold.
    pub(in crate::delivery) optional: &'static [&'static str],
}

/// What every text about a request must say: who writes, which request, what was asked and when.
macro_rules! about_a_request {
    ($($more:literal),* ; $($optional:literal),*) => {
        Manifest {
            required: &["organisation", "reference", "asked", "received_on", $($more),*],
            optional: &["contact", $($optional),*],
        }
    };
}

/// The same where the first sentence says why the person is written to; it names who writes.
macro_rules! on_an_occasion {
    ($($more:literal),* ; $($optional:literal),*) => {
        Manifest {
            required: &["occasion", "reference", "asked", "received_on", $($more),*],
            optional: &["contact", $($optional),*],
        }
    };
}

/// The manifest of a kind of notice: what section 5 of the requirements asks of N-1 to N-20.
pub(in crate::delivery) const fn manifest(kind: NoticeKind) -> Manifest {
    match kind {
        NoticeKind::Acknowledgement => about_a_request!("due_on";),
        NoticeKind::IdentityRequest => {
            on_an_occasion!("link", "code", "code_page", "expires_at", "clock"; "said")
        }
        NoticeKind::ClarificationRequest => about_a_request!("said", "contact", "clock";),
        NoticeKind::Extension => about_a_request!("due_on", "new_due_on", "reasons";),
        NoticeKind::PartialAnswer => about_a_request!("said", "due_on";),
        NoticeKind::Fee => {
            about_a_request!("amount", "answer_by", "reasons", "contact", "clock", "remedies";)
        }
        NoticeKind::NotIdentified => {
            about_a_request!("done_on", "reasons", "contact", "remedies", "keep";)
        }
        NoticeKind::Refused => about_a_request!("done_on", "concerned", "reasons", "remedies", "keep";),
        NoticeKind::AccessReady => {
            about_a_request!("gathered", "rights", "link", "expires_at"; "explained", "missing")
        }
        NoticeKind::PortabilityReady => {
            about_a_request!("gathered", "rights", "link", "expires_at"; "missing")
        }
        NoticeKind::NoData => about_a_request!("done_on", "searched_by", "keep"; "suppression", "others"),
        NoticeKind::ErasureDone => {
            on_an_occasion!("done_on", "deleted", "keep"; "recipients", "backups", "suppression")
        }
        NoticeKind::ErasurePartlyDone => {
            on_an_occasion!("done_on", "kept", "keep", "remedies"; "recipients", "backups", "suppression")
        }
        NoticeKind::RestrictionSet => about_a_request!("done_on", "keep"; "said", "recipients"),
        NoticeKind::RestrictionLifting => about_a_request!("lifted_on", "said", "contact", "remedies";),
        NoticeKind::OptOutDone => {
            on_an_occasion!("done_on", "policies", "keep"; "recipients", "suppression")
        }
        NoticeKind::RectificationDone => {
            about_a_request!("done_on", "said", "contact", "keep"; "recipients")
        }
        NoticeKind::Withdrawn => about_a_request!("done_on", "keep"; "restricted"),
        NoticeKind::RecipientNotice => Manifest {
            required: &["organisation", "reference", "action", "answer_by", "objects", "contact"],
            optional: &[],
        },
        NoticeKind::BreachNotice => Manifest {
            required: &["organisation", "reference", "happened", "consequences", "measures", "contact"],
            optional: &[],
        },
        NoticeKind::ComplaintReceived => Manifest {
            required: &["organisation", "reference", "received_on", "due_on", "contact"],
            optional: &[],
        },
        NoticeKind::Answered => about_a_request!("done_on", "said", "remedies", "keep";),
    }
}

/// The placeholders that every text of a kind must hold and whose values its facts must give, and those that it may
/// hold, for the documentation and its test.
#[must_use]
pub const fn placeholders(kind: NoticeKind) -> (&'static [&'static str], &'static [&'static str]) {
    let Manifest { required, optional } = manifest(kind);
    (required, optional)
}

/// What the closing, which ends every text to a data subject, must say (Art. 12(4), 13(2)(d) GDPR; R-88).
const CLOSING: [&str; 4] = ["organisation", "reference", "contact", "complaint"];

/// What the text message must say: it stands alone, without a closing.
const IDENTITY_TEXT: [&str; 4] = ["organisation", "reference", "code", "code_page"];

/// What must be said of an erasure that a hold has postponed as a whole: what is kept, on which ground and until when.
const ERASURE_POSTPONED: [&str; 7] =
    ["reference", "occasion", "asked", "received_on", "kept", "keep", "remedies"];

/// What may be said of it.
pub(super) const WITH_A_POSTPONED_ERASURE: [&str; 2] = ["marketing_off", "suppression"];

static LANGUAGES: LazyLock<Result<Vec<Language>, TextError>> =
    LazyLock::new(|| SOURCES.iter().map(read).collect());

fn read(source: &Source) -> Result<Language, TextError> {
    let tag = source.tag;
    let located = |file: &str| {
        let file = format!("templates/mail/{tag}/{file}.txt");
        move |problem| TextError::File { file, problem: Box::new(problem) }
    };
    let phrases = Phrases::read(source.words).map_err(located("words"))?;
    let closing = Template::read(source.closing)
        .and_then(|closing| closing.check(&CLOSING, &[]).map(|()| closing))
        .map_err(located("closing"))?;
    let identity_text = Template::read(source.identity_text)
        .and_then(|text| text.check(&IDENTITY_TEXT, &[]).map(|()| text))
        .map_err(located("identity_text"))?;
    let erasure_postponed = Template::read(source.erasure_postponed)
        .and_then(|text| text.check(&ERASURE_POSTPONED, &WITH_A_POSTPONED_ERASURE).map(|()| text))
        .map_err(located("erasure_postponed"))?;
    let opt_out = manifest(NoticeKind::OptOutDone);
    let switched_off = Template::read(source.switched_off)
        .and_then(|text| text.check(opt_out.required, opt_out.optional).map(|()| text))
        .map_err(located("switched_off"))?;
    let mut texts = Vec::new();
    for (kind, text) in source.texts {
        let Manifest { required, optional } = manifest(*kind);
        let template = Template::read(text)
            .and_then(|template| template.check(required, optional).map(|()| template))
            .map_err(located(kind.as_str()))?;
        texts.push(Text { kind: *kind, template });
    }
    Ok(Language { tag, closing, identity_text, erasure_postponed, switched_off, phrases, texts })
}

/// Checks all compiled-in texts against their manifests.
pub fn check_texts() -> Result<(), TextError> {
    languages().map(|_| ())
}

fn languages() -> Result<&'static [Language], TextError> {
    LANGUAGES.as_deref().map_err(Clone::clone)
}

/// The language in which a person is written to: the one wished for (a tag such as `de-AT`), else the controller's, else
/// English.
pub(in crate::delivery) fn language_of(
    wished: &str,
    controllers: &str,
) -> Result<&'static Language, TextError> {
    let languages = languages()?;
    [wished, controllers, "en"]
        .into_iter()
        .find_map(|tag| languages.iter().find(|language| language.tag == primary(tag)))
        .ok_or(TextError::Missing("subject"))
}

/// The primary part of a language tag.
fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or_default()
}

/// Whether there are texts in the language of a tag.
#[must_use]
pub fn speaks(tag: &str) -> bool {
    languages().is_ok_and(|languages| languages.iter().any(|language| language.tag == primary(tag)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::domain::deadline::RegimeCode;
    use crate::domain::{IdentifierKind, RefusalGround, RequestKind};

    #[test]
    fn every_kind_has_a_text_in_every_language_that_says_what_it_must() {
        assert_eq!(check_texts(), Ok(()));
        for language in languages().unwrap() {
            for kind in NoticeKind::ALL {
                let name = language.text(kind).unwrap().name(language);
                assert!(name.starts_with(&format!("{kind}/{}/", language.tag)), "{name}");
            }
        }
    }

    #[test]
    fn every_language_has_a_phrase_for_every_word() {
        let languages = languages().unwrap();
        let keys = |language: &Language| {
            // Only English has a form of dates of its own in the United States.
            language.phrases.keys().filter(|key| *key != "date.us").collect::<BTreeSet<_>>()
        };
        let english = keys(&languages[0]);
        for language in languages {
            assert_eq!(keys(language), english, "{}", language.tag);
            let speech = language.phrases.under(RegimeCode::EU);
            for key in language.phrases.keys().filter(|key| key.starts_with("occasion.")) {
                let says_who = speech.find(key).is_some_and(|phrase| phrase.contains("{organisation}"));
                assert!(says_who, "{} {key} does not say who writes", language.tag);
            }
            let mut wanted: Vec<String> = Vec::new();
            wanted.extend(RequestKind::ALL.iter().map(|kind| format!("asked.{kind}")));
            wanted.extend(RefusalGround::ALL.iter().map(|ground| format!("ground.{ground}")));
            wanted.extend(IdentifierKind::ALL.iter().map(|kind| format!("identifier.{kind}")));
            for key in wanted {
                assert!(speech.find(&key).is_some(), "{} has no {key}", language.tag);
            }
            for month in 1..=12 {
                let date = chrono::NaiveDate::from_ymd_opt(2026, month, 1).unwrap();
                assert!(speech.day(date).unwrap().contains("2026"));
            }
        }
    }

    #[test]
    fn r_30_the_language_is_the_request_s_else_the_controller_s_else_english() {
        let tag = |wished, controllers| language_of(wished, controllers).unwrap().tag;
        assert_eq!(tag("it", "de"), "it");
        assert_eq!(tag("de-AT", "fr"), "de");
        assert_eq!(tag("sv", "de"), "de");
        assert_eq!(tag("sv", "nb"), "en");
        assert!(speaks("es-MX") && !speaks("sv"));
    }

    #[test]
    fn the_texts_are_those_of_their_versions() {
        let mut digests = Vec::new();
        for source in &SOURCES {
            let closing = Template::read(source.closing).unwrap();
            let mut note = |name: &str, version: u16, text: &str| {
                let digest = hex::encode(Sha256::digest(text.as_bytes()));
                digests.push(format!("{name}/{}/{version} {}", source.tag, &digest[..16]));
            };
            for (kind, text) in source.texts {
                note(kind.as_str(), Template::read(text).unwrap().version(), text);
            }
            note("closing", closing.version(), source.closing);
            let identity_text = Template::read(source.identity_text).unwrap();
            note("identity_text", identity_text.version(), source.identity_text);
            let postponed = Template::read(source.erasure_postponed).unwrap();
            note("erasure_postponed", postponed.version(), source.erasure_postponed);
            let switched_off = Template::read(source.switched_off).unwrap();
            note("switched_off", switched_off.version(), source.switched_off);
        }
        insta::assert_snapshot!(digests.join("\n"));
    }
}
