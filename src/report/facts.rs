//! What can be said about a whole list in one line: its time span and how often each kind of entry occurs.

use super::Section;
use super::cells;
use super::flatten::Kind;
use super::table::{Columns, Row};

/// Fields that hold an instant in UTC or a date; those whose name ends in `Local` do not count, whatever zone their
/// text claims.
const INSTANTS: [&str; 9] =
    ["createdAt", "startAt", "date", "start", "stop", "created", "lastConnection", "received_at", "utcTime"];
/// Paths that hold the kind of an event.
const KINDS: [&str; 2] = ["event.type", "type"];
/// So many kinds are told apart.
const MOST_KINDS: usize = 12;
/// A kind is cut after so many characters.
const KIND_LENGTH: usize = 60;

/// A calendar day as `YYYY-MM-DD`; text of this form sorts like the days themselves.
type Day = [u8; 10];

/// What is known about the records of one section as a whole.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What each column means, by place; grows with the columns.
    roles: Vec<Role>,
    span: Option<(Day, Day)>,
    /// The text of each kind in the records (escapes unresolved), cut, with its number.
    kinds: Vec<(String, u64)>,
    further_kinds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Instant,
    Kind,
    None,
}

impl Facts {
    pub(super) fn note(&mut self, section: Section, record: &str, row: &Row, columns: &Columns) {
        // Malformed records take their columns back, so the roles may be longer than the columns for a while.
        let known = self.roles.len().min(columns.names().len());
        self.roles.truncate(known);
        self.roles.extend(columns.names()[known..].iter().map(|name| role(section, name)));
        for (leaf, role) in row.cells().iter().zip(&self.roles) {
            match (leaf, role) {
                (Some(leaf), Role::Instant) if leaf.kind == Kind::Plain => {
                    if let Some(day) = day(leaf.of(record)) {
                        let (first, last) = self.span.get_or_insert((day, day));
                        *first = day.min(*first);
                        *last = day.max(*last);
                    }
                }
                (Some(leaf), Role::Kind) => {
                    let kind = beginning(leaf.of(record));
                    if let Some((_, count)) = self.kinds.iter_mut().find(|(known, _)| known == kind) {
                        *count += 1;
                    } else if self.kinds.len() < MOST_KINDS {
                        self.kinds.push((kind.to_owned(), 1));
                    } else {
                        self.further_kinds += 1;
                    }
                }
                _ => {}
            }
        }
    }

    /// The first and the last day named in the records.
    pub(super) fn span(&self) -> Option<(&str, &str)> {
        let (first, last) = self.span.as_ref()?;
        Some((std::str::from_utf8(first).ok()?, std::str::from_utf8(last).ok()?))
    }

    /// The kinds of entries with their numbers, most frequent first, and the number of entries of all further kinds.
    pub(super) fn kinds(&self) -> (Vec<(String, u64)>, u64) {
        let mut kinds: Vec<_> =
            self.kinds.iter().map(|(kind, count)| (cells::resolved(kind), *count)).collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        (kinds, self.further_kinds)
    }
}

fn role(section: Section, name: &str) -> Role {
    match section {
        Section::Profile | Section::Consents => Role::None,
        Section::Events if KINDS.contains(&name) => Role::Kind,
        _ if INSTANTS.contains(&name.rsplit('.').next().unwrap_or(name)) => Role::Instant,
        _ => Role::None,
    }
}

/// The text cut to the length of a kind.
fn beginning(text: &str) -> &str {
    text.char_indices().nth(KIND_LENGTH).map_or(text, |(cut, _)| &text[..cut])
}

fn day(text: &str) -> Option<Day> {
    let day: Day = text.as_bytes().get(..10)?.try_into().ok()?;
    let well_formed = day.iter().enumerate().all(|(place, byte)| match place {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    well_formed.then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_kinds_come_from_utc_fields_only() {
        let mut columns = Columns::new(10);
        let mut row = Row::default();
        let mut facts = Facts::default();
        for record in [
            r#"{"event":{"type":"login"},"when":{"createdAt":"2024-05-02T00:00:00Z"}}"#,
            r#"{"event":{"type":"visit"},"when":{"createdAtLocal":"2020-01-01T00:00:00Z"}}"#,
            r#"{"event":{"type":"visit"},"when":{"createdAt":"2023-12-31T00:00:00Z"}}"#,
            r#"{"event":{"type":"visit"},"when":{"createdAt":"yesterday, maybe"}}"#,
        ] {
            row.lay_out(record, &mut columns).unwrap();
            facts.note(Section::Events, record, &row, &columns);
        }
        assert_eq!(facts.span(), Some(("2023-12-31", "2024-05-02")));
        assert_eq!(facts.kinds(), (vec![("visit".to_owned(), 3), ("login".to_owned(), 1)], 0));
    }
}
