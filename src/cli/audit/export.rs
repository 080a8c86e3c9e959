//! `dsrd audit export` and `dsrd audit prove`: the log, taken out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use serde::Serialize;
use uuid::Uuid;

use super::{day_or_instant, of_case, record, seal};
use crate::audit::export::{self, Exported, LineFormat, Selection};
use crate::audit::subject::{self, Opening};
use crate::audit::tlog::ProofFile;
use crate::audit::verify::{Database, Stored};
use crate::audit::{Action, Filter, Leaf, list, manifest};
use crate::cli::context::Context;
use crate::cli::output::{Output, pairs};
use crate::cli::request::Case;
use crate::cli::{Failure, stdout};
use crate::daemon::Foundation;
use crate::domain::{OrganisationId, RequestId};
use crate::intake::find_case;

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// A directory in the layout of tlog-tiles: the whole log, verifiable with foreign software.
    Tiles,
    /// JSON lines: the checkpoint, then an entry a line, verbatim, with its proof.
    Ndjson,
    /// Comma-separated values.
    Csv,
    /// JSON lines in the class API Activity of OCSF.
    Ocsf,
    /// JSON lines, each a `CloudEvents` event.
    Cloudevents,
}

/// Options of `dsrd audit export`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExportArgs {
    /// The form.
    #[arg(long = "as", value_enum, value_name = "FORM")]
    form: Form,
    /// File to write, or - for standard output; for tiles a directory. It must not exist yet (a directory may be empty).
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Only entries of this organisation; those about the log itself belong to none.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// Only entries of this request, by id or reference.
    #[arg(long)]
    case: Option<Case>,
    /// Only this action, for example deletion.ended.
    #[arg(long)]
    action: Option<String>,
    /// Only this outcome, for example done.
    #[arg(long)]
    outcome: Option<String>,
    /// Not before this day (UTC) or instant (RFC 3339).
    #[arg(long, value_parser = day_or_instant)]
    since: Option<DateTime<Utc>>,
    /// Before this day (UTC) or instant (RFC 3339).
    #[arg(long, value_parser = day_or_instant)]
    until: Option<DateTime<Utc>>,
}

/// Options of `dsrd audit prove`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ProveArgs {
    /// All entries of this request, by id or reference.
    #[arg(long, required_unless_present = "seq", conflicts_with = "seq")]
    case: Option<Case>,
    /// The entry of this number. May be given several times.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seq: Vec<u64>,
    /// Short name of the organisation of the request; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// Directory for the receipts; made where there is none. Nothing in it is overwritten.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What `prove` wrote.
#[derive(Debug, Serialize)]
struct Receipt {
    seq: u64,
    entry: PathBuf,
    proof: PathBuf,
}

pub(super) async fn export(
    args: ExportArgs,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = match (&args.organisation, &args.case) {
        (None, None) => None,
        (named, _) => Some(context.organisation(named.as_ref())?),
    };
    let case = match (&args.case, &organisation) {
        (Some(case), Some(organisation)) => Some(case.find_in_log(foundation, organisation).await?),
        _ => None,
    };
    let selection = Selection {
        organisation: organisation.map(|organisation| organisation.to_string()),
        case: case.map(|case| case.0),
        action: args.action,
        outcome: args.outcome,
        since: args.since,
        until: args.until,
    };
    if args.form == Form::Tiles && selection.fields() != "none" {
        return Err(Failure::Usage.because("tiles are the whole log; export lines to choose from it"));
    }
    seal(context, foundation, output).await;
    let place = if stdout::is_meant(&args.out) {
        stdout::open()?;
        Place::Nameless(stdout::create_nameless(context)?)
    } else {
        Place::Named(Unrecorded::at(args.form, &args.out)?)
    };
    let mut database = Database::open(foundation.database.options(), foundation.database.describe()).await?;
    let written = write(&mut database, &selection, args.form, &place).await;
    database.close().await;
    let exported = written?;
    let mut detail = of_case(case)
        .word("form", word(args.form))
        .word("filters", &selection.fields())
        .count("entries", exported.entries)
        .word("sha256", &exported.sha256);
    if let Some(action) = &selection.action {
        detail = detail.word("action", action);
    }
    if let Some(organisation) = &selection.organisation {
        detail = detail.word("organisation", organisation);
    }
    record(context, foundation, Action::LogExported, detail).await?;
    match place {
        Place::Named(unrecorded) => unrecorded.hand_over()?,
        Place::Nameless(file) => {
            stdout::hand_over(file)?;
            output.say(&format!("{} entries, sha256 {}", exported.entries, exported.sha256));
            return Ok(());
        }
    }
    output.show(&exported, |exported| {
        pairs([
            ("written", args.out.display().to_string()),
            ("entries", exported.entries.to_string()),
            ("under", format!("the head of {} entries", exported.size)),
            ("bytes", exported.bytes.to_string()),
            ("sha256", exported.sha256.clone()),
        ])
    })
}

/// Where an export is written until it is recorded.
enum Place {
    /// Beside its name.
    Named(Unrecorded),
    /// In a file without a name, for standard output.
    Nameless(File),
}

/// What was written and stands in no entry of the log yet. It gets its name when it does, and is removed otherwise: who cannot
/// be told of takes no export. What a kill leaves has a name that says so.
struct Unrecorded {
    form: Form,
    out: PathBuf,
    /// Where it is written: beside the file, or inside of the directory.
    part: PathBuf,
    is_recorded: bool,
}

impl Unrecorded {
    fn at(form: Form, out: &Path) -> anyhow::Result<Self> {
        let refused =
            |why: String| Failure::Refused.because(format!("{} cannot be made: {why}", out.display()));
        let part = if form == Form::Tiles {
            fs::create_dir_all(out)?;
            if fs::read_dir(out)?.next().is_some() {
                return Err(refused("the directory is not empty; name a new one".to_owned()));
            }
            out.join(".part")
        } else {
            let mut beside = out.as_os_str().to_owned();
            beside.push(".part");
            for path in [out, Path::new(&beside)] {
                if path.try_exists()? {
                    return Err(refused(format!("{} is there already", path.display())));
                }
            }
            beside.into()
        };
        Ok(Self { form, out: out.to_owned(), part, is_recorded: false })
    }

    fn hand_over(mut self) -> anyhow::Result<()> {
        self.is_recorded = true;
        if self.form != Form::Tiles {
            return Ok(fs::rename(&self.part, &self.out)?);
        }
        for child in fs::read_dir(&self.part)? {
            let child = child?;
            fs::rename(child.path(), self.out.join(child.file_name()))?;
        }
        Ok(fs::remove_dir(&self.part)?)
    }
}

impl Drop for Unrecorded {
    fn drop(&mut self) {
        if !self.is_recorded {
            // It may not have been begun, and the error that ends the command is told already.
            drop(if self.form == Form::Tiles {
                fs::remove_dir_all(&self.part)
            } else {
                fs::remove_file(&self.part)
            });
        }
    }
}

async fn write(
    database: &mut Database,
    selection: &Selection,
    form: Form,
    place: &Place,
) -> anyhow::Result<Exported> {
    let format = match (form, place) {
        (Form::Tiles, Place::Named(named)) => return Ok(export::write_tiles(database, &named.part).await?),
        (Form::Tiles, Place::Nameless(_)) => {
            return Err(Failure::Usage.because("tiles are a directory; name one with --out"));
        }
        (Form::Ndjson, _) => LineFormat::Ndjson,
        (Form::Csv, _) => LineFormat::Csv,
        (Form::Ocsf, _) => LineFormat::Ocsf,
        (Form::Cloudevents, _) => LineFormat::CloudEvents,
    };
    let file = match place {
        Place::Nameless(file) => file.try_clone()?,
        Place::Named(Unrecorded { part, .. }) => File::create_new(part).map_err(|error| {
            Failure::Refused.because(format!("{} cannot be made: {error}", part.display()))
        })?,
    };
    let mut file = BufWriter::new(file);
    let exported = export::write_lines(database, selection, format, &mut file).await?;
    file.flush()?;
    file.get_ref().sync_all()?;
    Ok(exported)
}

const fn word(form: Form) -> &'static str {
    match form {
        Form::Tiles => "tiles",
        Form::Ndjson => "ndjson",
        Form::Csv => "csv",
        Form::Ocsf => "ocsf",
        Form::Cloudevents => "cloudevents",
    }
}

/// The numbers of a case's entries. An erasure of a sweep stands on a page, too, whose entry comes first, with the opening
/// of its item.
async fn entries_of_case(
    foundation: &Foundation,
    organisation: OrganisationId,
    case: RequestId,
    output: &Output,
) -> anyhow::Result<(Vec<u64>, Option<(u64, manifest::Opening)>)> {
    let mut connection = foundation.store.connection().await?;
    let contact = find_case(&mut connection, &organisation, case).await?.and_then(|case| case.contact);
    let found = manifest::open_item(&mut connection, case, contact.as_ref()).await?;
    let filter = Filter { organisation: Some(organisation), case: Some(case), ..Filter::default() };
    let entries = list(&mut connection, &filter, 0, 10_000).await?;
    let mut seqs: Vec<u64> = entries.iter().filter_map(|entry| u64::try_from(entry.seq).ok()).collect();
    let Some(found) = found else { return Ok((seqs, None)) };
    let Some(seq) = found.seq else { return Ok((seqs, None)) };
    seqs.insert(0, seq);
    if found.opening.is_none() {
        output.say("the page of the sweep is proved without its item: the id of the contact is forgotten");
    }
    Ok((seqs, found.opening.map(|opening| (seq, opening))))
}

/// What a receipt carries beside the proof (the line `extra`): what shows, to whoever knows the identifiers, that the
/// request was theirs.
#[derive(Serialize)]
struct Extra {
    v: u8,
    subject: Vec<Opening>,
}

/// Adds the openings of the commitments to people's identifiers, as long as the log keeps them.
async fn with_openings(
    mut proven: Vec<(Stored, ProofFile)>,
    foundation: &Foundation,
) -> anyhow::Result<Vec<(Stored, ProofFile)>> {
    let mut connection = foundation.store.connection().await?;
    for (row, proof) in &mut proven {
        let Ok(Leaf { subject_c: Some(_), case: Some(case), tenant: Some(tenant), .. }) =
            Leaf::parse(&row.entry)
        else {
            continue;
        };
        let subject = subject::openings(&mut connection, &tenant.parse()?, RequestId(case)).await?;
        if !subject.is_empty() {
            proof.extra = Some(serde_json::to_vec(&Extra { v: 1, subject })?);
        }
    }
    Ok(proven)
}

pub(super) async fn prove(
    args: ProveArgs,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    seal(context, foundation, output).await;
    let (case, (seqs, page)) = match &args.case {
        None => (None, (args.seq.clone(), None)),
        Some(case) => {
            let organisation = context.organisation(args.organisation.as_ref())?;
            let case = case.find_in_log(foundation, &organisation).await?;
            (Some(case), entries_of_case(foundation, organisation, case, output).await?)
        }
    };
    let mut database = Database::open(foundation.database.options(), foundation.database.describe()).await?;
    let proven = export::prove(&mut database, &seqs).await;
    database.close().await;
    let proven = match proven {
        Err(export::ExportError::NoEntry { seq, size }) => {
            return Err(Failure::NotFound.because(format!("there is no entry {seq}; {size} are sealed")));
        }
        Err(gone @ export::ExportError::Gone { .. }) => {
            return Err(Failure::NotFound.because(gone.to_string()));
        }
        other => other?,
    };
    let proven = with_openings(proven, foundation).await?;
    // Recorded first: who cannot be told of takes no receipt. By their numbers, entries of several cases may be asked for.
    let mut counts: BTreeMap<Option<Uuid>, u64> = case.map(|case| (Some(case.0), 0)).into_iter().collect();
    for (row, _) in &proven {
        let of_entry = || Leaf::parse(&row.entry).ok().and_then(|leaf| leaf.case);
        *counts.entry(case.map_or_else(of_entry, |case| Some(case.0))).or_default() += 1;
    }
    for (of, count) in counts {
        let detail = of_case(of.map(RequestId)).count("entries", count);
        record(context, foundation, Action::LogProved, detail).await?;
    }
    fs::create_dir_all(&args.out)?;
    let mut receipts = Vec::with_capacity(proven.len());
    for (row, mut proof) in proven {
        if let Some((seq, opening)) = &page
            && *seq == row.seq
        {
            // No signature covers a salt: what does not lead to the root in the entry proves nothing to anybody.
            if Leaf::parse(&row.entry).is_ok_and(|leaf| opening.check(&leaf).is_ok()) {
                proof.extra = Some(opening.to_bytes());
            } else {
                output.say(
                    "the page of the sweep is proved without its item: what is kept of it does not lead to the root in the entry, \
                     so salt, place or contact were changed",
                );
            }
        }
        let entry = args.out.join(format!("entry-{}.json", row.seq));
        let path = args.out.join(format!("entry-{}.tlog-proof", row.seq));
        for (path, content) in [(&entry, row.entry.to_vec()), (&path, proof.to_string().into_bytes())] {
            // The opening of an item names a contact.
            let mut file =
                File::options().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
                    Failure::Refused.because(format!("{} cannot be made: {error}", path.display()))
                })?;
            file.write_all(&content)?;
        }
        receipts.push(Receipt { seq: row.seq, entry, proof: path });
    }
    output.show(&receipts, |receipts| {
        let rows = receipts.iter().map(|receipt| {
            vec![
                receipt.seq.to_string(),
                receipt.entry.display().to_string(),
                receipt.proof.display().to_string(),
            ]
        });
        crate::cli::output::table(&["no", "entry", "proof"], rows)
    })
}
