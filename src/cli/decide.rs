//! `dsrd decide`: what persons decide about requests that wait for them.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::Failure;
use super::context::Context;
use super::output::{Output, or_dash, read_small_text, table};
use super::request::{Case, classed, unasked};
use crate::daemon::{self, Foundation};
use crate::domain::{ChoiceReason, IdentityMethod, OrganisationId, Reference, RefusalGround, RequestId};
use crate::identity;
use crate::triage::{self, Candidate, Facts, TriageError};

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
        /// the profile holds) or agent_authority (somebody acts for them, whose authority you saw).
        #[arg(long)]
        method: IdentityMethod,
    },
    /// Refuse a request on a ground of the law. The person is told the ground and where to complain; the request is
    /// closed when the mail server took that notice. An opt-out is never refused.
    Refuse {
        #[command(flatten)]
        named: Named,
        /// The ground: RF-01 unfounded, RF-02 excessive, RF-03 not identifiable, RF-04 identity not confirmed, RF-06
        /// national restriction, RF-16 not covered, RF-17 not a request; for an erasure also RF-07 expression, RF-08
        /// legal obligation, RF-09 public interest, RF-10 legal claims, RF-11 still needed.
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
    request: Case,
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
}

pub(super) async fn run(command: Command, context: Context, output: &Output) -> anyhow::Result<()> {
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let result = match command {
        Command::Candidates(named) => candidates(&named, &context, &foundation, output).await,
        Command::Choose { named, contact, reason } => {
            choose(&named, &contact, reason, &context, &foundation, output).await
        }
        Command::Identity { named, method } => identify(&named, method, &context, &foundation, output).await,
        Command::Refuse { named, ground, facts_file } => {
            refuse(&named, ground, facts_file, &context, &foundation, output).await
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
    let decided = Decided { reference: Reference::of(request), decision: "choice", reason: reason.as_str() };
    output.show(&decided, |decided| {
        format!("{}: on its way with the contact chosen; no other is touched", decided.reference)
    })
}

async fn identify(
    named: &Named,
    method: IdentityMethod,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (organisation, request) = find(named, context, foundation).await?;
    let Some(controller) = foundation.controllers.get(&organisation) else {
        return Err(Failure::NotFound.because(format!("organisation {organisation} is not registered")));
    };
    let mut tx = foundation.store.begin("cli.identify").await?;
    identity::record_check(&mut tx, &foundation.desk, controller, request, method, context.person())
        .await
        .map_err(unasked)?;
    tx.commit().await?;
    let decided =
        Decided { reference: Reference::of(request), decision: "identity", reason: method.as_str() };
    output.show(&decided, |decided| {
        format!("{}: recorded ({}); it goes on if it waited for that", decided.reference, decided.reason)
    })
}

async fn refuse(
    named: &Named,
    ground: RefusalGround,
    facts_file: Option<PathBuf>,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let facts = facts_file
        .map(|path| {
            let (_, text) = read_small_text(&path)?;
            Facts::read(&text).map_err(explained)
        })
        .transpose()?;
    let (organisation, request) = find(named, context, foundation).await?;
    let mut tx = foundation.store.begin("cli.refuse").await?;
    triage::refuse(&mut tx, &foundation.desk, &organisation, request, ground, facts, context.person())
        .await
        .map_err(explained)?;
    tx.commit().await?;
    let decided = Decided { reference: Reference::of(request), decision: "refusal", reason: ground.as_str() };
    output.show(&decided, |decided| {
        format!(
            "{}: refused ({}); it is closed when the mail server has taken the notice to the person",
            decided.reference, decided.reason
        )
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

fn explained(error: TriageError) -> anyhow::Error {
    match error {
        TriageError::Case(error) => classed(error),
        TriageError::Store(error) => error.into(),
        TriageError::GroundDoesNotApply { .. }
        | TriageError::FactsMissing { .. }
        | TriageError::FactsUnusable => Failure::Usage.because(error.to_string()),
        TriageError::NoSuchCandidate => Failure::NotFound.because(error.to_string()),
        TriageError::Platform(_) | TriageError::Sealed(_) => error.into(),
        other => Failure::Refused.because(other.to_string()),
    }
}
