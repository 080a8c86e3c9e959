//! The performance targets of the acceptance suite that a user would recognise, each against its bound in the same run.
//!
//! `cargo bench --bench performance -- [P-1 P-2 P-5 P-6 P-7 P-8 P-14 P-15 guide] [--quick] [--pairs N] [--entries N]
//! [--statements] [--json FILE]`. See docs/performance.md.
//!
//! It starts a private PostgreSQL that keeps its promises (fsync on) and the simulated platform as a process of its
//! own, lets bound and candidate run alternately, and prints a table. Without `--bench`, which cargo passes, it does
//! nothing, so that no test run measures anything.
//!
//! To add a target: a module with a function that gives [`outcome::Line`]s, and an arm in [`run`].

mod append;
mod auditor;
mod bulk;
mod drain;
mod guide;
mod log;
mod measure;
mod naked;
mod outcome;
mod rig;
mod simulated;
mod single;
mod watch;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use dsrd::domain::{Clock as _, SystemClock};
use serde_json::json;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) pairs: usize,
    pub(crate) quick: bool,
    /// Whether the server counts statements by their text, which slows it down.
    pub(crate) statements: bool,
    /// How many entries a long log has, where that was asked for.
    pub(crate) entries: Option<u64>,
}

impl Plan {
    /// How many entries a long log has: what was asked for, or so many, or fewer in a quick run.
    pub(crate) fn entries(self, usual: u64, quick: u64) -> u64 {
        self.entries.unwrap_or(if self.quick { quick } else { usual })
    }
}

const TARGETS: [&str; 9] = ["P-1", "P-2", "P-5", "P-6", "P-7", "P-8", "P-14", "P-15", "guide"];
/// Above this load before the start, figures are shown but not fit to be published.
const QUIET: f64 = 0.5;

/// The present time, which only benches may take for themselves.
pub(crate) fn now() -> DateTime<Utc> {
    SystemClock.now()
}

#[expect(clippy::print_stderr, reason = "whoever waits for a bench is told how far it is")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::print_stdout, reason = "a bench is for its figures")]
pub(crate) fn print_line(line: &str) {
    println!("{line}");
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, work, task] = arguments.as_slice()
        && first == "child"
    {
        return match work.as_str() {
            "simulator" => simulated::serve(task.parse()?).await,
            "access" => bulk::access_child(task).await,
            "preview" => bulk::preview_child(task).await,
            other => bail!("unknown work {other}"),
        };
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        say("nothing measured: run it with `cargo bench --bench performance`");
        return Ok(());
    }
    run(&arguments).await
}

async fn run(arguments: &[String]) -> Result<()> {
    let mut wanted = Vec::new();
    let mut plan = Plan { pairs: 5, quick: false, statements: false, entries: None };
    let mut file = None;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--bench" => {}
            "--quick" => plan = Plan { pairs: 1, quick: true, ..plan },
            "--statements" => plan.statements = true,
            "--pairs" => plan.pairs = rest.next().context("--pairs needs a number")?.parse()?,
            "--entries" => plan.entries = Some(rest.next().context("--entries needs a number")?.parse()?),
            "--json" => file = Some(PathBuf::from(rest.next().context("--json needs a file")?)),
            target if TARGETS.contains(&target) => wanted.push(target.to_owned()),
            other => {
                bail!(
                    "{other} is none of {TARGETS:?}, --quick, --pairs N, --entries N, --statements and --json FILE"
                )
            }
        }
    }
    if wanted.is_empty() {
        wanted = TARGETS.map(str::to_owned).to_vec();
    }
    let load = measure::load()?;
    if load > QUIET {
        say(&format!(
            "The load before the start is {load}, above {QUIET}: figures are shown, but do not publish them."
        ));
    }
    watch::listen();
    let mut database = rig::Database::start(plan.statements).await?;
    let server = database.describe().await?;
    let mut lines = Vec::new();
    for target in &wanted {
        lines.extend(match target.as_str() {
            "P-1" => drain::at_full_speed(plan, &mut database).await?,
            "P-2" => drain::with_latency(plan, &mut database).await?,
            "P-5" => bulk::access_report(plan).await?,
            "P-6" => bulk::retention_preview(plan).await?,
            "P-7" => append::beside_a_bare_insert(plan, &mut database).await?,
            "P-8" => auditor::verification(plan, &mut database).await?,
            "P-14" => auditor::questions(plan, &mut database).await?,
            "guide" => guide::questions(plan, &mut database).await?,
            _ => single::submit_to_closed(plan, &mut database).await?,
        });
    }
    database.stop().await?;
    let machine = measure::machine();
    let report = json!({
        "at": now(), "version": env!("CARGO_PKG_VERSION"), "profile": "bench (no LTO, 16 codegen units)",
        "load_before": load, "load_after": measure::load()?, "quiet": load <= QUIET,
        "machine": machine, "postgresql": server, "pairs": plan.pairs, "quick": plan.quick, "entries": plan.entries,
        "lines": outcome::to_json(&lines),
    });
    print_line(&outcome::table(&lines));
    print_line(&format!("load {load} before, {} after; {machine}; {server:?}", measure::load()?));
    if let Some(file) = file {
        std::fs::write(&file, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}
