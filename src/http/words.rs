//! The words of a page: in the language of the request where a link leads to one, else in the first that the browser asks for.

use axum::http::{HeaderMap, header};

use crate::delivery::{Vocabulary, VocabularyOf, vocabulary};

/// The phrases of a page's language, with the values that its phrases may hold.
pub(super) struct PageWords {
    vocabulary: &'static Vocabulary,
    reference: String,
    contact: String,
}

impl PageWords {
    /// For a page about a request.
    pub(super) fn about(language: &str, reference: &str, contact: &str) -> Self {
        let vocabulary = vocabulary(VocabularyOf::Pages, [language]);
        Self { vocabulary, reference: reference.to_owned(), contact: contact.to_owned() }
    }

    /// For a page about nothing that is known.
    pub(super) fn for_browser(headers: &HeaderMap) -> Self {
        let wished = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or("");
        // Browsers write the languages in the order in which they are wished for.
        let tags = wished.split(',').filter_map(|each| each.split(';').next()).map(str::trim);
        let vocabulary = vocabulary(VocabularyOf::Pages, tags);
        Self { vocabulary, reference: String::new(), contact: String::new() }
    }

    /// ISO 639 code of the language.
    pub(super) const fn language(&self) -> &'static str {
        self.vocabulary.tag()
    }

    /// A phrase.
    pub(super) fn of(&self, key: &str) -> String {
        self.vocabulary.say(key, &[("reference", &self.reference), ("contact", &self.contact)])
    }

    /// What is wrong with an answer, above its field.
    pub(super) fn problem(&self, tries_left: Option<u16>) -> String {
        match tries_left {
            None => self.of("problem.empty"),
            Some(1) => self.of("problem.once"),
            Some(left) => self.vocabulary.say("problem.more", &[("left", &left.to_string())]),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn r_30_a_page_that_knows_no_request_speaks_the_browsers_language() {
        let language = |wished: &'static str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static(wished))]);
            PageWords::for_browser(&headers).language()
        };
        assert_eq!(language("sv, de-AT;q=0.8, it;q=0.5"), "de");
        assert_eq!(language("*"), "en");
        assert_eq!(PageWords::for_browser(&HeaderMap::new()).language(), "en");
    }
}
