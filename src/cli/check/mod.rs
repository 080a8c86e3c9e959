//! `dsrd check`: one line a check, each failure with its remedy. Nothing is changed anywhere.

mod database;
mod files;
mod heads;
mod mail;
mod packages;
mod platform;

use std::path::PathBuf;

use serde::Serialize;

use super::Failure;
use super::context::Context;
use super::output::{Output, table};
use crate::config::{self, Standing};

/// Options of `dsrd check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only look at configuration and files; connect to nothing. For a service manager before each start.
    #[arg(long)]
    offline: bool,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    verdict: Verdict,
    check: String,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    /// Whether the configuration itself is at fault, which ends every other command with the code of wrong usage.
    #[serde(skip)]
    configuration: bool,
}

/// The lines so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        verdict: Verdict,
        check: impl Into<String>,
        found: impl Into<String>,
        remedy: Option<&str>,
    ) {
        let remedy = remedy.map(str::to_owned);
        self.0.push(Finding {
            verdict,
            check: check.into(),
            found: found.into(),
            remedy,
            configuration: false,
        });
    }

    fn ok(&mut self, check: impl Into<String>, found: impl Into<String>) {
        self.add(Verdict::Ok, check, found, None);
    }

    fn warn(&mut self, check: impl Into<String>, found: impl Into<String>, remedy: &str) {
        self.add(Verdict::Warn, check, found, Some(remedy));
    }

    fn fail(&mut self, check: impl Into<String>, found: impl Into<String>, remedy: &str) {
        self.add(Verdict::Fail, check, found, Some(remedy));
    }

    /// The same of the configuration itself: settings, and the secret files that they name.
    fn refuse(&mut self, check: impl Into<String>, error: &(dyn std::error::Error + 'static)) {
        self.fail_with(check, error);
        if let Some(last) = self.0.last_mut() {
            last.configuration = true;
        }
    }

    /// A failure whose message names its remedy.
    fn fail_with(&mut self, check: impl Into<String>, error: &(dyn std::error::Error + 'static)) {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        self.add(Verdict::Fail, check, text, None);
    }
}

pub(super) async fn run(args: Args, files: &[PathBuf], output: &Output) -> anyhow::Result<()> {
    let mut findings = Findings::default();
    match Context::load(files) {
        Ok(context) => {
            match config::check(context.settings()) {
                Ok(()) => findings.ok("configuration", read_from(&context)),
                Err(error) => findings.refuse("configuration", &error),
            }
            decisions(&context, &mut findings);
            files::check(&context, &mut findings);
            if args.offline {
                platform::check_settings(&context, &mut findings);
            } else {
                let store = database::check(&context, &mut findings).await;
                platform::check(&context, store.as_ref(), &mut findings).await;
                mail::check(&context, &mut findings).await;
                if let Some(opened) = store {
                    heads::check(&context, &opened, &mut findings).await;
                    packages::check(&context, &opened, &mut findings).await;
                    opened.close().await;
                }
            }
        }
        Err(error) => findings.refuse("configuration", error.as_ref()),
    }
    let findings = findings.0;
    output.show(&findings, |findings| {
        let rows = findings.iter().map(|finding| {
            let verdict = match finding.verdict {
                Verdict::Ok => "ok",
                Verdict::Warn => "WARN",
                Verdict::Fail => "FAIL",
            };
            let remedy = finding.remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
            vec![verdict.to_owned(), finding.check.clone(), format!("{}{remedy}", finding.found)]
        });
        table(&["", "check", "found"], rows)
    })?;
    let failed = || findings.iter().filter(|finding| finding.verdict == Verdict::Fail);
    let class =
        if failed().any(|finding| finding.configuration) { Failure::Usage } else { Failure::CheckFailed };
    match failed().count() {
        0 => Ok(()),
        1 => Err(class.because("1 check failed")),
        number => Err(class.because(format!("{number} checks failed"))),
    }
}

/// What the law leaves to the controllers.
fn decisions(context: &Context, findings: &mut Findings) {
    let left = config::left_to_controllers(&context.loaded);
    let count = |standing| left.iter().filter(|each| each.standing == standing).count();
    let (decided, default, set) =
        (count(Standing::Decided), count(Standing::StrictDefault), count(Standing::SetWithoutRecord));
    findings.ok(
        "decisions",
        format!(
            "{decided} on record, {default} on their default, {set} set without a recorded reason (dsrd config decisions)"
        ),
    );
    for each in left.iter().filter(|each| each.standing == Standing::Unconfirmed) {
        let organisation = each.organisation.as_ref().map_or_else(String::new, |id| format!(" of {id}"));
        findings.warn(
            "decisions",
            format!("{}{organisation} is {}, which the controller has not confirmed", each.key, each.value),
            "it counts from the creation and erases guests who still come: set \"last_activity\", or record who decided \
             it, when and why in [[decisions]]",
        );
    }
}

fn read_from(context: &Context) -> String {
    let files = &context.sources.files;
    if files.is_empty() {
        return "defaults and environment only".to_owned();
    }
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}
