//! `dsrd recipient`: those to whom data was given, what they have to be told, and what they answered.

use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use uuid::Uuid;

use super::Failure;
use super::context::Context;
use super::output::{Output, or_dash, pairs, table};
use super::request::Case;
use crate::daemon::Foundation;
use crate::domain::{OrganisationId, Reference, RequestKind, local_time};
use crate::intake;
use crate::recipients::{self, GiveUpReason, Recipient, RecipientError, Task, TaskState};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the register of the settings: who holds which data, from when to when, and how they are told.
    Register(Whose),
    /// List what recipients have to be told, open tasks first.
    List {
        #[command(flatten)]
        whose: Whose,
        /// Only of this request, by id or reference.
        #[arg(long)]
        case: Option<Case>,
        /// Only what is still open.
        #[arg(long)]
        open: bool,
        /// At most this many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Show one task, and what can be done about it.
    Show {
        /// Id of the task.
        task: Uuid,
        /// Show the platform's id of the contact, for telling the recipient by hand. That you did so stands in the audit
        /// log.
        #[arg(long)]
        reveal: bool,
        #[command(flatten)]
        whose: Whose,
    },
    /// Record that the data of an erasure had been made public: a task for a person to tell those who use it (Art. 17(2) GDPR).
    MadePublic {
        /// Id or reference of the request.
        request: Case,
        #[command(flatten)]
        whose: Whose,
    },
    /// Record that the recipient said it is done.
    Confirm {
        /// Id of the task.
        task: Uuid,
        #[command(flatten)]
        whose: Whose,
    },
    /// Record that the recipient is told no further, on one of the two grounds of Art. 19 GDPR.
    GiveUp {
        /// Id of the task.
        task: Uuid,
        /// The ground.
        #[arg(long, value_enum)]
        ground: Ground,
        /// Why: `recipient_gone`, `object_unknown_there`, `no_answer`, `refuses_as_controller` or effort.
        #[arg(long, value_name = "WORD")]
        reason: GiveUpReason,
        #[command(flatten)]
        whose: Whose,
    },
}

/// Of which organisation.
#[derive(Debug, clap::Args)]
pub(super) struct Whose {
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
}

/// The grounds of Art. 19 GDPR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Ground {
    /// It proved impossible.
    Impossible,
    /// It would be a disproportionate effort.
    Disproportionate,
}

pub(super) async fn run(command: Command, context: Context, output: &Output) -> anyhow::Result<()> {
    if let Command::Register(whose) = &command {
        let organisation = context.organisation(whose.organisation.as_ref())?;
        let found = context.settings().find_organisation(&organisation);
        let register = found.map(|organisation| organisation.recipients.as_slice()).unwrap_or_default();
        return output.show(&register, |register| shown_register(register));
    }
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let result = act(command, &context, &foundation, output).await;
    foundation.close().await;
    result
}

async fn act(
    command: Command,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    match command {
        // Was shown above, without a database.
        Command::Register(_) => Ok(()),
        Command::List { whose, case, open, limit } => {
            let organisation = context.organisation(whose.organisation.as_ref())?;
            let case = match &case {
                Some(case) => Some(case.find(foundation, &organisation).await?),
                None => None,
            };
            let today = foundation.desk.clock.now().with_timezone(&context.zone(&organisation)).date_naive();
            let mut connection = foundation.store.connection().await?;
            let tasks =
                recipients::list_tasks(&mut connection, &organisation, case, open, today, limit).await?;
            output.show(&tasks, |tasks| shown_tasks(tasks))?;
            if i64::try_from(tasks.len()) == Ok(limit) {
                output.say("there may be more; raise --limit to see them");
            }
            Ok(())
        }
        Command::Show { task, reveal, whose } => {
            let organisation = context.organisation(whose.organisation.as_ref())?;
            show(task, reveal, &organisation, context, foundation, output).await
        }
        Command::MadePublic { request, whose } => {
            let organisation = context.organisation(whose.organisation.as_ref())?;
            made_public(&request, &organisation, context, foundation, output).await
        }
        Command::Confirm { task, whose } => {
            let organisation = context.organisation(whose.organisation.as_ref())?;
            end(task, None, &organisation, context, foundation).await?;
            show(task, false, &organisation, context, foundation, output).await
        }
        Command::GiveUp { task, ground, reason, whose } => {
            let organisation = context.organisation(whose.organisation.as_ref())?;
            let state = match ground {
                Ground::Impossible => TaskState::Impossible,
                Ground::Disproportionate => TaskState::Disproportionate,
            };
            end(task, Some((state, reason)), &organisation, context, foundation).await?;
            show(task, false, &organisation, context, foundation, output).await
        }
    }
}

async fn made_public(
    named: &Case,
    organisation: &OrganisationId,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let request = named.find(foundation, organisation).await?;
    let now = foundation.desk.clock.now();
    let place = recipients::Place {
        organisation,
        request,
        at: now,
        today: now.with_timezone(&context.zone(organisation)).date_naive(),
    };
    let mut tx = foundation.store.begin("cli.recipient.made_public").await?;
    let case = intake::find_case(&mut tx, organisation, request).await?;
    if case.is_none_or(|case| case.kind != RequestKind::Erasure) {
        return Err(
            Failure::Refused.because("the request asks for no erasure; Article 17(2) GDPR is about those")
        );
    }
    if !recipients::note_published(&mut tx, place, context.person()).await? {
        return Err(Failure::Refused.because("that is recorded already; see dsrd recipient list --case"));
    }
    tx.commit().await?;
    let view = serde_json::json!({ "reference": Reference::of(request), "recorded": "made_public" });
    output.show(&view, |_| {
        let reference = Reference::of(request);
        format!("{reference}: a task for a person, see dsrd recipient list --case {reference}")
    })
}

async fn end(
    task: Uuid,
    given_up: Option<(TaskState, GiveUpReason)>,
    organisation: &OrganisationId,
    context: &Context,
    foundation: &Foundation,
) -> anyhow::Result<()> {
    let now = foundation.desk.clock.now();
    let mut tx = foundation.store.begin("cli.recipient").await?;
    let ended = match given_up {
        None => recipients::confirm(&mut tx, organisation, task, context.person(), now).await,
        Some(how) => recipients::give_up(&mut tx, organisation, task, how, context.person(), now).await,
    };
    match ended {
        Ok(()) => Ok(tx.commit().await?),
        Err(error @ RecipientError::NotFound) => Err(Failure::NotFound.because(error.to_string())),
        Err(error @ RecipientError::Ended) => Err(Failure::Refused.because(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    task: Task,
    reference: Reference,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    what_you_can_do: Vec<String>,
}

async fn show(
    task: Uuid,
    reveal: bool,
    organisation: &OrganisationId,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let zone = context.zone(organisation);
    let today = foundation.desk.clock.now().with_timezone(&zone).date_naive();
    let mut connection = foundation.store.connection().await?;
    let found = recipients::find_task(&mut connection, organisation, task, today).await?;
    drop(connection);
    let found = found.ok_or_else(|| Failure::NotFound.because(RecipientError::NotFound.to_string()))?;
    let mut object = None;
    if reveal {
        // Committed before it is shown: who looked stands in the log, whatever happens next.
        let (keys, at) = (&foundation.desk.keys, foundation.desk.clock.now());
        let mut tx = foundation.store.begin("cli.recipient.reveal").await?;
        let revealed = recipients::reveal(&mut tx, keys, organisation, task, context.person(), at).await?;
        tx.commit().await?;
        object = Some(revealed.map_or_else(|| "(forgotten)".to_owned(), |id| id.expose().to_string()));
    }
    let shown = Shown {
        reference: Reference::of(found.request),
        object,
        what_you_can_do: what_you_can_do(&found),
        task: found,
    };
    output.show(&shown, |shown| {
        let task = &shown.task;
        let instant = |at: Option<_>| at.map_or_else(|| "-".to_owned(), |at| local_time(at, zone));
        let head = pairs([
            ("task", task.task.to_string()),
            ("request", shown.reference.to_string()),
            ("recipient", task.recipient.clone()),
            ("asked to", task.action.to_string()),
            ("data", task.categories.join(", ")),
            ("object", shown.object.clone().unwrap_or_else(|| "(--reveal)".to_owned())),
            ("told by", task.channel.clone()),
            ("state", state_of(task)),
            ("given up because", or_dash(task.reason.as_ref())),
            ("answer by", task.answer_by.to_string()),
            ("attempts", task.attempts.to_string()),
            ("last code", or_dash(task.last_code.as_ref())),
            ("created at", instant(Some(task.created_at))),
            ("told at", instant(task.sent_at)),
            ("ended at", instant(task.ended_at)),
        ]);
        if shown.what_you_can_do.is_empty() {
            return head;
        }
        format!("{head}\n\nwhat you can do:\n- {}", shown.what_you_can_do.join("\n- "))
    })
}

fn what_you_can_do(task: &Task) -> Vec<String> {
    if !task.state.is_open() {
        return Vec::new();
    }
    let id = task.task;
    let mut acts = vec![format!("when the recipient says that it is done: dsrd recipient confirm {id}")];
    if task.state == TaskState::Queued && task.channel == "person" {
        acts.insert(
            0,
            format!(
                "tell the recipient by hand; the object that is meant: dsrd recipient show {id} --reveal"
            ),
        );
    }
    acts.push(format!(
        "when telling it proves impossible or out of proportion: dsrd recipient give-up {id} --ground impossible --reason WORD"
    ));
    acts
}

fn state_of(task: &Task) -> String {
    if task.overdue { format!("{}, OVERDUE", task.state) } else { task.state.to_string() }
}

fn shown_tasks(tasks: &[Task]) -> String {
    let rows = tasks.iter().map(|task| {
        vec![
            task.task.to_string(),
            Reference::of(task.request).to_string(),
            task.recipient.clone(),
            task.action.to_string(),
            state_of(task),
            task.answer_by.to_string(),
            task.attempts.to_string(),
            or_dash(task.last_code.as_ref()),
        ]
    });
    table(&["task", "request", "recipient", "asked to", "state", "answer by", "attempts", "last code"], rows)
}

fn shown_register(register: &[Recipient]) -> String {
    let rows = register.iter().map(|recipient| {
        let categories: Vec<&str> = recipient.categories.iter().map(|category| category.as_str()).collect();
        let country = match &recipient.safeguard {
            Some(safeguard) => format!("{} ({safeguard})", recipient.country),
            None => recipient.country.clone(),
        };
        vec![
            recipient.id.clone(),
            recipient.name.clone(),
            categories.join(", "),
            country,
            recipient.from.to_string(),
            or_dash(recipient.until.as_ref()),
            recipient.channel.as_str().to_owned(),
        ]
    });
    table(&["id", "name", "data", "country", "from", "until", "told by"], rows)
}
