//! Phrases of a language for what is no notice: the pages behind links and the mails to staff.
//!
//! A file of `key = text` lines per language, as `words.txt` of the notices. `{name}` is a value, copied in once; there is no
//! other syntax. The files are part of the program: it does not build without them, and its tests fail where a language
//! lacks a phrase of another, or a value in it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::values::clean;

/// Phrases of one language.
#[derive(Debug)]
pub struct Vocabulary {
    tag: &'static str,
    phrases: BTreeMap<&'static str, &'static str>,
}

/// For what phrases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocabularyOf {
    /// Pages behind links.
    Pages,
    /// Mails to staff.
    Staff,
}

macro_rules! files {
    ($folder:literal) => {
        [
            ("en", include_str!(concat!("../../../templates/", $folder, "/en.txt"))),
            ("de", include_str!(concat!("../../../templates/", $folder, "/de.txt"))),
            ("fr", include_str!(concat!("../../../templates/", $folder, "/fr.txt"))),
            ("it", include_str!(concat!("../../../templates/", $folder, "/it.txt"))),
            ("es", include_str!(concat!("../../../templates/", $folder, "/es.txt"))),
        ]
    };
}

static PAGES: LazyLock<[Vocabulary; 5]> = LazyLock::new(|| files!("pages").map(read));
static STAFF: LazyLock<[Vocabulary; 5]> = LazyLock::new(|| files!("staff").map(read));

fn read((tag, source): (&'static str, &'static str)) -> Vocabulary {
    let phrases = source.lines().filter_map(|line| line.split_once(" = ")).collect();
    Vocabulary { tag, phrases }
}

/// The phrases of the first of the languages that there is, else of English. Tags such as `de-AT` count by their first part.
#[must_use]
pub fn vocabulary<'a>(of: VocabularyOf, wished: impl IntoIterator<Item = &'a str>) -> &'static Vocabulary {
    let all: &'static [Vocabulary; 5] = match of {
        VocabularyOf::Pages => &PAGES,
        VocabularyOf::Staff => &STAFF,
    };
    let mut wished = wished.into_iter().filter_map(|tag| tag.split('-').next());
    wished.find_map(|tag| all.iter().find(|each| each.tag == tag)).unwrap_or(&all[0])
}

impl Vocabulary {
    /// ISO 639 code of the language.
    #[must_use]
    pub const fn tag(&self) -> &'static str {
        self.tag
    }

    /// A phrase with its values, each one line of visible characters. A phrase that there is not is its key: nothing that
    /// somebody waits for fails for want of a word, and the tests find it.
    #[must_use]
    pub fn say(&self, key: &str, values: &[(&str, &str)]) -> String {
        let Some(phrase) = self.phrases.get(key) else { return key.to_owned() };
        let mut filled = String::new();
        let mut rest = *phrase;
        while let Some((before, marked)) = rest.split_once('{') {
            filled.push_str(before);
            let Some((name, after)) = marked.split_once('}') else { break };
            let value = values.iter().find(|(known, _)| *known == name).map(|(_, value)| clean(value));
            filled.push_str(&value.unwrap_or_default());
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    /// Whether there is a phrase of this key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.phrases.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn values_of(phrase: &str) -> BTreeSet<&str> {
        phrase.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name)).collect()
    }

    #[test]
    fn every_language_says_the_same_with_the_same_values() {
        for all in [&PAGES, &STAFF] {
            let english = &all[0];
            assert!(!english.phrases.is_empty());
            for each in all.iter() {
                let keys = |vocabulary: &Vocabulary| vocabulary.phrases.keys().copied().collect::<Vec<_>>();
                assert_eq!(keys(each), keys(english), "{}", each.tag);
                for (key, phrase) in &each.phrases {
                    assert_eq!(values_of(phrase), values_of(english.phrases[key]), "{} {key}", each.tag);
                }
            }
        }
        for (tag, source) in files!("pages").into_iter().chain(files!("staff")) {
            for line in source.lines() {
                assert!(line.split_once(" = ").is_some_and(|(_, text)| !text.is_empty()), "{tag}: {line:?}");
            }
        }
    }

    #[test]
    fn r_30_the_first_language_that_there_is_counts_and_s_20_a_value_stays_text() {
        let tag = |wished: &[&str]| vocabulary(VocabularyOf::Staff, wished.iter().copied()).tag();
        assert_eq!(tag(&["sv", "de-AT", "it"]), "de");
        assert_eq!(tag(&["sv"]), "en");
        let words = vocabulary(VocabularyOf::Staff, ["en"]);
        let subject = words.say("subject", &[("organisation", "{what}\r\nBcc: x"), ("what", "overdue")]);
        assert_eq!(subject, "[dsrd] {what} Bcc: x: overdue");
    }
}
