//! Holds that a restore had lost: what the ledger knows of them, and how they come back.
//!
//! Unlike an effect, a hold that was lost is placed again without a person: until it stands the next erasure would take what
//! somebody ordered to be kept, and a hold too many can be lifted. An end that was lost is only shown: the hold stands again, and a
//! person lifts it again.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::replay::{Finding, Place, ReplayError, Settlement, Verdict};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::holds::{self, EndRule, HoldId, NewHold};
use crate::intake;
use crate::store::PgConnection;
use crate::suppression::ledger::{self, Entry, EntryKind, Settled};

/// Who places them again.
const ACTOR: Actor = Actor::Process("ledger");

/// Reads what the lines about holds mean beside the database, which has lost them.
pub(super) async fn findings(
    place: Place<'_>,
    connection: &mut PgConnection,
    lost: &[Entry],
) -> Result<Vec<Finding>, ReplayError> {
    let organisation = &place.site.controller.id;
    let of_kind = |kind| lost.iter().filter(move |entry| entry.kind == kind);
    let ended: BTreeSet<Uuid> = of_kind(EntryKind::HoldEnded).map(|entry| entry.request).collect();
    let today = place.site.controller.local_date(place.desk.clock.now());
    let mut findings = Vec::new();
    for record in of_kind(EntryKind::Hold).chain(of_kind(EntryKind::HoldEnded)) {
        let reference = HoldId(record.request).reference();
        let stands = holds::find_by_reference(connection, organisation, &reference).await?;
        let sealed = |source| ReplayError::Sealed { entry: record.entry, source };
        let order = if record.kind == EntryKind::Hold {
            let text = record.open_order(&place.desk.keys).map_err(sealed)?;
            Some(NewHold::from_text(&text).ok_or(ReplayError::UnreadableHold(record.entry))?)
        } else {
            None
        };
        let is_over = |order: &NewHold| matches!(order.ends, EndRule::On(day) if day < today);
        let is_missing = match &order {
            Some(order) => stands.is_none() && !ended.contains(&record.request) && !is_over(order),
            None => stands.is_some_and(|hold| hold.ended.is_none()),
        };
        findings.push(Finding {
            entry: record.entry,
            reference,
            kind: record.kind,
            policy: None,
            matter: order.as_ref().and_then(|order| order.matter.clone()),
            at: record.at,
            verdict: if is_missing { Verdict::Missing } else { Verdict::StillSo },
            contact: None,
            order,
            record: record.clone(),
        });
    }
    Ok(findings)
}

/// Settles one of them.
pub(super) async fn settle(
    place: Place<'_>,
    finding: &Finding,
    settlement: Settlement,
    actor: Actor,
) -> Result<(), ReplayError> {
    let controller = &*place.site.controller;
    let settled = match (settlement, finding.verdict) {
        (Settlement::Record, Verdict::StillSo) => Settled::StillSo,
        (Settlement::Record, _) => return Err(ReplayError::NotFound),
        (_, Verdict::StillSo) => return Err(ReplayError::StillSo(finding.entry)),
        (Settlement::Leave, _) => Settled::Left,
        (Settlement::Repeat, _) if finding.order.is_none() => {
            return Err(ReplayError::StandsAgain(finding.reference.clone()));
        }
        (Settlement::Repeat, _) => Settled::Repeated,
    };
    let now = place.desk.clock.now();
    let mut tx = place.store.begin("execution.settle_hold").await?;
    if !ledger::settle(&mut tx, &finding.record, settled).await? {
        return Err(ReplayError::NotFound);
    }
    if let (Settled::Repeated, Some(order)) = (settled, &finding.order) {
        let mut order = order.clone();
        // The request that named the person may be lost as well.
        if let Some(request) = order.request
            && intake::find_case(&mut tx, &controller.id, request).await?.is_none()
        {
            order.request = None;
        }
        let id = HoldId(finding.record.request);
        holds::place_again(&mut tx, controller, (id, order), actor.clone(), now).await?;
    }
    let detail = Detail::none()
        .word("entry", &finding.entry.to_string())
        .word("kind", finding.kind.as_str())
        .word("verdict", finding.verdict.as_str())
        .word("settled", settled.as_str())
        .word("hold", &finding.reference);
    let event = Event::general(&controller.id, Action::LedgerSettled, actor, now);
    audit::append(&mut tx, event.with(detail)).await?;
    tx.commit().await?;
    Ok(())
}

/// Whether a line about a hold can be read; one that cannot, for example of another installation's key, is told like a damaged line
/// and keeps nobody from working. `dsrd ledger replay` names it.
fn is_readable(place: Place<'_>, record: &Entry) -> bool {
    if record.kind != EntryKind::Hold {
        return true;
    }
    let text = record.open_order(&place.desk.keys).ok();
    let is_readable = text.as_deref().and_then(NewHold::from_text).is_some();
    if !is_readable {
        let organisation = &place.site.controller.id;
        tracing::error!(%organisation, entry = %record.entry, "the ledger has a hold that cannot be read, which the database may have lost: it was not placed again; place it by hand");
    }
    is_readable
}

/// Places again, with their references, the holds that a restore had lost and that nobody had ended; returns those references.
/// One that cannot be placed is left to `dsrd ledger replay`. To be called before the first request is taken.
pub async fn place_lost_holds(place: Place<'_>) -> Result<Vec<String>, ReplayError> {
    let mut connection = place.store.connection().await?;
    let organisation = &place.site.controller.id;
    let outside = place.ledger.list_lost(&mut connection, organisation).await?;
    let readable: Vec<Entry> =
        outside.entries.into_iter().filter(|record| is_readable(place, record)).collect();
    let lost = findings(place, &mut connection, &readable).await?;
    drop(connection);
    let mut placed = Vec::new();
    for finding in lost.iter().filter(|each| each.order.is_some() && each.verdict == Verdict::Missing) {
        match settle(place, finding, Settlement::Repeat, ACTOR).await {
            Ok(()) => placed.push(finding.reference.clone()),
            // Another daemon was faster.
            Err(ReplayError::NotFound) => {}
            Err(ReplayError::Hold(error)) => {
                tracing::error!(
                    %organisation, hold = finding.reference, %error, remedy = "dsrd ledger replay",
                    "a hold that the restored database has lost cannot be placed again by itself"
                );
            }
            Err(error) => return Err(error),
        }
    }
    Ok(placed)
}
