//! Who is left to a later sweep because a hold stands.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::{ContactId, Controller, MasterKey};
use crate::holds;
use crate::retention::vocabulary::SkipReason;
use crate::store::{PgConnection, Store, StoreError};

/// Where holds are looked up.
#[derive(Clone, Copy, Debug)]
pub struct Holds<'a> {
    /// The database.
    pub store: &'a Store,
    /// Holds name nobody but by pseudonyms.
    pub keys: &'a MasterKey,
}

impl Holds<'_> {
    /// Which of the contacts, each with its creation, are kept by a hold or a restriction, by their place. Of holds that count from
    /// a contact's last record only those whose end an earlier sweep found out.
    pub(in crate::retention) async fn among<'c>(
        self,
        connection: &mut PgConnection,
        controller: &Controller,
        contacts: impl Iterator<Item = (&'c ContactId, DateTime<Utc>)> + Send,
        now: DateTime<Utc>,
    ) -> Result<BTreeMap<usize, SkipReason>, StoreError> {
        let subject_key = self.keys.subject(&controller.id);
        let pseudonyms: Vec<_> =
            contacts.map(|(contact, created)| (subject_key.contact(contact), created)).collect();
        if pseudonyms.is_empty() {
            return Ok(BTreeMap::new());
        }
        let today = controller.local_date(now);
        let held = holds::held_among(connection, &controller.id, &pseudonyms, today).await?;
        let reason = |more| if more { SkipReason::Hold } else { SkipReason::Restriction };
        Ok(held.into_iter().map(|(place, more)| (place, reason(more))).collect())
    }
}
