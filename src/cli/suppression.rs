//! `dsrd suppression`: who must not be created again or contacted.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::Subcommand;
use serde::Serialize;
use uuid::Uuid;

use super::context::Context;
use super::output::{Output, or_dash, table};
use super::{Failure, identifiers};
use crate::daemon::{self, Foundation};
use crate::domain::{OrganisationId, local_time};
use crate::execution::{self, Decided, LookedAgain, Lookout, WatchError};
use crate::suppression::watch::{Found, Seen, Watched};
use crate::suppression::{self, ImportDecision, Purpose, Suppressed};

/// What to do.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Ask whether an import may create the person with these identifiers. You are asked for them, or hand them in with
    /// --from; they are never arguments. That you asked about somebody who is on the list stands in the audit log; who it was
    /// does not.
    Check {
        #[command(flatten)]
        who: Who,
        /// When the person themself signed up with consent, where you can show that; an instant that is over.
        #[arg(long, value_name = "INSTANT")]
        signed_up_at: Option<DateTime<Utc>>,
    },
    /// Count the entries by purpose, kind and source. There is no list of persons.
    List {
        /// Short name of the organisation; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
    },
    /// Show what is looked at again after an erasure or opt-out, what was found, and what waits for a decision.
    Watch {
        /// Short name of the organisation; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
        /// Look at once at everything whose contact is still known.
        #[arg(long, conflicts_with_all = ["again", "leave"])]
        now: bool,
        /// Have it done again, by a request of its own: a contact or policy that is as it was before, and untouched since.
        #[arg(long, value_name = "LOOK")]
        again: Vec<Uuid>,
        /// Leave what this look found as it is; the same is not reported again.
        #[arg(long, value_name = "LOOK")]
        leave: Vec<Uuid>,
    },
    /// Forget a person who wants to be contacted, or created, again.
    Revoke {
        #[command(flatten)]
        who: Who,
        /// Only for this purpose: re_creation or marketing.
        #[arg(long)]
        purpose: Option<Purpose>,
    },
}

/// Who is meant.
#[derive(Debug, clap::Args)]
pub(super) struct Who {
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// A JSON file with the identifiers, or - for standard input: {"email": …, "phone": …}.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

pub(super) async fn run(command: Command, context: Context, output: &Output) -> anyhow::Result<()> {
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let result = match command {
        Command::Check { who, signed_up_at } => {
            check(&who, signed_up_at, &context, &foundation, output).await
        }
        Command::List { organisation } => list(organisation.as_ref(), &context, &foundation, output).await,
        Command::Watch { organisation, now, again, leave } => {
            let wanted = Wanted { now, again, leave };
            watch(organisation.as_ref(), wanted, &context, &foundation, output).await
        }
        Command::Revoke { who, purpose } => revoke(&who, purpose, &context, &foundation, output).await,
    };
    foundation.close().await;
    result
}

/// The answer to an importer.
#[derive(Serialize)]
struct Answer {
    decision: ImportDecision,
    entries: Vec<Suppressed>,
}

async fn check(
    who: &Who,
    signed_up_at: Option<DateTime<Utc>>,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let controller = context.controller(who.organisation.as_ref(), foundation)?;
    let identifiers = identifiers::read(who.from.as_deref(), controller)?;
    let desk = &foundation.desk;
    let now = desk.clock.now();
    if suppression::is_ahead(signed_up_at, now) {
        return Err(Failure::Usage
            .because("--signed-up-at lies ahead: name the instant at which the person signed up"));
    }
    let mut tx = foundation.store.begin("cli.suppression.check").await?;
    let by = (context.person(), now);
    let (decision, entries) =
        suppression::decide(&mut tx, &desk.keys, &controller.id, &identifiers, signed_up_at, by).await?;
    tx.commit().await?;
    let zone = controller.time_zone;
    output.show(&Answer { decision, entries }, |answer| {
        let sentence = match answer.decision {
            ImportDecision::Allowed => "allowed: nothing is known against it",
            ImportDecision::WithoutMarketing => {
                "without marketing: create it with every marketing policy off"
            }
            ImportDecision::Blocked => {
                "blocked: the person was erased, and no sign-up of their own since then was shown"
            }
        };
        if answer.entries.is_empty() {
            return sentence.to_owned();
        }
        let rows = answer.entries.iter().map(|entry| {
            vec![
                entry.purpose.to_string(),
                entry.kind.clone(),
                local_time(entry.since, zone),
                entry.source.to_string(),
                entry.jurisdiction.clone(),
                or_dash(entry.do_not_ask_before.as_ref()),
            ]
        });
        format!(
            "{sentence}\n\n{}",
            table(&["purpose", "by", "since", "source", "law", "ask again not before"], rows)
        )
    })
}

async fn list(
    named: Option<&OrganisationId>,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let controller = context.controller(named, foundation)?;
    let mut connection = foundation.store.connection().await?;
    let counted = suppression::count_by_purpose(&mut connection, &controller.id).await?;
    let zone = controller.time_zone;
    output.show(&counted, |counted| {
        if counted.is_empty() {
            return "nobody is suppressed".to_owned();
        }
        let rows = counted.iter().map(|each| {
            vec![
                each.purpose.clone(),
                each.kind.clone(),
                each.source.clone(),
                each.jurisdiction.clone(),
                each.entries.to_string(),
                local_time(each.oldest, zone),
                local_time(each.newest, zone),
            ]
        });
        table(&["purpose", "kind", "source", "law", "entries", "oldest", "newest"], rows)
    })
}

/// What is to be done before it is shown.
struct Wanted {
    now: bool,
    again: Vec<Uuid>,
    leave: Vec<Uuid>,
}

/// How many findings are shown.
const MOST_FOUND: u16 = 500;

/// What is looked at, and what was found.
#[derive(Serialize)]
struct Watch {
    looked_now: Option<LookedAgain>,
    done_again_by: Vec<String>,
    left: usize,
    open: Vec<Found>,
    settled: Vec<Found>,
    watched: Vec<Watched>,
}

async fn watch(
    named: Option<&OrganisationId>,
    wanted: Wanted,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let controller = context.controller(named, foundation)?;
    let id = &controller.id;
    let (mut looked_now, mut done_again_by) = (None, Vec::new());
    let left = wanted.leave.len();
    if wanted.now || !wanted.again.is_empty() || !wanted.leave.is_empty() {
        let organisation = context
            .settings()
            .find_organisation(id)
            .ok_or_else(|| Failure::NotFound.because(format!("no organisation {id} is configured")))?;
        let organisations = std::slice::from_ref(organisation);
        let sites =
            daemon::sites(organisations, &foundation.controllers, &foundation.store, &foundation.desk)?;
        let Some(site) = sites.get(id) else {
            return Err(Failure::NotFound.because(format!("organisation {id} is not registered")));
        };
        if wanted.now || !wanted.again.is_empty() {
            // The contacts of another organisation would all seem to be gone (S-14).
            daemon::check_organisation(site).await?;
        }
        let settings = &context.settings().suppression;
        let lookout = Lookout { store: &foundation.store, desk: &foundation.desk, site, settings };
        if wanted.now {
            looked_now = Some(execution::look_now(lookout).await.map_err(explained)?);
        }
        for look in wanted.again {
            let by = execution::settle_look(lookout, look, Decided::Again, context.person()).await;
            done_again_by.extend(by.map_err(explained)?.map(|reference| reference.to_string()));
        }
        for look in wanted.leave {
            execution::settle_look(lookout, look, Decided::Leave, context.person())
                .await
                .map_err(explained)?;
        }
    }
    let mut connection = foundation.store.connection().await?;
    let mut found = suppression::watch::list_found(&mut connection, id, MOST_FOUND.saturating_add(1)).await?;
    let are_cut = found.len() > usize::from(MOST_FOUND);
    found.truncate(MOST_FOUND.into());
    let now = foundation.desk.clock.now();
    let watched = suppression::watch::list_watched(&mut connection, id, now).await?;
    let (open, settled) = found.into_iter().partition(Found::is_open);
    let zone = controller.time_zone;
    output.show(&Watch { looked_now, done_again_by, left, open, settled, watched }, |watch| {
        in_words(watch, zone)
    })?;
    if are_cut {
        output.say(&format!("there are more findings: these are {MOST_FOUND}, those to be decided first"));
    }
    Ok(())
}

fn in_words(watch: &Watch, zone: Tz) -> String {
    let mut parts = Vec::new();
    if let Some(LookedAgain { looked, found, applied_again, put_back }) = &watch.looked_now {
        let mut said = format!("looked at {looked}: {found} newly found");
        if !applied_again.is_empty() {
            let by: Vec<String> = applied_again.iter().map(ToString::to_string).collect();
            said = format!("{said}, applied again by {}", by.join(", "));
        }
        if *put_back > 0 {
            said = format!("{said}; {put_back} without an answer of the platform, looked at again later");
        }
        parts.push(said);
    }
    if !watch.done_again_by.is_empty() {
        parts.push(format!("done again by {}", watch.done_again_by.join(", ")));
    }
    match watch.left {
        0 => {}
        1 => parts.push("1 finding is left as it is, and not reported again".to_owned()),
        number => parts.push(format!("{number} findings are left as they are, and not reported again")),
    }
    if !watch.open.is_empty() {
        parts.push(format!(
            "to be decided:\n{}\n\n{}",
            found(&watch.open, zone),
            what_to_do(&watch.open).join("\n")
        ));
    }
    if !watch.settled.is_empty() {
        parts.push(format!("found before:\n{}", found(&watch.settled, zone)));
    }
    if watch.watched.is_empty() {
        parts.push("nothing is looked at again: nobody was erased or opted out lately".to_owned());
    } else {
        let rows = watch.watched.iter().map(|each| {
            let purpose: Result<Purpose, _> = each.purpose.parse();
            vec![
                purpose.map_or_else(|_| each.purpose.clone(), |purpose| effect(purpose).to_owned()),
                each.effects.to_string(),
                format!("{} of {}", each.still_so, each.looks),
                or_dash(each.last_at.map(|at| local_time(at, zone)).as_ref()),
                each.to_come.to_string(),
                or_dash(each.next_at.map(|at| local_time(at, zone)).as_ref()),
                match (&each.last_code, each.failing) {
                    (Some(code), failing) => format!("{failing} ({code})"),
                    (None, _) => "-".to_owned(),
                },
            ]
        });
        let head =
            ["effect", "contacts", "looks: still so", "last look", "to come", "next look", "without answer"];
        parts.push(table(&head, rows));
    }
    parts.join("\n\n")
}

/// What was done to the contact that is looked at again.
const fn effect(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::ReCreation => "erased",
        Purpose::Marketing => "opted out",
    }
}

/// For each verdict that waits, what it means and what can be done.
fn what_to_do(open: &[Found]) -> Vec<&'static str> {
    let means = |seen| match seen {
        Seen::Back => {
            "back: as it was before, or the profile does not name a policy any more, and nothing tells that anybody acted since. \
             Have it done again with --again LOOK, which takes what the profile names, or leave it with --leave LOOK."
        }
        Seen::NewerWill => {
            "newer_will: as it was before, and the person, or somebody, acted since. Ask the person, then leave it with \
             --leave LOOK; it is never done again against a newer will."
        }
        _ => {
            "other_contact: another contact with one of the identifiers that seems older. Find out whose it is, then leave it \
             with --leave LOOK; a new request of the person erases it."
        }
    };
    let kinds = [Seen::Back, Seen::NewerWill, Seen::OtherContact];
    kinds.into_iter().filter(|kind| open.iter().any(|each| each.seen == *kind)).map(means).collect()
}

fn found(found: &[Found], zone: Tz) -> String {
    let rows = found.iter().map(|each| {
        let settled = match (&each.settled, &each.again_by) {
            (_, Some(request)) => format!("again by {request}"),
            (Some(settled), None) => settled.to_string(),
            (None, None) if each.seen.needs_person() => "-".to_owned(),
            (None, None) => "nothing to do".to_owned(),
        };
        vec![
            each.look.to_string(),
            or_dash(each.reference.as_ref()),
            effect(each.purpose).to_owned(),
            local_time(each.since, zone),
            each.seen.to_string(),
            local_time(each.found_at, zone),
            each.cause.to_string(),
            settled,
        ]
    });
    table(&["look", "request", "effect", "proven at", "seen", "found at", "why looked at", "settled"], rows)
}

fn explained(error: WatchError) -> anyhow::Error {
    match error {
        WatchError::Store(error) => error.into(),
        WatchError::NotFound => Failure::NotFound.because(error.to_string()),
        WatchError::NewerWill | WatchError::OtherContact | WatchError::NotNamed | WatchError::StillSo => {
            Failure::Refused.because(error.to_string())
        }
        other => other.into(),
    }
}

/// What went.
#[derive(Serialize)]
struct Revoked {
    entries: u64,
}

async fn revoke(
    who: &Who,
    purpose: Option<Purpose>,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let controller = context.controller(who.organisation.as_ref(), foundation)?;
    let identifiers = identifiers::read(who.from.as_deref(), controller)?;
    let desk = &foundation.desk;
    let mut tx = foundation.store.begin("cli.suppression.revoke").await?;
    let by = (context.person(), desk.clock.now());
    let entries = suppression::revoke(&mut tx, &desk.keys, &controller.id, &identifiers, purpose, by).await?;
    tx.commit().await?;
    output.show(&Revoked { entries }, |revoked| match revoked.entries {
        0 => "nothing was suppressed under these identifiers".to_owned(),
        number => format!("{number} entries forgotten; what was erased stays erased"),
    })
}
