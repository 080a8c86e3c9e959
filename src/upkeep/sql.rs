//! What is left of an organisation, in whatever table. The tables are found in the catalogue of the database, by its functions
//! `dsrd.count_rows` and `dsrd.remove_rows`, so that none is forgotten.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::removal::{InTheWay, Left};
use crate::domain::OrganisationId;
use crate::store::StoreError;

/// How many rows of an organisation each table holds, those that hold none left out.
pub(super) async fn count_rows(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<Left>, StoreError> {
    sqlx::query_as!(
        Left,
        r#"SELECT place AS "table!", row_count AS "rows!"
           FROM dsrd.count_rows($1)
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
