//! Table `dsrd.intake_rate`; gives jobs free that wait in `dsrd.job`.

use chrono::{DateTime, Utc};

use super::{Counter, FloodWindow, HeldBack};
use crate::domain::OrganisationId;
use crate::store::{PgConnection, StoreError};

/// Counts a message by each counter and returns them as they stand with it.
pub(super) async fn count(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    counters: Vec<Counter>,
) -> Result<Vec<Counter>, StoreError> {
    let scopes: Vec<String> = counters.iter().map(|each| each.scope.as_str().to_owned()).collect();
    let keys: Vec<String> = counters.iter().map(|each| each.key.clone()).collect();
    let starts: Vec<DateTime<Utc>> = counters.iter().map(|each| each.window_start).collect();
    let rows = sqlx::query!(
        r#"INSERT INTO dsrd.intake_rate AS stored (organisation_id, scope, key, window_start, accepted)
           SELECT $1, given.scope, given.key, given.window_start, 1
           FROM unnest($2::text[], $3::text[], $4::timestamptz[]) AS given (scope, key, window_start)
           ORDER BY given.scope, given.key
           ON CONFLICT (organisation_id, scope, key, window_start) DO UPDATE SET accepted = stored.accepted + 1
           RETURNING scope, key, accepted"#,
        organisation.as_str(),
        &scopes,
        &keys,
        &starts,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.count"))?;
    Ok(counters
        .into_iter()
        .map(|counter| {
            let row = rows.iter().find(|row| row.scope == counter.scope.as_str() && row.key == counter.key);
            let accepted = row.map_or(0, |row| u64::try_from(row.accepted).unwrap_or_default());
            Counter { accepted, ..counter }
        })
        .collect())
}

pub(super) async fn note(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    because: &Counter,
    held_back: i64,
    unacknowledged: i64,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.intake_rate
           SET held_back = held_back + $5, unacknowledged = unacknowledged + $6
           WHERE organisation_id = $1 AND scope = $2 AND key = $3 AND window_start = $4"#,
        organisation.as_str(),
        because.scope.as_str(),
        because.key,
        because.window_start,
        held_back,
        unacknowledged,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("intake.note_flood"))
}

/// The windows since an instant in which something waited or was not acknowledged, the newest and fullest first.
pub async fn list_floods(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    since: DateTime<Utc>,
    most: u16,
) -> Result<Vec<FloodWindow>, StoreError> {
    sqlx::query_as!(
        FloodWindow,
        r#"SELECT scope,
                  CASE scope
                    WHEN 'source' THEN key
                    WHEN 'identifier' THEN (
                      SELECT request.reference
                      FROM dsrd.identifier
                      JOIN dsrd.request USING (organisation_id, request_id)
                      WHERE identifier.organisation_id = $1 AND identifier.subject_ref = decode(rate.key, 'hex')
                        AND request.inserted_at >= rate.window_start
                      ORDER BY request.inserted_at
                      LIMIT 1)
                  END AS about,
                  window_start, accepted, held_back, unacknowledged
           FROM dsrd.intake_rate AS rate
           WHERE organisation_id = $1 AND window_start >= $2 AND held_back + unacknowledged > 0
           ORDER BY window_start DESC, accepted DESC, scope, key
           LIMIT $3"#,
        organisation.as_str(),
        since,
        i64::from(most),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.list_floods"))
}

/// Counts what was held back and has not begun.
pub async fn count_held_back(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<HeldBack, StoreError> {
    sqlx::query_as!(
        HeldBack,
        r#"SELECT count(*) AS "requests!", min(run_at) AS first_at, max(run_at) AS last_at
           FROM dsrd.job
           WHERE organisation_id = $1 AND state = 'ready' AND last_code = 'held_back' AND run_at > now()"#,
        organisation.as_str(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("intake.count_held_back"))
}

/// Lets everything begin now that was held back; returns how many requests.
pub async fn release_held_back(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<u64, StoreError> {
    let released = sqlx::query!(
        r#"UPDATE dsrd.job
           SET run_at = now(), last_code = NULL
           WHERE organisation_id = $1 AND state = 'ready' AND last_code = 'held_back' AND run_at > now()"#,
        organisation.as_str(),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.release_held_back"))?;
    Ok(released.rows_affected())
}

/// Deletes the counters of windows that began before an instant.
pub async fn purge_rates(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    before: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM dsrd.intake_rate WHERE organisation_id = $1 AND window_start < $2",
        organisation.as_str(),
        before,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("intake.purge_rates"))
}
