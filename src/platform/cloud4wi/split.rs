//! Finds the list of records in an answer while the answer is still arriving.
//!
//! Bytes go in by [`Splitter::push`], in pieces of any size; each record comes out as the exact bytes that the platform
//! wrote. What is held at any time is one piece and one record, however long the answer is.
//!
//! The vendor does not document the envelope of most lists, so three shapes are accepted: a bare array; an object with
//! an array under one of the known names; an object with exactly one array of objects. Anything else is an error and
//! never an empty list. Records of an array under an unknown name are held back until the rest of the envelope has
//! shown that it is the only one, or until they exceed [`HELD_BYTES`].
//!
//! A record that is too long, too deep or no JSON object is counted and left out; it does not spoil its neighbours. The
//! splitter follows strings and brackets only; that a record is JSON is for the sink to check.

use memchr::memchr2;

/// Until this size, records of an array of unknown name wait for the end of the answer.
const HELD_BYTES: usize = 1024 * 1024;
/// The most bytes that are kept of what stands beside the list.
const METADATA_BYTES: usize = 32 * 1024;
/// The longest name of a member of the envelope.
const LONGEST_KEY: usize = 1024;

/// Why an answer holds no readable list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SplitError {
    /// The answer ended in the middle.
    Cut,
    /// The answer is not a list in any known envelope. The text never repeats content.
    Shape(&'static str),
}

/// What one record may measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordLimits {
    pub(super) max_bytes: usize,
    pub(super) max_depth: u32,
}

/// Takes one record; `false` says that it could not be read.
pub(super) type Sink<'a> = dyn FnMut(&[u8]) -> bool + Send + 'a;

/// What stood beside the list: the members of the envelope, by name, as JSON text.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    members: Vec<(String, Vec<u8>)>,
}

impl Envelope {
    /// The JSON text of a member.
    pub(super) fn member(&self, name: &str) -> Option<&[u8]> {
        self.members.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_slice())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Key { first: bool },
    KeyText,
    Colon,
    Value,
    Metadata,
    ArrayStart,
    Element { first: bool },
    ElementText,
    ElementEnd,
    MemberEnd,
    Done,
}

/// What to do with the records of the array that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Deliver,
    Hold,
    Skip,
}

/// Splits one answer. See the module's text.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one answer")]
pub(super) struct Splitter {
    names: &'static [&'static str],
    limits: RecordLimits,
    state: State,
    scan: Scan,
    /// The beginning of the text that is being read, when it began in an earlier piece.
    partial: Vec<u8>,
    /// The text that is being read exceeds its limit; it is followed and not kept.
    oversize: bool,
    key: String,
    in_envelope: bool,
    fate: Fate,
    found: bool,
    guessed: bool,
    candidates: u32,
    held: Vec<Vec<u8>>,
    held_bytes: usize,
    bom: usize,
    records: u64,
    unreadable: u64,
    envelope: Envelope,
    metadata_bytes: usize,
}

impl Splitter {
    /// A splitter that takes the arrays of these names for the list, and a bare or only array in any case.
    pub(super) fn new(names: &'static [&'static str], limits: RecordLimits) -> Self {
        Self {
            names,
            limits,
            state: State::Start,
            scan: Scan::default(),
            partial: Vec::new(),
            oversize: false,
            key: String::new(),
            in_envelope: false,
            fate: Fate::Deliver,
            found: false,
            guessed: false,
            candidates: 0,
            held: Vec::new(),
            held_bytes: 0,
            bom: 0,
            records: 0,
            unreadable: 0,
            envelope: Envelope::default(),
            metadata_bytes: 0,
        }
    }

    /// How many records were delivered, readable or not.
    pub(super) const fn records(&self) -> u64 {
        self.records
    }

    /// How many of them could not be read.
    pub(super) const fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Takes the next piece of the answer and hands every record that is complete to `sink`.
    pub(super) fn push(&mut self, piece: &[u8], sink: &mut Sink<'_>) -> Result<(), SplitError> {
        let mut at = 0;
        while at < piece.len() {
            at = self.step(piece, at, sink)?;
        }
        Ok(())
    }

    /// Ends the answer: it must be complete and hold a list.
    pub(super) fn finish(&mut self, sink: &mut Sink<'_>) -> Result<Envelope, SplitError> {
        match self.state {
            State::Done => {}
            State::Start => return Err(SplitError::Shape("the body is empty")),
            _ => return Err(SplitError::Cut),
        }
        if !self.found {
            match self.candidates {
                // A refusal in a success status has no list, and its words are needed.
                0 if self.envelope.member("status").is_some_and(|text| text == b"\"KO\"") => {}
                0 => return Err(SplitError::Shape("unrecognised envelope: no list in the answer")),
                1 => self.deliver_held(sink),
                _ => {
                    return Err(SplitError::Shape(
                        "unrecognised envelope: several lists, none of a known name",
                    ));
                }
            }
        }
        Ok(std::mem::take(&mut self.envelope))
    }

    /// Reads on from `at`; returns where to go on.
    fn step(&mut self, piece: &[u8], at: usize, sink: &mut Sink<'_>) -> Result<usize, SplitError> {
        match self.state {
            State::KeyText => return self.key_text(piece, at),
            State::Metadata => return Ok(self.metadata(piece, at)),
            State::ElementText => return Ok(self.element(piece, at, sink)),
            _ => {}
        }
        let byte = piece[at];
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            return Ok(at + 1);
        }
        match self.state {
            State::Start => self.start(byte)?,
            State::Key { first } => match byte {
                b'"' => {
                    self.begin(State::KeyText);
                    return Ok(at);
                }
                b'}' if first => self.state = State::Done,
                _ => return Err(SplitError::Shape("broken JSON in the envelope")),
            },
            State::Colon => match byte {
                b':' => self.state = State::Value,
                _ => return Err(SplitError::Shape("broken JSON in the envelope")),
            },
            State::Value => {
                if byte == b'[' {
                    self.array()?;
                } else {
                    self.begin(State::Metadata);
                    return Ok(at);
                }
            }
            State::ArrayStart => match byte {
                b'{' => {
                    self.guess()?;
                    return Ok(at);
                }
                b']' => self.state = State::MemberEnd,
                _ => {
                    // An array of something else: followed to its end as a part of the metadata.
                    self.begin(State::Metadata);
                    self.scan.depth = 1;
                    self.scan.started = true;
                    self.oversize = true;
                    return Ok(at);
                }
            },
            State::Element { first } => match byte {
                b']' if first => self.end_of_array(),
                b',' | b']' | b'}' | b':' => return Err(SplitError::Shape("broken JSON in the list")),
                _ => {
                    self.begin(State::ElementText);
                    return Ok(at);
                }
            },
            State::ElementEnd => match byte {
                b',' => self.state = State::Element { first: false },
                b']' => self.end_of_array(),
                _ => return Err(SplitError::Shape("broken JSON in the list")),
            },
            State::MemberEnd => match byte {
                b',' => self.state = State::Key { first: false },
                b'}' => self.state = State::Done,
                _ => return Err(SplitError::Shape("broken JSON in the envelope")),
            },
            State::Done => return Err(SplitError::Shape("there is more after the end of the answer")),
            State::KeyText | State::Metadata | State::ElementText => {}
        }
        Ok(at + 1)
    }

    fn start(&mut self, byte: u8) -> Result<(), SplitError> {
        const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];
        if self.bom < BOM.len() && byte == BOM[self.bom] {
            self.bom += 1;
            return Ok(());
        }
        match byte {
            b'[' => {
                self.found = true;
                self.fate = Fate::Deliver;
                self.state = State::Element { first: true };
            }
            b'{' => {
                self.in_envelope = true;
                self.state = State::Key { first: true };
            }
            b'<' => return Err(SplitError::Shape("the body is HTML or XML")),
            b'n' => return Err(SplitError::Shape("the body is null")),
            _ => return Err(SplitError::Shape("the body is no JSON object or array")),
        }
        Ok(())
    }

    fn begin(&mut self, state: State) {
        self.state = state;
        self.scan = Scan::default();
        self.partial.clear();
        self.oversize = false;
    }

    fn key_text(&mut self, piece: &[u8], at: usize) -> Result<usize, SplitError> {
        let (end, complete) = self.follow(piece, at, LONGEST_KEY);
        if complete {
            let text = if self.partial.is_empty() { &piece[at..end] } else { &self.partial };
            self.key = if self.oversize {
                return Err(SplitError::Shape("a name in the envelope is too long"));
            } else {
                serde_json::from_slice(text).map_err(|_| SplitError::Shape("broken JSON in the envelope"))?
            };
            self.state = State::Colon;
        }
        Ok(end)
    }

    fn metadata(&mut self, piece: &[u8], at: usize) -> usize {
        let left = METADATA_BYTES.saturating_sub(self.metadata_bytes + self.key.len());
        let (end, complete) = self.follow(piece, at, left);
        if complete {
            if !self.oversize {
                let text = if self.partial.is_empty() {
                    piece[at..end].to_vec()
                } else {
                    std::mem::take(&mut self.partial)
                };
                self.metadata_bytes += self.key.len() + text.len();
                self.envelope.members.push((std::mem::take(&mut self.key), text));
            }
            self.state = State::MemberEnd;
        }
        end
    }

    fn element(&mut self, piece: &[u8], at: usize, sink: &mut Sink<'_>) -> usize {
        let (end, complete) = self.follow(piece, at, self.limits.max_bytes);
        if complete {
            let usable = !self.oversize && self.scan.is_object && self.scan.deepest <= self.limits.max_depth;
            let text = if self.partial.is_empty() { &piece[at..end] } else { self.partial.as_slice() };
            match self.fate {
                Fate::Deliver => {
                    self.records += 1;
                    if !(usable && sink(text)) {
                        self.unreadable += 1;
                    }
                }
                Fate::Hold => {
                    // An empty text stands for a record that cannot be used.
                    self.held.push(if usable { text.to_vec() } else { Vec::new() });
                    self.held_bytes += text.len() + size_of::<Vec<u8>>();
                }
                Fate::Skip => {}
            }
            self.state = State::ElementEnd;
            if self.held_bytes > HELD_BYTES {
                self.found = true;
                self.guessed = true;
                self.fate = Fate::Deliver;
                self.deliver_held(sink);
            }
        }
        end
    }

    /// Follows the text that began at or before `at`. Returns where it ends in this piece and whether it is complete.
    /// What went before is in `partial` when the text did not begin in this piece.
    fn follow(&mut self, piece: &[u8], at: usize, limit: usize) -> (usize, bool) {
        let (end, complete) = match self.scan.advance(&piece[at..]) {
            Some(length) => (at + length, true),
            None => (piece.len(), false),
        };
        let length = self.partial.len() + (end - at);
        if self.oversize || length > limit {
            self.oversize = true;
            self.partial = Vec::new();
        } else if !complete || !self.partial.is_empty() {
            self.partial.extend_from_slice(&piece[at..end]);
        }
        (end, complete)
    }

    fn array(&mut self) -> Result<(), SplitError> {
        if !self.names.contains(&self.key.as_str()) {
            self.state = State::ArrayStart;
            return Ok(());
        }
        if self.found {
            return Err(SplitError::Shape("unrecognised envelope: several lists"));
        }
        self.found = true;
        self.drop_held();
        self.fate = Fate::Deliver;
        self.state = State::Element { first: true };
        Ok(())
    }

    /// An array of objects under an unknown name: perhaps the list, if it stays the only one.
    fn guess(&mut self) -> Result<(), SplitError> {
        self.candidates += 1;
        if self.guessed {
            return Err(SplitError::Shape("unrecognised envelope: several lists, none of a known name"));
        }
        self.fate = if self.found || self.candidates > 1 { Fate::Skip } else { Fate::Hold };
        self.drop_held();
        self.state = State::Element { first: true };
        Ok(())
    }

    fn end_of_array(&mut self) {
        self.state = if self.in_envelope { State::MemberEnd } else { State::Done };
    }

    fn drop_held(&mut self) {
        self.held = Vec::new();
        self.held_bytes = 0;
    }

    fn deliver_held(&mut self, sink: &mut Sink<'_>) {
        self.held_bytes = 0;
        for text in std::mem::take(&mut self.held) {
            self.records += 1;
            if text.is_empty() || !sink(&text) {
                self.unreadable += 1;
            }
        }
    }
}

/// Follows one JSON value to its end by its strings and brackets.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one value")]
struct Scan {
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
    /// Reads on; returns how many of these bytes belong to the value when it ends among them.
    fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
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
pub(super) fn nesting(text: &[u8]) -> u32 {
    let mut scan = Scan { started: true, depth: 1, deepest: 1, ..Scan::default() };
    // One level below, so that the text's own end does not end the scan.
    let _ = scan.advance(text);
    scan.deepest - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const NAMES: &[&str] = &["customers", "data"];
    const LIMITS: RecordLimits = RecordLimits { max_bytes: 64 * 1024, max_depth: 64 };

    struct Split {
        records: Vec<String>,
        unreadable: u64,
        envelope: Envelope,
    }

    fn split_in(pieces: &[&[u8]]) -> Result<Split, SplitError> {
        let mut records = Vec::new();
        let mut splitter = Splitter::new(NAMES, LIMITS);
        let mut sink = |text: &[u8]| match std::str::from_utf8(text) {
            Ok(text) if serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok() => {
                records.push(text.to_owned());
                true
            }
            _ => false,
        };
        for piece in pieces {
            splitter.push(piece, &mut sink)?;
        }
        let envelope = splitter.finish(&mut sink)?;
        let unreadable = splitter.unreadable();
        Ok(Split { records, unreadable, envelope })
    }

    fn split(text: &str) -> Result<Split, SplitError> {
        split_in(&[text.as_bytes()])
    }

    #[test]
    fn the_list_is_found_in_every_accepted_envelope_and_metadata_may_follow() {
        for text in [
            r#"[{"cid":"a"},{"cid":"b"}]"#,
            r#"{"generated":"x","size":2,"customers":[{"cid":"a"} , {"cid":"b"}],"sid":"s"}"#,
            r#"{"rows":[{"cid":"a"},{"cid":"b"}],"warnings":[],"sid":"s","codes":[1,[2],"]"]}"#,
            r#"{"links":[{"href":"x"}],"customers":[{"cid":"a"},{"cid":"b"}],"sid":"s"}"#,
            r#"{"customers":[{"cid":"a"},{"cid":"b"}],"links":[{"href":"x"}],"sid":"s"}"#,
            "\u{feff} {\"cust\\u006fmers\":[\n{\"cid\":\"a\"}\n,{\"cid\":\"b\"}]\n,\"sid\":\"s\"}\n",
        ] {
            let found = split(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(found.records, [r#"{"cid":"a"}"#, r#"{"cid":"b"}"#], "{text}");
            if text.contains("sid\":") {
                assert_eq!(found.envelope.member("sid"), Some(br#""s""#.as_slice()), "{text}");
            }
        }
    }

    #[test]
    fn f_33_an_unknown_envelope_is_an_error_and_never_an_empty_list() {
        for text in [
            "",
            "  ",
            "null",
            "<html></html>",
            "\"text\"",
            "12",
            "{}",
            r#"{"rows":[]}"#,
            r#"{"customers":null}"#,
            r#"{"rows":[{}],"others":[{}]}"#,
            r#"{"customers":[],"data":[{}]}"#,
            r#"{"a":{"customers":[{}]}}"#,
            r#"{"customers":[{}]} trailing"#,
            r#"{"customers":[,]}"#,
            "{customers:[]}",
            r#"{"a" 1}"#,
        ] {
            assert!(matches!(split(text), Err(SplitError::Shape(_))), "{text}");
        }
        assert_eq!(split(r#"{"customers":[]}"#).unwrap().records.len(), 0);
        assert_eq!(split("[]").unwrap().records.len(), 0);
    }

    #[test]
    fn f_32_an_answer_cut_anywhere_is_never_taken_for_complete() {
        let text = r#"{"customers":[{"cid":"a]"},{"cid":"b\"}"}],"sid":"s","n":12}"#;
        for cut in 1..text.len() {
            assert_eq!(split(&text[..cut]).err(), Some(SplitError::Cut), "{}", &text[..cut]);
        }
    }

    #[test]
    fn f_8_one_bad_record_among_ten_thousand_is_counted_and_left_out() {
        for bad in [
            r#"{"cid":}"#.to_owned(),
            "7".to_owned(),
            "null".to_owned(),
            "[1]".to_owned(),
            format!(r#"{{"a":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000)),
            format!(r#"{{"a":"{}"}}"#, "x".repeat(LIMITS.max_bytes)),
        ] {
            let mut text = String::from("{\"customers\":[");
            for number in 0..10_000 {
                if number == 5000 {
                    text.push_str(&bad);
                } else {
                    text.push_str(r#"{"cid":"#);
                    text.push_str(&number.to_string());
                    text.push('}');
                }
                text.push(if number == 9_999 { ']' } else { ',' });
            }
            text.push('}');
            let found = split_in(&text.as_bytes().chunks(1000).collect::<Vec<_>>()).unwrap();
            assert_eq!((found.records.len(), found.unreadable), (9_999, 1), "{bad:.20}");
        }
    }

    #[test]
    fn a_long_list_of_unknown_name_is_delivered_while_it_arrives() {
        let record = format!(r#"{{"a":"{}"}}"#, "x".repeat(1000));
        let many = vec![record.as_str(); 3000].join(",");
        let mut splitter = Splitter::new(NAMES, LIMITS);
        let mut seen = 0;
        let mut sink = |_: &[u8]| {
            seen += 1;
            true
        };
        splitter.push(format!(r#"{{"rows":[{many}"#).as_bytes(), &mut sink).unwrap();
        assert!(splitter.held_bytes == 0 && splitter.records() > 2000);
        splitter.push(br#"],"others":["#, &mut sink).unwrap();
        // Records were handed out already; a second list makes the answer ambiguous, loudly.
        assert!(splitter.push(b"{}]}", &mut sink).is_err());
        assert!(seen >= 2999);
    }

    #[test]
    fn nesting_counts_brackets_outside_of_strings() {
        assert_eq!(nesting(br#"{"a":[{"b":"[[[["}]}"#), 3);
        assert_eq!(nesting(b"12"), 0);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[ -~\"\\\\\\[\\]{},:é\u{2028}\n]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec(("[a-c\"\\\\]{0,3}", inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_list_in_any_pieces_gives_the_records_that_serde_json_reads(
            list in prop::collection::vec(json(), 0..8),
            before in json(), after in json(), bare in any::<bool>(), pretty in any::<bool>(), size in 1_usize..40,
        ) {
            let whole = if bare {
                Value::from(list.clone())
            } else {
                serde_json::json!({"customers": list, "a_before": before, "z_after": after})
            };
            let text = if pretty { serde_json::to_string_pretty(&whole) } else { serde_json::to_string(&whole) }.unwrap();
            let found = split_in(&text.as_bytes().chunks(size).collect::<Vec<_>>()).unwrap();
            let read: Vec<Value> = found.records.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
            // What serde_json itself reads is the measure: floats lose digits on their way through text.
            let again: Value = serde_json::from_str(&text).unwrap();
            let expected = if bare { again } else { again["customers"].clone() };
            let objects: Vec<Value> = expected.as_array().unwrap().iter().filter(|each| each.is_object()).cloned().collect();
            prop_assert_eq!(found.unreadable, (list.len() - objects.len()) as u64);
            prop_assert_eq!(read, objects);
            if !bare && !after.is_array() {
                let kept: Value = serde_json::from_slice(found.envelope.member("z_after").unwrap()).unwrap();
                prop_assert_eq!(kept, serde_json::from_str::<Value>(&text).unwrap()["z_after"].clone());
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1_usize..20) {
            drop(split_in(&bytes.chunks(size).collect::<Vec<_>>()));
        }

        #[test]
        fn any_text_of_json_characters_is_read_without_panic(text in "[\\[\\]{}\",:a1 \\\\]{0,60}", size in 1_usize..20) {
            drop(split_in(&text.as_bytes().chunks(size).collect::<Vec<_>>()));
        }
    }
}
