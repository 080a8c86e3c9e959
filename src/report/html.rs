//! `report.html`: what the person reads.
//!
//! The structure depends on the names of fields and on counts, never on the content of a value, so that no value can
//! change it (S-15). Every value passes askama's escaping; links lead to fixed places of the document itself.

use std::borrow::Cow;
use std::io::{self, Write};

use askama::Template;
use chrono_tz::Tz;

use super::cells;
use super::spool::{Collected, CollectedSection, ShownRow};
use super::texts::{Label, Texts, fill, policy, right};
use super::{Catalogue, CatalogueEntry, ReportHeader, Section, StorageAnchor, StorageEnd};
use crate::domain::deadline::Period;

/// Renders the document.
pub(super) fn write(header: &ReportHeader, collected: &Collected, file: &mut dyn Write) -> io::Result<()> {
    let (texts, law) = (header.language.texts(), header.regime.law());
    let held = |part: &&CollectedSection| part.count.records > 0;
    let records = collected.sections().iter().map(|part| part.count.records).sum();
    let sections = collected.sections().iter().filter(held).count() as u64;
    let lead = if records > 0 { texts.lead } else { texts.lead_none };
    let page = Page {
        texts,
        header,
        document_title: fill(texts.document_title, &[("reference", header.reference.as_str())]),
        lead: fill(
            lead,
            &[
                ("organisation", &header.organisation_name),
                ("records", &counted(texts, records, texts.records)),
                ("sections", &counted(texts, sections, texts.categories)),
            ],
        ),
        received: texts.date(header.received_at, header.time_zone),
        generated: texts.date(header.generated_at, header.time_zone),
        searched: header
            .identifiers
            .iter()
            .map(|each| ((texts.identifier)(each.kind), each.masked.as_str()))
            .collect(),
        parts: collected.sections().iter().map(|part| Part::of(header, part)).collect(),
        information: header.catalogue.as_ref().map(|catalogue| Information::of(header, catalogue, collected)),
        rights_about: fill(texts.rights_about, &[("reference", header.reference.as_str())]),
        information_about: texts.cited(texts.information_about, law),
        rights: right::of(header.language, law)
            .into_iter()
            .map(|(right, meaning)| (right, texts.cited(meaning, law)))
            .collect(),
        complaint: fill(
            header.language.complaint_about(law),
            &[("authority", header.catalogue.as_ref().map_or("", |each| &each.complaint_authority))],
        ),
        contact_about: fill(texts.contact_about, &[("organisation", &header.organisation_name)]),
    };
    page.write_into(file)
}

fn counted(texts: &Texts, count: u64, noun: (&str, &str)) -> String {
    format!("{} {}", texts.number(count), if count == 1 { noun.0 } else { noun.1 })
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    texts: &'static Texts,
    header: &'a ReportHeader,
    document_title: String,
    lead: String,
    received: String,
    generated: String,
    searched: Vec<(&'static str, &'a str)>,
    parts: Vec<Part<'a>>,
    information: Option<Information<'a>>,
    information_about: String,
    rights_about: String,
    rights: Vec<(&'static str, String)>,
    complaint: String,
    contact_about: String,
}

/// One section of the document.
struct Part<'a> {
    id: &'static str,
    title: &'static str,
    about: &'static str,
    count: String,
    noun: &'static str,
    span: String,
    /// What is shown here and where the rest is, or that there is nothing; empty where neither is known.
    statement: String,
    kinds: String,
    notices: Vec<String>,
    body: Body<'a>,
}

enum Body<'a> {
    Empty,
    Profiles(Vec<Profile<'a>>),
    Table(Table<'a>),
}

struct Profile<'a> {
    title: String,
    groups: Vec<Group<'a>>,
}

struct Group<'a> {
    title: &'static str,
    fields: Vec<(Heading<'a>, String)>,
}

struct Table<'a> {
    headings: Vec<Heading<'a>>,
    rows: Vec<Vec<String>>,
}

/// The name of a field: in plain words, and as the platform calls it.
#[derive(Clone)]
struct Heading<'a> {
    text: std::borrow::Cow<'a, str>,
    path: std::borrow::Cow<'a, str>,
    rank: u8,
}

/// The rank of fields without a label: after those that are known to matter, before internal numbers.
const UNKNOWN_RANK: u8 = 80;

impl<'a> Heading<'a> {
    fn of(texts: &Texts, path: &'a str) -> Self {
        let shown = cells::name(path);
        match texts.label(path) {
            Some(Label { text, rank }) => Self { text: text.into(), path: shown, rank },
            None => Self { text: shown, path: "".into(), rank: UNKNOWN_RANK },
        }
    }

    fn rest(texts: &Texts) -> Self {
        Self { text: texts.rest.into(), path: "".into(), rank: u8::MAX }
    }
}

impl<'a> Part<'a> {
    fn of(header: &ReportHeader, part: &'a CollectedSection) -> Self {
        let (texts, zone) = (header.language.texts(), header.time_zone);
        let own = (texts.section)(part.section);
        let records = part.count.records;
        let noun = if records == 1 { own.noun.0 } else { own.noun.1 };
        let shown = part.shown.len() as u64;
        let statement = match (records, shown) {
            // What could not be read or fetched may well be there: the notices say so, and nothing else is known.
            (0, _) if part.count.has_gaps() => "",
            (0, _) => own.none,
            (_, 0) => texts.shown_none,
            _ if shown == records => texts.shown_all,
            _ => texts.shown_some,
        };
        let count = texts.number(records);
        let unreadable = part.count.unreadable;
        let mut notices = Vec::new();
        if unreadable > 0 {
            notices.push(fill(texts.unreadable, &[("count", &texts.number(unreadable))]));
        }
        if part.count.incomplete {
            notices.push(texts.incomplete.to_owned());
        }
        notices.extend(withheld(header, part));
        Self {
            id: part.section.as_str(),
            title: own.title,
            about: own.about,
            noun,
            span: span(texts, part),
            statement: fill(
                statement,
                &[
                    ("shown", &texts.number(shown)),
                    ("count", &count),
                    ("noun", noun),
                    ("csv", part.section.csv_name()),
                ],
            ),
            count,
            kinds: kinds(texts, part),
            notices,
            body: match part.section {
                _ if shown == 0 => Body::Empty,
                Section::Profile => Body::Profiles(profiles(texts, part, own.noun.0, zone)),
                _ => Body::Table(table(header, part)),
            },
        }
    }
}

/// What was withheld from a section because it belongs to other people, if anything was.
pub(super) fn withheld(header: &ReportHeader, part: &CollectedSection) -> Option<String> {
    let texts = header.language.texts();
    let entries: Vec<String> = part
        .withheld
        .entries()
        .iter()
        .map(|entry| {
            fill(
                texts.withheld_entry,
                &[
                    ("what", texts.withheld_kinds[entry.what.index()]),
                    ("field", &cells::name(&entry.field)),
                    ("count", &texts.number(entry.values)),
                ],
            )
        })
        .collect();
    (!entries.is_empty()).then(|| {
        let withheld = texts.cited(texts.withheld, header.regime.law());
        fill(&withheld, &[("article", header.form.article()), ("entries", &entries.join("; "))])
    })
}

fn span(texts: &Texts, part: &CollectedSection) -> String {
    match part.facts.span() {
        _ if matches!(part.section, Section::Profile | Section::Consents) || part.count.records == 0 => {
            String::new()
        }
        None => texts.span_unknown.to_owned(),
        Some((first, last)) => {
            let text = if first == last { texts.span_one_day } else { texts.span };
            fill(text, &[("first", &texts.day(first)), ("last", &texts.day(last))])
        }
    }
}

fn kinds(texts: &Texts, part: &CollectedSection) -> String {
    let (kinds, further) = part.facts.kinds();
    if kinds.is_empty() {
        return String::new();
    }
    let mut all: Vec<String> =
        kinds.into_iter().map(|(kind, count)| format!("{kind} ({})", texts.number(count))).collect();
    if further > 0 {
        all.push(fill(texts.kinds_further, &[("count", &texts.number(further))]));
    }
    fill(texts.kinds, &[("kinds", &all.join(", "))])
}

/// The columns that the shown rows use, best known first; each with the place of its values.
fn headings<'a>(texts: &Texts, part: &'a CollectedSection, rows: &[ShownRow]) -> Vec<(usize, Heading<'a>)> {
    let names = part.columns.names();
    let mut used = vec![false; names.len()];
    for (column, _) in rows.iter().flat_map(|row| &row.cells) {
        if let Some(used) = used.get_mut(*column) {
            *used = true;
        }
    }
    let mut headings: Vec<_> = names
        .iter()
        .enumerate()
        .filter(|(column, _)| used[*column])
        .map(|(column, name)| (column, Heading::of(texts, name)))
        .collect();
    headings.sort_by_key(|(_, heading)| heading.rank);
    headings
}

fn value(texts: &Texts, path: &str, text: &str, zone: Tz) -> String {
    match text {
        "true" => texts.yes.to_owned(),
        "false" => texts.no.to_owned(),
        other => cells::instant(path, other, zone).unwrap_or_else(|| other.to_owned()),
    }
}

fn table<'a>(header: &ReportHeader, part: &'a CollectedSection) -> Table<'a> {
    let (texts, zone) = (header.language.texts(), header.time_zone);
    let headings = headings(texts, part, &part.shown);
    let with_rest = part.shown.iter().any(|row| !row.rest.is_empty());
    let rows = part
        .shown
        .iter()
        .map(|row| {
            let mut cells: Vec<String> = headings
                .iter()
                .map(|(column, _)| {
                    let cell = row.cells.iter().find(|(place, _)| place == column);
                    cell.map_or_else(String::new, |(_, text)| {
                        match (part.section, part.columns.names()[*column].as_str()) {
                            (Section::Consents, "name") => policy::in_words(header.language, text).to_owned(),
                            (_, path) => value(texts, path, text, zone),
                        }
                    })
                })
                .collect();
            if with_rest {
                cells.push(row.rest.clone());
            }
            cells
        })
        .collect();
    let mut headings: Vec<_> = headings.into_iter().map(|(_, heading)| heading).collect();
    if with_rest {
        headings.push(Heading::rest(texts));
    }
    Table { headings, rows }
}

fn profiles<'a>(texts: &'static Texts, part: &'a CollectedSection, noun: &str, zone: Tz) -> Vec<Profile<'a>> {
    let count = part.shown.len();
    let profile = |(number, row): (usize, &ShownRow)| {
        let mut fields: Vec<(Heading<'a>, String)> = headings(texts, part, std::slice::from_ref(row))
            .into_iter()
            .map(|(column, heading)| {
                let text = row.cells.iter().find(|(place, _)| *place == column).map_or("", |(_, text)| text);
                let text = match part.columns.names()[column].as_str() {
                    _ if text.is_empty() => texts.empty.to_owned(),
                    "policies" => texts.see_consents.to_owned(),
                    path => value(texts, path, text, zone),
                };
                (heading, text)
            })
            .collect();
        if !row.rest.is_empty() {
            fields.push((Heading::rest(texts), row.rest.clone()));
        }
        let title = if count > 1 {
            let (number, count) = ((number + 1).to_string(), count.to_string());
            fill(texts.record_number, &[("noun", noun), ("number", &number), ("count", &count)])
        } else {
            String::new()
        };
        Profile { title, groups: groups(texts, fields) }
    };
    part.shown.iter().enumerate().map(profile).collect()
}

/// Splits fields, which are sorted by rank, into the groups of the language's texts.
fn groups<'a>(texts: &Texts, fields: Vec<(Heading<'a>, String)>) -> Vec<Group<'a>> {
    let mut fields = fields.into_iter().peekable();
    let mut groups = Vec::new();
    for (highest, title) in texts.groups {
        let mut own = Vec::new();
        while let Some(field) = fields.next_if(|(heading, _)| heading.rank <= *highest) {
            own.push(field);
        }
        if !own.is_empty() {
            groups.push(Group { title, fields: own });
        }
    }
    groups
}

/// What the controller says beside the data.
struct Information<'a> {
    entries: Vec<InformationEntry<'a>>,
    automated: &'a str,
    transfers: &'a str,
}

struct InformationEntry<'a> {
    title: &'static str,
    lines: Vec<(&'static str, Cow<'a, str>)>,
}

impl<'a> Information<'a> {
    fn of(header: &ReportHeader, catalogue: &'a Catalogue, collected: &Collected) -> Self {
        let texts = header.language.texts();
        let entries = Section::ALL
            .into_iter()
            .filter(|section| collected.section(*section).count.records > 0)
            .filter_map(|section| {
                let CatalogueEntry {
                    purposes,
                    legal_basis,
                    recipients,
                    storage_period,
                    source,
                    retention: _,
                } = catalogue.sections.get(&section)?;
                let end = header.storage.get(&section);
                let end = end.map(|end| (texts.storage.own_case, until(header, section, end).into()));
                let word = |name, text: &'a str| Some((name, Cow::Borrowed(text)));
                let lines = [
                    word(texts.purposes, purposes),
                    word(texts.legal_basis, legal_basis),
                    word(texts.recipients, recipients),
                    word(texts.storage_period, storage_period),
                    end,
                    word(texts.source, source),
                ];
                let lines = lines.into_iter().flatten().collect();
                Some(InformationEntry { title: (texts.section)(section).title, lines })
            })
            .collect();
        Self { entries, automated: &catalogue.automated_decisions, transfers: &catalogue.transfers }
    }
}

/// Until when the records of a section are kept, in words (Art. 15(1)(d) GDPR).
pub(super) fn until(header: &ReportHeader, section: Section, end: &StorageEnd) -> String {
    let texts = header.language.texts();
    let words = &texts.storage;
    let (number, unit) = match end.term.period {
        Period::Months(number) => (number, words.months),
        Period::Days(number) => (number, words.days),
    };
    let period = counted(texts, u64::from(number), unit);
    let from = match end.term.from {
        StorageAnchor::Created => words.created,
        StorageAnchor::LastActivity => words.last_activity,
        StorageAnchor::Record if section == Section::Requests => words.closing,
        StorageAnchor::Record => words.record,
    };
    let day = end.until.map(|day| texts.day(&day.to_string())).unwrap_or_default();
    let values = [("day", day.as_str()), ("period", period.as_str()), ("from", from)];
    let Some(until) = end.until else {
        return fill(if end.kept_longer { words.kept } else { words.unknown }, &values);
    };
    let text = match end.term.from {
        _ if end.kept_longer => words.kept_until,
        StorageAnchor::Record => words.each,
        _ if until < header.generated_at.with_timezone(&header.time_zone).date_naive() => words.over,
        _ => words.until,
    };
    let mut sentences = vec![fill(text, &values)];
    for (count, text) in [(end.records_over, words.each_over), (end.records_without_date, words.each_undated)]
    {
        if count > 0 {
            sentences.push(fill(text, &[("count", &texts.number(count))]));
        }
    }
    sentences.join(" ")
}
