//! The facts of cases, a line each.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::{EvidenceError, Order, Scope};
use crate::audit::{self, Filter};
use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};
use crate::{delivery, execution, identity, intake, recipients, triage};

/// So many entries are read at a time.
const PAGE: i64 = 10_000;

/// The cases of an order. Those of a period are found in the log, so that one whose row was purged is named, too.
pub(super) async fn list(
    connection: &mut PgConnection,
    order: &Order,
) -> Result<BTreeSet<RequestId>, EvidenceError> {
    let (since, until) = match &order.scope {
        Scope::Case { case, .. } => return Ok([*case].into()),
        Scope::Period { since, until } => (*since, *until),
    };
    let filter = Filter {
        organisation: Some(order.organisation.clone()),
        since: Some(since),
        until: Some(until),
        ..Filter::default()
    };
    let mut cases = BTreeSet::new();
    let mut after = 0;
    loop {
        let page = audit::list(connection, &filter, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(cases) };
        after = last.seq;
        cases.extend(page.iter().filter_map(|entry| entry.case).map(RequestId));
    }
}

/// An actor without their name.
fn kind_of(actor: &str) -> &str {
    actor.split_once(':').map_or("", |(kind, _)| kind)
}

/// What is held about one case, without whatever leads to a person.
pub(super) async fn file_of(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    today: NaiveDate,
) -> Result<Value, StoreError> {
    let Some(case) = intake::find_case(connection, organisation, request).await? else {
        return Ok(json!({ "case": request, "held": false }));
    };
    let steps = execution::checkpoints_of(connection, organisation, request).await?;
    let mut identity = identity::proofs_of(connection, organisation, request).await?;
    for proof in &mut identity {
        // What is left is whether a person or a process recorded it; the log has the person by a word that means nobody here.
        proof.recorded_by = kind_of(&proof.recorded_by).to_owned();
    }
    let clock = intake::clock_events(connection, organisation, request).await?;
    let decisions = triage::list_decisions(connection, organisation, request).await?;
    let notices = delivery::list_notice_proofs(connection, organisation, request).await?;
    let packages = delivery::list_package_proofs(connection, organisation, request).await?;
    let tasks = recipients::list_tasks(connection, organisation, Some(request), false, today, 10_000).await?;
    Ok(json!({
        "case": request,
        "held": true,
        "facts": case,
        "steps": steps,
        "identity": identity,
        "clock": clock,
        "decisions": decisions,
        "notices": notices,
        "packages": packages,
        "recipients": tasks,
    }))
}
