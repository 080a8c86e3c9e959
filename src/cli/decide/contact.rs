//! Which contact is meant: those that were found, masked, and the choice of one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Decided, Named, explained, find};
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::output::{Output, or_dash, table};
use crate::daemon::{self, Foundation};
use crate::domain::{ChoiceReason, OrganisationId, Reference};
use crate::execution;
use crate::triage::{self, Candidate};

#[derive(Serialize)]
struct CandidatesView {
    reference: Reference,
    candidates: Vec<Candidate>,
}

pub(super) async fn candidates(
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

pub(super) async fn choose(
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

type Sites = BTreeMap<OrganisationId, execution::Site>;

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
