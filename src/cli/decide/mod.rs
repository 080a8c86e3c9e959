//! `dsrd decide`: what persons decide about requests that wait for them. Here stand the commands and what they share; each
//! kind of decision has its file.

mod contact;
mod decision;
mod identity;
mod incident;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;

use self::contact::{candidates, choose};
pub(super) use self::decision::decide;
use self::decision::{Second, Telling, ask, second, tell};
use self::identity::{Known, code_of, identify};
use self::incident::{declare, end_incident, incidents};
use super::Failure;
use super::context::Context;
use super::output::{Output, read_small_text};
use super::request::{Case, classed, unasked};
use crate::daemon::Foundation;
use crate::domain::{
    AcceptanceReason, ChoiceReason, ClarificationReason, Controller, Declaration, ExtensionReason,
    IdentityMethod, IncidentCategory, IncidentCause, IncidentEnd, Matched, MatchingPoint, OrganisationId,
    Personal, Reference, RefusalGround, RequestId,
};
use crate::identity::Check;
use crate::store::Tx;
use crate::triage::{Decision, Facts, Fee, TriageError};

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
struct Decided {
    reference: Reference,
    decision: &'static str,
    reason: &'static str,
    /// Whether another person has to confirm it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    proposed: bool,
}

pub(super) fn read_facts(path: &std::path::Path) -> anyhow::Result<Facts> {
    let (_, text) = read_small_text(path)?;
    Facts::read(&text).map_err(explained)
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

/// Begins the transaction of a decision about the request that is named.
async fn begin<'a>(
    operation: &'static str,
    named: &Named,
    context: &Context,
    foundation: &'a Foundation,
) -> anyhow::Result<(Tx, &'a Controller, RequestId)> {
    let (organisation, request) = find(named, context, foundation).await?;
    let controller = foundation
        .controllers
        .get(&organisation)
        .ok_or_else(|| Failure::NotFound.because(format!("organisation {organisation} is not configured")))?;
    let tx = foundation.store.begin(operation).await?;
    Ok((tx, controller, request))
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
