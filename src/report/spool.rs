//! The first pass: records are taken in as they come and kept in encrypted files without names.
//!
//! Each section has a file of its own, encrypted with a key that exists in this process's memory only and unlinked
//! right after its creation. A killed process therefore leaves neither clear text nor a file. On the way everything
//! is gathered that must be known before the first row can be written: counts, columns, the first rows for the
//! readable report.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::iter;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use age::stream::{StreamReader, StreamWriter};

use super::cells;
use super::error::LimitReached;
use super::facts::Facts;
use super::files::create_nameless;
use super::flatten::elements;
use super::others::{Others, Tally, Withheld};
use super::table::{Columns, Row};
use super::{ReportError, Section, Settings};

/// A cell of a list is cut after this many characters in the readable report.
const LIST_CELL: usize = 300;
/// A value of the profile is cut after this many characters in the readable report.
const PROFILE_CELL: usize = 4_000;

/// Takes records in, one section or several at a time, until [`super::Package::write`] makes a package of them.
/// Blocking: call it from where blocking is allowed.
pub struct Spool {
    directory: PathBuf,
    settings: Settings,
    identity: age::x25519::Identity,
    /// What belongs to other people; of records that this service made itself nothing does.
    others: Option<Others>,
    parts: [Part; Section::ALL.len()],
    row: Row,
    path: String,
    bytes: u64,
}

/// One section while it is being collected.
struct Part {
    file: Option<StreamWriter<File>>,
    count: SectionCount,
    columns: Columns,
    shown: Vec<ShownRow>,
    facts: Facts,
    withheld: Tally,
    bytes: u64,
}

/// How much of a section was taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SectionCount {
    /// Records in the package.
    pub records: u64,
    /// Records that could not be read: those that [`Spool::note_unreadable`] told of (not in the package), and those
    /// that came as malformed JSON (in the package as text).
    pub unreadable: u64,
    /// Whether the section was marked as not complete.
    pub incomplete: bool,
    /// Values in these records that were withheld because they belong to other people; a mark stands in the place of each.
    #[serde(default)]
    pub withheld: u64,
}

impl SectionCount {
    /// Whether anything of it could not be read or fetched: then that there is no record does not mean that none is held.
    #[must_use]
    pub const fn has_gaps(&self) -> bool {
        self.incomplete || self.unreadable > 0
    }
}

/// The beginning of one record, for the readable report.
#[derive(Debug, Default)]
pub(super) struct ShownRow {
    /// Column and text of each cell that has one.
    pub(super) cells: Vec<(usize, String)>,
    /// What has no column.
    pub(super) rest: String,
}

impl Spool {
    /// An empty spool. `directory` must have passed [`super::prepare_directory`].
    #[must_use]
    pub fn new(directory: &Path, settings: &Settings) -> Self {
        let part = |_| Part {
            file: None,
            count: SectionCount::default(),
            columns: Columns::new(settings.csv_columns as usize),
            shown: Vec::new(),
            facts: Facts::default(),
            withheld: Tally::default(),
            bytes: 0,
        };
        Self {
            directory: directory.to_owned(),
            settings: settings.clone(),
            identity: age::x25519::Identity::generate(),
            others: None,
            parts: std::array::from_fn(part),
            row: Row::default(),
            path: String::new(),
            bytes: 0,
        }
    }

    /// The same spool, withholding from the records of the platform what belongs to other people (R-34).
    #[must_use]
    pub fn withholding(self, others: Others) -> Self {
        Self { others: Some(others), ..self }
    }

    /// Takes in one record: the text of one JSON value, as the platform wrote it. The consents of a profile become
    /// records of [`Section::Consents`] as well, without what was withheld from it. Text that is no JSON is kept as a JSON
    /// string and counted as unreadable.
    ///
    /// # Errors
    /// [`ReportError::TooLarge`], [`ReportError::DiskFull`] or [`ReportError::Write`]. The spool is of no use
    /// afterwards.
    pub fn push(&mut self, section: Section, json: &str) -> Result<(), ReportError> {
        let before = self.count(section).unreadable;
        let taken = self.take(section, json);
        let kept = taken.map_err(|error| ReportError::writing(&self.directory, error))?;
        if section == Section::Profile {
            if self.count(section).unreadable > before {
                self.mark_incomplete(Section::Consents);
            }
            for consent in consents(&kept) {
                self.push(Section::Consents, &consent)?;
            }
        }
        Ok(())
    }

    /// Counts records of a section that exist but could not be read. The report says so. The consents of a profile that
    /// could not be read are not known either.
    pub fn note_unreadable(&mut self, section: Section, records: u64) {
        let count = &mut self.parts[section.index()].count;
        count.unreadable = count.unreadable.saturating_add(records);
        if section == Section::Profile && records > 0 {
            self.mark_incomplete(Section::Consents);
        }
    }

    /// Notes that a section could not be fetched in full. The report says so. Consents come with the profile.
    pub fn mark_incomplete(&mut self, section: Section) {
        self.parts[section.index()].count.incomplete = true;
        if section == Section::Profile {
            self.mark_incomplete(Section::Consents);
        }
    }

    /// What was taken in so far.
    #[must_use]
    pub fn count(&self, section: Section) -> SectionCount {
        self.parts[section.index()].count
    }

    /// Takes in one record, and returns it as it was kept.
    fn take<'a>(&mut self, section: Section, json: &'a str) -> io::Result<Cow<'a, str>> {
        let part = &mut self.parts[section.index()];
        let before = part.columns.mark();
        let mut record = Cow::Borrowed(json);
        if self.row.lay_out(json, &mut part.columns).is_err() {
            part.count.unreadable = part.count.unreadable.saturating_add(1);
            record = serde_json::Value::from(json).to_string().into();
            // A JSON string is always well-formed, so this second try cannot fail.
            self.row.lay_out(&record, &mut part.columns).unwrap_or_default();
        }
        let others = self.others.as_ref().filter(|_| section != Section::Requests);
        let withheld = others.and_then(|others| others.withhold(&record, &mut self.path, &mut part.withheld));
        if let Some(marked) = withheld {
            // Names of fields that stand inside of what is withheld must not become columns.
            part.columns.restore(before);
            record = marked.into();
            // A well-formed record stays one with its marks.
            self.row.lay_out(&record, &mut part.columns).unwrap_or_default();
        }
        let length = u32::try_from(record.len()).map_err(|_| too_large(u64::from(u32::MAX)).into_io())?;
        self.bytes += u64::from(length);
        if self.bytes > self.settings.largest_records_bytes {
            return Err(too_large(self.settings.largest_records_bytes).into_io());
        }
        part.bytes += u64::from(length);
        part.count.records += 1;
        part.count.withheld = part.withheld.values();
        part.facts.note(section, &record, &self.row, &part.columns);
        if part.shown.len() < self.settings.table_rows as usize {
            let most = if section == Section::Profile { PROFILE_CELL } else { LIST_CELL };
            part.shown.push(shown(&record, &self.row, most));
        }
        let file = match &mut part.file {
            Some(file) => file,
            empty => empty.insert(encrypting(create_nameless(&self.directory)?, &self.identity)?),
        };
        file.write_all(&length.to_le_bytes())?;
        file.write_all(record.as_bytes())?;
        Ok(record)
    }

    /// Ends the first pass.
    pub(super) fn finish(self) -> io::Result<Collected> {
        let mut sections = Vec::with_capacity(Section::ALL.len());
        for (section, part) in Section::ALL.into_iter().zip(self.parts) {
            let Part { file, count, columns, shown, facts, withheld, bytes } = part;
            let file = file.map(StreamWriter::finish).transpose()?;
            sections.push(CollectedSection { section, file, count, columns, shown, facts, withheld, bytes });
        }
        Ok(Collected { identity: self.identity, others: self.others, sections })
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Spool").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

const fn too_large(limit_bytes: u64) -> LimitReached {
    LimitReached { setting: "largest_records_bytes", limit_bytes }
}

/// Encrypts to the public half of `identity`.
pub(super) fn encrypting<W: Write>(
    output: W,
    identity: &age::x25519::Identity,
) -> io::Result<StreamWriter<W>> {
    let recipient = identity.to_public();
    let recipients = iter::once(&recipient as &dyn age::Recipient);
    age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?.wrap_output(output)
}

fn shown(record: &str, row: &Row, most: usize) -> ShownRow {
    let mut scratch = String::new();
    let cells = row
        .cells()
        .iter()
        .enumerate()
        .filter_map(|(column, leaf)| {
            let text = cells::readable(record, (*leaf)?, &mut scratch);
            Some((column, cells::shortened(&text, most)))
        })
        .collect();
    ShownRow { cells, rest: cells::shortened(&row.rest_json(record), most) }
}

/// The consents in a profile: the elements of `policies`, or its members where it is a map. What is neither, such as the mark of
/// what was withheld as a whole, is one: that something stands there must not read as nothing.
fn consents(profile: &str) -> Vec<String> {
    let policies = elements(profile).into_iter().filter(|(key, _)| *key == Some("\"policies\""));
    policies
        .flat_map(|(_, value)| match value.as_bytes().first() {
            Some(b'[' | b'{' | b'n') | None => elements(value),
            Some(_) => vec![(None, value)],
        })
        .map(|(name, value)| match name {
            Some(name) => format!("{{\"name\":{name},\"accepted\":{value}}}"),
            None => value.to_owned(),
        })
        .collect()
}

/// All sections after the first pass.
pub(super) struct Collected {
    identity: age::x25519::Identity,
    others: Option<Others>,
    sections: Vec<CollectedSection>,
}

impl Collected {
    pub(super) fn sections(&self) -> &[CollectedSection] {
        &self.sections
    }

    /// What was withheld from all sections, each with the mark that stands in its place.
    pub(super) fn withheld(&self) -> impl Iterator<Item = (Section, &Withheld, &'static str)> {
        self.sections.iter().flat_map(|part| {
            let entries = part.withheld.entries().iter();
            entries.map(|entry| {
                let mark = self.others.as_ref().map_or("", |others| others.mark(entry.what));
                (part.section, entry, mark)
            })
        })
    }

    pub(super) fn section(&self, section: Section) -> &CollectedSection {
        &self.sections[section.index()]
    }

    /// Calls `each` for every record of a section, in the order in which they were taken in.
    pub(super) fn for_each(
        &self,
        section: &CollectedSection,
        mut each: impl FnMut(&str) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(file) = &section.file else {
            return Ok(());
        };
        let mut reader = BufReader::with_capacity(READ_BYTES, self.decrypting(FromStart { file, at: 0 })?);
        let mut buffer = Vec::new();
        for _ in 0..section.count.records {
            let mut length = [0; 4];
            reader.read_exact(&mut length)?;
            buffer.resize(u32::from_le_bytes(length) as usize, 0);
            reader.read_exact(&mut buffer)?;
            each(std::str::from_utf8(&buffer).map_err(io::Error::other)?)?;
        }
        Ok(())
    }

    fn decrypting<'a>(&self, input: FromStart<'a>) -> io::Result<StreamReader<BufReader<FromStart<'a>>>> {
        let input = BufReader::with_capacity(READ_BYTES, input);
        age::Decryptor::new_buffered(input)
            .and_then(|decryptor| decryptor.decrypt(iter::once(&self.identity as &dyn age::Identity)))
            .map_err(io::Error::other)
    }
}

const READ_BYTES: usize = 128 * 1024;

/// One section after the first pass.
pub(super) struct CollectedSection {
    pub(super) section: Section,
    file: Option<File>,
    pub(super) count: SectionCount,
    pub(super) columns: Columns,
    pub(super) shown: Vec<ShownRow>,
    pub(super) facts: Facts,
    pub(super) withheld: Tally,
    /// JSON text of all records.
    pub(super) bytes: u64,
}

/// Reads a file from its start without moving the position that others may use.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consents_are_found_as_list_and_as_map() {
        assert_eq!(
            consents(r#"{"cid":"c","policies":[{"name":"privacy","accepted":true,"on":1.0}]}"#),
            [r#"{"name":"privacy","accepted":true,"on":1.0}"#]
        );
        assert_eq!(consents(r#"{"policies":{"mktg":false}}"#), [r#"{"name":"mktg","accepted":false}"#]);
        assert_eq!(consents(r#"{"policies":"[withheld]"}"#), [r#""[withheld]""#]);
        for none in [r#"{"cid":"c"}"#, r#"{"policies":null}"#, r#"{"policies": [] }"#] {
            assert!(consents(none).is_empty(), "{none}");
        }
        assert!(consents("not json").is_empty());
    }

    #[test]
    fn s_44_the_spool_has_no_name_and_no_clear_text() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings::for_tests();
        let mut spool = Spool::new(directory.path(), &settings);
        let record = format!("{{\"canary\":\"CANARY-{}\"}}", "x".repeat(200_000));
        spool.push(Section::Events, &record).unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        let collected = spool.finish().unwrap();
        let events = collected.section(Section::Events);
        let mut bytes = Vec::new();
        FromStart { file: events.file.as_ref().unwrap(), at: 0 }.read_to_end(&mut bytes).unwrap();
        assert!(bytes.len() > 200_000);
        assert!(!bytes.windows(6).any(|window| window == b"CANARY" || window == b"xxxxxx"));
        let mut seen = Vec::new();
        collected
            .for_each(events, |record| {
                seen.push(record.to_owned());
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, [record]);
    }

    #[test]
    fn f_19_a_spool_that_cannot_be_written_says_where() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(&directory.path().join("gone"), &Settings::for_tests());
        let error = spool.push(Section::Events, "{}").unwrap_err();
        assert!(matches!(error, ReportError::Write { .. }), "{error}");
        assert!(error.to_string().contains("gone"));
    }

    #[test]
    fn more_records_than_allowed_are_too_large() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { largest_records_bytes: 10, ..Settings::for_tests() };
        let mut spool = Spool::new(directory.path(), &settings);
        spool.push(Section::Events, "{\"a\":123}").unwrap();
        let error = spool.push(Section::Events, "{}").unwrap_err();
        assert!(matches!(error, ReportError::TooLarge { setting: "largest_records_bytes", limit_bytes: 10 }));
    }
}
