//! One pass over the JSON text of a record, giving every scalar with its dotted path.
//!
//! The text is checked to be well-formed on the way and never turned into a tree: a million records pass through here
//! twice, and what the platform wrote (all digits of a number, a lone surrogate, white space) must stay as it is. A
//! leaf is a range of the record's text.
//!
//! Only objects are opened. An array is one leaf (its JSON text), because its elements would otherwise become columns
//! without end. So is what lies below a path longer than [`LONGEST_PATH`]; this bounds recursion and output, too.

use std::ops::Range;

/// Paths up to this many bytes are opened further and may become a column.
pub(super) const LONGEST_PATH: usize = 200;

/// The path given to a record that is not an object.
pub(super) const BARE_VALUE: &str = "value";

/// What a leaf is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string without escapes: the range is its content.
    Plain,
    /// A string with escapes: the range is its content, escapes unresolved.
    Escaped,
    /// Everything else but `null`: the range is its JSON text.
    Json,
    /// `null`.
    Null,
}

/// A range of a record's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) kind: Kind,
    start: usize,
    end: usize,
}

impl Leaf {
    /// Where it stands in the record that it was found in; of a string the content without its quotes.
    pub(super) const fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// The text of this leaf in the record that it was found in.
    pub(super) fn of(self, record: &str) -> &str {
        &record[self.start..self.end]
    }

    /// The JSON text of this leaf, with the quotes of a string.
    pub(super) fn json_of(self, record: &str) -> &str {
        match self.kind {
            Kind::Plain | Kind::Escaped => &record[self.start - 1..=self.end],
            Kind::Json | Kind::Null => self.of(record),
        }
    }
}

/// The text is not one well-formed JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Calls `found` for every leaf of a record, in the order of the text. `path` is scratch space.
pub(super) fn flatten(
    record: &str,
    path: &mut String,
    found: impl FnMut(&str, Leaf),
) -> Result<(), Malformed> {
    flatten_opening(record, path, |_| true, found)
}

/// The same; an object for whose path `opens` says no is one leaf.
pub(super) fn flatten_opening(
    record: &str,
    path: &mut String,
    opens: impl Fn(&str) -> bool,
    mut found: impl FnMut(&str, Leaf),
) -> Result<(), Malformed> {
    path.clear();
    let mut scanner = Scanner { text: record, bytes: record.as_bytes(), at: 0, open: Vec::new() };
    scanner.space();
    if scanner.peek() == Some(b'{') {
        scanner.object(path, true, &opens, &mut found)?;
    } else {
        let leaf = scanner.leaf()?;
        found(BARE_VALUE, leaf);
    }
    scanner.space();
    if scanner.at == scanner.bytes.len() { Ok(()) } else { Err(Malformed) }
}

/// The JSON texts of the elements of an array, or of the values of an object with their keys; nothing for anything
/// else. `json` must be well-formed.
pub(super) fn elements(json: &str) -> Vec<(Option<&str>, &str)> {
    let mut scanner = Scanner { text: json, bytes: json.as_bytes(), at: 0, open: Vec::new() };
    scanner.elements().unwrap_or_default()
}

/// Calls `found` for every string that is a value in the JSON text of one value, at any depth. `json` must be well-formed.
pub(super) fn strings(json: &str, mut found: impl FnMut(Leaf)) {
    let mut scanner = Scanner { text: json, bytes: json.as_bytes(), at: 0, open: Vec::new() };
    scanner.skip_telling(&mut found).unwrap_or_default();
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// The brackets that are open while skipping; kept to spare allocations.
    open: Vec<u8>,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.take(byte) { Ok(()) } else { Err(Malformed) }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn object(
        &mut self,
        path: &mut String,
        root: bool,
        opens: &impl Fn(&str) -> bool,
        found: &mut impl FnMut(&str, Leaf),
    ) -> Result<(), Malformed> {
        let start = self.at;
        self.expect(b'{')?;
        self.space();
        if self.take(b'}') {
            if !root {
                found(path, Leaf { kind: Kind::Json, start, end: self.at });
            }
            return Ok(());
        }
        let above = path.len();
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.expect(b':')?;
            self.space();
            if !root {
                path.push('.');
            }
            match key.kind {
                Kind::Escaped => unescape(key.of(self.text), path),
                _ => path.push_str(key.of(self.text)),
            }
            if self.peek() == Some(b'{') && path.len() <= LONGEST_PATH && opens(path) {
                self.object(path, false, opens, found)?;
            } else {
                let leaf = self.leaf()?;
                found(path, leaf);
            }
            path.truncate(above);
            self.space();
            if !self.take(b',') {
                return self.expect(b'}');
            }
        }
    }

    fn leaf(&mut self) -> Result<Leaf, Malformed> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(first) => {
                let start = self.at;
                self.skip()?;
                let kind = if first == b'n' { Kind::Null } else { Kind::Json };
                Ok(Leaf { kind, start, end: self.at })
            }
            None => Err(Malformed),
        }
    }

    fn skip(&mut self) -> Result<(), Malformed> {
        self.skip_telling(&mut |_| {})
    }

    /// Passes one value of any depth and tells of the strings among its values. Without recursion, because depth comes from
    /// outside.
    fn skip_telling(&mut self, found: &mut impl FnMut(Leaf)) -> Result<(), Malformed> {
        self.open.clear();
        loop {
            self.space();
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    self.space();
                    if !self.take(b'}') {
                        self.key()?;
                        self.open.push(b'}');
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    self.space();
                    if !self.take(b']') {
                        self.open.push(b']');
                        continue;
                    }
                }
                Some(b'"') => found(self.string()?),
                _ => self.scalar()?,
            }
            loop {
                let Some(close) = self.open.last().copied() else {
                    return Ok(());
                };
                self.space();
                if self.take(b',') {
                    if close == b'}' {
                        self.space();
                        self.key()?;
                    }
                    break;
                }
                self.expect(close)?;
                self.open.pop();
            }
        }
    }

    fn key(&mut self) -> Result<Leaf, Malformed> {
        let key = self.string()?;
        self.space();
        self.expect(b':')?;
        Ok(key)
    }

    fn scalar(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Malformed> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    fn number(&mut self) -> Result<(), Malformed> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Malformed) }
    }

    fn string(&mut self) -> Result<Leaf, Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        let mut kind = Kind::Plain;
        loop {
            self.at += plain_bytes(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    let leaf = Leaf { kind, start, end: self.at };
                    self.at += 1;
                    return Ok(leaf);
                }
                Some(b'\\') => {
                    kind = Kind::Escaped;
                    self.escape()?;
                }
                Some(0..0x20) | None => return Err(Malformed),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 2..self.at + 6).ok_or(Malformed)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Malformed);
                }
                self.at += 6;
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }

    fn elements(&mut self) -> Result<Vec<(Option<&'a str>, &'a str)>, Malformed> {
        let mut all = Vec::new();
        self.space();
        let close = match self.peek() {
            Some(b'{') => b'}',
            Some(b'[') => b']',
            _ => return Ok(all),
        };
        self.at += 1;
        self.space();
        if self.take(close) {
            return Ok(all);
        }
        loop {
            self.space();
            let key = if close == b'}' { Some(self.key()?.json_of(self.text)) } else { None };
            self.space();
            let start = self.at;
            self.skip()?;
            all.push((key, &self.text[start..self.at]));
            self.space();
            if !self.take(b',') {
                return self.expect(close).map(|()| all);
            }
        }
    }
}

/// How many bytes from the start are certainly ordinary characters of a string: a multiple of eight, found eight at a
/// time, because most of a record is the inside of strings.
fn plain_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The high bit of a byte of the result is set if that byte of `word` is less than `limit` (at most 128). Borrows
    // can set it for a later byte wrongly, never unset it: a wrong stop is looked at byte by byte.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let (eights, _) = bytes.as_chunks::<8>();
    let special = |eight: &[u8; 8]| {
        let word = u64::from_le_bytes(*eight);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let escape = below(word ^ (ONES * u64::from(b'\\')), 1);
        (quote | escape | below(word, 0x20)) != 0
    };
    8 * eights.iter().position(special).unwrap_or(eights.len())
}

/// Appends the content of a JSON string with its escapes resolved. A lone surrogate, which no text can hold, becomes
/// U+FFFD; `report.json` keeps it.
pub(super) fn unescape(content: &str, out: &mut String) {
    let mut rest = content;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut characters = after.chars();
        let resolved = match characters.next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let (character, used) = unicode_escape(after);
                out.push(character);
                rest = &after[used..];
                continue;
            }
            Some(other) => other,
            None => return,
        };
        out.push(resolved);
        rest = characters.as_str();
    }
    out.push_str(rest);
}

/// The content of a JSON string with its escapes resolved, and where each part of it stands in the content.
pub(super) struct Resolved {
    pub(super) text: String,
    /// Where each stretch without escapes, and each escape, begins in the text and in the content.
    stretches: Vec<Stretch>,
    content: usize,
}

struct Stretch {
    text: usize,
    content: usize,
    is_escape: bool,
}

impl Resolved {
    /// The place in the content of a place in the text at which a character begins or the text ends.
    pub(super) fn place_of(&self, place: usize) -> usize {
        if place >= self.text.len() {
            return self.content;
        }
        let behind = self.stretches.partition_point(|stretch| stretch.text <= place);
        behind.checked_sub(1).and_then(|last| self.stretches.get(last)).map_or(place, |stretch| {
            if stretch.is_escape { stretch.content } else { stretch.content + place - stretch.text }
        })
    }
}

/// [`unescape`], remembering what came from where.
pub(super) fn resolve(content: &str) -> Resolved {
    let mut resolved = Resolved { text: String::new(), stretches: Vec::new(), content: content.len() };
    let mut at = 0;
    while let Some(rest) = content.get(at..).filter(|rest| !rest.is_empty()) {
        let is_escape = rest.starts_with('\\');
        let length = if is_escape { escape_length(rest) } else { rest.find('\\').unwrap_or(rest.len()) };
        let (stretch, _) = rest.split_at_checked(length).unwrap_or((rest, ""));
        resolved.stretches.push(Stretch { text: resolved.text.len(), content: at, is_escape });
        unescape(stretch, &mut resolved.text);
        at += stretch.len();
    }
    resolved
}

/// How many bytes the escape takes that a text begins with.
fn escape_length(text: &str) -> usize {
    match text.as_bytes().get(1) {
        Some(b'u') => 1 + unicode_escape(&text[1..]).1,
        _ => 2,
    }
}

/// The character of `uXXXX`, or of `uXXXX\uXXXX` where the two are a pair, and how many bytes it took.
fn unicode_escape(text: &str) -> (char, usize) {
    let unit = |from: usize| text.get(from..from + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(first) = unit(1) else {
        return (char::REPLACEMENT_CHARACTER, 1);
    };
    if let Some(character) = char::from_u32(first) {
        return (character, 5);
    }
    if first < 0xDC00
        && text.get(5..7) == Some("\\u")
        && let Some(second @ 0xDC00..=0xDFFF) = unit(7)
    {
        let pair = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return (char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER), 11);
    }
    (char::REPLACEMENT_CHARACTER, 5)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn leaves(record: &str) -> Result<Vec<(String, Kind, String)>, Malformed> {
        let mut all = Vec::new();
        flatten(record, &mut String::new(), |path, leaf| {
            all.push((path.to_owned(), leaf.kind, leaf.of(record).to_owned()));
        })?;
        Ok(all)
    }

    #[test]
    fn leaves_carry_their_path_and_their_text() {
        let record =
            r#" { "a" : {"b": 1e400, "c\n": "x\u0041"}, "d": [1, {"e": 2}], "f": null, "g": {}, "": "" } "#;
        let expected = [
            ("a.b", Kind::Json, "1e400"),
            ("a.c\n", Kind::Escaped, r"x\u0041"),
            ("d", Kind::Json, r#"[1, {"e": 2}]"#),
            ("f", Kind::Null, "null"),
            ("g", Kind::Json, "{}"),
            ("", Kind::Plain, ""),
        ];
        let expected: Vec<_> =
            expected.into_iter().map(|(path, kind, text)| (path.to_owned(), kind, text.to_owned())).collect();
        assert_eq!(leaves(record), Ok(expected));
        assert_eq!(leaves("-12.50"), Ok(vec![(BARE_VALUE.to_owned(), Kind::Json, "-12.50".to_owned())]));
        assert_eq!(leaves("{}"), Ok(vec![]));
    }

    #[test]
    fn s_24_depth_from_outside_uses_no_stack_and_no_long_paths() {
        let deep_array = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(leaves(&deep_array).unwrap().len(), 1);
        let deep_object = format!("{}1{}", "{\"k\":".repeat(200_000), "}".repeat(200_000));
        let found = leaves(&deep_object).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].0.len() <= LONGEST_PATH + 2, "{}", found[0].0.len());
    }

    #[test]
    fn escapes_resolve_and_lone_surrogates_become_a_replacement() {
        for (content, expected) in [
            (r#"a\"\\\/\b\f\n\r\tz"#, "a\"\\/\u{8}\u{c}\n\r\tz"),
            (r"\ud83d\ude00", "😀"),
            (r"\ud83dx", "\u{fffd}x"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\ud83d\n", "\u{fffd}\n"),
            (r"\u0000", "\0"),
        ] {
            let mut out = String::new();
            unescape(content, &mut out);
            assert_eq!(out, expected, "{content}");
        }
    }

    #[test]
    fn resolved_text_knows_where_it_came_from() {
        let content = r"a\ud83d\ude00é\n\u0041z";
        let resolved = resolve(content);
        assert_eq!(resolved.text, "a😀é\nAz");
        let place = |of: char| resolved.place_of(resolved.text.find(of).unwrap());
        assert_eq!(['a', '😀', 'é', '\n', 'A', 'z'].map(place), [0, 1, 13, 15, 17, 23]);
        assert_eq!(resolved.place_of(resolved.text.len()), content.len());
    }

    #[test]
    fn strings_are_told_at_any_depth_and_keys_are_not() {
        let json = r#"[{"k":"a","l":["b\n",{"m":{"n":"c"}}]},"d",1,null]"#;
        let mut all = Vec::new();
        strings(json, |leaf| all.push(leaf.of(json)));
        assert_eq!(all, ["a", r"b\n", "c", "d"]);
        let deep = format!("{}\"x\"{}", "[".repeat(100_000), "]".repeat(100_000));
        let mut count = 0;
        strings(&deep, |_| count += 1);
        assert_eq!(count, 1);
    }

    #[test]
    fn elements_of_lists_and_maps() {
        assert_eq!(elements(r#"[1, {"a": 2}]"#), vec![(None, "1"), (None, r#"{"a": 2}"#)]);
        assert_eq!(elements(r#"{"x": true}"#), vec![(Some("\"x\""), "true")]);
        assert_eq!(elements("[]"), vec![]);
        assert_eq!(elements("5"), vec![]);
    }

    proptest! {
        #[test]
        fn agrees_with_serde_about_what_is_well_formed(
            text in "[\\{\\}\\[\\]:,\"\\\\ untrefalsb0-9eE.+\\-\u{1}é]{0,24}"
        ) {
            prop_assert_eq!(leaves(&text).is_ok(), serde_json::from_str::<&RawValue>(&text).is_ok(), "{}", text);
        }

        #[test]
        fn long_strings_end_where_serde_ends_them(
            text in "[a-zé\u{7f}\u{a0}]{0,12}[\"\\\\\u{0}\u{1f} a-z!\u{ff}]{0,4}[a-z\"]{0,12}"
        ) {
            let text = format!("{{\"{text}\":\"{text}\"}}");
            prop_assert_eq!(leaves(&text).is_ok(), serde_json::from_str::<&RawValue>(&text).is_ok(), "{}", text);
        }

        #[test]
        fn strings_read_as_serde_reads_them(content in any::<String>()) {
            let json = serde_json::to_string(&content).unwrap();
            let mut out = String::new();
            unescape(&json[1..json.len() - 1], &mut out);
            prop_assert_eq!(out, content);
        }
    }
}
