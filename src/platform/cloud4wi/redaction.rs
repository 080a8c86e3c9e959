//! Error texts of the platform, made fit for logs: e-mail addresses, numbers and MAC addresses masked, everything
//! that we ourselves sent masked in whatever case and encoding it comes back, control characters gone, cut to a line.

use std::ops::Range;

/// The most characters of the platform's words that an error carries.
const LONGEST: usize = 200;

/// Masks and cuts a text. `sent` are values that the request carried: whatever kind they are, they are about a person.
pub(super) fn redact(text: &str, sent: &[&str]) -> String {
    let mut text = text.to_owned();
    for value in sent.iter().filter(|value| value.len() >= 3) {
        text = without_value(&text, value);
    }
    let mut out = String::new();
    let mut word = String::new();
    for character in text.chars().chain(Some(' ')) {
        if is_word(character) {
            word.push(character);
            continue;
        }
        out.push_str(mask(&word));
        word.clear();
        out.push(if character.is_control() || is_line_separator(character) { ' ' } else { character });
    }
    let masked = join_numbers(out.trim());
    match masked.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &masked[..end]),
        None => masked,
    }
}

/// Masks a value: as it is, in another case, and as it stands in a URL, whole or in part (`Maria+Rossi`, `maria%20rossi`).
fn without_value(text: &str, value: &str) -> String {
    let plain = decoded(text);
    let value: Vec<char> = value.chars().flat_map(char::to_lowercase).collect();
    let is_same =
        |shown: &(char, Range<usize>), sent: &char| shown.0 == *sent || (shown.0 == '+' && *sent == ' ');
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(window) = plain.get(at..at + value.len()) {
        match (window.first(), window.last()) {
            (Some((_, first)), Some((_, last))) if window.iter().zip(&value).all(|(a, b)| is_same(a, b)) => {
                out.push_str(text.get(copied..first.start).unwrap_or_default());
                out.push_str("[value]");
                copied = last.end;
                at += value.len();
            }
            _ => at += 1,
        }
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    out
}

/// The characters of a text in lower case and without percent-encoding, each with its place in the text.
fn decoded(text: &str) -> Vec<(char, Range<usize>)> {
    let mut out: Vec<(char, Range<usize>)> = Vec::new();
    let mut at = 0;
    while let Some(character) = text.get(at..).and_then(|rest| rest.chars().next()) {
        // Several codes may make one character.
        let mut bytes = Vec::new();
        while let Some(byte) = escaped_byte(text, at + 3 * bytes.len()) {
            bytes.push(byte);
        }
        let run = match std::str::from_utf8(&bytes) {
            Ok(run) if !run.is_empty() => run,
            _ => {
                let place = at..at + character.len_utf8();
                out.extend(character.to_lowercase().map(|lower| (lower, place.clone())));
                at = place.end;
                continue;
            }
        };
        for character in run.chars() {
            let place = at..at + 3 * character.len_utf8();
            out.extend(character.to_lowercase().map(|lower| (lower, place.clone())));
            at = place.end;
        }
    }
    out
}

/// The byte that a percent code at a place stands for.
fn escaped_byte(text: &str, at: usize) -> Option<u8> {
    let digits = text.get(at..at + 3)?.strip_prefix('%')?;
    if digits.bytes().all(|each| each.is_ascii_hexdigit()) {
        u8::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

fn is_line_separator(character: char) -> bool {
    matches!(character, '\u{2028}' | '\u{2029}' | '\u{85}')
}

/// Characters that can stand inside an address, a number or a MAC; `%` because addresses come percent-encoded too.
fn is_word(character: char) -> bool {
    character.is_alphanumeric()
        || matches!(character, '@' | '.' | '_' | '+' | '-' | ':' | '%' | '*' | '\'' | '~')
}

fn mask(word: &str) -> &str {
    if word.contains('@') || word.to_ascii_lowercase().contains("%40") {
        return "[email]";
    }
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let hex = word.chars().filter(char::is_ascii_hexdigit).count();
    let separators = word.chars().filter(|each| matches!(each, ':' | '-' | '.')).count();
    let only_hex = hex + separators == word.chars().count();
    if only_hex && hex == 12 && (digits != 12 || separators == 5) {
        return "[mac]";
    }
    // Seven digits are the shortest telephone number with an area; dates have eight and are masked with them.
    if digits >= 7 { "[number]" } else { word }
}

/// Telephone numbers written in groups (`+39 06 1234 5678`) are several short words: groups of digits that together
/// have seven digits or more become one mask.
fn join_numbers(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut group: Vec<&str> = Vec::new();
    for word in text.split(' ').map(Some).chain(Some(None)) {
        let is_digits = word.is_some_and(|word| {
            word.chars().any(|each| each.is_ascii_digit())
                && word
                    .chars()
                    .all(|each| each.is_ascii_digit() || matches!(each, '+' | '(' | ')' | '-' | '/' | '.'))
        });
        match word {
            Some(word) if is_digits => group.push(word),
            _ => {
                let digits: usize =
                    group.iter().map(|part| part.chars().filter(char::is_ascii_digit).count()).sum();
                if digits >= 7 {
                    out.push("[number]".to_owned());
                } else {
                    out.extend(group.iter().map(|&part| part.to_owned()));
                }
                group.clear();
                out.extend(word.map(str::to_owned));
            }
        }
    }
    out.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_43_error_texts_lose_addresses_numbers_macs_and_what_we_sent() {
        for (text, hidden) in [
            ("no user ada.canary+x@people.example here", "canary"),
            ("bad value 'ada%40canary.example'", "canary"),
            ("phone +39 06 1234 5678 is wrong", "1234"),
            ("phone (06) 12345678 is wrong", "12345678"),
            ("device AA:BB:CC:DD:EE:FF unknown", "BB"),
            ("device aa-bb-cc-dd-ee-ff unknown", "bb"),
            ("device aabbccddeeff unknown", "aabb"),
            ("user canaryname is locked", "canaryname"),
        ] {
            let shown = redact(text, &["canaryname"]);
            assert!(!shown.contains(hidden), "{shown}");
        }
        assert_eq!(redact("size must be 1 to 10000", &[]), "size must be 1 to 10000");
    }

    #[test]
    fn s_43_what_we_sent_is_masked_in_every_case_and_encoding() {
        for text in [
            "unknown user Maria Rossi",
            "unknown user MARIA ROSSI",
            "bad query username=Maria+Rossi&size=20",
            "bad query username=maria%20rossi&size=20",
            "bad query username=%4Daria%20Rossi",
        ] {
            let shown = redact(text, &["Maria Rossi"]).to_lowercase();
            assert!(!shown.contains("maria") && !shown.contains("ossi"), "{shown}");
        }
        for text in ["no Émile", "no émile", "no %C3%89mile", "no %c3%a9mile"] {
            assert_eq!(redact(text, &["émile"]), "no [value]");
        }
        assert_eq!(redact("100% of %zz, 5%", &["other"]), "100% of %zz, 5%");
        assert_eq!(redact("%C3 broken%C3%28 Ada", &["ada"]), "%C3 broken%C3%28 [value]");
    }

    #[test]
    fn s_25_error_texts_are_one_short_line() {
        let shown = redact(&format!("a\r\nb\u{2028}c\u{1b}[31m {}", "x ".repeat(400)), &[]);
        assert!(!shown.chars().any(|each| each.is_control() || is_line_separator(each)), "{shown:?}");
        assert!(shown.chars().count() <= LONGEST + 1);
    }
}
