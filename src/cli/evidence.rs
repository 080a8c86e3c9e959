//! `dsrd evidence`: what was done about a request or in a period, in one file that proves itself offline.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::audit::{day_or_instant, read_policy, record, seal};
use super::context::Context;
use super::output::{Output, pairs, table};
use super::request::Case;
use super::{Failure, stdout};
use crate::audit::verify::Database;
use crate::audit::{self, Action, Detail};
use crate::daemon::Foundation;
use crate::domain::{OrganisationId, Reference};
use crate::evidence::{self, Bundle, Checked, Order, Scope, Taken};

/// Options of `dsrd evidence`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// About this request, by id or reference.
    #[arg(long, conflicts_with_all = ["since", "until"])]
    case: Option<Case>,
    /// About every request with an entry from this day (UTC) or instant (RFC 3339) on.
    #[arg(long, value_parser = day_or_instant, requires = "until")]
    since: Option<DateTime<Utc>>,
    /// And before this day (UTC) or instant (RFC 3339).
    #[arg(long, value_parser = day_or_instant, requires = "since")]
    until: Option<DateTime<Utc>>,
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// The zip archive to write, or - for standard output; refused where a file of this name exists.
    #[arg(long, value_name = "FILE", required = true)]
    out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check such a file: hashes, proofs, signature, and that the cases say what the log says. Needs no configuration.
    Verify {
        /// The zip archive.
        file: PathBuf,
        /// Whom you trust: a policy file, as for `dsrd audit verify`. The keys in the archive itself when left out.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
}

pub(super) async fn run(args: Args, files: &[PathBuf], output: &Output) -> anyhow::Result<()> {
    if let Some(Command::Verify { file, policy }) = &args.command {
        return verify(file, policy.as_deref(), output);
    }
    let context = Context::load_checked(files)?;
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let result = Box::pin(take(&args, &context, &foundation, output)).await;
    foundation.close().await;
    result
}

/// What was written, for people and programs.
#[derive(Serialize)]
struct Written {
    file: PathBuf,
    sha256: String,
    #[serde(flatten)]
    taken: Taken,
}

async fn take(
    args: &Args,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(args.organisation.as_ref())?;
    let scope = match (&args.case, args.since, args.until) {
        (Some(case), ..) => {
            let case = case.find(foundation, &organisation).await?;
            Scope::Case { case, reference: Reference::of(case) }
        }
        (None, Some(since), Some(until)) if since < until => Scope::Period { since, until },
        (None, Some(_), Some(_)) => {
            return Err(Failure::Usage.because("--since must be before --until"));
        }
        _ => {
            return Err(
                Failure::Usage.because("name a request with --case, or a period with --since and --until")
            );
        }
    };
    let Some(out) = &args.out else {
        return Err(Failure::Usage.because("name the archive to write with --out"));
    };
    let settings = context.settings().find_organisation(&organisation);
    let settings_sha256 = hex::encode(Sha256::digest(serde_json::to_vec(&settings)?));
    // The cases of a period are found in the log.
    seal(context, foundation, output).await;
    let mut connection = foundation.store.connection().await?;
    let verifier_keys = audit::verifier_keys(&mut connection).await?;
    drop(connection);
    let order =
        Order { organisation, scope, taken_at: foundation.desk.clock.now(), settings_sha256, verifier_keys };
    let is_stdout = stdout::is_meant(out);
    let file = if is_stdout {
        stdout::open()?;
        stdout::create_nameless(context)?
    } else {
        File::create_new(out)
            .map_err(|error| Failure::Refused.because(format!("{} cannot be made: {error}", out.display())))?
    };
    let (file, written) = match Box::pin(write(file, out, order, context, foundation, output)).await {
        Ok(done) => done,
        Err(error) => {
            // Who is told of a failure must not find half a file that looks like evidence.
            if !is_stdout && let Err(left) = std::fs::remove_file(out) {
                output.say(&format!("{} is not whole and cannot be removed: {left}", out.display()));
            }
            return Err(error);
        }
    };
    if is_stdout {
        stdout::hand_over(file)?;
        let Written { sha256, taken, .. } = &written;
        output.say(&format!("{} cases, {} entries, sha256 {sha256}", taken.cases, taken.entries));
        return Ok(());
    }
    output.show(&written, |written| {
        pairs([
            ("written", written.file.display().to_string()),
            ("cases", written.taken.cases.to_string()),
            ("entries", format!("{}, under the head of {}", written.taken.entries, written.taken.size)),
            ("sha256", written.sha256.clone()),
            ("check it", format!("dsrd evidence verify {}", written.file.display())),
        ])
    })
}

/// Writes the archive, and records who took it: who cannot be told of takes nothing.
async fn write(
    file: File,
    out: &Path,
    order: Order,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<(File, Written)> {
    let (organisation, scope) = (order.organisation.clone(), order.scope.clone());
    let mut bundle = Bundle::begin(file, order);
    let mut connection = foundation.store.connection().await?;
    bundle.add_cases(&mut connection).await?;
    drop(connection);
    seal(context, foundation, output).await;
    let mut database = Database::open(foundation.database.options(), foundation.database.describe()).await?;
    let finished = Box::pin(bundle.finish(&mut database)).await;
    database.close().await;
    let (mut file, taken) = finished?;
    file.sync_all()?;
    let sha256 = hash_of(&mut file)?;
    let mut detail = Detail::none()
        .word("organisation", organisation.as_str())
        .word("scope", if matches!(scope, Scope::Case { .. }) { "case" } else { "period" })
        .count("cases", taken.cases)
        .count("entries", taken.entries)
        .word("sha256", &sha256);
    if let Scope::Case { case, .. } = &scope {
        detail = detail.word("of_case", &case.to_string());
    }
    record(context, foundation, Action::EvidenceTaken, detail).await?;
    Ok((file, Written { file: out.to_owned(), sha256, taken }))
}

fn hash_of(file: &mut File) -> anyhow::Result<String> {
    file.rewind()?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(&buffer[..length]);
    }
}

fn verify(path: &Path, policy: Option<&Path>, output: &Output) -> anyhow::Result<()> {
    let file = File::open(path)
        .map_err(|error| Failure::NotFound.because(format!("{} cannot be read: {error}", path.display())))?;
    let policy = policy.map(read_policy).transpose()?;
    if policy.is_none() {
        output.say(
            "no --policy was given: the keys are those that the archive itself names; compare them with keys that you got \
             another way",
        );
    }
    let checked = evidence::check_bundle(BufReader::new(file), policy.as_ref())?;
    output.show(&checked, human)?;
    match checked.findings.as_slice() {
        [] => Ok(()),
        [first, ..] => {
            let number = checked.findings.len() as u64 + checked.more_findings;
            Err(Failure::CheckFailed.because(format!("{number} things are not in order; the first: {first}")))
        }
    }
}

fn human(checked: &Checked) -> String {
    let head = pairs([
        ("organisation", checked.organisation.clone()),
        ("taken at", checked.taken_at.clone()),
        ("log", checked.origin.clone()),
        (
            "signed by",
            if checked.signed_by.is_empty() {
                "nobody whom you trust".to_owned()
            } else {
                checked.signed_by.join(", ")
            },
        ),
        ("entries", format!("{} proven under the head of {}", checked.entries, checked.size)),
        (
            "cases",
            match checked.not_covered {
                0 => format!(
                    "{}; {} of their statements borne out by the log",
                    checked.cases, checked.borne_out
                ),
                more => format!(
                    "{}; {} of their statements borne out by the log, {more} from before its first entry",
                    checked.cases, checked.borne_out
                ),
            },
        ),
        ("verdict", if checked.findings.is_empty() { "in order" } else { "NOT IN ORDER" }.to_owned()),
    ]);
    let files = table(
        &["file", "as packed", "proves"],
        checked.files.iter().map(|file| {
            vec![file.name.clone(), if file.as_packed { "yes" } else { "NO" }.to_owned(), file.proves.clone()]
        }),
    );
    let mut text = format!("{head}\n\n{files}");
    if !checked.findings.is_empty() {
        text = format!("{text}\n\nfindings:\n- {}", checked.findings.join("\n- "));
    }
    if checked.more_findings > 0 {
        text = format!("{text}\n… and {} more", checked.more_findings);
    }
    text
}
