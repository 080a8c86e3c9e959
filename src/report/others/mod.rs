//! What belongs to other people in a record of the person, and what stands in its place (Art. 15(4) GDPR, R-34).
//!
//! # How data enters and leaves
//! [`Others`] is made for one person ([`Own`]) and one controller ([`RedactionRules`]), and handed to
//! [`Spool::withholding`](super::Spool::withholding). Every record of the platform passes it before it is kept, so that
//! the CSV files, `report.json` and the readable report say the same. What it withholds it counts, by field and kind.
//!
//! # Invariants
//! - A record stays text for text but for the marks; a record without any is not copied at all.
//! - Nothing that is known to be the person's own is withheld, in whatever documented spelling it stands
//!   ([`Own`]). Where it cannot be known whether something is an address or a number at all, it stays: a guess must not
//!   take the person's own data from them.
//! - Nothing that is withheld goes uncounted, and nothing is ever a reason to refuse the whole.
//!
//! # What it does not see
//! Names in prose, and the names of fields themselves: for a field that holds other people's data throughout there is
//! the rule [`RedactionRules::fields`], which withholds it with everything below.

mod find;
mod own;
mod settings;

use std::fmt;
use std::ops::Range;

use memchr::{memchr, memchr3};
use serde::Serialize;

pub use own::Own;
pub use settings::RedactionRules;

use super::Language;
use super::flatten::{Kind, LONGEST_PATH, Leaf, flatten_opening, resolve, strings};
use super::table::REST;

/// Why something was withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    /// An e-mail address that is not the person's own.
    EmailAddress,
    /// A telephone number that is not the person's own.
    TelephoneNumber,
    /// A field that holds data of other people, by a rule of the controller.
    Field,
}

impl What {
    /// The place of its texts.
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// How much of one field was withheld.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Withheld {
    /// The field's path; [`REST`] for those that are too many or too long to be named.
    pub(super) field: String,
    pub(super) what: What,
    pub(super) values: u64,
}

/// How many fields of a section are named; what is withheld from further ones is counted together.
const MOST_FIELDS: usize = 200;

/// What was withheld from the records of one section.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Vec<Withheld>);

impl Tally {
    fn add(&mut self, field: &str, what: What) {
        let known = |entries: &[Withheld], field: &str| {
            entries.iter().position(|entry| entry.what == what && entry.field == field)
        };
        let field = if field.len() > LONGEST_PATH { REST } else { field };
        let place = known(&self.0, field).or_else(|| {
            let field = if self.0.len() < MOST_FIELDS { field } else { REST };
            known(&self.0, field).or_else(|| {
                self.0.push(Withheld { field: field.to_owned(), what, values: 0 });
                self.0.len().checked_sub(1)
            })
        });
        if let Some(entry) = place.and_then(|place| self.0.get_mut(place)) {
            entry.values += 1;
        }
    }

    /// Values in all fields.
    pub(super) fn values(&self) -> u64 {
        self.0.iter().map(|entry| entry.values).sum()
    }

    pub(super) fn entries(&self) -> &[Withheld] {
        &self.0
    }
}

/// What is withheld from the copy of one person's data.
#[derive(Clone)]
pub struct Others {
    rules: RedactionRules,
    own: Own,
    language: Language,
}

impl fmt::Debug for Others {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Others").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Others {
    /// For one person. The marks are in the language of the report.
    #[must_use]
    pub fn new(rules: RedactionRules, mut own: Own, language: Language) -> Self {
        for entry in &rules.keep {
            own.keep(entry);
        }
        Self { rules, own, language }
    }

    /// The mark that stands in the place of something, as it is also inside of a JSON string.
    pub(super) const fn mark(&self, what: What) -> &'static str {
        self.language.texts().withheld_marks[what.index()]
    }

    /// The record with marks for what belongs to others; `None` where nothing does, and for a record that is not
    /// well-formed. `path` is scratch space.
    pub(super) fn withhold(&self, record: &str, path: &mut String, tally: &mut Tally) -> Option<String> {
        if self.rules.fields.is_empty() && !may_hold_any(record) {
            return None;
        }
        let mut cuts: Vec<(Range<usize>, What)> = Vec::new();
        let opens = |path: &str| !self.rules.is_field(path);
        flatten_opening(record, path, opens, |path, leaf| {
            if !opens(path) {
                if leaf.kind != Kind::Null {
                    cuts.push((leaf.range(), What::Field));
                    tally.add(path, What::Field);
                }
                return;
            }
            let before = cuts.len();
            match leaf.kind {
                Kind::Null => {}
                Kind::Plain | Kind::Escaped => self.find_in(record, leaf, 0, &mut cuts),
                Kind::Json => {
                    let start = leaf.range().start;
                    strings(leaf.of(record), |inner| self.find_in(leaf.of(record), inner, start, &mut cuts));
                }
            }
            for (_, what) in cuts.get(before..).unwrap_or_default() {
                tally.add(path, *what);
            }
        })
        .ok()?;
        (!cuts.is_empty()).then(|| self.marked(record, &cuts))
    }

    fn find_in(&self, text: &str, leaf: Leaf, start: usize, cuts: &mut Vec<(Range<usize>, What)>) {
        let content = leaf.of(text);
        if !may_hold_any(content) {
            return;
        }
        let at = start + leaf.range().start;
        if leaf.kind == Kind::Plain {
            let found = find::others(content, &self.rules, &self.own);
            cuts.extend(found.into_iter().map(|(range, what)| (at + range.start..at + range.end, what)));
            return;
        }
        let resolved = resolve(content);
        let found = find::others(&resolved.text, &self.rules, &self.own);
        cuts.extend(found.into_iter().map(|(range, what)| {
            (at + resolved.place_of(range.start)..at + resolved.place_of(range.end), what)
        }));
    }

    fn marked(&self, record: &str, cuts: &[(Range<usize>, What)]) -> String {
        let mut text = String::with_capacity(record.len() + 64 * cuts.len());
        let mut done = 0;
        for (range, what) in cuts {
            text.push_str(record.get(done..range.start).unwrap_or_default());
            // A whole value may have been a list or a number; what stands in its place is a string.
            let quote = if *what == What::Field && !record[..range.start].ends_with('"') { "\"" } else { "" };
            text.push_str(quote);
            text.push_str(self.mark(*what));
            text.push_str(quote);
            done = range.end;
        }
        text.push_str(record.get(done..).unwrap_or_default());
        text
    }
}

/// Whether a text can hold an address or a number at all: nearly no record does, and finding that out costs next to
/// nothing. An address or number may be written with escapes of JSON (`\u0040`) or of an address line (`%40`).
fn may_hold_any(text: &str) -> bool {
    memchr3(b'@', b'+', b'\\', text.as_bytes()).is_some() || memchr(b'%', text.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{IdentifierKind, SubjectIdentifier};

    fn others(fields: &[&str]) -> Others {
        let mut own = Own::new(Some("IT"));
        own.add(&SubjectIdentifier::parse(IdentifierKind::Email, "ada@people.example", None).unwrap());
        own.add(&SubjectIdentifier::parse(IdentifierKind::Phone, "+39 333 1234567", None).unwrap());
        let rules = RedactionRules {
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            ..RedactionRules::strict()
        };
        Others::new(rules, own, Language::English)
    }

    fn withhold(record: &str, fields: &[&str]) -> (Option<String>, Vec<(String, What, u64)>) {
        let mut tally = Tally::default();
        let text = others(fields).withhold(record, &mut String::new(), &mut tally);
        let counted = tally.entries().iter().map(|entry| (entry.field.clone(), entry.what, entry.values));
        (text, counted.collect())
    }

    const ADDRESS: &str = "[withheld: e-mail address of another person]";
    const NUMBER: &str = "[withheld: telephone number of another person]";
    const FIELD: &str = "[withheld: concerns other people]";

    #[test]
    fn r_34_what_is_not_the_persons_own_is_marked_at_any_depth_and_counted() {
        let record = r#"{"a":{"b":"to bob@else.example, cc ada@PEOPLE.example"},"n":1.50,
            "list":[{"who":"eve@else.example"},["+44 20 7123 4567 and +393331234567"],"none"],"t":"x"}"#;
        let expected = record
            .replace("bob@else.example", ADDRESS)
            .replace("eve@else.example", ADDRESS)
            .replace("+44 20 7123 4567", NUMBER);
        let (text, counted) = withhold(record, &[]);
        assert_eq!(text, Some(expected));
        assert_eq!(
            counted,
            [
                ("a.b".to_owned(), What::EmailAddress, 1),
                ("list".to_owned(), What::EmailAddress, 1),
                ("list".to_owned(), What::TelephoneNumber, 1),
            ]
        );
    }

    #[test]
    fn r_34_escapes_hide_nobody_and_all_else_keeps_its_text() {
        let record =
            r#"{"a":"\ud800 \"bob\u0040else.example\"\n\ud83d\ude00 \u002b44 20 7123 4567\t.","b":"\/"}"#;
        let (text, _) = withhold(record, &[]);
        let expected = format!(r#"{{"a":"\ud800 \"{ADDRESS}\"\n\ud83d\ude00 {NUMBER}\t.","b":"\/"}}"#);
        assert_eq!(text, Some(expected));
    }

    #[test]
    fn r_34_a_field_of_a_rule_is_withheld_whole_with_everything_below() {
        let record = r#"{"guest":{"eve@else.example":[1,2]},"guests":1,"notes":["a",{"b":2}],"x":{"notes":"y"},"notes2":null}"#;
        let (text, counted) = withhold(record, &["guest", "notes", "x.notes", "notes2"]);
        let expected = format!(
            r#"{{"guest":"{FIELD}","guests":1,"notes":"{FIELD}","x":{{"notes":"{FIELD}"}},"notes2":null}}"#
        );
        assert_eq!(text, Some(expected));
        assert_eq!(counted.len(), 3, "{counted:?}");
        assert_eq!(withhold(r#"{"guests":1}"#, &["guest"]), (None, Vec::new()));
    }

    #[test]
    fn more_fields_than_can_be_named_are_counted_together() {
        let fields: Vec<String> =
            (0..300).map(|number| format!("\"f{number}\":\"e{number}@else.example\"")).collect();
        let (_, counted) = withhold(&format!("{{{}}}", fields.join(",")), &[]);
        assert_eq!(counted.iter().map(|(_, _, values)| values).sum::<u64>(), 300);
        assert_eq!(counted.len(), MOST_FIELDS + 1);
        assert_eq!(counted.last().map(|(field, _, _)| field.as_str()), Some(REST));
    }

    #[test]
    fn every_mark_is_the_same_text_inside_of_a_json_string_and_holds_nothing_to_withhold() {
        for language in Language::ALL {
            for mark in language.texts().withheld_marks {
                assert_eq!(serde_json::to_string(mark).unwrap(), format!("\"{mark}\""));
                assert!(!may_hold_any(mark), "{mark}");
            }
        }
    }

    proptest! {
        #[test]
        fn r_34_what_holds_no_address_and_no_number_is_never_touched(
            text in "[a-zA-Z0-9 :;,./_\\-\"\\\\@+%é]{0,40}"
        ) {
            prop_assume!(!text.contains('@') && !text.contains("%40"));
            prop_assume!(!text.contains('+') && !text.to_lowercase().contains("%2b"));
            let record = serde_json::json!({ "a": text, "b": [text] }).to_string();
            prop_assert_eq!(withhold(&record, &[]), (None, Vec::new()));
        }

        #[test]
        fn r_34_the_rest_of_a_record_keeps_its_text(before in any::<String>(), after in any::<String>()) {
            // Nothing around the address that could belong to it or be one itself.
            let calm = |text: String| text.replace(['@', '+', '%'], "");
            let (before, after) = (calm(before), calm(after));
            let record = serde_json::json!({ "a": format!("{before} bob@else.example {after}") }).to_string();
            let expected = record.replace("bob@else.example", ADDRESS);
            prop_assert_eq!(withhold(&record, &[]).0, Some(expected));
        }
    }
}
