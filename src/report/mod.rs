//! From collected records to what the person receives: one encrypted package.
//!
//! # How data enters and leaves
//! 1. [`prepare_directory`] before a package is made; what an interrupted run left half-written is removed in the course of the
//!    service's upkeep.
//! 2. [`Spool::push`] takes records (JSON text, exactly as the platform wrote it) section by section. They are kept
//!    in encrypted files without names.
//! 3. [`Package::write`] makes of them an archive with `report.html` (readable), one CSV file per section, `report.json`
//!    (complete and exact) and `README.txt`, encrypted for a key made for this package only. It returns the
//!    [`Manifest`] (no personal data) and the [`PackageKey`]; whoever destroys the key destroys the package.
//!    For portability (Art. 20 GDPR, [`Form::Portability`]) it holds `data.json`, its schema and the CSV files of the sections
//!    that rest on consent or contract; [`provided`] takes from the profile what was worked out about the person.
//! 4. [`open_package`] or [`read_package`] give the clear archive back, for the hand-over.
//!
//! All of it blocks and is [`Send`]; callers put it where blocking is allowed.
//!
//! # Invariants
//! - No clear byte of a record ever reaches the disk. No half-written package has a final name (S-44, F-19).
//! - `report.json` holds every record text for text, except for what belongs to other people: marks stand in its place,
//!   which are listed with their number, field and reason (R-34, see `others`). Nothing goes through a tree of values,
//!   so numbers keep all their digits. A CSV file has as many rows as its section has records.
//! - No file name, link, style or structure of the output comes from data (S-15, S-16, S-18); no CSV cell can start a
//!   formula (S-17, see `cells` for the way back).
//! - Memory does not grow with the number of records, only with the longest record, the number of columns and the
//!   rows shown in the readable report.
//!
//! # Why two passes
//! The first CSV line names all columns, and the readable report begins with totals; neither is known before the last
//! record was seen. Keeping a million records in memory is no option, asking the platform twice neither.
//!
//! # How to add more
//! A section: a variant of [`Section`] with its names, and its texts. A language: a file beside `texts/en.rs`, a
//! variant of [`Language`].

mod cells;
mod error;
mod facts;
mod files;
mod flatten;
mod header;
mod html;
mod look_up;
mod others;
mod package;
mod portable;
mod readme;
mod section;
mod settings;
mod spool;
mod storage;
mod table;
mod texts;

pub use error::ReportError;
pub use files::{create_nameless, prepare_directory};
pub use header::{Catalogue, CatalogueEntry, Form, MaskedIdentifier, ReportHeader};
pub use look_up::LookUp;
pub use others::{Others, Own, RedactionRules};
pub use package::{Manifest, Package, PackageKey, PackageReader, open_package, read_package};
pub use portable::{PORTABLE_SCHEMA, provided};
pub use section::{FILE_NAMES, HTML_NAME, JSON_NAME, PORTABLE_NAME, README_NAME, SCHEMA_NAME, Section};
pub use settings::Settings;
pub use spool::{SectionCount, Spool};
pub use storage::{Storage, StorageAnchor, StorageEnd, StorageTerm};
pub use texts::Language;
