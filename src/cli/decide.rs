//! `dsrd decide`: what persons decide about requests that wait for them.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;

use super::Failure;
use super::context::Context;
use super::output::{Output, or_dash, read_small_text, table};
use super::request::{Case, classed, unasked};
use crate::daemon::{self, Foundation};
use crate::domain::{
    AcceptanceReason, ChoiceReason, ClarificationReason, Declaration, ExtensionReason, IdentityMethod,
    IncidentCategory, IncidentCause, IncidentEnd, Matched, MatchingPoint, OrganisationId, Personal,
    Reference, RefusalGround, RequestId, local_time,
};
use crate::identity::{self, Check, CodeCheck};
use crate::triage::{self, Candidate, Decision, Facts, Fee, Taken, TriageError};

/// What to decide.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Search again for the contacts of a request that waits for a choice, and list them masked, each with a code. That
    /// you looked stands in the audit log.
    Candidates(Named),
    /// Record which contact is meant, and send the request on its way with that one and no other.
    Choose {
        #[command(flatten)]
        named: Named,
        /// The code that dsrd decide candidates shows for the contact.
        #[arg(long, value_name = "CODE")]
        contact: String,
        /// How you know: told_by_person, details_match or identity_checked.
        #[arg(long)]
        reason: ChoiceReason,
    },
    /// Record how you found out who asks, and let the request go on if it waits for that. Only the method, your login and the
    /// time are kept: never a document, nor its number.
    Identity {
        #[command(flatten)]
        named: Named,
        /// in_person, account (signed in to an account of theirs), contact_point (they answered by an address or number that
        /// the profile holds), agent_authority (somebody acts for them, whose authority you saw) or matched_data (you compared
        /// what they say with the profile).
        #[arg(long, required_unless_present = "code")]
        method: Option<IdentityMethod>,
        /// A field in which what they say is what the profile holds: email, phone, username, external_id, postal_code,
        /// date_of_visit, venue, device or sign_up_date; may be given several times. Never the value. The law of California wants
        /// two, and three with a signed declaration for a copy of the data.
        #[arg(long, conflicts_with = "code", value_name = "FIELD")]
        matched: Vec<MatchingPoint>,
        /// Where the declaration that they signed under penalty of perjury is kept, for example a file number.
        #[arg(long, conflicts_with = "code", requires = "declared_on", value_name = "REFERENCE")]
        declaration: Option<String>,
        /// The day on which they signed it.
        #[arg(long, requires = "declaration", value_name = "DATE")]
        declared_on: Option<chrono::NaiveDate>,
        /// The code from our message to them, which they told you: it proves that they answered by a contact point on record.
        /// Without digits, or with -, a line of standard input is read: arguments can be read by every account of this machine.
        #[arg(long, conflicts_with = "method", value_name = "DIGITS", num_args = 0..=1, default_missing_value = "-")]
        code: Option<String>,
    },
    /// Record that whoever asks for the data subject may do so, and send the request on its way. What was shown to you is
    /// not kept. A package still goes to the address in the data subject's profile only.
    Accept {
        #[command(flatten)]
        named: Named,
        /// What was checked: authority_checked (a power of attorney, a custody, an inheritance) or confirmed_by_person.
        #[arg(long)]
        reason: AcceptanceReason,
    },
    /// Extend the term, once, while the first term runs. The new date holds only when the mail server takes the notice to
    /// the person before the first term ends.
    Extend {
        #[command(flatten)]
        named: Named,
        /// Why: complexity or number_of_requests. Large effort alone is no reason.
        #[arg(long)]
        reason: ExtensionReason,
        /// A text file, or - for standard input: the concrete reason, in up to 10 lines. The person reads it.
        #[arg(long, value_name = "FILE")]
        facts_file: PathBuf,
    },
    /// Ask the person what they mean, and let the request wait for the answer: dsrd request clarified. Whether time stands
    /// still meanwhile, the law of the organisation says; until then the date stays.
    AskClarification {
        #[command(flatten)]
        named: Named,
        /// Why: much_data (very much is held about them) or unclear.
        #[arg(long)]
        reason: ClarificationReason,
        /// A text file, or - for standard input: the question, in up to 10 lines. The person reads it.
        #[arg(long, value_name = "FILE")]
        question_file: PathBuf,
    },
    /// Ask the person for a fee, which the law allows for unfounded or excessive requests only, and let the request wait for the
    /// answer: dsrd request clarified. Nothing is carried out before.
    AskFee {
        #[command(flatten)]
        named: Named,
        /// The ground: RF-01 unfounded or RF-02 excessive.
        #[arg(long, value_name = "RF-NN")]
        ground: RefusalGround,
        /// The fee with its currency, as the person reads it, for example "EUR 12.00".
        #[arg(long)]
        amount: String,
        /// By when the person should answer.
        #[arg(long, value_name = "DATE")]
        answer_by: chrono::NaiveDate,
        /// A text file, or - for standard input: why, and how the fee is computed, in up to 10 lines. The person reads it.
        #[arg(long, value_name = "FILE")]
        facts_file: PathBuf,
    },
    /// Tell the person a first part of the answer while the rest is still worked on. The request stays open, with its date.
    AnswerPart {
        #[command(flatten)]
        named: Named,
        /// A text file, or - for standard input: what this part is and what follows, in up to 10 lines. The person reads it.
        #[arg(long, value_name = "FILE")]
        answer_file: PathBuf,
    },
    /// Declare a breach of personal data that a request led to, for example an answer that went to somebody else. Nothing of
    /// the case is forgotten from then on, and the 72 hours until the authority must be told are counted.
    Incident {
        #[command(flatten)]
        named: Named,
        /// What happened: misdirected, disclosed, lost or altered.
        #[arg(long)]
        cause: IncidentCause,
        /// Which data: profile, events, devices, accountings or request; may be given several times.
        #[arg(long = "category", value_name = "CATEGORY", required = true)]
        categories: Vec<IncidentCategory>,
        /// When the organisation became aware of it (RFC 3339); now when left out.
        #[arg(long, value_name = "WHEN", value_parser = super::request::received_at)]
        aware_at: Option<DateTime<Utc>>,
    },
    /// Tell the person of the open incident of their request, as a breach with a high risk for them asks for (Art. 34 GDPR).
    TellBreach {
        #[command(flatten)]
        named: Named,
        /// A text file, or - for standard input: what happened, what it may mean, what was done and can be done, with an empty
        /// line between the three.
        #[arg(long, value_name = "FILE")]
        text_file: PathBuf,
        /// Send it to the address that was given with the request, and not to the one in the profile: for where that one is
        /// the mistake.
        #[arg(long)]
        to_given_address: bool,
    },
    /// End the incident of a request: its case is forgotten on its terms again.
    IncidentEnded {
        #[command(flatten)]
        named: Named,
        /// How: reported (the authority was told) or no_risk (it need not be; your record of breaches says why).
        #[arg(long = "as")]
        ended: IncidentEnd,
    },
    /// List the open incidents, those first of which the authority must be told first.
    Incidents {
        /// Short name of the organisation; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
    },
    /// Confirm what another person proposed, where the organisation wants two persons to decide. It stands from then on.
    Confirm(Named),
    /// Drop what you or another person proposed; the request waits as before.
    Drop(Named),
    /// Refuse a request on a ground of the law. The person is told the ground and where to complain; the request is
    /// closed when the mail server took that notice. An opt-out is never refused.
    Refuse {
        #[command(flatten)]
        named: Named,
        /// The ground: RF-01 unfounded, RF-02 excessive, RF-03 not identifiable, RF-04 identity not confirmed, RF-06
        /// national restriction, RF-16 not covered, RF-17 not a request; for an erasure also RF-07 expression, RF-08
        /// legal obligation, RF-09 public interest, RF-10 legal claims, RF-11 still needed; for a restriction RF-12, for
        /// portability RF-13, for an objection RF-14 compelling grounds, for a rectification RF-15 not wrong.
        #[arg(long, value_name = "RF-NN")]
        ground: RefusalGround,
        /// A text file, or - for standard input: what you say in support of the ground, in up to 10 lines. The person
        /// reads it. Most grounds need it.
        #[arg(long, value_name = "FILE")]
        facts_file: Option<PathBuf>,
    },
}

/// Which request.
#[derive(Debug, clap::Args)]
pub(super) struct Named {
    /// Id or reference of the request.
    pub(super) request: Case,
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    pub(super) organisation: Option<OrganisationId>,
}

/// The code as given, or the first line of standard input. At a terminal it is asked for, and shown as it is typed.
fn code_of(given: &str) -> anyhow::Result<Personal<String>> {
    if given != "-" {
        return Ok(Personal::new(given.to_owned()));
    }
    if io::stdin().is_terminal() {
        let mut talk = anstream::stderr();
        write!(talk, "The code that they told you: ")?;
        talk.flush()?;
    }
    // Longer than any code, with whatever somebody puts between its digits.
    let mut line = String::new();
    io::stdin().lock().take(100).read_line(&mut line)?;
    Ok(Personal::new(line.trim().to_owned()))
}

pub(super) async fn run(command: Command, context: Context, output: &Output) -> anyhow::Result<()> {
    // Asked for before anything is opened: a person may take their time.
    let code = match &command {
        Command::Identity { code: Some(code), .. } => Some(code_of(code)?),
        _ => None,
    };
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let result = match command {
        Command::Candidates(named) => candidates(&named, &context, &foundation, output).await,
        Command::Choose { named, contact, reason } => {
            choose(&named, &contact, reason, &context, &foundation, output).await
        }
        Command::Identity { named, method, matched, declaration, declared_on, .. } => {
            let known = match (method, code) {
                (Some(method), _) => {
                    let declaration = declaration.zip(declared_on);
                    let declaration = declaration.map(|(kept, signed_on)| Declaration::new(&kept, signed_on));
                    let declaration = declaration.transpose().map_err(|error| unasked(error.into()))?;
                    let matched = Matched { points: matched.into_iter().collect(), declaration };
                    Known::Check(Check { method, matched })
                }
                (None, code) => Known::Code(code.unwrap_or_else(|| Personal::new(String::new()))),
            };
            identify(&named, known, &context, &foundation, output).await
        }
        Command::Accept { named, reason } => {
            let decision = Decision::Acceptance(reason);
            decide(&named, decision, None, &context, &foundation, output).await
        }
        Command::Extend { named, reason, facts_file } => {
            let decision = Decision::Extension(reason);
            decide(&named, decision, Some(facts_file), &context, &foundation, output).await
        }
        Command::AskClarification { named, reason, question_file } => {
            ask(&named, reason, question_file, &context, &foundation, output).await
        }
        Command::AskFee { named, ground, amount, answer_by, facts_file } => {
            let fee = Fee { ground, amount: amount.trim().to_owned(), answer_by };
            decide(&named, Decision::Fee(fee), Some(facts_file), &context, &foundation, output).await
        }
        Command::AnswerPart { named, answer_file } => {
            let part = read_facts(&answer_file)?;
            tell(&named, Telling::Part(part), &context, &foundation, output).await
        }
        Command::TellBreach { named, text_file, to_given_address } => {
            let (_, text) = read_small_text(&text_file)?;
            let words = Facts::read_breach(&text).map_err(explained)?;
            tell(&named, Telling::Breach(words, to_given_address), &context, &foundation, output).await
        }
        Command::Incident { named, cause, categories, aware_at } => {
            let breach = (cause, categories, aware_at);
            declare(&named, breach, &context, &foundation, output).await
        }
        Command::IncidentEnded { named, ended } => {
            end_incident(&named, ended, &context, &foundation, output).await
        }
        Command::Incidents { organisation } => {
            incidents(organisation.as_ref(), &context, &foundation, output).await
        }
        Command::Confirm(named) => second(&named, Second::Confirm, &context, &foundation, output).await,
        Command::Drop(named) => second(&named, Second::Drop, &context, &foundation, output).await,
        Command::Refuse { named, ground, facts_file } => {
            let decision = Decision::Refusal(ground);
            decide(&named, decision, facts_file, &context, &foundation, output).await
        }
    };
    foundation.close().await;
    result
}

#[derive(Serialize)]
struct CandidatesView {
    reference: Reference,
    candidates: Vec<Candidate>,
}

async fn candidates(
    named: &Named,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (organisation, request) = find(named, context, foundation).await?;
    let sites = sites(context, foundation)?;
    let site = site(&organisation, &sites, foundation)?;
    let candidates = triage::candidates(site, request, context.person()).await.map_err(explained)?;
    output.show(&CandidatesView { reference: Reference::of(request), candidates }, human)
}

fn human(view: &CandidatesView) -> String {
    let reference = &view.reference;
    if view.candidates.is_empty() {
        return format!(
            "{reference}: no contact carries these identifiers any more; search afresh with: dsrd request resume {reference}"
        );
    }
    let day =
        |at: Option<&chrono::DateTime<chrono::Utc>>| or_dash(at.map(chrono::DateTime::date_naive).as_ref());
    let rows = view.candidates.iter().map(|candidate| {
        let found_by = candidate.found_by.iter().map(|each| format!("{} (no {})", each.kind, each.number));
        let profile = candidate.profile.iter().map(|each| format!("{} {}", each.kind, each.masked));
        vec![
            candidate.code.clone(),
            found_by.collect::<Vec<_>>().join(", "),
            profile.collect::<Vec<_>>().join(", "),
            day(candidate.created_at.as_ref()),
            day(candidate.last_seen_at.as_ref()),
            if candidate.marked_deleted { "marked as deleted" } else { "" }.to_owned(),
        ]
    });
    let table = table(&["code", "found by", "profile", "created on", "last seen on", "remark"], rows);
    format!(
        "{table}\n\nchoose one: dsrd decide choose {reference} --contact CODE --reason told_by_person\n\
         The request then touches that contact only."
    )
}

#[derive(Serialize)]
struct Decided {
    reference: Reference,
    decision: &'static str,
    reason: &'static str,
    /// Whether another person has to confirm it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    proposed: bool,
}

async fn choose(
    named: &Named,
    code: &str,
    reason: ChoiceReason,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (organisation, request) = find(named, context, foundation).await?;
    let sites = sites(context, foundation)?;
    let site = site(&organisation, &sites, foundation)?;
    let code = code.trim().to_ascii_lowercase();
    triage::choose(site, request, &code, reason, context.person()).await.map_err(explained)?;
    let decided = Decided {
        reference: Reference::of(request),
        decision: "choice",
        reason: reason.as_str(),
        proposed: false,
    };
    output.show(&decided, |decided| {
        format!("{}: on its way with the contact chosen; no other is touched", decided.reference)
    })
}

/// How staff know who asks.
enum Known {
    /// They found out in this way.
    Check(Check),
    /// They were told the code of a message to the person.
    Code(Personal<String>),
}

async fn identify(
    named: &Named,
    known: Known,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (organisation, request) = find(named, context, foundation).await?;
    let Some(controller) = foundation.controllers.get(&organisation) else {
        return Err(Failure::NotFound.because(format!("organisation {organisation} is not registered")));
    };
    let mut tx = foundation.store.begin("cli.identify").await?;
    let (desk, actor) = (&foundation.desk, context.person());
    let reason = match known {
        Known::Check(check) => {
            let method = check.method;
            let recorded = identity::record_check(&mut tx, desk, controller, request, check, actor).await;
            recorded.map_err(unasked)?;
            tx.commit().await?;
            method.as_str()
        }
        Known::Code(code) => {
            let checked = identity::record_code(&mut tx, desk, controller, request, &code, actor).await;
            let checked = checked.map_err(unasked)?;
            // A wrong code is counted, too.
            tx.commit().await?;
            told(checked, request)?
        }
    };
    let decided =
        Decided { reference: Reference::of(request), decision: "identity", reason, proposed: false };
    output.show(&decided, |decided| {
        format!("{}: recorded ({}); it goes on if it waited for that", decided.reference, decided.reason)
    })
}

/// The word for a code that was right; else what to do.
fn told(checked: CodeCheck, request: RequestId) -> anyhow::Result<&'static str> {
    let reference = Reference::of(request);
    let problem = match checked {
        CodeCheck::Proven => return Ok("code"),
        CodeCheck::Wrong(0) => format!(
            "the code is wrong, and no code of {reference} works any more; the link in the message still does, and \
             dsrd request ask-again {reference} sends another message"
        ),
        CodeCheck::Wrong(left) => format!(
            "the code is wrong; {left} more wrong ones end the codes of {reference}. Ask the person to read it from our latest message"
        ),
        CodeCheck::NoneWorks => format!(
            "{reference} has no code that works: the person was not asked, has confirmed already, or took too long; \
             dsrd request ask-again {reference} sends another message to a request that waits for it"
        ),
    };
    Err(Failure::Refused.because(problem))
}

/// Takes a decision, or proposes it where the organisation wants two persons.
pub(super) async fn decide(
    named: &Named,
    decision: Decision,
    facts_file: Option<PathBuf>,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let facts = facts_file.map(|path| read_facts(&path)).transpose()?;
    let (organisation, request) = find(named, context, foundation).await?;
    let controller = controller(&organisation, foundation)?;
    let mut tx = foundation.store.begin("cli.decide").await?;
    let taken = triage::decide(
        &mut tx,
        &foundation.desk,
        controller,
        request,
        (decision.clone(), facts),
        context.person(),
    )
    .await
    .map_err(explained)?;
    tx.commit().await?;
    let decided = Decided {
        reference: Reference::of(request),
        decision: decision.kind().as_str(),
        reason: decision.reason(),
        proposed: taken == Taken::Proposed,
    };
    output.show(&decided, |decided| said(decided, &decision))
}

fn said(decided: &Decided, decision: &Decision) -> String {
    let Decided { reference, reason, .. } = decided;
    if decided.proposed {
        return format!(
            "{reference}: proposed ({}, {reason}); another person confirms it with: dsrd decide confirm {reference}",
            decided.decision
        );
    }
    match decision {
        Decision::Refusal(_) => format!(
            "{reference}: refused ({reason}); it is closed when the mail server has taken the notice to the person"
        ),
        Decision::Extension(_) => format!(
            "{reference}: extension decided ({reason}); the new date holds once the mail server has taken the notice to the \
             person in time, see dsrd request show {reference}"
        ),
        Decision::Answer(_) => format!(
            "{reference}: recorded ({reason}); it is closed when the mail server has taken the answer to the person"
        ),
        Decision::Acceptance(_) => format!("{reference}: accepted ({reason}); on its way"),
        Decision::Fee(_) => {
            format!("{reference}: asked; record the answer with: dsrd request clarified {reference}")
        }
    }
}

pub(super) fn read_facts(path: &std::path::Path) -> anyhow::Result<Facts> {
    let (_, text) = read_small_text(path)?;
    Facts::read(&text).map_err(explained)
}

fn controller<'a>(
    organisation: &OrganisationId,
    foundation: &'a Foundation,
) -> anyhow::Result<&'a crate::domain::Controller> {
    let controller = foundation.controllers.get(organisation);
    controller
        .map(std::convert::AsRef::as_ref)
        .ok_or_else(|| Failure::NotFound.because(format!("organisation {organisation} is not configured")))
}

async fn ask(
    named: &Named,
    reason: ClarificationReason,
    question_file: PathBuf,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let question = read_facts(&question_file)?;
    let (organisation, request) = find(named, context, foundation).await?;
    let controller = controller(&organisation, foundation)?;
    let mut tx = foundation.store.begin("cli.ask_clarification").await?;
    let asked = (reason, question);
    triage::ask_clarification(&mut tx, &foundation.desk, controller, request, asked, context.person())
        .await
        .map_err(explained)?;
    tx.commit().await?;
    let reference = Reference::of(request);
    let decided = Decided { reference, decision: "clarification", reason: reason.as_str(), proposed: false };
    output.show(&decided, |decided| {
        let reference = &decided.reference;
        format!(
            "{reference}: the person is asked; record the answer with: dsrd request clarified {reference}"
        )
    })
}

/// What the person is told beside the answer itself.
enum Telling {
    Part(Facts),
    Breach(Facts, bool),
}

async fn tell(
    named: &Named,
    telling: Telling,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (organisation, request) = find(named, context, foundation).await?;
    let controller = controller(&organisation, foundation)?;
    let (desk, person) = (&foundation.desk, context.person());
    let mut tx = foundation.store.begin("cli.tell").await?;
    let (decision, reason, follows) = match telling {
        Telling::Part(part) => {
            triage::answer_part(&mut tx, desk, controller, request, part, person).await.map_err(explained)?;
            (
                "partial_answer",
                "part_is_ready",
                "this part is sent; the request stays open, see dsrd request show",
            )
        }
        Telling::Breach(words, to_given) => {
            let told = (words, to_given);
            triage::tell_breach(&mut tx, desk, controller, request, told, person).await.map_err(explained)?;
            ("breach_notice", "incident", "the notice is sent; whether it arrived: dsrd request show")
        }
    };
    tx.commit().await?;
    let decided = Decided { reference: Reference::of(request), decision, reason, proposed: false };
    output.show(&decided, |decided| format!("{}: {follows} {}", decided.reference, decided.reference))
}

async fn declare(
    named: &Named,
    (cause, categories, aware_at): (IncidentCause, Vec<IncidentCategory>, Option<DateTime<Utc>>),
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (organisation, request) = find(named, context, foundation).await?;
    let controller = controller(&organisation, foundation)?;
    let breach = (cause, categories.as_slice(), aware_at.unwrap_or_else(|| foundation.desk.clock.now()));
    let mut tx = foundation.store.begin("cli.incident").await?;
    let due_at =
        triage::declare_incident(&mut tx, &foundation.desk, controller, request, breach, context.person())
            .await
            .map_err(explained)?;
    tx.commit().await?;
    let view = serde_json::json!({
        "reference": Reference::of(request), "decision": "incident", "reason": cause, "authority_due_at": due_at,
    });
    output.show(&view, |_| {
        let until = due_at.map_or_else(
            || "the law of this organisation sets no hours for telling an authority".to_owned(),
            |at| format!("tell the authority by {}", controller.local_time(at)),
        );
        format!("{}: incident declared, its evidence is kept; {until}", Reference::of(request))
    })
}

async fn end_incident(
    named: &Named,
    ended: IncidentEnd,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (organisation, request) = find(named, context, foundation).await?;
    let controller = controller(&organisation, foundation)?;
    let mut tx = foundation.store.begin("cli.incident_ended").await?;
    triage::end_incident(&mut tx, &foundation.desk, controller, request, ended, context.person())
        .await
        .map_err(explained)?;
    tx.commit().await?;
    let reference = Reference::of(request);
    let decided = Decided { reference, decision: "incident_ended", reason: ended.as_str(), proposed: false };
    output
        .show(&decided, |decided| format!("{}: the incident is over ({})", decided.reference, decided.reason))
}

async fn incidents(
    organisation: Option<&OrganisationId>,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(organisation)?;
    let mut connection = foundation.store.connection().await?;
    let open = triage::list_incidents(&mut connection, &organisation).await?;
    let zone = context.zone(&organisation);
    let now = foundation.desk.clock.now();
    output.show(&open, |open| {
        let rows = open.iter().map(|incident| {
            let due = incident.authority_due_at.map_or_else(
                || "-".to_owned(),
                |at| {
                    let late = if now >= at { " OVERDUE" } else { "" };
                    format!("{}{late}", local_time(at, zone))
                },
            );
            vec![
                incident.reference.clone(),
                incident.cause.clone(),
                incident.categories.join(", "),
                local_time(incident.aware_at, zone),
                due,
                incident.declared_by.clone(),
            ]
        });
        table(&["reference", "cause", "data", "aware since", "tell the authority by", "declared by"], rows)
    })
}

/// What the second person does.
#[derive(Clone, Copy)]
enum Second {
    Confirm,
    Drop,
}

async fn second(
    named: &Named,
    act: Second,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (organisation, request) = find(named, context, foundation).await?;
    let controller = controller(&organisation, foundation)?;
    let mut tx = foundation.store.begin("cli.second").await?;
    let person = context.person();
    let decision = match act {
        Second::Confirm => triage::confirm(&mut tx, &foundation.desk, controller, request, person).await,
        Second::Drop => triage::drop_proposal(&mut tx, &foundation.desk, controller, request, person).await,
    }
    .map_err(explained)?;
    tx.commit().await?;
    let decided = Decided {
        reference: Reference::of(request),
        decision: decision.kind().as_str(),
        reason: decision.reason(),
        proposed: false,
    };
    output.show(&decided, |decided| match act {
        Second::Confirm => said(decided, &decision),
        Second::Drop => {
            format!("{}: the proposal ({}) is dropped", decided.reference, decided.decision)
        }
    })
}

async fn find(
    named: &Named,
    context: &Context,
    foundation: &Foundation,
) -> anyhow::Result<(OrganisationId, RequestId)> {
    let organisation = context.organisation(named.organisation.as_ref())?;
    let request = named.request.find(foundation, &organisation).await?;
    Ok((organisation, request))
}

type Sites = std::collections::BTreeMap<OrganisationId, crate::execution::Site>;

fn sites(context: &Context, foundation: &Foundation) -> anyhow::Result<Sites> {
    let organisations = &context.settings().organisations;
    let sites = daemon::sites(organisations, &foundation.controllers, &foundation.store, &foundation.desk)?;
    Ok(sites)
}

fn site<'a>(
    organisation: &OrganisationId,
    sites: &'a Sites,
    foundation: &'a Foundation,
) -> anyhow::Result<triage::Site<'a>> {
    let site = sites.get(organisation).ok_or_else(|| {
        Failure::NotFound
            .because(format!("organisation {organisation} is not registered; start the daemon once"))
    })?;
    Ok(triage::Site {
        store: &foundation.store,
        desk: &foundation.desk,
        controller: &site.controller,
        platform: site.platform.as_ref(),
    })
}

pub(super) fn explained(error: TriageError) -> anyhow::Error {
    match error {
        TriageError::Case(error) => classed(error),
        TriageError::Store(error) => error.into(),
        TriageError::GroundDoesNotApply { .. }
        | TriageError::FactsMissing { .. }
        | TriageError::FeeUnusable
        | TriageError::NoGroundForAFee(_)
        | TriageError::BreachUnusable
        | TriageError::FactsUnusable => Failure::Usage.because(error.to_string()),
        TriageError::NoSuchCandidate => Failure::NotFound.because(error.to_string()),
        TriageError::Hold(error) => super::hold::explained(error),
        TriageError::Platform(_) | TriageError::Sealed(_) => error.into(),
        other => Failure::Refused.because(other.to_string()),
    }
}
