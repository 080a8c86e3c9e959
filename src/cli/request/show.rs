//! `dsrd request show` and `list`.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use super::Case;
use super::acts::unasked;
use crate::audit::{self, Action, Detail, Event};
use crate::cli::context::Context;
use crate::cli::output::{Output, one_line, or_dash, pairs, table};
use crate::daemon::Foundation;
use crate::delivery::{self, NoticeView};
use crate::domain::{Controller, OrganisationId, Origin, Overdue, RequestState, RequesterRole, local_time};
use crate::execution::{self, CheckpointView, FollowUpView};
use crate::identity::{self, ProofView};
use crate::intake;
use crate::triage::{self, Proposal};

/// Options of `dsrd request show`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowArgs {
    /// Id or reference of the request.
    request: Case,
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// Show the identifiers in clear. That you did so stands in the audit log.
    #[arg(long)]
    reveal: bool,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    case: intake::Case,
    identifiers: Vec<ShownIdentifier>,
    steps: Vec<CheckpointView>,
    /// How and when it became known who asks.
    proofs: Vec<ProofView>,
    /// The names of the fields in which what the person said was compared with the profile, of all proofs.
    matching_points: Vec<String>,
    /// The declaration under penalty of perjury that was recorded last.
    declaration: Option<ShownDeclaration>,
    /// Whether it is open and late: no, yes (the date to keep has passed) or breach (the last lawful day has passed).
    overdue: Overdue,
    /// Siblings of one message, reminders, and how often the person asked the same.
    #[serde(flatten)]
    surroundings: intake::Surroundings,
    /// Whether the person asks the same often. It refuses nothing.
    frequent: bool,
    /// What follows from a withdrawal of consent, or from which one this request follows.
    follow_up: Option<FollowUpView>,
    /// A decision that waits for a second person.
    proposal: Option<triage::Proposal>,
    /// What the person was told, by which text (template and digest), and whether it arrived.
    notices: Vec<NoticeView>,
    /// For a request that waits for a person: what can be done, with the exact commands.
    what_you_can_do: Vec<String>,
}

/// Where a signed declaration is kept.
#[derive(Serialize)]
struct ShownDeclaration {
    reference: String,
    signed_on: NaiveDate,
}

/// A request of the list.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    case: intake::Case,
    overdue: Overdue,
}

/// How late a request is; a closed one is not.
fn overdue(case: &intake::Case, controller: Option<&Controller>, now: DateTime<Utc>) -> Overdue {
    let open = controller.filter(|_| case.state != RequestState::Closed);
    open.map_or(Overdue::No, |controller| controller.overdue(case.due_on, case.statutory_due_on, now))
}

#[derive(Serialize)]
struct ShownIdentifier {
    number: i16,
    kind: &'static str,
    role: intake::IdentifierRole,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

pub(super) async fn show(
    args: ShowArgs,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(args.organisation.as_ref())?;
    let request = args.request.find(foundation, &organisation).await?;
    let mut tx = foundation.store.begin("cli.show").await?;
    let case = intake::find_case(&mut tx, &organisation, request)
        .await?
        .ok_or_else(|| crate::cli::Failure::NotFound.because("the request is gone"))?;
    let identifiers = intake::identifiers(&mut tx, &foundation.desk.keys, &organisation, request).await?;
    let steps = execution::checkpoints_of(&mut tx, &organisation, request).await?;
    let proofs = identity::proofs_of(&mut tx, &organisation, request).await?;
    let matching_points = identity::matching_points_of(&mut tx, &organisation, request).await?;
    let declaration = identity::declaration_of(&mut tx, &foundation.desk.keys, &organisation, request)
        .await
        .map_err(unasked)?;
    let declaration = declaration.map(|declaration| ShownDeclaration {
        reference: declaration.reference().expose().clone(),
        signed_on: declaration.signed_on(),
    });
    let surroundings = intake::surroundings(&mut tx, &organisation, request).await?;
    let proposal = triage::find_proposal(&mut tx, &organisation, request).await?;
    let notices = delivery::notices_of(&mut tx, &organisation, request).await?;
    let follow_up = execution::follow_up_of(&mut tx, &organisation, request).await?;
    let identifiers: Vec<ShownIdentifier> = identifiers
        .into_iter()
        .map(|each| ShownIdentifier {
            number: each.number,
            kind: each.identifier.kind().as_str(),
            role: each.role,
            // The one place where the command line shows an identifier, and only when asked to.
            value: args.reveal.then(|| each.identifier.given().expose().clone()),
        })
        .collect();
    // Committed before anything is shown: who looked stands in the log, whatever happens next.
    let detail = Detail::none().flag("revealed", args.reveal).count("identifiers", identifiers.len() as u64);
    let event =
        Event::of(&organisation, request, Action::RequestRead, context.person(), foundation.desk.clock.now());
    audit::append(&mut tx, event.with(detail)).await?;
    tx.commit().await?;
    let is_given = identifiers.iter().any(|each| each.role == intake::IdentifierRole::Given);
    let mut what_you_can_do = super::next::what_you_can_do(&case, is_given);
    if proposal.is_some() {
        let reference = &case.reference;
        what_you_can_do
            .insert(0, format!("another person than who proposed it: dsrd decide confirm {reference}"));
        what_you_can_do.insert(1, format!("or drop the proposal: dsrd decide drop {reference}"));
    }
    if notices.iter().any(is_not_told) {
        what_you_can_do.push(format!(
            "a notice came back: tell the person by letter or telephone, then: dsrd request informed {}",
            case.reference
        ));
    }
    let zone = context.zone(&organisation);
    let controller = foundation.controllers.get(&organisation).map(std::convert::AsRef::as_ref);
    let overdue = overdue(&case, controller, foundation.desk.clock.now());
    let frequent = controller
        .is_some_and(|controller| surroundings.within_a_year >= u64::from(controller.frequent_from));
    let shown = Shown {
        case,
        identifiers,
        steps,
        proofs,
        matching_points,
        declaration,
        overdue,
        surroundings,
        frequent,
        follow_up,
        proposal,
        notices,
        what_you_can_do,
    };
    output.show(&shown, |shown| human(shown, zone))
}

/// Whether the person was not told by a notice although the mail server took it.
const fn is_not_told(notice: &NoticeView) -> bool {
    notice.bounced_at.is_some() && notice.made_good_at.is_none()
}

/// How a notice stands, in a word or two.
fn standing(notice: &NoticeView) -> String {
    match (notice.bounced_at, notice.made_good_at) {
        (Some(_), None) => "came back".to_owned(),
        (_, Some(_)) => "told otherwise".to_owned(),
        (None, None) => match (&notice.last_code, notice.state.as_str()) {
            (Some(code), state) if state != "sent" => format!("{state} ({code})"),
            (_, state) => state.to_owned(),
        },
    }
}

/// An instant in a zone, or a dash.
pub(super) fn instant(at: Option<&DateTime<Utc>>, zone: Tz) -> String {
    at.map_or_else(|| "-".to_owned(), |at| local_time(*at, zone))
}

/// On which ground of Art. 17(1) GDPR an erasure is carried out, and to which data it applies.
fn ground(case: &intake::Case) -> String {
    let Some(ground) = case.ground else { return "-".to_owned() };
    let categories: Vec<&str> = case.categories.iter().map(|each| each.as_str()).collect();
    let concerned = match categories.as_slice() {
        [] => "no category with its legal basis is configured".to_owned(),
        listed => listed.join(", "),
    };
    format!("{ground} (Art. 17(1)({}) GDPR): {concerned}", ground.letter())
}

/// The facts of the case, each with its name.
fn facts(shown: &Shown, zone: Tz) -> Vec<(&'static str, String)> {
    let case = &shown.case;
    let instant = |at: Option<&DateTime<Utc>>| instant(at, zone);
    let mut head = vec![
        ("reference", case.reference.to_string()),
        ("request", case.request.to_string()),
        ("organisation", case.organisation.to_string()),
        ("kind", case.kind.to_string()),
        ("origin", case.origin.to_string()),
        ("state", case.state.to_string()),
        ("waits because", or_dash(case.park_reason.as_ref())),
        ("refused for", or_dash(case.refusal.as_ref())),
        ("waits for", or_dash(case.waits_for.as_ref())),
        ("assurance", case.assurance.to_string()),
        ("proven at", instant(case.assured_at.as_ref())),
        ("asked because", or_dash(case.identity_doubt.as_ref())),
        ("waits until", instant(case.identity_until.as_ref())),
        ("outcome", or_dash(case.outcome.as_ref())),
        ("answered as", or_dash(case.answered.as_ref())),
        ("ground", ground(case)),
        ("last code", or_dash(case.last_code.as_ref())),
        ("received at", instant(Some(&case.received_at))),
        ("due on", case.due_on.to_string()),
        ("last lawful day", or_dash(case.statutory_due_on.as_ref())),
        ("overdue", in_words(shown.overdue).to_owned()),
        ("executed at", instant(case.executed_at.as_ref())),
        ("verified at", instant(case.verified_at.as_ref())),
        ("informed at", instant(case.informed_at.as_ref())),
        ("closed at", instant(case.closed_at.as_ref())),
    ];
    if let Some(reason) = case.extension {
        let came_back = shown.notices.iter().any(|notice| notice.kind == "extension" && is_not_told(notice));
        let holds = match (case.extended, came_back) {
            (true, false) => "the person was told in time, the new date holds",
            (true, true) => "the new date holds, but its notice came back since: tell the person at once",
            (false, _) => "not told to the person yet, or too late: the first date holds",
        };
        head.push(("extension", format!("{reason}; {holds}")));
    }
    if let Some(proposal) = &shown.proposal {
        let Proposal { kind, reason, amount, answer_by, proposed_by, .. } = proposal;
        let fee = match (amount, answer_by) {
            (Some(amount), Some(answer_by)) => format!(", {amount}, to be answered by {answer_by}"),
            _ => String::new(),
        };
        head.push((
            "proposed",
            format!("{kind} ({reason}{fee}) by {proposed_by}; waits for a second person"),
        ));
    }
    if let Some(follow_up) = &shown.follow_up {
        let FollowUpView { withdrawal, categories, due_at, last_code, ended_as, followed_by } = follow_up;
        let rested = categories.join(", ");
        head.push(match (followed_by, ended_as) {
            (Some(second), _) if *second == case.reference.to_string() => (
                "follows from",
                format!("the withdrawal of consent {withdrawal}, on which alone rested: {rested}"),
            ),
            (Some(second), _) => {
                ("followed by", format!("{second}, for what rested on the consent alone: {rested}"))
            }
            (None, Some(ended)) => ("follow-up", format!("none ({ended})")),
            (None, None) => {
                let failed =
                    last_code.as_ref().map(|code| format!("; could not be handed in so far ({code})"));
                let due_at = instant(Some(due_at));
                let failed = failed.unwrap_or_default();
                ("follow-up", format!("{due_at} for what rested on the consent alone: {rested}{failed}"))
            }
        });
    }
    let around = &shown.surroundings;
    if case.requester_role != RequesterRole::Own {
        head.push(("asked by", case.requester_role.to_string()));
    }
    if let Some(first) = &case.reminds_of {
        head.push(("reminder of", first.to_string()));
    }
    if !around.siblings.is_empty() {
        head.push(("asked together with", around.siblings.join(", ")));
    }
    if !around.reminders.is_empty() {
        head.push(("reminded by", around.reminders.join(", ")));
    }
    if shown.frequent {
        let often =
            format!("{} of this kind within a year; that alone refuses nothing", around.within_a_year);
        head.push(("frequent", often));
    }
    head
}

fn human(shown: &Shown, zone: Tz) -> String {
    let instant = |at: Option<&DateTime<Utc>>| instant(at, zone);
    let head = pairs(facts(shown, zone));
    let identifiers = table(
        &["no", "identifier", "role", "value"],
        shown.identifiers.iter().map(|each| {
            let role = serde_json::to_value(each.role).ok().and_then(|role| role.as_str().map(str::to_owned));
            vec![
                each.number.to_string(),
                each.kind.to_owned(),
                role.unwrap_or_default(),
                each.value.clone().unwrap_or_else(|| "(--reveal)".to_owned()),
            ]
        }),
    );
    let steps = table(
        &["step", "item", "attempts", "began at", "finished at"],
        shown.steps.iter().map(|step| {
            vec![
                step.step.clone(),
                step.item.clone(),
                step.attempts.to_string(),
                instant(Some(&step.began_at)),
                instant(step.finished_at.as_ref()),
            ]
        }),
    );
    let proofs = if shown.proofs.is_empty() {
        String::new()
    } else {
        let rows = shown.proofs.iter().map(|proof| {
            let at = instant(Some(&proof.proven_at));
            let compared = match (proof.matching_points, proof.declaration) {
                (0, false) => "-".to_owned(),
                (points, false) => points.to_string(),
                (points, true) => format!("{points}, declaration"),
            };
            vec![proof.method.clone(), proof.assurance.clone(), compared, at, proof.recorded_by.clone()]
        });
        let mut text =
            table(&["who asks, proven by", "assurance", "matching points", "at", "recorded by"], rows);
        if !shown.matching_points.is_empty() {
            text = format!("{text}\n\ncompared: {}", shown.matching_points.join(", "));
        }
        if let Some(ShownDeclaration { reference, signed_on }) = &shown.declaration {
            let reference = one_line(reference);
            text =
                format!("{text}\ndeclaration under penalty of perjury: {reference}, signed on {signed_on}");
        }
        format!("\n\n{text}")
    };
    let notices = table(
        &["notice", "how it stands", "text", "sha-256", "sent at"],
        shown.notices.iter().map(|notice| {
            vec![
                notice.kind.clone(),
                standing(notice),
                // Before it is sent only the language wished for is known.
                notice.template.clone().unwrap_or_else(|| format!("({})", notice.wished_language)),
                notice.text_sha256.as_ref().map_or_else(|| "-".to_owned(), |digest| digest[..16].to_owned()),
                instant(notice.sent_at.as_ref()),
            ]
        }),
    );
    let acts = if shown.what_you_can_do.is_empty() {
        String::new()
    } else {
        let acts: Vec<String> = shown.what_you_can_do.iter().map(|act| one_line(act)).collect();
        format!("\n\nwhat you can do:\n- {}", acts.join("\n- "))
    };
    format!("{head}\n\n{identifiers}\n\n{steps}{proofs}\n\n{notices}{acts}")
}

/// For a request that waits for a proof of who asks: why, in place of the queue's own code.
fn waiting_for(case: &intake::Case) -> Option<String> {
    let waits = case.state == RequestState::NeedsIdentity;
    case.identity_doubt.filter(|_| waits).map(|doubt| doubt.to_string())
}

const fn in_words(overdue: Overdue) -> &'static str {
    match overdue {
        Overdue::No => "no",
        Overdue::Yes => "yes, the date to keep has passed",
        Overdue::Breach => "yes, the last lawful day has passed: this is a breach",
    }
}

/// Options of `dsrd request list`.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// Only requests in this state: received, in_progress, needs_identity, needs_clarification, manual or closed.
    #[arg(long)]
    state: Option<RequestState>,
    /// Whose requests: subject (of people), retention (of sweeps), self-test (of the daily self-test) or all.
    #[arg(long, default_value = "subject")]
    origin: OriginChoice,
    /// At most this many.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// The same as `dsrd request parked list`: rows of producers that could not become a request, instead.
    #[arg(long, conflicts_with_all = ["organisation", "state", "origin"])]
    parked_rows: bool,
}

/// Which requests are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OriginChoice {
    Subject,
    Retention,
    SelfTest,
    All,
}

impl OriginChoice {
    const fn origin(self) -> Option<Origin> {
        match self {
            Self::Subject => Some(Origin::Subject),
            Self::Retention => Some(Origin::Retention),
            Self::SelfTest => Some(Origin::SelfTest),
            Self::All => None,
        }
    }
}

pub(super) async fn list(
    args: ListArgs,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    if args.parked_rows {
        return super::parked::list(args.limit, context, foundation, output).await;
    }
    let organisation = context.organisation(args.organisation.as_ref())?;
    let mut connection = foundation.store.connection().await?;
    let (state, origin) = (args.state, args.origin.origin());
    let cases = intake::list_cases(&mut connection, &organisation, state, origin, args.limit).await?;
    // Counted only where the list may have been cut: a number that nobody needs is not worth reading a table for.
    let all = if i64::try_from(cases.len()) == Ok(args.limit) {
        intake::count_cases(&mut connection, &organisation, state, origin).await?
    } else {
        cases.len() as u64
    };
    let of_sweeps = if args.origin == OriginChoice::Subject {
        intake::count_cases(&mut connection, &organisation, state, Some(Origin::Retention)).await?
    } else {
        0
    };
    let zone = context.zone(&organisation);
    let controller = foundation.controllers.get(&organisation).map(std::convert::AsRef::as_ref);
    let now = foundation.desk.clock.now();
    let cases: Vec<Listed> =
        cases.into_iter().map(|case| Listed { overdue: overdue(&case, controller, now), case }).collect();
    output.show(&cases, |cases| {
        let rows = cases.iter().map(|listed| {
            let case = &listed.case;
            vec![
                case.reference.to_string(),
                case.kind.to_string(),
                case.state.to_string(),
                case.park_reason
                    .map(|reason| reason.to_string())
                    .or_else(|| case.outcome.map(|outcome| outcome.to_string()))
                    .or_else(|| waiting_for(case))
                    .or_else(|| case.last_code.clone())
                    .unwrap_or_default(),
                match listed.overdue {
                    Overdue::No => case.due_on.to_string(),
                    Overdue::Yes => format!("{} OVERDUE", case.due_on),
                    Overdue::Breach => format!("{} BREACH", case.due_on),
                },
                or_dash(case.statutory_due_on.as_ref()),
                local_time(case.received_at, zone),
            ]
        });
        table(&["reference", "kind", "state", "why", "due on", "last lawful day", "received at"], rows)
    })?;
    let more = all.saturating_sub(cases.len() as u64);
    if more > 0 {
        output.say(&format!("{more} more; raise --limit to see them"));
    }
    if of_sweeps > 0 {
        output
            .say(&format!("beside these {of_sweeps} of retention sweeps; see them with --origin retention"));
    }
    Ok(())
}
