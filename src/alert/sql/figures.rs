//! Table `dsrd.figures_watch`, and the counts that figures and digests are made of.

use chrono::{DateTime, NaiveDate, Utc};

use crate::alert::rule::FiguresState;
use crate::domain::OrganisationId;
use crate::store::{PgConnection, StoreError};

/// Takes the counting of a day for the caller's transaction; false when it was counted that day. A day on which a clock that was
/// ahead counted (F-48) is another one.
pub(in crate::alert) async fn claim_figures(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    today: NaiveDate,
) -> Result<bool, StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.figures_watch AS known (organisation_id, counted_on)
           VALUES ($1, $2)
           ON CONFLICT (organisation_id) DO UPDATE
           SET counted_on = excluded.counted_on
           WHERE known.counted_on <> excluded.counted_on"#,
        organisation.as_str(),
        today,
    )
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(StoreError::during("alert.claim_figures"))
}

/// Records which figures are worse than wanted. Since when, stands until they are not.
pub(in crate::alert) async fn set_figures(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    (extended, late): (bool, bool),
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.figures_watch
           SET extended_since = CASE WHEN $2 THEN coalesce(extended_since, $4) END,
               late_since = CASE WHEN $3 THEN coalesce(late_since, $4) END
           WHERE organisation_id = $1"#,
        organisation.as_str(),
        extended,
        late,
        at,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("alert.set_figures"))
}

/// Records since when dates will be missed by the forecast; nothing where none will be. The counting of the day, if there was none
/// yet, is another matter: no day of a calendar is the one written here for it.
pub(in crate::alert) async fn set_forecast(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    since: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.figures_watch (organisation_id, counted_on, forecast_late_since)
           VALUES ($1, '-infinity', $2)
           ON CONFLICT (organisation_id) DO UPDATE
           SET forecast_late_since = excluded.forecast_late_since"#,
        organisation.as_str(),
        since,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("alert.set_forecast"))
}

/// Since when which figures are worse than wanted, as last counted and forecast.
pub(in crate::alert) async fn figures_state(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<FiguresState, StoreError> {
    let found = sqlx::query_as!(
        FiguresState,
        "SELECT extended_since, late_since, forecast_late_since FROM dsrd.figures_watch WHERE organisation_id = $1",
        organisation.as_str(),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("alert.figures_state"))?;
    Ok(found.unwrap_or_default())
}

/// How many requests of a kind ended in one way.
pub(in crate::alert) struct EndedRow {
    pub(in crate::alert) kind: String,
    pub(in crate::alert) outcome: String,
    pub(in crate::alert) count: i64,
}

/// What of people's requests ended from one instant until before another.
pub(in crate::alert) async fn count_ended(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<EndedRow>, StoreError> {
    sqlx::query_as!(
        EndedRow,
        r#"SELECT kind, outcome AS "outcome!", count(*) AS "count!"
           FROM dsrd.request
           WHERE organisation_id = $1 AND origin = 'subject' AND closed_at >= $2 AND closed_at < $3
           GROUP BY kind, outcome
           ORDER BY kind, outcome"#,
        organisation.as_str(),
        from,
        to,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("alert.count_ended"))
}

/// How many rows of producers could not become a request.
pub(in crate::alert) async fn count_parked_rows(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<i64, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM dsrd.intake_parked WHERE organisation_id = $1"#,
        organisation.as_str(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("alert.count_parked_rows"))
}

/// How many notices were sent in another language than the one wished for.
pub(in crate::alert) async fn count_fallbacks(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<i64, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
           FROM dsrd.notice
           WHERE organisation_id = $1 AND sent_at >= $2 AND sent_at < $3
             AND split_part(template, '/', 2) <> split_part(language, '-', 1)"#,
        organisation.as_str(),
        from,
        to,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("alert.count_fallbacks"))
}
