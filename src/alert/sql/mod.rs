//! Tables `dsrd.alert`, `dsrd.staff_mail` and `dsrd.figures_watch`, and what is watched, read from the tables of others.

mod alert;
mod figures;
mod mail;
mod watched;

use chrono::{DateTime, Utc};

use crate::domain::OrganisationId;
use crate::store::{PgConnection, StoreError};

pub(super) use self::alert::*;
pub(super) use self::figures::*;
pub(super) use self::mail::*;
pub(super) use self::watched::*;

/// Deletes mails to staff that were written before an instant and are not waiting, and the alerts from before it that are about
/// no request. Alerts about a request go with its case. That a cause was acknowledged stays known, by one alert of each: it may
/// last for longer than mails are kept, and would be told anew.
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
        r#"DELETE FROM dsrd.alert
           WHERE organisation_id = $1 AND request_id IS NULL AND raised_at < $2
             AND (acknowledged_at IS NULL
                  OR EXISTS (SELECT FROM dsrd.alert AS later
                             WHERE later.organisation_id = $1 AND later.request_id IS NULL AND later.rule = alert.rule
                               AND later.step = alert.step AND later.hold_id IS NOT DISTINCT FROM alert.hold_id
                               AND later.acknowledged_at IS NOT NULL AND later.raised_at < $2
                               AND later.raised_at > alert.raised_at)
                  OR EXISTS (SELECT FROM dsrd.hold
                             WHERE hold.organisation_id = $1 AND hold.hold_id = alert.hold_id AND hold.ended_at IS NOT NULL))"#,
        organisation.as_str(),
        before,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("alert.purge"))?;
    Ok(())
}
