//! `dsrd audit drill`: a copy of the log is tampered with, and `verify` is seen to find it.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record;
use super::verify::{open_by_url_file, own_policy, read_policy};
use crate::audit::drill::{Attacker, Drill, DrillReport, Outcome, Place, Trial};
use crate::audit::verify::{Directory, Plan, Policy, Source, Tiles, Web};
use crate::audit::{Action, Detail};
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::output::{Output, table};
use crate::config::Sources;
use crate::daemon::{self, Foundation, Stop};
use crate::domain::{Clock as _, SystemClock, random};
use crate::store::embedded::{self, Cluster};

/// Options of `dsrd audit drill`. Without a source the log of the configured database is copied.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Copy a log out of a directory in the layout of tlog-tiles, as `dsrd audit export --as tiles` writes it.
    #[arg(long, value_name = "DIR", group = "source")]
    dir: Option<PathBuf>,
    /// Copy a log in the same layout behind an address (http or https).
    #[arg(long, value_name = "URL", group = "source")]
    url: Option<String>,
    /// Copy the log of the database of the connection URL in this file: with a login of your own, a member of the role
    /// auditor.
    #[arg(long, value_name = "FILE", group = "source")]
    database_url_file: Option<PathBuf>,
    /// Whom you trust: a policy file, as for `dsrd audit verify`. Needed but for the configured database.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Copy at most so many entries: of a longer log its beginning, or what pruning left of it, up to a signed head that it kept.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(20..=4_000_000))]
    most: u64,
}

pub(super) async fn run(args: Args, files: &[PathBuf], output: &Output) -> anyhow::Result<()> {
    let report = Box::pin(hold(args, files, output)).await?;
    output.show(&report, shown)?;
    if report.missed == 0 {
        Ok(())
    } else {
        let text = format!(
            "{} of {} manipulations were not found as they should be: a fault of the program, please report it",
            report.missed,
            report.trials.len()
        );
        Err(Failure::CheckFailed.because(text))
    }
}

async fn hold(args: Args, files: &[PathBuf], output: &Output) -> anyhow::Result<DrillReport> {
    let policy = args.policy.as_deref().map(read_policy).transpose()?;
    let given =
        policy.clone().ok_or_else(|| Failure::Usage.because("name whom you trust with --policy FILE"));
    let is_configured = args.dir.is_none() && args.url.is_none() && args.database_url_file.is_none();
    if !is_configured {
        let policy = given?;
        let sources = Sources::of_process(files)?;
        let settings = |data_dir: &Path| {
            embedded::Settings::new(data_dir, sources.variable("PATH").map(std::ffi::OsString::from))
        };
        let yard = Yard::make(&sources, settings).await?;
        let report = match (args.dir, args.url, args.database_url_file) {
            (Some(directory), _, _) => {
                yard.hold(&mut Tiles::of(Directory(directory)), policy, args.most, output).await
            }
            (_, Some(url), _) => {
                let web = Web::new(&url).map_err(|error| Failure::Usage.because(error.to_string()))?;
                yard.hold(&mut Tiles::of(web), policy, args.most, output).await
            }
            (_, _, Some(path)) => {
                let mut database = open_by_url_file(&path).await?;
                let report = yard.hold(&mut database, policy, args.most, output).await;
                database.close().await;
                report
            }
            (None, None, None) => Err(Failure::Usage.because("name a source")),
        };
        yard.clear().await;
        return report;
    }
    let context = Context::load_checked(files)?;
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let report = configured(&context, &foundation, policy, args.most, output).await;
    foundation.close().await;
    report
}

/// The drill on the log of the configured database; that it was held stands in that log.
async fn configured(
    context: &Context,
    foundation: &Foundation,
    policy: Option<Policy>,
    most: u64,
    output: &Output,
) -> anyhow::Result<DrillReport> {
    let policy = match policy {
        Some(policy) => policy,
        None => own_policy(foundation).await?,
    };
    let settings = |data_dir: &Path| {
        let of_service = daemon::Database::embedded_settings(context.settings(), &context.sources);
        // The programs that were installed for the private database serve here, too.
        let cache_dir = of_service.data_dir.join("postgres").join("binaries");
        embedded::Settings { data_dir: data_dir.to_owned(), cache_dir: Some(cache_dir), ..of_service }
    };
    let yard = Yard::make(&context.sources, settings).await?;
    let described = foundation.database.describe();
    let options = foundation.database.options();
    let mut database = crate::audit::verify::Database::open(options, described).await?;
    let report = yard.hold(&mut database, policy, most, output).await;
    database.close().await;
    yard.clear().await;
    let report = report?;
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let detail = Detail::none()
        .count("entries", report.copied)
        .count("found", number(report.found))
        .count("missed", number(report.missed))
        .count("not_tried", number(report.not_tried));
    record(context, foundation, Action::LogDrilled, detail).await?;
    Ok(report)
}

/// A cluster of its own among the temporary files; gone when this is dropped.
struct Yard {
    cluster: Cluster,
    directory: Removed,
    stop: Stop,
}

/// A directory that is removed when this is dropped.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // What cannot be removed is found by whoever empties the temporary files; it holds no personal data.
        drop(fs::remove_dir_all(&self.0));
    }
}

impl Yard {
    async fn make(
        sources: &Sources,
        settings: impl FnOnce(&Path) -> embedded::Settings,
    ) -> anyhow::Result<Self> {
        let directory = Path::new(sources.variable("TMPDIR").unwrap_or("/tmp"))
            .join(format!("dsrd-drill-{}", hex::encode(random::bytes::<8>())));
        // From here on an interruption clears the place first.
        let stop = Stop::at_signals()?;
        // Others may pass through but not look around: a server that is not root's must reach its data below.
        DirBuilder::new().mode(0o711).create(&directory).map_err(|error| {
            Failure::Usage.because(format!("the directory {} cannot be made: {error}", directory.display()))
        })?;
        let directory = Removed(directory);
        let cluster = Cluster::start(settings(&directory.0)).await?;
        Ok(Self { cluster, directory, stop })
    }

    async fn hold<S: Source>(
        &self,
        source: &mut S,
        policy: Policy,
        most: u64,
        output: &Output,
    ) -> anyhow::Result<DrillReport> {
        let progress = output.progress("manipulations tried on the copy");
        let drill = Drill {
            place: &Place::new(self.cluster.options("postgres"), "drill"),
            folder: &self.directory.0.join("witness"),
            plan: &Plan { policy, known_heads: Vec::new(), since: 0, now: SystemClock.now() },
            most,
            clock: Arc::new(SystemClock),
        };
        let mut count = |_: &Trial| progress.inc(1);
        let report = tokio::select! {
            report = drill.hold(source, &mut count) => report.map_err(anyhow::Error::from),
            () = self.stop.soft.cancelled() => {
                Err(Failure::Refused.because("the drill was interrupted; the log was only read, and the copy is gone"))
            }
        };
        progress.finish_and_clear();
        report
    }

    async fn clear(self) {
        if let Err(error) = self.cluster.stop().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the drill's database did not stop in time"
            );
        }
    }
}

fn shown(report: &DrillReport) -> String {
    let DrillReport { first, copied, size, .. } = report;
    let of = if copied == size {
        format!("all {size} entries")
    } else if *first == 1 {
        format!("the first {copied} of {size} entries")
    } else {
        format!("{copied} of {size} entries, from number {first} on (those before were pruned),")
    };
    let rows = report.trials.iter().map(row);
    let mut text = format!(
        "copied  {of} of {}\nfrom    {}\n        the original was only read; the copies are gone\n\n{}\n\n{}",
        report.origin,
        report.source,
        table(&["what is done", "by", "needs", "result", "verify says"], rows),
        "L0: the shipped definition. L1: a signed head. L2: a head kept elsewhere. L3: a witness. Of what somebody with \
         the key does, nothing is found with one level less, unless the signed account of a writer shows it. Remarked: told, and \
         no violation, because by itself it is no tampering.",
    );
    let mut counts = format!("{} found", report.found);
    for (count, word) in [
        (report.remarked, "of them as a remark"),
        (report.missed, "NOT found"),
        (report.not_tried, "not tried"),
    ] {
        if count > 0 {
            counts = format!("{counts}, {count} {word}");
        }
    }
    text = format!("{text}\n{counts}");
    text
}

fn row(trial: &Trial) -> Vec<String> {
    let (result, says) = match &trial.outcome {
        Outcome::Found { place, says, told_before: None } => ("found", format!("{place}: {says}")),
        Outcome::Found { place, says, told_before: Some(first) } => {
            ("found", format!("{place}: {says} (told before it: {}: {})", first.place, first.says))
        }
        Outcome::Remarked { place, says } => ("remarked", format!("{place}: {says}")),
        Outcome::Missed { says } => ("NOT FOUND", says.clone()),
        Outcome::NotTried { reason } => ("not tried", reason.clone()),
    };
    let by = match trial.by {
        Attacker::Superuser => "superuser",
        Attacker::SuperuserWithKey => "superuser with key",
        Attacker::ServiceLogin => "service's login",
        Attacker::Operator => "operator",
    };
    vec![trial.deed.clone(), by.to_owned(), trial.needs.to_string(), result.to_owned(), says]
}
