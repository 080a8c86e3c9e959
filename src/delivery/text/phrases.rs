//! The words of one language that are not a text of their own: dates, what was asked, grounds, remedies.
//!
//! `templates/mail/<language>/words.txt` holds one phrase a line, `key = text`. In a text, `{name}` is a value, and
//! ` [Article 12(5)]` the place in the law: it becomes ` (Article 12(5) GDPR)`, with the name that the law has under the
//! regime of the controller, and vanishes where the GDPR does not hold. A key with the ending of a regime (`.uk`, `.us`,
//! `.ch`, `.br`) is taken before the one without. Like the texts, phrases have no logic: one pass, and a value is never
//! read again.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use chrono_tz::Tz;

use super::TextError;
use super::values::clean;
use crate::domain::deadline::{Law, RegimeCode};

/// The phrases of a language.
#[derive(Debug)]
pub(super) struct Phrases {
    phrases: BTreeMap<&'static str, &'static str>,
}

/// Values of a phrase, by name.
pub(super) type Named<'a> = &'a [(&'a str, &'a str)];

impl Phrases {
    /// Reads a file of phrases.
    pub(super) fn read(source: &'static str) -> Result<Self, TextError> {
        let mut phrases = BTreeMap::new();
        for (index, text) in source.lines().enumerate() {
            let malformed = |problem| TextError::Malformed { line: index + 1, problem };
            let (key, phrase) = text.split_once(" = ").ok_or(malformed("write key = text"))?;
            if phrase.is_empty() || phrase.chars().any(char::is_control) {
                return Err(malformed("a phrase is not empty and holds no control characters"));
            }
            if phrases.insert(key, phrase).is_some() {
                return Err(malformed("the key stands here twice"));
            }
        }
        Ok(Self { phrases })
    }

    /// All keys, for comparing languages.
    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.phrases.keys().copied()
    }

    /// The phrases as they are under a regime.
    pub(super) fn under(&self, regime: RegimeCode) -> Speech<'_> {
        let ending = match regime.law() {
            Law::Gdpr => None,
            Law::UkGdpr => Some("uk"),
            Law::UnitedStates => Some("us"),
            Law::Switzerland => Some("ch"),
            Law::Brazil => Some("br"),
        };
        Speech { phrases: self, ending }
    }
}

/// The phrases of a language under a regime.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speech<'a> {
    phrases: &'a Phrases,
    ending: Option<&'static str>,
}

impl Speech<'_> {
    /// A phrase as it stands; `None` when the language has none of that key.
    pub(super) fn find(&self, key: &str) -> Option<&'static str> {
        let own = self.ending.and_then(|ending| self.phrases.phrases.get(format!("{key}.{ending}").as_str()));
        own.or_else(|| self.phrases.phrases.get(key)).copied()
    }

    /// A phrase with its values.
    pub(super) fn say(&self, key: &str, values: Named<'_>) -> Result<String, TextError> {
        let phrase = self.find(key).ok_or_else(|| TextError::NoPhrase(key.to_owned()))?;
        self.fill(key, phrase, values)
    }

    /// The first phrase that there is of several keys.
    pub(super) fn say_first(&self, keys: [&str; 2], values: Named<'_>) -> Result<String, TextError> {
        let key = if self.find(keys[0]).is_some() { keys[0] } else { keys[1] };
        self.say(key, values)
    }

    /// One pass over a phrase.
    fn fill(&self, key: &str, phrase: &str, values: Named<'_>) -> Result<String, TextError> {
        let broken = || TextError::NoPhrase(key.to_owned());
        let mut filled = String::new();
        let mut rest = phrase;
        while let Some(place) = rest.find(['{', '[']) {
            let (before, marked) = rest.split_at(place);
            filled.push_str(before);
            if let Some(inner) = marked.strip_prefix('{') {
                let (name, after) = inner.split_once('}').ok_or_else(broken)?;
                let (_, value) = values.iter().find(|(known, _)| *known == name).ok_or_else(broken)?;
                filled.push_str(&clean(value));
                rest = after;
            } else {
                let (place_in_law, after) = marked[1..].split_once(']').ok_or_else(broken)?;
                match self.law()? {
                    Some(law) => filled.extend(["(", place_in_law, " ", law, ")"]),
                    None => filled.truncate(filled.trim_end().len()),
                }
                rest = after;
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// What the General Data Protection Regulation is called where it holds.
    fn law(&self) -> Result<Option<&'static str>, TextError> {
        match self.ending {
            None | Some("uk") => {
                self.find("law").map(Some).ok_or_else(|| TextError::NoPhrase("law".to_owned()))
            }
            Some(_) => Ok(None),
        }
    }

    /// A date in the form of the language.
    pub(super) fn day(&self, date: NaiveDate) -> Result<String, TextError> {
        let month = usize::try_from(date.month0()).unwrap_or_default();
        let months = self.find("months").unwrap_or_default();
        let month = months.split(' ').nth(month).ok_or_else(|| TextError::NoPhrase("months".to_owned()))?;
        let day = if date.day() == 1 { self.say("first_day", &[])? } else { date.day().to_string() };
        self.say("date", &[("day", &day), ("month", month), ("year", &date.year().to_string())])
    }

    /// An instant in the form of the language, to the minute, with the zone's name.
    pub(super) fn instant(&self, at: DateTime<Utc>, zone: Tz) -> Result<String, TextError> {
        let local = at.with_timezone(&zone);
        let date = self.day(local.date_naive())?;
        let time = local.format("%H:%M").to_string();
        self.say("time", &[("date", &date), ("time", &time), ("zone", &local.format("%Z").to_string())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "law = GDPR\nlaw.uk = UK GDPR\nground = No [Article 12(5)]. Because {why}.\nways = here\nways.us = there";

    fn speech(phrases: &Phrases, regime: &str) -> String {
        let speech = phrases.under(regime.parse().unwrap());
        speech.say("ground", &[("why", "{why} [Article 1]\nBcc: x")]).unwrap()
            + &speech.say("ways", &[]).unwrap()
    }

    #[test]
    fn r_88_a_phrase_follows_the_regime_and_s_20_a_value_stays_text() {
        let phrases = Phrases::read(SOURCE).unwrap();
        let because = "Because {why} [Article 1] Bcc: x.";
        assert_eq!(speech(&phrases, "EU"), format!("No (Article 12(5) GDPR). {because}here"));
        assert_eq!(speech(&phrases, "UK"), format!("No (Article 12(5) UK GDPR). {because}here"));
        assert_eq!(speech(&phrases, "US-CA"), format!("No. {because}there"));
        assert_eq!(speech(&phrases, "CH"), format!("No. {because}here"));
    }

    #[test]
    fn a_phrase_that_is_not_there_is_named() {
        let phrases = Phrases::read(SOURCE).unwrap();
        let speech = phrases.under(RegimeCode::EU);
        assert_eq!(speech.say("nowhere", &[]), Err(TextError::NoPhrase("nowhere".to_owned())));
        assert_eq!(speech.say("ground", &[]), Err(TextError::NoPhrase("ground".to_owned())));
        for bad in ["no mark", "a = ", "a = 1\na = 2", "a = \u{7}"] {
            assert!(matches!(Phrases::read(bad), Err(TextError::Malformed { .. })), "{bad:?}");
        }
    }
}
