//! What follows from which contact a hold is about.

use chrono::{DateTime, Utc};

use super::{HoldId, order, sql};
use crate::audit::{Action, Actor};
use crate::domain::{OrganisationId, SubjectRef};
use crate::store::{StoreError, Tx};

/// The reason of a restriction whose data are erased.
const ERASED: &str = "erased";

/// Notes in the caller's transaction which contacts were found for a hold about the person of a request, perhaps none; false when
/// it has ended since, or another daemon did so.
pub async fn know_contacts(
    tx: &mut Tx,
    organisation: &OrganisationId,
    hold: HoldId,
    contacts: &[SubjectRef],
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    // A deletion that is being announced has not looked for them.
    sql::lock_for_placing(tx, organisation).await?;
    if !sql::set_contact_sought(tx, organisation, hold, now).await? {
        return Ok(false);
    }
    sql::add_contacts(tx, organisation, hold, contacts).await?;
    Ok(true)
}

/// Ends the restrictions about a contact that was proven to be erased, in the transaction of that proof, and returns them: of the
/// data nothing is left to restrict. One that knows another contact as well stands.
pub async fn end_restrictions(
    tx: &mut Tx,
    organisation: &OrganisationId,
    contact: SubjectRef,
    (actor, now): (Actor, DateTime<Utc>),
) -> Result<Vec<HoldId>, StoreError> {
    let restrictions = sql::take_restrictions_of(tx, organisation, contact).await?;
    for hold in &restrictions {
        order::end(tx, organisation, hold, Action::HoldLifted, ERASED, (actor.clone(), now)).await?;
    }
    Ok(restrictions.into_iter().map(|hold| hold.id).collect())
}
