//! Until when holds that count from a last record keep the contacts of sweeps.

use chrono::{DateTime, Days, NaiveDate, Utc};
use uuid::Uuid;

use crate::domain::{OrganisationId, SubjectRef};
use crate::holds::HoldId;
use crate::store::{PgConnection, StoreError};

/// Notes the last days of holds that count from the last record of a contact, as its records told them just now: until then sweeps
/// leave it alone without a look at the platform ([`held_among`](super::held_among)). A hold that says itself when it ends needs
/// none. No true record is of later than `today`: one that is dated ahead keeps nobody longer than one of today would, and is looked
/// at again then.
pub async fn note_last_days(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    contact: SubjectRef,
    holds: &[(HoldId, Option<NaiveDate>)],
    today: NaiveDate,
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = holds.iter().map(|(hold, _)| hold.0).collect();
    let until: Vec<Option<NaiveDate>> = holds.iter().map(|(_, until)| *until).collect();
    sqlx::query!(
        r#"INSERT INTO dsrd.hold_until (organisation_id, hold_id, subject_ref, held_until)
           SELECT hold.organisation_id, hold.hold_id, $2,
                  least(found.held_until, ($5::date + make_interval(months => hold.months_after_last::integer))::date)
           FROM unnest($3::uuid[], $4::date[]) AS found (hold_id, held_until)
           JOIN dsrd.hold ON hold.organisation_id = $1 AND hold.hold_id = found.hold_id
           WHERE hold.months_after_last IS NOT NULL
             AND hold.ended_at IS NULL
             AND found.held_until IS NOT NULL
           ON CONFLICT (organisation_id, subject_ref, hold_id) DO UPDATE SET held_until = excluded.held_until"#,
        organisation.as_str(),
        contact.as_bytes().as_slice(),
        &ids,
        &until as &[Option<NaiveDate>],
        today,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("holds.note_last_days"))
}

/// Forgets the last days that have passed, in every time zone, and those of holds that ended.
pub(super) async fn purge_last_days(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let today = now.date_naive();
    sqlx::query!(
        r#"DELETE FROM dsrd.hold_until AS known
           USING dsrd.hold
           WHERE known.organisation_id = $1
             AND hold.organisation_id = known.organisation_id
             AND hold.hold_id = known.hold_id
             AND (hold.ended_at IS NOT NULL OR known.held_until < $2)"#,
        organisation.as_str(),
        today.checked_sub_days(Days::new(1)).unwrap_or(today),
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("holds.purge_last_days"))
}
