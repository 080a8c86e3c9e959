//! One file per subcommand: what operators type.
//!
//! [`run`] reads the arguments, loads the settings, sets up the log and hands over to the subcommand. Standard output
//! is data, for people as tables or for programs as JSON (`--format json`, one value a command); everything else goes
//! to standard error.
//!
//! Invariants:
//! - Exit codes are an interface ([`Failure`]); `dsrd --help` lists them.
//! - Destructive commands show what they would do; doing it needs an explicit confirmation with the number shown.
//! - Clear identifiers are shown only with `--reveal`, and reading them stands in the audit log. They are handed in by
//!   file, standard input or at a terminal and refused as arguments, because the arguments of a process can be read by
//!   every user of a host (I-8).
//!
//! To add a command: a file with an `Args` structure and a `run` function, and a line in `Command`.

mod alert;
mod audit;
mod check;
mod config;
mod context;
mod deadline;
mod decide;
#[cfg(feature = "demo")]
mod demo;
mod evidence;
mod exit;
mod hold;
mod identifiers;
mod ledger;
mod migrate;
mod organisation;
mod output;
mod procedure;
mod recipient;
mod request;
mod retention;
mod serve;
mod setup;
mod stats;
mod stdout;
mod suppression;
mod upkeep;
mod witness;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

pub use exit::Failure;

use self::context::Context;
use self::output::{Format, Output};

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  failed; the message says why
  2  wrong usage or configuration
  3  no such request, organisation, package or configuration key
  4  a check failed (of `dsrd check`, other than the configuration itself)
  5  refused in the present state, for example because the request is closed or the file exists
  6  the database or the platform cannot be reached
  7  there is no database yet, it is not migrated or of another version, or a right is missing";

/// Data-subject request daemon: answers access, erasure and opt-out requests against a contact platform, verifiably.
#[derive(Debug, Parser)]
#[command(name = "dsrd", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// Configuration file; may be given several times, later files override earlier ones. Without it
    /// /etc/dsrd/dsrd.toml is read, if it exists.
    #[arg(long, value_name = "FILE", global = true)]
    config: Vec<PathBuf>,
    /// How results are written to standard output.
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
    /// Short for --format json.
    #[arg(long, global = true, conflicts_with = "format")]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: everything, or one part with --only.
    Serve(serve::ServeArgs),
    /// Run only the worker part of the daemon (as serve --only worker).
    Worker,
    /// Bring the schema of the database up to date.
    Migrate(migrate::Args),
    /// Install the PostgreSQL server programs that the private database needs.
    Setup(setup::Args),
    /// Check configuration, secrets, database, platform and mail; one line a check.
    Check(check::Args),
    /// Hand in, look at, withdraw or resume data-subject requests.
    #[command(subcommand)]
    Request(request::Command),
    /// Decide about a request that waits for a person: choose its contact, or refuse it.
    #[command(subcommand)]
    Decide(decide::Command),
    /// Place, list, review and lift holds: what must not be erased for now, and on which ground.
    #[command(subcommand)]
    Hold(hold::Command),
    /// Ask who must not be created again or contacted, as an importer does; forget somebody who wants to be contacted.
    #[command(subcommand)]
    Suppression(suppression::Command),
    /// After a restore: compare what was done with what the database and the platform show.
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// See what recipients of personal data have to be told, and record their answers.
    #[command(subcommand)]
    Recipient(recipient::Command),
    /// List what staff is alerted of, and say that you look at it.
    #[command(subcommand)]
    Alert(alert::Command),
    /// Preview or run the retention rule.
    #[command(subcommand)]
    Retention(retention::Command),
    /// Forget the service's own copies that are past their term, as the daemon does every hour.
    #[command(subcommand)]
    Upkeep(upkeep::Command),
    /// Take one organisation out at the end of its contract, with everything that is held for it.
    #[command(subcommand)]
    Organisation(organisation::Command),
    /// Read, search, verify and export the audit log.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Count how requests were answered in a period: terms kept, outcomes, refusals, days; from the audit log. And forecast which
    /// dates of open ones will be missed at the present pace.
    Stats(stats::Args),
    /// Take evidence about a request or a period out, in one archive that proves itself offline; or check one.
    Evidence(evidence::Args),
    /// Print the written procedure of an organisation, made from the settings: terms, steps, roles, periods.
    Procedure(procedure::Args),
    /// Tell until when an answer is due under a law and a calendar of public holidays, and why.
    Deadline(Box<deadline::Args>),
    /// Watch the audit log of somebody else, as an auditor does.
    #[command(subcommand)]
    Witness(witness::Command),
    /// Explain the configuration.
    #[command(subcommand)]
    Config(config::Command),
    /// See it all at work on this host: invented people, a simulated platform, the real daemon.
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// Runs one command line and returns its exit code.
///
/// Makes the runtime, and is not generic: what is asynchronous or generic is compiled where it is driven, and in the crate of
/// the executable it would be compiled once more.
#[must_use]
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Nothing else works by now: no log, no command.
            std::io::Write::write_all(&mut std::io::stderr(), format!("error: {error}\n").as_bytes())
                .unwrap_or_default();
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run_command(arguments));
    // A blocking call that hangs must not keep a process from ending that was told to.
    runtime.shutdown_timeout(Duration::from_millis(500));
    code
}

async fn run_command(arguments: Vec<OsString>) -> ExitCode {
    // Its code 2 means that nothing could be decided.
    let wrong_usage = if audit::is_verification(&arguments) { 3 } else { 2 };
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // clap writes help to standard output and errors to standard error; nothing is left to do when that fails.
            error.print().unwrap_or_default();
            return ExitCode::from(if error.use_stderr() { wrong_usage } else { 0 });
        }
    };
    let output = Output::new(if cli.json { Format::Json } else { cli.format });
    match dispatch(cli, &output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is::<exit::Told>() {
                output.say_error(&error);
            }
            ExitCode::from(exit::code_of(&error))
        }
    }
}

async fn dispatch(cli: Cli, output: &Output) -> anyhow::Result<()> {
    let files = cli.config;
    match cli.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "dsrd", &mut script);
            output.raw(&script)
        }
        #[cfg(feature = "demo")]
        Command::Demo(args) => Box::pin(demo::run(args, &files, output)).await,
        Command::Procedure(args) => procedure::run(&args, &files, output),
        Command::Deadline(args) => deadline::run(&args, &files, output),
        Command::Config(command) => config::run(command, &files, output),
        Command::Setup(args) => setup::run(&args, Context::load(&files)?, output).await,
        Command::Migrate(args) => migrate::run(args, Context::load(&files)?, output).await,
        Command::Check(args) => check::run(args, &files, output).await,
        Command::Serve(args) => serve::run(args.only, Context::load_service(&files)?).await,
        Command::Worker => serve::run(Some(serve::Part::Worker), Context::load_service(&files)?).await,
        Command::Request(command) => {
            command.refuse_identifiers()?;
            request::run(command, Context::load_checked(&files)?, output).await
        }
        Command::Decide(command) => decide::run(command, Context::load_checked(&files)?, output).await,
        Command::Hold(command) => hold::run(command, Context::load_checked(&files)?, output).await,
        Command::Suppression(command) => {
            suppression::run(command, Context::load_checked(&files)?, output).await
        }
        Command::Ledger(command) => ledger::run(command, Context::load_checked(&files)?, output).await,
        Command::Alert(command) => alert::run(command, Context::load_checked(&files)?, output).await,
        Command::Retention(command) => retention::run(command, Context::load_checked(&files)?, output).await,
        Command::Witness(command) => witness::run(command, Context::load_speaking(&files)?, output).await,
        Command::Upkeep(command) => upkeep::run(command, Context::load_checked(&files)?, output).await,
        Command::Organisation(command) => {
            organisation::run(command, Context::load_checked(&files)?, output).await
        }
        Command::Audit(command) => audit::run(command, &files, output).await,
        Command::Recipient(command) => recipient::run(command, Context::load_checked(&files)?, output).await,
        Command::Stats(args) => stats::run(args, &files, output).await,
        Command::Evidence(args) => evidence::run(args, &files, output).await,
    }
}
