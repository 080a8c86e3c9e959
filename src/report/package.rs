//! The second pass: from the spool to one encrypted archive, and back out of it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::iter;
use std::path::Path;

use age::secrecy::ExposeSecret;
use chrono::{Datelike, Timelike};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;
use zip::write::{SimpleFileOptions, StreamWriter as UnseekableWriter};
use zip::{CompressionMethod, ZipWriter};

use super::error::{LimitReached, csv_into_io, zip_into_io};
use super::files::{Written, write_whole};
use super::others::{What, Withheld};
use super::spool::{Collected, CollectedSection, Spool, encrypting};
use super::table::{REST, Row};
use super::{
    Form, HTML_NAME, JSON_NAME, PORTABLE_NAME, PORTABLE_SCHEMA, README_NAME, ReportError, ReportHeader,
    SCHEMA_NAME, Section, SectionCount, Settings, StorageEnd,
};
use super::{cells, html, portable, readme};
use crate::domain::deadline::Law;

/// A package that was just written.
#[derive(Debug)]
pub struct Package {
    /// What is in it.
    pub manifest: Manifest,
    /// The only key that opens it. Destroying the key destroys the package.
    pub key: PackageKey,
}

/// What is in a package. Holds no personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The name of the file in the directory for packages.
    pub file_name: String,
    /// The size of the file.
    pub bytes: u64,
    /// SHA-256 of the (encrypted) file, in lower-case hexadecimal digits.
    pub sha256: String,
    /// Records by section, all sections that belong in it.
    pub sections: std::collections::BTreeMap<Section, SectionCount>,
}

/// The secret that opens one package, to be sealed by the caller.
#[derive(Clone)]
pub struct PackageKey(Zeroizing<String>);

impl PackageKey {
    /// The secret as text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads what [`PackageKey::expose`] gave.
    pub fn parse(text: &str) -> Result<Self, ReportError> {
        let key = Self(Zeroizing::new(text.to_owned()));
        key.identity().map(|_| key)
    }

    fn of(identity: &age::x25519::Identity) -> Self {
        Self(Zeroizing::new(identity.to_string().expose_secret().to_owned()))
    }

    fn identity(&self) -> Result<age::x25519::Identity, ReportError> {
        self.0.parse().map_err(|_| ReportError::Key)
    }
}

impl std::fmt::Debug for PackageKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PackageKey([secret])")
    }
}

impl Package {
    /// Makes a package of all that was collected, in the directory of the settings. Blocking, and long for many
    /// records: call it from where blocking is allowed.
    ///
    /// # Errors
    /// [`ReportError::CatalogueEntryMissing`], [`ReportError::TooLarge`], [`ReportError::DiskFull`] or
    /// [`ReportError::Write`]. No file remains after an error.
    pub fn write(header: &ReportHeader, spool: Spool, settings: &Settings) -> Result<Self, ReportError> {
        Self::write_for(header, spool, settings, "")
    }

    /// The same, with a file name that begins with `prefix` (`a-z`, `0-9`, `.` and `-`; no data of a person): it tells who
    /// is writing the file, so that others know when nobody is any more.
    ///
    /// # Errors
    /// As [`Package::write`].
    pub fn write_for(
        header: &ReportHeader,
        spool: Spool,
        settings: &Settings,
        prefix: &str,
    ) -> Result<Self, ReportError> {
        let directory = settings.directory.as_path();
        let failed = |error| ReportError::writing(directory, error);
        let collected = spool.finish().map_err(failed)?;
        check_catalogue(header, &collected)?;
        let identity = age::x25519::Identity::generate();
        let limit =
            LimitReached { setting: "largest_package_bytes", limit_bytes: settings.largest_package_bytes };
        let written = write_whole(directory, prefix, limit, |file| seal(file, &identity, header, &collected))
            .map_err(failed)?;
        let Written { file_name, bytes, sha256 } = written;
        let held = collected.sections().iter().filter(|part| header.form.holds(part.section));
        let sections = held.map(|part| (part.section, part.count)).collect();
        let manifest = Manifest { file_name, bytes, sha256, sections };
        Ok(Self { manifest, key: PackageKey::of(&identity) })
    }
}

fn check_catalogue(header: &ReportHeader, collected: &Collected) -> Result<(), ReportError> {
    let Some(catalogue) = &header.catalogue else {
        return Ok(());
    };
    for part in collected.sections() {
        if part.count.records > 0 && !catalogue.sections.contains_key(&part.section) {
            return Err(ReportError::CatalogueEntryMissing { section: part.section });
        }
    }
    Ok(())
}

/// Writes the whole archive, encrypted, to `sink`.
fn seal<W: Write>(
    sink: W,
    identity: &age::x25519::Identity,
    header: &ReportHeader,
    collected: &Collected,
) -> io::Result<()> {
    let mut archive =
        Archive { zip: ZipWriter::new_stream(encrypting(sink, identity)?), modified: modified(header) };
    archive.add(README_NAME, 0, |file| file.write_all(readme::text(header, collected).as_bytes()))?;
    if header.form == Form::Access {
        archive.add(HTML_NAME, 0, |file| html::write(header, collected, file))?;
    }
    for part in collected.sections().iter().filter(|part| header.form.holds(part.section)) {
        archive.add(part.section.csv_name(), csv_bound(part), |file| write_csv(collected, part, file))?;
    }
    let json_bound = collected.sections().iter().map(|part| part.bytes + 2 * part.count.records).sum();
    match &header.form {
        Form::Access => archive.add(JSON_NAME, json_bound, |file| write_json(header, collected, file))?,
        Form::Portability(bases) => {
            archive.add(PORTABLE_NAME, json_bound, |file| portable::write(header, bases, collected, file))?;
            archive.add(SCHEMA_NAME, 0, |file| file.write_all(PORTABLE_SCHEMA.as_bytes()))?;
        }
    }
    archive.zip.finish().map_err(zip_into_io)?.into_inner().finish()?.flush()
}

/// An archive whose entries are compressed and encrypted as they are written.
struct Archive<W: Write> {
    zip: ZipWriter<UnseekableWriter<W>>,
    modified: zip::DateTime,
}

impl<W: Write> Archive<W> {
    /// Adds an entry. `bound` is a size that it cannot exceed by much; large ones need another format.
    fn add(
        &mut self,
        name: &'static str,
        bound: u64,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(1))
            .last_modified_time(self.modified)
            .unix_permissions(0o600)
            .large_file(bound > LARGE);
        self.zip.start_file(name, options).map_err(zip_into_io)?;
        let mut buffered = BufWriter::with_capacity(BUFFER_BYTES, &mut self.zip);
        write(&mut buffered)?;
        buffered.flush()
    }
}

const BUFFER_BYTES: usize = 64 * 1024;
/// Entries that may grow beyond this need the 64-bit form, which some old unpackers do not know.
const LARGE: u64 = 3 << 30;

fn modified(header: &ReportHeader) -> zip::DateTime {
    let at = header.generated_at.naive_utc();
    let part = |number: u32| u8::try_from(number).unwrap_or_default();
    u16::try_from(at.year())
        .ok()
        .and_then(|year| {
            let (month, day) = (part(at.month()), part(at.day()));
            let (hour, minute, second) = (part(at.hour()), part(at.minute()), part(at.second()));
            zip::DateTime::from_date_and_time(year, month, day, hour, minute, second).ok()
        })
        .unwrap_or_default()
}

/// No cell is longer than twice its JSON text (doubled quotes) and the marks around it.
fn csv_bound(part: &CollectedSection) -> u64 {
    let columns = part.columns.names().len() as u64 + 1;
    2 * part.bytes + 4 * columns * (part.count.records + 1)
}

/// The byte order mark without which Excel reads UTF-8 as something else. Everything else that reads CSV copes.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// The only column of the CSV file of an empty section.
const NO_RECORDS: &str = "no records held";
/// The same where something could not be read or fetched, so that nobody knows whether any is held.
const NONE_READ: &str = "no records that could be read";

fn write_csv(collected: &Collected, part: &CollectedSection, file: &mut dyn Write) -> io::Result<()> {
    file.write_all(BYTE_ORDER_MARK)?;
    let mut csv = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        // Read with several separators at once, a value keeps together.
        .quote_style(csv::QuoteStyle::Always)
        .buffer_capacity(BUFFER_BYTES)
        .from_writer(file);
    let (mut text, mut guard) = (String::new(), String::new());
    let mut columns = part.columns.frozen();
    if part.count.records == 0 {
        let heading = if part.count.has_gaps() { NONE_READ } else { NO_RECORDS };
        csv.write_field(heading).map_err(csv_into_io)?;
    }
    for name in columns.names() {
        csv.write_field(cells::guarded(&cells::name(name), &mut guard)).map_err(csv_into_io)?;
    }
    // A list of empty objects has no column at all, but its rows must still be seen.
    let rest = columns.has_rest() || (part.count.records > 0 && columns.names().is_empty());
    if rest {
        csv.write_field(REST).map_err(csv_into_io)?;
    }
    csv.write_record(None::<&[u8]>).map_err(csv_into_io)?;
    let mut row = Row::default();
    let width = columns.names().len();
    collected.for_each(part, |record| {
        row.lay_out(record, &mut columns).map_err(|_| io::Error::other("record changed in the spool"))?;
        for place in 0..width {
            let cell = match row.cells().get(place) {
                Some(Some(leaf)) => cells::guarded(cells::text(record, *leaf, &mut text), &mut guard),
                _ => "",
            };
            csv.write_field(cell).map_err(csv_into_io)?;
        }
        if rest {
            csv.write_field(cells::guarded(&row.rest_json(record), &mut guard)).map_err(csv_into_io)?;
        }
        csv.write_record(None::<&[u8]>).map_err(csv_into_io)
    })?;
    csv.flush()
}

/// The head of `report.json`; the records follow as they came.
#[derive(Serialize)]
struct HeadWire<'a> {
    format: &'static str,
    reference: &'a str,
    controller: ControllerWire<'a>,
    language: &'static str,
    received_at: String,
    generated_at: String,
    identifiers_searched: &'a [super::MaskedIdentifier],
    counts: std::collections::BTreeMap<Section, SectionCount>,
    /// What was withheld because it belongs to other people (Art. 15(4) GDPR): nothing but these marks differs from what the
    /// platform gave.
    withheld: Vec<WithheldWire<'a>>,
    information: Option<&'a super::Catalogue>,
    /// Until when the records of each section are kept for this person, where the controller stated a term (Art. 15(1)(d) GDPR).
    storage: std::collections::BTreeMap<Section, StorageEnd>,
}

/// What was withheld from one field of one section.
#[derive(Serialize)]
pub(super) struct WithheldWire<'a> {
    section: Section,
    field: &'a str,
    what: What,
    reason: &'a str,
    mark: &'static str,
    values: u64,
}

/// Why anything is withheld, with its place in the law that holds (Art. 15(4), 20(4) GDPR).
pub(super) fn rights_of_others(header: &ReportHeader) -> String {
    let article = header.form.article();
    match header.regime.law() {
        Law::Gdpr => format!("rights of others, Art. {article}(4) GDPR"),
        Law::UkGdpr => format!("rights of others, Art. {article}(4) UK GDPR"),
        Law::UnitedStates | Law::Switzerland | Law::Brazil => "rights of others".to_owned(),
    }
}

pub(super) fn instant(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// What was withheld, for programs.
pub(super) fn withheld_wires<'a>(collected: &'a Collected, reason: &'a str) -> Vec<WithheldWire<'a>> {
    let wire = |(section, entry, mark): (Section, &'a Withheld, &'static str)| WithheldWire {
        section,
        field: &entry.field,
        what: entry.what,
        reason,
        mark,
        values: entry.values,
    };
    collected.withheld().map(wire).collect()
}

#[derive(Serialize)]
struct ControllerWire<'a> {
    name: &'a str,
    contact: &'a str,
}

/// Until when records are kept, of the sections that hold any.
fn stored<'a>(
    header: &'a ReportHeader,
    collected: &'a Collected,
) -> impl Iterator<Item = (Section, StorageEnd)> + use<'a> {
    let ends = header.storage.iter().map(|(section, end)| (*section, *end));
    ends.filter(|(section, _)| collected.section(*section).count.records > 0)
}

/// Name and version of the form of `report.json`.
const JSON_FORMAT: &str = "dsrd-access-report/1";

fn write_json(header: &ReportHeader, collected: &Collected, file: &mut dyn Write) -> io::Result<()> {
    let reason = rights_of_others(header);
    let head = HeadWire {
        format: JSON_FORMAT,
        reference: header.reference.as_str(),
        controller: ControllerWire { name: &header.organisation_name, contact: &header.controller_contact },
        language: header.language.tag(),
        received_at: instant(header.received_at),
        generated_at: instant(header.generated_at),
        identifiers_searched: &header.identifiers,
        counts: collected.sections().iter().map(|part| (part.section, part.count)).collect(),
        withheld: withheld_wires(collected, &reason),
        information: header.catalogue.as_ref(),
        storage: stored(header, collected).collect(),
    };
    write_records(&head, collected, collected.sections().iter(), file)
}

/// Writes a JSON object that begins with the members of `head` and ends with the records of sections as they came.
pub(super) fn write_records<'a>(
    head: &impl Serialize,
    collected: &Collected,
    parts: impl Iterator<Item = &'a CollectedSection>,
    file: &mut dyn Write,
) -> io::Result<()> {
    let head = serde_json::to_string_pretty(head).map_err(io::Error::other)?;
    // The head is an object; its last brace comes after the records.
    file.write_all(head.strip_suffix("\n}").unwrap_or(&head).as_bytes())?;
    file.write_all(b",\n  \"records\": {")?;
    let mut section_mark = "\n";
    for part in parts {
        write!(file, "{section_mark}    \"{}\": [", part.section)?;
        section_mark = ",\n";
        let mut mark: &[u8] = b"\n";
        collected.for_each(part, |record| {
            file.write_all(mark)?;
            mark = b",\n";
            file.write_all(record.as_bytes())
        })?;
        file.write_all(b"]")?;
    }
    file.write_all(b"\n  }\n}\n")
}

/// The clear archive inside a package, as a stream.
pub struct PackageReader(age::stream::StreamReader<BufReader<File>>);

impl std::fmt::Debug for PackageReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PackageReader([personal])")
    }
}

impl Read for PackageReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// Opens a package for reading. The reader fails at the place where the file was altered or cut; what came before
/// that place is genuine.
pub fn read_package(path: &Path, key: &PackageKey) -> Result<PackageReader, ReportError> {
    let identity = key.identity()?;
    let file = File::open(path).map_err(|source| ReportError::Read { path: path.to_owned(), source })?;
    age::Decryptor::new_buffered(BufReader::with_capacity(BUFFER_BYTES, file))
        .and_then(|decryptor| decryptor.decrypt(iter::once(&identity as &dyn age::Identity)))
        .map(PackageReader)
        .map_err(|source| ReportError::DoesNotOpen { path: path.to_owned(), source })
}

/// Writes the clear archive inside a package to `output` and says how many bytes that were.
pub fn open_package(path: &Path, key: &PackageKey, output: &mut impl Write) -> Result<u64, ReportError> {
    let mut reader = read_package(path, key)?;
    io::copy(&mut reader, output).map_err(|source| ReportError::HandOver { path: path.to_owned(), source })
}
