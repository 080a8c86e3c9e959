//! That a restriction of the data (Art. 18 GDPR) is a newer will than the wish from which an erasure follows by itself.

use chrono::{DateTime, Utc};

use super::engine::Run;
use super::hold::{about_contact, created_of};
use super::stop::Stop;
use super::unclear;
use crate::domain::{ContactId, HoldKind};
use crate::holds::Hold;
use crate::platform::Contact;
use crate::store::PgConnection;

/// Stops what follows by itself from an older wish where the contact's data was restricted (Art. 18 GDPR) after an instant, or at any time
/// where there is none. The person's own erasure goes before a restriction.
pub(super) async fn refuse(
    run: &mut Run<'_>,
    connection: &mut PgConnection,
    contact: &Contact,
    since: Option<DateTime<Utc>>,
) -> Result<(), Stop> {
    let holds = about_contact(run, connection, &contact.id, created_of(contact)).await?;
    stop_for(run, connection, &contact.id, (holds, since)).await
}

/// Stops for those of the holds that were found for a contact which restrict its data since an instant. One that may be that of a housemate
/// is no word about what this person wants until somebody said that it is theirs.
pub(super) async fn stop_for(
    run: &mut Run<'_>,
    connection: &mut PgConnection,
    contact: &ContactId,
    (mut holds, since): (Vec<Hold>, Option<DateTime<Utc>>),
) -> Result<(), Stop> {
    holds.retain(|hold| {
        hold.kind == HoldKind::Restriction && since.is_none_or(|since| hold.placed_at > since)
    });
    let sorted = unclear::sort(run, connection, contact, holds).await?;
    if let Some(restriction) = sorted.about.into_iter().next() {
        return Err(run.stops_for(restriction));
    }
    if sorted.unclear.is_empty() { Ok(()) } else { Err(run.asks_about(sorted.unclear)) }
}
