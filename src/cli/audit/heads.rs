//! `dsrd audit heads` and `dsrd audit recover`: the log and what was published of it.

use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use uuid::Uuid;

use crate::audit::forget::{self, HoldReason};
use crate::audit::tlog::VerifierKey;
use crate::audit::{self, Filter, PublishError, Publisher, RestoreReason, Restored};
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::output::{Output, or_dash, table};
use crate::daemon::halves::{self, Mixed};
use crate::daemon::{self, Foundation};
use crate::domain::local_time;

/// Shows what each place outside has got.
pub(super) async fn show(context: &Context, foundation: &Foundation, output: &Output) -> anyhow::Result<()> {
    let publisher = open(context, foundation).await?;
    let statuses = publisher.status().await;
    publisher.close().await;
    output.show(&statuses?, |statuses| {
        let rows = statuses.iter().map(|each| {
            vec![
                each.kind.to_owned(),
                each.place.clone(),
                or_dash(each.size.as_ref()),
                each.behind.to_string(),
                or_dash(each.problem.as_ref()),
            ]
        });
        table(&["kind", "place", "entries", "behind", "problem"], rows)
    })
}

/// For so many days nothing of the log is pruned or erased after a part of it was lost: two weeks in which a person finds out who
/// had asked for a hold.
const HELD_DAYS: Days = Days::new(14);

/// The hold that a recovery sets.
#[derive(Clone, Copy, Serialize)]
struct Held {
    hold: Uuid,
    /// The last day (UTC) on which it is in force.
    held_until: NaiveDate,
}

impl Held {
    fn in_words(self) -> String {
        let Self { hold, held_until } = self;
        format!(
            "Until {held_until} nothing of the log is pruned or erased (hold {hold}): holds on the log that were set in the lost \
             time are lost, too.\n\
             - set them again: dsrd audit hold set\n\
             - then end this one: dsrd audit hold lift {hold}\n\
             - forget again the staff that was forgotten in that time: dsrd audit forget-staff"
        )
    }
}

/// Holds the log, before work goes on: a hold that was set in the lost time went with it, and what has become due since the copy
/// would be erased within the hour. A command that is given again finds the hold of its first time.
async fn hold_after_loss(context: &Context, foundation: &Foundation) -> anyhow::Result<Held> {
    let mut tx = foundation.store.begin("cli.audit.hold_after_loss").await?;
    let now = foundation.desk.clock.now();
    let held_until = now.date_naive().checked_add_days(HELD_DAYS).unwrap_or(NaiveDate::MAX);
    let holds = forget::list_holds(&mut tx).await?;
    if let Some(hold) = holds.iter().find(|hold| hold.in_force && hold.until_on == Some(held_until)) {
        return Ok(Held { hold: hold.id, held_until });
    }
    let (reason, days) = (HoldReason::InternalInvestigation, (None, Some(held_until)));
    let hold = forget::set_hold(&mut tx, reason, days, &context.person(), now).await?;
    tx.commit().await?;
    Ok(Held { hold, held_until })
}

/// What a recovery came to.
#[derive(Serialize)]
struct Recovered {
    /// The name under which the log goes on.
    origin: String,
    /// The keys with which it is checked from now on.
    verifier_keys: Vec<String>,
    /// The instant of the last entry that the restored copy has. What came in after it, and before the copy was put back, it does
    /// not have, and the ledger neither: that holds effects.
    lost_since: Option<DateTime<Utc>>,
    #[serde(flatten)]
    held: Held,
}

impl Recovered {
    fn in_words(&self) -> String {
        let lost = self.lost_since.map_or_else(String::new, |since| {
            format!(
                "\n\nRequests that came in after {}, and before this copy was put back, are in no list:\n\
                 - have producers hand in again what they inserted in that time, under the same keys and dates; what is known is harmless\n\
                 - go through letters, mailboxes and the mail server's log\n\
                 - see with `dsrd check` whether packages have lost their files\n\
                 The operator runbook says how (\"What a restore loses\").",
                local_time(since, Tz::UTC)
            )
        });
        format!(
            "The log goes on as {}. The daemon takes up its work by itself.\nGive everybody who checks the log the new keys; \
             witnesses refuse it until they have them:\n{}\n\n{}{lost}",
            self.origin,
            self.verifier_keys.join("\n"),
            self.held.in_words()
        )
    }
}

/// What a person says of a restore.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    pub(super) reason: RestoreReason,
    /// That no place is left that has seen what was lost.
    pub(super) nothing_outside: bool,
}

/// Names the fork after a restore.
pub(super) async fn recover(
    loss: Loss,
    former: &[VerifierKey],
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let publisher = open(context, foundation).await?;
    let recovered = recover_with(&publisher, loss, former, context, foundation).await;
    publisher.close().await;
    output.show(&recovered?, Recovered::in_words)
}

async fn recover_with(
    publisher: &Publisher,
    Loss { reason, nothing_outside }: Loss,
    former: &[VerifierKey],
    context: &Context,
    foundation: &Foundation,
) -> anyhow::Result<Recovered> {
    let restored = match publisher.look().await {
        // Nobody else can tell that the copy is older, or how much it lacks.
        Ok(_) if nothing_outside => Restored { origin: None, size: None, root: None, reason },
        Ok(_) => {
            return Err(Failure::Refused.because(
                "the log in the database continues what was published of it; there is nothing to recover. If the database is an \
                 older copy all the same, and nothing is left outside that has seen what it lost, add --nothing-outside",
            ));
        }
        Err(PublishError::Diverged(found)) => found.lost(reason).ok_or(PublishError::Diverged(found))?,
        Err(error) => return Err(error.into()),
    };
    let lost_since = last_at(foundation).await?;
    let settings = context.settings();
    // What cannot be signed is not begun: the hold would be the only trace of it.
    daemon::ensure_log_keys(settings, &foundation.database).await?;
    let held = hold_after_loss(context, foundation).await?;
    let clock = Arc::clone(&foundation.desk.clock);
    let (sealer, origin) =
        daemon::open_restored_sealer(settings, &foundation.database, clock, former, restored).await?;
    let verifier_keys = sealer.verifier_keys().await;
    sealer.close().await;
    // The daemon does so, too; a place that is away does not matter here.
    publisher.round().await?;
    Ok(Recovered { origin, verifier_keys, lost_since, held })
}

/// When the last sealed entry was written; none in an empty log.
async fn last_at(foundation: &Foundation) -> anyhow::Result<Option<DateTime<Utc>>> {
    let mut connection = foundation.store.connection().await?;
    let last = i64::try_from(audit::sealed_up_to(&mut connection).await?)?;
    let entries = audit::list(&mut connection, &Filter::default(), last.saturating_sub(1), 1).await?;
    Ok(entries.first().map(|entry| entry.at))
}

/// Lets work go on although log and working tables were restored from different moments.
pub(super) async fn accept_mixed(
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let now = foundation.desk.clock.now();
    // A log that is older than the working tables has lost holds.
    let held = match halves::compare(&foundation.store).await? {
        Some(Mixed::WorkNewer { .. }) => Some(hold_after_loss(context, foundation).await?),
        _ => None,
    };
    let Some(mixed) = halves::accept(&foundation.store, context.person(), now).await? else {
        return Err(Failure::Refused
            .because("log and working tables are of the same moment; there is nothing to accept"));
    };
    let newer = match mixed {
        Mixed::LogNewer { .. } => "log",
        Mixed::WorkNewer { .. } => "working_tables",
    };
    output.show(&Accepted { newer, held }, |accepted| {
        let next = if accepted.newer == "log" {
            "What the log tells of and the working tables do not know is shown by `dsrd ledger replay` and by `dsrd audit list`."
        } else {
            "What was done since the log's moment has no entries; the ledger and the working tables tell of it."
        };
        let held = accepted.held.map_or_else(String::new, |held| format!("\n\n{}", held.in_words()));
        format!("Recorded (log.mixed). The daemon takes up its work by itself.\n{next}{held}")
    })
}

/// What was accepted.
#[derive(Serialize)]
struct Accepted {
    /// Which half was newer.
    newer: &'static str,
    #[serde(flatten)]
    held: Option<Held>,
}

/// Refuses what would seal an entry, where log and working tables are of different moments.
async fn ensure_whole(foundation: &Foundation) -> anyhow::Result<()> {
    match halves::compare(&foundation.store).await? {
        Some(mixed) => Err(Failure::Refused.because(mixed.to_string())),
        None => Ok(()),
    }
}

/// Refuses what would seal an entry, where the log does not continue what was published of it.
pub(super) async fn ensure_continued(context: &Context, foundation: &Foundation) -> anyhow::Result<()> {
    ensure_whole(foundation).await?;
    let publisher = open(context, foundation).await?;
    let looked = publisher.look().await;
    publisher.close().await;
    match looked {
        Err(PublishError::Diverged(found)) => Err(Failure::Refused.because(found.to_string())),
        other => Ok(other.map(drop)?),
    }
}

/// The same for a command that only reads, and would seal in passing: nobody is asked over the network.
pub(super) async fn ensure_no_older_copy(context: &Context, foundation: &Foundation) -> anyhow::Result<()> {
    ensure_whole(foundation).await?;
    let publisher = open(context, foundation).await?;
    let looked = publisher.glance().await;
    publisher.close().await;
    Ok(looked?)
}

/// Shows the newest head to everybody who keeps heads; refuses where they have seen another log.
pub(super) async fn publish(context: &Context, foundation: &Foundation) -> anyhow::Result<()> {
    let publisher = open(context, foundation).await?;
    let round = publisher.round().await;
    publisher.close().await;
    Ok(round?)
}

async fn open(context: &Context, foundation: &Foundation) -> anyhow::Result<Publisher> {
    let clock = Arc::clone(&foundation.desk.clock);
    Ok(daemon::open_publisher(context.settings(), &foundation.database, clock).await?)
}

/// Reads a reason.
pub(super) fn reason(word: &str) -> Result<RestoreReason, String> {
    let known = || RestoreReason::ALL.iter().map(|each| each.as_str()).collect::<Vec<_>>().join(", ");
    RestoreReason::ALL
        .iter()
        .copied()
        .find(|each| each.as_str() == word)
        .ok_or_else(|| format!("write one of: {}", known()))
}
