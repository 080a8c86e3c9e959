//! Whom a hold is about, by the contact and not by identifiers alone.
//!
//! An address or number that somebody gave may not be in the profile tomorrow, and a hold that stands by it alone would be lost
//! then. So the contact is looked up when a hold about a person is placed, and by the next minute's look of a daemon where the
//! person was named by a request. What a hold knows of a contact also tells it from another one with the same telephone number.
//! And of the contact of a sweep it is remembered until when its own records keep it.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::Site;
use super::engine::Run;
use super::outcome::Held;
use super::stop::Stop;
use crate::domain::{ContactId, IdentifierKind, SubjectIdentifier, SubjectRef};
use crate::holds::{self, Hold, HoldId, Unsought};
use crate::intake::{self, Desk, IdentifierRole};
use crate::platform::PlatformError;
use crate::store::{PgConnection, Store, StoreError, Tx};
use crate::triage::{self, MatchError};

/// The contacts that identifiers mean to whoever places a hold: all that carry one of them. Who has nothing but a telephone number
/// in common may be somebody else of a household, and counts only where nobody else is found.
pub async fn contacts_to_hold(
    site: &Site,
    identifiers: &[&SubjectIdentifier],
) -> Result<BTreeSet<ContactId>, PlatformError> {
    let (mut found, mut by_telephone) = (BTreeSet::new(), BTreeSet::new());
    for identifier in identifiers {
        let matches = match triage::find_matches(site.platform.as_ref(), &[*identifier]).await {
            Ok(matches) => matches,
            Err(MatchError::Platform(error)) => return Err(error),
            // It tells nothing of who carries this one; the hold stands by it all the same.
            Err(MatchError::NotHonoured | MatchError::Unreadable) => continue,
        };
        let of_kind = if identifier.kind() == IdentifierKind::Phone { &mut by_telephone } else { &mut found };
        of_kind.extend(matches.contacts.into_keys());
    }
    Ok(if found.is_empty() && by_telephone.len() == 1 { by_telephone } else { found })
}

/// Looks up the contact of each hold about the person of a request that does not know it yet, and returns of how many. Where the
/// platform gives no answer, the next call tries again. Any number of daemons may call it at any time.
pub async fn find_held_contacts(store: &Store, desk: &Desk, site: &Site) -> Result<u64, StoreError> {
    let organisation = &site.controller.id;
    let unsought = holds::unsought_contacts(&mut *store.connection().await?, organisation).await?;
    let mut sought = 0;
    for Unsought { hold, request } in unsought {
        let mut connection = store.connection().await?;
        let case = intake::find_case(&mut connection, organisation, request).await?;
        let known = intake::identifiers(&mut connection, &desk.keys, organisation, request).await?;
        drop(connection);
        let Some(case) = case else { continue };
        // Outside of any transaction: the platform may take its time.
        let contacts = if let Some(contact) = case.contact {
            BTreeSet::from([contact])
        } else {
            let given = known.iter().filter(|each| each.role == IdentifierRole::Given);
            let given: Vec<&SubjectIdentifier> = given.map(|each| &each.identifier).collect();
            match contacts_to_hold(site, &given).await {
                Ok(contacts) => contacts,
                // It would be refused again.
                Err(error) if error.concerns_one() => {
                    tracing::warn!(%organisation, %request, %error, "whom a hold is about cannot be looked up; it stands by the identifiers alone");
                    BTreeSet::new()
                }
                Err(error) => {
                    tracing::warn!(%organisation, %request, %error, "whom a hold is about could not be looked up; tried again");
                    continue;
                }
            }
        };
        let keys = desk.keys.subject(organisation);
        let contacts: Vec<SubjectRef> = contacts.iter().map(|contact| keys.contact(contact)).collect();
        let mut tx = store.begin("execution.find_held_contacts").await?;
        if holds::know_contacts(&mut tx, organisation, hold, &contacts, desk.clock.now()).await? {
            tx.commit().await?;
            sought += 1;
        }
    }
    Ok(sought)
}

/// Of the holds that were found for a contact those that know another one, and have nothing but a telephone number in common with
/// this one: nobody but a person can say whether they are about the same human being.
pub(super) async fn by_telephone_only(
    run: &Run<'_>,
    connection: &mut PgConnection,
    contact: &ContactId,
    found: &[Hold],
) -> Result<Vec<HoldId>, Stop> {
    let about_persons: Vec<HoldId> =
        found.iter().filter(|hold| hold.about_persons).map(|hold| hold.id).collect();
    if about_persons.is_empty() {
        return Ok(Vec::new());
    }
    let others = run.held_references(contact, |kind| kind != IdentifierKind::Phone);
    Ok(holds::about_another(connection, &run.lease.organisation, &about_persons, &others).await?)
}

/// Remembers, in the transaction that leaves the contact of a sweep alone, until when holds keep it whose end its records told:
/// without it every later sweep would submit it anew, and have those records read.
pub(super) async fn remember_for_sweeps(run: &Run<'_>, tx: &mut Tx, held: &Held) -> Result<(), Stop> {
    if held.holds.is_empty() {
        return Ok(());
    }
    let organisation = &run.lease.organisation;
    let contact = run.executor.desk.keys.subject(organisation).contact(&run.contact()?);
    let holds: Vec<(HoldId, Option<NaiveDate>)> =
        held.holds.iter().map(|(id, until)| (HoldId(*id), *until)).collect();
    let today = run.site.controller.local_date(run.executor.desk.clock.now());
    holds::note_last_days(tx, organisation, contact, &holds, today).await?;
    Ok(())
}
