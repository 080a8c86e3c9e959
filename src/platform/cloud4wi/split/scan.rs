//! Where a JSON value ends, and how deep it goes, from its strings and brackets alone.

use memchr::memchr2;

/// Follows one JSON value to its end by its strings and brackets.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one value")]
pub(super) struct Scan {
    started: bool,
    is_object: bool,
    is_scalar: bool,
    in_text: bool,
    escaped: bool,
    depth: u32,
    deepest: u32,
}

/// The bytes that matter outside of strings.
const STRUCTURAL: [bool; 256] = {
    let mut table = [false; 256];
    table[b'"' as usize] = true;
    table[b'{' as usize] = true;
    table[b'}' as usize] = true;
    table[b'[' as usize] = true;
    table[b']' as usize] = true;
    table
};

impl Scan {
    /// A scan that begins inside of an array, after its bracket.
    pub(super) fn inside_array() -> Self {
        Self { started: true, depth: 1, deepest: 1, ..Self::default() }
    }

    /// Whether the value is an object.
    pub(super) const fn is_object(&self) -> bool {
        self.is_object
    }

    /// The deepest nesting so far.
    pub(super) const fn deepest(&self) -> u32 {
        self.deepest
    }

    /// Reads on; returns how many of these bytes belong to the value when it ends among them.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        if !self.started {
            self.started = true;
            self.is_object = bytes[0] == b'{';
            self.is_scalar = !matches!(bytes[0], b'{' | b'[' | b'"');
        }
        if self.is_scalar {
            return bytes
                .iter()
                .position(|each| matches!(each, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n'));
        }
        let mut at = 0;
        while at < bytes.len() {
            if self.in_text {
                if self.escaped {
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                at += memchr2(b'"', b'\\', &bytes[at..])? + 1;
                if bytes[at - 1] == b'\\' {
                    self.escaped = true;
                } else {
                    self.in_text = false;
                    if self.depth == 0 {
                        return Some(at);
                    }
                }
                continue;
            }
            at += bytes[at..].iter().position(|&each| STRUCTURAL[usize::from(each)])? + 1;
            match bytes[at - 1] {
                b'"' => self.in_text = true,
                b'{' | b'[' => {
                    self.depth = self.depth.saturating_add(1);
                    self.deepest = self.deepest.max(self.depth);
                }
                _ => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at);
                    }
                }
            }
        }
        None
    }
}

/// How deep a JSON text is nested, by its brackets.
pub(in super::super) fn nesting(text: &[u8]) -> u32 {
    // As if inside of something else, so that the text's own end does not end the scan.
    let mut scan = Scan::inside_array();
    scan.advance(text);
    scan.deepest - 1
}
