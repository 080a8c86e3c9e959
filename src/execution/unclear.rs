//! Holds of which only a person can say whether they are about the contact.
//!
//! They know another contact, and have nothing but a telephone number in common with this one, as in a household. Nobody is told of them,
//! and the erasure waits for a person, who decides about those that it names and about no other: one that is placed between the two is
//! asked about by itself.

use std::collections::BTreeSet;

use super::engine::Run;
use super::held::by_telephone_only;
use super::stop::Stop;
use crate::domain::{ContactId, ParkReason};
use crate::holds::{Hold, HoldId};
use crate::intake;
use crate::store::PgConnection;

/// Holds that were found for a contact, by what is known of whom they are about.
#[derive(Default)]
pub(super) struct Sorted {
    /// About this contact.
    pub(super) about: Vec<Hold>,
    /// The references of those of which nobody said so far whether they are.
    pub(super) unclear: Vec<String>,
    /// About somebody else, as a person decided.
    pub(super) of_others: BTreeSet<HoldId>,
}

/// Sorts the holds that were found for a contact.
pub(super) async fn sort(
    run: &Run<'_>,
    connection: &mut PgConnection,
    contact: &ContactId,
    found: Vec<Hold>,
) -> Result<Sorted, Stop> {
    let by_telephone = by_telephone_only(run, connection, contact, &found).await?;
    if by_telephone.is_empty() {
        return Ok(Sorted { about: found, ..Sorted::default() });
    }
    let decided = intake::holds_of_others(connection, &run.lease.organisation, run.lease.request).await?;
    let mut sorted = Sorted::default();
    for hold in found {
        if !by_telephone.contains(&hold.id) {
            sorted.about.push(hold);
        } else if decided.contains(&hold.reference) {
            sorted.of_others.insert(hold.id);
        } else {
            sorted.unclear.push(hold.reference);
        }
    }
    Ok(sorted)
}

impl Run<'_> {
    /// A person decides whether these holds are about the same human being, and finds their references with the request.
    pub(super) fn asks_about(&mut self, unclear: Vec<String>) -> Stop {
        self.waits_for = Some(unclear.join(" "));
        self.unclear_holds = unclear;
        Stop::NeedsPerson(ParkReason::HoldUnclear)
    }
}
