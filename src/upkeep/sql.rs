//! What is left of an organisation, in whatever table. The tables are found in the catalogue of the database, by its functions
//! `dsrd.count_rows` and `dsrd.remove_rows`, so that none is forgotten.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::removal::{InTheWay, Left};
use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// How many rows of an organisation each table holds, those that hold none left out. Salts of a sweep's items name no organisation:
/// they are those of its cases, or of pages that its entries tell of.
pub(super) async fn count_rows(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<Left>, StoreError> {
    sqlx::query_as!(
        Left,
        r#"SELECT place AS "table!", row_count AS "rows!"
           FROM (SELECT place, row_count FROM dsrd.count_rows($1)
                 UNION ALL
                 SELECT 'audit_private.manifest_item', count(*)
                 FROM audit_private.manifest_item AS item
                 WHERE EXISTS (SELECT FROM dsrd.request WHERE organisation_id = $1 AND request_id = item.case_id)
                    OR EXISTS (SELECT FROM audit.entry WHERE entry.uid = item.uid AND entry.organisation_id = $1)
                    OR EXISTS (SELECT FROM audit.pending WHERE pending.uid = item.uid AND pending.organisation_id = $1)) AS held
           WHERE row_count > 0
           ORDER BY place"#,
        organisation.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("removal.count_rows"))
}

/// Deletes up to `most` rows of an organisation from one table; none while others refer to them.
pub(super) async fn remove_rows(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    table: &str,
    most: i32,
) -> Result<i64, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT dsrd.remove_rows($1, $2, $3) AS "gone!""#,
        organisation.as_str(),
        table,
        most,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("removal.remove_rows"))
}

/// What stands in the way of removing an organisation.
pub(super) async fn in_the_way(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<InTheWay, StoreError> {
    sqlx::query_as!(
        InTheWay,
        r#"SELECT (SELECT count(*) FROM dsrd.request WHERE organisation_id = $1 AND state <> 'closed') AS "open_requests!",
                  (SELECT count(*) FROM dsrd.hold WHERE organisation_id = $1 AND ended_at IS NULL) AS "holds!",
                  (SELECT count(*) FROM dsrd.postponed_erasure WHERE organisation_id = $1 AND resumed_at IS NULL)
                    AS "postponed_erasures!",
                  (SELECT count(*) FROM dsrd.follow_up WHERE organisation_id = $1 AND ended_at IS NULL) AS "follow_ups!",
                  (SELECT count(*) FROM dsrd.incident WHERE organisation_id = $1 AND ended_as IS NULL) AS "incidents!",
                  (SELECT count(*) FROM dsrd.notice
                   WHERE organisation_id = $1
                     AND (state = 'pending'
                          OR (bounced_at IS NOT NULL AND made_good_at IS NULL)
                          OR (state = 'refused' AND made_good_at IS NULL
                              AND kind IN ('withdrawn', 'breach_notice', 'restriction_lifting')
                              AND last_code IS DISTINCT FROM 'superseded'))) AS "untold!",
                  (SELECT count(*) FROM dsrd.recipient_task WHERE organisation_id = $1 AND state = 'queued')
                    AS "recipients_untold!",
                  (SELECT count(*) FROM dsrd.intake WHERE organisation_id = $1)
                    + (SELECT count(*) FROM dsrd.intake_parked WHERE organisation_id = $1) AS "rows_of_producers!""#,
        organisation.as_str(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("removal.in_the_way"))
}

/// Until when the log keeps what ties entries of an organisation to people; none where nothing of it is left.
pub(super) async fn tied_until(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    sqlx::query_scalar!(
        "SELECT max(erase_after) FROM audit_private.subject WHERE organisation_id = $1",
        organisation.as_str(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("removal.tied_until"))
}

/// Cases that are gone and of whose items of sweeps the salts were left, because a hold was in force when contact and case went; up
/// to `most` of an organisation, of those that were made before an instant. Ids of cases begin with that, so that nothing is looked
/// at but what should be gone. Where the entry of the page was pruned nobody knows whose they were, and they are anybody's.
pub(super) async fn left_page_items(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    made_before: DateTime<Utc>,
    most: i64,
) -> Result<Vec<RequestId>, StoreError> {
    let millis = u128::try_from(made_before.timestamp_millis()).unwrap_or_default();
    let beyond = Uuid::from_u128(millis << 80);
    let left = sqlx::query_scalar!(
        r#"WITH orphan AS MATERIALIZED (
             SELECT item.case_id, item.uid
             FROM audit_private.manifest_item AS item
             WHERE item.case_id < $2
               AND NOT EXISTS (SELECT FROM dsrd.request WHERE request.request_id = item.case_id)
           )
           SELECT orphan.case_id
           FROM orphan
           LEFT JOIN audit.entry AS page ON page.uid = orphan.uid
           WHERE page.organisation_id = $1 OR page.uid IS NULL
           LIMIT $3"#,
        organisation.as_str(),
        beyond,
        most,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("upkeep.left_page_items"))?;
    Ok(left.into_iter().map(RequestId).collect())
}
