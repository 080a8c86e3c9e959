//! JSON text written straight into a byte buffer.
//!
//! Pages of 10,000 contacts and bodies of a million events are produced while they are sent, so nothing here builds a
//! tree: [`Object`] appends one member after the other. The [`Style`] holds those fault switches that change how values
//! are spelled; without faults it costs one branch per member.

use chrono::{DateTime, Datelike, Timelike};

/// How values are spelled in one answer. All switches off is the documented form.
#[expect(clippy::struct_excessive_bools, reason = "independent switches, each named after its fault")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    /// Absent members are written as `null` instead of being left out.
    pub(crate) nulls: bool,
    /// Numbers are written as strings.
    pub(crate) numbers_as_strings: bool,
    /// Booleans are written as strings.
    pub(crate) booleans_as_strings: bool,
    /// Creation dates are text that no date parser understands.
    pub(crate) unparseable_created: bool,
    /// How many hours the creation dates shown lie ahead of the instants.
    pub(crate) created_hours_ahead: i64,
    /// Event types are words outside the documented list.
    pub(crate) unknown_event_types: bool,
    /// Events have the flat shape of the documented schema instead of that of the documented sample.
    pub(crate) flat_events: bool,
}

/// Appends `text` as a JSON string with its quotes.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut written = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[written..at]);
        written = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}

/// The text of a JSON string with its quotes.
pub(crate) fn string_text(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    String::from_utf8(out).expect("escaping ASCII characters keeps a string UTF-8")
}

pub(crate) const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends a number in decimal digits.
pub(crate) fn write_number(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).expect("a remainder by ten fits in a byte");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

fn push_two(out: &mut Vec<u8>, number: u32) {
    let number = u8::try_from(number % 100).expect("a remainder by a hundred fits in a byte");
    out.push(b'0' + number / 10);
    out.push(b'0' + number % 10);
}

/// Appends an instant (milliseconds since 1970) as `2022-07-08T13:15:43Z`, with `.885` only where there is a fraction.
pub(crate) fn write_instant(out: &mut Vec<u8>, millis: i64) {
    let at = DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::UNIX_EPOCH);
    let year = u32::try_from(at.year()).unwrap_or(0);
    push_two(out, year / 100);
    push_two(out, year % 100);
    out.push(b'-');
    push_two(out, at.month());
    out.push(b'-');
    push_two(out, at.day());
    out.push(b'T');
    push_two(out, at.hour());
    out.push(b':');
    push_two(out, at.minute());
    out.push(b':');
    push_two(out, at.second());
    let fraction = at.timestamp_subsec_millis();
    if fraction != 0 {
        out.push(b'.');
        push_two(out, fraction / 10);
        push_two(out, (fraction % 10) * 10);
        out.pop();
    }
    out.push(b'Z');
}

/// The text of an instant, as [`write_instant`] spells it.
pub(crate) fn instant_text(millis: i64) -> String {
    let mut out = Vec::with_capacity(24);
    write_instant(&mut out, millis);
    String::from_utf8(out).expect("digits and punctuation are ASCII")
}

/// One JSON object being written.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    style: Style,
    first: bool,
}

impl<'a> Object<'a> {
    /// Opens the object.
    pub(crate) fn open(out: &'a mut Vec<u8>, style: Style) -> Self {
        out.push(b'{');
        Self { out, style, first: true }
    }

    /// Closes the object.
    pub(crate) fn close(self) {
        self.out.push(b'}');
    }

    /// Writes a member's key; the value must follow in the returned buffer.
    pub(crate) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// Writes a text member; empty text counts as absent.
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            self.absent(key);
        } else {
            write_string(self.key(key), value);
        }
    }

    /// Writes what stands for a missing member: nothing, or `null` when the style says so.
    pub(crate) fn absent(&mut self, key: &str) {
        if self.style.nulls {
            self.key(key).extend_from_slice(b"null");
        }
    }

    /// Writes a number member.
    pub(crate) fn number(&mut self, key: &str, value: i64) {
        let quoted = self.style.numbers_as_strings;
        let out = self.key(key);
        if quoted {
            out.push(b'"');
        }
        write_number(out, value);
        if quoted {
            out.push(b'"');
        }
    }

    /// Writes a boolean member.
    pub(crate) fn boolean(&mut self, key: &str, value: bool) {
        let quoted = self.style.booleans_as_strings;
        let out = self.key(key);
        if quoted {
            out.push(b'"');
        }
        out.extend_from_slice(if value { b"true" } else { b"false" });
        if quoted {
            out.push(b'"');
        }
    }

    /// Writes an instant member from milliseconds since 1970.
    pub(crate) fn instant(&mut self, key: &str, millis: i64) {
        let out = self.key(key);
        out.push(b'"');
        write_instant(out, millis);
        out.push(b'"');
    }

    /// Writes a member whose value is an object.
    pub(crate) fn object(&mut self, key: &str, members: impl FnOnce(&mut Object<'_>)) {
        let style = self.style;
        let out = self.key(key);
        let mut inner = Object::open(out, style);
        members(&mut inner);
        inner.close();
    }

    /// Writes ready members, such as `"a":1,"b":2`.
    pub(crate) fn members(&mut self, json: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.extend_from_slice(json.as_bytes());
    }

    /// Writes a member whose value is ready JSON text.
    pub(crate) fn raw(&mut self, key: &str, json: &str) {
        self.key(key).extend_from_slice(json.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_with_quotes_and_control_characters_survive_a_parser() {
        let text = "a\"b\\c\nd\u{1}é";
        let mut out = Vec::new();
        write_string(&mut out, text);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }

    #[test]
    fn instants_are_spelled_as_documented() {
        assert_eq!(instant_text(1_657_286_143_885), "2022-07-08T13:15:43.885Z");
        assert_eq!(instant_text(1_657_286_143_000), "2022-07-08T13:15:43Z");
        assert_eq!(instant_text(1_657_286_143_007), "2022-07-08T13:15:43.007Z");
    }

    #[test]
    fn numbers_are_spelled_in_full() {
        for number in [0, 7, -1, 1_000_000, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
