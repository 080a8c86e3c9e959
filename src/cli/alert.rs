//! `dsrd alert`: what staff is told of, and who looks at it.

use clap::Subcommand;
use serde::Serialize;
use uuid::Uuid;

use super::Failure;
use super::context::Context;
use super::output::{Output, or_dash, table};
use super::request::Case;
use crate::alert::{self, Acknowledged, ListedAlert};
use crate::daemon::Foundation;
use crate::domain::{AlertRule, OrganisationId};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what somebody has to look at: due soon, late, not told, not verified, breaches, reviews of holds, recipients that
    /// have not answered, platform away.
    List(ListArgs),
    /// Say that you look at an alert, or at all alerts of a request: they are not mailed again. Your name is recorded.
    ///
    /// What begins later is told anew: who acknowledged "due in 10 days" still hears of "due in 2 days".
    Acknowledge(AcknowledgeArgs),
}

/// Options of `dsrd alert list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// Show also what was acknowledged and what is over.
    #[arg(long)]
    all: bool,
}

/// Options of `dsrd alert acknowledge`.
#[derive(Debug, clap::Args)]
pub(super) struct AcknowledgeArgs {
    /// Id of an alert, id or reference of a request, or reference of a hold.
    what: String,
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
}

pub(super) async fn run(command: Command, context: Context, output: &Output) -> anyhow::Result<()> {
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let result = match command {
        Command::List(args) => list(args, &context, &foundation, output).await,
        Command::Acknowledge(args) => acknowledge(args, &context, &foundation, output).await,
    };
    foundation.close().await;
    result
}

async fn list(
    args: ListArgs,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(args.organisation.as_ref())?;
    let mut connection = foundation.store.connection().await?;
    let now = foundation.desk.clock.now();
    let alerts = alert::list_alerts(&mut connection, &organisation, args.all, now).await?;
    output.show(&alerts, |alerts| human(alerts))?;
    if alerts.is_empty() {
        output.say("nothing to look at");
    } else if !args.all {
        output.say(
            "look at one: dsrd request show REFERENCE; stop its mails: dsrd alert acknowledge REFERENCE",
        );
    }
    Ok(())
}

fn human(alerts: &[ListedAlert]) -> String {
    let rows = alerts.iter().map(|each| {
        let rule =
            if each.step > 0 { format!("{} ({} days)", each.rule, each.step) } else { each.rule.to_string() };
        vec![
            rule,
            each.reference.clone().or_else(|| each.hold.clone()).unwrap_or_else(|| {
                (if each.rule == AlertRule::PlatformDown { "platform" } else { "organisation" }).to_owned()
            }),
            or_dash(each.kind.as_ref()),
            or_dash(each.due_on.as_ref()),
            each.first_on.to_string(),
            each.last_on.to_string(),
            or_dash(each.acknowledged_by.as_ref()),
            each.alert.to_string(),
        ]
    });
    let head = ["why", "about", "kind", "due on", "since", "last told", "acknowledged by", "alert"];
    table(&head, rows)
}

#[derive(Serialize)]
struct Report {
    what: String,
    #[serde(flatten)]
    acknowledged: Acknowledged,
}

async fn acknowledge(
    args: AcknowledgeArgs,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(args.organisation.as_ref())?;
    let hold = args.what.trim().to_uppercase();
    if hold.starts_with("HLD-") {
        let mut tx = foundation.store.begin("cli.acknowledge").await?;
        let (now, actor) = (foundation.desk.clock.now(), context.person());
        let acknowledged = alert::acknowledge_hold(&mut tx, &organisation, &hold, actor, now).await?;
        if acknowledged == Acknowledged::default() {
            return Err(nothing(&args.what));
        }
        tx.commit().await?;
        return show_acknowledged(args.what, acknowledged, output);
    }
    let case: Case = args.what.parse().map_err(|_| {
        Failure::Usage.because(
            "write the id of an alert, the id or reference of a request (DSR-XXXX-XXXX), or the reference of a hold \
             (HLD-XXXX-XXXX)",
        )
    })?;
    let mut tx = foundation.store.begin("cli.acknowledge").await?;
    let (now, actor) = (foundation.desk.clock.now(), context.person());
    let mut acknowledged = Acknowledged::default();
    if let Ok(alert) = args.what.parse::<Uuid>() {
        acknowledged = alert::acknowledge(&mut tx, &organisation, alert, actor.clone(), now).await?;
    }
    if acknowledged == Acknowledged::default() {
        let request = case.find(foundation, &organisation).await.map_err(|_| nothing(&args.what))?;
        acknowledged = alert::acknowledge_request(&mut tx, &organisation, request, actor, now).await?;
    }
    if acknowledged == Acknowledged::default() {
        return Err(nothing(&args.what));
    }
    tx.commit().await?;
    show_acknowledged(args.what, acknowledged, output)
}

fn show_acknowledged(what: String, acknowledged: Acknowledged, output: &Output) -> anyhow::Result<()> {
    output.show(&Report { what, acknowledged }, |report| {
        format!("{}: acknowledged; it is not mailed again", report.what)
    })
}

fn nothing(what: &str) -> anyhow::Error {
    Failure::NotFound
        .because(format!("{what} has no alert that is not acknowledged; see dsrd alert list --all"))
}
