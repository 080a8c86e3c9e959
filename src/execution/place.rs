//! The beginning of a hold, with what the ledger has to know of it.

use crate::audit::Actor;
use crate::domain::Controller;
use crate::holds::{self, HoldError, NewHold, Placed};
use crate::intake::Desk;
use crate::store::Tx;
use crate::suppression::ledger::{self, Entry, EntryKind};

/// Places a hold as a person orders it, and enters it in the ledger in the same transaction. A daemon brings it into the files
/// ([`Ledger::append_holds`](ledger::Ledger::append_holds)). What follows by itself from the settings or from an objection is not
/// entered: it follows again.
pub async fn place_hold(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    new: NewHold,
    actor: Actor,
) -> Result<Placed, HoldError> {
    let now = desk.clock.now();
    let placed = holds::place(tx, controller, new.clone(), actor, now).await?;
    let about = (&controller.id, placed.id.0);
    ledger::enter(tx, &Entry::of_hold(&desk.keys, about, EntryKind::Hold, &new.to_text(), now)).await?;
    Ok(placed)
}
