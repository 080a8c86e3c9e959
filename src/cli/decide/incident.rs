//! Breaches of personal data: declared, ended, listed.

use chrono::{DateTime, Utc};

use super::{Decided, Named, begin, explained};
use crate::cli::context::Context;
use crate::cli::output::{Output, table};
use crate::daemon::Foundation;
use crate::domain::{IncidentCategory, IncidentCause, IncidentEnd, OrganisationId, Reference, local_time};
use crate::triage;

pub(super) async fn declare(
    named: &Named,
    (cause, categories, aware_at): (IncidentCause, Vec<IncidentCategory>, Option<DateTime<Utc>>),
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (mut tx, controller, request) = begin("cli.incident", named, context, foundation).await?;
    let breach = (cause, categories.as_slice(), aware_at.unwrap_or_else(|| foundation.desk.clock.now()));
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

pub(super) async fn end_incident(
    named: &Named,
    ended: IncidentEnd,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (mut tx, controller, request) = begin("cli.incident_ended", named, context, foundation).await?;
    triage::end_incident(&mut tx, &foundation.desk, controller, request, ended, context.person())
        .await
        .map_err(explained)?;
    tx.commit().await?;
    let reference = Reference::of(request);
    let decided = Decided { reference, decision: "incident_ended", reason: ended.as_str(), proposed: false };
    output
        .show(&decided, |decided| format!("{}: the incident is over ({})", decided.reference, decided.reason))
}

pub(super) async fn incidents(
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
