//! Tables `dsrd.alert`, `dsrd.staff_mail` and `dsrd.figures_watch`, and what is watched, read from the tables of others.

mod alert;
mod figures;
mod mail;
mod watched;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::OrganisationId;
use crate::store::StoreError;

pub(super) use self::alert::*;
pub(super) use self::figures::*;
pub(super) use self::mail::*;
pub(super) use self::watched::*;

/// Deletes mails to staff that were written before an instant and are not waiting, and the alerts about platforms from
/// before it. Alerts about a request go with its case.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    before: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM dsrd.staff_mail WHERE organisation_id = $1 AND state <> 'pending' AND enqueued_at < $2",
        organisation.as_str(),
        before,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("alert.purge"))?;
    sqlx::query!(
        "DELETE FROM dsrd.alert WHERE organisation_id = $1 AND request_id IS NULL AND raised_at < $2",
        organisation.as_str(),
        before,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("alert.purge"))?;
    Ok(())
}
