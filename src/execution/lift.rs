//! The end of a hold, with what the ledger has to know and recipients of the data have to be told of it.

use crate::audit::Actor;
use crate::domain::{Controller, HoldKind, LiftReason};
use crate::holds::{self, HoldError};
use crate::intake::Desk;
use crate::recipients::{self, Place, Recipient};
use crate::store::Tx;
use crate::suppression::ledger::{self, Entry, EntryKind};

/// Ends a hold, enters that in the ledger, and where it was a restriction of which recipients were told, tells them that it ended (Art. 19 GDPR), in the
/// same transaction.
pub async fn lift_hold(
    tx: &mut Tx,
    desk: &Desk,
    (controller, register): (&Controller, &[Recipient]),
    hold: &str,
    reason: LiftReason,
    actor: Actor,
) -> Result<(), HoldError> {
    let now = desk.clock.now();
    let lifted = holds::lift(tx, controller, hold, reason, actor, now).await?;
    let about = (&controller.id, lifted.id.0);
    ledger::enter(tx, &Entry::of_hold(&desk.keys, about, EntryKind::HoldEnded, "", now)).await?;
    if let (HoldKind::Restriction, Some(request)) = (lifted.kind, lifted.request) {
        let place =
            Place { organisation: &controller.id, request, at: now, today: controller.local_date(now) };
        recipients::enqueue_release(tx, &desk.keys, register, place).await?;
    }
    Ok(())
}
