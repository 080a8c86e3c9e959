//! Table `dsrd.platform_watch`.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::WAITS_FOR_PLATFORM;
use crate::domain::OrganisationId;
use crate::queue::sql::{announce, interval};
use crate::store::{PgConnection, StoreError};

/// No request waits as long for anything. The longest wait is that for a proof of who asks: `identity.wait_max_days` is 60 at most.
const LONGEST_WAIT: Duration = Duration::from_hours(62 * 24);

/// Records whether the platform of an organisation answered just now. An outage begins with the first time that it did
/// not, and ends with the first time that it did, whichever daemon looked; each look that is answered wakes what
/// waits for it. One that began by a clock that was ahead (F-48) began with the next look.
pub async fn note_platform(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    answers: bool,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let down_since = (!answers).then_some(at);
    sqlx::query!(
        r#"INSERT INTO dsrd.platform_watch (organisation_id, looked_at, down_since)
           VALUES ($1, $2, $3)
           ON CONFLICT (organisation_id) DO UPDATE
           SET looked_at = excluded.looked_at,
               down_since = CASE WHEN excluded.down_since IS NULL THEN NULL
                                 ELSE least(platform_watch.down_since, excluded.down_since) END"#,
        organisation.as_str(),
        at,
        down_since,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("queue.note_platform"))?;
    if answers { wake_waiting(connection, organisation).await } else { Ok(()) }
}

/// Makes ready what waits for the platform: at every look that is answered, because a request that was in hand at the first
/// one is put back after it. And what waits longer than anything may, which was put back while the database's clock was ahead
/// (F-48).
async fn wake_waiting(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<(), StoreError> {
    let woken = sqlx::query!(
        r#"UPDATE dsrd.job
           SET run_at = now()
           WHERE organisation_id = $1 AND state = 'ready'
             AND (last_code = $2 AND run_at > now() OR run_at > now() + $3::interval)"#,
        organisation.as_str(),
        WAITS_FOR_PLATFORM,
        interval(LONGEST_WAIT),
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("queue.wake_waiting_for_platform"))?;
    if woken.rows_affected() > 0 {
        announce(connection).await?;
    }
    Ok(())
}

/// Since when the platform of an organisation has not answered; `None` while it does, or nobody looked yet.
pub async fn platform_down_since(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT down_since FROM dsrd.platform_watch WHERE organisation_id = $1",
        organisation.as_str(),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("queue.platform_down_since"))?;
    Ok(found.flatten())
}

/// By what it was seen which filters a platform ignores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// By a probe of all of them: the others are honoured.
    ByProbe,
    /// By what searches brought back: the others are as they were.
    BySearches,
}

/// Records which filters the platform of an organisation ignores, and returns those of which that was not known.
pub async fn note_ignored_filters(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    ignored: &[&'static str],
    seen: Seen,
    at: DateTime<Utc>,
) -> Result<Vec<&'static str>, StoreError> {
    let known = sqlx::query_scalar!(
        "SELECT ignored_filters FROM dsrd.platform_watch WHERE organisation_id = $1 FOR UPDATE",
        organisation.as_str(),
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(StoreError::during("queue.list_ignored_filters"))?
    .unwrap_or_default();
    let new: Vec<&'static str> =
        ignored.iter().copied().filter(|filter| !known.iter().any(|each| each == filter)).collect();
    let mut all: Vec<String> = ignored.iter().map(|&filter| filter.to_owned()).collect();
    if seen == Seen::BySearches {
        all.extend(known.into_iter().filter(|filter| !ignored.contains(&filter.as_str())));
    }
    sqlx::query!(
        r#"INSERT INTO dsrd.platform_watch (organisation_id, looked_at, ignored_filters, filter_ignored_at)
           VALUES ($1, $2, $3, $4)
           ON CONFLICT (organisation_id) DO UPDATE
           SET ignored_filters = excluded.ignored_filters,
               filter_ignored_at = CASE WHEN $5 OR excluded.filter_ignored_at IS NULL THEN excluded.filter_ignored_at
                                        ELSE platform_watch.filter_ignored_at END"#,
        organisation.as_str(),
        at,
        &all,
        (!all.is_empty()).then_some(at),
        !new.is_empty(),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.note_ignored_filters"))?;
    Ok(new)
}

/// When the latest of the filters that the platform of an organisation ignores was found; `None` while it ignores none.
pub async fn filter_ignored_since(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT filter_ignored_at FROM dsrd.platform_watch WHERE organisation_id = $1",
        organisation.as_str(),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("queue.filter_ignored_since"))?;
    Ok(found.flatten())
}
