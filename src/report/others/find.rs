//! Finding addresses and telephone numbers in a text.
//!
//! An address is found wherever one can stand, also inside of a link with `%40` for its sign; what stands before it in
//! a link (`?email=`) is not a part of it. A number is one only in international form, with a country code and digits
//! that exist (ids, amounts, coordinates, offsets of time zones and the like are none).

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::What;
use super::own::Own;
use super::settings::RedactionRules;
use crate::domain::{IdentifierKind, SubjectIdentifier};

static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        (?P<local> [\p{L}\p{M}\p{N}.!\#$%&'*+/=?^_`{|}~-]+ ) (?: @ | %40 )
        (?P<domain> [\p{L}\p{M}\p{N}] [\p{L}\p{M}\p{N}-]* (?: \. [\p{L}\p{M}\p{N}-]+ )* \. \p{L} [\p{L}\p{M}\p{N}-]* )
        |
        (?: \+ | %2[bB] ) (?P<digits> \(? [1-9] (?: (?: [\ \u{a0}\u{202f}.()/-] | %20 ){0,3} [0-9] ){6,14} )
        ",
    )
    .expect("a fixed pattern")
});

/// No local part of an address is longer (RFC 5321); written with `%XX`, each character may take three bytes, or twelve.
const LONGEST_LOCAL: usize = 64 * 12;

/// What a text holds that is another's: where it stands and what it is, in order.
pub(super) fn others(text: &str, rules: &RedactionRules, own: &Own) -> Vec<(Range<usize>, What)> {
    let mut found = Vec::new();
    for captures in PATTERN.captures_iter(text) {
        let Some(whole) = captures.get(0) else { continue };
        let one = match (captures.name("local"), captures.name("digits")) {
            (Some(local), _) if rules.addresses => {
                address(text, local.range(), whole.end(), own).map(|range| (range, What::EmailAddress))
            }
            (None, Some(digits)) if rules.numbers => {
                number(text, whole.start(), digits.range(), own).map(|range| (range, What::TelephoneNumber))
            }
            _ => None,
        };
        found.extend(one);
    }
    found
}

/// Everything in a text that looks like an address or a number.
pub(super) fn candidates(text: &str) -> Vec<String> {
    PATTERN.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

/// The part of a match that is the address of somebody else; `None` where it is the person's own.
fn address(text: &str, local: Range<usize>, end: usize, own: &Own) -> Option<Range<usize>> {
    let earliest = text.ceil_char_boundary(local.end.saturating_sub(LONGEST_LOCAL)).max(local.start);
    let is_own = |start: usize| text.get(start..end).is_some_and(|part| own.has_address(&decoded(part)));
    if is_own(earliest) {
        return None;
    }
    // Characters that may stand in an address and rarely do, such as `=`, also stand before one. What of them belongs to
    // it cannot be seen: it is the person's own with any of them, and another's without.
    let mut start = earliest;
    for (place, width) in breaks(text, earliest..local.end) {
        let behind = place + width;
        if is_own(behind) {
            return None;
        }
        // An apostrophe is a quotation mark before an address and a part of a name within.
        let within_name = text.as_bytes().get(place) == Some(&b'\'') && place > start;
        if behind < local.end && !within_name {
            start = behind;
        }
    }
    Some(start..end)
}

/// Where something stands in a local part that may come before an address, and how many bytes it takes.
fn breaks(text: &str, range: Range<usize>) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut place = range.start;
    while place < range.end {
        let width = match bytes.get(place) {
            Some(b'%') => match escape(bytes, place) {
                // Also `%2B` for `+` and the like are parts of an address.
                Some(byte)
                    if !byte.is_ascii_alphanumeric() && byte.is_ascii() && !b"._+-%".contains(&byte) =>
                {
                    3
                }
                _ => 0,
            },
            Some(byte) if b"/=?&{|}~#!$*^`'".contains(byte) => 1,
            _ => 0,
        };
        if width > 0 {
            found.push((place, width));
        }
        place += width.max(1);
    }
    found
}

/// The byte that `%XX` stands for.
fn escape(bytes: &[u8], place: usize) -> Option<u8> {
    let digits = std::str::from_utf8(bytes.get(place + 1..place + 3)?).ok()?;
    u8::from_str_radix(digits, 16).ok()
}

/// The text with `%XX` resolved, as far as that gives text.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        if let (b'%', Some(stands_for)) = (byte, escape(bytes, place)) {
            out.push(stands_for);
            place += 3;
        } else {
            out.push(*byte);
            place += 1;
        }
    }
    String::from_utf8(out).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The part of a match that is the telephone number of somebody else.
fn number(text: &str, start: usize, digits: Range<usize>, own: &Own) -> Option<Range<usize>> {
    let before = text.get(..start)?.chars().next_back();
    // `a+1` is a sum or a part of a key; in a link, the letters before may be those of `%3D`.
    let in_link = start.checked_sub(3).is_some_and(|place| {
        text.as_bytes().get(place) == Some(&b'%') && escape(text.as_bytes(), place).is_some()
    });
    if before.is_some_and(|each| each.is_alphanumeric() || each == '+') && !in_link {
        return None;
    }
    let mut end = digits.end;
    loop {
        let candidate = text.get(digits.start..end)?;
        let after = text.get(end..)?.chars().next();
        if !after.is_some_and(char::is_alphanumeric) && !is_amount(candidate) {
            let written = format!("+{}", decoded(candidate));
            let read = SubjectIdentifier::parse(IdentifierKind::Phone, &written, None).ok();
            let normal = read.as_ref().map(|number| number.normalised().expose().as_str());
            if own.has_number(&written, normal) {
                return None;
            }
            if normal.is_some() {
                return Some(start..end);
            }
        }
        // Further digits, such as a date, may stand behind a number: it ends where a group of digits does.
        let group = candidate.rfind(|each: char| !each.is_ascii_digit())?;
        let shorter = candidate.get(..group)?.trim_end_matches(|each: char| !each.is_ascii_digit());
        end = digits.start + shorter.len();
    }
}

/// Whether it reads as a decimal number: `45.4642035`.
fn is_amount(text: &str) -> bool {
    text.split_once('.').is_some_and(|(whole, rest)| {
        [whole, rest].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn own() -> Own {
        let mut own = Own::new(Some("IT"));
        for text in ["ada@people.example", "o'neil=a@people.example", "333 1234567", "ada@faß.example"] {
            own.add_text(text);
        }
        own.add_text("0047 12 34 56 7");
        own.keep("@venue.example");
        own.keep("+39 02 1234567");
        own
    }

    fn found(text: &str) -> Vec<String> {
        let all = others(text, &RedactionRules::strict(), &own());
        all.into_iter().map(|(range, _)| text[range].to_owned()).collect()
    }

    #[test]
    fn r_34_addresses_of_others_are_found_wherever_they_stand() {
        for (text, expected) in [
            ("bob@else.example", "bob@else.example"),
            ("Write to Bob.Best+x@Else.example.", "Bob.Best+x@Else.example"),
            ("<mailto:bob@else.example>", "bob@else.example"),
            ("\"bob\" <bob@else.example>; x", "bob@else.example"),
            ("https://x.example/?cid=7&email=bob@else.example&x=1", "bob@else.example"),
            ("https://x.example/?to=bob%40else.example", "bob%40else.example"),
            ("u=https%3A%2F%2Fx.example%2F%3Fe%3Dbob%2Bx%40else.example", "bob%2Bx%40else.example"),
            ("señora@correo-é.example", "señora@correo-é.example"),
            ("ada@people.example.org", "ada@people.example.org"),
            ("xada@people.example", "xada@people.example"),
            ("'o'hara@else.example'", "o'hara@else.example"),
            ("ada+tag@people.example", "ada+tag@people.example"),
        ] {
            assert_eq!(found(text), [expected], "{text}");
        }
        assert_eq!(found("bob@else.example,eve@else.example"), ["bob@else.example", "eve@else.example"]);
    }

    #[test]
    fn r_34_the_persons_own_addresses_stay_in_every_spelling() {
        for text in [
            "ada@people.example",
            "ADA@People.EXAMPLE.",
            "'ada@people.example'",
            "https://x.example/?email=ada@people.example&x=1",
            "e%3Dada%40people.example",
            "id=o'neil=a@people.example",
            "ada@xn--fa-hia.example",
            "“ada@people.example”",
            "Ada@faß.example",
            "news@venue.example",
        ] {
            assert_eq!(found(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn r_34_numbers_of_others_are_found_in_international_form_only() {
        for (text, expected) in [
            ("+44 20 7123 4567", "+44 20 7123 4567"),
            ("tel:+442071234567;x", "+442071234567"),
            ("(+44) 20-7123-4567", "+44) 20-7123-4567"),
            ("+44 20 7123 4567 20 05 2024", "+44 20 7123 4567"),
            ("p=%2B442071234567&x=1", "%2B442071234567"),
            ("q%3D%2B44%2020%207123%204567", "%2B44%2020%207123%204567"),
        ] {
            assert_eq!(found(text), [expected], "{text}");
        }
        for none in [
            "442071234567",
            "020 7123 4567",
            "2024-05-02T10:00:00+02:00",
            "2024-05-02T10:00:00+0200",
            "x+442071234567",
            "+4420712345678901234",
            "+442071234567a",
            "+45.46420350",
            "+12345678",
            "1+1",
            "AA:BB:CC:DD:EE:FF",
            "YWJj+442071234567==",
        ] {
            assert_eq!(found(none), Vec::<String>::new(), "{none}");
        }
    }

    #[test]
    fn r_34_the_persons_own_numbers_stay_in_every_spelling() {
        for text in
            ["+39 333 1234567", "+39-333-123-4567", "%2B393331234567", "+47 1234567", "+39 02 1234567"]
        {
            assert_eq!(found(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_is_switched_off_stays() {
        let rules = RedactionRules { addresses: false, ..RedactionRules::strict() };
        assert_eq!(others("bob@else.example +442071234567", &rules, &own()).len(), 1);
        let rules = RedactionRules { numbers: false, ..RedactionRules::strict() };
        assert_eq!(others("bob@else.example +442071234567", &rules, &own()).len(), 1);
    }

    /// Texts with addresses and numbers, whole and in pieces: signs alone hardly ever make two in one text.
    fn texts() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a@%+.0-9F =é'/\u{a0}-]{0,8}",
            Just("bob@else.example".to_owned()),
            Just("ada@people.example".to_owned()),
            Just("eve%40else.example".to_owned()),
            Just("+44 20 7123 4567".to_owned()),
            Just("%2B39 333 1234567".to_owned()),
        ];
        prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn r_34_no_text_makes_it_fail_and_ranges_are_in_order(text in texts()) {
            let mut last = 0;
            for (range, _) in others(&text, &RedactionRules::strict(), &own()) {
                prop_assert!(range.start >= last && range.start < range.end, "{:?}", range);
                prop_assert!(text.get(range.clone()).is_some());
                last = range.end;
            }
        }
    }
}
