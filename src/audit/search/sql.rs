//! The view `audit_view.log`, searched.

use sqlx::PgConnection;

use super::Search;
use crate::audit::Entry;
use crate::domain::OrganisationId;
use crate::store::StoreError;

/// Finds sealed entries with numbers above `after`, at most `most`; the next page starts after the last one returned.
pub async fn search(
    connection: &mut PgConnection,
    search: &Search,
    after: i64,
    most: i64,
) -> Result<Vec<Entry>, StoreError> {
    let (key, value) = search.detail.as_ref().map_or((None, None), |(key, value)| (Some(key), Some(value)));
    sqlx::query_as!(
        Entry,
        r#"SELECT seq AS "seq!", at AS "at!", organisation_id AS organisation, case_id AS "case", action AS "action!",
                  outcome, actor AS "actor!", intent, uid AS "id!", detail AS "detail!"
           FROM audit_view.log
           WHERE seq > $1
             AND ($2::text IS NULL OR organisation_id = $2 OR organisation_id IS NULL)
             AND ($3::uuid IS NULL OR case_id = $3)
             AND ($4::text IS NULL OR action = $4 OR ($4 LIKE '%.' AND starts_with(action, $4)))
             AND ($5::text IS NULL OR outcome = $5)
             AND ($6::text IS NULL OR actor = $6)
             AND ($7::timestamptz IS NULL OR at >= $7)
             AND ($8::timestamptz IS NULL OR at < $8)
             AND ($9::text IS NULL OR detail ->> $9 = $10)
           ORDER BY seq
           LIMIT $11"#,
        after,
        search.organisation.as_ref().map(OrganisationId::as_str),
        search.case.map(|case| case.0),
        search.action,
        search.outcome,
        search.actor,
        search.since,
        search.until,
        key,
        value,
        most.clamp(1, 10_000),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.search"))
}
