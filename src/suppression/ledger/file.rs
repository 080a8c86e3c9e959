//! The files of the ledger: one a month, lines of a checksum and an entry.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Entry;

/// How the names of the files begin.
const PREFIX: &str = "ledger-";
/// How they end.
const SUFFIX: &str = ".txt";
/// So many hexadecimal digits of the SHA-256 stand in front of each entry.
const CHECKSUM_DIGITS: usize = 16;

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file or the directory cannot be read or written.
    #[error("the ledger file {} cannot be used; look at its rights and at the room on the disk", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The process ends.
    #[error("the ledger was not written: the process is ending")]
    Interrupted,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> LedgerError {
    move |source| LedgerError::File { path: path.to_owned(), source }
}

/// What the files hold.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// The entries, each once, as its latest attempt was written.
    pub entries: Vec<Entry>,
    /// Lines that cannot be read although others follow them: damaged, not torn by a crash.
    pub damaged: u64,
}

fn file_of(directory: &Path, at: DateTime<Utc>) -> PathBuf {
    directory.join(format!("{PREFIX}{:04}-{:02}{SUFFIX}", at.year(), at.month()))
}

fn checksum(text: &str) -> String {
    let mut digits = hex::encode(Sha256::digest(text.as_bytes()));
    digits.truncate(CHECKSUM_DIGITS);
    digits
}

/// Appends entries, each to the file of its month, and waits until the disk has them.
pub(super) fn append(directory: &Path, entries: &[Entry]) -> Result<(), LedgerError> {
    if !directory.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed(directory))?;
    }
    let mut by_file: BTreeMap<PathBuf, String> = BTreeMap::new();
    for entry in entries {
        let text = serde_json::to_string(entry).map_err(io::Error::from).map_err(failed(directory))?;
        let lines = by_file.entry(file_of(directory, entry.at)).or_default();
        lines.push_str(&checksum(&text));
        lines.push(' ');
        lines.push_str(&text);
        lines.push('\n');
    }
    for (path, lines) in by_file {
        append_lines(directory, &path, &lines).map_err(failed(&path))?;
    }
    Ok(())
}

fn append_lines(directory: &Path, path: &Path, lines: &str) -> io::Result<()> {
    let is_new = !path.exists();
    let mut file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)?;
    // A line that a crash tore must not swallow the one that follows.
    let torn = ends_inside_a_line(&mut file)?;
    let text = if torn { format!("\n{lines}") } else { lines.to_owned() };
    // One call, so that lines of two processes do not mix.
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    if is_new {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn ends_inside_a_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0_u8];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Reads every file. An entry that stands there several times counts once, as it was written last.
pub(super) fn read(directory: &Path) -> Result<Outside, LedgerError> {
    let mut found: BTreeMap<Uuid, Entry> = BTreeMap::new();
    let mut damaged = 0;
    for path in files(directory)? {
        let bytes = fs::read(&path).map_err(failed(&path))?;
        let text = String::from_utf8_lossy(&bytes);
        let complete = text.ends_with('\n');
        let lines: Vec<&str> = text.lines().collect();
        for (place, line) in lines.iter().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            match parse(line) {
                Some(entry) => {
                    found.insert(entry.entry, entry);
                }
                // The end of a file that a crash left: the call that it announces was not made.
                None if !complete && place + 1 == lines.len() => {}
                None if is_torn(line) => {}
                None => damaged += 1,
            }
        }
    }
    let mut entries: Vec<Entry> = found.into_values().collect();
    entries.sort_by_key(|entry| (entry.at, entry.entry));
    Ok(Outside { entries, damaged })
}

/// A line that was cut short, and completed by the line feed that the next entry puts in front of itself.
fn is_torn(line: &str) -> bool {
    line.len() <= CHECKSUM_DIGITS || !line.ends_with('}')
}

fn parse(line: &str) -> Option<Entry> {
    let (sum, text) = line.split_once(' ')?;
    if sum != checksum(text) {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, LedgerError> {
    let listed = match fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(directory)(error)),
    };
    let mut paths = Vec::new();
    for each in listed {
        let path = each.map_err(failed(directory))?.path();
        if month_of(&path).is_some() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The first day after the month of a file.
fn month_of(path: &Path) -> Option<NaiveDate> {
    let name = path.file_name()?.to_str()?;
    let month = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let first = NaiveDate::parse_from_str(&format!("{month}-01"), "%Y-%m-%d").ok()?;
    first.checked_add_months(chrono::Months::new(1))
}

/// Overwrites the lines of an organisation with spaces and waits until the disk has that.
pub(super) fn blank(directory: &Path, organisation: &str) -> Result<u64, LedgerError> {
    let mut blanked = 0;
    for path in files(directory)? {
        blanked += blank_file(&path, organisation).map_err(failed(&path))?;
    }
    Ok(blanked)
}

fn blank_file(path: &Path, organisation: &str) -> io::Result<u64> {
    let bytes = fs::read(path)?;
    // Not opened for appending: what is written goes to its place.
    let file = OpenOptions::new().write(true).open(path)?;
    let (mut start, mut blanked) = (0, 0);
    for line in bytes.split(|byte| *byte == b'\n') {
        let entry = std::str::from_utf8(line).ok().and_then(parse);
        if entry.is_some_and(|entry| entry.organisation == organisation) {
            file.write_all_at(&vec![b' '; line.len()], start)?;
            blanked += 1;
        }
        start += line.len() as u64 + 1;
    }
    if blanked > 0 {
        file.sync_data()?;
    }
    Ok(blanked)
}

/// Deletes the files of months that ended before an instant.
pub(super) fn purge(directory: &Path, before: DateTime<Utc>) -> Result<u64, LedgerError> {
    let mut purged = 0;
    for path in files(directory)? {
        if month_of(&path).is_some_and(|after| after <= before.date_naive()) {
            fs::remove_file(&path).map_err(failed(&path))?;
            purged += 1;
        }
    }
    Ok(purged)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::EntryKind;
    use super::*;
    use crate::domain::{MasterKey, RequestId};

    fn entry(number: u128, at: &str) -> Entry {
        let organisation = "venue".parse().unwrap();
        let request = RequestId(Uuid::from_u128(number));
        let contact = "986a372347aac5e4a94516db835d58aa".parse().unwrap();
        let kind = (EntryKind::Erasure, None);
        Entry::new(&MasterKey::generate(), (&organisation, request), kind, &contact, &[], at.parse().unwrap())
    }

    #[test]
    fn r_47_what_was_appended_is_read_whatever_a_crash_left_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("ledger");
        assert!(read(&directory).unwrap().entries.is_empty());
        let (first, second) = (entry(1, "2026-11-23T12:00:00Z"), entry(2, "2026-11-23T12:00:01Z"));
        append(&directory, std::slice::from_ref(&first)).unwrap();
        let path = directory.join("ledger-2026-11.txt");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let whole = fs::read(&path).unwrap();
        append(&directory, std::slice::from_ref(&second)).unwrap();
        let both = fs::read(&path).unwrap();
        // Cut at every place of the second line: the first stays, and a third can follow.
        for length in whole.len()..both.len() {
            fs::write(&path, &both[..length]).unwrap();
            // Where only the line feed is missing, the line is whole.
            let left = if length + 1 == both.len() { 2 } else { 1 };
            let torn = read(&directory).unwrap();
            assert_eq!((torn.entries.len(), torn.damaged), (left, 0), "cut at {length}");
            append(&directory, &[entry(3, "2026-11-23T12:00:02Z")]).unwrap();
            let after = read(&directory).unwrap();
            assert_eq!((after.entries.len(), after.damaged), (left + 1, 0), "cut at {length}");
        }
        fs::write(&path, &both).unwrap();
        assert_eq!(read(&directory).unwrap().entries, [first, second]);
    }

    #[test]
    fn r_47_a_line_that_was_altered_is_reported_as_damaged() {
        let directory = tempfile::tempdir().unwrap();
        append(directory.path(), &[entry(1, "2026-11-23T12:00:00Z"), entry(2, "2026-11-23T12:00:01Z")])
            .unwrap();
        let path = directory.path().join("ledger-2026-11.txt");
        let altered = fs::read_to_string(&path).unwrap().replacen("erasure", "opt_out", 1);
        fs::write(&path, altered).unwrap();
        let found = read(directory.path()).unwrap();
        assert_eq!((found.entries.len(), found.damaged), (1, 1));
    }

    #[test]
    fn r_80_the_lines_of_one_organisation_are_blanked_and_those_of_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        let (gone, stays) = (entry(1, "2026-11-23T12:00:00Z"), entry(2, "2026-11-23T12:00:01Z"));
        let stays = Entry { organisation: "other".to_owned(), ..stays };
        append(directory.path(), &[gone.clone(), stays.clone()]).unwrap();
        append(directory.path(), &[entry(3, "2026-10-23T12:00:00Z")]).unwrap();
        let path = directory.path().join("ledger-2026-11.txt");
        let length = fs::metadata(&path).unwrap().len();
        assert_eq!(blank(directory.path(), "venue").unwrap(), 2);
        assert_eq!(blank(directory.path(), "venue").unwrap(), 0, "nothing is left of it");
        let left = read(directory.path()).unwrap();
        assert_eq!((left.entries, left.damaged), (vec![stays], 0));
        assert_eq!(fs::metadata(&path).unwrap().len(), length);
        assert!(!fs::read_to_string(&path).unwrap().contains(&gone.entry.to_string()));
        append(directory.path(), &[entry(4, "2026-11-24T12:00:00Z")]).unwrap();
        assert_eq!(read(directory.path()).unwrap().entries.len(), 2, "what follows is read");
    }

    #[test]
    fn r_47_whole_months_go_when_they_are_old_enough() {
        let directory = tempfile::tempdir().unwrap();
        append(directory.path(), &[entry(1, "2026-10-31T23:59:59Z"), entry(2, "2026-11-01T00:00:00Z")])
            .unwrap();
        assert_eq!(purge(directory.path(), "2026-10-31T00:00:00Z".parse().unwrap()).unwrap(), 0);
        assert_eq!(purge(directory.path(), "2026-11-01T00:00:00Z".parse().unwrap()).unwrap(), 1);
        assert_eq!(read(directory.path()).unwrap().entries.len(), 1);
    }
}
