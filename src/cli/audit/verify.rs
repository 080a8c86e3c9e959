//! `dsrd audit verify`: whether the log is what was signed, and how far that reaches.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use chrono::SecondsFormat;
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use super::{of_case, receipts, record};
#[cfg(feature = "timestamps")]
use crate::audit::timestamp::Authorities;
use crate::audit::tlog::{MAX_NOTE_BYTES, VerifierKey};
use crate::audit::verify::{
    self, CaseReport, CaseSubject, Database, Directory, Plan, Policy, Report, Severity, Source, SourceError,
    StampCheck, Tiles, Verdict, Web,
};
use crate::audit::{self, Action};
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::exit::Verification;
use crate::cli::output::{Output, or_dash, pairs, table};
use crate::cli::request::Case;
use crate::config;
use crate::daemon::Foundation;
use crate::domain::{Clock as _, RequestId, SystemClock};

/// The longest policy that is read, in bytes.
const MAX_POLICY_BYTES: u64 = 1024 * 1024;

const EXIT_CODES: &str = "Exit codes of this command:
  0  in order
  1  violated: the first bad place is named
  2  cannot be decided: something that is needed is missing or cannot be read
  3  wrong usage";

/// Options of `dsrd audit verify`. Without a source the configured database is read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::cli) struct Args {
    /// Read a directory in the layout of tlog-tiles, as `dsrd audit export --as tiles` writes it.
    #[arg(long, value_name = "DIR", group = "source")]
    dir: Option<PathBuf>,
    /// Read a log in the same layout behind an address (http or https).
    #[arg(long, value_name = "URL", group = "source")]
    url: Option<String>,
    /// Read the database of the connection URL in this file: with a login of your own, a member of the role auditor.
    #[arg(long, value_name = "FILE", group = "source")]
    database_url_file: Option<PathBuf>,
    /// Check receipts instead, as `dsrd audit prove` writes them: each `.tlog-proof` of this directory with the entry
    /// beside it. No log is read.
    #[arg(long, value_name = "DIR", group = "source", conflicts_with_all = ["known_head", "since", "case"])]
    receipts: Option<PathBuf>,
    /// Whom you trust: a policy file (c2sp.org/tlog-policy), for example the two lines `log VKEY` and `quorum none`.
    /// Needed but for the configured database, whose own word is taken for its key where it is left out.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Certificate in PEM form of the authority whose time-stamps you trust, or of who issued it. Time-stamps (RFC 3161) stand
    /// beside the heads that the log kept, in a database and in files alike; with two or more witnessed heads they bound the
    /// log in time.
    #[cfg(feature = "timestamps")]
    #[arg(long, value_name = "FILE", conflicts_with = "receipts")]
    timestamp_authority: Option<PathBuf>,
    /// A signed head that you kept from earlier, or got from somebody else. May be given several times.
    #[arg(long, value_name = "FILE")]
    known_head: Vec<PathBuf>,
    /// Begin after so many entries: for what was verified before. The tiles stand for what lies before.
    #[arg(long, value_name = "SIZE", default_value_t = 0)]
    since: u64,
    /// Tell of one request, too: its entries, each with its proof under the verified head, the effects whose end is not
    /// recorded, and whether its person was forgotten. By its id (a UUID), or in a database by its reference.
    #[arg(long, value_name = "CASE")]
    case: Option<Case>,
}

/// Whether a command line is one of this command, before it could be parsed.
pub(in crate::cli) fn is_verification(arguments: &[OsString]) -> bool {
    let at = |word: &str| arguments.iter().position(|argument| argument == word);
    matches!((at("audit"), at("verify")), (Some(audit), Some(verify)) if verify == audit + 1)
}

pub(super) async fn run(args: Args, files: &[PathBuf], output: &Output) -> anyhow::Result<()> {
    if let Some(directory) = &args.receipts {
        return check_receipts(directory, args.policy.as_deref(), output);
    }
    let report = match check(args, files, output).await {
        Ok(report) => report,
        Err(error) => {
            let code = if Failure::of(&error) == Failure::Usage { 3 } else { 2 };
            let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
            return Err(Verification { code, message: chain.join(": ") }.into());
        }
    };
    output.show(&report, shown)?;
    let is_unknown = report.case.as_ref().is_some_and(|case| case.entries.is_empty());
    match (report.verdict, report.first_bad()) {
        (Verdict::Ok, _) if is_unknown => {
            let message = "cannot be decided: no entry that was read is of that case".to_owned();
            Err(Verification { code: Verdict::Undecided.exit_code(), message }.into())
        }
        (Verdict::Ok, _) => Ok(()),
        (verdict, bad) => {
            let bad = bad.map(|bad| format!("{}: {}", bad.place, bad.what)).unwrap_or_default();
            let word = if verdict == Verdict::Violation { "violated" } else { "cannot be decided" };
            Err(Verification { code: verdict.exit_code(), message: format!("{word}: {bad}") }.into())
        }
    }
}

fn check_receipts(directory: &Path, policy: Option<&Path>, output: &Output) -> anyhow::Result<()> {
    let usage = |error: anyhow::Error| -> anyhow::Error {
        let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
        if error.is::<Verification>() {
            error
        } else {
            Verification { code: 3, message: chain.join(": ") }.into()
        }
    };
    let given = policy.ok_or_else(|| Failure::Usage.because("name whom you trust with --policy FILE"));
    let policy = given.and_then(read_policy).map_err(usage)?;
    receipts::run(directory, &policy, output).map_err(usage)
}

async fn check(args: Args, files: &[PathBuf], output: &Output) -> anyhow::Result<Report> {
    let policy = args.policy.as_deref().map(read_policy).transpose()?;
    let mut known_heads = Vec::new();
    for path in &args.known_head {
        let limit = u64::try_from(MAX_NOTE_BYTES).unwrap_or(u64::MAX);
        known_heads.push((format!("known head {}", path.display()), read(path, limit)?));
    }
    let given =
        policy.clone().ok_or_else(|| Failure::Usage.because("name whom you trust with --policy FILE"));
    #[cfg(feature = "timestamps")]
    let stamps = args.timestamp_authority.as_deref().map(read_authorities).transpose()?;
    #[cfg(not(feature = "timestamps"))]
    let stamps: Option<StampCheck> = None;
    let plan = |policy: Policy| {
        let policy = match stamps {
            Some(stamps) => policy.with_stamps(stamps),
            None => policy,
        };
        Plan { policy, known_heads, since: args.since, now: SystemClock.now() }
    };
    if let Some(directory) = args.dir {
        let case = args.case.as_ref().map(id_of).transpose()?;
        return examined(&mut Tiles::of(Directory(directory)), &plan(given?), case).await;
    }
    if let Some(url) = args.url {
        let case = args.case.as_ref().map(id_of).transpose()?;
        let web = Web::new(&url).map_err(|error| Failure::Usage.because(error.to_string()))?;
        return examined(&mut Tiles::of(web), &plan(given?), case).await;
    }
    if let Some(path) = args.database_url_file {
        let plan = plan(given?);
        let mut database = open_by_url_file(&path).await?;
        let report = examined_case(&mut database, &plan, args.case.as_ref()).await;
        database.close().await;
        return report;
    }
    let context = Context::load_checked(files)?;
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let report = configured(&context, &foundation, policy, plan, args.case.as_ref(), output).await;
    foundation.close().await;
    report
}

#[cfg(feature = "timestamps")]
fn read_authorities(path: &Path) -> anyhow::Result<StampCheck> {
    let authorities = Authorities::from_pem(&read(path, MAX_POLICY_BYTES)?)
        .map_err(|error| Failure::Usage.because(format!("{}: {error}", path.display())))?;
    Ok(StampCheck::by(authorities))
}

/// Opens the database whose connection URL stands in a file.
pub(super) async fn open_by_url_file(path: &Path) -> anyhow::Result<Database> {
    let url = config::read_secret("--database-url-file", path)?;
    // The driver's error is dropped, because it may quote the URL.
    let options = PgConnectOptions::from_str(&url)
        .map_err(|_| Failure::Usage.because("the file of --database-url-file holds no connection URL"))?;
    let described = options.get_database().unwrap_or("(default)").to_owned();
    Ok(Database::open(&options, described).await?)
}

async fn examined<S: Source>(source: &mut S, plan: &Plan, case: Option<Uuid>) -> anyhow::Result<Report> {
    Ok(verify::verify_case(source, plan, case).await?)
}

/// A case as files of the log know it.
fn id_of(case: &Case) -> anyhow::Result<Uuid> {
    match case {
        Case::Id(id) => Ok(id.0),
        Case::Reference(_) => Err(Failure::Usage.because(
            "the log holds no references: give the id of the request (a UUID), or verify the database",
        )),
    }
}

async fn examined_case(database: &mut Database, plan: &Plan, case: Option<&Case>) -> anyhow::Result<Report> {
    let case = match case {
        None => None,
        Some(Case::Id(id)) => Some(id.0),
        Some(Case::Reference(reference)) => Some(match database.cases_of(reference).await?.as_slice() {
            [case] => *case,
            [] => {
                return Err(
                    Failure::Usage.because("there is no request with that reference any longer: give its id")
                );
            }
            _ => {
                return Err(
                    Failure::Usage.because("several requests have that reference: give the id of one")
                );
            }
        }),
    };
    examined(database, plan, case).await
}

/// Verifies the configured database, and records that it was done.
async fn configured(
    context: &Context,
    foundation: &Foundation,
    policy: Option<Policy>,
    plan: impl FnOnce(Policy) -> Plan,
    case: Option<&Case>,
    output: &Output,
) -> anyhow::Result<Report> {
    let policy = if let Some(policy) = policy {
        policy
    } else {
        output.say(
            "no --policy was given: the keys are those that the database itself names, so that only accidents and \
             changes without the key can be found",
        );
        own_policy(foundation).await?
    };
    let plan = plan(policy);
    let options = foundation.database.options();
    let mut database = Database::open(options, foundation.database.describe()).await?;
    let report = examined_case(&mut database, &plan, case).await;
    database.close().await;
    let report = report?;
    let verdict = match report.verdict {
        Verdict::Ok => "ok",
        Verdict::Violation => "violation",
        Verdict::Undecided => "undecided",
    };
    let asked = report.case.as_ref().map(|asked| RequestId(asked.case));
    let detail = of_case(asked)
        .word("verdict", verdict)
        .word("level", &report.level.to_string())
        .count("size", report.size)
        .count("since", report.since)
        .count("known_heads", u64::try_from(plan.known_heads.len()).unwrap_or(u64::MAX));
    record(context, foundation, Action::LogVerified, detail).await?;
    Ok(report)
}

/// The keys that the configured database itself names.
pub(super) async fn own_policy(foundation: &Foundation) -> anyhow::Result<Policy> {
    let mut connection = foundation.store.connection().await?;
    let keys = audit::verifier_keys(&mut connection).await?;
    let keys: Result<Vec<VerifierKey>, _> = keys.iter().map(|key| key.parse()).collect();
    let keys = keys?;
    if keys.is_empty() {
        return Err(
            SourceError::Missing { place: "the key of the log, which was never signed,".to_owned() }.into()
        );
    }
    Ok(Policy::of_logs(keys))
}

/// Reads a policy file.
pub(in crate::cli) fn read_policy(path: &Path) -> anyhow::Result<Policy> {
    let refused = |reason: String| Failure::Usage.because(format!("{}: {reason}", path.display()));
    let text = String::from_utf8(read(path, MAX_POLICY_BYTES)?)
        .map_err(|_| refused("it is not UTF-8".to_owned()))?;
    text.parse().map_err(|error: verify::PolicyError| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        refused(format!("{error}{cause}"))
    })
}

fn read(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    use std::io::Read as _;
    let refused =
        |reason: String| Failure::Usage.because(format!("{} cannot be read: {reason}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| refused(error.to_string()))?;
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content).map_err(|error| refused(error.to_string()))?;
    if content.len() as u64 > limit { Err(refused("it is too long".to_owned())) } else { Ok(content) }
}

fn shown(report: &Report) -> String {
    let verdict = match report.verdict {
        Verdict::Ok => "in order",
        Verdict::Violation => "VIOLATED",
        Verdict::Undecided => "cannot be decided",
    };
    let counts = &report.counts;
    let mut checked = format!(
        "{} entries, {} tiles, {} heads ({} with enough witnesses)",
        counts.entries, counts.tiles, counts.heads, counts.witnessed_heads
    );
    if report.since > 0 {
        checked = format!("{checked}; the entries up to {} by their tiles only", report.since);
    }
    if counts.authorised_absences > 0 {
        checked =
            format!("{checked}; {} entries are gone as signed entries allow", counts.authorised_absences);
    }
    if counts.authorised_erasures > 0 {
        checked = format!(
            "{checked}; {} salts or names were erased, as signed entries allow",
            counts.authorised_erasures
        );
    }
    let definition = if report.catalogue_checked {
        "compared with what was shipped"
    } else {
        "not compared (no database)"
    };
    let mut text = pairs([
        ("read", report.source.clone()),
        ("log", report.origin.clone().unwrap_or_else(|| "-".to_owned())),
        ("size", report.size.to_string()),
        ("root", report.root.clone().unwrap_or_else(|| "-".to_owned())),
        ("checked", checked),
        ("tables", definition.to_owned()),
        ("verdict", verdict.to_owned()),
        ("level", report.level.to_string()),
        ("possible", report.still_possible.clone()),
    ]);
    if !report.findings.is_empty() {
        let rows = report.findings.iter().map(|finding| {
            let severity = match finding.severity {
                Severity::Violation => "violation",
                Severity::Undecided => "undecided",
                Severity::Remark => "remark",
            };
            vec![severity.to_owned(), finding.place.clone(), finding.what.clone()]
        });
        text = format!("{text}\n\n{}", table(&["finding", "where", "what"], rows));
    }
    if report.more_findings > 0 {
        text = format!("{text}\n… and {} more", report.more_findings);
    }
    if let Some(case) = &report.case {
        text = format!("{text}\n\n{}", case_shown(case));
    }
    text
}

fn case_shown(case: &CaseReport) -> String {
    let subject = match case.subject {
        CaseSubject::Uncommitted => "no entry commits to identifiers of a person".to_owned(),
        CaseSubject::Committed { entry } => {
            format!("entry {entry} commits to identifiers; whether that can be opened stands in the database")
        }
        CaseSubject::Kept { entry } => format!(
            "entry {entry} commits to identifiers, and the salt is kept; whether it fits shows who knows one: dsrd audit subject"
        ),
        CaseSubject::BeingForgotten { entry } => {
            format!(
                "forgotten: entry {entry} committed to identifiers; the entry of the erasure is not sealed yet"
            )
        }
        CaseSubject::Forgotten { entry, by } => {
            let committed =
                entry.map_or_else(String::new, |entry| format!(": entry {entry} committed to identifiers"));
            format!("forgotten as entry {by} says, an authorised absence{committed}")
        }
        CaseSubject::Gone { entry } => {
            format!("entry {entry} commits to identifiers, and the salt is gone although no entry allows it")
        }
    };
    let open = if case.open_intents.is_empty() {
        "none".to_owned()
    } else {
        let numbers: Vec<String> = case.open_intents.iter().map(ToString::to_string).collect();
        format!("announced in entry {}, end not recorded", numbers.join(", "))
    };
    let mut text = pairs([
        ("case", case.case.to_string()),
        ("subject", subject),
        ("open", open),
        (
            "unread",
            match case.unread_entries {
                0 => "none: every entry of the log was read".to_owned(),
                unread => format!("{unread} entries of the log, of which some may be of this case"),
            },
        ),
    ]);
    let rows = case.entries.iter().map(|entry| {
        vec![
            entry.seq.to_string(),
            entry.at.to_rfc3339_opts(SecondsFormat::Secs, true),
            if entry.by_detail { format!("{} (names it)", entry.action) } else { entry.action.clone() },
            entry.actor.clone(),
            or_dash(entry.outcome.as_ref()),
            if entry.included { "proven" } else { "NOT PROVEN" }.to_owned(),
        ]
    });
    if !case.entries.is_empty() {
        text = format!(
            "{text}\n\n{}",
            table(&["entry", "at", "action", "actor", "outcome", "in the tree"], rows)
        );
    }
    if case.more_entries > 0 {
        text = format!("{text}\n… and {} more entries", case.more_entries);
    }
    text
}
