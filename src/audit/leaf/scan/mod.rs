//! Reads an entry in one pass over its bytes, and leaves its words where they stand.
//!
//! An entry has one spelling, so that nothing of it need be built to be compared: the keys are expected in their order,
//! each word up to its quotation mark, each number in its shortest form. Whoever verifies millions of entries keeps the
//! bytes and looks into them; whoever wants an entry to keep has [`LeafView::to_leaf`].
//!
//! What is accepted here, is what [`Leaf::to_bytes`](super::Leaf::to_bytes) writes and nothing else. A test compares it
//! with a general reader of JSON whose result is checked and written again. Why bytes were refused is found out by the
//! same, in [`super::refusal`].

use std::cmp::Ordering;

use bytes::Bytes;
use uuid::Uuid;

use super::{
    DetailValue, Leaf, LeafError, MAX_LEAF_BYTES, TOO_LARGE, is_action, is_actor, is_build, is_detail_number,
    is_detail_word, is_key, is_outcome, is_sha256, is_tenant, is_writer, refusal,
};

/// Where a word stands: offsets into the bytes of an entry, which has no more than 65,535.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: u16,
    to: u16,
}

/// The fields of an entry, words as places.
#[derive(Clone, Debug)]
struct Fields {
    action: Span,
    actor: Span,
    at_us: u64,
    build: Option<Span>,
    case: Option<Uuid>,
    /// What stands between the braces.
    detail: Span,
    id: Uuid,
    intent: Option<Uuid>,
    n: Option<u64>,
    outcome: Option<Span>,
    policy: Option<Span>,
    sealed_us: Option<u64>,
    subject_c: Option<Span>,
    tenant: Option<Span>,
    v: u8,
    w: Option<Span>,
}

/// The bytes of an entry, read.
#[derive(Clone, Debug)]
pub(in crate::audit) struct LeafBytes {
    bytes: Bytes,
    fields: Fields,
}

impl LeafBytes {
    /// Reads an entry; see [`Leaf`] for the language.
    pub(in crate::audit) fn of(bytes: Bytes) -> Result<Self, LeafError> {
        let fields = Fields::of(&bytes)?;
        Ok(Self { bytes, fields })
    }

    pub(in crate::audit) fn view(&self) -> LeafView<'_> {
        LeafView::of(&self.bytes, &self.fields)
    }
}

/// Reads an entry into fields of its own.
pub(super) fn parse(bytes: &[u8]) -> Result<Leaf, LeafError> {
    let fields = Fields::of(bytes)?;
    Ok(LeafView::of(bytes, &fields).to_leaf())
}

/// A look at the fields of an entry that was read.
#[derive(Clone, Copy, Debug)]
pub(in crate::audit) struct LeafView<'a> {
    text: &'a str,
    fields: &'a Fields,
}

/// A value of `detail`, where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::audit) enum DetailView<'a> {
    Flag(bool),
    Number(i64),
    Word(&'a str),
}

impl<'a> LeafView<'a> {
    fn of(bytes: &'a [u8], fields: &'a Fields) -> Self {
        // All of it is ASCII: its keys are, and the rule of each word says so.
        Self { text: std::str::from_utf8(bytes).unwrap_or_default(), fields }
    }

    fn word(self, span: Span) -> &'a str {
        self.text.get(usize::from(span.from)..usize::from(span.to)).unwrap_or_default()
    }

    /// All of it, as it is spelled.
    pub(in crate::audit) fn text(self) -> &'a str {
        self.text
    }

    pub(in crate::audit) fn action(self) -> &'a str {
        self.word(self.fields.action)
    }

    pub(in crate::audit) fn actor(self) -> &'a str {
        self.word(self.fields.actor)
    }

    pub(in crate::audit) fn at_us(self) -> u64 {
        self.fields.at_us
    }

    pub(in crate::audit) fn case(self) -> Option<Uuid> {
        self.fields.case
    }

    pub(in crate::audit) fn id(self) -> Uuid {
        self.fields.id
    }

    pub(in crate::audit) fn intent(self) -> Option<Uuid> {
        self.fields.intent
    }

    pub(in crate::audit) fn n(self) -> Option<u64> {
        self.fields.n
    }

    pub(in crate::audit) fn outcome(self) -> Option<&'a str> {
        self.fields.outcome.map(|span| self.word(span))
    }

    pub(in crate::audit) fn subject_c(self) -> Option<&'a str> {
        self.fields.subject_c.map(|span| self.word(span))
    }

    pub(in crate::audit) fn tenant(self) -> Option<&'a str> {
        self.fields.tenant.map(|span| self.word(span))
    }

    pub(in crate::audit) fn v(self) -> u8 {
        self.fields.v
    }

    pub(in crate::audit) fn w(self) -> Option<&'a str> {
        self.fields.w.map(|span| self.word(span))
    }

    /// The detail as it is spelled, with its braces.
    pub(in crate::audit) fn detail_text(self) -> &'a str {
        let Span { from, to } = self.fields.detail;
        self.word(Span { from: from.saturating_sub(1), to: to.saturating_add(1) })
    }

    /// The values of the detail in the order of their keys.
    pub(in crate::audit) fn detail(self) -> impl Iterator<Item = (&'a str, DetailView<'a>)> {
        let mut scanner = Scanner { bytes: self.text.as_bytes(), at: usize::from(self.fields.detail.from) };
        std::iter::from_fn(move || {
            // They were read once, so that they end where something else begins.
            scanner.skip(b",");
            let (key, value) = scanner.member()?;
            let value = match value {
                Value::Flag(flag) => DetailView::Flag(flag),
                Value::Number(number) => DetailView::Number(number),
                Value::Word(span) => DetailView::Word(self.word(span)),
            };
            Some((self.word(key), value))
        })
    }

    /// The number of that key; none where it has none or another kind of value.
    pub(in crate::audit) fn detail_number(self, wanted: &str) -> Option<i64> {
        self.detail().find_map(|(key, value)| match value {
            DetailView::Number(number) if key == wanted => Some(number),
            _ => None,
        })
    }

    /// The word of that key; none where it has none or another kind of value.
    pub(in crate::audit) fn detail_word(self, wanted: &str) -> Option<&'a str> {
        self.detail().find_map(|(key, value)| match value {
            DetailView::Word(word) if key == wanted => Some(word),
            _ => None,
        })
    }

    /// The entry with fields of its own.
    pub(in crate::audit) fn to_leaf(self) -> Leaf {
        let owned = |span: Option<Span>| span.map(|span| self.word(span).to_owned());
        let detail = self.detail().map(|(key, value)| {
            let value = match value {
                DetailView::Flag(flag) => DetailValue::Flag(flag),
                DetailView::Number(number) => DetailValue::Number(number),
                DetailView::Word(word) => DetailValue::Word(word.to_owned()),
            };
            (key.to_owned(), value)
        });
        Leaf {
            action: self.action().to_owned(),
            actor: self.actor().to_owned(),
            at_us: self.fields.at_us,
            build: owned(self.fields.build),
            case: self.fields.case,
            detail: detail.collect(),
            id: self.fields.id,
            intent: self.fields.intent,
            n: self.fields.n,
            outcome: owned(self.fields.outcome),
            policy: owned(self.fields.policy),
            sealed_us: self.fields.sealed_us,
            subject_c: owned(self.fields.subject_c),
            tenant: owned(self.fields.tenant),
            v: self.fields.v,
            w: owned(self.fields.w),
        }
    }
}

impl Fields {
    fn of(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > MAX_LEAF_BYTES {
            return Err(LeafError::TooLong(bytes.len()));
        }
        let mut scanner = Scanner { bytes, at: 0 };
        scanner.entry().ok_or_else(|| refusal(bytes))
    }
}

/// A value of `detail`, a word as its place.
enum Value {
    Flag(bool),
    Number(i64),
    Word(Span),
}

/// The key of a field, and not its value.
struct SomethingElse;

/// Goes over the bytes of an entry once. Each method answers with nothing where something else stands.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    /// All fields in their order, and nothing after them.
    fn entry(&mut self) -> Option<Fields> {
        self.expect(b"{\"action\":\"")?;
        let action = self.word(is_action)?;
        self.expect(b",\"actor\":\"")?;
        let actor = self.word(is_actor)?;
        self.expect(b",\"at_us\":")?;
        let at_us = self.number()?;
        let build = self.optional(b",\"build\":\"", |scanner| scanner.word(is_build)).ok()?;
        let case = self.optional(b",\"case\":\"", Self::uuid).ok()?;
        self.expect(b",\"detail\":{")?;
        let detail = self.detail()?;
        self.expect(b",\"id\":\"")?;
        let id = self.uuid()?;
        let intent = self.optional(b",\"intent\":\"", Self::uuid).ok()?;
        let n = self.optional(b",\"n\":", Self::number).ok()?;
        let outcome = self.optional(b",\"outcome\":\"", |scanner| scanner.word(is_outcome)).ok()?;
        let policy = self.optional(b",\"policy\":\"", |scanner| scanner.word(is_sha256)).ok()?;
        let sealed_us = self.optional(b",\"sealed_us\":", Self::number).ok()?;
        let subject_c = self.optional(b",\"subject_c\":\"", |scanner| scanner.word(is_sha256)).ok()?;
        let tenant = self.optional(b",\"tenant\":\"", |scanner| scanner.word(is_tenant)).ok()?;
        self.expect(b",\"v\":")?;
        let v = u8::try_from(self.number()?).ok().filter(|v| *v <= 1)?;
        let w = self.optional(b",\"w\":\"", |scanner| scanner.word(is_writer)).ok()?;
        self.expect(b"}")?;
        (self.at == self.bytes.len()).then_some(Fields {
            action,
            actor,
            at_us,
            build,
            case,
            detail,
            id,
            intent,
            n,
            outcome,
            policy,
            sealed_us,
            subject_c,
            tenant,
            v,
            w,
        })
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, text: &[u8]) -> bool {
        let is_there = self.rest().starts_with(text);
        if is_there {
            self.at += text.len();
        }
        is_there
    }

    fn expect(&mut self, text: &[u8]) -> Option<()> {
        self.skip(text).then_some(())
    }

    /// A field that may be left out: none where its key does not stand here.
    fn optional<T>(
        &mut self,
        key: &[u8],
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<Option<T>, SomethingElse> {
        if self.skip(key) { read(self).map(Some).ok_or(SomethingElse) } else { Ok(None) }
    }

    /// A word up to its quotation mark. No rule allows what JSON writes with a backslash, nor the backslash.
    fn word(&mut self, rule: impl Fn(&[u8]) -> bool) -> Option<Span> {
        let rest = self.rest();
        let length = memchr::memchr(b'"', rest)?;
        if !rest.get(..length).is_some_and(rule) {
            return None;
        }
        let span = Span { from: self.at.try_into().ok()?, to: (self.at + length).try_into().ok()? };
        self.at += length + 1;
        Some(span)
    }

    /// Digits in their shortest form, below 2^53.
    fn number(&mut self) -> Option<u64> {
        let rest = self.rest();
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = rest.get(..length).filter(|digits| (1..=16).contains(&digits.len()))?;
        if length > 1 && digits.first() == Some(&b'0') {
            return None;
        }
        let number = digits.iter().fold(0, |number: u64, digit| number * 10 + u64::from(digit - b'0'));
        self.at += length;
        (number < TOO_LARGE).then_some(number)
    }

    /// 36 characters with small letters, and the quotation mark.
    fn uuid(&mut self) -> Option<Uuid> {
        const LENGTH: usize = 36;
        let text = self.rest().get(..LENGTH)?;
        if text.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        let uuid = Uuid::try_parse_ascii(text).ok()?;
        self.at += LENGTH;
        self.expect(b"\"")?;
        Some(uuid)
    }

    /// The members of the detail, each key once and in their order, and the brace behind them.
    fn detail(&mut self) -> Option<Span> {
        let from = self.at;
        let mut last: Option<Span> = None;
        if !self.rest().starts_with(b"}") {
            loop {
                let (key, _) = self.member()?;
                if last.is_some_and(|last| self.slice(last).cmp(self.slice(key)) != Ordering::Less) {
                    return None;
                }
                last = Some(key);
                if !self.skip(b",") {
                    break;
                }
            }
        }
        let to = self.at;
        self.expect(b"}")?;
        Some(Span { from: from.try_into().ok()?, to: to.try_into().ok()? })
    }

    fn slice(&self, span: Span) -> &[u8] {
        self.bytes.get(usize::from(span.from)..usize::from(span.to)).unwrap_or_default()
    }

    fn member(&mut self) -> Option<(Span, Value)> {
        self.expect(b"\"")?;
        let key = self.word(is_key)?;
        self.expect(b":")?;
        let value = match self.rest().first()? {
            b'"' => {
                self.at += 1;
                Value::Word(self.word(is_detail_word)?)
            }
            b't' => self.expect(b"true").map(|()| Value::Flag(true))?,
            b'f' => self.expect(b"false").map(|()| Value::Flag(false))?,
            b'-' => {
                self.at += 1;
                // There is no "-0".
                let number = self.number().filter(|number| *number > 0)?;
                Value::Number(-i64::try_from(number).ok()?)
            }
            _ => Value::Number(self.number()?.try_into().ok()?),
        };
        if let Value::Number(number) = value
            && !is_detail_number(number)
        {
            return None;
        }
        Some((key, value))
    }
}

#[cfg(test)]
mod tests;
