//! Restrictions: for whom one stands, and how its end is announced.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::domain::{OrganisationId, RequestId};
use crate::holds::HoldId;
use crate::store::{PgConnection, StoreError};

/// How far the end of a restriction is.
pub struct RestrictionEnd {
    /// The request by which the person was named.
    pub request: Option<RequestId>,
    /// On which day it ends, as the person was told.
    pub lift_on: Option<NaiveDate>,
    /// Whether the person was told: the mail server took the notice and it did not come back, or a person told them.
    pub told: bool,
}

/// How far the end of a hold is, which matters for restrictions.
pub async fn restriction_end(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    hold: HoldId,
) -> Result<RestrictionEnd, StoreError> {
    let row = sqlx::query!(
        r#"SELECT hold.request_id, hold.lift_on,
                  (hold.told_otherwise_at IS NOT NULL
                   OR EXISTS (SELECT FROM dsrd.notice
                              WHERE notice.organisation_id = hold.organisation_id
                                AND notice.notice_id = hold.lift_notice_id
                                AND (notice.made_good_at IS NOT NULL
                                     OR (notice.state = 'sent' AND notice.bounced_at IS NULL)))) AS "told!"
           FROM dsrd.hold
           WHERE hold.organisation_id = $1 AND hold.hold_id = $2"#,
        organisation.as_str(),
        hold.0,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("holds.restriction_end"))?;
    Ok(RestrictionEnd { request: row.request_id.map(RequestId), lift_on: row.lift_on, told: row.told })
}

/// The reference of the open restriction that answers a request.
pub async fn restriction_of(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT reference
           FROM dsrd.hold
           WHERE organisation_id = $1 AND request_id = $2 AND kind = 'restriction' AND ended_at IS NULL"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("holds.restriction_of"))
}

/// Open objections of people to which no restriction was ever placed.
pub(in crate::holds) async fn unrestricted_objections(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<RequestId>, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT request_id
           FROM dsrd.request AS request
           WHERE organisation_id = $1 AND kind = 'objection' AND origin = 'subject' AND state <> 'closed'
             AND NOT EXISTS (SELECT FROM dsrd.hold
                             WHERE hold.organisation_id = request.organisation_id
                               AND hold.request_id = request.request_id AND hold.kind = 'restriction')
           ORDER BY received_at, request_id
           LIMIT 100"#,
        organisation.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.unrestricted_objections"))?;
    Ok(found.into_iter().map(RequestId).collect())
}

/// Notes when a restriction ends and which notice tells the person; without one they were told by other means.
pub(in crate::holds) async fn set_end_announced(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    hold: HoldId,
    on: NaiveDate,
    notice: Option<Uuid>,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.hold
           SET lift_on = $3, lift_notice_id = $4, told_otherwise_at = CASE WHEN $4::uuid IS NULL THEN $5::timestamptz END
           WHERE organisation_id = $1 AND hold_id = $2 AND ended_at IS NULL"#,
        organisation.as_str(),
        hold.0,
        on,
        notice,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("holds.set_end_announced"))?;
    StoreError::expect_rows("holds.set_end_announced", 1, changed.rows_affected())
}

/// A restriction of which recipients are not told yet, and that no answer tells them of: it stands while an objection is weighed,
/// or was placed again after its request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untold {
    /// The restriction.
    pub hold: HoldId,
    /// The objection, or the request for the restriction.
    pub request: RequestId,
}

/// The open restrictions of objections, and those that were placed again after their request was answered, of which recipients
/// are not told yet, the oldest first. Nobody begins to tell of one whose request was withdrawn: it stands only until it is lifted.
pub async fn untold_restrictions(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<Untold>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT hold.hold_id, hold.request_id AS "request_id!"
           FROM dsrd.hold
           JOIN dsrd.request ON request.organisation_id = hold.organisation_id AND request.request_id = hold.request_id
           WHERE hold.organisation_id = $1 AND hold.kind = 'restriction' AND hold.ended_at IS NULL
             AND hold.recipients_noted_at IS NULL
             AND request.outcome IS DISTINCT FROM 'withdrawn'
             AND (request.kind = 'objection'
                  OR request.kind = 'restriction' AND hold.placed_at > request.executed_at
                     AND request.outcome IS DISTINCT FROM 'fulfilled_no_data')
           ORDER BY hold.placed_at, hold.hold_id
           LIMIT 100"#,
        organisation.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("holds.untold_restrictions"))?;
    Ok(rows
        .into_iter()
        .map(|row| Untold { hold: HoldId(row.hold_id), request: RequestId(row.request_id) })
        .collect())
}

/// Notes that the tasks of telling recipients of a restriction are written in this transaction; false when it has ended
/// since, or another daemon did so.
pub async fn note_recipients(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    hold: HoldId,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let noted = sqlx::query!(
        r#"UPDATE dsrd.hold
           SET recipients_noted_at = $3
           WHERE organisation_id = $1 AND hold_id = $2 AND ended_at IS NULL AND recipients_noted_at IS NULL"#,
        organisation.as_str(),
        hold.0,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("holds.note_recipients"))?;
    Ok(noted.rows_affected() == 1)
}
