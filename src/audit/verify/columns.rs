//! The columns that the database generates from an entry, as they come from it: undecoded, so that a million of them cost
//! no more than they must, and compared with the entry where they stand.
//!
//! A row is one of PostgreSQL's binary COPY format: the number of values (16 bits), and of each its length (32 bits, -1 for
//! NULL) and its bytes, integers with the highest byte first.

use bytes::{Buf as _, Bytes};

use super::source::Stored;
use crate::audit::leaf::LeafView;
use crate::audit::tlog::Hash;

/// Microseconds from 1970 to 2000, from where on PostgreSQL counts.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// The columns of [`SELECTED`] after the entry, in their order; `at` in microseconds since 2000.
const NAMES: [&str; 11] = [
    "leaf",
    "uid",
    "at",
    "organisation_id",
    "action",
    "outcome",
    "actor",
    "case_id",
    "intent",
    "writer",
    "wseq",
];

/// What is selected of a row, in the order in which [`read_row`] takes it.
pub(super) const SELECTED: &str =
    "seq, entry, leaf, uid, at, organisation_id, action, outcome, actor, case_id, intent, writer, wseq";

/// What the database generated from an entry, undecoded.
#[derive(Clone, Debug)]
pub struct Columns(Bytes);

/// Reads the row of an entry; none where it has not the form of one.
pub(super) fn read_row(mut row: Bytes) -> Option<Stored> {
    if usize::from(row.try_get_u16().ok()?) != NAMES.len() + 2 {
        return None;
    }
    let number = value(&mut row).ok()??;
    // The table refuses numbers below 1; were one there, it would be told as missing.
    let seq = i64::from_be_bytes(number.as_ref().try_into().ok()?).try_into().unwrap_or_default();
    let entry = value(&mut row).ok()??;
    Some(Stored { seq, entry, columns: Some(Columns(row)) })
}

/// A row ends where a value should stand.
#[derive(Debug, PartialEq, Eq)]
struct Truncated;

/// The next value of a row, none for NULL.
fn value(row: &mut Bytes) -> Result<Option<Bytes>, Truncated> {
    let Ok(length) = usize::try_from(row.try_get_i32().map_err(|_| Truncated)?) else { return Ok(None) };
    if length <= row.len() { Ok(Some(row.split_to(length))) } else { Err(Truncated) }
}

/// The same of a slice.
fn next<'r>(row: &mut &'r [u8]) -> Result<Option<&'r [u8]>, Truncated> {
    let (length, rest) = row.split_first_chunk::<4>().ok_or(Truncated)?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *row = rest;
        return Ok(None);
    };
    let (value, rest) = rest.split_at_checked(length).ok_or(Truncated)?;
    *row = rest;
    Ok(Some(value))
}

impl Columns {
    /// The name of the first column that says something else than the entry, or cannot be read.
    pub(super) fn first_difference(&self, leaf: LeafView<'_>, own: Hash) -> Option<&'static str> {
        let number = |number: u64| i64::try_from(number).ok();
        // An instant that PostgreSQL cannot tell from "infinity" is that of no entry.
        let at = number(leaf.at_us()).map(|at| at.wrapping_sub(POSTGRES_EPOCH_US).to_be_bytes());
        let (id, case, intent) = (leaf.id(), leaf.case(), leaf.intent());
        let wseq = leaf.n().and_then(number).map(i64::to_be_bytes);
        let expected: [Option<&[u8]>; NAMES.len()] = [
            Some(own.as_bytes()),
            Some(id.as_bytes()),
            at.as_ref().map(<[u8; 8]>::as_slice),
            leaf.tenant().map(str::as_bytes),
            Some(leaf.action().as_bytes()),
            leaf.outcome().map(str::as_bytes),
            Some(leaf.actor().as_bytes()),
            case.as_ref().map(|case| case.as_bytes().as_slice()),
            intent.as_ref().map(|intent| intent.as_bytes().as_slice()),
            leaf.w().map(str::as_bytes),
            wseq.as_ref().map(<[u8; 8]>::as_slice),
        ];
        let mut row: &[u8] = &self.0;
        NAMES
            .into_iter()
            .zip(expected)
            .find(|(_, expected)| next(&mut row) != Ok(*expected))
            .map(|(name, _)| name)
    }
}
