//! What recipients are told while an objection is weighed (Art. 21(1), 18(1)(d) and 19 GDPR).
//!
//! The restriction itself is [`holds`]' and stands at once; who received the data is told of it here, because which contact is
//! meant is looked up at the platform. Its end is told when it is lifted ([`lift_hold`](super::lift_hold)), like that of every
//! restriction. One that is placed again after that is told again; so is one that somebody asked for (Art. 18), because its
//! answer, which told of the first, is over.

use super::Site;
use super::answered::{concerned, find_one};
use crate::domain::SubjectIdentifier;
use crate::holds::{self, Untold};
use crate::intake::{self, Desk};
use crate::recipients::{self, Place, TaskAction};
use crate::store::{Store, StoreError};

/// Writes the tasks of telling recipients of each restriction that stands while an objection is weighed, or was placed again after
/// its request was answered, once for each, and returns of how many. Where the platform gives no answer, the next call tries again.
/// Any number of daemons may call it at any time: who comes second finds it noted.
pub async fn tell_of_objections(store: &Store, desk: &Desk, site: &Site) -> Result<u64, StoreError> {
    if site.recipients.is_empty() {
        return Ok(0);
    }
    let organisation = &site.controller.id;
    let untold = holds::untold_restrictions(&mut *store.connection().await?, organisation).await?;
    let mut told = 0;
    for Untold { hold, request } in untold {
        let mut connection = store.connection().await?;
        let case = intake::find_case(&mut connection, organisation, request).await?;
        let known = intake::identifiers(&mut connection, &desk.keys, organisation, request).await?;
        drop(connection);
        let Some(case) = case else { continue };
        let known: Vec<&SubjectIdentifier> = known.iter().map(|each| &each.identifier).collect();
        // Outside of any transaction: the platform may take its time.
        let (contact, created_on) = match find_one(site, &known).await {
            Ok(found) => found,
            // It would be refused again: a person tells the recipients, as where nobody knows which contact is meant.
            Err(error) if error.concerns_one() => {
                tracing::warn!(%organisation, %request, %error, "whose data is restricted cannot be looked up; a person tells the recipients");
                (None, None)
            }
            Err(error) => {
                tracing::warn!(%organisation, %request, %error, "whose data is restricted could not be looked up to tell recipients; tried again");
                continue;
            }
        };
        let affected = concerned(TaskAction::Restrict, contact, created_on, case.origin);
        let now = desk.clock.now();
        let mut tx = store.begin("execution.tell_of_objections").await?;
        if !holds::note_recipients(&mut tx, organisation, hold, now).await? {
            continue;
        }
        let place = Place { organisation, request, at: now, today: site.controller.local_date(now) };
        recipients::enqueue(&mut tx, &desk.keys, &site.recipients, &affected, place).await?;
        tx.commit().await?;
        told += 1;
    }
    Ok(told)
}
