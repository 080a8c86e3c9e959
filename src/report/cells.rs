//! From a leaf of a record to text that is safe in a CSV cell and in the readable report.
//!
//! # Round trip of CSV cells
//! A cell that a spreadsheet could take for a formula gets one `'` in front (S-17), and so does a cell that begins
//! with `'` already. A program that takes `;` or a tab for the separator, as spreadsheets in half of Europe do, finds no
//! marks of quotation where it looks for them, and begins another cell within a value: what follows a `;`, a tab or a line
//! break gets the same mark under the same conditions. Therefore: **if a cell begins with `'`, drop that one character, and so
//! after each `;`, tab and line break; the rest is the value.** Control
//! characters other than tab and line breaks appear as their pictures (NUL as `␀`), lone surrogates as `�`; both are
//! exact in `report.json` only.

use std::borrow::Cow;

use chrono::NaiveDateTime;
use chrono_tz::Tz;

use super::flatten::{Kind, Leaf, elements, unescape};

/// The text of a leaf: strings resolved, everything else as JSON text, `null` as nothing. Uses `scratch` if it must
/// change anything.
pub(super) fn text<'a>(record: &'a str, leaf: Leaf, scratch: &'a mut String) -> &'a str {
    match leaf.kind {
        Kind::Null => "",
        Kind::Plain if !leaf.of(record).contains('\u{7f}') => leaf.of(record),
        Kind::Json => leaf.of(record),
        Kind::Plain | Kind::Escaped => {
            scratch.clear();
            unescape(leaf.of(record), scratch);
            if scratch.chars().any(is_unprintable) {
                *scratch = scratch.chars().map(picture).collect();
            }
            scratch
        }
    }
}

/// A name from data (a key of an object), with control characters made visible.
pub(super) fn name(path: &str) -> Cow<'_, str> {
    if path.chars().any(is_unprintable) {
        Cow::Owned(path.chars().map(picture).collect())
    } else {
        Cow::Borrowed(path)
    }
}

const fn is_unprintable(character: char) -> bool {
    matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}')
}

/// The symbol that stands for a control character (U+2400 and following).
fn picture(character: char) -> char {
    match character {
        '\u{7f}' => '\u{2421}',
        control if is_unprintable(control) => {
            char::from_u32(0x2400 + u32::from(control)).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        other => other,
    }
}

/// Where a program begins another cell that takes something else than the comma for the separator.
const SEPARATORS: [char; 4] = [';', '\t', '\n', '\r'];

/// The cell for a text: with a `'` in front of whatever a spreadsheet could take for a formula. Uses `scratch` for that.
pub(super) fn guarded<'a>(text: &'a str, scratch: &'a mut String) -> &'a str {
    let separated = text.bytes().any(|each| matches!(each, b';' | b'\t' | b'\n' | b'\r'));
    let at_start = may_start_formula(text);
    if !at_start && !separated {
        return text;
    }
    scratch.clear();
    for (number, part) in text.split_inclusive(SEPARATORS).enumerate() {
        if if number == 0 { at_start } else { may_continue_as_formula(part) } {
            scratch.push('\'');
        }
        scratch.push_str(part);
    }
    scratch
}

/// The same of what follows a separator within a value. Where that ends a cell, marks of quotation around the value stand at
/// another place than the program expects them, and may be dropped.
fn may_continue_as_formula(part: &str) -> bool {
    part.starts_with('\'')
        || may_start_formula(part.trim_start_matches(|each: char| each == '"' || is_skipped(each)))
}

fn may_start_formula(text: &str) -> bool {
    // Nearly all cells begin with a letter or digit; they are through after one comparison.
    if text.as_bytes().first().is_none_or(u8::is_ascii_alphanumeric) {
        return false;
    }
    if text.starts_with(['\'', '\t', '\r', '\n']) {
        return true;
    }
    text.trim_start_matches(is_skipped).starts_with([
        '=', '+', '-', '@', // as they are
        '＝', '＋', '－', '＠', // full width
        '﹦', '﹢', '﹣', '﹫', // small forms
        '−', '⁺', '⁻',
        '⁼', // minus sign and superscripts, which compatibility folding turns into the above
        '₊', '₋', '₌',
    ])
}

/// What some programs drop before they look at a cell.
fn is_skipped(character: char) -> bool {
    character.is_whitespace() || is_invisible(character)
}

/// Characters without width, which some programs drop before they look at a cell.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2400}'..='\u{2421}' | '\u{feff}'
    )
}

/// Longer lists are shown as they are stored.
const LONGEST_LIST: usize = 8 * 1024;

/// The text of a leaf for people: like [`text`], but a list has one line per element instead of its JSON text.
pub(super) fn readable<'a>(record: &'a str, leaf: Leaf, scratch: &'a mut String) -> Cow<'a, str> {
    let json = leaf.of(record);
    if leaf.kind != Kind::Json || json.len() > LONGEST_LIST || !json.starts_with('[') {
        return Cow::Borrowed(text(record, leaf, scratch));
    }
    let lines: Vec<String> = elements(json)
        .into_iter()
        .map(|(_, element)| {
            let members = elements(element).into_iter().map(|(key, value)| match key {
                Some(key) => format!("{}: {}", bare(key), bare(value)),
                None => bare(value),
            });
            let members: Vec<String> = members.collect();
            if members.is_empty() { bare(element) } else { members.join(", ") }
        })
        .collect();
    Cow::Owned(lines.join("\n"))
}

/// A JSON string without its quotes; everything else as it is.
fn bare(json: &str) -> String {
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(content) => resolved(content),
        None => json.to_owned(),
    }
}

/// The content of a JSON string with escapes resolved and control characters made visible.
pub(super) fn resolved(content: &str) -> String {
    let mut out = String::new();
    unescape(content, &mut out);
    out.chars().map(picture).collect()
}

/// An instant as the platform writes it (`2024-05-02T09:30:00Z`) in a form for people, in a time zone that is named;
/// `None` for any other text. Fields whose name ends in `Local` hold the clock time of a place although a `Z` stands
/// behind it: they are left as they are and get no zone.
pub(super) fn instant(path: &str, text: &str, zone: Tz) -> Option<String> {
    let stored = text.strip_suffix('Z')?;
    let at = NaiveDateTime::parse_from_str(stored, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    // The spaces do not break, so that an instant stays on one line.
    let shown = if path.ends_with("Local") {
        at.format("%Y-%m-%d\u{a0}%H:%M:%S").to_string()
    } else {
        at.and_utc().with_timezone(&zone).format("%Y-%m-%d\u{a0}%H:%M:%S\u{a0}%Z").to_string()
    };
    Some(shown)
}

/// A text cut to at most `most` characters for the readable report.
pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cell(text: &str) -> String {
        guarded(text, &mut String::new()).to_owned()
    }

    /// The way back.
    fn value_of(cell: &str) -> String {
        cell.split_inclusive(SEPARATORS).map(|part| part.strip_prefix('\'').unwrap_or(part)).collect()
    }

    #[test]
    fn s_17_csv_cells_never_start_a_formula() {
        for dangerous in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\tharmless",
            "\r=1",
            "\n=1",
            "  =1",
            "\u{a0}=1",
            "\u{3000}＝1",
            "＝1",
            "＋1",
            "－1",
            "＠a",
            "−1",
            "\u{feff}=1",
            "\u{200b}=1",
            "\u{202e}=1",
            " \t\u{a0}\r\n=cmd|' /C calc'!A0",
            "'=1",
            "'",
        ] {
            let cell = cell(dangerous);
            assert!(cell.starts_with('\''), "{dangerous:?}: {cell:?}");
            assert_eq!(value_of(&cell), dangerous);
        }
        for harmless in
            ["", "a=1", "1+1", "Ada", " Ada", "\u{a0}x", "é=", "\"=1\"", "(=1)", "{\"a\":1}", "a;b\tc\nd"]
        {
            assert_eq!(cell(harmless), harmless);
        }
    }

    #[test]
    fn s_17_what_another_separator_makes_a_cell_starts_no_formula_either() {
        for (value, expected) in [
            ("Ada;=1", "Ada;'=1"),
            ("Ada;;\u{a0}+1", "Ada;;'\u{a0}+1"),
            ("Ada\t-1", "Ada\t'-1"),
            ("Ada\r\n@x", "Ada\r\n'@x"),
            ("Ada;\"=1\"", "Ada;'\"=1\""),
            ("Ada;'=1", "Ada;''=1"),
            ("\t=1", "'\t'=1"),
        ] {
            assert_eq!(cell(value), expected);
            assert_eq!(value_of(expected), value);
        }
    }

    #[test]
    fn control_characters_become_visible() {
        let record = r#""a\u0000b\u001b\n\u007f""#;
        let mut leaf = None;
        super::super::flatten::flatten(record, &mut String::new(), |_, found| leaf = Some(found)).unwrap();
        assert_eq!(text(record, leaf.unwrap(), &mut String::new()), "a␀b␛\n␡");
        assert_eq!(name("a\0"), "a␀");
    }

    #[test]
    fn lists_and_instants_read_well() {
        let record = r#"[{"name":"Regulars","cid":1.0},"a\"b",[1,2],{}]"#;
        let mut leaf = None;
        super::super::flatten::flatten(record, &mut String::new(), |_, found| leaf = Some(found)).unwrap();
        let read = readable(record, leaf.unwrap(), &mut String::new()).into_owned();
        assert_eq!(read, "name: Regulars, cid: 1.0\na\"b\n1, 2\n{}");
        let zone = chrono_tz::Europe::Rome;
        let at = |path| instant(path, "2024-05-02T09:30:00.123Z", zone);
        assert_eq!(at("when.createdAt").as_deref(), Some("2024-05-02\u{a0}11:30:00\u{a0}CEST"));
        let winter = instant("createdAt", "2023-12-31T23:30:00Z", zone);
        assert_eq!(winter.as_deref(), Some("2024-01-01\u{a0}00:30:00\u{a0}CET"));
        assert_eq!(at("when.createdAtLocal").as_deref(), Some("2024-05-02\u{a0}09:30:00"));
        assert_eq!(instant("a", "2024-05-02T09:30:00+02:00", zone), None);
        assert_eq!(instant("a", "2024-05-02T09:3é:00Z", zone), None);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shortened("äöü", 2), "äö…");
        assert_eq!(shortened("äöü", 3), "äöü");
    }

    proptest! {
        #[test]
        fn s_17_dropping_one_apostrophe_gives_the_value_back(value in any::<String>()) {
            let cell = cell(&value);
            prop_assert_eq!(value_of(&cell), value);
        }

        #[test]
        fn s_17_dropping_the_apostrophes_gives_the_value_back_whatever_separates(value in "[;\t\r\n '\"=a]{0,12}") {
            prop_assert_eq!(value_of(&cell(&value)), value);
        }

        #[test]
        fn s_17_no_cell_shows_a_formula_sign_first(value in "[ \t\r\n\u{a0}\u{200b}=+\\-@＝＋－＠'a]{0,6}") {
            let cell = cell(&value);
            let first = cell.chars().find(|each| !each.is_whitespace() && *each != '\u{200b}');
            prop_assert!(!matches!(first, Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠')), "{:?}", cell);
        }
    }
}
