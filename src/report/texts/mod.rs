//! The words of the report, by language. Everything that a person reads is here and nowhere else.

mod complaint;
mod de;
mod en;
mod es;
mod fr;
mod it;
pub(super) mod policy;
mod rank;
pub(super) mod right;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use chrono_tz::Tz;

use super::{LookUp, Section};
use crate::domain::IdentifierKind;
use crate::domain::deadline::Law;

/// A language in which reports can be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// German.
    German,
    /// French.
    French,
    /// Italian.
    Italian,
    /// Spanish.
    Spanish,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 5] = [Self::English, Self::German, Self::French, Self::Italian, Self::Spanish];

    /// The language for a tag such as `en`, `en-GB` or `en_US`; `None` if there are no texts in it, so that the caller
    /// can fall back and say so.
    #[must_use]
    pub fn for_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| primary.eq_ignore_ascii_case(language.tag()))
    }

    /// The tag for `lang` attributes and `report.json`.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Italian => "it",
            Self::Spanish => "es",
        }
    }

    /// To whom people can complain under a law, with the place `{authority}`.
    pub(super) fn complaint_about(self, law: Law) -> &'static str {
        complaint::of(self, law).unwrap_or(self.texts().complaint_about)
    }

    pub(super) const fn texts(self) -> &'static Texts {
        match self {
            Self::English => &en::TEXTS,
            Self::German => &de::TEXTS,
            Self::French => &fr::TEXTS,
            Self::Italian => &it::TEXTS,
            Self::Spanish => &es::TEXTS,
        }
    }
}

/// How a field is shown: its name in plain words and where it stands among the others (low numbers first).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) text: &'static str,
    pub(super) rank: u8,
}

/// The texts of one section.
#[derive(Debug)]
pub(super) struct SectionTexts {
    pub(super) title: &'static str,
    /// One or two sentences on what these records are.
    pub(super) about: &'static str,
    /// Said instead of a table when there is no record.
    pub(super) none: &'static str,
    /// What one record is, and several.
    pub(super) noun: (&'static str, &'static str),
}

/// A title with a text.
pub(super) type Entry = (&'static str, &'static str);

/// Until when records are kept. Places: `{day}`, `{period}` and `{from}`, or `{count}`.
#[derive(Debug)]
pub(super) struct StorageTexts {
    /// The name of the line in the text file.
    pub(super) title: &'static str,
    /// The name of the line under the controller's words.
    pub(super) own_case: &'static str,
    pub(super) until: &'static str,
    /// The day has passed, and the records are still there.
    pub(super) over: &'static str,
    /// Records age one by one.
    pub(super) each: &'static str,
    pub(super) each_over: &'static str,
    pub(super) each_undated: &'static str,
    /// No day can be known.
    pub(super) unknown: &'static str,
    /// No day can be known, because something beside the period may keep the data. What it is, is not told.
    pub(super) kept: &'static str,
    /// It keeps them until a day, which is later than the period's end.
    pub(super) kept_until: &'static str,
    /// What `{from}` can be.
    pub(super) created: &'static str,
    pub(super) last_activity: &'static str,
    pub(super) record: &'static str,
    /// Of what this service holds, in the place of `record`.
    pub(super) closing: &'static str,
    pub(super) months: (&'static str, &'static str),
    pub(super) days: (&'static str, &'static str),
}

/// How dates and numbers are written.
pub(super) struct Form {
    pub(super) months: [&'static str; 12],
    /// With the places `{day}`, `{month}` and `{year}`.
    pub(super) day: &'static str,
    /// The first day of a month.
    pub(super) first: &'static str,
    /// With the places `{day}`, `{time}` and `{zone}`.
    pub(super) instant: &'static str,
    /// What separates thousands.
    pub(super) thousands: &'static str,
}

/// All texts of one language. Places in braces are filled by [`fill`], places in the law in brackets by [`Texts::cited`].
pub(super) struct Texts {
    pub(super) form: Form,
    pub(super) section: fn(Section) -> SectionTexts,
    /// Names of fields, by whole path or by the last part of the path.
    pub(super) labels: &'static [(&'static str, &'static str)],
    /// What a look of staff was for.
    pub(super) look_up: fn(LookUp) -> &'static str,
    pub(super) identifier: fn(IdentifierKind) -> &'static str,
    /// Titles of the groups of a profile, with the highest rank that belongs to each.
    pub(super) groups: &'static [(u8, &'static str)],
    pub(super) glossary: &'static [Entry],
    /// To correct, to erase, to restrict, to take along, to object, to withdraw a consent; [`right::of`] says which hold.
    pub(super) rights: &'static [Entry; 6],
    pub(super) limits: &'static [&'static str],
    pub(super) files: &'static [Entry],
    pub(super) title: &'static str,
    pub(super) document_title: &'static str,
    pub(super) skip: &'static str,
    pub(super) contents: &'static str,
    pub(super) lead: &'static str,
    pub(super) lead_none: &'static str,
    pub(super) records: (&'static str, &'static str),
    pub(super) categories: (&'static str, &'static str),
    pub(super) reference: &'static str,
    pub(super) received: &'static str,
    pub(super) generated: &'static str,
    pub(super) searched: &'static str,
    pub(super) overview: &'static str,
    pub(super) overview_about: &'static str,
    pub(super) span: &'static str,
    pub(super) span_one_day: &'static str,
    pub(super) span_unknown: &'static str,
    pub(super) kinds: &'static str,
    pub(super) kinds_further: &'static str,
    pub(super) shown_all: &'static str,
    pub(super) shown_some: &'static str,
    pub(super) shown_none: &'static str,
    pub(super) unreadable: &'static str,
    pub(super) incomplete: &'static str,
    /// What stands in the place of an e-mail address, a telephone number and a field that belong to other people. A JSON
    /// string holds each as it stands here.
    pub(super) withheld_marks: [&'static str; 3],
    /// What these are, several of each.
    pub(super) withheld_kinds: [&'static str; 3],
    /// With the places `{what}`, `{field}` and `{count}`.
    pub(super) withheld_entry: &'static str,
    /// With the places `{article}` and `{entries}`.
    pub(super) withheld: &'static str,
    pub(super) record_number: &'static str,
    pub(super) rest: &'static str,
    pub(super) empty: &'static str,
    pub(super) see_consents: &'static str,
    pub(super) yes: &'static str,
    pub(super) no: &'static str,
    pub(super) information_title: &'static str,
    pub(super) information_about: &'static str,
    pub(super) information_elsewhere: &'static str,
    pub(super) purposes: &'static str,
    pub(super) legal_basis: &'static str,
    pub(super) recipients: &'static str,
    pub(super) storage_period: &'static str,
    pub(super) storage: StorageTexts,
    pub(super) source: &'static str,
    pub(super) automated: &'static str,
    pub(super) transfers: &'static str,
    pub(super) glossary_title: &'static str,
    pub(super) limits_title: &'static str,
    pub(super) rights_title: &'static str,
    /// What the General Data Protection Regulation is called, and what as the law of the United Kingdom, as it stands after a place
    /// in it.
    pub(super) law: (&'static str, &'static str),
    pub(super) rights_about: &'static str,
    pub(super) complaint: &'static str,
    pub(super) complaint_about: &'static str,
    pub(super) contact_title: &'static str,
    pub(super) contact_about: &'static str,
    pub(super) files_title: &'static str,
    pub(super) confidential: &'static str,
    pub(super) readme: &'static str,
    /// The same for a package of what the person may take along.
    pub(super) portable_readme: &'static str,
}

impl Texts {
    /// A text with its places in the law, as in the phrases of mails: ` [Article 16]` becomes ` (Article 16 GDPR)`, with the
    /// name that the law has there, and vanishes where it does not hold.
    pub(super) fn cited(&self, text: &str, law: Law) -> String {
        let name = match law {
            Law::Gdpr => Some(self.law.0),
            Law::UkGdpr => Some(self.law.1),
            Law::UnitedStates | Law::Switzerland | Law::Brazil => None,
        };
        let mut cited = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, marked)) = rest.split_once('[') {
            cited.push_str(before);
            let (place, after) = marked.split_once(']').unwrap_or((marked, ""));
            match name {
                Some(name) => cited.extend(["(", place, " ", name, ")"]),
                None => cited.truncate(cited.trim_end().len()),
            }
            rest = after;
        }
        cited.push_str(rest);
        cited
    }

    /// An instant in a zone, to the minute, with the zone's name.
    pub(super) fn date(&self, at: DateTime<Utc>, zone: Tz) -> String {
        let local = at.with_timezone(&zone);
        let (time, zone) = (local.format("%H:%M").to_string(), local.format("%Z").to_string());
        let day = self.written(local.date_naive());
        fill(self.form.instant, &[("day", &day), ("time", &time), ("zone", &zone)])
    }

    /// A stored date; as it stands where it is none.
    pub(super) fn day(&self, text: &str) -> String {
        text.parse().map_or_else(|_| text.to_owned(), |day| self.written(day))
    }

    fn written(&self, date: NaiveDate) -> String {
        let day = if date.day() == 1 { self.form.first.to_owned() } else { date.day().to_string() };
        let month = usize::try_from(date.month0()).ok().and_then(|month| self.form.months.get(month));
        let month = month.copied().unwrap_or_default();
        fill(self.form.day, &[("day", &day), ("month", month), ("year", &date.year().to_string())])
    }

    /// A number with its thousands apart.
    pub(super) fn number(&self, number: u64) -> String {
        let digits = number.to_string();
        let mut grouped = String::with_capacity(digits.len() + digits.len());
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                grouped.push_str(self.form.thousands);
            }
            grouped.push(digit);
        }
        grouped
    }

    /// How a field is called and where it stands, by its whole path or by the last part of the path.
    pub(super) fn label(&self, path: &str) -> Option<Label> {
        let found = |path: &str| {
            let (_, text) = self.labels.iter().find(|(known, _)| *known == path)?;
            let (_, rank) = rank::RANKS.iter().find(|(known, _)| *known == path)?;
            Some(Label { text, rank: *rank })
        };
        found(path).or_else(|| found(path.rsplit('.').next().unwrap_or(path)))
    }
}

/// Puts values into the places `{name}` of a text. Values are not looked at again.
pub(super) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            rest = after;
            continue;
        };
        out.push_str(values.iter().find(|(each, _)| *each == name).map_or("", |(_, value)| value));
        rest = behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_filled_in_once() {
        assert_eq!(fill("{a} of {b}", &[("a", "{b}"), ("b", "2")]), "{b} of 2");
    }

    #[test]
    fn languages_are_found_by_their_primary_tag() {
        assert_eq!(Language::for_tag("en_GB"), Some(Language::English));
        assert_eq!(Language::for_tag("de-AT"), Some(Language::German));
        assert_eq!(Language::for_tag("IT"), Some(Language::Italian));
        assert_eq!(Language::for_tag("xx"), None);
    }

    #[test]
    fn numbers_and_days_read_well_in_every_language() {
        let written = |language: Language| {
            let texts = language.texts();
            let at = "2026-11-01T09:05:00Z".parse().unwrap();
            (texts.number(1_234_567), texts.day("2024-05-02"), texts.date(at, chrono_tz::Europe::Rome))
        };
        let expected =
            |number: &str, day: &str, date: &str| (number.to_owned(), day.to_owned(), date.to_owned());
        assert_eq!(
            written(Language::English),
            expected("1,234,567", "2 May 2024", "1 November 2026, 10:05 CET")
        );
        assert_eq!(
            written(Language::German),
            expected("1.234.567", "2. Mai 2024", "1. November 2026, 10:05 Uhr (CET)")
        );
        assert_eq!(
            written(Language::French),
            expected("1\u{202f}234\u{202f}567", "2 mai 2024", "1er novembre 2026 à 10:05 (CET)")
        );
        assert_eq!(
            written(Language::Italian),
            expected("1.234.567", "2 maggio 2024", "1º novembre 2026, ore 10:05 (CET)")
        );
        assert_eq!(
            written(Language::Spanish),
            expected("1.234.567", "2 de mayo de 2024", "1 de noviembre de 2026, a las 10:05 (CET)")
        );
        let texts = Language::English.texts();
        assert_eq!(texts.number(12), "12");
        assert_eq!(texts.day("2024-99-99"), "2024-99-99");
    }

    #[test]
    fn r_88_a_place_in_the_law_is_cited_where_that_law_holds() {
        let text = "Nothing [Article 15(4)], says {who}.";
        let cited = |law| Language::English.texts().cited(text, law);
        assert_eq!(cited(Law::Gdpr), "Nothing (Article 15(4) GDPR), says {who}.");
        assert_eq!(cited(Law::UkGdpr), "Nothing (Article 15(4) UK GDPR), says {who}.");
        for law in [Law::UnitedStates, Law::Switzerland, Law::Brazil] {
            assert_eq!(cited(law), "Nothing, says {who}.");
            for language in Language::ALL {
                assert_eq!(places(language.complaint_about(law)), ["authority"], "{language:?} {law:?}");
            }
        }
    }

    /// The places of a text.
    fn places(text: &str) -> Vec<&str> {
        let mut found: Vec<&str> =
            text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn r_30_every_language_says_as_much_as_english() {
        let english = Language::English.texts();
        for language in Language::ALL {
            let texts = language.texts();
            let names = |texts: &Texts| texts.labels.iter().map(|(path, _)| *path).collect::<Vec<_>>();
            assert_eq!(names(texts), names(english), "{language:?}");
            assert_eq!(names(english), rank::RANKS.iter().map(|(path, _)| *path).collect::<Vec<_>>());
            assert_eq!(texts.glossary.len(), english.glossary.len(), "{language:?}");
            assert_eq!(texts.limits.len(), english.limits.len(), "{language:?}");
            // Events of campaigns stand in a list that is not read.
            assert!(texts.limits.iter().any(|limit| limit.contains("SMS")), "{language:?}");
            let ranks = |texts: &Texts| texts.groups.iter().map(|(rank, _)| *rank).collect::<Vec<_>>();
            assert_eq!(ranks(texts), ranks(english), "{language:?}");
            for (own, theirs) in [
                (texts.document_title, english.document_title),
                (texts.lead, english.lead),
                (texts.lead_none, english.lead_none),
                (texts.span, english.span),
                (texts.kinds, english.kinds),
                (texts.kinds_further, english.kinds_further),
                (texts.shown_all, english.shown_all),
                (texts.storage.until, english.storage.until),
                (texts.storage.over, english.storage.over),
                (texts.storage.each, english.storage.each),
                (texts.storage.each_over, english.storage.each_over),
                (texts.storage.each_undated, english.storage.each_undated),
                (texts.storage.unknown, english.storage.unknown),
                (texts.storage.kept, english.storage.kept),
                (texts.storage.kept_until, english.storage.kept_until),
                (texts.shown_some, english.shown_some),
                (texts.shown_none, english.shown_none),
                (texts.unreadable, english.unreadable),
                (texts.withheld_entry, english.withheld_entry),
                (texts.withheld, english.withheld),
                (texts.record_number, english.record_number),
                (texts.rights_about, english.rights_about),
                (texts.complaint_about, english.complaint_about),
                (texts.contact_about, english.contact_about),
                (texts.readme, english.readme),
                (texts.portable_readme, english.portable_readme),
            ] {
                assert_eq!(places(own), places(theirs), "{language:?}: {own}");
            }
        }
    }
}
