//! Time-stamped heads as files, beside a log in the layout of tlog-tiles: for whoever checks it without its database.
//!
//! | File | Content |
//! |---|---|
//! | `timestamps/index` | a line a head, smallest first: its size, a space, how many tokens it has |
//! | `timestamps/SIZE.note` | the head of that size: its signed note, with the signatures of witnesses that were kept |
//! | `timestamps/SIZE-N.der` | its N-th time-stamp (RFC 3161), as it came from the authority; N from 1 |
//!
//! An export, the published directory and the bucket hold them, `verify` reads them. Pure: no file is touched here.
//!
//! Invariants:
//! - The index has one spelling: what is read is written back the same.
//! - It is written after the files that it names, and after a checkpoint of at least its newest size.
//!
//! Nothing signs the index: a head or token that is left out of it is only a proof less. What each file says is checked by
//! itself, as that of the database is.

use std::collections::BTreeMap;

/// Where the index stands.
pub(super) const INDEX: &str = "timestamps/index";

/// The longest index: a head an hour for a hundred years.
pub(super) const MAX_INDEX_BYTES: usize = 16 * 1024 * 1024;

/// The longest token that is read.
pub(super) const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// The most tokens of one head.
const MAX_TOKENS: u16 = 99;

/// Where the note of a head stands.
pub(super) fn note_path(size: u64) -> String {
    format!("timestamps/{size}.note")
}

/// Where a token of a head stands; the first has the number 1.
pub(super) fn token_path(size: u64, number: u16) -> String {
    format!("timestamps/{size}-{number}.der")
}

/// Which heads have how many tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StampedHeads(BTreeMap<u64, u16>);

impl StampedHeads {
    /// Reads an index; the error says what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is no text")?;
        let mut heads = BTreeMap::new();
        let mut before = 0;
        for line in text.split_inclusive('\n') {
            let line = line.strip_suffix('\n').ok_or("its last line has no end")?;
            let (size, tokens) = line.split_once(' ').ok_or("a line is not a size and a number")?;
            let size: u64 = number(size).ok_or("a size is no number from 1 on")?;
            let tokens = number(tokens).and_then(|tokens| u16::try_from(tokens).ok());
            let tokens = tokens.filter(|tokens| *tokens <= MAX_TOKENS).ok_or("a number of tokens is none")?;
            if size <= before {
                return Err("its sizes do not ascend");
            }
            before = size;
            heads.insert(size, tokens);
        }
        Ok(Self(heads))
    }

    /// The index as it is written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let lines = self.0.iter().map(|(size, tokens)| format!("{size} {tokens}\n"));
        lines.collect::<String>().into_bytes()
    }

    /// One more token of a head: its number, and `None` where the head has too many.
    pub(super) fn add(&mut self, size: u64) -> Option<u16> {
        let tokens = self.0.entry(size).or_default();
        *tokens = (*tokens + 1).min(MAX_TOKENS + 1);
        let number = *tokens;
        *tokens = number.min(MAX_TOKENS);
        (number <= MAX_TOKENS).then_some(number)
    }

    /// The size of the largest head; 0 where there is none.
    pub(super) fn newest(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(size, _)| *size)
    }

    /// Sizes above `after` and up to `end` with their numbers of tokens, smallest first.
    pub(super) fn between(&self, after: u64, end: u64) -> impl Iterator<Item = (u64, u16)> + '_ {
        let wanted = self.0.range(after.saturating_add(1)..).take_while(move |(size, _)| **size <= end);
        wanted.map(|(size, tokens)| (*size, *tokens))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A number from 1 on in its one spelling.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number > 0 && number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_read_as_it_is_written() {
        let mut heads = StampedHeads::default();
        assert_eq!((heads.newest(), heads.to_bytes()), (0, Vec::new()));
        assert_eq!([heads.add(7), heads.add(52_736), heads.add(7)], [Some(1), Some(1), Some(2)]);
        assert_eq!(heads.to_bytes(), b"7 2\n52736 1\n");
        assert_eq!(StampedHeads::from_bytes(&heads.to_bytes()), Ok(heads.clone()));
        assert_eq!(StampedHeads::from_bytes(b""), Ok(StampedHeads::default()));
        assert_eq!(heads.newest(), 52_736);
        let between = |after, end| heads.between(after, end).collect::<Vec<_>>();
        assert_eq!(between(0, u64::MAX), [(7, 2), (52_736, 1)]);
        assert_eq!(between(6, 7), [(7, 2)]);
        assert!(between(7, 52_735).is_empty() && between(u64::MAX, u64::MAX).is_empty());
    }

    #[test]
    fn an_index_in_another_spelling_is_refused() {
        for wrong in [
            &b"7 2"[..],
            b"7 2\r\n",
            b"07 2\n",
            b"+7 2\n",
            b"0 1\n",
            b"7 0\n",
            b"7 100\n",
            b"7 2 \n",
            b"7\n",
            b"\n",
            b"7 1\n7 1\n",
            b"8 1\n7 1\n",
            b"18446744073709551616 1\n",
            b"\xff 1\n",
        ] {
            assert!(StampedHeads::from_bytes(wrong).is_err(), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn a_head_has_no_more_tokens_than_are_read() {
        let mut heads = StampedHeads::default();
        let numbers: Vec<_> = (0..101).filter_map(|_| heads.add(1)).collect();
        assert_eq!(numbers.len(), 99);
        assert!(StampedHeads::from_bytes(&heads.to_bytes()).is_ok());
    }
}
