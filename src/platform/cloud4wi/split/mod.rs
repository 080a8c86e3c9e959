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

mod scan;
#[cfg(test)]
mod tests;

pub(super) use scan::nesting;

use self::scan::Scan;

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
                    self.scan = Scan::inside_array();
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
            let usable =
                !self.oversize && self.scan.is_object() && self.scan.deepest() <= self.limits.max_depth;
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
