//! `dsrd request floods`: who handed in more than the limits allow at once.

use chrono::TimeDelta;
use serde::Serialize;

use crate::audit::{self, Action, Detail, Event};
use crate::cli::context::Context;
use crate::cli::output::{Output, or_dash, table};
use crate::daemon::Foundation;
use crate::domain::{OrganisationId, local_time};
use crate::intake::{self, FloodWindow};

/// What is wanted.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// How many days are looked back.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=31))]
    days: u16,
    /// Let everything begin at once that waits.
    #[arg(long)]
    release: bool,
}

#[derive(Serialize)]
struct Floods {
    released: Option<u64>,
    windows: Vec<FloodWindow>,
}

/// How many windows are shown.
const MOST: u16 = 500;

pub(super) async fn run(
    args: Args,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(args.organisation.as_ref())?;
    let now = foundation.desk.clock.now();
    let mut tx = foundation.store.begin("cli.floods").await?;
    let mut released = None;
    if args.release {
        let count = intake::release_held_back(&mut tx, &organisation).await?;
        let event = Event::general(&organisation, Action::FloodReleased, context.person(), now);
        audit::append(&mut tx, event.with(Detail::none().count("requests", count))).await?;
        released = Some(count);
    }
    let since = now - TimeDelta::days(args.days.into());
    let windows = intake::list_floods(&mut tx, &organisation, since, MOST).await?;
    tx.commit().await?;
    let zone = context.zone(&organisation);
    output.show(&Floods { released, windows }, |floods| {
        let released =
            floods.released.map_or_else(String::new, |count| format!("{count} request(s) begin at once\n\n"));
        if floods.windows.is_empty() {
            return format!("{released}nothing was held back");
        }
        let rows = floods.windows.iter().map(|each| {
            vec![
                local_time(each.window_start, zone),
                each.scope.clone(),
                or_dash(each.about.as_ref()),
                each.accepted.to_string(),
                each.held_back.to_string(),
                each.unacknowledged.to_string(),
            ]
        });
        let head = ["window", "by", "who", "accepted", "held back", "not acknowledged again"];
        format!("{released}{}", table(&head, rows))
    })
}
