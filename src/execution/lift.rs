//! The end of a hold, with what the ledger has to know and recipients of the data have to be told of it.

use super::engine::Run;
use super::outcome::ReadBackDone;
use super::procedure::Step;
use super::stop::Stop;
use crate::audit::Actor;
use crate::domain::{Controller, Handling, HoldKind, LiftReason, Origin};
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

impl Run<'_> {
    /// Ends what restricted the use of a contact that was read back as erased, in the transaction of that proof. No recipient is told
    /// of it: what they heard last is that they erase the data. Where another contact carries an identifier of the person, or
    /// records still answer, the restriction stands; and so it does after a sweep, of which nobody is told: whoever obtained it hears
    /// from a person before it is lifted (Art. 18(3) GDPR).
    pub(super) async fn end_restrictions(&self, tx: &mut Tx) -> Result<(), Stop> {
        if self.case.origin != Origin::Subject {
            return Ok(());
        }
        let read: Option<ReadBackDone> = self.outcome(Step::ReadBack)?;
        let all_gone = |read: ReadBackDone| read.remaining.is_empty() && read.other_contacts == 0;
        if self.case.kind.handling() != Handling::Erasure || !read.is_some_and(all_gone) {
            return Ok(());
        }
        let (keys, organisation) = (&self.executor.desk.keys, &self.lease.organisation);
        let (contact, now) =
            (keys.subject(organisation).contact(&self.contact()?), self.executor.desk.clock.now());
        let actor = Actor::Process("worker");
        for hold in holds::end_restrictions(tx, organisation, contact, (actor, now)).await? {
            let about = (organisation, hold.0);
            ledger::enter(tx, &Entry::of_hold(keys, about, EntryKind::HoldEnded, "", now)).await?;
        }
        Ok(())
    }
}
