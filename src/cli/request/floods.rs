//! `dsrd request floods`: who handed in more than the limits allow at once.

use chrono::TimeDelta;
use chrono_tz::Tz;
use serde::Serialize;

use crate::audit::{self, Action, Detail, Event};
use crate::cli::context::Context;
use crate::cli::output::{Output, table};
use crate::daemon::Foundation;
use crate::domain::{OrganisationId, local_time};
use crate::intake::{self, FloodWindow, HeldBack};

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
    waiting: HeldBack,
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
    let waiting = intake::count_held_back(&mut tx, &organisation).await?;
    let mut windows = intake::list_floods(&mut tx, &organisation, since, MOST.saturating_add(1)).await?;
    tx.commit().await?;
    let are_cut = windows.len() > usize::from(MOST);
    windows.truncate(MOST.into());
    let zone = context.zone(&organisation);
    output.show(&Floods { released, waiting, windows }, |floods| in_words(floods, args.days, zone))?;
    if are_cut {
        output.say(&format!("there are more: these are the newest {MOST}"));
    }
    Ok(())
}

fn in_words(floods: &Floods, days: u16, zone: Tz) -> String {
    let mut parts = Vec::new();
    match floods.released {
        Some(0) => parts.push("nothing was waiting: nothing was let begin".to_owned()),
        Some(1) => parts.push("1 request begins at once".to_owned()),
        Some(count) => parts.push(format!("{count} requests begin at once")),
        None => {}
    }
    if floods.windows.is_empty() {
        let since = if days == 1 { "in the last day".to_owned() } else { format!("in the last {days} days") };
        parts.push(format!("nothing was held back {since}"));
    } else {
        let rows = floods.windows.iter().map(|each| {
            let (what, who) = match (each.scope.as_str(), &each.about) {
                ("source", Some(source)) => ("a source", source.clone()),
                ("identifier", Some(reference)) => ("an identifier", format!("that of {reference}")),
                ("identifier", None) => ("an identifier", "forgotten by now".to_owned()),
                _ => ("all together", "-".to_owned()),
            };
            vec![
                local_time(each.window_start, zone),
                if each.scope == "identifier" { "a day" } else { "an hour" }.to_owned(),
                what.to_owned(),
                who,
                each.accepted.to_string(),
                each.held_back.to_string(),
                each.unacknowledged.to_string(),
            ]
        });
        let head =
            ["from", "for", "too many from", "who", "accepted", "began later", "reminders not acknowledged"];
        parts.push(table(&head, rows));
    }
    parts.extend(still_waiting(&floods.waiting, zone));
    parts.join("\n\n")
}

/// What waits now, and what can be done about it.
fn still_waiting(waiting: &HeldBack, zone: Tz) -> Option<String> {
    let (first, last) = (waiting.first_at?, waiting.last_at?);
    let times = if first == last {
        format!("at {}", local_time(first, zone))
    } else {
        format!("from {} to {}", local_time(first, zone), local_time(last, zone))
    };
    let what = match waiting.requests {
        1 => format!("1 request waits and begins {times}"),
        number => format!("{number} requests wait and begin {times}"),
    };
    Some(format!(
        "{what}; the terms run from the receipt. Let them begin at once: dsrd request floods --release"
    ))
}
