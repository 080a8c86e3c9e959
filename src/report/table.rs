//! The records of one section as a table: which columns there are, and one record as a row of them.

use std::collections::HashMap;

use super::flatten::{LONGEST_PATH, Leaf, Malformed, flatten};

/// The column for everything that has no column of its own.
pub(super) const REST: &str = "other";

/// The columns of a section, in the order in which they were first met.
#[derive(Debug)]
pub(super) struct Columns {
    names: Vec<String>,
    places: HashMap<String, usize>,
    most: usize,
    /// Whether any record had something without a column of its own.
    rest: bool,
}

impl Columns {
    pub(super) fn new(most: usize) -> Self {
        Self { names: Vec::new(), places: HashMap::new(), most, rest: false }
    }

    /// The same columns, to which no more can be added.
    pub(super) fn frozen(&self) -> Self {
        Self {
            names: self.names.clone(),
            places: self.places.clone(),
            most: self.names.len(),
            rest: self.rest,
        }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) const fn has_rest(&self) -> bool {
        self.rest
    }

    /// The place of a path; a new column while there is room for one. `guess` is tried first, because records of one
    /// kind have their fields in one order.
    fn place(&mut self, path: &str, guess: usize) -> Option<usize> {
        if self.names.get(guess).is_some_and(|name| name == path) {
            return Some(guess);
        }
        if let Some(place) = self.places.get(path) {
            return Some(*place);
        }
        if self.names.len() == self.most || path.len() > LONGEST_PATH {
            return None;
        }
        self.names.push(path.to_owned());
        self.places.insert(path.to_owned(), self.names.len() - 1);
        Some(self.names.len() - 1)
    }

    /// How far the columns have come, for [`Columns::restore`].
    pub(super) const fn mark(&self) -> (usize, bool) {
        (self.names.len(), self.rest)
    }

    /// Takes back everything that came since a mark.
    pub(super) fn restore(&mut self, (count, rest): (usize, bool)) {
        self.shrink(count);
        self.rest = rest;
    }

    /// Takes back the columns that came after the first `count`.
    fn shrink(&mut self, count: usize) {
        for name in self.names.drain(count..) {
            self.places.remove(&name);
        }
    }
}

/// One record laid out in columns. Reused from record to record.
#[derive(Debug, Default)]
pub(super) struct Row {
    cells: Vec<Option<Leaf>>,
    rest: Vec<(String, Leaf)>,
    path: String,
}

impl Row {
    /// Lays out a record. New columns are added as long as there is room; when the record turns out to be malformed,
    /// they are taken back.
    pub(super) fn lay_out(&mut self, record: &str, columns: &mut Columns) -> Result<(), Malformed> {
        let Self { cells, rest, path } = self;
        let before = columns.names.len();
        cells.clear();
        cells.resize(before, None);
        rest.clear();
        let mut next = 0;
        let outcome = flatten(record, path, |path, leaf| {
            if let Some(place) = columns.place(path, next) {
                next = place + 1;
                if place == cells.len() {
                    cells.push(None);
                }
                // The second of two fields with one name goes to the rest, so that nothing is lost.
                if cells[place].is_none() {
                    cells[place] = Some(leaf);
                    return;
                }
            }
            rest.push((path.to_owned(), leaf));
        });
        match outcome {
            Ok(()) => columns.rest |= !rest.is_empty(),
            Err(Malformed) => columns.shrink(before),
        }
        outcome
    }

    /// One entry per column; the last ones may be missing.
    pub(super) fn cells(&self) -> &[Option<Leaf>] {
        &self.cells
    }

    /// What has no column, as the text of one JSON object; empty if there is nothing.
    pub(super) fn rest_json(&self, record: &str) -> String {
        if self.rest.is_empty() {
            return String::new();
        }
        let mut json = String::from("{");
        for (number, (path, leaf)) in self.rest.iter().enumerate() {
            if number > 0 {
                json.push(',');
            }
            json.push_str(&serde_json::Value::from(path.as_str()).to_string());
            json.push(':');
            json.push_str(leaf.json_of(record));
        }
        json.push('}');
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_beyond_the_limit_and_doubled_fields_go_to_the_rest() {
        let mut columns = Columns::new(2);
        let mut row = Row::default();
        row.lay_out(r#"{"a":1,"b":{"c":"x"},"d":"\ud800","a":2}"#, &mut columns).unwrap();
        assert_eq!(columns.names(), ["a", "b.c"]);
        assert!(columns.has_rest());
        let record = r#"{"b":{"c":null},"z":1.0}"#;
        row.lay_out(record, &mut columns).unwrap();
        assert!(row.cells()[0].is_none());
        assert_eq!(row.rest_json(record), r#"{"z":1.0}"#);
        let record = r#"{"a":1,"d":"\ud800","a":2}"#;
        row.lay_out(record, &mut columns).unwrap();
        assert_eq!(row.rest_json(record), r#"{"d":"\ud800","a":2}"#);
    }

    #[test]
    fn a_malformed_record_leaves_no_columns() {
        let mut columns = Columns::new(10);
        let mut row = Row::default();
        assert_eq!(row.lay_out(r#"{"a":1,"b":}"#, &mut columns), Err(Malformed));
        assert!(columns.names().is_empty());
        row.lay_out(r#"{"b":1}"#, &mut columns).unwrap();
        assert_eq!(columns.names(), ["b"]);
    }
}
