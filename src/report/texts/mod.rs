//! The words of the report, by language. Everything that a person reads is here and nowhere else.

mod en;

use super::Section;
use crate::domain::IdentifierKind;

/// A language in which reports can be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    #[default]
    English,
}

impl Language {
    /// The language for a tag such as `en`, `en-GB` or `en_US`; `None` if there are no texts in it, so that the caller
    /// can fall back and say so.
    #[must_use]
    pub fn for_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        primary.eq_ignore_ascii_case(Self::English.tag()).then_some(Self::English)
    }

    /// The tag for `lang` attributes and `report.json`.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
        }
    }

    pub(super) const fn texts(self) -> &'static Texts {
        match self {
            Self::English => &en::TEXTS,
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

/// All texts of one language. Places in braces are filled by [`fill`].
pub(super) struct Texts {
    pub(super) date: fn(chrono::DateTime<chrono::Utc>, chrono_tz::Tz) -> String,
    pub(super) day: fn(&str) -> String,
    pub(super) number: fn(u64) -> String,
    pub(super) section: fn(Section) -> SectionTexts,
    pub(super) label: fn(&str) -> Option<Label>,
    pub(super) identifier: fn(IdentifierKind) -> &'static str,
    /// Titles of the groups of a profile, with the highest rank that belongs to each.
    pub(super) groups: &'static [(u8, &'static str)],
    pub(super) glossary: &'static [Entry],
    pub(super) rights: &'static [Entry],
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
    pub(super) source: &'static str,
    pub(super) automated: &'static str,
    pub(super) transfers: &'static str,
    pub(super) glossary_title: &'static str,
    pub(super) limits_title: &'static str,
    pub(super) rights_title: &'static str,
    pub(super) rights_about: &'static str,
    pub(super) complaint: &'static str,
    pub(super) complaint_about: &'static str,
    pub(super) contact_title: &'static str,
    pub(super) contact_about: &'static str,
    pub(super) files_title: &'static str,
    pub(super) confidential: &'static str,
    pub(super) readme: &'static str,
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
        assert_eq!(Language::for_tag("xx"), None);
    }

    #[test]
    fn english_numbers_and_days_read_well() {
        let texts = Language::English.texts();
        assert_eq!((texts.number)(1_234_567), "1,234,567");
        assert_eq!((texts.number)(12), "12");
        assert_eq!((texts.day)("2024-05-02"), "2 May 2024");
        assert_eq!((texts.day)("2024-99-99"), "2024-99-99");
    }
}
