//! `dsrd stats`: how requests are answered, in numbers, and which dates will be missed.

use std::path::PathBuf;

use chrono::{Days, Months, NaiveDate};
use chrono_tz::Tz;
use serde::Serialize;

use super::Failure;
use super::audit::{record, seal};
use super::context::Context;
use super::output::{Output, pairs, table};
use crate::audit::{Action, Detail};
use crate::daemon::{Foundation, SharedBudget};
use crate::domain::{OrganisationId, local_time};
use crate::figures::{self, Block, Figures, Outlook, Question, Share};

/// Options of `dsrd stats`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// Requests received on this day or later, in the organisation's time zone. A year before --until when left out.
    #[arg(long, value_name = "DAY")]
    since: Option<NaiveDate>,
    /// Requests received before this day. Tomorrow when left out.
    #[arg(long, value_name = "DAY")]
    until: Option<NaiveDate>,
    /// Write comma-separated values: a line for all, then one for each kind.
    #[arg(long)]
    csv: bool,
}

/// What the log says of the period, and what will be of what is open now, whatever the period.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    figures: Figures,
    forecast: Outlook,
}

pub(super) async fn run(args: Args, files: &[PathBuf], output: &Output) -> anyhow::Result<()> {
    if args.csv && output.is_for_programs() {
        return Err(Failure::Usage.because("--csv and --json are two forms of one output; name one of them"));
    }
    let context = Context::load_checked(files)?;
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let result = tell(&args, &context, &foundation, output).await;
    foundation.close().await;
    result
}

async fn tell(
    args: &Args,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(args.organisation.as_ref())?;
    let configured = context
        .settings()
        .find_organisation(&organisation)
        .ok_or_else(|| Failure::NotFound.because("no such organisation is configured"))?;
    let zone = configured.time_zone;
    let limit = SharedBudget::limit(&configured.platform.rate);
    let today = foundation.desk.clock.now().with_timezone(&zone).date_naive();
    let until = args.until.unwrap_or_else(|| today + Days::new(1));
    let since = match args.since {
        Some(since) => since,
        None => until.checked_sub_months(Months::new(12)).unwrap_or(until),
    };
    if since >= until {
        return Err(Failure::Usage.because("--since must be a day before --until"));
    }
    // The milestones of the last moments count, too.
    seal(context, foundation, output).await;
    let question = Question { organisation, since, until, zone, today };
    let mut connection = foundation.store.connection().await?;
    let figures = figures::figures(&mut connection, &question).await?;
    let forecast =
        figures::outlook(&mut connection, &question.organisation, zone, limit, foundation.desk.clock.now())
            .await?;
    drop(connection);
    let detail = Detail::none()
        .word("filters", "organisation since until")
        .word("form", "figures")
        .count("requests", figures.all.received);
    record(context, foundation, Action::LogRead, detail).await?;
    if let Some(first) = figures.covered_since {
        output.say(&format!(
            "the log does not hold the whole period any more: before {first} its entries were removed as its rules \
             allow, and requests received before are missing or counted as far as they are left"
        ));
    }
    if args.csv {
        return output.raw(csv(&figures)?.as_slice());
    }
    output.show(&Shown { figures, forecast }, |shown| {
        format!("{}\n\n{}", human(&shown.figures), ahead(&shown.forecast, zone))
    })
}

/// The forecast in a sentence or two.
fn ahead(outlook: &Outlook, zone: Tz) -> String {
    let forecast = &outlook.forecast;
    let away = outlook.platform_away_since.map(|since| local_time(since, zone));
    let paused = outlook.paused_until.map(|until| local_time(until, zone));
    let state = match (&away, &paused) {
        (Some(since), _) => format!("the platform is away since {since}; "),
        (None, Some(until)) => format!("the platform asked for a pause until {until}; "),
        (None, None) => String::new(),
    };
    let (pace, will) =
        if away.is_some() { ("if it came back now,", "would") } else { ("at the present pace", "will") };
    let waiting = forecast.waiting;
    let mut text = match forecast.first_late_on {
        _ if waiting == 0 => format!("{state}no open request waits for the platform"),
        Some(first) => format!(
            "{state}{pace} {} of {waiting} open requests that wait for the platform {will} be late, the first on {first}",
            forecast.late
        ),
        None => {
            format!("{state}{pace} none of {waiting} open requests that wait for the platform {will} be late")
        }
    };
    if forecast.overdue > 0 {
        text = format!("{text}; {} of them are late already", forecast.overdue);
    }
    if let Some(by) = forecast.answered_by {
        text = format!("{text}; the last {will} be answered by {}", local_time(by, zone));
    }
    if outlook.wait_for_people > 0 {
        text = format!(
            "{text}\nbeside these, {} open requests wait for a person or for an answer; when they go on is not forecast",
            outlook.wait_for_people
        );
    }
    text
}

fn rows(figures: &Figures) -> impl Iterator<Item = (&str, &Block)> {
    let kinds = figures.by_kind.iter().map(|(kind, block)| (kind.as_str(), block));
    std::iter::once(("all", &figures.all)).chain(kinds)
}

/// The outcomes and grounds that occur, each once.
fn words<'a>(of: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut words: Vec<&str> = of.map(String::as_str).collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn human(figures: &Figures) -> String {
    let last = figures.until.pred_opt().unwrap_or(figures.until);
    let head = pairs([
        ("organisation", figures.organisation.to_string()),
        ("received", format!("{} to {last}, both days with", figures.since)),
        ("counted on", figures.counted_on.to_string()),
    ]);
    let columns: Vec<(&str, &Block)> = rows(figures).collect();
    let line = |label: &str, cell: &dyn Fn(&Block) -> String| {
        let cells = columns.iter().map(|(_, block)| cell(block));
        std::iter::once(label.to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let mut lines = vec![
        line("received", &|block| block.received.to_string()),
        line("answered", &|block| block.answered.to_string()),
        line("open", &|block| block.open.to_string()),
        line("overdue", &|block| block.overdue.to_string()),
        line("extended", &|block| shown(block.extended)),
        line("within 1 month", &|block| shown(block.within_1_month)),
        line("within 3 months", &|block| shown(block.within_3_months)),
        line("median days", &|block| number(block.median_days)),
        line("90th percentile, days", &|block| {
            block.p90_days.map_or_else(|| "-".to_owned(), |days| days.to_string())
        }),
    ];
    for outcome in words(figures.all.outcomes.keys()) {
        let label = format!("ended: {outcome}");
        lines.push(line(&label, &|block| count_of(block.outcomes.get(outcome))));
    }
    for ground in words(figures.all.refused_on.keys()) {
        let label = format!("refused on {ground}");
        lines.push(line(&label, &|block| count_of(block.refused_on.get(ground))));
    }
    let heads: Vec<&str> = std::iter::once("").chain(columns.iter().map(|(name, _)| *name)).collect();
    let mut text = format!("{head}\n\n{}", table(&heads, lines));
    if figures.sweeps.submitted > 0 {
        text = format!(
            "{text}\n\nbeside these, retention rules submitted {} erasures, of which {} are ended",
            figures.sweeps.submitted, figures.sweeps.ended
        );
    }
    if figures.self_tests.ended > 0 {
        text = format!(
            "{text}\n\nbeside these, {} self-tests ended, of which {} failed; see dsrd request list --origin self-test",
            figures.self_tests.ended, figures.self_tests.failed
        );
    }
    if figures.dated_by_entry > 0 {
        text = format!(
            "{text}\n\nof {} requests the log does not tell the day of receipt: the day of their entry was taken",
            figures.dated_by_entry
        );
    }
    text
}

fn shown(share: Share) -> String {
    match share.percent {
        Some(percent) => format!("{percent:.1} % ({} of {})", share.count, share.of),
        None => "-".to_owned(),
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn count_of(count: Option<&u64>) -> String {
    count.copied().unwrap_or_default().to_string()
}

fn csv(figures: &Figures) -> anyhow::Result<Vec<u8>> {
    let outcomes = words(figures.all.outcomes.keys());
    let grounds = words(figures.all.refused_on.keys());
    let mut writer = csv::Writer::from_writer(Vec::new());
    let fixed = [
        "organisation",
        "since",
        "until",
        "counted_on",
        "covered_since",
        "kind",
        "received",
        "answered",
        "open",
        "overdue",
        "extended",
        "within_1_month",
        "within_1_month_of",
        "within_1_month_percent",
        "within_3_months",
        "within_3_months_of",
        "within_3_months_percent",
        "median_days",
        "p90_days",
    ];
    let heads = fixed.iter().map(|name| (*name).to_owned());
    let of_outcomes = outcomes.iter().map(|outcome| format!("outcome_{outcome}"));
    let of_grounds = grounds.iter().map(|ground| format!("refused_on_{ground}"));
    writer.write_record(heads.chain(of_outcomes).chain(of_grounds))?;
    for (kind, block) in rows(figures) {
        let (one, three) = (block.within_1_month, block.within_3_months);
        let percent = |share: Share| share.percent.map(|percent| format!("{percent:.1}")).unwrap_or_default();
        let cells = [
            figures.organisation.to_string(),
            figures.since.to_string(),
            figures.until.to_string(),
            figures.counted_on.to_string(),
            figures.covered_since.map(|day| day.to_string()).unwrap_or_default(),
            kind.to_owned(),
            block.received.to_string(),
            block.answered.to_string(),
            block.open.to_string(),
            block.overdue.to_string(),
            block.extended.count.to_string(),
            one.count.to_string(),
            one.of.to_string(),
            percent(one),
            three.count.to_string(),
            three.of.to_string(),
            percent(three),
            block.median_days.map(|days| days.to_string()).unwrap_or_default(),
            block.p90_days.map(|days| days.to_string()).unwrap_or_default(),
        ];
        let of_outcomes = outcomes.iter().map(|outcome| count_of(block.outcomes.get(*outcome)));
        let of_grounds = grounds.iter().map(|ground| count_of(block.refused_on.get(*ground)));
        writer.write_record(cells.into_iter().chain(of_outcomes).chain(of_grounds))?;
    }
    writer.into_inner().map_err(|error| anyhow::anyhow!("{error}"))
}
