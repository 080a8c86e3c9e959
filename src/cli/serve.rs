//! `dsrd serve` and `dsrd worker`: the daemon.

use clap::ValueEnum;

use super::context::Context;
use super::exit::Told;
use crate::daemon::{self, Service, Stop};

/// Options of `dsrd serve`.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// Run one part only. Several daemons may share one database.
    #[arg(long, value_enum)]
    pub(super) only: Option<Part>,
}

/// A part of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    /// Take producers' rows, carry out requests, send notices, number the audit log.
    Worker,
    /// Run retention sweeps when they are due, and destroy packages at their expiry.
    Scheduler,
    /// Serve the hand-over page.
    Http,
}

impl From<Part> for daemon::Part {
    fn from(part: Part) -> Self {
        match part {
            Part::Worker => Self::Worker,
            Part::Scheduler => Self::Scheduler,
            Part::Http => Self::Http,
        }
    }
}

pub(super) async fn run(only: Option<Part>, context: Context) -> anyhow::Result<()> {
    let stop = Stop::at_signals()?;
    let service = Service::new(&context.loaded, context.sources, only.map(Into::into));
    service.run(stop).await.map_err(|error| {
        if !tracing::enabled!(tracing::Level::ERROR) {
            return error.into();
        }
        // The log is what a service manager keeps; said once more, it would only look like a second fault.
        tracing::error!(error = &error as &dyn std::error::Error, "dsrd cannot run");
        anyhow::Error::new(error).context(Told)
    })
}
