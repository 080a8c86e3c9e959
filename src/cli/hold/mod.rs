//! `dsrd hold`: what must not be erased for now.

mod person;

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, Utc};
use clap::Subcommand;
use serde::Serialize;

use self::person::{Knows, person};
use super::context::Context;
use super::output::{Output, or_dash, pairs, table};
use super::request::Case;
use super::{Failure, decide};
use crate::daemon::Foundation;
use crate::domain::{HoldCategory, HoldKind, LiftReason, OrganisationId, Statute, local_time};
use crate::holds::{self, About, EndRule, Hold, HoldError, NewHold, Placed};
use crate::{execution, triage};

/// What to do.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Record that something must not be erased for now. Name the person by one of their requests, or be asked for their
    /// identifiers (or hand them in with --from); or hold all contacts created in a span.
    Place(Box<PlaceArgs>),
    /// List the holds in force, the next review first.
    List {
        /// Short name of the organisation; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
        /// Also those that have ended.
        #[arg(long)]
        all: bool,
    },
    /// Show a hold and the erasures that wait for it.
    Show(Named),
    /// Record that somebody looked and the hold is still needed.
    Review {
        #[command(flatten)]
        named: Named,
        /// By when somebody must look again, within a year.
        #[arg(long, value_name = "DATE")]
        next: NaiveDate,
    },
    /// Tell the person of a restriction on which day it ends and why. It can be lifted from that day on, once the mail server has
    /// taken the notice (Art. 18(3) GDPR).
    AnnounceEnd {
        #[command(flatten)]
        named: Named,
        /// The day on which it ends, after today and within a year.
        #[arg(long, value_name = "DATE")]
        on: NaiveDate,
        /// A text file, or - for standard input: why it ends, in up to 10 lines. The person reads it.
        #[arg(long, value_name = "FILE", required_unless_present = "told_otherwise")]
        reason_file: Option<PathBuf>,
        /// Send nothing: you told the person by letter, by telephone or in person. That you say so stands in the audit log.
        #[arg(long, conflicts_with = "reason_file")]
        told_otherwise: bool,
    },
    /// End a hold. Erasures that wait for it follow by themselves. A restriction ends only after the person was told: dsrd hold
    /// announce-end.
    Lift {
        #[command(flatten)]
        named: Named,
        /// Why: claim_settled, order_ended, reviewed, mistake or restriction_ended.
        #[arg(long)]
        reason: LiftReason,
    },
}

/// Which hold.
#[derive(Debug, clap::Args)]
pub(super) struct Named {
    /// Reference of the hold (HLD-XXXX-XXXX).
    hold: String,
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
}

/// A hold to place.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, clap::Args)]
pub(super) struct PlaceArgs {
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// The person of this request, by its id or reference.
    #[arg(long, value_name = "REQUEST", group = "about")]
    request: Option<Case>,
    /// The person with the identifiers in this JSON file, or - for standard input.
    #[arg(long, value_name = "FILE", group = "about")]
    from: Option<PathBuf>,
    /// Everybody, or with --created-from and --created-before every contact created in that span.
    #[arg(long, group = "about")]
    everybody: bool,
    /// With --everybody: contacts created at or after this instant.
    #[arg(long, value_name = "INSTANT", requires = "everybody")]
    created_from: Option<DateTime<Utc>>,
    /// With --everybody: contacts created before this instant.
    #[arg(long, value_name = "INSTANT", requires = "everybody")]
    created_before: Option<DateTime<Utc>>,
    /// What kind of order: court, claim, statutory, or restriction (Art. 18 GDPR; stops sweeps, and what follows by itself).
    #[arg(long)]
    kind: HoldKind,
    /// What must be kept: everything, profile, events, devices or accountings. Each keeps the whole contact, because the
    /// platform deletes it as a whole.
    #[arg(long, default_value = "everything")]
    category: HoldCategory,
    /// The ground of the law that the person is told, for example RF-10; the usual one of the kind when left out.
    #[arg(long, value_name = "RF-NN")]
    ground: Option<String>,
    /// A law of the library: fr_connection_logs, it_traffic_data, it_traffic_data_72, es_connection_logs.
    #[arg(long)]
    statute: Option<Statute>,
    /// The court's or your own number of the matter; never a name.
    #[arg(long, value_name = "NUMBER")]
    matter: Option<String>,
    /// Who answers for the hold: an account or mailbox; yours when left out.
    #[arg(long)]
    owner: Option<String>,
    /// Its last day, in the organisation's time zone.
    #[arg(long, value_name = "DATE", conflicts_with = "months_after_last")]
    until: Option<NaiveDate>,
    /// It ends so many months after the last record of its category, for each contact.
    #[arg(long, value_name = "MONTHS")]
    months_after_last: Option<u8>,
    /// By when somebody must look whether it is still needed, within a year. A hold without it is refused.
    #[arg(long, value_name = "DATE")]
    review_on: Option<NaiveDate>,
}

pub(super) async fn run(command: Command, context: Context, output: &Output) -> anyhow::Result<()> {
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let result = match command {
        Command::Place(args) => place(*args, &context, &foundation, output).await,
        Command::List { organisation, all } => {
            list(organisation.as_ref(), all, &context, &foundation, output).await
        }
        Command::Show(named) => show(&named, &context, &foundation, output).await,
        Command::Review { named, next } => review(&named, next, &context, &foundation, output).await,
        Command::AnnounceEnd { named, on, reason_file, told_otherwise: _ } => {
            announce_end(&named, on, reason_file, &context, &foundation, output).await
        }
        Command::Lift { named, reason } => lift(&named, reason, &context, &foundation, output).await,
    };
    foundation.close().await;
    result
}

async fn place(
    args: PlaceArgs,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let controller = context.controller(args.organisation.as_ref(), foundation)?;
    let request = match &args.request {
        Some(named) => Some(named.find(foundation, &controller.id).await?),
        None => None,
    };
    // Refused before anybody is asked for an identifier.
    if args.review_on.is_none() {
        return Err(explained(HoldError::NoReview));
    }
    let (about, contact, contacts) = if args.everybody {
        let span = About::Contacts { created_from: args.created_from, created_before: args.created_before };
        (span, None, Vec::new())
    } else {
        let person = person(&args, controller, context, foundation).await?;
        (About::Person(person.references), Some(person.contact), person.contacts)
    };
    let ends = match (args.until, args.months_after_last, args.statute) {
        (Some(last), ..) => EndRule::On(last),
        (None, Some(months), _) => EndRule::MonthsAfterLast(months),
        (None, None, Some(statute)) => EndRule::MonthsAfterLast(statute.months()),
        (None, None, None) => EndRule::WhenLifted,
    };
    let new = NewHold {
        kind: args.kind,
        category: args.statute.map_or(args.category, Statute::category),
        ground: args.ground,
        statute: args.statute,
        matter: args.matter,
        owner: args.owner.unwrap_or_else(|| context.login_name()),
        about,
        contacts,
        ends,
        review_on: args.review_on,
        request,
    };
    let mut tx = foundation.store.begin("cli.hold.place").await?;
    let placed = execution::place_hold(&mut tx, &foundation.desk, controller, new, context.person())
        .await
        .map_err(explained)?;
    tx.commit().await?;
    output.show(&PlacedView { placed, contact }, placed_in_words)
}

#[derive(Serialize)]
struct PlacedView {
    #[serde(flatten)]
    placed: Placed,
    /// For a hold about a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<Knows>,
}

fn placed_in_words(view: &PlacedView) -> String {
    let PlacedView { placed, contact } = view;
    let mut text = format!("{}: placed; no deletion that it concerns begins from now on", placed.reference);
    if !placed.too_late_for.is_empty() {
        text = format!(
            "{text}\ntoo late for {}: its deletion had been announced to the platform before; look with dsrd request show",
            placed.too_late_for.join(", ")
        );
    }
    let why = match contact {
        None | Some(Knows::Contact) => return text,
        Some(Knows::SoughtByDaemon) => {
            return format!(
                "{text}\na daemon looks up the contact within a minute, so that the hold follows it"
            );
        }
        Some(Knows::NotFound) => "the platform shows no contact that these identifiers certainly mean",
        Some(Knows::NotAnswered) => "the platform gave no answer",
    };
    format!(
        "{text}\n{why}: the hold stands by the identifiers alone, and would be lost with them when the profile changes; place \
         another one later and lift this one"
    )
}

/// A hold as it is shown.
#[derive(Serialize)]
struct HoldView {
    #[serde(flatten)]
    hold: Hold,
    review_overdue: bool,
    /// For a restriction: when it ends, as the person is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    lift_on: Option<NaiveDate>,
    /// Whether the person was told that.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_told: Option<bool>,
    /// For a hold about a person: whether it knows the contact, and so follows a profile whose address or number changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    knows_contact: Option<bool>,
    waiting: Vec<Waiting>,
}

/// An erasure that waits for a hold.
#[derive(Serialize)]
struct Waiting {
    reference: String,
    until: Option<NaiveDate>,
}

fn end_in_words(hold: &Hold) -> String {
    match hold.ends {
        EndRule::On(last) => last.to_string(),
        EndRule::MonthsAfterLast(months) => format!("{months} months after the last of {}", hold.category),
        EndRule::WhenLifted => "until lifted".to_owned(),
    }
}

/// When it ends, and for a restriction whether the person knows.
fn announced_in_words(view: &HoldView) -> String {
    match (view.lift_on, view.end_told) {
        (Some(day), Some(true)) => format!("on {day}, when lifted; the person was told"),
        (Some(day), _) => format!("on {day}, when lifted; the notice to the person is not taken yet"),
        (None, Some(_)) => "when lifted, after the person was told".to_owned(),
        _ => end_in_words(&view.hold),
    }
}

async fn list(
    named: Option<&OrganisationId>,
    all: bool,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let controller = context.controller(named, foundation)?;
    let mut connection = foundation.store.connection().await?;
    let listed = holds::list(&mut connection, &controller.id, all).await?;
    let today = foundation.desk.clock.now().with_timezone(&controller.time_zone).date_naive();
    output.show(&listed, |listed| {
        if listed.is_empty() {
            return "no hold is in force".to_owned();
        }
        let rows = listed.iter().map(|hold| {
            let state = match &hold.ended {
                Some(ended) => format!("ended: {}", ended.reason),
                None if hold.review_on < today => "review overdue".to_owned(),
                None => "in force".to_owned(),
            };
            vec![
                hold.reference.clone(),
                hold.kind.to_string(),
                hold.category.to_string(),
                if hold.about_persons { "person" } else { "contacts" }.to_owned(),
                hold.ground.clone(),
                end_in_words(hold),
                hold.review_on.to_string(),
                hold.owner.clone(),
                state,
            ]
        });
        table(&["hold", "kind", "keeps", "about", "ground", "ends", "review by", "owner", "state"], rows)
    })
}

async fn show(
    named: &Named,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let controller = context.controller(named.organisation.as_ref(), foundation)?;
    let mut connection = foundation.store.connection().await?;
    let reference = named.hold.trim().to_uppercase();
    let hold = holds::find_by_reference(&mut connection, &controller.id, &reference)
        .await?
        .ok_or_else(|| explained(HoldError::NotFound))?;
    let waiting = holds::postponed_by(&mut connection, &controller.id, hold.id).await?;
    let waiting = waiting.into_iter().map(|(reference, until)| Waiting { reference, until }).collect();
    let today = foundation.desk.clock.now().with_timezone(&controller.time_zone).date_naive();
    let end = holds::restriction_end(&mut connection, &controller.id, hold.id).await?;
    let knows_contact = if hold.about_persons {
        Some(holds::knows_contact(&mut connection, &controller.id, hold.id).await?)
    } else {
        None
    };
    let is_restriction = hold.kind == HoldKind::Restriction;
    let view = HoldView {
        review_overdue: hold.ended.is_none() && hold.review_on < today,
        lift_on: end.lift_on,
        end_told: is_restriction.then_some(end.told),
        knows_contact,
        hold,
        waiting,
    };
    let zone = controller.time_zone;
    output.show(&view, |view| {
        let hold = &view.hold;
        let about = match (hold.about_persons, hold.created_from, hold.created_before) {
            (true, ..) if view.knows_contact == Some(true) => {
                "one person, by contact and identifiers".to_owned()
            }
            (true, ..) => "one person, by identifiers alone".to_owned(),
            (false, None, None) => "everybody".to_owned(),
            (false, from, before) => format!(
                "contacts created from {} to before {}",
                or_dash(from.map(|at| local_time(at, zone)).as_ref()),
                or_dash(before.map(|at| local_time(at, zone)).as_ref())
            ),
        };
        let overdue = if view.review_overdue { " (overdue)" } else { "" };
        let text = pairs([
            ("hold", hold.reference.clone()),
            ("kind", hold.kind.to_string()),
            ("keeps", hold.category.to_string()),
            ("about", about),
            ("ground", hold.ground.clone()),
            ("statute", or_dash(hold.statute.map(Statute::title).as_ref())),
            ("matter", or_dash(hold.matter.as_ref())),
            ("owner", hold.owner.clone()),
            ("ends", announced_in_words(view)),
            ("review by", format!("{}{overdue}", hold.review_on)),
            ("placed", format!("{} by {}", local_time(hold.placed_at, zone), hold.placed_by)),
            (
                "ended",
                or_dash(
                    hold.ended
                        .as_ref()
                        .map(|ended| {
                            format!("{} by {}: {}", local_time(ended.at, zone), ended.by, ended.reason)
                        })
                        .as_ref(),
                ),
            ),
        ]);
        if view.waiting.is_empty() {
            return format!("{text}\n\nno erasure waits for it");
        }
        let rows = view.waiting.iter().map(|each| {
            vec![
                each.reference.clone(),
                each.until.map_or("until lifted".to_owned(), |last| last.to_string()),
            ]
        });
        format!("{text}\n\n{}", table(&["erasure that waits", "held until"], rows))
    })
}

/// What was done, as programs read it.
#[derive(Serialize)]
struct Done {
    reference: String,
    done: &'static str,
}

async fn review(
    named: &Named,
    next: NaiveDate,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let controller = context.controller(named.organisation.as_ref(), foundation)?;
    let reference = named.hold.trim().to_uppercase();
    let mut tx = foundation.store.begin("cli.hold.review").await?;
    let now = foundation.desk.clock.now();
    holds::review(&mut tx, controller, &reference, next, context.person(), now).await.map_err(explained)?;
    tx.commit().await?;
    output.show(&Done { reference, done: "reviewed" }, |done| {
        format!("{}: reviewed; look again by {next}", done.reference)
    })
}

async fn announce_end(
    named: &Named,
    on: NaiveDate,
    reason_file: Option<PathBuf>,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let controller = context.controller(named.organisation.as_ref(), foundation)?;
    let why = reason_file.map(|path| decide::read_facts(&path)).transpose()?;
    let reference = named.hold.trim().to_uppercase();
    let (desk, person, end) = (&foundation.desk, context.person(), (reference.as_str(), on));
    let mut tx = foundation.store.begin("cli.hold.announce_end").await?;
    let is_mailed = why.is_some();
    let told = match why {
        Some(why) => triage::announce_restriction_end(&mut tx, desk, controller, end, why, person).await,
        None => triage::restriction_end_told_otherwise(&mut tx, desk, controller, end, person).await,
    };
    told.map_err(decide::explained)?;
    tx.commit().await?;
    output.show(&Done { reference, done: "announced" }, |done| {
        let hold = &done.reference;
        let when = if is_mailed { "once the mail server has taken the notice: " } else { "" };
        format!("{hold}: its end is announced; from {on} on, {when}dsrd hold lift {hold} --reason restriction_ended")
    })
}

async fn lift(
    named: &Named,
    reason: LiftReason,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let controller = context.controller(named.organisation.as_ref(), foundation)?;
    let reference = named.hold.trim().to_uppercase();
    let mut tx = foundation.store.begin("cli.hold.lift").await?;
    let found = context.settings().find_organisation(&controller.id);
    let register = found.map(|organisation| organisation.recipients.as_slice()).unwrap_or_default();
    let site = (controller, register);
    execution::lift_hold(&mut tx, &foundation.desk, site, &reference, reason, context.person())
        .await
        .map_err(explained)?;
    tx.commit().await?;
    output.show(&Done { reference, done: "lifted" }, |done| {
        format!(
            "{}: lifted ({reason}); erasures that wait for it follow by themselves, if nothing else stands",
            done.reference
        )
    })
}

pub(super) fn explained(error: HoldError) -> anyhow::Error {
    match error {
        HoldError::Store(error) => error.into(),
        HoldError::NotFound => Failure::NotFound.because(error.to_string()),
        HoldError::Ended
        | HoldError::FromSettings
        | HoldError::RestrictionReason
        | HoldError::RestrictedAlready
        | HoldError::NoRestriction
        | HoldError::NotTold
        | HoldError::BeforeItsDay(_) => Failure::Refused.because(error.to_string()),
        other => Failure::Usage.because(other.to_string()),
    }
}
